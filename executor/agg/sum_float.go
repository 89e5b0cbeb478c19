package agg

import (
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	reg("sum(float4)", func(c *Call) (State, error) { return &sumFloats[float32]{}, nil })
	reg("sum(float8)", func(c *Call) (State, error) { return &sumFloats[float64]{}, nil })
	reg("sum(interval)", func(c *Call) (State, error) { return &sumIntervals{}, nil })
	reg("avg(interval)", func(c *Call) (State, error) { return &sumIntervals{avg: true}, nil })
}

func overflow() error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value out of range: overflow")
}

// sumFloats sums floats in their own width. An infinite sum of finite values is an
// overflow, which the flags tell from an infinite value.
type sumFloats[E float32 | float64] struct {
	s   []floatSum[E]
	col column[E]
}

type floatSum[E float32 | float64] struct {
	sum E
	inf bool // an infinite value was added
	n   int64
}

func (s *sumFloats[E]) Grow(n int) { s.s = extended(s.s, n) }

func (s *sumFloats[E]) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	x, valid := s.col.take(args[0], sel, n)
	if len(s.s) == 1 && valid == nil {
		g := &s.s[0]
		t := g.sum
		for _, y := range x {
			t += y
			g.inf = g.inf || y-y != 0
		}
		g.sum = t
		g.n += int64(n)
		return nil
	}
	for k, y := range x {
		if bit(valid, k) {
			g := &s.s[groups[k]]
			g.sum += y
			g.inf = g.inf || y-y != 0
			g.n++
		}
	}
	return nil
}

func (s *sumFloats[E]) Merge(from State, src, dst []uint32) error {
	f := from.(*sumFloats[E])
	for k, g := range src {
		a, b := &s.s[dst[k]], &f.s[g]
		if a.n == 0 {
			*a = *b
			continue
		}
		a.sum += b.sum
		a.inf = a.inf || b.inf
		a.n += b.n
	}
	return nil
}

func (s *sumFloats[E]) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		a := &s.s[g]
		switch {
		case a.n == 0:
			out.AppendNull()
		case !a.inf && math.IsInf(float64(a.sum), 0):
			return overflow()
		default:
			out.AppendDatum(types.NewFloat(float64(a.sum)))
		}
	}
	return nil
}

func (s *sumFloats[E]) Bytes() int64 { return int64(cap(s.s)) * 24 }

// sumIntervals sums and averages intervals part by part.
type sumIntervals struct {
	avg bool
	s   []intervalSum
	col column[types.Fixed16]
}

type intervalSum struct{ months, days, micros, n int64 }

func (s *sumIntervals) Grow(n int) { s.s = extended(s.s, n) }

func (s *sumIntervals) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	x, valid := s.col.take(args[0], sel, n)
	for k, y := range x {
		if !bit(valid, k) {
			continue
		}
		g := &s.s[groups[k]]
		m, d, u := y.IntervalParts()
		g.months += int64(m)
		g.days += int64(d)
		t := g.micros + u
		if (g.micros^t)&(u^t) < 0 {
			return intervalRange()
		}
		g.micros = t
		g.n++
	}
	return nil
}

func intervalRange() error {
	return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "interval out of range")
}

func (s *sumIntervals) Merge(from State, src, dst []uint32) error {
	f := from.(*sumIntervals)
	for k, g := range src {
		a, b := &s.s[dst[k]], &f.s[g]
		a.months += b.months
		a.days += b.days
		t := a.micros + b.micros
		if (a.micros^t)&(b.micros^t) < 0 {
			return intervalRange()
		}
		a.micros = t
		a.n += b.n
	}
	return nil
}

func (s *sumIntervals) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		a := &s.s[g]
		if a.n == 0 {
			out.AppendNull()
			continue
		}
		if a.months != int64(int32(a.months)) || a.days != int64(int32(a.days)) {
			return intervalRange()
		}
		v := types.MakeInterval(int32(a.months), int32(a.days), a.micros)
		if s.avg {
			v = divInterval(v, float64(a.n))
		}
		out.AppendDatum(types.NewFixed16(v))
	}
	return nil
}

// divInterval is v / f as PostgreSQL divides intervals: what is left of a month
// goes to days, of a day to time.
func divInterval(v types.Fixed16, f float64) types.Fixed16 {
	round6 := func(x float64) float64 { return math.RoundToEven(x*1e6) / 1e6 }
	months, days, micros := v.IntervalParts()
	fm, fd := float64(months)/f, float64(days)/f
	m, d := int32(fm), int32(fd)
	remDays := round6((fm - float64(m)) * 30)
	remSecs := round6((fd - float64(d) + remDays - math.Trunc(remDays)) * 86400)
	if math.Abs(remSecs) >= 86400 {
		d += int32(remSecs / 86400)
		remSecs -= math.Trunc(remSecs/86400) * 86400
	}
	d += int32(remDays)
	return types.MakeInterval(m, d, int64(math.RoundToEven(float64(micros)/f+remSecs*1e6)))
}

func (s *sumIntervals) Bytes() int64 { return int64(cap(s.s)) * 32 }
