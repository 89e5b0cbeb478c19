// Package segment is the immutable column file: up to 1,048,576 rows, sorted by
// the table's clustering key, in blocks of 65,536 rows and vectors of 2,048.
// FORMAT.md has the bytes.
//
// A Writer takes sorted batches and writes one block after another; a Reader
// opens the footer only and reads blocks as they are wanted, each checked
// against its checksum the first time. Columns are known by the table's column
// ids, so that a segment outlives ALTER TABLE: the caller supplies the constant
// of a column that the file does not have.
//
// Besides the table's columns each segment has CSNColumn, the commit that wrote
// each row. In a file that was written before its commit the numbers are
// relative, and the opener gives the base.
package segment

import (
	"fmt"
	"hash/crc32"
	"io"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// CSNColumn is the id of the hidden column with each row's commit, an int8.
// RowIDColumn is by convention that of the hidden key of a table without one.
const (
	CSNColumn   int32 = -1
	RowIDColumn int32 = -2
)

// RowsMax is the number of rows in a full segment, SampleRows in its sample.
const (
	RowsMax    = vec.SegmentRows
	SampleRows = 1024
)

const (
	magic = "MILLSEG"
	// formatVersion is what writers write. Version 1, without key filters, is read too.
	formatVersion = 2
	headBytes     = 8
	tailBytes     = 24
	// blockBytesMax bounds an encoded column of a block, and what a block may
	// hold of strings before it is encoded.
	blockBytesMax = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Column is a column of a segment: the table's id of it, and its type.
type Column struct {
	ID int32
	T  types.T
}

// SortColumn is a column that the rows are sorted by.
type SortColumn struct {
	ID   int32
	Desc bool
}

// Schema says what a segment holds. CSNColumn is not among Columns.
type Schema struct {
	Columns []Column
	// Sort is the order in which rows arrive; nil when none is claimed.
	Sort []SortColumn
	// Key lists the key columns in key order; nil when rows have no key. Their
	// rows stay readable one by one, and get an index unless the segment is sorted
	// by them.
	Key []int32
}

// Options are the limits of what a writer may do.
type Options struct {
	// Codec compresses strings: encoding.NoCodec for young segments, S2 for
	// general ones, Zstd for those that will stay.
	Codec encoding.Codec
	// RelativeCSN marks the commits as relative to a base that the opener knows.
	RelativeCSN bool
	// Lent says that the strings that are appended stay where they are until Finish,
	// in flat vectors, and that all of a column's have the same buffers.
	Lent bool
	// KeyIndex forces (1) or forbids (-1) the key index; 0 builds it when the
	// segment has a key and is not sorted by it. There is a key filter unless it is
	// forbidden.
	KeyIndex int
	// Pace, if there is one, is called between pieces of the work, the encoding of a
	// block of one column being one; what it returns ends the writing.
	Pace func() error
}

// File is what a reader needs of a file; blob.File has it. One with a Map
// method of type func() ([]byte, error) is read through it.
type File interface {
	io.ReaderAt
	Close() error
}

type mapper interface{ Map() ([]byte, error) }

// Meta sums up a segment, for manifests and statistics.
type Meta struct {
	Rows   int
	Bytes  int64
	CSNMin int64
	CSNMax int64
	// Columns has the zone over all rows of each column, CSNColumn last.
	Columns []ColumnMeta
}

// ColumnMeta is what is known of a column of a segment.
type ColumnMeta struct {
	Column
	Zone
	Bytes  int64
	Sketch *Sketch
}

// Column finds a column's meta by id.
func (m *Meta) Column(id int32) *ColumnMeta {
	for i := range m.Columns {
		if m.Columns[i].ID == id {
			return &m.Columns[i]
		}
	}
	return nil
}

// CorruptError says that bytes of a segment are not what a writer wrote.
type CorruptError struct {
	File   string
	Offset int64
	What   string
	Err    error
}

// Error names file and offset.
func (e *CorruptError) Error() string {
	s := fmt.Sprintf("segment %s is corrupt at offset %d: %s", e.File, e.Offset, e.What)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause and the error that reaches the client.
func (e *CorruptError) Unwrap() []error {
	return []error{e.Err, sqlstate.Errorf(sqlstate.DataCorrupted, "%s", e.Error())}
}

func align8(n int64) int64 { return (n + 7) &^ 7 }

// blocks is the number of blocks that hold n rows, blockRows what block b holds.
func blocks(n int) int { return (n + vec.BlockRows - 1) / vec.BlockRows }

func blockRows(rows, b int) int { return min(vec.BlockRows, rows-b*vec.BlockRows) }
