//go:build goexperiment.simd && amd64

package simd

import "simd/archsimd"

// UnpackU32 unpacks a group of 512 values of 1..32 bits and adds base; see kernel.PackGroup
// for the order. src has 16*width words.
func UnpackU32(dst *[512]uint32, src []uint32, width uint, base uint32) {
	src = src[: 16*width : 16*width]
	mask := archsimd.BroadcastUint32x8(uint32(1)<<width - 1)
	bb := archsimd.BroadcastUint32x8(base)
	bit := uint(0)
	for j := 0; j < 32; j++ {
		a := (*[16]uint32)(src[bit>>5<<4:])
		d := (*[16]uint32)(dst[j<<4:])
		s := bit & 31
		sh := archsimd.BroadcastUint32x8(uint32(s))
		x := archsimd.LoadUint32x8((*[8]uint32)(a[:8])).ShiftRight(sh)
		y := archsimd.LoadUint32x8((*[8]uint32)(a[8:])).ShiftRight(sh)
		if s+width > 32 {
			b := (*[16]uint32)(src[bit>>5<<4+16:])
			up := archsimd.BroadcastUint32x8(uint32(32 - s))
			x = x.Or(archsimd.LoadUint32x8((*[8]uint32)(b[:8])).ShiftLeft(up))
			y = y.Or(archsimd.LoadUint32x8((*[8]uint32)(b[8:])).ShiftLeft(up))
		}
		x.And(mask).Add(bb).Store((*[8]uint32)(d[:8]))
		y.And(mask).Add(bb).Store((*[8]uint32)(d[8:]))
		bit += width
	}
	archsimd.ClearAVXUpperBits()
}

// UnpackI64 is UnpackU32 widened, plus base.
func UnpackI64(dst *[512]int64, src []uint32, width uint, base int64) {
	src = src[: 16*width : 16*width]
	mask := archsimd.BroadcastUint32x8(uint32(1)<<width - 1)
	bb := archsimd.BroadcastInt64x4(base)
	bit := uint(0)
	for j := 0; j < 32; j++ {
		a := (*[16]uint32)(src[bit>>5<<4:])
		d := (*[16]int64)(dst[j<<4:])
		s := bit & 31
		sh := archsimd.BroadcastUint32x8(uint32(s))
		x := archsimd.LoadUint32x8((*[8]uint32)(a[:8])).ShiftRight(sh)
		y := archsimd.LoadUint32x8((*[8]uint32)(a[8:])).ShiftRight(sh)
		if s+width > 32 {
			b := (*[16]uint32)(src[bit>>5<<4+16:])
			up := archsimd.BroadcastUint32x8(uint32(32 - s))
			x = x.Or(archsimd.LoadUint32x8((*[8]uint32)(b[:8])).ShiftLeft(up))
			y = y.Or(archsimd.LoadUint32x8((*[8]uint32)(b[8:])).ShiftLeft(up))
		}
		x, y = x.And(mask), y.And(mask)
		x.GetLo().ExtendToUint64().AsInt64x4().Add(bb).Store((*[4]int64)(d[0:]))
		x.GetHi().ExtendToUint64().AsInt64x4().Add(bb).Store((*[4]int64)(d[4:]))
		y.GetLo().ExtendToUint64().AsInt64x4().Add(bb).Store((*[4]int64)(d[8:]))
		y.GetHi().ExtendToUint64().AsInt64x4().Add(bb).Store((*[4]int64)(d[12:]))
		bit += width
	}
	archsimd.ClearAVXUpperBits()
}
