package encoding

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// A heap holds n strings: a header of 24 bytes (codec u8, zero, number of
// sub-blocks u32 at 4, raw bytes u32 at 8, stored bytes u32 at 12, bytes of the
// lengths u32 at 16, zero), the lengths as ints, for each vector of strings the
// offset of its first raw byte (u32), for each sub-block and the end its raw and
// its stored offset (u32 each), the stored bytes. A string never lies in two
// sub-blocks. Without codec there is no table of sub-blocks and stored = raw.
const heapHeaderBytes = 24

type heap struct {
	n      int
	again  bool // the table was checked before
	codec  Codec
	subs   int
	raw    int
	lens   ints
	starts []byte
	table  []byte
	data   []byte
	sub    int // the sub-block in Scratch.buf, -1 for none
	subBuf []byte
}

func (h *heap) parse(b []byte, n int) error {
	if len(b) < heapHeaderBytes || n == 0 {
		return corrupt("strings cut short")
	}
	h.n, h.codec, h.subs, h.raw, h.sub = n, Codec(b[0]), int(u32(b[4:])), int(u32(b[8:])), -1
	stored, lens := int(u32(b[12:])), int(u32(b[16:]))
	b = b[heapHeaderBytes:]
	if lens > len(b) || lens&7 != 0 {
		return corrupt("string lengths cut short")
	}
	if err := h.lens.parse(b[:lens], n, true); err != nil {
		return err
	}
	b = b[lens:]
	nv := vectors(n)
	starts, table := align8(4*nv), 0
	if h.codec != NoCodec {
		if h.subs > h.raw {
			return corrupt("%d sub-blocks of strings", h.subs)
		}
		table = 8 * (h.subs + 1)
	}
	if h.codec > Zstd || len(b) < starts || len(b)-starts < table || len(b)-starts-table < stored {
		return corrupt("strings cut short")
	}
	h.starts, h.table, h.data = b[:4*nv], b[starts:starts+table], b[starts+table:starts+table+stored]
	if h.codec == NoCodec {
		if stored != h.raw {
			return corrupt("strings of %d bytes in %d", h.raw, stored)
		}
		return nil
	}
	if h.again {
		return nil
	}
	var raw, at int
	for i := 0; i <= h.subs; i++ {
		r, c := h.subAt(i)
		if r < raw || c < at || i == 0 && (r != 0 || c != 0) || i == h.subs && (r != h.raw || c != stored) {
			return corrupt("sub-block %d of strings", i)
		}
		if r-raw > subBlockBytes && (r-raw)/expansionMax > c-at {
			return corrupt("sub-block of %d bytes grows to %d", c-at, r-raw)
		}
		raw, at = r, c
	}
	return nil
}

// subAt is where sub-block i begins, raw and stored.
func (h *heap) subAt(i int) (raw, stored int) {
	return int(u32(h.table[8*i:])), int(u32(h.table[8*i+4:]))
}

// subOf is the sub-block that holds raw offset off.
func (h *heap) subOf(off int) int {
	lo, hi := 0, h.subs
	for lo+1 < hi {
		m := (lo + hi) / 2
		if r, _ := h.subAt(m); r <= off {
			lo = m
		} else {
			hi = m
		}
	}
	return lo
}

// span decodes the lengths of vector vi into s.lens and returns the raw bytes
// it covers.
func (h *heap) span(vi int, s *Scratch) (from, to int, err error) {
	if err := h.lens.decode32(vi, &s.lens, s); err != nil {
		return 0, 0, err
	}
	from = int(u32(h.starts[4*vi:]))
	sum := uint64(from)
	for _, l := range s.lens[:vectorRows(h.n, vi)] {
		sum += uint64(l)
	}
	if sum > uint64(h.raw) {
		return 0, 0, corrupt("strings end at byte %d of %d", sum, h.raw)
	}
	return from, int(sum), nil
}

// vector points views at the strings of vector vi; their bytes are lent, or lie
// in dst's own buffer.
func (h *heap) vector(vi int, views []vec.View, dst *vec.Vec, s *Scratch) error {
	from, to, err := h.span(vi, s)
	if err != nil {
		return err
	}
	lens := s.lens[:vectorRows(h.n, vi)]
	if h.codec == NoCodec {
		dst.LendBuf(h.data)
		makeViews(views, h.data, lens, uint32(from), 0, uint32(from))
		return nil
	}
	if from == to {
		clear(views[:len(lens)])
		return nil
	}
	first, last := h.subOf(from), h.subOf(to-1)
	base, _ := h.subAt(first)
	end, _ := h.subAt(last + 1)
	mem, buf, off := dst.Reserve(end - base)
	if err := h.decompress(mem, first, last); err != nil {
		return err
	}
	makeViews(views, mem, lens, uint32(from-base), buf, off+uint32(from-base))
	return nil
}

// Compressed is how many bytes the strings of a compressed heap take decompressed, 0
// for any other block.
func (b *Block) Compressed() int {
	if b.Enc != Heap || b.heap.codec == NoCodec {
		return 0
	}
	return b.heap.raw
}

// Decompress fills mem with all strings of a compressed block.
func (b *Block) Decompress(mem []byte) error {
	if b.heap.subs == 0 {
		return nil
	}
	return b.heap.decompress(mem, 0, b.heap.subs-1)
}

// UseRaw makes the block use raw, which Decompress filled, until it is parsed again;
// false when raw is of another size.
func (b *Block) UseRaw(raw []byte) bool {
	if b.Enc != Heap || len(raw) != b.heap.raw {
		return false
	}
	b.heap.codec, b.heap.data = NoCodec, raw
	return true
}

