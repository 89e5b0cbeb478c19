package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/planner/plan"
)

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
