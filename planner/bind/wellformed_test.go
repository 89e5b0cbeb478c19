package bind

import (
	"fmt"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/plan"
)

// wellFormed checks that every column a plan's expressions use is produced below,
// or by an enclosing query, and that no two columns of a node share an id.
func wellFormed(n plan.Node) error { return form(n, map[int]bool{}) }

func form(n plan.Node, outer map[int]bool) error {
	in := map[int]bool{}
	for id := range outer {
		in[id] = true
	}
	cs := n.Children()
	for i, c := range cs {
		env := outer
		if j, ok := n.(*plan.Join); ok && j.Lateral && i == 1 {
			env = in
		}
		if err := form(c, env); err != nil {
			return err
		}
		seen := map[int]bool{}
		for _, col := range c.Columns() {
			if seen[col.ID] {
				return fmt.Errorf("%T has column %s#%d twice", c, col.Name, col.ID)
			}
			seen[col.ID] = true
			in[col.ID] = true
		}
	}
	// Columns that a node makes for its own expressions.
	switch x := n.(type) {
	case *plan.Scan:
		for _, c := range x.Cols {
			in[c.ID] = true
		}
	case *plan.Insert:
		for _, c := range x.Row {
			in[c.ID] = true
		}
		if x.Conflict != nil {
			for _, c := range x.Conflict.Old {
				in[c.ID] = true
			}
		}
	case *plan.Update:
		for _, c := range x.Row {
			in[c.ID] = true
		}
	}
	var bad error
	plan.MapExprs(n, func(e expr.Expr) expr.Expr {
		expr.Walk(e, func(e expr.Expr) bool {
			switch x := e.(type) {
			case *expr.Column:
				if !in[x.ID] && bad == nil {
					bad = fmt.Errorf("%T uses column %s#%d, which is not there", n, x.Name, x.ID)
				}
			case *plan.Subquery:
				if err := form(x.Plan, in); err != nil && bad == nil {
					bad = err
				}
			}
			return true
		})
		return e
	})
	return bad
}
