package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// conflict binds ON CONFLICT.
func (b *binder) conflict(q *query, t *catalog.Table, name string, c *pg.OnConflictClause, ins *plan.Insert) (*plan.Conflict, error) {
	out := &plan.Conflict{DoNothing: c.Action == pg.OnConflictAction_ONCONFLICT_NOTHING}
	if inf := c.Infer; inf != nil {
		var err error
		if out.Unique, err = b.arbiter(t, inf); err != nil {
			return nil, err
		}
		object := b.useColumns(t, "r") // it tells which keys there are
		key := t.PK
		if out.Unique != nil {
			key = t.Ordinals(out.Unique)
		}
		for _, o := range key {
			b.useColumn(object, 'r', t, o)
		}
	} else if !out.DoNothing {
		return nil, b.errf(c.Location, sqlstate.SyntaxError, "ON CONFLICT DO UPDATE requires inference specification or constraint name").
			WithHint("For example, ON CONFLICT (column_name).")
	}
	out.Any = c.Infer == nil && len(t.Unique) > 0
	if out.DoNothing {
		return out, nil
	}
	object := b.useColumns(t, "w")
	out.Old = b.rowColumns(q, t)
	q.ns = []*rel{q.rowRel(name, t, out.Old), q.rowRel("excluded", t, ins.Row)}
	for _, r := range q.ns {
		r.object = object
	}
	set, err := q.assignments(t, c.TargetList)
	if err != nil {
		return nil, err
	}
	for o := range set {
		b.useColumn(object, 'w', t, o)
	}
	if out.Set, err = b.newRow(q, t, out.Old, set); err != nil {
		return nil, err
	}
	if c.WhereClause != nil {
		if out.Where, err = q.condition(c.WhereClause, clauseWhere, "WHERE"); err != nil {
			return nil, err
		}
	}
	q.ns = nil
	return out, q.hoistConflict(out, ins, c.Location)
}

// hoistConflict computes the subqueries of ON CONFLICT beside the proposed rows.
func (q *query) hoistConflict(k *plan.Conflict, ins *plan.Insert, loc int32) error {
	b := q.b
	old := map[int]bool{}
	for _, c := range k.Old {
		old[c.ID] = true
	}
	p := &plan.Project{Input: ins.Input}
	for _, c := range ins.Row {
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	onOld := false
	hoist := func(e expr.Expr) expr.Expr {
		return plan.RewriteExpr(e, func(e expr.Expr) (expr.Expr, bool) {
			s, ok := e.(*plan.Subquery)
			if !ok {
				return e, false
			}
			plan.RewriteExpr(s, func(e expr.Expr) (expr.Expr, bool) {
				if c, ok := e.(*expr.Column); ok && old[c.ID] {
					onOld = true
				}
				return e, false
			})
			c := b.column(q, "value", s.Type(), inputCol)
			p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: s})
			k.Extra = append(k.Extra, c)
			return c.Ref(), true
		})
	}
	if k.Where != nil {
		k.Where = hoist(k.Where)
	}
	for i, e := range k.Set {
		k.Set[i] = hoist(e)
	}
	if onOld {
		return b.unsupported(loc, "a subquery over the existing row in ON CONFLICT")
	}
	if len(k.Extra) > 0 {
		ins.Input = p
	}
	return nil
}

// arbiter finds the key that ON CONFLICT names, nil for the primary key.
func (b *binder) arbiter(t *catalog.Table, inf *pg.InferClause) (*catalog.UniqueKey, error) {
	if inf.Conname != "" {
		if t.PKName != "" && inf.Conname == t.PKName {
			return nil, nil
		}
		for i := range t.Unique {
			if k := &t.Unique[i]; k.Name == inf.Conname && !k.IndexOnly {
				return k, nil
			}
		}
		return nil, b.errf(inf.Location, sqlstate.UndefinedObject, "constraint \"%s\" for table \"%s\" does not exist", inf.Conname, t.Name)
	}
	want := map[int32]bool{}
	for _, n := range inf.IndexElems {
		e := n.GetIndexElem()
		if e.Name == "" {
			return nil, b.errf(inf.Location, sqlstate.InvalidColumnReference, "there is no unique or exclusion constraint matching the ON CONFLICT specification")
		}
		o := t.Ordinal(e.Name)
		if o < 0 {
			return nil, b.errf(inf.Location, sqlstate.UndefinedColumn, "column \"%s\" does not exist", e.Name)
		}
		want[t.Columns[o].ID] = true
	}
	var pk []int32
	for _, o := range t.PK {
		pk = append(pk, t.Columns[o].ID)
	}
	if len(pk) > 0 && sameSet(pk, want) {
		return nil, nil
	}
	for i := range t.Unique {
		if sameSet(t.Unique[i].Columns, want) {
			return &t.Unique[i], nil
		}
	}
	return nil, sqlstate.Errorf(sqlstate.InvalidColumnReference, "there is no unique or exclusion constraint matching the ON CONFLICT specification")
}
