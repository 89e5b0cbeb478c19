package column

import (
	"sync"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// lookup finds the rows of keys in a version, as a snapshot at s sees them (at
// latest: the newest rows, staged deletes not counted). Memtables with an id of at
// least below are left out.
type lookup struct {
	v     *version
	at    storage.CSN
	below uint64

	lanes *lanes
	todo  []uint32
	part  []uint32
	wide  []uint64
	seg   segLookup
	sieve sieve
	wave  wave
}

var lookups = sync.Pool{New: func() any { return new(lookup) }}

// newLookup takes a lookup from the pool; free gives it back.
func (t *Tablet) newLookup(v *version, at storage.CSN, below uint64) *lookup {
	l := lookups.Get().(*lookup)
	l.lanes, l.v, l.at, l.below = &t.lanes, v, at, below
	return l
}

// everyMemtable is a lookup's bound that leaves no memtable out.
const everyMemtable = ^uint64(0)

func (l *lookup) free() {
	l.lanes, l.v = nil, nil
	l.seg.release()
	l.wave.release()
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
		for from := 0; from < len(l.todo); from += vec.Size {
			todo := l.todo[from:min(from+vec.Size, len(l.todo))]
			m.table.Load().touchOf(ks.hash, todo)
			for _, i := range todo {
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
		}
		l.todo = rest
	}
	return l.findInFiles(ks, out)
}

// findInFiles looks the keys of todo up in the segments, newest first.
func (l *lookup) findInFiles(ks *keySet, out []place) error {
	segs := l.v.segs
	if len(l.todo) == 0 || len(segs) == 0 {
		return nil
	}
	sieved := l.sieve.sort(l.lanes, l.v, ks, l.todo)
	if sieved {
		l.wave.find(l.v, &l.sieve, ks)
	}
	left, found := len(l.todo), 0 // found: that are still in todo
	for k := len(segs) - 1; k >= 0 && left > 0; k-- {
		if !sieved || l.sieve.heads[k] == noLane {
			if found > 0 {
				l.todo, found = unfound(l.todo, out), 0
			}
			var err error
			if l.todo, err = l.seg.find(segs[k], ks, l.todo, l.at, out, true); err != nil {
				return err
			}
			left = len(l.todo)
			continue
		}
		if l.wave.done {
			n, err := l.wave.settle(&l.seg, k, segs[k], ks, l.at, out)
			if err != nil {
				return err
			}
			found, left = found+n, left-n
			continue
		}
		l.part = l.part[:0]
		for e := l.sieve.heads[k]; e != noEntry; e = l.sieve.next[e] {
			if key := l.sieve.keys[e]; !out[key].found() {
				l.part = append(l.part, key)
			}
		}
		if len(l.part) == 0 {
			continue
		}
		rest, err := l.seg.find(segs[k], ks, l.part, l.at, out, false)
		if err != nil {
			return err
		}
		found += len(l.part) - len(rest)
		left -= len(l.part) - len(rest)
	}
	return nil
}

// unfound keeps the keys that have no place yet.
func unfound(todo []uint32, out []place) []uint32 {
	rest := todo[:0]
	for _, k := range todo {
		if !out[k].found() {
			rest = append(rest, k)
		}
	}
	return rest
}
