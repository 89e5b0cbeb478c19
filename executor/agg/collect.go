package agg

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// collector keeps the rows of every group: chunks of rows, and per group a linked
// list through them, in the order they came. A row's number is its chunk's shifted
// by chunkBits, plus its place there; chunks may end early, so that whole ones can be
// taken over from another collector. What chunks hold is never moved once they are
// full: rows of a group take their size, not that of two copies.
type collector struct {
	types  []types.T
	chunks []*chunk
	rows   int // in all chunks
	full   int64
	list   []chain
	sel    []uint16
	groups []uint32 // of sel
	// ended says whether the query has ended; nil: never.
	ended func() bool
}

// chunk is some rows. Columns of strings stay constant while all rows have the same
// string, as delimiters do.
type chunk struct {
	cols []*vec.Vec
	next []int32 // row after this one in its group, plus 1
}

type chain struct{ head, tail, n int32 } // rows plus 1

// chunkBits is for the most rows of a chunk, chunkRows; takeRows is how many rows a
// collector must have for its chunks to be taken over rather than copied.
const (
	chunkBits = 16
	chunkRows = 1 << chunkBits
	takeRows  = chunkRows / 2
)

func newCollector(call *Call) collector {
	return collector{types: call.Args, ended: call.Ended}
}

func (c *collector) grow(n int) { c.list = extended(c.list, n) }

// room is the chunk that takes n more rows, and the number of its next row. The first
// chunk grows with its rows; those behind it have their size at once.
func (c *collector) room(n int) (*chunk, int) {
	k := len(c.chunks) - 1
	if k >= 0 && len(c.chunks[k].next)+n <= chunkRows {
		return c.chunks[k], k<<chunkBits + len(c.chunks[k].next)
	}
	if k >= 0 {
		c.full += c.chunks[k].bytes()
	}
	h := c.newChunk()
	if k >= 0 {
		h.next = make([]int32, 0, chunkRows)
	}
	c.chunks = append(c.chunks, h)
	return h, (k + 1) << chunkBits
}

func (c *collector) newChunk() *chunk {
	h := &chunk{cols: make([]*vec.Vec, len(c.types))}
	for j, t := range c.types {
		h.cols[j] = vec.New(t, 0)
	}
	return h
}

// at is where column j of row r lies.
func (c *collector) at(j, r int) (*vec.Vec, int) {
	return c.chunks[r>>chunkBits].cols[j], r & (chunkRows - 1)
}

func (c *collector) isNull(j, r int) bool {
	v, i := c.at(j, r)
	return v.IsNull(i)
}

func (c *collector) datum(j, r int) types.Datum {
	v, i := c.at(j, r)
	return v.Datum(i)
}

// bytesAt is a string; see vec.Vec.Bytes.
func (c *collector) bytesAt(j, r int) []byte {
	v, i := c.at(j, r)
	return v.BytesAt(i)
}

func (c *collector) next(r int32) int32 { return c.chunks[r>>chunkBits].next[r&(chunkRows-1)] }

// link puts row r at the end of group g.
func (c *collector) link(g uint32, r int) {
	l := &c.list[g]
	if l.head == 0 {
		l.head = int32(r) + 1
	} else {
		t := l.tail - 1
		c.chunks[t>>chunkBits].next[t&(chunkRows-1)] = int32(r) + 1
	}
	l.tail = int32(r) + 1
	l.n++
}

// add keeps rows of the arguments; keep says which (nil: all).
func (c *collector) add(args []*vec.Vec, sel []uint16, n int, groups []uint32, keep func(i int) bool) {
	rows := sel
	if keep != nil {
		c.sel, c.groups = c.sel[:0], c.groups[:0]
		for k := 0; k < n; k++ {
			i := k
			if sel != nil {
				i = int(sel[k])
			}
			if keep(i) {
				c.sel = append(c.sel, uint16(i))
				c.groups = append(c.groups, groups[k])
			}
		}
		rows, groups = c.sel, c.groups
		n = len(rows)
	}
	if n == 0 {
		return
	}
	h, r := c.room(n)
	at := len(h.next)
	h.next = extended(h.next, at+n)
	for k, g := range groups[:n] {
		c.link(g, r+k)
	}
	c.rows += n
	for j := range h.cols {
		h.add(j, at, args[j], rows, n, len(c.chunks) > 1)
	}
}

