package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// assignments binds a SET list: the new values by ordinal.
func (q *query) assignments(t *catalog.Table, list []*pg.Node) (map[int]expr.Expr, error) {
	b := q.b
	// The values are bound before the columns are looked at, as PostgreSQL does.
	type value struct {
		e         expr.Expr
		loc       int32
		isDefault bool
	}
	values := make([]value, len(list))
	err := q.in(clauseUpdate, func() error {
		for i, n := range list {
			e, loc, isDefault, err := q.assigned(n.GetResTarget())
			if err != nil {
				return err
			}
			values[i] = value{e, loc, isDefault}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out, seen := map[int]expr.Expr{}, map[int]bool{}
	for i, n := range list {
		rt, v := n.GetResTarget(), values[i]
		o := t.Ordinal(rt.Name)
		if o < 0 {
			return nil, b.errf(rt.Location, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", rt.Name, t.Name)
		}
		if len(rt.Indirection) > 0 {
			return nil, b.unsupported(rt.Location, "assignment to a part of column \"%s\"", rt.Name)
		}
		c := &t.Columns[o]
		if v.isDefault {
			if c.GeneratedText != "" {
				continue
			}
			if v.e, err = b.defaultOf(c); err != nil {
				return nil, err
			}
		} else {
			if c.GeneratedText != "" {
				return nil, sqlstate.Errorf(generatedAlways, "column \"%s\" can only be updated to DEFAULT", c.Name).
					WithDetail("Column \"%s\" is a generated column.", c.Name)
			}
			if c.Identity == 'a' {
				return nil, sqlstate.Errorf(generatedAlways, "column \"%s\" can only be updated to DEFAULT", c.Name).
					WithDetail("Column \"%s\" is an identity column defined as GENERATED ALWAYS.", c.Name)
			}
			if v.e, err = b.assignable(v.e, c.T, c.Name, v.loc); err != nil {
				return nil, err
			}
		}
		if seen[o] {
			return nil, b.errf(-1, sqlstate.SyntaxError, "multiple assignments to same column \"%s\"", c.Name)
		}
		seen[o] = true
		out[o] = v.e
	}
	return out, nil
}

// assigned binds the value of one SET item.
func (q *query) assigned(rt *pg.ResTarget) (e expr.Expr, loc int32, isDefault bool, err error) {
	n := rt.Val
	if m := n.GetMultiAssignRef(); m != nil {
		if row := m.Source.GetRowExpr(); row != nil {
			if len(row.Args) != int(m.Ncolumns) {
				return nil, 0, false, q.b.errf(location(m.Source), sqlstate.SyntaxError, "number of columns does not match number of values")
			}
			n = row.Args[m.Colno-1]
		} else if sub := m.Source.GetSubLink(); sub != nil && sub.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
			fields, err := q.rowOf(sub, int(m.Ncolumns), -1)
			if err != nil {
				if e := sqlstate.From(err); strings.HasPrefix(e.Message, "subquery has too ") {
					err = q.b.errf(location(m.Source), sqlstate.SyntaxError, "number of columns does not match number of values")
				}
				return nil, 0, false, err
			}
			return fields[m.Colno-1], location(m.Source), false, nil
		} else {
			return nil, 0, false, q.b.errf(location(m.Source), sqlstate.FeatureNotSupported, "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression")
		}
	}
	if n.GetSetToDefault() != nil {
		return nil, 0, true, nil
	}
	e, err = q.expr(n)
	return e, location(n), false, err
}

// newRow is a whole row by ordinal: the assigned values, the old ones elsewhere,
// and generated columns computed from these.
func (b *binder) newRow(q *query, t *catalog.Table, old []plan.Column, set map[int]expr.Expr) ([]expr.Expr, error) {
	out := make([]expr.Expr, len(t.Columns))
	for i := range t.Columns {
		if e, ok := set[i]; ok {
			out[i] = e
		} else {
			out[i] = old[i].Ref()
		}
	}
	row := &rel{name: t.Name, table: t, q: q, relVisible: true, colsVisible: true}
	for i := range t.Columns {
		row.cols = append(row.cols, relCol{name: t.Columns[i].Name, e: out[i], idx: i})
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.GeneratedText == "" {
			continue
		}
		e, err := b.columnExpr(c.GeneratedText, c, row)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

// targetScan is the scan of an UPDATE's or DELETE's table: all columns and the
// hidden ones that name the row.
func (q *query) targetScan(t *catalog.Table, rv *pg.RangeVar) (*plan.Scan, *rel, []plan.Column, plan.Column, plan.Column, error) {
	b := q.b
	s, r, err := q.scan(t, rv.Alias)
	if err != nil {
		return nil, nil, nil, plan.Column{}, plan.Column{}, err
	}
	r.written = true
	old := make([]plan.Column, len(t.Columns))
	for i := range t.Columns {
		r.plain(i, -1)
		old[i] = b.cols[r.cols[i].id].col
	}
	csn := b.cols[b.scanColumn(r, catalog.ColCSN)].col
	var id plan.Column
	if len(t.PK) == 0 {
		id = b.cols[b.scanColumn(r, catalog.ColRowID)].col
	}
	return s, r, old, csn, id, nil
}

// update binds UPDATE.
func (b *binder) update(s *pg.UpdateStmt, parent *query) (plan.Node, []plan.Column, error) {
	q := &query{b: b, parent: parent}
	t, err := b.writable(s.Relation, "update")
	if err != nil {
		return nil, nil, err
	}
	object := b.useColumns(t, "w")
	if err := q.with(s.WithClause); err != nil {
		return nil, nil, err
	}
	scan, r, old, csn, id, err := q.targetScan(t, s.Relation)
	if err != nil {
		return nil, nil, err
	}
	r.object = object
	u := &plan.Update{Table: t, Old: old, CSN: csn, RowID: id, SelfContained: len(s.FromClause) == 0}
	node, err := q.writeInput(scan, r, s.FromClause)
	if err != nil {
		return nil, nil, err
	}
	set, err := q.assignments(t, s.TargetList)
	if err != nil {
		return nil, nil, err
	}
	for o := range set {
		b.useColumn(object, 'w', t, o)
	}
	if node, err = q.writeFilter(node, s.WhereClause, &u.Recheck, &u.SelfContained); err != nil {
		return nil, nil, err
	}
	if u.Set, err = b.newRow(q, t, old, set); err != nil {
		return nil, nil, err
	}
	node = q.hoist(node, u.Set)
	u.Input = node
	u.Row = b.rowColumns(q, t)
	if u.Checks, err = b.checks(q, t, u.Row); err != nil {
		return nil, nil, err
	}
	row := q.rowRel(r.name, t, u.Row)
	row.object = object
	ns := append([]*rel{row}, without(q.ns, r)...)
	if len(s.ReturningList) > 0 || s.WhereClause != nil {
		b.useColumns(t, "r")
	}
	above, cols, err := q.returning(s.ReturningList, ns, &u.Returning)
	if err != nil {
		return nil, nil, err
	}
	return q.written(u, &u.Input, above), cols, nil
}

func without(ns []*rel, r *rel) []*rel {
	var out []*rel
	for _, x := range ns {
		if x != r {
			out = append(out, x)
		}
	}
	return out
}

// writeInput joins the target with what FROM or USING names.
func (q *query) writeInput(scan plan.Node, r *rel, from []*pg.Node) (plan.Node, error) {
	q.ns = []*rel{r}
	if len(from) == 0 {
		return scan, nil
	}
	// LATERAL items there cannot see the target.
	r.lateralOnly, r.lateralOK = true, false
	other, err := q.from(from)
	if err != nil {
		return nil, err
	}
	r.lateralOnly, r.lateralOK = false, true
	return &plan.Join{ID: q.b.id(), Kind: plan.Inner, L: scan, R: other}, nil
}

// writeFilter binds WHERE; recheck gets it when it can be tested on the row alone.
func (q *query) writeFilter(node plan.Node, where *pg.Node, recheck *expr.Expr, self *bool) (plan.Node, error) {
	if where == nil {
		return node, nil
	}
	pred, err := q.condition(where, clauseWhere, "WHERE")
	if err != nil {
		return nil, err
	}
	if hasSubquery(pred) {
		*self = false
	}
	if *self {
		*recheck = pred
	}
	return &plan.Filter{Input: node, Pred: pred}, nil
}

// hoist computes the new values that run subqueries below the write, where they
// can be unnested.
func (q *query) hoist(node plan.Node, set []expr.Expr) plan.Node {
	any := false
	for _, e := range set {
		any = any || hasSubquery(e)
	}
	if !any {
		return node
	}
	p := &plan.Project{Input: node}
	for _, c := range node.Columns() {
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	for i, e := range set {
		if hasSubquery(e) {
			c := q.b.column(q, "new", e.Type(), inputCol)
			p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: e})
			set[i] = c.Ref()
		}
	}
	return p
}

// delete binds DELETE.
func (b *binder) delete(s *pg.DeleteStmt, parent *query) (plan.Node, []plan.Column, error) {
	q := &query{b: b, parent: parent}
	t, err := b.writable(s.Relation, "delete from")
	if err != nil {
		return nil, nil, err
	}
	object := b.useColumns(t, "d")
	if err := q.with(s.WithClause); err != nil {
		return nil, nil, err
	}
	scan, r, old, csn, id, err := q.targetScan(t, s.Relation)
	if err != nil {
		return nil, nil, err
	}
	r.object = object
	d := &plan.Delete{Table: t, Old: old, CSN: csn, RowID: id, SelfContained: len(s.UsingClause) == 0}
	node, err := q.writeInput(scan, r, s.UsingClause)
	if err != nil {
		return nil, nil, err
	}
	if node, err = q.writeFilter(node, s.WhereClause, &d.Recheck, &d.SelfContained); err != nil {
		return nil, nil, err
	}
	d.Input = node
	if len(s.ReturningList) > 0 || s.WhereClause != nil {
		b.useColumns(t, "r")
	}
	above, cols, err := q.returning(s.ReturningList, q.ns, &d.Returning)
	if err != nil {
		return nil, nil, err
	}
	return q.written(d, &d.Input, above), cols, nil
}
