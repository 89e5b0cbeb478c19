package build

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
)

// projectSet builds set-returning calls.
func (b *builder) projectSet(n *plan.ProjectSet) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	cols := append([]plan.Column(nil), in.cols...)
	for _, c := range n.Calls {
		cols = append(cols, c.Cols...)
	}
	if n.Ordinality.ID != 0 {
		cols = append(cols, n.Ordinality)
	}
	env := b.evalEnv(in.cols)
	return in.then(cols, func(l *op.Lane, o op.Operator) (op.Operator, error) {
		p := &op.ProjectSet{In: o, Ordinality: n.Ordinality.ID != 0, Outer: n.Outer, Size: l.Run.BatchSize}
		for _, c := range n.Calls {
			s, err := setCall(c.Call, env)
			if err != nil {
				return nil, err
			}
			if len(s.Columns()) != len(c.Cols) {
				return nil, sqlstate.Errorf(sqlstate.InternalError, "a set-returning call yields %d columns, not %d", len(s.Columns()), len(c.Cols))
			}
			p.Calls = append(p.Calls, s)
		}
		return p, nil
	}), nil
}

// setCall compiles one call. Any expression may stand in FROM as a function of one
// row.
func setCall(e expr.Expr, env *eval.Env) (op.SetCall, error) {
	if call, ok := e.(*expr.Call); ok {
		return eval.CompileSRF(call, env)
	}
	p, err := eval.Compile(e, env)
	if err != nil {
		return nil, err
	}
	return &op.Single{Expr: p}, nil
}
