package tablet

import (
	"sync"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// shared implements storage.Shared: a registration of its own of a state.
type shared struct {
	s    *Store
	at   storage.CSN
	rows *rowView

	mu     sync.Mutex
	closed bool
}

// Export implements storage.Txn.
func (x *tx) Export() (storage.Shared, error) {
	if err := x.over(); err != nil {
		return nil, err
	}
	e := &shared{s: x.s}
	switch n := x.newestSnapshot(); {
	case x.opts.Isolation == storage.RepeatableRead:
		x.registerRR()
		x.s.marks.Retain(x.rr)
		e.at, e.rows = x.rr, x.rrRows.retain()
	case n != nil:
		x.s.marks.Retain(n.at)
		e.at, e.rows = n.at, n.rows.retain()
	default:
		e.at, e.rows = x.s.register(x.opts.After, nil)
	}
	return e, nil
}

// newestSnapshot is the open snapshot of the present statement, nil for none.
func (x *tx) newestSnapshot() *snapshot {
	for n := range x.snaps {
		if n.at == x.last {
			return n
		}
	}
	return nil
}

// CSN implements storage.Shared.
func (e *shared) CSN() storage.CSN { return e.at }

// Close implements storage.Shared.
func (e *shared) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.closed = true
	e.rows.release()
	e.s.marks.Release(e.at)
}

// Import implements storage.Txn.
func (x *tx) Import(from storage.Shared) error {
	if err := x.over(); err != nil {
		return err
	}
	e, ok := from.(*shared)
	if !ok || e.s != x.s || x.hasRR || x.opts.Isolation != storage.RepeatableRead {
		return sqlstate.Errorf(sqlstate.InternalError, "a snapshot cannot be imported here")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "could not import the requested snapshot").
			WithDetail("The source transaction is not running anymore.")
	}
	x.s.marks.Retain(e.at)
	x.rr, x.rrRows, x.hasRR = e.at, e.rows.retain(), true
	return nil
}

// SetMode implements storage.Txn.
func (x *tx) SetMode(level storage.Isolation, readOnly bool) {
	if !x.hasRR {
		x.opts.Isolation = level
	}
	x.opts.ReadOnly = readOnly
}
