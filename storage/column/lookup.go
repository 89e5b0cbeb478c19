package column

import (
	"sync"

	"github.com/millrace/millrace/storage"
)

// lookup finds the rows of keys in a version, as a snapshot at s sees them (at
// latest: the newest rows, staged deletes not counted). Memtables with an id of at
// least below are left out.
type lookup struct {
	v     *version
	at    storage.CSN
	below uint64

	todo []uint32
	wide []uint64
	seg  segLookup
}

var lookups = sync.Pool{New: func() any { return new(lookup) }}

// newLookup takes a lookup from the pool; free gives it back.
func newLookup(v *version, at storage.CSN, below uint64) *lookup {
	l := lookups.Get().(*lookup)
	l.v, l.at, l.below = v, at, below
	return l
}

// everyMemtable is a lookup's bound that leaves no memtable out.
const everyMemtable = ^uint64(0)

func (l *lookup) free() {
	l.v = nil
	l.seg.release()
	lookups.Put(l)
}

// find fills out[i] for every key i that has a visible row; others stay as they are.
func (l *lookup) find(ks *keySet, out []place) error {
	l.todo = l.todo[:0]
	for i := 0; i < ks.n; i++ {
		l.todo = append(l.todo, uint32(i))
	}
	for k := len(l.v.mems) - 1; k >= 0 && len(l.todo) > 0; k-- {
		m := l.v.mems[k]
		if m.id >= l.below || m.rows.Load() == 0 {
			continue
		}
		rest := l.todo[:0]
		for _, i := range l.todo {
			row := m.findAt(ks, int(i), l.at)
			if row == noRow {
				rest = append(rest, i)
				continue
			}
			// The memtable's newest row at s decides for it: if it is dead, so are its
			// older ones. But an adopted file may have a newer row.
			if d := m.deathOf(row); d == 0 || d > uint64(l.at) {
				out[i] = place{mem: m, row: row, csn: m.csnOf(row)}
				continue
			}
			rest = append(rest, i)
		}
		l.todo = rest
	}
	for k := len(l.v.segs) - 1; k >= 0 && len(l.todo) > 0; k-- {
		var err error
		if l.todo, err = l.seg.find(l.v.segs[k], ks, l.todo, l.at, out); err != nil {
			return err
		}
	}
	return nil
}
