package tablet

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// TestReshardCrash: a table is written again for another number of shards, twice, and gets
// a binlog in the end; then the power goes while the catalog on disk is behind the manifest,
// or the manifest behind the catalog. All rows are there, before and after more writes.
func TestReshardCrash(t *testing.T) {
	for _, orientation := range []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid} {
		for _, counts := range [][]int{{5}, {1}, {5, 3}, {1, 7}} {
			for _, behind := range []string{"catalog", "manifest", "neither"} {
				t.Run(fmt.Sprint(orientation, counts, behind), func(t *testing.T) {
					m := blob.NewMem()
					o := testOptions()
					o.Fatal = func(error) {}
					s, err := Open(m.Root(), o)
					if err != nil {
						t.Fatal(err)
					}
					tab := createWith(t, s, "t", true, map[string]string{"orientation": orientation})
					var rows []kv
					for i := range 60 {
						rows = append(rows, kv{i, fmt.Sprint(i)})
					}
					write := func(x storage.Txn, rows ...kv) {
						t.Helper()
						if err := insert(x, x.Catalog().Table(tab.OID), rows...); err != nil {
							t.Fatal(err)
						}
					}
					commit := func(x storage.Txn) error {
						_, err := x.Commit(bg)
						return err
					}
					x := s.Begin(storage.TxnOptions{})
					write(x, rows...)
					if err := commit(x); err != nil {
						t.Fatal(err)
					}
					if err := s.Flush(bg); err != nil { // the catalog and the rows are in files
						t.Fatal(err)
					}
					for i, n := range counts {
						x := s.Begin(storage.TxnOptions{})
						def := *s.Catalog().Table(tab.OID)
						def.Shards = n
						def.SchemaVersion++
						if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &def}, Truncated: []uint32{tab.OID}}); err != nil {
							t.Fatal(err)
						}
						write(x, rows...)
						last := i == len(counts)-1
						if last && behind == "manifest" {
							m.Inject(func(_ int64, op blob.OpKind, name string) error {
								if op == blob.OpWrite && strings.HasPrefix(name, "/"+manifestName) {
									return syscall.EIO
								}
								return nil
							})
						}
						if err := commit(x); (err == nil) == (last && behind == "manifest") {
							t.Fatal(err)
						}
					}
					if behind == "neither" {
						x := s.Begin(storage.TxnOptions{})
						def := *s.Catalog().Table(tab.OID)
						def.Props = map[string]string{"orientation": orientation, "binlog.level": "replica"}
						def.SchemaVersion++
						if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &def}}); err != nil {
							t.Fatal(err)
						}
						if err := commit(x); err != nil {
							t.Fatal(err)
						}
					}
					if behind != "manifest" {
						x := s.Begin(storage.TxnOptions{})
						write(x, kv{100, "more"}, kv{101, "more"}, kv{102, "more"}, kv{103, "more"})
						if err := commit(x); err != nil {
							t.Fatal(err)
						}
					} else if err := s.db.Flush(); err != nil {
						t.Fatal(err)
					}
					m.Stop()
					_ = s.Close()
					m = m.Crash(1)
					for range 2 {
						if s, err = Open(m.Root(), o); err != nil {
							t.Fatal(err)
						}
						now := s.Catalog().Table(tab.OID)
						want := len(rows)
						if behind != "manifest" {
							want += 4
						}
						if got := contents(t, s, now); now.Shards != counts[len(counts)-1] || len(strings.Fields(got)) != want {
							t.Errorf("%d shards: %d rows, want %d: %s", now.Shards, len(strings.Fields(got)), want, got)
						}
						if behind == "neither" {
							n := len(readLog(t, s, now))
							if n != 4 {
								t.Errorf("%d rows in the binlog, want 4", n)
							}
						}
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}
