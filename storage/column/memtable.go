package column

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

const noRow = ^uint32(0)

// memtable holds recent rows in commit order, so that what a snapshot sees of it
// is a prefix, less the rows that died at or below the snapshot. A table of keys
// points at each key's newest row, and each row at the one before it.
//
// One goroutine writes (the tablet's write lock says which); rows at and above
// the published count are its own.
type memtable struct {
	id  uint64
	sch *schema

	dir   atomic.Pointer[[]*chunk]
	rows  atomic.Uint32 // published
	table atomic.Pointer[keyTable]
	bytes atomic.Int64
	dead  atomic.Int64  // rows that died
	death atomic.Uint64 // CSN of the newest death; set before dead counts it
	first atomic.Uint64 // CSN of the first commit, 0 when empty
	last  atomic.Uint64 // CSN of the last

	n         uint32 // rows with staged ones; the writer's
	squeezeAt int64  // dead rows at which squeezing is tried again

	boundsMu sync.Mutex
	bounds   []bounds

	dicts []memDict // by column
}

func newMemtable(id uint64, sch *schema) *memtable {
	m := &memtable{id: id, sch: sch, bounds: make([]bounds, len(sch.cols)), dicts: make([]memDict, len(sch.cols))}
	m.dir.Store(&[]*chunk{})
	m.table.Store(newKeyTable(16))
	for i, t := range sch.cols {
		m.bounds[i].init(t)
	}
	return m
}

func (m *memtable) chunks() []*chunk { return *m.dir.Load() }

func (m *memtable) at(row uint32) (*chunk, int) {
	return m.chunks()[row>>chunkShift], int(row & chunkMask)
}

// reserve makes room for n more rows.
func (m *memtable) reserve(n int) {
	dir := m.chunks()
	need := int(m.n) + n
	if len(dir) == 0 {
		c := newChunk(m.sch.cols, min(max(firstChunk, roundUp(need)), chunkRows))
		m.bytes.Add(c.bytes())
		dir = []*chunk{c}
		m.dir.Store(&dir)
	}
	if c := dir[0]; len(dir) == 1 && c.cap < chunkRows && need > c.cap {
		g := c.grown(min(int(m.n), c.cap), min(roundUp(need), chunkRows))
		m.bytes.Add(g.bytes() - c.bytes())
		dir = []*chunk{g}
		m.dir.Store(&dir)
	}
	for need > (len(dir)-1)<<chunkShift+dir[len(dir)-1].cap {
		c := newChunk(m.sch.cols, chunkRows)
		m.bytes.Add(c.bytes())
		dir = append(dir[:len(dir):len(dir)], c)
		m.dir.Store(&dir)
	}
}

