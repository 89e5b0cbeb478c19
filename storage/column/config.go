package column

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/segment"
)

// Config is what a tablet is made of and works with.
type Config struct {
	Table *catalog.Table
	Shard int
	// Files is where segments and deletes files are; the caller owns it.
	Files blob.Dir
	// NextFile gives a new, never used base name for a file of the node; the tablet
	// adds its own suffixes (SegmentSuffix, DeletesSuffix).
	NextFile func() string
	// State is what the manifest knows of the tablet; zero for a new one.
	State State
	// Watermark is the oldest CSN that any snapshot may still read (published when
	// there is none) and all live snapshots, ascending. Snapshots that register
	// later read at or above the newest of what was returned. Nil: nothing is ever
	// seen but the newest state.
	Watermark func() (oldest storage.CSN, live []storage.CSN)
	Limits    Limits
	// Cache keeps strings of compressed segments decompressed; nil for none.
	Cache *segment.HeapCache
	// Written counts what goes to files; nil for nobody.
	Written *Written
	// Scans is told of reading; nil for nobody.
	Scans *Scans
	// Filters bounds the memory for key filters; nil for no bound.
	Filters *FilterBudget

	// own marks a transaction's private tablet: commits are statements, row ids
	// provisional, and nothing is ever dead for everyone.
	own bool
}

// Scans is when tablets were last read by a query, look-ups by key apart.
type Scans struct{ last atomic.Int64 }

// note is called at each split of a scan.
func (s *Scans) note() {
	if s != nil {
		s.last.Store(time.Now().UnixNano())
	}
}

// Since is for how long nothing has been read.
func (s *Scans) Since(now time.Time) time.Duration { return now.Sub(time.Unix(0, s.last.Load())) }

// Written counts the bytes that tablets have written to files, by reason.
type Written struct {
	Flush   atomic.Int64 // memtables
	Merge   atomic.Int64 // compaction
	Side    atomic.Int64 // large commits
	Deletes atomic.Int64
}

// Limits are the sizes at which a tablet acts. Zero fields take the defaults.
type Limits struct {
	// FlushBytes and FlushRows say when a memtable wants to be flushed (Full).
	FlushBytes int64 // 64 MiB
	FlushRows  int   // 262,144
	// SegmentRows is the size of a full segment.
	SegmentRows int // vec.SegmentRows
	// SpillBytes is the size above which an overlay spills.
	SpillBytes int64 // 16 MiB
}

// The file name suffixes.
const (
	SegmentSuffix = ".seg"
	DeletesSuffix = ".del"
)

// State is a tablet's part of the manifest.
type State struct {
	Segments []SegmentInfo
	// Deletes names the file with the deleted rows of all Segments, "" for none.
	Deletes string
	// F is the checkpoint: every commit at or below it is in the files.
	F storage.CSN
	// Floor is the newest number that expiry has dropped from a binlog.
	Floor storage.CSN
}

// SegmentInfo names a segment file.
type SegmentInfo struct {
	File string
	Size int64
	Rows int
	// Base and CSN are for files written before their commit was numbered: CSN is
	// the commit of all rows (0: as the file's own csn column says), and Base is
	// added to the row ids, or a binlog's numbers, which are relative in such a file.
	Base uint64
	CSN  storage.CSN
	// Time, of such a file of a binlog, is the commit's, in microseconds since 1970.
	Time int64 `json:",omitempty"`
	// Settled files were written by compaction, in the form that stays. Full ones
	// ended because they had reached a limit: merging them again gains nothing.
	Settled bool `json:",omitempty"`
	Full    bool `json:",omitempty"`
}

// Edit is a change of a tablet's files, made by Flush or Compact. Its files are
// written and synced, their directory too. The caller writes it to the manifest
// and then calls Install with the shard latched, or Discard; until one of them
// the tablet starts no other.
type Edit struct {
	Add  []SegmentInfo
	Drop []string // file names of segments that are gone
	// Deletes is the tablet's new deletes file, "" for none; it replaces the old one.
	Deletes string
	F       storage.CSN
	Floor   storage.CSN // of an expiry, see State

	tablet *Tablet
	// install swaps the files in, with the write lock held; undo removes them.
	install func()
	undo    func()
	merging bool // of a compaction
	done    bool
}

func (l *Limits) defaults() {
	if l.FlushBytes == 0 {
		l.FlushBytes = 64 << 20
	}
	if l.FlushRows == 0 {
		l.FlushRows = 256 << 10
	}
	if l.SegmentRows == 0 {
		l.SegmentRows = 1 << 20
	}
	if l.SpillBytes == 0 {
		l.SpillBytes = 16 << 20
	}
}
