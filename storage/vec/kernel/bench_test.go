package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
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

func BenchmarkConvert(b *testing.B) {
	src, dst := make([]uint32, 2048), make([]int16, 2048)
	for b.Loop() {
		Convert(dst, src)
	}
	perRow(b, 2048)
}

func BenchmarkSum(b *testing.B) {
	v := make([]int64, 2048)
	for i := range v {
		v[i] = int64(i) * 1e9
	}
	m := make([]uint64, 32)
	for i := range m {
		m[i] = 0xEFFFFEFFFEFFFFFF
	}
	for _, on := range both() {
		withAccel(on, func() {
			b.Run("i64/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					SumI64(v)
				}
				perRow(b, 2048)
			})
			b.Run("i64/masked/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					SumMaskedI64(v, m)
				}
				perRow(b, 2048)
			})
			b.Run("minmax/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					MinMax(v)
				}
				perRow(b, 2048)
			})
		})
	}
}

func BenchmarkStrings(b *testing.B) {
	strs := randomText(rand.New(rand.NewPCG(1, 1)), 2048)
	for i := range strs {
		strs[i] += "carefully final packages sleep furiously"
	}
	v := viewsOf(strs)
	out := make([]uint64, 32)
	h := make([]uint64, 2048)
	like, _ := CompileLike("%special%requests%", '\\', false)
	for _, on := range both() {
		withAccel(on, func() {
			b.Run("contains/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					ContainsViews(v.Views, v.Bufs, []byte("special"), out)
				}
				perRow(b, 2048)
			})
			b.Run("like/"+accelName(on), func(b *testing.B) {
				for b.Loop() {
					like.MatchViews(v.Views, v.Bufs, out, nil)
				}
				perRow(b, 2048)
			})
		})
	}
	b.Run("equal", func(b *testing.B) {
		for b.Loop() {
			CmpViewConst(EQ, v.Views, v.Bufs, []byte("special"), out)
		}
		perRow(b, 2048)
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			HashVec(h, v, nil)
		}
		perRow(b, 2048)
	})
}

func BenchmarkArith(b *testing.B) {
	x, y, d := make([]int64, 2048), make([]int64, 2048), make([]int64, 2048)
	h := make([]uint64, 2048)
	b.Run("add", func(b *testing.B) {
		for b.Loop() {
			AddVec(d, x, y)
		}
		perRow(b, 2048)
	})
	b.Run("addover", func(b *testing.B) {
		for b.Loop() {
			AddVecOver(d, x, y)
		}
		perRow(b, 2048)
	})
	b.Run("mulover", func(b *testing.B) {
		for b.Loop() {
			MulI64Over(d, x, y)
		}
		perRow(b, 2048)
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			HashI64s(h, x)
		}
		perRow(b, 2048)
	})
}

func BenchmarkHashVec(b *testing.B) {
	n := 2048
	h := make([]uint64, n)
	sel := make([]uint16, n)
	for i := range sel {
		sel[i] = uint16(i)
	}
	short := make([]string, n)
	for i := range short {
		short[i] = []string{"AIR", "TRUCK", "", "REG AIR"}[i*7919>>3&3]
	}
	for _, c := range []struct {
		name string
		v    *vec.Vec
	}{
		{"i32", &vec.Vec{T: types.Int4, N: n, I32: make([]int32, n)}}, {"i64", &vec.Vec{T: types.Int8, N: n, I64: make([]int64, n)}},
		{"f64", &vec.Vec{T: types.Float8, N: n, F64: make([]float64, n)}}, {"short", viewsOf(short)},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				HashVec(h, c.v, nil)
			}
			perRow(b, n)
		})
		b.Run(c.name+"/sel", func(b *testing.B) {
			for b.Loop() {
				HashVec(h, c.v, sel)
			}
			perRow(b, n)
		})
		b.Run(c.name+"/combine", func(b *testing.B) {
			for b.Loop() {
				CombineVec(h, c.v, nil)
			}
			perRow(b, n)
		})
	}
}
