package column

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// TestSpillInserts is a COPY in several spills, with and without a key.
func TestSpillInserts(t *testing.T) {
	for _, pk := range []bool{true, false} {
		for _, clustered := range []bool{true, false} {
			t.Run(fmt.Sprintf("pk=%v,clustered=%v", pk, clustered), func(t *testing.T) {
				h := newHarness(t, testTable(pk, clustered))
				h.mustCommit((&chunker{}).rows(storage.OpInsert, row{k: 100000}))
				o := NewOverlay(h.table, 0, h.dir, h.nextFile, h.lim)
				ch := &chunker{}
				want := []string{"100000,null,null"}
				for part := int64(0); part < 3; part++ {
					for b := int64(0); b < 4; b++ {
						var rows []row
						for i := int64(0); i < 500; i++ {
							n, s := (part*7+b*13+i*29)%101, fmt.Sprintf("a rather long string number %d", i%17)
							rows = append(rows, row{k: part*2000 + b*500 + i, n: &n, s: &s})
							want = append(want, rows[i].String())
						}
						ch.rows(storage.OpInsert, rows...)
					}
					rest, err := o.Spill(context.Background(), ch.chunks)
					if err != nil || len(rest) != 0 {
						t.Fatal(len(rest), err)
					}
					ch.chunks = rest
				}
				sort.Strings(want)
				spec := &catalog.ScanSpec{Cols: allColumns(h.table), Limit: -1}
				s, err := o.Over(h.tab.Snapshot(h.pub), ch.chunks)
				if err != nil {
					t.Fatal(err)
				}
				if got := scan(t, s, spec); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatal("own rows:", diff(got, want))
				}
				s.Close()
				sides, err := o.Sides()
				if err != nil {
					t.Fatal(err)
				}
				p, err := h.tab.PrepareSides(context.Background(), ch.chunks, sides)
				if err != nil {
					t.Fatal(err)
				}
				base := h.next
				csn, conflicts := h.stage(p, ch)
				if len(conflicts) > 0 {
					t.Fatal(conflicts)
				}
				p.Release()
				o.Committed()
				o.Close()
				s = h.tab.Snapshot(csn)
				defer s.Close()
				if got := scan(t, s, spec); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatal("committed:", diff(got, want))
				}
				if !pk {
					ids := scan(t, s, &catalog.ScanSpec{Cols: []int{catalog.ColRowID}, Limit: -1})
					seen := map[string]bool{}
					for _, id := range ids {
						seen[id] = true
					}
					for i := uint64(0); i < 6000; i++ {
						if !seen[fmt.Sprint(base+i)] {
							t.Fatalf("row id %d is missing", base+i)
						}
					}
				}
			})
		}
	}
}

func TestSpillDuplicates(t *testing.T) {
	h := newHarness(t, testTable(true, false))
	for name, spills := range map[string][][]int64{
		"one batch":  {{1, 2, 3, 2}},
		"batches":    {{1, 2, 3, -1, 4, 2}},
		"two spills": {{1, 2, 3}, {4, 5, 2}},
	} {
		o := NewOverlay(h.table, 0, h.dir, h.nextFile, h.lim)
		var err error
		for _, keys := range spills {
			ch := &chunker{}
			var rows []row
			for _, k := range append(keys, -1) {
				if k < 0 {
					ch.rows(storage.OpInsert, rows...)
					rows = nil
					continue
				}
				rows = append(rows, row{k: k})
			}
			_, err = o.Spill(context.Background(), ch.chunks)
		}
		var dup *DuplicateKeyError
		if !errors.As(err, &dup) || intAt(dup.Keys.Cols[0], dup.Row) != 2 {
			t.Errorf("%s: %v", name, err)
		}
		o.Close()
	}
	infos, _ := h.dir.List()
	if len(infos) != 0 {
		t.Errorf("files are left: %v", infos)
	}
}
