package kernel

import (
	"flag"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/storage/vec"
)

var reference = flag.Bool("reference", false, "measure the kernels against plain loops and print a table")

// sets is how many different vectors a measurement cycles through, so that no branch
// is learnt by heart; they stay in the second cache.
const sets = 64

// row is a line of the table: a kernel, the loop that it must not be much slower than,
// and what both took on the machine where the design was measured (ns a row, 0: none).
type row struct {
	name         string
	kernel, loop func(k int)
	good, simd   float64
	rows         int // of a call; 0: vec.Size
}

// TestReference prints ns a row of each kernel, of a plain Go loop that does the same,
// measured in turns, and the figures of the design: `go test -run TestReference -args -reference`.
// It fails where a kernel takes more than 1.3 times the plain loop.
func TestReference(t *testing.T) {
	if !*reference {
		t.Skip("only with -reference")
	}
	fmt.Println("| kernel | ns a row | plain loop | ratio | design: Go | design: AVX2 |\n|---|--:|--:|--:|--:|--:|")
	for _, r := range references() {
		n := r.rows
		if n == 0 {
			n = vec.Size
		}
		a, b := measure(r.kernel, r.loop)
		ours, loop := a/float64(n), b/float64(n)
		fmt.Printf("| %s | %.3f | %.3f | %.2f | %s | %s |\n", r.name, ours, loop, ours/loop, figure(r.good), figure(r.simd))
		if ours > 1.3*loop {
			t.Errorf("%s takes %.2f times the plain loop", r.name, ours/loop)
		}
	}
}

func figure(f float64) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprint(f)
}

// measure gives the least ns a call of both, timed in turns.
func measure(a, b func(k int)) (x, y float64) {
	run := func(f func(k int)) float64 {
		const calls = 4 * sets
		start := time.Now()
		for k := range calls {
			f(k % sets)
		}
		return float64(time.Since(start).Nanoseconds()) / calls
	}
	for i := range 400 {
		p, q := run(a), run(b)
		if i == 0 {
			x, y = p, q
		}
		x, y = min(x, p), min(y, q)
	}
	return x, y
}

var sink int64

