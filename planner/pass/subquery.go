package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// unnestSubqueries turns every subquery expression into a join, and every lateral
// join into one whose right side stands alone. It works bottom-up: when a node's
// turn comes, the plans of its subqueries are already free of subqueries and
// laterals of their own, and refer to outer columns only as free columns.
func unnestSubqueries(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		n, err := subqueriesToJoins(c, n)
		if err != nil {
			return nil, err
		}
		return unnestAll(c, n)
	})
}

// unnestAll turns the lateral joins in n into ordinary ones, inner ones first.
func unnestAll(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		if j, ok := n.(*plan.Join); ok && j.Lateral {
			return unnest(c, j)
		}
		return n, nil
	})
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

// subqueriesToJoins replaces the subqueries in n's own expressions by lateral joins
// on its input.
func subqueriesToJoins(c *Context, n plan.Node) (plan.Node, error) {
	any := false
	exprs(n, func(e expr.Expr) { any = any || hasSubquery(e) })
	if !any {
		return n, nil
	}
	// A plan inside a subquery has not been visited by rewrite: do it now.
	var err error
	n = plan.MapExprs(n, func(e expr.Expr) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			s, ok := e.(*plan.Subquery)
			if !ok || err != nil {
				return e
			}
			p, e2 := unnestSubqueries(c, s.Plan)
			if e2 != nil {
				err = e2
				return e
			}
			m := *s
			m.Plan = p
			return &m
		})
	})
	if err != nil {
		return nil, err
	}
	switch x := n.(type) {
	case *plan.Filter:
		return filterSubqueries(c, x)
	case *plan.Join:
		return joinSubqueries(c, x)
	case *plan.Values:
		return valuesSubqueries(c, x)
	case *plan.Insert:
		return nil, sqlstate.Unsupported("a subquery in RETURNING or ON CONFLICT")
	}
	cs := n.Children()
	if len(cs) != 1 {
		return nil, sqlstate.Unsupported("a subquery in this place")
	}
	in := cs[0]
	before := in.Columns()
	n = plan.MapExprs(n, func(e expr.Expr) expr.Expr {
		if err != nil {
			return e
		}
		in, e, err = attach(c, in, e, false)
		return e
	})
	if err != nil {
		return nil, err
	}
	n = n.WithChildren([]plan.Node{in})
	switch n.(type) {
	case *plan.Project, *plan.Aggregate, *plan.Update, *plan.Delete:
		return n, nil
	}
	// The joins added columns that the node would pass on.
	outs := n.Columns()
	keep := passThrough(before)
	if len(outs) > len(in.Columns()) {
		keep = append(keep, passThrough(outs[len(in.Columns()):])...)
	}
	return &plan.Project{Input: n, Exprs: keep}, nil
}

// filterSubqueries turns conjuncts that are EXISTS or IN into semi and anti joins,
// and other subqueries into mark and single joins below the rest of the filter.
func filterSubqueries(c *Context, f *plan.Filter) (plan.Node, error) {
	before := f.Columns()
	in := f.Input
	var plain, rest []expr.Expr
	for _, e := range expr.Conjuncts(f.Pred) {
		if hasSubquery(e) {
			rest = append(rest, e)
		} else {
			plain = append(plain, e)
		}
	}
	in = filter(in, plain)
	var above []expr.Expr
	for _, e := range rest {
		if j := semiJoin(in, e); j != nil {
			j.ID = c.ID()
			in = j
			continue
		}
		var err error
		in, e, err = attach(c, in, e, true)
		if err != nil {
			return nil, err
		}
		above = append(above, e)
	}
	out := filter(in, above)
	if len(out.Columns()) != len(before) {
		out = &plan.Project{Input: out, Exprs: passThrough(before)}
	}
	return out, nil
}

// semiJoin makes a semi or anti join of a conjunct that is [NOT] EXISTS or [NOT]
// IN; nil for anything else.
func semiJoin(in plan.Node, e expr.Expr) *plan.Join {
	not := false
	for {
		n, ok := e.(*expr.Not)
		if !ok {
			break
		}
		e, not = n.Arg, !not
	}
	s, ok := e.(*plan.Subquery)
	if !ok {
		return nil
	}
	for _, t := range s.Test {
		if hasSubquery(t) {
			return nil
		}
	}
	j := &plan.Join{L: in, R: s.Plan, Kind: plan.Semi, Lateral: true}
	switch {
	case s.Kind == plan.ExistsSubquery:
		if not {
			j.Kind = plan.Anti
		}
	case s.Kind == plan.AnyAllSubquery && !s.All && !not:
		j.On = anyTest(s)
	case s.Kind == plan.AnyAllSubquery && len(s.Test) == 1 && (s.OpName == "=" && !s.All && not || s.OpName == "<>" && s.All && !not):
		// x NOT IN (…): only an equality can be the key of a null-aware join.
		t := *s
		if s.All {
			return nil
		}
		j.On, j.Kind, j.NullAware = anyTest(&t), plan.Anti, true
	default:
		return nil
	}
	return j
}

