package build

import (
	"slices"

	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
)

// writingParts are the parts of a statement that write: those in WITH, and the main
// query. All read the table as it was before the statement. As in PostgreSQL those that
// the main query reads run before it, and those that it does not read after its own
// writes, the last first; of two that change one row the first to come counts
// (op.Changed).
type writingParts struct {
	// changed has the tables that several parts write to.
	changed map[uint32]*op.Changed
	// late are the WITH items that the main query does not read, and alone those of them that
	// nothing reads.
	late, alone map[int]bool
	in          []*plan.With // late items that are being built
	main        *pipeline    // nil: the main query does not write
	after       []lateWrite
	ends        []*pipeline // of the late items
}

type lateWrite struct {
	pipe  *pipeline
	alone bool
}

// plan looks at the whole plan; top is its main query.
func (w *writingParts) plan(root, top plan.Node) {
	if !hasWith(root) {
		return // one part
	}
	tables := map[uint32]int{}
	items := map[int]plan.Node{}
	var count func(n plan.Node)
	count = func(n plan.Node) {
		switch x := n.(type) {
		case *plan.Insert:
			tables[x.Table.OID]++
		case *plan.Update:
			tables[x.Table.OID]++
		case *plan.Delete:
			tables[x.Table.OID]++
		case *plan.Merge:
			tables[x.Table.OID]++
		case *plan.With:
			items[x.ID] = x.Def
		}
		for _, c := range n.Children() {
			count(c)
		}
	}
	count(root)
	for oid, k := range tables {
		if k > 1 {
			if w.changed == nil {
				w.changed = map[uint32]*op.Changed{}
			}
			w.changed[oid] = nil
		}
	}
	read := func(from plan.Node) map[int]bool {
		seen := map[int]bool{}
		var walk func(n plan.Node)
		walk = func(n plan.Node) {
			if r, ok := n.(*plan.CTERef); ok && !seen[r.ID] && items[r.ID] != nil {
				seen[r.ID] = true
				walk(items[r.ID])
			}
			if x, ok := n.(*plan.With); ok {
				walk(x.Body) // its item where it is read
				return
			}
			for _, c := range n.Children() {
				walk(c)
			}
		}
		walk(from)
		return seen
	}
	main := read(top)
	w.late, w.alone = map[int]bool{}, map[int]bool{}
	for id, def := range items {
		if main[id] || !writes(def) {
			continue
		}
		w.late[id], w.alone[id] = true, true
		for other, def := range items {
			if other != id && read(def)[id] {
				w.alone[id] = false
			}
		}
	}
}

// hasWith says whether there is a WITH item in a plan. Small statements come here each
// time: it makes no garbage for what they are made of.
func hasWith(n plan.Node) bool {
	switch x := n.(type) {
	case *plan.With:
		return true
	case *plan.Scan, *plan.Values, *plan.CTERef:
		return false
	case *plan.Insert:
		return hasWith(x.Input)
	case *plan.Update:
		return hasWith(x.Input)
	case *plan.Delete:
		return hasWith(x.Input)
	case *plan.Project:
		return hasWith(x.Input)
	case *plan.Filter:
		return hasWith(x.Input)
	}
	return slices.ContainsFunc(n.Children(), hasWith)
}

func writes(n plan.Node) bool {
	if isWrite(n) {
		return true
	}
	for _, c := range n.Children() {
		if writes(c) {
			return true
		}
	}
	return false
}

// changed is the set of changed rows of a table, nil where one part alone writes to it.
func (b *builder) changed(table uint32) *op.Changed {
	c, several := b.parts.changed[table]
	if !several {
		return nil
	}
	if c == nil {
		c = op.NewChanged(b.q.run.Account)
		b.parts.changed[table] = c
		b.closers = append(b.closers, c.Close)
	}
	return c
}

// enter begins the building of a WITH item; what it returns ends it.
func (w *writingParts) enter(n *plan.With) (leave func()) {
	if !w.late[n.ID] {
		return func() {}
	}
	w.in = append(w.in, n)
	return func() { w.in = w.in[:len(w.in)-1] }
}

// wrote notes the pipeline of a write.
func (w *writingParts) wrote(p *pipeline, top bool) {
	switch {
	case top:
		w.main = p
	case len(w.in) > 0:
		w.after = append(w.after, lateWrite{p, w.alone[w.in[len(w.in)-1].ID]})
	}
}

// order has the late writes wait for the main query's, and those that nothing reads
// for the ones behind them; c, the result, waits for all.
func (w *writingParts) order(c *chain) *chain {
	if len(w.ends) == 0 {
		return c
	}
	before := w.main
	for i := len(w.after) - 1; i >= 0; i-- {
		l := w.after[i]
		after := w.main
		if l.alone {
			after, before = before, l.pipe
		}
		if after != nil {
			l.pipe.chain.deps = slices.Concat(l.pipe.chain.deps, []*pipeline{after})
		}
	}
	out := *c
	out.deps = slices.Concat(c.deps, w.ends)
	return &out
}
