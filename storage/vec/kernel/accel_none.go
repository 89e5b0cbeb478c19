//go:build !(goexperiment.simd && amd64)

package kernel

import "github.com/millrace/millrace/catalog/types"

// accelerated is false: the build has no simd package, and the calls below are
// never made.
const accelerated = false

func bitsToSelAccel([]uint64, int, []uint16) int                     { return 0 }
func betweenU32Accel([]uint32, uint32, uint32, []uint64) int         { return 0 }
func cmpConstAccel[E Number](op Op, v []E, c E, out []uint64) int    { return 0 }
func unpackU32Accel(*[GroupSize]uint32, []uint32, uint, uint32) bool { return false }
func unpackI64Accel(*[GroupSize]int64, []uint32, uint, int64) bool   { return false }

func maxU32Accel([]uint32) uint32 { return 0 }

func sumI64Accel([]int64) (types.Int128, int)                 { return types.Int128{}, 0 }
func sumMaskedI64Accel([]int64, []uint64) (types.Int128, int) { return types.Int128{}, 0 }
func minMaxI64Accel([]int64) (lo, hi int64)                   { return 0, 0 }
func minMaxI32Accel([]int32) (lo, hi int32)                   { return 0, 0 }
func indexAccel([]byte, []byte) int                           { return -1 }
func decimalAccel([]float64, []int64, float64) int            { return 0 }
