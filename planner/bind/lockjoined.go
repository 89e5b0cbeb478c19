package bind

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

var lockModes = map[string]plan.LockMode{"KEY SHARE": plan.ForKeyShare, "SHARE": plan.ForShare, "NO KEY UPDATE": plan.ForNoKeyUpdate, "UPDATE": plan.ForUpdate}

// lockJoined reads the locking clauses of a SELECT from several tables, views or
// subqueries: the tables below them are locked, with keys that come up through what
// stands above them.
func (q *query) lockJoined(s *pg.SelectStmt, node plan.Node) (*plan.LockRows, error) {
	b := q.b
	l := &plan.LockRows{}
	for _, n := range s.LockingClause {
		lc := n.GetLockingClause()
		w := &lockWalk{q: q, l: l, name: lockName(n), clause: lc, scans: map[*plan.Scan]*rel{}}
		for _, r := range q.ns {
			if r.scan != nil {
				w.scans[r.scan] = r
			}
			if len(lc.LockedRels) == 0 && r.table != nil && r.table.Kind == catalog.KindView {
				b.use(r.table, "w") // also of no table
			}
		}
		for _, of := range lc.LockedRels {
			rv := of.GetRangeVar()
			i := slices.IndexFunc(q.ns, func(r *rel) bool { return r.relVisible && r.name == rv.Relname })
			if i < 0 {
				return nil, b.errf(rv.Location, sqlstate.UndefinedTable, "relation \"%s\" in FOR %s clause not found in FROM clause", rv.Relname, w.name)
			}
			switch q.ns[i].node.(type) {
			case *plan.ProjectSet:
				return nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "FOR %s cannot be applied to a function", w.name)
			case *plan.CTERef:
				return nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "FOR %s cannot be applied to a WITH query", w.name)
			case nil:
				return nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "FOR %s cannot be applied to a join", w.name)
			}
			if t := q.ns[i].table; t != nil && t.Kind == catalog.KindView {
				b.use(t, "w")
			}
			w.wanted = append(w.wanted, q.ns[i].node)
		}
		if err := w.walk(node, len(w.wanted) == 0, false); err != nil {
			return nil, err
		}
	}
	if len(l.Joined) == 0 {
		return nil, nil
	}
	return l, nil
}

// lockWalk finds the tables that a locking clause is about.
type lockWalk struct {
	q      *query
	l      *plan.LockRows
	name   string
	clause *pg.LockingClause
	scans  map[*plan.Scan]*rel // those of the query itself
	wanted []plan.Node
}

// walk locks the tables in n, if it is active or in what is wanted. nullable: n's rows
// may be missing from those of the query.
func (w *lockWalk) walk(n plan.Node, active, nullable bool) error {
	active = active || slices.Contains(w.wanted, n)
	refuse := func(with string) error {
		if !active {
			return nil
		}
		return w.q.b.errf(-1, sqlstate.FeatureNotSupported, "FOR %s is not allowed with %s", w.name, with)
	}
	switch x := n.(type) {
	case *plan.Scan:
		if !active || x.Table.Kind != catalog.KindTable || x.Table.IsBinlog {
			return nil
		}
		if nullable {
			return w.q.b.errf(-1, sqlstate.FeatureNotSupported, "FOR %s cannot be applied to the nullable side of an outer join", w.name)
		}
		w.target(x)
	case *plan.Filter:
		return w.walk(x.Input, active, nullable)
	case *plan.Sort:
		return w.walk(x.Input, active, nullable)
	case *plan.Project:
		if err := w.walk(x.Input, active, nullable); err != nil {
			return err
		}
		// The keys of tables below come up.
		have := map[int]bool{}
		for _, c := range x.Columns() {
			have[c.ID] = true
		}
		from := map[int]bool{}
		for _, c := range x.Input.Columns() {
			from[c.ID] = true
		}
		for _, t := range w.l.Joined {
			for _, c := range append(slices.Clone(t.Key), t.CSN) {
				if from[c.ID] && !have[c.ID] {
					have[c.ID] = true
					x.Exprs = append(x.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
				}
			}
		}
	case *plan.Join:
		if err := w.walk(x.L, active, nullable || x.Kind == plan.Right || x.Kind == plan.Full); err != nil {
			return err
		}
		return w.walk(x.R, active, nullable || x.Kind == plan.Left || x.Kind == plan.Full)
	case *plan.ProjectSet:
		if _, function := x.Input.(*plan.Values); function {
			return nil
		}
		return w.walk(x.Input, active, nullable)
	case *plan.With:
		return w.walk(x.Body, active, nullable)
	case *plan.Aggregate:
		if len(x.Groups) > 0 || x.Sets != nil {
			return refuse("GROUP BY clause")
		}
		return refuse("aggregate functions")
	case *plan.Distinct:
		return refuse("DISTINCT clause")
	case *plan.Window:
		return refuse("window functions")
	case *plan.SetOp:
		return refuse("UNION/INTERSECT/EXCEPT")
	case *plan.Limit:
		if active {
			return w.q.b.unsupported(-1, "FOR %s of a subquery with LIMIT", w.name)
		}
	}
	return nil
}

// target adds a table, or what the clause at hand asks for beyond those before it.
func (w *lockWalk) target(s *plan.Scan) {
	b := w.q.b
	column := func(ord int) plan.Column {
		if r := w.scans[s]; r != nil && ord >= 0 {
			r.plain(ord, -1)
			return b.cols[r.cols[ord].id].col
		}
		if i := slices.Index(s.Ords, ord); i >= 0 {
			return s.Cols[i]
		}
		if r := w.scans[s]; r != nil {
			return b.cols[b.scanColumn(r, ord)].col
		}
		c := plan.Column{ID: b.id(), Name: "key", T: types.Int8}
		if ord >= 0 {
			c.T = s.Table.Columns[ord].T
		}
		b.cols[c.ID] = &colInfo{col: c, q: w.q}
		s.Cols, s.Ords = append(s.Cols, c), append(s.Ords, ord)
		return c
	}
	t := plan.LockTarget{Table: s.Table, CSN: column(catalog.ColCSN), Mode: lockModes[w.name],
		NoWait: w.clause.WaitPolicy == pg.LockWaitPolicy_LockWaitError, Skip: w.clause.WaitPolicy == pg.LockWaitPolicy_LockWaitSkip}
	for _, o := range s.Table.PK {
		t.Key = append(t.Key, column(o))
	}
	if len(s.Table.PK) == 0 {
		t.Key = append(t.Key, column(catalog.ColRowID))
	}
	for i := range w.l.Joined {
		if was := &w.l.Joined[i]; was.CSN.ID == t.CSN.ID {
			was.Mode = max(was.Mode, t.Mode)
			was.NoWait = was.NoWait || t.NoWait
			was.Skip = (was.Skip || t.Skip) && !was.NoWait
			return
		}
	}
	b.useLocked(s)
	w.l.Joined = append(w.l.Joined, t)
}

// useLocked notes what locks of a table's rows need: to update the table, and each view
// that is on the way to it.
func (b *binder) useLocked(s *plan.Scan) {
	way := b.viewsOf[s]
	for i := len(b.views); i <= len(way); i++ {
		t, view := s.Table, uint32(0)
		if i < len(way) {
			t = b.env.Catalog.Table(way[i])
		}
		if i > 0 {
			view = way[i-1]
		}
		b.useIn(t, view, "w")
	}
}
