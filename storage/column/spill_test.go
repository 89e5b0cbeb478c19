package column

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
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
					rest, err := o.Spill(context.Background(), ch.chunks, nil)
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
				o.Committed(true)
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

// TestSpillUpserts spills upserts over rows in files and in memory, some of a key
// more than once: of each the last counts, in the transaction's reads and after.
func TestSpillUpserts(t *testing.T) {
	for _, clustered := range []bool{true, false} {
		h := newHarness(t, testTable(true, clustered))
		model := map[int64]string{}
		put := func(r row) row { model[r.k] = r.String(); return r }
		ch := &chunker{}
		for k := int64(0); k < 3000; k += 3 {
			ch.rows(storage.OpInsert, put(row{k: k}))
		}
		h.mustCommit(ch)
		h.flush()
		ch = &chunker{}
		for k := int64(1); k < 3000; k += 6 {
			ch.rows(storage.OpInsert, put(row{k: k}))
		}
		h.mustCommit(ch)
		o := NewOverlay(h.table, 0, h.dir, h.nextFile, h.lim)
		ch = &chunker{}
		rng := rand.New(rand.NewPCG(1, 2))
		spec := &catalog.ScanSpec{Cols: allColumns(h.table), Limit: -1}
		want := func() []string {
			var out []string
			for _, s := range model {
				out = append(out, s)
			}
			sort.Strings(out)
			return out
		}
		for part := range 4 {
			op := storage.OpUpsert
			for b := range 4 {
				var rows []row
				for i := range 300 {
					n := int64(part*10000 + b*1000 + i)
					r := row{k: rng.Int64N(4000), n: &n}
					if part == 2 { // inserts between upserts
						op, r.k = storage.OpInsert, 5000+n
					}
					rows = append(rows, put(r))
				}
				ch.rows(op, rows...)
			}
			rest, err := o.Spill(context.Background(), ch.chunks, nil)
			if err != nil || len(rest) != 0 {
				t.Fatal(len(rest), err)
			}
			ch.chunks = rest
			s, err := o.Over(h.tab.Snapshot(h.pub), ch.chunks)
			if err != nil {
				t.Fatal(err)
			}
			if got := scan(t, s, spec); fmt.Sprint(got) != fmt.Sprint(want()) {
				t.Fatal("own rows:", diff(got, want()))
			}
			s.Close()
		}
		sides, err := o.Sides()
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.tab.PrepareSides(context.Background(), ch.chunks, sides)
		if err != nil {
			t.Fatal(err)
		}
		// Somebody else commits in between, some of the same keys.
		other := &chunker{}
		for k := int64(0); k < 4000; k += 7 {
			n := -k
			r := row{k: k, n: &n}
			if s, ok := model[k]; !ok || strings.HasSuffix(s, ",null,null") {
				put(r) // nobody else has it
			}
			other.rows(storage.OpUpsert, r)
		}
		h.mustCommit(other)
		csn, conflicts := h.stage(p, ch)
		if len(conflicts) > 0 {
			t.Fatal(conflicts)
		}
		p.Release()
		o.Committed(true)
		o.Close()
		s := h.tab.Snapshot(csn)
		if got := scan(t, s, spec); fmt.Sprint(got) != fmt.Sprint(want()) {
			t.Fatal("committed:", diff(got, want()))
		}
		s.Close()
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
			_, err = o.Spill(context.Background(), ch.chunks, nil)
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
