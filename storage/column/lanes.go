package column

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/storage/segment"
)

const (
	// laneShare: a segment with fewer rows than that part of a full one keeps to its
	// own filter.
	laneShare = 8
	// lanesMin large segments make a tablet's filters worth laying side by side.
	lanesMin = 4
	// A matrix has 8 to 64 lanes.
	laneShiftMin = 3
	laneShiftMax = 6
	lanesMost    = 1 << laneShiftMax
)

// laneMatrix has the filters of up to 64 segments side by side: row r of it is bit r
// of each of them, so that the rows of one hash, and-ed, have a bit for each segment
// that may hold the key. Words are or-ed and read atomically, a lane is taken only
// when it is complete, and empty again only when no version has its segment.
type laneMatrix struct {
	shift uint // log2 of the lanes
	size  uint // of a lane: as that of the filter of a full segment
	words []uint64

	gone atomic.Uint64 // lanes of segments that are gone
	// Guarded by lanes.mu.
	hidden bool   // no segment refers to it yet, so nobody reads it
	used   uint64 // lanes that a segment has
	stale  uint64 // lanes with bits that mean nothing
}

// all has a bit for each lane.
func (m *laneMatrix) all() uint64 { return ^uint64(0) >> (lanesMost - 1<<m.shift) }

// laneRef is a segment's lane.
type laneRef struct {
	m    *laneMatrix
	lane uint8
}

func newLaneMatrix(shift, size uint) *laneMatrix {
	m := &laneMatrix{hidden: true, shift: shift, size: size, words: make([]uint64, laneBytes(shift, size)/8)}
	hugePages(m.words)
	return m
}

// laneBytes is the size of a matrix.
func laneBytes(shift, size uint) int64 {
	return segment.FilterBlocksMax >> size * segment.FilterBlockBits / 8 << shift
}

// set makes lane the filter f; it is false when that does not fit.
func (m *laneMatrix) set(ctx context.Context, lane uint8, f segment.KeyFilter) (ok bool, err error) {
	// A word of the filter is 64 rows, spread over 1<<shift words of the matrix.
	per := uint(64) >> m.shift
	some := uint64(1)<<per - 1
	// spread has row j of those in one word at bit j<<shift.
	var spread [1 << (64 >> laneShiftMin)]uint64
	for x := range spread[:some+1] {
		for j := uint(0); j < per; j++ {
			spread[x] |= uint64(x) >> j & 1 << (j << m.shift)
		}
		spread[x] <<= lane
	}
	clean := m.stale>>lane&1 == 0
	column := m.column(lane)
	if clean {
		column = 0
	}
	ok = f.Expanded(m.size, func(i int, w uint64) {
		if err != nil || w == 0 && clean {
			return
		}
		if i&(1<<12-1) == 0 {
			err = context.Cause(ctx)
		}
		to := m.words[i<<m.shift:][:1<<m.shift]
		if m.hidden {
			for k := range to {
				to[k] = to[k]&^column | spread[uint8(w&some)]
				w >>= per
			}
			return
		}
		for k := range to {
			old := atomic.LoadUint64(&to[k])
			if now := old&^column | spread[uint8(w&some)]; now != old {
				atomic.StoreUint64(&to[k], now)
			}
			w >>= per
		}
	})
	if m.stale &^= 1 << lane; err != nil || !ok && !clean {
		m.stale |= 1 << lane // nothing, or half of it
	}
	return ok, err
}

// column has the bits of a lane in a word.
func (m *laneMatrix) column(lane uint8) uint64 {
	var bits uint64
	for at := uint(lane); at < 64; at += 1 << m.shift {
		bits |= 1 << at
	}
	return bits
}

// wider is a copy with twice as many lanes.
func (m *laneMatrix) wider() *laneMatrix {
	n := newLaneMatrix(m.shift+1, m.size)
	n.used, n.stale = m.used, m.stale
	width := uint(1) << m.shift
	low := uint64(1)<<width - 1
	for i, w := range m.words {
		half := 64 / width / 2
		for k := range 2 {
			var x uint64
			for j := uint(0); j < half; j++ {
				x |= w & low << (j * 2 * width)
				w >>= width
			}
			n.words[2*i+k] = x
		}
	}
	return n
}

