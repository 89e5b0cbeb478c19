package column

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Snapshot is a tablet's state at a CSN, with a transaction's own rows over it if
// it came from an Overlay. It pins a version until Close. Safe for concurrent use;
// its readers are not.
type Snapshot struct {
	t     *Tablet
	v     *version
	at    storage.CSN
	table *catalog.Table
	parts []*part
	// own is the state of an overlay's rows, whose parts are the last ones.
	own    *Snapshot
	allOwn bool // an overlay over nothing
	closed atomic.Bool
}

// part is a memtable or segment as one snapshot sees it.
type part struct {
	mem  *memtable
	seg  *segFile
	at   storage.CSN
	rows uint32 // of a memtable those with csn ≤ at, of a segment all
	hide mask   // rows that an overlay replaced or deleted
	own  bool   // an overlay's rows: they have no commit yet

	once sync.Once
	dead mask // of a segment: deleted at or below at, and hidden ones
}

// Snapshot pins the state at a CSN that is registered and published, or newer.
func (t *Tablet) Snapshot(at storage.CSN) *Snapshot {
	v := t.pinAt(at)
	s := &Snapshot{t: t, v: v, at: at, table: v.sch.table, parts: make([]*part, 0, len(v.segs)+len(v.mems))}
	// Segments first: with a large table the memtable's splits come last.
	for _, seg := range v.segs {
		if seg.csnMin() <= uint64(at) {
			s.parts = append(s.parts, &part{seg: seg, at: at, rows: uint32(seg.info.Rows)})
		}
	}
	for _, m := range v.mems {
		if n := m.prefix(at); n > 0 {
			s.parts = append(s.parts, &part{mem: m, at: at, rows: n})
		}
	}
	return s
}

// For makes the snapshot read columns by the ordinals of t, the table as the
// reader's catalog has it. It returns s.
func (s *Snapshot) For(t *catalog.Table) *Snapshot {
	s.table = t
	return s
}

// CSN is what the snapshot was taken at.
func (s *Snapshot) CSN() storage.CSN { return s.at }

// Close gives the pinned version back. Readers must be closed before. It may be
// called more than once.
func (s *Snapshot) Close() {
	if s.closed.Swap(true) {
		return
	}
	s.t.unpin(s.v)
	if s.own != nil {
		s.own.Close()
	}
}

// deadMask is what to leave out of a segment.
func (p *part) deadMask() mask {
	p.once.Do(func() {
		p.dead = p.seg.del.Load().maskAt(uint64(p.at))
		if p.hide != nil {
			e := editMask(p.dead, p.seg.blocks())
			e.or(p.hide)
			p.dead = e.m
		}
	})
	return p.dead
}

// blocks is the number of splits of a part.
func (p *part) blocks() int { return int((p.rows + vec.BlockRows - 1) / vec.BlockRows) }

// column resolves a column of the snapshot's table in a part.
func (s *Snapshot) id(col int) int32 {
	switch {
	case col == catalog.ColCSN:
		return csnColumnID
	case col == catalog.ColRowID:
		return rowIDColumnID
	case col == catalog.ColShard:
		return shardColumnID
	}
	return s.table.Columns[col].ID
}

func (s *Snapshot) columnType(col int) types.T {
	if col == catalog.ColShard {
		return types.Int4
	}
	if col < 0 {
		return types.Int8
	}
	return s.table.Columns[col].T
}

// missing is the value of a column in rows stored without it.
func (s *Snapshot) missing(col int) types.Datum {
	if col == catalog.ColShard {
		return types.NewInt(int64(s.t.cfg.Shard))
	}
	if col < 0 {
		return types.Null
	}
	return s.table.Columns[col].Missing
}

// checkSpec guards against ordinals of another table.
func (s *Snapshot) checkSpec(spec *catalog.ScanSpec) error {
	for _, c := range spec.Cols {
		if c < catalog.ColShard || c >= len(s.table.Columns) {
			return sqlstate.Errorf(sqlstate.InternalError, "scan of column %d of table %q, which has %d", c, s.table.Name, len(s.table.Columns))
		}
	}
	return nil
}

// Splits lists the blocks that may have rows for the filter; total counts all.
func (s *Snapshot) Splits(_ context.Context, spec *catalog.ScanSpec) (splits []storage.Split, total int, err error) {
	if err := s.checkSpec(spec); err != nil {
		return nil, 0, err
	}
	preds := compileFilter(spec.Filter)
	for i, p := range s.parts {
		n := p.blocks()
		total += n
		if s.partSkips(p, preds) {
			continue
		}
		for b := 0; b < n; b++ {
			if p.seg != nil && s.blockSkips(p, b, preds) {
				continue
			}
			rows := min(int(p.rows)-b*vec.BlockRows, vec.BlockRows)
			if p.seg != nil {
				if m := p.deadMask().block(b); m != nil {
					rows -= vec.Count(m[:], rows)
				}
			}
			if rows > 0 {
				splits = append(splits, storage.Split{Shard: s.t.cfg.Shard, Part: i, Block: b, Rows: rows})
			}
		}
	}
	return splits, total, nil
}

