package row

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A group leaves in Pebble what its commits leave one after another.
func TestGroup(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for range 3 {
			g := &Group{}
			n, space, tablets := 0, 1+r.IntN(9000), 1+r.IntN(3)
			for range r.IntN(9) {
				c := &Changes{}
				tablet := byte(r.IntN(tablets))
				for i := range r.IntN(1 + r.IntN(4000)) {
					at := len(c.buf)
					c.buf = append(c.buf, 7, tablet)
					k := r.IntN(space)
					if k%3 == 0 {
						c.buf = append(c.buf, byte(k)) // a short key
					} else {
						c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(k)>>4)
						c.buf = append(c.buf, byte(k))
					}
					o := change{at: at, keyLen: len(c.buf) - at}
					if r.IntN(4) > 0 {
						v := fmt.Sprint("value ", i, " ", r.IntN(1000))
						c.buf, o.valueLen = append(c.buf, v...), len(v)
					}
					c.ops = append(c.ops, o)
				}
				c.sort(2)
				for i := range c.ops {
					if v := c.value(i); v != nil {
						want[string(c.key(i))] = string(v)
					} else {
						delete(want, string(c.key(i)))
					}
				}
				n += c.Len()
				g.Add(c)
			}
			if g.Len() != n {
				t.Fatalf("%d changes of %d", g.Len(), n)
			}
			if err := g.Apply(db); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			it, err := db.NewIter(nil)
			if err != nil {
				t.Fatal(err)
			}
			for ok := it.First(); ok; ok = it.Next() {
				got[string(it.Key())] = string(it.Value())
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, want) {
				t.Fatalf("%d rows, want %d", len(got), len(want))
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
