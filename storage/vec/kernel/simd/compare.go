//go:build goexperiment.simd && amd64

package simd

import "simd/archsimd"

// Available says whether the CPU has what the loops of this package use.
func Available() bool { return archsimd.X86.AVX2() }

// The compare loops set bit i of out when v[i] op c, for whole words of 64 rows,
// and return the number of rows done.

// EqI64 is v = c.
func EqI64(v []int64, c int64, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastInt64x4(c)
	for w := 0; w < n; w++ {
		b := (*[64]int64)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			m0 := archsimd.LoadInt64x4((*[4]int64)(b[j:])).Equal(cc).ToBits()
			m1 := archsimd.LoadInt64x4((*[4]int64)(b[j+4:])).Equal(cc).ToBits()
			x |= uint64(m0|m1<<4) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// GtI64 is v > c.
func GtI64(v []int64, c int64, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastInt64x4(c)
	for w := 0; w < n; w++ {
		b := (*[64]int64)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			m0 := archsimd.LoadInt64x4((*[4]int64)(b[j:])).Greater(cc).ToBits()
			m1 := archsimd.LoadInt64x4((*[4]int64)(b[j+4:])).Greater(cc).ToBits()
			x |= uint64(m0|m1<<4) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// LtI64 is v < c.
func LtI64(v []int64, c int64, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastInt64x4(c)
	for w := 0; w < n; w++ {
		b := (*[64]int64)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			m0 := cc.Greater(archsimd.LoadInt64x4((*[4]int64)(b[j:]))).ToBits()
			m1 := cc.Greater(archsimd.LoadInt64x4((*[4]int64)(b[j+4:]))).ToBits()
			x |= uint64(m0|m1<<4) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// EqI32 is v = c.
func EqI32(v []int32, c int32, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastInt32x8(c)
	for w := 0; w < n; w++ {
		b := (*[64]int32)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			x |= uint64(archsimd.LoadInt32x8((*[8]int32)(b[j:])).Equal(cc).ToBits()) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// GtI32 is v > c.
func GtI32(v []int32, c int32, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastInt32x8(c)
	for w := 0; w < n; w++ {
		b := (*[64]int32)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			x |= uint64(archsimd.LoadInt32x8((*[8]int32)(b[j:])).Greater(cc).ToBits()) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// LtI32 is v < c.
func LtI32(v []int32, c int32, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastInt32x8(c)
	for w := 0; w < n; w++ {
		b := (*[64]int32)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			x |= uint64(cc.Greater(archsimd.LoadInt32x8((*[8]int32)(b[j:]))).ToBits()) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// BetweenU32 is lo <= v <= hi, without sign.
func BetweenU32(v []uint32, lo, hi uint32, out []uint64) int {
	n := len(v) >> 6
	// v-lo <= d without sign is min(v-lo, d) = v-lo.
	ll, dd := archsimd.BroadcastUint32x8(lo), archsimd.BroadcastUint32x8(hi-lo)
	for w := 0; w < n; w++ {
		b := (*[64]uint32)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			t := archsimd.LoadUint32x8((*[8]uint32)(b[j:])).Sub(ll)
			x |= uint64(t.Min(dd).Equal(t).ToBits()) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// EqF64 is v = c.
func EqF64(v []float64, c float64, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastFloat64x4(c)
	for w := 0; w < n; w++ {
		b := (*[64]float64)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			m0 := archsimd.LoadFloat64x4((*[4]float64)(b[j:])).Equal(cc).ToBits()
			m1 := archsimd.LoadFloat64x4((*[4]float64)(b[j+4:])).Equal(cc).ToBits()
			x |= uint64(m0|m1<<4) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// LtF64 is v < c.
func LtF64(v []float64, c float64, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastFloat64x4(c)
	for w := 0; w < n; w++ {
		b := (*[64]float64)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			m0 := archsimd.LoadFloat64x4((*[4]float64)(b[j:])).Less(cc).ToBits()
			m1 := archsimd.LoadFloat64x4((*[4]float64)(b[j+4:])).Less(cc).ToBits()
			x |= uint64(m0|m1<<4) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}

// LeF64 is v <= c.
func LeF64(v []float64, c float64, out []uint64) int {
	n := len(v) >> 6
	cc := archsimd.BroadcastFloat64x4(c)
	for w := 0; w < n; w++ {
		b := (*[64]float64)(v[w<<6:])
		var x uint64
		for j := 0; j < 64; j += 8 {
			m0 := archsimd.LoadFloat64x4((*[4]float64)(b[j:])).LessEqual(cc).ToBits()
			m1 := archsimd.LoadFloat64x4((*[4]float64)(b[j+4:])).LessEqual(cc).ToBits()
			x |= uint64(m0|m1<<4) << uint(j)
		}
		out[w] = x
	}
	archsimd.ClearAVXUpperBits()
	return n << 6
}
