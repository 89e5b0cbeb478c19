package row

import (
	"context"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

const (
	// statsRows is how many rows of a tablet are counted, and read, one by one; what a
	// larger one has is estimated.
	statsRows = 4096
	// samplePlaces and sampleRows are where, and how much in all, a larger one is read.
	samplePlaces = 64
	sampleRows   = 2048
)

// StatsCache keeps a table's statistics until a part of its rows has changed. The
// zero value is ready; safe for concurrent use.
type StatsCache struct {
	sampling sync.Mutex // held by who reads the table

	mu      sync.Mutex
	table   *catalog.Table
	changed int64
	out     *stats.Table
}

// Get is what the tablets of a table know of their rows, from a sample. While one reads
// a new sample the others go on with the old one.
func (c *StatsCache) Get(table *catalog.Table, tablets []*Tablet) *stats.Table {
	changed := int64(0)
	for _, t := range tablets {
		changed += t.changed.Load()
	}
	have, good := c.have(table, changed)
	if good || have != nil && !c.sampling.TryLock() {
		return have
	}
	if have == nil {
		c.sampling.Lock()
	}
	defer c.sampling.Unlock()
	if have, good = c.have(table, changed); good { // somebody else has just read it
		return have
	}
	m := &sampler{table: table, exact: true}
	for _, t := range tablets {
		if m.tablet(t, sampleRows/len(tablets)) != nil {
			break // statistics are a help, not a promise
		}
	}
	out := m.finish()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.table, c.changed, c.out = table, changed, out
	return out
}

// have is what was last found of a table, nil for nothing, and whether it still holds.
func (c *StatsCache) have(table *catalog.Table, changed int64) (out *stats.Table, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil || c.table != table {
		return nil, false
	}
	return c.out, changed-c.changed <= c.out.Rows/8
}

// sampler collects rows of a table's tablets.
type sampler struct {
	table  *catalog.Table
	exact  bool // every row was looked at
	rows   int64
	disk   int64
	stored int64 // bytes of the sample, as stored
	sample [][]types.Datum
	lo, hi types.Datum // of the first key column
	bounds bool
}

func (m *sampler) tablet(t *Tablet, want int) error {
	sch := t.schemaOf(m.table)
	end := PrefixEnd(t.prefix)
	src := t.sourceOf(t.cfg.DB)
	it, err := src.iter(context.Background(), t.prefix, t.prefix, end)
	if err != nil {
		return err
	}
	defer it.Close()
	d, b := sch.images(vec.Size)
	read := func(limit int) (n, bytes int, err error) {
		for ; it.Valid() && n < limit; it.Next() {
			v, err := it.ValueAndErr()
			if err == nil {
				err = d.row(v, b.N)
			}
			if err != nil {
				return n, bytes, err
			}
			if b.N++; b.N == vec.Size {
				m.keep(b)
			}
			n++
			bytes += len(it.Key()) + len(v)
		}
		return n, bytes, it.Error()
	}
	disk := t.DiskBytes()
	m.disk += disk
	if !it.First() {
		return it.Error()
	}
	first := slices.Clone(it.Key())
	n, bytes, err := read(statsRows)
	if err != nil {
		return err
	}
	m.keep(b)
	if !it.Valid() {
		m.rows += int64(n)
		m.stored += int64(bytes)
		return m.border(sch, t, first, it)
	}
	// The first rows are no sample of the rest: take some from where files begin.
	m.exact = false
	m.sample = m.sample[:len(m.sample)-min(len(m.sample), n)]
	places := []([]byte){first}
	if files, err := t.cfg.DB.SSTables(pebble.WithKeyRangeFilter(t.prefix, end)); err == nil {
		for _, level := range files {
			for _, f := range level {
				if k := f.Smallest.UserKey; string(k) > string(t.prefix) {
					places = append(places, k)
				}
			}
		}
	}
	slices.SortFunc(places, func(a, b []byte) int { return slices.Compare(a, b) })
	step := max(len(places)/samplePlaces, 1)
	places = places[:len(places):len(places)]
	got, size := 0, 0
	for i := 0; i < len(places); i += step {
		if !it.SeekGE(places[i]) {
			continue
		}
		k, bytes, err := read(max(want*step/len(places), 1))
		if err != nil {
			return err
		}
		got += k
		size += bytes
	}
	m.keep(b)
	// Blocks are compressed to a half or so; what is in memory only is not counted.
	rows := int64(n)
	if got > 0 {
		rows = max(rows, 2*disk/int64(max(size/got, 1)))
	}
	m.rows += rows
	m.stored += int64(size)
	return m.border(sch, t, first, it)
}

// keep moves the batch's rows to the sample.
func (m *sampler) keep(b *vec.Batch) {
	for i := 0; i < b.N; i++ {
		row := make([]types.Datum, len(b.Cols))
		for c, v := range b.Cols {
			row[c] = v.Datum(i)
		}
		m.sample = append(m.sample, row)
	}
	b.Reset()
}

// border takes the bounds of the first key column from the first and last key.
func (m *sampler) border(sch *schema, t *Tablet, first []byte, it *iter) error {
	last := it.last()
	if last == nil {
		return it.Error()
	}
	k := sch.keys[0]
	for _, key := range [][]byte{first, last} {
		d, _, err := types.DecodeKey(k.t, key[len(t.prefix):], k.desc)
		if err != nil {
			return err
		}
		if !m.bounds || types.Compare(k.t, d, m.lo) < 0 {
			m.lo = d
		}
		if !m.bounds || types.Compare(k.t, d, m.hi) > 0 {
			m.hi = d
		}
		m.bounds = true
	}
	return nil
}

func (m *sampler) finish() *stats.Table {
	out := &stats.Table{Rows: m.rows, Bytes: m.disk, Columns: make([]stats.Column, len(m.table.Columns))}
	n := len(m.sample)
	if n == 0 {
		return out
	}
	for c := range m.table.Columns {
		t, s := m.table.Columns[c].T, &out.Columns[c]
		count := make(map[types.Datum]int, n)
		nulls, bytes := 0, 0
		for _, row := range m.sample {
			d := row[c]
			if !d.Valid {
				nulls++
				continue
			}
			count[d]++
			bytes += len(d.S)
			if !m.exact || !types.KeyOrdered(t) {
				continue
			}
			if !s.Min.Valid || types.Compare(t, d, s.Min) < 0 {
				s.Min = d
			}
			if !s.Max.Valid || types.Compare(t, d, s.Max) > 0 {
				s.Max = d
			}
		}
		s.Nulls = int64(float64(nulls) / float64(n) * float64(m.rows))
		s.Distinct = distinct(count, float64(n-nulls), float64(m.rows-s.Nulls))
		if t.Layout == types.LayoutView && n > nulls {
			s.AvgBytes = float64(bytes) / float64(n-nulls)
		}
	}
	if k := keyColumns(m.table)[0]; m.bounds && !m.exact {
		out.Columns[k.ordinal].Min, out.Columns[k.ordinal].Max = m.lo, m.hi
	}
	if n > sampleRows {
		step := n / sampleRows
		thin := make([][]types.Datum, 0, sampleRows)
		for i := 0; i < n && len(thin) < sampleRows; i += step {
			thin = append(thin, m.sample[i])
		}
		m.sample = thin
	}
	out.Sample = m.sample
	return out
}

// distinct estimates the number of values among all from those of a sample of n, as
// PostgreSQL does (Haas and Stokes).
func distinct(count map[types.Datum]int, n, all float64) float64 {
	if n == 0 {
		return 0
	}
	once := 0.0
	for _, k := range count {
		if k == 1 {
			once++
		}
	}
	d := float64(len(count))
	return min(max(n*d/(n-once+once*n/max(all, n)), d), max(all, 1))
}

// RowCount is how many rows a view has: exact up to some thousands, else an estimate
// that is rather too high.
func (v *View) RowCount(ctx context.Context) (rows int64, exact bool) {
	n, err := v.CountUpTo(ctx, statsRows+1)
	if err == nil && n <= statsRows {
		return int64(n), true
	}
	// A stored row has hardly less than 16 bytes.
	return max(int64(n), v.t.DiskBytes()/4, v.t.changed.Load()), false
}
