package tablet

import (
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
)

// statsCaches has what is known of each table's data, by OID.
type statsCaches struct {
	mu     sync.Mutex
	tables map[uint32]*statsCache
}

// statsCache is for either orientation; that of a hybrid table is of its columns.
type statsCache struct {
	columns column.StatsCache
	rows    row.StatsCache
}

func (c *statsCaches) of(oid uint32) *statsCache {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tables == nil {
		c.tables = map[uint32]*statsCache{}
	}
	if c.tables[oid] == nil {
		c.tables[oid] = new(statsCache)
	}
	return c.tables[oid]
}

// Stats implements storage.Store.
func (s *Store) Stats(oid uint32) *stats.Table {
	t := s.table(oid)
	if t == nil {
		s.stats.mu.Lock()
		delete(s.stats.tables, oid)
		s.stats.mu.Unlock()
		return &stats.Table{}
	}
	var tablets []*column.Tablet
	var rows []*row.Tablet
	var def *catalog.Table
	for _, sh := range t.current() {
		tablets = append(tablets, sh.col)
		def = sh.col.Table()
		if sh.row != nil {
			rows = append(rows, sh.row)
		}
	}
	if def == nil {
		return &stats.Table{}
	}
	if len(rows) > 0 && !def.StoresColumns() {
		return s.stats.of(oid).rows.Get(def, rows)
	}
	return s.stats.of(oid).columns.Get(def, tablets)
}

// LockWaits implements storage.LockWaits.
func (s *Store) LockWaits() map[any][]any { return s.locks.Waiting() }

// WaitsBegun is how many waits for locks of rows and tables have begun.
func (s *Store) WaitsBegun() int64 { return s.locks.Waits() }

// Writes implements storage.WriteCounter.
func (s *Store) Writes(oid uint32) (w storage.Writes) {
	t := s.table(oid)
	if t == nil {
		return w
	}
	for _, sh := range t.current() {
		x := sh.col.Writes()
		if sh.row != nil && !sh.col.Table().StoresColumns() {
			x = sh.row.Writes()
		}
		w.Inserted += x.Inserted
		w.Updated += x.Updated
		w.Deleted += x.Deleted
	}
	return w
}

// Written gives counters of bytes written since the start: to the log, and to files of
// column tablets by reason.
func (s *Store) Written() (log int64, files *column.Written) { return s.log.Written(), &s.written }

// FilterBytes is the memory that key filters take.
func (s *Store) FilterBytes() int64 { return s.filters.Bytes() }
