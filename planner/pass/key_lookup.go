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
// Columns may also be asked to be one of several values, and alternatives (OR) may ask for
// a key each; so may a join with what unnest makes of arrays, or with VALUES.
//
// It would be wrong where values are equal that differ as keys (bpchar, numeric,
// interval, floats): those types are left alone. Integers of any width are compared
// by value, and the executor sees to it that a value beyond the key's type finds
// nothing; so it does for NULLs, which a UNIQUE key has no entry for. A binlog has many
// rows of a key, and the hidden number of a row's shard is known to scans only.
func keyLookups(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		if j, ok := n.(*plan.Join); ok {
			return joinLookup(j), nil
		}
		s, ok := n.(*plan.Scan)
		if !ok || !hasKeys(s) || len(s.Filter) == 0 {
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
		if in := lookedUpIn(s, conj, s.Table.PK); in != nil {
			m := *s
			m.KeyIn = in
			return &m, nil
		}
		for i := range s.Table.Unique {
			k := &s.Table.Unique[i]
			if in := lookedUpIn(s, conj, s.Table.Ordinals(k)); in != nil {
				m := *s
				m.KeyIn, m.Unique = in, k
				return &m, nil
			}
		}
		return n, nil
	})
}

// hasKeys says whether rows of a scan can be looked for by key.
func hasKeys(s *plan.Scan) bool {
	return s.Table.Kind == catalog.KindTable && !s.Table.IsBinlog && !slices.Contains(s.Ords, catalog.ColShard) && len(s.Table.PK) > 0 && s.Limit != 0
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
// some values and they have not too many combinations: by all conditions, or in each
// alternative of one of them.
func lookedUpIn(s *plan.Scan, conj []expr.Expr, key []int) []plan.KeyChoice {
	if cols, _ := chosen(s, conj, key); cols != nil {
		return []plan.KeyChoice{{Cols: cols}}
	}
	for i, f := range conj {
		or, ok := f.(*expr.Or)
		if !ok {
			continue
		}
		var out []plan.KeyChoice
		total := 0
		for _, a := range or.Args {
			with := append(slices.Concat(conj[:i], conj[i+1:]), expr.Conjuncts(a)...)
			if len(or.Args) > keyLookupMax || len(or.Args)*len(with) > 1<<20 {
				break // most conditions stand beside the alternatives, for each of them
			}
			cols, n := chosen(s, with, key)
			if total += n; cols == nil || total > keyLookupMax {
				break
			}
			out = append(out, plan.KeyChoice{Cols: cols})
		}
		if len(out) == len(or.Args) {
			return out
		}
	}
	return nil
}

// chosen is what conditions let the columns of a key be, and how many combinations there
// are, an array taken for one; nil where there are too many, or a column may be anything.
func chosen(s *plan.Scan, conj []expr.Expr, key []int) ([]plan.KeyValues, int) {
	out := make([]plan.KeyValues, len(key))
	all := 1
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
				if !keyed(t, elemType(v.Array)) {
					continue
				}
				out[k], best = v, 1
				continue
			}
			if !slices.ContainsFunc(v.List, func(e expr.Expr) bool { return !keyed(t, e.Type()) }) {
				out[k], best = v, len(v.List)
			}
		}
		if all *= best; best == 0 || all > keyLookupMax {
			return nil, 0
		}
	}
	return out, all
}

// elemType is the type of an array's elements.
func elemType(array expr.Expr) types.T {
	return types.ElemType(types.ElemOf(array.Type().OID))
}

// joinLookup has one side of a join look for the keys that the other side gives: arrays
// unnested side by side, or VALUES, whose every column of a primary key the join equates.
// The join stays, and decides.
//
// It would be wrong on a side whose rows come out without a match.
func joinLookup(j *plan.Join) plan.Node {
	if len(j.Keys) == 0 || j.NullAware {
		return j
	}
	left, right := false, false
	switch j.Kind {
	case plan.Inner, plan.Semi:
		left, right = true, true
	case plan.Right:
		left = true
	case plan.Left, plan.Anti, plan.Single:
		right = true
	}
	for _, side := range []struct {
		may      bool
		scan, by plan.Node
		l        bool
	}{{left, j.L, j.R, true}, {right, j.R, j.L, false}} {
		if !side.may {
			continue
		}
		cols := map[int]int{} // a column of by for each of the scanned
		for _, k := range j.Keys {
			of, from := k.L, k.R
			if !side.l {
				of, from = from, of
			}
			c, ok := of.(*expr.Column)
			d, is := from.(*expr.Column)
			if ok && is && !k.NullEqual {
				cols[c.ID] = d.ID
			}
		}
		if m := joinedScan(side.scan, side.by, cols); m != nil {
			out := *j
			if side.l {
				out.L = m
			} else {
				out.R = m
			}
			return &out
		}
	}
	return j
}

