package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"
	"math"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// aExpr binds operators and the forms that the grammar writes as operators.
func (q *query) aExpr(x *pg.A_Expr) (expr.Expr, error) {
	b := q.b
	name, err := b.opName(names(x.Name), x.Location)
	if err != nil {
		return nil, err
	}
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_OP, pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		return q.operation(x, name)
	case pg.A_Expr_Kind_AEXPR_OP_ANY:
		return q.anyAll(x, name, false)
	case pg.A_Expr_Kind_AEXPR_OP_ALL:
		return q.anyAll(x, name, true)
	case pg.A_Expr_Kind_AEXPR_DISTINCT:
		return q.isDistinct(x, false)
	case pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return q.isDistinct(x, true)
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		return q.nullIf(x)
	case pg.A_Expr_Kind_AEXPR_IN:
		return q.in_(x, name)
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		return q.between(x)
	}
	return nil, b.unsupported(x.Location, "operator form %s", x.Kind)
}

// operation binds a unary or binary operator, also between rows.
func (q *query) operation(x *pg.A_Expr, name string) (expr.Expr, error) {
	b := q.b
	if x.Lexpr == nil {
		r, err := q.expr(x.Rexpr)
		if err != nil {
			return nil, err
		}
		if c, ok := r.(*expr.Const); ok && name == "-" && c.D.Valid {
			if n := negated(c); n != nil {
				return n, nil
			}
		}
		return b.binary(name, nil, r, x.Location)
	}
	lrow, rrow := x.Lexpr.GetRowExpr(), x.Rexpr.GetRowExpr()
	if lrow != nil && rrow == nil {
		if sub := x.Rexpr.GetSubLink(); sub != nil && sub.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
			return q.rowSubquery(x, name, lrow, sub)
		}
	}
	if lrow != nil && rrow != nil {
		l, err := q.row(lrow)
		if err != nil {
			return nil, err
		}
		r, err := q.row(rrow)
		if err != nil {
			return nil, err
		}
		return b.compareRows(name, l.(*expr.Row).Elems, r.(*expr.Row).Elems, x.Location)
	}
	l, r, err := q.operands(name, x.Lexpr, x.Rexpr, comparison(name))
	if err != nil {
		return nil, err
	}
	if lr, ok := l.(*expr.Row); ok {
		if rr, ok := r.(*expr.Row); ok && comparison(name) {
			return b.compareRows(name, lr.Elems, rr.Elems, x.Location)
		}
	}
	return b.binary(name, l, r, x.Location)
}

