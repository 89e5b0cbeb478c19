package tablet

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestChangedAndCompacted: rows that others change between the end of a statement that
// locks none and its commit are seen to be others, compacted or not.
func TestChangedAndCompacted(t *testing.T) {
	for _, logged := range []bool{false, true} {
		for _, rows := range []int{20, keysFileRows} {
			t.Run(fmt.Sprint(logged, rows), func(t *testing.T) {
				s := keysFileStore(t, blob.NewMem())
				defer s.Close()
				tab := keysFileTable(t, s, catalog.OrientationColumn, logged, true)
				b := &besideTest{T: t, s: s, tab: tab}
				x := s.Begin(storage.TxnOptions{})
				defer x.Rollback()
				n, err := x.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				was, keys, csns := b.scan(n)
				for from := 0; from < rows; from += 500 {
					to := min(from+500, rows)
					m := &storage.Mutation{Table: tab, Op: storage.OpUpdate, Keys: keysOf(keys[from:to]), OldCSN: vec.New(types.Int8, 500)}
					var after []kv
					for i := from; i < to; i++ {
						m.OldCSN.AppendDatum(types.NewInt(csns[i]))
						after = append(after, kv{keys[i], was[keys[i]] + "!"})
					}
					m.Rows = rowsBatch(tab, after)
					m.Resolve = func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
						keep := make([]uint16, old.N)
						for i := range keep {
							keep[i] = uint16(i)
						}
						return changed(tab, old), keep, nil
					}
					if _, err := x.Write(bg, m); err != nil {
						t.Fatal(err)
					}
				}
				n.Close() // the statement ends
				k := keys[rows-1]
				y := s.Begin(storage.TxnOptions{})
				defer y.Rollback()
				m := &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, []kv{{k, "other"}})}
				if _, err := y.Write(bg, m); err != nil {
					t.Fatal(err)
				}
				if x.(*tx).own[tab.OID].large { // its key may be locked
					ctx, cancel := context.WithCancel(bg)
					cancel()
					if _, err := y.Commit(ctx); err == nil {
						t.Fatal("the row is not locked")
					}
					y = nil
				} else if _, err := y.Commit(bg); err != nil {
					t.Fatal(err)
				}
				if err := s.Compact(bg, tab.OID); err != nil {
					t.Fatal(err)
				}
				want := "other"
				if y == nil {
					want = was[k]
				}
				_, err = x.Commit(bg)
				if err == nil {
					want += "!"
				} else if sqlstate.CodeOf(err) != sqlstate.SerializationFailure {
					t.Fatal(err)
				}
				if got, _, _ := b.scan(nil); got[k] != want {
					t.Errorf("%q, not %q (%v)", got[k], want, err)
				}
			})
		}
	}
}
