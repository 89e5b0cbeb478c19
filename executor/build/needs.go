package build

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/plan"
)

// needs counts, for each column id, the plan nodes above the one being built that
// refer to it. Joins leave columns out that nobody above needs, such as their keys.
type needs map[int]int

func (s needs) add(ids map[int]bool, by int) {
	for id := range ids {
		s[id] += by
	}
}

// refs are the ids of the columns that a node itself refers to: in expressions, or
// because it takes its input as it is.
func refs(n plan.Node) map[int]bool {
	ids := map[int]bool{}
	plan.MapExprs(n, func(e expr.Expr) expr.Expr {
		expr.Columns(e, ids)
		return e
	})
	all := func(m plan.Node) {
		for _, c := range m.Columns() {
			ids[c.ID] = true
		}
	}
	switch n := n.(type) {
	case *plan.SetOp:
		for _, in := range n.Inputs {
			all(in)
		}
	case *plan.With:
		all(n.Def)
	case *plan.Recursive:
		all(n.Base)
		all(n.Step)
	case *plan.Distinct:
		if len(n.On) == 0 {
			all(n.Input)
		}
	case *plan.Insert, *plan.Update, *plan.Delete, *plan.Merge, *plan.LockRows:
		all(n.Children()[0])
	}
	return ids
}

// exact is a chain with exactly the columns cols, in order: for those who go by
// position.
func (b *builder) exact(in *chain, cols []plan.Column) *chain {
	same := len(in.cols) == len(cols)
	ps := make([]plan.Projection, len(cols))
	for i, c := range cols {
		same = same && in.cols[i].ID == c.ID
		ps[i] = plan.Projection{Col: c, Expr: c.Ref()}
	}
	if same {
		return in
	}
	return b.projected(in, ps)
}
