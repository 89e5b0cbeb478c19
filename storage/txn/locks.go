package txn

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// Key names what is locked: a row of a table by the hash of its key, or another
// object (a name that DDL claims) in a space of its own. Two keys with one hash
// share a lock, which costs a wait and never correctness.
type Key struct {
	Space uint32
	Hash  uint64
}

// Mode is how strongly a row is locked, as PostgreSQL's row locks.
type Mode uint8

// The modes, weakest first.
const (
	KeyShare Mode = iota
	Share
	NoKeyUpdate
	Update
)

// conflicts says which modes of others a mode cannot stand beside.
var conflicts = [4][4]bool{
	KeyShare:    {Update: true},
	Share:       {NoKeyUpdate: true, Update: true},
	NoKeyUpdate: {Share: true, NoKeyUpdate: true, Update: true},
	Update:      {KeyShare: true, Share: true, NoKeyUpdate: true, Update: true},
}

// maxKeys is how many rows of one table a transaction locks by entries of their own;
// those beyond are in a filter (manyKeys).
const maxKeys = 128 << 10

// bulkSpace has a key for each table: who holds it may have a filter there.
const bulkSpace = 3

// Owner is a transaction as the lock table sees it. It is used by one goroutine
// at a time.
type Owner struct {
	keys   []Key
	tables map[uint32]*tableHold
	wait   *request // under Locks.mu
	// after is the newest commit that let go of a key before it was on disk, and which
	// this owner then locked.
	after storage.CSN
	// LockTimeout bounds each wait; 0: none.
	LockTimeout time.Duration
	// Who is whose transaction it is, in the answers of Waiting.
	Who any
}

type tableHold struct {
	exclusive bool
	rows      int
	many      *manyKeys // of rows beyond maxKeys
}

// Locks is the lock table of a node.
type Locks struct {
	mu     sync.Mutex
	keys   map[Key]*keyLock
	tables map[uint32]*tableLock
	// waiting are the owners that wait.
	waiting map[*Owner]bool
	held    atomic.Int64 // locks of any kind, for the fast path of those that only look
	waits   atomic.Int64
	// early has, by a hash of the key, the newest commit that let go of it early.
	early [earlySlots]storage.CSN
}

// earlySlots is how many keys Locks tells apart that were let go of early. Of two with
// one slot the other's commit may be waited for, which is soon over.
const earlySlots = 4 << 10

func (l *Locks) slot(k Key) *storage.CSN {
	h := (k.Hash ^ uint64(k.Space)) * 0x9e3779b97f4a7c15
	return &l.early[h>>32%earlySlots]
}

// After is the newest commit that let go of a key early which the owner has locked
// since. Until that is on disk, what the owner read under its locks can be lost.
func (o *Owner) After() storage.CSN { return o.after }

// keyLock is a lock of a key and who has it: one, or several in modes that go
// together.
type keyLock struct {
	holder
	more  []holder
	queue []*request
}

type holder struct {
	owner *Owner
	mode  Mode
}

// find is o's own hold; nil for none.
func (e *keyLock) find(o *Owner) *holder {
	if e.owner == o {
		return &e.holder
	}
	for i := range e.more {
		if e.more[i].owner == o {
			return &e.more[i]
		}
	}
	return nil
}

// inTheWay calls f for each other owner whose hold a mode of o conflicts with, until
// f says true, which it then returns.
func (e *keyLock) inTheWay(o *Owner, m Mode, f func(*Owner) bool) bool {
	if e.owner != nil && e.owner != o && conflicts[m][e.mode] && f(e.owner) {
		return true
	}
	for _, h := range e.more {
		if h.owner != o && conflicts[m][h.mode] && f(h.owner) {
			return true
		}
	}
	return false
}

func (e *keyLock) blocked(o *Owner, m Mode) bool {
	return e.inTheWay(o, m, func(*Owner) bool { return true })
}

// grant gives o the lock, or a stronger hold of it; added says that it had none.
func (e *keyLock) grant(o *Owner, m Mode) (added bool) {
	if h := e.find(o); h != nil {
		h.mode = max(h.mode, m)
		return false
	}
	if e.owner == nil {
		e.holder = holder{o, m}
	} else {
		e.more = append(e.more, holder{o, m})
	}
	return true
}

