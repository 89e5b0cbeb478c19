package tablet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
)

// TestSettles flushes a table, and one with rows in side files, and waits until the
// background job has brought their files to rest, with the rows that were there.
func TestSettles(t *testing.T) {
	o := testOptions()
	o.Manual, o.SettleAfter = false, 10*time.Millisecond
	o.Limits = column.Limits{SpillBytes: 4096}
	disk := blob.NewMem()
	s, err := Open(disk.Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	small, large := create(t, s, "small", true), create(t, s, "large", true)
	put := func(rows int, first int) {
		t.Helper()
		x := s.Begin(storage.TxnOptions{})
		defer x.Rollback()
		for at := 0; at < rows; at += 500 {
			var batch []kv
			for i := range 500 {
				batch = append(batch, kv{first + at + i, strings.Repeat("text ", 8)})
			}
			tab := small
			if rows > 500 {
				tab = large
			}
			if err := insert(x, tab, batch...); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	put(500, 0)
	put(4000, 0)
	put(4000, 10000)
	if err := s.Flush(bg); err != nil {
		t.Fatal(err)
	}
	want := contents(t, s, small) + contents(t, s, large)
	deadline := time.Now().Add(time.Minute)
	for {
		time.Sleep(20 * time.Millisecond)
		tables, err := Inspect(disk.Root())
		if err != nil {
			t.Fatal(err)
		}
		rest, rows := len(tables) == 2, 0
		for _, u := range tables {
			rest = rest && u.Files > 0 && u.Settled == u.Files && u.Files <= 2
			rows += u.Rows
		}
		if rest && rows == 8500 { // all are in the manifest
			i := slices.IndexFunc(tables, func(u TableUsage) bool { return u.OID == large.OID })
			if u := tables[i]; u.Rows != 8000 || u.Bytes == 0 || len(u.Columns) == 0 {
				t.Errorf("%+v", u)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no rest: %+v", tables)
		}
	}
	if got := contents(t, s, small) + contents(t, s, large); got != want {
		t.Errorf("other rows than before")
	}
	for _, sh := range s.allShards() {
		if sh.col.CompactionDue(column.Settle) || sh.col.Adopted() {
			t.Errorf("table %d shard %d is not at rest", sh.oid, sh.index)
		}
	}
}
