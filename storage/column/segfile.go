package column

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/vec"
)

// segFile is an open segment of a tablet with its deleted rows.
type segFile struct {
	info  SegmentInfo
	r     *segment.Reader
	files blob.Dir
	// cols gives zones; readers of values are made by each user.
	cols   map[int32]*segment.ColReader
	sorted bool // by key, so that it has no index
	own    bool // a transaction's private file
	keyed  bool // by a real key, not by row id
	large  bool // keyed, and with so many rows that its filter may have a lane

	lane       atomic.Pointer[laneRef]
	unfiltered atomic.Bool // there is no filter to lay into a lane

	del atomic.Pointer[deleteSet]
	// doomed files are removed when nobody reads them any more.
	doomed atomic.Bool
	// damaged files failed a read; they are never compacted away.
	damaged atomic.Bool
	refs    int // versions that have it, guarded by Tablet.mu
	// made is when this process wrote the file; zero for one that was there.
	made time.Time

	inManifest atomic.Bool
	upsert     bool // a private file whose rows replace others

	// Guarded by the tablet's write lock.
	staging bool // a commit has staged deletes in the tail
	foldAt  int  // length of the tail at which folding is tried again
	// sideDeletes names the deletes file of a side file until the manifest has both.
	sideDeletes string
	// floor is the watermark under which compaction gave up the rows' own commits.
	floor uint64

	fenceOnce sync.Once
	fences    []*vec.Vec
	fenceErr  error
}

// openSegment opens a file and reads its footer.
func (t *Tablet) openSegment(info SegmentInfo) (*segFile, error) {
	s, err := openSegFile(t.cfg.Files, info)
	if err == nil && t.cfg.Cache != nil {
		s.r.SetCache(t.cfg.Cache)
	}
	if err == nil {
		s.made = time.Now()
		t.size(s)
	}
	return s, err
}

// size notes whether the segment is a large one.
func (t *Tablet) size(s *segFile) {
	s.large = s.keyed && s.info.Rows >= t.cfg.Limits.SegmentRows/laneShare
}

func openSegFile(files blob.Dir, info SegmentInfo) (*segFile, error) {
	f, err := files.Open(info.File)
	if err != nil {
		return nil, err
	}
	if info.Size == 0 {
		info.Size = f.Size()
	}
	r, err := segment.OpenNamed(info.File, f, info.Size)
	if err != nil {
		f.Close()
		return nil, err
	}
	info.Rows = r.Rows()
	s := &segFile{info: info, r: r, files: files, cols: make(map[int32]*segment.ColReader), sorted: r.SortedByKey()}
	for _, c := range r.Columns() {
		s.cols[c.ID], _ = r.ColumnOn(c.ID, nil)
	}
	s.keyed = len(r.Key()) > 0 && !s.isRowID()
	s.del.Store((&deleteSet{blocks: r.Blocks()}).named())
	return s, nil
}

// guard runs f with faults of the mapped file as errors. A file that turns out to
// be corrupt is flagged: it stays as it is, for repair.
func (s *segFile) guard(f func() error) error {
	err := s.r.Guard(f)
	if err != nil {
		s.flag(err)
	}
	return err
}

func (s *segFile) flag(err error) {
	var c *segment.CorruptError
	if errors.As(err, &c) {
		s.damaged.Store(true)
	}
}

func (s *segFile) blocks() int { return s.r.Blocks() }

// close releases the file; nothing read from it may be used any more.
func (s *segFile) close() { s.r.Close() }

// free closes a file that no version has any more, and removes it if it is doomed.
func (s *segFile) free() {
	if r := s.lane.Load(); r != nil {
		r.m.gone.Or(1 << r.lane)
	}
	s.close()
	if s.doomed.Load() {
		// A file that stays is found by the next start's clean-up.
		_ = s.files.Remove(s.info.File)
	}
}

