package types

import (
	"github.com/millrace/millrace/catalog/sqlstate"
)

// Arithmetic on numerics in the variable form. Each function appends its result
// to dst, with the display scale that PostgreSQL gives it. Results that do not
// fit the format fail with 22003.

const (
	numMinSigDigits    = 16   // significant digits that division and roots give at least
	numMaxDisplayScale = 1000 // bound of chosen scales
	numMaxResultScale  = 2000
)

func divisionByZero() error {
	return sqlstate.Errorf(sqlstate.DivisionByZero, "division by zero")
}

// NumericAdd appends a + b.
func NumericAdd(dst, a, b []byte) ([]byte, error) { return numAddSub(dst, a, b, false) }

// NumericSub appends a - b.
func NumericSub(dst, a, b []byte) ([]byte, error) { return numAddSub(dst, a, b, true) }

func numAddSub(dst, a, b []byte, sub bool) ([]byte, error) {
	var sa, sb, sr numScratch
	x, y := decodeNum(a, &sa), decodeNum(b, &sb)
	y.neg = y.neg != sub && (y.kind != numFinite || len(y.d) > 0)
	if x.kind != numFinite || y.kind != numFinite {
		switch {
		case x.kind == numNaN || y.kind == numNaN, x.kind == numInf && y.kind == numInf && x.neg != y.neg:
			return append(dst, NumericNaN...), nil
		case x.kind == numInf:
			return appendNum(dst, x)
		}
		return appendNum(dst, y)
	}
	return appendNum(dst, addNum(&x, &y, &sr))
}

// addNum is x + y of finite numbers.
func addNum(x, y *num, s *numScratch) num {
	var r num
	switch {
	case x.neg == y.neg:
		r = addMag(x, y, s)
		r.neg = x.neg
	default:
		switch c := cmpMag(x, y); {
		case c == 0:
		case c > 0:
			r = subMag(x, y, s)
			r.neg = x.neg
		default:
			r = subMag(y, x, s)
			r.neg = y.neg
		}
	}
	r.dscale = max(x.dscale, y.dscale)
	return r
}

// cmpMag compares magnitudes of finite numbers.
func cmpMag(x, y *num) int {
	switch {
	case len(x.d) == 0 || len(y.d) == 0:
		return len(x.d) - len(y.d)
	case x.weight != y.weight:
		return x.weight - y.weight
	}
	for i := 0; i < len(x.d) && i < len(y.d); i++ {
		if x.d[i] != y.d[i] {
			if x.d[i] < y.d[i] {
				return -1
			}
			return 1
		}
	}
	return len(x.d) - len(y.d)
}

func (s *numScratch) take(n int) []uint32 {
	if n <= len(s) {
		d := s[:n]
		clear(d)
		return d
	}
	return make([]uint32, n)
}

// addMag is |x| + |y|.
func addMag(x, y *num, s *numScratch) num {
	if len(x.d) == 0 {
		return *y
	}
	if len(y.d) == 0 {
		return *x
	}
	top := max(x.weight, y.weight) + 1
	low := min(x.weight-len(x.d), y.weight-len(y.d)) + 1
	d := s.take(top - low + 1)
	carry := uint32(0)
	for w := low; w <= top; w++ {
		v := x.digit(w) + y.digit(w) + carry
		carry = 0
		if v >= numBase {
			v -= numBase
			carry = 1
		}
		d[top-w] = v
	}
	r := num{d: d, weight: top}
	r.strip()
	return r
}

// subMag is |x| - |y| for |x| > |y|.
func subMag(x, y *num, s *numScratch) num {
	if len(y.d) == 0 {
		return *x
	}
	top := x.weight
	low := min(x.weight-len(x.d), y.weight-len(y.d)) + 1
	d := s.take(top - low + 1)
	borrow := uint32(0)
	for w := low; w <= top; w++ {
		v := int64(x.digit(w)) - int64(y.digit(w)) - int64(borrow)
		borrow = 0
		if v < 0 {
			v += numBase
			borrow = 1
		}
		d[top-w] = uint32(v)
	}
	r := num{d: d, weight: top}
	r.strip()
	return r
}

// NumericMul appends a × b.
func NumericMul(dst, a, b []byte) ([]byte, error) {
	var sa, sb, sr numScratch
	x, y := decodeNum(a, &sa), decodeNum(b, &sb)
	if x.kind != numFinite || y.kind != numFinite {
		switch {
		case x.kind == numNaN || y.kind == numNaN,
			x.kind == numFinite && len(x.d) == 0, y.kind == numFinite && len(y.d) == 0:
			return append(dst, NumericNaN...), nil
		}
		return appendNum(dst, num{kind: numInf, neg: x.neg != y.neg})
	}
	r := mulNum(&x, &y, &sr)
	if r.dscale > numMaxScale {
		r = r.round(numMaxScale)
		r.dscale = numMaxScale
	}
	return appendNum(dst, r)
}

