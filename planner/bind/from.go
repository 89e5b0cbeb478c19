package bind

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// oneRow is what a SELECT without FROM reads.
func oneRow() plan.Node { return &plan.Values{Rows: [][]expr.Expr{{}}} }

// from binds a FROM list and makes its entries visible.
func (q *query) from(items []*pg.Node) (plan.Node, error) {
	var node plan.Node
	for _, it := range items {
		n, rels, err := q.fromItem(it)
		if err != nil {
			return nil, err
		}
		if err := q.checkNames(q.ns, rels, location(it)); err != nil {
			return nil, err
		}
		for _, r := range rels {
			r.lateralOnly, r.lateralOK = true, true
		}
		q.ns = append(q.ns, rels...)
		if node == nil {
			node = n
			continue
		}
		lateral := canDepend(it) && depends(n, node)
		if ps, ok := overLeft(n, node, lateral, false); ok {
			node = ps
			continue
		}
		node = &plan.Join{ID: q.b.id(), Kind: plan.Inner, L: node, R: n, Lateral: lateral}
	}
	for _, r := range q.ns {
		r.lateralOnly, r.lateralOK = false, true
	}
	if node == nil {
		return oneRow(), nil
	}
	return node, nil
}

// overLeft joins set-returning functions of the left side's columns with it: they are
// called for its rows. outer keeps the rows for which they return nothing.
func overLeft(fns, left plan.Node, lateral, outer bool) (plan.Node, bool) {
	ps, ok := fns.(*plan.ProjectSet)
	if !ok || !lateral {
		return nil, false
	}
	if v, ok := ps.Input.(*plan.Values); !ok || len(v.Cols) > 0 || len(v.Rows) != 1 {
		return nil, false
	}
	return &plan.ProjectSet{Input: left, Calls: ps.Calls, Ordinality: ps.Ordinality, Outer: outer}, true
}

// canDepend says whether a FROM item can refer to those on its left.
func canDepend(n *pg.Node) bool {
	switch x := n.GetNode().(type) {
	case *pg.Node_RangeSubselect:
		return x.RangeSubselect.Lateral
	case *pg.Node_RangeFunction:
		return true
	case *pg.Node_JoinExpr:
		return canDepend(x.JoinExpr.Larg) || canDepend(x.JoinExpr.Rarg)
	}
	return false
}

func (q *query) checkNames(have, add []*rel, loc int32) error {
	for _, a := range add {
		if !a.relVisible || a.name == "" {
			continue
		}
		for _, h := range have {
			if h.relVisible && h.name == a.name && !(h.table != nil && a.table != nil && h.table.Schema != a.table.Schema && h.name == h.table.Name && a.name == a.table.Name) {
				return q.b.errf(-1, sqlstate.DuplicateAlias, "table name \"%s\" specified more than once", a.name)
			}
		}
	}
	return nil
}

// fromItem binds one item: its plan and the entries it adds to the namespace.
func (q *query) fromItem(n *pg.Node) (plan.Node, []*rel, error) {
	b := q.b
	if err := b.enter(); err != nil {
		return nil, nil, err
	}
	defer b.leave()
	one := func(n plan.Node, r *rel, err error) (plan.Node, []*rel, error) {
		if err != nil {
			return nil, nil, err
		}
		r.node = n
		return n, []*rel{r}, nil
	}
	switch x := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return one(q.table(x.RangeVar))
	case *pg.Node_RangeSubselect:
		return one(q.derived(x.RangeSubselect))
	case *pg.Node_RangeFunction:
		return one(q.function(x.RangeFunction))
	case *pg.Node_JoinExpr:
		return q.join(x.JoinExpr)
	case *pg.Node_RangeTableSample:
		return nil, nil, b.unsupported(x.RangeTableSample.Location, "TABLESAMPLE")
	case *pg.Node_RangeTableFunc:
		return nil, nil, b.unsupported(x.RangeTableFunc.Location, "XMLTABLE")
	}
	return nil, nil, b.unsupported(location(n), "FROM item %s", nodeName(n))
}

