package vec

import "math/bits"

// Words is the number of 64-bit words that hold n bits.
func Words(n int) int { return (n + 63) >> 6 }

// Bit, SetBit, ClearBit and PutBit read and write bit i of a bitmap.
func Bit(b []uint64, i int) bool { return b[i>>6]>>(uint(i)&63)&1 != 0 }

// SetBit sets bit i.
func SetBit(b []uint64, i int) { b[i>>6] |= 1 << (uint(i) & 63) }

// ClearBit clears bit i.
func ClearBit(b []uint64, i int) { b[i>>6] &^= 1 << (uint(i) & 63) }

// PutBit sets bit i to on.
func PutBit(b []uint64, i int, on bool) {
	if on {
		SetBit(b, i)
	} else {
		ClearBit(b, i)
	}
}

// SetRange sets the bits from..to-1.
func SetRange(b []uint64, from, to int) {
	for i := from; i < to; {
		if i&63 == 0 && to-i >= 64 {
			b[i>>6] = ^uint64(0)
			i += 64
			continue
		}
		SetBit(b, i)
		i++
	}
}

// Count is the number of set bits among the first n.
func Count(b []uint64, n int) int {
	c := 0
	for i := 0; i < n>>6; i++ {
		c += bits.OnesCount64(b[i])
	}
	if r := uint(n) & 63; r != 0 {
		c += bits.OnesCount64(b[n>>6] & (1<<r - 1))
	}
	return c
}