// joinedScan is n with a scan in it that looks for the keys that by gives; nil where there
// is none. cols has the columns of by that columns of n equal.
func joinedScan(n, by plan.Node, cols map[int]int) plan.Node {
	switch x := n.(type) {
	case *plan.Filter:
		if in := joinedScan(x.Input, by, cols); in != nil {
			m := *x
			m.Input = in
			return &m
		}
	case *plan.Project:
		below := map[int]int{}
		for _, p := range x.Exprs {
			if c, ok := p.Expr.(*expr.Column); ok {
				if d, is := cols[p.Col.ID]; is {
					below[c.ID] = d
				}
			}
		}
		if in := joinedScan(x.Input, by, below); in != nil {
			m := *x
			m.Input = in
			return &m
		}
	case *plan.Scan:
		if !hasKeys(x) || x.Key != nil || x.KeyIn != nil {
			return nil
		}
		ids := make([]int, len(x.Table.PK))
		for i, o := range x.Table.PK {
			at := slices.Index(x.Ords, o)
			if at < 0 {
				return nil
			}
			d, is := cols[x.Cols[at].ID]
			if !is {
				return nil
			}
			ids[i] = d
		}
		if in := givenKeys(x, by, ids); in != nil {
			m := *x
			m.KeyIn = in
			return &m
		}
	}
	return nil
}

// givenKeys are the keys in columns ids of a node, where all of them are there before it
// starts; nil where they are not.
func givenKeys(s *plan.Scan, n plan.Node, ids []int) []plan.KeyChoice {
	fits := func(k int, t types.T) bool { return keyed(s.Table.Columns[s.Table.PK[k]].T, t) }
	switch x := n.(type) {
	case *plan.Project:
		below := make([]int, len(ids))
		for i, id := range ids {
			at := slices.IndexFunc(x.Exprs, func(p plan.Projection) bool { return p.Col.ID == id })
			if at < 0 {
				return nil
			}
			c, ok := x.Exprs[at].Expr.(*expr.Column)
			if !ok {
				return nil
			}
			below[i] = c.ID
		}
		return givenKeys(s, x.Input, below)
	case *plan.Filter: // less than that
		return givenKeys(s, x.Input, ids)
	case *plan.Distinct:
		return givenKeys(s, x.Input, ids)
	case *plan.ProjectSet:
		if v, ok := x.Input.(*plan.Values); !ok || len(v.Rows) != 1 {
			return nil
		}
		out := plan.KeyChoice{Cols: make([]plan.KeyValues, len(ids)), Zip: true}
		for i, id := range ids {
			for _, c := range x.Calls {
				call, ok := c.Call.(*expr.Call)
				if !ok || len(c.Cols) != 1 || c.Cols[0].ID != id {
					continue
				}
				if call.Fn.Name != "unnest" || len(call.Args) != 1 || types.ElemOf(call.Args[0].Type().OID) == 0 || !given(call.Args[0]) || !fits(i, elemType(call.Args[0])) {
					return nil
				}
				out.Cols[i].Array = call.Args[0]
			}
			if out.Cols[i].Array == nil {
				return nil
			}
		}
		return []plan.KeyChoice{out}
	case *plan.Values:
		if len(x.Rows) > keyLookupMax {
			return nil
		}
		at := make([]int, len(ids))
		for i, id := range ids {
			at[i] = slices.IndexFunc(x.Cols, func(c plan.Column) bool { return c.ID == id })
			if at[i] < 0 || !fits(i, x.Cols[at[i]].T) {
				return nil
			}
		}
		out := make([]plan.KeyChoice, 0, len(x.Rows))
		for _, r := range x.Rows {
			c := plan.KeyChoice{Cols: make([]plan.KeyValues, len(ids))}
			for i := range ids {
				if e := r[at[i]]; given(e) {
					c.Cols[i].List = []expr.Expr{e}
				} else {
					return nil
				}
			}
			out = append(out, c)
		}
		return out
	}
	return nil
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
