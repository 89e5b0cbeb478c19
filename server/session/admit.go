package session

import (
	"context"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/storage/vec"
)

// Admission. Large queries pass a gate before their first row, so that some run well
// instead of all badly; they hold their place until they have a row to give, which
// is when their sorts, tables and groups are made. Statements that write do not
// pass it: one that waits for a lock must not keep its owner out.

// admit passes the gate if the query is yet to. The place is held until leave is
// called.
func (x *execution) admit(ctx context.Context) (leave func(), err error) {
	g := x.gate
	if g == nil {
		return func() {}, nil
	}
	if err := g.Enter(ctx); err != nil {
		if ctx.Err() != nil {
			err = sched.Canceled(ctx)
		}
		return nil, err
	}
	x.gate = nil
	return g.Leave, nil
}

// mayRetry says whether a query that failed before its first row failed for want of
// memory that others hold: it is worth another try when it is alone.
func (s *Session) mayRetry(q *portal, err error) bool {
	if s.eng.Gate == nil || sqlstate.CodeOf(err) != sqlstate.OutOfMemory || q.stmt.plan.Writes || !q.exec.query.Large() {
		return false
	}
	q.exec.close()
	q.exec = nil
	return s.eng.Memory.Used() > s.eng.Memory.Limit()/16
}

// alone runs a portal's query anew while no other large query runs.
func (s *Session) alone(ctx context.Context, q *portal, maxRows int, emit func(*vec.Batch) error) (int64, bool, error) {
	g := s.eng.Gate
	if err := g.EnterAlone(ctx); err != nil {
		if ctx.Err() != nil {
			err = sched.Canceled(ctx)
		}
		return 0, false, err
	}
	defer g.LeaveAlone()
	x, err := s.start(ctx, q.stmt, q.stmt.values(q.params))
	if err != nil {
		return 0, false, err
	}
	x.gate = nil
	q.exec = x
	return x.send(ctx, maxRows, emit)
}
