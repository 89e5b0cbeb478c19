package mem

import (
	"bytes"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/blob"
)

func TestAccounts(t *testing.T) {
	root := NewRoot(10 << 20)
	q := root.Child("query", 0)
	s := q.Child("sort", 0)
	if !s.TryReserve(100) || root.Used() != 1<<20 {
		t.Fatalf("root is charged %d, want a step", root.Used())
	}
	if s.TryReserve(11 << 20) {
		t.Fatal("beyond the limit")
	}
	if err := s.Reserve(11 << 20); sqlstate.CodeOf(err) != sqlstate.OutOfMemory {
		t.Fatal(err)
	}
	if !s.TryReserve(9 << 20) {
		t.Fatal("there was room")
	}
	s.Release(9 << 20)
	if root.Used() > 4<<20 {
		t.Fatalf("root keeps %d", root.Used())
	}
	s.Close()
	q.Close()
	if root.Used() != 0 {
		t.Fatalf("root keeps %d after all closed", root.Used())
	}
}

// TestSet: what others hold counts, even beyond the limit, and leaves less for queries.
func TestSet(t *testing.T) {
	root := NewRoot(10 << 20)
	others, q := root.Child("others", 0), root.Child("queries", 8<<20)
	others.Set(4 << 20)
	if !q.TryReserve(6<<20) || q.TryReserve(1<<20) || root.Used() != 10<<20 {
		t.Fatalf("root is charged %d", root.Used())
	}
	others.Set(7 << 20)
	if root.Used() != 13<<20 || others.Used() != 7<<20 || q.TryReserve(1) {
		t.Fatalf("root is charged %d", root.Used())
	}
	q.Release(6 << 20)
	others.Set(1 << 20)
	if !q.TryReserve(8<<20) || root.Used() != 9<<20 {
		t.Fatalf("root is charged %d", root.Used())
	}
	others.Set(0)
	q.Close()
	if root.Used() != 0 {
		t.Fatalf("root keeps %d", root.Used())
	}
}

func TestFreeBytes(t *testing.T) {
	root := NewRoot(4 << 20)
	a := root.ChildFree("partition", 8<<20)
	if !a.TryReserve(8<<20) || root.Used() != 0 {
		t.Fatalf("root is charged %d", root.Used())
	}
	if !a.TryReserve(3<<20) || root.Used() != 3<<20 || a.TryReserve(2<<20) {
		t.Fatalf("root is charged %d", root.Used())
	}
	a.Release(9 << 20)
	if root.Used() > 1<<20 || a.Used() != 2<<20 {
		t.Fatalf("root keeps %d", root.Used())
	}
	a.Close()
	if root.Used() != 0 {
		t.Fatalf("root keeps %d after Close", root.Used())
	}
}

func TestBufferGrows(t *testing.T) {
	root := NewRoot(0)
	a := Array[uint64]{Buffer: Buffer{Account: root}}
	const n = 1 << 20
	for i := 0; i < n; i++ {
		if err := a.Grow(i + 1); err != nil {
			t.Fatal(err)
		}
		a.Slice(i + 1)[i] = uint64(i)
	}
	for i, x := range a.Slice(n) {
		if x != uint64(i) {
			t.Fatalf("element %d is %d", i, x)
		}
	}
	if root.Used() < 8*n {
		t.Fatalf("charged %d", root.Used())
	}
	a.Free()
	if root.Used() != 0 {
		t.Fatalf("charged %d after Free", root.Used())
	}
}

func TestSpillFile(t *testing.T) {
	s, err := NewSpill(blob.NewMem().Root(), 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	frame := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*977%100000) }
	for i := 0; i < 200; i++ {
		if err := f.Append(func(b []byte) []byte { return append(b, frame(i)...) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	for round := 0; round < 2; round++ {
		r, err := f.NewReader()
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 200; i++ {
			b, err := r.Next()
			if err != nil || !bytes.Equal(b, frame(i)) {
				t.Fatalf("frame %d: %d bytes, %v", i, len(b), err)
			}
		}
		if b, err := r.Next(); b != nil || err != nil {
			t.Fatal("frames after the last")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Used() != 0 {
		t.Fatalf("%d bytes left", s.Used())
	}
}
