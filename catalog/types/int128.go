package types

import (
	"math"
	"math/big"
	"math/bits"
)

// MaxInt128 and MinInt128 bound an Int128.
var (
	MaxInt128 = Int128{Lo: math.MaxUint64, Hi: math.MaxInt64}
	MinInt128 = Int128{Lo: 0, Hi: math.MinInt64}
)

// Pow10I64 holds 10^0 .. 10^18; Pow10I128 holds 10^0 .. 10^38.
var (
	Pow10I64  [19]int64
	Pow10I128 [39]Int128
)

func init() {
	Pow10I64[0] = 1
	for i := 1; i < len(Pow10I64); i++ {
		Pow10I64[i] = Pow10I64[i-1] * 10
	}
	Pow10I128[0] = Int128{Lo: 1}
	for i := 1; i < len(Pow10I128); i++ {
		Pow10I128[i], _ = Pow10I128[i-1].MulInt64(10)
	}
}

// I128 widens an int64.
func I128(v int64) Int128 { return Int128{Lo: uint64(v), Hi: v >> 63} }

// Sign is -1, 0 or 1.
func (a Int128) Sign() int {
	if a.Hi < 0 {
		return -1
	}
	if a.Hi|int64(a.Lo) == 0 {
		return 0
	}
	return 1
}

// Int64 is the value as an int64; ok is false when it does not fit.
func (a Int128) Int64() (v int64, ok bool) {
	return int64(a.Lo), a.Hi == int64(a.Lo)>>63
}

// Cmp is -1, 0 or 1 as a is less than, equal to or greater than b.
func (a Int128) Cmp(b Int128) int {
	switch {
	case a.Hi < b.Hi:
		return -1
	case a.Hi > b.Hi:
		return 1
	case a.Lo < b.Lo:
		return -1
	case a.Lo > b.Lo:
		return 1
	}
	return 0
}

// Less says whether a < b.
func (a Int128) Less(b Int128) bool {
	return a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo
}

// AddWrap is a+b modulo 2^128.
func (a Int128) AddWrap(b Int128) Int128 {
	lo, c := bits.Add64(a.Lo, b.Lo, 0)
	return Int128{lo, int64(uint64(a.Hi) + uint64(b.Hi) + c)}
}

// Add is a+b; ok is false on overflow.
func (a Int128) Add(b Int128) (r Int128, ok bool) {
	r = a.AddWrap(b)
	return r, (a.Hi^r.Hi)&(b.Hi^r.Hi) >= 0
}

// SubWrap is a-b modulo 2^128.
func (a Int128) SubWrap(b Int128) Int128 {
	lo, c := bits.Sub64(a.Lo, b.Lo, 0)
	return Int128{lo, int64(uint64(a.Hi) - uint64(b.Hi) - c)}
}

// Sub is a-b; ok is false on overflow.
func (a Int128) Sub(b Int128) (r Int128, ok bool) {
	r = a.SubWrap(b)
	return r, (a.Hi^b.Hi)&(a.Hi^r.Hi) >= 0
}

// Neg is -a; the least value stays itself.
func (a Int128) Neg() Int128 { return Int128{}.SubWrap(a) }

// Abs is the magnitude as two unsigned words.
func (a Int128) Abs() (hi, lo uint64) {
	if a.Hi < 0 {
		a = a.Neg()
	}
	return uint64(a.Hi), a.Lo
}

// fromAbs puts a sign to a magnitude; ok is false when it does not fit.
func fromAbs(neg bool, hi, lo uint64) (Int128, bool) {
	r := Int128{lo, int64(hi)}
	if neg {
		r = r.Neg()
		return r, r.Hi < 0 || hi|lo == 0
	}
	return r, r.Hi >= 0
}

// MulInt64s is the full product of two int64.
func MulInt64s(a, b int64) Int128 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return Int128{lo, int64(hi) - (a>>63)&b - (b>>63)&a}
}

// MulInt64 is a*b; ok is false on overflow.
func (a Int128) MulInt64(b int64) (Int128, bool) {
	if a.Hi == int64(a.Lo)>>63 {
		return MulInt64s(int64(a.Lo), b), true
	}
	return a.Mul(I128(b))
}

