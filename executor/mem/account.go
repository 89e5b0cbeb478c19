// Package mem accounts for the memory of queries, hands out pointer-free memory
// outside the garbage collector's heap, and keeps spill files.
//
// Accounts form a tree: server, query, sink. A parent is charged in steps of
// 1 MiB, so that lanes seldom meet at it. Memory of at least 1 MiB is mapped with
// huge pages and belongs to the account that it was charged to: closing the
// account unmaps it.
package mem

import (
	"math"
	"sync"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// step is the unit in which a parent is charged.
const step = 1 << 20

// Account is a node of the tree. It is safe for concurrent use. The nil account
// accepts everything and counts nothing.
type Account struct {
	name   string
	parent *Account
	limit  int64 // 0: none
	free   int64 // of granted, what the parent is not charged for
	ended  func() bool

	mu      sync.Mutex
	used    int64
	granted int64 // charged to the parent, a multiple of step
	peak    int64
	closed  bool
	maps    map[*byte]int // mappings that belong to this account
}

// NewRoot makes the server's account; limit 0 is no limit.
func NewRoot(limit int64) *Account { return &Account{name: "server", limit: limit} }

// Child makes an account below a. limit 0 is no limit of its own.
func (a *Account) Child(name string, limit int64) *Account {
	n := &Account{name: name, parent: a, limit: limit}
	if a != nil {
		n.ended = a.ended
	}
	return n
}

// ChildFree makes an account below a whose first bytes, as many as free says, are not
// charged to a: for a small part of what must be made when there is no room.
func (a *Account) ChildFree(name string, free int64) *Account {
	n := a.Child(name, 0)
	n.free, n.granted = free, free
	return n
}

// Watch sets what says whether the query of the account, and of the children that it
// will have, has ended.
func (a *Account) Watch(ended func() bool) {
	if a != nil {
		a.ended = ended
	}
}

// Ended says whether the account's query has ended: long loops over what is charged
// to it then stop where they are.
func (a *Account) Ended() bool { return a != nil && a.ended != nil && a.ended() }

// Name is what the account was made for.
func (a *Account) Name() string {
	if a == nil {
		return ""
	}
	return a.name
}

// TryReserve charges n bytes and says whether every account up to the root had
// room; if not, nothing is charged.
func (a *Account) TryReserve(n int64) bool {
	if a == nil || n == 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.limit > 0 && a.used+n > a.limit {
		return false
	}
	if need := a.used + n - a.granted; need > 0 {
		need = (need + step - 1) / step * step
		if a.limit > 0 && a.granted+need > a.limit {
			need = a.limit - a.granted // the last step may be short
		}
		if !a.parent.TryReserve(need) {
			return false
		}
		a.granted += need
	}
	a.used += n
	a.peak = max(a.peak, a.used)
	return true
}

// Reserve is TryReserve, with error 53200 when it is refused.
func (a *Account) Reserve(n int64) error {
	if a.TryReserve(n) {
		return nil
	}
	return sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").
		WithDetail("Failed on request of size %d in memory account \"%s\".", n, a.name)
}

// Release gives n bytes back.
func (a *Account) Release(n int64) {
	if a == nil || n == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.used -= n
	if a.used < 0 {
		panic("mem: account " + a.name + " released more than it reserved")
	}
	// Keep one step in hand against going to and fro.
	if spare := min(a.granted-a.used, a.granted-a.free); spare >= 2*step {
		back := (spare - step) / step * step
		a.granted -= back
		a.parent.Release(back)
	}
}

// Set charges what others hold in memory: n bytes in place of what was charged before,
// whether there is room or not. What is reserved beside it must do with less then. The
// account has no limit, and is charged in no other way.
func (a *Account) Set(n int64) {
	a.mu.Lock()
	d := n - a.used
	a.mu.Unlock()
	a.force(d)
}

func (a *Account) force(d int64) {
	if a == nil || d == 0 {
		return
	}
	a.mu.Lock()
	a.used += d
	a.granted += d
	a.peak = max(a.peak, a.used)
	a.mu.Unlock()
	a.parent.force(d)
}

// Charge charges n bytes that are in use already, whether there is room or not.
func (a *Account) Charge(n int64) { a.force(n) }

// Left is the least that is left of the limits of the account and of those above it.
func (a *Account) Left() int64 {
	n := int64(math.MaxInt64)
	for ; a != nil; a = a.parent {
		if a.limit > 0 {
			n = min(n, a.limit-a.Used())
		}
	}
	return n
}

// Tight says whether less than a quarter is left of the account's limit or of one
// above it: what may spill then should, for the sake of what may not.
func (a *Account) Tight() bool {
	for ; a != nil; a = a.parent {
		if a.limit > 0 && a.Used() > a.limit-a.limit/4 {
			return true
		}
	}
	return false
}

// Used is what is charged now; Peak is the most there was.
func (a *Account) Used() int64 {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used
}

// Peak is the most that was charged at a time.
func (a *Account) Peak() int64 {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peak
}

// Limit is the account's own limit, 0 for none.
func (a *Account) Limit() int64 {
	if a == nil {
		return 0
	}
	return a.limit
}

// Close unmaps all memory of the account and returns its charge. What was
// allocated from it must not be touched any more. Children are closed before.
func (a *Account) Close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	for p, n := range a.maps {
		unmap(p, n)
	}
	a.maps = nil
	a.parent.Release(a.granted - a.free)
	a.used, a.granted = 0, 0
}
