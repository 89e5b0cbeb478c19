package session

import (
	"context"
	"errors"

	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
)

// Prompt implements pgwire.Prompter. Prompt are the plans that need no pipeline, of
// constants and of rows by key: such a look-up takes
// what is published, without a snapshot, a lock or an account. Prompt, too, is by itself an
// INSERT of a few rows, and an UPDATE or DELETE of a row by its key, whose commit goes on
// without the session.
func (s *Session) Prompt(on bool, done func()) {
	s.prompt, s.onDisk = on, done
	if x, is := s.txn.(storage.LaterTxn); is && !on {
		x.Patient()
	}
}

// WriteOut implements pgwire.Prompter.
func (s *Session) WriteOut(here bool) {
	if l, ok := s.eng.Store.(storage.LaterStore); ok {
		l.WriteOut(here)
	}
}

// isPrompt says whether a statement may be run where nothing may wait. What then turns
// out to need a snapshot ends in ErrNotPrompt, before anything of it was done.
func (s *Session) isPrompt(p *prepared) bool {
	if p.empty {
		return true
	}
	if p.known == nil || p.known.quick == nil || !s.byItself() || !s.set.quick().quick {
		return false
	}
	return p.known.quick.Table() == nil || p.known.quick.Points(s.eng.Store)
}

// writesPromptly says whether a statement is an INSERT, or an UPDATE or DELETE of a row
// by its key, that may be run where nothing may wait, if its transaction ends by itself.
func (s *Session) writesPromptly(p *prepared) bool {
	if !s.writesLittle(p) || s.onDisk == nil || !s.byItself() || s.set.quick().async || len(s.temps.onCommit) > 0 {
		return false
	}
	l, ok := s.eng.Store.(storage.LaterStore)
	return ok && l.Unhindered()
}

func (s *Session) writesLittle(p *prepared) bool {
	if p.direct != nil {
		return p.direct.d.Small()
	}
	return p.known != nil && p.known.change != nil && p.known.change.Small() && s.set.quick().quick
}

// writePromptly runs what writesPromptly let through.
func (s *Session) writePromptly(ctx context.Context, q *portal, out pgwire.Results) error {
	// It may have been planned anew since, for a table that has changed.
	if !s.writesLittle(q.stmt) || !s.byItself() {
		return pgwire.ErrNotPrompt
	}
	var done bool
	var err error
	if q.stmt.direct != nil {
		done, err = s.runDirect(ctx, q, out)
	} else {
		done, err = s.runChange(ctx, q, out)
	}
	switch {
	case errors.Is(err, storage.ErrWaits):
	case done, err != nil:
		return err
	}
	s.undoPrompt()
	return pgwire.ErrNotPrompt
}

// undoPrompt undoes what a transaction did that is begun again by who may wait.
func (s *Session) undoPrompt() {
	if s.txn != nil {
		s.txn.Rollback()
		s.txn, s.wrote = nil, false
	}
}

// commitWaits says whether the end of the transaction waits for the disk.
func (s *Session) commitWaits() bool {
	if s.txn == nil || s.begun {
		return false
	}
	x, ok := s.txn.(storage.LaterTxn)
	return !ok || x.Wrote()
}

// commitLater begins to commit what writesPromptly let through, and returns
// pgwire.ErrLater.
func (s *Session) commitLater() error {
	x, ok := s.txn.(storage.LaterTxn)
	if !ok || s.failed || s.defines || len(s.notes.pending) > 0 || !x.CommitLater(s.onDisk) {
		return pgwire.ErrNotPrompt
	}
	s.begun = true
	return pgwire.ErrLater
}
