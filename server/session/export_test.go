package session

import (
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
)

// Wrap puts another store before that of all sessions beside s.
func Wrap(s pgwire.Session, wrap func(storage.Store) storage.Store) {
	e := s.(*Session).eng
	e.Store = wrap(e.Store)
}