// drop takes o's hold away; none says that nobody is left.
func (e *keyLock) drop(o *Owner) (none bool) {
	if e.owner == o {
		e.holder = holder{}
		if k := len(e.more); k > 0 {
			e.holder = e.more[k-1]
			e.more = e.more[:k-1]
		}
		return e.owner == nil
	}
	for i := range e.more {
		if e.more[i].owner == o {
			e.more = append(e.more[:i], e.more[i+1:]...)
			break
		}
	}
	return false
}

type tableLock struct {
	owners map[*Owner]bool // true: exclusive
	alone  int             // how many of them are: one, or none
	queue  []*request
	many   *manyKeys // of one of the owners; nil for none
}

// request is one wait. ready is closed when it is granted.
type request struct {
	owner     *Owner
	key       Key
	table     bool
	exclusive bool
	mode      Mode // of a key
	look      bool // of one that locks nothing: wake it when the lock is free
	ready     chan struct{}
	granted   bool
}

// NewLocks makes an empty lock table.
func NewLocks() *Locks {
	return &Locks{keys: map[Key]*keyLock{}, tables: map[uint32]*tableLock{}, waiting: map[*Owner]bool{}}
}

// NewOwner makes an owner without locks.
func NewOwner() *Owner { return &Owner{tables: map[uint32]*tableHold{}} }

// LockRows locks rows of a table, in the order given, waiting where another has
// them. waited says whether it had to: then what the caller read is old.
func (l *Locks) LockRows(ctx context.Context, o *Owner, table uint32, hashes []uint64, mode Mode) (waited bool, err error) {
	h := o.tables[table]
	if h == nil {
		waited, err = l.lockTable(ctx, o, table, false)
		if err != nil {
			return waited, err
		}
		h = o.tables[table]
	}
	if h.exclusive {
		return waited, nil
	}
	if h.many == nil && h.rows+len(hashes) > maxKeys {
		w, err := l.LockKey(ctx, o, Key{bulkSpace, uint64(table)}, Update)
		waited = waited || w
		if err != nil {
			return waited, err
		}
		h.many = newManyKeys(o)
		l.mu.Lock()
		l.tables[table].many = h.many
		l.mu.Unlock()
	}
	had := len(o.keys)
	defer func() { h.rows += len(o.keys) - had }()
	l.mu.Lock()
	for i, hash := range hashes {
		if i%lockRun == lockRun-1 { // others are not to wait for all of them
			l.mu.Unlock()
			l.mu.Lock()
		}
		k := Key{table, hash}
		if l.tryKey(o, k, mode) {
			continue
		}
		waited = true
		r := &request{owner: o, key: k, mode: mode, ready: make(chan struct{})}
		if err := l.wait(ctx, r); err != nil { // lets go of mu
			return waited, err
		}
		l.mu.Lock()
	}
	l.mu.Unlock()
	return waited, nil
}

// lockRun is how many rows are locked at a time.
const lockRun = 1 << 10

// tryKey locks a key if that needs no wait. Who has none of it yet stands behind
// those that wait already.
func (l *Locks) tryKey(o *Owner, k Key, mode Mode) bool {
	e := l.lockOf(o, k)
	if e == nil {
		if h := o.tables[k.Space]; h != nil && h.many != nil {
			if !h.many.has(k.Hash) {
				h.many.add(k.Hash)
			}
			o.after = max(o.after, *l.slot(k))
			return true
		}
		l.keys[k] = &keyLock{holder: holder{o, mode}}
		l.held.Add(1)
		o.keys = append(o.keys, k)
		o.after = max(o.after, *l.slot(k))
		return true
	}
	own := e.find(o)
	if own != nil && own.mode >= mode {
		return true
	}
	if e.blocked(o, mode) || own == nil && len(e.queue) > 0 {
		return false
	}
	if e.grant(o, mode) {
		o.keys = append(o.keys, k)
	}
	o.after = max(o.after, *l.slot(k))
	return true
}

