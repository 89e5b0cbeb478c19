package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// expr binds one expression.
func (q *query) expr(n *pg.Node) (expr.Expr, error) {
	b := q.b
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.leave()
	switch x := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return q.columnRef(x.ColumnRef)
	case *pg.Node_AConst:
		return b.constant(x.AConst)
	case *pg.Node_ParamRef:
		return b.param(int(x.ParamRef.Number), x.ParamRef.Location)
	case *pg.Node_AExpr:
		return q.aExpr(x.AExpr)
	case *pg.Node_BoolExpr:
		return q.boolExpr(x.BoolExpr)
	case *pg.Node_FuncCall:
		return q.call(x.FuncCall)
	case *pg.Node_TypeCast:
		return q.typeCast(x.TypeCast)
	case *pg.Node_NullTest:
		return q.nullTest(x.NullTest)
	case *pg.Node_BooleanTest:
		return q.booleanTest(x.BooleanTest)
	case *pg.Node_CaseExpr:
		return q.caseExpr(x.CaseExpr)
	case *pg.Node_CoalesceExpr:
		return q.coalesce(x.CoalesceExpr)
	case *pg.Node_MinMaxExpr:
		return q.minMax(x.MinMaxExpr)
	case *pg.Node_SubLink:
		return q.subLink(x.SubLink)
	case *pg.Node_SqlvalueFunction:
		return q.sqlValue(x.SqlvalueFunction)
	case *pg.Node_AArrayExpr:
		return q.array(x.AArrayExpr, types.T{})
	case *pg.Node_RowExpr:
		return q.row(x.RowExpr)
	case *pg.Node_AIndirection:
		return q.indirection(x.AIndirection)
	case *pg.Node_CollateClause:
		return q.collate(x.CollateClause)
	case *pg.Node_GroupingFunc:
		return q.grouping(x.GroupingFunc)
	case *pg.Node_SetToDefault:
		return nil, b.errf(x.SetToDefault.Location, sqlstate.SyntaxError, "DEFAULT is not allowed in this context")
	case *pg.Node_NamedArgExpr:
		return q.expr(x.NamedArgExpr.Arg)
	case *pg.Node_CurrentOfExpr:
		return nil, b.unsupported(-1, "WHERE CURRENT OF")
	case *pg.Node_XmlExpr, *pg.Node_XmlSerialize:
		return nil, b.unsupported(location(n), "XML")
	case *pg.Node_JsonObjectConstructor, *pg.Node_JsonArrayConstructor, *pg.Node_JsonArrayQueryConstructor,
		*pg.Node_JsonObjectAgg, *pg.Node_JsonArrayAgg, *pg.Node_JsonValueExpr, *pg.Node_JsonConstructorExpr:
		return nil, b.unsupported(location(n), "an SQL/JSON constructor")
	case *pg.Node_JsonIsPredicate:
		return nil, b.unsupported(location(n), "IS JSON")
	}
	return nil, b.unsupported(location(n), "expression %s", strings.TrimPrefix(nodeName(n), "Node_"))
}

