package build

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
)

// builder turns the nodes of one plan into pipelines of a scope.
type builder struct {
	*scope
	q     *Query
	env   *Env
	joins map[int]*builtJoin
	ctes  map[int]*builtCTE
	needs needs
	// narrowed are runtime filters that the plan does not have: those of flipped joins.
	narrowed map[*plan.Scan][]plan.RuntimeFilter
	// top is the plan's root, or the body of a WITH there.
	top plan.Node
	// rows is about how many rows the plan's sources have; writes counts its writing
	// nodes.
	rows   int64
	writes int
	parts  writingParts
}

// builtCTE is a CTE's rows: of a pipeline, or given.
type builtCTE struct {
	work    *op.WorkRows // of a recursion's round
	coll    *op.Collect
	batches []*vec.Batch
	pipe    *pipeline // nil: there from the start
	ordered bool
}

// root builds the whole plan, ending in the query's result.
func (b *builder) root(n plan.Node) error {
	for id, batches := range b.env.Inputs {
		b.ctes[id] = &builtCTE{batches: batches, ordered: true}
	}
	b.top = n
	for {
		w, ok := b.top.(*plan.With)
		if !ok {
			break
		}
		b.top = w.Body
	}
	result := map[int]bool{}
	for _, c := range n.Columns() {
		result[c.ID] = true
	}
	b.needs.add(result, 1)
	if b.env.Txn != nil {
		b.parts.plan(n, b.top)
		if len(b.parts.changed) > 0 { // what one part finds of another's must be found before the commit
			if err := b.env.Txn.Extend(); err != nil {
				return err
			}
		}
	}
	c, err := b.node(n)
	if err != nil {
		return err
	}
	c = b.parts.order(c)
	if !isWrite(b.top) {
		b.q.affected = -1
	}
	c = b.exact(c, n.Columns())
	b.q.cols = c.cols
	b.q.result = op.NewResult(b.q.job)
	b.pipe(c, b.q.result)
	return nil
}

// node builds a node and all below it.
func (b *builder) node(n plan.Node) (*chain, error) {
	mine := refs(n)
	b.needs.add(mine, 1)
	c, err := b.bare(n)
	b.needs.add(mine, -1)
	if err != nil || !b.env.Profile {
		return c, err
	}
	b.q.mu.Lock()
	p := b.q.profiles[n]
	if p == nil {
		p = &op.Profile{}
		b.q.profiles[n] = p
	}
	b.q.mu.Unlock()
	return c.then(c.cols, func(l *op.Lane, in op.Operator) (op.Operator, error) {
		return &op.Profiled{In: in, P: p}, nil
	}), nil
}

func (b *builder) bare(n plan.Node) (*chain, error) {
	switch n := n.(type) {
	case *plan.Scan:
		return b.scan(n)
	case *plan.Values:
		return b.values(n)
	case *plan.Filter:
		return b.filter(n)
	case *plan.Project:
		return b.project(n)
	case *plan.ProjectSet:
		return b.projectSet(n)
	case *plan.Limit:
		return b.limit(n)
	case *plan.Join:
		return b.join(n)
	case *plan.Aggregate:
		return b.aggregate(n)
	case *plan.Sort:
		return b.sort(n)
	case *plan.Distinct:
		return b.distinct(n)
	case *plan.Window:
		return b.window(n)
	case *plan.SetOp:
		return b.setOp(n)
	case *plan.With:
		return b.with(n)
	case *plan.CTERef:
		return b.cteRef(n)
	case *plan.Recursive:
		return b.recursive(n)
	case *plan.Insert:
		return b.insert(n)
	case *plan.Update:
		return b.update(n)
	case *plan.Delete:
		return b.delete(n)
	case *plan.Merge:
		return b.merge(n)
	case *plan.LockRows:
		return b.lockRows(n)
	}
	return nil, sqlstate.Errorf(sqlstate.InternalError, "no operator for plan node %T", n)
}

// evalEnv is the environment of expressions over batches with these columns.
func (b *builder) evalEnv(cols []plan.Column) *eval.Env {
	m := make(map[int]int, len(cols))
	for i, c := range cols {
		if _, dup := m[c.ID]; !dup {
			m[c.ID] = i
		}
	}
	e := b.env.Eval
	if e == nil {
		e = &eval.Env{}
	}
	e = e.WithOrdinals(m)
	if b.q != nil { // a direct insert has no query
		e.Ended, e.Reserve = b.q.ended, b.q.run.Account.Reserve
	}
	return e
}

func typesOf(cols []plan.Column) []types.T {
	ts := make([]types.T, len(cols))
	for i, c := range cols {
		ts[i] = c.T
	}
	return ts
}

func exprTypes(es []expr.Expr) []types.T {
	ts := make([]types.T, len(es))
	for i, e := range es {
		ts[i] = e.Type()
	}
	return ts
}

// position is the place of a column among cols, -1 when it is not there.
func position(cols []plan.Column, id int) int {
	for i, c := range cols {
		if c.ID == id {
			return i
		}
	}
	return -1
}

