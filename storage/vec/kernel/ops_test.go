package kernel

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func bigOf(x types.Int128) *big.Int {
	b := new(big.Int).Lsh(big.NewInt(x.Hi), 64)
	return b.Add(b, new(big.Int).SetUint64(x.Lo))
}

func edge64(r *rand.Rand) int64 {
	switch r.IntN(4) {
	case 0:
		return []int64{math.MinInt64, math.MaxInt64, 0, 1, -1, math.MinInt32, math.MaxInt32, 1 << 32}[r.IntN(8)]
	case 1:
		return int64(r.Uint64())
	}
	return r.Int64N(2000) - 1000
}

func TestArithmetic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	ops := []struct {
		name  string
		run   func(dst, a, b []int64) bool
		fails func(a, b []int64, out []uint64)
		big   func(z, x, y *big.Int) *big.Int
	}{
		{"add", AddVecOver[int64], AddFails[int64], (*big.Int).Add},
		{"sub", SubVecOver[int64], SubFails[int64], (*big.Int).Sub},
		{"mul", MulI64Over, MulFails[int64], (*big.Int).Mul},
		{"addc", func(d, a, b []int64) bool { return AddConstOver(d, a, b[0]) }, nil, (*big.Int).Add},
		{"subc", func(d, a, b []int64) bool { return SubConstOver(d, a, b[0]) }, nil, (*big.Int).Sub},
		{"csub", func(d, a, b []int64) bool { return ConstSubOver(d, a[0], b) }, nil, (*big.Int).Sub},
		{"mulc", func(d, a, b []int64) bool { return MulI64ConstOver(d, a, b[0]) }, nil, (*big.Int).Mul},
	}
	for range 4000 {
		a, b, d := []int64{edge64(r)}, []int64{edge64(r)}, []int64{0}
		for _, op := range ops {
			want := op.big(new(big.Int), big.NewInt(a[0]), big.NewInt(b[0]))
			over := op.run(d, a, b)
			if over == want.IsInt64() || !over && d[0] != want.Int64() {
				t.Fatalf("%s %d %d = %d over %v", op.name, a[0], b[0], d[0], over)
			}
			if op.fails != nil {
				var out [1]uint64
				op.fails(a, b, out[:])
				if (out[0] != 0) != over {
					t.Fatalf("%s fails %d %d: %v", op.name, a[0], b[0], out[0])
				}
			}
		}
		x, y := []int32{int32(a[0])}, []int32{int32(b[0])}
		z := []int32{0}
		p := int64(x[0]) * int64(y[0])
		if MulNarrowOver(z, x, y) != (p != int64(int32(p))) {
			t.Fatalf("mul32 %d %d", x[0], y[0])
		}
		u := types.Int128{Lo: uint64(edge64(r)), Hi: edge64(r) >> uint(r.IntN(64))}
		v := types.Int128{Lo: uint64(edge64(r)), Hi: edge64(r) >> uint(r.IntN(64))}
		for name, f := range map[string]func(a, b types.Int128) (types.Int128, bool){"add": AddI128, "sub": SubI128, "mul": MulI128} {
			want := map[string]func(z, x, y *big.Int) *big.Int{"add": (*big.Int).Add, "sub": (*big.Int).Sub, "mul": (*big.Int).Mul}[name](new(big.Int), bigOf(u), bigOf(v))
			got, over := f(u, v)
			lim := new(big.Int).Lsh(big.NewInt(1), 127)
			fits := want.Cmp(lim) < 0 && want.Cmp(new(big.Int).Neg(lim)) >= 0
			if over == fits || !over && bigOf(got).Cmp(want) != 0 {
				t.Fatalf("%s %v %v = %v over %v, want %v", name, bigOf(u), bigOf(v), bigOf(got), over, want)
			}
		}
	}
}

