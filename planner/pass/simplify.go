package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// foldConstants evaluates immutable expressions without columns and simplifies
// AND and OR with constant arms. An arm after one that may fail is never dropped
// in its favour: false AND x is false whatever x would raise, as in PostgreSQL,
// which also folds it.
func foldConstants(c *Context, n plan.Node) (plan.Node, error) {
	if c.Fold == nil {
		return n, nil
	}
	fold := func(e expr.Expr) expr.Expr {
		c.look()
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			switch x := e.(type) {
			case *plan.Subquery:
				p, _ := foldConstants(c, x.Plan)
				if p == x.Plan {
					return e
				}
				m := *x
				m.Plan = p
				return &m
			case *expr.And:
				return foldAndOr(x.Args, true)
			case *expr.Or:
				return foldAndOr(x.Args, false)
			}
			return e
		})
	}
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		return plan.MapExprs(n, func(e expr.Expr) expr.Expr { return fold(c.Fold(e)) }), nil
	})
}

func foldAndOr(args []expr.Expr, and bool) expr.Expr {
	var out []expr.Expr
	for _, a := range args {
		if k, ok := a.(*expr.Const); ok && k.D.Valid {
			if k.D.Bool() == and {
				continue // neutral
			}
			return k
		}
		if n, ok := a.(*expr.And); ok && and {
			out = append(out, n.Args...)
			continue
		}
		if n, ok := a.(*expr.Or); ok && !and {
			out = append(out, n.Args...)
			continue
		}
		out = append(out, a)
	}
	switch {
	case len(out) == 0:
		return &expr.Const{T: types.Bool, D: types.NewBool(and)}
	case len(out) == 1:
		return out[0]
	case and:
		return &expr.And{Args: out}
	}
	return &expr.Or{Args: out}
}

// factorOr takes conjuncts that all arms of an OR share out of it: (a AND b) OR (a
// AND c) is a AND (b OR c), in three-valued logic too. A volatile or failing arm
// stays where it is.
func factorOr(c *Context, n plan.Node) (plan.Node, error) {
	f := func(e expr.Expr) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			if o, ok := e.(*expr.Or); ok {
				return factor(o)
			}
			return e
		})
	}
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		switch x := n.(type) {
		case *plan.Filter:
			m := *x
			m.Pred = expr.Conjoin(expr.Conjuncts(f(x.Pred)))
			return &m, nil
		case *plan.Join:
			if x.On != nil {
				m := *x
				m.On = expr.Conjoin(expr.Conjuncts(f(x.On)))
				return &m, nil
			}
		}
		return n, nil
	})
}

func factor(o *expr.Or) expr.Expr {
	if expr.MayFail(o) || expr.Volatility(o) == fn.Volatile {
		return o
	}
	common := map[string]expr.Expr{}
	var order []string
	for _, e := range expr.Conjuncts(o.Args[0]) {
		k := expr.Key(e)
		if _, dup := common[k]; !dup {
			common[k] = e
			order = append(order, k)
		}
	}
	for _, arm := range o.Args[1:] {
		have := map[string]bool{}
		for _, e := range expr.Conjuncts(arm) {
			have[expr.Key(e)] = true
		}
		for k := range common {
			if !have[k] {
				delete(common, k)
			}
		}
	}
	if len(common) == 0 {
		return o
	}
	var out, arms []expr.Expr
	for _, k := range order {
		if e := common[k]; e != nil {
			out = append(out, e)
		}
	}
	for _, arm := range o.Args {
		var rest []expr.Expr
		for _, e := range expr.Conjuncts(arm) {
			if common[expr.Key(e)] == nil {
				rest = append(rest, e)
			}
		}
		if len(rest) == 0 {
			return expr.Conjoin(out) // this arm is implied by the common part
		}
		arms = append(arms, expr.Conjoin(rest))
	}
	return expr.Conjoin(append(out, &expr.Or{Args: arms}))
}

// simplifyOuterJoins makes an outer join inner (or a full one left or right) where
// a filter above refuses the rows that it adds with nulls. WHERE r.x = 1 does, WHERE
// r.x IS NULL does not.
func simplifyOuterJoins(c *Context, n plan.Node) (plan.Node, error) {
	return stronger(n, nil), nil
}

