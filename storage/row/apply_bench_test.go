package row

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/storage"
)

// BenchmarkApply puts commits of a thousand rows into a memtable, with their keys as
// they came and sorted.
func BenchmarkApply(b *testing.B) {
	for _, sorted := range []bool{false, true} {
		name := "asTheyCame"
		if sorted {
			name = "sorted"
		}
		b.Run(name, func(b *testing.B) {
			db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}, MemTableSize: 64 << 20})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			r := rand.New(rand.NewPCG(1, 2))
			const rows, space = 1000, 2_000_000
			for b.Loop() {
				c := &Changes{}
				for range rows {
					at := len(c.buf)
					c.buf = append(c.buf, 0, 0, 0, 1, 0, 0)
					c.buf = binary.BigEndian.AppendUint64(c.buf, r.Uint64N(space))
					c.buf = append(c.buf, make([]byte, 100)...)
					c.ops = append(c.ops, change{at, 14, 100})
				}
				if sorted {
					c.sort(6)
				}
				w := db.NewBatch()
				if err := c.Apply(w); err != nil {
					b.Fatal(err)
				}
				if err := w.Commit(pebble.NoSync); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGroups applies groups of eight commits of a thousand rows, as pieces for a
// memtable or as runs.
func BenchmarkGroups(b *testing.B) {
	for _, runs := range []bool{false, true} {
		name := "memtable"
		if runs {
			name = "runs"
		}
		b.Run(name, func(b *testing.B) {
			db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}, MemTableSize: 64 << 20,
				L0CompactionThreshold: 4, L0StopWritesThreshold: 16, LBaseMaxBytes: 256 << 20, MemTableStopWritesThreshold: 4})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			rs := NewRuns(db)
			r := rand.New(rand.NewPCG(1, 2))
			const rows, commits, space = 1000, 8, 2_000_000
			for b.Loop() {
				b.StopTimer()
				g := &Group{}
				for range commits {
					c := &Changes{}
					for range rows {
						at := len(c.buf)
						c.buf = append(append(c.buf, tabletPrefix(9, 0)...), 1)
						c.buf = binary.BigEndian.AppendUint64(c.buf, r.Uint64N(space))
						c.buf = append(c.buf, make([]byte, 90)...)
						c.ops = append(c.ops, change{at, 16, 90})
					}
					c.sort(sortedPrefix)
					g.Add(c)
				}
				b.StartTimer()
				if !runs {
					if err := g.Apply(db); err != nil {
						b.Fatal(err)
					}
					continue
				}
				rs.Add(g, 1)
				if rs.Waiting() > 32<<20 {
					if err := rs.Drain(func(*pebble.Batch, storage.CSN) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows*commits), "ns/row")
		})
	}
}

// BenchmarkScanRuns goes through 100,000 rows, a part of which is replaced in runs.
func BenchmarkScanRuns(b *testing.B) {
	for _, replaced := range []int{0, 3_000, 30_000} {
		b.Run(fmt.Sprint(replaced), func(b *testing.B) {
			db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			rs := NewRuns(db)
			prefix := tabletPrefix(9, 0)
			r := rand.New(rand.NewPCG(1, 2))
			const rows, space = 1000, 100_000
			add := func(key func(i int) int) {
				g, c := &Group{}, &Changes{}
				for i := range rows {
					k := append(bytes.Clone(prefix), 1)
					c.change(binary.BigEndian.AppendUint64(k, uint64(key(i))*0x9e3779b97f4a7c15), make([]byte, 90))
				}
				c.sort(sortedPrefix)
				g.Add(c)
				rs.Add(g, 1)
			}
			for at := 0; at < space; at += rows {
				add(func(i int) int { return at + i })
			}
			if err := rs.Drain(func(*pebble.Batch, storage.CSN) error { return nil }); err != nil {
				b.Fatal(err)
			}
			if err := db.Compact(context.Background(), prefix, PrefixEnd(prefix), false); err != nil {
				b.Fatal(err)
			}
			for range replaced / rows {
				add(func(int) int { return r.IntN(space) })
			}
			s := source{r: db, live: rs}
			for b.Loop() {
				it, err := s.iter(context.Background(), prefix, prefix, PrefixEnd(prefix))
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for ok := it.First(); ok; ok = it.Next() {
					n++
				}
				if err := it.Close(); err != nil || n != space {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*space), "ns/row")
		})
	}
}
