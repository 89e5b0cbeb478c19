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

// rep is the column that stands for an outer column inside the right side. eq is
// the equality it came from, or nil when it is the outer value itself (also null).
type rep struct {
	col plan.Column
	eq  *fn.Func
}

type unnester struct {
	c          *Context
	outer      []plan.Column
	left       plan.Node
	cteID      int
	domainUsed bool
	// shared has the definitions of WITH that use outer columns, by ID: after their
	// own columns, their references have one for each of these.
	shared map[int]sharedDef
}

// sharedDef is a definition of WITH that was made independent of outer columns.
type sharedDef struct {
	need []plan.Column
	reps map[int]rep
}

func (u *unnester) outerSet() colset {
	s := colset{}
	for _, c := range u.outer {
		s[c.ID] = true
	}
	return s
}

// domain is a fresh copy of the distinct outer values of cols.
func (u *unnester) domain(cols []plan.Column) (plan.Node, map[int]rep) {
	if !u.domainUsed {
		u.domainUsed, u.cteID = true, u.c.ID()
	}
	all := u.left.Columns()
	fresh := make([]plan.Column, len(all))
	byID := map[int]plan.Column{}
	for i, col := range all {
		fresh[i] = u.c.Fresh(col)
		byID[col.ID] = fresh[i]
	}
	reps := map[int]rep{}
	p := &plan.Project{Input: &plan.CTERef{ID: u.cteID, Name: "outer", Cols: fresh}}
	for _, col := range cols {
		f := u.c.Fresh(col)
		p.Exprs = append(p.Exprs, plan.Projection{Col: f, Expr: byID[col.ID].Ref()})
		reps[col.ID] = rep{col: f}
	}
	return &plan.Distinct{Input: p}, reps
}

// inner is the list of outer columns that n uses.
func (u *unnester) needs(n plan.Node) []plan.Column {
	f := free(n)
	if len(u.shared) > 0 {
		u.addShared(n, f)
	}
	var out []plan.Column
	for _, c := range u.outer {
		if f[c.ID] {
			out = append(out, c)
		}
	}
	return out
}

// addShared adds the outer columns that n reads by way of shared definitions.
func (u *unnester) addShared(n plan.Node, f colset) {
	if ref, ok := n.(*plan.CTERef); ok {
		for _, c := range u.shared[ref.ID].need {
			f[c.ID] = true
		}
	}
	for _, c := range n.Children() {
		u.addShared(c, f)
	}
}

// withDomain crosses n, which depends on nothing outer, with the domain of cols.
func (u *unnester) withDomain(n plan.Node, cols []plan.Column) (plan.Node, map[int]rep) {
	d, reps := u.domain(cols)
	if v, ok := n.(*plan.Values); ok && len(v.Rows) == 1 && len(v.Cols) == 0 {
		return d, reps
	}
	return &plan.Join{ID: u.c.ID(), Kind: plan.Inner, L: d, R: n}, reps
}

func subst(reps map[int]rep) map[int]expr.Expr {
	m := map[int]expr.Expr{}
	for id, r := range reps {
		m[id] = r.col.Ref()
	}
	return m
}

