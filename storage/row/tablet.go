package row

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// Config is a tablet's surroundings.
type Config struct {
	DB    *pebble.DB
	Runs  *Runs // before it; nil for none
	Table *catalog.Table
	Shard int
	// Applied is the newest commit such that it and all before it are in Pebble or Runs.
	Applied func() storage.CSN
	// Sets tells the commits of rows that came in files.
	Sets *Sets
}

// Tablet is one table's rows in one shard. Safe for concurrent use; writers hold the
// shard's latch from Stage to Stamp or Abort.
type Tablet struct {
	cfg    Config
	prefix []byte
	sch    atomic.Pointer[schema]
	// from is the commit that began the tablet: what Pebble still has of older ones
	// belongs to a tablet before it. Until it is known Pebble is not looked at.
	from atomic.Uint64

	mu sync.Mutex
	// The pending table: rows by key that may not be in Pebble yet, and those that
	// were written not long ago, so that Stage finds what came after Prepare. It has
	// two parts; when the newer one is large and all of the older one is in Pebble, the
	// older is dropped and epoch rises.
	young, old       map[string]*entry
	youngMax, oldMax storage.CSN
	epoch            uint64
	youngBytes       int64 // of keys and values
	held             int   // large commits that look their keys up: see hold

	inserted, updated, deleted atomic.Int64
	changed                    atomic.Int64 // changes that were stamped, ever
}

// entry is the newest row of a key. A staged one has no commit yet, and prev is what
// was there before it.
type entry struct {
	csn   storage.CSN
	value []byte // nil: removed
	prev  *entry
}

// rotateAt is how many keys the pending table's young part has at least when it
// becomes the old one.
const rotateAt = 1024

const (
	// holdFrom is how many changes make a commit large: looking up its keys takes longer
	// than others take to rotate the pending table twice.
	holdFrom = 2 * rotateAt
	// holdMost and holdBytes are how many keys the young part has at most for the sake of
	// such commits, and how many bytes they and their rows are.
	holdMost  = 64 * rotateAt
	holdBytes = 16 << 20
)

// hold keeps what is pending for a large commit from before it looks its keys up to its
// end: without that it would have to look them up again and again, in the end with the
// shard latched.
func (t *Tablet) hold() {
	t.mu.Lock()
	t.held++
	t.mu.Unlock()
}

func (t *Tablet) unhold() {
	t.mu.Lock()
	t.held-- // the next commit rotates: one may be staged now
	t.mu.Unlock()
}

// New makes a tablet. It has no rows until From tells since when.
func New(cfg Config) *Tablet {
	t := &Tablet{cfg: cfg, prefix: tabletPrefix(cfg.Table.OID, cfg.Shard), young: map[string]*entry{}}
	t.sch.Store(newSchema(cfg.Table))
	t.from.Store(math.MaxUint64)
	return t
}

// From says which commit began the tablet, 0 for one that nobody remembers.
func (t *Tablet) From(csn storage.CSN) { t.from.Store(uint64(csn)) }

// SetSchema takes over a new definition of the table. Called with the shard latched.
func (t *Tablet) SetSchema(table *catalog.Table) { t.sch.Store(newSchema(table)) }

// Writes counts rows since the tablet was opened.
func (t *Tablet) Writes() storage.Writes {
	return storage.Writes{Inserted: t.inserted.Load(), Updated: t.updated.Load(), Deleted: t.deleted.Load()}
}

// state is what a key has: the commit of its row (0: none, unless own) and its value.
type state struct {
	csn   storage.CSN
	value []byte
	own   bool // staged by the commit that asks
}

func (s *state) found() bool { return s.value != nil }

func (e *entry) state() state {
	if e.value == nil {
		return state{}
	}
	return state{csn: e.csn, value: e.value}
}

// pending is the newest stamped entry of a key. Called with mu held.
func (t *Tablet) pending(key []byte) *entry {
	e := t.newest(key)
	for e != nil && e.csn == 0 {
		e = e.prev
	}
	return e
}

// newest is the newest entry of a key, staged or not. Called with mu held.
func (t *Tablet) newest(key []byte) *entry {
	if e := t.young[string(key)]; e != nil {
		return e
	}
	return t.old[string(key)]
}

// stored is a key's row in Pebble or in the runs before it, copied.
func (t *Tablet) stored(r *source, key []byte) (state, error) {
	from := t.from.Load()
	if from == math.MaxUint64 {
		return state{}, nil
	}
	v, c, err := r.get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	defer c.Close()
	csn, err := t.cfg.Sets.commit(v)
	if err != nil {
		return state{}, err
	}
	if uint64(csn) < from {
		return state{}, nil
	}
	return state{csn: csn, value: append([]byte(nil), v...)}, nil
}

// stage puts an entry before what the key has. Called with mu held. The table's key is
// key itself, which never changes and lies in one buffer with the value.
func (t *Tablet) stage(e *entry, key, value []byte) {
	*e = entry{value: value, prev: t.newest(key)}
	t.youngBytes += int64(len(key) + len(value))
	t.young[unsafe.String(unsafe.SliceData(key), len(key))] = e
}

// unstage takes the newest staged entry of a key away. Called with mu held.
func (t *Tablet) unstage(key []byte) {
	e := t.young[string(key)]
	switch {
	case e == nil || e.csn != 0:
	case e.prev == nil || e.prev == t.old[string(key)]:
		delete(t.young, string(key))
	default:
		t.young[string(key)] = e.prev
	}
}

// stamped gives the staged entries of changes their commit. Called with mu held.
func (t *Tablet) stamped(c *Changes, csn storage.CSN) {
	for i := range c.ops {
		e := t.young[string(c.key(i))]
		e.csn, e.prev = csn, nil
	}
	t.youngMax = csn
	t.rotate()
}

// rotate drops what has been in Pebble for a while. Called with mu held.
func (t *Tablet) rotate() {
	holds := t.held > 0 && len(t.young) < holdMost && t.youngBytes < holdBytes
	if len(t.young) < rotateAt || holds || len(t.old) > 0 && t.oldMax > t.cfg.Applied() {
		return
	}
	if t.old == nil || len(t.old) > 16*rotateAt {
		t.old = map[string]*entry{} // a large commit's table is not kept
	}
	clear(t.old)
	t.young, t.old, t.youngBytes = t.old, t.young, 0
	t.oldMax, t.youngMax = t.youngMax, 0
	t.epoch++
}

// Ingested is told that files of a large set are in Pebble, before that is published,
// while the table is locked: what is pending is older than they are.
func (t *Tablet) Ingested() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.young, t.old, t.youngBytes = map[string]*entry{}, nil, 0
	t.youngMax, t.oldMax = 0, 0
	t.epoch += 2
}

// Idle drops the pending table when all of it is in Pebble: called now and then, so
// that tables that are not written to any more hold no memory.
func (t *Tablet) Idle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held > 0 || len(t.young)+len(t.old) == 0 || max(t.youngMax, t.oldMax) > t.cfg.Applied() {
		return
	}
	for _, e := range t.young {
		if e.csn == 0 {
			return // a commit is under way
		}
	}
	t.young, t.old, t.youngBytes = map[string]*entry{}, nil, 0
	t.youngMax, t.oldMax = 0, 0
	t.epoch += 2
}

// DiskBytes is about the size on disk.
func (t *Tablet) DiskBytes() int64 {
	n, err := t.cfg.DB.EstimateDiskUsage(t.prefix, PrefixEnd(t.prefix))
	if err != nil {
		return 0
	}
	return int64(n)
}