// masks writes for each key the lanes that may hold it.
func (m *laneMatrix) masks(dst []uint64, todo []uint32, hash []uint32) {
	words, shift, size := m.words, m.shift, m.size
	low := m.all()
	for i, k := range todo {
		h := hash[k]
		base := uint64(segment.FilterBlock(h, size)) * segment.FilterBlockBits
		p := segment.FilterBits(h)
		a, b, c, d, e := (base+p&511)<<shift, (base+p>>9&511)<<shift, (base+p>>18&511)<<shift, (base+p>>27&511)<<shift, (base+p>>36&511)<<shift
		x := atomic.LoadUint64(&words[a>>6]) >> (a & 63) & (atomic.LoadUint64(&words[b>>6]) >> (b & 63))
		y := atomic.LoadUint64(&words[c>>6]) >> (c & 63) & (atomic.LoadUint64(&words[d>>6]) >> (d & 63))
		dst[i] = x & y & (atomic.LoadUint64(&words[e>>6]) >> (e & 63)) & low
	}
}

// FilterBudget bounds what the tablets of a node keep of filters in memory.
type FilterBudget struct {
	// Max is the number of bytes; it is not changed once tablets use the budget.
	Max  int64
	used atomic.Int64
}

// Bytes is what is kept.
func (b *FilterBudget) Bytes() int64 { return b.used.Load() }

// reserve takes n bytes, or gives back -n.
func (b *FilterBudget) reserve(n int64) bool {
	if b == nil {
		return true
	}
	if b.used.Add(n) > b.Max && n > 0 {
		b.used.Add(-n)
		return false
	}
	return true
}

// lanes are the matrices of a tablet. Lookups ask for them by setting wanted; who
// does the tablet's background work builds them.
type lanes struct {
	wanted atomic.Bool // since the last build a lookup met segments without a lane
	asked  atomic.Bool // since the last build a lookup used lanes

	mu       sync.Mutex
	matrices []*laneMatrix
	idle     int // builds since the last lookup
	large    int // segments that should have a lane
	closed   bool
}

// lanesIdle is for how many builds the lanes stay when no lookup asks them.
const lanesIdle = 3000

// BuildFilters lays the key filters of the tablet's large segments side by side when
// lookups want that, and lets go of them when there have been none for long: it is to
// be called every now and then. Lookups work without.
func (t *Tablet) BuildFilters(ctx context.Context) error {
	l := &t.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.asked.Swap(false) || l.wanted.Load() {
		l.idle = 0
	} else if l.idle++; l.idle == lanesIdle && len(l.matrices) > 0 {
		v := t.pin()
		for _, s := range v.segs {
			s.lane.Store(nil)
		}
		t.unpin(v)
		t.dropLanes()
	}
	if !l.wanted.Swap(false) {
		return nil
	}
	v := t.pin()
	defer t.unpin(v)
	var large []*segFile
	for _, s := range v.segs {
		if s.laned() {
			large = append(large, s)
		}
	}
	if len(large) < lanesMin {
		return nil
	}
	l.large = len(large)
	given := map[*segFile]*laneRef{}
	defer func() {
		for s, r := range given {
			r.m.hidden = false
			s.lane.Store(r)
		}
	}()
	for _, s := range large {
		if r := s.lane.Load(); r != nil {
			given[s] = r
		}
	}
	for _, s := range large {
		if given[s] != nil {
			continue
		}
		if ok, err := t.giveLane(ctx, s, given); err != nil || !ok {
			return err
		}
	}
	return nil
}

// laned says whether the segment should have a lane.
func (s *segFile) laned() bool {
	return s.large && !s.unfiltered.Load() && !s.damaged.Load()
}

// giveLane lays the segment's filter into a free lane; it says false when the budget
// is used up. given has the lanes of the large segments, which are pinned; what it has
// more than they have is stored at the end. Called with lanes.mu held.
func (t *Tablet) giveLane(ctx context.Context, s *segFile, given map[*segFile]*laneRef) (bool, error) {
	m, lane := t.freeLane(given)
	if m == nil {
		return false, nil
	}
	var ok bool
	err := s.guard(func() error {
		f, has, err := s.r.MakeKeyFilter()
		if err != nil || !has {
			return err
		}
		ok, err = m.set(ctx, lane, f)
		return err
	})
	switch {
	case err != nil:
		return true, err
	case !ok:
		s.unfiltered.Store(true)
		return true, nil
	}
	m.used |= 1 << lane
	given[s] = &laneRef{m, lane}
	return true, nil
}

