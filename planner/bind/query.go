package bind

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// query is a level of queries. While its clauses are bound, the aggregates, window
// functions and set-returning functions in them are collected here and stand in
// the expressions as columns; build then stacks the nodes that make these columns:
//
//	FROM → WHERE → [sets under GROUP BY] → Aggregate → HAVING → Window … → sets →
//	select list → DISTINCT → ORDER BY → LIMIT → without hidden sort columns
type query struct {
	b      *binder
	parent *query
	// ns is what FROM makes visible; lateral is set while a LATERAL item is bound.
	ns      []*rel
	lateral bool
	hidden  map[string]bool // relations that a join's alias hides
	ctes    []*cte
	clause  clause
	noSRF   string // inside CASE and the like

	hasAgg    bool
	aggs      []plan.Agg
	aggKeys   map[string]int
	groupings []*groupingCall
	wins      []*window
	srfs      []*setCall

	windowDefs  []*pg.Node
	windowSpecs []*spec
}

// clause says what an expression may hold where it stands: each field is the name
// of the clause in errors, "" where it is allowed.
type clause struct {
	agg, win, srf string
	// noColumns refuses column references, with this text.
	noColumns string
}

func everywhere(s string) clause { return clause{agg: s, win: s, srf: s} }

var (
	clauseSelect    = clause{}
	clauseWhere     = everywhere("WHERE")
	clauseOn        = everywhere("JOIN conditions")
	clauseFilter    = everywhere("FILTER")
	clauseHaving    = clause{win: "HAVING", srf: "HAVING"}
	clauseGroup     = clause{agg: "GROUP BY", win: "GROUP BY"}
	clauseFunction  = clause{agg: "functions in FROM", win: "functions in FROM"}
	clauseLimit     = everywhere("LIMIT")
	clauseOffset    = everywhere("OFFSET")
	clauseValues    = everywhere("VALUES")
	clauseReturning = everywhere("RETURNING")
	clauseUpdate    = everywhere("UPDATE")
	clauseMergeWhen = everywhere("MERGE WHEN conditions")
	clauseWindow    = clause{win: "window definitions", srf: "window definitions"}
	clauseDefault   = clause{agg: "DEFAULT expressions", win: "DEFAULT expressions", srf: "DEFAULT expressions",
		noColumns: "cannot use column reference in DEFAULT expression"}
	clauseCheck     = everywhere("check constraints")
	clauseGenerated = everywhere("column generation expressions")
	clauseExecute   = clause{agg: "EXECUTE parameters", win: "EXECUTE parameters", srf: "EXECUTE parameters"}
	clauseCall      = everywhere("CALL arguments")
)

func clauseFrame(mode string) clause {
	return clause{agg: "window " + mode, win: "window " + mode, srf: "window " + mode}
}

// result is a bound query: the node's first len(cols) columns are its output.
type result struct {
	node plan.Node
	cols []plan.Column
}

// in binds with another clause set.
func (q *query) in(c clause, f func() error) error {
	saved := q.clause
	q.clause = c
	defer func() { q.clause = saved }()
	return f()
}

// condition binds a boolean expression of a clause.
func (q *query) condition(n *pg.Node, c clause, what string) (e expr.Expr, err error) {
	err = q.in(c, func() error {
		if e, err = q.expr(n); err != nil {
			return err
		}
		e, err = q.b.boolean(e, what, location(n))
		return err
	})
	return e, err
}

// bindQuery binds a SELECT, VALUES or set operation below parent. unresolved
// leaves outputs of type unknown as they are, for a caller that has types for them.
func (b *binder) bindQuery(s *pg.SelectStmt, parent *query, unresolved bool) (*result, error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.leave()
	q := &query{b: b, parent: parent}
	return q.selectStmt(s, unresolved)
}

func (q *query) selectStmt(s *pg.SelectStmt, unresolved bool) (*result, error) {
	b := q.b
	if s.IntoClause != nil {
		return nil, b.errf(location(s.IntoClause.GetRel()), sqlstate.SyntaxError, "SELECT ... INTO is not allowed here")
	}
	if err := q.with(s.WithClause); err != nil {
		return nil, err
	}
	if len(s.LockingClause) > 0 {
		with := ""
		switch {
		case s.Op != pg.SetOperation_SETOP_NONE && s.Op != pg.SetOperation_SET_OPERATION_UNDEFINED:
			with = "allowed with UNION/INTERSECT/EXCEPT"
		case len(s.ValuesLists) > 0:
			with = "be applied to VALUES"
		}
		if with != "" {
			verb := "is not "
			if len(s.ValuesLists) > 0 {
				verb = "cannot "
			}
			return nil, b.errf(-1, sqlstate.FeatureNotSupported, "FOR %s %s%s", lockName(s.LockingClause[0]), verb, with)
		}
	}
	var r *result
	var err error
	switch {
	case s.Op != pg.SetOperation_SETOP_NONE && s.Op != pg.SetOperation_SET_OPERATION_UNDEFINED:
		r, err = q.setOperation(s, unresolved)
	case len(s.ValuesLists) > 0:
		r, err = q.valuesQuery(s, unresolved)
	default:
		r, err = q.simple(s, unresolved)
	}
	if err != nil {
		return nil, err
	}
	r.node = q.wrapCTEs(r.node)
	return r, nil
}

