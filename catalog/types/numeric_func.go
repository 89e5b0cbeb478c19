package types

import (
	"math"
	"math/big"

	"github.com/cockroachdb/apd/v3"
	"github.com/millrace/millrace/catalog/sqlstate"
)

// The transcendental functions. apd computes them to more digits than asked for;
// the scales, the rounding and the errors are PostgreSQL's.

// toApd is a finite number as apd's.
func (n *num) toApd() *apd.Decimal {
	s := n.minScale()
	d := new(apd.Decimal)
	d.Coeff.SetMathBigInt(new(big.Int).Abs(n.big(s)))
	d.Exponent = int32(-s)
	d.Negative = n.neg
	return d
}

// fromApd rounds d to scale digits after the point.
func fromApd(d *apd.Decimal, scale int) num {
	c := d.Coeff.MathBigInt()
	if d.Negative {
		c.Neg(c)
	}
	n := numFromBig(c, -int(d.Exponent))
	n = n.round(scale)
	n.dscale = scale
	if len(n.d) == 0 {
		n.neg = false
	}
	return n
}

func apdContext(digits int) *apd.Context {
	c := apd.BaseContext.WithPrecision(uint32(max(digits, 20)))
	c.Rounding = apd.RoundHalfUp
	c.Traps = 0
	return c
}

// float is the nearest double, infinite when out of range.
func (n *num) float() float64 {
	b, err := appendNum(nil, *n)
	if err != nil {
		return math.Inf(1)
	}
	f, _ := NumericToFloat64(b)
	return f
}

// NumericSqrt appends the square root of a.
func NumericSqrt(dst, a []byte) ([]byte, error) {
	var s numScratch
	n := decodeNum(a, &s)
	switch {
	case n.kind == numNaN, n.kind == numInf && !n.neg:
		return appendNum(dst, n)
	case n.neg:
		return dst, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction, "cannot take square root of a negative number")
	}
	w, _ := n.lead()
	sweight := (w+1)*4/2 - 1
	return appendNum(dst, n.sqrt(clampScale(max(numMinSigDigits-sweight, n.dscale))))
}

// NumericSqrtScale appends the square root of a finite a that is not negative, rounded
// to a scale.
func NumericSqrtScale(dst, a []byte, scale int) ([]byte, error) {
	var s numScratch
	return appendNum(dst, decodeNum(a, &s).sqrt(scale))
}

func (n num) sqrt(scale int) num {
	r := new(big.Int).Sqrt(n.big(2 * (scale + 1)))
	q := numFromBig(r, scale+1).round(scale)
	q.dscale = scale
	return q
}

const log10E = 0.434294481903252

// NumericExp appends e to the power a.
func NumericExp(dst, a []byte) ([]byte, error) {
	var s numScratch
	n := decodeNum(a, &s)
	if n.kind != numFinite {
		if n.kind == numInf && n.neg {
			return append(dst, NumericZero...), nil
		}
		return appendNum(dst, n)
	}
	val := n.float() * log10E
	val = min(max(val, -numMaxResultScale), numMaxResultScale)
	scale := clampScale(max(numMinSigDigits-int(val), n.dscale))
	r, err := n.exp(scale)
	if err != nil {
		return dst, err
	}
	return appendNum(dst, r)
}

// exp is e^n to a scale.
func (n *num) exp(scale int) (num, error) {
	val := n.float()
	if math.Abs(val) >= numMaxResultScale*3 {
		if val > 0 {
			return num{}, numOverflow()
		}
		return num{dscale: scale}, nil
	}
	return fromApd(expApd(n.toApd(), val, scale+int(math.Abs(val)*log10E)+12), scale), nil
}

