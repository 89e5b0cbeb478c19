package cost

import (
	"maps"
	"math"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// setRows is what a set-returning call yields for a row when nothing is known.
const setRows = 10

// projectSet estimates calls of set-returning functions: the longest says how many rows
// there are.
func (e *Estimator) projectSet(x *plan.ProjectSet) *Props {
	in := e.Of(x.Input)
	out := &Props{Distinct: maps.Clone(in.Distinct), Range: maps.Clone(in.Range)}
	if out.Distinct == nil {
		out.Distinct = map[int]float64{}
	}
	if out.Range == nil {
		out.Range = map[int][2]float64{}
	}
	per := 1.0
	for _, c := range x.Calls {
		n, bounds, ok := setOf(c.Call)
		per = math.Max(per, n)
		if ok && len(c.Cols) == 1 {
			id := c.Cols[0].ID
			out.Distinct[id] = math.Max(n, 1)
			out.Range[id] = bounds
		}
	}
	out.Rows = in.Rows * per
	return out
}

// setOf is how many rows a call yields and, if known is true, between which bounds its
// values, all different, are.
func setOf(e expr.Expr) (rows float64, bounds [2]float64, known bool) {
	c, ok := e.(*expr.Call)
	if !ok {
		return setRows, bounds, false
	}
	switch {
	case c.Fn.Name == "generate_series" && len(c.Args) >= 2:
		return series(c.Args)
	case c.Fn.Name == "unnest" && len(c.Args) == 1:
		if n, ok := arrayLen(c.Args[0]); ok {
			return n, bounds, false
		}
	}
	return setRows, bounds, false
}

// series estimates generate_series over constants.
func series(args []expr.Expr) (rows float64, bounds [2]float64, known bool) {
	var d [3]types.Datum
	var t types.T
	for i, a := range args[:min(len(args), 3)] {
		k, ok := a.(*expr.Const)
		if !ok {
			return setRows, bounds, false
		}
		if !k.D.Valid {
			return 0, bounds, false
		}
		if d[i] = k.D; i == 0 {
			t = k.T
		}
	}
	step := 1.0
	switch t.OID {
	case types.Int4OID, types.Int8OID:
		if len(args) > 2 {
			step = float64(d[2].I)
		}
	case types.TimestampOID, types.TimestamptzOID:
		if len(args) < 3 || !types.ValidTimestamp(d[0].I) || !types.ValidTimestamp(d[1].I) {
			return setRows, bounds, false
		}
		months, days, us := d[2].Fixed16().IntervalParts()
		step = (float64(months)*30+float64(days))*float64(types.MicrosPerDay) + float64(us)
	default:
		return setRows, bounds, false
	}
	if step == 0 {
		return setRows, bounds, false
	}
	first, last := float64(d[0].I), float64(d[1].I)
	n := math.Floor((last-first)/step) + 1
	if n < 1 {
		return 0, bounds, false
	}
	end := first + (n-1)*step
	return n, [2]float64{math.Min(first, end), math.Max(first, end)}, true
}

// arrayLen is the number of elements of an array that is there to be counted.
func arrayLen(e expr.Expr) (float64, bool) {
	switch x := e.(type) {
	case *expr.Const:
		if !x.D.Valid {
			return 0, true
		}
		return float64(types.Array(x.D.S).Len()), true
	case *expr.Array:
		if !x.Multi {
			return float64(len(x.Elems)), true
		}
		sum := 0.0
		for _, m := range x.Elems {
			n, ok := arrayLen(m)
			if !ok {
				return 0, false
			}
			sum += n
		}
		return sum, true
	case *expr.Cast:
		if types.IsArray(x.Arg.Type().OID) {
			return arrayLen(x.Arg)
		}
	}
	return 0, false
}
