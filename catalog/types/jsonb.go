package types

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The form of jsonb is a node: a tag byte and what the tag says.
//
//	0 null · 1 false · 2 true            nothing
//	3 number                              a numeric in its variable form
//	4 string                              UTF-8 bytes
//	5, 6 array (narrow, wide)             n, end[n], data: nodes
//	7, 8 object (narrow, wide)            n, keyEnd[n], valueEnd[n], data: keys, then nodes
//
// n and the ends are uint16 in narrow containers, uint32 in wide ones,
// little-endian; ends are offsets into data, so an entry starts where the one
// before ends (the first value where the last key ends). Keys are unique and
// ascend by length, then bytes: PostgreSQL's order, in which they also print.
// Each node is a complete value, so an element is taken out by slicing.

// JSONNode is a jsonb value in its form.
type JSONNode []byte

// JSONKind is what a JSONNode is, in jsonb's sort order.
type JSONKind uint8

// The kinds.
const (
	JSONNull JSONKind = iota
	JSONString
	JSONNumber
	JSONBool
	JSONArray
	JSONObject
)

const (
	jbNull = iota
	jbFalse
	jbTrue
	jbNumber
	jbString
	jbArray
	jbArrayWide
	jbObject
	jbObjectWide

	jbDataMax = 1<<28 - 1 // PostgreSQL's bound for a container
)

var jbKinds = [...]JSONKind{jbNull: JSONNull, jbFalse: JSONBool, jbTrue: JSONBool, jbNumber: JSONNumber, jbString: JSONString,
	jbArray: JSONArray, jbArrayWide: JSONArray, jbObject: JSONObject, jbObjectWide: JSONObject}

// Kind is what j is.
func (j JSONNode) Kind() JSONKind { return jbKinds[j[0]] }

// TypeName is jsonb_typeof.
func (j JSONNode) TypeName() string {
	return [...]string{"null", "string", "number", "boolean", "array", "object"}[j.Kind()]
}

// Bool is the value of a boolean.
func (j JSONNode) Bool() bool { return j[0] == jbTrue }

// Number is the numeric of a number, in the variable form.
func (j JSONNode) Number() []byte { return j[1:] }

// Str is the text of a string.
func (j JSONNode) Str() []byte { return j[1:] }

// IsContainer says whether j is an array or object.
func (j JSONNode) IsContainer() bool { return j[0] >= jbArray }

// Len is the number of elements or members of a container, 0 otherwise.
func (j JSONNode) Len() int {
	if j[0] < jbArray {
		return 0
	}
	return j.word(0)
}

// word is entry i of the header: the count, then the ends.
func (j JSONNode) word(i int) int {
	if j[0]&1 == 1 {
		return int(binary.LittleEndian.Uint16(j[1+2*i:]))
	}
	return int(binary.LittleEndian.Uint32(j[1+4*i:]))
}

// data is the part behind a header of so many words.
func (j JSONNode) data(words int) []byte {
	if j[0]&1 == 1 {
		return j[1+2*words:]
	}
	return j[1+4*words:]
}

// Elem is element i of an array.
func (j JSONNode) Elem(i int) JSONNode {
	from := 0
	if i > 0 {
		from = j.word(i)
	}
	to := j.word(i + 1)
	return JSONNode(j.data(1 + j.word(0))[from:to:to])
}

// Key is the key of member i of an object.
func (j JSONNode) Key(i int) []byte {
	from := 0
	if i > 0 {
		from = j.word(i)
	}
	to := j.word(i + 1)
	return j.data(1 + 2*j.word(0))[from:to:to]
}

// Value is the value of member i of an object.
func (j JSONNode) Value(i int) JSONNode {
	n := j.word(0)
	from, to := j.word(n+i), j.word(n+i+1)
	return JSONNode(j.data(1 + 2*n)[from:to:to])
}

func compareKeys(a, b []byte) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}

// Find is the index of a key in an object, -1 when it has none.
func (j JSONNode) Find(key []byte) int {
	if j.Kind() != JSONObject {
		return -1
	}
	lo, hi := 0, j.word(0)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		switch c := compareKeys(j.Key(m), key); {
		case c == 0:
			return m
		case c < 0:
			lo = m + 1
		default:
			hi = m
		}
	}
	return -1
}

// Field is the member of this key (the operator ->); nil when there is none.
func (j JSONNode) Field(key []byte) JSONNode {
	if i := j.Find(key); i >= 0 {
		return j.Value(i)
	}
	return nil
}

// At is the element of this index, counted from the end when negative (the
// operator ->); nil when there is none. To PostgreSQL a scalar is an array of one
// here.
func (j JSONNode) At(i int) JSONNode {
	switch j.Kind() {
	case JSONArray:
	case JSONObject:
		return nil
	default:
		if i == 0 || i == -1 {
			return j
		}
		return nil
	}
	n := j.word(0)
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil
	}
	return j.Elem(i)
}

// Path follows keys and indexes (the operator #>); nil when it leads nowhere.
func (j JSONNode) Path(path [][]byte) JSONNode {
	for _, p := range path {
		switch j.Kind() {
		case JSONObject:
			j = j.Field(p)
		case JSONArray:
			i, ok := jsonIndex(p)
			if !ok {
				return nil
			}
			j = j.At(i)
		default:
			return nil
		}
		if j == nil {
			return nil
		}
	}
	return j
}

