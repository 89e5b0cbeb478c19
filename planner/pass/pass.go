// Package pass is the optimizer: a list of named passes over plan trees, one file
// each. A pass takes a tree and returns an equivalent one; each can be switched
// off, and the statement must then still run and give the same rows (only
// unnest_subquery and choose_joins are always on, since operators need what they
// make).
//
// Beside each rewrite stands the case in which it would be wrong.
package pass

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// Context is what passes may use and share.
type Context struct {
	// Stats gives a table's statistics; never nil results.
	Stats func(t *catalog.Table) *stats.Table
	// Fold evaluates an immutable expression without columns; an expression that
	// fails is returned unchanged, to fail when it runs.
	Fold func(expr.Expr) expr.Expr
	// Sample runs a predicate over a table's sample; may be nil.
	Sample stats.Sampler
	// Off names passes that are switched off.
	Off map[string]bool
	// Ended is an error once nobody waits for the plan any more; may be nil.
	Ended func() error
	// NextID is the last id handed out.
	NextID int
}

// ended leaves the optimizer from wherever it is.
type ended struct{ err error }

// look leaves the optimizer when nobody waits for the plan any more. What may take long
// calls it now and then.
func (c *Context) look() {
	if c.Ended != nil {
		if err := c.Ended(); err != nil {
			panic(ended{err})
		}
	}
}

// ID hands out a fresh id for a column, join or CTE.
func (c *Context) ID() int {
	c.NextID++
	return c.NextID
}

// Fresh makes a new column like x.
func (c *Context) Fresh(x plan.Column) plan.Column {
	x.ID = c.ID()
	return x
}

// Pass is one named rewrite.
type Pass struct {
	Name     string
	Required bool
	Run      func(*Context, plan.Node) (plan.Node, error)
}

// Passes is the optimizer, in order.
var Passes = []Pass{
	{"fold_constants", false, foldConstants},
	{"unnest_subquery", true, unnestSubqueries},
	{"factor_or", false, factorOr},
	{"simplify_outer_joins", false, simplifyOuterJoins},
	{"push_filter", false, pushFilters},
	{"order_joins", false, orderJoins},
	{"push_filter_again", false, pushFilters},
	{"push_filter_to_scan", false, filtersToScans},
	{"split_distinct", false, splitDistinct},
	{"shared_sums", false, sharedSums},
	{"prune_columns", false, pruneColumns},
	{"choose_joins", true, chooseJoins},
	{"top_n", false, topN},
	{"runtime_filters", false, runtimeFilters},
	{"key_lookup", false, keyLookups},
	{"row_ranges", false, rowRanges},
	{"key_order", false, keyOrder},
}

