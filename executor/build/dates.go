package build

import (
	"math"
	"strings"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
)

// dateBounds rewrites comparisons of a date column with a timestamp constant, which
// "date '1998-12-01' - interval '90 days'" is, to comparisons with a date: those the
// reader applies, and zone maps prune by. d < 2020-01-02 00:00 is d < 2020-01-02, but
// d < 2020-01-02 12:00 is d <= 2020-01-02.
func dateBounds(e expr.Expr) expr.Expr {
	return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
		c, ok := e.(*expr.Call)
		if !ok || len(c.Args) != 2 {
			return e
		}
		var op string
		var col *expr.Column
		var k *expr.Const
		if name, ok := strings.CutPrefix(c.Fn.Name, "date_"); ok && strings.HasSuffix(name, "_timestamp") {
			op = strings.TrimSuffix(name, "_timestamp")
			col, _ = c.Args[0].(*expr.Column)
			k, _ = c.Args[1].(*expr.Const)
		} else if name, ok := strings.CutPrefix(c.Fn.Name, "timestamp_"); ok && strings.HasSuffix(name, "_date") {
			op = map[string]string{"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq"}[strings.TrimSuffix(name, "_date")]
			col, _ = c.Args[1].(*expr.Column)
			k, _ = c.Args[0].(*expr.Const)
		}
		if col == nil || k == nil || !k.D.Valid || col.T.OID != types.DateOID || k.T.OID != types.TimestampOID {
			return e
		}
		ts := k.D.I
		if ts == math.MaxInt64 || ts == math.MinInt64 {
			return e
		}
		day := ts / types.MicrosPerDay
		if ts%types.MicrosPerDay < 0 {
			day--
		}
		whole := day*types.MicrosPerDay == ts
		if day <= math.MinInt32 || day >= math.MaxInt32 {
			return e
		}
		var sym string
		switch {
		case op == "lt" && whole:
			sym = "<"
		case op == "lt", op == "le":
			sym = "<="
		case op == "ge" && whole:
			sym = ">="
		case op == "ge", op == "gt":
			sym = ">"
		case op == "eq" && whole:
			sym = "="
		default:
			return e
		}
		for _, o := range fn.Operators(sym) {
			if o.Left == types.DateOID && o.Right == types.DateOID {
				return &expr.Call{Fn: o.Func, Args: []expr.Expr{col, &expr.Const{T: types.Date, D: types.NewInt(day)}}, T: types.Bool, Pos: c.Pos, Op: sym}
			}
		}
		return e
	})
}
