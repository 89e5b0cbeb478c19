package pass

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// keyLookupMax is how many combinations of values are looked for at most, as far as
// the statement says.
const keyLookupMax = 2048

// keyLookups marks the scans whose filter gives every column of the primary key, or of
// a UNIQUE key besides it, one value: they look for a row instead of reading blocks.
// Where rows are stored by row, columns may also be asked to be one of several values.
//
// It would be wrong where values are equal that differ as keys (bpchar, numeric,
// interval, floats): those types are left alone. Integers of any width are compared
// by value, and the executor sees to it that a value beyond the key's type finds
// nothing; so it does for NULLs, which a UNIQUE key has no entry for. A binlog has many
// rows of a key, and the hidden number of a row's shard is known to scans only.
func keyLookups(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		s, ok := n.(*plan.Scan)
		if !ok || s.Table.Kind != catalog.KindTable || s.Table.IsBinlog || slices.Contains(s.Ords, catalog.ColShard) || len(s.Table.PK) == 0 || len(s.Filter) == 0 || s.Limit == 0 {
			return n, nil
		}
		var conj []expr.Expr
		for _, f := range s.Filter {
			conj = append(conj, expr.Conjuncts(f)...)
		}
		if key := lookedUp(s, conj, s.Table.PK); key != nil {
			m := *s
			m.Key, m.Runtime = key, nil
			return &m, nil
		}
		for i := range s.Table.Unique {
			k := &s.Table.Unique[i]
			if key := lookedUp(s, conj, s.Table.Ordinals(k)); key != nil {
				m := *s
				m.Key, m.Unique, m.Runtime = key, k, nil
				return &m, nil
			}
		}
		if !s.Table.StoresRows() {
			return n, nil // blocks are pruned, and many keys cost as much as a scan
		}
		if in := lookedUpIn(s, conj, s.Table.PK); in != nil {
			m := *s
			m.KeyIn, m.Runtime = in, nil
			return &m, nil
		}
		for i := range s.Table.Unique {
			k := &s.Table.Unique[i]
			if in := lookedUpIn(s, conj, s.Table.Ordinals(k)); in != nil {
				m := *s
				m.KeyIn, m.Unique, m.Runtime = in, k, nil
				return &m, nil
			}
		}
		return n, nil
	})
}

// lookedUp is what a scan's conditions ask the columns of a key to equal; nil where not
// all of them.
func lookedUp(s *plan.Scan, conj []expr.Expr, key []int) []expr.Expr {
	out := make([]expr.Expr, len(key))
	for k, o := range key {
		for _, f := range conj {
			id, e := equated(f)
			if e != nil && ordinalOf(s, id) == o && keyed(s.Table.Columns[o].T, e.Type()) {
				out[k] = e
				break
			}
		}
		if out[k] == nil {
			return nil
		}
	}
	return out
}

// lookedUpIn is what a scan's conditions let the columns of a key be, where each has
// some values and they have not too many combinations.
func lookedUpIn(s *plan.Scan, conj []expr.Expr, key []int) []plan.KeyValues {
	out := make([]plan.KeyValues, len(key))
	all, arrays := 1, 0
	for k, o := range key {
		t := s.Table.Columns[o].T
		best := 0
		for _, f := range conj {
			if id, e := equated(f); e != nil && ordinalOf(s, id) == o && keyed(t, e.Type()) {
				out[k], best = plan.KeyValues{List: []expr.Expr{e}}, 1
				break
			}
			id, v := amongst(f)
			if v.List == nil && v.Array == nil || ordinalOf(s, id) != o || best != 0 {
				continue
			}
			if v.Array != nil {
				if !keyed(t, types.ElemType(types.ElemOf(v.Array.Type().OID))) {
					continue
				}
				out[k], best = v, 1
				continue
			}
			if !slices.ContainsFunc(v.List, func(e expr.Expr) bool { return !keyed(t, e.Type()) }) {
				out[k], best = v, len(v.List)
			}
		}
		if best == 0 {
			return nil
		}
		if out[k].Array != nil {
			arrays++
		}
		if all *= best; all > keyLookupMax || arrays > 1 {
			return nil
		}
	}
	if arrays > 0 && all > 1 {
		return nil // how many combinations there are is known only when it runs
	}
	return out
}

// amongst takes column IN (list) and column = ANY (array) apart, where the values are
// there before the scan starts.
func amongst(e expr.Expr) (int, plan.KeyValues) {
	switch x := e.(type) {
	case *expr.In:
		col, ok := x.Arg.(*expr.Column)
		if !ok || x.Not || slices.ContainsFunc(x.List, func(e expr.Expr) bool { return !given(e) }) {
			break
		}
		return col.ID, plan.KeyValues{List: x.List}
	case *expr.AnyAll:
		col, ok := x.L.(*expr.Column)
		if !ok || x.All || x.Op != "=" {
			break
		}
		if a, ok := x.Array.(*expr.Array); ok && !a.Multi && !slices.ContainsFunc(a.Elems, func(e expr.Expr) bool { return !given(e) }) {
			return col.ID, plan.KeyValues{List: a.Elems}
		}
		if given(x.Array) {
			return col.ID, plan.KeyValues{Array: x.Array}
		}
	}
	return 0, plan.KeyValues{}
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
