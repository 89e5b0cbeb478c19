package row

import (
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/storage"
)

// Runs are changes of row tablets that Pebble does not have yet, those of large groups
// of commits and what came after them, as sorted runs: a run costs a merge where
// Pebble's memtable is searched for the place of each key. Once they are large they go
// to Pebble as one sorted batch, which it keeps as it is until it is flushed.
//
// Readers look into the runs first. What they find beside Pebble's state, whether it is
// newest or a snapshot, is one state: that runs went to Pebble changes no key's row.
type Runs struct {
	db    *pebble.DB
	state atomic.Pointer[layers]

	mu       sync.Mutex // held to replace state, and of who keeps layers
	draining sync.Mutex // held while runs go to Pebble
	held     atomic.Int64
}

// layers is what runs there are at one time; it never changes.
type layers struct {
	fresh  layer // grows
	frozen layer // goes to Pebble
}

// layer is the runs of some commits, one after another.
type layer struct {
	tablets map[string][]*sortedRun // oldest first
	last    storage.CSN
	bytes   int64 // of memory
	kept    *kept
}

// kept is who keeps a layer, as it grows and goes to Pebble, in memory.
type kept struct {
	bytes     int64
	snapshots int
	gone      bool // Pebble has it
}

// NewRuns makes an empty set of runs before a database.
func NewRuns(db *pebble.DB) *Runs {
	r := &Runs{db: db}
	r.state.Store(&layers{})
	return r
}

// Any says whether there are runs.
func (r *Runs) Any() bool {
	l := r.state.Load()
	return len(l.fresh.tablets)+len(l.frozen.tablets) > 0
}

// Bytes is how much memory the runs take.
func (r *Runs) Bytes() int64 {
	l := r.state.Load()
	return l.fresh.bytes + l.frozen.bytes
}

// Held is how much memory, besides, those take that Pebble has, and snapshots read.
func (r *Runs) Held() int64 { return r.held.Load() }

// Waiting is how much memory those take that are not on their way to Pebble.
func (r *Runs) Waiting() int64 { return r.state.Load().fresh.bytes }