func references() (out []row) {
	r := rand.New(rand.NewPCG(5, 5))
	const n = vec.Size
	i64, i32, f64, u32 := make([][]int64, sets), make([][]int32, sets), make([][]float64, sets), make([][]uint32, sets)
	half, most := make([][]uint16, sets), make([][]uint64, sets)
	bitsAt := map[int][][]uint64{}
	for k := range sets {
		i64[k], i32[k], f64[k], u32[k] = make([]int64, n), make([]int32, n), make([]float64, n), make([]uint32, n)
		most[k] = make([]uint64, n/64)
		for i := range n {
			x := r.IntN(1000)
			i64[k][i], i32[k][i], f64[k][i], u32[k][i] = int64(x), int32(x), float64(x), uint32(r.IntN(200))
			if r.IntN(2) == 0 {
				half[k] = append(half[k], uint16(i))
			}
			if r.IntN(10) > 0 {
				vec.SetBit(most[k], i)
			}
		}
	}
	for _, p := range []int{1, 50, 99} {
		for range sets {
			b := make([]uint64, n/64)
			for i := range n {
				if r.IntN(100) < p {
					vec.SetBit(b, i)
				}
			}
			bitsAt[p] = append(bitsAt[p], b)
		}
	}
	sel, bm := make([]uint16, n), make([]uint64, n/64)
	d64, df, du := make([]int64, n), make([]float64, n), make([]uint64, n)
	for _, p := range []int{1, 50, 99} {
		c := int64(1000 - 10*p)
		out = append(out, row{name: fmt.Sprintf("filter > c to selection, %d%%", p), good: 0.43, simd: 0.23,
			kernel: func(k int) { SelConst(GE, i64[k], c, sel) },
			loop: func(k int) {
				m := 0
				v, o := (*[n]int64)(i64[k]), (*[n]uint16)(sel)
				for i, x := range v {
					o[m&(n-1)] = uint16(i)
					m += b2i(x >= c)
				}
			}})
	}
	plainBits := func(o []uint64, f func(i int) uint64) {
		for w := range o {
			var x uint64
			for j := range 64 {
				x |= f(w*64+j) << uint(j)
			}
			o[w] = x
		}
	}
	out = append(out,
		row{name: "filter > c to bitmap, int64", good: 0.43, simd: 0.14, kernel: func(k int) { CmpConst(GT, i64[k], 500, bm) },
			loop: func(k int) { v := (*[n]int64)(i64[k]); plainBits(bm, func(i int) uint64 { return b2u(v[i] > 500) }) }},
		row{name: "filter > c to bitmap, int32", good: 0.42, kernel: func(k int) { CmpConst(GT, i32[k], 500, bm) },
			loop: func(k int) { v := (*[n]int32)(i32[k]); plainBits(bm, func(i int) uint64 { return b2u(v[i] > 500) }) }},
		row{name: "filter > c to bitmap, float64", good: 0.71, kernel: func(k int) { CmpFloatConst(GT, f64[k], 500, bm) },
			loop: func(k int) { v := (*[n]float64)(f64[k]); plainBits(bm, func(i int) uint64 { return b2u(v[i] > 500) }) }},
	)
	for _, p := range []int{1, 50, 99} {
		out = append(out, row{name: fmt.Sprintf("bitmap to selection, %d%%", p), good: map[int]float64{1: 0.02, 50: 0.49, 99: 1}[p],
			kernel: func(k int) { BitsToSel(bitsAt[p][k], n, sel) },
			loop: func(k int) {
				m := 0
				for w, x := range bitsAt[p][k] {
					for ; x != 0; x &= x - 1 {
						sel[m] = uint16(w<<6 + bits.TrailingZeros64(x))
						m++
					}
				}
			}})
	}
	refined := make([]uint16, n)
	out = append(out,
		row{name: "refine a selection, a row of it", good: 0.59, rows: n / 2, kernel: func(k int) { RefineConst(GT, i64[k], 500, half[k], refined) },
			loop: func(k int) {
				v, m := i64[k], 0
				for _, i := range half[k] {
					refined[m] = i
					m += b2i(v[i] > 500)
				}
			}},
		row{name: "sum, int64 (exact, of 128 bits)", good: 0.159, simd: 0.069, kernel: func(k int) { sink += int64(SumI64(i64[k]).Lo) },
			loop: func(k int) {
				var hi, lo uint64
				for _, x := range i64[k] {
					var c uint64
					lo, c = bits.Add64(lo, uint64(x), 0)
					hi += uint64(x>>63) + c
				}
				sink += int64(lo + hi)
			}},
		row{name: "sum, int64, 90% valid", good: 0.345, kernel: func(k int) { sink += int64(SumMaskedI64(i64[k], most[k]).Lo) },
			loop: func(k int) {
				var s int64
				v := i64[k]
				for w, m := range most[k] {
					for j := range 64 {
						s += v[w<<6+j] & -int64(m>>uint(j)&1)
					}
				}
				sink += s
			}},
		row{name: "sum over a selection, a row of it", good: 0.30, rows: n / 2, kernel: func(k int) { sink += int64(SumSelI64(i64[k], half[k]).Lo) },
			loop: func(k int) {
				var hi, lo uint64
				v := i64[k]
				for _, i := range half[k] {
					x := v[i]
					var c uint64
					lo, c = bits.Add64(lo, uint64(x), 0)
					hi += uint64(x>>63) + c
				}
				sink += int64(lo + hi)
			}},
		row{name: "sum, float64", good: 0.17, simd: 0.119, kernel: func(k int) { sink += int64(SumFloat(f64[k])) },
			loop: func(k int) {
				var s [8]float64
				for v := f64[k]; len(v) >= 8; v = v[8:] {
					for j := range 8 {
						s[j] += v[j]
					}
				}
				sink += int64(s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7])
			}},
		row{name: "min and max, int64", good: 0.36, simd: 0.415, kernel: func(k int) { lo, hi := MinMax(i64[k]); sink += lo + hi },
			loop: func(k int) {
				lo, hi := i64[k][0], i64[k][0]
				for _, x := range i64[k] {
					lo, hi = min(lo, x), max(hi, x)
				}
				sink += lo + hi
			}},
		row{name: "a + b, checked", good: 0.41, simd: 0.34, kernel: func(k int) { AddVecOver(d64, i64[k], i64[(k+1)%sets]) },
			loop: func(k int) {
				a, b, d, acc := (*[n]int64)(i64[k]), (*[n]int64)(i64[(k+1)%sets]), (*[n]int64)(d64), int64(0)
				for i, x := range a {
					s := x + b[i]
					acc |= (x ^ s) & (b[i] ^ s)
					d[i] = s
				}
				sink += acc
			}},
		row{name: "a * b, checked", good: 0.54, kernel: func(k int) { MulI64Over(d64, i64[k], i64[(k+1)%sets]) },
			loop: func(k int) {
				a, b, d, acc := (*[n]int64)(i64[k]), (*[n]int64)(i64[(k+1)%sets]), (*[n]int64)(d64), int64(0)
				for i, x := range a {
					y := b[i]
					h, l := bits.Mul64(uint64(x), uint64(y))
					acc |= (int64(h) - x>>63&y - y>>63&x) ^ int64(l)>>63
					d[i] = int64(l)
				}
				sink += acc
			}},
		row{name: "hash, int64", good: 0.63, kernel: func(k int) { HashI64s(du, i64[k]) },
			loop: func(k int) {
				v, d := (*[n]int64)(i64[k]), (*[n]uint64)(du)
				for i, x := range v {
					h, l := bits.Mul64(uint64(x)^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
					d[i] = h ^ l
				}
			}},
		row{name: "gather by selection, a row of it", good: 0.30, rows: n / 2, kernel: func(k int) { Gather(d64[:len(half[k])], i64[k], half[k]) },
			loop: func(k int) {
				v, d := (*[n]int64)(i64[k]), (*[n]int64)(d64)
				for j, i := range half[k] {
					d[j&(n-1)] = v[i&(n-1)]
				}
			}},
		row{name: "dictionary decode, 200 entries", good: 0.25, kernel: func(k int) { GatherU32(d64, i64[0], u32[k]) },
			loop: func(k int) {
				v, c, d := (*[n]int64)(i64[0]), (*[n]uint32)(u32[k]), (*[n]int64)(d64)
				for j, i := range c {
					d[j] = v[i&(n-1)]
				}
			}},
		row{name: "predicate by dictionary code to bitmap", good: 0.44, kernel: func(k int) { LookupBits(u32[k], bitsAt[50][0], bm) },
			loop: func(k int) {
				c, table := (*[n]uint32)(u32[k]), bitsAt[50][0]
				plainBits(bm, func(i int) uint64 { return table[c[i]>>6] >> (c[i] & 63) & 1 })
			}},
		row{name: "int64 to float64 by a power of ten", kernel: func(k int) { DecimalF64(df, i64[k], 100) },
			loop: func(k int) {
				v, d := (*[n]int64)(i64[k]), (*[n]float64)(df)
				for i, x := range v {
					d[i] = float64(x) / 100
				}
			}},
	)
	for i, w := range []uint{7, 13, 20} {
		src := make([]uint64, GroupSize)
		for j := range src {
			src[j] = r.Uint64() >> (64 - w)
		}
		packed := make([]uint32, PackedWords(GroupSize, w))
		PackGroup(packed, src, w)
		var dst [GroupSize]int64
		out = append(out, row{name: fmt.Sprintf("unpack %d bits to int64", w), rows: GroupSize, good: []float64{0.24, 0.25, 0.27}[i], simd: []float64{0.20, 0.19, 0.14}[i],
			kernel: func(int) { UnpackI64(&dst, packed, w, 5) },
			loop: func(int) {
				for j := range dst {
					dst[j] = int64(PackedAt(packed, w, j)) + 5
				}
			}})
	}
	return append(out, stringReferences(r)...)
}

