package session

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/foreign/syscat"
)

// Advisory locks: pg_advisory_lock and its kin. They belong to a session or to its
// transaction, count how often they were taken, and hold up nobody but each other. Who
// waits stands in line; a circle of waiting sessions ends with 40P01 for the last. A
// circle over rows as well ends for one that waits for an advisory lock, which looks
// for circles again and again.

// advisoryMax is how many advisory locks a session has at most.
const advisoryMax = 64 << 10

// deadlockLook is how often who waits looks for a circle that others closed, by waits
// for rows: PostgreSQL's deadlock_timeout.
const deadlockLook = time.Second

// advisoryKey is one number, or a pair of smaller ones in a space of its own.
type advisoryKey struct {
	id   int64
	pair bool
}

// advisoryHold is a lock that a session took once.
type advisoryHold struct {
	key     advisoryKey
	shared  bool
	untilTx bool // until the transaction ends
}

// advisory is the table of a server's advisory locks.
type advisory struct {
	mu    sync.Mutex
	locks map[advisoryKey]*advisoryLock
}

type advisoryLock struct {
	holders map[*Session]*advisoryCount
	queue   []*advisoryWait
}

type advisoryCount struct{ exclusive, shared int }

// advisoryWait is a wait; ready is closed when the lock is there.
type advisoryWait struct {
	s       *Session
	hold    advisoryHold
	since   time.Time
	ready   chan struct{}
	granted bool
}

// advisoryCall does what the function of that name says.
func (s *Session) advisoryCall(ctx context.Context, name string, id int64, pair bool) (bool, error) {
	t := &s.eng.advisory
	if name == "pg_advisory_unlock_all" {
		t.release(s, func(h advisoryHold) bool { return !h.untilTx })
		return true, nil
	}
	h := advisoryHold{advisoryKey{id, pair}, strings.HasSuffix(name, "_shared"), strings.Contains(name, "_xact_")}
	if strings.HasPrefix(name, "pg_advisory_unlock") {
		return t.unlock(s, h), nil
	}
	return t.lock(ctx, s, h, !strings.HasPrefix(name, "pg_try_"))
}

// free says whether the locks of others leave room.
func (l *advisoryLock) free(s *Session, shared bool) bool {
	for o, n := range l.holders {
		if o != s && (n.exclusive > 0 || !shared) {
			return false
		}
	}
	return true
}

// ahead calls f for those in line before w (all for nil) that it cannot pass.
func (l *advisoryLock) ahead(s *Session, shared bool, w *advisoryWait, f func(*Session) bool) bool {
	if l.holders[s] != nil {
		return false
	}
	for _, q := range l.queue {
		if q == w {
			break
		}
		if q.s != s && !(shared && q.hold.shared) && f(q.s) {
			return true
		}
	}
	return false
}

func anybody(*Session) bool { return true }

// lock takes a lock; false where it would have to wait and may not.
func (t *advisory) lock(ctx context.Context, s *Session, h advisoryHold, wait bool) (bool, error) {
	t.mu.Lock()
	if len(s.advisory) >= advisoryMax {
		t.mu.Unlock()
		return false, sqlstate.Errorf(sqlstate.OutOfMemory, "out of shared memory").
			WithHint("A session has at most %d advisory locks.", advisoryMax)
	}
	l := t.locks[h.key]
	if l == nil {
		if t.locks == nil {
			t.locks = map[advisoryKey]*advisoryLock{}
		}
		l = &advisoryLock{holders: map[*Session]*advisoryCount{}}
		t.locks[h.key] = l
	}
	if l.free(s, h.shared) && !l.ahead(s, h.shared, nil, anybody) {
		l.grant(s, h)
		t.mu.Unlock()
		return true, nil
	}
	if !wait {
		t.mu.Unlock()
		return false, nil
	}
	w := &advisoryWait{s: s, hold: h, since: time.Now(), ready: make(chan struct{})}
	l.queue = append(l.queue, w)
	s.advisoryWaits = append(s.advisoryWaits, w)
	if t.circle(s) {
		t.leave(w)
		t.mu.Unlock()
		return false, errCircle()
	}
	t.mu.Unlock()
	defer storage.BeginWait(ctx)()
	return true, t.await(ctx, w)
}

func errCircle() error {
	return sqlstate.Errorf(sqlstate.DeadlockDetected, "deadlock detected").
		WithDetail("The session waits for an advisory lock of a session that waits for this one.")
}

