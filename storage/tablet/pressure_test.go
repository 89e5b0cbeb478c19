package tablet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
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

// TestOldMemtables: a memtable of some size goes to a file when its rows are old, a small
// one does not.
func TestOldMemtables(t *testing.T) {
	o, now := testOptions(), time.Unix(1e9, 0)
	o.Shards, o.Clock = 1, func() time.Time { return now }
	s, err := Open(blob.NewMem().Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	live := func(name string) int64 {
		tab := s.Catalog().TableNamed(catalog.PublicSchemaOID, name)
		return s.table(tab.OID).current()[0].col.LiveBytes()
	}
	put := func(name string, n int) {
		tab := s.Catalog().TableNamed(catalog.PublicSchemaOID, name)
		rows := make([]kv, n)
		for k := range rows {
			rows[k] = kv{k, strings.Repeat(fmt.Sprint("row ", k, " "), 80)}
		}
		x := s.Begin(storage.TxnOptions{})
		if err := insert(x, tab, rows...); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	create(t, s, "small", true)
	create(t, s, "large", true)
	put("small", 10)
	put("large", 1900)
	if n := live("large"); n < agedBytes {
		t.Fatalf("%d bytes are too few for the test", n)
	}
	for range 5 {
		if err := s.maintain(bg, nil); err != nil {
			t.Fatal(err)
		}
		if live("large") == 0 {
			t.Fatal("flushed before its rows were old")
		}
		now = now.Add(time.Minute)
	}
	for range 2 {
		if err := s.maintain(bg, nil); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if n := live("large"); n != 0 {
		t.Fatalf("%d bytes of old rows are in memory", n)
	}
	if live("small") == 0 {
		t.Fatal("a small memtable went to a file")
	}
}
