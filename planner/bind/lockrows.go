package bind

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// lockRows reads FOR UPDATE and its kin of a SELECT whose FROM is bound and whose
// rows node has; nil where there is nothing to lock. inList: there are subqueries in
// the select list.
func (q *query) lockRows(s *pg.SelectStmt, node plan.Node, inList bool) (*plan.LockRows, error) {
	if len(s.LockingClause) == 0 {
		return nil, nil
	}
	b, pred := q.b, filterOf(node)
	name := lockName(s.LockingClause[0])
	refuse := func(with string) error {
		return b.errf(-1, sqlstate.FeatureNotSupported, "FOR %s is not allowed with %s", name, with)
	}
	switch {
	case len(s.DistinctClause) > 0:
		return nil, refuse("DISTINCT clause")
	case len(s.GroupClause) > 0:
		return nil, refuse("GROUP BY clause")
	case s.HavingClause != nil:
		return nil, refuse("HAVING clause")
	case q.hasAgg:
		return nil, refuse("aggregate functions")
	case len(q.wins) > 0:
		return nil, refuse("window functions")
	case len(q.srfs) > 0:
		return nil, refuse("set-returning functions in the target list")
	}
	if len(s.FromClause) == 0 {
		return nil, nil
	}
	if len(s.LockingClause) > 1 || len(s.SortClause) > 0 && inList || len(q.ns) != 1 || q.ns[0].scan == nil || q.ns[0].table == nil || q.ns[0].table.Kind != catalog.KindTable {
		return q.lockJoined(s, node)
	}
	r := q.ns[0]
	lc := s.LockingClause[0].GetLockingClause()
	for _, n := range lc.LockedRels {
		if n.GetRangeVar().Relname != r.name {
			return nil, b.errf(n.GetRangeVar().Location, sqlstate.UndefinedTable, "relation \"%s\" in FOR %s clause not found in FROM clause", n.GetRangeVar().Relname, name)
		}
	}
	t := r.table
	b.useColumns(t, "w")
	l := &plan.LockRows{Table: t, SelfContained: pred == nil || !hasSubquery(pred)}
	if l.SelfContained {
		l.Recheck = pred
	}
	l.Mode = lockModes[name]
	switch lc.WaitPolicy {
	case pg.LockWaitPolicy_LockWaitSkip:
		l.Skip = true
	case pg.LockWaitPolicy_LockWaitError:
		l.NoWait = true
	}
	for i := range t.Columns {
		r.plain(i, -1)
		l.Old = append(l.Old, b.cols[r.cols[i].id].col)
	}
	l.CSN = b.cols[b.scanColumn(r, catalog.ColCSN)].col
	if len(t.PK) == 0 {
		l.RowID = b.cols[b.scanColumn(r, catalog.ColRowID)].col
	}
	return l, nil
}

// buildLocked stacks the nodes of a SELECT that locks its rows: those that LIMIT lets
// pass, in order, and as they are once they are locked. So the select list is computed
// above the locks, and what ORDER BY compares below them.
func (s *selection) buildLocked(node plan.Node, l *plan.LockRows, lim limits) (*result, error) {
	q, b := s.q, s.q.b
	p := &plan.Project{Input: node}
	pass := func(c plan.Column) { p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()}) }
	if l.Joined != nil {
		seen := map[int]bool{}
		for _, c := range node.Columns() {
			if !seen[c.ID] {
				seen[c.ID] = true
				pass(c)
				l.Pass = append(l.Pass, c)
			}
		}
	} else {
		for _, c := range l.Old {
			pass(c)
		}
		pass(l.CSN)
		if len(l.Table.PK) == 0 {
			pass(l.RowID)
		}
	}
	keys := make([]plan.SortKey, len(s.sorts))
	for i, r := range s.sorts {
		keys[i] = r.key
		e := s.targets[r.target].e
		c := b.column(q, "order", e.Type(), inputCol)
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: e})
		keys[i].Expr = c.Ref()
		if l.Joined != nil {
			l.Pass = append(l.Pass, c)
		}
	}
	node = p
	if len(keys) > 0 {
		node = &plan.Sort{Input: node, Keys: keys, Limit: -1}
	}
	l.Input, l.Count, l.Offset = node, lim.count, lim.offset
	if lim.ties {
		return nil, b.errf(-1, sqlstate.FeatureNotSupported, "FOR UPDATE is not allowed with WITH TIES")
	}
	out := &plan.Project{Input: lim.apply(l, nil)}
	var cols []plan.Column
	used := map[int]bool{}
	for _, t := range s.targets {
		if t.hidden {
			continue
		}
		col := b.outputColumn(q, t.name, t.e, used)
		if c, ok := t.e.(*expr.Column); ok && b.cols[c.ID] != nil {
			col.Table, col.Attr = b.cols[c.ID].col.Table, b.cols[c.ID].col.Attr
		}
		out.Exprs = append(out.Exprs, plan.Projection{Col: col, Expr: t.e})
		cols = append(cols, col)
	}
	if len(keys) == 0 || l.Joined == nil || !slices.ContainsFunc(s.targets, func(t target) bool { return hasSubquery(t.e) }) {
		return &result{node: out, cols: cols}, nil
	}
	// What becomes of the subqueries does not keep the order.
	strip := &plan.Project{}
	for _, c := range cols {
		strip.Exprs = append(strip.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	for _, k := range keys {
		c := l.Pass[slices.IndexFunc(l.Pass, func(c plan.Column) bool { return c.ID == k.Expr.(*expr.Column).ID })]
		out.Exprs = append(out.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	strip.Input = &plan.Sort{Input: out, Keys: keys, Limit: -1}
	return &result{node: strip, cols: cols}, nil
}