// mulNum is x × y of finite numbers, exactly.
func mulNum(x, y *num, s *numScratch) num {
	r := num{dscale: x.dscale + y.dscale}
	if len(x.d) == 0 || len(y.d) == 0 {
		return r
	}
	n := len(x.d) + len(y.d)
	d := s.take(n)
	for i := len(x.d) - 1; i >= 0; i-- {
		carry, a := uint64(0), uint64(x.d[i])
		if a == 0 {
			continue
		}
		for j := len(y.d) - 1; j >= 0; j-- {
			v := uint64(d[i+j+1]) + a*uint64(y.d[j]) + carry
			carry = v / numBase
			d[i+j+1] = uint32(v - carry*numBase)
		}
		d[i] = uint32(carry)
	}
	r.d, r.weight, r.neg = d, x.weight+y.weight+1, x.neg != y.neg
	r.strip()
	return r
}

// lead is the weight and value of the first digit in base 10^4, in which
// PostgreSQL reckons result scales; 0, 0 for zero.
func (n *num) lead() (weight4, digit4 int) {
	if len(n.d) == 0 {
		return 0, 0
	}
	e := n.exp10()
	weight4 = floorDiv(e, 4)
	take := e - weight4*4 + 1 // decimal digits in the first group
	have := digits10(n.d[0])
	v := int(n.d[0])
	if have >= take {
		return weight4, v / int(pow10u32[have-take])
	}
	next := uint32(0)
	if len(n.d) > 1 {
		next = n.d[1]
	}
	more := take - have
	return weight4, v*int(pow10u32[more]) + int(next/pow10u32[numDigits-more])
}

// divScale is the display scale of x / y.
func divScale(x, y *num) int {
	w1, d1 := x.lead()
	w2, d2 := y.lead()
	q := w1 - w2
	if d1 <= d2 {
		q--
	}
	return clampScale(max(numMinSigDigits-q*4, x.dscale, y.dscale))
}

func clampScale(s int) int { return min(max(s, 0), numMaxDisplayScale) }

// NumericDiv appends a / b.
func NumericDiv(dst, a, b []byte) ([]byte, error) {
	var sa, sb numScratch
	x, y := decodeNum(a, &sa), decodeNum(b, &sb)
	if r, special, err := divSpecial(&x, &y); special {
		if err != nil {
			return dst, err
		}
		return appendNum(dst, r)
	}
	if len(y.d) == 0 {
		return dst, divisionByZero()
	}
	var sr numScratch
	r := divNum(&x, &y, divScale(&x, &y), true, &sr)
	return appendNum(dst, r)
}

// divSpecial handles quotients in which NaN or an infinity takes part.
func divSpecial(x, y *num) (r num, special bool, err error) {
	switch {
	case x.kind == numFinite && y.kind == numFinite:
		return r, false, nil
	case x.kind == numNaN || y.kind == numNaN, x.kind == numInf && y.kind == numInf:
		return num{kind: numNaN}, true, nil
	case y.kind == numInf:
		return r, true, nil
	case len(y.d) == 0:
		return r, true, divisionByZero()
	}
	return num{kind: numInf, neg: x.neg != y.neg}, true, nil
}

// NumericQuo appends the integer part of a / b: div(a, b).
func NumericQuo(dst, a, b []byte) ([]byte, error) {
	var sa, sb, sr numScratch
	x, y := decodeNum(a, &sa), decodeNum(b, &sb)
	if r, special, err := divSpecial(&x, &y); special {
		if err != nil {
			return dst, err
		}
		return appendNum(dst, r)
	}
	if len(y.d) == 0 {
		return dst, divisionByZero()
	}
	return appendNum(dst, divNum(&x, &y, 0, false, &sr))
}

