package pass

import (
	"github.com/millrace/millrace/planner/plan"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
)

// pruneColumns drops columns, projections, aggregates and window functions that
// nothing above uses, so that scans read only what is needed. Volatile expressions
// and set-returning calls stay: they have effects besides their column.
func pruneColumns(c *Context, n plan.Node) (plan.Node, error) {
	need := colset{}
	for _, col := range n.Columns() {
		need[col.ID] = true
	}
	refs := map[int]colset{}
	defs := map[int][]plan.Column{}
	return prune(n, need, refs, defs), nil
}

// prune returns n yielding at least the columns of need. refs collects, by CTE, the
// positions that references use.
func prune(n plan.Node, need colset, refs map[int]colset, defs map[int][]plan.Column) plan.Node {
	below := func(extra ...expr.Expr) colset {
		s := colset{}
		s.addAll(need)
		for _, e := range extra {
			if e != nil {
				addUsed(e, s)
			}
		}
		return s
	}
	switch x := n.(type) {
	case *plan.Scan:
		m := *x
		m.Cols, m.Ords, m.Out = nil, nil, nil
		used := colset{}
		for _, f := range x.Filter {
			addUsed(f, used)
		}
		for i, c := range x.Cols {
			if need[c.ID] || used[c.ID] {
				if need[c.ID] {
					m.Out = append(m.Out, len(m.Cols))
				}
				m.Cols = append(m.Cols, c)
				m.Ords = append(m.Ords, x.Ords[i])
			}
		}
		if len(m.Out) == len(m.Cols) {
			m.Out = nil
		} else if m.Out == nil {
			m.Out = []int{}
		}
		return &m
	case *plan.Values:
		m := *x
		m.Cols, m.Rows = nil, make([][]expr.Expr, len(x.Rows))
		for i := range m.Rows {
			m.Rows[i] = []expr.Expr{}
		}
		for k, c := range x.Cols {
			keep := need[c.ID]
			for _, r := range x.Rows {
				keep = keep || expr.Volatility(r[k]) == fn.Volatile || expr.MayFail(r[k])
			}
			if keep {
				m.Cols = append(m.Cols, c)
				for i, r := range x.Rows {
					m.Rows[i] = append(m.Rows[i], r[k])
				}
			}
		}
		return &m
	case *plan.CTERef:
		if refs[x.ID] == nil {
			refs[x.ID] = colset{}
		}
		for i, c := range x.Cols {
			if need[c.ID] {
				refs[x.ID][i] = true
			}
		}
		return n
	case *plan.Filter:
		m := *x
		m.Input = prune(x.Input, below(x.Pred), refs, defs)
		return &m
	case *plan.Project:
		m := *x
		m.Exprs = nil
		s := colset{}
		for _, p := range x.Exprs {
			if need[p.Col.ID] || expr.Volatility(p.Expr) == fn.Volatile {
				m.Exprs = append(m.Exprs, p)
				addUsed(p.Expr, s)
			}
		}
		m.Input = prune(x.Input, s, refs, defs)
		if onlyPasses(&m) && len(m.Exprs) == len(m.Input.Columns()) {
			// It may still fix an order of columns, which only matters to readers by position.
			same := true
			for i, c := range m.Input.Columns() {
				same = same && m.Exprs[i].Col.ID == c.ID
			}
			if same {
				return m.Input
			}
		}
		return &m
	case *plan.ProjectSet:
		var es []expr.Expr
		for _, call := range x.Calls {
			es = append(es, call.Call)
		}
		m := *x
		m.Input = prune(x.Input, below(es...), refs, defs)
		return &m
	case *plan.Join:
		es := []expr.Expr{x.On, x.Resid}
		for _, k := range x.Keys {
			es = append(es, k.L, k.R)
		}
		s := below(es...)
		m := *x
		m.L = prune(x.L, s, refs, defs)
		m.R = prune(x.R, s, refs, defs)
		return &m
	case *plan.Aggregate:
		m := *x
		m.Aggs = nil
		s := colset{}
		for _, a := range x.Aggs {
			if !need[a.Col.ID] {
				continue
			}
			m.Aggs = append(m.Aggs, a)
			for _, e := range append(append([]expr.Expr{a.Filter}, a.Args...), a.Direct...) {
				if e != nil {
					addUsed(e, s)
				}
			}
			for _, k := range a.Order {
				addUsed(k.Expr, s)
			}
		}
		for _, g := range x.Groups {
			addUsed(g.Expr, s)
		}
		m.Input = prune(x.Input, s, refs, defs)
		return &m
	case *plan.Sort:
		var es []expr.Expr
		for _, k := range x.Keys {
			es = append(es, k.Expr)
		}
		m := *x
		m.Input = prune(x.Input, below(es...), refs, defs)
		return &m
	case *plan.Limit:
		es := []expr.Expr{x.Count, x.Offset}
		for _, k := range x.Ties {
			es = append(es, k.Expr)
		}
		m := *x
		m.Input = prune(x.Input, below(es...), refs, defs)
		return &m
	case *plan.Window:
		m := *x
		m.Funcs = nil
		es := append([]expr.Expr(nil), x.Partition...)
		for _, k := range x.Order {
			es = append(es, k.Expr)
		}
		for _, f := range x.Funcs {
			if !need[f.Col.ID] {
				continue
			}
			m.Funcs = append(m.Funcs, f)
			es = append(append(es, f.Args...), f.Filter, f.Frame.Start.Offset, f.Frame.End.Offset)
		}
		if len(m.Funcs) == 0 {
			return prune(x.Input, need, refs, defs)
		}
		m.Input = prune(x.Input, below(es...), refs, defs)
		return &m
	case *plan.With:
		m := *x
		m.Body = prune(x.Body, need, refs, defs)
		s := colset{}
		cols := x.Def.Columns()
		for i := range refs[x.ID] {
			s[cols[i].ID] = true
		}
		// Readers take columns by position: the definition keeps its own columns, and
		// passes nulls' worth of work only for those in use.
		m.Def = pruneKeeping(x.Def, s, refs, defs)
		m.Body = remap(m.Body, x.ID, cols, m.Def.Columns())
		return &m
	}
	// Readers by position and nodes that compare whole rows keep all their input.
	cs := n.Children()
	if len(cs) == 0 {
		return n
	}
	out := make([]plan.Node, len(cs))
	for i, c := range cs {
		s := colset{}
		for _, col := range c.Columns() {
			s[col.ID] = true
		}
		out[i] = prune(c, s, refs, defs)
	}
	return n.WithChildren(out)
}

// pruneKeeping prunes a CTE's definition to the columns of need, in order.
func pruneKeeping(def plan.Node, need colset, refs map[int]colset, defs map[int][]plan.Column) plan.Node {
	var ps []plan.Projection
	for _, c := range def.Columns() {
		if need[c.ID] {
			ps = append(ps, plan.Projection{Col: c, Expr: c.Ref()})
		}
	}
	return prune(&plan.Project{Input: def, Exprs: ps}, need, refs, defs)
}

// remap drops from the references to a CTE the columns that its definition lost.
func remap(n plan.Node, id int, old, now []plan.Column) plan.Node {
	n, _ = rewrite(n, func(n plan.Node) (plan.Node, error) {
		r, ok := n.(*plan.CTERef)
		if !ok || r.ID != id {
			return n, nil
		}
		at := map[int]int{}
		for i, c := range old {
			at[c.ID] = i
		}
		m := *r
		m.Cols = nil
		for _, c := range now {
			m.Cols = append(m.Cols, r.Cols[at[c.ID]])
		}
		return &m, nil
	})
	return n
}
