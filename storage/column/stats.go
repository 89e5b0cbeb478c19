package column

import (
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

const (
	// sampleRows is the size of a table's sample.
	sampleRows = 2048
	// sketchRows is how many rows of a memtable go into its distinct sketches.
	sketchRows = 32768
)

// Stats is what the tablet knows of its data.
func (t *Tablet) Stats() *stats.Table { return new(StatsCache).Get(t.Table(), []*Tablet{t}) }

// StatsCache keeps a table's statistics between calls: counts and bounds are
// always new, samples and distinct counts follow when files change or the
// memtables have grown by a part. The zero value is ready; safe for concurrent use.
type StatsCache struct {
	mu    sync.Mutex
	table *catalog.Table
	gens  uint64
	rows  int64 // in memtables, at the last full look
	now   int64 // at the last look
	out   *stats.Table
}

// Get merges what the tablets of a table know of their data: from the segments'
// footers and samples, and from the memtables.
func (c *StatsCache) Get(table *catalog.Table, tablets []*Tablet) *stats.Table {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := newStatsMerger(table)
	var gens uint64
	var rows int64
	vs := make([]*version, len(tablets))
	for i, t := range tablets {
		vs[i] = t.pin()
		defer t.unpin(vs[i])
		gens = gens*31 + vs[i].segGen + uint64(len(vs[i].segs))
		for _, mt := range vs[i].mems {
			rows += int64(mt.rows.Load()) + mt.dead.Load()
		}
	}
	same := c.out != nil && c.table == table && c.gens == gens
	if same && c.now == rows {
		return c.out
	}
	same = same && rows-c.rows <= c.rows/8 && rows >= c.rows
	m.sketches = !same
	for _, v := range vs {
		for _, s := range v.segs {
			m.segment(s)
		}
		for _, mt := range v.mems {
			m.memtable(mt)
		}
	}
	m.finish(c.out)
	c.table, c.gens, c.now, c.out = table, gens, rows, m.out
	if !same {
		c.rows = rows
	}
	return m.out
}

// statsMerger collects the statistics of many parts.
type statsMerger struct {
	table    *catalog.Table
	out      *stats.Table
	cols     []columnStats
	total    int64 // rows, dead ones too
	sketches bool  // sketches and samples are wanted too
	segments []*segFile
	mems     []*memtable
}

type columnStats struct {
	bounds bounds
	open   bool // some part does not know its bounds
	sketch segment.Sketch
	nulls  int64
}

func newStatsMerger(table *catalog.Table) *statsMerger {
	m := &statsMerger{table: table, out: &stats.Table{Columns: make([]stats.Column, len(table.Columns))}, cols: make([]columnStats, len(table.Columns))}
	for i := range m.cols {
		m.cols[i].bounds.init(table.Columns[i].T)
	}
	return m
}

func (c *columnStats) widen(lo, hi types.Datum, values bool) {
	switch {
	case !values:
	case !lo.Valid || !hi.Valid || !c.bounds.keep:
		c.open = true
	case c.bounds.t.Layout == types.LayoutView:
		c.bounds.widenBytes([]byte(lo.S))
		c.bounds.widenBytes([]byte(hi.S))
	default:
		c.bounds.widen(lo)
		c.bounds.widen(hi)
	}
}

// missing takes note of a part's rows that were stored without the column.
func (c *columnStats) missing(d types.Datum, rows int64) {
	c.widen(d, d, d.Valid)
	if !d.Valid {
		c.nulls += rows
	}
}

func (m *statsMerger) segment(s *segFile) {
	rows := int64(s.info.Rows)
	m.out.Rows += rows - int64(s.del.Load().upTo(latest).count())
	m.out.Bytes += s.info.Size
	m.total += rows
	m.segments = append(m.segments, s)
	for i := range m.table.Columns {
		c := &m.cols[i]
		r := s.cols[m.table.Columns[i].ID]
		if r == nil {
			c.missing(m.table.Columns[i].Missing, rows)
			continue
		}
		z := s.shiftZone(m.table.Columns[i].ID, r.Total())
		c.widen(z.Min, z.Max, z.Nulls < z.Rows)
		c.nulls += int64(z.Nulls)
		if m.sketches {
			c.sketch.Merge(r.Sketch())
		}
	}
}

func (m *statsMerger) memtable(mt *memtable) {
	n := mt.rows.Load()
	if n == 0 {
		return
	}
	m.out.Rows += int64(n) - mt.dead.Load()
	m.total += int64(n)
	m.mems = append(m.mems, mt)
	hashes := make([]uint64, vec.Size)
	var w vec.Vec
	var words [2 * vecWords]uint64
	for i := range m.table.Columns {
		c := &m.cols[i]
		p := mt.sch.find(m.table.Columns[i].ID)
		if p < 0 {
			c.missing(m.table.Columns[i].Missing, int64(n))
			continue
		}
		mt.boundsMu.Lock()
		b := &mt.bounds[p]
		lo, hi := b.values()
		some := b.some
		c.nulls += b.nulls
		mt.boundsMu.Unlock()
		c.widen(lo, hi, some)
		for row := uint32(0); m.sketches && row < min(n, sketchRows); row += vec.Size {
			ch, at := mt.at(row)
			k := int(min(n-row, vec.Size))
			ch.cols[p].window(&w, at, k, words[:])
			kernel.HashVec(hashes[:k], &w, nil)
			c.sketch.Add(valid(hashes[:k], &w))
		}
	}
}

// valid moves the hashes of rows that are not null to the front.
func valid(h []uint64, v *vec.Vec) []uint64 {
	if v.Valid == nil {
		return h
	}
	out := h[:0]
	for i, x := range h {
		if vec.Bit(v.Valid, i) {
			out = append(out, x)
		}
	}
	return out
}

// finish takes a sample, and sums up; what is not wanted comes from before.
func (m *statsMerger) finish(before *stats.Table) {
	out := m.out
	if m.total == 0 {
		return
	}
	if m.sketches {
		m.sample()
	} else {
		out.Sample = before.Sample
	}
	for i := range out.Columns {
		c, o := &m.cols[i], &out.Columns[i]
		o.Nulls = c.nulls
		if !c.open {
			o.Min, o.Max = c.bounds.values()
		}
		if !m.sketches {
			o.Distinct, o.AvgBytes = before.Columns[i].Distinct, before.Columns[i].AvgBytes
			continue
		}
		o.Distinct = min(c.sketch.Estimate(), float64(max(m.total-c.nulls, 0)))
		o.AvgBytes = m.avgBytes(i)
	}
}

// sample takes rows of every part in proportion to its size.
func (m *statsMerger) sample() {
	out := m.out
	share := func(rows int) int { return int(int64(sampleRows)*int64(rows)/m.total) + 1 }
	for _, s := range m.segments {
		m.sampleSegment(s, share(s.info.Rows))
	}
	var w vec.Vec
	var words [2 * vecWords]uint64
	for _, mt := range m.mems {
		n := int(mt.rows.Load())
		k := min(share(n), n)
		for j := 0; j < k; j++ {
			row := uint32(int64(j) * int64(n) / int64(k))
			c, at := mt.at(row)
			base := at &^ 63
			sampled := make([]types.Datum, len(m.table.Columns))
			for i := range sampled {
				p := mt.sch.find(m.table.Columns[i].ID)
				if p < 0 {
					sampled[i] = m.table.Columns[i].Missing
					continue
				}
				c.cols[p].window(&w, base, at-base+1, words[:])
				sampled[i] = w.Datum(at - base)
			}
			out.Sample = append(out.Sample, sampled)
		}
	}
}

func (m *statsMerger) avgBytes(col int) float64 {
	t := m.table.Columns[col].T
	if t.Layout != types.LayoutView {
		return float64(layoutBytes(t.Layout))
	}
	n, bytes := 0, 0
	for _, r := range m.out.Sample {
		if r[col].Valid {
			n++
			bytes += len(r[col].S)
		}
	}
	if n == 0 {
		return 0
	}
	return float64(bytes) / float64(n)
}

// sampleSegment adds k rows of a segment's sample. Statistics are a hint: a sample
// that cannot be read is left out.
func (m *statsMerger) sampleSegment(s *segFile, k int) {
	b, ids, err := s.r.Sample()
	if err != nil || b.N == 0 {
		return
	}
	at := make([]int, len(m.table.Columns))
	for i := range at {
		at[i] = -1
		for j, id := range ids {
			if id == m.table.Columns[i].ID {
				at[i] = j
			}
		}
		if at[i] < 0 && s.cols[m.table.Columns[i].ID] != nil {
			at[i] = -2 // too long for the sample
		}
	}
	k = min(k, b.N)
	for j := 0; j < k; j++ {
		row := make([]types.Datum, len(at))
		for i, p := range at {
			switch {
			case p >= 0:
				row[i] = b.Cols[p].Datum(j * b.N / k)
			case p == -1:
				row[i] = m.table.Columns[i].Missing
			}
		}
		m.out.Sample = append(m.out.Sample, row)
	}
}
