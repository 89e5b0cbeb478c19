package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/ddl"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/admission"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Simple implements pgwire.Session.
func (s *Session) Simple(ctx context.Context, sql string, out pgwire.Results) error {
	p := &prepared{sql: sql, whole: true}
	cached := !s.failed && s.fromCache(p)
	if s.prompt && (!cached || !s.isPrompt(p)) {
		return pgwire.ErrNotPrompt
	}
	ctx = s.begin(ctx, sql)
	p.made = s.stmtTime
	delete(s.stmts, "")
	s.closePortal("")
	s.touch()
	var err error
	if cached {
		err = s.only(ctx, p, out)
	} else {
		err = s.query(ctx, sql, out)
	}
	s.finish(err)
	return err
}

// query runs a query string.
func (s *Session) query(ctx context.Context, sql string, out pgwire.Results) error {
	stmts, err := parser.ParseLong(sql)
	if err != nil {
		return s.fail(err)
	}
	if len(stmts) == 0 {
		if !s.block {
			s.rollback()
		}
		return out.EmptyQuery()
	}
	if len(stmts) == 1 {
		return s.only(ctx, &prepared{sql: sql, stmt: &stmts[0], whole: true, made: s.stmtTime}, out)
	}
	if !s.block {
		s.implicit = true
	}
	for i := range stmts {
		p := &prepared{sql: sql, stmt: &stmts[i], made: s.stmtTime}
		if err := s.simple(ctx, p, s.hold(out)); err != nil {
			s.implicit = false
			return s.after(ctx, settled(ctx, err))
		}
		if s.implicit && i == len(stmts)-1 {
			s.implicit = false
			if err := s.after(ctx, nil); err != nil {
				return err
			}
		}
		if err := s.held.release(); err != nil {
			return err
		}
	}
	return nil
}

// only runs the statement that is all of a query string.
func (s *Session) only(ctx context.Context, p *prepared, out pgwire.Results) error {
	err := s.simple(ctx, p, s.hold(out))
	if errors.Is(err, parser.ErrNotPlain) {
		// A long INSERT that is more than literals: nothing of it has run yet.
		var stmts []parser.Stmt
		if stmts, err = parser.Parse(p.sql); err != nil {
			return s.fail(err)
		}
		err = s.simple(ctx, &prepared{sql: p.sql, stmt: &stmts[0], whole: true, made: s.stmtTime}, s.hold(out))
	}
	if err != nil {
		return s.after(ctx, settled(ctx, err))
	}
	return s.held.release()
}

// heldTag keeps a statement's completion back until its transaction is committed:
// a client that has read it may rely on it.
type heldTag struct {
	pgwire.Results
	tag  string
	held bool
}

// hold makes the session's heldTag that of another statement.
func (s *Session) hold(out pgwire.Results) *heldTag {
	s.held = heldTag{Results: out}
	return &s.held
}

// CommandComplete implements pgwire.Results.
func (h *heldTag) CommandComplete(tag string) error {
	h.tag, h.held = tag, true
	return nil
}

func (h *heldTag) release() error {
	if !h.held {
		return nil
	}
	return h.Results.CommandComplete(h.tag)
}

// simple runs one statement of a query string.
func (s *Session) simple(ctx context.Context, p *prepared, out pgwire.Results) error {
	if s.block && s.failed {
		st, err := s.plan(p, false)
		if err != nil || !allowedWhenFailed(st.Utility) {
			return errFailed
		}
	}
	for try := 0; ; try++ {
		s.touch()
		if _, err := s.plannedFor(p); err != nil {
			return err
		}
		// A large update or delete takes no locks where its count can wait for the commit.
		s.unlocked = !s.block && !s.implicit && try == 0 && large(p.plan.Root)
		q := &portal{stmt: p, cols: s.columnsOf(p)}
		_, err := s.run(ctx, q, 0, out)
		q.close()
		unlocked := s.unlocked
		s.unlocked = false
		if err != nil || s.block || s.implicit {
			return err
		}
		txn, again := s.txn, s.txn != nil && unlocked && !s.set.quick().repeatable
		err = s.commit(ctx)
		switch {
		case err == nil && unlocked && txn != nil:
			if n := txn.Dropped(); n > 0 {
				s.held.tag = q.tag(q.affected - n)
			}
			return nil
		case again && sqlstate.CodeOf(err) == sqlstate.SerializationFailure:
			continue // with locks
		}
		return err
	}
}

