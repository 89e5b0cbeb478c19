package segment

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// KeyHashes writes the 32-bit hash of each row's key to dst: the columns of the
// key in key order, rows of sel or all. Tablets, memtables and key indexes use
// this one hash. Keys that are equal in SQL hash equally.
func KeyHashes(dst []uint32, key []*vec.Vec, sel []uint16, wide []uint64) {
	wide = wide[:len(dst)]
	for i, v := range key {
		if i == 0 {
			kernel.HashVec(wide, v, sel)
		} else {
			kernel.CombineVec(wide, v, sel)
		}
	}
	for i, h := range wide {
		dst[i] = uint32(h >> 32)
	}
}

// The key index maps hashes to rows: pairs sorted by hash, the hashes in
// Elias-Fano form, so that n keys take 2 + log2(2^32/n) + log2(rows) bits each.
//
//	n u32, low bits u8, row bits u8, zero u16; words of upper bits u32, zero u32
//	upper bits (u64): for the i-th pair bit (hash>>low)+i is set
//	samples (u32): for every 256th value of hash>>low the position in upper
//	        where its pairs begin
//	low bits, packed one after the other, then 8 zero bytes
//	rows, packed one after the other, then 8 zero bytes
const (
	indexHeaderBytes = 16
	indexSample      = 256
)

