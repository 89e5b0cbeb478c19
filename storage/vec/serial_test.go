package vec

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/types"
)

func TestSerialRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ts := []types.T{types.Bool, types.Int2, types.Int4, types.Int8, types.Decimal(30, 2), types.Float4, types.Float8, types.UUID, types.Text}
	datum := func(k types.T) types.Datum {
		if rng.IntN(4) == 0 {
			return types.Null
		}
		switch k.Layout {
		case types.LayoutBool:
			return types.NewBool(rng.IntN(2) == 0)
		case types.LayoutI128:
			return types.NewI128(types.Int128{Lo: rng.Uint64(), Hi: rng.Int64()})
		case types.LayoutF32, types.LayoutF64:
			return types.NewFloat(float64(rng.IntN(100)))
		case types.LayoutFixed16:
			return types.NewFixed16(types.Fixed16{A: rng.Int64(), B: rng.Int64()})
		case types.LayoutView:
			return types.NewString(strings.Repeat("x", rng.IntN(40)))
		}
		return types.NewInt(int64(int16(rng.Uint64())))
	}
	for _, n := range []int{0, 1, 63, 64, 65, 2048} {
		b := NewBatch(ts)
		for range n {
			for i, c := range b.Cols {
				c.AppendDatum(datum(ts[i]))
			}
		}
		b.N = n
		if n > 2 {
			d := types.NewString("a constant value, not short")
			b.Cols[8].SetConst(types.Text, d, n)
		}
		for _, sel := range [][]uint16{nil, everyThird(n)} {
			b.Sel = sel
			got := NewBatch(ts)
			for range 2 { // the second into used memory
				if err := got.DecodeSerial(AppendSerial(nil, b)); err != nil {
					t.Fatal(err)
				}
			}
			if got.N != b.Rows() {
				t.Fatalf("%d rows, want %d", got.N, b.Rows())
			}
			for i := range ts {
				for k := 0; k < got.N; k++ {
					if g, w := got.Cols[i].Datum(k), b.Cols[i].Datum(b.Row(k)); g != w {
						t.Fatalf("column %d row %d: %v, want %v", i, k, g, w)
					}
				}
			}
		}
	}
}

func everyThird(n int) []uint16 {
	s := []uint16{}
	for i := 0; i < n; i += 3 {
		s = append(s, uint16(i))
	}
	return s
}
