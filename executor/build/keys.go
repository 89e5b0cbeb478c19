package build

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
)

// What is known of grouping keys: where they come from, their bounds, and which are
// determined by others.

// origin finds the scan column that a column below n is a copy of; nil when it is
// computed.
func origin(n plan.Node, id int) (*plan.Scan, int) {
	switch x := n.(type) {
	case *plan.Scan:
		if at := position(x.Cols, id); at >= 0 {
			return x, x.Ords[at]
		}
		return nil, 0
	case *plan.Project:
		for _, p := range x.Exprs {
			if p.Col.ID == id {
				if c, ok := p.Expr.(*expr.Column); ok {
					return origin(x.Input, c.ID)
				}
				return nil, 0
			}
		}
		return nil, 0
	case *plan.Aggregate:
		if x.Sets != nil {
			return nil, 0
		}
		for _, g := range x.Groups {
			if g.Col.ID == id {
				if c, ok := g.Expr.(*expr.Column); ok {
					return origin(x.Input, c.ID)
				}
			}
		}
		return nil, 0
	case *plan.Filter, *plan.Sort, *plan.Limit, *plan.Distinct, *plan.Join, *plan.ProjectSet, *plan.Window:
		for _, c := range n.Children() {
			if s, ord := origin(c, id); s != nil {
				return s, ord
			}
		}
	}
	return nil, 0
}

// describeKeys fills in what a grouping may know of its keys.
func (b *builder) describeKeys(spec *op.AggSpec, n *plan.Aggregate) {
	if e := n.Estimate(); e != nil {
		spec.Expect = e.Rows
	}
	spec.Bounds = make([]op.KeyBounds, len(n.Groups))
	type source struct {
		scan *plan.Scan
		ord  int
	}
	from := make([]source, len(n.Groups))
	for i, g := range n.Groups {
		c, ok := g.Expr.(*expr.Column)
		if !ok {
			continue
		}
		s, ord := origin(n.Input, c.ID)
		if s == nil || ord < 0 {
			continue
		}
		from[i] = source{s, ord}
		switch g.Expr.Type().Layout {
		case types.LayoutI16, types.LayoutI32, types.LayoutI64:
			spec.Bounds[i] = b.bounds(s, ord)
		}
	}
	if n.Sets != nil {
		return
	}
	// The columns of a scan whose whole primary key is grouped by follow from the key;
	// in rows that an outer join made all are null together.
	for i := range n.Groups {
		s := from[i].scan
		if s == nil || len(s.Table.PK) == 0 {
			continue
		}
		isKey, all := false, true
		for _, k := range s.Table.PK {
			isKey = isKey || k == from[i].ord
			there := false
			for j := range from {
				there = there || from[j].scan == s && from[j].ord == k
			}
			all = all && there
		}
		if all && !isKey {
			if spec.Dependent == nil {
				spec.Dependent = make([]bool, len(n.Groups))
			}
			spec.Dependent[i] = true
		}
	}
}

// bounds are those of a scanned column in the snapshot.
func (b *builder) bounds(s *plan.Scan, ord int) op.KeyBounds {
	if b.env.Snapshot == nil || s.Table.Kind != catalog.KindTable {
		return op.KeyBounds{}
	}
	rel, err := b.env.Snapshot.Relation(s.Table)
	if err != nil {
		return op.KeyBounds{}
	}
	lo, hi := rel.Bounds(ord)
	if !lo.Valid || !hi.Valid {
		return op.KeyBounds{}
	}
	return op.KeyBounds{Known: true, Min: lo.I, Max: hi.I}
}
