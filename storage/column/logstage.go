package column

import (
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// logRef names the image that a binlog row shows: a row of one of three batches, or
// of none (a marker).
type logRef struct {
	from uint8
	row  uint32
}

const (
	fromAfter uint8 = iota
	fromBefore
	fromLate
	fromNone
	logSources
)

// LogStaged is a commit's rows in a binlog tablet, between staging and stamping.
// The tablet's write lock is held until Stamp or Abort.
type LogStaged struct {
	t     *Tablet
	m     *memtable
	first uint32
	files *LogFiles
}

// StageLog derives the binlog rows of logged chunks and markers and puts them into
// memory, invisible. It is the one way into a binlog, live and in replay. A replaced
// row makes two rows, before and after; late corrects what the chunks say was
// replaced, and may be nil. files have rows of the same commit; nil for none.
func (t *Tablet) StageLog(chunks []storage.Chunk, late *storage.Late, marks []storage.Mark, files *LogFiles) *LogStaged {
	t.wmu.Lock()
	m := t.cur.active()
	s := &LogStaged{t: t, m: m, first: m.n, files: files}
	var w logWriter
	for i := range chunks {
		c := &chunks[i]
		if !c.Logged || c.Len() == 0 {
			continue
		}
		for len(marks) > 0 && marks[0].Ord < c.Ord[0] {
			w.mark(m, marks[0])
			marks = marks[1:]
		}
		w.chunk(m, c, late)
	}
	for _, k := range marks {
		w.mark(m, k)
	}
	return s
}

// Rows is the number of staged rows.
func (s *LogStaged) Rows() int { return int(s.m.n - s.first) }

// Stamp makes the rows part of a commit. time is in microseconds since 1970.
func (s *LogStaged) Stamp(base uint64, csn storage.CSN, time int64) {
	m := s.m
	if m.n > s.first {
		k := len(m.sch.cols)
		var lo, hi int64
		for r := s.first; r < m.n; {
			c, at := m.at(r)
			n := min(int(m.n-r), c.cap-at)
			lsn, ts := c.cols[k-3].head.Load().I64[at:at+n], c.cols[k-1].head.Load().I64[at:at+n]
			for i := range lsn {
				lsn[i] += int64(base)
				ts[i] = time
			}
			if r == s.first {
				lo = lsn[0]
			}
			hi = lsn[n-1]
			r += uint32(n)
		}
		m.boundsMu.Lock()
		for _, x := range [...]struct{ col, lo, hi int64 }{{int64(k - 3), lo, hi}, {int64(k - 1), time, time}} {
			m.bounds[x.col].widen(types.NewInt(x.lo))
			m.bounds[x.col].widen(types.NewInt(x.hi))
		}
		m.boundsMu.Unlock()
		m.publish(csn)
	}
	if s.files != nil {
		s.files.adopt(s.t, base, csn, time)
	}
	s.t.wmu.Unlock()
}

// Abort undoes the staging.
func (s *LogStaged) Abort() {
	s.m.cut(s.first)
	s.t.wmu.Unlock()
}

// logWriter lists the rows of a chunk and writes them.
type logWriter struct {
	refs   []logRef
	lsns   []uint32 // ordinals
	events []storage.Event
	before []int32
}

func (w *logWriter) add(from uint8, row int, ord uint32, e storage.Event) {
	w.refs = append(w.refs, logRef{from, uint32(row)})
	w.lsns = append(w.lsns, ord)
	w.events = append(w.events, e)
}

func (w *logWriter) reset() { w.refs, w.lsns, w.events = w.refs[:0], w.lsns[:0], w.events[:0] }

func (w *logWriter) mark(m *memtable, k storage.Mark) {
	w.reset()
	w.add(fromNone, 0, k.Ord, k.Event)
	w.write(m, [logSources]*vec.Batch{})
}

// chunk writes the rows of a chunk in order.
func (w *logWriter) chunk(m *memtable, c *storage.Chunk, late *storage.Late) {
	w.reset()
	w.before = w.before[:0]
	if c.Op != storage.OpInsert {
		for range c.Ord {
			w.before = append(w.before, -1)
		}
		for k, i := range c.BeforeOf {
			w.before[i] = int32(k)
		}
	}
	src := [logSources]*vec.Batch{fromAfter: c.Rows, fromBefore: c.Before}
	k := 0
	if late != nil {
		src[fromLate] = late.Rows
		for k < len(late.Ord) && late.Ord[k] < c.Ord[0] {
			k++
		}
	}
	for i, ord := range c.Ord {
		if c.Op == storage.OpInsert {
			w.add(fromAfter, i, ord, storage.EventInsert)
			continue
		}
		from, row := fromBefore, w.before[i]
		if late != nil {
			for k < len(late.Ord) && late.Ord[k] < ord {
				k++
			}
			if k < len(late.Ord) && late.Ord[k] == ord {
				from, row = fromLate, late.At[k]
			}
		}
		switch {
		case c.Op == storage.OpDelete:
			if row >= 0 {
				w.add(from, int(row), ord, storage.EventDelete)
			}
		case row >= 0:
			w.add(from, int(row), ord-1, storage.EventBeforeUpdate)
			w.add(fromAfter, i, ord, storage.EventAfterUpdate)
		default:
			w.add(fromAfter, i, ord, storage.EventInsert)
		}
	}
	w.write(m, src)
}

// write appends the listed rows to the memtable.
func (w *logWriter) write(m *memtable, src [logSources]*vec.Batch) {
	n := len(w.refs)
	m.reserve(n)
	user := len(m.sch.cols) - 3
	for from := 0; from < n; {
		c, at := m.at(m.n)
		k := min(n-from, c.cap-at)
		refs := w.refs[from : from+k]
		var grew int64
		for i := 0; i < user; i++ {
			var cols [logSources]*vec.Vec
			for s, b := range src {
				if b != nil {
					cols[s] = b.Cols[i]
				}
			}
			grew += c.cols[i].weave(at, cols, refs)
		}
		lsn, ev, ts := c.cols[user].head.Load().I64, c.cols[user+1].head.Load().I64, c.cols[user+2].head.Load().I64
		for j := 0; j < k; j++ {
			lsn[at+j], ev[at+j], ts[at+j] = int64(w.lsns[from+j]), int64(w.events[from+j]), 0
			atomic.StoreUint32(&c.prev[at+j], 0)
			c.csn[at+j] = 0
		}
		m.bytes.Add(grew)
		from += k
		m.n += uint32(k)
	}
}

// weave copies rows of several vectors to rows from at on.
func (cc *chunkCol) weave(at int, src [logSources]*vec.Vec, refs []logRef) (grew int64) {
	var vals [logSources]*vec.Vec
	flat, nulls := true, false
	for i, s := range src {
		if s == nil {
			continue
		}
		vals[i] = s.Source()
		flat = flat && s.Form == vec.Flat
		nulls = nulls || s.Valid != nil
	}
	for _, r := range refs[:min(1, len(refs))] {
		nulls = nulls || r.from == fromNone
	}
	v, n := cc.head.Load(), len(refs)
	index := func(r logRef) int { return src[r.from].Index(int(r.row)) }
	switch v.T.Layout {
	case types.LayoutBool:
		for k, r := range refs {
			if r.from != fromNone && !src[r.from].IsNull(int(r.row)) && vec.Bit(vals[r.from].Bits, index(r)) {
				orBit(v.Bits, at+k)
			} else {
				clearBit(v.Bits, at+k)
			}
		}
	case types.LayoutI16:
		weaveRows(v.I16[at:at+n], &src, refs, flat, func(v *vec.Vec) []int16 { return v.I16 })
	case types.LayoutI32:
		weaveRows(v.I32[at:at+n], &src, refs, flat, func(v *vec.Vec) []int32 { return v.I32 })
	case types.LayoutI64:
		weaveRows(v.I64[at:at+n], &src, refs, flat, func(v *vec.Vec) []int64 { return v.I64 })
	case types.LayoutI128:
		weaveRows(v.I128[at:at+n], &src, refs, flat, func(v *vec.Vec) []types.Int128 { return v.I128 })
	case types.LayoutF32:
		weaveRows(v.F32[at:at+n], &src, refs, flat, func(v *vec.Vec) []float32 { return v.F32 })
	case types.LayoutF64:
		weaveRows(v.F64[at:at+n], &src, refs, flat, func(v *vec.Vec) []float64 { return v.F64 })
	case types.LayoutFixed16:
		weaveRows(v.Fix[at:at+n], &src, refs, flat, func(v *vec.Vec) []types.Fixed16 { return v.Fix })
	default:
		dst := v.Views[at : at+n]
		for k, r := range refs {
			if r.from == fromNone || nulls && src[r.from].IsNull(int(r.row)) {
				dst[k] = vec.View{}
				continue
			}
			s := vals[r.from]
			w := s.Views[index(r)]
			if w.Len > vec.InlineMax {
				b := s.Long(w)
				if len(b) > len(cc.arena) {
					v = cc.addBuffer(v, len(b))
					grew += int64(len(cc.arena))
				}
				copy(cc.arena, b)
				w = vec.MakeView(b, uint32(len(v.Bufs)-1), cc.used)
				cc.arena, cc.used = cc.arena[len(b):], cc.used+uint32(len(b))
			}
			dst[k] = w
		}
	}
	if !nulls {
		if v.Valid != nil {
			for k := range refs {
				orBit(v.Valid, at+k)
			}
		}
		return grew
	}
	for k, r := range refs {
		if r.from != fromNone && !src[r.from].IsNull(int(r.row)) {
			if v.Valid != nil {
				orBit(v.Valid, at+k)
			}
			continue
		}
		if v.Valid == nil {
			h := *v
			capacity := cc.capacity(v)
			h.Valid = onesWords(vec.Words(capacity))
			cc.head.Store(&h)
			v = &h
			grew += int64(capacity / 8)
		}
		clearBit(v.Valid, at+k)
		zeroValue(v, at+k)
	}
	return grew
}

func weaveRows[E any](dst []E, src *[logSources]*vec.Vec, refs []logRef, flat bool, of func(*vec.Vec) []E) {
	var vals [logSources][]E
	for i, s := range src {
		if s != nil {
			vals[i] = of(s.Source())
		}
	}
	if flat {
		for k, r := range refs {
			if v := vals[r.from]; int(r.row) < len(v) {
				dst[k] = v[r.row]
			}
		}
		return
	}
	for k, r := range refs {
		if s := src[r.from]; s != nil {
			dst[k] = vals[r.from][s.Index(int(r.row))]
		}
	}
}

// ReplayLog is StageLog and Stamp for a logged commit.
func (t *Tablet) ReplayLog(chunks []storage.Chunk, late *storage.Late, marks []storage.Mark, files *LogFiles, base uint64, csn storage.CSN, time int64) {
	t.StageLog(chunks, late, marks, files).Stamp(base, csn, time)
}
