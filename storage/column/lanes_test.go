package column

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/segment"
)

// TestLaneMatrix sets, replaces and widens lanes, and compares what the matrix says
// with each filter.
func TestLaneMatrix(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	hashes := make([]uint32, 1<<14)
	for i := range hashes {
		hashes[i] = r.Uint32()
	}
	m := newLaneMatrix(laneShiftMin, segment.FilterShift(1<<13))
	filters := map[uint8]segment.KeyFilter{}
	todo := make([]uint32, len(hashes))
	for i := range todo {
		todo[i] = uint32(i)
	}
	bits := make([]uint64, len(hashes))
	check := func() {
		t.Helper()
		m.masks(bits, todo, hashes)
		for lane, f := range filters {
			for i, h := range hashes {
				if bits[i]>>lane&1 != 0 != f.Has(h) {
					t.Fatalf("%d lanes: lane %d says %v of %x", 1<<m.shift, lane, !f.Has(h), h)
				}
			}
		}
	}
	put := func(lane uint8) {
		t.Helper()
		f := segment.NewKeyFilter(hashes[r.IntN(1<<13):][:1<<uint(10+r.IntN(4))])
		if ok, err := m.set(context.Background(), lane, f); err != nil || !ok {
			t.Fatal(ok, err)
		}
		filters[lane] = f
		m.hidden = !m.hidden // both ways of writing
	}
	put(0)
	put(7)
	check()
	m.stale = 1 << 7
	put(7) // what was there goes
	put(3)
	check()
	for m.shift < laneShiftMax {
		m = m.wider()
		check()
		put(uint8(1)<<m.shift - 1)
		m.stale = 1 << 3
		put(3)
		check()
	}
}

// TestLanes upserts and deletes keys in a tablet of many segments, which flushes and
// compacts, with and without lanes: every state must be what a map says, and a
// snapshot of an older state must find its rows all the same.
func TestLanes(t *testing.T) {
	const keys = 30000
	r := rand.New(rand.NewPCG(7, 8))
	h := &harness{t: t, table: testTable(true, true), dir: blob.NewMem().Root(), next: 1, lim: Limits{SegmentRows: 8192, FlushRows: 1 << 30}}
	h.open()
	h.tab.cfg.Filters = &FilterBudget{Max: 1 << 30}
	want := map[int64]row{}
	most := 0
	check := func(s *Snapshot, want map[int64]row) {
		t.Helper()
		ask := make([]int64, 0, 2000)
		for range 2000 {
			ask = append(ask, r.Int64N(keys+keys/4))
		}
		slices.Sort(ask)
		ask = slices.Compact(ask)
		out := newBatchOf(h.table)
		idx, err := s.Get(context.Background(), keysBatch(h.table.Columns[0].T, ask), allColumns(h.table), out, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := map[int64]string{}
		for i, k := range idx {
			got[ask[k]] = rowText(out, i)
		}
		for _, k := range ask {
			w, ok := want[k]
			if g, has := got[k]; has != ok || ok && g != w.String() {
				t.Fatalf("key %d is %q, want %v %v", k, g, w, ok)
			}
		}
	}
	var old *Snapshot
	var oldWant map[int64]row
	for round := 0; round < 60; round++ {
		c := new(chunker)
		var rows []row
		var gone []int64
		used := map[int64]bool{}
		for range 1500 {
			k := r.Int64N(keys)
			if used[k] {
				continue
			}
			used[k] = true
			if _, ok := want[k]; ok && r.IntN(5) == 0 {
				gone = append(gone, k)
				delete(want, k)
				continue
			}
			n := int64(round)
			w := row{k: k, n: &n}
			rows = append(rows, w)
			want[k] = w
		}
		c.rows(storage.OpUpsert, rows...)
		if len(gone) > 0 {
			c.del(h.table.Columns[0].T, nil, gone...)
		}
		h.mustCommit(c)
		h.flush()
		if err := h.tab.BuildFilters(context.Background()); err != nil {
			t.Fatal(err)
		}
		s := h.tab.Snapshot(h.pub)
		check(s, want)
		s.Close()
		if old != nil {
			check(old, oldWant)
		}
		switch {
		case round%20 == 10:
			h.live = []storage.CSN{h.pub}
			old, oldWant = h.tab.Snapshot(h.pub), map[int64]row{}
			for k, w := range want {
				oldWant[k] = w
			}
		case round%20 == 19:
			old.Close()
			old, h.live = nil, nil
		case round > 35 && round%4 == 0:
			for h.compact() != nil && r.IntN(3) > 0 {
			}
		}
		for _, m := range h.tab.lanes.matrices {
			most = max(most, 1<<m.shift)
		}
	}
	if most < 32 {
		t.Errorf("only %d lanes", most)
	}
	if n := h.tab.cfg.Filters.Bytes(); n < laneBytes(laneShiftMin, segment.FilterShift(8192)) {
		t.Errorf("%d bytes accounted", n)
	}
	if err := h.tab.Close(); err != nil {
		t.Fatal(err)
	}
	if n := h.tab.cfg.Filters.Bytes(); n != 0 {
		t.Errorf("%d bytes left", n)
	}
}

// TestFilterBudget: without room for lanes lookups go to the segments' own filters.
func TestFilterBudget(t *testing.T) {
	h := keyedTablet(t, testTable(true, false).Columns[1].T, 6, 4096)
	h.tab.cfg.Limits.SegmentRows = 4096
	for _, s := range h.tab.cur.segs {
		h.tab.size(s)
	}
	for _, room := range []bool{false, true} {
		h.tab.cfg.Filters = &FilterBudget{Max: 1000}
		if room {
			h.tab.cfg.Filters.Max = 1 << 30
		}
		for range 2 {
			s := h.tab.Snapshot(h.pub)
			out := newBatchOf(h.table)
			keys := keyedBatch(h.table.Columns[0].T, 4096*6-500, 1000)
			keys.Cols = keys.Cols[:1]
			idx, err := s.Get(context.Background(), keys, []int{0}, out, nil)
			if err != nil || len(idx) != 500 {
				t.Fatalf("%d keys found, %v", len(idx), err)
			}
			s.Close()
			if err := h.tab.BuildFilters(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.tab.lanes.matrices); n != 0 != room {
			t.Errorf("room %v: %d matrices", room, n)
		}
	}
	for range lanesIdle + 1 {
		if err := h.tab.BuildFilters(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if h.tab.cfg.Filters.Bytes() != 0 || h.tab.cur.segs[0].lane.Load() != nil {
		t.Error("idle lanes stay")
	}
}
