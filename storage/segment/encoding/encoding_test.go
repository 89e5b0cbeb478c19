package encoding

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// shapes are the ways in which a column's values can lie.
var shapes = map[string]func(r *rand.Rand, i int) int64{
	"const":     func(_ *rand.Rand, _ int) int64 { return 42 },
	"small":     func(r *rand.Rand, _ int) int64 { return r.Int64N(7) },
	"negative":  func(r *rand.Rand, _ int) int64 { return -1000 + r.Int64N(100) },
	"rising":    func(r *rand.Rand, i int) int64 { return int64(i)*3 + r.Int64N(3) },
	"runs":      func(_ *rand.Rand, i int) int64 { return int64(i/300) * 7919 % 1000 },
	"outliers":  func(r *rand.Rand, i int) int64 { return r.Int64N(10) + b(i%100 == 3)*r.Int64N(30000) },
	"few":       func(r *rand.Rand, _ int) int64 { return r.Int64N(20) * 1009 },
	"wide":      func(r *rand.Rand, _ int) int64 { return int64(r.Uint64()) },
	"wide13":    func(r *rand.Rand, _ int) int64 { return r.Int64N(1 << 13) },
	"seconds":   func(r *rand.Rand, i int) int64 { return 555 + r.Int64N(1<<20)*1000000 },
	"ticks":     func(r *rand.Rand, i int) int64 { return 555 + int64(i)*3e9 + r.Int64N(3)*1e9 },
	"wide40":    func(r *rand.Rand, _ int) int64 { return r.Int64N(1 << 40) },
	"extremes":  func(r *rand.Rand, i int) int64 { return []int64{math.MinInt64, math.MaxInt64, 0, -1}[i%4] },
	"construns": func(_ *rand.Rand, i int) int64 { return int64(i / 2048) },
}

func b(x bool) int64 {
	if x {
		return 1
	}
	return 0
}

func datum(t types.T, x int64) types.Datum {
	switch t.Layout {
	case types.LayoutBool:
		return types.NewBool(x&1 != 0)
	case types.LayoutI16:
		return types.NewInt(int64(int16(x)))
	case types.LayoutI32:
		if vec.Unsigned32(t.OID) {
			return types.NewInt(int64(uint32(x)))
		}
		return types.NewInt(int64(int32(x)))
	case types.LayoutI64:
		return types.NewInt(x)
	case types.LayoutI128:
		return types.NewI128(types.Int128{Lo: uint64(x), Hi: x >> 50})
	case types.LayoutF32:
		return types.NewFloat(float64(float32(x) / 4))
	case types.LayoutF64:
		if x == 42 {
			return types.NewFloat(math.Copysign(0, -1))
		}
		if x&255 == 255 {
			return types.NewFloat(math.NaN())
		}
		return types.NewFloat(float64(x) / 100)
	case types.LayoutFixed16:
		return types.NewFixed16(types.Fixed16{A: x * 7, B: x % 5})
	}
	if x%11 == 0 {
		return types.NewString("")
	}
	return types.NewString(fmt.Sprint(x) + strings.Repeat("abcdef ", int(uint64(x)%9)))
}

var testTypes = []types.T{types.Bool, types.Int2, types.Int4, types.Oid, types.Int8, types.Decimal(30, 2),
	types.Float4, types.Float8, types.UUID, types.Interval, types.Text}

func same(t types.T, x, y types.Datum) bool {
	if x.Valid != y.Valid {
		return false
	}
	if t.Layout == types.LayoutF64 || t.Layout == types.LayoutF32 {
		return math.Float64bits(x.F) == math.Float64bits(y.F)
	}
	return x == y
}

