package column

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
)

// TestOverlay runs transactions against a model: statements read what earlier ones
// wrote, savepoints take it back, large ones spill, and the commit (live, and again
// by replay into a tablet of its own) leaves what the last statement saw.
func TestOverlay(t *testing.T) {
	for _, pk := range []bool{true, false} {
		for seed := uint64(1); seed <= 2; seed++ {
			for _, files := range []bool{false, true} {
				t.Run(fmt.Sprintf("pk=%v,seed=%d,files=%v", pk, seed, files), func(t *testing.T) { runOverlay(t, pk, seed, files) })
			}
		}
	}
}

// ownView is the rows a transaction sees, by key (or row id, provisional or not).
type ownView map[int64]row

func (v ownView) clone() ownView {
	c := ownView{}
	for k, r := range v {
		c[k] = r
	}
	return c
}

func (v ownView) rows() []string {
	var out []string
	for _, r := range v {
		out = append(out, r.String())
	}
	sort.Strings(out)
	return out
}

func runOverlay(t *testing.T, pk bool, seed uint64, files bool) {
	r := rand.New(rand.NewPCG(seed, 11))
	h := newHarness(t, testTable(pk, seed%2 == 0))
	replica := newHarness(t, h.table)
	keyType := types.Int4
	if !pk {
		keyType = types.Int8
	}
	view := ownView{} // committed
	spec := &catalog.ScanSpec{Cols: allColumns(h.table), Limit: -1}
	for round := 0; round < 15; round++ {
		ch := &chunker{}
		o := NewOverlay(h.table, 0, h.dir, h.nextFile, h.lim)
		if files {
			o.KillsToFiles()
		}
		own := view.clone()
		spilled := false
		type save struct {
			mark, chunks int
			ord          uint32
			own          ownView
			spilled      bool
		}
		var saves []save
		for st := 0; st < 6; st++ {
			switch x := r.IntN(10); {
			case x == 0:
				mark, err := o.Mark(ch.chunks)
				if err != nil {
					t.Fatal(err)
				}
				saves = append(saves, save{mark, len(ch.chunks), ch.ord, own.clone(), spilled})
				continue
			case x == 1 && len(saves) > 0 && saves[len(saves)-1].spilled == spilled:
				s := saves[len(saves)-1]
				ch.chunks, own = ch.chunks[:s.chunks], s.own.clone()
				if err := o.RollbackTo(s.mark); err != nil {
					t.Fatal(err)
				}
			case x == 2:
				rest, err := o.Spill(context.Background(), ch.chunks, nil)
				if err != nil {
					t.Fatal(err)
				}
				if files {
					ch.spilled = append(ch.spilled, ch.chunks...)
				}
				ch.chunks, spilled, saves = rest, true, nil
			default:
				statement(r, h, ch, own, pk, keyType)
			}
			base := h.tab.Snapshot(h.pub)
			s, err := o.Over(base, ch.chunks)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := scan(t, s, spec), own.rows(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d statement %d: %s", round, st, diff(got, want))
			}
			checkOwnGet(t, s, own, keyType, r)
			s.Close()
		}
		if r.IntN(6) == 0 || len(ch.chunks) == 0 && !spilled {
			o.Close()
			continue
		}
		sides, err := o.Sides()
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.tab.PrepareSides(context.Background(), ch.chunks, sides)
		if err != nil {
			t.Fatal(err)
		}
		// Something unrelated moves the tablet on between Prepare and Stage.
		if r.IntN(3) == 0 {
			h.flush()
		}
		base := h.next
		csn, conflicts := h.stage(p, ch)
		if len(conflicts) > 0 {
			t.Fatalf("round %d: conflicts %v", round, conflicts)
		}
		p.Release()
		if err := replica.tab.ReplaySides(ch.chunks, sidesCopy(t, h, replica, sides), base, csn); err != nil {
			t.Fatal(err)
		}
		replica.pub = csn
		o.Committed(true)
		o.Close()
		view = ownView{}
		for k, v := range own {
			if !pk && k < 0 {
				k = int64(base) + (-1 - k)
			}
			view[k] = v
		}
		for _, hh := range []*harness{h, replica} {
			s := hh.tab.Snapshot(csn)
			if got, want := scan(t, s, spec), view.rows(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d: after commit (replica %v): %s", round, hh == replica, diff(got, want))
			}
			checkOwnGet(t, s, view, keyType, r)
			s.Close()
		}
		if r.IntN(4) == 0 {
			h.flush()
		}
		if r.IntN(6) == 0 {
			h.compact()
			replica.flush()
		}
	}
	// What is in the files alone.
	h.flush()
	h.tab.Close()
	h.open()
	s := h.tab.Snapshot(h.pub)
	defer s.Close()
	if got, want := scan(t, s, spec), view.rows(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("after reopening: %s", diff(got, want))
	}
}

