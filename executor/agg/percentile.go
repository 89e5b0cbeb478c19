package agg

import (
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	cont := func(c *Call) (State, error) { return newSorted(c, percentileCont), nil }
	disc := func(c *Call) (State, error) { return newSorted(c, percentileDisc), nil }
	reg("percentile_cont(float8,float8)", cont)
	reg("percentile_cont(float8,interval)", cont)
	reg("percentile_cont(_float8,float8)", cont)
	reg("percentile_cont(_float8,interval)", cont)
	reg("percentile_disc(float8,anyelement)", disc)
	reg("percentile_disc(_float8,anyelement)", disc)
	reg("mode", func(c *Call) (State, error) { return newSorted(c, mode), nil })
}

// sorted keeps the values of a group, which come in order; nulls are left out.
type sorted struct {
	c    collector
	call *Call
	make func(s *sorted, rows []int, out *vec.Vec) error
	rows []int
}

func newSorted(c *Call, f func(s *sorted, rows []int, out *vec.Vec) error) State {
	return &sorted{c: newCollector(c), call: c, make: f}
}

func (s *sorted) Grow(n int) { s.c.grow(n) }

func (s *sorted) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	s.c.add(args, sel, n, groups, func(i int) bool { return !args[0].IsNull(i) })
	return nil
}

func (s *sorted) Merge(from State, src, dst []uint32) error {
	return s.c.merge(&from.(*sorted).c, src, dst)
}

func (s *sorted) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		s.rows = s.rows[:0]
		if err := s.c.each(g, func(r int) error {
			s.rows = append(s.rows, r)
			return nil
		}); err != nil {
			return err
		}
		if len(s.rows) == 0 {
			out.AppendNull()
			continue
		}
		if err := s.make(s, s.rows, out); err != nil {
			return err
		}
	}
	return nil
}

func (s *sorted) Bytes() int64 { return s.c.bytes() }

// fractions calls f for the fraction, or for each of an array of them, and appends
// what it gives: a value, or an array of values.
func (s *sorted) fractions(out *vec.Vec, elem uint32, f func(p float64) (types.Datum, error)) error {
	if len(s.call.Direct) == 0 || !s.call.Direct[0].Valid {
		out.AppendNull()
		return nil
	}
	d := s.call.Direct[0]
	check := func(p float64) error {
		if !(p >= 0 && p <= 1) {
			return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "percentile value %g is not between 0 and 1", p)
		}
		return nil
	}
	if s.call.Fn.Args[0] == types.Float8OID {
		if err := check(d.F); err != nil {
			return err
		}
		r, err := f(d.F)
		if err != nil {
			return err
		}
		out.AppendDatum(r)
		return nil
	}
	a := types.Array(d.S)
	r := a.Reader()
	var b types.ArrayBuilder
	b.Reset(elem)
	var dims []types.ArrayDim
	for i := 0; i < a.NDim(); i++ {
		dims = append(dims, a.Dim(i))
	}
	for i := 0; i < r.N; i++ {
		if r.IsNull(i) {
			b.Append(types.Null)
			continue
		}
		p := r.Datum(i).F
		if err := check(p); err != nil {
			return err
		}
		v, err := f(p)
		if err != nil {
			return err
		}
		b.Append(v)
	}
	out.AppendBytes(b.Finish(nil, dims...))
	return nil
}

func percentileCont(s *sorted, rows []int, out *vec.Vec) error {
	t := s.c.types[0]
	return s.fractions(out, t.OID, func(p float64) (types.Datum, error) {
		at := p * float64(len(rows)-1)
		lo, hi := int(math.Floor(at)), int(math.Ceil(at))
		a := s.c.datum(0, rows[lo])
		if lo == hi {
			return a, nil
		}
		b := s.c.datum(0, rows[hi])
		w := at - float64(lo)
		if t.Layout == types.LayoutF64 {
			return types.NewFloat(a.F + w*(b.F-a.F)), nil
		}
		x, y := a.Fixed16(), b.Fixed16()
		xm, xd, xu := x.IntervalParts()
		ym, yd, yu := y.IntervalParts()
		d := divInterval(types.MakeInterval(ym-xm, yd-xd, yu-xu), 1/w)
		dm, dd, du := d.IntervalParts()
		return types.NewFixed16(types.MakeInterval(xm+dm, xd+dd, xu+du)), nil
	})
}

func percentileDisc(s *sorted, rows []int, out *vec.Vec) error {
	t := s.c.types[0]
	return s.fractions(out, t.OID, func(p float64) (types.Datum, error) {
		k := max(int(math.Ceil(p*float64(len(rows)))), 1)
		to := s.call.T
		if types.IsArray(to.OID) {
			to = types.ElemType(t.OID)
		}
		return recast(s.c.datum(0, rows[k-1]), t, to), nil
	})
}

// mode is the most frequent value, the first of those when several are.
func mode(s *sorted, rows []int, out *vec.Vec) error {
	t := s.c.types[0]
	best, bestN := rows[0], 0
	from := 0
	for i := 1; i <= len(rows); i++ {
		if i < len(rows) && types.Equal(t, s.c.datum(0, rows[from]), s.c.datum(0, rows[i])) {
			continue
		}
		if i-from > bestN {
			best, bestN = rows[from], i-from
		}
		from = i
	}
	v, i := s.c.at(0, best)
	appendRow(out, v, i)
	return nil
}
