package column

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// What compaction writes while a table grows by as many rows as are updated, at random:
// about twice what is flushed, and few dead rows are left.
func TestRewritesWhileGrowing(t *testing.T) {
	const flush, full, flushes = 512, 2048, 160
	h := &harness{t: t, table: testTable(true, false), dir: blob.NewMem().Root(), next: 1, lim: Limits{SegmentRows: full}}
	h.open()
	defer h.tab.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	flushed, merged, keys := 0, 0, int64(0)
	for range flushes {
		seen := map[int64]bool{}
		var rs []row
		for len(rs) < flush {
			k := keys
			if keys > 0 && rng.IntN(2) == 0 {
				k = rng.Int64N(keys)
			} else {
				keys++
			}
			if !seen[k] {
				seen[k] = true
				rs = append(rs, row{k: k})
			}
		}
		h.mustCommit((&chunker{}).rows(storage.OpUpsert, rs...))
		h.flush()
		flushed += len(rs)
		for h.tab.CompactionDue(Tidy) {
			e, err := h.tab.Compact(context.Background(), Tidy, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range e.Add {
				merged += f.Rows
			}
			h.install(e)
		}
	}
	rows, dead := 0, 0
	for _, s := range h.tab.cur.segs {
		rows += s.info.Rows
		dead += s.del.Load().upTo(latest).count()
	}
	t.Logf("%d files; merged %.2f of what was flushed; %.3f of the rows are dead", len(h.tab.cur.segs), float64(merged)/float64(flushed), float64(dead)/float64(rows))
	if 10*merged > 22*flushed {
		t.Errorf("compaction wrote %d rows where %d were flushed", merged, flushed)
	}
	if 4*dead > rows {
		t.Errorf("%d of %d rows are dead", dead, rows)
	}
}

// A small file with many dead rows does not take large ones along that are on the way.
func TestSmallFileDiesAlone(t *testing.T) {
	const full = 2048
	h := &harness{t: t, table: testTable(true, false), dir: blob.NewMem().Root(), next: 1, lim: Limits{SegmentRows: full}}
	h.open()
	defer h.tab.Close()
	files := []int64{full, full, 64}
	first := int64(0)
	for _, n := range files {
		var rs []row
		for k := range n {
			rs = append(rs, row{k: first + k})
		}
		h.mustCommit((&chunker{}).rows(storage.OpInsert, rs...))
		h.flush()
		first += n
	}
	die := func(file int, part int64) { // of a file's rows, the first
		from := int64(0)
		for _, n := range files[:file] {
			from += n
		}
		h.mustCommit((&chunker{}).del(types.Int4, nil, span(from, from+files[file]/part)...))
	}
	picked := func() (names []string) {
		for _, s := range h.tab.pick(h.tab.cur.segs, Tidy) {
			names = append(names, s.info.File)
		}
		return names
	}
	segs := h.tab.cur.segs
	if len(segs) != len(files) {
		t.Fatalf("%d files", len(segs))
	}
	die(0, 4)
	die(1, 4)
	if got := picked(); got != nil {
		t.Errorf("%v are picked of files that have a quarter of dead rows", got)
	}
	die(2, 2)
	if got := picked(); len(got) != 1 || got[0] != segs[2].info.File {
		t.Errorf("%v are picked, not %s alone", got, segs[2].info.File)
	}
	h.mustCommit((&chunker{}).del(types.Int4, nil, span(full/4, full/2)...)) // of the first
	if got := picked(); len(got) != len(segs) {
		t.Errorf("%v are picked, not all", got)
	}
}
