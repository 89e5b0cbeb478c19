package build

import (
	"maps"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
)

// recursive builds a recursive CTE. The step is built anew for every round, in a
// scope of its own whose pipelines run one after another inside the operator: the
// rounds depend on each other, and what is above may want no more of them. A step
// that only filters and projects the working table is built once.
func (b *builder) recursive(n *plan.Recursive) (*chain, error) {
	base, err := b.node(n.Base)
	if err != nil {
		return nil, err
	}
	c := *b.exact(base, n.Base.Columns())
	c.ordered = true
	ts := typesOf(n.Cols)

	// Once for its errors, and to know what must be there before the first round.
	try := b.inner()
	try.ctes[n.ID] = &builtCTE{work: op.NewWorkRows(b.q.run, ts, nil), ordered: true}
	step, err := try.step(n)
	try.scope.close()
	if err != nil {
		return nil, err
	}
	c.deps = append(c.deps[:len(c.deps):len(c.deps)], try.scope.outside(step)...)

	// What builds rounds later knows what this builder knows now.
	at := b.inner()
	out := c.then(n.Cols, func(l *op.Lane, in op.Operator) (op.Operator, error) {
		r := op.NewRecursive(l.Run, in, ts, n.All)
		work := &op.WorkTable{}
		if over := at.overWork(n.Step, n.ID, work); over != nil {
			over = at.exact(over, n.Step.Columns())
			var o op.Operator
			r.Begin = func(rows *op.WorkRows) (op.Operator, error) {
				work.Reset(rows)
				var err error
				if o == nil {
					o, err = over.lane(l)
				}
				return o, err
			}
			r.End = work.Close
			return r, nil
		}
		var s *scope
		r.Begin = func(rows *op.WorkRows) (op.Operator, error) {
			rb := at.inner()
			s = rb.scope
			rb.ctes[n.ID] = &builtCTE{work: rows, ordered: true}
			c, err := rb.step(n)
			if err != nil {
				return nil, err
			}
			return s.runInline(c, l)
		}
		r.End = func() { s.close() }
		return r, nil
	})
	out.ordered = true
	return out, nil
}

// inner is a builder like b with a scope of its own.
func (b *builder) inner() *builder {
	n := *b
	n.scope = &scope{q: b.q}
	n.joins, n.ctes, n.needs = maps.Clone(b.joins), maps.Clone(b.ctes), maps.Clone(b.needs)
	return &n
}

func (b *builder) step(n *plan.Recursive) (*chain, error) {
	c, err := b.node(n.Step)
	if err != nil {
		return nil, err
	}
	return b.exact(c, n.Step.Columns()), nil
}

// overWork builds a plan that only filters and projects the working table, over a
// source that can be read again; nil for all other plans.
func (b *builder) overWork(n plan.Node, id int, work *op.WorkTable) *chain {
	switch n := n.(type) {
	case *plan.CTERef:
		if n.ID == id {
			return &chain{cols: n.Cols, ordered: true, lane: func(l *op.Lane) (op.Operator, error) { return rebatched(l, work), nil }}
		}
	case *plan.Filter:
		if in := b.overWork(n.Input, id, work); in != nil {
			return b.filtered(in, n.Pred)
		}
	case *plan.Project:
		if in := b.overWork(n.Input, id, work); in != nil {
			return b.projected(in, n.Exprs)
		}
	}
	return nil
}

// outside lists the pipelines of other scopes that those of s and c wait for.
func (s *scope) outside(c *chain) []*pipeline {
	own := map[*pipeline]bool{}
	for _, p := range s.pipes {
		own[p] = true
	}
	var out []*pipeline
	add := func(c *chain) {
		for _, d := range c.deps {
			if !own[d] {
				own[d] = true
				out = append(out, d)
			}
		}
	}
	for _, p := range s.pipes {
		if p.chain != nil {
			add(p.chain)
		}
	}
	add(c)
	return out
}

// runInline runs the pipelines of a scope that was not released, one after another
// on this lane, and makes the operator of a chain that reads them. A pipeline is
// made after those that it waits for.
func (s *scope) runInline(c *chain, l *op.Lane) (op.Operator, error) {
	lane := &op.Lane{Run: l.Run, Count: 1}
	for _, p := range s.pipes {
		if p.chain == nil {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "a barrier in a recursion")
		}
		if err := p.runInline(lane); err != nil {
			return nil, err
		}
	}
	o, err := s.open(c, lane)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, o.Close)
	return o, nil
}

// open starts a chain's sources and makes its operator.
func (s *scope) open(c *chain, l *op.Lane) (op.Operator, error) {
	for _, f := range c.starts {
		if _, err := f(s.q.ctx); err != nil {
			return nil, err
		}
	}
	return c.lane(l)
}

// runInline runs a pipeline to its end on one lane.
func (p *pipeline) runInline(l *op.Lane) error {
	s := &scope{q: p.q}
	o, err := s.open(p.chain, l)
	if err != nil {
		return err
	}
	p.ops = append(p.ops, o)
	sink, err := p.sink.Lane(l)
	if err != nil {
		return err
	}
	for {
		if err := l.Run.Interrupted(); err != nil {
			return err
		}
		b, err := o.Next()
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		if b.Rows() == 0 {
			continue
		}
		if flow, err := sink.Add(b); err != nil {
			return err
		} else if flow == op.Stop {
			break
		}
	}
	o.Close()
	if err := sink.Combine(); err != nil {
		return err
	}
	for {
		tasks, err := p.sink.Finish()
		if err != nil {
			return err
		}
		if len(tasks) == 0 {
			break
		}
		for _, f := range tasks {
			if err := f(); err != nil {
				return err
			}
		}
	}
	if p.done != nil {
		if err := p.done(); err != nil {
			return err
		}
	}
	p.finished = true
	return nil
}

// lazily is n with a recursive definition put in the place of the only reference to
// it, so that it runs as far as its reader wants; nil when that cannot be done.
func lazily(n *plan.With) plan.Node {
	if !isRecursive(n.Def) {
		return nil
	}
	refs, inStep := 0, 0
	var count func(m plan.Node, step bool)
	count = func(m plan.Node, step bool) {
		if r, ok := m.(*plan.CTERef); ok && r.ID == n.ID {
			refs++
			if step {
				inStep++
			}
		}
		if r, ok := m.(*plan.Recursive); ok {
			count(r.Base, step)
			count(r.Step, true)
			return
		}
		for _, c := range m.Children() {
			count(c, step)
		}
	}
	count(n.Body, false)
	if refs != 1 || inStep > 0 {
		return nil
	}
	cols := n.Def.Columns()
	return plan.Rewrite(n.Body, func(m plan.Node) plan.Node {
		r, ok := m.(*plan.CTERef)
		if !ok || r.ID != n.ID {
			return m
		}
		p := &plan.Project{Input: n.Def}
		for i, c := range r.Cols {
			p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: cols[i].Ref()})
		}
		return p
	})
}

func isRecursive(n plan.Node) bool {
	switch n := n.(type) {
	case *plan.Recursive:
		return true
	case *plan.Project:
		return isRecursive(n.Input)
	}
	return false
}
