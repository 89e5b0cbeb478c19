package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/planner/plan"
)

// splitDistinct makes count(DISTINCT x) GROUP BY g a count(x) over GROUP BY g, x:
// the inner grouping runs on all workers and by partition, where an aggregate that
// keeps each group's values has them merged by one. It would be wrong with other
// aggregates beside it, which want all rows, and with grouping sets, whose nulls
// the inner grouping could not tell from those of x.
func splitDistinct(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		a, ok := n.(*plan.Aggregate)
		if !ok || a.Sets != nil || len(a.Grouping) > 0 || len(a.Aggs) == 0 || !overOneSet(a.Aggs) {
			return n, nil
		}
		inner := &plan.Aggregate{Input: a.Input}
		outer := *a
		outer.Input = inner
		outer.Groups, outer.Aggs = nil, nil
		group := func(e expr.Expr, like plan.Column) *expr.Column {
			col := c.Fresh(like)
			inner.Groups = append(inner.Groups, plan.Projection{Col: col, Expr: e})
			return col.Ref()
		}
		for _, g := range a.Groups {
			outer.Groups = append(outer.Groups, plan.Projection{Col: g.Col, Expr: group(g.Expr, g.Col)})
		}
		arg := a.Aggs[0].Args[0]
		value := group(arg, plan.Column{Name: a.Aggs[0].Col.Name, T: arg.Type()})
		for _, g := range a.Aggs {
			g.Distinct, g.Args = false, []expr.Expr{value}
			outer.Aggs = append(outer.Aggs, g)
		}
		return &outer, nil
	})
}

// overOneSet says whether all aggregates are over the distinct values of the same
// expression, in any order.
func overOneSet(aggs []plan.Agg) bool {
	for _, a := range aggs {
		if !a.Distinct || a.Filter != nil || len(a.Order) > 0 || len(a.Direct) > 0 || len(a.Args) != 1 {
			return false
		}
		switch a.Fn.Name {
		case "count", "sum", "avg", "min", "max":
		default:
			return false
		}
		if expr.Volatility(a.Args[0]) == fn.Volatile || !expr.Equal(a.Args[0], aggs[0].Args[0]) {
			return false
		}
	}
	return true
}
