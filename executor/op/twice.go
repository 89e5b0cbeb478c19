package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Twice says whether a key occurs twice among rows that are all in memory. It keeps
// its tables from one call to the next.
type Twice struct {
	hash  []uint64
	slots []uint32 // row+1 by hash
}

// Any looks at the keys of batches one after another; cols picks a batch's key
// columns, and batches have full selections.
func (t *Twice) Any(batches []*vec.Batch, keys []int) bool {
	n := 0
	for _, b := range batches {
		n += b.N
	}
	if n < 2 {
		return false
	}
	t.hash = grown(t.hash, n)
	at := 0
	for _, b := range batches {
		h := t.hash[at : at+b.N]
		for i, k := range keys {
			if i == 0 {
				kernel.HashVec(h, b.Cols[k], nil)
			} else {
				kernel.CombineVec(h, b.Cols[k], nil)
			}
		}
		at += b.N
	}
	size := 4
	for size < 2*n {
		size *= 2
	}
	t.slots = grown(t.slots, size)
	clear(t.slots)
	for row, h := range t.hash[:n] {
		i := uint32(h>>32) & uint32(size-1)
		for ; t.slots[i] != 0; i = (i + 1) & uint32(size-1) {
			if o := int(t.slots[i] - 1); t.hash[o] == h && sameKey(batches, keys, o, row) {
				return true
			}
		}
		t.slots[i] = uint32(row + 1)
	}
	return false
}

func sameKey(batches []*vec.Batch, keys []int, a, b int) bool {
	x, a := batchOf(batches, a)
	y, b := batchOf(batches, b)
	for _, k := range keys {
		if !types.Equal(x.Cols[k].T, x.Cols[k].Datum(a), y.Cols[k].Datum(b)) {
			return false
		}
	}
	return true
}

// batchOf finds a row by its number among all.
func batchOf(batches []*vec.Batch, row int) (*vec.Batch, int) {
	for _, b := range batches {
		if row < b.N {
			return b, row
		}
		row -= b.N
	}
	panic("op: a row beyond the last batch")
}
