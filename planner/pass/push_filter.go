package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/planner/plan"
)

// pushFilters moves conjuncts down to where their columns come from, through
// everything that neither creates nor drops rows by them. A conjunct that may fail
// or is volatile stays: SELECT 1/x below a join could raise for rows that the join
// drops. It also makes cross joins with a condition above them inner joins, and
// derives from an OR over both sides of a join what each side alone must satisfy.
func pushFilters(c *Context, n plan.Node) (plan.Node, error) {
	return pushDown(n, nil), nil
}

// pushDown returns n with conj applied to its output rows, as low as they can go.
func pushDown(n plan.Node, conj []expr.Expr) plan.Node {
	switch x := n.(type) {
	case *plan.Filter:
		all := append(expr.Conjuncts(x.Pred), conj...)
		var move, stay []expr.Expr
		for _, e := range all {
			if movable(e) {
				move = append(move, e)
			} else {
				stay = append(stay, e)
			}
		}
		return filter(pushDown(x.Input, move), stay)
	case *plan.Project:
		return pushProject(x, conj)
	case *plan.Join:
		return pushJoin(x, conj)
	case *plan.Aggregate:
		return pushAggregate(x, conj)
	case *plan.Sort:
		if x.Limit < 0 {
			m := *x
			m.Input = pushDown(x.Input, conj)
			return &m
		}
	case *plan.Distinct:
		if len(x.On) == 0 {
			m := *x
			m.Input = pushDown(x.Input, conj)
			return &m
		}
	case *plan.Window:
		// A condition on partition columns keeps or drops whole partitions.
		part := colset{}
		for _, p := range x.Partition {
			if col, ok := p.(*expr.Column); ok {
				part[col.ID] = true
			}
		}
		in, rest := split(conj, func(e expr.Expr) bool { return usedBy(e).subsetOf(part) })
		m := *x
		m.Input = pushDown(x.Input, in)
		return filter(&m, rest)
	case *plan.ProjectSet:
		if !x.Outer {
			own := outputs(x.Input)
			in, rest := split(conj, func(e expr.Expr) bool { return usedBy(e).subsetOf(own) && x.Ordinality.ID == 0 })
			m := *x
			m.Input = pushDown(x.Input, in)
			return filter(&m, rest)
		}
	case *plan.SetOp:
		m := *x
		m.Inputs = make([]plan.Node, len(x.Inputs))
		for i, in := range x.Inputs {
			sub := map[int]expr.Expr{}
			for k, col := range in.Columns() {
				sub[x.Cols[k].ID] = col.Ref()
			}
			cs := make([]expr.Expr, len(conj))
			for k, e := range conj {
				cs[k] = substitute(e, sub)
			}
			m.Inputs[i] = pushDown(in, cs)
		}
		return &m
	case *plan.With:
		m := *x
		m.Def = pushDown(x.Def, nil)
		m.Body = pushDown(x.Body, conj)
		return &m
	case *plan.Scan, *plan.CTERef:
		return filter(n, conj)
	case *plan.Values:
		return filter(n, conj)
	}
	cs := n.Children()
	if len(cs) > 0 {
		out := make([]plan.Node, len(cs))
		for i, c := range cs {
			out[i] = pushDown(c, nil)
		}
		n = n.WithChildren(out)
	}
	return filter(n, conj)
}

func movable(e expr.Expr) bool {
	return expr.Volatility(e) != fn.Volatile && !expr.MayFail(e) && !hasSubquery(e)
}

func split(conj []expr.Expr, f func(expr.Expr) bool) (yes, no []expr.Expr) {
	for _, e := range conj {
		if f(e) {
			yes = append(yes, e)
		} else {
			no = append(no, e)
		}
	}
	return yes, no
}

// pushProject puts the projected expressions in the place of the columns, unless
// they are dear or unsafe to repeat.
func pushProject(x *plan.Project, conj []expr.Expr) plan.Node {
	sub := map[int]expr.Expr{}
	for _, p := range x.Exprs {
		if movable(p.Expr) {
			sub[p.Col.ID] = p.Expr
		}
	}
	in, rest := split(conj, func(e expr.Expr) bool {
		for id := range usedBy(e) {
			if _, ok := sub[id]; !ok {
				return false
			}
		}
		return true
	})
	for i, e := range in {
		in[i] = substitute(e, sub)
	}
	m := *x
	m.Input = pushDown(x.Input, in)
	return filter(&m, rest)
}

// pushAggregate passes conditions on group columns; with grouping sets only those on
// columns that every set groups by, and with no groups none: the one row of an
// ungrouped aggregate must be dropped after it, not its input.
func pushAggregate(x *plan.Aggregate, conj []expr.Expr) plan.Node {
	sub := map[int]expr.Expr{}
	for i, g := range x.Groups {
		ok := movable(g.Expr)
		for _, s := range x.Sets {
			in := false
			for _, k := range s {
				in = in || k == i
			}
			ok = ok && in
		}
		if ok {
			sub[g.Col.ID] = g.Expr
		}
	}
	in, rest := split(conj, func(e expr.Expr) bool {
		u := usedBy(e)
		for id := range u {
			if _, ok := sub[id]; !ok {
				return false
			}
		}
		return len(u) > 0
	})
	for i, e := range in {
		in[i] = substitute(e, sub)
	}
	m := *x
	m.Input = pushDown(x.Input, in)
	return filter(&m, rest)
}

