package types

import (
	"math"
	"strconv"
)

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