// newRel makes a visible entry, columns renamed as the alias says.
func (q *query) newRel(name string, cols []relCol, alias *pg.Alias) (*rel, error) {
	r := &rel{name: name, q: q, cols: cols, relVisible: true, colsVisible: true, lateralOK: true}
	if alias == nil {
		return r, nil
	}
	r.name = alias.Aliasname
	if len(alias.Colnames) > len(cols) {
		return nil, q.b.errf(-1, sqlstate.InvalidColumnReference, "table \"%s\" has %d columns available but %d columns specified", r.name, len(cols), len(alias.Colnames))
	}
	for i, c := range alias.Colnames {
		r.cols[i].name = stringNode(c)
	}
	r.aliased = len(alias.Colnames)
	return r, nil
}

// claim makes columns of a finished subquery belong to this level.
func (q *query) claim(cols []plan.Column, r *rel) []relCol {
	out := make([]relCol, len(cols))
	for i, c := range cols {
		out[i] = relCol{name: c.Name, e: c.Ref(), idx: -100}
		info := &colInfo{col: c, q: q, rel: r}
		if was := q.b.cols[c.ID]; was != nil {
			info.fields = was.fields
		}
		q.b.cols[c.ID] = info
	}
	return out
}

// table binds a name in FROM: a CTE, table, view or system relation.
func (q *query) table(rv *pg.RangeVar) (plan.Node, *rel, error) {
	b := q.b
	if rv.Schemaname == "" {
		if c := q.findCTE(rv.Relname); c != nil {
			return q.cteRef(c, rv)
		}
	}
	if rv.Catalogname != "" && rv.Catalogname != b.env.Database {
		return nil, nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "cross-database references are not implemented: \"%s.%s.%s\"", rv.Catalogname, rv.Schemaname, rv.Relname)
	}
	t, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
	if err != nil {
		return nil, nil, err
	}
	b.record.table(rv, t)
	object := b.useColumns(t, "r")
	var node plan.Node
	var r *rel
	if t.Kind == catalog.KindView {
		node, r, err = q.view(t, rv)
	} else {
		node, r, err = q.scan(t, rv.Alias)
	}
	if err != nil {
		return nil, nil, err
	}
	r.object = object
	return node, r, nil
}

// scan makes the scan of a relation; its columns come when they are used.
func (q *query) scan(t *catalog.Table, alias *pg.Alias) (*plan.Scan, *rel, error) {
	b := q.b
	s := &plan.Scan{Table: t, Alias: t.Name, Limit: -1}
	cols := make([]relCol, len(t.Columns))
	for i := range t.Columns {
		cols[i] = relCol{name: t.Columns[i].Name, idx: i}
	}
	r, err := q.newRel(t.Name, cols, alias)
	if err != nil {
		return nil, nil, err
	}
	r.table, r.scan = t, s
	s.Alias = r.name
	if len(b.views) > 0 {
		if b.viewsOf == nil {
			b.viewsOf = map[*plan.Scan][]uint32{}
		}
		b.viewsOf[s] = slices.Clone(b.views)
	}
	return s, r, nil
}

// relation finds a relation by name.
func (b *binder) relation(schema, name string, loc int32) (*catalog.Table, error) {
	t, err := b.lookup(schema, name, loc)
	if err == nil && t != nil && t.IsIndex() {
		return nil, b.cannotOpen(loc, name)
	}
	if t != nil || err != nil {
		return t, err
	}
	if schema != "" {
		return nil, b.errf(loc, sqlstate.UndefinedTable, "relation \"%s.%s\" does not exist", schema, name)
	}
	return nil, b.errf(loc, sqlstate.UndefinedTable, "relation \"%s\" does not exist", name)
}

