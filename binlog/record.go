package binlog

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Batch is changes of one shard in their order. An update's two records, before and
// after, follow one another in one batch.
type Batch struct {
	Shard int
	// Table is the table as the batch has its columns: it may have changed since the
	// batch before.
	Table *catalog.Table
	// Rows has the columns that were asked for; of a marker they are null.
	Rows *vec.Batch
	// LSN, Event, Time (microseconds since 1970) and CSN are those of each record.
	LSN   []int64
	Event []storage.Event
	Time  []int64
	CSN   []storage.CSN
}

// Len is the number of records.
func (b *Batch) Len() int { return len(b.LSN) }

// Record is one change.
type Record struct {
	Shard int
	LSN   int64
	Event storage.Event
	Time  int64
	CSN   storage.CSN
	Row   int // of the batch
}

// Record is the record number i.
func (b *Batch) Record(i int) Record {
	return Record{Shard: b.Shard, LSN: b.LSN[i], Event: b.Event[i], Time: b.Time[i], CSN: b.CSN[i], Row: i}
}
