package types

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The variable form of a numeric (LayoutView; also inside jsonb, arrays and
// records), little-endian:
//
//	uint16  bits 0..13 display scale; bits 14..15: 0 positive or zero, 1 negative,
//	        2 special (then bits 0..13: 0 -Infinity, 1 Infinity, 2 NaN)
//	int16   weight: the exponent, in base 10^9, of the first digit   } absent for
//	uint32… digits in base 10^9, most significant first              } zero and specials
//
// First and last digit are not zero, so two equal numbers differ at most in the
// display scale. Digits are aligned at the decimal point: comparing and hashing
// need no multiplication. Most numbers take at most 12 bytes, a view's inside.

const (
	numBase      = 1_000_000_000
	numDigits    = 9 // decimal digits in a base-10^9 digit
	numScaleMask = 1<<14 - 1
	numNeg       = 1 << 14
	numSpecial   = 2 << 14

	// Bounds of PostgreSQL's format: 131072 digits before the point, 16383
	// after.
	numMaxWeight10 = 131071 // exponent of the first decimal digit
	numMaxScale    = numScaleMask
)

type numKind uint8

const (
	numFinite numKind = iota
	numNaN
	numInf
)

// num is a numeric taken apart. d has neither leading nor trailing zeros and
// is empty for zero. It may alias the source's scratch space.
type num struct {
	d      []uint32
	weight int
	dscale int
	neg    bool
	kind   numKind
}

// numScratch is room for the digits of common numbers, so that arithmetic on
// them stays on the stack.
type numScratch [12]uint32

// decodeNum takes a form apart. The digits are copied to s, or to the heap when
// there are many.
func decodeNum(b []byte, s *numScratch) num {
	h := binary.LittleEndian.Uint16(b)
	var n num
	switch h >> 14 {
	case 2:
		switch h & numScaleMask {
		case 0:
			return num{kind: numInf, neg: true}
		case 1:
			return num{kind: numInf}
		}
		return num{kind: numNaN}
	case 1:
		n.neg = true
	}
	n.dscale = int(h & numScaleMask)
	if len(b) < 8 {
		return n
	}
	n.weight = int(int16(binary.LittleEndian.Uint16(b[2:])))
	k := (len(b) - 4) / 4
	if k <= len(s) {
		n.d = s[:k]
	} else {
		n.d = make([]uint32, k)
	}
	for i := range n.d {
		n.d[i] = binary.LittleEndian.Uint32(b[4+4*i:])
	}
	return n
}

// strip removes leading and trailing zero digits and the sign of zero.
func (n *num) strip() {
	for len(n.d) > 0 && n.d[0] == 0 {
		n.d = n.d[1:]
		n.weight--
	}
	for len(n.d) > 0 && n.d[len(n.d)-1] == 0 {
		n.d = n.d[:len(n.d)-1]
	}
	if len(n.d) == 0 && n.kind == numFinite {
		n.weight, n.neg = 0, false
	}
}

// appendNum appends the form of n. It fails when n is beyond the format.
func appendNum(dst []byte, n num) ([]byte, error) {
	switch n.kind {
	case numNaN:
		return binary.LittleEndian.AppendUint16(dst, numSpecial|2), nil
	case numInf:
		if n.neg {
			return binary.LittleEndian.AppendUint16(dst, numSpecial), nil
		}
		return binary.LittleEndian.AppendUint16(dst, numSpecial|1), nil
	}
	n.strip()
	if n.dscale > numMaxScale || n.exp10() > numMaxWeight10 {
		return dst, numOverflow()
	}
	h := uint16(n.dscale)
	if n.neg {
		h |= numNeg
	}
	dst = binary.LittleEndian.AppendUint16(dst, h)
	if len(n.d) == 0 {
		return dst, nil
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(int16(n.weight)))
	for _, d := range n.d {
		dst = binary.LittleEndian.AppendUint32(dst, d)
	}
	return dst, nil
}

func numOverflow() error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value overflows numeric format")
}

// exp10 is the exponent of the first decimal digit of a stripped number.
func (n *num) exp10() int {
	if len(n.d) == 0 {
		return -numMaxScale
	}
	return n.weight*numDigits + digits10(n.d[0]) - 1
}