// lookup is relation, with nil for one that does not exist.
func (b *binder) lookup(schema, name string, loc int32) (*catalog.Table, error) {
	system := func(s string) *catalog.Table {
		if b.env.System == nil {
			return nil
		}
		return b.env.System(s, name)
	}
	in := func(s string) *catalog.Table {
		if sc := b.env.Catalog.SchemaNamed(s); sc != nil {
			if t := b.env.Catalog.TableNamed(sc.OID, name); t != nil {
				return t
			}
		}
		return system(s)
	}
	if schema == "pg_temp" && b.env.Temp != "" {
		return in(b.env.Temp), nil
	}
	if schema != "" {
		if t := in(schema); t != nil {
			if t.Temp != 0 && schema != b.env.Temp {
				return nil, b.ofOther(t, loc)
			}
			return t, nil
		}
		if b.env.Catalog.SchemaNamed(schema) == nil {
			// As PostgreSQL words it where a relation is read.
			return nil, b.errf(loc, sqlstate.UndefinedTable, "relation \"%s.%s\" does not exist", schema, name)
		}
		return nil, nil
	}
	if b.tempFirst() {
		if sc := b.env.Catalog.SchemaNamed(b.env.Temp); sc != nil {
			if t := b.env.Catalog.TableNamed(sc.OID, name); t != nil {
				return t, nil
			}
		}
	}
	named := false
	for _, s := range b.env.SearchPath {
		named = named || s == "pg_catalog"
	}
	if !named {
		if t := in("pg_catalog"); t != nil {
			return t, nil
		}
	}
	for _, s := range b.env.SearchPath {
		if s == "$user" {
			s = b.env.User
		}
		if t := in(s); t != nil {
			if t.Temp != 0 && s != b.env.Temp {
				return nil, b.ofOther(t, loc)
			}
			return t, nil
		}
	}
	return nil, nil
}

// tempFirst says whether relations are looked for among the session's temporary ones
// first: where the search path does not name these.
func (b *binder) tempFirst() bool {
	return b.env.Temp != "" && !slices.Contains(b.env.SearchPath, b.env.Temp)
}

// ofOther refuses a temporary relation of another session.
func (b *binder) ofOther(t *catalog.Table, loc int32) error {
	if r := b.env.Catalog.RoleNamed(b.env.User); r != nil && r.Super {
		return b.errf(-1, sqlstate.FeatureNotSupported, "cannot access temporary tables of other sessions")
	}
	return b.errf(loc, sqlstate.InsufficientPrivilege, "permission denied for schema %s", b.env.Catalog.Schema(t.Schema).Name)
}

// derived binds a subquery in FROM.
func (q *query) derived(x *pg.RangeSubselect) (plan.Node, *rel, error) {
	b := q.b
	sel := x.Subquery.GetSelectStmt()
	if sel == nil {
		return nil, nil, b.unsupported(location(x.Subquery), "a data-modifying statement in FROM")
	}
	saved := q.lateral
	q.lateral = x.Lateral
	r, err := b.bindQuery(sel, q, false)
	q.lateral = saved
	if err != nil {
		return nil, nil, err
	}
	entry, err := q.newRel("", nil, nil)
	if err != nil {
		return nil, nil, err
	}
	cols := q.claim(r.cols, entry)
	named, err := q.newRel("", cols, x.Alias)
	if err != nil {
		return nil, nil, err
	}
	*entry = *named
	if x.Alias == nil {
		entry.relVisible = false
	}
	return r.node, entry, nil
}

