//go:build goexperiment.simd && amd64

package kernel

import "github.com/millrace/millrace/storage/vec/kernel/simd"

// accelerated says whether the CPU takes the loops of package simd. Tests turn
// it off to compare.
var accelerated = simd.Available()

func bitsToSelAccel(b []uint64, n int, out []uint16) int {
	w, k := simd.BitsToSel(b[:(n+63)>>6], out)
	return bitsToSel(b, w, n, out, k)
}

func betweenU32Accel(v []uint32, lo, hi uint32, out []uint64) int {
	return simd.BetweenU32(v, lo, hi, out)
}

// cmpConstAccel does the whole words it can and returns the rows done.
func cmpConstAccel[E Number](op Op, v []E, c E, out []uint64) int {
	if len(v) < 64 {
		return 0
	}
	switch v := any(v).(type) {
	case []int64:
		switch op {
		case EQ:
			return simd.EqI64(v, int64(c), out)
		case GT:
			return simd.GtI64(v, int64(c), out)
		case LT:
			return simd.LtI64(v, int64(c), out)
		}
	case []int32:
		switch op {
		case EQ:
			return simd.EqI32(v, int32(c), out)
		case GT:
			return simd.GtI32(v, int32(c), out)
		case LT:
			return simd.LtI32(v, int32(c), out)
		}
	case []float64:
		switch op {
		case EQ:
			return simd.EqF64(v, float64(c), out)
		case LT:
			return simd.LtF64(v, float64(c), out)
		case LE:
			return simd.LeF64(v, float64(c), out)
		}
	}
	return 0
}

func unpackU32Accel(dst *[GroupSize]uint32, src []uint32, width uint) bool {
	simd.UnpackU32(dst, src, width)
	return true
}

func unpackI64Accel(dst *[GroupSize]int64, src []uint32, width uint, base int64) bool {
	simd.UnpackI64(dst, src, width, base)
	return true
}

func maxU32Accel(v []uint32) uint32 { return simd.MaxU32(v) }
