package column

import (
	"context"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
)

// TestNoAllocationPerBatch reads a memtable and a segment with a filter, deletes
// and strings: once warm, a batch allocates nothing.
func TestNoAllocationPerBatch(t *testing.T) {
	h := newHarness(t, lineTable())
	for _, c := range lineChunks(h.table, 20000) {
		h.mustCommit(&chunker{chunks: []storage.Chunk{c}, ord: 20000})
	}
	for _, where := range []string{"memtable", "segment"} {
		if where == "segment" {
			h.flush()
		}
		s := h.tab.Snapshot(h.pub)
		date := &expr.Column{ID: 6, T: types.Date}
		for name, filter := range map[string][]expr.Expr{
			"all": nil, "most": {cmpExpr(date, ">", types.Date, types.NewInt(100))}, "few": {cmpExpr(date, "=", types.Date, types.NewInt(77))},
		} {
			spec := &catalog.ScanSpec{Cols: []int{0, 2, 9, 10, 11, catalog.ColCSN}, Filter: filter, Limit: -1}
			r, err := s.Reader(spec)
			if err != nil {
				t.Fatal(err)
			}
			splits, _, err := s.Splits(context.Background(), spec)
			if err != nil || len(splits) != 1 {
				t.Fatal(splits, err)
			}
			batches := 0
			read := func() {
				batches = 0
				if err := r.Open(splits[0]); err != nil {
					t.Fatal(err)
				}
				for {
					b, err := r.Next()
					if err != nil {
						t.Fatal(err)
					}
					if b == nil {
						return
					}
					batches++
				}
			}
			read()
			// Opening a split may allocate; its batches may not.
			if n := testing.AllocsPerRun(20, read); n >= float64(batches) || n > 3 {
				t.Errorf("%s, %s: %v allocations for %d batches", where, name, n, batches)
			}
			r.Close()
		}
		s.Close()
	}
}
