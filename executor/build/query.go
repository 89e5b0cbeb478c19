package build

import (
	"context"
	"time"

	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
)

// inlineRows is how many rows a query may scan by estimate to stay on its caller's
// goroutine; inlineTime is after how long it is handed to the workers all the same.
const (
	inlineRows = vec.BlockRows
	inlineTime = 5 * time.Millisecond
)

// Start builds a plan and makes it ready to run; the first Next runs it, or hands it
// to the workers when it is large. ctx ends the query.
func Start(ctx context.Context, root plan.Node, env *Env) (*Query, error) {
	q := &Query{ctx: ctx, env: env, job: sched.NewJob(ctx), began: time.Now(),
		profiles: map[plan.Node]*op.Profile{}, scans: map[plan.Node]*op.Scan{}}
	q.run = &op.Run{Job: q.job, Account: env.Account.Child("query", 0), Spill: env.Spill,
		Workers: env.Workers, BatchSize: env.BatchSize, ForceSpill: env.ForceSpill && env.Spill != nil}
	q.ended = q.job.Dead
	q.run.Account.Watch(q.ended)
	if q.run.BatchSize <= 0 || q.run.BatchSize > vec.Size {
		q.run.BatchSize = vec.Size
	}
	if q.run.Workers <= 0 {
		q.run.Workers = 1
		if env.Pool != nil {
			q.run.Workers = env.Pool.Workers()
		}
	}
	q.root = &scope{q: q}
	b := &builder{scope: q.root, q: q, env: env, joins: map[int]*builtJoin{}, ctes: map[int]*builtCTE{}, needs: needs{}, narrowed: map[*plan.Scan][]plan.RuntimeFilter{}}
	if env.Eval != nil && env.Eval.Session != nil {
		env.Eval.Session.Waiting = b.waiting
	}
	if err := b.root(root); err != nil {
		q.Close()
		return nil, err
	}
	if b.writes > 1 || b.writes == 1 && !isWrite(root) {
		q.job.Serial() // readers of a transaction's snapshot rest while it writes
	}
	if env.Pool != nil && !env.ForceInline && (env.ForcePool || b.rows > inlineRows) {
		q.large = true
	}
	q.root.release()
	return q, nil
}

// Large says that the query is for the workers from its first Next on, by its
// estimate: such queries are admitted one by one.
func (q *Query) Large() bool { return q.large }

func isWrite(n plan.Node) bool {
	switch n.(type) {
	case *plan.Insert, *plan.Update, *plan.Delete, *plan.Merge:
		return true
	}
	return false
}

// Columns are the columns of the result.
func (q *Query) Columns() []plan.Column { return q.cols }

// Next is the next batch of the result, nil at the end. It is lent until the next
// call or Close. ctx bounds the wait, and ends the query when it ends.
func (q *Query) Next(ctx context.Context) (*vec.Batch, error) {
	if q.err != nil || q.closed {
		return nil, q.err
	}
	if q.large && !q.job.Offered() {
		q.job.Offer(q.env.Pool)
	}
	for {
		if err := q.job.Err(); err != nil {
			q.err = err
			return nil, err
		}
		b, more := q.result.Take()
		if b != nil || !more {
			return b, nil
		}
		if !q.job.Offered() {
			if !q.job.RunOne() && q.job.Err() == nil {
				if b, more := q.result.Take(); b != nil || !more {
					return b, nil
				}
				panic("build: nothing to run and no end")
			}
			if q.env.Pool != nil && !q.env.ForceInline && time.Since(q.began) > inlineTime {
				q.job.Offer(q.env.Pool)
			}
			if ctx.Err() != nil {
				q.job.Fail(sched.Canceled(ctx))
			}
			continue
		}
		select {
		case <-q.job.Signal():
		case <-ctx.Done():
			q.job.Fail(sched.Canceled(ctx))
		}
	}
}

// RowsAffected is the number of rows that an INSERT, UPDATE or DELETE at the root
// changed, complete once Next has returned nil; for a SELECT the rows returned.
func (q *Query) RowsAffected() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.affected >= 0 {
		return q.affected
	}
	if q.result == nil {
		return 0
	}
	return q.result.Rows()
}

// Close ends the query and frees all it holds; safe at any time, also twice. It
// waits for running steps, which takes about a millisecond.
func (q *Query) Close() error {
	if q.closed {
		return nil
	}
	q.closed = true
	q.job.Close()
	for i := len(q.scopes) - 1; i >= 0; i-- {
		q.scopes[i].close()
	}
	q.root.close()
	q.run.Account.Close()
	return nil
}

// NodeProfile is what EXPLAIN ANALYZE tells of a node.
type NodeProfile struct {
	Rows, Batches int64
	// Time is spent in the node and what it pulls from, over all workers.
	Time time.Duration
	// Splits and SplitsTotal are what a scan read, and what it would have read
	// without pruning.
	Splits, SplitsTotal int
}

// Profile gives the counts of each plan node, when Env.Profile asked for them.
func (q *Query) Profile() map[plan.Node]NodeProfile {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := map[plan.Node]NodeProfile{}
	for n, p := range q.profiles {
		np := NodeProfile{Rows: p.Rows.Load(), Batches: p.Batches.Load(), Time: time.Duration(p.Nanos.Load())}
		if s := q.scans[n]; s != nil {
			np.Splits, np.SplitsTotal = s.Read, s.Total
		}
		out[n] = np
	}
	return out
}

// Memory is the most memory that the query held, and Time the work of all workers.
func (q *Query) Memory() int64 { return q.run.Account.Peak() }

// Time is how long the steps of the query took together.
func (q *Query) Time() time.Duration { return q.job.Used() }