// anyTest is the condition under which one row of the subquery satisfies the test.
func anyTest(s *plan.Subquery) expr.Expr {
	cols := s.Plan.Columns()
	conj := make([]expr.Expr, len(s.Test))
	for i, t := range s.Test {
		conj[i] = &expr.Call{Fn: s.Fns[i], Args: []expr.Expr{t, cols[i].Ref()}, T: types.Bool, Pos: -1, Op: s.OpName}
	}
	return expr.Conjoin(conj)
}

// attach joins the subqueries of e onto in and puts their result columns in their
// places. truth says that e is a condition of which only truth matters.
func attach(c *Context, in plan.Node, e expr.Expr, truth bool) (plan.Node, expr.Expr, error) {
	var walk func(e expr.Expr, truth bool) (expr.Expr, error)
	walk = func(e expr.Expr, truth bool) (expr.Expr, error) {
		if !hasSubquery(e) {
			return e, nil
		}
		_, isSub := e.(*plan.Subquery)
		_, isAnd := e.(*expr.And)
		_, isOr := e.(*expr.Or)
		old := e.Children()
		cs := make([]expr.Expr, len(old))
		for i, x := range old {
			y, err := walk(x, truth && (isAnd || isOr))
			if err != nil {
				return nil, err
			}
			cs[i] = y
		}
		if len(cs) > 0 {
			e = e.WithChildren(cs)
		}
		if !isSub {
			return e, nil
		}
		j, r := subqueryJoin(c, e.(*plan.Subquery), truth)
		j.L = in
		in = j
		return r, nil
	}
	e, err := walk(e, truth)
	return in, e, err
}

// subqueryJoin makes the join (its L still open) that computes a subquery, and the
// expression of its result.
func subqueryJoin(c *Context, s *plan.Subquery, truth bool) (*plan.Join, expr.Expr) {
	j := &plan.Join{ID: c.ID(), R: s.Plan, Lateral: true}
	switch s.Kind {
	case plan.ScalarSubquery:
		j.Kind = plan.Single
		if atMostOneRow(s.Plan) {
			j.Kind = plan.Left
		}
		return j, s.Plan.Columns()[0].Ref()
	case plan.ArraySubquery:
		return arrayJoin(c, j, s)
	case plan.ExistsSubquery:
		j.Kind, j.TwoValued = plan.Mark, true
		j.Mark = plan.Column{ID: c.ID(), Name: "exists", T: types.Bool}
		return j, j.Mark.Ref()
	}
	j.Kind = plan.Mark
	j.Mark = plan.Column{ID: c.ID(), Name: "any", T: types.Bool}
	if s.All {
		// x op ALL q = NOT (NOT (x op q)) ANY
		j.On = &expr.Not{Arg: anyTest(s)}
		return j, &expr.Not{Arg: j.Mark.Ref()}
	}
	j.On, j.TwoValued = anyTest(s), truth
	return j, j.Mark.Ref()
}

// arrayJoin computes ARRAY(subquery): array_agg of its column, in the order that it
// asks for, and an empty array for no rows.
func arrayJoin(c *Context, j *plan.Join, s *plan.Subquery) (*plan.Join, expr.Expr) {
	in := s.Plan
	col := in.Columns()[0]
	agg := plan.Agg{Col: plan.Column{ID: c.ID(), Name: "array", T: s.T}, Args: []expr.Expr{col.Ref()}}
	name := uint32(types.AnyNonArrayOID)
	if types.IsArray(col.T.OID) {
		name = types.AnyArrayOID
	}
	agg.Fn = mustFunc("array_agg", name)
	// A sort at the top, perhaps below a projection, becomes the aggregate's own order.
	switch x := in.(type) {
	case *plan.Sort:
		if x.Limit < 0 {
			agg.Order, in = x.Keys, x.Input
		}
	case *plan.Project:
		if so, ok := x.Input.(*plan.Sort); ok && so.Limit < 0 {
			agg.Order = so.Keys
			m := *x
			m.Input = so.Input
			have := outputs(x)
			m.Exprs = append([]plan.Projection(nil), x.Exprs...)
			for _, k := range so.Keys {
				for _, ic := range so.Input.Columns() {
					if usedBy(k.Expr)[ic.ID] && !have[ic.ID] {
						have[ic.ID] = true
						m.Exprs = append(m.Exprs, plan.Projection{Col: ic, Expr: ic.Ref()})
					}
				}
			}
			in = &m
		}
	}
	j.R = &plan.Aggregate{Input: in, Aggs: []plan.Agg{agg}}
	j.Kind = plan.Left
	empty := &expr.Const{T: s.T, D: types.NewString(string(types.EmptyArray(col.T.OID)))}
	return j, &expr.Coalesce{T: s.T, Args: []expr.Expr{agg.Col.Ref(), empty}}
}

