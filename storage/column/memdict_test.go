package column

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// TestMemDict compares vectors with codes with the rows they stand for, over a
// dictionary that grows and one that grows too large.
func TestMemDict(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, distinct := range []int{0, 1, 3, 100, memDictMax, 5000} {
		t.Run(fmt.Sprint(distinct), func(t *testing.T) {
			m := &memtable{}
			cc := &chunkCol{}
			d := new(memDict)
			var heads []*vec.Vec
			for vi := range chunkRows / vec.Size {
				v := vec.New(types.Text, 0)
				for range vec.Size {
					if distinct == 0 || r.IntN(10) == 0 {
						v.AppendNull()
						continue
					}
					// More strings from vector to vector, short and long ones.
					k := r.IntN(1 + (distinct-1)*(vi+1)*vec.Size/chunkRows)
					v.AppendString(fmt.Sprintf([]string{"%d", "a string of more than twelve bytes %d"}[k%2], k))
				}
				heads = append(heads, v)
			}
			for range 2 {
				for vi, v := range heads {
					w := *v
					d.encode(m, cc, vi, &w)
					coded := w.Form == vec.Dict
					if want := distinct > 0 && distinct <= memDictMax; coded != want && !(distinct > memDictMax && vi == 0) {
						t.Fatalf("vector %d: codes %v, expected %v", vi, coded, want)
					}
					for i := range vec.Size {
						if w.IsNull(i) != v.IsNull(i) || !v.IsNull(i) && string(w.BytesAt(i)) != string(v.BytesAt(i)) {
							t.Fatalf("vector %d row %d differs", vi, i)
						}
						if coded && v.IsNull(i) && w.Codes[i] != 0 {
							t.Fatalf("vector %d row %d: code %d under a null", vi, i, w.Codes[i])
						}
					}
				}
			}
			if n := len(d.short) + len(d.long); d.cur.Load() != nil && !d.full.Load() && d.cur.Load().Values.N != n {
				t.Fatalf("%d strings of %d published", d.cur.Load().Values.N, n)
			}
		})
	}
}
