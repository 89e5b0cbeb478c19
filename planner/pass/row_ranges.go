package pass

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
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
		if !ok || s.Key != nil || s.KeyIn != nil || s.Table.Kind != catalog.KindTable || !s.Table.StoresRows() || c.Stats == nil {
			return n, nil
		}
		if !s.Table.StoresColumns() {
			m := *s
			m.Stored = c.Stats(s.Table).Rows
			s = &m
		}
		if len(s.Filter) == 0 {
			return s, nil
		}
		if more := impliedBounds(s); more != nil {
			m := *s
			m.Filter = append(slices.Clip(s.Filter), more...)
			s, n = &m, &m
		}
		k := *s
		k.Filter = keyConjuncts(s)
		if len(k.Filter) == 0 {
			return s, nil
		}
		most := float64(rowRangeAlone)
		if s.Table.StoresColumns() {
			most = rowRangeRows + float64(c.Stats(s.Table).Rows)/rowRangeShare
		}
		if est.Of(&k).Rows > most {
			return s, nil
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

// impliedBounds are bounds that ORs set to columns of the row key, as those that rows are
// compared by are: (a, b) > (x, y) is a > x OR a = x AND b > y, and implies a >= x.
func impliedBounds(s *plan.Scan) (out []expr.Expr) {
	for _, f := range s.Filter {
		for _, f := range expr.Conjuncts(f) {
			or, ok := f.(*expr.Or)
			if !ok || len(or.Args) > impliedArms {
				continue
			}
			for _, k := range s.Table.RowKey() {
				if b := impliedBound(s, or, k.Ordinal); b != nil {
					out = append(out, b)
				}
			}
		}
	}
	return out
}

// impliedArms is how many arms an OR has at most whose bounds are looked for.
const impliedArms = 8

// impliedBound is the bound of a column that is in all arms of an OR with one value, nil
// for none. It would be wrong with arms that bound it on the other side.
func impliedBound(s *plan.Scan, or *expr.Or, ordinal int) expr.Expr {
	var value expr.Expr
	var col *expr.Column
	side := ""
	for _, arm := range or.Args {
		found := false
		for _, f := range expr.Conjuncts(arm) {
			call, ok := f.(*expr.Call)
			if id, op := comparedTo(f); !ok || op == "" || ordinalOf(s, id) != ordinal {
				continue
			}
			c, left := call.Args[0].(*expr.Column)
			if !left || value != nil && !expr.Equal(value, call.Args[1]) {
				continue
			}
			to := call.Op[:1]
			if to != "=" && side != "" && to != side {
				return nil
			}
			if to != "=" {
				side = to
			}
			value, col, found = call.Args[1], c, true
			break
		}
		if !found {
			return nil
		}
	}
	if side == "" {
		return nil
	}
	for _, o := range fn.Operators(side + "=") {
		if o.Left == col.T.OID && o.Right == value.Type().OID && o.Func != nil {
			return &expr.Call{Fn: o.Func, Args: []expr.Expr{col, value}, T: types.Bool, Pos: -1, Op: side + "="}
		}
	}
	return nil
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