// constant computes an expression without columns.
func (b *builder) constant(e expr.Expr) (types.Datum, error) {
	p, err := eval.Compile(e, b.evalEnv(nil))
	if err != nil {
		return types.Null, err
	}
	v, err := p.Eval(&vec.Batch{N: 1})
	if err != nil {
		return types.Null, err
	}
	return v.Datum(0), nil
}

func (b *builder) filter(n *plan.Filter) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	return b.filtered(in, n.Pred), nil
}

// filtered is a chain with a condition over its columns; nil is none.
func (b *builder) filtered(in *chain, pred expr.Expr) *chain {
	if pred == nil {
		return in
	}
	env := b.evalEnv(in.cols)
	return in.then(in.cols, func(l *op.Lane, o op.Operator) (op.Operator, error) {
		p, err := eval.CompileFilter(pred, env)
		if err != nil {
			return nil, err
		}
		return &op.Filter{In: o, Cond: p}, nil
	})
}

func (b *builder) project(n *plan.Project) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	return b.projected(in, n.Exprs), nil
}

// projected is a chain that computes projections.
func (b *builder) projected(in *chain, ps []plan.Projection) *chain {
	cols := make([]plan.Column, len(ps))
	es := make([]expr.Expr, len(ps))
	pick := make([]int, 0, len(ps))
	for i, p := range ps {
		cols[i], es[i] = p.Col, p.Expr
		if c, ok := p.Expr.(*expr.Column); ok {
			if at := position(in.cols, c.ID); at >= 0 {
				pick = append(pick, at)
			}
		}
	}
	if len(pick) == len(ps) {
		return in.then(cols, func(l *op.Lane, o op.Operator) (op.Operator, error) {
			return &op.Pick{In: o, Cols: pick}, nil
		})
	}
	env := b.evalEnv(in.cols)
	return in.then(cols, func(l *op.Lane, o op.Operator) (op.Operator, error) {
		p, err := eval.CompileList(es, env)
		if err != nil {
			return nil, err
		}
		return &op.Project{In: o, Exprs: p}, nil
	})
}

func (b *builder) values(n *plan.Values) (*chain, error) {
	env := b.evalEnv(nil)
	ts := typesOf(n.Cols)
	b.rows += int64(len(n.Rows))
	return &chain{cols: n.Cols, ordered: true, lane: func(l *op.Lane) (op.Operator, error) {
		return &op.Values{Rows: n.Rows, Types: ts, Size: l.Run.BatchSize, Env: env}, nil
	}}, nil
}

func (b *builder) limit(n *plan.Limit) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	count, offset := int64(-1), int64(0)
	if n.Count != nil {
		d, err := b.constant(n.Count)
		if err != nil {
			return nil, err
		}
		if d.Valid {
			if count = d.I; count < 0 {
				return nil, sqlstate.Errorf(sqlstate.InvalidRowCountInLimitClause, "LIMIT must not be negative")
			}
		} else if n.WithTies {
			return nil, sqlstate.Errorf(sqlstate.InvalidRowCountInLimitClause, "row count cannot be null in FETCH FIRST ... WITH TIES clause")
		}
	}
	if n.Offset != nil {
		d, err := b.constant(n.Offset)
		if err != nil {
			return nil, err
		}
		if d.Valid {
			if offset = d.I; offset < 0 {
				return nil, sqlstate.Errorf(sqlstate.InvalidRowCountInResultOffsetClause, "OFFSET must not be negative")
			}
		}
	}
	if n.WithTies && count >= 0 {
		return b.limitTies(n, in, offset, count)
	}
	shared := &op.Limit{Offset: offset, Count: count}
	return in.then(in.cols, func(l *op.Lane, o op.Operator) (op.Operator, error) {
		return &op.LimitLane{In: o, S: shared}, nil
	}), nil
}

func (b *builder) limitTies(n *plan.Limit, in *chain, offset, count int64) (*chain, error) {
	var keys []expr.Expr
	for _, k := range n.Ties {
		keys = append(keys, k.Expr)
	}
	c, at := b.withColumns(in, keys)
	acct := b.q.run.Account
	out := c.then(c.cols, func(l *op.Lane, o op.Operator) (op.Operator, error) {
		return op.NewLimitTies(o, offset, count, at, op.NewRows(exprTypes(keys), acct)), nil
	})
	out.ordered = true
	return b.cut(out, len(in.cols)), nil
}