// view expands a view: its text is bound as a subquery of its own.
func (q *query) view(t *catalog.Table, rv *pg.RangeVar) (plan.Node, *rel, error) {
	b := q.b
	for _, v := range b.views {
		if v == t.OID {
			return nil, nil, b.errf(rv.Location, sqlstate.InvalidRecursion, "infinite recursion detected in rules for relation \"%s\"", t.Name)
		}
	}
	sel, err := viewQuery(t)
	if err != nil {
		return nil, nil, err
	}
	text, record, clause, binlog := b.text, b.record, q.clause, b.binlog
	b.text, b.record, b.binlog = "", nil, namesBinlog(t.ViewText)
	b.views = append(b.views, t.OID)
	r, err := b.bindQuery(sel, nil, false)
	b.views = b.views[:len(b.views)-1]
	b.text, b.record, q.clause, b.binlog = text, record, clause, binlog
	if err != nil {
		return nil, nil, err
	}
	if len(r.cols) < len(t.Columns) {
		return nil, nil, sqlstate.Errorf(sqlstate.InternalError, "view \"%s\" has %d columns, its query %d", t.Name, len(t.Columns), len(r.cols))
	}
	want := make([]types.T, len(t.Columns))
	for i := range t.Columns {
		want[i] = r.cols[i].T
		if vt := t.Columns[i].T; vt.OID != want[i].OID {
			want[i] = vt
		}
	}
	node, cols, err := b.retype(q, r.node, r.cols[:len(t.Columns)], want, fn.Explicit, -1)
	if err != nil {
		return nil, nil, err
	}
	cols = append([]plan.Column(nil), cols...)
	for i := range cols {
		cols[i].Name = t.Columns[i].Name
		cols[i].Table, cols[i].Attr = t.OID, t.Columns[i].Attr
	}
	entry := &rel{}
	rc := q.claim(cols, entry)
	named, err := q.newRel(t.Name, rc, rv.Alias)
	if err != nil {
		return nil, nil, err
	}
	*entry = *named
	entry.table = t
	return node, entry, nil
}

// join binds JOIN in all its kinds.
func (q *query) join(x *pg.JoinExpr) (plan.Node, []*rel, error) {
	b := q.b
	l, lrels, err := q.fromItem(x.Larg)
	if err != nil {
		return nil, nil, err
	}
	kind := plan.Inner
	switch x.Jointype {
	case pg.JoinType_JOIN_LEFT:
		kind = plan.Left
	case pg.JoinType_JOIN_RIGHT:
		kind = plan.Right
	case pg.JoinType_JOIN_FULL:
		kind = plan.Full
	}
	outer := q.ns
	for _, r := range lrels {
		r.lateralOnly, r.lateralOK = true, kind == plan.Inner || kind == plan.Left
	}
	q.ns = append(append([]*rel(nil), outer...), lrels...)
	r, rrels, err := q.fromItem(x.Rarg)
	q.ns = outer
	if err != nil {
		return nil, nil, err
	}
	if err := q.checkNames(lrels, rrels, -1); err != nil {
		return nil, nil, err
	}
	mine := append(append([]*rel(nil), lrels...), rrels...)
	for _, e := range mine {
		e.lateralOnly, e.lateralOK = false, true
	}
	j := &plan.Join{ID: b.id(), Kind: kind, L: l, R: r}
	if canDepend(x.Rarg) && depends(r, l) {
		j.Lateral = true
	}
	// The join as an entry of its own: merged columns, then the rest of both sides.
	joined := &rel{q: q, colsVisible: true, lateralOK: true}
	using := names(x.UsingClause)
	if x.IsNatural {
		if using, err = q.naturalNames(lrels, rrels); err != nil {
			return nil, nil, err
		}
	}
	lcols, rcols := visibleColumns(lrels), visibleColumns(rrels)
	b.record.join(x, using, lcols, rcols)
	if len(using) > 0 {
		merged, on, ldrop, rdrop, err := q.using(using, lcols, rcols, kind)
		if err != nil {
			return nil, nil, err
		}
		j.On = on
		joined.cols = append(joined.cols, merged...)
		lcols, rcols = drop(lcols, ldrop), drop(rcols, rdrop)
		if x.JoinUsingAlias != nil {
			mine = append(mine, &rel{name: x.JoinUsingAlias.Aliasname, q: q, relVisible: true, lateralOK: true, cols: append([]relCol(nil), merged...)})
		}
	}
	joined.cols = append(append(joined.cols, lcols...), rcols...)
	if x.Quals != nil {
		q.ns = mine
		j.On, err = q.condition(x.Quals, clauseOn, "JOIN/ON")
		q.ns = outer
		if err != nil {
			return nil, nil, err
		}
	}
	var node plan.Node = j
	always := j.On == nil
	if c, ok := j.On.(*expr.Const); ok && c.D.Valid && c.D.Bool() {
		always = true
	}
	if kind == plan.Inner || kind == plan.Left && always {
		if ps, ok := overLeft(r, l, j.Lateral, kind == plan.Left); ok {
			node = ps
			if !always {
				node = &plan.Filter{Input: ps, Pred: j.On}
			}
		}
	}
	if x.Alias != nil {
		r, err := q.newRel("", joined.cols, x.Alias)
		if err != nil {
			return nil, nil, err
		}
		if q.hidden == nil {
			q.hidden = map[string]bool{}
		}
		for _, e := range mine {
			q.hidden[e.name] = true
		}
		return node, []*rel{r}, nil
	}
	for _, e := range mine {
		e.colsVisible = false
	}
	return node, append(mine, joined), nil
}