// largeChange is how many rows an update or delete may be expected to change before
// locking them one by one is too much.
const largeChange = 8192

func large(n plan.Node) bool {
	switch x := n.(type) {
	case *plan.Update:
		if len(x.Returning) > 0 {
			return false
		}
	case *plan.Delete:
		if len(x.Returning) > 0 {
			return false
		}
	default:
		return false
	}
	e := n.Children()[0].Estimate()
	return e != nil && e.Rows > largeChange
}

// run executes a portal's statement, or goes on with it, for at most maxRows rows.
func (s *Session) run(ctx context.Context, q *portal, maxRows int, out pgwire.Results) (suspended bool, err error) {
	p := q.stmt
	if p.empty {
		return false, out.EmptyQuery()
	}
	if s.block && s.failed && !allowedWhenFailed(p.plan.Utility) {
		return false, errFailed
	}
	s.touch()
	if q.exec == nil && !q.done {
		if _, err := s.plannedFor(p); err != nil {
			return false, err
		}
	}
	s.queried = s.queried || s.block && reads(p.plan.Utility)
	s.temps.wrote = s.temps.wrote || len(s.temps.onCommit) > 0 && p.plan.Writes
	if p.plan.Utility != nil {
		return s.utility(ctx, q, maxRows, out)
	}
	if q.cols != nil {
		if err := out.RowDescription(q.cols, q.formats); err != nil {
			return false, err
		}
	}
	if q.done {
		return false, out.CommandComplete(q.tag(0))
	}
	if q.exec == nil && p.known.quick != nil && (maxRows == 0 || maxRows > build.QuickRows) && s.set.quick().quick {
		if done, err := s.runQuick(ctx, q, out); done {
			return false, err
		}
	}
	if s.prompt {
		return false, pgwire.ErrNotPrompt
	}
	if q.exec == nil && p.known.change != nil && s.set.quick().quick {
		if done, err := s.runChange(ctx, q, out); done || err != nil {
			return false, err
		}
	}
	if q.exec == nil && p.direct != nil {
		if done, err := s.runDirect(ctx, q, out); done || err != nil {
			return false, err
		}
	}
	var n int64
	var more bool
	for try := 0; ; try++ {
		alone := s.txn == nil
		mark := -1
		if q.exec == nil && s.mayRepeatPart(p) {
			mark = s.txn.Savepoint()
		}
		n, more, err = s.rows(ctx, q, maxRows, out)
		if err == nil {
			if mark >= 0 {
				s.txn.Release(mark)
			}
			break
		}
		q.close()
		if mark >= 0 && n == 0 && try < conflictTries && sqlstate.CodeOf(err) == sqlstate.SerializationFailure {
			// Its locks stay, so that there is less to be changed next time.
			if s.txn.RollbackTo(mark) == nil {
				s.txn.Release(mark)
				continue
			}
		}
		if n > 0 || !alone || try >= conflictTries || !s.mayRepeat(p.plan, err) {
			return false, err
		}
		// Nobody has seen anything of it.
		s.txn.Rollback()
		s.txn, s.wrote = nil, false
	}
	if more {
		return true, nil
	}
	affected := q.exec.query.RowsAffected()
	q.close()
	q.done = true
	if p.plan.Tag == "SELECT" || p.plan.Tag == "FETCH" {
		affected = n
	}
	q.affected = affected
	return false, out.CommandComplete(q.tag(affected))
}

