package txn

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/storage"
)

// Watermarks follow commits from append to visibility. Three marks are kept:
// applied (all up to it are stamped), durable (all up to it are on disk) and
// published, the lesser of the two, which is what new snapshots read. The
// snapshot registry is part of it, because reading published and registering
// there must be one step.
type Watermarks struct {
	mu        sync.Mutex
	pending   []pending // appended, in commit order; the head is not stamped yet
	head      int
	appended  storage.CSN
	applied   storage.CSN
	durable   storage.CSN
	published storage.CSN
	seen      atomic.Uint64 // published, for those who hold no lock
	waiters   []*pubWaiter
	live      []liveCSN // ascending

	// OnPublish runs under the registry's lock whenever published rises.
	OnPublish func(storage.CSN)
}

type pending struct {
	csn     storage.CSN
	stamped bool
}

type liveCSN struct {
	csn  storage.CSN
	refs int
}

type pubWaiter struct {
	csn     storage.CSN
	applied bool // wait for applied, not published
	ch      chan struct{}
}

// Start sets all marks to csn.
func (w *Watermarks) Start(csn storage.CSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appended, w.applied, w.durable, w.published = csn, csn, csn, csn
	w.seen.Store(uint64(csn))
}

// Appended notes a commit, in commit order: it is called inside the log's append.
func (w *Watermarks) Appended(csn storage.CSN) {
	w.mu.Lock()
	w.pending = append(w.pending, pending{csn: csn})
	w.appended = csn
	w.mu.Unlock()
}

// Stamped notes that all of a commit can be seen by snapshots at or above csn.
func (w *Watermarks) Stamped(csn storage.CSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.pending) - 1; i >= w.head; i-- {
		if w.pending[i].csn == csn {
			w.pending[i].stamped = true
			break
		}
	}
	for w.head < len(w.pending) && w.pending[w.head].stamped {
		w.applied = w.pending[w.head].csn
		w.head++
	}
	if w.head == len(w.pending) {
		w.pending, w.head = w.pending[:0], 0
	} else if w.head > 1024 && 2*w.head > len(w.pending) {
		w.pending = w.pending[:copy(w.pending, w.pending[w.head:])]
		w.head = 0
	}
	w.advance()
}

// Durable notes how far the log is on disk.
func (w *Watermarks) Durable(csn storage.CSN) {
	w.mu.Lock()
	w.durable = max(w.durable, csn)
	w.advance()
	w.mu.Unlock()
}

func (w *Watermarks) advance() {
	if p := min(w.applied, w.durable); p > w.published {
		w.published = p
		if w.OnPublish != nil {
			w.OnPublish(p)
		}
		w.seen.Store(uint64(p))
	}
	keep := w.waiters[:0]
	for _, x := range w.waiters {
		if x.csn <= w.published || x.applied && x.csn <= w.applied {
			close(x.ch)
			continue
		}
		keep = append(keep, x)
	}
	clear(w.waiters[len(keep):])
	w.waiters = keep
}

// WaitPublished returns when snapshots see csn, or when stop is closed.
func (w *Watermarks) WaitPublished(csn storage.CSN, stop <-chan struct{}) { w.wait(csn, false, stop) }

// WaitApplied returns when all commits up to csn are stamped, or when stop is closed.
func (w *Watermarks) WaitApplied(csn storage.CSN, stop <-chan struct{}) { w.wait(csn, true, stop) }

func (w *Watermarks) wait(csn storage.CSN, applied bool, stop <-chan struct{}) {
	w.mu.Lock()
	if csn <= w.published || applied && csn <= w.applied {
		w.mu.Unlock()
		return
	}
	x := &pubWaiter{csn: csn, applied: applied, ch: make(chan struct{})}
	w.waiters = append(w.waiters, x)
	w.mu.Unlock()
	select {
	case <-x.ch:
	case <-stop:
	}
}

// Published and Applied are the marks of those names; NewestAppended is the last
// commit that has a number.
func (w *Watermarks) Published() storage.CSN { return storage.CSN(w.seen.Load()) }

// Applied is the newest CSN such that all up to it are stamped.
func (w *Watermarks) Applied() storage.CSN {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applied
}

// NewestAppended is the last commit that has a number.
func (w *Watermarks) NewestAppended() storage.CSN {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.appended
}

// Register registers a snapshot at published, or at atLeast when that is higher
// and applied, and returns where. onRegister, if any, runs in the same step.
func (w *Watermarks) Register(atLeast storage.CSN, onRegister func(storage.CSN)) storage.CSN {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := max(w.published, min(atLeast, w.applied))
	w.add(at)
	if onRegister != nil {
		onRegister(at)
	}
	return at
}

// RegisterApplied registers a snapshot at the applied mark, ahead of what is
// published: for a writer that looks for conflicts.
func (w *Watermarks) RegisterApplied(onRegister func(storage.CSN)) storage.CSN {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(w.applied)
	if onRegister != nil {
		onRegister(w.applied)
	}
	return w.applied
}

// Retain registers once more at a CSN that is registered.
func (w *Watermarks) Retain(at storage.CSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(at)
}

func (w *Watermarks) add(at storage.CSN) {
	i := len(w.live)
	for i > 0 && w.live[i-1].csn > at {
		i--
	}
	if i > 0 && w.live[i-1].csn == at {
		w.live[i-1].refs++
		return
	}
	w.live = append(w.live, liveCSN{})
	copy(w.live[i+1:], w.live[i:])
	w.live[i] = liveCSN{at, 1}
}

// Release ends a registration.
func (w *Watermarks) Release(at storage.CSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.live {
		if w.live[i].csn == at {
			if w.live[i].refs--; w.live[i].refs == 0 {
				w.live = append(w.live[:i], w.live[i+1:]...)
			}
			return
		}
	}
	panic("txn: released a snapshot that is not registered")
}

// Live is the oldest CSN that any snapshot reads or will read, and all that are
// read now, ascending; the last is published, and later snapshots read at or above
// it. Those that read ahead of published are above it and need no mention.
func (w *Watermarks) Live() (oldest storage.CSN, live []storage.CSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	live = make([]storage.CSN, 0, len(w.live)+1)
	for _, l := range w.live {
		if l.csn < w.published {
			live = append(live, l.csn)
		}
	}
	live = append(live, w.published)
	return live[0], live
}