// add appends rows to column j, which has as many as at says.
func (h *chunk) add(j, at int, src *vec.Vec, rows []uint16, n int, whole bool) {
	v := h.cols[j]
	if v.T.Layout == types.LayoutView {
		if src.Form == vec.Const && at == 0 {
			v.SetConst(v.T, src.Datum(0), n)
			return
		}
		if v.Form == vec.Const {
			if src.Form == vec.Const && sameString(v, src) {
				v.N += n
				return
			}
			h.flatten(j, whole)
			v = h.cols[j]
		}
	}
	if whole {
		v.Grow(chunkRows)
	}
	v.Copy(src, rows, n)
}

// flatten gives the rows of a constant column their own values.
func (h *chunk) flatten(j int, whole bool) {
	v := h.cols[j]
	f := vec.New(v.T, v.N)
	if whole {
		f.Grow(chunkRows)
	}
	f.Copy(v, nil, v.N)
	h.cols[j] = f
}

// sameString compares two constants.
func sameString(a, b *vec.Vec) bool {
	if a.IsNull(0) || b.IsNull(0) {
		return a.IsNull(0) == b.IsNull(0)
	}
	return bytes.Equal(a.Bytes(0), b.Bytes(0))
}

// look is an error when the query has ended; it is asked with each row's number.
func (c *collector) look(r int) error {
	if r&(lookRows-1) == lookRows-1 && c.ended != nil && c.ended() {
		return errEnded
	}
	return nil
}

