package tablet

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
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
	if x.done || x.broken != nil || x.opts.Isolation == storage.RepeatableRead || x.ddl != nil {
		return 0, false, false
	}
	at = x.s.marks.Published()
	return at, x.opts.After <= at, x.after() > at
}

// ownRowMax is how many operations OwnRow looks through.
const ownRowMax = 64

// OwnRow implements storage.PointTxn. The operations of a transaction that locks its keys
// when statements run are what its commit will do; the last one of a key counts.
func (x *tx) OwnRow(t *catalog.Table, cols []int, keys, out *vec.Batch) storage.OwnRow {
	o := x.own[t.OID]
	if o == nil {
		return storage.NotOwn
	}
	if !x.opts.Explicit || x.unlocked || x.ddl != nil || len(x.past) > 0 || o.fresh || o.running != nil ||
		o.t.SchemaVersion != t.SchemaVersion || len(t.PK) == 0 || len(keys.Cols) != len(t.PK) {
		return storage.OwnAsk
	}
	for _, c := range cols {
		if c < 0 && c != catalog.ColCSN {
			return storage.OwnAsk
		}
	}
	k := 0
	if len(o.shards) > 1 {
		at, keyed := keyDistribution(t)
		if !keyed {
			return storage.OwnAsk
		}
		k = shardOfKey(keys, at, len(o.shards))
	}
	s := o.shards[k]
	if s.spilled {
		return storage.OwnAsk
	}
	n := 0
	for i := range s.chunks {
		if n += s.chunks[i].Len(); n > ownRowMax {
			return storage.OwnAsk
		}
	}
	for i := len(s.chunks) - 1; i >= 0; i-- {
		c := &s.chunks[i]
		for r := c.Len() - 1; r >= 0; r-- {
			if !isOf(c, t, r, keys) {
				continue
			}
			if c.Op == storage.OpDelete {
				return storage.OwnGone
			}
			for j, col := range cols {
				if col == catalog.ColCSN {
					out.Cols[j].AppendDatum(types.NewInt(0))
					continue
				}
				out.Cols[j].Copy(c.Rows.Cols[col], []uint16{uint16(r)}, c.Len())
			}
			out.N++
			return storage.OwnFound
		}
	}
	return storage.NotOwn
}

// isOf says whether operation r of a chunk is of the one key in keys.
func isOf(c *storage.Chunk, t *catalog.Table, r int, keys *vec.Batch) bool {
	at := keys.Row(0)
	for k, p := range t.PK {
		v := keys.Cols[k]
		var own *vec.Vec
		if c.Keys != nil {
			own = c.Keys.Cols[k]
		} else {
			own = c.Rows.Cols[p]
		}
		same := false
		switch a, b := own.Source(), v.Source(); {
		case own.T.Layout == types.LayoutI32 && v.T.Layout == types.LayoutI32:
			same = a.I32[own.Index(r)] == b.I32[v.Index(at)]
		case own.T.Layout == types.LayoutI64 && v.T.Layout == types.LayoutI64:
			same = a.I64[own.Index(r)] == b.I64[v.Index(at)]
		default:
			same = types.Equal(own.T, own.Datum(r), v.Datum(at))
		}
		if !same {
			return false
		}
	}
	return true
}
