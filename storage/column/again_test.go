package column

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// A key that is asked for many times gives its row as often, whatever the encoding: of
// a lookup, and of the before images of one chunk.
func TestSameRowAgain(t *testing.T) {
	const rows = 3 * vec.Size
	n := func(k int64) int64 { return 1e15 + k*1_000_003 + k%7 }
	h := newHarness(t, testTable(true, false))
	c := &chunker{}
	for from := int64(0); from < rows; from += vec.Size {
		var rs []row
		for k := from; k < from+vec.Size; k++ {
			v, s := n(k), fmt.Sprint("row ", k)
			rs = append(rs, row{k: k, n: &v, s: &s})
		}
		c.rows(storage.OpInsert, rs...)
	}
	h.mustCommit(c)
	h.flush()
	for name, key := range map[string]func(i int) int64{
		"twice": func(i int) int64 { return int64(i / 2) },
		"few":   func(i int) int64 { return vec.Size + int64(i%3)*5 },
		"one":   func(int) int64 { return 77 },
	} {
		for _, many := range []int{40, vec.Size, 5000} {
			t.Run(fmt.Sprint(name, many), func(t *testing.T) {
				var keys []int64
				var rs []row
				for i := range many {
					keys = append(keys, key(i))
					rs = append(rs, row{k: key(i)})
				}
				s := h.tab.Snapshot(h.pub)
				defer s.Close()
				out := vec.NewBatch([]types.T{types.Int4, types.Int8, types.Text})
				idx, err := s.Get(context.Background(), keysBatch(types.Int4, keys), []int{0, 1, 2}, out, nil)
				if err != nil {
					t.Fatal(err)
				}
				checkAgain(t, keys, out, idx, n)
				ch := (&chunker{}).rows(storage.OpUpsert, rs...)
				ch.chunks[0].Logged = true
				p, err := h.tab.PrepareLogged(context.Background(), ch.chunks, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Release()
				checkAgain(t, keys, p.Logged()[0].Before, p.Logged()[0].BeforeOf, n)
			})
		}
	}
}

func checkAgain(t *testing.T, keys []int64, b *vec.Batch, of []uint16, n func(int64) int64) {
	t.Helper()
	if b.N != len(keys) || len(of) != b.N {
		t.Fatalf("%d rows for %d keys", b.N, len(keys))
	}
	seen := make([]bool, len(keys))
	for i, k := range of {
		want := keys[k]
		if seen[k] || b.Cols[0].Datum(i).I != want || b.Cols[1].Datum(i).I != n(want) || b.Cols[2].String(i) != fmt.Sprint("row ", want) {
			t.Fatalf("row %d for key %d: %v %v", i, want, b.Cols[0].Datum(i).I, b.Cols[1].Datum(i).I)
		}
		seen[k] = true
	}
}
