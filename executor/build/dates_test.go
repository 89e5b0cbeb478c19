package build

import (
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
)

func TestDateBounds(t *testing.T) {
	day := int64(types.MicrosPerDay)
	for _, c := range []struct {
		fn   string
		ts   int64
		op   string
		days int64
	}{
		{"date_lt_timestamp", 2 * day, "<", 2}, {"date_lt_timestamp", 2*day + 1, "<=", 2}, {"date_lt_timestamp", -1, "<=", -1},
		{"date_le_timestamp", 2 * day, "<=", 2}, {"date_le_timestamp", 2*day + 1, "<=", 2},
		{"date_gt_timestamp", 2 * day, ">", 2}, {"date_gt_timestamp", 2*day + 1, ">", 2},
		{"date_ge_timestamp", 2 * day, ">=", 2}, {"date_ge_timestamp", 2*day + 1, ">", 2},
		{"date_eq_timestamp", 2 * day, "=", 2}, {"date_eq_timestamp", 2*day + 1, "", 0}, {"date_ne_timestamp", 2 * day, "", 0},
		{"timestamp_lt_date", 2 * day, ">", 2}, {"timestamp_ge_date", 2*day + 5, "<=", 2},
		{"date_lt_timestamp", types.TimestampInfinity, "", 0},
	} {
		f := fn.ByName(c.fn)[0]
		args := []expr.Expr{&expr.Column{ID: 1, T: types.Date}, &expr.Const{T: types.Timestamp, D: types.NewInt(c.ts)}}
		if c.fn[0] == 't' {
			args[0], args[1] = args[1], args[0]
		}
		in := &expr.Call{Fn: f, Args: args, T: types.Bool}
		out := dateBounds(in).(*expr.Call)
		if c.op == "" {
			if out != in {
				t.Errorf("%s %d was rewritten", c.fn, c.ts)
			}
			continue
		}
		if out.Op != c.op || out.Args[1].(*expr.Const).D.I != c.days {
			t.Errorf("%s %d: %s %v", c.fn, c.ts, out.Op, out.Args[1])
		}
	}
}
