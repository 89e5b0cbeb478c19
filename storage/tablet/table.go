package tablet

import (
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
)

// table is a native table's tablets, by generation. A generation begins when the
// table is created, truncated or rewritten, and has tablets of its own: snapshots
// from before keep reading the older one, whose files go with the last of them.
type table struct {
	oid uint32

	mu   sync.Mutex
	gens []*generation // ascending; the last is current, or is the table's end
}

type generation struct {
	from   storage.CSN // snapshots at or above read it; also its number in the manifest
	shards []*shard    // nil: the table is dropped
}

// shard is one tablet. Its latch orders writers: whoever stages holds it, and
// several are taken in the order of before.
type shard struct {
	latch sync.Mutex
	oid   uint32
	index int
	log   bool // of the table's binlog
	gen   *generation
	col   *column.Tablet
	// row is the row tablet of a table that stores rows. One that stores no columns has
	// a column tablet all the same, which stays empty.
	row  *row.Tablet
	only bool // no columns are stored
	// def is the table as new rows must have it, and retired says that a newer
	// generation took over. Both are guarded by the latch.
	def     *catalog.Table
	retired bool
}

// rowOnly says that the shard's rows are in its row tablet alone.
func (s *shard) rowOnly() bool { return s.only }

// before orders latches.
func (a *shard) before(b *shard) bool {
	if a.oid != b.oid {
		return a.oid < b.oid
	}
	return a.index < b.index
}

func (s *Store) table(oid uint32) *table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables[oid]
}

// at is the generation that a snapshot at csn reads; nil for none.
func (t *table) at(csn storage.CSN) *generation {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.gens) - 1; i >= 0; i-- {
		if t.gens[i].from <= csn {
			return t.gens[i]
		}
	}
	return nil
}

// current lists the shards that take writes.
func (t *table) current() []*shard {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.gens) == 0 {
		return nil
	}
	return t.gens[len(t.gens)-1].shards
}

// newGeneration makes tablets for a table; state is what the manifest knows.
func (s *Store) newGeneration(def *catalog.Table, state *tableState) (*generation, error) {
	g := &generation{}
	if state != nil {
		g.from = state.gen
	}
	n := max(def.Shards, 1)
	for i := 0; i < n; i++ {
		cfg := column.Config{Table: def, Shard: i, Files: s.data, NextFile: s.newFile, Watermark: s.marks.Live, Limits: s.opts.Limits,
			Cache: s.cache, Filters: &s.filters, Written: &s.written, Scans: &s.scans}
		if state != nil {
			if st := state.shards[i]; st != nil {
				cfg.State = *st
			}
		}
		c, err := column.Open(cfg)
		if err != nil {
			g.close()
			return nil, err
		}
		sh := &shard{oid: def.OID, index: i, log: def.IsBinlog, gen: g, col: c, def: def}
		if def.StoresRows() {
			s.rows.on.Store(true)
			sh.only = !def.StoresColumns()
			sh.row = row.New(row.Config{DB: s.db, Runs: s.runs, Table: def, Shard: i, Applied: s.inPebble, Sets: &s.rowSets})
		}
		g.shards = append(g.shards, sh)
	}
	return g, nil
}

// setSchema gives the shard's tablets a definition of the table.
func (s *shard) setSchema(def *catalog.Table) {
	s.def = def
	s.col.SetSchema(def)
	if s.row != nil {
		s.row.SetSchema(def)
	}
}

// inPebble is the newest commit such that it and all before it are in Pebble or in
// the runs before it.
func (s *Store) inPebble() storage.CSN { return storage.CSN(s.rowsAt.Load()) }

func (g *generation) number() storage.CSN { return g.from }

func (g *generation) close() {
	for _, sh := range g.shards {
		sh.col.Close()
	}
}

// push makes g the current generation of a table from csn on.
func (s *Store) push(oid uint32, g *generation, csn storage.CSN) { s.pushTo(s.tables, oid, g, csn) }

func (s *Store) pushTo(tables map[uint32]*table, oid uint32, g *generation, csn storage.CSN) {
	s.mu.Lock()
	t := tables[oid]
	if t == nil {
		t = &table{oid: oid}
		tables[oid] = t
	}
	s.mu.Unlock()
	g.from = csn
	for _, sh := range g.shards {
		if sh.row != nil {
			sh.row.From(csn)
		}
	}
	t.mu.Lock()
	t.gens = append(t.gens, g)
	t.mu.Unlock()
}

// dropGenerations removes what no snapshot at or above oldest reads, once the
// manifest knows that it is over.
func (s *Store) dropGenerations(oldest storage.CSN) {
	var gone []*generation
	s.floorMu.Lock()
	for csn := range s.switches {
		oldest = min(oldest, csn-1)
	}
	s.floorMu.Unlock()
	s.mu.Lock()
	for _, tables := range [...]map[uint32]*table{s.tables, s.logs} {
		for oid, t := range tables {
			t.mu.Lock()
			for len(t.gens) > 1 && t.gens[1].from <= oldest {
				gone = append(gone, t.gens[0])
				t.gens = append([]*generation(nil), t.gens[1:]...)
			}
			if len(t.gens) == 1 && t.gens[0].shards == nil && t.gens[0].from <= oldest {
				delete(tables, oid)
			}
			t.mu.Unlock()
		}
	}
	s.mu.Unlock()
	for _, g := range gone {
		for _, sh := range g.shards {
			sh.col.DropFiles()
		}
	}
}

// errSchemaChanged is what a write gets that was planned for another definition of
// its table; whoever planned it does so again.
func errSchemaChanged(planned, now *catalog.Table) error {
	v := uint64(0)
	if now != nil {
		v = now.SchemaVersion
	}
	return sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState,
		"the requested table name: %s (id: %d, version: %d) mismatches the version of the table (id: %d, version: %d) from server",
		planned.Name, planned.OID, planned.SchemaVersion, planned.OID, v)
}