// stronger walks down with the columns that rows above are known to need not null.
func stronger(n plan.Node, notNull colset) plan.Node {
	with := func(e expr.Expr) colset {
		s := colset{}
		s.addAll(notNull)
		for _, x := range expr.Conjuncts(e) {
			s.addAll(rejectsNull(x))
		}
		return s
	}
	switch x := n.(type) {
	case *plan.Filter:
		m := *x
		m.Input = stronger(x.Input, with(x.Pred))
		return &m
	case *plan.Project:
		s := colset{}
		for _, p := range x.Exprs {
			if notNull[p.Col.ID] {
				s.addAll(strictColumns(p.Expr))
			}
		}
		m := *x
		m.Input = stronger(x.Input, s)
		return &m
	case *plan.Sort:
		if x.Limit < 0 {
			m := *x
			m.Input = stronger(x.Input, notNull)
			return &m
		}
	case *plan.Join:
		m := *x
		l, r := outputs(x.L), outputs(x.R)
		if m.Kind == plan.Full && notNull.intersects(l) && notNull.intersects(r) {
			m.Kind = plan.Inner
		} else if m.Kind == plan.Full && notNull.intersects(l) {
			m.Kind = plan.Left
		} else if m.Kind == plan.Full && notNull.intersects(r) {
			m.Kind = plan.Right
		} else if m.Kind == plan.Left && notNull.intersects(r) || m.Kind == plan.Right && notNull.intersects(l) {
			m.Kind = plan.Inner
		}
		var dl, dr colset
		on := colset{}
		if m.On != nil {
			on = with(m.On)
		} else {
			on.addAll(notNull)
		}
		for _, k := range m.Keys {
			if !k.NullEqual {
				on.addAll(strictColumns(k.L))
				on.addAll(strictColumns(k.R))
			}
		}
		switch m.Kind {
		case plan.Inner:
			dl, dr = on, on
		case plan.Semi:
			dl, dr = on, on
		case plan.Left, plan.Single:
			dl, dr = notNull, on
		case plan.Anti:
			dl = notNull
			if !m.NullAware {
				dr = on
			}
		case plan.Mark:
			dl = notNull
		case plan.Right:
			dl, dr = on, notNull
		}
		m.L, m.R = stronger(x.L, dl), stronger(x.R, dr)
		return &m
	}
	cs := n.Children()
	if len(cs) == 0 {
		return n
	}
	out := make([]plan.Node, len(cs))
	for i, c := range cs {
		out[i] = stronger(c, nil)
	}
	return n.WithChildren(out)
}

// rejectsNull are columns that cannot be null where e is true.
func rejectsNull(e expr.Expr) colset {
	switch x := e.(type) {
	case *expr.IsNull:
		if x.Not {
			return strictColumns(x.Arg)
		}
		return colset{}
	case *expr.Or:
		var s colset
		for _, a := range x.Args {
			t := rejectsNull(a)
			if s == nil {
				s = t
				continue
			}
			for id := range s {
				if !t[id] {
					delete(s, id)
				}
			}
		}
		return s
	case *expr.And:
		s := colset{}
		for _, a := range x.Args {
			s.addAll(rejectsNull(a))
		}
		return s
	case *expr.BoolTest:
		if !x.Not {
			return strictColumns(x.Arg)
		}
		return colset{}
	}
	return strictColumns(e)
}

// strictColumns are columns whose null makes e null.
func strictColumns(e expr.Expr) colset {
	s := colset{}
	switch x := e.(type) {
	case *expr.Column:
		s[x.ID] = true
	case *expr.Call:
		if x.Fn.Strict && !x.Fn.RetSet {
			for _, a := range x.Args {
				s.addAll(strictColumns(a))
			}
		}
	case *expr.Cast:
		return strictColumns(x.Arg)
	case *expr.Not:
		return strictColumns(x.Arg)
	case *expr.In:
		return strictColumns(x.Arg)
	case *expr.AnyAll:
		return colset{}
	}
	return s
}
