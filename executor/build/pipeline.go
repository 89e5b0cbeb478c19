package build

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
)

// chain makes the operators of a pipeline's lanes up to some plan node.
type chain struct {
	cols []plan.Column
	// lane makes the operators of one lane.
	lane func(l *op.Lane) (op.Operator, error)
	// starts run once before the first lane, and say how many morsels their source
	// has.
	starts []func(context.Context) (int, error)
	// ordered chains have one lane: their rows have an order.
	ordered bool
	// deps are the pipelines to finish before.
	deps []*pipeline
}

// then is a chain that continues c on each lane.
func (c *chain) then(cols []plan.Column, f func(l *op.Lane, in op.Operator) (op.Operator, error)) *chain {
	n := *c
	n.cols = cols
	n.lane = func(l *op.Lane) (op.Operator, error) {
		in, err := c.lane(l)
		if err != nil {
			return nil, err
		}
		o, err := f(l, in)
		if err != nil {
			in.Close()
			return nil, err
		}
		return o, nil
	}
	return &n
}

// pipeline is a chain with a sink. It starts when all it waits for is done.
type pipeline struct {
	q     *Query
	chain *chain
	sink  op.Sink
	// done runs after the sink has finished, before those that wait are released.
	done func() error

	// Guarded by q.mu.
	waits    int
	next     []*pipeline
	finished bool
	lanes    int // running
	tasks    int // of Finish, running
	ops      []op.Operator
}

// pipe adds a pipeline; it runs once it is released by what it depends on. A nil
// chain makes a barrier that is finished by hand.
func (s *scope) pipe(c *chain, sink op.Sink) *pipeline {
	p := &pipeline{q: s.q, chain: c, sink: sink}
	s.pipes = append(s.pipes, p)
	if sink != nil {
		s.closers = append(s.closers, sink.Close)
	}
	return p
}

// scope is a set of pipelines that is built, released and closed together: a
// query, or one round of a recursive CTE.
type scope struct {
	q       *Query
	pipes   []*pipeline
	closers []func()
}

// release counts what each pipeline of the scope waits for, and starts those that
// wait for nothing.
func (s *scope) release() {
	q := s.q
	q.mu.Lock()
	var ready []*pipeline
	for _, p := range s.pipes {
		if p.chain == nil {
			continue
		}
		seen := map[*pipeline]bool{}
		for _, d := range p.chain.deps {
			if !seen[d] && !d.finished {
				seen[d] = true
				p.waits++
				d.next = append(d.next, p)
			}
		}
		if p.waits == 0 {
			ready = append(ready, p)
		}
	}
	q.mu.Unlock()
	for _, p := range ready {
		q.job.Spawn(sched.Func(p.start))
	}
}

// close closes all operators and sinks of the scope. No step runs meanwhile.
func (s *scope) close() {
	for _, p := range s.pipes {
		for _, o := range p.ops {
			o.Close()
		}
		p.ops = nil
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

// start runs the sources' starts and spawns the lanes.
func (p *pipeline) start() error {
	morsels := 0
	for _, f := range p.chain.starts {
		n, err := f(p.q.ctx)
		if err != nil {
			return err
		}
		morsels += n
	}
	n := 1
	if !p.chain.ordered && p.q.job.Offered() {
		n = max(1, min(p.q.run.Workers, morsels))
	}
	p.q.mu.Lock()
	p.lanes = n
	p.q.mu.Unlock()
	for i := range n {
		t := &laneTask{p: p, lane: op.Lane{Run: p.q.run, Index: i, Count: n}}
		t.h = p.q.job.SpawnParked(t)
		p.q.job.Wake(t.h)
	}
	return nil
}

// laneTask runs one lane.
type laneTask struct {
	p    *pipeline
	lane op.Lane
	h    *sched.Handle
	op   op.Operator
	sink op.LaneSink
}

func (t *laneTask) open() error {
	o, err := t.p.chain.lane(&t.lane)
	if err != nil {
		return err
	}
	t.op = o
	t.p.q.mu.Lock()
	t.p.ops = append(t.p.ops, o)
	t.p.q.mu.Unlock()
	if t.sink, err = t.p.sink.Lane(&t.lane); err != nil {
		return err
	}
	if r, ok := t.sink.(*op.ResultLane); ok {
		r.Handle = t.h
	}
	return nil
}

// Step implements sched.Task.
func (t *laneTask) Step(until time.Time) (sched.Status, error) {
	if t.op == nil {
		if err := t.open(); err != nil {
			return sched.Done, err
		}
	}
	job := t.p.q.job
	for {
		b, err := t.op.Next()
		if err != nil {
			return sched.Done, err
		}
		if b == nil {
			return sched.Done, t.end()
		}
		if b.Rows() > 0 {
			flow, err := t.sink.Add(b)
			switch {
			case err != nil:
				return sched.Done, err
			case flow == op.Pause:
				return sched.Blocked, nil
			case flow == op.Stop:
				return sched.Done, t.end()
			}
		}
		if job.Dead() {
			return sched.Done, nil
		}
		if time.Now().After(until) {
			return sched.More, nil
		}
	}
}

func (t *laneTask) end() error {
	t.op.Close()
	if err := t.sink.Combine(); err != nil {
		return err
	}
	p := t.p
	p.q.mu.Lock()
	p.lanes--
	last := p.lanes == 0
	p.q.mu.Unlock()
	if last {
		return p.finish()
	}
	return nil
}

// finish runs the phases of the sink's Finish, each in parallel.
func (p *pipeline) finish() error {
	tasks, err := p.sink.Finish()
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		return p.end()
	}
	p.q.mu.Lock()
	p.tasks = len(tasks)
	p.q.mu.Unlock()
	for _, f := range tasks {
		p.q.job.Spawn(sched.Func(func() error {
			if err := f(); err != nil {
				return err
			}
			p.q.mu.Lock()
			p.tasks--
			last := p.tasks == 0
			p.q.mu.Unlock()
			if last {
				return p.finish()
			}
			return nil
		}))
	}
	return nil
}

// end releases those that wait for p.
func (p *pipeline) end() error {
	if p.done != nil {
		if err := p.done(); err != nil {
			return err
		}
	}
	q := p.q
	q.mu.Lock()
	p.finished = true
	var ready []*pipeline
	for _, n := range p.next {
		if n.waits--; n.waits == 0 {
			ready = append(ready, n)
		}
	}
	p.next = nil
	q.mu.Unlock()
	for _, n := range ready {
		q.job.Spawn(sched.Func(n.start))
	}
	return nil
}

// Query is a running query. Its methods are for one goroutine at a time.
type Query struct {
	ctx    context.Context
	env    *Env
	job    *sched.Job
	run    *op.Run
	root   *scope
	result *op.Result
	cols   []plan.Column
	began  time.Time
	large  bool
	ended  func() bool // of the job

	mu       sync.Mutex
	affected int64
	profiles map[plan.Node]*op.Profile
	scans    map[plan.Node]*op.Scan
	scopes   []*scope // of rounds, for Close
	closed   bool
	err      error
}