// TryRow locks a row if that needs no wait.
func (l *Locks) TryRow(o *Owner, table uint32, hash uint64, mode Mode) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := o.tables[table]
	if h == nil {
		e := l.tables[table]
		if e == nil {
			e = &tableLock{owners: map[*Owner]bool{}}
			l.tables[table] = e
		}
		if !e.free(o, false) || len(e.queue) > 0 {
			return false
		}
		l.grantTable(e, o, table, false)
		h = o.tables[table]
	}
	if h.exclusive {
		return true
	}
	// Where another has the filter there are more entries, and for modes that go together.
	if h.many == nil && h.rows >= maxKeys && mode >= NoKeyUpdate && l.tryKey(o, Key{bulkSpace, uint64(table)}, Update) {
		h.many = newManyKeys(o)
		l.tables[table].many = h.many
	}
	had := len(o.keys)
	if !l.tryKey(o, Key{table, hash}, mode) {
		return false
	}
	h.rows += len(o.keys) - had
	return true
}

// LockKey locks a single key that is no row.
func (l *Locks) LockKey(ctx context.Context, o *Owner, k Key, mode Mode) (waited bool, err error) {
	l.mu.Lock()
	if l.tryKey(o, k, mode) {
		l.mu.Unlock()
		return false, nil
	}
	return true, l.wait(ctx, &request{owner: o, key: k, mode: mode, ready: make(chan struct{})})
}

// LockTable locks a table against all other writers.
func (l *Locks) LockTable(ctx context.Context, o *Owner, table uint32) (waited bool, err error) {
	return l.lockTable(ctx, o, table, true)
}

func (l *Locks) lockTable(ctx context.Context, o *Owner, table uint32, exclusive bool) (waited bool, err error) {
	if h := o.tables[table]; h != nil && (h.exclusive || !exclusive) {
		return false, nil
	}
	l.mu.Lock()
	e := l.tables[table]
	if e == nil {
		e = &tableLock{owners: map[*Owner]bool{}}
		l.tables[table] = e
	}
	if _, in := e.owners[o]; e.free(o, exclusive) && (in || len(e.queue) == 0) {
		l.grantTable(e, o, table, exclusive)
		l.mu.Unlock()
		return false, nil
	}
	return true, l.wait(ctx, &request{owner: o, key: Key{Space: table}, table: true, exclusive: exclusive, ready: make(chan struct{})})
}

func (e *tableLock) free(o *Owner, exclusive bool) bool {
	if !exclusive && e.alone == 0 {
		return true
	}
	for other, x := range e.owners {
		if other != o && (x || exclusive) {
			return false
		}
	}
	return true
}

func (l *Locks) grantTable(e *tableLock, o *Owner, table uint32, exclusive bool) {
	if !e.owners[o] {
		if _, had := e.owners[o]; !had {
			l.held.Add(1)
		}
		if e.owners[o] = exclusive; exclusive {
			e.alone++
		}
	}
	h := o.tables[table]
	if h == nil {
		h = &tableHold{}
		o.tables[table] = h
	}
	h.exclusive = h.exclusive || exclusive
}