// push makes n independent of the outer columns: the result yields n's columns and,
// for each outer column that n uses, its representative. optional says that a
// missing row means the same to the reader as a row of nulls.
func (u *unnester) push(n plan.Node, optional bool) (plan.Node, map[int]rep, error) {
	need := u.needs(n)
	if len(need) == 0 {
		return n, map[int]rep{}, nil
	}
	switch x := n.(type) {
	case *plan.Filter:
		return u.pushFilter(x)
	case *plan.Project:
		if optional && !nullOnNull(x) {
			optional = false
		}
		in, reps, err := u.cover(x.Input, need, optional)
		if err != nil {
			return nil, nil, err
		}
		m := plan.MapExprs(x, func(e expr.Expr) expr.Expr { return substitute(e, subst(reps)) }).(*plan.Project)
		m.Input = in
		m.Exprs = append(m.Exprs, repProjections(need, reps)...)
		return m, reps, nil
	case *plan.Aggregate:
		return u.pushAggregate(x, need, optional)
	case *plan.Sort:
		in, reps, err := u.cover(x.Input, need, false)
		if err != nil {
			return nil, nil, err
		}
		if x.Limit < 0 {
			return in, reps, nil
		}
		return nil, nil, sqlstate.Unsupported("a limited sort in a correlated subquery")
	case *plan.Limit:
		return u.pushLimit(x, need)
	case *plan.Distinct:
		in, reps, err := u.cover(x.Input, need, false)
		if err != nil {
			return nil, nil, err
		}
		m := plan.MapExprs(x, func(e expr.Expr) expr.Expr { return substitute(e, subst(reps)) }).(*plan.Distinct)
		m.Input = in
		if len(m.On) > 0 {
			for _, c := range need {
				m.On = append(m.On, reps[c.ID].col.Ref())
			}
		}
		return m, reps, nil
	case *plan.Window:
		in, reps, err := u.cover(x.Input, need, false)
		if err != nil {
			return nil, nil, err
		}
		m := plan.MapExprs(x, func(e expr.Expr) expr.Expr { return substitute(e, subst(reps)) }).(*plan.Window)
		m.Input = in
		for _, c := range need {
			m.Partition = append(m.Partition, reps[c.ID].col.Ref())
		}
		return m, reps, nil
	case *plan.ProjectSet:
		in, reps, err := u.cover(x.Input, need, false)
		if err != nil {
			return nil, nil, err
		}
		m := plan.MapExprs(x, func(e expr.Expr) expr.Expr { return substitute(e, subst(reps)) }).(*plan.ProjectSet)
		m.Input = in
		return m, reps, nil
	case *plan.Values:
		return u.pushValues(x, need)
	case *plan.SetOp:
		return u.pushSetOp(x, need)
	case *plan.Join:
		return u.pushJoin(x, need)
	case *plan.With:
		m := *x
		if defNeed := u.needs(x.Def); len(defNeed) > 0 {
			def, reps, err := u.cover(x.Def, defNeed, false)
			if err != nil {
				return nil, nil, err
			}
			m.Def = &plan.Project{Input: def, Exprs: append(passThrough(x.Def.Columns()), repProjections(defNeed, reps)...)}
			if u.shared == nil {
				u.shared = map[int]sharedDef{}
			}
			u.shared[x.ID] = sharedDef{defNeed, reps}
		}
		in, reps, err := u.cover(x.Body, need, false)
		if err != nil {
			return nil, nil, err
		}
		m.Body = in
		return &m, reps, nil
	case *plan.CTERef:
		def := u.shared[x.ID]
		m := *x
		m.Cols = append([]plan.Column(nil), x.Cols...)
		reps := map[int]rep{}
		for _, c := range def.need {
			r := def.reps[c.ID]
			f := u.c.Fresh(r.col)
			m.Cols = append(m.Cols, f)
			reps[c.ID] = rep{col: f, eq: r.eq}
		}
		return &m, reps, nil
	}
	return nil, nil, sqlstate.Unsupported("this correlated subquery")
}