func TestSums(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	for _, n := range []int{0, 1, 31, 64, 100, 2048} {
		v, mask := make([]int64, n), make([]uint64, words(n))
		u := make([]int32, n)
		want, wantM := new(big.Int), new(big.Int)
		lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
		mlo, mhi := lo, hi
		var sel []uint16
		for i := range v {
			v[i] = edge64(r)
			u[i] = int32(v[i])
			want.Add(want, big.NewInt(v[i]))
			lo, hi = min(lo, v[i]), max(hi, v[i])
			if i/64%3 == 1 || i/64%3 == 2 && r.IntN(2) == 0 {
				mask[i>>6] |= 1 << (i & 63)
				sel = append(sel, uint16(i))
				wantM.Add(wantM, big.NewInt(v[i]))
				mlo, mhi = min(mlo, v[i]), max(mhi, v[i])
			}
		}
		for _, on := range both() {
			withAccel(on, func() {
				if got := bigOf(SumI64(v)); got.Cmp(want) != 0 {
					t.Fatalf("sum of %d simd %v: %v, want %v", n, on, got, want)
				}
				if got := bigOf(SumMaskedI64(v, mask)); got.Cmp(wantM) != 0 {
					t.Fatalf("masked sum of %d simd %v: %v, want %v", n, on, got, wantM)
				}
				if n > 0 {
					if l, h := MinMax(v); l != lo || h != hi {
						t.Fatalf("minmax %d %d, want %d %d", l, h, lo, hi)
					}
					l, h := MinMax(u)
					for _, x := range u {
						if x < l || x > h {
							t.Fatalf("minmax32 %d..%d and %d", l, h, x)
						}
					}
				}
				if l, h, ok := MinMaxMasked(v, mask); ok != (len(sel) > 0) || ok && (l != mlo || h != mhi) {
					t.Fatalf("masked minmax %d %d %v, want %d %d", l, h, ok, mlo, mhi)
				}
				f, g := make([]float64, n), make([]float64, n)
				small := make([]int64, n)
				for i := range small {
					small[i] = v[i] % (1 << 51)
					g[i] = float64(small[i]) / 100
				}
				DecimalF64(f, small, 100)
				for i := range f {
					if f[i] != g[i] {
						t.Fatalf("decimal %d: %v, want %v", small[i], f[i], g[i])
					}
				}
			})
		}
		if got := bigOf(SumSelI64(v, sel)); got.Cmp(wantM) != 0 {
			t.Fatalf("sum by selection: %v, want %v", got, wantM)
		}
	}
	nan := math.NaN()
	if lo, hi := MinMaxFloat([]float64{nan, 1, nan, -1}); lo != -1 || hi == hi {
		t.Errorf("float bounds %v %v", lo, hi)
	}
}

func viewsOf(strs []string) *vec.Vec {
	v := vec.New(types.Text, 0)
	for _, s := range strs {
		v.AppendString(s)
	}
	return v
}

func randomText(r *rand.Rand, n int) []string {
	ws := []string{"special", "requests", "spec", "ial", "a", "", "package ", "Ünïcode", "xyz", "%", "_", "deposits sleep "}
	out := make([]string, n)
	for i := range out {
		var b strings.Builder
		for range r.IntN(7) {
			b.WriteString(ws[r.IntN(len(ws))])
		}
		out[i] = b.String()
	}
	return out
}

func TestStrings(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	a, b := randomText(r, 300), randomText(r, 300)
	va, vb := viewsOf(a), viewsOf(b)
	out := make([]uint64, words(300))
	for op := EQ; op <= GE; op++ {
		CmpViewVec(op, va.Views, va.Bufs, vb.Views, vb.Bufs, out)
		for i := range a {
			if vec.Bit(out, i) != op.Holds(strings.Compare(a[i], b[i])) {
				t.Fatalf("%q %v %q", a[i], op, b[i])
			}
		}
		for _, c := range []string{"", "special", "specialspecial", "deposits sleep a", "z"} {
			CmpViewConst(op, va.Views, va.Bufs, []byte(c), out)
			for i := range a {
				if vec.Bit(out, i) != op.Holds(strings.Compare(a[i], c)) {
					t.Fatalf("%q %v %q", a[i], op, c)
				}
			}
			PrefixViews(va.Views, va.Bufs, []byte(c), out)
			for i := range a {
				if vec.Bit(out, i) != strings.HasPrefix(a[i], c) {
					t.Fatalf("%q begins with %q", a[i], c)
				}
			}
		}
	}
	for _, on := range both() {
		withAccel(on, func() {
			for _, c := range []string{"", "s", "special", "specialrequests", "ïc", "zz"} {
				ContainsViews(va.Views, va.Bufs, []byte(c), out)
				for i := range a {
					if vec.Bit(out, i) != strings.Contains(a[i], c) {
						t.Fatalf("%q contains %q: %v", a[i], c, vec.Bit(out, i))
					}
				}
			}
			for range 2000 {
				hay := []byte(strings.Join(randomText(r, 12), ""))
				needle := []byte(randomText(r, 1)[0])
				if got, want := Index(hay, needle), bytes.Index(hay, needle); got != want {
					t.Fatalf("%q in %q at %d, want %d", needle, hay, got, want)
				}
			}
		})
	}
}

