package row

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Group is what several commits, one after another, change in row tablets, when
// nobody may see a state between them: only the last change of a key counts, and in
// the order of the keys of all of them a memtable finds each place from that of the
// one before it.
type Group struct {
	all    []*Changes
	tables []groupTablet
	n      int
}

// groupTablet is what a group changes in one tablet.
type groupTablet struct {
	prefix string
	of     []int32 // in Group.all, in the order of the commits
}

// Add adds a commit's changes to one tablet, after those that are there.
func (g *Group) Add(c *Changes) {
	if len(c.ops) == 0 {
		return
	}
	g.n += len(c.ops)
	of := int32(len(g.all))
	g.all = append(g.all, c)
	prefix := c.key(0)[:c.prefix]
	for i := range g.tables {
		if t := &g.tables[i]; t.prefix == string(prefix) {
			t.of = append(t.of, of)
			return
		}
	}
	g.tables = append(g.tables, groupTablet{string(prefix), []int32{of}})
}

// Len is how many changes were added.
func (g *Group) Len() int { return g.n }

const (
	// pieceChanges and pieceBytes bound what a group puts into Pebble at a time: a batch
	// of that size is used again.
	pieceChanges = 2048
	pieceBytes   = 512 << 10
	// pieceWorkers is how many pieces are put in at the same time.
	pieceWorkers = 2
)

// Apply commits the changes to Pebble, in pieces of which several are under way at a
// time. When it fails some of them may be there.
func (g *Group) Apply(db *pebble.DB) error {
	var pieces [][]ref
	for i := range g.tables {
		pieces = g.cut(pieces, g.merged(&g.tables[i]))
	}
	workers := min(len(pieces), pieceWorkers)
	errs := make([]error, workers)
	var next atomic.Int32
	var wg sync.WaitGroup
	work := func(w int) {
		for {
			k := int(next.Add(1)) - 1
			if k >= len(pieces) {
				return
			}
			if err := g.commit(db, pieces[k]); err != nil {
				errs[w] = err
				return
			}
		}
	}
	for w := 1; w < workers; w++ {
		wg.Go(func() { work(w) })
	}
	work(0)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// cut appends pieces of refs, at least as many as there are workers when it is worth it.
func (g *Group) cut(pieces [][]ref, refs []ref) [][]ref {
	most := min(pieceChanges, max(len(refs)/pieceWorkers+1, pieceChanges/8))
	from, size := 0, 0
	for k, r := range refs {
		o := &g.all[r.of].ops[r.i]
		size += o.keyLen + o.valueLen + 16
		if k+1-from >= most || size >= pieceBytes {
			pieces = append(pieces, refs[from:k+1])
			from, size = k+1, 0
		}
	}
	if from < len(refs) {
		pieces = append(pieces, refs[from:])
	}
	return pieces
}

func (g *Group) commit(db *pebble.DB, refs []ref) error {
	b := db.NewBatch()
	for _, r := range refs {
		if err := g.all[r.of].put(b, int(r.i)); err != nil {
			return err
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	return b.Close()
}

// merged is a tablet's changes in the order of the keys, of each key the last.
func (g *Group) merged(t *groupTablet) []ref {
	runs := make([][]ref, len(t.of))
	for k, of := range t.of {
		c := g.all[of]
		run := c.order
		if run == nil {
			run = c.refs(of)
		}
		for i := range run {
			run[i].of = of
		}
		runs[k] = g.last(run)
	}
	for len(runs) > 1 {
		half := runs[:0:0]
		for k := 0; k < len(runs); k += 2 {
			if k+1 == len(runs) {
				half = append(half, runs[k])
				break
			}
			half = append(half, g.merge(runs[k], runs[k+1]))
		}
		runs = half
	}
	return runs[0]
}

// last leaves of each key the last change, in place.
func (g *Group) last(refs []ref) []ref {
	out := refs[:0]
	for k, r := range refs {
		if k+1 < len(refs) && r.head == refs[k+1].head && g.compare(r, refs[k+1]) == 0 {
			continue
		}
		out = append(out, r)
	}
	return out
}

func (g *Group) compare(a, b ref) int {
	if a.head != b.head {
		if a.head < b.head {
			return -1
		}
		return 1
	}
	return bytes.Compare(g.all[a.of].key(int(a.i)), g.all[b.of].key(int(b.i)))
}

// merge merges two runs; of a key in both that of the later one stays.
func (g *Group) merge(a, b []ref) []ref {
	out := make([]ref, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch x := g.compare(a[0], b[0]); {
		case x < 0:
			out = append(out, a[0])
			a = a[1:]
		case x > 0:
			out = append(out, b[0])
			b = b[1:]
		default:
			a = a[1:]
		}
	}
	return append(append(out, a...), b...)
}
