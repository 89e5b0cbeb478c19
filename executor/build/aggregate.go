package build

import (
	"context"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/agg"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
)

func (b *builder) aggregate(n *plan.Aggregate) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	spec := &op.AggSpec{Sets: n.Sets}
	if n.Sets == nil {
		all := make([]int, len(n.Groups))
		for i := range all {
			all[i] = i
		}
		spec.Sets = [][]int{all}
	}
	b.describeKeys(spec, n)
	// The sink's input: the keys, then whatever the aggregates need.
	var es []expr.Expr
	for _, g := range n.Groups {
		es = append(es, g.Expr)
		spec.Keys = append(spec.Keys, g.Expr.Type())
	}
	column := func(e expr.Expr) int {
		if expr.Volatility(e) != fn.Volatile {
			for i, x := range es {
				if i >= len(n.Groups) && expr.Equal(x, e) {
					return i
				}
			}
		}
		es = append(es, e)
		return len(es) - 1
	}
	var cols []plan.Column
	for _, g := range n.Groups {
		cols = append(cols, g.Col)
	}
	ordered := false
	for _, a := range n.Aggs {
		c := op.AggCall{Call: agg.Call{Fn: a.Fn, T: a.Col.T}, Filter: -1, Distinct: a.Distinct}
		if b.env.Eval != nil && b.env.Eval.Session != nil {
			c.Call.Env = b.env.Eval.Session.Types
		}
		for _, e := range a.Args {
			c.Args = append(c.Args, column(e))
			c.Call.Args = append(c.Call.Args, e.Type())
		}
		if a.Filter != nil {
			c.Filter = column(a.Filter)
		}
		for _, e := range a.Direct {
			used := map[int]bool{}
			if expr.Columns(e, used); len(used) > 0 {
				return nil, sqlstate.Unsupported("direct arguments of aggregate %s that are not constant are not supported", a.Fn.Name)
			}
			d, err := b.constant(e)
			if err != nil {
				return nil, err
			}
			c.Call.Direct = append(c.Call.Direct, d)
		}
		order := a.Order
		if a.Distinct && len(order) == 0 && agg.OrderSensitive(a.Fn) {
			for _, e := range a.Args {
				order = append(order, plan.SortKey{Expr: e}) // as PostgreSQL's sort leaves them
			}
		}
		for _, k := range order {
			at := -1
			for i, e := range a.Args {
				if expr.Equal(e, k.Expr) {
					at = i
				}
			}
			if at < 0 {
				at = len(c.Args) + len(c.Extra)
				c.Extra = append(c.Extra, column(k.Expr))
				c.ExtraTypes = append(c.ExtraTypes, k.Expr.Type())
			}
			if a.Fn.Agg == fn.Hypothetical {
				c.Call.Order = append(c.Call.Order, agg.SortOrder{Desc: k.Desc, NullsFirst: k.NullsFirst})
			}
			c.Order = append(c.Order, op.SortCol{Col: at, Desc: k.Desc, NullsFirst: k.NullsFirst})
		}
		if len(order) == 0 && agg.OrderSensitive(a.Fn) {
			ordered = true
		}
		spec.Aggs = append(spec.Aggs, c)
		cols = append(cols, a.Col)
	}
	src := &op.AggSource{}
	for _, g := range n.Grouping {
		cols = append(cols, g.Col)
		src.Grouping = append(src.Grouping, g.Args)
	}
	ps := make([]plan.Projection, len(es))
	for i, e := range es {
		ps[i] = plan.Projection{Col: plan.Column{ID: -1 - i, T: e.Type()}, Expr: e}
	}
	feed := b.projected(in, ps)
	if ordered {
		feed.ordered = true
	}
	sink := op.NewAggregate(b.q.run, spec)
	src.S = sink
	p := b.pipe(feed, sink)
	return &chain{cols: cols, deps: []*pipeline{p},
		starts: []func(context.Context) (int, error){func(context.Context) (int, error) { return src.Morsels(), nil }},
		lane:   func(l *op.Lane) (op.Operator, error) { return rebatched(l, src.Lane()), nil },
	}, nil
}

