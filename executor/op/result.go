package op

import (
	"sync"

	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/storage/vec"
)

// Result is the last sink: lanes leave their batches in it and pause until the
// client has taken them, so that a batch is never copied and a client that does
// not read holds no goroutine.
type Result struct {
	job   *sched.Job
	mu    sync.Mutex
	ready []resultItem
	taken resultItem
	done  bool
	rows  int64
}

type resultItem struct {
	b *vec.Batch
	l *ResultLane
}

// NewResult makes the sink of a job.
func NewResult(job *sched.Job) *Result { return &Result{job: job} }

// Lane implements Sink.
func (s *Result) Lane(*Lane) (LaneSink, error) { return &ResultLane{s: s}, nil }

// Finish implements Sink.
func (s *Result) Finish() ([]func() error, error) {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	s.job.Notify()
	return nil, nil
}

// Close implements Sink.
func (s *Result) Close() {}

// Take is the next batch and true, or nil and whether there will be more. The batch
// taken before goes back to its lane.
func (s *Result) Take() (b *vec.Batch, more bool) {
	s.mu.Lock()
	last := s.taken
	s.taken = resultItem{}
	if len(s.ready) > 0 {
		s.taken = s.ready[0]
		copy(s.ready, s.ready[1:])
		s.ready = s.ready[:len(s.ready)-1]
		s.rows += int64(s.taken.b.Rows())
	}
	b, more = s.taken.b, !s.done || s.taken.b != nil
	s.mu.Unlock()
	if last.l != nil {
		s.job.Wake(last.l.Handle)
	}
	return b, more
}

// Rows is how many rows were taken.
func (s *Result) Rows() int64 { return s.rows }

// ResultLane is a lane's part of a Result. Handle is the task to wake.
type ResultLane struct {
	s      *Result
	Handle *sched.Handle
}

// Add implements LaneSink.
func (l *ResultLane) Add(b *vec.Batch) (Flow, error) {
	l.s.mu.Lock()
	l.s.ready = append(l.s.ready, resultItem{b, l})
	l.s.mu.Unlock()
	l.s.job.Notify()
	return Pause, nil
}

// Combine implements LaneSink.
func (l *ResultLane) Combine() error { return nil }
