package sequence

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/tablet"
)

func open(t *testing.T, disk *blob.Mem) *tablet.Store {
	t.Helper()
	s, err := tablet.Open(disk.Root(), tablet.Options{Shards: 1, Manual: true, Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func define(t *testing.T, s *tablet.Store, name string, cache int64) *catalog.Table {
	t.Helper()
	x := s.Begin(storage.TxnOptions{})
	d := &catalog.Table{OID: x.AllocOIDs(1), Schema: catalog.PublicSchemaOID, Name: name, Kind: catalog.KindSequence, Columns: catalog.SequenceColumns(),
		Seq: &catalog.Sequence{Type: types.Int8OID, Start: 1, Inc: 1, Min: 1, Max: 1 << 40, Cache: cache, Gen: 7, Last: 1}, SchemaVersion: 1}
	if err := x.Change(context.Background(), &catalog.Delta{Tables: map[uint32]*catalog.Table{d.OID: d}}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNoReuse gives values to several at a time, stops without a word or in order,
// and finds every value once; in order without a gap.
func TestNoReuse(t *testing.T) {
	disk := blob.NewMem()
	s := open(t, disk)
	a, b := define(t, s, "a", 1), define(t, s, "b", 5)
	seen := map[uint32]map[int64]bool{a.OID: {}, b.OID: {}}
	top := map[uint32]int64{}
	var mu sync.Mutex
	for round := range 12 {
		v := New(s)
		if err := v.Sweep(); err != nil {
			t.Fatal(err)
		}
		orderly := round%3 == 2
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for i := range 7 + round*13 {
					q := []*catalog.Table{a, b}[i%2]
					first, last, err := v.Next(q)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for n := first; n <= last; n++ {
						if seen[q.OID][n] {
							t.Errorf("%s gave %d twice", q.Name, n)
						}
						seen[q.OID][n] = true
						top[q.OID] = max(top[q.OID], n)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if orderly {
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if orderly {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else { // power is lost
			disk.Stop()
			_ = s.Close()
			disk = disk.Crash(uint64(round))
		}
		s = open(t, disk)
		if orderly {
			if last, called, _, err := New(s).State(a); err != nil || !called || last != top[a.OID] {
				t.Fatalf("after an orderly stop: %d %t %v, gave up to %d", last, called, err, top[a.OID])
			}
		}
	}
	if n, m := len(seen[a.OID]), top[a.OID]; m-int64(n) > 8*aheadMax {
		t.Errorf("%d values up to %d", n, m)
	}
	// A sequence that is gone leaves nothing.
	x := s.Begin(storage.TxnOptions{})
	if err := x.Change(context.Background(), &catalog.Delta{Tables: map[uint32]*catalog.Table{a.OID: nil}}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := New(s).Sweep(); err != nil {
		t.Fatal(err)
	}
	notes, err := s.Notes(notePrefix)
	if err != nil || len(notes) != 1 {
		t.Fatal(notes, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRule walks to both ends of the numbers.
func TestRule(t *testing.T) {
	const lo, hi = -1 << 63, 1<<63 - 1
	for _, c := range []struct {
		r    rule
		cur  int64
		want int64
		ok   bool
	}{
		{rule{1, 1, hi, false}, hi - 1, hi, true},
		{rule{1, 1, hi, false}, hi, 1, false},
		{rule{hi, lo, hi, true}, 5, lo, true},
		{rule{-1, lo, -1, false}, lo + 1, lo, true},
		{rule{-1, lo, -1, true}, lo, -1, true},
		{rule{3, -10, -2, true}, -4, -10, true},
		{rule{3, -10, -2, true}, -5, -2, true},
		{rule{-3, 2, 10, false}, 4, 10, false},
		{rule{-3, 2, 10, false}, 5, 2, true},
	} {
		if n, ok := c.r.next(c.cur); ok != c.ok || n != c.want {
			t.Errorf("%+v after %d: %d %t", c.r, c.cur, n, ok)
		}
	}
	if !slices.Equal(encode(1, true), []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 1}) {
		t.Error("the form of the state changed: give it another version")
	}
}
