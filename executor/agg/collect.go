package agg

import (
	"github.com/millrace/millrace/storage/vec"
)

// collector keeps the rows of every group: columns of all rows, and per group a
// linked list through them, in the order they came.
type collector struct {
	cols []*vec.Vec
	next []int32 // row after this one in its group, plus 1
	list []chain
	sel  []uint16
	// ended says whether the query has ended; nil: never.
	ended func() bool
}

type chain struct{ head, tail, n int32 } // rows plus 1

func newCollector(call *Call) collector {
	c := collector{cols: make([]*vec.Vec, len(call.Args)), ended: call.Ended}
	for i, t := range call.Args {
		c.cols[i] = vec.New(t, 0)
	}
	return c
}

func (c *collector) grow(n int) { c.list = extended(c.list, n) }

// link puts row r at the end of group g.
func (c *collector) link(g uint32, r int) {
	l := &c.list[g]
	if l.head == 0 {
		l.head = int32(r) + 1
	} else {
		c.next[l.tail-1] = int32(r) + 1
	}
	l.tail = int32(r) + 1
	l.n++
}

// add keeps rows of the arguments; keep says which (nil: all).
func (c *collector) add(args []*vec.Vec, sel []uint16, n int, groups []uint32, keep func(i int) bool) {
	base := len(c.next)
	rows := sel
	if keep != nil {
		c.sel = c.sel[:0]
		for k := 0; k < n; k++ {
			i := k
			if sel != nil {
				i = int(sel[k])
			}
			if keep(i) {
				c.sel = append(c.sel, uint16(i))
				c.next = append(c.next, 0)
				c.link(groups[k], len(c.next)-1)
			}
		}
		rows = c.sel
		n = len(rows)
		if n == 0 {
			return
		}
	} else {
		c.next = extended(c.next, base+n)
		for k, g := range groups[:n] {
			c.link(g, base+k)
		}
	}
	for j, v := range c.cols {
		v.Copy(args[j], rows, n)
	}
}

// look is an error when the query has ended; it is asked with each row's number.
func (c *collector) look(r int) error {
	if r&(lookRows-1) == lookRows-1 && c.ended != nil && c.ended() {
		return errEnded
	}
	return nil
}

func (c *collector) merge(from *collector, src, dst []uint32) error {
	for k, g := range src {
		for r := from.list[g].head; r != 0; r = from.next[r-1] {
			for j, v := range c.cols {
				v.AppendDatum(from.cols[j].Datum(int(r - 1)))
			}
			c.next = append(c.next, 0)
			c.link(dst[k], len(c.next)-1)
			if err := c.look(len(c.next)); err != nil {
				return err
			}
		}
	}
	return nil
}

// each calls f for the rows of a group in order.
func (c *collector) each(g uint32, f func(r int) error) error {
	n := 0
	for r := c.list[g].head; r != 0; r = c.next[r-1] {
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
	b := int64(cap(c.next))*4 + int64(cap(c.list))*12
	for _, v := range c.cols {
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
	v, d := s.c.cols[0], s.c.cols[1]
	for _, g := range groups {
		if s.c.list[g].n == 0 {
			out.AppendNull()
			continue
		}
		size := 0
		if err := s.c.each(g, func(r int) error {
			size += int(v.Views[r].Len)
			if !d.IsNull(r) {
				size += int(d.Views[r].Len)
			}
			return nil
		}); err != nil {
			return err
		}
		if s.buf = s.buf[:0]; size > cap(s.buf) {
			s.buf = make([]byte, 0, size) // in one piece, however long
		}
		first := true
		if err := s.c.each(g, func(r int) error {
			if !first && !d.IsNull(r) {
				s.buf = append(s.buf, d.Bytes(r)...)
			}
			first = false
			s.buf = append(s.buf, v.Bytes(r)...)
			return nil
		}); err != nil {
			return err
		}
		out.AppendBytes(s.buf)
	}
	return nil
}

func (s *stringAgg) Bytes() int64 { return s.c.bytes() }
