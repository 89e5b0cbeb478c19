package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// unnest makes a lateral join ordinary. The way is that of Neumann and Kemper,
// Unnesting Arbitrary Queries (BTW 2015): the right side is evaluated not once for
// each left row but once for each distinct combination of the outer values it uses
// (the domain), which is pushed down the right side until nothing below depends on
// it; then the join goes over the outer values. Two shorter ways come first:
// correlated filters near the top become part of the join condition, and where the
// right side equates an outer value with one of its own expressions, that
// expression stands for it and no domain is needed.
func unnest(c *Context, j *plan.Join) (plan.Node, error) {
	m := *j
	m.Lateral = false
	if m.ID == 0 {
		m.ID = c.ID()
	}
	left := outputs(m.L)
	if !depends(m.R, left) {
		return &m, nil
	}
	before := j.Columns()
	if m.NullAware {
		// NOT IN over a correlated subquery: whether a comparison was null matters only
		// among the rows of this outer row, which a mark can tell and an anti join cannot.
		m.Kind, m.NullAware, m.Lateral = plan.Mark, false, true
		m.Mark = plan.Column{ID: c.ID(), Name: "any", T: types.Bool}
		n, err := unnest(c, &m)
		if err != nil {
			return nil, err
		}
		return &plan.Project{Input: filter(n, []expr.Expr{&expr.Not{Arg: m.Mark.Ref()}}), Exprs: passThrough(before)}, nil
	}
	if m.Kind != plan.Right && m.Kind != plan.Full {
		var pulled []expr.Expr
		if r, conj := pullFilters(c, m.R, left); conj != nil && !depends(r, left) {
			m.R, pulled = r, conj
			if m.Kind == plan.Mark {
				for i, e := range pulled {
					pulled[i] = &expr.BoolTest{Arg: e, Want: true}
				}
				if m.TwoValued {
					pulled = conj
				}
			}
			m.On = expr.Conjoin(append(expr.Conjuncts(m.On), pulled...))
			return narrow(&m, before), nil
		}
	} else {
		return nil, sqlstate.Errorf(sqlstate.InvalidColumnReference, "invalid reference to FROM-clause entry").
			WithDetail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
	}
	var outer []plan.Column
	need := free(m.R)
	for _, col := range m.L.Columns() {
		if need[col.ID] {
			outer = append(outer, col)
		}
	}
	u := &unnester{c: c, outer: outer, left: m.L}
	r, reps, err := u.push(m.R, m.Kind == plan.Left || m.Kind == plan.Single)
	if err != nil {
		return nil, err
	}
	m.R = r
	for _, col := range outer {
		rep, ok := reps[col.ID]
		if !ok {
			continue
		}
		if rep.eq != nil {
			m.Keys = append(m.Keys, plan.JoinKey{L: col.Ref(), R: rep.col.Ref(), Eq: rep.eq})
		} else {
			m.Keys = append(m.Keys, plan.JoinKey{L: col.Ref(), R: rep.col.Ref(), Eq: eqFor(col.T), NullEqual: true})
		}
	}
	if u.domainUsed {
		// The left side is read twice: once as itself, once for its distinct values.
		with := &plan.With{ID: u.cteID, Name: "outer", Def: m.L}
		m.L = &plan.CTERef{ID: u.cteID, Name: "outer", Cols: m.L.Columns()}
		// The definition keeps its column ids; the reference gets fresh ones, and a
		// projection gives them the old ids again, since the rest of the plan uses them.
		fresh := make([]plan.Column, len(m.L.Columns()))
		ps := make([]plan.Projection, len(fresh))
		for i, col := range m.L.Columns() {
			fresh[i] = c.Fresh(col)
			ps[i] = plan.Projection{Col: col, Expr: fresh[i].Ref()}
		}
		m.L = &plan.Project{Input: &plan.CTERef{ID: u.cteID, Name: "outer", Cols: fresh}, Exprs: ps}
		def, back := renamed(c, with.Def)
		with.Def = def
		_ = back
		with.Body = narrow(&m, before)
		return with, nil
	}
	return narrow(&m, before), nil
}

// renamed puts a projection above n that gives its columns fresh ids, so that the
// definition of a shared subplan does not make the ids its reader makes again.
func renamed(c *Context, n plan.Node) (plan.Node, []plan.Column) {
	cols := n.Columns()
	ps := make([]plan.Projection, len(cols))
	for i, col := range cols {
		ps[i] = plan.Projection{Col: c.Fresh(col), Expr: col.Ref()}
	}
	return &plan.Project{Input: n, Exprs: ps}, cols
}

func narrow(j *plan.Join, want []plan.Column) plan.Node {
	if len(j.Columns()) == len(want) {
		return j
	}
	return &plan.Project{Input: j, Exprs: passThrough(want)}
}

func depends(n plan.Node, cols colset) bool { return free(n).intersects(cols) }

// eqFor is the equality function of a type.
func eqFor(t types.T) *fn.Func {
	if op := fn.EqualityFor(t.OID); op != nil {
		return op.Func
	}
	return nil
}

// pullFilters takes the conjuncts that use outer columns out of the filters near the
// top of n (through projections, which then also pass on the columns the conjuncts
// need, and inner joins). It stops at anything whose result would change if more
// rows came to it: aggregates, limits, distinct, windows, outer joins.
func pullFilters(c *Context, n plan.Node, outer colset) (plan.Node, []expr.Expr) {
	switch x := n.(type) {
	case *plan.Filter:
		in, pulled := pullFilters(c, x.Input, outer)
		var keep []expr.Expr
		for _, e := range expr.Conjuncts(x.Pred) {
			if usedBy(e).intersects(outer) {
				pulled = append(pulled, e)
			} else {
				keep = append(keep, e)
			}
		}
		return filter(in, keep), pulled
	case *plan.Project:
		in, pulled := pullFilters(c, x.Input, outer)
		if len(pulled) == 0 {
			return n, nil
		}
		m := *x
		m.Input = in
		m.Exprs = append([]plan.Projection(nil), x.Exprs...)
		have := outputs(&m)
		for _, e := range pulled {
			for _, col := range in.Columns() {
				if usedBy(e)[col.ID] && !have[col.ID] {
					have[col.ID] = true
					m.Exprs = append(m.Exprs, plan.Projection{Col: col, Expr: col.Ref()})
				}
			}
		}
		return &m, pulled
	case *plan.Join:
		if x.Kind != plan.Inner || len(x.Keys) > 0 {
			return n, nil
		}
		m := *x
		var p1, p2, keep []expr.Expr
		m.L, p1 = pullFilters(c, x.L, outer)
		m.R, p2 = pullFilters(c, x.R, outer)
		pulled := append(p1, p2...)
		for _, e := range expr.Conjuncts(x.On) {
			if usedBy(e).intersects(outer) {
				pulled = append(pulled, e)
			} else {
				keep = append(keep, e)
			}
		}
		m.On = expr.Conjoin(keep)
		return &m, pulled
	case *plan.Sort:
		if x.Limit >= 0 {
			return n, nil
		}
		// The order of a subquery that a join reads has no meaning.
		return pullFilters(c, x.Input, outer)
	}
	return n, nil
}
