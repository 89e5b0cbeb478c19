package expr

import "github.com/millrace/millrace/catalog/fn"

func (e *Column) Children() []Expr   { return nil }
func (e *Const) Children() []Expr    { return nil }
func (e *Param) Children() []Expr    { return nil }
func (e *Call) Children() []Expr     { return e.Args }
func (e *Cast) Children() []Expr     { return []Expr{e.Arg} }
func (e *And) Children() []Expr      { return e.Args }
func (e *Or) Children() []Expr       { return e.Args }
func (e *Not) Children() []Expr      { return []Expr{e.Arg} }
func (e *IsNull) Children() []Expr   { return []Expr{e.Arg} }
func (e *BoolTest) Children() []Expr { return []Expr{e.Arg} }
func (e *Distinct) Children() []Expr { return []Expr{e.L, e.R} }
func (e *Coalesce) Children() []Expr { return e.Args }
func (e *MinMax) Children() []Expr   { return e.Args }
func (e *AnyAll) Children() []Expr   { return []Expr{e.L, e.Array} }
func (e *Array) Children() []Expr    { return e.Elems }
func (e *Row) Children() []Expr      { return e.Elems }
func (e *Field) Children() []Expr    { return []Expr{e.Arg} }

// Children are the argument, then the list.
func (e *In) Children() []Expr { return append([]Expr{e.Arg}, e.List...) }

// Children are condition and result of each arm, then Else if there is one.
func (e *Case) Children() []Expr {
	c := make([]Expr, 0, 2*len(e.Whens)+1)
	for _, w := range e.Whens {
		c = append(c, w.Cond, w.Then)
	}
	if e.Else != nil {
		c = append(c, e.Else)
	}
	return c
}

// Children are the argument and the bounds that are present.
func (e *Subscript) Children() []Expr {
	c := []Expr{e.Arg}
	for _, x := range append(append([]Expr(nil), e.Lower...), e.Upper...) {
		if x != nil {
			c = append(c, x)
		}
	}
	return c
}

func (e *Column) WithChildren([]Expr) Expr { return e }
func (e *Const) WithChildren([]Expr) Expr  { return e }
func (e *Param) WithChildren([]Expr) Expr  { return e }
func (e *Call) WithChildren(c []Expr) Expr { n := *e; n.Args = c; return &n }
func (e *Cast) WithChildren(c []Expr) Expr { n := *e; n.Arg = c[0]; return &n }
func (e *And) WithChildren(c []Expr) Expr  { return &And{c} }
func (e *Or) WithChildren(c []Expr) Expr   { return &Or{c} }
func (e *Not) WithChildren(c []Expr) Expr  { return &Not{c[0]} }
func (e *IsNull) WithChildren(c []Expr) Expr {
	return &IsNull{c[0], e.Not}
}
func (e *BoolTest) WithChildren(c []Expr) Expr { n := *e; n.Arg = c[0]; return &n }
func (e *Distinct) WithChildren(c []Expr) Expr { n := *e; n.L, n.R = c[0], c[1]; return &n }
func (e *Coalesce) WithChildren(c []Expr) Expr { n := *e; n.Args = c; return &n }
func (e *MinMax) WithChildren(c []Expr) Expr   { n := *e; n.Args = c; return &n }
func (e *In) WithChildren(c []Expr) Expr       { n := *e; n.Arg, n.List = c[0], c[1:]; return &n }
func (e *AnyAll) WithChildren(c []Expr) Expr   { n := *e; n.L, n.Array = c[0], c[1]; return &n }
func (e *Array) WithChildren(c []Expr) Expr    { n := *e; n.Elems = c; return &n }
func (e *Row) WithChildren(c []Expr) Expr      { n := *e; n.Elems = c; return &n }
func (e *Field) WithChildren(c []Expr) Expr    { n := *e; n.Arg = c[0]; return &n }
func (e *Case) WithChildren(c []Expr) Expr {
	n := *e
	n.Whens = make([]When, len(e.Whens))
	for i := range n.Whens {
		n.Whens[i] = When{c[2*i], c[2*i+1]}
	}
	if e.Else != nil {
		n.Else = c[len(c)-1]
	}
	return &n
}
func (e *Subscript) WithChildren(c []Expr) Expr {
	n := *e
	n.Arg, c = c[0], c[1:]
	put := func(xs []Expr) []Expr {
		ys := make([]Expr, len(xs))
		for i, x := range xs {
			if x != nil {
				ys[i], c = c[0], c[1:]
			}
		}
		return ys
	}
	n.Lower, n.Upper = put(e.Lower), put(e.Upper)
	return &n
}

// Walk calls f for e and its descendants, parents first, until f returns false
// for a node: then its children are left out.
func Walk(e Expr, f func(Expr) bool) {
	if e == nil || !f(e) {
		return
	}
	for _, c := range e.Children() {
		Walk(c, f)
	}
}

// Rewrite replaces nodes bottom-up by what f makes of them. Untouched subtrees are shared.
func Rewrite(e Expr, f func(Expr) Expr) Expr {
	if e == nil {
		return nil
	}
	old := e.Children()
	var c []Expr
	for i, x := range old {
		y := Rewrite(x, f)
		if y != x && c == nil {
			c = append([]Expr(nil), old...)
		}
		if c != nil {
			c[i] = y
		}
	}
	if c != nil {
		e = e.WithChildren(c)
	}
	return f(e)
}

// Columns adds the ids of all columns in e to set.
func Columns(e Expr, set map[int]bool) {
	Walk(e, func(e Expr) bool {
		if c, ok := e.(*Column); ok {
			set[c.ID] = true
		}
		return true
	})
}

// Conjuncts splits e at its top-level ANDs. nil gives none.
func Conjuncts(e Expr) []Expr {
	switch x := e.(type) {
	case nil:
		return nil
	case *And:
		var out []Expr
		for _, a := range x.Args {
			out = append(out, Conjuncts(a)...)
		}
		return out
	}
	return []Expr{e}
}

// Conjoin is the inverse of Conjuncts; no conjuncts give nil.
func Conjoin(es []Expr) Expr {
	switch len(es) {
	case 0:
		return nil
	case 1:
		return es[0]
	}
	return &And{es}
}

// Volatility is the strongest volatility in e; parameters are stable.
func Volatility(e Expr) fn.Volatility {
	v := fn.Immutable
	Walk(e, func(e Expr) bool {
		switch x := e.(type) {
		case *Call:
			v = max(v, x.Fn.Volatility)
		case *Param:
			v = max(v, fn.Stable)
		}
		return true
	})
	return v
}

// MayFail says whether evaluating e can raise for some values of its columns.
func MayFail(e Expr) bool {
	fail := false
	Walk(e, func(e Expr) bool {
		switch x := e.(type) {
		case *Call:
			fail = fail || x.Fn.MayFail
		case *Cast:
			fail = fail || x.Kind == CastIO || x.Kind == CastTypmod
		case *Subscript, *Array:
		}
		return !fail
	})
	return fail
}
