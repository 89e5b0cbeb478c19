//go:build goexperiment.simd && amd64

package simd

import "simd/archsimd"

// MaxU32 is the largest of v.
func MaxU32(v []uint32) uint32 {
	var m0, m1 archsimd.Uint32x8
	for len(v) >= 16 {
		b := (*[16]uint32)(v)
		m0 = m0.Max(archsimd.LoadUint32x8((*[8]uint32)(b[:8])))
		m1 = m1.Max(archsimd.LoadUint32x8((*[8]uint32)(b[8:])))
		v = v[16:]
	}
	var t [8]uint32
	m0.Max(m1).Store(&t)
	archsimd.ClearAVXUpperBits()
	m := max(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7])
	for _, x := range v {
		m = max(m, x)
	}
	return m
}
