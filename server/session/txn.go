package session

import (
	"context"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
)

var errFailed = sqlstate.Errorf(sqlstate.InFailedSQLTransaction, "current transaction is aborted, commands ignored until end of transaction block")

// touch begins a transaction as far as its time and settings go. What a statement
// needs of the store, open begins.
func (s *Session) touch() {
	if s.touched {
		return
	}
	s.touched = true
	s.txnStart = micros(time.Now())
	if !s.block && !s.set.quick().defaults {
		// Settings of the transaction start from the session's defaults.
		s.set.assign("transaction_isolation", s.set.text("default_transaction_isolation"))
		s.set.assign("transaction_read_only", s.set.text("default_transaction_read_only"))
	}
	s.mu.Lock()
	s.act.XactStart = s.txnStart
	s.mu.Unlock()
}

// open makes sure that there is a transaction for a statement. explicit ones lock
// keys when statements run.
func (s *Session) open(explicit bool) {
	if s.txn != nil {
		s.txn.SuppressBinlog(s.set.quick().noBinlog)
		s.txn.LockTimeout(s.set.quick().lockTimeout)
		return
	}
	s.touch()
	q := s.set.quick()
	o := storage.TxnOptions{Explicit: explicit, ReadOnly: q.readOnly, Async: q.async, After: s.lastCSN, Who: s, Unhindered: s.prompt, Hasty: s.prompt}
	if q.repeatable {
		o.Isolation = storage.RepeatableRead
	}
	s.txn = s.eng.Store.Begin(o)
	s.txn.SuppressBinlog(q.noBinlog)
	s.txn.LockTimeout(q.lockTimeout)
}

// follows tells the transaction that a statement begins: after one that wrote, as in
// a pipeline without Sync, it must see what that one did.
func (s *Session) follows(writes bool) error {
	if s.wrote && !s.block {
		if err := s.txn.Extend(); err != nil {
			return err
		}
	}
	s.wrote = s.wrote || writes
	return nil
}

// commit ends the transaction, whatever kind. A failed block is rolled back.
func (s *Session) commit(ctx context.Context) (err error) {
	if s.prompt && s.commitWaits() {
		return pgwire.ErrNotPrompt // only Sync and Simple can leave a commit for later
	}
	ok := !s.failed
	s.closePortals(false)
	if ok {
		if err = s.mayNotify(); err == nil {
			err = s.commitTemps(ctx)
		}
		ok = err == nil
	}
	if s.txn != nil {
		if ok {
			var csn storage.CSN
			csn, err = s.txn.Commit(ctx)
			if ok = err == nil; ok && s.set.quick().async {
				s.lastCSN = max(s.lastCSN, csn)
			}
		}
		s.txn.Rollback()
	}
	defined := ok && s.defines
	s.ended(ok)
	if defined && s.eng.Defined != nil {
		s.eng.Defined()
	}
	return err
}

func (s *Session) rollback() {
	s.closePortals(false)
	if s.txn != nil {
		s.txn.Rollback()
	}
	s.ended(false)
}

func (s *Session) ended(commit bool) {
	s.txn, s.touched, s.block, s.failed, s.implicit = nil, false, false, false, false
	s.defines, s.wrote, s.marks, s.queried, s.begun = false, false, nil, false, false
	s.unexport()
	s.releaseAdvisory(0)
	s.settleNotes(commit)
	s.settleTemps(commit)
	if names := s.set.endTxn(commit); len(names) > 0 {
		s.changed(names...)
	}
	s.refreshUser()
}

// refreshUser takes over changes of the role itself.
func (s *Session) refreshUser() {
	cat := s.eng.Store.Catalog()
	if cat == s.userAt {
		return
	}
	if r := cat.Role(s.user.OID); r != nil {
		s.user, s.userAt = r, cat
	}
}

// after ends what a single statement began: outside a block and a string of
// statements each commits by itself. On error a block is failed, and everything
// else rolled back.
func (s *Session) after(ctx context.Context, err error) error {
	switch {
	case err == pgwire.ErrNotPrompt, err == pgwire.ErrLater:
	case err != nil && s.block:
		s.failBlock()
	case err != nil:
		s.rollback()
	case !s.block && !s.implicit:
		err = s.commit(ctx)
	}
	return err
}

