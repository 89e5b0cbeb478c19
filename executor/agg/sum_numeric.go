package agg

import (
	"bytes"
	"math/big"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// exact is a sum of decimals: acc × 10^-scale, where scale is the largest display
// scale met, plus a part beyond 128 bits in bigs, and what cannot be summed.
type exact struct {
	acc   types.Int128
	n     int64 // values, NaN and infinities included
	nan   int32
	pinf  int32
	ninf  int32
	scale int16
	big   int32 // 1 + index of the big part, 0 when there is none
}

// exacts are the sums of all groups.
type exacts struct {
	s    []exact
	bigs []bigPart
}

type bigPart struct {
	v     *big.Int
	scale int
}

// addScaled adds v × 10^-scale.
func (e *exacts) addScaled(g uint32, v types.Int128, scale int) {
	s := &e.s[g]
	s.n++
	e.join(s, v, scale)
}

// join adds without counting.
func (e *exacts) join(s *exact, v types.Int128, scale int) {
	switch {
	case scale > int(s.scale):
		if r, ok := s.acc.Rescale(int(s.scale), scale); ok {
			s.acc = r
		} else {
			e.addBig(s, s.acc.Big(), int(s.scale))
			s.acc = types.Int128{}
		}
		s.scale = int16(scale)
	case scale < int(s.scale):
		r, ok := v.Rescale(scale, int(s.scale))
		if !ok {
			e.addBig(s, v.Big(), scale)
			return
		}
		v = r
	}
	r, ok := s.acc.Add(v)
	if !ok {
		e.addBig(s, s.acc.Big(), int(s.scale))
		r = v
	}
	s.acc = r
}

func (e *exacts) addBig(s *exact, v *big.Int, scale int) {
	if s.big == 0 {
		e.bigs = append(e.bigs, bigPart{new(big.Int), 0})
		s.big = int32(len(e.bigs))
	}
	b := &e.bigs[s.big-1]
	if scale > b.scale {
		b.v.Mul(b.v, pow10(scale-b.scale))
		b.scale = scale
	} else if scale < b.scale {
		v = new(big.Int).Mul(v, pow10(b.scale-scale))
	}
	b.v.Add(b.v, v)
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// addView adds a numeric in the variable form.
func (e *exacts) addView(g uint32, b []byte) {
	scale := types.NumericDScale(b)
	if scale <= types.NumericDigitsI128 {
		if v, ok := types.NumericToI128(b, scale); ok {
			e.addScaled(g, v, scale)
			return
		}
	}
	s := &e.s[g]
	s.n++
	switch {
	case types.NumericIsNaN(b):
		s.nan++
	case types.NumericIsInf(b) && types.NumericSign(b) > 0:
		s.pinf++
	case types.NumericIsInf(b):
		s.ninf++
	default:
		v, scale := toBig(b)
		s.scale = max(s.scale, 0)
		e.addBig(s, v, scale)
		if scale > int(s.scale) {
			e.join(s, types.Int128{}, scale)
		}
	}
}

func (e *exacts) merge(from *exacts, src, dst []uint32) {
	for k, g := range src {
		a, b := &e.s[dst[k]], &from.s[g]
		if b.n == 0 {
			continue
		}
		a.n += b.n
		a.nan += b.nan
		a.pinf += b.pinf
		a.ninf += b.ninf
		e.join(a, b.acc, int(b.scale))
		if b.big != 0 {
			p := from.bigs[b.big-1]
			e.addBig(a, p.v, p.scale)
		}
	}
}

// sum appends the sum of group g, which has values, in the variable form.
func (e *exacts) sum(dst []byte, g uint32) ([]byte, error) {
	s := &e.s[g]
	special := ""
	switch {
	case s.nan > 0 || s.pinf > 0 && s.ninf > 0:
		special = "NaN"
	case s.pinf > 0:
		special = "Infinity"
	case s.ninf > 0:
		special = "-Infinity"
	}
	if special != "" {
		return types.ParseNumeric(dst, []byte(special))
	}
	if s.big == 0 {
		return types.NumericFromI128(dst, s.acc, int(s.scale)), nil
	}
	b := e.bigs[s.big-1]
	scale := max(b.scale, int(s.scale))
	t := new(big.Int).Mul(b.v, pow10(scale-b.scale))
	t.Add(t, new(big.Int).Mul(s.acc.Big(), pow10(scale-int(s.scale))))
	return types.NumericFromBig(dst, t, scale)
}

func (e *exacts) bytes() int64 { return int64(cap(e.s))*48 + int64(len(e.bigs))*96 }

// sumNumeric sums and averages numerics in the variable form or in 128 bits.
type sumNumeric struct {
	t     types.T
	avg   bool
	wide  bool
	scale int
	e     exacts
	col   column[types.Int128]
}

func (s *sumNumeric) Grow(n int) { s.e.s = extended(s.e.s, n) }

func (s *sumNumeric) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	v := args[0]
	if s.wide {
		x, valid := s.col.take(v, sel, n)
		for k, y := range x {
			if bit(valid, k) {
				s.e.addScaled(groups[k], y, s.scale)
			}
		}
		return nil
	}
	src := v.Source()
	for k := 0; k < n; k++ {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		if !v.IsNull(i) {
			s.e.addView(groups[k], src.Bytes(v.Index(i)))
		}
	}
	return nil
}

func (s *sumNumeric) Merge(from State, src, dst []uint32) error {
	s.e.merge(&from.(*sumNumeric).e, src, dst)
	return nil
}

func (s *sumNumeric) Result(groups []uint32, out *vec.Vec) error {
	var num, avg []byte
	var err error
	for _, g := range groups {
		n := s.e.s[g].n
		if n == 0 {
			out.AppendNull()
			continue
		}
		if num, err = s.e.sum(num[:0], g); err != nil {
			return err
		}
		if s.avg {
			if avg, err = types.NumericDivInt(avg[:0], num, n); err != nil {
				return err
			}
			out.AppendBytes(avg)
			continue
		}
		if s.t.Scaled() {
			v, err := types.NumericScaled(num, types.T{OID: s.t.OID, Mod: -1, Layout: s.t.Layout, Scale: s.t.Scale})
			if err != nil {
				return err
			}
			if s.t.Layout == types.LayoutI64 {
				out.AppendDatum(types.NewInt(int64(v.Lo)))
			} else {
				out.AppendDatum(types.NewI128(v))
			}
			continue
		}
		out.AppendBytes(num)
	}
	return nil
}

func (s *sumNumeric) Bytes() int64 { return s.e.bytes() }

// toBig is a finite numeric as v × 10^-scale, scale being its display scale.
func toBig(b []byte) (v *big.Int, scale int) {
	t := types.AppendNumeric(nil, b)
	if k := bytes.IndexByte(t, '.'); k >= 0 {
		t = append(t[:k], t[k+1:]...)
	}
	v, _ = new(big.Int).SetString(string(t), 10)
	return v, types.NumericDScale(b)
}
