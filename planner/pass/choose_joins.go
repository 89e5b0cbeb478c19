package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/cost"
	"github.com/millrace/millrace/planner/plan"
)

// chooseJoins splits join conditions into hash keys and a residual, gives joins
// their ids and notes which build sides are unique.
func chooseJoins(c *Context, n plan.Node) (plan.Node, error) {
	est := &cost.Estimator{Stats: c.Stats, Sample: c.Sample}
	n, err := rewrite(n, func(n plan.Node) (plan.Node, error) {
		j, ok := n.(*plan.Join)
		if !ok {
			return n, nil
		}
		return keys(c, j), nil
	})
	if err != nil {
		return nil, err
	}
	est.Of(n)
	return n, nil
}

func keys(c *Context, j *plan.Join) plan.Node {
	m := *j
	if m.ID == 0 {
		m.ID = c.ID()
	}
	l, r := outputs(j.L), outputs(j.R)
	m.On = nil
	m.Keys = append([]plan.JoinKey(nil), j.Keys...)
	resid := expr.Conjuncts(j.Resid)
	conj := expr.Conjuncts(j.On)
	// A mark that may be null must know for each right row whether the whole condition
	// was null: only a single equality lets the hash table tell.
	single := j.Kind == plan.Mark && !j.TwoValued || j.NullAware
	for _, e := range conj {
		a, b, eq, ok := equality(e)
		if ok && single && (len(conj) != 1 || len(m.Keys) > 0) {
			ok = false
		}
		if d, isD := e.(*expr.Distinct); isD && d.Not && !single {
			a, b, eq, ok = d.L, d.R, d.Eq, true
		}
		if ok && usedBy(a).subsetOf(r) && usedBy(b).subsetOf(l) && len(usedBy(a)) > 0 {
			a, b, eq = b, a, commuted(eq)
		}
		if !ok || len(usedBy(a)) == 0 || len(usedBy(b)) == 0 || !usedBy(a).subsetOf(l) || !usedBy(b).subsetOf(r) {
			resid = append(resid, e)
			continue
		}
		_, isD := e.(*expr.Distinct)
		m.Keys = append(m.Keys, plan.JoinKey{L: a, R: b, Eq: eq, NullEqual: isD})
	}
	m.Resid = expr.Conjoin(resid)
	cols := colset{}
	for _, k := range m.Keys {
		if col, ok := k.R.(*expr.Column); ok {
			cols[col.ID] = true
		}
	}
	m.KeysUnique = m.KeysUnique || len(m.Keys) > 0 && uniqueOn(j.R, cols)
	return &m
}
