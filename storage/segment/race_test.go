package segment

import (
	"sync"
	"testing"

	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// TestConcurrentReaders shares one reader; the race detector watches.
func TestConcurrentReaders(t *testing.T) {
	tab := build(t, 5000, Schema{Columns: testColumns, Key: []int32{6}}, Options{Codec: encoding.S2})
	r, err := Open(newMem(tab.bytes, true), int64(len(tab.bytes)))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var v vec.Vec
			for _, c := range r.Columns() {
				cr, _ := r.Column(c.ID)
				for vi := range r.Vectors() {
					if err := cr.Vector(vi, &v); err != nil {
						t.Error(err)
					}
				}
			}
			if err := r.Lookup([]uint32{1, 2, 3}, func(int, uint32) {}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
