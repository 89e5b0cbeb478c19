package column

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// TestSqueeze updates a few keys over and over: the memtable stays small, and
// snapshots keep what they saw.
func TestSqueeze(t *testing.T) {
	h := newHarness(t, testTable(true, false))
	rows := func(n int64) []row {
		out := make([]row, 100)
		for k := range out {
			out[k] = row{k: int64(k), n: &n}
		}
		return out
	}
	write := func(n int64) { h.mustCommit((&chunker{}).rows(storage.OpUpsert, rows(n)...)) }
	spec := &catalog.ScanSpec{Cols: []int{1}, Limit: -1}
	check := func(s *Snapshot, n int64) {
		t.Helper()
		got := scan(t, s, spec)
		for _, g := range got {
			if g != fmt.Sprint(n) {
				t.Fatalf("%s, want %d", g, n)
			}
		}
		if len(got) != 100 {
			t.Fatalf("%d rows", len(got))
		}
	}
	write(1)
	old := h.tab.Snapshot(h.pub)
	h.live = append(h.live, h.pub)
	for n := int64(2); n < 1000; n++ {
		write(n)
		if r := h.tab.cur.active().rows.Load(); r > 2*squeezeRows {
			t.Fatalf("memtable of %d rows", r)
		}
		if n%300 == 0 {
			s := h.tab.Snapshot(h.pub)
			check(s, n)
			s.Close()
			again := h.tab.Snapshot(old.at)
			check(again, 1)
			again.Close()
		}
	}
	check(old, 1)
	if f := h.tab.OldestUnflushed(); f != storage.CSN(101) {
		t.Errorf("the log is held back to %d", f)
	}
	h.flush()
	again := h.tab.Snapshot(old.at)
	check(again, 1)
	again.Close()
	old.Close()
}