// atMostOneRow: an ungrouped aggregate, or LIMIT 1 of anything.
func atMostOneRow(n plan.Node) bool {
	switch x := n.(type) {
	case *plan.Project:
		return atMostOneRow(x.Input)
	case *plan.Filter:
		return atMostOneRow(x.Input)
	case *plan.Sort:
		return atMostOneRow(x.Input)
	case *plan.Aggregate:
		return len(x.Groups) == 0 && x.Sets == nil
	case *plan.Values:
		return len(x.Rows) <= 1
	case *plan.Limit:
		k, ok := x.Count.(*expr.Const)
		return ok && k.D.Valid && k.D.I <= 1 && !x.WithTies || atMostOneRow(x.Input)
	case *plan.Join:
		switch x.Kind {
		case plan.Inner, plan.Left, plan.Single:
			return atMostOneRow(x.L) && (x.Kind == plan.Single || atMostOneRow(x.R))
		case plan.Semi, plan.Anti, plan.Mark:
			return atMostOneRow(x.L)
		}
	}
	return false
}

// joinSubqueries moves a join condition's subqueries: of an inner join above it, of
// an outer join into the side they belong to. A subquery over both sides of an outer
// join's condition has no place to go.
func joinSubqueries(c *Context, j *plan.Join) (plan.Node, error) {
	if j.Kind == plan.Inner {
		m := *j
		m.On = nil
		return filterSubqueries(c, &plan.Filter{Input: &m, Pred: j.On})
	}
	if !j.Lateral && (j.Kind == plan.Left || j.Kind == plan.Right || j.Kind == plan.Full) {
		l, r := outputs(j.L), outputs(j.R)
		for _, e := range expr.Conjuncts(j.On) {
			if u := usedBy(e); hasSubquery(e) && u.intersects(l) && u.intersects(r) {
				return matchedJoin(c, j)
			}
		}
	}
	m := *j
	before := j.Columns()
	var conj []expr.Expr
	for _, e := range expr.Conjuncts(j.On) {
		if hasSubquery(e) {
			u := usedBy(e)
			l, r := outputs(m.L), outputs(m.R)
			var err error
			switch {
			case !u.intersects(l):
				m.R, e, err = attach(c, m.R, e, false)
			case !u.intersects(r):
				m.L, e, err = attach(c, m.L, e, false)
			default:
				return nil, sqlstate.Unsupported("a subquery over both sides of an outer join's condition")
			}
			if err != nil {
				return nil, err
			}
		}
		conj = append(conj, e)
	}
	m.On = expr.Conjoin(conj)
	for _, side := range []*plan.Node{&m.L, &m.R} {
		n, err := unnestAll(c, *side)
		if err != nil {
			return nil, err
		}
		*side = n
	}
	return &plan.Project{Input: &m, Exprs: passThrough(before)}, nil
}

// numbered is a side of an outer join as a shared definition, with a number for
// each row.
type numbered struct {
	c    *Context
	with *plan.With
	cols []plan.Column
}

func number(c *Context, side plan.Node, name string) *numbered {
	n := &numbered{c: c, cols: side.Columns()}
	col := c.Fresh(plan.Column{Name: "number", T: types.Int8})
	var def plan.Node = &plan.Window{Input: side, Funcs: []plan.WindowFunc{{Col: col, Fn: mustFunc("row_number")}}}
	def, _ = renamed(c, def)
	n.with = &plan.With{ID: c.ID(), Name: name, Def: def}
	return n
}

// read reads the side; the last column is the number.
func (n *numbered) read() *plan.CTERef {
	ref := &plan.CTERef{ID: n.with.ID, Name: n.with.Name}
	for _, col := range n.with.Def.Columns() {
		ref.Cols = append(ref.Cols, n.c.Fresh(col))
	}
	return ref
}

