// Package format turns the bytes of messages into row changes. A format knows
// nothing of where messages come from, and a source nothing of what is in them:
// they meet in the change model of this package.
//
// Changes are made in column batches: a Decoder appends the values of a run of
// messages straight to vectors of the target table's columns. There is no Datum per
// cell and no map per row.
package format

import (
	"fmt"
	"slices"
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// Message is one message of a source. Its bytes are lent: a decoder copies what it
// keeps beyond Decode.
type Message struct {
	// Key is nil when the message has none; a nil Value is a tombstone.
	Key, Value []byte
	Headers    []Header
	// Time is the message's own time in µs since 2000-01-01 UTC; 0 when it has none.
	Time int64
}

// Header is a named value beside a message.
type Header struct {
	Name  string
	Value []byte
}

// Op is what a change does to a row.
type Op uint8

// The operations. An update is an Upsert of its after image; one that moves its row
// to another key is a Delete of the old key, then an Upsert.
const (
	// Insert adds a row that is new by what the message says (append mode).
	Insert Op = iota
	// Upsert writes the after image whether or not its key exists.
	Upsert
	// Delete removes the row of a key: the key's columns of its row are set, all
	// others are null.
	Delete
	// Truncate empties the table. Its row is all null.
	Truncate
)

// Changes is a run of row changes of one table, in the order of their messages.
type Changes struct {
	// Rows has all columns of the table by ordinal, flat and without a selection; row
	// i belongs to change i.
	Rows *vec.Batch
	Op   []Op
	// Msg is the place of the message each change came from, in the slice given to
	// Decode plus Base. It never falls.
	Msg []uint32
	// Time is when the source committed each change, µs since 2000-01-01 UTC; 0
	// where that is not known.
	Time []int64
	// Missing has, by ordinal, the rows of partial after images whose value the
	// message does not give ("keep what is stored"): bit i for row i, where the vector
	// has a null. A nil slice, and a nil column, mean that nothing is missing;
	// bits beyond a column's words are 0. Keys are never missing.
	Missing [][]uint64
	// Partial counts the rows with a bit in Missing, so that the usual case, none, is
	// cheap to see.
	Partial int
	// Sparse says that a partial image of a row that is not stored makes the row, with
	// nulls where it gives no value. Otherwise it is a fault.
	Sparse bool
	// Errors are the messages that gave no change because they could not be decoded,
	// in the order of Msg.
	Errors []Error
	// Skipped counts messages that rightly give no change: heartbeats, tombstones
	// after a delete, transaction marks.
	Skipped int
	// Unknown lists fields that the table has no column for, each once, when
	// Config.Unknown is ReportUnknown.
	Unknown []Field
	// Base is added to the places in Msg and in errors.
	Base uint32
}

// Error is a message that could not be decoded. Nothing of it is in the rows.
type Error struct {
	Msg    uint32
	Class  Class
	Column string // "" when no single column is at fault
	Err    *sqlstate.Error
}

// Class says what kind of fault an error is.
type Class uint8

// The classes of errors.
const (
	// Malformed messages are not of the format at all.
	Malformed Class = iota
	// Schema faults: a field that must be there is not, a key is null.
	Schema
	// Cast faults: a value does not fit its column's type.
	Cast
	// Constraint faults: NOT NULL, CHECK. Decoders leave them to the one who applies.
	Constraint
	// Unroutable messages name no table that is subscribed.
	Unroutable
	// Quarantined changes are partial images of a row that an earlier message, now
	// in the error table, would have changed.
	Quarantined
)

// String names a class as the error table does.
func (c Class) String() string {
	return [...]string{"decode", "schema", "cast", "constraint", "unroutable", "quarantine"}[c]
}

// Field is a field of messages that the table has no column for.
type Field struct {
	Name string
	// Type is the column type that would hold its values as seen so far, jsonb when
	// nothing better fits.
	Type types.T
	// Msg is the first message that has it.
	Msg uint32
}

// Unknown says what a decoder does with fields that the table has no column for.
type Unknown uint8

// The ways to treat unknown fields.
const (
	// IgnoreUnknown leaves them out.
	IgnoreUnknown Unknown = iota
	// ReportUnknown leaves them out and lists them in Changes.Unknown. A field whose
	// only values are null is not reported: nothing tells its type.
	ReportUnknown
	// RescueUnknown gathers them, as one JSON object, in the column Config.Rescue; null
	// where there are none.
	RescueUnknown
)

// Config is what a decoder is made for.
type Config struct {
	// Table is the target; its columns are matched by name.
	Table *catalog.Table
	// Append makes each row an Insert, and deletes and tombstones errors of class
	// Schema. Otherwise the table has a primary key and rows are Upserts.
	Append bool
	// Defaults are the values, by ordinal, of columns that a full image does not
	// mention; a nil slice means null for all.
	Defaults []types.Datum
	Unknown  Unknown
	// Rescue is the ordinal of the jsonb column for RescueUnknown.
	Rescue int
	// Options are the format's own options as the subscription gives them.
	Options map[string]string
	Env     *types.Env
}

// Decoder turns messages into changes. It is used by one goroutine at a time, and may
// keep state between calls only to be faster: what a message gives does not depend on
// the messages before it.
type Decoder interface {
	// Decode appends the changes of msgs to c, in order, until c holds vec.Size rows
	// or more, or the messages are used up, and returns how many were used. A message
	// is used as a whole: one that holds many rows may pass vec.Size. Faults of
	// messages are in c.Errors; an error returned is one of the decoder itself.
	Decode(msgs []Message, c *Changes) (used int, err error)
}

// Format is a kind of messages.
type Format struct {
	Name string
	// Options lists the names of its own options.
	Options []string
	// New makes a decoder; it checks the options.
	New func(cfg *Config) (Decoder, error)
}

var (
	mu      sync.RWMutex
	formats = map[string]*Format{}
)

// Register makes a format known by its name; packages call it when they start.
func Register(f *Format) {
	mu.Lock()
	defer mu.Unlock()
	if formats[f.Name] != nil {
		panic(fmt.Sprintf("format %q registered twice", f.Name))
	}
	formats[f.Name] = f
}

// Lookup finds a format by name; nil when there is none.
func Lookup(name string) *Format {
	mu.RLock()
	defer mu.RUnlock()
	return formats[name]
}

// Names lists the formats.
func Names() []string {
	mu.RLock()
	defer mu.RUnlock()
	var names []string
	for n := range formats {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// NewChanges makes an empty set of changes for a table.
func NewChanges(t *catalog.Table) *Changes { return &Changes{Rows: vec.NewBatch(t.Types())} }

// Reset empties c, keeping its memory: nothing may refer to its rows any more.
func (c *Changes) Reset() {
	c.Rows.Sel, c.Rows.N = nil, 0
	for _, v := range c.Rows.Cols {
		v.Recycle(v.T)
	}
	c.Op, c.Msg, c.Time = c.Op[:0], c.Msg[:0], c.Time[:0]
	c.Errors, c.Unknown = c.Errors[:0], c.Unknown[:0]
	for i := range c.Missing {
		c.Missing[i] = c.Missing[i][:0]
	}
	c.Partial, c.Skipped, c.Base, c.Sparse = 0, 0, 0, false
}

// IsMissing says whether row i lacks a value for column col.
func (c *Changes) IsMissing(col, i int) bool {
	return col < len(c.Missing) && i>>6 < len(c.Missing[col]) && vec.Bit(c.Missing[col], i)
}

// SetMissing marks column col of row i as not given.
func (c *Changes) SetMissing(col, i int) {
	if len(c.Missing) < len(c.Rows.Cols) {
		c.Missing = append(c.Missing, make([][]uint64, len(c.Rows.Cols)-len(c.Missing))...)
	}
	for len(c.Missing[col]) <= i>>6 {
		c.Missing[col] = append(c.Missing[col], 0)
	}
	vec.SetBit(c.Missing[col], i)
}

// Cut is a copy of changes [from, to), at most vec.Size of them.
func (c *Changes) Cut(from, to int) *Changes {
	n := &Changes{Rows: &vec.Batch{N: to - from}, Op: c.Op[from:to], Msg: c.Msg[from:to], Time: c.Time[from:to], Base: c.Base, Sparse: c.Sparse}
	for _, v := range c.Rows.Cols {
		w := vec.New(v.T, to-from)
		for i := from; i < to; i++ {
			w.AppendDatum(v.Datum(i))
		}
		n.Rows.Cols = append(n.Rows.Cols, w)
	}
	for i := from; i < to; i++ {
		partial := false
		for o := range c.Missing {
			if c.IsMissing(o, i) {
				n.SetMissing(o, i-from)
				partial = true
			}
		}
		if partial {
			n.Partial++
		}
	}
	return n
}
