package column

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// latest is above every commit and below dying: it reads the newest state.
const latest = storage.CSN(dying - 1)

// Tablet is one table's part in one shard. It implements storage.Tablet. Safe for
// concurrent use.
type Tablet struct {
	cfg Config
	log bool // it is a binlog

	// wmu is the write lock: held from Stage to Stamp or Abort, and while a version
	// is replaced. maint is held from the start of a flush, or from when a compaction
	// has written its files, to the edit's end; merging by a compaction from its
	// start, and taken before maint.
	wmu     sync.Mutex
	maint   chan struct{}
	merging chan struct{}
	writes  writeCounts

	mu  sync.Mutex // guards what follows, for moments
	cur *version
	old []oldVersion

	// Guarded by wmu.
	nextMem   uint64
	f         storage.CSN // checkpoint
	deletes   string      // name of the deletes file
	truncated []*segFile  // dropped by truncations that no edit has named yet
	truncCSN  storage.CSN // the oldest of these truncations
	spent     []spentFile // keys files of commits that no checkpoint covers yet
	closed    bool

	waiting atomic.Bool // there are spent files

	floor atomic.Uint64 // newest number that expiry dropped
	lanes lanes
}

var _ storage.Tablet = (*Tablet)(nil)

// Open makes a tablet from what the manifest knows of it.
func Open(cfg Config) (*Tablet, error) {
	cfg.Limits.defaults()
	t := &Tablet{cfg: cfg, log: cfg.Table.IsBinlog, maint: make(chan struct{}, 1), merging: make(chan struct{}, 1), f: cfg.State.F, deletes: cfg.State.Deletes}
	t.floor.Store(uint64(cfg.State.Floor))
	sch := newSchema(cfg.Table)
	v := &version{sch: sch, mems: []*memtable{t.newMemtable(sch)}}
	masks := map[string]mask{}
	if cfg.State.Deletes != "" {
		var err error
		if masks, err = readDeletes(cfg.Files, cfg.State.Deletes); err != nil {
			return nil, err
		}
	}
	for _, info := range cfg.State.Segments {
		s, err := t.openSegment(info)
		if err != nil {
			for _, s := range v.segs {
				s.close()
			}
			return nil, err
		}
		s.inManifest.Store(true)
		s.made = time.Time{}
		s.refs = 1
		s.del.Store((&deleteSet{blocks: s.blocks(), base: masks[info.File]}).named())
		v.segs = append(v.segs, s)
	}
	t.cur = v
	return t, nil
}

func (t *Tablet) newMemtable(sch *schema) *memtable {
	t.nextMem++
	return newMemtable(t.nextMem, sch)
}

// watermark asks the caller which snapshots live.
func (t *Tablet) watermark() (oldest storage.CSN, live []storage.CSN) {
	if t.cfg.Watermark == nil {
		return latest, nil
	}
	return t.cfg.Watermark()
}

// Table is the table as the tablet stores it now.
func (t *Tablet) Table() *catalog.Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cur.sch.table
}

// Shard is the tablet's shard.
func (t *Tablet) Shard() int { return t.cfg.Shard }

// LiveBytes is the memory of memtables.
func (t *Tablet) LiveBytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var n int64
	for _, m := range t.cur.mems {
		if m.first.Load() != 0 {
			n += m.bytes.Load()
		}
	}
	return n
}

// Full says whether the memtables have reached the size at which to flush.
func (t *Tablet) Full() bool { return t.Backlog() >= 1 }

// Backlog is how many times what is in memory, flushes under way included, would fill a
// memtable.
func (t *Tablet) Backlog() float64 {
	t.mu.Lock()
	v := t.cur
	t.mu.Unlock()
	rows, bytes := 0, int64(0)
	for _, m := range v.mems {
		rows += int(m.rows.Load())
		bytes += m.bytes.Load()
	}
	l := &t.cfg.Limits
	return max(float64(rows)/float64(l.FlushRows), float64(bytes)/float64(l.FlushBytes))
}

// Adopted says whether there are files of large commits that no edit has named yet:
// a flush hands them over to the manifest, and so to compaction. It rids the disk of
// keys files too, which no bound of the log counts, and replay of looking them up.
func (t *Tablet) Adopted() bool {
	if t.waiting.Load() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.cur.segs, func(s *segFile) bool { return !s.inManifest.Load() })
}

