package plan

import (
	"slices"

	"github.com/millrace/millrace/catalog/expr"
)

// MapExprs makes a copy of n in which each of its own expressions, nil ones
// apart, is replaced by what f makes of it. Children are shared.
func MapExprs(n Node, f func(expr.Expr) expr.Expr) Node {
	one := func(e expr.Expr) expr.Expr {
		if e == nil {
			return nil
		}
		return f(e)
	}
	list := func(es []expr.Expr) []expr.Expr {
		if es == nil {
			return nil
		}
		out := make([]expr.Expr, len(es))
		for i, e := range es {
			out[i] = one(e)
		}
		return out
	}
	keys := func(ks []SortKey) []SortKey {
		out := append([]SortKey(nil), ks...)
		for i := range out {
			out[i].Expr = one(out[i].Expr)
		}
		return out
	}
	projs := func(ps []Projection) []Projection {
		out := append([]Projection(nil), ps...)
		for i := range out {
			out[i].Expr = one(out[i].Expr)
		}
		return out
	}
	checks := func(cs []Check) []Check {
		out := append([]Check(nil), cs...)
		for i := range out {
			out[i].Pred = one(out[i].Pred)
		}
		return out
	}
	switch x := n.(type) {
	case *Scan:
		m := *x
		m.Filter = list(x.Filter)
		if x.First != nil {
			m.First = list(x.First)
		}
		if x.Key != nil {
			m.Key = list(x.Key)
		}
		if x.KeyIn != nil {
			m.KeyIn = make([]KeyChoice, len(x.KeyIn))
			for i, choice := range x.KeyIn {
				cols := make([]KeyValues, len(choice.Cols))
				for j, k := range choice.Cols {
					cols[j] = KeyValues{list(k.List), one(k.Array)}
				}
				m.KeyIn[i] = KeyChoice{cols, choice.Zip}
			}
		}
		return &m
	case *Values:
		m := *x
		m.Rows = make([][]expr.Expr, len(x.Rows))
		for i, r := range x.Rows {
			m.Rows[i] = list(r)
		}
		return &m
	case *Filter:
		m := *x
		m.Pred = one(x.Pred)
		return &m
	case *Project:
		m := *x
		m.Exprs = projs(x.Exprs)
		return &m
	case *ProjectSet:
		m := *x
		m.Calls = append([]SetCall(nil), x.Calls...)
		for i := range m.Calls {
			m.Calls[i].Call = one(m.Calls[i].Call)
		}
		return &m
	case *Join:
		m := *x
		m.On, m.Resid = one(x.On), one(x.Resid)
		m.Keys = append([]JoinKey(nil), x.Keys...)
		for i := range m.Keys {
			m.Keys[i].L, m.Keys[i].R = one(m.Keys[i].L), one(m.Keys[i].R)
		}
		return &m
	case *Aggregate:
		m := *x
		m.Groups = projs(x.Groups)
		m.Aggs = append([]Agg(nil), x.Aggs...)
		for i := range m.Aggs {
			a := &m.Aggs[i]
			a.Args, a.Direct, a.Order, a.Filter = list(a.Args), list(a.Direct), keys(a.Order), one(a.Filter)
		}
		return &m
	case *Sort:
		m := *x
		m.Keys = keys(x.Keys)
		return &m
	case *Limit:
		m := *x
		m.Count, m.Offset, m.Ties = one(x.Count), one(x.Offset), keys(x.Ties)
		return &m
	case *Distinct:
		m := *x
		m.On = list(x.On)
		return &m
	case *Window:
		m := *x
		m.Partition, m.Order = list(x.Partition), keys(x.Order)
		m.Funcs = append([]WindowFunc(nil), x.Funcs...)
		for i := range m.Funcs {
			w := &m.Funcs[i]
			w.Args, w.Filter = list(w.Args), one(w.Filter)
			w.Frame.Start.Offset, w.Frame.End.Offset = one(w.Frame.Start.Offset), one(w.Frame.End.Offset)
		}
		return &m
	case *Insert:
		m := *x
		m.Checks, m.Returning = checks(x.Checks), projs(x.Returning)
		if x.Conflict != nil {
			c := *x.Conflict
			c.Set, c.Where = list(c.Set), one(c.Where)
			m.Conflict = &c
		}
		return &m
	case *Update:
		m := *x
		m.Set, m.Checks, m.Returning, m.Recheck = list(x.Set), checks(x.Checks), projs(x.Returning), one(x.Recheck)
		return &m
	case *Delete:
		m := *x
		m.Returning, m.Recheck = projs(x.Returning), one(x.Recheck)
		return &m
	case *Merge:
		m := *x
		m.Checks, m.Whens = checks(x.Checks), slices.Clone(x.Whens)
		for i := range m.Whens {
			m.Whens[i].Set = list(m.Whens[i].Set)
		}
		return &m
	case *LockRows:
		m := *x
		m.Recheck, m.Count, m.Offset = one(x.Recheck), one(x.Count), one(x.Offset)
		return &m
	}
	return n
}

// mapChildren is n with f applied to its children; n itself when none changes.
func mapChildren(n Node, f func(Node) Node) Node {
	old := n.Children()
	var cs []Node
	for i, c := range old {
		d := f(c)
		if d != c && cs == nil {
			cs = slices.Clone(old)
		}
		if cs != nil {
			cs[i] = d
		}
	}
	if cs == nil {
		return n
	}
	return n.WithChildren(cs)
}

// Rewrite replaces nodes bottom-up by what f makes of them, also those of
// subqueries inside expressions.
func Rewrite(n Node, f func(Node) Node) Node {
	n = mapChildren(n, func(c Node) Node { return Rewrite(c, f) })
	changed := false
	m := MapExprs(n, func(e expr.Expr) expr.Expr {
		out := expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			if s, ok := e.(*Subquery); ok {
				if p := Rewrite(s.Plan, f); p != s.Plan {
					c := *s
					c.Plan = p
					return &c
				}
			}
			return e
		})
		changed = changed || out != e
		return out
	})
	if changed {
		n = m
	}
	return f(n)
}

// RewriteExprs replaces the expressions of n and of all below it, subqueries
// included, by what f makes of each of their nodes, parents first: where f
// answers true its answer stands, else the children follow.
func RewriteExprs(n Node, f func(expr.Expr) (expr.Expr, bool)) Node {
	n = mapChildren(n, func(c Node) Node { return RewriteExprs(c, f) })
	changed := false
	m := MapExprs(n, func(e expr.Expr) expr.Expr {
		out := RewriteExpr(e, f)
		changed = changed || out != e
		return out
	})
	if changed {
		return m
	}
	return n
}

// RewriteExpr is RewriteExprs for one expression.
func RewriteExpr(e expr.Expr, f func(expr.Expr) (expr.Expr, bool)) expr.Expr {
	if e == nil {
		return nil
	}
	if r, ok := f(e); ok {
		return r
	}
	old := e.Children()
	var cs []expr.Expr
	for i, c := range old {
		d := RewriteExpr(c, f)
		if d != c && cs == nil {
			cs = append([]expr.Expr(nil), old...)
		}
		if cs != nil {
			cs[i] = d
		}
	}
	if cs != nil {
		e = e.WithChildren(cs)
	}
	if s, ok := e.(*Subquery); ok {
		if p := RewriteExprs(s.Plan, f); p != s.Plan {
			c := *s
			c.Plan = p
			e = &c
		}
	}
	return e
}
