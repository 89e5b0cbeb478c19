package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/admission"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// execution is a running query with what it holds.
type execution struct {
	query *build.Query
	snap  storage.Snapshot
	mem   *mem.Account
	life  context.CancelCauseFunc
	// gate is to be passed before the query runs; nil: no more.
	gate *admission.Gate
	// left is a batch handed out in part: rows from next on are still to send.
	left *vec.Batch
	next int
	sel  []uint16
	part vec.Batch
}

// start takes a snapshot and starts a planned query.
func (s *Session) start(ctx context.Context, p *prepared, params []types.Datum) (*execution, error) {
	if err := s.mayUse(p.plan); err != nil {
		return nil, err
	}
	if p.plan.Writes && s.set.quick().readOnly {
		return nil, sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", strings.Fields(p.plan.Tag)[0])
	}
	s.open(s.block || s.implicit)
	if err := s.follows(p.plan.Writes); err != nil {
		return nil, err
	}
	snap, err := s.txn.Snapshot()
	if err != nil {
		return nil, err
	}
	st := p.plan
	if snap.Catalog() != p.cat && !s.stillValid(snap.Catalog(), st) || !holds(st, snap) {
		// Another plan of the same text may fit, if not one that assumes nothing does.
		if st, params, err = s.replan(p, snap, params); err != nil {
			snap.Close()
			return nil, err
		}
	}
	x, err := s.startRoot(ctx, st.Root, snap, slices.Clone(params), nil)
	if err != nil {
		snap.Close()
		return nil, err
	}
	if p.plan.Writes {
		x.gate = nil // it may wait for another's locks, and that one for the gate
	}
	return x, nil
}

// replan makes a plan for a snapshot that does not meet what p's assumes.
func (s *Session) replan(p *prepared, snap storage.Snapshot, params []types.Datum) (*plan.Statement, []types.Datum, error) {
	st, err := s.plan(p, false)
	if err != nil {
		return nil, nil, err
	}
	if !sameColumns(p.plan.Columns, st.Columns) {
		return nil, nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cached plan must not change result type")
	}
	if holds(st, snap) {
		if c, cat := s.eng.Plans, s.catalog(); c != nil && p.whole && s.set.quick().cache && len(p.sql) <= sharedTextMax && cat == s.eng.Store.Catalog() && cat == snap.Catalog() {
			c.Put(s.cacheKey(p, cat), st, nil, s.Env())
		}
		return st, params, nil
	}
	st, err = s.plan(p, true)
	return st, params, err
}

// startRoot starts a query. It lives until it is closed: a call's context ends it only
// while the call waits for it. On success the execution owns the snapshot.
func (s *Session) startRoot(ctx context.Context, root plan.Node, snap storage.Snapshot, params []types.Datum, change func(*build.Env)) (*execution, error) {
	set := s.set.quick()
	env := &build.Env{
		Snapshot: snap, Txn: s.txn, Eval: &eval.Env{Session: s.evalSession(), Params: params},
		Account: s.eng.Memory.Child("session", set.queryMem), Spill: s.eng.Spill, Pool: s.eng.Pool,
		System: s.systemRows,
		Settings: build.Settings{BatchSize: int(set.batchSize), Workers: int(set.workers), ForceSpill: set.forceSpill, CountLater: s.unlocked,
			KeepFirst: set.keepFirst, KeepLast: set.keepLast},
	}
	if change != nil {
		change(env)
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	env.Eval.Session.Sleep = func(d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-life.Done():
			return sched.Canceled(life)
		}
	}
	env.Eval.Session.Advisory = s.advisoryCall
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer stop()
	q, err := build.Start(life, root, env)
	if err != nil {
		cancel(nil)
		env.Account.Close()
		return nil, err
	}
	x := &execution{query: q, snap: snap, mem: env.Account, life: cancel}
	if _, writes := root.(*plan.Insert); q.Large() && change == nil && !writes {
		x.gate = s.eng.Gate
	}
	return x, nil
}

// systemRows gives columns of a system relation as batches.
func (s *Session) systemRows(_ context.Context, t *catalog.Table, cols []int) ([]*vec.Batch, error) {
	rows, err := s.eng.System.Rows(s, t)
	if err != nil {
		return nil, err
	}
	ts := make([]types.T, len(cols))
	for i, o := range cols {
		ts[i] = t.Columns[o].T
	}
	var out []*vec.Batch
	for len(rows) > 0 {
		n := min(len(rows), vec.Size)
		b := vec.NewBatch(ts)
		for _, r := range rows[:n] {
			for i, o := range cols {
				b.Cols[i].AppendDatum(r[o])
			}
		}
		b.N = n
		out = append(out, b)
		rows = rows[n:]
	}
	return out, nil
}

func (x *execution) close() {
	_ = x.query.Close()
	x.life(nil)
	x.mem.Close()
	x.snap.Close()
}

// send hands batches to emit until max rows (0: all) are sent. more says that it
// stopped at the limit; as PostgreSQL's, it does not look whether a row follows.
func (x *execution) send(ctx context.Context, max int, emit func(*vec.Batch) error) (sent int64, more bool, err error) {
	stop := context.AfterFunc(ctx, func() { x.life(context.Cause(ctx)) })
	defer stop()
	leave, err := x.admit(ctx)
	if err != nil {
		return 0, false, err
	}
	defer func() { leave() }()
	for {
		if x.left == nil {
			b, err := x.query.Next(ctx)
			if err != nil {
				return sent, false, err
			}
			if b == nil {
				return sent, false, nil
			}
			if b.Rows() == 0 {
				continue
			}
			x.left, x.next = b, 0
			// What it needs it has by now; the client may take its time.
			leave()
			leave = func() {}
		}
		rows := x.left.Rows() - x.next
		if max > 0 && int64(rows) > int64(max)-sent {
			rows = int(int64(max) - sent)
		}
		b := x.left
		if rows < b.Rows() {
			b = x.slice(rows)
		}
		if err := emit(b); err != nil {
			return sent, false, err
		}
		sent += int64(rows)
		x.next += rows
		if x.next >= x.left.Rows() {
			x.left = nil
		}
		if max > 0 && sent >= int64(max) {
			return sent, true, nil
		}
	}
}

// slice is the next rows of the batch at hand.
func (x *execution) slice(rows int) *vec.Batch {
	x.part = vec.Batch{Cols: x.left.Cols, N: x.left.N}
	if x.left.Sel != nil {
		x.part.Sel = x.left.Sel[x.next : x.next+rows]
		return &x.part
	}
	x.sel = x.sel[:0]
	for i := x.next; i < x.next+rows; i++ {
		x.sel = append(x.sel, uint16(i))
	}
	x.part.Sel = x.sel
	return &x.part
}
