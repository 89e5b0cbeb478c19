package kernel

import "math/bits"

// And, AndNot, Or and Xor set dst to dst op a, word by word over dst's length.
func And(dst, a []uint64) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] &= a[i]
	}
}

// AndNot clears in dst the bits of a.
func AndNot(dst, a []uint64) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] &^= a[i]
	}
}

// Or sets in dst the bits of a.
func Or(dst, a []uint64) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] |= a[i]
	}
}

// Xor flips in dst the bits of a.
func Xor(dst, a []uint64) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] ^= a[i]
	}
}

// Not flips the first n bits of dst and clears the rest of the last word.
func Not(dst []uint64, n int) {
	w := (n + 63) >> 6
	for i := range dst[:w] {
		dst[i] = ^dst[i]
	}
	maskTail(dst, n)
}

// Ones sets the first n bits of dst and clears the rest of the last word.
func Ones(dst []uint64, n int) {
	for i := range dst[:(n+63)>>6] {
		dst[i] = ^uint64(0)
	}
	maskTail(dst, n)
}

// Zeros clears the words that hold the first n bits.
func Zeros(dst []uint64, n int) { clear(dst[:(n+63)>>6]) }

func maskTail(dst []uint64, n int) {
	if r := uint(n) & 63; r != 0 {
		dst[n>>6] &= 1<<r - 1
	}
}

// Any says whether one of the first n bits is set; clean bitmaps only (no bits
// at or above n).
func Any(b []uint64, n int) bool {
	var x uint64
	for _, w := range b[:(n+63)>>6] {
		x |= w
	}
	return x != 0
}

// Count is the number of set bits of a clean bitmap of n bits.
func Count(b []uint64, n int) int {
	c := 0
	for _, w := range b[:(n+63)>>6] {
		c += bits.OnesCount64(w)
	}
	return c
}

// CountAnd is the number of bits set in both clean bitmaps of n bits.
func CountAnd(a, b []uint64, n int) int {
	w := (n + 63) >> 6
	a, b = a[:w], b[:w]
	c := 0
	for i := range a {
		c += bits.OnesCount64(a[i] & b[i])
	}
	return c
}

// BitsToSel writes the positions of the first n bits that are set to out, which
// has room for all n (the words written may pass the count by a few), and
// returns how many. The bitmap is clean.
func BitsToSel(b []uint64, n int, out []uint16) int {
	if accelerated {
		return bitsToSelAccel(b, n, out)
	}
	return bitsToSel(b, 0, n, out, 0)
}

func bitsToSel(b []uint64, from, n int, out []uint16, k int) int {
	words := (n + 63) >> 6
	for i := from; i < words; i++ {
		base, w := uint16(i<<6), b[i]
		if w == ^uint64(0) {
			o := out[k : k+64]
			for j := range o {
				o[j] = base + uint16(j)
			}
			k += 64
			continue
		}
		for ; w != 0; w &= w - 1 {
			out[k] = base + uint16(bits.TrailingZeros64(w))
			k++
		}
	}
	return k
}

// SelToBits makes a clean bitmap of n bits with those of sel set.
func SelToBits(sel []uint16, n int, dst []uint64) {
	Zeros(dst, n)
	for _, i := range sel {
		dst[i>>6] |= 1 << (i & 63)
	}
}

// RefineBits writes to out the rows of sel whose bit is set in b and returns how
// many; out may be sel.
func RefineBits(b []uint64, sel, out []uint16) int {
	k := 0
	out = out[:len(sel)]
	for _, i := range sel {
		out[k] = i
		k += int(b[i>>6] >> (i & 63) & 1)
	}
	return k
}

// GatherBits sets bit k of dst to bit sel[k] of src.
func GatherBits(dst, src []uint64, sel []uint16) {
	for w := 0; w<<6 < len(sel); w++ {
		s := sel[w<<6:]
		if len(s) > 64 {
			s = s[:64]
		}
		var x uint64
		for j, i := range s {
			x |= (src[i>>6] >> (i & 63) & 1) << (uint(j) & 63)
		}
		dst[w] = x
	}
}

// CopyBits copies n bits of src from bit s to dst from bit d; other bits of dst
// stay.
func CopyBits(dst []uint64, d int, src []uint64, s, n int) {
	for n > 0 {
		do, so := uint(d)&63, uint(s)&63
		m := min(n, int(64-do))
		x := src[s>>6] >> so
		if so != 0 && m > int(64-so) {
			x |= src[s>>6+1] << (64 - so)
		}
		mask := ^uint64(0)
		if m < 64 {
			mask = 1<<uint(m) - 1
		}
		dst[d>>6] = dst[d>>6]&^(mask<<do) | (x&mask)<<do
		d, s, n = d+m, s+m, n-m
	}
}
