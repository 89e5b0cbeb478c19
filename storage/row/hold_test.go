package row

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// A large commit looks its keys up once, whatever others commit meanwhile, and finds at
// the end which of its rows they have replaced.
func TestHold(t *testing.T) {
	tab := &catalog.Table{OID: 16400, Name: "t", PK: []int{0}, SchemaVersion: 1,
		Columns: []catalog.Column{{ID: 1, Name: "k", T: types.Int8, NotNull: true}, {ID: 2, Name: "v", T: types.Int8}}}
	db, applied := openDB(t), storage.CSN(0)
	tb := New(Config{DB: db, Table: tab, Applied: func() storage.CSN { return applied }})
	tb.From(0)
	batch := func(from, n, v int64) *vec.Batch {
		b := vec.NewBatch(tab.Types())
		for k := range n {
			b.Cols[0].AppendDatum(types.NewInt(from + k))
			b.Cols[1].AppendDatum(types.NewInt(v))
			b.N++
		}
		return b
	}
	ctx := context.Background()
	csn := storage.CSN(0)
	upsert := func(from, n int64) {
		t.Helper()
		csn += storage.CSN(n)
		p, err := tb.Prepare(ctx, []storage.Chunk{{Op: storage.OpUpsert, Rows: batch(from, n, int64(csn)), Ord: make([]uint32, n)}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		st, conflicts, err := p.Stage()
		if err != nil || conflicts != nil {
			t.Fatal(err, conflicts)
		}
		st.Stamp(0, csn)
		b := db.NewBatch()
		if err := p.Changes().Apply(b); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		applied = csn
	}
	upsert(0, 2000)
	upsert(2000, 2000)
	old := make([]storage.CSN, 2000)
	for i := range old {
		old[i] = 2000
	}
	var chunks []storage.Chunk
	for _, from := range []int64{0, 2000} {
		all := batch(from, 2000, -1)
		chunks = append(chunks, storage.Chunk{Op: storage.OpUpdate, Rows: all, Keys: &vec.Batch{Cols: all.Cols[:1], N: 2000}, OldCSN: old, Ord: make([]uint32, 2000)})
		old = append([]storage.CSN(nil), old...)
		for i := range old {
			old[i] = 4000
		}
	}
	p, err := tb.Prepare(ctx, chunks)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(6) {
		upsert(100_000+1500*i, 1500)
	}
	upsert(1999, 2) // of its own keys
	if !p.Fresh() {
		t.Error("what it looked up is forgotten")
	}
	st, conflicts, err := p.Stage()
	if err != nil || st != nil || fmt.Sprint(conflicts) != "[{0 1999 false} {1 0 false}]" {
		t.Fatal(st, conflicts, err)
	}
	p.Release()
	p.Release() // does nothing
	for i := range int64(4) {
		upsert(200_000+1500*i, 1500)
	}
	if n := len(tb.young) + len(tb.old); tb.held != 0 || n > 4*1500 {
		t.Errorf("%d keys are pending afterwards, %d hold them", n, tb.held)
	}
	// Nor does it keep more than there is room for.
	if p, err = tb.Prepare(ctx, chunks); err != nil {
		t.Fatal(err)
	}
	for i := range int64(holdMost/1500*2 + 4) {
		upsert(1_000_000+1500*i, 1500)
	}
	if p.Fresh() || len(tb.young)+len(tb.old) > 2*holdMost+3000 {
		t.Errorf("%d keys are pending", len(tb.young)+len(tb.old))
	}
	p.Release()
}
