package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/cost"
	"github.com/millrace/millrace/planner/plan"
)

// runtimeFilters lets the build side of a hash join narrow a scan on its probe
// side: rows whose key the build side does not have are dropped early. Only kinds
// that drop left rows without a match qualify: inner and semi, and right joins,
// whose unmatched left rows vanish too. The way down may pass what neither makes
// rows from nothing nor lets a row's fate depend on others: not limits, aggregates
// over other columns or windows.
func runtimeFilters(c *Context, n plan.Node) (plan.Node, error) {
	est := &cost.Estimator{Stats: c.Stats, Sample: c.Sample}
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		j, ok := n.(*plan.Join)
		if !ok || len(j.Keys) == 0 || j.Kind != plan.Inner && j.Kind != plan.Semi && j.Kind != plan.Right {
			return n, nil
		}
		if est.Of(j.R).Rows > est.Of(j.L).Rows {
			return n, nil
		}
		m := *j
		for i, k := range j.Keys {
			col, ok := k.L.(*expr.Column)
			if !ok || k.NullEqual || !k.R.Type().Same(col.T) {
				continue
			}
			m.L = narrowScan(m.L, plan.RuntimeFilter{Join: j.ID, Key: i, Col: col.ID})
		}
		return &m, nil
	})
}

func narrowScan(n plan.Node, f plan.RuntimeFilter) plan.Node {
	switch x := n.(type) {
	case *plan.Scan:
		for _, c := range x.Cols {
			if c.ID == f.Col {
				m := *x
				m.Runtime = append(append([]plan.RuntimeFilter(nil), x.Runtime...), f)
				return &m
			}
		}
	case *plan.Filter:
		m := *x
		m.Input = narrowScan(x.Input, f)
		return &m
	case *plan.Project:
		for _, p := range x.Exprs {
			if p.Col.ID != f.Col {
				continue
			}
			if col, ok := p.Expr.(*expr.Column); ok {
				f.Col = col.ID
				m := *x
				m.Input = narrowScan(x.Input, f)
				return &m
			}
		}
	case *plan.Aggregate:
		if x.Sets != nil {
			return n
		}
		for _, g := range x.Groups {
			if g.Col.ID != f.Col {
				continue
			}
			if col, ok := g.Expr.(*expr.Column); ok {
				f.Col = col.ID
				m := *x
				m.Input = narrowScan(x.Input, f)
				return &m
			}
		}
	case *plan.Join:
		m := *x
		if outputs(x.L)[f.Col] && (x.Kind != plan.Right && x.Kind != plan.Full) {
			m.L = narrowScan(x.L, f)
			return &m
		}
		if outputs(x.R)[f.Col] && (x.Kind == plan.Inner || x.Kind == plan.Right) {
			m.R = narrowScan(x.R, f)
			return &m
		}
	}
	return n
}
