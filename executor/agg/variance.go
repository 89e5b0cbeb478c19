package agg

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	for _, t := range []string{"int2", "int4", "int8", "numeric"} {
		for _, f := range []string{"var_pop", "var_samp", "variance", "stddev_pop", "stddev_samp", "stddev"} {
			reg(f+"("+t+")", func(c *Call) (State, error) { return newVariance(c, f), nil })
		}
	}
}

// variance keeps exact sums of values and of their squares.
type variance struct {
	arg    types.T
	sample bool
	root   bool
	x, xx  exacts
	c16    column[int16]
	c32    column[int32]
	c64    column[int64]
	c128   column[types.Int128]
	num    []byte
	sq     []byte
}

func newVariance(c *Call, name string) State {
	s := &variance{arg: c.Args[0]}
	switch name {
	case "var_samp", "variance", "stddev_samp", "stddev":
		s.sample = true
	}
	s.root = name[0] == 's'
	return s
}

func (s *variance) Grow(n int) { s.x.s, s.xx.s = extended(s.x.s, n), extended(s.xx.s, n) }

func (s *variance) add(g uint32, v int64, scale int) {
	s.x.addScaled(g, types.I128(v), scale)
	s.xx.addScaled(g, types.MulInt64s(v, v), 2*scale)
}

func (s *variance) addNum(g uint32, b []byte) error {
	s.x.addView(g, b)
	var err error
	if s.sq, err = types.NumericMul(s.sq[:0], b, b); err != nil {
		return err
	}
	s.xx.addView(g, s.sq)
	return nil
}

func (s *variance) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	v := args[0]
	switch s.arg.Layout {
	case types.LayoutI16:
		x, valid := s.c16.take(v, sel, n)
		for k, y := range x {
			if bit(valid, k) {
				s.add(groups[k], int64(y), 0)
			}
		}
	case types.LayoutI32:
		x, valid := s.c32.take(v, sel, n)
		for k, y := range x {
			if bit(valid, k) {
				s.add(groups[k], int64(y), 0)
			}
		}
	case types.LayoutI64:
		x, valid := s.c64.take(v, sel, n)
		for k, y := range x {
			if bit(valid, k) {
				s.add(groups[k], y, int(s.arg.Scale))
			}
		}
	case types.LayoutI128:
		x, valid := s.c128.take(v, sel, n)
		for k, y := range x {
			if bit(valid, k) {
				s.num = types.NumericFromI128(s.num[:0], y, int(s.arg.Scale))
				if err := s.addNum(groups[k], s.num); err != nil {
					return err
				}
			}
		}
	default:
		src := v.Source()
		for k := 0; k < n; k++ {
			i := k
			if sel != nil {
				i = int(sel[k])
			}
			if !v.IsNull(i) {
				if err := s.addNum(groups[k], src.Bytes(v.Index(i))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *variance) Merge(from State, src, dst []uint32) error {
	f := from.(*variance)
	s.x.merge(&f.x, src, dst)
	s.xx.merge(&f.xx, src, dst)
	return nil
}

func (s *variance) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		n := s.x.s[g].n
		if n == 0 || s.sample && n == 1 {
			out.AppendNull()
			continue
		}
		r, err := s.result(g, n)
		if err != nil {
			return err
		}
		out.AppendBytes(r)
	}
	return nil
}

// result is (n Σx² − (Σx)²) / (n (n − 1)), or over n² for the population.
func (s *variance) result(g uint32, n int64) ([]byte, error) {
	x, err := s.x.sum(nil, g)
	if err != nil {
		return nil, err
	}
	xx, err := s.xx.sum(nil, g)
	if err != nil {
		return nil, err
	}
	if types.NumericIsNaN(x) || types.NumericIsInf(x) {
		return types.ParseNumeric(nil, []byte("NaN"))
	}
	count := types.NumericFromInt64(nil, n, 0)
	sq, err := types.NumericMul(nil, x, x)
	if err != nil {
		return nil, err
	}
	if xx, err = types.NumericMul(nil, xx, count); err != nil {
		return nil, err
	}
	num, err := types.NumericSub(nil, xx, sq)
	if err != nil {
		return nil, err
	}
	if types.NumericSign(num) <= 0 {
		return types.NumericFromInt64(nil, 0, 0), nil
	}
	m := n
	if s.sample {
		m--
	}
	den, err := types.NumericMul(nil, count, types.NumericFromInt64(nil, m, 0))
	if err != nil {
		return nil, err
	}
	r, err := types.NumericDiv(nil, num, den)
	if err != nil || !s.root {
		return r, err
	}
	return types.NumericSqrtScale(nil, r, types.NumericDScale(r))
}

func (s *variance) Bytes() int64 { return s.x.bytes() + s.xx.bytes() }