// freeLane finds a lane that no segment has, in a matrix that is there, or grows, or
// is new.
func (t *Tablet) freeLane(given map[*segFile]*laneRef) (*laneMatrix, uint8) {
	l := &t.lanes
	for _, m := range l.matrices {
		gone := m.gone.Swap(0)
		m.used, m.stale = m.used&^gone, m.stale|gone
		if free := ^m.used & m.all(); free != 0 {
			// One that needs no cleaning, if there is one.
			if clean := free &^ m.stale; clean != 0 {
				free = clean
			}
			return m, uint8(bits.TrailingZeros64(free))
		}
	}
	if n := len(l.matrices); n > 0 && l.matrices[n-1].shift < laneShiftMax {
		m := l.matrices[n-1]
		if !t.cfg.Filters.reserve(laneBytes(m.shift, m.size)) { // that much more
			return nil, 0
		}
		w := m.wider()
		w.stale |= w.used
		w.used = 0
		for s, r := range given {
			if r.m == m {
				w.used |= 1 << r.lane
				w.stale &^= 1 << r.lane
				given[s] = &laneRef{w, r.lane}
			}
		}
		l.matrices[n-1] = w
		return t.freeLane(given)
	}
	size := segment.FilterShift(t.cfg.Limits.SegmentRows)
	shift := uint(laneShiftMin)
	for shift < laneShiftMax && 1<<shift <= l.large-len(l.matrices)<<laneShiftMax {
		shift++
	}
	for !t.cfg.Filters.reserve(laneBytes(shift, size)) {
		if shift--; shift < laneShiftMin {
			return nil, 0
		}
	}
	l.matrices = append(l.matrices, newLaneMatrix(shift, size))
	return t.freeLane(given)
}

// dropLanes forgets the matrices; segments that still have lanes in them may use
// them on. Called with lanes.mu held.
func (t *Tablet) dropLanes() {
	for _, m := range t.lanes.matrices {
		t.cfg.Filters.reserve(-laneBytes(m.shift, m.size))
	}
	t.lanes.matrices = nil
}

// closeLanes is the end of the lanes.
func (t *Tablet) closeLanes() {
	t.lanes.mu.Lock()
	t.dropLanes()
	t.lanes.closed = true
	t.lanes.mu.Unlock()
}

// sieve sorts keys by the segments of a version that may hold them, as far as the
// segments have lanes.
type sieve struct {
	heads  []int32 // by segment: the first of its entries, or noEntry, or noLane
	keys   []uint32
	next   []int32
	bits   []uint64
	ofLane [lanesMost]int32
	refs   []*laneRef // by segment, as they were at the start
	ms     []*laneMatrix
}

const (
	noEntry int32 = -1
	noLane  int32 = -2
)

// sort fills heads for the keys of todo; it is false when no segment has a lane.
func (s *sieve) sort(t *lanes, v *version, ks *keySet, todo []uint32) bool {
	s.heads, s.refs, s.ms = s.heads[:0], s.refs[:0], s.ms[:0]
	if len(v.segs) < lanesMin {
		return false
	}
	large, missing := 0, false
	for _, seg := range v.segs {
		head := noLane
		r := seg.lane.Load()
		s.refs = append(s.refs, r)
		if r != nil {
			head = noEntry
			large++
			if !slices.Contains(s.ms, r.m) {
				s.ms = append(s.ms, r.m)
			}
		} else if seg.laned() {
			large++
			missing = true
		}
		s.heads = append(s.heads, head)
	}
	if missing && large >= lanesMin && !t.wanted.Load() {
		t.wanted.Store(true)
	}
	if len(s.ms) == 0 {
		return false
	}
	if !t.asked.Load() {
		t.asked.Store(true)
	}
	s.keys, s.next = s.keys[:0], s.next[:0]
	s.bits = slices.Grow(s.bits[:0], len(todo))[:len(todo)]
	for _, m := range s.ms {
		var have uint64
		for i, r := range s.refs {
			if r != nil && r.m == m {
				have |= 1 << r.lane
				s.ofLane[r.lane] = int32(i)
			}
		}
		m.masks(s.bits, todo, ks.hash)
		for i, x := range s.bits {
			for x &= have; x != 0; x &= x - 1 {
				seg := s.ofLane[bits.TrailingZeros64(x)]
				s.next = append(s.next, s.heads[seg])
				s.heads[seg] = int32(len(s.keys))
				s.keys = append(s.keys, todo[i])
			}
		}
	}
	clear(s.ms)
	clear(s.refs)
	return true
}