// conflictTries is how often a statement by itself is run again when others change
// the rows that it was computed from.
const conflictTries = 20

// mayRepeat says whether a statement that failed may be run again in a transaction
// with a new snapshot: one that writes under READ COMMITTED, by itself, and lost to
// another writer.
func (s *Session) mayRepeat(st *plan.Statement, err error) bool {
	return (st.Writes || st.Root != nil && build.Repeats(st.Root)) && !s.block && !s.implicit && !s.set.quick().repeatable && s.txn != nil &&
		sqlstate.CodeOf(err) == sqlstate.SerializationFailure
}

// mayRepeatPart says whether a statement in a block, which may find rows changed that
// it cannot decide on, may be run again from a mark: not a large one, since what comes
// after a mark stays in memory.
func (s *Session) mayRepeatPart(p *prepared) bool {
	if s.txn == nil || !p.known.repeats || !s.block && !s.implicit || s.set.quick().repeatable {
		return false
	}
	switch n := p.plan.Root.(type) {
	case *plan.Update, *plan.Delete, *plan.Merge:
		e := n.Children()[0].Estimate()
		return e == nil || e.Rows <= largeChange
	}
	return true
}

// rows starts a portal's query, if that is still to be done, and sends rows of it.
func (s *Session) rows(ctx context.Context, q *portal, maxRows int, out pgwire.Results) (n int64, more bool, err error) {
	if q.exec == nil {
		if q.exec, err = s.start(ctx, q.stmt, q.stmt.values(q.params)); err != nil {
			return 0, false, err
		}
	}
	emit := func(b *vec.Batch) error {
		if q.cols == nil {
			return nil
		}
		return out.Batch(b)
	}
	if n, more, err = q.exec.send(ctx, maxRows, emit); err != nil && n == 0 && s.mayRetry(q, err) {
		return s.alone(ctx, q, maxRows, emit)
	}
	return n, more, err
}

// runQuick runs a plan that needs no pipeline; done is false when it has to be
// started like any other after all.
func (s *Session) runQuick(ctx context.Context, q *portal, out pgwire.Results) (done bool, err error) {
	p := q.stmt
	if err := s.mayUse(p.plan); err != nil {
		return true, err
	}
	if ctx.Err() != nil {
		return true, sched.Canceled(ctx)
	}
	quick := p.known.quick
	defer quick.Shed()
	if quick.Table() != nil && s.byItself() && quick.Points(s.eng.Store) {
		b, ok, err := quick.RunPoint(p.cat, p.values(q.params))
		if ok {
			return s.sendQuick(q, b, err, out)
		}
		if s.prompt {
			return false, nil
		}
	}
	var snap storage.Snapshot
	if quick.Table() != nil {
		if snap, err = s.snapshot(p); err != nil {
			return true, err
		}
		defer snap.Close()
		if snap.Catalog() != p.cat && !s.stillValid(snap.Catalog(), p.plan) {
			return false, nil
		}
	}
	b, err := quick.Run(ctx, snap, p.values(q.params))
	return s.sendQuick(q, b, err, out)
}

// sendQuick sends the result of a quick plan.
func (s *Session) sendQuick(q *portal, b *vec.Batch, err error, out pgwire.Results) (done bool, _ error) {
	if errors.Is(err, build.ErrLarge) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	n := b.Rows()
	if n > 0 {
		if err := out.Batch(b); err != nil {
			return true, err
		}
	}
	q.done = true
	return true, out.CommandComplete(q.tag(int64(n)))
}

// byItself says whether a statement that only reads reads what is published, and no
// later one the same.
func (s *Session) byItself() bool {
	return s.txn == nil && !s.block && !s.implicit && s.lastCSN == 0 && !s.set.quick().repeatable
}

