package row

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Changes in the order of their keys keep those of one key in their own order, and
// leave none out.
func TestChangesSort(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		c := &Changes{}
		n := r.IntN(60)
		for range n {
			at := len(c.buf)
			c.buf = append(c.buf, 9, 9)
			for range r.IntN(3) * r.IntN(6) {
				c.buf = append(c.buf, byte(r.IntN(2)))
			}
			c.ops = append(c.ops, change{at: at, keyLen: len(c.buf) - at})
		}
		c.sort(2)
		if n < sortFrom {
			if c.order != nil {
				t.Fatal("few changes were sorted")
			}
			continue
		}
		seen := make([]bool, n)
		for k, r := range c.order {
			i := r.i
			if seen[i] {
				t.Fatalf("change %d is there twice", i)
			}
			seen[i] = true
			if k == 0 {
				continue
			}
			before := c.order[k-1].i
			if x := bytes.Compare(c.key(int(before)), c.key(int(i))); x > 0 || x == 0 && before > i {
				t.Fatalf("%x (%d) stands before %x (%d)", c.key(int(before)), before, c.key(int(i)), i)
			}
		}
		if len(c.order) != n {
			t.Fatalf("%d of %d changes", len(c.order), n)
		}
	}
}
