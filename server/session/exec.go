package session

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/ddl"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Simple implements pgwire.Session.
func (s *Session) Simple(ctx context.Context, sql string, out pgwire.Results) error {
	if s.begun { // by the call before
		err := settled(ctx, s.commit(ctx))
		if err == nil {
			err = s.held.release()
		}
		s.finish(err)
		return err
	}
	p := &prepared{sql: sql, whole: true}
	cached := !s.failed && s.fromCache(p)
	if s.prompt && (!cached || !s.isPrompt(p) && !s.writesPromptly(p)) {
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
		if s.prompt && s.commitWaits() {
			if err = s.commitLater(); err == pgwire.ErrNotPrompt {
				s.undoPrompt() // all of it is run again
			}
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
	if q.exec == nil && p.known.quick != nil && (maxRows == 0 || maxRows > p.known.quick.RowsMax()) && s.set.quick().quick {
		if done, err := s.runQuick(ctx, q, out); done {
			return false, err
		}
	}
	if s.prompt {
		return false, s.writePromptly(ctx, q, out)
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
	pending, listens := len(s.notes.pending), len(s.notes.listens)
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
				s.notes.backTo(pending, listens)
				continue
			}
		}
		if n > 0 || !alone || try >= conflictTries || !s.mayRepeat(p.plan, err) {
			return false, err
		}
		// Nobody has seen anything of it.
		s.txn.Rollback()
		s.txn, s.wrote = nil, false
		s.notes.backTo(pending, listens)
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
	if quick.Table() != nil && s.block && s.txn != nil && quick.Points(s.eng.Store) {
		if x, is := s.txn.(storage.PointTxn); is {
			if err := s.follows(false); err != nil {
				return true, err
			}
			s.open(true) // with the settings of now
			if b, ok, err := quick.RunIn(x, p.cat, p.values(q.params)); ok {
				return s.sendQuick(q, b, err, out)
			}
		}
	}
	var snap storage.Snapshot
	if quick.Table() != nil {
		if snap, err = s.snapshot(p); err != nil {
			return true, err
		}
		defer snap.Close()
		if snap.Catalog() != p.cat && !s.stillValid(snap.Catalog(), p.plan) || !quick.Reads(snap) {
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

// columnsGranted says whether a role that lacks a privilege on a relation has it on the
// columns that a statement needs it for: on some, if it names none.
func columnsGranted(cat *catalog.Version, user *catalog.Role, t *catalog.Table, o *plan.Object, letter byte) bool {
	k := strings.IndexByte(plan.ColumnPrivileges, letter)
	if k < 0 || strings.IndexByte(o.Whole, letter) >= 0 {
		return false
	}
	has := func(c catalog.Column) bool { return ddl.Granted(cat, user, c.ACL, letter) }
	named := false
	for id := range o.Columns[k].All() {
		named = true
		if i := slices.IndexFunc(t.Columns, func(c catalog.Column) bool { return c.ID == id }); i < 0 || !has(t.Columns[i]) {
			return false
		}
	}
	return named || slices.ContainsFunc(t.Columns, has)
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
			if !ddl.Granted(cat, user, t.ACL, o.Need[k]) && !columnsGranted(cat, user, t, o, o.Need[k]) {
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
