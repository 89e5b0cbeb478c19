package mem

import (
	"testing"
	"time"
)

// TestLater: what is given back later is soon gone from Mapped, and what is too much to
// wait is gone at once.
func TestLater(t *testing.T) {
	old := spare.max
	defer SetSpare(int64(old))
	SetSpare(16 << 20)
	root := NewRoot(0)
	before := Mapped()
	a := root.Child("query", 0)
	var bs []*Array[uint64]
	for range 4 {
		b := &Array[uint64]{Buffer: Buffer{Account: a}}
		if err := b.Grow(3 << 20); err != nil {
			t.Fatal(err)
		}
		clear(b.Slice(3 << 20))
		bs = append(bs, b)
	}
	if got := Mapped() - before; got < 4*24<<20 {
		t.Fatalf("%d bytes are mapped", got)
	}
	a.Close()
	if root.Used() != 0 {
		t.Fatalf("%d are charged after Close", root.Used())
	}
	later.mu.Lock()
	waits := later.bytes
	later.mu.Unlock()
	if waits > 2*16<<20 {
		t.Fatalf("%d bytes wait", waits)
	}
	for range 500 {
		if Mapped() <= before {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := Mapped(); got > before {
		t.Fatalf("%d bytes stay mapped", got-before)
	}
	bs[0].Free() // of a closed account: nothing
}