// merge adds groups of from. If these are all it has, each once, and it is large, then
// its chunks are shared; what they hold is not changed, for others may share them too.
func (c *collector) merge(from *collector, src, dst []uint32) error {
	if from.rows >= takeRows && all(src, len(from.list)) {
		return c.take(from, dst)
	}
	for k, g := range src {
		for r := from.list[g].head; r != 0; r = from.next(r - 1) {
			h, to := c.room(1)
			at := len(h.next)
			h.next = append(h.next, 0)
			for j := range c.types {
				v, i := from.at(j, int(r-1))
				h.addRow(j, at, v, i)
			}
			c.rows++
			c.link(dst[k], to)
			if err := c.look(c.rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// addRow appends row i of src to column j, which has as many as at says.
func (h *chunk) addRow(j, at int, src *vec.Vec, i int) {
	v := h.cols[j]
	switch {
	case src.Form == vec.Const && (at == 0 || v.Form == vec.Const):
		h.add(j, at, src, nil, 1, false)
		return
	case v.Form == vec.Const:
		h.flatten(j, false)
		v = h.cols[j]
	}
	if v.T.Layout == types.LayoutView && !src.IsNull(i) {
		v.AppendBytes(src.BytesAt(i))
		return
	}
	v.AppendDatum(src.Datum(i))
}

// all says whether groups are 0..n-1.
func all(groups []uint32, n int) bool {
	if len(groups) != n {
		return false
	}
	for k, g := range groups {
		if int(g) != k {
			return false
		}
	}
	return true
}

// take shares the chunks of from, whose group k goes to dst[k]. Only the links are
// its own.
func (c *collector) take(from *collector, dst []uint32) error {
	if k := len(c.chunks) - 1; k >= 0 {
		c.full += c.chunks[k].bytes()
	}
	base := len(c.chunks) << chunkBits
	for _, h := range from.chunks {
		n := &chunk{cols: slices.Clone(h.cols), next: make([]int32, len(h.next))}
		for i, r := range h.next {
			if r != 0 {
				n.next[i] = r + int32(base)
			}
		}
		c.chunks = append(c.chunks, n)
		c.full += n.bytes()
		if err := c.look(lookRows - 1); err != nil {
			return err
		}
	}
	c.chunks = append(c.chunks, c.newChunk()) // nothing is appended to the last of them
	c.rows += from.rows
	for k, l := range from.list {
		if l.n == 0 {
			continue
		}
		d := &c.list[dst[k]]
		if d.head == 0 {
			d.head = l.head + int32(base)
		} else {
			t := d.tail - 1
			c.chunks[t>>chunkBits].next[t&(chunkRows-1)] = l.head + int32(base)
		}
		d.tail = l.tail + int32(base)
		d.n += l.n
	}
	return nil
}

// each calls f for the rows of a group in order.
func (c *collector) each(g uint32, f func(r int) error) error {
	n := 0
	for r := c.list[g].head; r != 0; r = c.next(r - 1) {
		if err := f(int(r - 1)); err != nil {
			return err
		}
		if err := c.look(n); err != nil {
			return err
		}
		n++
	}
	return nil
}

func (c *collector) bytes() int64 {
	b := c.full + int64(cap(c.list))*12
	if k := len(c.chunks) - 1; k >= 0 {
		b += c.chunks[k].bytes()
	}
	return b
}

// bytes counts constant strings for each row: results have them so often, and must not
// be larger than what was counted for them.
func (h *chunk) bytes() int64 {
	b := int64(cap(h.next)) * 4
	for _, v := range h.cols {
		if v.Form == vec.Const && !v.IsNull(0) {
			b += int64(v.N) * int64(len(v.Bytes(0)))
		}
		b += int64(max(cap(v.Views), cap(v.Fix), cap(v.I128))+(cap(v.I64)+cap(v.F64))/2) * 16
		b += int64(cap(v.I32)+cap(v.F32))*4 + int64(cap(v.I16))*2 + int64(cap(v.Bits)+cap(v.Valid))*8
		for _, m := range v.Bufs {
			b += int64(cap(m))
		}
	}
	return b
}

func init() {
	reg("string_agg(text,text)", newStringAgg)
	reg("string_agg(bytea,bytea)", newStringAgg)
}

// stringAgg joins strings: the delimiter of a row stands before it.
type stringAgg struct {
	c   collector
	buf []byte
}

func newStringAgg(c *Call) (State, error) { return &stringAgg{c: newCollector(c)}, nil }

func (s *stringAgg) Grow(n int) { s.c.grow(n) }

func (s *stringAgg) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	var keep func(i int) bool
	if args[0].Valid != nil {
		keep = func(i int) bool { return !args[0].IsNull(i) }
	}
	s.c.add(args, sel, n, groups, keep)
	return nil
}

func (s *stringAgg) Merge(from State, src, dst []uint32) error {
	return s.c.merge(&from.(*stringAgg).c, src, dst)
}

func (s *stringAgg) Result(groups []uint32, out *vec.Vec) error {
	c := &s.c
	for _, g := range groups {
		if s.c.list[g].n == 0 {
			out.AppendNull()
			continue
		}
		size := 0
		if err := s.c.each(g, func(r int) error {
			size += len(c.bytesAt(0, r))
			if !c.isNull(1, r) {
				size += len(c.bytesAt(1, r))
			}
			return nil
		}); err != nil {
			return err
		}
		if size > maxValue {
			return errTooLong(size)
		}
		if s.buf = s.buf[:0]; size > cap(s.buf) {
			s.buf = make([]byte, 0, size) // in one piece, however long
		}
		first := true
		if err := s.c.each(g, func(r int) error {
			if !first && !c.isNull(1, r) {
				s.buf = append(s.buf, c.bytesAt(1, r)...)
			}
			first = false
			s.buf = append(s.buf, c.bytesAt(0, r)...)
			return nil
		}); err != nil {
			return err
		}
		s.buf = appendOwned(out, s.buf)
	}
	return nil
}

func (s *stringAgg) Bytes() int64 { return s.c.bytes() }

// maxValue is PostgreSQL's bound on the size of a value.
const maxValue = 1<<30 - 1

func errTooLong(size int) error {
	return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "out of memory").
		WithDetail("A value of %d bytes is longer than the %d that are allowed.", size, maxValue)
}

// ownedBytes is from which length results are handed over rather than copied.
const ownedBytes = 64 << 10

// appendOwned appends a string that was made in buf, and returns what can be used for
// the next.
func appendOwned(out *vec.Vec, buf []byte) []byte {
	if len(buf) < ownedBytes {
		out.AppendBytes(buf)
		return buf
	}
	out.AppendOwned(buf)
	return nil
}