// cover pushes into n and makes sure that the result has representatives of all of
// need, crossing with a domain for those that n itself does not use.
func (u *unnester) cover(n plan.Node, need []plan.Column, optional bool) (plan.Node, map[int]rep, error) {
	in, reps, err := u.push(n, optional)
	if err != nil {
		return nil, nil, err
	}
	var missing []plan.Column
	for _, c := range need {
		if _, ok := reps[c.ID]; !ok {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return in, reps, nil
	}
	if len(reps) > 0 {
		// Combinations of outer values must come from the same outer row: a domain of
		// all, joined on those that are there already.
		d, more := u.domain(need)
		j := &plan.Join{ID: u.c.ID(), Kind: plan.Inner, L: in, R: d}
		for _, c := range need {
			if r, ok := reps[c.ID]; ok {
				k := plan.JoinKey{L: r.col.Ref(), R: more[c.ID].col.Ref(), Eq: eqFor(c.T), NullEqual: r.eq == nil}
				if r.eq != nil {
					// The representative is another expression equal to the outer value.
					k.L, k.R, k.Eq = more[c.ID].col.Ref(), r.col.Ref(), r.eq
					k = plan.JoinKey{L: k.R, R: k.L, Eq: commuted(r.eq)}
				}
				j.Keys = append(j.Keys, k)
			}
		}
		return j, more, nil
	}
	in, reps = u.withDomain(in, need)
	return in, reps, nil
}

// commuted is the function of the commutator of an equality.
func commuted(f *fn.Func) *fn.Func {
	for _, op := range fn.Operators("=") {
		if op.Func == f {
			if c := fn.OperatorByOID(op.Commutator); c != nil {
				return c.Func
			}
		}
	}
	return f
}

func repProjections(need []plan.Column, reps map[int]rep) []plan.Projection {
	var ps []plan.Projection
	for _, c := range need {
		r := reps[c.ID]
		ps = append(ps, plan.Projection{Col: r.col, Expr: r.col.Ref()})
	}
	return ps
}

// pushFilter handles the place where most correlation is. When the input does not
// depend on the outer columns and each one that the condition uses is equated with
// an expression of the input, that expression stands for it.
func (u *unnester) pushFilter(x *plan.Filter) (plan.Node, map[int]rep, error) {
	outer := u.outerSet()
	need := u.needs(x)
	conj := expr.Conjuncts(x.Pred)
	if len(u.needs(x.Input)) == 0 {
		reps := map[int]rep{}
		var ps []plan.Projection
		used := map[int]bool{}
		for i, e := range conj {
			l, r, eq, ok := equality(e)
			if !ok {
				continue
			}
			col, isCol := l.(*expr.Column)
			if !isCol || !outer[col.ID] || usedBy(r).intersects(outer) {
				col, isCol = r.(*expr.Column)
				l, r, eq = r, l, commuted(eq)
				if !isCol || !outer[col.ID] || usedBy(r).intersects(outer) {
					continue
				}
			}
			if _, dup := reps[col.ID]; dup || expr.Volatility(r) == fn.Volatile {
				continue
			}
			c := plan.Column{ID: u.c.ID(), Name: col.Name, T: r.Type()}
			if rc, ok := r.(*expr.Column); ok {
				c = plan.Column{ID: rc.ID, Name: rc.Name, T: rc.T}
			} else {
				ps = append(ps, plan.Projection{Col: c, Expr: r})
			}
			reps[col.ID] = rep{col: c, eq: eq}
			used[i] = true
		}
		// An outer column used elsewhere too may only be replaced where the types agree:
		// 1::int8 and 1::int4 are equal, but print, divide and overflow differently.
		ok := len(reps) == len(need)
		for _, c := range need {
			if r, have := reps[c.ID]; have && !r.col.T.Same(c.T) {
				for i, e := range conj {
					if !used[i] && usedBy(e)[c.ID] {
						ok = false
					}
				}
			}
		}
		if ok {
			in := x.Input
			if len(ps) > 0 {
				in = &plan.Project{Input: in, Exprs: append(passThrough(in.Columns()), ps...)}
			}
			var rest []expr.Expr
			for i, e := range conj {
				if used[i] {
					l, r, _, _ := equality(e)
					if c, ok := l.(*expr.Column); ok && outer[c.ID] {
						l = r
					}
					rest = append(rest, &expr.IsNull{Arg: l, Not: true})
					continue
				}
				rest = append(rest, substitute(e, subst(reps)))
			}
			// Two outer columns may share one column of the input: each needs a name of its own.
			in = filter(in, rest)
			in, reps = u.distinctReps(in, need, reps)
			return in, reps, nil
		}
	}
	in, reps, err := u.cover(x.Input, need, false)
	if err != nil {
		return nil, nil, err
	}
	m := subst(reps)
	rest := make([]expr.Expr, len(conj))
	for i, e := range conj {
		rest[i] = substitute(e, m)
	}
	return filter(in, rest), reps, nil
}

// distinctReps gives every representative a column id of its own, not one that the
// input outputs anyway, so that projections above can add it beside that.
func (u *unnester) distinctReps(in plan.Node, need []plan.Column, reps map[int]rep) (plan.Node, map[int]rep) {
	out := map[int]rep{}
	ps := passThrough(in.Columns())
	for _, c := range need {
		r := reps[c.ID]
		f := u.c.Fresh(r.col)
		ps = append(ps, plan.Projection{Col: f, Expr: r.col.Ref()})
		out[c.ID] = rep{col: f, eq: r.eq}
	}
	return &plan.Project{Input: in, Exprs: ps}, out
}

// pushAggregate groups by the representatives too. An aggregate without groups
// yields a row for an empty input, but one grouped by representatives does not: for
// (SELECT count(*) FROM s WHERE s.a = t.a) a row of t without partners must get 0.
// So the domain is joined to it, unless every aggregate is null on no rows and a
// missing row means nulls to the reader.
func (u *unnester) pushAggregate(x *plan.Aggregate, need []plan.Column, optional bool) (plan.Node, map[int]rep, error) {
	in, reps, err := u.cover(x.Input, need, false)
	if err != nil {
		return nil, nil, err
	}
	m := plan.MapExprs(x, func(e expr.Expr) expr.Expr { return substitute(e, subst(reps)) }).(*plan.Aggregate)
	m.Input = in
	base := len(m.Groups)
	out := map[int]rep{}
	for _, c := range need {
		f := u.c.Fresh(reps[c.ID].col)
		m.Groups = append(m.Groups, plan.Projection{Col: f, Expr: reps[c.ID].col.Ref()})
		out[c.ID] = rep{col: f, eq: reps[c.ID].eq}
	}
	for i := range m.Sets {
		s := append([]int(nil), m.Sets[i]...)
		for k := base; k < len(m.Groups); k++ {
			s = append(s, k)
		}
		m.Sets[i] = s
	}
	if base > 0 {
		return m, out, nil
	}
	if m.Sets != nil {
		return nil, nil, sqlstate.Unsupported("an empty grouping set in a correlated subquery")
	}
	counts := false
	for _, a := range m.Aggs {
		counts = counts || a.Fn.Name == "count" || a.Fn.Name == "regr_count"
	}
	if optional && !counts {
		return m, out, nil
	}
	d, dreps := u.domain(need)
	j := &plan.Join{ID: u.c.ID(), Kind: plan.Left, L: d, R: m, KeysUnique: true}
	for _, c := range need {
		r := out[c.ID]
		k := plan.JoinKey{L: dreps[c.ID].col.Ref(), R: r.col.Ref(), Eq: eqFor(c.T), NullEqual: true}
		if r.eq != nil {
			k.Eq, k.NullEqual = r.eq, false
		}
		j.Keys = append(j.Keys, k)
	}
	p := &plan.Project{Input: j}
	for i := range m.Aggs {
		a := &m.Aggs[i]
		if a.Fn.Name != "count" && a.Fn.Name != "regr_count" {
			p.Exprs = append(p.Exprs, plan.Projection{Col: a.Col, Expr: a.Col.Ref()})
			continue
		}
		raw := u.c.Fresh(a.Col)
		p.Exprs = append(p.Exprs, plan.Projection{Col: a.Col, Expr: &expr.Coalesce{T: a.Col.T,
			Args: []expr.Expr{raw.Ref(), &expr.Const{T: a.Col.T, D: types.NewInt(0)}}}})
		a.Col = raw
	}
	for _, g := range m.Grouping {
		p.Exprs = append(p.Exprs, plan.Projection{Col: g.Col, Expr: g.Col.Ref()})
	}
	p.Exprs = append(p.Exprs, repProjections(need, dreps)...)
	return p, dreps, nil
}

// nullOnNull says whether every expression of p is null when all input columns are.
func nullOnNull(p *plan.Project) bool {
	var null func(e expr.Expr) bool
	null = func(e expr.Expr) bool {
		switch x := e.(type) {
		case *expr.Column:
			return true
		case *expr.Cast:
			return null(x.Arg)
		case *expr.Call:
			if !x.Fn.Strict {
				return false
			}
			for _, a := range x.Args {
				if null(a) {
					return true
				}
			}
		}
		return false
	}
	for _, e := range p.Exprs {
		if !null(e.Expr) {
			return false
		}
	}
	return true
}

// pushLimit numbers the rows of each outer combination and keeps the first ones.
func (u *unnester) pushLimit(x *plan.Limit, need []plan.Column) (plan.Node, map[int]rep, error) {
	if x.WithTies {
		return nil, nil, sqlstate.Unsupported("FETCH FIRST … WITH TIES in a correlated subquery")
	}
	var order []plan.SortKey
	input := x.Input
	// The order may stand below projections that do not touch the keys.
	if s, ok := input.(*plan.Sort); ok {
		order, input = s.Keys, s.Input
	} else if p, ok := input.(*plan.Project); ok {
		if s, ok := p.Input.(*plan.Sort); ok {
			order = s.Keys
			m := *p
			m.Input = s.Input
			have := outputs(p)
			m.Exprs = append([]plan.Projection(nil), p.Exprs...)
			for i, k := range order {
				for _, c := range s.Input.Columns() {
					if usedBy(k.Expr)[c.ID] && !have[c.ID] {
						have[c.ID] = true
						m.Exprs = append(m.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
					}
				}
				_ = i
			}
			input = &m
		}
	}
	before := x.Columns()
	in, reps, err := u.cover(input, need, false)
	if err != nil {
		return nil, nil, err
	}
	rn := plan.Column{ID: u.c.ID(), Name: "row_number", T: types.Int8}
	w := &plan.Window{Input: in, Funcs: []plan.WindowFunc{{Col: rn, Fn: mustFunc("row_number"),
		Frame: plan.Frame{Start: plan.FrameBound{Kind: plan.UnboundedPreceding}, End: plan.FrameBound{Kind: plan.CurrentRow}}}}}
	for _, c := range need {
		w.Partition = append(w.Partition, reps[c.ID].col.Ref())
	}
	for _, k := range order {
		k.Expr = substitute(k.Expr, subst(reps))
		w.Order = append(w.Order, k)
	}
	int8f := func(name string) *fn.Func { return mustFunc(name, types.Int8OID, types.Int8OID) }
	var conj []expr.Expr
	off := expr.Expr(&expr.Const{T: types.Int8, D: types.NewInt(0)})
	if x.Offset != nil {
		off = substitute(x.Offset, subst(reps))
		conj = append(conj, &expr.Call{Fn: int8f("int8gt"), Op: ">", T: types.Bool, Pos: -1, Args: []expr.Expr{rn.Ref(), off}})
	}
	if x.Count != nil {
		end := expr.Expr(&expr.Call{Fn: int8f("int8pl"), Op: "+", T: types.Int8, Pos: -1, Args: []expr.Expr{substitute(x.Count, subst(reps)), off}})
		conj = append(conj, &expr.Call{Fn: int8f("int8le"), Op: "<=", T: types.Bool, Pos: -1, Args: []expr.Expr{rn.Ref(), end}})
	}
	p := &plan.Project{Input: filter(w, conj), Exprs: passThrough(before)}
	p.Exprs = append(p.Exprs, repProjections(need, reps)...)
	return p, reps, nil
}

// pushValues turns rows that use outer values into projections of the domain.
func (u *unnester) pushValues(x *plan.Values, need []plan.Column) (plan.Node, map[int]rep, error) {
	row := func(r []expr.Expr, cols []plan.Column) (*plan.Project, map[int]rep) {
		d, reps := u.domain(need)
		p := &plan.Project{Input: d}
		for i, e := range r {
			p.Exprs = append(p.Exprs, plan.Projection{Col: cols[i], Expr: substitute(e, subst(reps))})
		}
		p.Exprs = append(p.Exprs, repProjections(need, reps)...)
		return p, reps
	}
	if len(x.Rows) == 1 {
		p, reps := row(x.Rows[0], x.Cols)
		return p, reps, nil
	}
	s := &plan.SetOp{Kind: plan.Union, All: true, Cols: append([]plan.Column(nil), x.Cols...)}
	for _, r := range x.Rows {
		cols := make([]plan.Column, len(x.Cols))
		for i := range cols {
			cols[i] = u.c.Fresh(x.Cols[i])
		}
		p, _ := row(r, cols)
		s.Inputs = append(s.Inputs, p)
	}
	reps := map[int]rep{}
	for _, c := range need {
		f := u.c.Fresh(c)
		s.Cols = append(s.Cols, f)
		reps[c.ID] = rep{col: f}
	}
	return s, reps, nil
}

// pushSetOp pushes into every input; the representatives become columns of the
// operation, so that rows of different outer combinations never meet.
func (u *unnester) pushSetOp(x *plan.SetOp, need []plan.Column) (plan.Node, map[int]rep, error) {
	m := *x
	m.Inputs = nil
	m.Cols = append([]plan.Column(nil), x.Cols...)
	for _, in := range x.Inputs {
		d, reps, err := u.cover(in, need, false)
		if err != nil {
			return nil, nil, err
		}
		exact := true
		for _, c := range need {
			exact = exact && reps[c.ID].eq == nil
		}
		if !exact {
			// Expressions that merely equal the outer value may differ between inputs.
			dom, more := u.domain(need)
			j := &plan.Join{ID: u.c.ID(), Kind: plan.Inner, L: d, R: dom}
			for _, c := range need {
				r := reps[c.ID]
				k := plan.JoinKey{L: r.col.Ref(), R: more[c.ID].col.Ref(), Eq: eqFor(c.T), NullEqual: true}
				if r.eq != nil {
					k.Eq, k.NullEqual = commuted(r.eq), false
				}
				j.Keys = append(j.Keys, k)
			}
			d, reps = j, more
		}
		p := &plan.Project{Input: d, Exprs: passThrough(in.Columns())}
		p.Exprs = append(p.Exprs, repProjections(need, reps)...)
		m.Inputs = append(m.Inputs, p)
	}
	out := map[int]rep{}
	for _, c := range need {
		f := u.c.Fresh(c)
		m.Cols = append(m.Cols, f)
		out[c.ID] = rep{col: f}
	}
	return &m, out, nil
}

// pushJoin pushes into the sides that depend. Where both do, the sides are also
// joined on their representatives. A condition that uses outer values needs them on
// the left, or for an inner join on either side.
func (u *unnester) pushJoin(x *plan.Join, need []plan.Column) (plan.Node, map[int]rep, error) {
	nl, nr := u.needs(x.L), u.needs(x.R)
	outer := u.outerSet()
	own := colset{}
	for _, e := range []expr.Expr{x.On, x.Resid} {
		if e != nil {
			addUsed(e, own)
		}
	}
	for _, k := range x.Keys {
		addUsed(k.L, own)
		addUsed(k.R, own)
	}
	uses := own.intersects(outer)
	m := *x
	var err error
	var lreps, rreps map[int]rep
	rightOnly := x.Kind == plan.Inner && len(nl) == 0 && !uses
	switch {
	case x.Kind == plan.Inner && uses && len(x.Keys) == 0:
		// The condition goes above as a filter, where it may be substituted.
		m.On = nil
		return u.pushFilter(&plan.Filter{Input: &m, Pred: x.On})
	case len(nr) == 0 && x.Kind != plan.Full && x.Kind != plan.Right:
		if m.L, lreps, err = u.cover(x.L, need, false); err != nil {
			return nil, nil, err
		}
		m2 := plan.MapExprs(&m, func(e expr.Expr) expr.Expr { return substitute(e, subst(lreps)) })
		return m2, lreps, nil
	case rightOnly:
		if m.R, rreps, err = u.cover(x.R, need, false); err != nil {
			return nil, nil, err
		}
		return &m, rreps, nil
	}
	if m.L, lreps, err = u.cover(x.L, need, false); err != nil {
		return nil, nil, err
	}
	if m.R, rreps, err = u.cover(x.R, need, false); err != nil {
		return nil, nil, err
	}
	m2 := plan.MapExprs(&m, func(e expr.Expr) expr.Expr { return substitute(e, subst(lreps)) }).(*plan.Join)
	for _, c := range need {
		l, r := lreps[c.ID], rreps[c.ID]
		k := plan.JoinKey{L: l.col.Ref(), R: r.col.Ref(), Eq: eqFor(c.T), NullEqual: true}
		if !l.col.T.SameSQL(r.col.T) {
			return nil, nil, sqlstate.Unsupported("a correlated join over values of different types")
		}
		if l.eq != nil || r.eq != nil {
			k.Eq = eqFor(l.col.T)
		}
		m2.Keys = append(m2.Keys, k)
	}
	if x.Kind == plan.Full || x.Kind == plan.Right {
		// A right row without partner has its representative on the right only.
		p := &plan.Project{Input: m2}
		reps := map[int]rep{}
		p.Exprs = passThrough(x.Columns())
		for _, c := range need {
			f := u.c.Fresh(lreps[c.ID].col)
			p.Exprs = append(p.Exprs, plan.Projection{Col: f, Expr: &expr.Coalesce{T: f.T,
				Args: []expr.Expr{lreps[c.ID].col.Ref(), rreps[c.ID].col.Ref()}}})
			reps[c.ID] = rep{col: f, eq: lreps[c.ID].eq}
		}
		return p, reps, nil
	}
	return m2, lreps, nil
}
