package pass

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// keyLookups marks the scans whose filter gives every column of the primary key one
// value: they look for a row instead of reading blocks.
//
// It would be wrong where values are equal that differ as keys (bpchar, numeric,
// interval, floats): those types are left alone. Integers of any width are compared
// by value, and the executor sees to it that a value beyond the key's type finds
// nothing. A binlog has many rows of a key, and the hidden number of a row's shard is
// known to scans only.
func keyLookups(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		s, ok := n.(*plan.Scan)
		if !ok || s.Table.Kind != catalog.KindTable || s.Table.IsBinlog || slices.Contains(s.Ords, catalog.ColShard) || len(s.Table.PK) == 0 || len(s.Filter) == 0 || s.Limit == 0 {
			return n, nil
		}
		key := make([]expr.Expr, len(s.Table.PK))
		found := 0
		for _, f := range s.Filter {
			for _, f := range expr.Conjuncts(f) {
				id, e := equated(f)
				if e == nil {
					continue
				}
				for k, o := range s.Table.PK {
					if key[k] == nil && ordinalOf(s, id) == o && keyed(s.Table.Columns[o].T, e.Type()) {
						key[k] = e
						found++
						break
					}
				}
			}
		}
		if found < len(key) {
			return n, nil
		}
		m := *s
		m.Key, m.Runtime = key, nil
		return &m, nil
	})
}

// equated takes a condition column = value apart; nil when it is not one whose value
// is there before the scan starts.
func equated(e expr.Expr) (int, expr.Expr) {
	call, ok := e.(*expr.Call)
	if !ok || call.Op != "=" || len(call.Args) != 2 {
		return 0, nil
	}
	for i, a := range call.Args {
		if col, ok := a.(*expr.Column); ok && given(call.Args[1-i]) {
			return col.ID, call.Args[1-i]
		}
	}
	return 0, nil
}

// given says whether a value needs no row and stays the same while a statement runs.
func given(e expr.Expr) bool {
	ok := expr.Volatility(e) != fn.Volatile
	expr.Walk(e, func(e expr.Expr) bool {
		switch x := e.(type) {
		case *expr.Const, *expr.Param, *expr.Cast, *expr.Coalesce, *expr.Case:
		case *expr.Call:
			ok = ok && !x.Fn.RetSet && x.Fn.Kind == fn.Scalar
		default:
			ok = false
		}
		return ok
	})
	return ok
}

// keyed says whether values of type v find keys of type k.
func keyed(k, v types.T) bool {
	switch k.OID {
	case types.Int2OID, types.Int4OID, types.Int8OID:
		return v.OID == types.Int2OID || v.OID == types.Int4OID || v.OID == types.Int8OID
	case types.TextOID, types.VarcharOID:
		return v.OID == types.TextOID || v.OID == types.VarcharOID
	case types.BoolOID, types.OidOID, types.UUIDOID, types.DateOID, types.TimestampOID, types.TimestamptzOID, types.ByteaOID:
		return v.OID == k.OID
	}
	return false
}

// ordinalOf is the ordinal of a scan's column by id, one that no table has for others.
func ordinalOf(s *plan.Scan, id int) int {
	for i, c := range s.Cols {
		if c.ID == id {
			return s.Ords[i]
		}
	}
	return -1 << 30
}
