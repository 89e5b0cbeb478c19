package pass

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/cost"
	"github.com/millrace/millrace/planner/plan"
)

// A row of a row tablet costs as much to read as some hundred of a column tablet.
const (
	rowRangeRows  = 1000
	rowRangeShare = 500
)

// rowRangeAlone is how many rows a range of a table of rows alone has at most.
const rowRangeAlone = 1 << 16

// rowRanges marks scans whose filter leaves a narrow range of the row tablet's key: equal
// values of leading columns, or a range behind them. Hybrid tables then read that tablet.
//
// It would be wrong for nothing but speed: both tablets have the same rows.
func rowRanges(c *Context, n plan.Node) (plan.Node, error) {
	est := &cost.Estimator{Stats: c.Stats, Sample: c.Sample}
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		s, ok := n.(*plan.Scan)
		if !ok || s.Key != nil || s.KeyIn != nil || s.Table.Kind != catalog.KindTable || !s.Table.StoresRows() || len(s.Filter) == 0 {
			return n, nil
		}
		k := *s
		k.Filter = keyConjuncts(s)
		if len(k.Filter) == 0 || c.Stats == nil {
			return n, nil
		}
		most := float64(rowRangeAlone)
		if s.Table.StoresColumns() {
			most = rowRangeRows + float64(c.Stats(s.Table).Rows)/rowRangeShare
		}
		if est.Of(&k).Rows > most {
			return n, nil
		}
		m := *s
		m.ByRow = true
		return &m, nil
	})
}

// keyConjuncts are the conditions of a scan that narrow the range of its row key.
func keyConjuncts(s *plan.Scan) (out []expr.Expr) {
	var all []expr.Expr
	for _, f := range s.Filter {
		all = append(all, expr.Conjuncts(f)...)
	}
	for _, k := range s.Table.RowKey() {
		equal := false
		for _, f := range all {
			id, op := comparedTo(f)
			if op == "" || ordinalOf(s, id) != k.Ordinal {
				continue
			}
			out = append(out, f)
			equal = equal || op == "="
		}
		if !equal {
			break
		}
	}
	return out
}

// comparedTo takes a comparison of a column with a value apart that is there before
// the scan starts; op is "" when it is none.
func comparedTo(e expr.Expr) (id int, op string) {
	call, ok := e.(*expr.Call)
	if !ok || len(call.Args) != 2 {
		return 0, ""
	}
	switch call.Op {
	case "=", "<", "<=", ">", ">=":
	default:
		return 0, ""
	}
	for i, a := range call.Args {
		if col, ok := a.(*expr.Column); ok && given(call.Args[1-i]) {
			return col.ID, call.Op
		}
	}
	return 0, ""
}
