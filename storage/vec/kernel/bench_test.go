package kernel

import (
	"math/rand/v2"
	"testing"
)

func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
}

func accelName(on bool) string {
	if on {
		return "simd"
	}
	return "scalar"
}

func BenchmarkUnpack(b *testing.B) {
	src := make([]uint64, GroupSize)
	for i := range src {
		src[i] = uint64(i * 7919 & 8191)
	}
	packed := make([]uint32, PackedWords(GroupSize, 13))
	PackGroup(packed, src, 13)
	for _, on := range both() {
		b.Run("i64/13/"+accelName(on), func(b *testing.B) {
			withAccel(on, func() {
				var dst [GroupSize]int64
				for b.Loop() {
					UnpackI64(&dst, packed, 13, 5)
				}
			})
			perRow(b, GroupSize)
		})
		b.Run("u32/13/"+accelName(on), func(b *testing.B) {
			withAccel(on, func() {
				var dst [GroupSize]uint32
				for b.Loop() {
					UnpackU32(&dst, packed, 13, 7)
				}
			})
			perRow(b, GroupSize)
		})
	}
}

func BenchmarkCompare(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	v, w, f, u := make([]int64, 2048), make([]int32, 2048), make([]float64, 2048), make([]uint32, 2048)
	for i := range v {
		x := r.IntN(1000)
		v[i], w[i], f[i], u[i] = int64(x), int32(x), float64(x), uint32(x)
	}
	out, sel := make([]uint64, 32), make([]uint16, 2048)
	for _, on := range both() {
		withAccel(on, func() {
			b.Run("i64>c/bits/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					CmpConst(GT, v, 500, out)
				}
				perRow(b, 2048)
			})
			b.Run("i32>c/bits/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					CmpConst(GT, w, 500, out)
				}
				perRow(b, 2048)
			})
			b.Run("f64>c/bits/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					CmpFloatConst(GT, f, 500, out)
				}
				perRow(b, 2048)
			})
			b.Run("u32between/bits/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					Between(u, 200, 700, out)
				}
				perRow(b, 2048)
			})
			b.Run("bits/sel/"+accelName(on), func(b *testing.B) {
				CmpConst(GT, v, 500, out)
				for b.Loop() {
					BitsToSel(out, 2048, sel)
				}
				perRow(b, 2048)
			})
		})
	}
	b.Run("i64>c/sel", func(b *testing.B) {
		for b.Loop() {
			SelConst(GT, v, 500, sel)
		}
		perRow(b, 2048)
	})
}
