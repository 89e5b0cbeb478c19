package column

import (
	"testing"

	"github.com/millrace/millrace/storage"
)

func TestStats(t *testing.T) {
	h := newHarness(t, testTable(true, false))
	var c StatsCache
	if s := c.Get(h.table, []*Tablet{h.tab}); s.Rows != 0 || len(s.Columns) != 3 {
		t.Fatalf("empty table: %+v", s)
	}
	fill := func(from, to int64) {
		ch := &chunker{}
		var rows []row
		for k := from; k < to; k++ {
			n, s := k%10, "abc"
			r := row{k: k, n: &n, s: &s}
			if k%4 == 0 {
				r.s = nil
			}
			rows = append(rows, r)
		}
		ch.rows(storage.OpInsert, rows...)
		h.mustCommit(ch)
	}
	fill(0, 2000)
	check := func(rows int64) {
		t.Helper()
		s := c.Get(h.table, []*Tablet{h.tab})
		if s.Rows != rows {
			t.Errorf("rows %d, want %d", s.Rows, rows)
		}
		k, n, str := s.Columns[0], s.Columns[1], s.Columns[2]
		if k.Min.I != 0 || k.Max.I != rows-1 || n.Min.I != 0 || n.Max.I != 9 || str.Min.S != "abc" || str.Max.S != "abc" {
			t.Errorf("bounds %v..%v %v..%v %v..%v", k.Min, k.Max, n.Min, n.Max, str.Min, str.Max)
		}
		if k.Distinct < float64(rows)*0.9 || k.Distinct > float64(rows)*1.1 || n.Distinct < 9 || n.Distinct > 11 {
			t.Errorf("distinct %v of %d, %v of 10", k.Distinct, rows, n.Distinct)
		}
		if str.Nulls != rows/4 || str.AvgBytes != 3 || len(s.Sample) < 500 || len(s.Sample) > 2*sampleRows {
			t.Errorf("nulls %d, bytes %v, sample of %d", str.Nulls, str.AvgBytes, len(s.Sample))
		}
	}
	check(2000)
	h.flush()
	check(2000)
	fill(2000, 3000)
	check(3000)
	h.flush()
	h.compact()
	check(3000)
}
