//go:build !(goexperiment.simd && amd64)

package kernel

// accelerated is false: the build has no simd package, and the calls below are
// never made.
const accelerated = false

func bitsToSelAccel([]uint64, int, []uint16) int                   { return 0 }
func betweenU32Accel([]uint32, uint32, uint32, []uint64) int       { return 0 }
func cmpConstAccel[E Number](op Op, v []E, c E, out []uint64) int  { return 0 }
func unpackU32Accel(*[GroupSize]uint32, []uint32, uint) bool       { return false }
func unpackI64Accel(*[GroupSize]int64, []uint32, uint, int64) bool { return false }

func maxU32Accel([]uint32) uint32 { return 0 }