// Add adds the changes of a group of commits, the last of which is last. They are
// stamped, and nobody changes them any more. It is called in the order of the commits.
func (r *Runs) Add(g *Group, last storage.CSN) {
	fresh := layer{tablets: map[string][]*sortedRun{}, last: last}
	for i := range g.tables {
		t := &g.tables[i]
		fresh.tablets[t.prefix[:tabletLen]] = []*sortedRun{{prefix: t.prefix, all: g.all, refs: g.merged(t)}}
	}
	for _, c := range g.all {
		fresh.bytes += c.memory()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.state.Load()
	fresh.bytes += old.fresh.bytes
	if fresh.kept = old.fresh.kept; fresh.kept == nil {
		fresh.kept = &kept{}
	}
	fresh.kept.bytes = fresh.bytes
	if len(old.fresh.tablets) > 0 {
		tablets := maps.Clone(old.fresh.tablets)
		for prefix, runs := range fresh.tablets {
			tablets[prefix] = runs[0].onto(tablets[prefix])
		}
		fresh.tablets = tablets
	}
	r.state.Store(&layers{fresh: fresh, frozen: old.frozen})
}

// memory is about what changes take of it, with their places in two orders.
func (c *Changes) memory() int64 { return int64(cap(c.buf)) + 56*int64(cap(c.ops)) + 384 }

// Drain has Pebble take all that was added before, with what covered adds to the batch
// for the last of the commits.
func (r *Runs) Drain(covered func(*pebble.Batch, storage.CSN) error) error {
	if !r.Any() {
		return nil
	}
	r.draining.Lock()
	defer r.draining.Unlock()
	if l := r.state.Load(); len(l.frozen.tablets) > 0 { // the last time failed
		if err := r.take(&l.frozen, covered); err != nil {
			return err
		}
	}
	r.mu.Lock()
	l := &layers{frozen: r.state.Load().fresh}
	r.state.Store(l)
	r.mu.Unlock()
	if len(l.frozen.tablets) == 0 {
		return nil
	}
	return r.take(&l.frozen, covered)
}

// take has Pebble take what is frozen. Called with draining held.
func (r *Runs) take(frozen *layer, covered func(*pebble.Batch, storage.CSN) error) error {
	if err := frozen.write(r.db, covered); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Store(&layers{fresh: r.state.Load().fresh})
	k := frozen.kept
	if k.gone = true; k.snapshots > 0 {
		r.held.Add(k.bytes)
	}
	return nil
}

// write puts all runs into Pebble as one batch in the order of the keys.
func (l *layer) write(db *pebble.DB, covered func(*pebble.Batch, storage.CSN) error) error {
	var whole []*sortedRun
	size := 0
	for _, prefix := range slices.Sorted(maps.Keys(l.tablets)) {
		runs := l.tablets[prefix]
		one := runs[len(runs)-1]
		for k := len(runs) - 2; k >= 0; k-- {
			one = one.over(runs[k])
		}
		for _, r := range one.refs {
			o := &one.all[r.of].ops[r.i]
			size += o.keyLen + o.valueLen + 8
		}
		whole = append(whole, one)
	}
	b := db.NewBatchWithSize(size + 64)
	if err := covered(b, l.last); err != nil {
		return err
	}
	for _, one := range whole {
		for _, r := range one.refs {
			if err := one.all[r.of].put(b, int(r.i)); err != nil {
				return err
			}
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	return b.Close()
}

// Snapshot is Pebble's state and the runs before it at one time, which no group of
// commits may change meanwhile.
type Snapshot struct {
	*pebble.Snapshot
	of   *Runs
	runs *layers
}

// Snapshot takes one; it is to be closed.
func (r *Runs) Snapshot() *Snapshot {
	l := r.keep() // first, so that what goes to Pebble now is in one of them at least
	return &Snapshot{r.db.NewSnapshot(), r, l}
}

// Close ends it; nobody reads it any more.
func (s *Snapshot) Close() error {
	s.of.let(s.runs)
	return s.Snapshot.Close()
}

// keep is what runs there are, for a snapshot.
func (r *Runs) keep() *layers {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.state.Load()
	for _, k := range [...]*kept{l.fresh.kept, l.frozen.kept} {
		if k != nil {
			k.snapshots++
		}
	}
	return l
}

// let ends what keep began.
func (r *Runs) let(l *layers) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range [...]*kept{l.fresh.kept, l.frozen.kept} {
		if k == nil {
			continue
		}
		if k.snapshots--; k.gone && k.snapshots == 0 {
			r.held.Add(-k.bytes)
		}
	}
}

// source is where a tablet's rows are read from: Pebble or a snapshot of it, and the
// runs before it, those of a moment or, with live set, those that there are.
type source struct {
	r    pebble.Reader // nil: no rows
	runs *layers
	live *Runs
}

// sourceOf is how a tablet reads r.
func (t *Tablet) sourceOf(r pebble.Reader) source {
	switch x := r.(type) {
	case *Snapshot:
		return source{r: x.Snapshot, runs: x.runs}
	case *pebble.DB:
		if t.cfg.Runs != nil && x == t.cfg.DB {
			return source{r: r, live: t.cfg.Runs}
		}
	}
	return source{r: r}
}

// layers are the runs that count, nil for none.
func (s *source) layers() *layers {
	if s.live != nil {
		return s.live.state.Load()
	}
	return s.runs
}

// unheld is the closer of a value that nothing needs to be closed for.
type unheld struct{}

func (unheld) Close() error { return nil }

// get is a key's value, lent until closer is closed. Without a row the error is
// Pebble's.
func (s *source) get(key []byte) (value []byte, closer io.Closer, err error) {
	if l := s.layers(); l != nil {
		if value, ok := l.find(key); ok {
			if value == nil {
				return nil, nil, pebble.ErrNotFound
			}
			return value, unheld{}, nil
		}
	}
	return s.r.Get(key)
}

// find is what the runs have of a key.
func (l *layers) find(key []byte) (value []byte, ok bool) {
	for _, y := range [...]*layer{&l.fresh, &l.frozen} {
		if len(y.tablets) == 0 {
			continue
		}
		runs := y.tablets[string(key[:tabletLen])]
		for k := len(runs) - 1; k >= 0; k-- {
			if value, ok := runs[k].find(key); ok {
				return value, true
			}
		}
	}
	return nil, false
}
