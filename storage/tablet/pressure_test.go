package tablet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// TestManyMemtables: tablets none of which fills a memtable may fill the memory of all;
// writers must not wait for what nobody flushes.
func TestManyMemtables(t *testing.T) {
	o := testOptions()
	o.Manual, o.Shards, o.MemoryLimit = false, 1, 8<<20
	s, err := Open(blob.NewMem().Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	for i := range 24 {
		tab := create(t, s, fmt.Sprint("t", i), true)
		rows := make([]kv, 10)
		for n := range 70 { // some 0.7 MB, of a memtable's 1 MB
			for k := range rows {
				id := n*len(rows) + k
				rows[k] = kv{id, strings.Repeat(fmt.Sprint("row ", id, " "), 80)}
			}
			x := s.Begin(storage.TxnOptions{})
			if _, err := x.Write(ctx, &storage.Mutation{Table: tab, Op: storage.OpInsert, Rows: rowsBatch(tab, rows)}); err != nil {
				t.Fatalf("table %d: %v; pressure %.2f", i, err, s.pressure())
			}
			if _, err := x.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for s.pressure() > 0.5 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if p := s.pressure(); p > 0.5 {
		t.Fatalf("pressure %.2f at rest", p)
	}
}