func pushJoin(x *plan.Join, conj []expr.Expr) plan.Node {
	m := *x
	l, r := outputs(x.L), outputs(x.R)
	onlyL := func(e expr.Expr) bool { return usedBy(e).subsetOf(l) }
	onlyR := func(e expr.Expr) bool { return usedBy(e).subsetOf(r) }
	var toL, toR, above, on []expr.Expr
	stay := expr.Conjuncts(x.On)
	switch x.Kind {
	case plan.Inner:
		// Conditions of an inner join and above it are one list.
		var unsafe []expr.Expr
		stay, unsafe = split(stay, movable)
		all := append(append([]expr.Expr(nil), stay...), conj...)
		all = append(all, transitive(all)...)
		for _, e := range all {
			switch {
			case onlyL(e):
				toL = append(toL, e)
			case onlyR(e):
				toR = append(toR, e)
			default:
				on = append(on, e)
				if o, ok := e.(*expr.Or); ok {
					toL = append(toL, implied(o, l)...)
					toR = append(toR, implied(o, r)...)
				}
			}
		}
		on = append(on, unsafe...)
	case plan.Left, plan.Single, plan.Mark, plan.Anti, plan.Semi:
		for _, e := range conj {
			if onlyL(e) {
				toL = append(toL, e)
			} else {
				above = append(above, e)
			}
		}
		for _, e := range stay {
			switch {
			case !movable(e):
				on = append(on, e)
			case onlyR(e) && !(x.Kind == plan.Mark && !x.TwoValued) && !x.NullAware:
				// The right rows that fail it match nothing.
				toR = append(toR, e)
			case onlyL(e) && x.Kind == plan.Semi:
				toL = append(toL, e)
			default:
				on = append(on, e)
				if o, ok := e.(*expr.Or); ok && !x.NullAware && x.Kind != plan.Mark {
					toR = append(toR, implied(o, r)...)
				}
			}
		}
		// What the left side is filtered by holds for right rows that equal it.
		if x.Kind == plan.Semi || x.Kind == plan.Left {
			for _, e := range transitive(append(append([]expr.Expr(nil), on...), toL...)) {
				if onlyR(e) {
					toR = append(toR, e)
				}
			}
		}
	case plan.Right:
		for _, e := range conj {
			if onlyR(e) {
				toR = append(toR, e)
			} else {
				above = append(above, e)
			}
		}
		for _, e := range stay {
			if movable(e) && onlyL(e) {
				toL = append(toL, e)
			} else {
				on = append(on, e)
			}
		}
	default:
		above, on = conj, stay
	}
	m.L, m.R = pushDown(x.L, dedupe(toL)), pushDown(x.R, dedupe(toR))
	m.On = expr.Conjoin(dedupe(on))
	return filter(&m, above)
}

func dedupe(es []expr.Expr) []expr.Expr {
	seen := map[string]bool{}
	out := es[:0:0]
	for _, e := range es {
		if k := expr.Key(e); !seen[k] {
			seen[k] = true
			out = append(out, e)
		}
	}
	return out
}

// implied is what an OR says about the columns of one side alone: the OR of each
// arm's conjuncts over that side, if every arm has some.
func implied(o *expr.Or, side colset) []expr.Expr {
	var arms []expr.Expr
	for _, a := range o.Args {
		var own []expr.Expr
		for _, e := range expr.Conjuncts(a) {
			if u := usedBy(e); len(u) > 0 && u.subsetOf(side) && movable(e) {
				own = append(own, e)
			}
		}
		if len(own) == 0 {
			return nil
		}
		arms = append(arms, expr.Conjoin(own))
	}
	return []expr.Expr{&expr.Or{Args: arms}}
}

// transitive derives from a = b and a condition on a alone the same condition on b,
// where a and b are columns of one type.
func transitive(conj []expr.Expr) []expr.Expr {
	type pair struct{ a, b *expr.Column }
	var pairs []pair
	for _, e := range conj {
		l, r, _, ok := equality(e)
		if !ok {
			continue
		}
		a, ok1 := l.(*expr.Column)
		b, ok2 := r.(*expr.Column)
		if ok1 && ok2 && a.ID != b.ID && a.T.Same(b.T) {
			pairs = append(pairs, pair{a, b}, pair{b, a})
		}
	}
	seen := map[string]bool{}
	for _, e := range conj {
		seen[expr.Key(e)] = true
	}
	var out []expr.Expr
	work := append([]expr.Expr(nil), conj...)
	for len(work) > 0 && len(out) < 64 {
		e := work[0]
		work = work[1:]
		u := usedBy(e)
		if len(u) != 1 || !movable(e) {
			continue
		}
		for _, p := range pairs {
			if !u[p.a.ID] {
				continue
			}
			d := substitute(e, map[int]expr.Expr{p.a.ID: p.b})
			if k := expr.Key(d); !seen[k] {
				seen[k] = true
				out = append(out, d)
				work = append(work, d)
			}
		}
	}
	return out
}

// filtersToScans hands the conjuncts directly above a scan to it, also failing
// ones: they then run on the rows that the others leave, as they would above.
func filtersToScans(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		f, ok := n.(*plan.Filter)
		if !ok {
			return n, nil
		}
		s, ok := f.Input.(*plan.Scan)
		if !ok || s.Limit >= 0 {
			return n, nil
		}
		m := *s
		m.Filter = append(append([]expr.Expr(nil), s.Filter...), expr.Conjuncts(f.Pred)...)
		return &m, nil
	})
}
