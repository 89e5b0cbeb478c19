package agg

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	reg("bool_and", func(*Call) (State, error) { return &bools{and: true}, nil })
	reg("every", func(*Call) (State, error) { return &bools{and: true}, nil })
	reg("bool_or", func(*Call) (State, error) { return &bools{}, nil })
	for _, t := range []string{"int2", "int4", "int8"} {
		reg("bit_and("+t+")", func(c *Call) (State, error) { return newBits(c, 0), nil })
		reg("bit_or("+t+")", func(c *Call) (State, error) { return newBits(c, 1), nil })
		reg("bit_xor("+t+")", func(c *Call) (State, error) { return newBits(c, 2), nil })
	}
}

// bools has two bits a group: a false was met (1), a true was met (2).
type bools struct {
	and bool
	s   []uint8
}

func (s *bools) Grow(n int) { s.s = extended(s.s, n) }

func (s *bools) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	v := args[0]
	src := v.Source()
	for k := 0; k < n; k++ {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		if v.IsNull(i) {
			continue
		}
		if vec.Bit(src.Bits, v.Index(i)) {
			s.s[groups[k]] |= 2
		} else {
			s.s[groups[k]] |= 1
		}
	}
	return nil
}

func (s *bools) Merge(from State, src, dst []uint32) error {
	f := from.(*bools)
	for k, g := range src {
		s.s[dst[k]] |= f.s[g]
	}
	return nil
}

func (s *bools) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		switch x := s.s[g]; {
		case x == 0:
			out.AppendNull()
		case s.and:
			out.AppendDatum(types.NewBool(x&1 == 0))
		default:
			out.AppendDatum(types.NewBool(x&2 != 0))
		}
	}
	return nil
}

func (s *bools) Bytes() int64 { return int64(cap(s.s)) }

// boolFirst is any_value of bools: 0 none, 1 false, 2 true.
type boolFirst struct{ bools }

func (s *boolFirst) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	v := args[0]
	src := v.Source()
	for k := 0; k < n; k++ {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		if v.IsNull(i) || s.s[groups[k]] != 0 {
			continue
		}
		s.s[groups[k]] = 1
		if vec.Bit(src.Bits, v.Index(i)) {
			s.s[groups[k]] = 2
		}
	}
	return nil
}

func (s *boolFirst) Merge(from State, src, dst []uint32) error {
	f := from.(*boolFirst)
	for k, g := range src {
		if s.s[dst[k]] == 0 {
			s.s[dst[k]] = f.s[g]
		}
	}
	return nil
}

// bitwise folds integers by and, or, xor.
type bitwise[E int16 | int32 | int64] struct {
	op  int
	val []E
	has []bool
	col column[E]
}

func newBits(c *Call, op int) State {
	switch c.Args[0].Layout {
	case types.LayoutI16:
		return &bitwise[int16]{op: op}
	case types.LayoutI32:
		return &bitwise[int32]{op: op}
	}
	return &bitwise[int64]{op: op}
}

func (s *bitwise[E]) Grow(n int) { s.val, s.has = extended(s.val, n), extended(s.has, n) }

func (s *bitwise[E]) add(g uint32, x E) {
	switch {
	case !s.has[g]:
		s.val[g], s.has[g] = x, true
	case s.op == 0:
		s.val[g] &= x
	case s.op == 1:
		s.val[g] |= x
	default:
		s.val[g] ^= x
	}
}

func (s *bitwise[E]) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	x, valid := s.col.take(args[0], sel, n)
	for k, y := range x {
		if bit(valid, k) {
			s.add(groups[k], y)
		}
	}
	return nil
}

func (s *bitwise[E]) Merge(from State, src, dst []uint32) error {
	f := from.(*bitwise[E])
	for k, g := range src {
		if f.has[g] {
			s.add(dst[k], f.val[g])
		}
	}
	return nil
}

func (s *bitwise[E]) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		if s.has[g] {
			out.AppendDatum(types.NewInt(int64(s.val[g])))
		} else {
			out.AppendNull()
		}
	}
	return nil
}

func (s *bitwise[E]) Bytes() int64 { return int64(cap(s.val)) * 9 }