// snapshot is what a statement that only reads sees. One by itself needs no
// transaction of the store.
func (s *Session) snapshot(p *prepared) (storage.Snapshot, error) {
	if s.byItself() {
		return s.eng.Store.Snapshot(), nil
	}
	s.open(s.block || s.implicit)
	if err := s.follows(false); err != nil {
		return nil, err
	}
	return s.txn.Snapshot()
}

// tag completes a command tag with its count.
func (q *portal) tag(n int64) string {
	t := q.stmt.plan.Tag
	if t == "SELECT" {
		switch n {
		case 0:
			return "SELECT 0"
		case 1:
			return "SELECT 1"
		}
	}
	word, _, _ := strings.Cut(t, " ")
	switch word {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "FETCH", "MOVE", "COPY":
		return t + " " + strconv.FormatInt(n, 10)
	}
	return t
}

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

// mayUse checks the privileges that a plan needs: those of the user, and what a view
// reads, those of its owner.
func (s *Session) mayUse(st *plan.Statement) error {
	for i := range st.Objects {
		o := &st.Objects[i]
		user := s.user
		if o.View == 0 && user.Super {
			continue
		}
		cat := s.catalog()
		if o.View != 0 {
			user = nil
			if v := cat.Table(o.View); v != nil {
				user = cat.Role(v.Owner)
			}
			if user == nil {
				continue // the view is gone: the plan does not run as it is
			}
		}
		if user.Super {
			continue
		}
		t := cat.Table(o.Table)
		if t == nil || ddl.Owns(cat, user, t.Owner) {
			continue
		}
		if sch := cat.Schema(t.Schema); o.View == 0 && sch != nil && sch.OID != catalog.PublicSchemaOID && !ddl.Owns(cat, s.user, sch.Owner) && !ddl.Granted(cat, s.user, sch.ACL, 'U') {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for schema %s", sch.Name)
		}
		for k := 0; k < len(o.Need); k++ {
			if !ddl.Granted(cat, user, t.ACL, o.Need[k]) {
				kind := "table"
				if t.Kind == catalog.KindView {
					kind = "view"
				}
				if t.Kind == catalog.KindSequence {
					kind = "sequence"
				}
				return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for %s %s", kind, t.Name)
			}
		}
	}
	return nil
}

// utility runs everything that is not a query.
func (s *Session) utility(ctx context.Context, q *portal, maxRows int, out pgwire.Results) (bool, error) {
	p := q.stmt
	switch u := p.plan.Utility.(type) {
	case *plan.Session:
		return s.command(ctx, q, u, maxRows, out)
	case *plan.Copy:
		return false, s.copy(ctx, p, u, out)
	case *plan.Explain:
		return false, s.explain(ctx, p, u, q, out)
	case *plan.Analyze:
		return false, s.analyze(ctx, p, u, out)
	}
	if !ddl.Handles(p.plan.Utility) {
		return false, sqlstate.Unsupported("this statement")
	}
	s.open(s.block || s.implicit)
	if s.set.on("transaction_read_only") {
		return false, sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", p.plan.Tag)
	}
	s.defines = true
	made, err := s.define(ctx, p)
	if err != nil {
		return false, err
	}
	s.defined(made)
	if u, ok := p.plan.Utility.(*plan.CreateTable); ok && u.Query != nil {
		n := int64(0)
		if made != nil && !u.WithNoData {
			if n, err = s.fill(ctx, made, u.Query, p.plan.MaxID, q.params); err != nil {
				return false, err
			}
		}
		return false, out.CommandComplete(fmt.Sprintf("SELECT %d", n))
	}
	return false, out.CommandComplete(p.plan.Tag)
}

