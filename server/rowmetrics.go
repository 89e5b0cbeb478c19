package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/storage/tablet"
)

// rowMetrics are the figures of Pebble, which has the row tablets and the catalog, read
// once for each collection.
type rowMetrics struct {
	store *tablet.Store
	descs []*prometheus.Desc
}

// rowFigures names them.
var rowFigures = []struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*tablet.RowMetrics) int64
}{
	{"row_files", "Files of row tablets and the catalog.", prometheus.GaugeValue, func(m *tablet.RowMetrics) int64 { return m.Files }},
	{"row_file_bytes", "Bytes on disk of row tablets and the catalog.", prometheus.GaugeValue, func(m *tablet.RowMetrics) int64 { return m.Bytes }},
	{"row_read_amplification", "Files that a look-up in row tablets may have to ask.", prometheus.GaugeValue, func(m *tablet.RowMetrics) int64 { return m.ReadAmp }},
	{"row_memtable_bytes", "Memory of the memtables of row tablets.", prometheus.GaugeValue, func(m *tablet.RowMetrics) int64 { return m.Memtables }},
	{"row_cache_bytes", "Memory of the block cache of row tablets.", prometheus.GaugeValue, func(m *tablet.RowMetrics) int64 { return m.Cache }},
	{"row_cache_hits_total", "Blocks of row tablets found in the cache.", prometheus.CounterValue, func(m *tablet.RowMetrics) int64 { return m.Hits }},
	{"row_cache_misses_total", "Blocks of row tablets that had to be read.", prometheus.CounterValue, func(m *tablet.RowMetrics) int64 { return m.Misses }},
	{"row_flushes_total", "Flushes of memtables of row tablets.", prometheus.CounterValue, func(m *tablet.RowMetrics) int64 { return m.Flushes }},
	{"row_compactions_total", "Compactions of row tablets.", prometheus.CounterValue, func(m *tablet.RowMetrics) int64 { return m.Compactions }},
	{"row_flushed_bytes_total", "Bytes that flushes of row tablets wrote.", prometheus.CounterValue, func(m *tablet.RowMetrics) int64 { return m.Flushed }},
	{"row_compacted_bytes_total", "Bytes that compactions of row tablets wrote.", prometheus.CounterValue, func(m *tablet.RowMetrics) int64 { return m.Compacted }},
	{"row_compaction_debt_bytes", "Bytes of row tablets that are to be compacted.", prometheus.GaugeValue, func(m *tablet.RowMetrics) int64 { return m.Debt }},
	{"row_write_stalls_total", "How often writers of row tablets had to wait for files.", prometheus.CounterValue, func(m *tablet.RowMetrics) int64 { return m.Stalls }},
}

func newRowMetrics(s *tablet.Store) *rowMetrics {
	c := &rowMetrics{store: s}
	for _, f := range rowFigures {
		c.descs = append(c.descs, prometheus.NewDesc("millrace_"+f.name, f.help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *rowMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *rowMetrics) Collect(out chan<- prometheus.Metric) {
	m := c.store.RowMetrics()
	for i, f := range rowFigures {
		out <- prometheus.MustNewConstMetric(c.descs[i], f.kind, float64(f.value(&m)))
	}
}