// NumericRem appends a % b, with the sign of a.
func NumericRem(dst, a, b []byte) ([]byte, error) {
	var sa, sb, sq, sp, sr numScratch
	x, y := decodeNum(a, &sa), decodeNum(b, &sb)
	switch {
	case x.kind == numNaN || y.kind == numNaN:
		return append(dst, NumericNaN...), nil
	case x.kind == numInf:
		if y.kind == numFinite && len(y.d) == 0 {
			return dst, divisionByZero()
		}
		return append(dst, NumericNaN...), nil
	case y.kind == numInf:
		return appendNum(dst, x)
	case len(y.d) == 0:
		return dst, divisionByZero()
	}
	q := divNum(&x, &y, 0, false, &sq)
	p := mulNum(&q, &y, &sp)
	p.dscale = y.dscale
	p.neg = !p.neg && len(p.d) > 0
	return appendNum(dst, addNum(&x, &p, &sr))
}

// divNum is x / y (y not zero) to scale digits after the point, rounded half
// away from zero or cut.
func divNum(x, y *num, scale int, round bool, s *numScratch) num {
	r := num{dscale: max(scale, 0)}
	if len(x.d) == 0 {
		return r
	}
	// Quotient digits down to one group below the last one wanted.
	low := floorDiv(-scale, numDigits) - 1
	top := x.weight - y.weight // weight of the first quotient digit, perhaps 0
	n := top - low + 1
	if n <= 0 {
		return r
	}
	// The numerator is cut or extended to n + len(y) - 1 digits, so that the
	// integer quotient has n digits.
	nd := n + len(y.d) - 1
	var mem [24]uint32
	var u []uint32
	if nd+1 <= len(mem) {
		u = mem[:nd+1]
	} else {
		u = make([]uint32, nd+1)
	}
	copy(u[1:], x.d[:min(len(x.d), nd)])
	q := s.take(n)
	if len(y.d) == 1 {
		v, rem := uint64(y.d[0]), uint64(0)
		for i := range q {
			c := rem*numBase + uint64(u[i+1])
			q[i], rem = uint32(c/v), c%v
		}
	} else {
		divLong(q, u, y.d)
	}
	r.d, r.weight, r.neg = q, top, x.neg != y.neg
	// Digits of x beyond nd cannot reach the digits kept, except through the
	// truncation, which rounding half away does not see.
	dscale, neg := r.dscale, r.neg
	r.strip()
	if round {
		r = r.round(scale)
	} else {
		r = r.trunc(scale)
	}
	r.dscale = dscale
	r.neg = neg && len(r.d) > 0
	return r
}

// divLong divides u (with a leading zero digit) by v of at least two digits
// into len(u)-len(v) quotient digits (Knuth, Algorithm D). u is used up.
func divLong(q, u, v []uint32) {
	m := len(v)
	// Normalise: the divisor's first digit at least half the base.
	var vmem [24]uint32
	if d := uint64(numBase) / (uint64(v[0]) + 1); d > 1 {
		vn := vmem[:0]
		if m > len(vmem) {
			vn = make([]uint32, 0, m)
		}
		vn = vn[:m]
		carry := uint64(0)
		for i := m - 1; i >= 0; i-- {
			c := uint64(v[i])*d + carry
			vn[i], carry = uint32(c%numBase), c/numBase
		}
		v = vn
		carry = 0
		for i := len(u) - 1; i >= 0; i-- {
			c := uint64(u[i])*d + carry
			u[i], carry = uint32(c%numBase), c/numBase
		}
	}
	v0, v1 := uint64(v[0]), uint64(v[1])
	for j := range q {
		w := u[j : j+m+1]
		c := uint64(w[0])*numBase + uint64(w[1])
		qh, rh := c/v0, c%v0
		for qh >= numBase || qh*v1 > rh*numBase+uint64(w[2]) {
			qh--
			if rh += v0; rh >= numBase {
				break
			}
		}
		borrow, carry := int64(0), uint64(0)
		for i := m; i > 0; i-- {
			p := qh*uint64(v[i-1]) + carry
			carry = p / numBase
			t := int64(w[i]) - borrow - int64(p%numBase)
			borrow = 0
			if t < 0 {
				t += numBase
				borrow = 1
			}
			w[i] = uint32(t)
		}
		t := int64(w[0]) - borrow - int64(carry)
		if t < 0 { // the estimate was one too large
			qh--
			c := uint32(0)
			for i := m; i > 0; i-- {
				x := w[i] + v[i-1] + c
				c = 0
				if x >= numBase {
					x -= numBase
					c = 1
				}
				w[i] = x
			}
			t += int64(c)
		}
		w[0] = uint32(t)
		q[j] = uint32(qh)
	}
}

// NumericDivInt appends a / n where n is a count, as avg does.
func NumericDivInt(dst, a []byte, n int64) ([]byte, error) {
	var buf [16]byte
	return NumericDiv(dst, a, NumericFromInt64(buf[:0], n, 0))
}
