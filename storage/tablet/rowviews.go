package tablet

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/row"
)

// rowViews hands out the state of Pebble, and of the runs before it, as of what is
// published. All snapshots of one published state share one snapshot of these, which is
// made when the first of them wants it, or when the leader is about to apply what comes
// after it, and made anew when runs have gone to Pebble.
//
// Between that and the publication Pebble is ahead of what is published; the leader
// applies commits only when all of them are stamped, so that publication follows at
// once and skips none.
type rowViews struct {
	runs *row.Runs
	// on says that there are or were tables with rows; without any, nobody pays.
	on atomic.Bool
	// applying is the newest commit whose rows Pebble may have, in whole or in part.
	applying atomic.Uint64

	mu      sync.Mutex
	cur     *rowView
	applied bool // Pebble has more than cur shows
	done    []*row.Snapshot
}

// rowView is one published state, with those who read it.
type rowView struct {
	of   *rowViews
	refs int
	snap *row.Snapshot
}

func (v *rowViews) start(runs *row.Runs) {
	v.runs = runs
	v.cur = &rowView{of: v}
}

// take is the published state. It is called under the lock of the registry, in the
// step that registers a snapshot.
func (v *rowViews) take() *rowView {
	if !v.on.Load() {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cur.need()
	v.cur.refs++
	return v.cur
}

func (w *rowView) need() {
	if w.snap == nil {
		w.snap = w.of.runs.Snapshot()
	}
}

// retain is one more reader of a state that has one.
func (w *rowView) retain() *rowView {
	if w != nil {
		w.of.mu.Lock()
		w.refs++
		w.of.mu.Unlock()
	}
	return w
}

// release ends a reader.
func (w *rowView) release() {
	if w == nil {
		return
	}
	v := w.of
	v.mu.Lock()
	w.refs--
	var gone *row.Snapshot
	if w.refs == 0 && w != v.cur {
		gone, w.snap = w.snap, nil
	}
	v.mu.Unlock()
	if gone != nil {
		_ = gone.Close()
	}
}

// hold keeps the published state for those who come while commits are applied.
func (v *rowViews) hold() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cur.need()
	v.applied = true
}

// published is told, under the lock of the registry, that what was applied may be seen.
func (v *rowViews) published(storage.CSN) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.applied {
		return
	}
	if v.cur.refs == 0 && v.cur.snap != nil {
		v.done = append(v.done, v.cur.snap)
		v.cur.snap = nil
	}
	v.cur, v.applied = &rowView{of: v}, false
}

// renew has who comes read the published state without the runs that it had when it was
// first read: they would stay in memory, and be looked into, until the next commit of rows.
func (v *rowViews) renew() {
	v.mu.Lock()
	var gone *row.Snapshot
	switch cur := v.cur; {
	case v.applied || cur.snap == nil: // another comes, or is to be made
	case cur.refs == 0:
		gone, cur.snap = cur.snap, nil
	default:
		v.cur = &rowView{of: v}
	}
	v.mu.Unlock()
	if gone != nil {
		_ = gone.Close()
	}
}

// reap closes the states that nobody read.
func (v *rowViews) reap() {
	v.mu.Lock()
	done := v.done
	v.done = nil
	v.mu.Unlock()
	for _, s := range done {
		_ = s.Close()
	}
}

// close lets go of what readers have left; they must be gone.
func (v *rowViews) close() {
	v.reap()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cur != nil && v.cur.snap != nil {
		_ = v.cur.snap.Close()
		v.cur.snap = nil
	}
}

// register registers a snapshot, at atLeast at the least. What a session committed
// without waiting is in no Pebble yet: where there are rows it waits for it now.
func (s *Store) register(atLeast storage.CSN, f func(at storage.CSN)) (at storage.CSN, rows *rowView) {
	if atLeast > 0 && s.rows.on.Load() && atLeast > s.marks.Published() {
		_ = s.log.Wait(min(atLeast, s.log.Appended())) // a log that failed is told of elsewhere
	}
	at = s.marks.Register(atLeast, func(at storage.CSN) {
		if f != nil {
			f(at)
		}
		rows = s.rows.take()
	})
	return at, rows
}
