package cache

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/plan"
)

// exprBytes estimates the memory of a node's expressions.
func exprBytes(n plan.Node) int {
	b := 0
	plan.MapExprs(n, func(e expr.Expr) expr.Expr {
		expr.Walk(e, func(e expr.Expr) bool {
			b += 120
			if c, ok := e.(*expr.Const); ok {
				b += len(c.D.S)
			}
			return true
		})
		return e
	})
	return b
}