// withColumns makes a chain that has the values of es among its columns, and tells
// where: columns of the chain where they are, new ones at its end.
func (b *builder) withColumns(in *chain, es []expr.Expr) (*chain, []int) {
	at := make([]int, len(es))
	var more []plan.Projection
	for i, e := range es {
		at[i] = -1
		if c, ok := e.(*expr.Column); ok {
			at[i] = position(in.cols, c.ID)
		}
		if at[i] >= 0 {
			continue
		}
		for k, p := range more {
			if expr.Volatility(e) < 2 && expr.Equal(p.Expr, e) {
				at[i] = len(in.cols) + k
			}
		}
		if at[i] < 0 {
			at[i] = len(in.cols) + len(more)
			more = append(more, plan.Projection{Col: plan.Column{ID: -1 - len(more), T: e.Type(), Name: fmt.Sprint("key", i)}, Expr: e})
		}
	}
	if len(more) == 0 {
		return in, at
	}
	// Hidden columns get ids below all others, which no expression names.
	low := 0
	for _, c := range in.cols {
		low = min(low, c.ID)
	}
	all := make([]plan.Projection, 0, len(in.cols)+len(more))
	for _, c := range in.cols {
		all = append(all, plan.Projection{Col: c, Expr: c.Ref()})
	}
	for i := range more {
		more[i].Col.ID += low
		all = append(all, more[i])
	}
	return b.projected(in, all), at
}

// cut is a chain without the columns from n on.
func (b *builder) cut(in *chain, n int) *chain {
	if len(in.cols) == n {
		return in
	}
	pick := make([]int, n)
	for i := range pick {
		pick[i] = i
	}
	return in.then(in.cols[:n], func(l *op.Lane, o op.Operator) (op.Operator, error) {
		return &op.Pick{In: o, Cols: pick}, nil
	})
}

// rowsChain reads the rows that a pipeline has stored.
func (b *builder) rowsChain(cols []plan.Column, rows *op.Rows, from *pipeline, ordered bool) *chain {
	src := &op.RowsSource{Rows: rows}
	c := &chain{cols: cols, ordered: ordered,
		starts: []func(context.Context) (int, error){func(context.Context) (int, error) { return src.Morsels(), nil }},
		lane:   func(l *op.Lane) (op.Operator, error) { return rebatched(l, src.Lane()), nil },
	}
	if from != nil {
		c.deps = []*pipeline{from}
	}
	return c
}

// rebatched cuts a source's batches when the batch size is set.
func rebatched(l *op.Lane, o op.Operator) op.Operator {
	if l.Run.BatchSize == vec.Size {
		return o
	}
	return &op.Rebatch{In: o, Size: l.Run.BatchSize}
}

func (b *builder) with(n *plan.With) (*chain, error) {
	if x := lazily(n); x != nil {
		return b.node(x)
	}
	leave := b.parts.enter(n)
	def, err := b.node(n.Def)
	leave()
	if err != nil {
		return nil, err
	}
	def = b.exact(def, n.Def.Columns())
	sink := op.NewCollect(b.q.run, "cte", typesOf(def.cols))
	p := b.pipe(def, sink)
	old, had := b.ctes[n.ID]
	b.ctes[n.ID] = &builtCTE{coll: sink, pipe: p, ordered: def.ordered}
	body, err := b.node(n.Body)
	if err != nil {
		return nil, err
	}
	if had {
		b.ctes[n.ID] = old
	}
	// A definition that writes runs even when nothing reads it.
	if b.parts.late[n.ID] {
		b.parts.ends = append(b.parts.ends, p)
		return body, nil
	}
	c := *body
	c.deps = append(append([]*pipeline(nil), body.deps...), p)
	return &c, nil
}

func (b *builder) cteRef(n *plan.CTERef) (*chain, error) {
	t := b.ctes[n.ID]
	if t == nil {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "no CTE %d (%s)", n.ID, n.Name)
	}
	if t.coll != nil {
		src := &op.CollectSource{S: t.coll}
		return &chain{cols: n.Cols, ordered: t.ordered, deps: []*pipeline{t.pipe},
			starts: []func(context.Context) (int, error){func(context.Context) (int, error) { return src.Morsels(), nil }},
			lane:   func(l *op.Lane) (op.Operator, error) { return rebatched(l, src.Lane()), nil },
		}, nil
	}
	if t.work == nil {
		return &chain{cols: n.Cols, ordered: true, lane: func(l *op.Lane) (op.Operator, error) {
			return rebatched(l, &op.BatchSource{Batches: t.batches}), nil
		}}, nil
	}
	return &chain{cols: n.Cols, ordered: true, lane: func(l *op.Lane) (op.Operator, error) {
		o := &op.WorkTable{}
		o.Reset(t.work)
		return rebatched(l, o), nil
	}}, nil
}

// union is a chain of the rows of all chains.
func union(cols []plan.Column, ins []*chain) *chain {
	c := &chain{cols: cols}
	for _, in := range ins {
		c.starts = append(c.starts, in.starts...)
		c.deps = append(c.deps, in.deps...)
		c.ordered = c.ordered || in.ordered
	}
	c.lane = func(l *op.Lane) (op.Operator, error) {
		o := &op.UnionAll{}
		for _, in := range ins {
			x, err := in.lane(l)
			if err != nil {
				o.Close()
				return nil, err
			}
			o.Ins = append(o.Ins, x)
		}
		return o, nil
	}
	return c
}
