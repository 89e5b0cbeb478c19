package row

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
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