// columnRef resolves a possibly qualified column.
func (q *query) columnRef(ref *pg.ColumnRef) (expr.Expr, error) {
	b, loc := q.b, ref.Location
	if q.clause.noColumns != "" {
		return nil, b.errf(loc, sqlstate.FeatureNotSupported, "%s", q.clause.noColumns)
	}
	if isStar(ref.Fields) {
		return q.wholeRowRef(ref)
	}
	ns := names(ref.Fields)
	if len(ns) == 1 {
		e, err := q.findColumn(ns[0], loc)
		if err != nil || e != nil {
			return e, err
		}
		// A relation's name stands for its row.
		r, err := q.findRel("", ns[0], loc)
		if err != nil {
			return nil, err
		}
		if r != nil {
			return q.wholeRow(r, loc), nil
		}
		if ns[0] == "tableoid" {
			for _, r := range q.ns {
				if r.table != nil && r.relVisible {
					return &expr.Const{T: types.Oid, D: types.NewInt(int64(r.table.OID))}, nil
				}
			}
		}
		return nil, q.missingColumn("", ns[0], loc)
	}
	r, err := q.relByNames(ns[:len(ns)-1], loc)
	if err != nil {
		return nil, err
	}
	name := ns[len(ns)-1]
	if r == nil {
		// column.field of a composite column
		if len(ns) == 2 {
			if e, err := q.findColumn(ns[0], loc); err == nil && e != nil && e.Type().OID == types.RecordOID {
				return q.field(e, name, loc)
			}
		}
		return nil, q.missingRel(ns[len(ns)-2], loc)
	}
	i, err := q.columnOf(r, name, loc)
	if err != nil {
		return nil, err
	}
	if i == notHidden {
		if name == "tableoid" && r.table != nil {
			return &expr.Const{T: types.Oid, D: types.NewInt(int64(r.table.OID))}, nil
		}
		return nil, q.missingColumn(r.name, name, loc)
	}
	return r.value(i, loc), nil
}

func (q *query) missingColumn(rel, name string, loc int32) error {
	if rel != "" {
		return q.b.errf(loc, sqlstate.UndefinedColumn, "column %s.%s does not exist", rel, name)
	}
	err := q.b.errf(loc, sqlstate.UndefinedColumn, "column \"%s\" does not exist", name)
	if h := q.columnHint(name); h != "" {
		return err.WithHint("%s", h)
	}
	return err
}

// columnHint names a visible column that differs from name in case only or by
// little.
func (q *query) columnHint(name string) string {
	best, bestRel, dist, ties := "", "", len(name)/2+1, 0
	for l := q; l != nil; l = l.parent {
		for _, r := range l.ns {
			if !r.relVisible {
				continue
			}
			for i := range r.cols {
				d := editDistance(name, r.cols[i].name, dist)
				switch {
				case d < dist:
					best, bestRel, dist, ties = r.cols[i].name, r.name, d, 1
				case d == dist && best != "":
					ties++
				}
			}
		}
	}
	if best == "" || ties > 1 || dist > 3 {
		return ""
	}
	return "Perhaps you meant to reference the column \"" + bestRel + "." + best + "\"."
}

// editDistance is the Levenshtein distance, or limit+1 when it is above limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(a) > 63 || len(b) > 63 {
		return limit + 1
	}
	prev, cur := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			c := 1
			if a[i-1] == b[j-1] {
				c = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+c)
		}
		prev, cur = cur, prev
	}
	return min(prev[len(b)], limit+1)
}

// wholeRowRef is rel.* where one value is wanted.
func (q *query) wholeRowRef(ref *pg.ColumnRef) (expr.Expr, error) {
	if len(ref.Fields) == 1 {
		return nil, q.b.errf(ref.Location, sqlstate.SyntaxError, "row expansion via \"*\" is not supported here")
	}
	ns := names(ref.Fields[:len(ref.Fields)-1])
	r, err := q.relByNames(ns, ref.Location)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, q.missingRel(ns[len(ns)-1], ref.Location)
	}
	return q.wholeRow(r, ref.Location), nil
}

// boolExpr binds AND, OR and NOT.
func (q *query) boolExpr(x *pg.BoolExpr) (expr.Expr, error) {
	what := map[pg.BoolExprType]string{pg.BoolExprType_AND_EXPR: "AND", pg.BoolExprType_OR_EXPR: "OR", pg.BoolExprType_NOT_EXPR: "NOT"}[x.Boolop]
	var args []expr.Expr
	for _, a := range x.Args {
		e, err := q.expr(a)
		if err != nil {
			return nil, err
		}
		if e, err = q.b.boolean(e, what, location(a)); err != nil {
			return nil, err
		}
		args = append(args, e)
	}
	switch x.Boolop {
	case pg.BoolExprType_AND_EXPR:
		return and(args), nil
	case pg.BoolExprType_OR_EXPR:
		return or(args), nil
	}
	return &expr.Not{Arg: args[0]}, nil
}

