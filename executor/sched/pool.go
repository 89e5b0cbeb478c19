// Package sched runs the tasks of all queries on a fixed pool of workers.
//
// A query is a Job, its unit of work a Task that is stepped for about a
// millisecond at a time. A worker takes a step of the job that has used the least
// time so far, so that short queries overtake long ones; now and then it takes
// the job that waited longest, so that none starves. A job that has not been
// given to a pool is run by its caller, step by step (Job.RunOne): small queries
// never leave the goroutine of their connection.
//
// A task that cannot go on returns Blocked and holds no goroutine until Wake.
// The first error ends a job; a panic is an error of its job alone.
package sched

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Slice is how long a step should last.
const Slice = time.Millisecond

// Status is what a step left behind.
type Status uint8

// The statuses.
const (
	More    Status = iota // step again
	Blocked               // step again after Wake
	Done
)

// Task is a sequence of steps, run by one goroutine at a time.
type Task interface {
	// Step works until about the given time.
	Step(until time.Time) (Status, error)
}

// Func is a task of one step.
type Func func() error

// Step implements Task.
func (f Func) Step(time.Time) (Status, error) { return Done, f() }

// Pool is a set of workers.
type Pool struct {
	mu     sync.Mutex
	cond   sync.Cond
	jobs   []*Job // those with ready tasks
	picks  int
	closed bool
	wg     sync.WaitGroup
	n      int
	// surplus workers are to go: they stood in for some that waited.
	surplus int
}

// NewPool starts workers, as many as there are processors when n is 0.
func NewPool(n int) *Pool {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	p := &Pool{n: n}
	p.cond.L = &p.mu
	p.wg.Add(n)
	for range n {
		go p.work()
	}
	return p
}

// Workers is the number of workers.
func (p *Pool) Workers() int { return p.n }

// Close stops the workers after their present steps.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.cond.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Pool) work() {
	defer p.wg.Done()
	debug.SetPanicOnFault(true)
	for {
		p.mu.Lock()
		for len(p.jobs) == 0 && !p.closed && p.surplus == 0 {
			p.cond.Wait()
		}
		if p.surplus > 0 && !p.closed {
			p.surplus--
			if len(p.jobs) > 0 {
				p.cond.Signal() // the call may have been for work
			}
			p.mu.Unlock()
			return
		}
		if p.closed {
			p.mu.Unlock()
			return
		}
		j := p.pick()
		p.mu.Unlock()
		j.RunOne()
	}
}

// pick takes the next job out of the list; starting a step puts it back if more
// of its tasks are ready.
func (p *Pool) pick() *Job {
	p.picks++
	oldest := p.picks%8 == 0
	best := 0
	for i, j := range p.jobs[1:] {
		b := p.jobs[best]
		if oldest && j.queued.Before(b.queued) || !oldest && j.used.Load() < b.used.Load() {
			best = i + 1
		}
	}
	j := p.jobs[best]
	last := len(p.jobs) - 1
	p.jobs[best] = p.jobs[last]
	p.jobs[last] = nil
	p.jobs = p.jobs[:last]
	j.listed = false
	return j
}

// offer lists a job that has ready tasks. Called without the job's lock.
func (p *Pool) offer(j *Job, now time.Time) {
	p.mu.Lock()
	if !j.listed {
		j.listed, j.queued = true, now
		p.jobs = append(p.jobs, j)
	}
	p.cond.Signal()
	p.mu.Unlock()
}

// Canceled is the error that a context's end becomes: its cause if that has an
// SQLSTATE, else 57014.
func Canceled(ctx context.Context) error {
	err := context.Cause(ctx)
	if err == nil {
		return nil
	}
	if e, ok := err.(*sqlstate.Error); ok {
		return e
	}
	return sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to user request")
}

// Recover is to be deferred around work that runs outside of a job: a panic becomes
// the error.
func Recover(err *error) {
	if r := recover(); r != nil {
		*err = recovered(r)
	}
}

// recovered makes an error of a panic: an input/output error if it was a fault in
// mapped memory (a segment file that cannot be read), else a bug.
func recovered(r any) error {
	stack := debug.Stack()
	if _, ok := r.(interface{ Addr() uintptr }); ok {
		slog.Error("memory fault in a query", "fault", r, "stack", string(stack))
		return sqlstate.Errorf(sqlstate.IOError, "could not read file: %v", r)
	}
	slog.Error("panic in a query", "panic", r, "stack", string(stack))
	return sqlstate.Errorf(sqlstate.InternalError, "internal error: %v", r)
}