// expApd is e^x to so many significant digits; val is about x. In binary fixed
// point: the argument is halved until the Taylor series is short, and the sum
// squared as often. (apd's Exp gives up beyond some 400 digits.)
func expApd(x *apd.Decimal, val float64, digits int) *apd.Decimal {
	bits := digits*10/3 + 64
	halve := 8
	for ; math.Abs(val) > 1; val /= 2 {
		halve++
	}
	halve += int(math.Sqrt(float64(bits)) / 2)
	prec := uint(bits + 2*halve)
	neg := x.Negative
	// r = |x| / 2^halve, as an integer scaled by 2^prec.
	r := x.Coeff.MathBigInt()
	r.Lsh(r, prec-uint(halve))
	if x.Exponent < 0 {
		r.Quo(r, pow10Big(int(-x.Exponent)))
	} else {
		r.Mul(r, pow10Big(int(x.Exponent)))
	}
	sum := new(big.Int).Lsh(big.NewInt(1), prec)
	term := new(big.Int).Set(sum)
	n := new(big.Int)
	for i := int64(1); term.Sign() != 0; i++ {
		term.Mul(term, r)
		term.Rsh(term, prec)
		term.Quo(term, n.SetInt64(i))
		sum.Add(sum, term)
	}
	// Squaring keeps prec bits behind the point; the integer part only grows.
	for ; halve > 0; halve-- {
		sum.Mul(sum, sum)
		sum.Rsh(sum, prec)
	}
	f := new(apd.Decimal)
	// value = sum / 2^prec (or its inverse), to `digits` digits behind the point.
	if neg {
		n.Lsh(big.NewInt(1), 2*prec)
		sum.Quo(n, sum)
	}
	sum.Mul(sum, pow10Big(digits))
	sum.Rsh(sum, prec)
	f.Coeff.SetMathBigInt(sum)
	f.Exponent = int32(-digits)
	return f
}

// lnWeight estimates the decimal weight of ln(n), n > 0.
func (n *num) lnWeight() int {
	var s1 numScratch
	one := num{d: []uint32{1}}
	lo := num{d: []uint32{900000000}, weight: -1}
	hi := num{d: []uint32{1, 100000000}}
	if cmpMag(n, &lo) >= 0 && cmpMag(n, &hi) <= 0 {
		one.neg = true
		x := addNum(n, &one, &s1)
		if len(x.d) == 0 {
			return 0
		}
		w, d := x.lead()
		return w*4 + int(math.Log10(float64(d)))
	}
	if len(n.d) == 0 {
		return 0
	}
	// The first two digits in base 10^4.
	w, _ := n.lead()
	digits, dweight := n.leadFloat(w, 2), w*4-4
	ln := math.Log(digits) + float64(dweight)*2.302585092994046
	return int(math.Log10(math.Abs(ln)))
}

// leadFloat is the first k digits in base 10^4 as one number; w is the weight
// of the first.
func (n *num) leadFloat(w, k int) float64 {
	v := n.big(-(w - k + 1) * 4)
	f, _ := new(big.Float).SetInt(v.Abs(v)).Float64()
	return f
}

func (n *num) logError() error {
	switch {
	case n.kind == numFinite && len(n.d) == 0:
		return sqlstate.Errorf(sqlstate.InvalidArgumentForLogarithm, "cannot take logarithm of zero")
	case n.neg:
		return sqlstate.Errorf(sqlstate.InvalidArgumentForLogarithm, "cannot take logarithm of a negative number")
	}
	return nil
}

// ln is the natural logarithm with so many significant digits after the point.
func (n *num) ln(digits int) *apd.Decimal {
	c := apdContext(digits + 12)
	x := n.toApd()
	// Bring the argument near 1, out of reach of apd's exponent limits.
	e := n.exp10()
	r := new(apd.Decimal)
	if e > 1000 || e < -1000 {
		x.Exponent -= int32(e)
		c.Ln(r, x)
		ln10 := new(apd.Decimal)
		c.Ln(ln10, apd.New(10, 0))
		c.Mul(ln10, ln10, apd.New(int64(e), 0))
		c.Add(r, r, ln10)
		return r
	}
	c.Ln(r, x)
	return r
}