// fill makes a vector of n values, a share of them null.
func fill(t types.T, shape string, n int, nulls float64, seed uint64) *vec.Vec {
	r := rand.New(rand.NewPCG(seed, 9))
	v := vec.New(t, 0)
	for i := range n {
		d := datum(t, shapes[shape](r, i))
		if r.Float64() < nulls {
			d = types.Null
		}
		v.AppendDatum(d)
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	enc, dec := NewEncodeScratch(), new(Scratch)
	r := rand.New(rand.NewPCG(5, 5))
	for _, ty := range testTypes {
		for shape := range shapes {
			for _, n := range []int{1, 3, 600, 4999} {
				for _, nulls := range []float64{0, 0.1, 1} {
					for _, o := range []Options{{}, {Points: true}, {Codec: S2}, {Codec: Zstd}} {
						if ty.Layout != types.LayoutView && o.Codec != NoCodec || n > 2048 && nulls == 1 || n == 600 && o.Codec == Zstd {
							continue
						}
						name := fmt.Sprintf("%d/%s/%d/%v/%v", ty.OID, shape, n, nulls, o)
						v := fill(ty, shape, n, nulls, 1)
						data := Encode(nil, v, o, enc)
						if len(data)&7 != 0 {
							t.Fatalf("%s: %d bytes", name, len(data))
						}
						checkBlock(t, name, data, v, dec, r)
					}
				}
			}
		}
	}
}

func checkBlock(t *testing.T, name string, data []byte, v *vec.Vec, s *Scratch, r *rand.Rand) {
	t.Helper()
	var blk Block
	if err := blk.Parse(data, v.T, v.N); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if r.IntN(2) == 0 {
		blk = Block{}
		if err := blk.ParseAgain(data, v.T, v.N); err != nil {
			t.Fatalf("%s: again: %v", name, err)
		}
	}
	checkPoints(t, name, &blk, v)
	var dst, got vec.Vec
	for vi := range vectors(v.N) {
		n := vectorRows(v.N, vi)
		if err := blk.Vector(vi, &dst, s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if dst.N != n {
			t.Fatalf("%s: vector %d has %d rows, want %d", name, vi, dst.N, n)
		}
		for i := range n {
			if x, y := v.Datum(vi*vec.Size+i), dst.Datum(i); !same(v.T, x, y) {
				t.Fatalf("%s %v: vector %d row %d: %v, want %v", name, blk.Enc, vi, i, y, x)
			}
		}
		for _, share := range []float64{0.01, 0.5} {
			var rows []uint16
			for i := range n {
				if r.Float64() < share {
					rows = append(rows, uint16(i))
				}
			}
			if err := blk.Gather(vi, rows, &got, s); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got.N != len(rows) {
				t.Fatalf("%s: gathered %d rows, want %d", name, got.N, len(rows))
			}
			for k, i := range rows {
				if x, y := v.Datum(vi*vec.Size+int(i)), got.Datum(k); !same(v.T, x, y) {
					t.Fatalf("%s %v: vector %d gathered row %d: %v, want %v", name, blk.Enc, vi, i, y, x)
				}
			}
		}
	}
}

func TestNoAllocationPerVector(t *testing.T) {
	enc, dec := NewEncodeScratch(), new(Scratch)
	for _, ty := range testTypes {
		for _, shape := range []string{"small", "rising", "runs", "wide"} {
			for _, o := range []Options{{}, {Codec: S2}} {
				v := fill(ty, shape, 3*vec.Size, 0.1, 1)
				data := Encode(nil, v, o, enc)
				var blk Block
				if err := blk.Parse(data, ty, v.N); err != nil {
					t.Fatal(err)
				}
				var dst, got vec.Vec
				rows := []uint16{3, 77, 1000}
				run := func() {
					for vi := range 3 {
						if err := blk.Vector(vi, &dst, dec); err != nil {
							t.Fatal(err)
						}
						if err := blk.Gather(vi, rows, &got, dec); err != nil {
							t.Fatal(err)
						}
					}
				}
				run()
				if a := testing.AllocsPerRun(5, run); a > 0 {
					t.Errorf("type %d %s %v: %v allocations", ty.OID, shape, blk.Enc, a)
				}
			}
		}
	}
}

// TestCorrupt flips bytes everywhere: errors are fine, panics are not.
func TestCorrupt(t *testing.T) {
	enc, dec := NewEncodeScratch(), new(Scratch)
	r := rand.New(rand.NewPCG(7, 7))
	for _, ty := range testTypes {
		for shape := range shapes {
			for _, o := range []Options{{}, {Codec: S2}} {
				v := fill(ty, shape, 2500, 0.05, 1)
				good := Encode(nil, v, o, enc)
				for range 30 {
					bad := append([]byte(nil), good...)
					for range 1 + r.IntN(3) {
						k := r.IntN(min(len(bad), 64+r.IntN(len(bad))))
						bad[k] = byte(r.Uint32())
					}
					if r.IntN(4) == 0 {
						bad = bad[:r.IntN(len(bad))]
					}
					tryDecode(bad, ty, v.N, dec)
				}
			}
		}
	}
}

func tryDecode(data []byte, ty types.T, rows int, s *Scratch) {
	var blk Block
	if blk.Parse(data, ty, rows) != nil {
		return
	}
	var dst vec.Vec
	for vi := range vectors(rows) {
		if blk.Vector(vi, &dst, s) == nil {
			for i := range dst.N {
				dst.Datum(i)
			}
		}
		if blk.Gather(vi, []uint16{0, 5, 300}, &dst, s) == nil {
			for i := range dst.N {
				dst.Datum(i)
			}
		}
	}
}

func FuzzBlock(f *testing.F) {
	enc := NewEncodeScratch()
	for k, ty := range testTypes {
		for _, shape := range []string{"small", "rising", "runs", "wide", "few"} {
			v := fill(ty, shape, 2100, 0.05, 1)
			f.Add(Encode(nil, v, Options{Codec: Codec(k % 3)}, enc), uint8(k), uint16(2100))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, ty uint8, rows uint16) {
		tryDecode(data, testTypes[int(ty)%len(testTypes)], int(rows), new(Scratch))
	})
}

// checkPoints reads the values of a block of integers one by one, where that goes.
func checkPoints(t *testing.T, name string, blk *Block, v *vec.Vec) {
	t.Helper()
	p := blk.Points()
	if ints := v.T.Layout == types.LayoutI16 || v.T.Layout == types.LayoutI32 || v.T.Layout == types.LayoutI64; p.Ok() && !ints {
		t.Fatalf("%s: has points", name)
	}
	if !p.Ok() {
		return
	}
	for i := range v.N {
		p.Prefetch(i)
		p.PrefetchValue(i)
		x, ok, err := p.At(i)
		if err != nil {
			t.Fatalf("%s: row %d: %v", name, i, err)
		}
		if !ok {
			continue
		}
		var want int64
		switch v.T.Layout {
		case types.LayoutI16:
			want = int64(v.I16[i])
		case types.LayoutI32:
			want = int64(v.I32[i])
		default:
			want = v.I64[i]
		}
		if x != want {
			t.Fatalf("%s: row %d is %d, not %d", name, i, x, want)
		}
	}
	if _, _, err := p.At(v.N); err == nil {
		t.Fatalf("%s: has a row %d", name, v.N)
	}
}