// partSkips says whether no row of the part can pass the predicates.
func (s *Snapshot) partSkips(p *part, preds []pred) bool {
	for i := range preds {
		pr := &preds[i]
		if pr.kind == predNever {
			return true
		}
		if pr.col == catalog.ColCSN {
			continue
		}
		lo, hi, nulls, values := s.partBounds(p, pr.col)
		if !pr.mayMatch(lo, hi, nulls, values) {
			return true
		}
	}
	return false
}

// partBounds is what is known of a column in a part.
func (s *Snapshot) partBounds(p *part, col int) (lo, hi types.Datum, nulls, values bool) {
	id := s.id(col)
	if p.mem != nil {
		k := p.mem.sch.find(id)
		if k < 0 {
			return missingBounds(s.missing(col))
		}
		p.mem.boundsMu.Lock()
		defer p.mem.boundsMu.Unlock()
		b := &p.mem.bounds[k]
		if p.mem.sch.log && !p.mem.sch.bounded(k) {
			return types.Null, types.Null, true, true
		}
		lo, hi = b.values()
		return lo, hi, b.nulls > 0, b.some
	}
	z, ok := p.seg.zone(id)
	if !ok {
		return missingBounds(s.missing(col))
	}
	return zoneBounds(z)
}

func missingBounds(d types.Datum) (lo, hi types.Datum, nulls, values bool) {
	return d, d, !d.Valid, d.Valid
}

// blockSkips says whether no row of a segment's block can pass the predicates.
func (s *Snapshot) blockSkips(p *part, b int, preds []pred) bool {
	for i := range preds {
		pr := &preds[i]
		if pr.col == catalog.ColCSN {
			continue
		}
		z, ok := p.seg.blockZone(s.id(pr.col), b)
		if !ok {
			continue
		}
		lo, hi, nulls, values := zoneBounds(z)
		if !pr.mayMatch(lo, hi, nulls, values) {
			return true
		}
	}
	return false
}

// Bounds encloses the values of a column; NULLs when there are none or they are
// not kept.
func (s *Snapshot) Bounds(col int) (lo, hi types.Datum) {
	t := s.columnType(col)
	some := false
	for _, p := range s.parts {
		l, h, _, values := s.partBounds(p, col)
		if !values {
			continue
		}
		if !l.Valid || !h.Valid || !ordered(t) {
			return types.Null, types.Null
		}
		if !some {
			lo, hi, some = l, h, true
			continue
		}
		if compareOrdered(t, l, lo) < 0 {
			lo = l
		}
		if compareOrdered(t, h, hi) > 0 {
			hi = h
		}
	}
	return lo, hi
}

// RowCount counts the rows; exact is false when rows newer than the snapshot lie
// in a segment, and then it is an upper bound.
func (s *Snapshot) RowCount() (rows int64, exact bool) {
	exact = true
	for _, p := range s.parts {
		n := int64(p.rows)
		if p.mem != nil {
			n -= p.mem.deadBelow(p.rows, uint64(p.at), p.hide)
		} else {
			n -= int64(p.deadMask().count())
			exact = exact && p.seg.csnMax() <= uint64(p.at)
		}
		rows += n
	}
	return rows, exact
}

// Empty says whether RowCount is 0; it looks at single rows only where what is
// counted cannot tell.
func (s *Snapshot) Empty() bool {
	for _, p := range s.parts {
		switch {
		case p.mem == nil:
			if int(p.rows) > p.deadMask().count() {
				return false
			}
		case p.hide == nil && int64(p.rows) > p.mem.dead.Load():
			return false
		case int64(p.rows) > p.mem.deadBelow(p.rows, uint64(p.at), p.hide):
			return false
		}
	}
	return true
}

// deadBelow counts rows below n that died at or below s, or are hidden.
func (m *memtable) deadBelow(n uint32, s uint64, hide mask) int64 {
	if hide == nil {
		// What was counted is all that died up to s, unless something died later.
		if k := m.dead.Load(); k == 0 || m.death.Load() <= s {
			return k
		}
	}
	var words [vec.Size / 64]uint64
	count := 0
	for row := uint32(0); row < n; row += vec.Size {
		k := int(min(n-row, vec.Size))
		kernel.Ones(words[:], k)
		m.clearDead(words[:], row, k, s, hide)
		count += k - vec.Count(words[:], k)
	}
	return int64(count)
}

// clearDead clears the bits of rows row..row+n (row a multiple of vec.Size) that
// died at or below s, and of hidden ones.
func (m *memtable) clearDead(words []uint64, row uint32, n int, s uint64, hide mask) {
	c, at := m.at(row)
	if d := c.dead.Load(); d != nil {
		deaths := (*d)[at : at+n]
		for w := 0; len(deaths) > 0; w++ {
			part := deaths[:min(64, len(deaths))]
			deaths = deaths[len(part):]
			var gone uint64
			for i := range part {
				_, died := bits.Sub64(atomic.LoadUint64(&part[i])-1, s, 0) // 0 wraps to the maximum
				gone |= died << (uint(i) & 63)
			}
			words[w] &^= gone
		}
	}
	if b := hide.block(int(row / vec.BlockRows)); b != nil {
		kernel.AndNot(words[:vec.Words(n)], b[row%vec.BlockRows>>6:])
	}
}

func (s *Snapshot) String() string {
	return fmt.Sprintf("%s/%d@%d", s.table.Name, s.t.cfg.Shard, s.at)
}
