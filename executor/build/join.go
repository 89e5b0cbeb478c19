package build

import (
	"slices"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
)

// builtJoin is a join's build side, for the scans that it narrows.
type builtJoin struct {
	build *op.JoinBuild
	pipe  *pipeline
}

func (b *builder) join(n *plan.Join) (*chain, error) {
	// What is needed above is counted by now, without this node's own references.
	needed := func(c plan.Column) bool { return b.needs[c.ID]-own(n, c.ID) > 0 }

	var lk, rk []expr.Expr
	var nullEqual []bool
	resid := append(expr.Conjuncts(n.On), expr.Conjuncts(n.Resid)...)
	for _, k := range n.Keys {
		l, r, ok := commonKey(k)
		if !ok {
			resid = append(resid, keyCondition(k))
			continue
		}
		lk, rk, nullEqual = append(lk, l), append(rk, r), append(nullEqual, k.NullEqual)
	}
	on := expr.Conjoin(resid)
	onIDs := map[int]bool{}
	expr.Columns(on, onIDs)

	right, err := b.node(n.R)
	if err != nil {
		return nil, err
	}
	withKeys, rightAt := b.withColumns(right, rk)
	// Stored: what is needed above or by the condition, and the keys.
	var stored []plan.Column
	var pick []int
	for i, c := range withKeys.cols {
		if outputsRight(n.Kind) && needed(c) || onIDs[c.ID] || slices.Contains(rightAt, i) {
			stored = append(stored, c)
			pick = append(pick, i)
		}
	}
	for i, at := range rightAt {
		rightAt[i] = slices.Index(pick, at)
	}
	build := withKeys.then(stored, func(l *op.Lane, in op.Operator) (op.Operator, error) {
		return &op.Pick{In: in, Cols: pick}, nil
	})
	sink := op.NewJoinBuild(b.q.run, op.JoinSpec{Kind: n.Kind, Build: typesOf(stored), Keys: rightAt, NullEqual: nullEqual,
		NullAware: n.NullAware, TwoValued: n.TwoValued})
	bj := &builtJoin{build: sink, pipe: b.pipe(build, sink)}
	if n.ID != 0 && len(lk) == len(n.Keys) {
		b.joins[n.ID] = bj
	}

	left, err := b.node(n.L)
	if err != nil {
		return nil, err
	}
	probe, leftAt := b.withColumns(left, lk)
	var out []plan.Column
	var outL, outR, pairL, pairR []int
	var pairCols []plan.Column
	for i, c := range left.cols {
		need := needed(c)
		if need {
			outL = append(outL, i)
			out = append(out, c)
		}
		if need || onIDs[c.ID] {
			pairL = append(pairL, i)
			pairCols = append(pairCols, c)
		}
	}
	leftTypes, inTypes := typesOf(out), typesOf(probe.cols)
	for i, c := range stored {
		need := outputsRight(n.Kind) && needed(c)
		if need {
			outR = append(outR, i)
			out = append(out, c)
		}
		if need || onIDs[c.ID] {
			pairR = append(pairR, i)
			pairCols = append(pairCols, c)
		}
	}
	if n.Kind == plan.Mark {
		out = append(out, n.Mark)
	}
	three := n.Kind == plan.Mark && !n.TwoValued || n.NullAware
	env := b.evalEnv(pairCols)
	c := probe.then(out, func(l *op.Lane, in op.Operator) (op.Operator, error) {
		o := &op.JoinProbe{In: in, B: sink, Keys: leftAt, PairL: pairL, PairR: pairR, OutL: outL, OutR: outR,
			LeftTypes: leftTypes, InTypes: inTypes, Lanes: l.Count}
		var err error
		switch {
		case on == nil:
		case three:
			o.Value, err = eval.Compile(on, env)
		default:
			o.On, err = eval.CompileFilter(on, env)
		}
		return o, err
	})
	c.deps = append(slices.Clone(c.deps), bj.pipe)
	return c, nil
}

func outputsRight(k plan.JoinKind) bool {
	return k != plan.Semi && k != plan.Anti && k != plan.Mark
}

// own is 1 when the join itself refers to the column.
func own(n plan.Node, id int) int {
	if refs(n)[id] {
		return 1
	}
	return 0
}

// keyCondition is a key as a condition.
func keyCondition(k plan.JoinKey) expr.Expr {
	if k.NullEqual {
		return &expr.Distinct{L: k.L, R: k.R, Eq: k.Eq, Not: true}
	}
	return &expr.Call{Fn: k.Eq, Args: []expr.Expr{k.L, k.R}, T: types.Bool, Pos: -1, Op: "="}
}

// commonKey gives both sides of a key one form in which equal values hash alike and
// compare alike; false when there is none and the key must be a condition.
func commonKey(k plan.JoinKey) (l, r expr.Expr, ok bool) {
	a, c := k.L.Type(), k.R.Type()
	switch {
	case a.Same(c):
		return k.L, k.R, a.OID == c.OID && comparable(a)
	case a.OID == types.NumericOID && c.OID == types.NumericOID:
		t := types.Numeric
		if a.Scaled() && c.Scaled() {
			s := max(a.Scale, c.Scale)
			t = types.DecimalResult(int(max(a.Prec-a.Scale, c.Prec-c.Scale)+s), int(s))
		}
		return numericTo(k.L, t), numericTo(k.R, t), true
	case isInt(a.OID) && isInt(c.OID):
		return widen(k.L, types.Int8), widen(k.R, types.Int8), true
	case isFloat(a.OID) && isFloat(c.OID):
		return widen(k.L, types.Float8), widen(k.R, types.Float8), true
	case isString(a.OID) && isString(c.OID):
		return k.L, k.R, true
	}
	return nil, nil, false
}

// comparable says whether a type has an equality at all.
func comparable(t types.T) bool { return fn.EqualityFor(t.OID) != nil }

func isInt(oid uint32) bool {
	return oid == types.Int2OID || oid == types.Int4OID || oid == types.Int8OID
}

func isFloat(oid uint32) bool { return oid == types.Float4OID || oid == types.Float8OID }

func isString(oid uint32) bool {
	return oid == types.TextOID || oid == types.VarcharOID || oid == types.NameOID
}

func numericTo(e expr.Expr, t types.T) expr.Expr {
	if e.Type().Same(t) {
		return e
	}
	return &expr.Cast{Arg: e, T: t, Kind: expr.CastNumeric}
}

func widen(e expr.Expr, t types.T) expr.Expr {
	if e.Type().OID == t.OID {
		return e
	}
	c, _ := fn.CastOf(e.Type().OID, t.OID)
	return &expr.Call{Fn: c.Func, Args: []expr.Expr{e}, T: t, Pos: -1}
}
