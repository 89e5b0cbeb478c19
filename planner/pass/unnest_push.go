package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

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
