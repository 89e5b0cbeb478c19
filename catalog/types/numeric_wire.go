package types

import (
	"bytes"
	"encoding/binary"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The wire form of numeric is PostgreSQL's: int16 count of base-10^4 digits,
// int16 weight of the first, uint16 sign, int16 display scale, digits.
const (
	wireNeg    = 0x4000
	wireNaN    = 0xC000
	wireInf    = 0xD000
	wireNegInf = 0xF000
)

// AppendNumericBinary appends the wire form of a numeric in the variable form.
func AppendNumericBinary(dst, b []byte) []byte {
	var s numScratch
	n := decodeNum(b, &s)
	switch n.kind {
	case numNaN:
		return append(dst, 0, 0, 0, 0, wireNaN>>8, 0, 0, 0)
	case numInf:
		sign := byte(wireInf >> 8)
		if n.neg {
			sign = wireNegInf >> 8
		}
		return append(dst, 0, 0, 0, 0, sign, 0, 0, 0x20) // the scale is an accident that PostgreSQL keeps
	}
	var buf [128]byte
	t := appendNumText(buf[:0], &n)
	return appendWireDigits(dst, t, n.dscale)
}

// AppendDecimalBinary appends the wire form of v × 10^-scale.
func AppendDecimalBinary(dst []byte, v Int128, scale int) []byte {
	var buf [48]byte
	return appendWireDigits(dst, AppendDecimal128(buf[:0], v, scale), scale)
}

// appendWireDigits packs a decimal text.
func appendWireDigits(dst, t []byte, scale int) []byte {
	sign := 0
	if t[0] == '-' {
		sign = wireNeg
		t = t[1:]
	}
	ints, frac := t, []byte(nil)
	if i := bytes.IndexByte(t, '.'); i >= 0 {
		ints, frac = t[:i], t[i+1:]
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	body := len(dst)
	weight := (len(ints) + 3) / 4
	first := len(ints) - (weight-1)*4
	put := func(g []byte, pad int) {
		v := uint16(0)
		for _, c := range g {
			v = v*10 + uint16(c-'0')
		}
		for ; pad > 0; pad-- {
			v *= 10
		}
		if v == 0 && len(dst) == body {
			weight-- // a leading zero digit
			return
		}
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	put(ints[:first], 0)
	for i := first; i < len(ints); i += 4 {
		put(ints[i:i+4], 0)
	}
	for i := 0; i < len(frac); i += 4 {
		g := frac[i:min(i+4, len(frac))]
		put(g, 4-len(g))
	}
	for len(dst) > body && dst[len(dst)-1]|dst[len(dst)-2] == 0 {
		dst = dst[:len(dst)-2]
	}
	n := (len(dst) - body) / 2
	weight--
	if n == 0 {
		weight, sign = 0, 0
	}
	binary.BigEndian.PutUint16(dst[at:], uint16(n))
	binary.BigEndian.PutUint16(dst[at+2:], uint16(int16(weight)))
	binary.BigEndian.PutUint16(dst[at+4:], uint16(sign))
	binary.BigEndian.PutUint16(dst[at+6:], uint16(scale))
	return dst
}

// readNum reads the wire form.
func readNum(s []byte, sc *numScratch) (num, error) {
	var n num
	if len(s) < 8 {
		return n, shortBinary()
	}
	count := int(binary.BigEndian.Uint16(s))
	weight := int(int16(binary.BigEndian.Uint16(s[2:])))
	sign := binary.BigEndian.Uint16(s[4:])
	dscale := int(binary.BigEndian.Uint16(s[6:]))
	if len(s) < 8+2*count {
		return n, shortBinary()
	}
	if len(s) > 8+2*count {
		return n, badBinary()
	}
	switch sign {
	case 0:
	case wireNeg:
		n.neg = true
	case wireNaN:
		return num{kind: numNaN}, nil
	case wireInf:
		return num{kind: numInf}, nil
	case wireNegInf:
		return num{kind: numInf, neg: true}, nil
	default:
		return n, sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "invalid sign in external \"numeric\" value")
	}
	if dscale > numMaxScale {
		return n, sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "invalid scale in external \"numeric\" value")
	}
	var buf [128]byte
	digits := buf[:0]
	for i := 0; i < count; i++ {
		d := int(binary.BigEndian.Uint16(s[8+2*i:]))
		if d > 9999 {
			return n, sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "invalid digit in external \"numeric\" value")
		}
		digits = append2(append2(digits, d/100), d%100)
	}
	n.dscale = dscale
	n.d, n.weight = groups(digits, weight*4+3, sc)
	n = n.trunc(dscale)
	n.strip()
	return n, nil
}

// ReadDecimal reads the wire form as a value of t's scaled layout.
func ReadDecimal(t T, s []byte) (Int128, error) {
	var sc numScratch
	n, err := readNum(s, &sc)
	if err != nil {
		return Int128{}, err
	}
	return n.scaled(t)
}
