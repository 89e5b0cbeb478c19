package kernel

import (
	"math/bits"

	"github.com/millrace/millrace/catalog/types"
)

// SumI64 is the exact sum of v. Values under nulls are zero, so a vector with
// nulls needs no mask.
func SumI64(v []int64) types.Int128 {
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

// AddI128 is a + b, and whether it overflowed.
func AddI128(a, b types.Int128) (types.Int128, bool) {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi := a.Hi + b.Hi + int64(carry)
	return types.Int128{Lo: lo, Hi: hi}, (a.Hi^hi)&(b.Hi^hi) < 0
}
