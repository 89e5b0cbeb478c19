package tablet

import (
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestRewrittenKeyCrash: the catalog on disk knows of a rewrite that gave a table another
// key, the manifest does not yet. What the log has of before the rewrite, which names rows
// by their old keys, is of no use any more, and the store starts.
func TestRewrittenKeyCrash(t *testing.T) {
	for _, large := range []bool{false, true} {
		m := blob.NewMem()
		o := testOptions()
		if large {
			o.Limits.SpillBytes, o.Limits.FlushBytes, o.MemoryLimit = 4<<10, 1<<20, 2<<20
		}
		o.Fatal = func(error) {}
		s, err := Open(m.Root(), o)
		if err != nil {
			t.Fatal(err)
		}
		tab := keysFileTable(t, s, catalog.OrientationColumn, false, false)
		if large {
			x, _, err := largeChange(t, s, tab, storage.OpDelete, func() {})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.Commit(bg); err != nil {
				t.Fatal(err)
			}
		} else {
			x := s.Begin(storage.TxnOptions{})
			n, err := x.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			_, keys, csns := scan(t, n, tab)
			n.Close()
			k := vec.NewBatch([]types.T{types.Int8})
			k.Cols[0].AppendDatum(types.NewInt(keys[0]))
			k.N = 1
			old := vec.New(types.Int8, 1)
			old.AppendDatum(types.NewInt(csns[0]))
			if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: k, OldCSN: old}); err != nil {
				t.Fatal(err)
			}
			if _, err := x.Commit(bg); err != nil {
				t.Fatal(err)
			}
		}
		x := s.Begin(storage.TxnOptions{})
		def := *tab
		def.Columns = append([]catalog.Column(nil), tab.Columns...)
		def.Columns[0].NotNull = true
		def.PK, def.SchemaVersion = []int{0}, tab.SchemaVersion+1
		if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &def}, Truncated: []uint32{tab.OID}}); err != nil {
			t.Fatal(err)
		}
		now := x.Catalog().Table(tab.OID)
		if err := insert(x, now, kv{1, "one"}, kv{2, "two"}); err != nil {
			t.Fatal(err)
		}
		m.Inject(func(_ int64, op blob.OpKind, name string) error {
			if op == blob.OpWrite && strings.HasPrefix(name, "/"+manifestName) {
				return syscall.EIO
			}
			return nil
		})
		if _, err := x.Commit(bg); err == nil {
			t.Fatal("the manifest was written")
		}
		x.Rollback()
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		m.Stop()
		_ = s.Close()
		m = m.Crash(1)
		if s, err = Open(m.Root(), o); err != nil {
			t.Fatalf("large %v: %v", large, err)
		}
		tab = s.Catalog().Table(tab.OID)
		if got := contents(t, s, tab); got != "1=one 2=two" {
			t.Errorf("large %v: found %.80s", large, got)
		}
		s.Close()
	}
}
