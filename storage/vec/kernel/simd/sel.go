//go:build goexperiment.simd && amd64

package simd

import (
	"math/bits"
	"simd/archsimd"
)

// selTable has for each byte the positions of its set bits.
var selTable = func() (t [256][8]uint16) {
	for b := range t {
		k := 0
		for i := 0; i < 8; i++ {
			if b>>i&1 != 0 {
				t[b][k] = uint16(i)
				k++
			}
		}
	}
	return t
}()

// BitsToSel writes the positions of set bits of whole words to out, as long as
// eight positions fit behind those written, and returns how many words it did
// and how many positions it wrote.
func BitsToSel(b []uint64, out []uint16) (words, k int) {
	for i, w := range b {
		if k+72 > len(out) {
			return i, k
		}
		if bits.OnesCount64(w) < 8 {
			base := uint16(i << 6)
			for ; w != 0; w &= w - 1 {
				out[k] = base + uint16(bits.TrailingZeros64(w))
				k++
			}
			continue
		}
		base := i << 6
		for j := 0; j < 8; j++ {
			p := w & 255
			t := archsimd.LoadUint16x8(&selTable[p]).Add(archsimd.BroadcastUint16x8(uint16(base)))
			t.Store((*[8]uint16)(out[k:]))
			k += bits.OnesCount8(uint8(p))
			w >>= 8
			base += 8
		}
	}
	return len(b), k
}
