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

// MinMaxI64 is the least and the largest of v, of at least 4 values.
func MinMaxI64(v []int64) (lo, hi int64) {
	l := archsimd.LoadInt64x4((*[4]int64)(v))
	h := l
	tail := (*[4]int64)(v[len(v)-4:])
	for len(v) >= 4 {
		x := archsimd.LoadInt64x4((*[4]int64)(v))
		l = x.Merge(l, l.Greater(x))
		h = x.Merge(h, x.Greater(h))
		v = v[4:]
	}
	x := archsimd.LoadInt64x4(tail)
	l = x.Merge(l, l.Greater(x))
	h = x.Merge(h, x.Greater(h))
	var a, b [4]int64
	l.Store(&a)
	h.Store(&b)
	archsimd.ClearAVXUpperBits()
	return min(a[0], a[1], a[2], a[3]), max(b[0], b[1], b[2], b[3])
}

// MinMaxI32 is the least and the largest of v, of at least 8 values.
func MinMaxI32(v []int32) (lo, hi int32) {
	l := archsimd.LoadInt32x8((*[8]int32)(v))
	h := l
	tail := (*[8]int32)(v[len(v)-8:])
	for len(v) >= 8 {
		x := archsimd.LoadInt32x8((*[8]int32)(v))
		l, h = l.Min(x), h.Max(x)
		v = v[8:]
	}
	x := archsimd.LoadInt32x8(tail)
	l, h = l.Min(x), h.Max(x)
	var a, b [8]int32
	l.Store(&a)
	h.Store(&b)
	archsimd.ClearAVXUpperBits()
	lo, hi = a[0], b[0]
	for i := range a {
		lo, hi = min(lo, a[i]), max(hi, b[i])
	}
	return lo, hi
}
