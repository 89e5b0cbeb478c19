package column

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// scattered is a permutation of the integers.
func scattered(x uint64) int64 {
	x = (x ^ x>>31) * 0x7fb5d329728ea185
	x = (x ^ x>>27) * 0x81dadef4bc2dd44d
	return int64((x ^ x>>33) >> 1)
}

// keyedTable has one key column, int8 or text, and a number.
func keyedTable(key types.T) *catalog.Table {
	return &catalog.Table{OID: 20002, Name: "keyed", Shards: 1, PK: []int{0}, Columns: []catalog.Column{
		{ID: 1, Name: "k", T: key, NotNull: true}, {ID: 2, Name: "n", T: types.Int8}}}
}

// keyedBatch has rows whose keys are scattered(first) and on.
func keyedBatch(key types.T, first uint64, n int) *vec.Batch {
	b := vec.NewBatch([]types.T{key, types.Int8})
	for i := 0; i < n; i++ {
		x := scattered(first + uint64(i))
		if key.OID == types.TextOID {
			b.Cols[0].AppendString(fmt.Sprintf("customer-%016x", x))
		} else {
			b.Cols[0].AppendDatum(types.NewInt(x))
		}
		b.Cols[1].AppendDatum(types.NewInt(int64(i)))
	}
	b.N = n
	return b
}

// keyedTablet has segs segments of rows keys each, all over the same range.
func keyedTablet(b testing.TB, key types.T, segs, rows int) *harness {
	h := newHarness(b, keyedTable(key))
	w := h.tab.newSegWriter(h.tab.cur.sch, nil, encoding.NoCodec)
	w.rowsMax = rows
	csns := make([]uint64, vec.Size)
	for i := range csns {
		csns[i] = 1
	}
	for at := 0; at < segs*rows; at += vec.Size {
		n := min(vec.Size, segs*rows-at)
		if err := w.append(keyedBatch(key, uint64(at), n), csns[:n]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.finish(); err != nil {
		b.Fatal(err)
	}
	h.state = State{Segments: w.infos, F: 1}
	h.next, h.pub = 2, 1
	h.open()
	return h
}

// BenchmarkKeys looks up a batch of keys of a large tablet: ones that it has, and
// ones that it has not.
func BenchmarkKeys(b *testing.B) {
	for _, key := range []types.T{types.Int8, types.Text} {
		for _, segs := range []int{1, 5, 20} {
			const rows, batch = 1 << 20, 1000
			h := keyedTablet(b, key, segs, rows)
			for _, lanes := range []bool{false, true} {
				for _, part := range []string{"hit", "miss"} {
					b.Run(fmt.Sprintf("%s/%dM/%s%s", map[uint32]string{types.TextOID: "text"}[key.OID], segs, part, map[bool]string{true: "/lanes"}[lanes]), func(b *testing.B) {
						var batches [][]storage.Chunk
						for i := range 64 {
							first := uint64(segs*rows) + uint64(i*batch)
							if part == "hit" {
								first = uint64(scattered(uint64(i)*77)) % uint64(segs*rows-batch)
							}
							rows := keyedBatch(key, first, batch)
							if part == "hit" { // from all over the tablet
								rows = vec.NewBatch([]types.T{key, types.Int8})
								for k := range batch {
									one := keyedBatch(key, uint64(scattered(uint64(i*batch+k)))%uint64(segs<<20), 1)
									rows.Cols[0].Copy(one.Cols[0], nil, 1)
									rows.Cols[1].Copy(one.Cols[1], nil, 1)
								}
								rows.N = batch
							}
							batches = append(batches, []storage.Chunk{{Op: storage.OpUpsert, Rows: rows, Ord: make([]uint32, batch)}})
						}
						if lanes {
							p, _ := h.tab.Prepare(context.Background(), batches[0])
							p.Release()
							if err := h.tab.BuildFilters(context.Background()); err != nil {
								b.Fatal(err)
							}
							if len(h.tab.lanes.matrices) == 0 {
								b.Skip("too few segments")
							}
						}
						i := 0
						for b.Loop() {
							p, err := h.tab.Prepare(context.Background(), batches[i&63])
							if err != nil {
								b.Fatal(err)
							}
							p.Release()
							i++
						}
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())/batch/float64(b.N), "ns/key")
					})
				}
			}
		}
	}
}

// BenchmarkKeysMixed looks up batches of 500 keys, of which the tablet has half, in no
// order: what an upsert of 1,000 rows into a table of two shards does in each.
func BenchmarkKeysMixed(b *testing.B) {
	for _, segs := range []int{10, 25} {
		b.Run(fmt.Sprintf("%dM", segs), func(b *testing.B) {
			const rows, batch, batches = 1 << 20, 500, 2048
			h := keyedTablet(b, types.Int8, segs, rows)
			all := make([][]storage.Chunk, batches)
			for i := range all {
				set := vec.NewBatch([]types.T{types.Int8, types.Int8})
				for k := range batch {
					x := uint64(scattered(uint64(i*batch+k))) % uint64(2*segs*rows)
					set.Cols[0].AppendDatum(types.NewInt(scattered(x)))
					set.Cols[1].AppendDatum(types.NewInt(int64(k)))
				}
				set.N = batch
				all[i] = []storage.Chunk{{Op: storage.OpUpsert, Rows: set, Ord: make([]uint32, batch)}}
			}
			p, err := h.tab.Prepare(context.Background(), all[0])
			if err != nil {
				b.Fatal(err)
			}
			p.Release()
			if err := h.tab.BuildFilters(context.Background()); err != nil {
				b.Fatal(err)
			}
			i, before := 0, cpuTime()
			for b.Loop() {
				p, err := h.tab.Prepare(context.Background(), all[i%batches])
				if err != nil {
					b.Fatal(err)
				}
				p.Release()
				i++
			}
			b.ReportMetric(float64(cpuTime()-before)/batch/float64(i), "cpu-ns/key")
		})
	}
}

// cpuTime is the process's: beside other processes it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