// digits10 is the number of decimal digits of v > 0.
func digits10(v uint32) int {
	n := 1
	for ; v >= 10; v /= 10 {
		n++
	}
	return n
}

var pow10u32 = [10]uint32{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// The special numerics in their form.
var (
	NumericNaN    = string([]byte{2, 0x80})
	NumericInf    = string([]byte{1, 0x80})
	NumericNegInf = string([]byte{0, 0x80})
	NumericZero   = string([]byte{0, 0})
)

// floorDiv is a/b rounded down; b > 0.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// groups packs decimal digits '0'..'9', of which the first has exponent exp10,
// into base-10^9 digits. s gives room when there is enough.
func groups(digits []byte, exp10 int, s *numScratch) (d []uint32, weight int) {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
		exp10--
	}
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	if len(digits) == 0 {
		return nil, 0
	}
	weight = floorDiv(exp10, numDigits)
	first := exp10 - weight*numDigits + 1 // decimal digits in the first group
	k := 1
	if len(digits) > first {
		k += (len(digits) - first + numDigits - 1) / numDigits
	}
	if k <= len(s) {
		d = s[:k]
	} else {
		d = make([]uint32, k)
	}
	w := first
	for i := range d {
		var v uint32
		for j := 0; j < w; j++ {
			v *= 10
			if j < len(digits) {
				v += uint32(digits[j] - '0')
			}
		}
		d[i] = v
		digits = digits[min(w, len(digits)):]
		w = numDigits
	}
	return d, weight
}

// ParseNumeric appends the form of the number that s spells.
func ParseNumeric(dst, s []byte) ([]byte, error) {
	var sc numScratch
	n, err := parseNum(s, &sc)
	if err != nil {
		return dst, err
	}
	return appendNum(dst, n)
}

func parseNum(s []byte, sc *numScratch) (num, error) {
	t := trimSpace(s)
	var n num
	if len(t) > 0 && (t[0] == '-' || t[0] == '+') {
		n.neg, t = t[0] == '-', t[1:]
	}
	if len(t) == 0 {
		return n, badSyntax("numeric", s)
	}
	if c := t[0]; c != '.' && !isDigit(c) {
		switch {
		case foldEqual(t, "nan") && len(trimSpace(s)) == 3: // no sign before NaN
			return num{kind: numNaN}, nil
		case foldEqual(t, "infinity"), foldEqual(t, "inf"):
			n.kind = numInf
			return n, nil
		}
		return n, badSyntax("numeric", s)
	}
	if len(t) > 1 && t[0] == '0' {
		switch t[1] | 0x20 {
		case 'x', 'o', 'b':
			return parseNumBase(s, t, n.neg)
		}
	}
	// Collect the digits; the common case needs no copy across the point.
	var buf [64]byte
	digits := buf[:0]
	intDigits, point := 0, false
	i := 0
	for ; i < len(t); i++ {
		c := t[i]
		switch {
		case isDigit(c):
			digits = append(digits, c)
			if !point {
				intDigits++
			}
			continue
		case c == '.' && !point:
			point = true
			continue
		case c == '_' && i > 0 && isDigit(t[i-1]) && i+1 < len(t) && isDigit(t[i+1]):
			continue
		}
		break
	}
	if len(digits) == 0 {
		return n, badSyntax("numeric", s)
	}
	exp := 0
	if i < len(t) && t[i]|0x20 == 'e' {
		i++
		neg := false
		if i < len(t) && (t[i] == '-' || t[i] == '+') {
			neg = t[i] == '-'
			i++
		}
		start := i
		for ; i < len(t); i++ {
			if t[i] == '_' && i > start && isDigit(t[i-1]) && i+1 < len(t) && isDigit(t[i+1]) {
				continue
			}
			if !isDigit(t[i]) {
				break
			}
			if exp = exp*10 + int(t[i]-'0'); exp > math.MaxInt32/2 {
				return n, numOverflow()
			}
		}
		if i == start {
			return n, badSyntax("numeric", s)
		}
		if neg {
			exp = -exp
		}
	}
	if i < len(t) {
		return n, badSyntax("numeric", s)
	}
	n.dscale = max(len(digits)-intDigits-exp, 0)
	if n.dscale > numMaxScale {
		return n, numOverflow()
	}
	if exp > numMaxWeight10 {
		for _, c := range digits {
			if c != '0' {
				return n, numOverflow()
			}
		}
	}
	n.d, n.weight = groups(digits, intDigits-1+exp, sc)
	if len(n.d) == 0 {
		n.neg = false
	}
	if n.exp10() > numMaxWeight10 {
		return n, numOverflow()
	}
	return n, nil
}

