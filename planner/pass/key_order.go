package pass

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// keyOrder tells scans of row tablets below an ORDER BY with LIMIT, in the order of the
// tablets' key or against it, how many rows are wanted of each: the first of a sort are
// among those. The smallest and the greatest value of such a column is the first row's.
//
// It would be wrong where a filter stays above the scan, and where columns of the key come
// between those of the order that rows may differ in. Hybrid tables are read by row for it
// where the filter is a range of the key and nothing else, so that no more rows are read
// than are wanted, and these are few.
func keyOrder(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		switch x := n.(type) {
		case *plan.Limit:
			if x.Count == nil || x.WithTies || !given(x.Count) || x.Offset != nil && !given(x.Offset) {
				break
			}
			first := []expr.Expr{x.Count}
			if x.Offset != nil {
				first = append(first, x.Offset)
			}
			if in := firstBelow(x.Input, nil, first); in != nil {
				m := *x
				m.Input = in
				return &m, nil
			}
		case *plan.Aggregate:
			return c.firstOfAll(x), nil
		}
		return n, nil
	})
}

// firstBelow is n with the scan below it told how many rows are wanted in the order of the
// sort between, whose keys are those given once it is passed; nil where that cannot be.
func firstBelow(n plan.Node, keys []plan.SortKey, first []expr.Expr) plan.Node {
	switch x := n.(type) {
	case *plan.Project:
		below := keys
		if keys != nil {
			below = make([]plan.SortKey, len(keys))
			for i, k := range keys {
				at := -1
				for j, p := range x.Exprs {
					if id, ok := columnID(k.Expr); ok && p.Col.ID == id {
						at = j
						break
					}
				}
				if at < 0 {
					return nil
				}
				below[i] = k
				below[i].Expr = x.Exprs[at].Expr
			}
		}
		if in := firstBelow(x.Input, below, first); in != nil {
			m := *x
			m.Input = in
			return &m
		}
	case *plan.Sort:
		if keys != nil || len(x.Keys) == 0 {
			return nil
		}
		if in := firstBelow(x.Input, x.Keys, first); in != nil {
			m := *x
			m.Input = in
			return &m
		}
	case *plan.Scan:
		if keys == nil {
			return nil
		}
		return firstOf(x, keys, first)
	}
	return nil
}

func columnID(e expr.Expr) (int, bool) {
	c, ok := e.(*expr.Column)
	if !ok {
		return 0, false
	}
	return c.ID, true
}

// firstOf is a scan told how many rows are wanted in an order; nil where that is not the
// order of its key.
func firstOf(s *plan.Scan, keys []plan.SortKey, first []expr.Expr) plan.Node {
	if s.Table.Kind != catalog.KindTable || s.Table.IsBinlog || !s.Table.StoresRows() || s.Key != nil || s.KeyIn != nil || len(s.Runtime) > 0 {
		return nil
	}
	var all []expr.Expr
	for _, f := range s.Filter {
		all = append(all, expr.Conjuncts(f)...)
	}
	// What is no constant is taken for few.
	few := len(all) == len(keyConjuncts(s))
	for _, e := range first {
		if k, ok := e.(*expr.Const); ok && (!k.D.Valid || k.D.I > rowRangeRows) {
			few = false
		}
	}
	if s.Table.StoresColumns() && !s.ByRow && !few {
		return nil
	}
	fixed := map[int]bool{}
	for _, f := range all {
		if id, op := comparedTo(f); op == "=" {
			fixed[ordinalOf(s, id)] = true
		}
	}
	j, back, known := 0, false, false
	for _, k := range s.Table.RowKey() {
		if j == len(keys) {
			break
		}
		id, ok := columnID(keys[j].Expr)
		switch {
		case ok && ordinalOf(s, id) == k.Ordinal:
			if !fixed[k.Ordinal] {
				against := keys[j].Desc != k.Desc
				if known && against != back {
					return nil
				}
				back, known = against, true
			}
			j++
		case !fixed[k.Ordinal]:
			return nil
		}
	}
	// What comes behind the whole key orders nothing any more.
	m := *s
	m.First, m.Last = first, back
	m.ByRow = s.ByRow || few
	return &m
}

// firstOfAll has min and max of a column that rows are ordered by read the first row.
func (c *Context) firstOfAll(a *plan.Aggregate) plan.Node {
	if len(a.Groups) > 0 || len(a.Sets) > 0 || len(a.Grouping) > 0 || len(a.Aggs) != 1 {
		return a
	}
	g := a.Aggs[0]
	if g.Filter != nil || len(g.Args) != 1 || g.Fn.Name != "min" && g.Fn.Name != "max" {
		return a
	}
	one := &expr.Const{T: types.Int8, D: types.NewInt(1)}
	keys := []plan.SortKey{{Expr: g.Args[0], Desc: g.Fn.Name == "max"}}
	in := firstBelow(&plan.Sort{Input: a.Input, Keys: keys, Limit: 1}, nil, []expr.Expr{one})
	if in == nil {
		return a
	}
	m := *a
	m.Input = &plan.Limit{Input: in, Count: one}
	return &m
}