// TestLike compares the matcher with a regular expression made from the pattern.
func TestLike(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 9))
	strs := randomText(r, 200)
	v := viewsOf(strs)
	out := make([]uint64, words(len(strs)))
	patterns := []string{"", "%", "%%", "_", "special", "special%", "%special", "%special%", "%special%requests%", "s_ec%", "%a_", "_%_",
		"%__", "\\%%", "%\\_%", "a\\a", "%ï_ode%", "ünï%", "SPEC%", "%special%a%xyz", "x%y%z", "%_special", "a%a"}
	for range 60 {
		patterns = append(patterns, strings.Join([]string{randomText(r, 1)[0], "%", randomText(r, 1)[0]}, ""))
	}
	for _, p := range patterns {
		for _, fold := range []bool{false, true} {
			var re strings.Builder
			re.WriteString("(?s")
			if fold {
				re.WriteString("i")
			}
			re.WriteString(")^")
			rs := []rune(p)
			ok := true
			for i := 0; i < len(rs); i++ {
				switch rs[i] {
				case '\\':
					if i++; i == len(rs) {
						ok = false
						break
					}
					re.WriteString(regexp.QuoteMeta(string(rs[i])))
				case '%':
					re.WriteString(".*")
				case '_':
					re.WriteString(".")
				default:
					re.WriteString(regexp.QuoteMeta(string(rs[i])))
				}
			}
			l, got := CompileLike(p, '\\', fold)
			if got != ok {
				t.Fatalf("compile %q: %v", p, got)
			}
			if !ok {
				continue
			}
			rx := regexp.MustCompile(re.String() + "$")
			l.MatchViews(v.Views, v.Bufs, out, nil)
			for i, s := range strs {
				b := []byte(s)
				if fold {
					b = Fold(nil, b)
				}
				if want := rx.MatchString(s); vec.Bit(out, i) != want || l.Match(b) != want {
					t.Fatalf("%q like %q (fold %v): views %v, match %v, want %v", s, p, fold, vec.Bit(out, i), l.Match(b), want)
				}
			}
			if prefix, exact := l.Prefix(); len(prefix) > 0 || exact {
				for _, s := range strs {
					if rx.MatchString(s) && (!strings.HasPrefix(s, string(prefix)) || exact && s != string(prefix)) {
						t.Fatalf("prefix %q of %q", prefix, p)
					}
				}
			}
		}
	}
	if _, ok := CompileLike("a\\", '\\', false); ok {
		t.Error("a trailing escape compiled")
	}
}