// sidesCopy gives a replica side files of its own.
func sidesCopy(t *testing.T, from, to *harness, sides []Side) []Side {
	t.Helper()
	var out []Side
	for _, s := range sides {
		for _, name := range []string{s.File, s.Deletes} {
			if name != "" {
				copyFile(t, from.dir, to.dir, name)
			}
		}
		out = append(out, s)
	}
	return out
}

// statement adds a random statement's chunks and plays it on the view.
func statement(r *rand.Rand, h *harness, ch *chunker, own ownView, pk bool, keyType types.T) {
	var live []int64
	for k := range own {
		live = append(live, k)
	}
	sort.Slice(live, func(i, j int) bool { return live[i] < live[j] })
	n := 1 + r.IntN(30)
	if r.IntN(5) == 0 {
		n = 1000
	}
	pickLive := func() []int64 {
		seen := map[int64]bool{}
		var ks []int64
		for i := 0; i < n && len(live) > 0; i++ {
			k := live[r.IntN(len(live))]
			if !seen[k] {
				seen[k] = true
				ks = append(ks, k)
			}
		}
		return ks
	}
	// Rows that are committed are conditioned on their commit, own ones are not.
	olds := func(ks []int64) []storage.CSN {
		out := h.csnsOf(keyType, ks)
		for i := range out {
			if r.IntN(2) == 0 {
				out[i] = 0
			}
		}
		return out
	}
	switch x := r.IntN(4); {
	case x == 0 && len(live) > 0:
		ks := pickLive()
		ch.del(keyType, conditionOwn(ch, h, olds(ks), ks, keyType), ks...)
		for _, k := range ks {
			delete(own, k)
		}
	case x == 1 && len(live) > 0:
		ks := pickLive()
		var rows []row
		for _, k := range ks {
			nk := k
			if !pk {
				nk = r.Int64N(5000)
			}
			rows = append(rows, randomRow(r, nk))
		}
		ch.update(keyType, conditionOwn(ch, h, olds(ks), ks, keyType), ks, rows...)
		for i, k := range ks {
			own[k] = rows[i]
		}
	default:
		op := storage.OpInsert
		if pk && x == 2 {
			op = storage.OpUpsert
		}
		var rows []row
		seen := map[int64]bool{}
		for i := 0; i < n; i++ {
			k := r.Int64N(5000)
			if _, ok := own[k]; pk && (seen[k] || op == storage.OpInsert && ok) {
				continue
			}
			seen[k] = true
			rows = append(rows, randomRow(r, k))
		}
		if len(rows) == 0 {
			return
		}
		first := ch.ord
		ch.rows(op, rows...)
		for i, x := range rows {
			k := x.k
			if !pk {
				k = -1 - int64(first) - int64(i)
			}
			own[k] = x
		}
	}
}

// conditionOwn drops the condition of rows that the transaction wrote itself: they
// have no commit.
func conditionOwn(ch *chunker, h *harness, olds []storage.CSN, ks []int64, t types.T) []storage.CSN {
	o := NewOverlay(h.table, 0, nil, nil, Limits{})
	defer o.Close()
	s, err := o.Over(nil, ch.chunks)
	if err != nil {
		h.t.Fatal(err)
	}
	defer s.Close()
	csn := make([]storage.CSN, len(ks))
	if err := s.Find(keysBatch(t, ks), csn); err != nil {
		h.t.Fatal(err)
	}
	touched := map[int64]bool{}
	for _, c := range append(ch.spilled, ch.chunks...) {
		if c.Keys != nil {
			for i := 0; i < c.Len(); i++ {
				touched[intAt(c.Keys.Cols[0], i)] = true
			}
		}
	}
	for i := range olds {
		if csn[i] != 0 || touched[ks[i]] {
			olds[i] = 0
		}
	}
	return olds
}

func checkOwnGet(t *testing.T, s *Snapshot, own ownView, keyType types.T, r *rand.Rand) {
	t.Helper()
	var keys []int64
	want := 0
	for k := range own {
		if keys = append(keys, k); len(keys) == 20 {
			break
		}
	}
	want = len(keys)
	for i := 0; i < 20; i++ {
		if k := r.Int64N(5000); !has(own, k) {
			keys = append(keys, k)
		}
	}
	out := newBatchOf(s.table)
	idx, err := s.Get(context.Background(), keysBatch(keyType, keys), allColumns(s.table), out, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(idx) != want {
		t.Fatalf("Get found %d rows, want %d", len(idx), want)
	}
	for i, k := range idx {
		if g := rowText(out, i); g != own[keys[k]].String() {
			t.Fatalf("Get %d: %s, want %s", keys[k], g, own[keys[k]])
		}
	}
}

func has(v ownView, k int64) bool { _, ok := v[k]; return ok }