// and and or make flat lists.
func and(args []expr.Expr) expr.Expr {
	var flat []expr.Expr
	for _, a := range args {
		if x, ok := a.(*expr.And); ok {
			flat = append(flat, x.Args...)
		} else {
			flat = append(flat, a)
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return &expr.And{Args: flat}
}

func or(args []expr.Expr) expr.Expr {
	var flat []expr.Expr
	for _, a := range args {
		if x, ok := a.(*expr.Or); ok {
			flat = append(flat, x.Args...)
		} else {
			flat = append(flat, a)
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return &expr.Or{Args: flat}
}

// typeCast binds CAST and ::. A typed literal takes its type at once.
func (q *query) typeCast(x *pg.TypeCast) (expr.Expr, error) {
	b := q.b
	t, err := b.typeName(x.TypeName)
	if err != nil {
		return nil, err
	}
	var e expr.Expr
	if arr := x.Arg.GetAArrayExpr(); arr != nil && fn.ElemOf(t.OID) != 0 {
		e, err = q.array(arr, t)
	} else {
		e, err = q.expr(x.Arg)
	}
	if err != nil {
		return nil, err
	}
	loc := location(x.Arg)
	if c, ok := e.(*expr.Const); !ok || c.T.OID != types.UnknownOID {
		loc = x.Location
		if loc < 0 {
			loc = location(x.Arg)
		}
	}
	return b.cast(e, t, loc)
}

func (q *query) nullTest(x *pg.NullTest) (expr.Expr, error) {
	e, err := q.expr(x.Arg)
	if err != nil {
		return nil, err
	}
	if e, err = q.b.known(e, location(x.Arg)); err != nil {
		return nil, err
	}
	not := x.Nulltesttype == pg.NullTestType_IS_NOT_NULL
	if row, ok := e.(*expr.Row); ok {
		// A row is null when all of its fields are, and not null when none is.
		var each []expr.Expr
		for _, f := range row.Elems {
			each = append(each, &expr.IsNull{Arg: f, Not: not})
		}
		if len(each) == 0 {
			return boolConst(!not), nil
		}
		return and(each), nil
	}
	return &expr.IsNull{Arg: e, Not: not}, nil
}

func (q *query) booleanTest(x *pg.BooleanTest) (expr.Expr, error) {
	e, err := q.expr(x.Arg)
	if err != nil {
		return nil, err
	}
	what := map[pg.BoolTestType]string{
		pg.BoolTestType_IS_TRUE: "IS TRUE", pg.BoolTestType_IS_NOT_TRUE: "IS NOT TRUE",
		pg.BoolTestType_IS_FALSE: "IS FALSE", pg.BoolTestType_IS_NOT_FALSE: "IS NOT FALSE",
		pg.BoolTestType_IS_UNKNOWN: "IS UNKNOWN", pg.BoolTestType_IS_NOT_UNKNOWN: "IS NOT UNKNOWN",
	}[x.Booltesttype]
	if e, err = q.b.boolean(e, what, location(x.Arg)); err != nil {
		return nil, err
	}
	switch x.Booltesttype {
	case pg.BoolTestType_IS_UNKNOWN:
		return &expr.IsNull{Arg: e}, nil
	case pg.BoolTestType_IS_NOT_UNKNOWN:
		return &expr.IsNull{Arg: e, Not: true}, nil
	case pg.BoolTestType_IS_TRUE:
		return &expr.BoolTest{Arg: e, Want: true}, nil
	case pg.BoolTestType_IS_NOT_TRUE:
		return &expr.BoolTest{Arg: e, Want: true, Not: true}, nil
	case pg.BoolTestType_IS_FALSE:
		return &expr.BoolTest{Arg: e}, nil
	}
	return &expr.BoolTest{Arg: e, Not: true}, nil
}

// guarded binds with set-returning functions refused, as inside CASE.
func (q *query) guarded(what string, f func() error) error {
	saved := q.noSRF
	q.noSRF = what
	defer func() { q.noSRF = saved }()
	return f()
}

func (q *query) caseExpr(x *pg.CaseExpr) (out expr.Expr, err error) {
	err = q.guarded("CASE", func() error {
		out, err = q.caseArms(x)
		return err
	})
	return out, err
}

func (q *query) caseArms(x *pg.CaseExpr) (expr.Expr, error) {
	b := q.b
	var arg expr.Expr
	var err error
	if x.Arg != nil {
		if arg, err = q.expr(x.Arg); err != nil {
			return nil, err
		}
		if arg, err = b.known(arg, location(x.Arg)); err != nil {
			return nil, err
		}
	}
	c := &expr.Case{}
	// The ELSE comes first where types are matched.
	var results []expr.Expr
	var locs []int32
	var thens []expr.Expr
	for _, n := range x.Args {
		w := n.GetCaseWhen()
		cond, err := q.expr(w.Expr)
		if err != nil {
			return nil, err
		}
		if arg != nil {
			if cond, err = b.binary("=", arg, cond, w.Location); err != nil {
				return nil, err
			}
		}
		if cond, err = b.boolean(cond, "CASE/WHEN", location(w.Expr)); err != nil {
			return nil, err
		}
		then, err := q.expr(w.Result)
		if err != nil {
			return nil, err
		}
		thens = append(thens, then)
		locs = append(locs, location(w.Result))
		c.Whens = append(c.Whens, expr.When{Cond: cond})
	}
	var els expr.Expr = null(types.Unknown)
	elsLoc := int32(-1)
	if x.Defresult != nil {
		if els, err = q.expr(x.Defresult); err != nil {
			return nil, err
		}
		elsLoc = location(x.Defresult)
	}
	results = append([]expr.Expr{els}, thens...)
	locs = append([]int32{elsLoc}, locs...)
	results, t, err := b.unify(results, locs, "CASE")
	if err != nil {
		return nil, err
	}
	c.T = t
	if x.Defresult != nil {
		c.Else = results[0]
	}
	for i := range c.Whens {
		c.Whens[i].Then = results[i+1]
	}
	return c, nil
}

func (q *query) exprs(ns []*pg.Node) (es []expr.Expr, locs []int32, err error) {
	for _, n := range ns {
		e, err := q.expr(n)
		if err != nil {
			return nil, nil, err
		}
		es = append(es, e)
		locs = append(locs, location(n))
	}
	return es, locs, nil
}

func (q *query) coalesce(x *pg.CoalesceExpr) (out expr.Expr, err error) {
	err = q.guarded("COALESCE", func() error {
		es, locs, err := q.exprs(x.Args)
		if err != nil {
			return err
		}
		es, t, err := q.b.unify(es, locs, "COALESCE")
		out = &expr.Coalesce{Args: es, T: t}
		return err
	})
	return out, err
}

func (q *query) minMax(x *pg.MinMaxExpr) (expr.Expr, error) {
	name := "LEAST"
	if x.Op == pg.MinMaxOp_IS_GREATEST {
		name = "GREATEST"
	}
	es, locs, err := q.exprs(x.Args)
	if err != nil {
		return nil, err
	}
	es, t, err := q.b.unify(es, locs, name)
	if err != nil {
		return nil, err
	}
	if fn.LessFor(t.OID) == nil {
		return nil, q.b.errf(x.Location, sqlstate.UndefinedFunction, "could not identify a comparison function for type %s", types.FormatTypeNoMod(t.OID))
	}
	return &expr.MinMax{Args: es, Greatest: name == "GREATEST", T: t}, nil
}

// array binds ARRAY[...]; want is the array type that a cast around it asks for.
func (q *query) array(x *pg.A_ArrayExpr, want types.T) (expr.Expr, error) {
	b := q.b
	var es []expr.Expr
	var locs []int32
	multi := false
	for _, n := range x.Elements {
		var e expr.Expr
		var err error
		if sub := n.GetAArrayExpr(); sub != nil {
			multi = true
			e, err = q.array(sub, want)
		} else {
			e, err = q.expr(n)
			if err == nil && fn.ElemOf(e.Type().OID) != 0 && e.Type().OID != types.Int2VectorOID && e.Type().OID != types.OidVectorOID {
				multi = true
			}
		}
		if err != nil {
			return nil, err
		}
		es = append(es, e)
		locs = append(locs, location(n))
	}
	if want.OID != 0 {
		elem := types.Of(fn.ElemOf(want.OID), want.Mod)
		if multi {
			elem = want
		}
		for i, e := range es {
			out, ok, err := b.coerce(e, elem, fn.Explicit, locs[i])
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, b.errf(locs[i], sqlstate.CannotCoerce, "cannot cast type %s to %s", types.FormatTypeNoMod(e.Type().OID), types.FormatTypeNoMod(elem.OID))
			}
			es[i] = asType(out, types.Of(elem.OID, -1))
		}
		return &expr.Array{Elems: es, T: types.Of(want.OID, want.Mod), Multi: multi}, nil
	}
	if len(es) == 0 {
		return nil, b.errf(x.Location, sqlstate.IndeterminateDatatype, "cannot determine type of empty array").
			WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
	}
	oid, err := b.commonType(es, locs, "ARRAY")
	if err != nil {
		return nil, err
	}
	for i, e := range es {
		if es[i], err = b.toCommon(e, oid, locs[i], "ARRAY"); err != nil {
			return nil, err
		}
		es[i] = asType(es[i], types.Of(oid, -1)) // elements are in the variable form
	}
	arr := oid
	if !multi {
		if arr = fn.ArrayOf(oid); arr == 0 {
			return nil, b.errf(x.Location, sqlstate.UndefinedObject, "could not find array type for data type %s", types.FormatTypeNoMod(oid))
		}
	}
	return &expr.Array{Elems: es, T: types.Of(arr, -1), Multi: multi}, nil
}

func (q *query) row(x *pg.RowExpr) (expr.Expr, error) {
	row := &expr.Row{}
	for _, n := range x.Args {
		if ref := n.GetColumnRef(); ref != nil && isStar(ref.Fields) {
			ts, err := q.star(ref)
			if err != nil {
				return nil, err
			}
			for _, t := range ts {
				row.Elems = append(row.Elems, t.e)
			}
			continue
		}
		e, err := q.expr(n)
		if err != nil {
			return nil, err
		}
		row.Elems = append(row.Elems, e)
	}
	for i := range row.Elems {
		row.Names = append(row.Names, "f"+itoa(i+1))
	}
	return row, nil
}

// knownRow resolves a row's fields of type unknown.
func (b *binder) knownRow(row *expr.Row) (*expr.Row, error) {
	out := &expr.Row{Names: row.Names}
	for _, e := range row.Elems {
		k, err := b.known(e, -1)
		if err != nil {
			return nil, err
		}
		out.Elems = append(out.Elems, k)
	}
	return out, nil
}

// indirection binds subscripts and field selections after an expression.
func (q *query) indirection(x *pg.A_Indirection) (expr.Expr, error) {
	b := q.b
	loc := location(x.Arg)
	e, err := q.expr(x.Arg)
	if err != nil {
		return nil, err
	}
	var subs []*pg.A_Indices
	flush := func() error {
		if len(subs) == 0 {
			return nil
		}
		e, err = q.subscript(e, subs, loc)
		subs = nil
		return err
	}
	for _, n := range x.Indirection {
		if i := n.GetAIndices(); i != nil {
			subs = append(subs, i)
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
		if n.GetAStar() != nil {
			return nil, b.errf(loc, sqlstate.FeatureNotSupported, "row expansion via \"*\" is not supported here")
		}
		ref := x.Arg.GetColumnRef()
		_, isRow := e.(*expr.Row)
		if e, err = q.field(e, stringNode(n), loc); err != nil {
			if ref != nil && isRow && len(ref.Fields) == 1 {
				return nil, q.missingColumn(stringNode(ref.Fields[0]), stringNode(n), loc)
			}
			return nil, err
		}
	}
	return e, flush()
}

func (q *query) subscript(e expr.Expr, subs []*pg.A_Indices, loc int32) (expr.Expr, error) {
	b := q.b
	t := e.Type()
	if t.OID == types.JSONBOID {
		for _, s := range subs {
			if s.IsSlice {
				return nil, b.errf(loc, sqlstate.DatatypeMismatch, "jsonb subscript does not support slices")
			}
			k, err := q.expr(s.Uidx)
			if err != nil {
				return nil, err
			}
			if k, err = b.known(k, location(s.Uidx)); err != nil {
				return nil, err
			}
			if e, err = b.binary("->", e, k, loc); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
	elem := fn.ElemOf(t.OID)
	if elem == 0 {
		return nil, b.errf(loc, sqlstate.DatatypeMismatch, "cannot subscript type %s because it does not support subscripting", types.FormatTypeNoMod(t.OID))
	}
	s := &expr.Subscript{Arg: e}
	for _, i := range subs {
		s.Slice = s.Slice || i.IsSlice
	}
	one := func(n *pg.Node) (expr.Expr, error) {
		if n == nil {
			return nil, nil
		}
		x, err := q.expr(n)
		if err != nil {
			return nil, err
		}
		out, ok, err := b.coerce(x, types.Int4, fn.Assignment, location(n))
		if err == nil && !ok {
			err = b.errf(location(n), sqlstate.DatatypeMismatch, "array subscript must have type integer")
		}
		return out, err
	}
	for _, i := range subs {
		lo, err := one(i.Lidx)
		if err != nil {
			return nil, err
		}
		up, err := one(i.Uidx)
		if err != nil {
			return nil, err
		}
		switch {
		case !s.Slice:
			s.Lower = append(s.Lower, up)
		case i.IsSlice:
			s.Lower, s.Upper = append(s.Lower, lo), append(s.Upper, up)
		default: // a[i] among slices is a[1:i]
			s.Lower, s.Upper = append(s.Lower, intConst(1)), append(s.Upper, up)
		}
	}
	s.T = types.Of(elem, -1)
	if s.Slice {
		s.T = t
	}
	return s, nil
}

// field selects a field of a record.
func (q *query) field(e expr.Expr, name string, loc int32) (expr.Expr, error) {
	b := q.b
	if t := e.Type().OID; t != types.RecordOID {
		return nil, b.errf(loc, sqlstate.WrongObjectType, "column notation .%s applied to type %s, which is not a composite type", name, types.FormatTypeNoMod(t))
	}
	fs, err := q.fields(e, loc)
	if err != nil {
		return nil, err
	}
	for _, f := range fs {
		if f.name == name {
			return f.e, nil
		}
	}
	return nil, b.errf(loc, sqlstate.UndefinedColumn, "could not identify column \"%s\" in record data type", name)
}

// shape notes the fields of column id, which has the value of e.
func (b *binder) shape(q *query, id int, e expr.Expr) {
	if e.Type().OID != types.RecordOID {
		return
	}
	fs, err := q.fields(e, 0)
	if err != nil {
		return // not known; asking for a field fails
	}
	info := b.cols[id]
	for _, f := range fs {
		info.fields = append(info.fields, plan.Column{Name: f.name, T: f.e.Type()})
	}
}

// fields lists the fields of a record whose shape is known.
func (q *query) fields(e expr.Expr, loc int32) ([]target, error) {
	var out []target
	switch x := e.(type) {
	case *expr.Row:
		for i, f := range x.Elems {
			out = append(out, target{name: x.Names[i], e: f, loc: loc})
		}
		return out, nil
	case *expr.Call:
		for i, oid := range x.Fn.OutTypes {
			t := types.Of(oid, -1)
			out = append(out, target{name: x.Fn.OutNames[i], e: &expr.Field{Arg: e, N: i, Name: x.Fn.OutNames[i], T: t}, loc: loc})
		}
		if len(out) > 0 {
			return out, nil
		}
	case *expr.Column:
		if info := q.b.cols[x.ID]; info != nil && len(info.fields) > 0 {
			for i, c := range info.fields {
				out = append(out, target{name: c.Name, e: &expr.Field{Arg: e, N: i, Name: c.Name, T: c.T}, loc: loc})
			}
			return out, nil
		}
	}
	if e.Type().OID != types.RecordOID {
		return nil, q.b.errf(-1, sqlstate.WrongObjectType, "type %s is not composite", types.FormatTypeNoMod(e.Type().OID))
	}
	return nil, q.b.errf(loc, sqlstate.FeatureNotSupported, "record type has not been registered")
}

// collate accepts the collations that order by bytes, which is how all text is
// ordered.
func (q *query) collate(x *pg.CollateClause) (expr.Expr, error) {
	b := q.b
	e, err := q.expr(x.Arg)
	if err != nil {
		return nil, err
	}
	if e.Type().OID == types.UnknownOID {
		if e, err = b.known(e, location(x.Arg)); err != nil {
			return nil, err
		}
	}
	if err := b.collation(names(x.Collname), x.Location); err != nil {
		return nil, err
	}
	base := e.Type().OID
	if el := fn.ElemOf(base); el != 0 {
		base = el
	}
	switch base {
	case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID:
		return e, nil
	}
	return nil, b.errf(x.Location, sqlstate.DatatypeMismatch, "collations are not supported by type %s", types.FormatTypeNoMod(e.Type().OID))
}

func (b *binder) collation(ns []string, loc int32) error {
	switch ns[len(ns)-1] {
	case "C", "POSIX", "default", "ucs_basic", "C.UTF-8", "C.utf8":
		return nil
	}
	return b.errf(loc, sqlstate.UndefinedObject, "collation \"%s\" for encoding \"UTF8\" does not exist", strings.Join(ns, "."))
}

// sqlValue binds CURRENT_DATE and its kin by the functions that give them.
func (q *query) sqlValue(x *pg.SQLValueFunction) (expr.Expr, error) {
	b := q.b
	plain := func(name string) (expr.Expr, error) {
		for _, f := range fn.ByName(name) {
			if len(f.Args) == 0 {
				return &expr.Call{Fn: f, T: types.Of(f.Ret, -1), Pos: int(x.Location)}, nil
			}
		}
		return nil, b.unsupported(x.Location, "%s", strings.ToUpper(name))
	}
	now := func(t types.T) (expr.Expr, error) {
		e, err := plain("now")
		if err != nil {
			return nil, err
		}
		if e, err = b.coerceType(e, t, fn.Explicit, x.Location); err != nil {
			return nil, err
		}
		return b.modify(e, t, true), nil
	}
	mod := min(x.Typmod, 6)
	switch x.Op {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:
		return now(types.Date)
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME:
		return now(types.Timetz)
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:
		return now(types.Of(types.TimetzOID, mod))
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:
		return now(types.Timestamptz)
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N:
		return now(types.Of(types.TimestamptzOID, mod))
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIME:
		return now(types.Time)
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:
		return now(types.Of(types.TimeOID, mod))
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:
		return now(types.Timestamp)
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
		return now(types.Of(types.TimestampOID, mod))
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE, pg.SQLValueFunctionOp_SVFOP_CURRENT_USER, pg.SQLValueFunctionOp_SVFOP_USER:
		return plain("current_user")
	case pg.SQLValueFunctionOp_SVFOP_SESSION_USER:
		return plain("session_user")
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:
		return plain("current_database")
	}
	return plain("current_schema")
}