func stringReferences(r *rand.Rand) []row {
	const n = vec.Size
	short, comments := make([]string, n), make([]string, n)
	for i := range n {
		short[i] = []string{"AIR", "TRUCK", "REG AIR", "MAIL", "SHIP", "NONE"}[r.IntN(6)]
		comments[i] = "carefully final packages sleep furiously abo"
		if r.IntN(50) == 0 {
			comments[i] = "carefully special packages sleep furiously, "
		}
	}
	sv, cv := viewsOf(short), viewsOf(comments)
	bm, h, sel := make([]uint64, n/64), make([]uint64, n), make([]uint16, n/2)
	for i := range sel {
		sel[i] = uint16(2 * i)
	}
	dst := make([]vec.View, n)
	each := func(v []string, f func(s string) bool) func(int) {
		return func(int) {
			for w := range bm {
				var x uint64
				for j := range 64 {
					x |= b2u(f(v[w<<6+j])) << uint(j)
				}
				bm[w] = x
			}
		}
	}
	like, _ := CompileLike("%special%", '\\', false)
	return []row{
		{name: "hash, short strings", good: 0.93, kernel: func(int) { HashVec(h, sv, nil) }, loop: func(int) {
			for i, s := range short {
				h[i] = HashString(s)
			}
		}},
		{name: "hash, 44 bytes", good: 7.8, kernel: func(int) { HashVec(h, cv, nil) }, loop: func(int) {
			for i, s := range comments {
				h[i] = HashString(s)
			}
		}},
		{name: "= 'TRUCK'", good: 1.1, kernel: func(int) { CmpViewConst(EQ, sv.Views, sv.Bufs, []byte("TRUCK"), bm) }, loop: each(short, func(s string) bool { return s == "TRUCK" })},
		{name: "< 'NONE'", good: 2.6, kernel: func(int) { CmpViewConst(LT, sv.Views, sv.Bufs, []byte("NONE"), bm) }, loop: each(short, func(s string) bool { return s < "NONE" })},
		{name: "gather of strings, a row of it", good: 0.77, rows: n / 2, kernel: func(int) { Gather(dst[:n/2], sv.Views, sel) }, loop: func(int) {
			for k, i := range sel {
				dst[k] = sv.Views[i]
			}
		}},
		{name: "LIKE '%special%' on 44 bytes", good: 11.7, kernel: func(int) { like.MatchViews(cv.Views, cv.Bufs, bm, nil) }, loop: each(comments, containsSpecial)},
	}
}

func containsSpecial(s string) bool { return strings.Contains(s, "special") }