// define runs a statement that changes the catalog. When others change the same
// objects meanwhile it is bound again for what they made of them: by then it holds
// the locks.
func (s *Session) define(ctx context.Context, p *prepared) (made *catalog.Table, err error) {
	for try := 0; ; try++ {
		if cat := s.catalog(); cat != p.cat {
			st, err := s.plan(p, false)
			if err != nil {
				return nil, err
			}
			s.adopt(p, cat, st, nil)
		}
		if u, ok := p.plan.Utility.(*plan.CreateView); ok {
			u.Table.DependsOn = nil
			for _, o := range p.plan.Objects {
				if o.Table >= catalog.FirstUserOID && !slices.Contains(u.Table.DependsOn, o.Table) {
					u.Table.DependsOn = append(u.Table.DependsOn, o.Table)
				}
			}
		} else if err := s.mayUse(p.plan); err != nil { // a view's owner needs them when it is read
			return nil, err
		}
		var notices []*sqlstate.Error // of the try that counts
		env := &ddl.Env{Txn: s.txn, User: s.user, Verifier: s.eng.Verifier, Database: s.db, Temp: s.tempSchema(), Store: s.eng.Store, Slots: s.eng.Slots, Seal: s.eng.Seal, Unseal: s.eng.Unseal,
			Sequence: s.sequenceAt, Rewrite: s.rewrite, Violated: s.violated, FillUnique: s.fillUnique, Notice: func(e *sqlstate.Error) { notices = append(notices, e) }}
		made, err = ddl.Run(ctx, env, p.plan.Utility)
		if try < conflictTries && sqlstate.CodeOf(err) == sqlstate.SerializationFailure {
			continue
		}
		for _, n := range notices {
			s.notice(n)
		}
		return made, err
	}
}

// fill writes a query's rows into a table just made.
func (s *Session) fill(ctx context.Context, t *catalog.Table, query plan.Node, maxID int, params []types.Datum) (int64, error) {
	snap, err := s.txn.Snapshot()
	if err != nil {
		return 0, err
	}
	row := make([]plan.Column, len(t.Columns))
	for i, c := range t.Columns {
		row[i] = plan.Column{ID: maxID + 1 + i, Name: c.Name, T: c.T}
	}
	x, err := s.startRoot(ctx, &plan.Insert{Table: t, Input: query, Row: row}, snap, params, nil)
	if err != nil {
		snap.Close()
		return 0, err
	}
	defer x.close()
	if _, _, err := x.send(ctx, 0, func(*vec.Batch) error { return nil }); err != nil {
		return 0, err
	}
	return x.query.RowsAffected(), nil
}

func (s *Session) analyze(ctx context.Context, p *prepared, u *plan.Analyze, out pgwire.Results) error {
	if u.Vacuum {
		if s.block {
			return sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "VACUUM cannot run inside a transaction block")
		}
		tables := s.mayVacuum(u.Tables)
		if len(tables) == 0 {
			return out.CommandComplete(p.plan.Tag)
		}
		if err := s.eng.Store.Flush(ctx); err != nil {
			return err
		}
		for _, t := range tables {
			if err := s.eng.Store.Compact(ctx, t); err != nil {
				return err
			}
		}
	}
	// Statistics come with the data: there is nothing to refresh.
	return out.CommandComplete(p.plan.Tag)
}

// mayVacuum leaves out the tables that are others', with a warning where they were
// named; 0 is all there are.
func (s *Session) mayVacuum(named []uint32) []uint32 {
	if s.user.Super {
		if len(named) == 0 {
			return []uint32{0}
		}
		return named
	}
	cat := s.catalog()
	var own []uint32
	if len(named) == 0 {
		for _, t := range cat.Tables() {
			if t.Kind == catalog.KindTable && ddl.Owns(cat, s.user, t.Owner) {
				own = append(own, t.OID)
			}
		}
	}
	for _, oid := range named {
		t := cat.Table(oid)
		if t == nil || ddl.Owns(cat, s.user, t.Owner) {
			own = append(own, oid)
			continue
		}
		s.notice(sqlstate.Errorf(sqlstate.Warning, "permission denied to vacuum \"%s\", skipping it", t.Name))
	}
	return own
}
