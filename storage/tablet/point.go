package tablet

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
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
	if tt == nil || t.Kind != catalog.KindTable || t.IsBinlog || !t.StoresRows() {
		return nil
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

var _ storage.PointTxn = (*tx)(nil)

// ReadsPublished implements storage.PointTxn.
func (x *tx) ReadsPublished(table uint32) (at storage.CSN, ok bool) {
	if x.done || x.broken != nil || x.opts.Isolation == storage.RepeatableRead || x.ddl != nil || x.own[table] != nil {
		return 0, false
	}
	at = x.s.marks.Published()
	return at, x.opts.After <= at
}
