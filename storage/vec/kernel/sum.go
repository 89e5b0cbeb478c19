package kernel

import (
	"math/bits"

	"github.com/millrace/millrace/catalog/types"
)

// SumI64 is the exact sum of v. Values under nulls are zero, so a vector with
// nulls needs no mask.
func SumI64(v []int64) types.Int128 {
	if accelerated && len(v) >= 32 {
		s, n := sumI64Accel(v)
		r, _ := AddI128(s, sumI64(v[n:]))
		return r
	}
	return sumI64(v)
}

func sumI64(v []int64) types.Int128 {
	// High and low halves apart cannot overflow below 2^31 values.
	var lo0, lo1 uint64
	var hi0, hi1 int64
	for len(v) >= 4 {
		lo0 += uint64(uint32(v[0])) + uint64(uint32(v[2]))
		hi0 += v[0]>>32 + v[2]>>32
		lo1 += uint64(uint32(v[1])) + uint64(uint32(v[3]))
		hi1 += v[1]>>32 + v[3]>>32
		v = v[4:]
	}
	for _, x := range v {
		lo0 += uint64(uint32(x))
		hi0 += x >> 32
	}
	return joinHalves(hi0+hi1, lo0+lo1)
}

// joinHalves is hi<<32 + lo.
func joinHalves(hi int64, lo uint64) types.Int128 {
	l, carry := bits.Add64(uint64(hi)<<32, lo, 0)
	return types.Int128{Lo: l, Hi: hi>>32 + int64(carry)}
}

// SumMaskedI64 is the exact sum of the values whose bit is set.
func SumMaskedI64(v []int64, mask []uint64) types.Int128 {
	if accelerated && len(v) >= 64 {
		s, n := sumMaskedI64Accel(v, mask)
		r, _ := AddI128(s, sumMaskedI64(v[n:], mask[n>>6:]))
		return r
	}
	return sumMaskedI64(v, mask)
}

func sumMaskedI64(v []int64, mask []uint64) types.Int128 {
	var hi int64
	var lo uint64
	for w := range words(len(v)) {
		m := mask[w]
		p := v[w<<6 : min(w<<6+64, len(v))]
		switch {
		case m == 0:
		case m == ^uint64(0):
			for _, x := range p {
				lo += uint64(uint32(x))
				hi += x >> 32
			}
		default:
			for j, x := range p {
				x &= -int64(m >> uint(j) & 1)
				lo += uint64(uint32(x))
				hi += x >> 32
			}
		}
	}
	return joinHalves(hi, lo)
}

// SumSelI64 is the exact sum of the rows of sel.
func SumSelI64(v []int64, sel []uint16) types.Int128 {
	var hi int64
	var lo uint64
	for _, i := range sel {
		x := v[i]
		lo += uint64(uint32(x))
		hi += x >> 32
	}
	return joinHalves(hi, lo)
}

// SumInts is the sum of narrow integers; it cannot overflow within a segment.
func SumInts[E ~int16 | ~int32 | ~uint32](v []E) int64 {
	var a, b int64
	for len(v) >= 2 {
		a += int64(v[0])
		b += int64(v[1])
		v = v[2:]
	}
	if len(v) > 0 {
		a += int64(v[0])
	}
	return a + b
}

// SumMaskedInts is SumInts over the values whose bit is set.
func SumMaskedInts[E ~int16 | ~int32 | ~uint32](v []E, mask []uint64) int64 {
	var s int64
	for i, x := range v {
		s += int64(x) & -int64(mask[i>>6]>>(uint(i)&63)&1)
	}
	return s
}

// SumSelInts is SumInts over the rows of sel.
func SumSelInts[E ~int16 | ~int32 | ~uint32](v []E, sel []uint16) int64 {
	var s int64
	for _, i := range sel {
		s += int64(v[i])
	}
	return s
}

// SumFloat adds v in eight interleaved sums.
func SumFloat[E Float](v []E) float64 {
	var s [8]float64
	for len(v) >= 8 {
		p := (*[8]E)(v)
		s[0] += float64(p[0])
		s[1] += float64(p[1])
		s[2] += float64(p[2])
		s[3] += float64(p[3])
		s[4] += float64(p[4])
		s[5] += float64(p[5])
		s[6] += float64(p[6])
		s[7] += float64(p[7])
		v = v[8:]
	}
	for i, x := range v {
		s[i] += float64(x)
	}
	return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))
}

// SumSelFloat adds the rows of sel.
func SumSelFloat[E Float](v []E, sel []uint16) float64 {
	var a, b float64
	for len(sel) >= 2 {
		a += float64(v[sel[0]])
		b += float64(v[sel[1]])
		sel = sel[2:]
	}
	if len(sel) > 0 {
		a += float64(v[sel[0]])
	}
	return a + b
}

// AddI128 is a + b, and whether it overflowed.
func AddI128(a, b types.Int128) (types.Int128, bool) {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi := a.Hi + b.Hi + int64(carry)
	return types.Int128{Lo: lo, Hi: hi}, (a.Hi^hi)&(b.Hi^hi) < 0
}
