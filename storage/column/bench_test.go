package column

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// lineTable is about as wide as TPC-H's lineitem.
func lineTable() *catalog.Table {
	t := &catalog.Table{OID: 20001, Name: "line", Shards: 1, PK: []int{0, 1}}
	add := func(name string, ty types.T) {
		t.Columns = append(t.Columns, catalog.Column{ID: int32(len(t.Columns) + 1), Name: name, T: ty})
	}
	add("orderkey", types.Int8)
	add("linenumber", types.Int4)
	for i := 0; i < 4; i++ {
		add(fmt.Sprintf("num%d", i), types.Decimal(15, 2))
	}
	for i := 0; i < 3; i++ {
		add(fmt.Sprintf("date%d", i), types.Date)
	}
	add("flag", types.Text)
	add("mode", types.Text)
	add("comment", types.Text)
	return t
}

var lineModes = []string{"AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB", "REG AIR"}

func lineBatch(t *catalog.Table, first, n int) *vec.Batch {
	b := vec.NewBatch(t.Types())
	for k := 0; k < n; k++ {
		r := first + k
		b.Cols[0].AppendDatum(types.NewInt(int64(r / 4)))
		b.Cols[1].AppendDatum(types.NewInt(int64(r % 4)))
		h := uint32(r) * 2654435761
		for i := 0; i < 4; i++ {
			b.Cols[2+i].AppendDatum(types.NewInt(int64(h>>uint(3*i)) % 100000))
		}
		for i := 0; i < 3; i++ {
			b.Cols[6+i].AppendDatum(types.NewInt(int64(h>>uint(5+i)) % 2500))
		}
		b.Cols[9].AppendString(lineModes[h%3][:1])
		b.Cols[10].AppendString(lineModes[h>>8%7])
		b.Cols[11].AppendString("carefully final deposits " + lineModes[h>>12%7] + " sleep furiously")
	}
	b.N = n
	return b
}

func lineChunks(t *catalog.Table, rows int) []storage.Chunk {
	var out []storage.Chunk
	for r := 0; r < rows; r += vec.Size {
		n := min(vec.Size, rows-r)
		ord := make([]uint32, n)
		for i := range ord {
			ord[i] = uint32(r + i)
		}
		out = append(out, storage.Chunk{Op: storage.OpInsert, Rows: lineBatch(t, r, n), Ord: ord})
	}
	return out
}

// BenchmarkInsert commits batches of 2,048 rows with a primary key into memory.
func BenchmarkInsert(b *testing.B) {
	t := lineTable()
	chunks := lineChunks(t, 1<<17)
	b.ReportAllocs()
	for b.Loop() {
		h := newHarness(b, t)
		for i := range chunks {
			p, err := h.tab.Prepare(context.Background(), chunks[i:i+1])
			if err != nil {
				b.Fatal(err)
			}
			s, _, err := p.Stage()
			if err != nil {
				b.Fatal(err)
			}
			h.next += 2049
			h.pub = storage.CSN(h.next)
			s.Stamp(h.next-2048, h.pub)
			p.Release()
		}
	}
	b.ReportMetric(float64(b.N)*(1<<17)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkSpill is what a large COPY does: rows to private files.
func BenchmarkSpill(b *testing.B) {
	t := lineTable()
	chunks := lineChunks(t, 1<<17)
	b.ReportAllocs()
	for b.Loop() {
		h := newHarness(b, t)
		o := NewOverlay(t, 0, h.dir, h.nextFile, h.lim)
		if _, err := o.Spill(context.Background(), chunks, nil); err != nil {
			b.Fatal(err)
		}
		o.Close()
	}
	b.ReportMetric(float64(b.N)*(1<<17)/b.Elapsed().Seconds(), "rows/s")
}

func lineTablet(b testing.TB, rows int, flush bool) *harness {
	h := newHarness(b, lineTable())
	for _, c := range lineChunks(h.table, rows) {
		h.mustCommit(&chunker{chunks: []storage.Chunk{c}, ord: uint32(rows)})
	}
	if flush {
		h.flush()
	}
	return h
}

// BenchmarkScan reads columns of a table in memory and in a segment.
func BenchmarkScan(b *testing.B) {
	for _, where := range []string{"memtable", "segment"} {
		const rows = 1 << 18
		h := lineTablet(b, rows, where == "segment")
		s := h.tab.Snapshot(h.pub)
		for name, cols := range map[string][]int{"ints": {2, 3, 6}, "strings": {9, 11}} {
			b.Run(where+"/"+name, func(b *testing.B) {
				spec := &catalog.ScanSpec{Cols: cols, Limit: -1}
				b.ReportAllocs()
				r, err := s.Reader(spec)
				if err != nil {
					b.Fatal(err)
				}
				splits, _, _ := s.Splits(context.Background(), spec)
				n := 0
				for b.Loop() {
					for _, sp := range splits {
						if err := r.Open(sp); err != nil {
							b.Fatal(err)
						}
						for {
							batch, err := r.Next()
							if err != nil {
								b.Fatal(err)
							}
							if batch == nil {
								break
							}
							n += batch.Rows()
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/float64(len(cols)), "ns/value")
			})
		}
		s.Close()
	}
}

// BenchmarkGet looks one key up, and 1,000.
func BenchmarkGet(b *testing.B) {
	for _, where := range []string{"memtable", "segment"} {
		const rows = 1 << 17
		h := lineTablet(b, rows, where == "segment")
		s := h.tab.Snapshot(h.pub)
		for _, n := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/%d", where, n), func(b *testing.B) {
				keys := vec.NewBatch([]types.T{types.Int8, types.Int4})
				for i := 0; i < n; i++ {
					r := uint32(i) * 2654435761 % rows
					keys.Cols[0].AppendDatum(types.NewInt(int64(r / 4)))
					keys.Cols[1].AppendDatum(types.NewInt(int64(r % 4)))
				}
				keys.N = n
				out := vec.NewBatch([]types.T{types.Decimal(15, 2), types.Text})
				b.ReportAllocs()
				for b.Loop() {
					out.Reset()
					idx, err := s.Get(context.Background(), keys, []int{2, 11}, out, nil)
					if err != nil || len(idx) != n {
						b.Fatal(len(idx), err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/float64(b.N), "ns/key")
			})
		}
		s.Close()
	}
}

// BenchmarkProbe prepares inserts of new keys against segments that overlap them.
func BenchmarkProbe(b *testing.B) {
	t := lineTable()
	t.Clustering = []catalog.SortColumn{{Ordinal: 6}}
	h := newHarness(b, t)
	for i, c := range lineChunks(t, 1<<18) {
		h.mustCommit(&chunker{chunks: []storage.Chunk{c}, ord: 1 << 18})
		if i%32 == 31 {
			h.flush()
		}
	}
	c := lineChunks(t, vec.Size)
	for i := range c[0].Rows.Cols[1].I32 {
		c[0].Rows.Cols[0].I64[i] = int64(i * 30)
		c[0].Rows.Cols[1].I32[i] = 99
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := h.tab.Prepare(context.Background(), c)
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/vec.Size/float64(b.N)/float64(len(h.tab.cur.segs)), "ns/key/segment")
}