// decompress fills mem with the raw bytes of sub-blocks first..last.
func (h *heap) decompress(mem []byte, first, last int) error {
	base, _ := h.subAt(first)
	for i := first; i <= last; i++ {
		r0, c0 := h.subAt(i)
		r1, c1 := h.subAt(i + 1)
		if err := h.codec.decompress(mem[r0-base:r1-base], h.data[c0:c1]); err != nil {
			return err
		}
	}
	return nil
}

// bytes is the string of n bytes at raw offset off, which the caller has checked.
func (h *heap) bytes(off, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if h.codec == NoCodec {
		return h.data[off : off+n], nil
	}
	k := h.subOf(off)
	r0, c0 := h.subAt(k)
	r1, c1 := h.subAt(k + 1)
	if off+n > r1 {
		return nil, corrupt("string over the end of its sub-block")
	}
	if h.sub != k {
		if cap(h.subBuf) < r1-r0 {
			h.subBuf = make([]byte, r1-r0)
		}
		h.sub = -1
		if err := h.codec.decompress(h.subBuf[:r1-r0], h.data[c0:c1]); err != nil {
			return nil, err
		}
		h.sub = k
	}
	return h.subBuf[off-r0 : off-r0+n], nil
}

// makeViews makes views of strings that lie one after the other in mem from at,
// all within it; mem[at] is offset off of buffer buf.
func makeViews(views []vec.View, mem []byte, lens []uint32, at, buf, off uint32) {
	views = views[:len(lens)]
	delta := off - at
	high := uint64(buf) << 32
	base := unsafe.Pointer(unsafe.SliceData(mem))
	// Up to safe there are twelve bytes to load whatever the length.
	safe := len(mem) - vec.InlineMax
	for i, n := range lens {
		w := &views[i]
		if int(at) > safe {
			*w = vec.MakeView(mem[at:at+n], buf, at+delta)
			at += n
			continue
		}
		p := unsafe.Add(base, at)
		m := &viewMasks[min(n, 13)]
		tail := *(*uint64)(unsafe.Add(p, 4)) & m.tail
		if n > vec.InlineMax {
			tail = high | uint64(at+delta)
		}
		w.Len, w.Prefix, w.Tail = n, *(*uint32)(p)&m.prefix, tail
		at += n
	}
}

var viewMasks = func() (t [16]struct {
	prefix uint32
	tail   uint64
}) {
	for n := range t {
		t[n].prefix, t[n].tail = ^uint32(0), 0
		if n < 4 {
			t[n].prefix = 1<<(8*n) - 1
		} else if n < 12 {
			t[n].tail = 1<<(8*(n-4)) - 1
		} else {
			t[n].tail = ^uint64(0)
		}
	}
	return t
}()

// dictionary decodes all strings into an immutable list of values of type t.
func (h *heap) dictionary(t types.T, s *Scratch) (*vec.Dictionary, error) {
	v := vec.New(t, h.n)
	for vi := range vectors(h.n) {
		at := vi * vec.Size
		if err := h.vector(vi, v.Views[at:at+vectorRows(h.n, vi)], v, s); err != nil {
			return nil, err
		}
	}
	v.N = h.n
	return &vec.Dictionary{Values: v, Sorted: bytesOrdered(t.OID), ID: dictionaryID.Add(1)}, nil
}

var dictionaryID atomic.Uint64

// NewDictionaryID is an ID for a dictionary that does not come out of a block.
func NewDictionaryID() uint64 { return dictionaryID.Add(1) }

// bytesOrdered says whether a type's order is that of its bytes.
func bytesOrdered(oid uint32) bool {
	switch oid {
	case types.TextOID, types.VarcharOID, types.ByteaOID, types.NameOID, types.CharOID:
		return true
	}
	return false
}

// appendHeapOf appends n >= 1 strings.
func appendHeapOf(dst []byte, n int, at func(int) []byte, codec Codec, s *Scratch) []byte {
	start := len(dst)
	lens := slices.Grow(s.more[:0], n)[:n]
	s.more = lens
	total := 0
	for i := range lens {
		l := len(at(i))
		lens[i] = int64(l)
		total += l
	}
	if total < 256 {
		codec = NoCodec
	}
	dst = append(dst, make([]byte, heapHeaderBytes)...)
	from := len(dst)
	dst = appendInts(dst, lens, intsOptions{points: true}, s)
	lensBytes := len(dst) - from
	off := 0
	for i, l := range lens {
		if i%vec.Size == 0 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(off))
		}
		off += int(l)
	}
	dst = pad8(dst, start)
	subs, stored := 0, total
	if codec == NoCodec {
		for i := range n {
			dst = append(dst, at(i)...)
		}
	} else {
		comp := s.comp[:0]
		entry := func(raw int) {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(raw))
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(comp)))
		}
		raw, begin := s.raw[:0], 0
		for i := range n {
			b := at(i)
			if len(raw) > 0 && (len(raw)+len(b) > subBlockBytes || i%vec.Size == 0 && len(raw) >= subBlockBytes/2) {
				entry(begin)
				subs++
				comp = codec.compress(comp, raw)
				begin += len(raw)
				raw = raw[:0]
			}
			raw = append(raw, b...)
		}
		if len(raw) > 0 {
			entry(begin)
			subs++
			comp = codec.compress(comp, raw)
			begin += len(raw)
		}
		entry(begin)
		dst = append(dst, comp...)
		stored = len(comp)
		s.comp, s.raw = comp, raw[:0]
	}
	h := dst[start:]
	h[0] = byte(codec)
	binary.LittleEndian.PutUint32(h[4:], uint32(subs))
	binary.LittleEndian.PutUint32(h[8:], uint32(total))
	binary.LittleEndian.PutUint32(h[12:], uint32(stored))
	binary.LittleEndian.PutUint32(h[16:], uint32(lensBytes))
	return pad8(dst, start)
}
