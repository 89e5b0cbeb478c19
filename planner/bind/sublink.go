package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

type subqueryExpr = *plan.Subquery

// subLink binds a subquery inside an expression.
func (q *query) subLink(x *pg.SubLink) (expr.Expr, error) {
	b := q.b
	sel := x.Subselect.GetSelectStmt()
	if sel == nil {
		return nil, b.unsupported(x.Location, "a data-modifying statement in a subquery")
	}
	if q.clause.noColumns != "" {
		return nil, b.errf(x.Location, sqlstate.FeatureNotSupported, "cannot use subquery in DEFAULT expression")
	}
	if x.SubLinkType == pg.SubLinkType_ANY_SUBLINK || x.SubLinkType == pg.SubLinkType_ALL_SUBLINK {
		return q.quantified(x, sel)
	}
	r, err := b.bindQuery(sel, q, false)
	if err != nil {
		return nil, err
	}
	switch x.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		return &plan.Subquery{Kind: plan.ExistsSubquery, Plan: r.node, T: types.Bool}, nil
	case pg.SubLinkType_EXPR_SUBLINK, pg.SubLinkType_ARRAY_SUBLINK:
		if len(r.cols) != 1 {
			return nil, b.errf(x.Location, sqlstate.SyntaxError, "subquery must return only one column")
		}
		t := r.cols[0].T
		if x.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
			return &plan.Subquery{Kind: plan.ScalarSubquery, Plan: r.node, T: t}, nil
		}
		arr := fn.ArrayOf(t.OID)
		if arr == 0 {
			if fn.ElemOf(t.OID) == 0 {
				return nil, b.errf(x.Location, sqlstate.UndefinedObject, "could not find array type for data type %s", types.FormatTypeNoMod(t.OID))
			}
			arr = t.OID
		}
		node, _, err := b.retype(q, r.node, r.cols, []types.T{types.Of(t.OID, -1)}, fn.Implicit, x.Location)
		if err != nil {
			return nil, err
		}
		return &plan.Subquery{Kind: plan.ArraySubquery, Plan: node, T: types.Of(arr, -1)}, nil
	}
	return nil, b.unsupported(x.Location, "subquery of kind %s", x.SubLinkType)
}

// quantified is row IN / op ANY / op ALL (subquery).
func (q *query) quantified(x *pg.SubLink, sel *pg.SelectStmt) (expr.Expr, error) {
	b := q.b
	r, err := b.bindQuery(sel, q, false)
	if err != nil {
		return nil, err
	}
	var tests []expr.Expr
	if row := x.Testexpr.GetRowExpr(); row != nil {
		e, err := q.row(row)
		if err != nil {
			return nil, err
		}
		tests = e.(*expr.Row).Elems
	} else {
		e, err := q.expr(x.Testexpr)
		if err != nil {
			return nil, err
		}
		if r, ok := e.(*expr.Row); ok {
			tests = r.Elems
		} else {
			tests = []expr.Expr{e}
		}
	}
	switch {
	case len(tests) < len(r.cols):
		return nil, b.errf(x.Location, sqlstate.SyntaxError, "subquery has too many columns")
	case len(tests) > len(r.cols):
		return nil, b.errf(x.Location, sqlstate.SyntaxError, "subquery has too few columns")
	}
	name := "="
	if len(x.OperName) > 0 {
		if name, err = b.opName(names(x.OperName), x.Location); err != nil {
			return nil, err
		}
	}
	all := x.SubLinkType == pg.SubLinkType_ALL_SUBLINK
	if len(tests) > 1 && !(name == "=" && !all || name == "<>" && all) {
		return nil, b.unsupported(x.Location, "a row comparison %s with %s of a subquery", name, map[bool]string{true: "ALL", false: "ANY"}[all])
	}
	s := &plan.Subquery{Kind: plan.AnyAllSubquery, All: all, OpName: name, T: types.Bool}
	want := make([]types.T, len(r.cols))
	for i, t := range tests {
		c := r.cols[i]
		e, err := b.binary(name, t, c.Ref(), x.Location)
		if err != nil {
			return nil, err
		}
		call := e.(*expr.Call)
		if call.T.OID != types.BoolOID {
			return nil, b.errf(x.Location, sqlstate.DatatypeMismatch, "row comparison operator must yield type boolean, not type %s", types.FormatTypeNoMod(call.T.OID))
		}
		s.Test = append(s.Test, call.Args[0])
		s.Fns = append(s.Fns, call.Fn)
		want[i] = call.Args[1].Type()
	}
	if s.Plan, _, err = b.retype(q, r.node, r.cols, want, fn.Implicit, x.Location); err != nil {
		return nil, err
	}
	return s, nil
}

// rowSubquery compares a row with the one row of a subquery: one scalar subquery a
// field.
func (q *query) rowSubquery(x *pg.A_Expr, name string, row *pg.RowExpr, sub *pg.SubLink) (expr.Expr, error) {
	l, err := q.row(row)
	if err != nil {
		return nil, err
	}
	fields, err := q.rowOf(sub, len(l.(*expr.Row).Elems), x.Location)
	if err != nil {
		return nil, err
	}
	return q.b.compareRows(name, l.(*expr.Row).Elems, fields, x.Location)
}

// rowOf makes one scalar subquery for each of a row subquery's n columns.
func (q *query) rowOf(sub *pg.SubLink, n int, loc int32) ([]expr.Expr, error) {
	b := q.b
	var out []expr.Expr
	for i := 0; i < n; i++ {
		r, err := b.bindQuery(sub.Subselect.GetSelectStmt(), q, false)
		if err != nil {
			return nil, err
		}
		switch {
		case n < len(r.cols):
			return nil, b.errf(loc, sqlstate.SyntaxError, "subquery has too many columns")
		case n > len(r.cols):
			return nil, b.errf(loc, sqlstate.SyntaxError, "subquery has too few columns")
		}
		c := r.cols[i]
		p := &plan.Project{Input: r.node, Exprs: []plan.Projection{{Col: c, Expr: c.Ref()}}}
		out = append(out, &plan.Subquery{Kind: plan.ScalarSubquery, Plan: p, T: c.T})
	}
	return out, nil
}
