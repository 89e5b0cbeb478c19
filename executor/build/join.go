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
	mine := refs(n)
	needed := func(c plan.Column) bool {
		if mine[c.ID] {
			return b.needs[c.ID] > 1
		}
		return b.needs[c.ID] > 0
	}
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

	left, right := n.L, n.R
	flip := len(lk) > 0 && flips(n)
	if flip {
		left, right, lk, rk = right, left, rk, lk
	}
	outL, outR := n.Kind != plan.Semi && n.Kind != plan.Anti || !flip, flip || outputsRight(n.Kind)

	rc, err := b.node(right)
	if err != nil {
		return nil, err
	}
	withKeys, rightAt := b.withColumns(rc, rk)
	// Stored: what is needed above or by the condition, and the keys.
	var stored []plan.Column
	var pick []int
	for i, c := range withKeys.cols {
		if outR && needed(c) || onIDs[c.ID] || slices.Contains(rightAt, i) {
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
		NullAware: n.NullAware, TwoValued: n.TwoValued, Flip: flip})
	bj := &builtJoin{build: sink, pipe: b.pipe(build, sink)}
	if n.ID != 0 && len(lk) == len(n.Keys) {
		b.joins[n.ID] = bj
		if flip {
			for i, k := range n.Keys {
				if c, ok := k.R.(*expr.Column); ok && !k.NullEqual && k.L.Type().Same(c.T) {
					b.narrow(left, plan.RuntimeFilter{Join: n.ID, Key: i, Col: c.ID})
				}
			}
		}
	}

	lc, err := b.node(left)
	if err != nil {
		return nil, err
	}
	probe, leftAt := b.withColumns(lc, lk)
	var out []plan.Column
	var fromL, fromR, pairL, pairR []int
	var pairCols []plan.Column
	for i, c := range lc.cols {
		need := outL && needed(c)
		if need {
			fromL = append(fromL, i)
			out = append(out, c)
		}
		if need || onIDs[c.ID] {
			pairL = append(pairL, i)
			pairCols = append(pairCols, c)
		}
	}
	leftTypes, inTypes := typesOf(out), typesOf(probe.cols)
	for i, c := range stored {
		need := outR && needed(c)
		if need {
			fromR = append(fromR, i)
			out = append(out, c)
		}
		if need && !flip || onIDs[c.ID] {
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
		o := &op.JoinProbe{In: in, B: sink, Keys: leftAt, PairL: pairL, PairR: pairR, OutL: fromL, OutR: fromR,
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

// flips says whether a semi or anti join better stores its left side and reads the
// right one past it: the left rows are fewer, and their keys narrow the other scan.
func flips(n *plan.Join) bool {
	if n.Kind != plan.Semi && n.Kind != plan.Anti || n.NullAware {
		return false
	}
	l, r := n.L.Estimate(), n.R.Estimate()
	return l != nil && r != nil && l.Rows*2 < r.Rows
}

// narrow hands a runtime filter to the scan below n that makes the column, if
// nothing between lets a row's fate depend on others.
func (b *builder) narrow(n plan.Node, f plan.RuntimeFilter) {
	switch x := n.(type) {
	case *plan.Scan:
		if position(x.Cols, f.Col) >= 0 && !slices.Contains(b.narrowed[x], f) {
			b.narrowed[x] = append(b.narrowed[x], f)
		}
	case *plan.Filter:
		b.narrow(x.Input, f)
	case *plan.Project:
		for _, p := range x.Exprs {
			if c, ok := p.Expr.(*expr.Column); ok && p.Col.ID == f.Col {
				f.Col = c.ID
				b.narrow(x.Input, f)
				return
			}
		}
	case *plan.Join:
		switch {
		case position(x.L.Columns(), f.Col) >= 0:
			if x.Kind != plan.Right && x.Kind != plan.Full {
				b.narrow(x.L, f)
			}
		case x.Kind == plan.Inner:
			b.narrow(x.R, f)
		}
	}
}

func outputsRight(k plan.JoinKind) bool {
	return k != plan.Semi && k != plan.Anti && k != plan.Mark
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
