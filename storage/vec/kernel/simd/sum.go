//go:build goexperiment.simd && amd64

package simd

import (
	"math/bits"
	"simd/archsimd"
)

// SumHalves adds the upper and the lower 32 bits of each value plus 2^63, so
// that all are without sign; len(v) is a multiple of 8.
func SumHalves(v []int64) (hi, lo uint64) {
	bias := archsimd.BroadcastUint64x4(1 << 63)
	low := archsimd.BroadcastUint64x4(1<<32 - 1)
	sh := archsimd.BroadcastUint64x4(32)
	var h, l archsimd.Uint64x4
	for len(v) >= 8 {
		p := (*[8]int64)(v)
		x := archsimd.LoadInt64x4((*[4]int64)(p[:4])).AsUint64x4().Xor(bias)
		y := archsimd.LoadInt64x4((*[4]int64)(p[4:])).AsUint64x4().Xor(bias)
		h = h.Add(x.ShiftRight(sh)).Add(y.ShiftRight(sh))
		l = l.Add(x.And(low)).Add(y.And(low))
		v = v[8:]
	}
	return fold(h), fold(l)
}

func fold(x archsimd.Uint64x4) uint64 {
	var t [4]uint64
	x.Store(&t)
	archsimd.ClearAVXUpperBits()
	return t[0] + t[1] + t[2] + t[3]
}

// nibbles has for each four bits the mask of lanes.
var nibbles = func() (t [16][4]uint64) {
	for b := range t {
		for i := range t[b] {
			if b>>i&1 != 0 {
				t[b][i] = ^uint64(0)
			}
		}
	}
	return t
}()

// SumHalvesMasked is SumHalves over the values whose bit is set, and how many
// those are; len(v) is a multiple of 64.
func SumHalvesMasked(v []int64, mask []uint64) (hi, lo uint64, count int) {
	bias := archsimd.BroadcastUint64x4(1 << 63)
	low := archsimd.BroadcastUint64x4(1<<32 - 1)
	sh := archsimd.BroadcastUint64x4(32)
	var h, l archsimd.Uint64x4
	for w := range len(v) >> 6 {
		m := mask[w]
		if m == 0 {
			continue
		}
		count += bits.OnesCount64(m)
		p := (*[64]int64)(v[w<<6:])
		for j := 0; j < 64; j += 4 {
			x := archsimd.LoadInt64x4((*[4]int64)(p[j:])).AsUint64x4().Xor(bias)
			x = x.And(archsimd.LoadUint64x4(&nibbles[m>>uint(j)&15]))
			h = h.Add(x.ShiftRight(sh))
			l = l.Add(x.And(low))
		}
	}
	return fold(h), fold(l), count
}

// Decimal sets dst[i] = src[i] / p for integers of at most 2^51, and returns how
// many it did.
func Decimal(dst []float64, src []int64, p float64) int {
	// Adding 1.5 * 2^52 as bits and subtracting it as a float converts exactly.
	const magic = 0x4338000000000000
	mi := archsimd.BroadcastInt64x4(magic)
	mf := mi.AsFloat64x4()
	pp := archsimd.BroadcastFloat64x4(p)
	n := len(dst) &^ 3
	for i := 0; i < n; i += 4 {
		x := archsimd.LoadInt64x4((*[4]int64)(src[i:])).Add(mi).AsFloat64x4().Sub(mf)
		x.Div(pp).Store((*[4]float64)(dst[i:]))
	}
	archsimd.ClearAVXUpperBits()
	return n
}
