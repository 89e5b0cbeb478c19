package bind

import (
	"fmt"
	"sort"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// maxGroupingSets is PostgreSQL's bound.
const maxGroupingSets = 4096

// groupBy binds GROUP BY: plain items, or sets of them.
func (s *selection) groupBy(list []*pg.Node, distinct bool) error {
	if len(list) == 0 {
		return nil
	}
	s.grouped = true
	hasSets := false
	sets := [][]int{{}}
	for _, n := range list {
		if n.GetGroupingSet() != nil {
			hasSets = true
		}
		alternatives, err := s.groupingSets(n)
		if err != nil {
			return err
		}
		var product [][]int
		for _, a := range sets {
			for _, b := range alternatives {
				product = append(product, union(a, b))
			}
		}
		if len(product) > maxGroupingSets {
			return s.q.b.errf(location(n), sqlstate.StatementTooComplex, "too many grouping sets present (maximum %d)", maxGroupingSets)
		}
		sets = product
	}
	if !hasSets || len(sets) == 1 {
		return nil
	}
	if distinct {
		seen := map[string]bool{}
		out := sets[:0]
		for _, x := range sets {
			sort.Ints(x)
			if k := fmt.Sprint(x); !seen[k] {
				seen[k] = true
				out = append(out, x)
			}
		}
		sets = out
	}
	s.sets = sets
	return nil
}

func union(a, b []int) []int {
	out := append([]int(nil), a...)
next:
	for _, x := range b {
		for _, y := range out {
			if x == y {
				continue next
			}
		}
		out = append(out, x)
	}
	return out
}

// groupingSets are the alternatives that one item of GROUP BY stands for, each a
// list of positions in s.groups.
func (s *selection) groupingSets(n *pg.Node) ([][]int, error) {
	gs := n.GetGroupingSet()
	if gs == nil {
		set, err := s.groupItem(n)
		return [][]int{set}, err
	}
	switch gs.Kind {
	case pg.GroupingSetKind_GROUPING_SET_EMPTY:
		return [][]int{{}}, nil
	case pg.GroupingSetKind_GROUPING_SET_SETS:
		var out [][]int
		for _, c := range gs.Content {
			a, err := s.groupingSets(c)
			if err != nil {
				return nil, err
			}
			out = append(out, a...)
		}
		return out, nil
	}
	var items [][]int
	for _, c := range gs.Content {
		set, err := s.groupItem(c)
		if err != nil {
			return nil, err
		}
		items = append(items, set)
	}
	var out [][]int
	if gs.Kind == pg.GroupingSetKind_GROUPING_SET_ROLLUP {
		for i := len(items); i >= 0; i-- {
			set := []int{}
			for _, x := range items[:i] {
				set = union(set, x)
			}
			out = append(out, set)
		}
		return out, nil
	}
	if len(items) > 12 {
		return nil, s.q.b.errf(gs.Location, sqlstate.TooManyColumns, "CUBE is limited to 12 elements")
	}
	for mask := 1<<len(items) - 1; mask >= 0; mask-- {
		set := []int{}
		for i, x := range items {
			if mask&(1<<(len(items)-1-i)) != 0 {
				set = union(set, x)
			}
		}
		out = append(out, set)
	}
	return out, nil
}

// groupItem binds one expression, or a parenthesised list of them.
func (s *selection) groupItem(n *pg.Node) ([]int, error) {
	if row := n.GetRowExpr(); row != nil && row.RowFormat == pg.CoercionForm_COERCE_IMPLICIT_CAST {
		var out []int
		for _, a := range row.Args {
			set, err := s.groupItem(a)
			if err != nil {
				return nil, err
			}
			out = union(out, set)
		}
		return out, nil
	}
	had := len(s.targets)
	i, err := s.findTarget(n, "GROUP BY", clauseGroup)
	if err != nil {
		return nil, err
	}
	if err := s.resolve(i); err != nil {
		return nil, err
	}
	q, t := s.q, s.targets[i]
	s.targets = s.targets[:had] // only the groups need it
	// An output column named in GROUP BY may hold what GROUP BY may not.
	var bad error
	expr.Walk(t.e, func(e expr.Expr) bool {
		if c, ok := e.(*expr.Column); ok && bad == nil {
			if info := q.b.cols[c.ID]; info != nil && info.q == q {
				switch info.kind {
				case aggCol:
					bad = q.b.errf(q.b.at[c], sqlstate.GroupingError, "aggregate functions are not allowed in GROUP BY")
				case windowCol:
					bad = q.b.errf(q.b.at[c], sqlstate.WindowingError, "window functions are not allowed in GROUP BY")
				}
			}
		}
		return true
	})
	if bad != nil {
		return nil, bad
	}
	if _, err := q.b.equality(t.e.Type().OID, location(n)); err != nil {
		return nil, err
	}
	k := key(t.e)
	for g := range s.groups {
		if key(s.groups[g].e) == k {
			return []int{g}, nil
		}
	}
	s.groups = append(s.groups, groupRef{t.e, location(n)})
	return []int{len(s.groups) - 1}, nil
}

// grouper rewrites the expressions above an Aggregate: what equals a grouping
// expression becomes its column, and any other column of the level is an error.
type grouper struct {
	s      *selection
	groups []plan.Projection
	byCol  map[int]int    // column id → group
	byKey  map[string]int // key → group, for other expressions
	heads  map[string]bool
	inside int // subqueries around the current expression
	err    error
}

func newGrouper(s *selection) *grouper {
	g := &grouper{s: s, byCol: map[int]int{}, byKey: map[string]int{}, heads: map[string]bool{}}
	b := s.q.b
	for i, r := range s.groups {
		name := "group"
		var from plan.Column
		if c, ok := r.e.(*expr.Column); ok {
			g.byCol[c.ID] = i
			from = b.cols[c.ID].col
			name = from.Name
		} else {
			g.byKey[key(r.e)] = i
			g.heads[head(r.e)] = true
		}
		col := b.column(s.q, name, r.e.Type(), groupCol)
		g.groups = append(g.groups, plan.Projection{Col: col, Expr: r.e})
	}
	return g
}

// head is a cheap part of an expression's key.
func head(e expr.Expr) string {
	if c, ok := e.(*expr.Call); ok {
		return fmt.Sprintf("%d/%d", c.Fn.OID, len(c.Args))
	}
	return fmt.Sprintf("%T%d", e, len(e.Children()))
}

// aggregate makes the Aggregate node; GROUPING's arguments are found among the groups.
func (g *grouper) aggregate(input plan.Node, _ bool) (*plan.Aggregate, error) {
	q := g.s.q
	agg := &plan.Aggregate{Input: input, Groups: g.groups, Aggs: q.aggs, Sets: g.s.sets}
	for _, call := range q.groupings {
		gc := plan.GroupingCall{Col: call.col}
		for i, a := range call.args {
			at := -1
			if c, ok := a.(*expr.Column); ok {
				if k, ok := g.byCol[c.ID]; ok {
					at = k
				}
			} else if k, ok := g.byKey[key(a)]; ok {
				at = k
			}
			if at < 0 {
				return nil, q.b.errf(call.locs[i], sqlstate.GroupingError, "arguments to GROUPING must be grouping expressions of the associated query level")
			}
			gc.Args = append(gc.Args, at)
		}
		agg.Grouping = append(agg.Grouping, gc)
	}
	return agg, nil
}

// rewriteAll rewrites the targets, HAVING, the window definitions and the
// set-returning calls above.
func (g *grouper) rewriteAll(having *expr.Expr, sets []*setCall) error {
	for i := range g.s.targets {
		t := &g.s.targets[i]
		t.e = g.rewrite(t.e)
	}
	if *having != nil {
		*having = g.rewrite(*having)
	}
	for _, w := range g.s.q.wins {
		for i := range w.funcs {
			f := &w.funcs[i]
			for k := range f.Args {
				f.Args[k] = g.rewrite(f.Args[k])
			}
			if f.Filter != nil {
				f.Filter = g.rewrite(f.Filter)
			}
		}
	}
	for _, w := range g.s.q.wins {
		for i := range w.partition {
			w.partition[i] = g.rewrite(w.partition[i])
		}
		w.order = append([]plan.SortKey(nil), w.order...)
		for i := range w.order {
			w.order[i].Expr = g.rewrite(w.order[i].Expr)
		}
	}
	for _, s := range sets {
		s.call.Call = g.rewrite(s.call.Call)
	}
	return g.err
}

func (g *grouper) rewrite(e expr.Expr) expr.Expr {
	if e == nil || g.err != nil {
		return e
	}
	return plan.RewriteExpr(e, g.step)
}

func (g *grouper) step(e expr.Expr) (expr.Expr, bool) {
	if g.err != nil {
		return e, true
	}
	q, b := g.s.q, g.s.q.b
	switch x := e.(type) {
	case *expr.Column:
		if i, ok := g.byCol[x.ID]; ok {
			return b.ref(g.groups[i].Col.ID, b.at[x]), true
		}
		info := b.cols[x.ID]
		if info == nil || info.q != q || info.kind == aggCol || info.kind == windowCol || info.kind == groupCol {
			return e, true
		}
		if info.kind == srfCol && !g.s.below[x.ID] {
			return e, true
		}
		if i, ok := g.dependent(info); ok {
			return b.ref(g.groups[i].Col.ID, b.at[x]), true
		}
		name := info.col.Name
		if info.rel != nil && info.rel.name != "" {
			name = info.rel.name + "." + name
		}
		if g.inside > 0 {
			g.err = b.errf(b.at[x], sqlstate.GroupingError, "subquery uses ungrouped column \"%s\" from outer query", name)
		} else {
			g.err = b.errf(b.at[x], sqlstate.GroupingError, "column \"%s\" must appear in the GROUP BY clause or be used in an aggregate function", name)
		}
		return e, true
	case *plan.Subquery:
		if i, ok := g.byKey[key(e)]; ok {
			return b.ref(g.groups[i].Col.ID, -1), true
		}
		c := *x
		c.Test = make([]expr.Expr, len(x.Test))
		for i, t := range x.Test {
			c.Test[i] = g.rewrite(t)
		}
		g.inside++
		c.Plan = plan.RewriteExprs(x.Plan, g.step)
		g.inside--
		return &c, true
	}
	if len(g.byKey) > 0 && g.heads[head(e)] {
		if i, ok := g.byKey[key(e)]; ok {
			return b.ref(g.groups[i].Col.ID, -1), true
		}
	}
	return e, false
}

// dependent adds a column of a table whose primary key is grouped by: it has one
// value a group.
func (g *grouper) dependent(info *colInfo) (int, bool) {
	r := info.rel
	if r == nil || r.table == nil || len(r.table.PK) == 0 || g.s.sets != nil {
		return 0, false
	}
	for _, ord := range r.table.PK {
		id := 0
		for i := range r.cols {
			if r.cols[i].idx == ord && r.cols[i].src == nil && r.cols[i].e == nil {
				id = r.cols[i].id
			}
		}
		if _, ok := g.byCol[id]; !ok || id == 0 {
			return 0, false
		}
	}
	b := g.s.q.b
	i := len(g.groups)
	col := b.column(g.s.q, info.col.Name, info.col.T, groupCol)
	g.groups = append(g.groups, plan.Projection{Col: col, Expr: info.col.Ref()})
	g.byCol[info.col.ID] = i
	return i, true
}
