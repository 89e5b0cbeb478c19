package tablet

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/row"
)

// compactRows merges the files of row tablets: those of one table, or of all for 0.
func (s *Store) compactRows(ctx context.Context, oid uint32) error {
	if !s.rows.on.Load() {
		return nil
	}
	prefix := []byte{row.Prefix}
	if oid != 0 {
		prefix = row.TablePrefix(oid)
	}
	if err := s.flushCatalog(); err != nil {
		return err
	}
	return s.db.Compact(ctx, prefix, row.PrefixEnd(prefix), false)
}

// rowFiles are the files of a large set for row tablets. Pebble takes them in when its
// commit is applied, and has links of its own then. Ours stay until Pebble has flushed
// what says so, since until then recovery may need them.
type rowFiles struct {
	csn   storage.CSN
	names []string
}

// ingest has Pebble take in files, above all that is applied.
func (s *Store) ingest(f rowFiles) error {
	paths := make([]string, len(f.names))
	for i, name := range f.names {
		paths[i] = dataPrefix + name
	}
	if err := s.db.Ingest(context.Background(), paths); err != nil {
		return err
	}
	s.floorMu.Lock()
	s.rowFiles = append(s.rowFiles, f)
	s.floorMu.Unlock()
	return nil
}

// dropRowFiles removes the files that recovery will not ask for any more.
func (s *Store) dropRowFiles() {
	s.floorMu.Lock()
	n := 0
	for n < len(s.rowFiles) && s.rowFiles[n].csn <= s.dbFlushed {
		n++
	}
	gone := slices.Clone(s.rowFiles[:n])
	s.rowFiles = slices.Delete(s.rowFiles, 0, n)
	s.floorMu.Unlock()
	for _, f := range gone {
		for _, name := range f.names {
			if err := s.data.Remove(name); err != nil {
				s.opts.Logger.Warn("file of a large set could not be removed", "file", name, "err", err) // the next start will
			}
		}
	}
}

// rowQuiet is since when row tablets have not changed.
type rowQuiet struct {
	at    storage.CSN
	since time.Time
}

// rowsShare bounds what settle rewrites: no more than this times what lies unmerged.
const rowsShare = 8

// settle flushes Pebble once nothing has been written for a while, so that a look-up need
// not search a large memtable first, and recovery has less to replay. Files of row tablets
// that overlap are merged, so that a look-up meets one level less for each of them.
func (q *rowQuiet) settle(ctx context.Context, s *Store) error {
	s.floorMu.Lock()
	at := s.dbApplied
	s.floorMu.Unlock()
	if now := time.Now(); q.since.IsZero() || at != q.at {
		q.at, q.since = at, now
		return nil
	} else if now.Sub(q.since) < s.opts.SettleAfter {
		return nil
	}
	if err := s.flushCatalog(); err != nil {
		return err
	}
	if !s.rows.on.Load() {
		return nil
	}
	if m := s.db.Metrics(); m.Levels[0].Sublevels < 2 || int64(m.DiskSpaceUsage()) > rowsShare*m.Levels[0].TablesSize {
		return nil
	}
	return s.compactRows(ctx, 0)
}

// RowMetrics are figures of the row tablets' store.
type RowMetrics struct {
	// Files and Bytes are of its files, ReadAmp how many of them a look-up may meet.
	Files, Bytes, ReadAmp int64
	// Memtables and Cache are bytes in memory.
	Memtables, Cache     int64
	Hits, Misses         int64 // of the cache
	Flushes, Compactions int64
	Flushed, Compacted   int64 // bytes written by them
	Debt                 int64 // bytes that are to be compacted
	Stalls               int64 // how often writers waited
}

// RowMetrics reads them.
func (s *Store) RowMetrics() RowMetrics {
	m := s.db.Metrics()
	t := m.Total()
	return RowMetrics{
		Files: t.TablesCount, Bytes: int64(m.DiskSpaceUsage()), ReadAmp: int64(m.ReadAmp()),
		Memtables: int64(m.MemTable.Size) + s.runs.Bytes() + s.runs.Held(), Cache: m.BlockCache.Size, Hits: m.BlockCache.Hits, Misses: m.BlockCache.Misses,
		Flushes: m.Flush.Count, Compactions: m.Compact.Count, Flushed: int64(t.TableBytesFlushed), Compacted: int64(t.TableBytesCompacted),
		Debt: int64(m.Compact.EstimatedDebt), Stalls: s.rowStalls.Load(),
	}
}