// OldestUnflushed is the first commit that only memory (and the log) has, 0 for
// none.
func (t *Tablet) OldestUnflushed() storage.CSN {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := uint64(math.MaxUint64)
	for _, m := range t.cur.mems {
		if f := m.first.Load(); f != 0 {
			oldest = min(oldest, f)
		}
	}
	if t.truncCSN != 0 {
		oldest = min(oldest, uint64(t.truncCSN))
	}
	if oldest == math.MaxUint64 {
		return 0
	}
	return storage.CSN(oldest)
}

// Checkpoint is F: every commit at or below it is in the files.
func (t *Tablet) Checkpoint() storage.CSN {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	return t.f
}

// Files lists the files of the newest state.
func (t *Tablet) Files() []string {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	var names []string
	for _, s := range t.cur.segs {
		names = append(names, s.info.File)
	}
	if t.deletes != "" {
		names = append(names, t.deletes)
	}
	return names
}

// DiskBytes is the size of the tablet's segments.
func (t *Tablet) DiskBytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var n int64
	for _, s := range t.cur.segs {
		n += s.info.Size
	}
	return n
}

// freeze makes the active memtable read-only, if it has anything, and adds a new
// one of the given schema. Called with wmu held.
func (t *Tablet) freeze(sch *schema) {
	v := t.cur
	n := &version{sch: sch, segs: v.segs, segGen: v.segGen}
	n.mems = append(n.mems, v.mems...)
	if m := v.active(); m.first.Load() == 0 && m.n == 0 {
		n.mems = n.mems[:len(n.mems)-1]
	}
	n.mems = append(n.mems, t.newMemtable(sch))
	t.swap(n, 0)
}

// SetSchema takes over a new definition of the table. Called with the shard
// latched. The memtable is frozen: rows keep the columns they were written with.
func (t *Tablet) SetSchema(table *catalog.Table) {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	t.freeze(newSchema(table))
}

// Truncate empties the tablet at a commit. Called with the shard latched.
// Snapshots below csn still see what was there.
func (t *Tablet) Truncate(csn storage.CSN) {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	v := t.cur
	t.retire(v.segs)
	if t.truncCSN == 0 {
		t.mu.Lock()
		t.truncCSN = csn
		t.mu.Unlock()
	}
	m := t.newMemtable(v.sch)
	m.touch(csn)
	t.swap(&version{sch: v.sch, mems: []*memtable{m}, segGen: v.segGen + 1}, csn)
	t.dropOld()
}

// retire keeps truncated files, which the manifest or the log still name, until an
// edit has dropped them.
func (t *Tablet) retire(segs []*segFile) {
	t.mu.Lock()
	for _, s := range segs {
		s.refs++
	}
	t.mu.Unlock()
	t.truncated = append(t.truncated, segs...)
}

// drop lets go of files that an edit has dropped; they vanish with their last
// reader.
func (t *Tablet) drop(segs []*segFile) {
	var gone []*segFile
	t.mu.Lock()
	for _, s := range segs {
		s.doomed.Store(true)
		if s.refs--; s.refs == 0 {
			gone = append(gone, s)
		}
	}
	t.mu.Unlock()
	for _, s := range gone {
		s.free()
	}
}

// DropFiles empties a tablet that is over: its files are removed when the last
// snapshot lets go of them.
func (t *Tablet) DropFiles() {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	t.closeLanes()
	v := t.cur
	for _, s := range v.segs {
		s.doomed.Store(true)
	}
	t.swap(&version{sch: v.sch, mems: []*memtable{t.newMemtable(v.sch)}, segGen: v.segGen + 1}, 0)
	t.drop(t.truncated)
	t.truncated = nil
	t.dropSpent(latest)
	if t.deletes != "" {
		_ = t.cfg.Files.Remove(t.deletes)
		t.deletes = ""
	}
}

// Close releases the tablet's files. Snapshots must be closed before.
func (t *Tablet) Close() error {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	t.closeLanes()
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := map[*segFile]bool{}
	closeAll := func(v *version) {
		for _, s := range v.segs {
			if !seen[s] {
				seen[s] = true
				s.close()
			}
		}
	}
	for _, o := range t.old {
		closeAll(o.v)
	}
	closeAll(t.cur)
	closeAll(&version{segs: t.truncated})
	return nil
}

// acquireMaint waits for a running flush, or for the end of a compaction.
func (t *Tablet) acquireMaint(ctx context.Context) error { return acquire(ctx, t.maint) }

func (t *Tablet) releaseMaint() { <-t.maint }

func acquire(ctx context.Context, c chan struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
