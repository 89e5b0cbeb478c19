package tablet

import (
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// TestDiskFull: a commit whose record does not fit the disk fails with 53100, nothing
// commits after it, and what was acknowledged before is there after recovery.
func TestDiskFull(t *testing.T) {
	disk := blob.NewMem()
	o, failed := testOptions(), 0
	o.Fatal = func(error) { failed++ }
	s, err := Open(disk.Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	tab := create(t, s, "t", true)
	put := func(k int) error {
		x := s.Begin(storage.TxnOptions{})
		defer x.Rollback()
		if err := insert(x, tab, kv{k, "v"}); err != nil {
			return err
		}
		_, err := x.Commit(bg)
		return err
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	disk.Inject(func(_ int64, op blob.OpKind, name string) error {
		if op == blob.OpWrite && strings.HasPrefix(name, "/log/") {
			return syscall.ENOSPC
		}
		return nil
	})
	for k := 2; k < 4; k++ {
		if err := put(k); sqlstate.CodeOf(err) != sqlstate.DiskFull {
			t.Fatalf("commit %d: %v", k, err)
		}
	}
	if failed != 1 {
		t.Fatalf("%d reports of a failed log", failed)
	}
	_ = s.Close()
	disk.Inject(nil)
	s = openMem(t, disk)
	defer s.Close()
	tab = s.Catalog().Table(tab.OID)
	if got, _, _ := scan(t, s.Snapshot(), tab); strings.Join(got, " ") != "1=v" {
		t.Fatalf("found %q", got)
	}
}
