package segment

import (
	"bytes"
	"io"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// BenchmarkWrite writes a segment of two blocks.
func BenchmarkWrite(b *testing.B) {
	tab := build(b, 2*vec.BlockRows, Schema{Columns: testColumns, Key: []int32{1}}, Options{})
	ts := make([]types.T, len(testColumns))
	for i, c := range testColumns {
		ts[i] = c.T
	}
	for b.Loop() {
		w := NewWriter(io.Discard, Schema{Columns: testColumns, Key: []int32{1}}, Options{Codec: encoding.S2})
		for at := 0; at < tab.rows.N; at += vec.Size {
			part := &vec.Batch{N: vec.Size, Cols: tab.rows.Cols}
			for i := range vec.Size {
				part.Sel = append(part.Sel, uint16(i+at%vec.BlockRows))
			}
			if err := w.Append(part, tab.csns[at:at+vec.Size]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Finish(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tab.rows.N), "ns/row")
}

// BenchmarkLookup finds random keys in a full index, 1,000 at a time.
func BenchmarkLookup(b *testing.B) {
	h := make([]uint32, RowsMax)
	x := uint32(1)
	for i := range h {
		x = x*1664525 + 1013904223
		h[i] = x
	}
	idx, _ := parseKeyIndex(buildKeyIndex(h), len(h))
	keys := make([]uint32, 1000)
	for i := range keys {
		keys[i] = h[i*1009]
	}
	found := 0
	for b.Loop() {
		idx.lookup(keys, func(int, uint32) { found++ })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}

// BenchmarkOpen opens a segment of 16 columns.
func BenchmarkOpen(b *testing.B) {
	tab := build(b, 5000, Schema{Columns: testColumns}, Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(newMem(bytes.Clone(tab.bytes), true), int64(len(tab.bytes))); err != nil {
			b.Fatal(err)
		}
	}
}
