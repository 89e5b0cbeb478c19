// Package tablet ties a node's storage together: the log, the catalog, the
// tablets of all tables and shards, and the manifest. Open recovers a data
// directory and returns the storage.Store that everything else works with.
//
// Files of a data directory:
//
//	FORMAT      the directory's format version
//	LOCK        locked while a process uses it
//	MANIFEST    which files hold which tablet's rows, up to which commit
//	log/        the log (package wal)
//	data/       segments, deletes files, side files of large commits
//	catalog/    Pebble: the catalog, and the rows of row tablets
//
// A commit goes through commit.go; tx.go and write.go are what comes before it,
// recover.go does it again from the log. maintain.go flushes, compacts and trims.
package tablet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/txn"
	"github.com/millrace/millrace/storage/wal"
)

// Options are a node's settings. Zero fields take the defaults.
type Options struct {
	// MemoryLimit bounds memtables; writers wait at it. 0: 1 GiB.
	MemoryLimit int64
	// FilterBytes is how much memory key filters may take beside the files, so that
	// lookups need not go to each; 0: a quarter of MemoryLimit. It counts against
	// MemoryLimit.
	FilterBytes int64
	// CacheBytes is how much of the strings in compressed segments is kept
	// decompressed; 0: a quarter of MemoryLimit, negative: nothing.
	CacheBytes int64
	// Shards is the shard count of the default table group of a new directory; 0: one a core, at most 8.
	Shards int
	// Clock is the time; nil: the system's.
	Clock func() time.Time
	// Logger gets what an operator should know; nil: slog.Default.
	Logger *slog.Logger
	// Fatal is told when the log or the manifest could not be written: what is on
	// disk is unknown, and the process must stop and recover. Nil: panic. If it
	// returns, every later call of the store fails.
	Fatal func(error)
	// LogFileBytes is the size of a log file (64 MiB), LogBytesMax that of the whole
	// log (1 GiB, for quick restarts): at half of it the tablets that hold it back are flushed, at the
	// cap writers wait.
	LogFileBytes, LogBytesMax int64
	// Limits are the sizes at which tablets act.
	Limits column.Limits
	// SettleAfter is how long a tablet's files must have stayed the same before
	// compaction gives them their lasting form; 0: 10 s.
	SettleAfter time.Duration
	// RowRunsFrom is how many changes of row tablets commits that become durable together
	// have at least to be kept as a sorted run, and RowRunsBytes how large such runs grow
	// before they go to Pebble; 0: 256, and a memtable.
	RowRunsFrom  int
	RowRunsBytes int64
	// Manual turns background flushes and compactions off, for tests.
	Manual bool
	// LockTimeout bounds waits for key locks; 0: none.
	LockTimeout time.Duration
}

func (o *Options) defaults() {
	if o.MemoryLimit == 0 {
		o.MemoryLimit = 1 << 30
	}
	if o.FilterBytes == 0 {
		o.FilterBytes = o.MemoryLimit / 4
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = o.MemoryLimit / 4
	}
	if o.Shards == 0 {
		o.Shards = min(runtime.GOMAXPROCS(0), 8)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(fmt.Sprintf("tablet: the log failed: %v", err)) }
	}
	if o.LogFileBytes == 0 {
		o.LogFileBytes = 64 << 20
	}
	if o.LogBytesMax == 0 {
		o.LogBytesMax = 1 << 30
	}
	if o.SettleAfter == 0 {
		o.SettleAfter = 10 * time.Second
	}
	if o.RowRunsFrom == 0 {
		o.RowRunsFrom = 256
	}
	if o.Limits.FlushBytes == 0 {
		o.Limits.FlushBytes = min(64<<20, max(o.MemoryLimit/8, 1<<20))
	}
	if o.Limits.SpillBytes == 0 {
		o.Limits.SpillBytes = 16 << 20
	}
}

// Store implements storage.Store on one data directory.
type Store struct {
	opts Options
	dir  blob.Dir
	data blob.Dir
	lock io.Closer

	log     *wal.Log
	db      *pebble.DB
	runs    *row.Runs
	rows    rowViews
	man     *manifest
	cache   *segment.HeapCache
	filters column.FilterBudget
	written column.Written
	scans   column.Scans
	locks   *txn.Locks
	marks   txn.Watermarks
	hist    history

	nextFile atomic.Uint64
	nextOID  atomic.Uint32

	// ddlMu is held by a commit that changes the catalog, from its checks to its
	// place in the log.
	ddlMu sync.Mutex

	mu     sync.RWMutex
	tables map[uint32]*table
	logs   map[uint32]*table // their binlogs
	stats  statsCaches

	// Floors of the log besides the tablets: see floor.
	floorMu    sync.Mutex
	switches   map[storage.CSN]bool // generations that the manifest does not know yet
	dbApplied  storage.CSN          // newest commit that changed Pebble, or the runs before it
	dbFlushed  storage.CSN          // newest such commit that is in Pebble's files
	dbErr      chan error           // of Pebble's background work
	rowBytes   int64                // of rows that were applied since Pebble's last flush
	rowMem     int64                // how large one of Pebble's memtables is at most
	rowStalls  atomic.Int64         // how often Pebble let writers wait
	rowsAt     atomic.Uint64        // all commits at or below are in Pebble, or in runs
	drains     sync.WaitGroup       // of runs
	draining   atomic.Bool
	rowFiles   []rowFiles // of large sets that Pebble has taken in, by commit
	rowSets    row.Sets
	nextSet    atomic.Uint64
	rowTables  sstable.WriterOptions // of Pebble's lowest level
	maintainer maintainer
	holder     atomic.Pointer[storage.BinlogHolder]

	spread  atomic.Uint32 // where tables without a distribution begin
	writes  atomic.Uint64
	pressed atomic.Bool

	failed  atomic.Pointer[error]
	ctx     context.Context // ends with Close
	cancel  context.CancelCauseFunc
	asides  sync.WaitGroup
	closing sync.Once
}

