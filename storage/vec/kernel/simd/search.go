//go:build goexperiment.simd && amd64

package simd

import (
	"bytes"
	"math/bits"
	"simd/archsimd"
	"unsafe"
)

// Index is the first place of needle (at least 2 bytes) in hay, -1 for none: the
// needle's first and last byte are compared at 32 places at once, and only where
// both fit is the rest looked at.
func Index(hay, needle []byte) int {
	n := len(needle)
	last := len(hay) - n // the last place where it could begin
	i := 0
	if last >= 31 {
		first := archsimd.BroadcastUint8x32(needle[0])
		end := archsimd.BroadcastUint8x32(needle[n-1])
		mid := needle[1 : n-1]
		base := unsafe.Pointer(unsafe.SliceData(hay))
		for ; i+31 <= last; i += 32 {
			a := archsimd.LoadUint8x32((*[32]uint8)(unsafe.Add(base, i))).Equal(first)
			b := archsimd.LoadUint8x32((*[32]uint8)(unsafe.Add(base, i+n-1))).Equal(end)
			for m := a.And(b).ToBits(); m != 0; m &= m - 1 {
				k := i + bits.TrailingZeros32(m)
				if string(hay[k+1:k+n-1]) == string(mid) {
					archsimd.ClearAVXUpperBits()
					return k
				}
			}
		}
		archsimd.ClearAVXUpperBits()
	}
	if k := bytes.Index(hay[i:], needle); k >= 0 {
		return i + k
	}
	return -1
}