// parseNumBase reads 0x, 0o and 0b integers.
func parseNumBase(s, t []byte, neg bool) (num, error) {
	base := uint64(16)
	switch t[1] | 0x20 {
	case 'o':
		base = 8
	case 'b':
		base = 2
	}
	t = t[2:]
	if len(t) > 0 && t[0] == '_' {
		t = t[1:]
	}
	if len(t) == 0 {
		return num{}, badSyntax("numeric", s)
	}
	var d []uint32 // least significant first
	for i, c := range t {
		v := hexVal(c)
		if c == '_' && i > 0 && t[i-1] != '_' && i+1 < len(t) {
			continue
		}
		if v < 0 || uint64(v) >= base {
			return num{}, badSyntax("numeric", s)
		}
		carry := uint64(v)
		for j := range d {
			x := uint64(d[j])*base + carry
			d[j], carry = uint32(x%numBase), x/numBase
		}
		if carry > 0 {
			d = append(d, uint32(carry))
		}
		if len(d) > numMaxWeight10/numDigits+1 {
			return num{}, numOverflow()
		}
	}
	for i, j := 0, len(d)-1; i < j; i, j = i+1, j-1 {
		d[i], d[j] = d[j], d[i]
	}
	n := num{d: d, weight: len(d) - 1, neg: neg}
	n.strip()
	return n, nil
}

// digit is the base-10^9 digit of exponent w.
func (n *num) digit(w int) uint32 {
	if i := n.weight - w; i >= 0 && i < len(n.d) {
		return n.d[i]
	}
	return 0
}

// AppendNumeric appends the text of a numeric.
func AppendNumeric(dst, b []byte) []byte {
	var s numScratch
	n := decodeNum(b, &s)
	return appendNumText(dst, &n)
}

func appendNumText(dst []byte, n *num) []byte {
	switch n.kind {
	case numNaN:
		return append(dst, "NaN"...)
	case numInf:
		if n.neg {
			return append(dst, "-Infinity"...)
		}
		return append(dst, "Infinity"...)
	}
	if n.neg {
		dst = append(dst, '-')
	}
	if len(n.d) == 0 || n.weight < 0 {
		dst = append(dst, '0')
	} else {
		dst = strconv.AppendUint(dst, uint64(n.d[0]), 10)
		for w := n.weight - 1; w >= 0; w-- {
			dst = append9(dst, n.digit(w))
		}
	}
	if n.dscale > 0 {
		dst = append(dst, '.')
		end := len(dst) + n.dscale
		for w := -1; len(dst) < end; w-- {
			dst = append9(dst, n.digit(w))
		}
		dst = dst[:end]
	}
	return dst
}

// append9 appends v as nine digits.
func append9(dst []byte, v uint32) []byte {
	a, b := int(v/100000), int(v%100000) // 4 and 5 digits
	dst = append2(dst, a/100)
	dst = append2(dst, a%100)
	dst = append(dst, byte('0'+b/10000))
	b %= 10000
	dst = append2(dst, b/100)
	return append2(dst, b%100)
}

// NumericDScale is the number of digits printed after the point.
func NumericDScale(b []byte) int {
	h := binary.LittleEndian.Uint16(b)
	if h>>14 == 2 {
		return 0
	}
	return int(h & numScaleMask)
}

// NumericIsNaN and NumericIsInf classify a numeric; the sign of an infinity is
// given by NumericSign.
func NumericIsNaN(b []byte) bool { return binary.LittleEndian.Uint16(b) == numSpecial|2 }