// jsonIndex reads a path's text as an array index.
func jsonIndex(p []byte) (int, bool) {
	v, err := ParseInt4(p)
	return int(v), err == nil
}

// AppendTextValue appends j as the operator ->> gives it: strings bare, the
// rest as JSON. Null gives SQL NULL, which the caller decides by Kind.
func (j JSONNode) AppendTextValue(dst []byte) []byte {
	if j.Kind() == JSONString {
		return append(dst, j.Str()...)
	}
	return AppendJSONB(dst, j)
}

// AppendJSONB appends the text of a jsonb, as PostgreSQL prints it.
func AppendJSONB(dst, form []byte) []byte {
	j := JSONNode(form)
	switch j[0] {
	case jbNull:
		return append(dst, "null"...)
	case jbFalse:
		return append(dst, "false"...)
	case jbTrue:
		return append(dst, "true"...)
	case jbNumber:
		return AppendNumeric(dst, j[1:])
	case jbString:
		return AppendJSONString(dst, j[1:])
	case jbArray, jbArrayWide:
		dst = append(dst, '[')
		for i, n := 0, j.word(0); i < n; i++ {
			if i > 0 {
				dst = append(dst, ',', ' ')
			}
			dst = AppendJSONB(dst, j.Elem(i))
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, n := 0, j.word(0); i < n; i++ {
		if i > 0 {
			dst = append(dst, ',', ' ')
		}
		dst = append(AppendJSONString(dst, j.Key(i)), ':', ' ')
		dst = AppendJSONB(dst, j.Value(i))
	}
	return append(dst, '}')
}

// AppendJSONBPretty appends the text of jsonb_pretty.
func AppendJSONBPretty(dst, form []byte) []byte { return appendPretty(dst, JSONNode(form), 0) }

func appendPretty(dst []byte, j JSONNode, depth int) []byte {
	if !j.IsContainer() {
		return AppendJSONB(dst, j)
	}
	indent := func(n int) {
		dst = append(dst, '\n')
		for ; n > 0; n-- {
			dst = append(dst, "    "...)
		}
	}
	object := j.Kind() == JSONObject
	if object {
		dst = append(dst, '{')
	} else {
		dst = append(dst, '[')
	}
	n := j.Len()
	for i := 0; i < n; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		indent(depth + 1)
		if object {
			dst = append(AppendJSONString(dst, j.Key(i)), ':', ' ')
			dst = appendPretty(dst, j.Value(i), depth+1)
		} else {
			dst = appendPretty(dst, j.Elem(i), depth+1)
		}
	}
	indent(depth)
	if object {
		return append(dst, '}')
	}
	return append(dst, ']')
}

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

// ParseJSONB appends the form of the jsonb that s spells.
func ParseJSONB(dst, s []byte) ([]byte, error) {
	b := jsonBuilders.Get().(*JSONBuilder)
	defer b.release()
	b.Reset()
	var l jsonLex
	l.init(s, true)
	l.str = b.str[:0]
	if err := l.next(); err != nil {
		return dst, err
	}
	if err := l.build(b); err != nil {
		return dst, err
	}
	if l.tok != jsonEnd {
		return dst, l.unexpected("end of input")
	}
	b.str = l.str
	j, err := b.Finish()
	return append(dst, j...), err
}

// build is skipValue that also makes the value.
func (l *jsonLex) build(b *JSONBuilder) error {
	switch l.tok {
	case jsonString:
		b.String(l.str)
		return l.next()
	case jsonNumber:
		start := len(b.buf)
		form, err := ParseNumeric(append(b.buf, jbNumber), l.s[l.start:l.pos])
		if err != nil {
			return err
		}
		b.buf = form
		b.value(start)
		return l.next()
	case jsonTrue, jsonFalse:
		b.Bool(l.tok == jsonTrue)
		return l.next()
	case jsonNull:
		b.Null()
		return l.next()
	case '[':
		if err := l.push(); err != nil {
			return err
		}
		b.BeginArray()
		if err := l.next(); err != nil {
			return err
		}
		if l.tok != ']' {
			for {
				if err := l.build(b); err != nil {
					return err
				}
				if l.tok == ']' {
					break
				}
				if l.tok != ',' {
					return l.unexpected("\",\" or \"]\"")
				}
				if err := l.next(); err != nil {
					return err
				}
			}
		}
		b.End()
		l.depth--
		return l.next()
	case '{':
		if err := l.push(); err != nil {
			return err
		}
		b.BeginObject()
		if err := l.next(); err != nil {
			return err
		}
		for first := true; l.tok != '}' || !first; first = false {
			if l.tok != jsonString {
				return l.unexpected(jsonKeyWanted(first))
			}
			b.Key(l.str)
			if err := l.colon(); err != nil {
				return err
			}
			if err := l.build(b); err != nil {
				return err
			}
			if l.tok == '}' {
				break
			}
			if l.tok != ',' {
				return l.unexpected("\",\" or \"}\"")
			}
			if err := l.next(); err != nil {
				return err
			}
		}
		b.End()
		l.depth--
		return l.next()
	}
	return l.unexpected("JSON value")
}
