package tablet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestBlindChains writes random blind upserts and deletes of few keys in one
// transaction: the last change of each key counts.
func TestBlindChains(t *testing.T) {
	m := blob.NewMem()
	s := openMem(t, m)
	defer s.Close()
	tab := create(t, s, "t", true)
	model := map[int]string{}
	for round := range 400 {
		rng := rand.New(rand.NewPCG(1, uint64(round)))
		explicit := round%2 == 1
		x := s.Begin(storage.TxnOptions{Explicit: explicit})
		var script []string
		for range 1 + rng.IntN(6) {
			k := rng.IntN(4)
			switch op := rng.IntN(3); {
			case op == 0 && explicit && model[k] != "":
				v := fmt.Sprint("u", rng.IntN(100))
				updateRead(t, x, tab, k, v)
				script = append(script, fmt.Sprintf("update %d %s", k, v))
				model[k] = v
			case op < 2:
				v := fmt.Sprint("v", rng.IntN(100))
				rows := rowsBatch(tab, []kv{{k, v}})
				if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rows}); err != nil {
					t.Fatal(err)
				}
				script = append(script, fmt.Sprintf("upsert %d %s", k, v))
				model[k] = v
			default:
				keys := vec.NewBatch(tab.Types()[:1])
				keys.Cols[0].AppendDatum(types.NewInt(int64(k)))
				keys.N = 1
				mut := &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: keys}
				if explicit {
					mut.Resolve = deleteAll
				}
				if _, err := x.Write(bg, mut); err != nil {
					t.Fatal(err)
				}
				script = append(script, fmt.Sprintf("delete %d", k))
				delete(model, k)
			}
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatalf("round %d %v: %v", round, script, err)
		}
		var want []string
		for k, v := range model {
			want = append(want, fmt.Sprintf("%d=%s", k, v))
		}
		sort.Strings(want)
		n := s.Snapshot()
		got, _, _ := scan(t, n, tab)
		n.Close()
		sort.Strings(got)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d explicit %v %v:\n got %v\nwant %v", round, explicit, script, got, want)
		}
	}
}

func deleteAll(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
	keep := make([]uint16, old.N)
	for i := range keep {
		keep[i] = uint16(i)
	}
	return nil, keep, nil
}

// updateRead updates a row conditioned on what the transaction reads of it.
func updateRead(t *testing.T, x storage.Txn, tab *catalog.Table, k int, v string) {
	t.Helper()
	n, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	rel, err := n.Relation(tab)
	if err != nil {
		t.Fatal(err)
	}
	keys := vec.NewBatch(tab.Types()[:1])
	keys.Cols[0].AppendDatum(types.NewInt(int64(k)))
	keys.N = 1
	old := vec.NewBatch([]types.T{types.Int4, types.Text, types.Int8})
	idx, err := rel.Get(bg, keys, []int{0, 1, catalog.ColCSN}, old, nil)
	if err != nil || len(idx) != 1 {
		t.Fatal(idx, err)
	}
	m := &storage.Mutation{Table: tab, Op: storage.OpUpdate, Keys: keys, OldCSN: old.Cols[2], Rows: rowsBatch(tab, []kv{{k, v}}),
		Resolve: func(context.Context, *vec.Batch) (*vec.Batch, []uint16, error) {
			return rowsBatch(tab, []kv{{k, v}}), []uint16{0}, nil
		}}
	if _, err := x.Write(bg, m); err != nil {
		t.Fatal(err)
	}
}