// rows reads the side under its own names, and tells its number.
func (n *numbered) rows() (plan.Node, plan.Column) {
	ref := n.read()
	num := ref.Cols[len(n.cols)]
	p := &plan.Project{Input: ref, Exprs: passThrough([]plan.Column{num})}
	for i, col := range n.cols {
		p.Exprs = append(p.Exprs, plan.Projection{Col: col, Expr: ref.Cols[i].Ref()})
	}
	return p, num
}

// matchedJoin is an outer join whose condition has a subquery over both sides. The
// rows of the sides are numbered; an inner join finds the pairs, where a condition is
// a filter; and the rows are joined with their pairs by number.
func matchedJoin(c *Context, j *plan.Join) (plan.Node, error) {
	l, r := number(c, j.L, "left"), number(c, j.R, "right")
	lp, rp := l.read(), r.read()
	sub := map[int]expr.Expr{}
	for i, col := range l.cols {
		sub[col.ID] = lp.Cols[i].Ref()
	}
	for i, col := range r.cols {
		sub[col.ID] = rp.Cols[i].Ref()
	}
	on := plan.RewriteExpr(j.On, func(e expr.Expr) (expr.Expr, bool) {
		if x, ok := e.(*expr.Column); ok && sub[x.ID] != nil {
			return sub[x.ID], true
		}
		return e, false
	})
	pairs, err := filterSubqueries(c, &plan.Filter{Input: &plan.Join{ID: c.ID(), Kind: plan.Inner, L: lp, R: rp}, Pred: on})
	if err != nil {
		return nil, err
	}
	if pairs, err = unnestAll(c, pairs); err != nil {
		return nil, err
	}
	lnum, rnum := lp.Cols[len(l.cols)], rp.Cols[len(r.cols)]
	join := func(kind plan.JoinKind, x, y plan.Node, a, b plan.Column) plan.Node {
		eq := &expr.Call{Fn: eqFor(types.Int8), Args: []expr.Expr{a.Ref(), b.Ref()}, T: types.Bool, Pos: -1, Op: "="}
		return &plan.Join{ID: c.ID(), Kind: kind, L: x, R: y, On: eq}
	}
	// Each row of the left side with the numbers of the right rows that it matches,
	// then these rows: what has no partner falls out, or stays with nulls, as the join
	// wants it.
	first, second := plan.Inner, plan.Inner
	switch j.Kind {
	case plan.Left:
		first, second = plan.Left, plan.Left
	case plan.Right:
		second = plan.Right
	case plan.Full:
		first, second = plan.Left, plan.Full
	}
	pairs = &plan.Project{Input: pairs, Exprs: passThrough([]plan.Column{lnum, rnum})}
	lrows, ln := l.rows()
	half := &plan.Project{Input: join(first, lrows, pairs, ln, lnum), Exprs: passThrough(append(append([]plan.Column(nil), l.cols...), rnum))}
	rrows, rn := r.rows()
	l.with.Body = r.with
	r.with.Body = &plan.Project{Input: join(second, half, rrows, rnum, rn), Exprs: passThrough(j.Columns())}
	return l.with, nil
}

// valuesSubqueries makes rows that hold subqueries a union of projections.
func valuesSubqueries(c *Context, v *plan.Values) (plan.Node, error) {
	var ins []plan.Node
	for _, r := range v.Rows {
		p := &plan.Project{Input: &plan.Values{Rows: [][]expr.Expr{{}}}}
		for i, e := range r {
			p.Exprs = append(p.Exprs, plan.Projection{Col: c.Fresh(v.Cols[i]), Expr: e})
		}
		n, err := subqueriesToJoins(c, p)
		if err != nil {
			return nil, err
		}
		n, err = unnestAll(c, n)
		if err != nil {
			return nil, err
		}
		ins = append(ins, n)
	}
	if len(ins) == 1 {
		ps := make([]plan.Projection, len(v.Cols))
		for i, x := range ins[0].Columns() {
			ps[i] = plan.Projection{Col: v.Cols[i], Expr: x.Ref()}
		}
		return &plan.Project{Input: ins[0], Exprs: ps}, nil
	}
	return &plan.SetOp{Kind: plan.Union, All: true, Inputs: ins, Cols: v.Cols}, nil
}

// mustFunc finds a builtin that rewrites need; its absence is our own bug.
func mustFunc(name string, args ...uint32) *fn.Func {
	for _, f := range fn.ByName(name) {
		if len(f.Args) != len(args) {
			continue
		}
		same := true
		for i := range args {
			same = same && f.Args[i] == args[i]
		}
		if same {
			return f
		}
	}
	panic("planner/pass: builtin " + name + " is not registered")
}
