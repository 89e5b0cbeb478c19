package txn

// manyKeys are the rows that one owner has locked beyond maxKeys, as Bloom filters of
// their hashes: a key that is not in it, and seems to be, costs whoever wants it a wait.
// Filters are added as rows are, up to a bound of memory (30 MiB); the last then fills up,
// and in the end stands for the whole table.
type manyKeys struct {
	owner   *Owner
	filters []*keyFilter
	// made are the locks that others ran into, which then have entries.
	made []Key
}

type keyFilter struct {
	words []uint64
	room  int // keys that it takes well
}

const (
	filterKeys  = 1 << 20 // of the first filter; each other has twice those of the one before
	filterBits  = 16      // for a key: one in 400 of those that are not in it seems to be
	filterMax   = 4
	filterTries = 4
)

func newManyKeys(o *Owner) *manyKeys { return &manyKeys{owner: o} }

func (m *manyKeys) add(hash uint64) {
	n := len(m.filters)
	if n == 0 || m.filters[n-1].room == 0 && n < filterMax {
		keys := filterKeys << n
		m.filters = append(m.filters, &keyFilter{words: make([]uint64, keys*filterBits/64), room: keys})
		n++
	}
	f := m.filters[n-1]
	f.room = max(f.room-1, 0)
	f.probe(hash, func(w *uint64, bit uint64) bool {
		*w |= bit
		return true
	})
}

func (m *manyKeys) has(hash uint64) bool {
	for _, f := range m.filters {
		if f.probe(hash, func(w *uint64, bit uint64) bool { return *w&bit != 0 }) {
			return true
		}
	}
	return false
}

// probe calls f with each bit that stands for a key as long as it says true, and tells
// whether it did to the end.
func (f *keyFilter) probe(hash uint64, see func(w *uint64, bit uint64) bool) bool {
	hash *= 0x9e3779b97f4a7c15
	step := hash>>32 | hash<<32 | 1
	bits := uint64(len(f.words)) * 64
	for range filterTries {
		at := hash >> 20 & (bits - 1)
		if !see(&f.words[at/64], 1<<(at%64)) {
			return false
		}
		hash += step
	}
	return true
}

// lockOf is the lock of a key as o meets it, nil for a free one. One of many that another
// has locked gets its entry here.
func (l *Locks) lockOf(o *Owner, k Key) *keyLock {
	e := l.keys[k]
	if e != nil {
		return e
	}
	t := l.tables[k.Space]
	if t == nil || t.many == nil || t.many.owner == o || !t.many.has(k.Hash) {
		return nil
	}
	e = &keyLock{holder: holder{t.many.owner, Update}}
	l.keys[k] = e
	l.held.Add(1)
	t.many.made = append(t.many.made, k)
	return e
}