// distinct without ON is grouping by all columns; with ON the first row of each
// value passes, on one lane.
func (b *builder) distinct(n *plan.Distinct) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	if len(n.On) > 0 || in.ordered {
		on := n.On
		if len(on) == 0 {
			for _, c := range n.Input.Columns() {
				on = append(on, c.Ref())
			}
		}
		c, at := b.withColumns(in, on)
		out := c.then(c.cols, func(l *op.Lane, o op.Operator) (op.Operator, error) {
			return op.NewDistinct(l.Run, o, at, exprTypes(on)), nil
		})
		out.ordered = true
		return b.cut(out, len(in.cols)), nil
	}
	return b.grouped(b.exact(in, n.Input.Columns())), nil
}

// grouped is a chain without duplicates of its rows.
func (b *builder) grouped(in *chain) *chain {
	spec := &op.AggSpec{Keys: typesOf(in.cols), Sets: [][]int{make([]int, len(in.cols))}}
	for i := range in.cols {
		spec.Sets[0][i] = i
	}
	sink := op.NewAggregate(b.q.run, spec)
	src := &op.AggSource{S: sink}
	p := b.pipe(in, sink)
	return &chain{cols: in.cols, deps: []*pipeline{p},
		starts: []func(context.Context) (int, error){func(context.Context) (int, error) { return src.Morsels(), nil }},
		lane:   func(l *op.Lane) (op.Operator, error) { return rebatched(l, src.Lane()), nil },
	}
}

func (b *builder) setOp(n *plan.SetOp) (*chain, error) {
	var ins []*chain
	for _, x := range n.Inputs {
		c, err := b.node(x)
		if err != nil {
			return nil, err
		}
		ins = append(ins, b.exact(c, x.Columns()))
	}
	if n.Kind == plan.Union {
		u := union(n.Cols, ins)
		if n.All {
			return u, nil
		}
		return b.grouped(u), nil
	}
	// The rows of both sides as groups, counted by the side that they are from.
	count := agg.Call{Fn: fn.ByOID(countOID), T: types.Int8}
	spec := &op.AggSpec{Keys: typesOf(n.Cols), Sets: [][]int{make([]int, len(n.Cols))}}
	for i := range n.Cols {
		spec.Sets[0][i] = i
	}
	for side, in := range ins {
		spec.Aggs = append(spec.Aggs, op.AggCall{Call: count, Filter: len(n.Cols) + side})
		var ps []plan.Projection
		for _, c := range in.cols {
			ps = append(ps, plan.Projection{Col: c, Expr: c.Ref()})
		}
		for i := range ins {
			ps = append(ps, plan.Projection{Col: plan.Column{ID: -1 - i, T: types.Bool}, Expr: &expr.Const{T: types.Bool, D: types.NewBool(i == side)}})
		}
		ins[side] = b.projected(in, ps)
	}
	sink := op.NewAggregate(b.q.run, spec)
	src := &op.AggSource{S: sink}
	p := b.pipe(union(ins[0].cols, ins), sink)
	return &chain{cols: n.Cols, deps: []*pipeline{p},
		starts: []func(context.Context) (int, error){func(context.Context) (int, error) { return src.Morsels(), nil }},
		lane: func(l *op.Lane) (op.Operator, error) {
			return &op.SetOp{In: rebatched(l, src.Lane()), Except: n.Kind == plan.Except, All: n.All}, nil
		},
	}, nil
}

// countOID is count(*).
const countOID = 2803

func (b *builder) sort(n *plan.Sort) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	return b.sorted(in, n.Keys, n.Limit), nil
}

// sorted is a chain in order, with the columns of in.
func (b *builder) sorted(in *chain, keys []plan.SortKey, limit int64) *chain {
	es := make([]expr.Expr, len(keys))
	for i, k := range keys {
		es[i] = k.Expr
	}
	c, at := b.withColumns(in, es)
	var ks []op.SortCol
	for i, k := range keys {
		ks = append(ks, op.SortCol{Col: at[i], Desc: k.Desc, NullsFirst: k.NullsFirst})
	}
	sink := op.NewSort(b.q.run, typesOf(c.cols), ks, limit)
	p := b.pipe(c, sink)
	out := &chain{cols: c.cols, deps: []*pipeline{p}, ordered: true,
		lane: func(l *op.Lane) (op.Operator, error) {
			o, err := sink.Output()
			if err != nil {
				return nil, err
			}
			return rebatched(l, o), nil
		}}
	return b.cut(out, len(in.cols))
}
