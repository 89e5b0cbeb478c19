package column

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// TestKillMasks replaces rows by side files again and again, some of which are staged
// and undone first, beside small commits, flushes and compactions: each state, and
// those of older snapshots, are what a map says.
func TestKillMasks(t *testing.T) {
	h := newHarness(t, testTable(true, false))
	r := rand.New(rand.NewPCG(11, 12))
	spec := &catalog.ScanSpec{Cols: allColumns(h.table), Limit: -1}
	model := map[int64]string{}
	state := func() []string {
		var out []string
		for _, s := range model {
			out = append(out, s)
		}
		sort.Strings(out)
		return out
	}
	type past struct {
		s    *Snapshot
		want []string
	}
	var pasts []past
	check := func(what string, p past) {
		t.Helper()
		if got := scan(t, p.s, spec); fmt.Sprint(got) != fmt.Sprint(p.want) {
			t.Fatal(what, diff(got, p.want))
		}
	}
	now := func() past { return past{h.tab.Snapshot(h.pub), state()} }
	most := 0
	for round := range 30 {
		o := NewOverlay(h.table, 0, h.dir, h.nextFile, h.lim)
		ch := &chunker{}
		before := now()
		var rows []row
		for range 400 {
			n := int64(round)
			rows = append(rows, row{k: r.Int64N(1500), n: &n})
		}
		ch.rows(storage.OpUpsert, rows...)
		rest, err := o.Spill(context.Background(), ch.chunks, nil)
		if err != nil || len(rest) != 0 {
			t.Fatal(len(rest), err)
		}
		sides, err := o.Sides()
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.tab.PrepareSides(context.Background(), nil, sides)
		if err != nil {
			t.Fatal(err)
		}
		if round%3 == 0 {
			s, conflicts, err := p.Stage()
			if err != nil || len(conflicts) > 0 {
				t.Fatal(conflicts, err)
			}
			check("staged:", before)
			s.Abort()
			after := now()
			check("undone:", after)
			after.s.Close()
		}
		if _, conflicts := h.stage(p, ch); len(conflicts) > 0 {
			t.Fatal(conflicts)
		}
		p.Release()
		o.Committed(true)
		o.Close()
		for _, x := range rows {
			model[x.k] = x.String()
		}
		check("before:", before)
		before.s.Close()
		if r.IntN(2) == 0 { // some keys one by one
			c := &chunker{}
			for range 20 {
				k := r.Int64N(1500)
				x := row{k: k}
				c.rows(storage.OpUpsert, x)
				model[k] = x.String()
			}
			h.mustCommit(c)
		}
		for _, s := range h.tab.cur.segs {
			most = max(most, len(s.del.Load().stripes))
		}
		after := now()
		check("after:", after)
		for _, p := range pasts {
			check("past:", p)
		}
		switch r.IntN(5) {
		case 0:
			h.flush()
		case 1:
			h.flush()
			h.compact()
		case 2:
			h.live = append(h.live, h.pub)
			pasts = append(pasts, after)
			continue
		case 3:
			for _, p := range pasts {
				p.s.Close()
			}
			pasts, h.live = nil, nil
		}
		after.s.Close()
		for _, p := range pasts {
			check("past, flushed:", p)
		}
	}
	if most < 2 {
		t.Errorf("at most %d stripes", most)
	}
}
