package agg

import (
	"math"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	for _, t := range []string{"float4", "float8"} {
		reg("avg("+t+")", func(c *Call) (State, error) { return newMoments(c, "avg"), nil })
		for _, f := range []string{"var_pop", "var_samp", "variance", "stddev_pop", "stddev_samp", "stddev"} {
			reg(f+"("+t+")", func(c *Call) (State, error) { return newMoments(c, f), nil })
		}
	}
}

// moments keeps count, sum and the sum of squared differences from the mean by
// Youngs and Cramer, as PostgreSQL does.
type moments struct {
	what string
	s    []moment
	c32  column[float32]
	c64  column[float64]
}

type moment struct{ n, sx, sxx float64 }

func newMoments(c *Call, what string) State { return &moments{what: what} }

func (s *moments) Grow(n int) { s.s = extended(s.s, n) }

func (m *moment) add(x float64) error {
	old := *m
	m.n++
	m.sx += x
	if old.n > 0 {
		t := x*m.n - m.sx
		m.sxx += t * t / (m.n * old.n)
		if math.IsInf(m.sx, 0) || math.IsInf(m.sxx, 0) {
			if !math.IsInf(old.sx, 0) && !math.IsInf(x, 0) {
				return overflow()
			}
			m.sxx = math.NaN()
		}
		return nil
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		m.sxx = math.NaN()
	}
	return nil
}

func (m *moment) join(b *moment) error {
	switch {
	case m.n == 0:
		*m = *b
		return nil
	case b.n == 0:
		return nil
	}
	n := m.n + b.n
	sx := m.sx + b.sx
	if math.IsInf(sx, 0) && !math.IsInf(m.sx, 0) && !math.IsInf(b.sx, 0) {
		return overflow()
	}
	t := m.sx/m.n - b.sx/b.n
	sxx := m.sxx + b.sxx + m.n*b.n*t*t/n
	if math.IsInf(sxx, 0) && !math.IsInf(m.sxx, 0) && !math.IsInf(b.sxx, 0) {
		return overflow()
	}
	*m = moment{n, sx, sxx}
	return nil
}

func (s *moments) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	if args[0].T.Layout == types.LayoutF32 {
		x, valid := s.c32.take(args[0], sel, n)
		for k, y := range x {
			if bit(valid, k) {
				if err := s.s[groups[k]].add(float64(y)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	x, valid := s.c64.take(args[0], sel, n)
	for k, y := range x {
		if bit(valid, k) {
			if err := s.s[groups[k]].add(y); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *moments) Merge(from State, src, dst []uint32) error {
	f := from.(*moments)
	for k, g := range src {
		if err := s.s[dst[k]].join(&f.s[g]); err != nil {
			return err
		}
	}
	return nil
}

func (s *moments) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		m := &s.s[g]
		least := 1.0
		switch s.what {
		case "var_samp", "variance", "stddev_samp", "stddev":
			least = 2
		}
		if m.n < least {
			out.AppendNull()
			continue
		}
		var r float64
		switch s.what {
		case "avg":
			r = m.sx / m.n
		case "var_pop":
			r = m.sxx / m.n
		case "stddev_pop":
			r = math.Sqrt(m.sxx / m.n)
		case "var_samp", "variance":
			r = m.sxx / (m.n - 1)
		default:
			r = math.Sqrt(m.sxx / (m.n - 1))
		}
		out.AppendDatum(types.NewFloat(r))
	}
	return nil
}

func (s *moments) Bytes() int64 { return int64(cap(s.s)) * 24 }
