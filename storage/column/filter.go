package column

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// predKind is what a simple predicate tests.
type predKind uint8

const (
	predCmp   predKind = iota // column op value
	predRange                 // lo ≤ column < hi (a LIKE prefix); hi open when NULL
	predIn                    // column [NOT] IN list
	predNull                  // IS NULL
	predNotNull
	predNever
)

// pred is one simple predicate on one column. A value is in the column's own
// layout and scale.
type pred struct {
	col   int // ordinal or hidden column
	t     types.T
	kind  predKind
	op    kernel.Op
	value types.Datum
	hi    types.Datum
	list  []types.Datum // ascending, without duplicates
	not   bool
}

// SimpleFilter says whether readers apply this conjunct exactly: a comparison of a
// column with a constant of its type, IN a list of such, IS [NOT] NULL, LIKE with a
// prefix, a bool column; and conjunctions of these. Parameters must have been
// replaced by constants.
func SimpleFilter(e expr.Expr) bool {
	for _, c := range expr.Conjuncts(e) {
		if _, ok := compilePred(c); !ok {
			return false
		}
	}
	return true
}

// compileFilter compiles the conjuncts that are simple.
func compileFilter(filter []expr.Expr) []pred {
	var ps []pred
	for _, f := range filter {
		for _, c := range expr.Conjuncts(f) {
			if p, ok := compilePred(c); ok {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

func compilePred(e expr.Expr) (pred, bool) {
	switch x := e.(type) {
	case *expr.Column:
		if x.T.Layout == types.LayoutBool {
			return pred{col: x.ID, t: x.T, value: types.NewBool(true)}, true
		}
	case *expr.Const:
		if x.T.Layout == types.LayoutBool && (!x.D.Valid || !x.D.Bool()) {
			return pred{col: catalog.ColCSN, t: types.Int8, kind: predNever}, true
		}
	case *expr.Not:
		if c, ok := x.Arg.(*expr.Column); ok && c.T.Layout == types.LayoutBool {
			return pred{col: c.ID, t: c.T, value: types.NewBool(false)}, true
		}
	case *expr.BoolTest:
		if c, ok := x.Arg.(*expr.Column); ok && c.T.Layout == types.LayoutBool && !x.Not {
			return pred{col: c.ID, t: c.T, value: types.NewBool(x.Want)}, true
		}
	case *expr.IsNull:
		if c := columnOf(x.Arg); c != nil {
			k := predNull
			if x.Not {
				k = predNotNull
			}
			return pred{col: c.ID, t: c.T, kind: k}, true
		}
	case *expr.In:
		return compileIn(x)
	case *expr.Call:
		return compileCall(x)
	}
	return pred{}, false
}

// columnOf sees through relabelling among the string types, which changes
// neither bytes nor order.
func columnOf(e expr.Expr) *expr.Column {
	for {
		switch x := e.(type) {
		case *expr.Column:
			return x
		case *expr.Cast:
			if x.Kind != expr.CastRelabel || !stringLike(x.T) || !stringLike(x.Arg.Type()) {
				return nil
			}
			e = x.Arg
		default:
			return nil
		}
	}
}

func stringLike(t types.T) bool {
	return t.OID == types.TextOID || t.OID == types.VarcharOID || t.OID == types.NameOID
}

func constOf(e expr.Expr) *expr.Const {
	for {
		switch x := e.(type) {
		case *expr.Const:
			return x
		case *expr.Cast:
			if x.Kind != expr.CastRelabel || x.T.Layout != x.Arg.Type().Layout {
				return nil
			}
			e = x.Arg
		default:
			return nil
		}
	}
}

var compareOps = map[string]kernel.Op{"=": kernel.EQ, "<>": kernel.NE, "!=": kernel.NE,
	"<": kernel.LT, "<=": kernel.LE, ">": kernel.GT, ">=": kernel.GE}

func compileCall(x *expr.Call) (pred, bool) {
	if len(x.Args) != 2 || x.Fn == nil || x.Fn.OID >= catalog.FirstUserOID {
		return pred{}, false
	}
	col, k := columnOf(x.Args[0]), constOf(x.Args[1])
	op, cmp := compareOps[x.Op]
	if cmp && col == nil {
		col, k = columnOf(x.Args[1]), constOf(x.Args[0])
		op = op.Swap()
	}
	if col == nil || k == nil {
		return pred{}, false
	}
	switch {
	case cmp:
		return compileCmp(col, op, k)
	case x.Op == "~~" && stringLike(col.T) && k.T.Layout == types.LayoutView:
		return compileLike(col, k)
	}
	return pred{}, false
}

// compileCmp makes a comparison, bringing the constant to the column's layout.
func compileCmp(col *expr.Column, op kernel.Op, k *expr.Const) (pred, bool) {
	p := pred{col: col.ID, t: col.T, op: op}
	if !ordered(col.T) {
		return p, false
	}
	if !comparable2(col.T, k.T) {
		return p, false
	}
	if !k.D.Valid {
		p.kind = predNever
		return p, true
	}
	switch {
	case col.T.Scaled():
		return p.scaled(k)
	case isInt(col.T):
		return p.integer(k.D.I), true
	case col.T.Layout == types.LayoutF32 && k.T.Layout == types.LayoutF64:
		// float4 op float8 compares as float8: only exact values can be brought down.
		if f := k.D.F; f == f && float64(float32(f)) != f {
			return p, false
		}
	case col.T.OID == types.BPCharOID:
		k = &expr.Const{T: k.T, D: types.NewString(trimBlanks(k.D.S))}
	}
	p.value = k.D
	return p, true
}

func isInt(t types.T) bool {
	return t.OID == types.Int2OID || t.OID == types.Int4OID || t.OID == types.Int8OID
}

func isFloat(t types.T) bool { return t.Layout == types.LayoutF32 || t.Layout == types.LayoutF64 }

// comparable2 says whether the operator between a column and a constant of these
// types compares as the column's type does.
func comparable2(c, k types.T) bool {
	switch {
	case isInt(c):
		return isInt(k)
	case isFloat(c):
		return isFloat(k)
	case c.OID == types.NumericOID:
		return c.Scaled() && k.Scaled()
	case stringLike(c):
		return stringLike(k) || k.OID == types.UnknownOID
	}
	return c.OID == k.OID && c.Layout == k.Layout
}

// integer makes a comparison with a value that the column's type may not hold.
func (p pred) integer(x int64) pred {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch p.t.Layout {
	case types.LayoutI16:
		lo, hi = math.MinInt16, math.MaxInt16
	case types.LayoutI32:
		lo, hi = math.MinInt32, math.MaxInt32
	}
	always := false
	switch {
	case x > hi:
		always = p.op == kernel.LT || p.op == kernel.LE || p.op == kernel.NE
	case x < lo:
		always = p.op == kernel.GT || p.op == kernel.GE || p.op == kernel.NE
	default:
		p.value = types.NewInt(x)
		return p
	}
	p.kind = predNever
	if always {
		p.kind = predNotNull
	}
	return p
}

// scaled brings a numeric constant to the column's scale.
func (p pred) scaled(k *expr.Const) (pred, bool) {
	if p.t.Layout != types.LayoutI64 || k.T.Layout != types.LayoutI64 {
		if p.t.Same(k.T) {
			p.value = k.D
			return p, true
		}
		return p, false
	}
	x := k.D.I
	for s := k.T.Scale; s < p.t.Scale; s++ {
		if x > math.MaxInt64/10 || x < math.MinInt64/10 {
			return p, false
		}
		x *= 10
	}
	exact := true
	for s := k.T.Scale; s > p.t.Scale; s-- {
		q := x / 10
		if q*10 != x {
			exact = false
			if x < 0 {
				q-- // floor
			}
		}
		x = q
	}
	if !exact {
		// The constant lies between x and x+1 units of the column.
		switch p.op {
		case kernel.EQ:
			p.kind = predNever
			return p, true
		case kernel.NE:
			p.kind = predNotNull
			return p, true
		case kernel.LT, kernel.LE:
			p.op = kernel.LE
		default:
			p.op = kernel.GT
		}
	}
	p.value = types.NewInt(x)
	return p, true
}

func compileIn(x *expr.In) (pred, bool) {
	col := columnOf(x.Arg)
	if col == nil || x.Eq == nil || x.Eq.OID >= catalog.FirstUserOID {
		return pred{}, false
	}
	p := pred{col: col.ID, t: col.T, kind: predIn, not: x.Not}
	for _, e := range x.List {
		k := constOf(e)
		if k == nil {
			return pred{}, false
		}
		one, ok := compileCmp(col, kernel.EQ, k)
		switch {
		case !ok:
			return pred{}, false
		case !k.D.Valid && x.Not:
			return pred{col: col.ID, t: col.T, kind: predNever}, true
		case one.kind == predNever: // null, or a value the type cannot have
		default:
			p.list = append(p.list, one.value)
		}
	}
	slices.SortFunc(p.list, func(a, b types.Datum) int { return compareOrdered(p.t, a, b) })
	p.list = slices.CompactFunc(p.list, func(a, b types.Datum) bool { return compareOrdered(p.t, a, b) == 0 })
	switch {
	case len(p.list) == 0 && p.not:
		p.kind = predNotNull
	case len(p.list) == 0:
		p.kind = predNever
	case len(p.list) == 1:
		p.kind, p.op, p.value = predCmp, kernel.EQ, p.list[0]
		if p.not {
			p.op = kernel.NE
		}
	}
	return p, true
}

// compileLike takes patterns that are a prefix and %, or have no wildcard.
func compileLike(col *expr.Column, k *expr.Const) (pred, bool) {
	p := pred{col: col.ID, t: col.T}
	if !k.D.Valid {
		p.kind = predNever
		return p, true
	}
	pat := k.D.S
	if strings.ContainsAny(pat, `\_`) {
		return p, false
	}
	prefix := strings.TrimRight(pat, "%")
	switch {
	case strings.Contains(prefix, "%"):
		return p, false
	case prefix == pat:
		p.op, p.value = kernel.EQ, types.NewString(pat)
		return p, true
	case prefix == "":
		p.kind = predNotNull
		return p, true
	}
	p.kind, p.value = predRange, types.NewString(prefix)
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) > 0 {
		b[len(b)-1]++
		p.hi = types.NewString(string(b))
	}
	return p, true
}

func trimBlanks(s string) string { return strings.TrimRight(s, " ") }

// mayMatch says whether rows with values in [min, max] can satisfy p. NULL bounds
// are open; hasNulls and hasValues say what the range has besides.
func (p *pred) mayMatch(min, max types.Datum, hasNulls, hasValues bool) bool {
	switch p.kind {
	case predNever:
		return false
	case predNull:
		return hasNulls
	case predNotNull:
		return hasValues
	}
	if !hasValues {
		return false
	}
	below := func(d types.Datum) bool { return min.Valid && compareOrdered(p.t, d, min) < 0 }
	above := func(d types.Datum) bool { return max.Valid && compareOrdered(p.t, d, max) > 0 }
	switch p.kind {
	case predCmp:
		switch p.op {
		case kernel.EQ:
			return !below(p.value) && !above(p.value)
		case kernel.NE:
			return !(min.Valid && max.Valid && p.t.Layout != types.LayoutView &&
				compareOrdered(p.t, min, max) == 0 && compareOrdered(p.t, min, p.value) == 0)
		case kernel.LT:
			return !min.Valid || compareOrdered(p.t, min, p.value) < 0
		case kernel.LE:
			return !below(p.value)
		case kernel.GT:
			return !max.Valid || compareOrdered(p.t, max, p.value) > 0
		}
		return !above(p.value)
	case predRange:
		return !above(p.value) && (!p.hi.Valid || !min.Valid || compareOrdered(p.t, min, p.hi) < 0)
	case predIn:
		if p.not {
			return true
		}
		i := 0
		if min.Valid {
			i = sort.Search(len(p.list), func(i int) bool { return compareOrdered(p.t, p.list[i], min) >= 0 })
		}
		return i < len(p.list) && !above(p.list[i])
	}
	return true
}