// Mul is a*b; ok is false on overflow.
func (a Int128) Mul(b Int128) (Int128, bool) {
	ah, al := a.Abs()
	bh, bl := b.Abs()
	if ah != 0 && bh != 0 {
		return Int128{}, false
	}
	hi, lo := bits.Mul64(al, bl)
	o1, x := bits.Mul64(ah, bl)
	o2, y := bits.Mul64(al, bh)
	hi, c1 := bits.Add64(hi, x, 0)
	hi, c2 := bits.Add64(hi, y, 0)
	r, ok := fromAbs(a.Hi^b.Hi < 0, hi, lo)
	return r, ok && o1|o2|c1|c2 == 0
}

// divU128 divides unsigned 128-bit numbers.
func divU128(nh, nl, dh, dl uint64) (qh, ql, rh, rl uint64) {
	if dh == 0 {
		if nh == 0 {
			return 0, nl / dl, 0, nl % dl
		}
		qh, r := nh/dl, nh%dl
		ql, r = bits.Div64(r, nl, dl)
		return qh, ql, 0, r
	}
	// The quotient has at most 64 bits. Knuth's estimate from the top words is
	// at most one too large after normalisation.
	s := uint(bits.LeadingZeros64(dh))
	vh := dh<<s | dl>>1>>(63-s)
	q, _ := bits.Div64(nh>>1, nh<<63|nl>>1, vh)
	q = q >> (63 - s)
	if q != 0 {
		q--
	}
	ph, pl := bits.Mul64(q, dl)
	ph += q * dh
	rl, b := bits.Sub64(nl, pl, 0)
	rh, _ = bits.Sub64(nh, ph, b)
	for rh > dh || rh == dh && rl >= dl {
		q++
		rl, b = bits.Sub64(rl, dl, 0)
		rh, _ = bits.Sub64(rh, dh, b)
	}
	return 0, q, rh, rl
}

// QuoRem is the quotient truncated toward zero and the remainder with the sign
// of a. b must not be zero.
func (a Int128) QuoRem(b Int128) (q, r Int128) {
	ah, al := a.Abs()
	bh, bl := b.Abs()
	qh, ql, rh, rl := divU128(ah, al, bh, bl)
	q, r = Int128{ql, int64(qh)}, Int128{rl, int64(rh)}
	if a.Hi^b.Hi < 0 {
		q = q.Neg()
	}
	if a.Hi < 0 {
		r = r.Neg()
	}
	return q, r
}

// QuoRemInt64 is QuoRem by an int64.
func (a Int128) QuoRemInt64(b int64) (q Int128, r int64) {
	q, r1 := a.QuoRem(I128(b))
	return q, int64(r1.Lo)
}

// DivRound is a/b rounded half away from zero, as numeric rounds. b must not be
// zero.
func (a Int128) DivRound(b Int128) Int128 {
	q, r := a.QuoRem(b)
	rh, rl := r.Abs()
	bh, bl := b.Abs()
	// 2|r| >= |b|, written so that it cannot overflow.
	dl, c := bits.Sub64(bl, rl, 0)
	dh, _ := bits.Sub64(bh, rh, c)
	if rh > dh || rh == dh && rl >= dl {
		if a.Hi^b.Hi < 0 {
			return q.SubWrap(Int128{Lo: 1})
		}
		return q.AddWrap(Int128{Lo: 1})
	}
	return q
}

// Rescale changes the scale of a decimal from one number of digits after the
// point to another, rounding half away from zero; ok is false on overflow.
func (a Int128) Rescale(from, to int) (Int128, bool) {
	switch {
	case to == from:
		return a, true
	case to > from:
		if to-from > 38 {
			return Int128{}, a.Sign() == 0
		}
		return a.Mul(Pow10I128[to-from])
	case from-to > 38:
		return Int128{}, true
	}
	return a.DivRound(Pow10I128[from-to]), true
}

// RescaleI64 is Rescale for values and results of 64 bits.
func RescaleI64(v int64, from, to int) (int64, bool) {
	switch {
	case to == from:
		return v, true
	case to > from:
		if to-from > 18 {
			return 0, v == 0
		}
		return MulInt64s(v, Pow10I64[to-from]).Int64()
	case from-to > 18:
		if from-to == 19 && (v >= 5e18 || v <= -5e18) {
			return 1 | v>>63, true
		}
		return 0, true
	}
	return divRoundI64(v, Pow10I64[from-to]), true
}

