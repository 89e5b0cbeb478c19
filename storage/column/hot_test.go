package column

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// TestHotMerge merges files under upserts: what is young and dying stays as it is
// until the tablet settles, files of older rows and rows that stay are settled at once.
func TestHotMerge(t *testing.T) {
	long := func(k, round int) *string {
		s := fmt.Sprintf("%s of row %d in round %d", "a string that a codec makes shorter, a string that a codec makes shorter", k, round)
		return &s
	}
	build := func(t *testing.T) (*harness, []string) {
		h := newHarness(t, testTable(true, false))
		for round := range 4 {
			var rows []row
			for k := range 400 {
				if round == 0 || k%4 < 2 {
					rows = append(rows, row{k: int64(k), s: long(k, round)})
				}
			}
			h.mustCommit((&chunker{}).rows(storage.OpUpsert, rows...))
			h.flush()
		}
		s := h.tab.Snapshot(h.pub)
		defer s.Close()
		return h, scan(t, s, &catalog.ScanSpec{Cols: allColumns(h.table), Limit: -1})
	}
	compact := func(h *harness, aim Aim) {
		t.Helper()
		for h.tab.CompactionDue(aim) {
			e, err := h.tab.Compact(context.Background(), aim, nil)
			if err != nil {
				t.Fatal(err)
			}
			h.install(e)
		}
	}
	check := func(t *testing.T, h *harness, want []string, settled bool) (bytes int64) {
		t.Helper()
		for _, s := range h.tab.cur.segs {
			bytes += s.info.Size
			if s.info.Settled != settled {
				t.Fatalf("settled %v, want %v", s.info.Settled, settled)
			}
		}
		s := h.tab.Snapshot(h.pub)
		defer s.Close()
		if got := scan(t, s, &catalog.ScanSpec{Cols: allColumns(h.table), Limit: -1}); !slices.Equal(got, want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
		return bytes
	}
	h, want := build(t)
	compact(h, Tidy)
	hot := check(t, h, want, false)
	compact(h, Settle)
	if at := check(t, h, want, true); at >= hot {
		t.Fatalf("%d bytes settled, %d before", at, hot)
	}

	h, want = build(t)
	for _, s := range h.tab.cur.segs {
		s.made = time.Now().Add(-2 * hotAge)
	}
	compact(h, Tidy)
	check(t, h, want, true)
}
