package column

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// TestFlushAfterUndo flushes a memtable whose last chunks were made for a large
// commit that was undone.
func TestFlushAfterUndo(t *testing.T) {
	h := newHarness(t, testTable(true, false))
	some := func(first, n int) *chunker {
		c := &chunker{}
		for n > 0 {
			var rows []row
			for ; n > 0 && len(rows) < 2048; n-- {
				rows = append(rows, row{k: int64(first)})
				first++
			}
			c.rows(storage.OpInsert, rows...)
		}
		return c
	}
	h.mustCommit(some(0, 10))
	p, err := h.tab.Prepare(context.Background(), some(100, 3*chunkRows).chunks)
	if err != nil {
		t.Fatal(err)
	}
	s, conflicts, err := p.Stage()
	if err != nil || len(conflicts) > 0 {
		t.Fatal(err, conflicts)
	}
	s.Abort()
	p.Release()
	h.mustCommit(some(10, 5))
	if h.flush() == nil {
		t.Fatal("nothing to flush")
	}
	snap := h.tab.Snapshot(h.pub)
	defer snap.Close()
	var want []string
	for k := range 15 {
		want = append(want, fmt.Sprintf("%d", k))
	}
	slices.Sort(want)
	if got := scan(t, snap, &catalog.ScanSpec{Cols: []int{0}, Limit: -1}); !slices.Equal(got, want) {
		t.Fatalf("rows %q, want %q", got, want)
	}
}
