package types

import (
	"encoding/binary"

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
