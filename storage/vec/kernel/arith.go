package kernel

import (
	"math/bits"

	"github.com/millrace/millrace/catalog/types"
)

// Arithmetic writes dst[i] for all of dst; dst may be one of the operands.
// Without "Over" integers wrap. With it they also wrap, and the result says
// whether any of them overflowed: the caller then asks the Fails twin which, and
// looks only at rows that are selected and valid.

// AddVec is a + b.
func AddVec[E Number](dst, a, b []E) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// AddConst is a + c.
func AddConst[E Number](dst, a []E, c E) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + c
	}
}

// SubVec is a - b.
func SubVec[E Number](dst, a, b []E) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// ConstSub is c - b.
func ConstSub[E Number](dst []E, c E, b []E) {
	b = b[:len(dst)]
	for i := range dst {
		dst[i] = c - b[i]
	}
}

// MulVec is a * b.
func MulVec[E Number](dst, a, b []E) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

// MulConst is a * c.
func MulConst[E Number](dst, a []E, c E) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * c
	}
}

// AddVecOver is a + b.
func AddVecOver[E Signed](dst, a, b []E) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	var acc E
	for i := range dst {
		x, y := a[i], b[i]
		s := x + y
		acc |= (x ^ s) & (y ^ s)
		dst[i] = s
	}
	return acc < 0
}

// AddConstOver is a + c.
func AddConstOver[E Signed](dst, a []E, c E) bool {
	a = a[:len(dst)]
	var acc E
	for i := range dst {
		x := a[i]
		s := x + c
		acc |= (x ^ s) & (c ^ s)
		dst[i] = s
	}
	return acc < 0
}

// SubVecOver is a - b.
func SubVecOver[E Signed](dst, a, b []E) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	var acc E
	for i := range dst {
		x, y := a[i], b[i]
		s := x - y
		acc |= (x ^ y) & (x ^ s)
		dst[i] = s
	}
	return acc < 0
}

// SubConstOver is a - c.
func SubConstOver[E Signed](dst, a []E, c E) bool {
	a = a[:len(dst)]
	var acc E
	for i := range dst {
		x := a[i]
		s := x - c
		acc |= (x ^ c) & (x ^ s)
		dst[i] = s
	}
	return acc < 0
}

// ConstSubOver is c - b.
func ConstSubOver[E Signed](dst []E, c E, b []E) bool {
	b = b[:len(dst)]
	var acc E
	for i := range dst {
		y := b[i]
		s := c - y
		acc |= (c ^ y) & (c ^ s)
		dst[i] = s
	}
	return acc < 0
}

// MulNarrowOver is a * b for types whose product fits 64 bits.
func MulNarrowOver[E ~int16 | ~int32](dst, a, b []E) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	var acc int64
	for i := range dst {
		p := int64(a[i]) * int64(b[i])
		s := E(p)
		acc |= p ^ int64(s)
		dst[i] = s
	}
	return acc != 0
}

// MulNarrowConstOver is a * c for types whose product fits 64 bits.
func MulNarrowConstOver[E ~int16 | ~int32](dst, a []E, c E) bool {
	a = a[:len(dst)]
	var acc int64
	for i := range dst {
		p := int64(a[i]) * int64(c)
		s := E(p)
		acc |= p ^ int64(s)
		dst[i] = s
	}
	return acc != 0
}

// mulWide is the signed 128-bit product.
func mulWide(a, b int64) (hi int64, lo uint64) {
	h, l := bits.Mul64(uint64(a), uint64(b))
	return int64(h) - a>>63&b - b>>63&a, l
}

// narrow says whether all of v fit 32 bits, with sign.
func narrow(v []int64) bool {
	var acc, acc2 uint64
	for len(v) >= 4 {
		p := (*[4]int64)(v)
		acc |= uint64(p[0]+1<<31) | uint64(p[1]+1<<31)
		acc2 |= uint64(p[2]+1<<31) | uint64(p[3]+1<<31)
		v = v[4:]
	}
	for _, x := range v {
		acc |= uint64(x + 1<<31)
	}
	return (acc|acc2)>>32 == 0
}

// MulI64Over is a * b. Products of narrow values cannot overflow.
func MulI64Over(dst, a, b []int64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	if narrow(a) && narrow(b) {
		MulVec(dst, a, b)
		return false
	}
	var acc int64
	for i := range dst {
		hi, lo := mulWide(a[i], b[i])
		acc |= hi ^ int64(lo)>>63
		dst[i] = int64(lo)
	}
	return acc != 0
}

// MulI64ConstOver is a * c.
func MulI64ConstOver(dst, a []int64, c int64) bool {
	a = a[:len(dst)]
	if c == int64(int32(c)) && narrow(a) {
		MulConst(dst, a, c)
		return false
	}
	var acc int64
	for i := range dst {
		hi, lo := mulWide(a[i], c)
		acc |= hi ^ int64(lo)>>63
		dst[i] = int64(lo)
	}
	return acc != 0
}

