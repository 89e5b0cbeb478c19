// Package storage is the contract between queries and the stores of tables: the
// Store with its snapshots and transactions, and below it the Tablet that the
// commit path drives. The machinery is in the sub-packages: tablet (ties all
// together; its Open returns a Store), txn, wal, column, row, segment, blob.
//
// Every write, whoever sends it, goes through Txn; every read is a scan of a
// Snapshot. Readers never wait for writers.
package storage

import (
	"context"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// CSN is a commit sequence number. It shares its counter with row numbers: a
// commit of n changes takes n+1 numbers, the last is its CSN. A snapshot at s
// sees exactly the commits with CSN ≤ s.
type CSN uint64

// Store holds all native tables of a node, and the catalog. It is safe for
// concurrent use.
type Store interface {
	// Snapshot registers a snapshot of the newest published state.
	Snapshot() Snapshot
	// Begin starts a transaction. It takes its snapshots by itself: REPEATABLE READ
	// at its first statement, READ COMMITTED one a statement.
	Begin(opts TxnOptions) Txn
	// Catalog is the newest published catalog version.
	Catalog() *catalog.Version
	// Stats are the newest statistics of a table; never nil.
	Stats(table uint32) *stats.Table
	// Flush writes all memtables to segments; Compact merges a table's segments (0:
	// all tables) until nothing is left to gain. Both return when done.
	Flush(ctx context.Context) error
	Compact(ctx context.Context, table uint32) error
	// Notes are the durable notes (see Txn.Note) whose keys begin with prefix.
	Notes(prefix string) (map[string][]byte, error)
	// DiskBytes is the size on disk of one table, or for 0 of everything.
	DiskBytes(table uint32) int64
	// Close flushes what is cheap to flush, syncs the log and releases everything.
	Close() error
}

// Writes counts rows written to a table.
type Writes struct{ Inserted, Updated, Deleted int64 }

// WriteCounter is a Store that counts what was written to its tables since it was
// opened.
type WriteCounter interface {
	Writes(table uint32) Writes
}

// LockWaits is a Store that tells whose transactions wait for a lock at present, and
// for whose: TxnOptions.Who of both.
type LockWaits interface {
	LockWaits() map[any][]any
}

// Snapshot is a consistent state of all tables. It is safe for concurrent use
// and must be closed; relations and readers of it are used before that.
type Snapshot interface {
	CSN() CSN
	Catalog() *catalog.Version
	// Relation gives access to a native table. The table is one of Catalog()'s.
	Relation(t *catalog.Table) (Relation, error)
	Close()
}

// Split is a part of a relation that one worker scans: a block of a segment, a
// range of a memtable. It is a value of the relation that made it. Rows is at
// most vec.BlockRows, and an upper bound.
type Split struct {
	Shard, Part, Block int
	Rows               int
	// InOrder: its rows come in the order that ScanSpec.First asks for.
	InOrder bool
}

// Relation is one table in one snapshot. Safe for concurrent use.
type Relation interface {
	// Splits lists the parts that may hold rows for spec, after pruning by zone
	// maps. total is the number of splits before pruning.
	Splits(ctx context.Context, spec *catalog.ScanSpec) (splits []Split, total int, err error)
	// Reader makes a reader for one worker. The reader applies spec.Filter exactly
	// for conjuncts that SimpleFilter accepts, and ignores others.
	Reader(spec *catalog.ScanSpec) (Reader, error)
	// Bounds encloses all values of a column by ordinal that the snapshot sees;
	// NULLs when there are none or they are not kept.
	Bounds(col int) (min, max types.Datum)
	// RowCount is exact when exact is true, else an upper bound of what column tablets
	// have, or an estimate for row tablets, which is 0 for an empty table alone.
	RowCount() (rows int64, exact bool)
	// Get looks rows up by full key (primary key columns in key order, or row_id):
	// found rows are appended to out (columns cols, ordinals or hidden), and the
	// index in keys of each to idx.
	Get(ctx context.Context, keys *vec.Batch, cols []int, out *vec.Batch, idx []uint16) ([]uint16, error)
}

// Reader scans splits one after another. A batch is lent until the next call; its
// columns are those of spec.Cols in that order, and it may carry a selection.
type Reader interface {
	// Open positions the reader at a split.
	Open(s Split) error
	// Next is the next batch of at most vec.Size rows, nil at the end of the split. Of a
	// row tablet it may have none: many were read, and none passed.
	Next() (*vec.Batch, error)
	// Prune narrows column i of spec.Cols to [min, max] (either may be NULL for
	// open) for all later batches: a runtime filter from a join's build side. The
	// reader may use it to skip, and need not.
	Prune(i int, min, max types.Datum)
	Close() error
}

// Isolation is a transaction's isolation level.
type Isolation uint8

// The levels.
const (
	ReadCommitted Isolation = iota
	RepeatableRead
)

// TxnOptions are the settings of a transaction.
type TxnOptions struct {
	Isolation Isolation
	ReadOnly  bool
	// Explicit transactions lock keys at statement time; a single autocommit
	// statement takes latches at its commit only.
	Explicit bool
	// Async commits are acknowledged before the log is synced.
	Async bool
	// Unhindered: the first write is a small one, of which LaterStore was asked. It does
	// not wait for memory; what comes after it does.
	Unhindered bool
	// Hasty: its writes end in ErrWaits rather than wait for others, and in whatever they
	// would else fail with too. Then it is to be rolled back, and done by one that waits.
	Hasty bool
	// Who is whose transaction it is, in the answers of LockWaits; nil for nobody's.
	Who any
	// After is a commit that the transaction must see though it may not be
	// published yet: the session's own last asynchronous one.
	After CSN
}

// Op is what a Mutation does to its rows.
type Op uint8

// The operations.
const (
	// OpInsert adds rows; a key that exists is 23505.
	OpInsert Op = iota
	// OpUpsert writes rows whether or not their keys exist.
	OpUpsert
	// OpUpdate replaces the rows of Keys by Rows (keys may differ); it is
	// conditioned on each row still being the version OldCSN.
	OpUpdate
	// OpDelete removes the rows of Keys, conditioned likewise.
	OpDelete
)

// Mutation is one batch of a statement's write set, in column batches of at most
// vec.Size rows. The batches are only read, and may be reused after Write returns.
type Mutation struct {
	Table *catalog.Table
	Op    Op
	// Rows has all columns of the table by ordinal (insert, upsert, update).
	Rows *vec.Batch
	// Keys has the key columns (primary key in key order, or row_id) of the old
	// rows, and OldCSN their commits as scanned (update, delete).
	Keys   *vec.Batch
	OldCSN *vec.Vec
	// ReadAt, when not 0, is a commit that what was read of the old rows is not older
	// than: of rows that were read without a snapshot of the transaction.
	ReadAt CSN
	// Resolve is called in READ COMMITTED when the row an update or delete was
	// computed from has been replaced: with the newest versions of those rows (all
	// columns by ordinal), it returns the new rows for those that still qualify
	// (update: Rows; delete: nil), and keep lists which of old still qualify.
	// Nil: 40001 instead.
	Resolve func(ctx context.Context, old *vec.Batch) (rows *vec.Batch, keep []uint16, err error)
	// Lock has the keys locked until the transaction ends even if it is a single
	// autocommit statement: what the statement tells of its rows then stays true.
	Lock bool
	// Silent says that nothing is told of the rows but that there are as many as there
	// are Keys. Where that holds, Write does not wait until the commits of others, that it
	// found under its locks, are on disk.
	Silent bool
	// Stale, when not nil, is told within Write which rows of Keys (by place, ascending)
	// are left to Resolve, before it is called. What is found at commit is not told.
	Stale func(rows []uint16)
}

// LockMode is how strongly SELECT locks rows, weakest first.
type LockMode uint8

// The modes, those of PostgreSQL.
const (
	ForKeyShare LockMode = iota
	ForShare
	ForNoKeyUpdate
	ForUpdate
)

// LockWait is what to do about rows that others have locked.
type LockWait uint8

// The ways.
const (
	WaitForLock LockWait = iota
	NoWait               // 55P03
	SkipLocked
)

// RowState is what became of a row that was to be locked.
type RowState uint8

// The states.
const (
	RowLocked  RowState = iota // as it was read
	RowChanged                 // locked; others have replaced what was read
	RowGone                    // others have deleted it
	RowSkipped                 // locked by another (SkipLocked)
)

// RowLock asks for locks of rows until the transaction ends. Keys and OldCSN are as
// in Mutation. The answers are in State, by key; Newest has the rows that are
// RowChanged, all columns of the table by ordinal, and Which says of which key each is.
type RowLock struct {
	Table  *catalog.Table
	Keys   *vec.Batch
	OldCSN *vec.Vec
	Mode   LockMode
	Wait   LockWait
	State  []RowState
	Newest *vec.Batch
	Which  []uint16
	// Again: the statement is run again where others have changed rows (40001), rather
	// than decide on Newest; what they did is published by then.
	Again bool
}

// Shared is a state of the store that is kept for transactions to come, until Close.
type Shared interface {
	CSN() CSN
	Close()
}

// Txn is a transaction, used by one goroutine at a time (readers of its snapshots
// may run on others while no write goes on).
type Txn interface {
	// Snapshot is what the next statement reads: for READ COMMITTED a new one of
	// published state, with the transaction's own earlier writes laid over it. Writes
	// made after the call are not seen. The caller closes it.
	Snapshot() (Snapshot, error)
	// Catalog is the catalog with the transaction's own DDL.
	Catalog() *catalog.Version
	// Write adds a mutation. Unique violations and lock waits of explicit
	// transactions happen here. It returns the number of rows that were affected.
	Write(ctx context.Context, m *Mutation) (int64, error)
	// LockRows locks rows that a snapshot of the transaction read; see RowLock.
	LockRows(ctx context.Context, l *RowLock) error
	// LockTimeout bounds each wait for a lock from now on; 0: no bound.
	LockTimeout(d time.Duration)
	// Change applies DDL. It waits for others that change the same objects; when what
	// the change was made for is not so any more it fails with 40001, and has done
	// nothing but take locks: made again for the catalog as it is then, it succeeds.
	Change(ctx context.Context, d *catalog.Delta) error
	// Lock keeps others from writing a table until the transaction ends; it waits for
	// those that do, and until what they wrote is published.
	Lock(ctx context.Context, table uint32) error
	// Note keeps a value under a key with the commit; nil removes it. Notes are for
	// background work whose state must agree with the rows that it wrote, like the
	// positions of a subscription's source. They make no new catalog version, and
	// snapshots do not see them; two transactions that note the same key do not
	// conflict.
	Note(key string, value []byte)
	// SuppressBinlog keeps what is written from now on out of the tables' binlogs,
	// which get a marker of a gap instead.
	SuppressBinlog(on bool)
	// AllocOIDs reserves n consecutive OIDs, never handed out again.
	AllocOIDs(n int) uint32
	// Extend makes a single autocommit statement's transaction one of several: from
	// now on statements see what earlier ones wrote, and lock keys.
	Extend() error
	// SetMode changes the isolation, which must be before the first snapshot and the
	// first write, and whether the transaction may write.
	SetMode(level Isolation, readOnly bool)
	// Export keeps what the transaction reads, for READ COMMITTED what its present
	// statement does, for others to Import. It may be called while a statement runs.
	Export() (Shared, error)
	// Import has a REPEATABLE READ transaction that has read nothing read what another
	// exported.
	Import(from Shared) error
	// Savepoint marks the present state; RollbackTo undoes all after the mark.
	Savepoint() int
	RollbackTo(mark int) error
	// Release forgets a mark that nothing has been marked since.
	Release(mark int)
	// Commit makes it durable (unless Async) and visible. After an error nothing
	// has happened. A transaction that wrote nothing commits for free.
	Commit(ctx context.Context) (CSN, error)
	// Dropped is how many rows that Write counted for updates and deletes were gone,
	// or no longer wanted, when Commit came to them: of transactions that do not lock.
	Dropped() int64
	// Rollback drops everything; safe at any time, also after Commit.
	Rollback()
}