// buildKeyIndex makes the index of rows 0..len(hashes)-1.
func buildKeyIndex(hashes []uint32) []byte {
	n := len(hashes)
	pairs := make([]uint64, n)
	for i, h := range hashes {
		pairs[i] = uint64(h)<<32 | uint64(uint32(i))
	}
	sortPairs(pairs)
	low := uint(max(0, 32-bits.Len(uint(n))+1))
	if low > 32 {
		low = 32
	}
	rowBits := uint(bits.Len(uint(n - 1)))
	buckets := 1 << (32 - low)
	words := (buckets + n + 64) / 64
	b := make([]byte, 0, indexHeaderBytes+words*8+buckets/indexSample*4+n*int(low+rowBits)/8+32)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = append(b, byte(low), byte(rowBits), 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(words))
	b = append(b, 0, 0, 0, 0)
	upper := make([]uint64, words)
	samples := make([]uint32, buckets/indexSample+1)
	next := 0 // the next bucket whose sample is due
	for i, p := range pairs {
		bucket := int(p >> 32 >> low)
		for next <= bucket {
			samples[next/indexSample] = uint32(next + i)
			next += indexSample
		}
		vec.SetBit(upper, bucket+i)
	}
	for ; next/indexSample < len(samples); next += indexSample {
		samples[next/indexSample] = uint32(next + n)
	}
	for _, w := range upper {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	b = appendBitPacked(b, pairs, 32, low)
	return appendBitPacked(b, pairs, 0, rowBits)
}

func sortPairs(p []uint64) {
	if len(p) < 4096 {
		slices.SortFunc(p, cmp.Compare[uint64])
		return
	}
	// The pairs come in order of rows, so a stable radix sort by hash is enough.
	t := make([]uint64, len(p))
	for shift := uint(32); shift < 64; shift += 11 {
		var count [2048]int
		for _, x := range p {
			count[x>>shift&2047]++
		}
		at := 0
		for i, c := range count {
			count[i] = at
			at += c
		}
		for _, x := range p {
			k := x >> shift & 2047
			t[count[k]] = x
			count[k]++
		}
		p, t = t, p
	}
	// Three passes leave the result in what was t at first.
	copy(t, p)
}

// appendBitPacked appends width bits of each pair from bit shift on.
func appendBitPacked(b []byte, pairs []uint64, shift, width uint) []byte {
	var acc uint64
	var have uint
	for _, p := range pairs {
		x := p >> shift & (1<<width - 1)
		acc |= x << have
		if have+width >= 64 {
			b = binary.LittleEndian.AppendUint64(b, acc)
			acc = 0
			if have > 0 {
				acc = x >> (64 - have)
			}
			have = have + width - 64
		} else {
			have += width
		}
	}
	b = binary.LittleEndian.AppendUint64(b, acc)
	return binary.LittleEndian.AppendUint64(b, 0)
}

// bitsAt reads width (<= 32) bits at position i of a packed array.
func bitsAt(b []byte, i int, width uint) uint32 {
	bit := uint64(i) * uint64(width)
	return uint32(binary.LittleEndian.Uint64(b[bit>>3:]) >> (bit & 7) & (1<<width - 1))
}

// packedBytes is the size of n packed values of this width.
func packedBytes(n int, width uint) int { return int(uint64(n)*uint64(width)/64*8) + 16 }

// keyIndex is a parsed key index.
type keyIndex struct {
	n        int
	low      uint
	rowBits  uint
	rowsMax  uint32
	upper    []byte
	words    int
	samples  []byte
	lows     []byte
	rowsBits []byte
}

func parseKeyIndex(b []byte, rows int) (*keyIndex, string) {
	if len(b) < indexHeaderBytes {
		return nil, "key index cut short"
	}
	x := &keyIndex{n: int(binary.LittleEndian.Uint32(b)), low: uint(b[4]), rowBits: uint(b[5]), rowsMax: uint32(rows),
		words: int(binary.LittleEndian.Uint32(b[8:]))}
	if x.n != rows || x.low > 32 || x.low < 11 || x.rowBits > 20 {
		return nil, "key index header"
	}
	buckets := 1 << (32 - x.low)
	b = b[indexHeaderBytes:]
	samples := (buckets/indexSample + 1) * 4
	lows, rowsBits := packedBytes(x.n, x.low), packedBytes(x.n, x.rowBits)
	if x.words > len(b)/8 || x.words*64 < buckets+x.n || len(b) != x.words*8+samples+lows+rowsBits {
		return nil, "key index size"
	}
	x.upper, b = b[:x.words*8], b[x.words*8:]
	x.samples, b = b[:samples], b[samples:]
	x.lows, x.rowsBits = b[:lows], b[lows:]
	return x, ""
}

// lookup calls emit for every row whose key has one of the hashes; i is the
// position in hashes. It says false when the bytes cannot be right.
func (x *keyIndex) lookup(hashes []uint32, emit func(i int, row uint32)) bool {
	var group [probeGroup]probe
	for from := 0; from < len(hashes); from += probeGroup {
		n := min(probeGroup, len(hashes)-from)
		for i := range group[:n] {
			group[i] = probe{x: x, hash: hashes[from+i]}
		}
		if locate(group[:n]) != nil {
			return false
		}
		for i := range group[:n] {
			if p := &group[i]; p.first >= 0 && !x.pairs(p, func(row uint32) { emit(from+i, row) }) {
				return false
			}
		}
	}
	return true
}

// start is the position in upper after skip zeros from pos on: each ends a bucket.
func (x *keyIndex) start(pos, skip int) (int, bool) {
	w := pos >> 6
	if skip == 0 {
		return pos, true
	}
	word := ^binary.LittleEndian.Uint64(x.upper[w*8:]) &^ (1<<(uint(pos)&63) - 1)
	c := bits.OnesCount64(word)
	for c < skip {
		skip -= c
		if w++; w >= x.words {
			return 0, false
		}
		word = ^binary.LittleEndian.Uint64(x.upper[w*8:])
		c = bits.OnesCount64(word)
	}
	if c == skip { // the last zero to skip is the highest one here
		return w<<6 + 64 - bits.LeadingZeros64(word), true
	}
	for ; skip > 1; skip-- {
		word &= word - 1
	}
	return w<<6 + bits.TrailingZeros64(word) + 1, true
}

// pairs calls emit for the rows of the bucket that a probe has found whose low bits are
// those of its hash.
func (x *keyIndex) pairs(p *probe, emit func(row uint32)) bool {
	low := p.hash & (1<<x.low - 1)
	for pos, k := int(p.pos), int(p.first); ; pos, k = pos+1, k+1 {
		w := pos >> 6
		if w >= x.words {
			return false
		}
		if binary.LittleEndian.Uint64(x.upper[w*8:])>>(uint(pos)&63)&1 == 0 {
			return true
		}
		if k >= x.n {
			return false
		}
		if l := bitsAt(x.lows, k, x.low); l >= low {
			if l > low {
				return true
			}
			row := bitsAt(x.rowsBits, k, x.rowBits)
			if row >= x.rowsMax {
				return false
			}
			emit(row)
		}
	}
}

// each calls emit for all pairs by hash; false when the bytes cannot be right.
func (x *keyIndex) each(emit func(hash, row uint32)) bool {
	i := 0
	for w := range x.words {
		for word := binary.LittleEndian.Uint64(x.upper[w*8:]); word != 0; word &= word - 1 {
			bucket := w<<6 + bits.TrailingZeros64(word) - i
			row := uint32(0)
			if i < x.n {
				row = bitsAt(x.rowsBits, i, x.rowBits)
			}
			if i >= x.n || bucket < 0 || bucket >= 1<<(32-x.low) || row >= x.rowsMax {
				return false
			}
			emit(uint32(uint64(bucket)<<x.low)|bitsAt(x.lows, i, x.low), row)
			i++
		}
	}
	return i == x.n
}
