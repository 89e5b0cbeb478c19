package eval

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
)

// A comparison of a column with a constant of another type is rewritten to one
// within the column's type where that means the same: a date with a timestamp
// (which date ± interval makes), a smaller integer with a larger. Then the loop is
// a plain one, and storage can prune by it.

// crossCompare is a comparison between two types.
type crossCompare struct {
	left, right uint32
	op          int // index of ops
}

var crossCompares = func() map[uint32]crossCompare {
	m := map[uint32]crossCompare{}
	for _, f := range []struct {
		pre, post   string
		left, right uint32
	}{
		{"date_", "_timestamp", types.DateOID, types.TimestampOID}, {"timestamp_", "_date", types.TimestampOID, types.DateOID},
		{"int24", "", types.Int2OID, types.Int4OID}, {"int42", "", types.Int4OID, types.Int2OID},
		{"int28", "", types.Int2OID, types.Int8OID}, {"int82", "", types.Int8OID, types.Int2OID},
		{"int48", "", types.Int4OID, types.Int8OID}, {"int84", "", types.Int8OID, types.Int4OID},
	} {
		for i, op := range opNames {
			m[lookup(f.pre+op+f.post).OID] = crossCompare{f.left, f.right, i}
		}
	}
	return m
}()

// sameCompare are the comparisons within a type.
var sameCompare = func() map[uint32][6]*fn.Func {
	m := map[uint32][6]*fn.Func{}
	for oid, pre := range map[uint32]string{types.DateOID: "date_", types.Int2OID: "int2", types.Int4OID: "int4", types.Int8OID: "int8"} {
		var fs [6]*fn.Func
		for i, op := range opNames {
			fs[i] = lookup(pre + op)
		}
		m[oid] = fs
	}
	return m
}()

// narrowCompare gives the function and constant of the rewritten comparison of a
// value of the other side's type (on the left) with a constant, which is argument
// k. ok is false when there is none.
func narrowCompare(f *fn.Func, k int, d types.Datum) (to *fn.Func, t types.T, c types.Datum, ok bool) {
	x, is := crossCompares[f.OID]
	if !is || !d.Valid {
		return nil, t, d, false
	}
	other, mine, op := x.left, x.right, x.op
	if k == 0 {
		// The constant is on the left: turn the comparison around.
		other, mine, op = x.right, x.left, [...]int{0, 1, 4, 5, 2, 3}[op]
	}
	t = types.Of(other, -1)
	if mine == types.TimestampOID && other == types.DateOID {
		day := int64(timestampToDate(d.I))
		exact := infiniteTime(d.I) || day*usecPerDay == d.I
		if !exact {
			switch opNames[op] {
			case "lt":
				op = 3 // before a moment within the day: on that day or before
			case "ge":
				op = 4
			case "eq", "ne":
				return nil, t, d, false
			}
		}
		return sameCompare[other][op], t, types.NewInt(day), true
	}
	switch other {
	case types.Int2OID:
		ok = d.I == int64(int16(d.I))
	case types.Int4OID:
		ok = d.I == int64(int32(d.I))
	case types.Int8OID:
		ok = true
	}
	if !ok {
		return nil, t, d, false
	}
	return sameCompare[other][op], t, d, true
}

// narrowCall is narrowCompare for an expression.
func narrowCall(x *expr.Call) expr.Expr {
	if len(x.Args) != 2 {
		return x
	}
	for k, a := range x.Args {
		c, ok := a.(*expr.Const)
		if !ok {
			continue
		}
		if f, t, d, ok := narrowCompare(x.Fn, k, c.D); ok {
			return &expr.Call{Fn: f, Args: []expr.Expr{x.Args[1-k], &expr.Const{T: t, D: d}}, T: x.T, Pos: x.Pos, Op: operatorName(f)}
		}
	}
	return x
}

func operatorName(f *fn.Func) string {
	for i, name := range [...]string{"=", "<>", "<", "<=", ">", ">="} {
		for _, fs := range sameCompare {
			if fs[i] == f {
				return name
			}
		}
	}
	return ""
}