// wait is called with mu held and returns without it.
func (l *Locks) wait(ctx context.Context, r *request) error {
	if r.table {
		l.tables[r.key.Space].queue = append(l.tables[r.key.Space].queue, r)
	} else {
		l.keys[r.key].queue = append(l.keys[r.key].queue, r)
	}
	r.owner.wait = r
	l.waiting[r.owner] = true
	if l.cycle(r.owner) {
		l.cancel(r)
		l.mu.Unlock()
		return sqlstate.Errorf(sqlstate.DeadlockDetected, "deadlock detected").
			WithDetail("The transaction waits for a lock that is held by a transaction that waits for this one.").
			WithHint("Run the transaction again.")
	}
	l.waits.Add(1)
	l.mu.Unlock()
	defer storage.BeginWait(ctx)()

	var timeout <-chan time.Time
	if d := r.owner.LockTimeout; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	var err error
	select {
	case <-r.ready:
		return nil
	case <-timeout:
		err = sqlstate.Errorf(sqlstate.LockNotAvailable, "canceling statement due to lock timeout")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.granted { // at the same moment; the lock is kept until the transaction ends
		return err
	}
	l.cancel(r)
	return err
}

// cancel takes a request out of its queue.
func (l *Locks) cancel(r *request) {
	l.waited(r)
	if r.table {
		e := l.tables[r.key.Space]
		e.queue = remove(e.queue, r)
		l.pumpTable(r.key.Space, e)
		return
	}
	e := l.keys[r.key]
	e.queue = remove(e.queue, r)
	l.pumpKey(r.key, e)
}

func remove(q []*request, r *request) []*request {
	for i := range q {
		if q[i] == r {
			return append(q[:i:i], q[i+1:]...)
		}
	}
	return q
}

// waited ends a wait.
func (l *Locks) waited(r *request) {
	r.owner.wait = nil
	delete(l.waiting, r.owner)
}

// cycle says whether o waits, over others, for itself. Edges go from a waiter to
// the owners of what it waits for.
func (l *Locks) cycle(o *Owner) bool {
	seen := map[*Owner]bool{}
	var reaches func(x *Owner) bool
	reaches = func(x *Owner) bool {
		if x.wait == nil || seen[x] {
			return false
		}
		seen[x] = true
		return l.awaits(x, func(h *Owner) bool { return h == o || reaches(h) })
	}
	return reaches(o)
}

// awaits calls f for the owners that x, which waits, waits for, until f says true,
// which it then returns.
func (l *Locks) awaits(x *Owner, f func(*Owner) bool) bool {
	r := x.wait
	if r.table {
		e := l.tables[r.key.Space]
		for other, excl := range e.owners {
			if other != x && (excl || r.exclusive) && f(other) {
				return true
			}
		}
		if _, has := e.owners[x]; has {
			return false // who wants more of what it has goes before those that have none
		}
		// Those ahead in the queue come first, so they are waited for too.
		for _, q := range e.queue {
			if q == r {
				break
			}
			if q.owner != x && f(q.owner) {
				return true
			}
		}
		return false
	}
	e := l.keys[r.key]
	if e.inTheWay(x, r.mode, f) {
		return true
	}
	if e.find(x) != nil {
		return false // who has a weaker hold goes before those that have none
	}
	for _, q := range e.queue {
		if q == r {
			break
		}
		if !q.look && q.owner != x && f(q.owner) {
			return true
		}
	}
	return false
}

// Waiting tells who waits and for whom, of the owners that are somebody's: what closes
// circles with waits that this table does not know.
func (l *Locks) Waiting() map[any][]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[any][]any, len(l.waiting))
	for x := range l.waiting {
		if x.Who == nil {
			continue
		}
		l.awaits(x, func(h *Owner) bool {
			if h.Who != nil {
				out[x.Who] = append(out[x.Who], h.Who)
			}
			return false
		})
	}
	return out
}

// Release gives up all locks of o.
func (l *Locks) Release(o *Owner) {
	if len(o.keys) == 0 && len(o.tables) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for t, h := range o.tables {
		if h.many == nil {
			continue
		}
		l.tables[t].many = nil // before its key goes to the next
		for _, k := range h.many.made {
			l.releaseKey(o, k)
		}
	}
	for _, k := range o.keys {
		l.releaseKey(o, k)
	}
	o.keys = o.keys[:0]
	for t := range o.tables {
		e := l.tables[t]
		if e.owners[o] {
			e.alone--
		}
		delete(e.owners, o)
		l.held.Add(-1)
		l.pumpTable(t, e)
	}
	clear(o.tables)
}

// ReleaseEarly gives up the keys of o, whose commit at has its place in the log and is
// stamped but not on disk yet. Locks of tables stay, so that who gets a whole table
// finds all there is of it published.
func (l *Locks) ReleaseEarly(o *Owner, at storage.CSN) {
	if len(o.keys) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := 0
	for _, k := range o.keys {
		if k.Space == bulkSpace { // stays with its filter
			o.keys[kept] = k
			kept++
			continue
		}
		s := l.slot(k)
		*s = max(*s, at)
		l.releaseKey(o, k)
	}
	o.keys = o.keys[:kept]
}

func (l *Locks) releaseKey(o *Owner, k Key) {
	e := l.keys[k]
	e.drop(o)
	l.pumpKey(k, e)
}