func comparison(name string) bool {
	switch name {
	case "=", "<>", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// negated folds the sign of a numeric literal into it.
func negated(c *expr.Const) expr.Expr {
	switch {
	case c.T.OID == types.Int4OID && c.D.I > -1<<31:
		return intConst(-c.D.I)
	case c.T.OID == types.Int8OID && c.D.I != math.MinInt64:
		v := -c.D.I
		if v == int64(int32(v)) {
			return nil // -(2147483648) stays bigint, as in PostgreSQL
		}
		return int8Const(v)
	case c.T.Scaled() && c.T.Layout == types.LayoutI64:
		t := c.T
		t.Mod = -1
		return &expr.Const{T: t, D: types.NewInt(-c.D.I)}
	}
	return nil
}

// operands binds the two sides of an operator.
func (q *query) operands(op string, ln, rn *pg.Node, compare bool) (l, r expr.Expr, err error) {
	if l, err = q.expr(ln); err != nil {
		return nil, nil, err
	}
	if compare {
		r, err = q.slottedLike(rn, l.Type())
	} else {
		r, err = q.slottedTerm(rn, op, l)
	}
	return l, r, err
}

// compareRows compares rows field by field.
func (b *binder) compareRows(name string, l, r []expr.Expr, loc int32) (expr.Expr, error) {
	if !comparison(name) {
		return nil, b.errf(loc, sqlstate.FeatureNotSupported, "could not determine interpretation of row comparison operator %s", name).
			WithHint("Row comparison operators must be associated with btree operator families.")
	}
	if len(l) != len(r) {
		return nil, b.errf(loc, sqlstate.SyntaxError, "unequal number of entries in row expressions")
	}
	if len(l) == 0 {
		return nil, b.errf(loc, sqlstate.FeatureNotSupported, "cannot compare rows of zero length")
	}
	switch name {
	case "=", "<>":
		var each []expr.Expr
		for i := range l {
			e, err := b.binary(name, l[i], r[i], loc)
			if err != nil {
				return nil, err
			}
			each = append(each, e)
		}
		if name == "=" {
			return and(each), nil
		}
		return or(each), nil
	}
	// a < c OR a = c AND (the rest)
	last := len(l) - 1
	out, err := b.binary(name, l[last], r[last], loc)
	if err != nil {
		return nil, err
	}
	for i := last - 1; i >= 0; i-- {
		strict, err := b.binary(name[:1], l[i], r[i], loc)
		if err != nil {
			return nil, err
		}
		eq, err := b.binary("=", l[i], r[i], loc)
		if err != nil {
			return nil, err
		}
		out = or([]expr.Expr{strict, and([]expr.Expr{eq, out})})
	}
	return out, nil
}

// anyAll is x op ANY/ALL (array).
func (q *query) anyAll(x *pg.A_Expr, name string, all bool) (expr.Expr, error) {
	b := q.b
	l, r, err := q.operands(name, x.Lexpr, x.Rexpr, false)
	if err != nil {
		return nil, err
	}
	rt := r.Type().OID
	elem := uint32(types.UnknownOID)
	if rt != types.UnknownOID {
		if elem = fn.ElemOf(rt); elem == 0 {
			return nil, b.errf(x.Location, sqlstate.WrongObjectType, "op ANY/ALL (array) requires array on right side")
		}
	}
	op, err := b.operator(name, l.Type().OID, elem, x.Location)
	if err != nil {
		return nil, err
	}
	if op.Result != types.BoolOID {
		return nil, b.errf(x.Location, sqlstate.WrongObjectType, "op ANY/ALL (array) requires operator to yield boolean")
	}
	// The array's type is that over the operator's right argument.
	right := op.Right
	left := op.Left
	if fn.IsPoly(left) || fn.IsPoly(right) {
		out, _, ok := concrete([]uint32{left, right}, op.Result, []uint32{l.Type().OID, elem})
		if !ok {
			return nil, b.polyError([]uint32{left, right}, []uint32{l.Type().OID, elem}, x.Location)
		}
		left, right = out[0], out[1]
	}
	arr := fn.ArrayOf(right)
	if arr == 0 {
		return nil, b.errf(x.Location, sqlstate.UndefinedObject, "could not find array type for data type %s", types.FormatTypeNoMod(right))
	}
	if l, err = b.coerceType(l, types.Of(left, -1), fn.Implicit, location(x.Lexpr)); err != nil {
		return nil, err
	}
	if r, err = b.coerceType(r, types.Of(arr, -1), fn.Implicit, location(x.Rexpr)); err != nil {
		return nil, err
	}
	return &expr.AnyAll{L: l, Array: r, Fn: op.Func, All: all, Op: name}, nil
}

// isDistinct is IS [NOT] DISTINCT FROM.
func (q *query) isDistinct(x *pg.A_Expr, not bool) (expr.Expr, error) {
	b := q.b
	nullConst := func(n *pg.Node) bool { c := n.GetAConst(); return c != nil && c.Isnull }
	if nullConst(x.Rexpr) || nullConst(x.Lexpr) {
		arg := x.Lexpr
		if nullConst(x.Lexpr) && !nullConst(x.Rexpr) {
			arg = x.Rexpr
		}
		kind := pg.NullTestType_IS_NOT_NULL
		if not {
			kind = pg.NullTestType_IS_NULL
		}
		return q.nullTest(&pg.NullTest{Arg: arg, Nulltesttype: kind, Location: x.Location})
	}
	l, r, err := q.operands("", x.Lexpr, x.Rexpr, false)
	if err != nil {
		return nil, err
	}
	lr, lok := l.(*expr.Row)
	rr, rok := r.(*expr.Row)
	if lok && rok {
		if len(lr.Elems) != len(rr.Elems) {
			return nil, b.errf(x.Location, sqlstate.SyntaxError, "unequal number of entries in row expressions")
		}
		var each []expr.Expr
		for i := range lr.Elems {
			e, err := b.distinct(lr.Elems[i], rr.Elems[i], not, x.Location)
			if err != nil {
				return nil, err
			}
			each = append(each, e)
		}
		switch {
		case len(each) == 0:
			return boolConst(not), nil
		case not:
			return and(each), nil
		}
		return or(each), nil
	}
	return b.distinct(l, r, not, x.Location)
}

func (b *binder) distinct(l, r expr.Expr, not bool, loc int32) (expr.Expr, error) {
	e, err := b.binary("=", l, r, loc)
	if err != nil {
		return nil, err
	}
	c := e.(*expr.Call)
	if c.T.OID != types.BoolOID {
		return nil, b.errf(loc, sqlstate.DatatypeMismatch, "IS DISTINCT FROM requires = operator to yield boolean")
	}
	return &expr.Distinct{L: c.Args[0], R: c.Args[1], Eq: c.Fn, Not: not}, nil
}

// nullIf is CASE WHEN a = b THEN NULL ELSE a END, typed as a.
func (q *query) nullIf(x *pg.A_Expr) (expr.Expr, error) {
	b := q.b
	l, r, err := q.operands("", x.Lexpr, x.Rexpr, false)
	if err != nil {
		return nil, err
	}
	eq, err := b.binary("=", l, r, x.Location)
	if err != nil {
		return nil, err
	}
	c := eq.(*expr.Call)
	if c.T.OID != types.BoolOID {
		return nil, b.errf(x.Location, sqlstate.DatatypeMismatch, "NULLIF requires = operator to yield boolean")
	}
	// The result is the left argument as the operator takes it.
	arg := c.Args[0]
	return &expr.Case{Whens: []expr.When{{Cond: eq, Then: null(arg.Type())}}, Else: arg, T: arg.Type()}, nil
}

// between is arg >= lo AND arg <= hi, and its negated and symmetric forms.
func (q *query) between(x *pg.A_Expr) (expr.Expr, error) {
	b := q.b
	bounds := x.Rexpr.GetList().GetItems()
	arg, err := q.expr(x.Lexpr)
	if err != nil {
		return nil, err
	}
	lo, err := q.slottedLike(bounds[0], arg.Type())
	if err != nil {
		return nil, err
	}
	hi, err := q.slottedLike(bounds[1], arg.Type())
	if err != nil {
		return nil, err
	}
	pair := func(op1, op2 string, join func([]expr.Expr) expr.Expr, lo, hi expr.Expr) (expr.Expr, error) {
		a, err := b.compare(op1, arg, lo, x.Location)
		if err != nil {
			return nil, err
		}
		c, err := b.compare(op2, arg, hi, x.Location)
		if err != nil {
			return nil, err
		}
		return join([]expr.Expr{a, c}), nil
	}
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_BETWEEN:
		return pair(">=", "<=", and, lo, hi)
	case pg.A_Expr_Kind_AEXPR_NOT_BETWEEN:
		return pair("<", ">", or, lo, hi)
	}
	op1, op2, join, outer := ">=", "<=", and, or
	if x.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM {
		op1, op2, join, outer = "<", ">", or, and
	}
	one, err := pair(op1, op2, join, lo, hi)
	if err != nil {
		return nil, err
	}
	two, err := pair(op1, op2, join, hi, lo)
	if err != nil {
		return nil, err
	}
	return outer([]expr.Expr{one, two}), nil
}

// compare is binary, for rows too.
func (b *binder) compare(name string, l, r expr.Expr, loc int32) (expr.Expr, error) {
	lr, lok := l.(*expr.Row)
	rr, rok := r.(*expr.Row)
	if lok && rok {
		return b.compareRows(name, lr.Elems, rr.Elems, loc)
	}
	return b.binary(name, l, r, loc)
}

// in_ is arg [NOT] IN (list).
func (q *query) in_(x *pg.A_Expr, name string) (expr.Expr, error) {
	b := q.b
	not := name == "<>"
	arg, err := q.expr(x.Lexpr)
	if err != nil {
		return nil, err
	}
	items := x.Rexpr.GetList().GetItems()
	list := make([]expr.Expr, len(items))
	locs := make([]int32, len(items))
	for i, n := range items {
		if list[i], err = q.slottedLike(n, arg.Type()); err != nil {
			return nil, err
		}
		locs[i] = location(n)
	}
	// Constants meet in one type and are looked up together; what has columns of
	// its own, or does not meet, is compared one by one.
	var together, single []expr.Expr
	var tlocs []int32
	for i, e := range list {
		if _, row := e.(*expr.Row); !row && !hasColumns(e) {
			together = append(together, e)
			tlocs = append(tlocs, locs[i])
		} else {
			single = append(single, e)
		}
	}
	var parts []expr.Expr
	if len(together) > 1 {
		all := append([]expr.Expr{arg}, together...)
		oid, err := b.commonType(all, nil, "")
		if err != nil {
			return nil, err
		}
		fits := oid != 0 && oid != types.RecordOID && fn.ArrayOf(oid) != 0 && fn.EqualityFor(oid) != nil
		for _, e := range all {
			fits = fits && canCoerce(e.Type().OID, oid, fn.Implicit)
		}
		if fits {
			for i, e := range all {
				loc := location(x.Lexpr)
				if i > 0 {
					loc = tlocs[i-1]
				}
				if all[i], err = b.coerceType(e, types.Of(oid, -1), fn.Implicit, loc); err != nil {
					return nil, err
				}
			}
			t := comparableForm(all, oid)
			for i := range all {
				if oid == types.NumericOID {
					all[i] = asType(all[i], t)
				}
			}
			eq, err := b.equality(oid, x.Location)
			if err != nil {
				return nil, err
			}
			parts = append(parts, &expr.In{Arg: all[0], List: all[1:], Eq: eq, Not: not})
			together = nil
		}
	}
	single = append(together, single...)
	for _, e := range single {
		c, err := b.compare(name, arg, e, x.Location)
		if err != nil {
			return nil, err
		}
		if c, err = b.boolean(c, "IN", x.Location); err != nil {
			return nil, err
		}
		parts = append(parts, c)
	}
	if not {
		return and(parts), nil
	}
	return or(parts), nil
}

// hasColumns says whether e reads columns or runs a subquery.
func hasColumns(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		switch e.(type) {
		case *expr.Column, subqueryExpr:
			found = true
		}
		return !found
	})
	return found
}