// AddFails, SubFails and MulFails set the bits of rows where a op b overflows.
func AddFails[E Signed](a, b []E, out []uint64) {
	fails(a, b, out, func(x, y E) bool { s := x + y; return (x^s)&(y^s) < 0 })
}

// SubFails is AddFails for a - b.
func SubFails[E Signed](a, b []E, out []uint64) {
	fails(a, b, out, func(x, y E) bool { s := x - y; return (x^y)&(x^s) < 0 })
}

// MulFails is AddFails for a * b.
func MulFails[E Signed](a, b []E, out []uint64) {
	fails(a, b, out, func(x, y E) bool {
		hi, lo := mulWide(int64(x), int64(y))
		return hi != int64(lo)>>63 || int64(E(lo)) != int64(lo)
	})
}

// fails takes a constant as a slice of one on either side.
func fails[E Signed](a, b []E, out []uint64, over func(x, y E) bool) {
	n := max(len(a), len(b))
	clear(out[:words(n)])
	for i := range n {
		x, y := a[0], b[0]
		if len(a) > 1 {
			x = a[i]
		}
		if len(b) > 1 {
			y = b[i]
		}
		out[i>>6] |= b2u(over(x, y)) << (uint(i) & 63)
	}
}

// AddI128Over, SubI128Over and MulI128Over are the operations on 128 bits.
func AddI128Over(dst, a, b []types.Int128) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	over := false
	for i := range dst {
		s, o := AddI128(a[i], b[i])
		dst[i] = s
		over = over || o
	}
	return over
}

// SubI128Over is a - b.
func SubI128Over(dst, a, b []types.Int128) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	over := false
	for i := range dst {
		s, o := SubI128(a[i], b[i])
		dst[i] = s
		over = over || o
	}
	return over
}

// MulI128Over is a * b.
func MulI128Over(dst, a, b []types.Int128) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	over := false
	for i := range dst {
		s, o := MulI128(a[i], b[i])
		dst[i] = s
		over = over || o
	}
	return over
}

// MulWide is a * b in 128 bits, which always holds it.
func MulWide(dst []types.Int128, a, b []int64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		hi, lo := mulWide(a[i], b[i])
		dst[i] = types.Int128{Lo: lo, Hi: hi}
	}
}

// WidenI64 sets dst[i] to a[i].
func WidenI64(dst []types.Int128, a []int64) {
	a = a[:len(dst)]
	for i, x := range a {
		dst[i] = types.Int128{Lo: uint64(x), Hi: x >> 63}
	}
}

// SubI128 is a - b, and whether it overflowed.
func SubI128(a, b types.Int128) (types.Int128, bool) {
	lo, borrow := bits.Sub64(a.Lo, b.Lo, 0)
	hi := a.Hi - b.Hi - int64(borrow)
	return types.Int128{Lo: lo, Hi: hi}, (a.Hi^b.Hi)&(a.Hi^hi) < 0
}

// NegI128 is -a, wrapping for the least value.
func NegI128(a types.Int128) types.Int128 {
	lo, borrow := bits.Sub64(0, a.Lo, 0)
	return types.Int128{Lo: lo, Hi: -a.Hi - int64(borrow)}
}

// MulI128 is a * b, and whether it overflowed.
func MulI128(a, b types.Int128) (types.Int128, bool) {
	if a.Hi == int64(a.Lo)>>63 && b.Hi == int64(b.Lo)>>63 {
		hi, lo := mulWide(int64(a.Lo), int64(b.Lo))
		return types.Int128{Lo: lo, Hi: hi}, false
	}
	neg := (a.Hi ^ b.Hi) < 0
	if a.Hi < 0 {
		a = NegI128(a)
	}
	if b.Hi < 0 {
		b = NegI128(b)
	}
	// Magnitudes below 2^128; the product is a.Lo*b.Lo + (a.Hi*b.Lo + a.Lo*b.Hi)<<64.
	ah, bh := uint64(a.Hi), uint64(b.Hi)
	over := ah != 0 && bh != 0
	hi, lo := bits.Mul64(a.Lo, b.Lo)
	c1, m1 := bits.Mul64(ah, b.Lo)
	c2, m2 := bits.Mul64(a.Lo, bh)
	over = over || c1 != 0 || c2 != 0
	var carry uint64
	hi, carry = bits.Add64(hi, m1, 0)
	over = over || carry != 0
	hi, carry = bits.Add64(hi, m2, 0)
	over = over || carry != 0
	r := types.Int128{Lo: lo, Hi: int64(hi)}
	if neg {
		// 2^127 itself is fine when negative.
		over = over || hi > 1<<63 || hi == 1<<63 && lo != 0
		return NegI128(r), over
	}
	return r, over || hi >= 1<<63
}

// DecimalF64 sets dst[i] = float64(src[i]) / p for integers of at most 2^51.
func DecimalF64(dst []float64, src []int64, p float64) {
	src = src[:len(dst)]
	done := 0
	if accelerated {
		done = decimalAccel(dst, src, p)
	}
	for i := done; i < len(dst); i++ {
		dst[i] = float64(src[i]) / p
	}
}
