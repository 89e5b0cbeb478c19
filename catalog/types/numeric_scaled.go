package types

import (
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// numericFieldOverflow is 22003 as a column of this precision raises it.
func numericFieldOverflow(precision, scale int, inf bool) error {
	e := sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "numeric field overflow")
	if inf {
		return e.WithDetail("A field with precision %d, scale %d cannot hold an infinite value.", precision, scale)
	}
	unit := "1"
	if p := precision - scale; p != 0 {
		unit = "10^" + strconv.Itoa(p)
	}
	return e.WithDetail("A field with precision %d, scale %d must round to an absolute value less than %s.",
		precision, scale, unit)
}

// NumericFieldOverflow is the error for a value beyond a numeric's typmod.
func NumericFieldOverflow(mod int32) error {
	p, s, _ := NumericMod(mod)
	return numericFieldOverflow(p, s, false)
}

// fit applies a typmod: rounds to its scale, or fails.
func (n num) fit(mod int32) (num, error) {
	p, s, ok := NumericMod(mod)
	if !ok || n.kind == numNaN {
		return n, nil
	}
	if n.kind == numInf {
		return n, numericFieldOverflow(p, s, true)
	}
	n = n.round(s)
	n.dscale = max(s, 0)
	if len(n.d) > 0 && n.exp10() >= p-s {
		return n, numericFieldOverflow(p, s, false)
	}
	return n, nil
}

// FitNumeric appends numeric b with a typmod applied: rounded to its scale, or
// 22003.
func FitNumeric(dst, b []byte, mod int32) ([]byte, error) {
	var sc numScratch
	n, err := decodeNum(b, &sc).fit(mod)
	if err != nil {
		return dst, err
	}
	return appendNum(dst, n)
}

// FitDecimal checks a scaled value against a typmod's precision.
func FitDecimal(v Int128, mod int32) error {
	p, _, ok := NumericMod(mod)
	if !ok || p > NumericDigitsI128 {
		return nil
	}
	hi, lo := v.Abs()
	if m := Pow10I128[p]; hi > uint64(m.Hi) || hi == uint64(m.Hi) && lo >= m.Lo {
		return NumericFieldOverflow(mod)
	}
	return nil
}

// ParseDecimal64 reads a number of at most 18 digits scaled by 10^t.Scale,
// rounded half away from zero, within t's precision.
func ParseDecimal64(s []byte, t T) (int64, error) {
	u, neg, ok := scanDecimal(s, int(t.Scale))
	if ok {
		limit := int64(1e18)
		if p, _, has := NumericMod(t.Mod); has && p < 18 {
			limit = Pow10I64[p]
		}
		if u < uint64(limit) {
			if neg {
				return -int64(u), nil
			}
			return int64(u), nil
		}
	}
	v, err := parseDecimalSlow(s, t)
	if err != nil {
		return 0, err
	}
	x, ok := v.Int64()
	if !ok {
		return 0, numericFieldOverflow(18, int(t.Scale), false)
	}
	return x, nil
}

// ParseDecimal128 is ParseDecimal64 for at most 38 digits.
func ParseDecimal128(s []byte, t T) (Int128, error) {
	if u, neg, ok := scanDecimal(s, int(t.Scale)); ok {
		if p, _, has := NumericMod(t.Mod); !has || p >= 18 || u < uint64(Pow10I64[p]) {
			v := int64(u)
			if neg {
				v = -v
			}
			return I128(v), nil
		}
	}
	return parseDecimalSlow(s, t)
}

// scanDecimal reads [-]ddd[.ddd] of at most scale digits after the point, as an
// integer scaled by 10^scale, below 10^18.
func scanDecimal(s []byte, scale int) (u uint64, neg, ok bool) {
	if len(s) > 0 && s[0] == '-' {
		neg, s = true, s[1:]
	}
	n := len(s)
	if n == 0 || n > 19 || scale > 18 {
		return 0, false, false
	}
	i := 0
	for ; i < n; i++ {
		c := s[i] - '0'
		if c > 9 {
			break
		}
		u = u*10 + uint64(c)
	}
	ints := i
	frac := 0
	if i < n {
		if s[i] != '.' {
			return 0, false, false
		}
		for i++; i < n; i++ {
			c := s[i] - '0'
			if c > 9 {
				return 0, false, false
			}
			u = u*10 + uint64(c)
			frac++
		}
	}
	if ints+frac == 0 || frac > scale || ints+scale > 18 {
		return 0, false, false
	}
	return u * uint64(Pow10I64[scale-frac]), neg, true
}

func parseDecimalSlow(s []byte, t T) (Int128, error) {
	var sc numScratch
	n, err := parseNum(s, &sc)
	if err != nil {
		return Int128{}, err
	}
	return n.scaled(t)
}

// scaled is the value in t's scaled layout.
func (n num) scaled(t T) (Int128, error) {
	if n.kind == numNaN {
		return Int128{}, sqlstate.Unsupported("NaN in a value of type %s", FormatType(NumericOID, t.Mod))
	}
	n, err := n.fit(t.Mod)
	if err != nil {
		return Int128{}, err
	}
	v, ok := n.toI128(int(t.Scale))
	if !ok {
		return v, sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value overflows numeric format")
	}
	return v, nil
}

// NumericScaled converts the variable form to t's scaled layout, rounding, or
// fails with 22003.
func NumericScaled(b []byte, t T) (Int128, error) {
	var sc numScratch
	n := decodeNum(b, &sc)
	return n.scaled(t)
}
