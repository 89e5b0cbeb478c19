package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// writable finds the target of a write; verb is for errors.
func (b *binder) writable(rv *pg.RangeVar, verb string) (*catalog.Table, error) {
	if rv.Catalogname != "" && rv.Catalogname != b.env.Database {
		return nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "cross-database references are not implemented: \"%s.%s.%s\"", rv.Catalogname, rv.Schemaname, rv.Relname)
	}
	t, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
	if err != nil {
		return nil, err
	}
	switch t.Kind {
	case catalog.KindView:
		return nil, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "cannot %s view \"%s\"", verb, t.Name).
			WithDetail("Views are not updatable.")
	case catalog.KindSequence:
		return nil, sqlstate.Errorf(sqlstate.WrongObjectType, "cannot change sequence \"%s\"", t.Name)
	case catalog.KindSystem:
		return nil, sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied: \"%s\" is a system catalog", t.Name)
	}
	return t, nil
}

// rowColumns makes columns for a whole row of a table, by ordinal.
func (b *binder) rowColumns(q *query, t *catalog.Table) []plan.Column {
	out := make([]plan.Column, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		out[i] = b.column(q, c.Name, c.T, inputCol)
		out[i].Table, out[i].Attr = t.OID, c.Attr
		b.cols[out[i].ID].col = out[i]
	}
	return out
}

// rowRel makes a namespace entry of a row's columns.
func (q *query) rowRel(name string, t *catalog.Table, cols []plan.Column) *rel {
	r := &rel{name: name, table: t, q: q, relVisible: true, colsVisible: true, lateralOK: true}
	for i, c := range cols {
		r.cols = append(r.cols, relCol{name: t.Columns[i].Name, e: c.Ref(), idx: i})
	}
	return r
}

// defaultOf is a column's default, typed as the column.
func (b *binder) defaultOf(c *catalog.Column) (expr.Expr, error) {
	if c.DefaultText == "" {
		if c.Identity != 0 {
			return b.columnExpr(catalog.NextvalText(c.Sequence), c, nil)
		}
		return null(c.T), nil
	}
	return b.columnExpr(c.DefaultText, c, nil)
}

// columnExpr binds the text of a column's default or generation expression; row
// is what its column references mean.
func (b *binder) columnExpr(text string, c *catalog.Column, row *rel) (expr.Expr, error) {
	n, err := parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	saved := b.text
	b.text = ""
	defer func() { b.text = saved }()
	q := &query{b: b, clause: clauseDefault}
	if row != nil {
		q.clause = clauseGenerated
		q.ns = []*rel{row}
	}
	e, err := q.expr(n)
	if err != nil {
		return nil, err
	}
	return b.assignable(e, c.T, c.Name, -1)
}

// checks are the tests that a new row must pass.
func (b *binder) checks(q *query, t *catalog.Table, row []plan.Column) ([]plan.Check, error) {
	var out []plan.Check
	pk := map[int]bool{}
	for _, o := range t.PK {
		pk[o] = true
	}
	for i := range t.Columns {
		if t.Columns[i].NotNull || pk[i] {
			out = append(out, plan.Check{Name: t.Columns[i].Name, Column: t.Columns[i].Name, Pred: &expr.IsNull{Arg: row[i].Ref(), Not: true}})
		}
	}
	for _, c := range t.Checks {
		n, err := parser.ParseExpr(c.Text)
		if err != nil {
			return nil, err
		}
		saved := b.text
		b.text = ""
		cq := &query{b: b, ns: []*rel{q.rowRel(t.Name, t, row)}}
		e, err := cq.condition(n, clauseCheck, "CHECK")
		b.text = saved
		if err != nil {
			return nil, err
		}
		out = append(out, plan.Check{Name: c.Name, Pred: e})
	}
	return out, nil
}

// returning binds a RETURNING list into ret. Where it has subqueries, ret passes on
// the columns that it uses, and above computes it from these.
func (q *query) returning(list []*pg.Node, ns []*rel, ret *[]plan.Projection) (above []plan.Projection, cols []plan.Column, err error) {
	if len(list) == 0 {
		return nil, nil, nil
	}
	b := q.b
	q.ns = ns
	var ts []target
	err = q.in(clauseReturning, func() (err error) {
		ts, err = q.targets(list)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var out []plan.Projection
	sub := false
	for _, t := range ts {
		e, err := b.known(t.e, t.loc)
		if err != nil {
			return nil, nil, err
		}
		sub = sub || hasSubquery(e)
		c := b.column(q, t.name, e.Type(), inputCol)
		if ref, ok := e.(*expr.Column); ok {
			c.Table, c.Attr = b.cols[ref.ID].col.Table, b.cols[ref.ID].col.Attr
		}
		out = append(out, plan.Projection{Col: c, Expr: e})
		cols = append(cols, c)
	}
	if !sub {
		*ret = out
		return nil, cols, nil
	}
	fresh := map[int]plan.Column{}
	for i, p := range out {
		out[i].Expr = plan.RewriteExpr(p.Expr, func(e expr.Expr) (expr.Expr, bool) {
			c, ok := e.(*expr.Column)
			if !ok || b.cols[c.ID] == nil || b.cols[c.ID].q != q {
				return e, false
			}
			f, ok := fresh[c.ID]
			if !ok {
				f = b.column(q, c.Name, c.T, inputCol)
				fresh[c.ID] = f
				*ret = append(*ret, plan.Projection{Col: f, Expr: c})
			}
			return f.Ref(), true
		})
	}
	if len(*ret) == 0 { // one row for each row
		*ret = append(*ret, plan.Projection{Col: b.column(q, "one", types.Int4, inputCol), Expr: &expr.Const{T: types.Int4, D: types.NewInt(1)}})
	}
	return out, cols, nil
}

// written puts the WITH items of a write below it, and the part of RETURNING that
// has subqueries above; then these may read the items too.
func (q *query) written(n plan.Node, in *plan.Node, above []plan.Projection) plan.Node {
	if above == nil {
		*in = q.wrapCTEs(*in)
		return n
	}
	return q.wrapCTEs(&plan.Project{Input: n, Exprs: above})
}

func hasSubquery(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		if _, ok := e.(*plan.Subquery); ok {
			found = true
		}
		return !found
	})
	return found
}
