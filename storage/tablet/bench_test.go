package tablet

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

func openLocal(b *testing.B) *Store {
	d, err := blob.OpenLocal(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(d, Options{Shards: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// lineitem makes TPC-H's widest table, and a batch of it.
func lineitem(b *testing.B, s *Store) (*catalog.Table, func(order int) *vec.Batch) {
	x := s.Begin(storage.TxnOptions{})
	ts := []types.T{types.Int8, types.Int4, types.Int4, types.Int4, types.Decimal(15, 2), types.Decimal(15, 2), types.Decimal(15, 2), types.Decimal(15, 2),
		types.BPChar, types.BPChar, types.Date, types.Date, types.Date, types.BPChar, types.BPChar, types.Varchar}
	t := &catalog.Table{OID: x.AllocOIDs(3), Schema: catalog.PublicSchemaOID, Name: "lineitem", Shards: 2, PK: []int{0, 3}, SchemaVersion: 1, NextColumnID: 17}
	for i, ty := range ts {
		t.Columns = append(t.Columns, catalog.Column{ID: int32(i + 1), Name: fmt.Sprint("c", i), T: ty})
	}
	if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{t.OID: t}}); err != nil {
		b.Fatal(err)
	}
	if _, err := x.Commit(bg); err != nil {
		b.Fatal(err)
	}
	modes := []string{"TRUCK", "MAIL", "AIR", "SHIP"}
	batch := vec.NewBatch(ts)
	return t, func(at int) *vec.Batch {
		batch.Reset()
		for k := range vec.Size {
			n := int64(at*vec.Size + k)
			order, line := n/4, n%4
			for c, v := range []int64{order, n * 7919 % 200000, n * 31 % 10000, line, n%50*100 + 100, n * 977 % 10000000, n % 11, n % 9} {
				batch.Cols[c].AppendDatum(types.NewInt(v))
			}
			batch.Cols[8].AppendString("RAN"[n%3 : n%3+1])
			batch.Cols[9].AppendString("OF"[n%2 : n%2+1])
			for c := 10; c < 13; c++ {
				batch.Cols[c].AppendDatum(types.NewInt(-2500 + n*13%2500))
			}
			batch.Cols[13].AppendString("DELIVER IN PERSON")
			batch.Cols[14].AppendString(modes[n%4])
			batch.Cols[15].AppendString(fmt.Sprintf("carefully ironic deposits %d", n*104729%1000003))
		}
		batch.N = vec.Size
		return batch
	}
}

// BenchmarkCopy loads lineitem with its primary key in one commit.
func BenchmarkCopy(b *testing.B) {
	s := openLocal(b)
	t, next := lineitem(b, s)
	const batches = 400
	var all []*vec.Batch
	for i := range 40 {
		n := vec.NewBatch(t.Types())
		n.Append(next(i))
		all = append(all, n)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		x := s.Begin(storage.TxnOptions{})
		for k := range batches {
			src := all[k%len(all)]
			for j := range src.Cols[0].I64[:src.N] {
				src.Cols[0].I64[j] = int64(((i*batches+k)*vec.Size + j) / 4)
			}
			if _, err := x.Write(bg, &storage.Mutation{Table: t, Op: storage.OpInsert, Rows: src}); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := x.Commit(bg); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*batches*vec.Size/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkCommit is single-row durable inserts by several writers.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := openLocal(b)
			x := s.Begin(storage.TxnOptions{})
			t := kvTable(s, x, "t", true)
			if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{t.OID: t}}); err != nil {
				b.Fatal(err)
			}
			if _, err := x.Commit(bg); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					rows := &vec.Batch{Cols: []*vec.Vec{vec.New(types.Int4, 1), vec.New(types.Text, 1)}, N: 1}
					rows.Cols[0].N = 1
					rows.Cols[1].AppendString("value")
					for i := w; i < b.N; i += writers {
						x := s.Begin(storage.TxnOptions{})
						rows.Cols[0].I32[0] = int32(i)
						if _, err := x.Write(bg, &storage.Mutation{Table: t, Op: storage.OpInsert, Rows: rows}); err != nil {
							b.Error(err)
						}
						if _, err := x.Commit(bg); err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			wg.Wait()
		})
	}
}