// roundUp is the least power of two ≥ n.
func roundUp(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// append copies n rows of the batch's columns to the tail, unpublished, and
// returns the first row's number. cols has the table's columns; the row id, if
// the table has one, is filled in later by setRowID.
func (m *memtable) append(cols []*vec.Vec, n int) uint32 {
	m.reserve(n)
	first := m.n
	for from := 0; from < n; {
		c, at := m.at(m.n)
		k := min(n-from, c.cap-at)
		var grew int64
		for i, v := range cols {
			grew += c.cols[i].append(at, v, from, k)
		}
		for r := at; r < at+k; r++ {
			atomic.StoreUint32(&c.prev[r], 0)
			c.csn[r] = 0
		}
		if d := c.dead.Load(); d != nil {
			for r := at; r < at+k; r++ {
				atomic.StoreUint64(&(*d)[r], 0)
			}
		}
		m.bytes.Add(grew)
		from += k
		m.n += uint32(k)
	}
	m.boundsMu.Lock()
	for i, v := range cols {
		m.bounds[i].add(v, n)
	}
	m.boundsMu.Unlock()
	return first
}

// setRowID writes the hidden key of an unpublished row.
func (m *memtable) setRowID(row uint32, id int64) {
	c, at := m.at(row)
	c.cols[m.sch.rowID].head.Load().I64[at] = id
}

// publish stamps all unpublished rows with their commit and shows them.
func (m *memtable) publish(csn storage.CSN) {
	for r := m.rows.Load(); r < m.n; {
		c, at := m.at(r)
		k := min(int(m.n-r), c.cap-at)
		for i := at; i < at+k; i++ {
			c.csn[i] = uint64(csn)
		}
		r += uint32(k)
	}
	if m.first.Load() == 0 {
		m.first.Store(uint64(csn))
	}
	m.last.Store(uint64(csn))
	m.rows.Store(m.n)
}

// touch notes a commit that only deleted.
func (m *memtable) touch(csn storage.CSN) {
	if m.first.Load() == 0 {
		m.first.Store(uint64(csn))
	}
	m.last.Store(uint64(csn))
}

func (m *memtable) csnOf(row uint32) uint64 {
	c, at := m.at(row)
	return c.csn[at]
}

// deathOf is the commit that deleted the row, 0 for none, dying when it is staged.
func (m *memtable) deathOf(row uint32) uint64 {
	c, at := m.at(row)
	d := c.dead.Load()
	if d == nil {
		return 0
	}
	return atomic.LoadUint64(&(*d)[at])
}

func (m *memtable) setDeath(row uint32, csn uint64) {
	c, at := m.at(row)
	atomic.StoreUint64(&c.deadRows()[at], csn)
}

// died counts a row whose death was set to csn.
func (m *memtable) died(csn uint64) {
	if csn > m.death.Load() {
		m.death.Store(csn)
	}
	m.dead.Add(1)
}

func (m *memtable) prevOf(row uint32) uint32 {
	c, at := m.at(row)
	return atomic.LoadUint32(&c.prev[at]) - 1 // noRow for 0
}

// prefix is the number of rows with csn ≤ s.
func (m *memtable) prefix(s storage.CSN) uint32 {
	n := m.rows.Load()
	if n == 0 || m.csnOf(n-1) <= uint64(s) {
		return n
	}
	return uint32(sort.Search(int(n), func(i int) bool { return m.csnOf(uint32(i)) > uint64(s) }))
}

// find is the newest row of key k of the set, staged ones included, or noRow; and
// the slot where it is or would be.
func (m *memtable) find(ks *keySet, k int) (row, slot uint32) {
	t, hash := m.table.Load(), ks.hash[k]
	for i := t.slot(hash); ; i = (i + 1) & t.mask {
		r, at, ok := t.next(hash, i)
		if !ok {
			return noRow, at
		}
		if m.equal(r, ks, k) {
			return r, at
		}
		i = at
	}
}

// findAt is the newest row of key k that a snapshot at s may see, dead or not: a
// published row with csn ≤ s. Safe beside the writer.
func (m *memtable) findAt(ks *keySet, k int, s storage.CSN) uint32 {
	t, hash, rows := m.table.Load(), ks.hash[k], m.rows.Load()
	for i := t.slot(hash); ; i = (i + 1) & t.mask {
		r, at, ok := t.next(hash, i)
		if !ok {
			return noRow
		}
		for r != noRow && r >= rows {
			r = m.prevOf(r)
		}
		if r != noRow && m.equal(r, ks, k) {
			for r != noRow && m.csnOf(r) > uint64(s) {
				r = m.prevOf(r)
			}
			return r
		}
		i = at
	}
}

// equal says whether a row's key is key k of the set.
func (m *memtable) equal(row uint32, ks *keySet, k int) bool {
	c, at := m.at(row)
	if ks.ints != nil {
		return intAt(c.cols[m.sch.keys[0]].head.Load(), at) == ks.ints[k]
	}
	for i, key := range m.sch.keys {
		if !equalAt(ks.cols[i], k, c.cols[key].head.Load(), at) {
			return false
		}
	}
	return true
}

// ready makes the key table fit n more keys.
func (m *memtable) ready(n int) {
	t := m.table.Load()
	if !t.room(n) {
		g := t.grown(n)
		m.bytes.Add(int64(8 * (len(g.slots) - len(t.slots))))
		m.table.Store(g)
	}
}

// link enters an unpublished row as the newest of its key; old is what find gave.
func (m *memtable) link(row, old, slot, hash uint32) {
	c, at := m.at(row)
	atomic.StoreUint32(&c.prev[at], old+1) // 0 for noRow
	m.table.Load().put(slot, hash, row)
}

// unlink undoes link; rows are unlinked newest first.
func (m *memtable) unlink(row, hash uint32) {
	t := m.table.Load()
	i := t.slot(hash)
	for {
		r, at, ok := t.next(hash, i)
		if !ok {
			return
		}
		if r == row {
			if p := m.prevOf(row); p != noRow {
				t.put(at, hash, p)
			} else {
				t.drop(at)
			}
			return
		}
		i = (at + 1) & t.mask
	}
}

// cut drops the rows from n on, which are not published or, in an overlay, read
// by nobody any more. They are unlinked already.
func (m *memtable) cut(n uint32) { m.n = n }
