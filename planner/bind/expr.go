package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
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
