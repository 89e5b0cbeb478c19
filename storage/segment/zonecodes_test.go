package segment

import (
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// What is known of a block by the codes of its strings is what its rows would say.
func TestZoneOfCodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := NewWriter(io.Discard, Schema{Columns: []Column{{1, types.Text}}}, Options{})
	c := w.cols[0]
	for block := range 40 {
		v := vec.New(types.Text, 0)
		n, distinct, long := 1+rng.IntN(9000), 1+rng.IntN(400), rng.IntN(3)
		for range n {
			switch k := rng.IntN(distinct); {
			case block%3 == 0 && rng.IntN(4) == 0 || block == 11:
				v.AppendNull()
			case k%3 < long:
				v.AppendString(fmt.Sprintf("%d of what is longer than a view, and than a zone's bound, with some more at its end: %d", block/10, k))
			default:
				v.AppendString(fmt.Sprintf("%d", k*7))
			}
		}
		w.n, w.wide = n, make([]uint64, n)
		c.v = v
		want, sketch := zoneOf(v), c.sketch
		kernel.HashVec(w.wide, v, nil)
		had := c.strs.Len()
		kept := w.keepCodes(c, block)
		if c.strs == nil {
			c.strs = new(encoding.Strings)
		}
		for code, x := range w.stamp {
			if x != 0 {
				t.Fatalf("block %d: code %d stays noted", block, code)
			}
		}
		if !kept {
			if c.strs.Len() > had {
				t.Fatalf("block %d: strings stay", block)
			}
			continue
		}
		got := w.zoneOfCodes(c)
		after := c.sketch
		c.sketch = sketch
		w.sketch(c, &want)
		if !reflect.DeepEqual(got, want) || after != c.sketch {
			t.Fatalf("block %d of %d rows: %+v, not %+v", block, n, got, want)
		}
		p := c.pending[len(c.pending)-1]
		for i := range n {
			if !v.IsNull(i) && string(c.strs.At(int(w.codes[i]))) != v.String(i) {
				t.Fatalf("block %d row %d of %d", block, i, p.block)
			}
		}
	}
	if len(c.pending) < 20 {
		t.Fatalf("%d blocks kept their codes", len(c.pending))
	}
}
