package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func write(t *testing.T, d Dir, name string, sync bool, parts ...[]byte) Writer {
	t.Helper()
	w, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if sync {
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func TestDirs(t *testing.T) {
	local, err := OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]Dir{"local": local, "mem": NewMem().Root()} {
		t.Run(name, func(t *testing.T) {
			w := write(t, d, "a", true, []byte("hello "), []byte("world"))
			w.Close()
			if err := d.Rename("a", "b"); err != nil {
				t.Fatal(err)
			}
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Open("a"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("open of a renamed file: %v", err)
			}
			f, err := d.Open("b")
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Remove("b"); err != nil {
				t.Fatal(err)
			}
			m, err := f.(Mapper).Map()
			if err != nil || string(m) != "hello world" {
				t.Fatalf("map: %q, %v", m, err)
			}
			b := make([]byte, 5)
			if _, err := f.ReadAt(b, 6); err != nil || string(b) != "world" {
				t.Fatalf("ReadAt: %q, %v", b, err)
			}
			f.Close()
			s, err := d.Sub("x")
			if err != nil {
				t.Fatal(err)
			}
			if err := WriteFile(s, "y", []byte("12345")); err != nil {
				t.Fatal(err)
			}
			if err := s.Truncate("y", 3); err != nil {
				t.Fatal(err)
			}
			if got, err := ReadAll(s, "y"); err != nil || string(got) != "123" {
				t.Fatalf("ReadAll: %q, %v", got, err)
			}
			l, err := d.List()
			if err != nil || fmt.Sprint(l) != "[{x 0 true}]" {
				t.Fatalf("list: %v, %v", l, err)
			}
		})
	}
}

// TestCrash checks the promises of the simulated disk over many outcomes: what
// was synced is there, and each thing that was not is sometimes lost.
func TestCrash(t *testing.T) {
	lostBytes, lostName, torn := false, false, false
	for seed := uint64(0); seed < 200; seed++ {
		m := NewMem()
		d := m.Root()
		a := bytes.Repeat([]byte("a"), 3000)
		w := write(t, d, "f", true, a)
		d.Sync()
		b := bytes.Repeat([]byte("b"), 3000)
		w.Write(b)
		write(t, d, "new", true, []byte("synced bytes, unsynced name"))
		n := m.Crash(seed)
		if _, err := w.Write(b); !errors.Is(err, ErrCrashed) {
			t.Fatal("the disk works after its crash")
		}
		got, err := ReadAll(n.Root(), "f")
		if err != nil || len(got) < 3000 || !bytes.Equal(got[:3000], a) {
			t.Fatalf("seed %d: synced bytes are lost: %v", seed, err)
		}
		tail := got[3000:]
		lostBytes = lostBytes || len(tail) < 3000
		torn = torn || bytes.IndexByte(tail, 0) >= 0 && bytes.IndexByte(tail, 0) < bytes.LastIndexByte(tail, 'b')
		if _, err := n.Root().Open("new"); err != nil {
			lostName = true
		}
	}
	if !lostBytes || !lostName || !torn {
		t.Fatalf("too kind a disk: lost bytes %v, lost name %v, reordered %v", lostBytes, lostName, torn)
	}
}

func TestInject(t *testing.T) {
	m := NewMem()
	m.Inject(func(n int64, op OpKind, name string) error {
		if n == 3 {
			return syscall.ENOSPC
		}
		return nil
	})
	w, _ := m.Root().Create("f")
	if _, err := w.Write([]byte("1234")); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("5678")); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write on a full disk: %d, %v", n, err)
	}
	m.Stop()
	if err := w.Sync(); !errors.Is(err, ErrCrashed) {
		t.Fatal(err)
	}
}