// divRoundI64 is v/p rounded half away from zero; p > 0.
func divRoundI64(v, p int64) int64 {
	q, r := v/p, v%p
	if r < 0 {
		if r <= -(p - p/2) {
			q--
		}
	} else if r >= p-p/2 {
		q++
	}
	return q
}

// Float64 is the nearest float (within one unit in the last place).
func (a Int128) Float64() float64 {
	hi, lo := a.Abs()
	f := float64(hi)*0x1p64 + float64(lo)
	if a.Hi < 0 {
		return -f
	}
	return f
}

// I128FromFloat truncates f; ok is false when it does not fit.
func I128FromFloat(f float64) (Int128, bool) {
	if !(f > -0x1p127 && f < 0x1p127) {
		return Int128{}, false
	}
	neg := f < 0
	f = math.Trunc(math.Abs(f))
	hi := math.Floor(f / 0x1p64)
	r, _ := fromAbs(neg, uint64(hi), uint64(f-hi*0x1p64))
	return r, true
}

// Big is the value as a big.Int.
func (a Int128) Big() *big.Int {
	hi, lo := a.Abs()
	b := new(big.Int).SetUint64(hi)
	b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(lo))
	if a.Hi < 0 {
		b.Neg(b)
	}
	return b
}

// I128FromBig is the inverse of Big; ok is false when it does not fit.
func I128FromBig(b *big.Int) (Int128, bool) {
	if b.BitLen() > 128 {
		return Int128{}, false
	}
	var w [16]byte
	b.FillBytes(w[:])
	return fromAbs(b.Sign() < 0, be64(w[:]), be64(w[8:]))
}

func be64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0])<<56 | uint64(b[1])<<48 | uint64(b[2])<<40 | uint64(b[3])<<32 |
		uint64(b[4])<<24 | uint64(b[5])<<16 | uint64(b[6])<<8 | uint64(b[7])
}

// AppendInt128 appends the decimal text of a.
func AppendInt128(dst []byte, a Int128) []byte { return AppendDecimal128(dst, a, 0) }

// AppendDecimal128 appends a × 10^-scale with exactly scale digits after the
// point.
func AppendDecimal128(dst []byte, a Int128, scale int) []byte {
	if v, ok := a.Int64(); ok {
		return AppendDecimal64(dst, v, scale)
	}
	if a.Hi < 0 {
		dst = append(dst, '-')
	}
	hi, lo := a.Abs()
	// Three chunks of 19, 19 and 1 digits hold 2^127.
	var buf [57]byte
	n := 0
	for hi != 0 {
		var r uint64
		q := hi / 1e19
		lo, r = bits.Div64(hi%1e19, lo, 1e19)
		hi = q
		for i := 0; i < 19; i++ {
			n++
			buf[len(buf)-n] = byte('0' + r%10)
			r /= 10
		}
	}
	for lo != 0 {
		n++
		buf[len(buf)-n] = byte('0' + lo%10)
		lo /= 10
	}
	return appendPoint(dst, buf[len(buf)-n:], scale)
}

// AppendDecimal64 is AppendDecimal128 for an int64.
func AppendDecimal64(dst []byte, v int64, scale int) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	var buf [20]byte
	i := len(buf)
	for u >= 100 {
		q := u / 100
		r := (u - q*100) * 2
		u = q
		i -= 2
		buf[i], buf[i+1] = digitPairs[r], digitPairs[r+1]
	}
	if u >= 10 {
		i -= 2
		buf[i], buf[i+1] = digitPairs[u*2], digitPairs[u*2+1]
	} else {
		i--
		buf[i] = byte('0' + u)
	}
	return appendPoint(dst, buf[i:], scale)
}

// appendPoint appends digits with a point before the last scale of them.
func appendPoint(dst, digits []byte, scale int) []byte {
	if scale <= 0 {
		return append(dst, digits...)
	}
	n := len(digits) - scale
	if n > 0 {
		dst = append(dst, digits[:n]...)
		dst = append(dst, '.')
		return append(dst, digits[n:]...)
	}
	dst = append(dst, '0', '.')
	for ; n < 0; n++ {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

const digitPairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

func append2(dst []byte, v int) []byte {
	return append(dst, digitPairs[v*2], digitPairs[v*2+1])
}
