package agg

import (
	"math"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	for _, f := range []string{"corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy"} {
		reg(f+"(float8,float8)", func(*Call) (State, error) { return &regression{what: f}, nil })
	}
}

// regression keeps the sums of least squares, centred; the first argument is Y.
type regression struct {
	what string
	s    []pairs
	y, x column[float64]
}

type pairs struct{ n, sx, sxx, sy, syy, sxy float64 }

func (s *regression) Grow(n int) { s.s = extended(s.s, n) }

func (p *pairs) add(y, x float64) error {
	old := *p
	p.n++
	p.sx += x
	p.sy += y
	if old.n > 0 {
		tx, ty := x*p.n-p.sx, y*p.n-p.sy
		scale := 1 / (p.n * old.n)
		p.sxx += tx * tx * scale
		p.syy += ty * ty * scale
		p.sxy += tx * ty * scale
		inf := func(f float64) bool { return math.IsInf(f, 0) }
		if inf(p.sx) || inf(p.sxx) || inf(p.sy) || inf(p.syy) || inf(p.sxy) {
			if (inf(p.sx) || inf(p.sxx)) && !inf(old.sx) && !inf(x) || (inf(p.sy) || inf(p.syy)) && !inf(old.sy) && !inf(y) ||
				inf(p.sxy) && !inf(old.sx) && !inf(x) && !inf(old.sy) && !inf(y) {
				return overflow()
			}
			for _, f := range []*float64{&p.sxx, &p.syy, &p.sxy} {
				if inf(*f) {
					*f = math.NaN()
				}
			}
		}
		return nil
	}
	if x-x != 0 {
		p.sxx, p.sxy = math.NaN(), math.NaN()
	}
	if y-y != 0 {
		p.syy, p.sxy = math.NaN(), math.NaN()
	}
	return nil
}

func (p *pairs) join(b *pairs) {
	switch {
	case p.n == 0:
		*p = *b
		return
	case b.n == 0:
		return
	}
	n := p.n + b.n
	tx, ty := p.sx/p.n-b.sx/b.n, p.sy/p.n-b.sy/b.n
	w := p.n * b.n / n
	*p = pairs{n, p.sx + b.sx, p.sxx + b.sxx + w*tx*tx, p.sy + b.sy, p.syy + b.syy + w*ty*ty, p.sxy + b.sxy + w*tx*ty}
}

func (s *regression) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	y, vy := s.y.take(args[0], sel, n)
	x, vx := s.x.take(args[1], sel, n)
	for k := range y {
		if bit(vy, k) && bit(vx, k) {
			if err := s.s[groups[k]].add(y[k], x[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *regression) Merge(from State, src, dst []uint32) error {
	f := from.(*regression)
	for k, g := range src {
		s.s[dst[k]].join(&f.s[g])
	}
	return nil
}

func (s *regression) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		if r, ok := s.s[g].result(s.what); ok {
			out.AppendDatum(types.NewFloat(r))
		} else {
			out.AppendNull()
		}
	}
	return nil
}

func (p *pairs) result(what string) (float64, bool) {
	if p.n < 1 {
		return 0, false
	}
	switch what {
	case "regr_avgx":
		return p.sx / p.n, true
	case "regr_avgy":
		return p.sy / p.n, true
	case "regr_sxx":
		return p.sxx, true
	case "regr_syy":
		return p.syy, true
	case "regr_sxy":
		return p.sxy, true
	case "covar_pop":
		return p.sxy / p.n, true
	case "covar_samp":
		return p.sxy / (p.n - 1), p.n >= 2
	case "corr":
		return p.sxy / math.Sqrt(p.sxx*p.syy), p.sxx != 0 && p.syy != 0
	case "regr_slope":
		return p.sxy / p.sxx, p.sxx != 0
	case "regr_intercept":
		return (p.sy - p.sx*p.sxy/p.sxx) / p.n, p.sxx != 0
	}
	// regr_r2: a horizontal line fits perfectly.
	if p.sxx == 0 {
		return 0, false
	}
	if p.syy == 0 {
		return 1, true
	}
	return p.sxy * p.sxy / (p.sxx * p.syy), true
}

func (s *regression) Bytes() int64 { return int64(cap(s.s)) * 48 }
