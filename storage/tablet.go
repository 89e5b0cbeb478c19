package storage

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage/vec"
)

// Chunk is a run of operations of one kind on one table and shard, in statement
// order: at most vec.Size rows, flat or constant or dictionary columns, without a
// selection. It is the unit that overlays keep, the log writes, replay reads and
// tablets stage; so one function turns it into memtable rows and deletes, live and
// in replay.
type Chunk struct {
	Op Op
	// Rows are the after images, all columns of the table by ordinal; nil for OpDelete.
	Rows *vec.Batch
	// Keys are the keys of the rows that are replaced or deleted (primary key
	// columns in key order, or row_id); nil for OpInsert and OpUpsert.
	Keys *vec.Batch
	// OldCSN is the commit of each such row as the statement saw it, 0 for "any"
	// (blind, and in replay).
	OldCSN []CSN
	// Own says that an OldCSN of 0 stands for a row of the transaction itself.
	Own bool
	// Ord is each row's place among the changes of its commit: its number (LSN, and
	// row_id where the table has no primary key and the row is inserted) is the
	// commit's base + Ord.
	Ord []uint32
	// RowID, for an update on a table without a primary key, is the id each row keeps.
	RowID []int64
	// Logged says that the operations go to the table's binlog. Updates and upserts
	// then have two numbers each, of which Ord is the second: that of the after image.
	Logged bool
	// Before has the rows that logged operations replaced or removed, all columns of
	// the table by ordinal, and BeforeOf which operation each one belongs to. Operations
	// without one found nothing.
	Before   *vec.Batch
	BeforeOf []uint16
}

// Late corrects the before images of a tablet's logged chunks by what was found
// under the latch.
type Late struct {
	// Ord names the operations that replaced something else than their chunk says,
	// ascending, and At the row of Rows that each replaced, -1 for none.
	Ord  []uint32
	At   []int32
	Rows *vec.Batch
}

// Event is the kind of a binlog row.
type Event int64

// The events, by the codes that Hologres gives them. Markers are not changes of
// rows, and not shown to SQL.
const (
	EventDelete       Event = 2
	EventBeforeUpdate Event = 3
	EventInsert       Event = 5
	EventAfterUpdate  Event = 7
	// EventTruncate: the table was emptied.
	EventTruncate Event = 101
	// EventGap: changes of this commit are missing.
	EventGap Event = 102
)

// Mark is a marker in all binlog tablets of a table.
type Mark struct {
	Table uint32
	Event Event
	Ord   uint32 // its place among the changes of its commit
}

// Len is the number of operations.
func (c *Chunk) Len() int { return len(c.Ord) }

// Tablet is one table's part in one shard in one orientation. The commit path
// drives it in this order, for all tablets of a commit:
//
//	p := Prepare(chunks)          no latch held; reads files, finds the rows of keys
//	latch the shards
//	s := p.Stage()                re-checks only keys written since; touches memory only
//	base := log append            (or s.Abort when any tablet refused)
//	s.Stamp(base, csn)
//	unlatch
//
// Staged rows are invisible: a snapshot at s sees what was stamped at or below s.
type Tablet interface {
	Prepare(ctx context.Context, chunks []Chunk) (Prepared, error)
	// Replay applies chunks of a logged commit: every operation is blind, kills only
	// rows with a CSN below csn, and a key that is not found is no error.
	Replay(chunks []Chunk, base uint64, csn CSN) error
	// LiveBytes is the memory of memtables not yet flushed; OldestUnflushed is the
	// least CSN that only memory holds (0: none). They say when to flush.
	LiveBytes() int64
	OldestUnflushed() CSN
	Close() error
}

// Prepared is the outcome of Tablet.Prepare.
type Prepared interface {
	// Stage may be called once, with the shard latched. Conflicts are reported, not
	// resolved: Duplicate operations are inserts whose key lives (23505), Changed
	// ones are updates and deletes whose row is no longer the version they were
	// computed from. With conflicts nothing is staged and Staged is nil.
	Stage() (Staged, []Conflict, error)
	Release()
}

// Conflict names one operation that cannot be done as it stands.
type Conflict struct {
	Chunk, Row int
	Duplicate  bool
}

// Staged is a tablet's part of a commit, between staging and stamping.
type Staged interface {
	Stamp(base uint64, csn CSN)
	Abort()
}

// TableSchema is what a tablet must know of its table; it changes by DDL.
type TableSchema = catalog.Table