// failBlock marks a block as failed. Without a savepoint there is nothing to go back
// to: what the transaction has locked is free from now on, not only when the client
// says ROLLBACK.
func (s *Session) failBlock() {
	s.failed = true
	if len(s.marks) == 0 {
		s.unexport()
		s.releaseAdvisory(0)
	}
	if len(s.marks) == 0 && s.txn != nil {
		s.closePortals(false)
		s.txn.Rollback()
	}
}

// control runs transaction statements and returns the command tag.
func (s *Session) control(ctx context.Context, u *plan.Session) (string, error) {
	switch u.Kind {
	case plan.Begin:
		if s.block {
			s.notice(sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "there is already a transaction in progress"))
			return "BEGIN", nil
		}
		if s.txn != nil && !s.implicit {
			// The statement's own transaction, in which nothing has happened.
			s.txn.Rollback()
			s.txn = nil
		}
		if s.txn == nil {
			s.set.assign("transaction_isolation", s.set.text("default_transaction_isolation"))
			s.set.assign("transaction_read_only", s.set.text("default_transaction_read_only"))
			if err := s.modes(u.Options, "transaction_"); err != nil {
				return "", err
			}
		}
		s.block, s.implicit = true, false
		s.open(true)
		return "BEGIN", nil
	case plan.Commit:
		if !s.block {
			s.notice(sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "there is no transaction in progress"))
			return "COMMIT", nil
		}
		tag := "COMMIT"
		if s.failed {
			tag = "ROLLBACK"
		}
		if err := s.commit(ctx); err != nil {
			return "", err
		}
		return tag, s.chain(u)
	case plan.Rollback:
		if !s.block {
			s.notice(sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "there is no transaction in progress"))
			return "ROLLBACK", nil
		}
		s.rollback()
		return "ROLLBACK", s.chain(u)
	case plan.SetTransaction:
		return "SET", s.setTransaction(u)
	}
	return s.savepoints(u)
}

func (s *Session) chain(u *plan.Session) error {
	if u.Chain {
		s.block = true
		s.open(true)
	}
	return nil
}

func (s *Session) savepoints(u *plan.Session) (string, error) {
	names := map[plan.SessionKind]string{plan.Savepoint: "SAVEPOINT", plan.Release: "RELEASE SAVEPOINT", plan.RollbackTo: "ROLLBACK TO SAVEPOINT"}
	if !s.block {
		return "", sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "%s can only be used in transaction blocks", names[u.Kind])
	}
	if u.Kind == plan.Savepoint {
		s.marks = append(s.marks, savepoint{u.Name, s.txn.Savepoint(), len(s.notes.pending), len(s.notes.listens), s.advisoryOfTx()})
		return "SAVEPOINT", nil
	}
	i := len(s.marks) - 1
	for i >= 0 && s.marks[i].name != u.Name {
		i--
	}
	if i < 0 {
		return "", sqlstate.Errorf(sqlstate.InvalidSavepointSpecification, "savepoint \"%s\" does not exist", u.Name)
	}
	if u.Kind == plan.Release {
		s.marks = s.marks[:i]
		return "RELEASE", nil
	}
	s.closePortals(false)
	s.temps.gen++
	if err := s.txn.RollbackTo(s.marks[i].mark); err != nil {
		return "", err
	}
	s.notes.backTo(s.marks[i].notes, s.marks[i].listens)
	s.releaseAdvisory(s.marks[i].advisory)
	s.marks = s.marks[:i+1]
	s.failed = false
	return "ROLLBACK", nil
}

// allowedWhenFailed: what a failed block still takes.
func allowedWhenFailed(u plan.Utility) bool {
	x, ok := u.(*plan.Session)
	if !ok {
		return false
	}
	switch x.Kind {
	case plan.Commit, plan.Rollback, plan.RollbackTo:
		return true
	}
	return false
}