// csnMin and csnMax enclose the commits of the rows.
func (s *segFile) csnMin() uint64 {
	if s.info.CSN != 0 {
		return uint64(s.info.CSN)
	}
	return uint64(s.cols[csnColumnID].Total().Min.I)
}

func (s *segFile) csnMax() uint64 {
	if s.info.CSN != 0 {
		return uint64(s.info.CSN)
	}
	return uint64(s.cols[csnColumnID].Total().Max.I)
}

func (s *segFile) blockCSNMax(b int) uint64 {
	if s.info.CSN != 0 {
		return uint64(s.info.CSN)
	}
	return uint64(s.cols[csnColumnID].Zone(b).Max.I)
}

// zone sums up a column; ok is false when the file does not have it.
func (s *segFile) zone(id int32) (segment.Zone, bool) {
	c := s.cols[id]
	if c == nil {
		return segment.Zone{}, false
	}
	return s.shiftZone(id, c.Total()), true
}

func (s *segFile) blockZone(id int32, b int) (segment.Zone, bool) {
	c := s.cols[id]
	if c == nil {
		return segment.Zone{}, false
	}
	return s.shiftZone(id, c.Zone(b)), true
}

// shiftZone turns stored row ids into real ones, and what a side file of a binlog
// leaves open into what its commit says.
func (s *segFile) shiftZone(id int32, z segment.Zone) segment.Zone {
	if !z.Min.Valid || !s.shifts(id) {
		return z
	}
	switch id {
	case logLSNID:
		z.Min.I, z.Max.I = z.Min.I+int64(s.info.Base), z.Max.I+int64(s.info.Base)
		return z
	case logTimeID:
		z.Min.I, z.Max.I = s.info.Time, s.info.Time
		return z
	}
	lo, hi := z.Min.I, z.Max.I
	z.Min.I, z.Max.I = s.rowID(lo), s.rowID(hi)
	if s.own || hi < 0 {
		z.Min, z.Max = z.Max, z.Min // falling
	} else if lo < 0 {
		// Known ids, which are below the commit's, then numbered ones.
		z.Min.I, z.Max.I = 0, max(s.rowID(lo), s.rowID(hi))
	}
	return z
}

// rowID is the row id that a stored one stands for; storedID is its inverse. A
// file written before its commit has ordinals, and -1-id for rows of earlier
// commits that keep their id. A transaction sees its own ordinals as -1-ordinal.
func (s *segFile) rowID(stored int64) int64 {
	switch {
	case s.own, stored < 0:
		return -1 - stored
	}
	return stored + int64(s.info.Base)
}

func (s *segFile) storedID(id int64) int64 {
	switch {
	case s.own:
		return -1 - id
	case id < 0:
		return math.MinInt64 // another transaction's provisional id: nowhere
	case id < int64(s.info.Base):
		return -1 - id
	}
	return id - int64(s.info.Base)
}

// shifted says whether stored row ids differ from real ones.
func (s *segFile) shifted() bool { return s.own || s.info.Base != 0 }

// shifts says whether stored values of a column differ from real ones.
func (s *segFile) shifts(id int32) bool {
	switch id {
	case rowIDColumnID:
		return s.shifted()
	case logLSNID, logTimeID:
		return s.info.CSN != 0
	}
	return false
}

// shift turns the values of a column just decoded into real ones.
func (s *segFile) shift(id int32, v *vec.Vec) {
	n := v.N
	if v.Form == vec.Const {
		n = min(n, 1)
	}
	switch id {
	case logLSNID:
		for i := range v.I64[:n] {
			v.I64[i] += int64(s.info.Base)
		}
	case logTimeID:
		for i := range v.I64[:n] {
			v.I64[i] = s.info.Time
		}
	default:
		for i := range v.I64[:n] {
			v.I64[i] = s.rowID(v.I64[i])
		}
	}
}

func zoneBounds(z segment.Zone) (lo, hi types.Datum, nulls, values bool) {
	return z.Min, z.Max, z.Nulls > 0, z.Nulls < z.Rows
}
