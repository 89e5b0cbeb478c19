package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
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

// target is an entry of a select list. Hidden ones serve ORDER BY, DISTINCT ON and
// GROUP BY only.
type target struct {
	name   string
	e      expr.Expr
	loc    int32
	hidden bool
	// qualifier and source are the relation and the column that one expanded from *
	// stands for, when it can be named.
	qualifier, source string
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
		return nil, b.unsupported(-1, "SELECT FOR %s", lockName(s.LockingClause[0]))
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
	return sel.build(node, having, lim)
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

type sortRef struct {
	target int
	key    plan.SortKey // Expr is filled in by build
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

// limits are a query's LIMIT and OFFSET.
type limits struct {
	count, offset expr.Expr
	ties          bool
}

func (q *query) limit(s *pg.SelectStmt) (limits, error) {
	var l limits
	l.ties = s.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES
	one := func(n *pg.Node, c clause, what string) (expr.Expr, error) {
		if n == nil {
			return nil, nil
		}
		var out expr.Expr
		err := q.in(c, func() error {
			e, err := q.expr(n) // no slot: top-N wants to see the number
			if err != nil {
				return err
			}
			o, ok, err := q.b.coerce(e, types.Int8, fn.Assignment, location(n))
			if err != nil {
				return err
			}
			if !ok {
				return q.b.errf(location(n), sqlstate.DatatypeMismatch, "argument of %s must be type bigint, not type %s", what, types.FormatTypeNoMod(e.Type().OID))
			}
			if q.usesColumns(o) {
				return q.b.errf(location(n), sqlstate.InvalidColumnReference, "argument of %s must not contain variables", what)
			}
			out = o
			return nil
		})
		if c, ok := out.(*expr.Const); ok && !c.D.Valid {
			return nil, err
		}
		return out, err
	}
	var err error
	if l.offset, err = one(s.LimitOffset, clauseOffset, "OFFSET"); err != nil {
		return l, err
	}
	if s.LimitCount != nil && l.ties {
		if c := s.LimitCount.GetAConst(); c != nil && c.Isnull {
			return l, q.b.errf(-1, sqlstate.InvalidRowCountInLimitClause, "row count cannot be null in FETCH FIRST ... WITH TIES clause")
		}
	}
	l.count, err = one(s.LimitCount, clauseLimit, "LIMIT")
	return l, err
}

// apply puts the limits above a node that is sorted by keys.
func (l limits) apply(n plan.Node, keys []plan.SortKey) plan.Node {
	if l.count == nil && l.offset == nil {
		return n
	}
	lim := &plan.Limit{Input: n, Count: l.count, Offset: l.offset}
	if l.ties && l.count != nil {
		lim.WithTies, lim.Ties = true, keys
	}
	return lim
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
		var col plan.Column
		if c, ok := t.e.(*expr.Column); ok && !used[c.ID] && b.cols[c.ID] != nil && b.cols[c.ID].q == q {
			used[c.ID] = true
			col = b.cols[c.ID].col
			col.Name = t.name
		} else {
			col = b.column(q, t.name, t.e.Type(), inputCol)
			b.shape(q, col.ID, t.e)
		}
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

// targets binds a select list, stars expanded.
func (q *query) targets(list []*pg.Node) ([]target, error) {
	var out []target
	for _, n := range list {
		rt := n.GetResTarget()
		if ref := rt.Val.GetColumnRef(); ref != nil && isStar(ref.Fields) {
			ts, err := q.star(ref)
			if err != nil {
				return nil, err
			}
			q.b.record.star(rt, ts)
			out = append(out, ts...)
			continue
		}
		if ind := rt.Val.GetAIndirection(); ind != nil && isStar(ind.Indirection) {
			ts, err := q.fieldStar(ind)
			if err != nil {
				return nil, err
			}
			out = append(out, ts...)
			continue
		}
		e, err := q.expr(rt.Val)
		if err != nil {
			return nil, err
		}
		name := rt.Name
		if name == "" {
			name = columnName(rt.Val)
		}
		out = append(out, target{name: name, e: e, loc: location(rt.Val)})
	}
	return out, nil
}

func isStar(fields []*pg.Node) bool {
	return len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil
}

// star expands * and rel.*.
func (q *query) star(ref *pg.ColumnRef) ([]target, error) {
	b := q.b
	var out []target
	add := func(r *rel) {
		for i := range r.cols {
			from, c := r, r.cols[i]
			for c.src != nil && !from.relVisible {
				from = c.src
				c = from.cols[c.idx]
			}
			t := target{name: r.cols[i].name, e: r.value(i, ref.Location), loc: ref.Location}
			if from.relVisible {
				t.qualifier, t.source = from.name, c.name
			}
			out = append(out, t)
		}
	}
	if len(ref.Fields) == 1 {
		found := false
		for _, r := range q.ns {
			if r.colsVisible && q.sees(r) {
				found = true
				add(r)
			}
		}
		if !found {
			return nil, b.errf(ref.Location, sqlstate.SyntaxError, "SELECT * with no tables specified is not valid")
		}
		return out, nil
	}
	ns := names(ref.Fields[:len(ref.Fields)-1])
	r, err := q.relByNames(ns, ref.Location)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, q.missingRel(ns[len(ns)-1], ref.Location)
	}
	add(r)
	return out, nil
}

// relByNames resolves [[db.]schema.]rel.
func (q *query) relByNames(ns []string, loc int32) (*rel, error) {
	schema := ""
	switch len(ns) {
	case 1:
	case 2:
		schema = ns[0]
	case 3:
		if ns[0] != q.b.env.Database {
			return nil, q.b.errf(loc, sqlstate.FeatureNotSupported, "cross-database references are not implemented: %s.%s.%s.*", ns[0], ns[1], ns[2])
		}
		schema = ns[1]
	default:
		return nil, q.b.errf(loc, sqlstate.SyntaxError, "improper qualified name (too many dotted names)")
	}
	return q.findRel(schema, ns[len(ns)-1], loc)
}

// fieldStar expands (record).*.
func (q *query) fieldStar(ind *pg.A_Indirection) ([]target, error) {
	inner := &pg.A_Indirection{Arg: ind.Arg, Indirection: ind.Indirection[:len(ind.Indirection)-1]}
	var e expr.Expr
	var err error
	if len(inner.Indirection) == 0 {
		e, err = q.expr(ind.Arg)
	} else {
		e, err = q.indirection(inner)
	}
	if err != nil {
		return nil, err
	}
	fields, err := q.fields(e, location(ind.Arg))
	if err != nil {
		return nil, err
	}
	return fields, nil
}

// sortKey makes an ordering of an expression as ORDER BY's words say.
func (b *binder) sortKey(e expr.Expr, sb *pg.SortBy) (plan.SortKey, error) {
	k := plan.SortKey{Expr: e}
	oid := e.Type().OID
	loc := location(sb.Node)
	switch sb.SortbyDir {
	case pg.SortByDir_SORTBY_DESC:
		k.Desc = true
	case pg.SortByDir_SORTBY_USING:
		name, err := b.opName(names(sb.UseOp), sb.Location)
		if err != nil {
			return k, err
		}
		op, err := b.operator(name, oid, oid, sb.Location)
		if err != nil {
			return k, err
		}
		switch op {
		case fn.LessFor(oid):
		case fn.GreaterFor(oid):
			k.Desc = true
		default:
			return k, b.errf(sb.Location, sqlstate.WrongObjectType, "operator %s is not a valid ordering operator", name).
				WithHint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
		}
	}
	switch sb.SortbyNulls {
	case pg.SortByNulls_SORTBY_NULLS_FIRST:
		k.NullsFirst = true
	case pg.SortByNulls_SORTBY_NULLS_LAST:
	default:
		k.NullsFirst = k.Desc
	}
	return k, b.orderable(oid, loc)
}

// findTarget resolves an item of ORDER BY, GROUP BY or DISTINCT ON by SQL-92's
// rule (output names and positions), else by SQL-99's: any expression, which joins
// the list as a hidden target.
func (s *selection) findTarget(n *pg.Node, what string, c clause) (int, error) {
	q, b := s.q, s.q.b
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 && !isStar(ref.Fields) {
		name := stringNode(ref.Fields[0])
		byName := true
		if what == "GROUP BY" {
			r, _, err := q.localColumn(name, ref.Location)
			if err != nil {
				return 0, err
			}
			byName = r == nil
		}
		if byName {
			at := -1
			for i, t := range s.targets {
				if t.hidden || t.name != name {
					continue
				}
				if at >= 0 && key(s.targets[at].e) != key(t.e) {
					return 0, b.errf(ref.Location, sqlstate.AmbiguousColumn, "%s \"%s\" is ambiguous", what, name)
				}
				if at < 0 {
					at = i
				}
			}
			if at >= 0 {
				return at, nil
			}
		}
	}
	if ac := n.GetAConst(); ac != nil {
		pos, ok := int64(0), false
		switch v := ac.Val.(type) {
		case *pg.A_Const_Ival:
			pos, ok = int64(v.Ival.Ival), true
		case nil:
			ok = !ac.Isnull
		}
		if !ok {
			return 0, b.errf(ac.Location, sqlstate.SyntaxError, "non-integer constant in %s", what)
		}
		i := int64(0)
		for k, t := range s.targets {
			if t.hidden {
				continue
			}
			if i++; i == pos {
				return k, nil
			}
		}
		return 0, b.errf(ac.Location, sqlstate.InvalidColumnReference, "%s position %d is not in select list", what, pos)
	}
	var e expr.Expr
	err := q.in(c, func() (err error) {
		e, err = q.expr(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	k := key(e)
	for i, t := range s.targets {
		if key(t.e) == k {
			return i, nil
		}
	}
	s.targets = append(s.targets, target{name: "?column?", e: e, loc: location(n), hidden: true})
	return len(s.targets) - 1, nil
}

// resolve makes target i's type known.
func (s *selection) resolve(i int) error {
	t := &s.targets[i]
	e, err := s.q.b.known(t.e, t.loc)
	t.e = e
	return err
}

func (s *selection) orderBy(list []*pg.Node) error {
	for _, n := range list {
		sb := n.GetSortBy()
		i, err := s.findTarget(sb.Node, "ORDER BY", clauseSelect)
		if err != nil {
			return err
		}
		if err := s.resolve(i); err != nil {
			return err
		}
		k, err := s.q.b.sortKey(s.targets[i].e, sb)
		if err != nil {
			return err
		}
		dup := false
		for _, r := range s.sorts {
			dup = dup || r.target == i
		}
		if !dup {
			s.sorts = append(s.sorts, sortRef{i, k})
		}
	}
	return nil
}

// distinctClause binds DISTINCT (a list of one nil) and DISTINCT ON.
func (s *selection) distinctClause(list []*pg.Node) error {
	if len(list) == 0 {
		return nil
	}
	b := s.q.b
	if len(list) == 1 && list[0].GetNode() == nil {
		s.distinct = true
		for i := range s.targets {
			t := &s.targets[i]
			if t.hidden {
				for _, r := range s.sorts {
					if r.target == i {
						return b.errf(t.loc, sqlstate.InvalidColumnReference, "for SELECT DISTINCT, ORDER BY expressions must appear in select list")
					}
				}
				continue
			}
			if err := s.resolve(i); err != nil {
				return err
			}
			if _, err := b.equality(t.e.Type().OID, t.loc); err != nil {
				return err
			}
		}
		return nil
	}
	for _, n := range list {
		i, err := s.findTarget(n, "DISTINCT ON", clauseSelect)
		if err != nil {
			return err
		}
		if err := s.resolve(i); err != nil {
			return err
		}
		if _, err := b.equality(s.targets[i].e.Type().OID, location(n)); err != nil {
			return err
		}
		dup := false
		for _, k := range s.on {
			dup = dup || k == i
		}
		if !dup {
			s.on = append(s.on, i)
			s.onLocs = append(s.onLocs, location(n))
		}
	}
	// The ON items must be those that the rows are sorted by first.
	isOn := func(i int) bool {
		for _, k := range s.on {
			if k == i {
				return true
			}
		}
		return false
	}
	seen, skipped := map[int]bool{}, false
	for _, r := range s.sorts {
		if !isOn(r.target) {
			skipped = true
			continue
		}
		if skipped {
			loc := int32(-1)
			for k, i := range s.on {
				if i == r.target {
					loc = s.onLocs[k]
				}
			}
			return b.errf(loc, sqlstate.InvalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions")
		}
		seen[r.target] = true
	}
	for k, i := range s.on {
		if !skipped || seen[i] {
			continue
		}
		return b.errf(s.onLocs[k], sqlstate.InvalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions")
	}
	return nil
}
