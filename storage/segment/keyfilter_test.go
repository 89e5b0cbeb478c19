package segment

import (
	"math/rand/v2"
	"testing"
)

// TestKeyFilter builds filters of all sizes: no key is missed, few others are found,
// and an expanded filter says the same.
func TestKeyFilter(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 256, 257, 1024, 5000, 131072, 131073, 700000, RowsMax} {
		hashes := make([]uint32, n)
		for i := range hashes {
			hashes[i] = r.Uint32()
		}
		f := NewKeyFilter(hashes)
		for _, h := range hashes {
			if !f.Has(h) {
				t.Fatalf("%d keys: %x is missed", n, h)
			}
		}
		words := make([]uint64, FilterBlocksMax*FilterBlockBits/64)
		f.Expanded(0, func(i int, w uint64) { words[i] = w })
		const tries = 1 << 17
		wrong := 0
		for range tries {
			h := r.Uint32()
			has := true
			for p, k := FilterBits(h), 0; k < FilterProbes; k++ {
				bit := FilterBlock(h, 0)*FilterBlockBits + uint32(p&511)
				has = has && words[bit>>6]>>(bit&63)&1 != 0
				p >>= 9
			}
			if has != f.Has(h) {
				t.Fatalf("%d keys: %x: expanded %v, filter %v", n, h, has, f.Has(h))
			}
			if has {
				wrong++
			}
		}
		if share := float64(wrong) / tries; share > 0.016 {
			t.Errorf("%d keys: %.4f of other keys are found", n, share)
		} else {
			t.Logf("%d keys, %d bytes: %.4f of other keys are found", n, len(f.b), share)
		}
	}
}
