package tablet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// TestOwnRow compares what a transaction says of the rows that it wrote with what its
// snapshots read, after writes of all kinds, savepoints and moves to other keys.
func TestOwnRow(t *testing.T) {
	for _, o := range []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid} {
		t.Run(o, func(t *testing.T) { testOwnRow(t, o) })
	}
}

func testOwnRow(t *testing.T, orientation string) {
	_, s, tab := eightRows(t, orientation)
	defer s.Close()
	rnd := rand.New(rand.NewPCG(7, 9))
	cols := []int{0, 1, catalog.ColCSN}
	ts := []types.T{types.Int4, types.Text, types.Int8}
	none := func(context.Context, *vec.Batch) (*vec.Batch, []uint16, error) { return nil, nil, nil } // of rows that are not there
	said := map[storage.OwnRow]int{}
	for range 8 {
		x := s.Begin(storage.TxnOptions{Explicit: true})
		marks := 0
		for step := range 24 {
			k := rnd.IntN(12)
			key := vec.NewBatch(ts[:1])
			key.Cols[0].AppendDatum(types.NewInt(int64(k)))
			key.N = 1
			row := []kv{{k, fmt.Sprint("v", step)}}
			var err error
			switch c := rnd.IntN(8); {
			case c < 2:
				_, err = x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, row)})
			case c < 3:
				_, err = x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: key, Resolve: none})
			case c < 6:
				if c == 5 {
					row[0].k = 12 + step // another key, which is free
				}
				_, err = x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpdate, Keys: key, Rows: rowsBatch(tab, row),
					Resolve: none})
			case c < 7:
				x.Savepoint()
				marks++
			case marks > 0:
				marks--
				err = x.RollbackTo(marks)
			}
			if err != nil {
				t.Fatal(err)
			}
			n, err := x.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			r, err := n.Relation(tab)
			if err != nil {
				t.Fatal(err)
			}
			for k := range 40 {
				key := vec.NewBatch(ts[:1])
				key.Cols[0].AppendDatum(types.NewInt(int64(k)))
				key.N = 1
				own, read := vec.NewBatch(ts), vec.NewBatch(ts)
				is := x.(storage.PointTxn).OwnRow(tab, cols, key, own)
				said[is]++
				if _, err := r.Get(bg, key, cols, read, nil); err != nil {
					t.Fatal(err)
				}
				own2 := read.N > 0 && read.Cols[2].Datum(0).I == 0
				switch {
				case is == storage.OwnFound && (!own2 || own.N != 1):
					t.Fatalf("key %d: an own row, where the snapshot has %d, of its own: %t", k, read.N, own2)
				case is == storage.OwnFound:
					for c := range cols {
						if a, b := own.Cols[c].Datum(0), read.Cols[c].Datum(0); !types.Equal(ts[c], a, b) {
							t.Fatalf("key %d: %v, snapshot %v", k, a, b)
						}
					}
				case is == storage.OwnGone && read.N > 0, is == storage.NotOwn && own2:
					t.Fatalf("key %d: %d, where the snapshot has %d rows, of its own: %t", k, is, read.N, own2)
				}
			}
			n.Close()
		}
		x.Rollback()
	}
	if said[storage.OwnFound] < 50 || said[storage.OwnGone] < 50 || said[storage.OwnAsk] > 0 {
		t.Errorf("answers %v", said)
	}
}
