package kernel

import (
	"math/rand/v2"
	"testing"
)

func TestPackRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for width := uint(0); width <= 64; width++ {
		src := make([]uint64, GroupSize)
		for i := range src {
			if width > 0 {
				src[i] = r.Uint64() >> (64 - width)
			}
		}
		packed := make([]uint32, PackedWords(GroupSize, width))
		PackGroup(packed, src, width)
		for _, acc := range both() {
			withAccel(acc, func() {
				var got [GroupSize]int64
				UnpackI64(&got, packed, width, 7)
				for i := range src {
					if uint64(got[i]-7) != src[i] || PackedAt(packed, width, i) != src[i] {
						t.Fatalf("width %d value %d: %d, at %d, want %d", width, i, got[i]-7, PackedAt(packed, width, i), src[i])
					}
				}
				if width <= 32 {
					var u [GroupSize]uint32
					UnpackU32(&u, packed, width, 9)
					for i := range src {
						if uint64(u[i]-9) != src[i] {
							t.Fatalf("u32 width %d value %d: %d, want %d", width, i, u[i], src[i])
						}
					}
				}
			})
		}
	}
}

func cmpCheck[E Number](t *testing.T, name string, v, w []E, run func(op Op, out []uint64), less, eq func(i int) bool) {
	t.Helper()
	out := make([]uint64, words(len(v))+1)
	for _, acc := range both() {
		for op := EQ; op <= GE; op++ {
			withAccel(acc, func() { run(op, out) })
			for i := range v {
				c := 1
				if less(i) {
					c = -1
				}
				if eq(i) {
					c = 0
				}
				if got := out[i>>6]>>(uint(i)&63)&1 != 0; got != op.Holds(c) {
					t.Fatalf("%s accel %v: row %d: %v %v gave %v", name, acc, i, v[i], op, got)
				}
			}
			if r := uint(len(v)) & 63; r != 0 && out[len(v)>>6]>>r != 0 {
				t.Fatalf("%s: bits above n", name)
			}
		}
	}
}

func intsTest[E Integer](t *testing.T, name string) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 63, 64, 65, 200, 2048} {
		a, b := make([]E, n), make([]E, n)
		for i := range a {
			a[i], b[i] = E(r.IntN(5))-2, E(r.IntN(5))-2
		}
		c := E(1)
		cmpCheck(t, name, a, b, func(op Op, out []uint64) { CmpConst(op, a, c, out) },
			func(i int) bool { return a[i] < c }, func(i int) bool { return a[i] == c })
		cmpCheck(t, name+" vec", a, b, func(op Op, out []uint64) { CmpVec(op, a, b, out) },
			func(i int) bool { return a[i] < b[i] }, func(i int) bool { return a[i] == b[i] })
		for op := EQ; op <= GE; op++ {
			bm, sel := make([]uint64, words(n)), make([]uint16, n+8)
			CmpConst(op, a, c, bm)
			for _, acc := range both() {
				withAccel(acc, func() {
					sel2 := make([]uint16, n)
					k, k2 := SelConst(op, a, c, sel), BitsToSel(bm, n, sel2)
					if k != k2 || k != Count(bm, n) {
						t.Fatalf("%s: sel %d, bits %d", name, k, k2)
					}
					for i := range k {
						if sel[i] != sel2[i] {
							t.Fatalf("%s: sel differs at %d", name, i)
						}
					}
					back := make([]uint64, words(n))
					SelToBits(sel[:k], n, back)
					for i := range back {
						if back[i] != bm[i] {
							t.Fatal("SelToBits")
						}
					}
				})
			}
		}
		lo, hi := E(0), E(1)
		for _, acc := range both() {
			withAccel(acc, func() {
				bm := make([]uint64, words(n))
				Between(a, lo, hi, bm)
				for i := range a {
					if got := bm[i>>6]>>(uint(i)&63)&1 != 0; got != (a[i] >= lo && a[i] <= hi) {
						t.Fatalf("%s between row %d value %v", name, i, a[i])
					}
				}
			})
		}
	}
}

func TestCompareInts(t *testing.T) {
	intsTest[int16](t, "int16")
	intsTest[int32](t, "int32")
	intsTest[int64](t, "int64")
	intsTest[uint32](t, "uint32")
	intsTest[uint8](t, "uint8")
}

func floatsTest[E Float](t *testing.T, name string) {
	r := rand.New(rand.NewPCG(3, 4))
	zero := E(0)
	vals := []E{zero / zero, 1 / zero, -1 / zero, 0, -zero, 1, -2.5}
	less := func(a, b E) bool { return a < b || b != b && a == a }
	eq := func(a, b E) bool { return a == b || a != a && b != b }
	for _, n := range []int{1, 64, 131} {
		a, b := make([]E, n), make([]E, n)
		for i := range a {
			a[i], b[i] = vals[r.IntN(len(vals))], vals[r.IntN(len(vals))]
		}
		for _, c := range vals {
			cmpCheck(t, name, a, b, func(op Op, out []uint64) { CmpFloatConst(op, a, c, out) },
				func(i int) bool { return less(a[i], c) }, func(i int) bool { return eq(a[i], c) })
		}
		cmpCheck(t, name+" vec", a, b, func(op Op, out []uint64) { CmpFloatVec(op, a, b, out) },
			func(i int) bool { return less(a[i], b[i]) }, func(i int) bool { return eq(a[i], b[i]) })
	}
}

func TestCompareFloats(t *testing.T) {
	floatsTest[float32](t, "float32")
	floatsTest[float64](t, "float64")
}
