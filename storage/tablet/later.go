package tablet

import (
	"context"
	"runtime"
	"time"

	"github.com/millrace/millrace/storage"
)

var (
	_ storage.LaterStore = (*Store)(nil)
	_ storage.LaterTxn   = (*tx)(nil)
)

// Unhindered implements storage.LaterStore.
func (s *Store) Unhindered() bool {
	if s.log.Full() {
		return false
	}
	if s.opts.Manual || s.writes.Add(1)&63 != 0 && !s.pressed.Load() {
		return true
	}
	return s.measure() < 1
}

// WriteOut implements storage.LaterStore.
func (s *Store) WriteOut(here bool) { s.log.Write(here) }

// laterTries is how often one that must not wait tries to have a latch.
const (
	laterTries = 64
	laterNaps  = 6 // after these
)

// Patient implements storage.LaterTxn.
func (x *tx) Patient() { x.opts.Hasty = false }

// Wrote implements storage.LaterTxn.
func (x *tx) Wrote() bool { return x.ddl != nil || len(x.notes) > 0 || x.wrote() }

// CommitLater implements storage.LaterTxn. What waits for others, decides again or is
// more than some rows is Commit's.
func (x *tx) CommitLater(done func()) (begun bool) {
	if x.over() != nil || x.begun != nil || x.opts.Async || x.ddl != nil || len(x.notes) > 0 || len(x.past) > 0 || len(x.logMarks) > 0 {
		return false
	}
	for _, o := range x.own {
		if o.fresh || o.hasFiles() || o.t.KeepsBinlog() || o.bytes() > x.s.opts.Limits.SpillBytes {
			return false
		}
	}
	if !x.wrote() || x.s.log.Full() {
		return false
	}
	for try := 0; try < freshTries; try++ {
		c := &commit{x: x, patient: true, hasty: true}
		err := c.try(context.Background())
		c.release()
		if err == errAgain {
			continue
		}
		if err != nil {
			return false // Commit finds the same, and what to do
		}
		if c.mayLetGo() {
			x.s.locks.ReleaseEarly(x.owner, c.entry.CSN)
		}
		x.begun = c
		x.s.log.Notify(c.entry.CSN, done)
		return true
	}
	return false
}

// lock latches a tablet, and says whether it could: who is in a hurry leaves a latch that
// is held for long.
func (sh *shard) lock(hasty bool) bool {
	if !hasty {
		sh.latch.Lock()
		return true
	}
	return soon(sh.latch.TryLock)
}

// soon says whether f comes to say so without a wait, but for a few moments: where there
// are more threads than cores, who holds a latch may not be running.
func soon(f func() bool) bool {
	for range laterTries {
		if f() {
			return true
		}
		runtime.Gosched()
	}
	for range laterNaps {
		time.Sleep(50 * time.Microsecond)
		if f() {
			return true
		}
	}
	return false
}
