package column

import (
	"context"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// A row of a file that was live when a commit found it, and is dead when the commit is
// staged, is not there, whether its death is in the tail, grown or not, or has been
// folded; and a row that lives on is.
func TestDiedSincePrepare(t *testing.T) {
	for name, between := range map[string]func(h *harness){
		"tail": func(h *harness) { h.mustCommit((&chunker{}).del(types.Int4, nil, 5)) },
		"grown": func(h *harness) {
			h.mustCommit((&chunker{}).del(types.Int4, nil, 5))
			h.mustCommit((&chunker{}).del(types.Int4, nil, span(100, 100+2*tailMin)...))
		},
		"folded": func(h *harness) {
			h.mustCommit((&chunker{}).del(types.Int4, nil, 5))
			for from := int64(100); from < 100+foldMin; from += vec.Size {
				h.mustCommit((&chunker{}).del(types.Int4, nil, span(from, from+vec.Size)...))
			}
			if !h.tab.cur.segs[0].del.Load().base.has(5) {
				h.t.Fatal("the row's death is not folded")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, testTable(true, false))
			defer h.tab.Close()
			fill := &chunker{}
			for from := int64(0); from < 4*vec.Size; from += vec.Size {
				var rs []row
				for _, k := range span(from, from+vec.Size) {
					rs = append(rs, row{k: k})
				}
				fill.rows(storage.OpInsert, rs...)
			}
			h.mustCommit(fill)
			h.flush()
			c := (&chunker{}).rows(storage.OpInsert, row{k: 5})
			p, err := h.tab.Prepare(context.Background(), c.chunks)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Release()
			live := (&chunker{}).rows(storage.OpInsert, row{k: 3})
			q, err := h.tab.Prepare(context.Background(), live.chunks)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Release()
			between(h)
			if _, conflicts := h.stage(p, c); len(conflicts) > 0 {
				t.Error("the row that died is there")
			}
			if _, conflicts := h.stage(q, live); len(conflicts) == 0 {
				t.Error("the row that lives is not there")
			}
		})
	}
}

func span(from, to int64) []int64 {
	var ks []int64
	for ; from < to; from++ {
		ks = append(ks, from)
	}
	return ks
}