// Run applies all passes that are not switched off.
func Run(c *Context, n plan.Node) (_ plan.Node, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case ended:
			err = r.err
		default:
			panic(r)
		}
	}()
	for _, p := range Passes {
		c.look()
		if c.Off[p.Name] && !p.Required {
			continue
		}
		if n, err = p.Run(c, n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// rewrite replaces nodes bottom-up.
func rewrite(n plan.Node, f func(plan.Node) (plan.Node, error)) (plan.Node, error) {
	old := n.Children()
	var cs []plan.Node
	for i, c := range old {
		d, err := rewrite(c, f)
		if err != nil {
			return nil, err
		}
		if d != c && cs == nil {
			cs = append([]plan.Node(nil), old...)
		}
		if cs != nil {
			cs[i] = d
		}
	}
	if cs != nil {
		n = n.WithChildren(cs)
	}
	return f(n)
}

// colset is a set of column ids.
type colset map[int]bool

func (s colset) addAll(t colset) {
	for id := range t {
		s[id] = true
	}
}

func (s colset) intersects(t colset) bool {
	if len(t) < len(s) {
		s, t = t, s
	}
	for id := range s {
		if t[id] {
			return true
		}
	}
	return false
}

func (s colset) subsetOf(t colset) bool {
	for id := range s {
		if !t[id] {
			return false
		}
	}
	return true
}

// outputs are the ids of a node's output columns.
func outputs(n plan.Node) colset {
	s := colset{}
	for _, c := range n.Columns() {
		s[c.ID] = true
	}
	return s
}

// usedBy are the ids of the columns in e, also those free in its subqueries.
func usedBy(e expr.Expr) colset {
	s := colset{}
	addUsed(e, s)
	return s
}

func addUsed(e expr.Expr, s colset) {
	expr.Walk(e, func(e expr.Expr) bool {
		switch x := e.(type) {
		case *expr.Column:
			s[x.ID] = true
		case *plan.Subquery:
			s.addAll(free(x.Plan))
		}
		return true
	})
}

// exprs calls f for every expression that node n itself holds.
func exprs(n plan.Node, f func(expr.Expr)) {
	plan.MapExprs(n, func(e expr.Expr) expr.Expr { f(e); return e })
}

// produced are the ids of all columns that n or a node below it makes.
func produced(n plan.Node, s colset) {
	for _, c := range n.Columns() {
		s[c.ID] = true
	}
	if x, ok := n.(*plan.Scan); ok {
		for _, c := range x.Cols {
			s[c.ID] = true
		}
	}
	for _, c := range n.Children() {
		produced(c, s)
	}
}

// free are the ids of columns that n uses and nothing in it makes: outer references.
func free(n plan.Node) colset {
	used, made := colset{}, colset{}
	var walk func(plan.Node)
	walk = func(n plan.Node) {
		exprs(n, func(e expr.Expr) { addUsed(e, used) })
		for _, c := range n.Children() {
			walk(c)
		}
	}
	walk(n)
	produced(n, made)
	// Columns that DML nodes introduce for their own expressions.
	switch x := n.(type) {
	case *plan.Insert:
		for _, c := range x.Row {
			made[c.ID] = true
		}
		if x.Conflict != nil {
			for _, c := range x.Conflict.Old {
				made[c.ID] = true
			}
		}
	case *plan.Update:
		for _, c := range x.Row {
			made[c.ID] = true
		}
	case *plan.Merge:
		for _, c := range x.Row {
			made[c.ID] = true
		}
	}
	for id := range made {
		delete(used, id)
	}
	return used
}

// substitute replaces columns by expressions, also inside subqueries.
func substitute(e expr.Expr, m map[int]expr.Expr) expr.Expr {
	if len(m) == 0 || e == nil {
		return e
	}
	return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
		switch x := e.(type) {
		case *expr.Column:
			if r, ok := m[x.ID]; ok {
				return r
			}
		case *plan.Subquery:
			if p := substituteNode(x.Plan, m); p != x.Plan {
				n := *x
				n.Plan = p
				return &n
			}
		}
		return e
	})
}

// substituteNode replaces columns by expressions everywhere in a tree.
func substituteNode(n plan.Node, m map[int]expr.Expr) plan.Node {
	if len(m) == 0 {
		return n
	}
	n, _ = rewrite(n, func(n plan.Node) (plan.Node, error) {
		return plan.MapExprs(n, func(e expr.Expr) expr.Expr { return substitute(e, m) }), nil
	})
	return n
}

func isTrue(e expr.Expr) bool {
	c, ok := e.(*expr.Const)
	return e == nil || ok && c.D.Valid && c.T.OID == types.BoolOID && c.D.Bool()
}

// filter puts conjuncts above n, if there are any.
func filter(n plan.Node, conj []expr.Expr) plan.Node {
	keep := conj[:0:0]
	for _, e := range conj {
		if !isTrue(e) {
			keep = append(keep, e)
		}
	}
	if len(keep) == 0 {
		return n
	}
	if f, ok := n.(*plan.Filter); ok {
		return &plan.Filter{Input: f.Input, Pred: expr.Conjoin(append(expr.Conjuncts(f.Pred), keep...))}
	}
	return &plan.Filter{Input: n, Pred: expr.Conjoin(keep)}
}

// passThrough are projections that hand a node's columns on unchanged.
func passThrough(cols []plan.Column) []plan.Projection {
	ps := make([]plan.Projection, len(cols))
	for i, c := range cols {
		ps[i] = plan.Projection{Col: c, Expr: c.Ref()}
	}
	return ps
}

// equality splits l = r by an equality operator's function.
func equality(e expr.Expr) (l, r expr.Expr, eq *fn.Func, ok bool) {
	c, isCall := e.(*expr.Call)
	if !isCall || c.Op != "=" || len(c.Args) != 2 {
		return nil, nil, nil, false
	}
	return c.Args[0], c.Args[1], c.Fn, true
}
