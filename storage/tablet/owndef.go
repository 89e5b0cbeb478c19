package tablet

import (
	"context"
	"github.com/millrace/millrace/catalog"
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
	if err := o.join(context.Background()); err != nil {
		return err
	}
	n := &ownTable{t: t, fresh: o.fresh, gen: o.gen, next: o.next, bases: o.bases, large: o.large, keyed: o.keyed, locked: o.locked}
	for _, s := range o.shards {
		ns := &ownShard{bytes: s.bytes, sealed: len(s.chunks), overlay: s.overlay, spilled: s.spilled, rows: s.rows, inRows: s.inRows, blind: s.blind}
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
		if s.rows != nil {
			s.rows.SetSchema(o.t)
		}
	}
	if o.gen == nil {
		return
	}
	for _, sh := range o.gen.shards {
		if sh.def != o.t {
			sh.setSchema(o.t)
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
	if old := x.own[t.OID]; old == nil {
		x.order = append(x.order, t.OID)
	} else {
		x.past = append(x.past, old)
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
	o.stop()
	for _, s := range o.shards {
		if s.overlay != nil {
			s.overlay.Close()
			s.overlay = nil
		}
		if s.rows != nil {
			s.rows.Close()
			s.rows = nil
		}
	}
	o.closeBases()
	if o.gen != nil && o.gen.from == 0 {
		o.gen.close()
	}
}

// over lays the table's own rows over snapshots of its shards, which it closes
// when it fails.
func (o *ownTable) over(x *Store, base []*column.Snapshot) ([]*column.Snapshot, error) {
	if err := o.join(context.Background()); err != nil {
		for _, b := range base {
			b.Close()
		}
		return nil, err
	}
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
		s.overlay.CountWrites(&st.written)
	}
	return s.overlay
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
