package storage

import "errors"

// LaterStore is a Store whose transactions can be committed by who must not wait.
type LaterStore interface {
	// Unhindered says that a small write would not have to wait now, for memory or the
	// log. Ask it before each: TxnOptions.Unhindered passes it on.
	Unhindered() bool
	// WriteOut has what was committed later written and synced: by the store's own
	// goroutine or, with here, once by the caller, who waits for the disk, unless that is
	// under way already.
	WriteOut(here bool)
}

// ErrWaits is what a write of a transaction that is hasty gives that would have to wait.
var ErrWaits = errors.New("storage: the write has to wait")

// LaterTxn is a transaction whose caller need not wait for the disk.
type LaterTxn interface {
	// CommitLater begins what Commit does. With begun, done is called once, by any
	// goroutine, when Commit does not wait any more; Commit is still to be called, or
	// Rollback, which both wait if they come before. Else nothing has happened: the
	// transaction is one for Commit, which has to wait for others, or fails.
	CommitLater(done func()) (begun bool)
	// Patient makes a transaction that is hasty one that waits.
	Patient()
	// Wrote says whether there is anything to commit: if not, Commit does not wait.
	Wrote() bool
}