// await waits until the lock is there, or the query or lock_timeout has ended.
func (t *advisory) await(ctx context.Context, w *advisoryWait) error {
	var timeout <-chan time.Time
	if d := w.s.set.quick().lockTimeout; d > 0 {
		c := time.NewTimer(d)
		defer c.Stop()
		timeout = c.C
	}
	look := time.NewTicker(deadlockLook)
	defer look.Stop()
	var err error
	for err == nil {
		select {
		case <-w.ready:
			return nil
		case <-timeout:
			err = sqlstate.Errorf(sqlstate.LockNotAvailable, "canceling statement due to lock timeout")
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-look.C:
			t.mu.Lock()
			if !w.granted && t.circle(w.s) {
				t.leave(w)
				t.mu.Unlock()
				return errCircle()
			}
			t.mu.Unlock()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.granted { // at the same moment
		t.drop(w.s, w.hold)
	} else {
		t.leave(w)
	}
	return err
}

func (l *advisoryLock) grant(s *Session, h advisoryHold) {
	n := l.holders[s]
	if n == nil {
		n = &advisoryCount{}
		l.holders[s] = n
	}
	if h.shared {
		n.shared++
	} else {
		n.exclusive++
	}
	s.advisory = append(s.advisory, h)
}

// leave takes a wait out of its line.
func (t *advisory) leave(w *advisoryWait) {
	l := t.locks[w.hold.key]
	l.queue = without(l.queue, w)
	w.s.advisoryWaits = without(w.s.advisoryWaits, w)
	t.pump(w.hold.key, l)
}

func without(q []*advisoryWait, w *advisoryWait) []*advisoryWait {
	for i := range q {
		if q[i] == w {
			return append(q[:i:i], q[i+1:]...)
		}
	}
	return q
}

// pump gives the lock to those in line that can have it.
func (t *advisory) pump(k advisoryKey, l *advisoryLock) {
	for i := 0; i < len(l.queue); {
		w := l.queue[i]
		if !l.free(w.s, w.hold.shared) || l.ahead(w.s, w.hold.shared, w, anybody) {
			i++
			continue
		}
		l.queue = append(l.queue[:i:i], l.queue[i+1:]...)
		w.s.advisoryWaits = without(w.s.advisoryWaits, w)
		l.grant(w.s, w.hold)
		w.granted = true
		close(w.ready)
	}
	if len(l.holders) == 0 && len(l.queue) == 0 {
		delete(t.locks, k)
	}
}

// circle says whether s waits, over others, for itself: for advisory locks, and for
// what transactions lock.
func (t *advisory) circle(s *Session) bool {
	var rows map[any][]any
	if w, ok := s.eng.Store.(storage.LockWaits); ok {
		rows = w.LockWaits()
	}
	seen := map[*Session]bool{}
	var reaches func(x *Session) bool
	reaches = func(x *Session) bool {
		if seen[x] {
			return false
		}
		seen[x] = true
		for _, w := range x.advisoryWaits {
			l := t.locks[w.hold.key]
			for o, n := range l.holders {
				if o != x && (n.exclusive > 0 || !w.hold.shared) && (o == s || reaches(o)) {
					return true
				}
			}
			if l.ahead(x, w.hold.shared, w, func(o *Session) bool { return o == s || reaches(o) }) {
				return true
			}
		}
		for _, who := range rows[x] {
			if o, ok := who.(*Session); ok && (o == s || reaches(o)) {
				return true
			}
		}
		return false
	}
	return reaches(s)
}

// list tells of all locks, those that are waited for too.
func (t *advisory) list() []syscat.AdvisoryLock {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []syscat.AdvisoryLock
	for k, l := range t.locks {
		add := func(s *Session, shared bool, since int64) {
			out = append(out, syscat.AdvisoryLock{ID: k.id, Pair: k.pair, PID: s.pid, Database: s.db, Shared: shared, WaitStart: since})
		}
		for s, n := range l.holders {
			if n.exclusive > 0 {
				add(s, false, 0)
			}
			if n.shared > 0 {
				add(s, true, 0)
			}
		}
		for _, w := range l.queue {
			add(w.s, w.hold.shared, micros(w.since))
		}
	}
	return out
}

// unlock gives a lock of the session back that it took once; false, with a warning, if
// it has none.
func (t *advisory) unlock(s *Session, h advisoryHold) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drop(s, h) {
		return true
	}
	mode := "ExclusiveLock"
	if h.shared {
		mode = "ShareLock"
	}
	if len(s.warnings) < 100 { // a query may try for each of its rows
		s.warnings = append(s.warnings, sqlstate.Errorf(sqlstate.Warning, "you don't own a lock of type %s", mode))
	}
	return false
}

func (t *advisory) drop(s *Session, h advisoryHold) bool {
	for i := len(s.advisory) - 1; i >= 0; i-- {
		if s.advisory[i] == h {
			s.advisory = append(s.advisory[:i], s.advisory[i+1:]...)
			t.dropped(s, h)
			return true
		}
	}
	return false
}

func (t *advisory) dropped(s *Session, h advisoryHold) {
	l := t.locks[h.key]
	n := l.holders[s]
	if h.shared {
		n.shared--
	} else {
		n.exclusive--
	}
	if *n == (advisoryCount{}) {
		delete(l.holders, s)
	}
	t.pump(h.key, l)
}

// release gives back the locks of the session that gone says.
func (t *advisory) release(s *Session, gone func(advisoryHold) bool) {
	if len(s.advisory) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []advisoryHold
	kept := s.advisory[:0]
	for _, h := range s.advisory {
		if gone(h) {
			out = append(out, h)
		} else {
			kept = append(kept, h)
		}
	}
	s.advisory = kept
	for _, h := range out {
		t.dropped(s, h)
	}
}

// releaseAdvisory gives back the locks that the transaction took after its first keep.
func (s *Session) releaseAdvisory(keep int) {
	s.eng.advisory.release(s, func(h advisoryHold) bool {
		if h.untilTx {
			keep--
		}
		return h.untilTx && keep < 0
	})
}

// advisoryOfTx is how many advisory locks the transaction has.
func (s *Session) advisoryOfTx() (n int) {
	for _, h := range s.advisory {
		if h.untilTx {
			n++
		}
	}
	return n
}
