package session

import (
	"context"

	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
)

// Prompt implements pgwire.Prompter. Prompt are the plans that need no pipeline, of
// constants and of rows by key: such a look-up takes
// what is published, without a snapshot, a lock or an account. Prompt, too, is an INSERT
// of a few rows by itself, whose commit goes on without the session.
func (s *Session) Prompt(on bool, done func()) { s.prompt, s.onDisk = on, done }

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

// insertsPromptly says whether a statement is an INSERT that may be run where nothing
// may wait, if its transaction ends by itself.
func (s *Session) insertsPromptly(p *prepared) bool {
	if p.direct == nil || !p.direct.d.Small() || s.onDisk == nil || !s.byItself() || s.set.quick().async || len(s.temps.onCommit) > 0 {
		return false
	}
	l, ok := s.eng.Store.(storage.LaterStore)
	return ok && l.Unhindered()
}

// insertPromptly runs what insertsPromptly let through.
func (s *Session) insertPromptly(ctx context.Context, q *portal, out pgwire.Results) error {
	// It may have been planned anew since, for a table that has changed.
	if q.stmt.direct == nil || !q.stmt.direct.d.Small() || !s.byItself() {
		return pgwire.ErrNotPrompt
	}
	done, err := s.runDirect(ctx, q, out)
	if done || err != nil {
		return err
	}
	if s.txn != nil { // nothing has happened in it
		s.txn.Rollback()
		s.txn, s.wrote = nil, false
	}
	return pgwire.ErrNotPrompt
}

// commitLater begins to commit what insertsPromptly let through, and returns
// pgwire.ErrLater.
func (s *Session) commitLater() error {
	x, ok := s.txn.(storage.LaterTxn)
	if !ok || s.failed || s.defines || len(s.notes.pending) > 0 || !x.CommitLater(s.onDisk) {
		return pgwire.ErrNotPrompt
	}
	s.begun = true
	return pgwire.ErrLater
}