// pumpKey grants what can be granted of those that wait, in order; who only wants
// more of what it has goes first.
func (l *Locks) pumpKey(k Key, e *keyLock) {
	for i := 0; i < len(e.queue); {
		r := e.queue[i]
		if e.find(r.owner) == nil || e.blocked(r.owner, r.mode) {
			i++
			continue
		}
		e.queue = append(e.queue[:i:i], e.queue[i+1:]...)
		e.grant(r.owner, r.mode)
		r.owner.after = max(r.owner.after, *l.slot(k))
		r.granted = true
		l.waited(r)
		close(r.ready)
	}
	for len(e.queue) > 0 {
		r := e.queue[0]
		if e.blocked(r.owner, r.mode) {
			return
		}
		e.queue = e.queue[1:]
		r.granted = true
		l.waited(r)
		if r.look {
			close(r.ready)
			continue
		}
		if e.grant(r.owner, r.mode) {
			r.owner.keys = append(r.owner.keys, k)
		}
		r.owner.after = max(r.owner.after, *l.slot(k))
		close(r.ready) // last: from here on the owner is its goroutine's again
	}
	if e.owner == nil {
		delete(l.keys, k)
		l.held.Add(-1)
	}
}

// pumpTable grants what can be granted of those that wait, in order; who only wants
// more of what it has goes first.
func (l *Locks) pumpTable(t uint32, e *tableLock) {
	for i := 0; i < len(e.queue); {
		r := e.queue[i]
		if _, has := e.owners[r.owner]; !has || !e.free(r.owner, r.exclusive) {
			i++
			continue
		}
		e.queue = append(e.queue[:i:i], e.queue[i+1:]...)
		l.letIn(t, e, r)
	}
	for len(e.queue) > 0 {
		r := e.queue[0]
		if !e.free(r.owner, r.exclusive) {
			return
		}
		e.queue = e.queue[1:]
		l.letIn(t, e, r)
	}
	if len(e.owners) == 0 && len(e.queue) == 0 {
		delete(l.tables, t)
	}
}

// letIn ends the wait of a request that is no longer in the queue.
func (l *Locks) letIn(t uint32, e *tableLock, r *request) {
	r.granted = true
	l.waited(r)
	if !r.look {
		l.grantTable(e, r.owner, t, r.exclusive)
	}
	close(r.ready)
}

// Waits is how many waits have begun since the lock table was made.
func (l *Locks) Waits() int64 { return l.waits.Load() }

// None says that nothing at all is locked, without taking a lock.
func (l *Locks) None() bool { return l.held.Load() == 0 }

// Blocked looks whether another than o holds the table or one of its rows. It is
// called with latches held, so it does not wait; the index is of the first such
// row, -1 for the table.
func (l *Locks) Blocked(o *Owner, table uint32, hashes []uint64, mode Mode) (row int, blocked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.tables[table]
	if e == nil || len(e.owners) == 0 {
		return 0, false
	}
	for other, x := range e.owners {
		if other != o && x {
			return -1, true
		}
	}
	if len(e.owners) == 1 {
		if _, own := e.owners[o]; own {
			return 0, false
		}
	}
	for i, h := range hashes {
		if k := l.lockOf(o, Key{table, h}); k != nil && k.blocked(o, mode) {
			return i, true
		}
	}
	return 0, false
}

// WaitFree waits until a row (or the table, for hash nil) that Blocked found is
// free for a mode, without locking it.
func (l *Locks) WaitFree(ctx context.Context, o *Owner, table uint32, hash *uint64, mode Mode) error {
	l.mu.Lock()
	r := &request{owner: o, key: Key{Space: table}, mode: mode, look: true, ready: make(chan struct{})}
	if hash == nil {
		r.table = true
		if e := l.tables[table]; e == nil || e.free(o, false) {
			l.mu.Unlock()
			return nil
		}
		return l.wait(ctx, r)
	}
	r.key.Hash = *hash
	if e := l.lockOf(o, r.key); e == nil || !e.blocked(o, mode) {
		l.mu.Unlock()
		return nil
	}
	return l.wait(ctx, r)
}
