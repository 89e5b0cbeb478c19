package tablet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// TestCheck: a directory of a stopped store is whole, and damage to any of its files
// is found.
func TestCheck(t *testing.T) {
	path := t.TempDir()
	dir, err := blob.OpenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	tab := create(t, s, "t", true)
	commit := func(from, n int) {
		x := s.Begin(storage.TxnOptions{})
		defer x.Rollback()
		rows := make([]kv, n)
		for i := range rows {
			rows[i] = kv{from + i, strings.Repeat("v", i%50)}
		}
		if err := insert(x, tab, rows...); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	commit(0, 2000)
	if err := s.Flush(bg); err != nil {
		t.Fatal(err)
	}
	commit(10000, 10)
	commit(20000, 10)
	if _, err := Check(dir, func(error) {}); err == nil {
		t.Error("a directory in use was checked")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check := func() (found []error) {
		t.Helper()
		if _, err := Check(dir, func(err error) { found = append(found, err) }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := check(); len(found) > 0 {
		t.Fatalf("problems in a whole directory: %v", found)
	}
	files := 0
	err = filepath.Walk(path, func(file string, in os.FileInfo, err error) error {
		name := in.Name()
		segment, log := strings.HasSuffix(name, ".seg"), filepath.Base(filepath.Dir(file)) == "log"
		if err != nil || in.IsDir() || !segment && !log && name != manifestName {
			return err
		}
		files++
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		at := len(b) / 3 // of the log: in a record that a later one knows to be synced
		b[at] ^= 0x40
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return err
		}
		if found := check(); len(found) == 0 {
			t.Errorf("a flipped bit at %d of %d of %s is not found", at, len(b), name)
		}
		b[at] ^= 0x40
		if !log {
			if err := os.Remove(file); err != nil {
				return err
			}
			if found := check(); len(found) == 0 {
				t.Errorf("%s is missing, and that is not found", name)
			}
		}
		return os.WriteFile(file, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 4 {
		t.Errorf("only %d files were damaged", files)
	}
	if found := check(); len(found) > 0 {
		t.Errorf("problems after all was mended: %v", found)
	}
}