// visibleColumns are the columns that an unqualified * finds among entries.
func visibleColumns(rels []*rel) []relCol {
	var out []relCol
	for _, r := range rels {
		if !r.colsVisible {
			continue
		}
		for i := range r.cols {
			out = append(out, relCol{name: r.cols[i].name, src: r, idx: i})
		}
	}
	return out
}

func drop(cols []relCol, which map[int]bool) []relCol {
	var out []relCol
	for i, c := range cols {
		if !which[i] {
			out = append(out, c)
		}
	}
	return out
}

// naturalNames are the column names that both sides have, in the left one's order.
func (q *query) naturalNames(l, r []*rel) ([]string, error) {
	right := map[string]bool{}
	for _, c := range visibleColumns(r) {
		right[c.name] = true
	}
	var out []string
	for _, c := range visibleColumns(l) {
		if right[c.name] {
			out = append(out, c.name)
		}
	}
	return out, nil
}

// using binds USING (...): the merged columns and the condition.
func (q *query) using(cols []string, l, r []relCol, kind plan.JoinKind) (merged []relCol, on expr.Expr, ldrop, rdrop map[int]bool, err error) {
	b := q.b
	find := func(side []relCol, name, which string) (int, error) {
		at := -1
		for i, c := range side {
			if c.name == name {
				if at >= 0 {
					return 0, b.errf(-1, sqlstate.AmbiguousColumn, "common column name \"%s\" appears more than once in %s table", name, which)
				}
				at = i
			}
		}
		if at < 0 {
			return 0, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" specified in USING clause does not exist in %s table", name, which)
		}
		return at, nil
	}
	ldrop, rdrop = map[int]bool{}, map[int]bool{}
	var conds []expr.Expr
	seen := map[string]bool{}
	for _, name := range cols {
		if seen[name] {
			return nil, nil, nil, nil, b.errf(-1, sqlstate.DuplicateColumn, "column name \"%s\" appears more than once in USING clause", name)
		}
		seen[name] = true
		li, err := find(l, name, "left")
		if err != nil {
			return nil, nil, nil, nil, err
		}
		ri, err := find(r, name, "right")
		if err != nil {
			return nil, nil, nil, nil, err
		}
		ldrop[li], rdrop[ri] = true, true
		le, re := l[li].src.value(l[li].idx, -1), r[ri].src.value(r[ri].idx, -1)
		eq, err := b.binary("=", le, re, -1)
		if err != nil {
			return nil, nil, nil, nil, err
		}
		if eq, err = b.boolean(eq, "JOIN/USING", -1); err != nil {
			return nil, nil, nil, nil, err
		}
		conds = append(conds, eq)
		both, t, err := b.unify([]expr.Expr{le, re}, nil, "JOIN/USING")
		if err != nil {
			return nil, nil, nil, nil, err
		}
		c := relCol{name: name}
		switch kind {
		case plan.Right:
			c.e = both[1]
		case plan.Full:
			c.e = &expr.Coalesce{Args: both, T: t}
		default:
			c.e = both[0]
		}
		merged = append(merged, c)
	}
	return merged, and(conds), ldrop, rdrop, nil
}