func TestHash(t *testing.T) {
	// The numbers are in files: they never change.
	for _, c := range []struct {
		got, want uint64
	}{
		{HashU64(0), goldenHashes[0]}, {HashU64(^uint64(0)), goldenHashes[1]}, {HashString(""), goldenHashes[2]},
		{HashString("hello"), goldenHashes[3]}, {HashString("a string of more than twelve"), goldenHashes[4]},
		{CombineHash(1, 2), goldenHashes[5]}, {HashI128(types.Int128{Lo: 5, Hi: 7}), goldenHashes[6]},
		{HashFixed(types.Fixed16{A: 1, B: 2}), goldenHashes[7]},
	} {
		if c.got != c.want {
			t.Errorf("hash %#x, want %#x", c.got, c.want)
		}
	}
	one := func(ty types.T, ds ...types.Datum) []uint64 {
		v := vec.New(ty, 0)
		for _, d := range ds {
			v.AppendDatum(d)
		}
		h := make([]uint64, len(ds))
		HashVec(h, v, nil)
		return h
	}
	equal := func(name string, h []uint64, more ...uint64) {
		t.Helper()
		for _, x := range append(h, more...) {
			if x != h[0] {
				t.Errorf("%s: %x %x", name, h, more)
			}
		}
	}
	equal("integers", one(types.Int2, types.NewInt(-3)), append(one(types.Int4, types.NewInt(-3)), one(types.Int8, types.NewInt(-3))...)...)
	equal("floats", one(types.Float8, types.NewFloat(0), types.NewFloat(math.Copysign(0, -1))))
	equal("float widths", one(types.Float8, types.NewFloat(1.5)), one(types.Float4, types.NewFloat(1.5))...)
	equal("NaN", one(types.Float8, types.NewFloat(math.NaN()), types.NewFloat(math.Float64frombits(0xFFF8000000000009))))
	equal("blanks", one(types.BPChar, types.NewString("ab"), types.NewString("ab   ")))
	equal("intervals", one(types.Interval, types.NewFixed16(types.MakeInterval(1, 0, 0)), types.NewFixed16(types.MakeInterval(0, 30, 0)),
		types.NewFixed16(types.MakeInterval(0, 29, 86400000000)), types.NewFixed16(types.MakeInterval(2, -30, 0))))
	equal("negative intervals", one(types.Interval, types.NewFixed16(types.MakeInterval(-1, 0, 0)), types.NewFixed16(types.MakeInterval(0, -31, 86400000000))))
	num := func(scale byte, digit byte) types.Datum {
		return types.NewString(string([]byte{scale, 0, 0, 0, digit, 0, 0, 0}))
	}
	equal("numerics", one(types.Numeric, num(0, 7), num(3, 7)))
	equal("numeric zero", one(types.Numeric, types.NewString("\x00\x00"), types.NewString("\x04\x00")))
	if h := one(types.Numeric, num(0, 7), num(0, 8)); h[0] == h[1] {
		t.Error("different numerics")
	}
	// Forms and selections agree.
	ss := randomText(rand.New(rand.NewPCG(5, 5)), 100)
	v := viewsOf(ss)
	v.SetNull(3)
	v.Views[3] = vec.View{}
	flat, dict := make([]uint64, 100), make([]uint64, 100)
	HashVec(flat, v, nil)
	d := &vec.Vec{T: types.Text, Form: vec.Dict, N: 100, Dict: &vec.Dictionary{Values: v}}
	for i := range 100 {
		d.Codes = append(d.Codes, uint32(99-i))
	}
	HashVec(dict, d, nil)
	for i := range flat {
		if w := HashString(ss[i]); i != 3 && (flat[i] != w || dict[99-i] != w) || i == 3 && flat[i] != HashNull {
			t.Fatalf("row %d: %x, dictionary %x, want %x", i, flat[i], dict[99-i], w)
		}
	}
	sel := []uint16{1, 3, 50}
	some, comb := make([]uint64, 3), make([]uint64, 3)
	HashVec(some, v, sel)
	HashVec(comb, v, sel)
	CombineVec(comb, v, sel)
	for k, i := range sel {
		if some[k] != flat[i] {
			t.Fatalf("selected row %d", i)
		}
		if comb[k] != CombineHash(flat[i], flat[i]) {
			t.Fatalf("combined row %d", i)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	n := 2048
	a, b, d := make([]int64, n), make([]int64, n), make([]int64, n)
	u := make([]uint32, n)
	f := make([]float64, n)
	bm, sel, h := make([]uint64, words(n)), make([]uint16, n), make([]uint64, n)
	v := viewsOf(randomText(rand.New(rand.NewPCG(5, 5)), n))
	iv := &vec.Vec{T: types.Int8, N: n, I64: a}
	like, _ := CompileLike("%special%req_ests%", '\\', false)
	for i := range a {
		a[i], b[i] = int64(i), int64(-i)
	}
	if k := testing.AllocsPerRun(10, func() {
		CmpConst(GT, a, 77, bm)
		CmpVec(LT, a, b, bm)
		CmpFloatConst(GE, f, 1, bm)
		Between(u, 3, 9, bm)
		BitsToSel(bm, n, sel)
		SelConst(LE, a, 9, sel)
		AddVecOver(d, a, b)
		MulI64Over(d, a, b)
		SumI64(a)
		MinMax(a)
		HashVec(h, iv, nil)
		CombineVec(h, v, nil)
		CmpViewConst(EQ, v.Views, v.Bufs, like.probe, bm)
		ContainsViews(v.Views, v.Bufs, like.probe, bm)
		like.MatchViews(v.Views, v.Bufs, bm, nil)
	}); k > 0 {
		t.Errorf("%v allocations", k)
	}
}

func TestBitmaps(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 9))
	src, dst := make([]uint64, 8), make([]uint64, 8)
	for range 500 {
		for i := range src {
			src[i], dst[i] = r.Uint64(), r.Uint64()
		}
		want := append([]uint64(nil), dst...)
		s, d, n := r.IntN(200), r.IntN(200), r.IntN(300)
		for i := range n {
			vec.PutBit(want, d+i, vec.Bit(src, s+i))
		}
		CopyBits(dst, d, src, s, n)
		if fmt.Sprint(dst) != fmt.Sprint(want) {
			t.Fatalf("copy %d bits from %d to %d", n, s, d)
		}
	}
	sel := []uint16{0, 5, 70, 300}
	GatherBits(dst, src, sel)
	for k, i := range sel {
		if vec.Bit(dst, k) != vec.Bit(src, int(i)) {
			t.Fatal("gather")
		}
	}
	out := make([]uint16, 4)
	k := RefineBits(src, sel, out)
	j := 0
	for _, i := range sel {
		if vec.Bit(src, int(i)) {
			if out[j] != i {
				t.Fatal("refine")
			}
			j++
		}
	}
	if j != k {
		t.Fatal("refine count")
	}
}

// The value under a null may be of no valid form.
func TestHashUnderNull(t *testing.T) {
	for _, typ := range []types.T{types.JSONB, types.Of(types.Int4ArrayOID, -1), types.Of(types.RecordOID, -1), types.Numeric} {
		v := vec.New(typ, 0)
		v.AppendDatum(types.Null)
		v.AppendDatum(types.Null)
		var dst [2]uint64
		HashVec(dst[:], v, nil)
		if dst[0] != HashNull || dst[1] != HashNull {
			t.Fatalf("%v: %v", typ, dst)
		}
	}
}