var _ storage.Store = (*Store)(nil)

var errClosed = sqlstate.Errorf(sqlstate.AdminShutdown, "terminating connection due to administrator command")

// postgresEpoch is 2000-01-01 in Unix microseconds.
const postgresEpoch = 946684800000000

func (s *Store) now() int64 { return s.opts.Clock().UnixMicro() - postgresEpoch }

// fail stops the store after a write that must not fail did.
func (s *Store) fail(err error) {
	if !s.failed.CompareAndSwap(nil, &err) {
		return
	}
	s.cancel(fmt.Errorf("storage has stopped: %w", err))
	s.opts.Logger.Error("storage stops: a write of the log or manifest failed", "err", err)
	s.opts.Fatal(err)
}

// broken is the error of a store that stopped or was closed.
func (s *Store) broken() error {
	if p := s.failed.Load(); p != nil {
		code := sqlstate.CodeOf(*p)
		if code != sqlstate.DiskFull {
			code = sqlstate.IOError
		}
		return sqlstate.Errorf(code, "storage has stopped: %v", *p).
			WithDetail("Whether a commit that was under way took place is known after recovery.")
	}
	if s.ctx.Err() != nil {
		return errClosed
	}
	return nil
}

// Snapshot registers a snapshot of the newest published state.
func (s *Store) Snapshot() storage.Snapshot { return s.snapshot(0) }

func (s *Store) snapshot(atLeast storage.CSN) *snapshot {
	n := &snapshot{s: s}
	n.at, n.rows = s.register(atLeast, func(at storage.CSN) { n.cat = s.hist.at(at) })
	return n
}

// Catalog is the newest published catalog version.
func (s *Store) Catalog() *catalog.Version { return s.hist.at(s.marks.Published()) }

// DiskBytes is the size on disk of one table, or for 0 of everything.
func (s *Store) DiskBytes(oid uint32) int64 {
	var n int64
	if oid != 0 {
		if t := s.table(oid); t != nil {
			for _, sh := range t.current() {
				n += sh.col.DiskBytes()
				if sh.row != nil {
					n += sh.row.DiskBytes()
				}
			}
		}
		if t := s.logTable(oid); t != nil {
			for _, sh := range t.current() {
				n += sh.col.DiskBytes()
			}
		}
		return n
	}
	for _, f := range s.log.Files() {
		n += f.Bytes
	}
	for _, name := range []string{"data", "catalog"} {
		d, err := s.dir.Sub(name)
		if err != nil {
			continue
		}
		infos, _ := d.List()
		for _, in := range infos {
			n += in.Size
		}
	}
	return n
}

// newFile is a name that no file of this node has had.
func (s *Store) newFile() string { return fmt.Sprintf("%012x", s.nextFile.Add(1)) }

// Close flushes nothing: the log has everything. It syncs the log and releases
// what the store holds. Snapshots and transactions must be over.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		if !s.opts.Manual && s.failed.Load() == nil {
			// The next start need not replay the catalog; if this fails, it will.
			if err := s.flushCatalog(); err != nil {
				s.opts.Logger.Warn("catalog could not be flushed", "err", err)
			}
		}
		s.cancel(errClosed)
		s.maintainer.wait()
		s.asides.Wait()
		err = s.log.Close()
		if errors.Is(err, wal.ErrClosed) {
			err = nil
		}
		if merr := s.man.close(); err == nil {
			err = merr
		}
		s.drains.Wait() // nobody is left who begins one
		s.rows.close()
		if derr := s.db.Close(); err == nil {
			err = derr
		}
		s.closeTablets()
		if s.lock != nil {
			s.lock.Close()
		}
		if s.failed.Load() != nil {
			err = *s.failed.Load()
		}
	})
	return err
}

func (s *Store) closeTablets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tables := range [...]map[uint32]*table{s.tables, s.logs} {
		for _, t := range tables {
			for _, g := range t.gens {
				g.close()
			}
		}
	}
}
