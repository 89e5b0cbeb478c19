package segment

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

type mappedFile struct {
	*os.File
	b []byte
}

func (m mappedFile) Map() ([]byte, error) { return m.b, nil }

// TestFault cuts a mapped file behind the reader's back: the query gets an error.
func TestFault(t *testing.T) {
	tab := build(t, 5000, Schema{Columns: testColumns}, Options{Codec: encoding.S2})
	name := filepath.Join(t.TempDir(), "a.seg")
	if err := os.WriteFile(name, tab.bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, len(tab.bytes), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Skip(err)
	}
	defer syscall.Munmap(m)
	r, err := Open(mappedFile{f, m}, int64(len(tab.bytes)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	err = r.Guard(func() error {
		var v vec.Vec
		cr, _ := r.Column(1)
		return cr.Vector(0, &v)
	})
	if sqlstate.CodeOf(err) != sqlstate.IOError {
		t.Fatalf("fault became %v", err)
	}
}
