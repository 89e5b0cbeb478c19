package tablet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// runStore is a store with a table by row, whose commits are kept as runs.
func runStore(t *testing.T, runBytes int64) (*Store, *catalog.Table, func(version int)) {
	o := testOptions()
	o.RowRunsFrom, o.RowRunsBytes = 1, runBytes
	s, err := Open(blob.NewMem().Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	tab := createWith(t, s, "kv", true, map[string]string{"orientation": catalog.OrientationRow})
	return s, tab, func(version int) {
		t.Helper()
		x := s.Begin(storage.TxnOptions{})
		defer x.Rollback()
		var rows []kv
		for k := range 20 {
			rows = append(rows, kv{k, fmt.Sprint(version, strings.Repeat(".", 100))})
		}
		if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, rows)}); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
}

// Snapshots that live long keep a bounded amount of runs in memory, however many they
// are, and each reads what it read at first.
func TestRunsOfOldSnapshots(t *testing.T) {
	const size = 16 << 10
	s, tab, put := runStore(t, size)
	defer s.Close()
	var snaps []storage.Snapshot
	most := int64(0)
	for v := range 200 {
		put(v)
		snaps = append(snaps, s.Snapshot())
		most = max(most, s.runs.Held())
	}
	if most < heldMost*size || most > (heldMost+3)*size {
		t.Errorf("%d bytes of runs are held", most)
	}
	for v, n := range snaps {
		out, _, _ := scan(t, n, tab)
		if len(out) != 20 {
			t.Fatalf("snapshot %d: %d rows", v, len(out))
		}
		for _, r := range out {
			if _, got, _ := strings.Cut(r, "="); strings.TrimRight(got, ".") != fmt.Sprint(v) {
				t.Fatalf("snapshot %d reads %s", v, r)
			}
		}
		n.Close()
	}
	put(1000)
	put(1001)
	if s.runs.Held() > 2*size || !s.runs.Any() {
		t.Errorf("%d bytes are held afterwards; runs: %v", s.runs.Held(), s.runs.Any())
	}
}

// Who reads after runs went to Pebble does not meet them, and without readers nothing
// keeps them.
func TestRunsRenewed(t *testing.T) {
	s, tab, put := runStore(t, 1<<20)
	defer s.Close()
	for v := range 2 {
		put(v)
		old := s.Snapshot()
		s.Snapshot().Close()
		if v == 1 {
			old.Close()
		}
		if !s.runs.Any() {
			t.Fatal("no runs")
		}
		if err := s.Flush(bg); err != nil {
			t.Fatal(err)
		}
		if v == 0 {
			if s.runs.Held() == 0 {
				t.Error("the old snapshot holds nothing")
			}
			n := s.Snapshot()
			old.Close()
			if held := s.runs.Held(); held != 0 {
				t.Errorf("a snapshot from afterwards holds %d bytes", held)
			}
			n.Close()
		}
		if held := s.runs.Held(); held != 0 {
			t.Errorf("%d bytes are held without readers", held)
		}
		if got := contents(t, s, tab); !strings.HasPrefix(got, fmt.Sprint("0=", v, ".")) {
			t.Errorf("%.20s", got)
		}
	}
}
