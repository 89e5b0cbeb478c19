package sched

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Job is the work of one query. Its methods are safe for concurrent use.
type Job struct {
	ctx  context.Context
	stop func() bool // ends watching ctx

	// used is the time its steps took, in nanoseconds.
	used atomic.Int64
	// dead is set when the job has failed or was closed: no further step begins.
	dead atomic.Bool

	mu      sync.Mutex
	pool    *Pool // nil: run by the caller
	ready   []*Handle
	running int
	most    int // steps allowed at a time, 0: no bound
	err     error
	idle    sync.Cond // running became 0

	// Owned by the pool's lock.
	listed bool
	queued time.Time

	// signal wakes the one who waits for results.
	signal chan struct{}
}

// Handle is a task within a job.
type Handle struct {
	task  Task
	state handleState
}

type handleState uint8

const (
	parked handleState = iota
	queued
	running
	runningWoken // woken while running: when it blocks it is ready again
	finished
)

// NewJob makes a job that ends with ctx. It is run by RunOne alone until Offer.
func NewJob(ctx context.Context) *Job {
	j := &Job{ctx: ctx, signal: make(chan struct{}, 1)}
	j.idle.L = &j.mu
	j.stop = context.AfterFunc(ctx, func() { j.Fail(Canceled(ctx)) })
	return j
}

// Serial makes the job run one step at a time, whatever the workers.
func (j *Job) Serial() { j.most = 1 }

// Offer hands the job to a pool's workers, for good.
func (j *Job) Offer(p *Pool) {
	j.mu.Lock()
	j.pool = p
	n := len(j.ready)
	j.mu.Unlock()
	for range min(n, p.n) {
		p.offer(j, time.Now())
	}
}

// Offered says whether a pool runs the job.
func (j *Job) Offered() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.pool != nil
}

// Spawn adds a task that is ready to run.
func (j *Job) Spawn(t Task) *Handle {
	h := &Handle{task: t}
	j.enqueue(h)
	return h
}

// SpawnParked adds a task that waits for its first Wake.
func (j *Job) SpawnParked(t Task) *Handle { return &Handle{task: t} }

// Wake makes a blocked task ready.
func (j *Job) Wake(h *Handle) { j.enqueue(h) }

func (j *Job) enqueue(h *Handle) {
	j.mu.Lock()
	switch h.state {
	case parked:
		if j.dead.Load() {
			h.state = finished
			break
		}
		h.state = queued
		j.ready = append(j.ready, h)
	case running:
		h.state = runningWoken
	}
	p := j.pool
	some := len(j.ready) > 0
	j.mu.Unlock()
	if p != nil && some {
		p.offer(j, time.Now())
	}
}

// RunOne runs one step of the job on this goroutine; false when none is ready.
func (j *Job) RunOne() bool {
	j.mu.Lock()
	if len(j.ready) == 0 || j.dead.Load() || j.most > 0 && j.running >= j.most {
		j.mu.Unlock()
		return false
	}
	h := j.ready[0]
	copy(j.ready, j.ready[1:])
	j.ready[len(j.ready)-1] = nil
	j.ready = j.ready[:len(j.ready)-1]
	h.state = running
	j.running++
	p, more := j.pool, len(j.ready) > 0
	j.mu.Unlock()

	start := time.Now()
	if p != nil && more {
		p.offer(j, start)
	}
	st, err := step(h.task, start.Add(Slice), p == nil)
	end := time.Now()
	j.used.Add(int64(end.Sub(start)))

	j.mu.Lock()
	j.running--
	switch {
	case err != nil || st == Done || j.dead.Load():
		h.state = finished
	case st == More || h.state == runningWoken:
		h.state = queued
		j.ready = append(j.ready, h)
	default:
		h.state = parked
	}
	some := len(j.ready) > 0 && !j.dead.Load()
	if j.running == 0 {
		j.idle.Broadcast()
	}
	j.mu.Unlock()
	if err != nil {
		j.Fail(err)
	} else if p != nil && some {
		p.offer(j, end)
	}
	return true
}

// step runs one step; a panic becomes an error. On a caller's goroutine faults in
// mapped memory must be made panics first.
func step(t Task, until time.Time, inline bool) (st Status, err error) {
	if inline {
		old := debug.SetPanicOnFault(true)
		defer debug.SetPanicOnFault(old)
	}
	defer func() {
		if r := recover(); r != nil {
			st, err = Done, recovered(r)
		}
	}()
	return t.Step(until)
}

// Fail ends the job with an error; only the first counts.
func (j *Job) Fail(err error) {
	j.mu.Lock()
	if j.err == nil {
		j.err = err
	}
	j.dead.Store(true)
	clear(j.ready)
	j.ready = j.ready[:0]
	j.mu.Unlock()
	j.Notify()
}

// Err is the error that ended the job, nil if none has.
func (j *Job) Err() error {
	if !j.dead.Load() {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Dead says whether the job has ended; long loops within a step look at it.
func (j *Job) Dead() bool { return j.dead.Load() }

// Used is the time that the job's steps took.
func (j *Job) Used() time.Duration { return time.Duration(j.used.Load()) }

// Notify wakes the goroutine in Signal.
func (j *Job) Notify() {
	select {
	case j.signal <- struct{}{}:
	default:
	}
}

// Signal yields a value after each Notify; several may be one.
func (j *Job) Signal() <-chan struct{} { return j.signal }

// Close ends the job and waits until no step of it runs. It returns within about
// a step.
func (j *Job) Close() {
	j.stop()
	j.mu.Lock()
	j.dead.Store(true)
	clear(j.ready)
	j.ready = j.ready[:0]
	for j.running > 0 {
		j.idle.Wait()
	}
	j.mu.Unlock()
}
