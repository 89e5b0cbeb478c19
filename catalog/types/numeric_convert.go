package types

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// numFromU128 makes the number ±(hi,lo) × 10^-scale.
func numFromU128(neg bool, hi, lo uint64, scale int, s *numScratch) num {
	n := num{neg: neg, dscale: scale}
	// Align at the point: split off a first partial group of scale%9 digits.
	k := len(s)
	part := scale % numDigits
	low := -((scale + numDigits - 1) / numDigits) // exponent of the last group
	if part != 0 && hi|lo != 0 {
		var r uint64
		hi, lo, r = divU128by32(hi, lo, uint64(pow10u32[part]))
		k--
		s[k] = uint32(r) * pow10u32[numDigits-part]
	}
	for hi|lo != 0 {
		var r uint64
		hi, lo, r = divU128by32(hi, lo, numBase)
		k--
		s[k] = uint32(r)
	}
	n.d = s[k:]
	n.weight = low + len(n.d) - 1
	n.strip()
	return n
}

func divU128by32(hi, lo, d uint64) (qh, ql, r uint64) {
	if hi == 0 {
		return 0, lo / d, lo % d
	}
	qh, r = hi/d, hi%d
	ql, r = bits.Div64(r, lo, d)
	return qh, ql, r
}

// NumericFromInt64 appends v × 10^-scale in the variable form.
func NumericFromInt64(dst []byte, v int64, scale int) []byte {
	return NumericFromI128(dst, I128(v), scale)
}

// NumericFromI128 appends v × 10^-scale in the variable form.
func NumericFromI128(dst []byte, v Int128, scale int) []byte {
	var s numScratch
	hi, lo := v.Abs()
	n := numFromU128(v.Hi < 0, hi, lo, scale, &s)
	dst, _ = appendNum(dst, n)
	return dst
}

// NumericToI128 is the number × 10^scale rounded half away from zero; ok is
// false when it does not fit or is not finite.
func NumericToI128(b []byte, scale int) (v Int128, ok bool) {
	var s numScratch
	n := decodeNum(b, &s)
	return n.toI128(scale)
}

func (n num) toI128(scale int) (v Int128, ok bool) {
	if n.kind != numFinite {
		return v, false
	}
	n = n.round(scale)
	if len(n.d) == 0 {
		return v, true
	}
	if n.exp10()+scale > 38 {
		return v, false
	}
	var hi, lo uint64
	mul := func(m, add uint64) bool {
		h1, l1 := bits.Mul64(lo, m)
		h2, l2 := bits.Mul64(hi, m)
		var c uint64
		l1, c = bits.Add64(l1, add, 0)
		hi, c = bits.Add64(h1, l2, c)
		lo = l1
		return h2|c == 0
	}
	// Whole groups at or above 10^-scale, then the partial one.
	last := floorDiv(-scale, numDigits) // the group that holds 10^-scale
	for w := n.weight; w > last; w-- {
		if !mul(numBase, uint64(n.digit(w))) {
			return v, false
		}
	}
	drop := -scale - last*numDigits // decimal digits of the last group below 10^-scale
	if n.weight >= last {
		if !mul(uint64(pow10u32[numDigits-drop]), uint64(n.digit(last)/pow10u32[drop])) {
			return v, false
		}
	}
	return fromAbs(n.neg, hi, lo)
}

// NumericToInt64 rounds to an integer; ok is false when it does not fit.
func NumericToInt64(b []byte) (v int64, ok bool) {
	x, ok := NumericToI128(b, 0)
	if !ok {
		return 0, false
	}
	return x.Int64()
}

// NumericFromFloat64 appends f as a numeric, with the 15 significant digits
// that PostgreSQL's cast keeps.
func NumericFromFloat64(dst []byte, f float64) []byte { return numFromFloat(dst, f, 15) }

// NumericFromFloat32 is NumericFromFloat64 for a real: 6 significant digits.
func NumericFromFloat32(dst []byte, f float32) []byte { return numFromFloat(dst, float64(f), 6) }

func numFromFloat(dst []byte, f float64, digits int) []byte {
	switch {
	case f != f:
		return append(dst, NumericNaN...)
	case math.IsInf(f, 1):
		return append(dst, NumericInf...)
	case math.IsInf(f, -1):
		return append(dst, NumericNegInf...)
	}
	var buf [512]byte
	dst, _ = ParseNumeric(dst, appendFloatG(buf[:0], f, digits))
	return dst
}

// NumericToFloat64 is the nearest float; ok is false when the number is beyond
// the range of double precision (NumericFloatRange in SQL).
func NumericToFloat64(b []byte) (f float64, ok bool) {
	var s numScratch
	n := decodeNum(b, &s)
	switch n.kind {
	case numNaN:
		return math.NaN(), true
	case numInf:
		if n.neg {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	if len(n.d) == 0 {
		return 0, true
	}
	// At most 2^53 over at most 10^22: the division is exact to the last bit.
	if n.dscale <= 22 && n.exp10()+n.dscale < 18 {
		if v, ok := n.toI128(n.dscale); ok {
			if x, ok := v.Int64(); ok && x <= 1<<53 && x >= -1<<53 {
				return float64(x) / float64Pow10[n.dscale], true
			}
		}
	}
	var buf [128]byte
	t := appendNumText(buf[:0], &n)
	f, err := strconv.ParseFloat(stringOf(t), 64)
	return f, err == nil && f != 0
}

// NumericFloatRange is the error for a numeric beyond the range of a float type,
// named as in messages ("double precision").
func NumericFloatRange(b []byte, typ string) error { return floatRange(AppendNumeric(nil, b), typ) }

var float64Pow10 = [23]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// big is the value × 10^scale, cut.
func (n *num) big(scale int) *big.Int {
	r, base := new(big.Int), big.NewInt(numBase)
	v := new(big.Int)
	low := -floorDiv(scale+numDigits-1, numDigits) // the last group needed
	for w := n.weight; w >= low; w-- {
		r.Mul(r, base)
		r.Add(r, v.SetUint64(uint64(n.digit(w))))
	}
	// r is the value × 10^(9·-low); adjust to the scale.
	switch k := scale + low*numDigits; {
	case n.weight < low:
		r.SetInt64(0)
	case k < 0:
		r.Quo(r, pow10Big(-k))
	case k > 0:
		r.Mul(r, pow10Big(k))
	}
	if n.neg {
		r.Neg(r)
	}
	return r
}

func pow10Big(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// numFromBig is v × 10^-scale.
func numFromBig(v *big.Int, scale int) num {
	n := num{dscale: max(scale, 0), neg: v.Sign() < 0}
	t := new(big.Int).Abs(v).String()
	var s numScratch
	n.d, n.weight = groups([]byte(t), len(t)-1-scale, &s)
	if len(n.d) == 0 {
		n.neg = false
	}
	return n
}

// NumericFromBig appends v × 10^-scale.
func NumericFromBig(dst []byte, v *big.Int, scale int) ([]byte, error) {
	return appendNum(dst, numFromBig(v, scale))
}