func lockName(n *pg.Node) string {
	if lc := n.GetLockingClause(); lc != nil {
		switch lc.Strength {
		case pg.LockClauseStrength_LCS_FORKEYSHARE:
			return "KEY SHARE"
		case pg.LockClauseStrength_LCS_FORSHARE:
			return "SHARE"
		case pg.LockClauseStrength_LCS_FORNOKEYUPDATE:
			return "NO KEY UPDATE"
		}
	}
	return "UPDATE"
}

// simple binds a SELECT that is no set operation.
func (q *query) simple(s *pg.SelectStmt, unresolved bool) (*result, error) {
	b := q.b
	q.windowDefs = s.WindowClause
	q.windowSpecs = make([]*spec, len(s.WindowClause))
	node, err := q.from(s.FromClause)
	if err != nil {
		return nil, err
	}
	targets, err := q.targets(s.TargetList)
	if err != nil {
		return nil, err
	}
	if s.WhereClause != nil {
		pred, err := q.condition(s.WhereClause, clauseWhere, "WHERE")
		if err != nil {
			return nil, err
		}
		node = &plan.Filter{Input: node, Pred: pred}
	}
	lock, err := q.lockRows(s, node, slices.ContainsFunc(targets, func(t target) bool { return hasSubquery(t.e) }))
	if err != nil {
		return nil, err
	}
	var having expr.Expr
	if s.HavingClause != nil {
		if having, err = q.condition(s.HavingClause, clauseHaving, "HAVING"); err != nil {
			return nil, err
		}
	}
	sel := &selection{q: q, targets: targets}
	if err := sel.orderBy(s.SortClause); err != nil {
		return nil, err
	}
	if err := sel.groupBy(s.GroupClause, s.GroupDistinct); err != nil {
		return nil, err
	}
	if err := sel.distinctClause(s.DistinctClause); err != nil {
		return nil, err
	}
	lim, err := q.limit(s)
	if err != nil {
		return nil, err
	}
	for i, w := range s.WindowClause {
		for _, v := range s.WindowClause[:i] {
			if d := w.GetWindowDef(); d.Name == v.GetWindowDef().Name {
				return nil, b.errf(d.Location, sqlstate.WindowingError, "window \"%s\" is already defined", d.Name)
			}
		}
	}
	for i, w := range s.WindowClause { // unused ones are checked too
		if q.windowSpecs[i] == nil {
			if _, err := q.namedWindow(w.GetWindowDef().Name, -1); err != nil {
				return nil, err
			}
		}
	}
	if !unresolved {
		if err := sel.resolveUnknown(); err != nil {
			return nil, err
		}
	}
	if lock != nil {
		return sel.buildLocked(node, lock, lim)
	}
	return sel.build(node, having, lim)
}

// filterOf is what WHERE asks of the rows of node.
func filterOf(node plan.Node) expr.Expr {
	if f, ok := node.(*plan.Filter); ok {
		return f.Pred
	}
	return nil
}

// selection is a SELECT's list and what refers to it.
type selection struct {
	q       *query
	targets []target
	sorts   []sortRef
	groups  []groupRef
	sets    [][]int // positions in groups; nil without GROUPING SETS
	grouped bool
	// below are the columns of set-returning calls evaluated under GROUP BY.
	below map[int]bool
	// distinct: DISTINCT; on: DISTINCT ON of these targets.
	distinct bool
	on       []int
	onLocs   []int32
}

type groupRef struct {
	e   expr.Expr
	loc int32
}

func (s *selection) resolveUnknown() error {
	for i := range s.targets {
		t := &s.targets[i]
		e, err := s.q.b.known(t.e, t.loc)
		if err != nil {
			return err
		}
		t.e = e
	}
	return nil
}