// NumericLn appends the natural logarithm of a.
func NumericLn(dst, a []byte) ([]byte, error) {
	var s numScratch
	n := decodeNum(a, &s)
	if n.kind == numNaN {
		return appendNum(dst, n)
	}
	if err := n.logError(); err != nil {
		return dst, err
	}
	if n.kind == numInf {
		return appendNum(dst, n)
	}
	w := n.lnWeight()
	scale := clampScale(max(numMinSigDigits-w, n.dscale))
	return appendNum(dst, fromApd(n.ln(scale+max(w, 0)+1), scale))
}

// NumericLog appends the logarithm of x to base b.
func NumericLog(dst, b, x []byte) ([]byte, error) {
	var s1, s2 numScratch
	base, n := decodeNum(b, &s1), decodeNum(x, &s2)
	if base.kind == numNaN || n.kind == numNaN {
		return append(dst, NumericNaN...), nil
	}
	if err := base.logError(); err != nil {
		return dst, err
	}
	if err := n.logError(); err != nil {
		return dst, err
	}
	if base.kind == numInf || n.kind == numInf {
		switch {
		case base.kind == n.kind:
			return append(dst, NumericNaN...), nil
		case n.kind == numInf:
			return append(dst, NumericInf...), nil
		}
		return append(dst, NumericZero...), nil
	}
	rw := n.lnWeight() - base.lnWeight()
	scale := clampScale(max(numMinSigDigits-rw, base.dscale, n.dscale))
	digits := scale + max(rw, 0) + 10
	lb := base.ln(digits)
	if lb.Sign() == 0 {
		return dst, divisionByZero()
	}
	q := new(apd.Decimal)
	apdContext(digits+10).Quo(q, n.ln(digits), lb)
	return appendNum(dst, fromApd(q, scale))
}

// NumericPow appends a to the power b. (The scale of integer powers is that of
// PostgreSQL 16, which keeps 16 significant digits of small results.)
func NumericPow(dst, a, b []byte) ([]byte, error) {
	var s1, s2 numScratch
	x, y := decodeNum(a, &s1), decodeNum(b, &s2)
	if x.kind != numFinite || y.kind != numFinite {
		r, err := powSpecial(&x, &y)
		if err != nil {
			return dst, err
		}
		return appendNum(dst, r)
	}
	whole := len(y.d) == 0 || len(y.d) <= y.weight+1
	if len(x.d) == 0 && y.neg {
		return dst, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction, "zero raised to a negative power is undefined")
	}
	if x.neg && !whole {
		return dst, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction,
			"a negative number raised to a non-integer power yields a complex result")
	}
	if whole {
		if v, ok := y.toI128(0); ok {
			if e, ok := v.Int64(); ok && e == int64(int32(e)) {
				r, err := powInt(&x, int(e), y.dscale)
				if err != nil {
					return dst, err
				}
				return appendNum(dst, r)
			}
		}
	}
	if len(x.d) == 0 {
		return appendNum(dst, num{dscale: numMinSigDigits})
	}
	odd := false
	if x.neg {
		odd = y.big(0).Bit(0) == 1
		x.neg = false
	}
	// Estimate ln(result) to choose the scale.
	ln := x.ln(10)
	f, _ := ln.Float64()
	val := f * y.float()
	if math.Abs(val) > numMaxResultScale*3.01 {
		if val > 0 {
			return dst, numOverflow()
		}
		return appendNum(dst, num{dscale: numMaxDisplayScale})
	}
	weight := int(val * log10E)
	scale := clampScale(max(numMinSigDigits-weight, x.dscale, y.dscale))
	digits := scale + max(weight, -weight) + 12
	prod := new(apd.Decimal)
	yd := y.toApd()
	lnDigits := digits + max(y.exp10(), 0) + 8
	apdContext(lnDigits+10).Mul(prod, x.ln(lnDigits), yd)
	q := fromApd(expApd(prod, val, digits), scale)
	q.neg = odd && len(q.d) > 0
	return appendNum(dst, q)
}