// NumericIsInf says whether b is an infinity of either sign.
func NumericIsInf(b []byte) bool {
	h := binary.LittleEndian.Uint16(b)
	return h == numSpecial || h == numSpecial|1
}

// NumericSign is -1, 0 or 1; 1 for NaN, which is above all numbers.
func NumericSign(b []byte) int {
	switch h := binary.LittleEndian.Uint16(b); {
	case h>>14 == 1 || h == numSpecial:
		return -1
	case h>>14 == 0 && len(b) < 8:
		return 0
	}
	return 1
}

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

// round rounds half away from zero to scale digits after the point (negative:
// before it). It does not touch dscale.
func (n num) round(scale int) num {
	if n.kind != numFinite || len(n.d) == 0 {
		return n
	}
	last := floorDiv(-scale, numDigits)
	drop := -scale - last*numDigits // decimal digits of group `last` that go
	k := n.weight - last            // index of group `last`
	switch {
	case k < -1, k == -1 && drop > 0:
		n.d = nil // below half a unit: the unit is above every digit
	case k == -1:
		// The unit is the lowest digit of the group just above the first.
		if n.d[0] >= numBase/2 {
			n.d = append(n.d[:0], 1)
			n.weight++
		} else {
			n.d = nil
		}
	case k >= len(n.d):
		return n
	default:
		up := false
		if drop > 0 {
			p := pow10u32[drop]
			up = n.d[k]%p >= p/2
			n.d[k] -= n.d[k] % p
		} else if k+1 < len(n.d) {
			up = n.d[k+1] >= numBase/2
		}
		n.d = n.d[:k+1]
		if up {
			add := pow10u32[drop]
			for i := k; ; i-- {
				if i < 0 {
					d := append(n.d, 0)
					copy(d[1:], d)
					d[0] = 1
					n.d = d
					n.weight++
					break
				}
				n.d[i] += add
				if n.d[i] < numBase {
					break
				}
				n.d[i] -= numBase
				add = 1
			}
		}
	}
	n.strip()
	return n
}

// trunc cuts to scale digits after the point.
func (n num) trunc(scale int) num {
	if n.kind != numFinite || len(n.d) == 0 {
		return n
	}
	last := floorDiv(-scale, numDigits)
	drop := -scale - last*numDigits
	k := n.weight - last
	switch {
	case k < 0:
		n.d = nil
	case k < len(n.d):
		n.d = n.d[:k+1]
		n.d[k] -= n.d[k] % pow10u32[drop]
	}
	n.strip()
	return n
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

// CompareNumeric orders two numerics in the variable form: -Infinity, numbers,
// Infinity, NaN.
func CompareNumeric(a, b []byte) int {
	ha, hb := binary.LittleEndian.Uint16(a), binary.LittleEndian.Uint16(b)
	if ha>>14 == 2 || hb>>14 == 2 {
		return sign(numRank(ha) - numRank(hb))
	}
	sa, sb := NumericSign(a), NumericSign(b)
	if sa != sb {
		if sa < sb {
			return -1
		}
		return 1
	}
	if sa == 0 {
		return 0
	}
	return sa * cmpDigits(a, b)
}

func numRank(h uint16) int {
	switch h {
	case numSpecial:
		return -1
	case numSpecial | 1:
		return 1
	case numSpecial | 2:
		return 2
	}
	return 0
}

// cmpDigits compares the magnitudes of two forms that have digits.
func cmpDigits(a, b []byte) int {
	wa, wb := int16(binary.LittleEndian.Uint16(a[2:])), int16(binary.LittleEndian.Uint16(b[2:]))
	if wa != wb {
		if wa < wb {
			return -1
		}
		return 1
	}
	a, b = a[4:], b[4:]
	for len(a) >= 4 && len(b) >= 4 {
		x, y := binary.LittleEndian.Uint32(a), binary.LittleEndian.Uint32(b)
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
		a, b = a[4:], b[4:]
	}
	switch {
	case len(a) > len(b):
		return 1
	case len(a) < len(b):
		return -1
	}
	return 0
}