// build stacks the nodes of a SELECT.
func (s *selection) build(node plan.Node, having expr.Expr, lim limits) (*result, error) {
	q, b := s.q, s.q.b
	origin := make([]plan.Column, len(s.targets))
	for i, t := range s.targets {
		if c, ok := t.e.(*expr.Column); ok {
			if info := b.cols[c.ID]; info != nil {
				origin[i] = info.col
			}
		}
	}
	sets := q.srfs
	if s.grouped || q.hasAgg || having != nil {
		below, above := s.splitSets()
		node = projectSets(node, below)
		sets = above
		g := newGrouper(s)
		agg, err := g.aggregate(node, having == nil)
		if err != nil {
			return nil, err
		}
		if err := g.rewriteAll(&having, sets); err != nil {
			return nil, err
		}
		agg.Groups = g.groups // functional dependencies may have added some
		node = agg
		if having != nil {
			node = &plan.Filter{Input: node, Pred: having}
		}
	}
	for _, w := range q.wins {
		node = &plan.Window{Input: node, Partition: w.partition, Order: w.order, Funcs: w.funcs}
	}
	node = projectSets(node, sets)

	p := &plan.Project{Input: node}
	used := map[int]bool{}
	cols := make([]plan.Column, len(s.targets))
	visible := 0
	for i, t := range s.targets {
		col := b.outputColumn(q, t.name, t.e, used)
		col.Table, col.Attr = origin[i].Table, origin[i].Attr
		cols[i] = col
		p.Exprs = append(p.Exprs, plan.Projection{Col: col, Expr: t.e})
		if !t.hidden {
			visible++
		}
	}
	node = p
	if s.distinct {
		node = &plan.Distinct{Input: node}
	}
	keys := make([]plan.SortKey, len(s.sorts))
	for i, r := range s.sorts {
		keys[i] = r.key
		keys[i].Expr = cols[r.target].Ref()
	}
	if len(keys) > 0 {
		node = &plan.Sort{Input: node, Keys: keys, Limit: -1}
	}
	if len(s.on) > 0 {
		d := &plan.Distinct{Input: node}
		for _, i := range s.on {
			d.On = append(d.On, cols[i].Ref())
		}
		node = d
	}
	node = lim.apply(node, keys)
	if visible < len(cols) {
		strip := &plan.Project{Input: node}
		var out []plan.Column
		for i, t := range s.targets {
			if !t.hidden {
				strip.Exprs = append(strip.Exprs, plan.Projection{Col: cols[i], Expr: cols[i].Ref()})
				out = append(out, cols[i])
			}
		}
		return &result{node: strip, cols: out}, nil
	}
	return &result{node: node, cols: cols}, nil
}

// splitSets parts the set-returning calls that grouping expressions use, and those
// these depend on, from the rest.
func (s *selection) splitSets() (below, above []*setCall) {
	need := map[int]bool{}
	for _, g := range s.groups {
		expr.Columns(g.e, need)
	}
	srfs := s.q.srfs
	s.below = map[int]bool{}
	in := make([]bool, len(srfs))
	for i := len(srfs) - 1; i >= 0; i-- {
		for _, c := range srfs[i].call.Cols {
			in[i] = in[i] || need[c.ID]
		}
		if in[i] {
			expr.Columns(srfs[i].call.Call, need)
		}
	}
	for i, x := range srfs {
		if in[i] {
			for _, c := range x.call.Cols {
				s.below[c.ID] = true
			}
			below = append(below, x)
		} else {
			above = append(above, x)
		}
	}
	return below, above
}

// projectSets stacks a ProjectSet for each level of set-returning calls.
func projectSets(node plan.Node, calls []*setCall) plan.Node {
	for level, left := 0, len(calls); left > 0; level++ {
		ps := &plan.ProjectSet{Input: node}
		for _, c := range calls {
			if c.level == level {
				ps.Calls = append(ps.Calls, c.call)
				left--
			}
		}
		if len(ps.Calls) > 0 {
			node = ps
		}
	}
	return node
}

// outputColumn is the column that a select list makes of e: the query's own column
// under its name the first time, else a new one. used has those that were taken.
func (b *binder) outputColumn(q *query, name string, e expr.Expr, used map[int]bool) plan.Column {
	if c, ok := e.(*expr.Column); ok && !used[c.ID] && b.cols[c.ID] != nil && b.cols[c.ID].q == q {
		used[c.ID] = true
		col := b.cols[c.ID].col
		col.Name = name
		return col
	}
	col := b.column(q, name, e.Type(), inputCol)
	b.shape(q, col.ID, e)
	return col
}
