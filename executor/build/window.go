package build

import (
	"context"
	"strings"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/agg"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
)

// window builds window functions over one partitioning and order.
func (b *builder) window(n *plan.Window) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	// All that the functions look at, as columns.
	var es []expr.Expr
	es = append(es, n.Partition...)
	for _, k := range n.Order {
		es = append(es, k.Expr)
	}
	for _, f := range n.Funcs {
		es = append(es, f.Args...)
		if f.Filter != nil {
			es = append(es, f.Filter)
		}
	}
	c, at := b.withColumns(in, es)
	take := func() int {
		x := at[0]
		at = at[1:]
		return x
	}
	spec := op.WindowSpec{Width: len(in.cols)}
	for range n.Partition {
		spec.Partition = append(spec.Partition, take())
	}
	for _, k := range n.Order {
		spec.Order = append(spec.Order, op.SortCol{Col: take(), Desc: k.Desc, NullsFirst: k.NullsFirst})
	}
	cols := append([]plan.Column(nil), in.cols...)
	for i := range n.Funcs {
		f := &n.Funcs[i]
		w := op.WindowFunc{T: f.Col.T, Filter: -1}
		for range f.Args {
			w.Args = append(w.Args, take())
		}
		if f.Filter != nil {
			w.Filter = take()
		}
		if err := b.windowCall(f, &w); err != nil {
			return nil, err
		}
		if w.Frame, err = b.frame(f.Frame, n.Order); err != nil {
			return nil, err
		}
		spec.Funcs = append(spec.Funcs, w)
		cols = append(cols, f.Col)
	}
	sink := op.NewWindow(b.q.run, spec, typesOf(c.cols))
	return &chain{cols: cols, deps: []*pipeline{b.pipe(c, sink)},
		starts: []func(context.Context) (int, error){func(context.Context) (int, error) { return sink.Morsels(), nil }},
		lane:   func(l *op.Lane) (op.Operator, error) { return rebatched(l, sink.Source()), nil },
	}, nil
}

// windowCall finds what computes a call.
func (b *builder) windowCall(f *plan.WindowFunc, w *op.WindowFunc) error {
	args := exprTypes(f.Args)
	if f.Fn.Kind == fn.Aggregate {
		if f.Distinct {
			return sqlstate.Unsupported("DISTINCT in window functions")
		}
		w.Agg = &agg.Call{Fn: f.Fn, Args: args, T: f.Col.T, Env: b.typesEnv()}
		w.Merges = merges(f.Fn.Name)
		_, err := agg.New(w.Agg) // an aggregate without states is refused before anything runs
		return err
	}
	if w.Fn = agg.Window(f.Fn); w.Fn == nil {
		return sqlstate.Unsupported("window function %s", f.Fn.Name)
	}
	w.Call = &agg.WindowCall{Fn: f.Fn, Args: args, T: f.Col.T, IgnoreNulls: f.IgnoreNulls}
	switch f.Fn.Name {
	case "first_value", "last_value", "nth_value":
		w.Framed = true
	}
	return nil
}

func (b *builder) typesEnv() *types.Env {
	if e := b.env.Eval; e != nil && e.Session != nil {
		return e.Session.Types
	}
	return nil
}

// merges says whether an aggregate's states can be merged in any order and stay what
// they are.
func merges(name string) bool {
	switch name {
	case "sum", "avg", "count", "min", "max", "every", "corr", "variance", "stddev":
		return true
	}
	for _, p := range []string{"bool_", "bit_", "var_", "stddev_", "covar_", "regr_"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// frame computes a frame's offsets.
func (b *builder) frame(f plan.Frame, order []plan.SortKey) (op.Frame, error) {
	out := op.Frame{Mode: f.Mode, Exclude: f.Exclude}
	var err error
	if out.Start, err = b.bound(f.Start, f.Mode, order); err != nil {
		return out, err
	}
	out.End, err = b.bound(f.End, f.Mode, order)
	return out, err
}

func (b *builder) bound(f plan.FrameBound, mode plan.FrameMode, order []plan.SortKey) (op.Bound, error) {
	out := op.Bound{Kind: f.Kind, Sub: f.Sub}
	if f.Kind != plan.Preceding && f.Kind != plan.Following {
		return out, nil
	}
	out.T = f.Offset.Type()
	var err error
	if out.Offset, err = b.constant(f.Offset); err != nil || mode != plan.Range {
		return out, err
	}
	key := order[0].Expr.Type()
	switch key.OID {
	case types.Int2OID, types.Int4OID, types.Int8OID, types.Float4OID, types.Float8OID, types.TimeOID, types.TimetzOID:
		return out, nil
	}
	// The key shifted by the offset, and the key in the result's type: shifted by nothing.
	col := &expr.Column{ID: 0, T: key}
	shift := func(d types.Datum) expr.Expr {
		return &expr.Call{Fn: f.Shift, Args: []expr.Expr{col, &expr.Const{T: out.T, D: d}}, T: types.Of(f.Shift.Ret, -1), Pos: -1}
	}
	zero := types.Datum{Valid: true}
	if out.T.Layout == types.LayoutView {
		zero = types.NewString(string(types.NumericFromInt64(nil, 0, 0)))
	}
	es := []expr.Expr{shift(out.Offset), shift(zero)}
	env := b.evalEnv([]plan.Column{{ID: 0, T: key}})
	out.Shift = func() (*eval.Program, error) { return eval.CompileList(es, env) }
	return out, nil
}
