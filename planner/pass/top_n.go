package pass

import (
	"math"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/plan"
)

// topN tells a sort below a constant LIMIT how many rows are wanted, and a scan
// below one how many it need yield. WITH TIES needs all of the sort's rows.
func topN(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		l, ok := n.(*plan.Limit)
		if !ok || l.WithTies {
			return n, nil
		}
		k, ok := constInt(l.Count)
		off, ok2 := constInt(l.Offset)
		if l.Offset == nil {
			off, ok2 = 0, true
		}
		if !ok || !ok2 || k < 0 || off < 0 || k > math.MaxInt64-off {
			return n, nil
		}
		m := *l
		m.Input = limitBelow(l.Input, k+off)
		return &m, nil
	})
}

func constInt(e expr.Expr) (int64, bool) {
	c, ok := e.(*expr.Const)
	if !ok || !c.D.Valid {
		return 0, false
	}
	return c.D.I, true
}

func limitBelow(n plan.Node, rows int64) plan.Node {
	switch x := n.(type) {
	case *plan.Project:
		for _, p := range x.Exprs {
			if !movable(p.Expr) {
				return n // a row beyond the limit may still raise, as in PostgreSQL it would not: leave it
			}
		}
		m := *x
		m.Input = limitBelow(x.Input, rows)
		return &m
	case *plan.Sort:
		m := *x
		if m.Limit < 0 || m.Limit > rows {
			m.Limit = rows
		}
		return &m
	case *plan.Scan:
		m := *x
		if m.Limit < 0 || m.Limit > rows {
			m.Limit = rows
		}
		return &m
	}
	return n
}
