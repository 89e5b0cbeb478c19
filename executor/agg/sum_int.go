package agg

import (
	"math/bits"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

func init() {
	reg("sum(int2)", func(c *Call) (State, error) { return &sumInts[int16]{small: true, t: c.T}, nil })
	reg("sum(int4)", func(c *Call) (State, error) { return &sumInts[int32]{small: true, t: c.T}, nil })
	reg("sum(int8)", func(c *Call) (State, error) { return &sumInts[int64]{t: c.T}, nil })
	reg("avg(int2)", func(c *Call) (State, error) { return &sumInts[int16]{small: true, t: c.T, avg: true}, nil })
	reg("avg(int4)", func(c *Call) (State, error) { return &sumInts[int32]{small: true, t: c.T, avg: true}, nil })
	reg("avg(int8)", func(c *Call) (State, error) { return &sumInts[int64]{t: c.T, avg: true}, nil })
	reg("sum(numeric)", func(c *Call) (State, error) { return newNumericSum(c, false) })
	reg("avg(numeric)", func(c *Call) (State, error) { return newNumericSum(c, true) })
}

// newNumericSum chooses the states by the argument's layout.
func newNumericSum(c *Call, avg bool) (State, error) {
	switch t := c.Args[0]; t.Layout {
	case types.LayoutI64:
		return &sumInts[int64]{t: c.T, avg: avg, scale: int(t.Scale), small: t.Prec <= 14}, nil
	case types.LayoutI128:
		return &sumNumeric{t: c.T, avg: avg, wide: true, scale: int(t.Scale)}, nil
	}
	return &sumNumeric{t: c.T, avg: avg}, nil
}

// sum128 is an exact sum of 64-bit values and how many there were.
type sum128 struct {
	lo uint64
	hi int64
	n  int64
}

func (s *sum128) add(x int64) {
	var c uint64
	s.lo, c = bits.Add64(s.lo, uint64(x), 0)
	s.hi += x>>63 + int64(c)
}

// sumInts sums and averages integers and decimals scaled into 64 bits.
type sumInts[E int16 | int32 | int64] struct {
	t     types.T
	avg   bool
	scale int
	s     []sum128
	small bool // no 2^16 values can pass 64 bits
	parts []part
	col   column[E]
}

func (s *sumInts[E]) Grow(n int) { s.s = extended(s.s, n) }

func (s *sumInts[E]) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	if v := args[0]; sel != nil && v.Form == vec.Flat && v.Valid == nil && s.small && len(s.s) > 1 && len(s.s) <= fewGroups {
		s.addFewOf(vec.Values[E](v), sel, groups)
		return nil
	}
	x, valid := s.col.take(args[0], sel, n)
	if len(s.s) == 1 {
		g := &s.s[0]
		switch v := any(x).(type) {
		case []int64:
			t := kernel.SumI64(v)
			var c uint64
			g.lo, c = bits.Add64(g.lo, t.Lo, 0)
			g.hi += t.Hi + int64(c)
		default:
			var t int64
			for _, y := range x {
				t += int64(y)
			}
			g.add(t)
		}
		g.n += int64(countValid(valid, n))
		return nil
	}
	groups = groups[:len(x)]
	if len(s.s) <= fewGroups && s.small {
		s.addFew(x, valid, groups)
		return nil
	}
	if valid == nil {
		for k, y := range x {
			g := &s.s[groups[k]]
			g.add(int64(y))
			g.n++
		}
		return nil
	}
	for k, y := range x {
		g := &s.s[groups[k]]
		g.add(int64(y))
		g.n += int64(valid[k>>6] >> (uint(k) & 63) & 1)
	}
	return nil
}

// fewGroups bounds the groups whose sums of one batch are kept apart in 64 bits.
const fewGroups = 256

// part is what one batch adds to a group.
type part struct{ sum, n int64 }

// addFew sums a batch in 64 bits, which small values cannot overflow, and then
// adds the sums of the groups.
func (s *sumInts[E]) addFew(x []E, valid []uint64, groups []uint32) {
	s.parts = grown(s.parts, len(s.s))
	parts := s.parts
	clear(parts)
	if valid == nil {
		for k, y := range x {
			p := &parts[groups[k]]
			p.sum += int64(y)
			p.n++
		}
	} else {
		for k, y := range x {
			p := &parts[groups[k]]
			p.sum += int64(y)
			p.n += int64(valid[k>>6] >> (uint(k) & 63) & 1)
		}
	}
	s.addParts()
}

// addFewOf is addFew for selected values none of which is null.
func (s *sumInts[E]) addFewOf(x []E, sel []uint16, groups []uint32) {
	s.parts = grown(s.parts, len(s.s))
	parts := s.parts
	clear(parts)
	groups = groups[:len(sel)]
	for k, i := range sel {
		p := &parts[groups[k]]
		p.sum += int64(x[i])
		p.n++
	}
	s.addParts()
}

func (s *sumInts[E]) addParts() {
	for g := range s.parts {
		if p := &s.parts[g]; p.n > 0 {
			s.s[g].add(p.sum)
			s.s[g].n += p.n
		}
	}
}

func (s *sumInts[E]) Merge(from State, src, dst []uint32) error {
	f := from.(*sumInts[E])
	for k, g := range src {
		a, b := &s.s[dst[k]], &f.s[g]
		var c uint64
		a.lo, c = bits.Add64(a.lo, b.lo, 0)
		a.hi += b.hi + int64(c)
		a.n += b.n
	}
	return nil
}

func (s *sumInts[E]) Result(groups []uint32, out *vec.Vec) error {
	var num, avg []byte
	for _, g := range groups {
		a := &s.s[g]
		v := types.Int128{Lo: a.lo, Hi: a.hi}
		switch {
		case a.n == 0:
			out.AppendNull()
		case s.avg:
			num = types.NumericFromI128(num[:0], v, s.scale)
			var err error
			if avg, err = types.NumericDivInt(avg[:0], num, a.n); err != nil {
				return err
			}
			out.AppendBytes(avg)
		case s.t.Layout == types.LayoutI64:
			x, ok := v.Int64()
			if !ok {
				return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "bigint out of range")
			}
			out.AppendDatum(types.NewInt(x))
		case s.t.Layout == types.LayoutI128:
			r, ok := v.Rescale(s.scale, int(s.t.Scale))
			if !ok {
				return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value overflows numeric format")
			}
			out.AppendDatum(types.NewI128(r))
		default:
			num = types.NumericFromI128(num[:0], v, s.scale)
			out.AppendBytes(num)
		}
	}
	return nil
}

func (s *sumInts[E]) Bytes() int64 { return int64(cap(s.s)) * 24 }
