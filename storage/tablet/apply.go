package tablet

import (
	"github.com/cockroachdb/pebble/v2"

	catstore "github.com/millrace/millrace/catalog/store"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/wal"
)

// applyBytes is the size at which a batch for Pebble is committed before the group is
// through. Readers do not see the parts: they have the state from before the group
// until all of it is published. In a crash Pebble may keep a part, which replay then
// writes over: the covered commit is in the last batch.
const applyBytes = 4 << 20

// apply puts into Pebble what commits that are durable changed of the catalog, of
// notes and of row tablets: in their order, in one batch where it is small.
func (s *Store) apply(es []*wal.Entry) error {
	last := storage.CSN(0)
	rows := false
	for _, e := range es {
		c := e.Tag.(*commit)
		if c.hasRows() {
			last, rows = e.CSN, true
		} else if len(c.kvs) > 0 || len(c.x.notes) > 0 {
			last = e.CSN
		}
	}
	if last == 0 {
		s.rowsAt.Store(uint64(es[len(es)-1].CSN))
		return nil
	}
	if rows {
		// Their changes are stamped then, and what is applied can be published at once.
		s.marks.WaitApplied(last, nil)
		s.rows.hold()
	}
	write := func(b *pebble.Batch) error {
		if rows {
			s.rows.applying.Store(uint64(last))
		}
		return b.Commit(pebble.NoSync)
	}
	g := s.groupOf(es)
	if g != nil && rowsAlone(es) && s.keepsRuns() {
		return s.applyRun(es, last, g)
	}
	// What follows comes after what the runs have.
	if err := s.drainRuns(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	var size int64
	for _, e := range es {
		if e.CSN > last {
			break
		}
		n, err := e.Tag.(*commit).apply(&b, e.CSN, g, write)
		if err != nil {
			return err
		}
		size += n
	}
	if g != nil {
		s.rows.applying.Store(uint64(last))
		if err := g.Apply(s.db); err != nil {
			return err
		}
	}
	if err := setCovered(b, last); err != nil {
		return err
	}
	if err := write(b); err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	s.applied(es, last, size)
	return nil
}

// applied notes what was applied.
func (s *Store) applied(es []*wal.Entry, last storage.CSN, size int64) {
	s.floorMu.Lock()
	s.dbApplied = last
	s.rowBytes += size
	s.floorMu.Unlock()
	s.rowsAt.Store(uint64(es[len(es)-1].CSN))
}

// groupOf is a group for the rows of commits; nil when they are few and no runs are
// before them, or when tables that are emptied or files of large sets have their place
// among them.
func (s *Store) groupOf(es []*wal.Entry) *row.Group {
	n := 0
	for _, e := range es {
		c := e.Tag.(*commit)
		for _, w := range c.swaps {
			if w.rows {
				return nil
			}
		}
		for _, p := range c.parts {
			if p.set != nil {
				return nil
			}
			if p.changes != nil {
				n += p.changes.Len()
			}
		}
	}
	if n < s.opts.RowRunsFrom && (n == 0 || !s.runs.Any()) {
		return nil
	}
	return &row.Group{}
}

func (c *commit) hasRows() bool {
	for _, p := range c.parts {
		if p.changes != nil || p.set != nil {
			return true
		}
	}
	for _, w := range c.swaps {
		if w.rows {
			return true
		}
	}
	return false
}

// apply adds a commit's changes to the batch, those of rows to the group if there is
// one, and says how many bytes of rows it had.
// A batch that has become large it commits, and goes on with another.
// So it does before files of a large set, which come upon what was written before.
func (c *commit) apply(b **pebble.Batch, csn storage.CSN, g *row.Group, write func(*pebble.Batch) error) (size int64, err error) {
	if err := catstore.Apply(*b, c.kvs); err != nil {
		return 0, err
	}
	if err := applyNotes(*b, c.x.noteSets()); err != nil {
		return 0, err
	}
	for _, w := range c.swaps {
		if w.rows {
			if err := row.Empty(*b, w.oid); err != nil {
				return 0, err
			}
		}
	}
	files := rowFiles{csn: csn}
	for _, p := range c.parts {
		for _, f := range p.tables {
			files.names = append(files.names, f.Name)
			size += f.Size
		}
		if p.changes == nil {
			continue
		}
		size += int64(p.changes.Bytes())
		if g != nil {
			g.Add(p.changes)
			continue
		}
		if err := p.changes.Apply(*b); err != nil {
			return 0, err
		}
		if (*b).Len() > applyBytes {
			if err := write(*b); err != nil {
				return 0, err
			}
			*b = c.x.s.db.NewBatch()
		}
	}
	if len(files.names) == 0 {
		return size, nil
	}
	if err := c.x.s.rowSets.Committed(*b, c.x.set, csn); err != nil {
		return 0, err
	}
	if err := write(*b); err != nil {
		return 0, err
	}
	*b = c.x.s.db.NewBatch()
	if err := c.x.s.ingest(files); err != nil {
		return 0, err
	}
	for _, p := range c.parts {
		if p.set != nil && p.sh.rowOnly() {
			p.sh.row.Ingested()
		}
	}
	return size, nil
}
