package tablet

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/vec"
)

// point implements storage.Point. What it reads is Pebble's newest state, which has
// all that is published and, while commits are applied, more: therefore it looks
// afterwards whether what was applied by then is published.
type point struct {
	s      *Store
	keyAt  []int
	keyed  bool
	shards []*row.Point
}

var _ storage.PointStore = (*Store)(nil)

// Point implements storage.PointStore.
func (s *Store) Point(t *catalog.Table, cols []int) storage.Point {
	tt := s.table(t.OID)
	if tt == nil || t.Kind != catalog.KindTable || t.IsBinlog {
		return nil
	}
	if !t.StoresRows() {
		return s.columnPoint(tt, t, cols)
	}
	p := &point{s: s}
	p.keyAt, p.keyed = keyDistribution(t)
	for _, sh := range tt.current() {
		if sh.row == nil {
			return nil
		}
		r, err := sh.row.View(s.db, t).Point(cols)
		if err != nil {
			return nil
		}
		p.shards = append(p.shards, r)
	}
	if len(p.shards) != max(t.Shards, 1) {
		return nil // another generation is on its way
	}
	return p
}

// Get implements storage.Point.
func (p *point) Get(cat *catalog.Version, keys, out *vec.Batch) (ok bool, err error) {
	switch {
	case len(p.shards) == 1:
		err = p.shards[0].Get(keys, out)
	case p.keyed:
		err = p.shards[shardOfKey(keys, p.keyAt, len(p.shards))].Get(keys, out)
	default:
		for _, sh := range p.shards {
			if err = sh.Get(keys, out); err != nil {
				break
			}
		}
	}
	if p.s.rows.applying.Load() > uint64(p.s.marks.Published()) || p.s.Catalog() != cat {
		return false, nil
	}
	return true, err
}

// columnPoint implements storage.Point for a table of columns alone: it reads as a
// snapshot of what is published, and looks afterwards whether that is still so. Then it
// needs no place in the registry of snapshots: what is dropped is what one there, or
// later, does not see.
type columnPoint struct {
	s      *Store
	tt     *table
	t      *catalog.Table
	cols   []int
	gen    *generation
	keyAt  []int
	keyed  bool
	shards []*column.Point // of gen
	begun  func()          // of tests: called when a look-up has its state
}

// columnPointTries is how often a look-up beside commits is made before it takes a
// snapshot.
const columnPointTries = 3

func (s *Store) columnPoint(tt *table, t *catalog.Table, cols []int) storage.Point {
	p := &columnPoint{s: s, tt: tt, t: t, cols: slices.Clone(cols)}
	p.keyAt, p.keyed = keyDistribution(t)
	if !p.turn(tt.at(s.marks.Published())) {
		return nil
	}
	return p
}

// turn has p read a generation: the table may be emptied, which makes another, while a
// plan of it lives on.
func (p *columnPoint) turn(g *generation) bool {
	if g == nil || len(g.shards) != max(p.t.Shards, 1) {
		return false // another generation is on its way
	}
	shards := make([]*column.Point, len(g.shards))
	for i, sh := range g.shards {
		r, err := sh.col.Point(p.t, p.cols)
		if err != nil {
			return false
		}
		shards[i] = r
	}
	p.gen, p.shards = g, shards
	return true
}

// Get implements storage.Point.
func (p *columnPoint) Get(cat *catalog.Version, keys, out *vec.Batch) (ok bool, err error) {
	for try := 0; try < columnPointTries; try++ {
		at := p.s.marks.Published()
		if p.s.hist.at(at) != cat {
			return false, nil
		}
		if g := p.tt.at(at); g != p.gen && !p.turn(g) {
			return false, nil
		}
		if p.begun != nil {
			p.begun()
		}
		switch {
		case len(p.shards) == 1:
			err = p.shards[0].Get(at, keys, out)
		case p.keyed:
			err = p.shards[shardOfKey(keys, p.keyAt, len(p.shards))].Get(at, keys, out)
		default:
			for _, sh := range p.shards {
				if err = sh.Get(at, keys, out); err != nil {
					break
				}
			}
		}
		if p.s.marks.Published() == at {
			return true, err
		}
		out.Reset()
	}
	return false, nil
}

var _ storage.PointTxn = (*tx)(nil)

// ReadsPublished implements storage.PointTxn.
func (x *tx) ReadsPublished(table uint32) (at storage.CSN, ok, behind bool) {
	if x.done || x.broken != nil || x.opts.Isolation == storage.RepeatableRead || x.ddl != nil || x.own[table] != nil {
		return 0, false, false
	}
	at = x.s.marks.Published()
	return at, x.opts.After <= at, x.after() > at
}
