package column

import (
	"context"
	"math/rand/v2"
	"testing"

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