// powSpecial is x^y when NaN or an infinity takes part.
func powSpecial(x, y *num) (num, error) {
	nan := num{kind: numNaN}
	one := num{d: []uint32{1}}
	isOne := func(n *num) bool { return n.kind == numFinite && !n.neg && cmpMag(n, &one) == 0 }
	zero := func(n *num) bool { return n.kind == numFinite && len(n.d) == 0 }
	switch {
	case x.kind == numNaN:
		if zero(y) {
			return num{d: []uint32{1}}, nil
		}
		return nan, nil
	case y.kind == numNaN:
		if isOne(x) {
			return num{d: []uint32{1}}, nil
		}
		return nan, nil
	case zero(x) && y.neg:
		return nan, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction, "zero raised to a negative power is undefined")
	case isOne(x), zero(y):
		return num{d: []uint32{1}}, nil
	case y.kind == numInf:
		c := 1
		if x.kind == numFinite {
			c = cmpMag(x, &one)
		}
		switch {
		case zero(x):
			return num{}, nil
		case c == 0: // -1
			return num{d: []uint32{1}}, nil
		case (c > 0) != y.neg:
			return num{kind: numInf}, nil
		}
		return num{}, nil
	}
	// x is infinite.
	if y.neg {
		return num{}, nil
	}
	if x.neg {
		if len(y.d) > y.weight+1 {
			return nan, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction,
				"a negative number raised to a non-integer power yields a complex result")
		}
		return num{kind: numInf, neg: y.big(0).Bit(0) == 1}, nil
	}
	return num{kind: numInf}, nil
}

// powInt is x^e.
func powInt(x *num, e, expScale int) (num, error) {
	f := 0.0
	if len(x.d) != 0 {
		w, _ := x.lead()
		f = float64(e) * (math.Log10(x.leadFloat(w, 4)) + float64((w-3)*4))
	}
	if f > numMaxWeight10+1 {
		return num{}, numOverflow()
	}
	if f+1 < -numMaxDisplayScale {
		return num{dscale: numMaxDisplayScale}, nil
	}
	scale := clampScale(max(numMinSigDigits-int(f), x.dscale, expScale))
	if e == 0 {
		return num{d: []uint32{1}, dscale: scale}, nil
	}
	if len(x.d) == 0 {
		return num{dscale: scale}, nil
	}
	// Exact for moderate sizes; apd with enough digits beyond.
	k := e
	if k < 0 {
		k = -k
	}
	s := x.minScale()
	size := float64(k) * float64(digitsOf(x)+1)
	var r num
	switch {
	case size < 4000 && e > 0:
		r = numFromBig(new(big.Int).Exp(x.big(s), big.NewInt(int64(k)), nil), s*k)
	case size < 4000:
		den := numFromBig(new(big.Int).Exp(x.big(s), big.NewInt(int64(k)), nil), s*k)
		one := num{d: []uint32{1}}
		var sc numScratch
		r = divNum(&one, &den, scale, true, &sc)
	default:
		c := apdContext(scale + int(max(f, 0)) + 20)
		d := new(apd.Decimal)
		b := x.toApd()
		d.SetInt64(1)
		for bit := k; bit > 0; bit >>= 1 {
			if bit&1 == 1 {
				if _, err := c.Mul(d, d, b); err != nil {
					return num{}, numOverflow()
				}
			}
			if bit > 1 {
				if _, err := c.Mul(b, b, b); err != nil {
					return num{}, numOverflow()
				}
			}
		}
		if e < 0 {
			c.Quo(d, apd.New(1, 0), d)
		}
		if d.Form != apd.Finite {
			return num{}, numOverflow()
		}
		r = fromApd(d, scale)
	}
	r = r.round(scale)
	r.dscale = scale
	return r, nil
}

// digitsOf is about the number of decimal digits of a number.
func digitsOf(n *num) int { return len(n.d) * numDigits }
