package types

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// A JSONBuilder puts a jsonb together from the inside out. Calls follow the
// text's order: Begin…, for objects Key before each value, End…. The zero value
// is ready; Reset makes it ready again, keeping its memory.
type JSONBuilder struct {
	buf    []byte
	ents   []jbEntry
	frames []jbFrame
	tmp    []byte
	str    []byte // the parser's scratch
	err    error
}

type jbEntry struct{ keyStart, keyEnd, valStart, valEnd int }

type jbFrame struct {
	start  int // of the tag
	ents   int // first entry
	object bool
}

// Reset empties the builder.
func (b *JSONBuilder) Reset() {
	b.buf, b.ents, b.frames, b.err = b.buf[:0], b.ents[:0], b.frames[:0], nil
}

// value notes that a node lies at start.
func (b *JSONBuilder) value(start int) {
	if k := len(b.frames); k > 0 {
		if b.frames[k-1].object {
			e := &b.ents[len(b.ents)-1]
			e.valStart, e.valEnd = start, len(b.buf)
		} else {
			b.ents = append(b.ents, jbEntry{valStart: start, valEnd: len(b.buf)})
		}
	}
}

// Null appends a null.
func (b *JSONBuilder) Null() { b.Node(JSONNode{jbNull}) }

// Bool appends a boolean.
func (b *JSONBuilder) Bool(v bool) {
	if v {
		b.Node(JSONNode{jbTrue})
	} else {
		b.Node(JSONNode{jbFalse})
	}
}

// Number appends a finite numeric given in the variable form.
func (b *JSONBuilder) Number(form []byte) {
	start := len(b.buf)
	b.buf = append(append(b.buf, jbNumber), form...)
	b.value(start)
}

// String appends a string.
func (b *JSONBuilder) String(s []byte) {
	start := len(b.buf)
	b.buf = append(append(b.buf, jbString), s...)
	b.value(start)
}

// Node appends a complete value.
func (b *JSONBuilder) Node(j JSONNode) {
	start := len(b.buf)
	b.buf = append(b.buf, j...)
	b.value(start)
}

// Key begins a member of the open object.
func (b *JSONBuilder) Key(k []byte) {
	start := len(b.buf)
	b.buf = append(b.buf, k...)
	b.ents = append(b.ents, jbEntry{keyStart: start, keyEnd: len(b.buf)})
}

// BeginArray opens an array.
func (b *JSONBuilder) BeginArray() { b.begin(false) }

// BeginObject opens an object.
func (b *JSONBuilder) BeginObject() { b.begin(true) }

func (b *JSONBuilder) begin(object bool) {
	b.frames = append(b.frames, jbFrame{len(b.buf), len(b.ents), object})
	b.buf = append(b.buf, 0)
}

// End closes the innermost array or object. Of equal keys the last one counts.
func (b *JSONBuilder) End() {
	f := b.frames[len(b.frames)-1]
	b.frames = b.frames[:len(b.frames)-1]
	ents := b.ents[f.ents:]
	if f.object {
		b.endObject(f, ents)
	} else {
		b.endArray(f, ents)
	}
	b.ents = b.ents[:f.ents]
	b.value(f.start)
}

func (b *JSONBuilder) endArray(f jbFrame, ents []jbEntry) {
	start := f.start + 1
	size := len(b.buf) - start
	b.checkSize(size, "array")
	tag, width := byte(jbArray), 2
	if size > 0xffff || len(ents) > 0xffff {
		tag, width = jbArrayWide, 4
	}
	h := width * (1 + len(ents))
	b.buf = slices.Grow(b.buf, h)[:len(b.buf)+h]
	copy(b.buf[start+h:], b.buf[start:start+size])
	b.buf[f.start] = tag
	putWord(b.buf[start:], 0, width, len(ents))
	for i, e := range ents {
		putWord(b.buf[start:], i+1, width, e.valEnd-start)
	}
}

func (b *JSONBuilder) endObject(f jbFrame, ents []jbEntry) {
	start := f.start + 1
	key := func(e jbEntry) []byte { return b.buf[e.keyStart:e.keyEnd] }
	sorted := true
	for i := 1; i < len(ents) && sorted; i++ {
		sorted = compareKeys(key(ents[i-1]), key(ents[i])) < 0
	}
	if !sorted {
		slices.SortStableFunc(ents, func(x, y jbEntry) int { return compareKeys(key(x), key(y)) })
		n := 0
		for i := range ents {
			if n > 0 && compareKeys(key(ents[n-1]), key(ents[i])) == 0 {
				n--
			}
			ents[n] = ents[i]
			n++
		}
		ents = ents[:n]
	}
	tmp := b.tmp[:0]
	for i := range ents {
		e := &ents[i]
		tmp = append(tmp, b.buf[e.keyStart:e.keyEnd]...)
		e.keyEnd = len(tmp)
	}
	for i := range ents {
		e := &ents[i]
		tmp = append(tmp, b.buf[e.valStart:e.valEnd]...)
		e.valEnd = len(tmp)
	}
	b.tmp = tmp
	b.checkSize(len(tmp), "object")
	tag, width := byte(jbObject), 2
	if len(tmp) > 0xffff || len(ents) > 0xffff {
		tag, width = jbObjectWide, 4
	}
	h := width * (1 + 2*len(ents))
	total := start + h + len(tmp)
	if total > cap(b.buf) {
		b.buf = slices.Grow(b.buf, total-len(b.buf))
	}
	b.buf = b.buf[:total]
	b.buf[f.start] = tag
	putWord(b.buf[start:], 0, width, len(ents))
	for i, e := range ents {
		putWord(b.buf[start:], i+1, width, e.keyEnd)
		putWord(b.buf[start:], len(ents)+i+1, width, e.valEnd)
	}
	copy(b.buf[start+h:], tmp)
}

func (b *JSONBuilder) checkSize(n int, what string) {
	if n > jbDataMax && b.err == nil {
		b.err = sqlstate.Errorf(sqlstate.ProgramLimitExceeded,
			"total size of jsonb %s elements exceeds the maximum of %d bytes", what, jbDataMax)
	}
}

func putWord(h []byte, i, width, v int) {
	if width == 2 {
		binary.LittleEndian.PutUint16(h[2*i:], uint16(v))
	} else {
		binary.LittleEndian.PutUint32(h[4*i:], uint32(v))
	}
}

// Finish is the value, valid until the next Reset.
func (b *JSONBuilder) Finish() (JSONNode, error) { return b.buf, b.err }

var jsonBuilders = sync.Pool{New: func() any { return new(JSONBuilder) }}

// release gives a builder back to the pool, unless it grew large.
func (b *JSONBuilder) release() {
	if cap(b.buf)+cap(b.tmp) < 1<<20 {
		jsonBuilders.Put(b)
	}
}
