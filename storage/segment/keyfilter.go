package segment

import (
	"encoding/binary"
	"math/bits"
)

// The key filter says of a hash that no row of the segment has it: a Bloom filter
// whose bits of one key lie in one block of 64 bytes. The highest bits of the hash
// choose the block, so that a filter of fewer blocks spreads over the rows of one of
// more by repeating its blocks: see Expanded.
const (
	// FilterBlocksMax is the number of blocks for RowsMax keys, at 10 bits a key;
	// with each halving of the keys there are half as many.
	FilterBlocksMax = 20480
	// FilterBlockBits is the number of bits in a block, of which a key sets up to
	// FilterProbes.
	FilterBlockBits = 512
	FilterProbes    = 5

	filterBlockBytes = FilterBlockBits / 8
	filterShiftMax   = 12
	// filterRowsMin: a smaller segment has no filter, its index is as quick.
	filterRowsMin = 1024
)

// FilterBlock is the block of a hash in a filter of FilterBlocksMax >> shift blocks.
func FilterBlock(hash uint32, shift uint) uint32 {
	return uint32(uint64(hash)*FilterBlocksMax>>32) >> shift
}

// FilterBits are the bits of a hash in its block, 9 bits each, the lowest first. They
// depend on all of the hash.
func FilterBits(hash uint32) uint64 {
	x := uint64(hash) * 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x >> (64 - 9*FilterProbes)
}

// FilterShift is the filter's size for n keys: FilterBlocksMax >> FilterShift(n) blocks.
func FilterShift(n int) uint {
	return uint(min(max(bits.Len(uint(RowsMax))-1-bits.Len(uint(n-1)), 0), filterShiftMax))
}

// buildFilter makes the filter of these keys.
func buildFilter(hashes []uint32) []byte {
	shift := FilterShift(len(hashes))
	b := make([]byte, filterBlockBytes*(FilterBlocksMax>>shift))
	for _, h := range hashes {
		block := b[filterBlockBytes*FilterBlock(h, shift):][:filterBlockBytes]
		for p, k := FilterBits(h), 0; k < FilterProbes; k++ {
			block[p>>3&63] |= 1 << (p & 7)
			p >>= 9
		}
	}
	return b
}

// KeyFilter is the filter of a segment's keys.
type KeyFilter struct {
	b     []byte
	shift uint
}

// parseFilter gives the filter that these bytes are; ok is false for a wrong size.
func parseFilter(b []byte) (f KeyFilter, ok bool) {
	for f.shift = 0; f.shift <= filterShiftMax; f.shift++ {
		if len(b) == filterBlockBytes*(FilterBlocksMax>>f.shift) {
			f.b = b
			return f, true
		}
	}
	return KeyFilter{}, false
}

// Has is false when no key has the hash.
func (f KeyFilter) Has(hash uint32) bool {
	block := f.b[filterBlockBytes*FilterBlock(hash, f.shift):][:filterBlockBytes]
	p := FilterBits(hash)
	for range FilterProbes {
		if block[p>>3&63]>>(p&7)&1 == 0 {
			return false
		}
		p >>= 9
	}
	return true
}

// Expanded calls emit with each word of 64 bits of the filter as one of
// FilterBlocksMax >> shift blocks, or says false when it has more; i is the word's
// number.
func (f KeyFilter) Expanded(shift uint, emit func(i int, w uint64)) bool {
	if f.shift < shift {
		return false
	}
	const words = FilterBlockBits / 64
	for block := range FilterBlocksMax >> shift {
		from := f.b[filterBlockBytes*(block>>(f.shift-shift)):][:filterBlockBytes]
		for w := range words {
			emit(block*words+w, binary.LittleEndian.Uint64(from[8*w:]))
		}
	}
	return true
}

// NewKeyFilter makes the filter of keys with these hashes.
func NewKeyFilter(hashes []uint32) KeyFilter {
	f, _ := parseFilter(buildFilter(hashes))
	return f
}

// KeyFilter is the filter of the segment's keys; ok is false for one without: it was
// written before there were filters, is small, or has no key.
func (r *Reader) KeyFilter() (f KeyFilter, ok bool, err error) {
	if p := r.filter.Load(); p != nil {
		return *p, true, nil
	}
	if r.foot.filter.len == 0 {
		return f, false, nil
	}
	b, err := r.section(r.foot.filter, true, "key filter")
	if err != nil {
		return f, false, err
	}
	if f, ok = parseFilter(b); !ok {
		return f, false, r.corrupt(r.foot.filter.off, "key filter size", nil)
	}
	r.filter.Store(&f)
	return f, true, nil
}

// MakeKeyFilter is KeyFilter; for a segment that has an index but no filter it makes
// one in memory.
func (r *Reader) MakeKeyFilter() (f KeyFilter, ok bool, err error) {
	f, ok, err = r.KeyFilter()
	if ok || err != nil || !r.HasKeyIndex() || r.Rows() < filterRowsMin {
		return f, ok, err
	}
	hashes := make([]uint32, 0, r.Rows())
	if err := r.IndexedHashes(func(h, _ uint32) { hashes = append(hashes, h) }); err != nil {
		return f, false, err
	}
	return NewKeyFilter(hashes), true, nil
}
