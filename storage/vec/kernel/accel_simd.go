//go:build goexperiment.simd && amd64

package kernel

import (
	"math/bits"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec/kernel/simd"
)

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

func unpackU32Accel(dst *[GroupSize]uint32, src []uint32, width uint, base uint32) bool {
	simd.UnpackU32(dst, src, width, base)
	return true
}

func unpackI64Accel(dst *[GroupSize]int64, src []uint32, width uint, base int64) bool {
	simd.UnpackI64(dst, src, width, base)
	return true
}

func maxU32Accel(v []uint32) uint32 { return simd.MaxU32(v) }

// sumI64Accel sums what it can and returns how many values that were.
func sumI64Accel(v []int64) (types.Int128, int) {
	n := len(v) &^ 7
	hi, lo := simd.SumHalves(v[:n])
	return unbias(hi, lo, n), n
}

// sumMaskedI64Accel sums the whole words of the mask.
func sumMaskedI64Accel(v []int64, mask []uint64) (types.Int128, int) {
	n := len(v) &^ 63
	hi, lo, count := simd.SumHalvesMasked(v[:n], mask)
	return unbias(hi, lo, count), n
}

// unbias joins the halves' sums of n values that had 2^63 added.
func unbias(hi, lo uint64, n int) types.Int128 {
	// hi<<32 + lo - n<<63, with hi < 2^63.
	s := joinHalves(int64(hi), lo)
	l, borrow := bits.Sub64(s.Lo, uint64(n)<<63, 0)
	return types.Int128{Lo: l, Hi: s.Hi - int64(uint64(n)>>1) - int64(borrow)}
}

func minMaxI64Accel(v []int64) (lo, hi int64) { return simd.MinMaxI64(v) }

func minMaxI32Accel(v []int32) (lo, hi int32) { return simd.MinMaxI32(v) }

func indexAccel(hay, needle []byte) int { return simd.Index(hay, needle) }

func decimalAccel(dst []float64, src []int64, p float64) int { return simd.Decimal(dst, src, p) }
