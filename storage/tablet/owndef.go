package tablet

import (
	"context"
	"errors"
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/vec"
)

// defineOwn takes over a table's definition that the transaction itself made: a
// new table gets private tablets, and rows written before get the new columns.
func (x *tx) defineOwn(oid uint32, t *catalog.Table) error {
	if t == nil || t.Kind != catalog.KindTable {
		return nil
	}
	o := x.own[oid]
	if o == nil {
		if old := x.seen[oid]; old == nil || old.Kind != catalog.KindTable {
			return x.emptyOwn(t)
		}
		return nil
	}
	n := &ownTable{t: t, fresh: o.fresh, gen: o.gen, next: o.next}
	for _, s := range o.shards {
		ns := &ownShard{bytes: s.bytes, sealed: len(s.chunks), overlay: s.overlay, spilled: s.spilled}
		for i := range s.chunks {
			ns.chunks = append(ns.chunks, recast(&s.chunks[i], o.t, t))
			ns.src = append(ns.src, s.src[i])
		}
		n.shards = append(n.shards, ns)
	}
	n.setSchema()
	x.own[oid] = n
	return nil
}

// setSchema gives the private tablets the table's definition.
func (o *ownTable) setSchema() {
	for _, s := range o.shards {
		if s.overlay != nil {
			s.overlay.SetSchema(o.t)
		}
	}
	if o.gen == nil {
		return
	}
	for _, sh := range o.gen.shards {
		if sh.def != o.t {
			sh.def = o.t
			sh.col.SetSchema(o.t)
		}
	}
}

// recast is a chunk with the columns of another definition of its table.
func recast(c *storage.Chunk, from, to *catalog.Table) storage.Chunk {
	n := *c
	if c.Rows == nil {
		return n
	}
	at := map[int32]int{}
	for i := range from.Columns {
		at[from.Columns[i].ID] = i
	}
	n.Rows = &vec.Batch{N: c.Rows.N, Cols: make([]*vec.Vec, len(to.Columns))}
	for i := range to.Columns {
		col := &to.Columns[i]
		if k, ok := at[col.ID]; ok && from.Columns[k].T.Layout == col.T.Layout {
			n.Rows.Cols[i] = c.Rows.Cols[k]
			continue
		}
		v := new(vec.Vec)
		v.SetConst(col.T, col.Missing, c.Rows.N)
		n.Rows.Cols[i] = v
	}
	return n
}

// emptyOwn begins a table anew in the transaction: nothing of what was in it is
// left, and what is written goes to private tablets until the commit.
func (x *tx) emptyOwn(t *catalog.Table) error {
	g, err := x.s.newGeneration(t, nil)
	if err != nil {
		return err
	}
	if x.own[t.OID] == nil {
		x.order = append(x.order, t.OID)
	}
	o := newOwnTable(x.s, t)
	o.fresh, o.gen = true, g
	if x.own == nil {
		x.own = map[uint32]*ownTable{}
	}
	x.own[t.OID] = o
	return nil
}

func newOwnTable(s *Store, t *catalog.Table) *ownTable {
	o := &ownTable{t: t, shards: make([]*ownShard, max(t.Shards, 1)), next: int(s.spread.Add(1))}
	for i := range o.shards {
		o.shards[i] = &ownShard{}
	}
	return o
}

// discard releases what the transaction made for the table and no commit took over.
func (o *ownTable) discard() {
	for _, s := range o.shards {
		if s.overlay != nil {
			s.overlay.Close()
			s.overlay = nil
		}
	}
	if o.gen != nil && o.gen.from == 0 {
		o.gen.close()
	}
}

// over lays the table's own rows over snapshots of its shards, which it closes
// when it fails.
func (o *ownTable) over(x *Store, base []*column.Snapshot) ([]*column.Snapshot, error) {
	for i, s := range o.shards {
		if !s.any() {
			continue
		}
		s.sealed = len(s.chunks)
		n, err := s.need(x, o.t, i).Over(base[i], s.chunks)
		if err != nil {
			for k, b := range base {
				if k != i {
					b.Close()
				}
			}
			return nil, err
		}
		base[i] = n.For(o.t)
	}
	return base, nil
}

func (s *ownShard) need(st *Store, t *catalog.Table, index int) *column.Overlay {
	if s.overlay == nil {
		s.overlay = column.NewOverlay(t, index, st.data, st.newFile, st.opts.Limits)
	}
	return s.overlay
}

// spillAt is the size at which a set begins to move to side files while it is
// still growing: large, so that the files are.
func (s *Store) spillAt(shards int) int64 {
	return max(s.opts.Limits.SpillBytes, min(int64(shards)*s.opts.Limits.FlushBytes, s.opts.MemoryLimit/4))
}

func (o *ownTable) bytes() (n int64) {
	for _, s := range o.shards {
		n += s.bytes
	}
	return n
}

// spill moves a set that has grown large to side files.
func (o *ownTable) spill(ctx context.Context, x *tx) error {
	n := o.bytes()
	if n < x.s.spillAt(len(o.shards)) {
		return nil
	}
	if len(x.marks) > 0 {
		// What a savepoint may bring back stays in memory.
		if n > x.s.opts.MemoryLimit/2 {
			return sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").
				WithDetail("A transaction with savepoints has written %d bytes.", n)
		}
		return nil
	}
	return o.spillNow(ctx, x)
}

// spillNow moves all rows to side files, the shards side by side.
func (o *ownTable) spillNow(ctx context.Context, x *tx) error {
	errs := make([]error, len(o.shards))
	var wg sync.WaitGroup
	for i, s := range o.shards {
		if len(s.chunks) == 0 {
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			err := s.spill(ctx, x.s, o.t, i)
			var dup *column.DuplicateKeyError
			if errors.As(err, &dup) {
				err = errDuplicate(o.t, dup.Keys, dup.Row)
			}
			errs[i] = err
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *ownShard) spill(ctx context.Context, st *Store, t *catalog.Table, index int) error {
	rest, err := s.need(st, t, index).Spill(ctx, s.chunks)
	if err != nil {
		return err
	}
	s.chunks, s.src = rest, make([]*source, len(rest))
	s.sealed, s.bytes, s.spilled = len(rest), 0, true
	return nil
}

// finishSpill moves the rest of a large set to side files before its commit.
func (x *tx) finishSpill(ctx context.Context) error {
	for _, oid := range x.order {
		o := x.own[oid]
		some := false
		for _, s := range o.shards {
			some = some || s.spilled
		}
		if !some && (o.bytes() <= x.s.opts.Limits.SpillBytes || len(x.marks) > 0) {
			continue
		}
		if err := o.spillNow(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// views is the transaction's own writes that a snapshot taken now has to see.
func (x *tx) views() map[uint32]*ownTable {
	if len(x.own) == 0 || !x.opts.Explicit && x.ddl == nil {
		return nil
	}
	v := map[uint32]*ownTable{}
	for oid, o := range x.own {
		if o.fresh || o.any() {
			v[oid] = o
		}
	}
	return v
}

// settle has the open snapshots of the transaction read a table as it is, before
// more is written to it.
func (x *tx) settle(o *ownTable) error {
	for n := range x.snaps {
		if n.own[o.t.OID] == nil {
			continue
		}
		if _, err := n.Relation(o.t); err != nil {
			return err
		}
	}
	return nil
}
