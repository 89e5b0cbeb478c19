package op

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// SortCol orders rows by a column.
type SortCol struct {
	Col        int
	Desc       bool
	NullsFirst bool
}

// compareRows orders row i of a and row j of b by the keys; 0 when they are peers.
func compareRows(keys []SortCol, a *Rows, i int, b *Rows, j int) int {
	for _, k := range keys {
		x, y := a.IsNull(k.Col, i), b.IsNull(k.Col, j)
		if x || y {
			if x == y {
				continue
			}
			if x == k.NullsFirst {
				return -1
			}
			return 1
		}
		if c := compareCols(&a.cols[k.Col], a.N, i, &b.cols[k.Col], b.N, j); c != 0 {
			if k.Desc {
				return -c
			}
			return c
		}
	}
	return 0
}

// sorter sorts the rows of a store by normalized keys: as much of the sort keys as
// fits one word, such that the order of words never contradicts the order of rows.
// Words are sorted with their row numbers by radix; rows of equal words are then
// compared in full, unless the words hold all there is (exact).
type sorter struct {
	rows  *Rows
	keys  []SortCol
	parts []keyPart
	exact bool
	width uint // bits of the word in use, from the low end
}

// keyPart is a sort key's share of the word.
type keyPart struct {
	col    *rowsCol
	key    SortCol
	nulls  bool
	shift  uint   // of the value's lowest bit
	bits   uint   // of the value
	min    uint64 // least value in its unsigned order
	skip   int    // bytes common to all strings
	nullAt uint   // the null bit, above the value
	drop   uint   // low bits of the value that found no room
}

// newSorter chooses the words' layout.
func newSorter(rows *Rows, keys []SortCol) *sorter {
	s := &sorter{rows: rows, keys: keys, exact: true}
	left := uint(64)
	for _, k := range keys {
		col := &rows.cols[k.Col]
		p := keyPart{col: col, key: k, nulls: col.nulls}
		if p.nulls {
			if left == 0 {
				s.exact = false
				break
			}
			left--
			p.nullAt = left
		}
		whole := p.measure(rows)
		need := p.bits
		if need > left {
			p.drop = need - left
			need = left
			whole = false
		}
		left -= need
		p.shift = left
		s.parts = append(s.parts, p)
		if !whole {
			s.exact = false
			break
		}
	}
	// Move all down to the low end.
	for i := range s.parts {
		s.parts[i].shift -= left
		s.parts[i].nullAt -= left
	}
	s.width = 64 - left
	return s
}

// ordered64 maps value i of a column of at most 64 bits to an unsigned integer of
// the same order.
func ordered64(c *rowsCol, d []byte, n, i int) uint64 {
	const top = 1 << 63
	switch c.t.Layout {
	case types.LayoutBool:
		return mem.As[uint64](d, vec.Words(n))[i>>6] >> (uint(i) & 63) & 1
	case types.LayoutI16:
		return uint64(mem.As[int16](d, n)[i]) ^ top
	case types.LayoutI32:
		if vec.Unsigned32(c.t.OID) {
			return uint64(uint32(mem.As[int32](d, n)[i]))
		}
		return uint64(mem.As[int32](d, n)[i]) ^ top
	case types.LayoutI64:
		if types.UnsignedI64(c.t.OID) {
			return uint64(mem.As[int64](d, n)[i])
		}
		return uint64(mem.As[int64](d, n)[i]) ^ top
	case types.LayoutF32:
		return orderedFloat(float64(mem.As[float32](d, n)[i]))
	case types.LayoutF64:
		return orderedFloat(mem.As[float64](d, n)[i])
	}
	panic("op: no ordered word for this layout")
}

func orderedFloat(f float64) uint64 {
	b := math.Float64bits(types.CanonFloat(f))
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// measure sets bits, min and skip; false when the value is not all in its bits.
func (p *keyPart) measure(rows *Rows) bool {
	c, n := p.col, rows.N
	d := c.data.Bytes()
	valid := c.validWords(n)
	switch c.t.Layout {
	case types.LayoutBool, types.LayoutI16, types.LayoutI32, types.LayoutI64, types.LayoutF32, types.LayoutF64:
		lo, hi := ^uint64(0), uint64(0)
		for i := range n {
			if i&lookMask == 0 && rows.acct.Ended() {
				break // nobody will look at the order
			}
			if valid != nil && !vec.Bit(valid, i) {
				continue
			}
			x := ordered64(c, d, n, i)
			lo, hi = min(lo, x), max(hi, x)
		}
		if lo > hi {
			lo, hi = 0, 0
		}
		p.min, p.bits = lo, uint(bits.Len64(hi-lo))
		return true
	case types.LayoutI128:
		p.bits = 64
		return false
	case types.LayoutFixed16:
		p.bits = 64
		return false
	}
	if !types.PlainBytes(c.t.OID) {
		p.bits = 0
		return false
	}
	p.skip = commonPrefix(c, n, valid, rows.acct)
	p.bits = 64
	return false
}

func (c *rowsCol) validWords(n int) []uint64 {
	if !c.nulls {
		return nil
	}
	return mem.As[uint64](c.valid.Bytes(), vec.Words(n))
}

// commonPrefix is the length of what all strings begin with.
func commonPrefix(c *rowsCol, n int, valid []uint64, acct *mem.Account) int {
	var first []byte
	m := -1
	for i := range n {
		if i&lookMask == 0 && acct.Ended() {
			return 0
		}
		if valid != nil && !vec.Bit(valid, i) {
			continue
		}
		b := c.bytes(i)
		if m < 0 {
			first, m = b, len(b)
			continue
		}
		if m <= len(b) && bytes.Equal(first[:m], b[:m]) {
			continue
		}
		m = min(m, len(b))
		for k := range m {
			if first[k] != b[k] {
				m = k
				break
			}
		}
		if m == 0 {
			return 0
		}
	}
	return max(m, 0)
}

// word is the ordered value of row i.
func (p *keyPart) word(n, i int) uint64 {
	c := p.col
	d := c.data.Bytes()
	switch c.t.Layout {
	case types.LayoutI128:
		v := mem.As[types.Int128](d, n)[i]
		return high64(v)
	case types.LayoutFixed16:
		f := mem.As[types.Fixed16](d, n)[i]
		switch c.t.OID {
		case types.IntervalOID:
			return high64(types.IntervalSpan(f))
		case types.UUIDOID:
			return uint64(f.A)
		}
		return 0
	case types.LayoutView:
		if p.bits == 0 {
			return 0
		}
		b := c.bytes(i)[p.skip:]
		if len(b) >= 8 {
			return binary.BigEndian.Uint64(b)
		}
		var w [8]byte
		copy(w[:], b)
		return binary.BigEndian.Uint64(w[:])
	}
	return ordered64(c, d, n, i) - p.min
}

// high64 maps a 128-bit integer to 64 bits in the same order: exact within ±2^62,
// the ends saturated.
func high64(v types.Int128) uint64 {
	switch {
	case v.Hi > 0 || v.Hi == 0 && v.Lo>>62 != 0:
		return ^uint64(0)
	case v.Hi < -1 || v.Hi == -1 && v.Lo>>62 != 3:
		return 0
	}
	return v.Lo ^ 1<<63
}

// words fills out with the words of rows from, from+1, …
func (s *sorter) words(from int, out []uint64) {
	clear(out)
	n := s.rows.N
	for i := range s.parts {
		p := &s.parts[i]
		valid := p.col.validWords(n)
		mask := ^uint64(0)
		if b := p.bits - p.drop; b < 64 {
			mask = 1<<b - 1
		}
		if p.col.t.Layout == types.LayoutI64 && valid == nil && !types.UnsignedI64(p.col.t.OID) {
			d := mem.As[int64](p.col.data.Bytes(), n)[from : from+len(out)]
			for k, x := range d {
				w := (uint64(x) ^ 1<<63 - p.min) >> (p.drop & 63)
				if p.key.Desc {
					w = ^w & mask
				}
				out[k] |= w << (p.shift & 63)
			}
			continue
		}
		for k := range out {
			if valid != nil {
				isNull := !vec.Bit(valid, from+k)
				if isNull != p.key.NullsFirst {
					out[k] |= 1 << (p.nullAt & 63)
				}
				if isNull {
					continue
				}
			}
			w := uint64(0)
			if p.drop < 64 {
				w = p.word(n, from+k) >> p.drop
			}
			if p.key.Desc {
				w = ^w & mask
			}
			out[k] |= w << (p.shift & 63)
		}
	}
}

// pair is a word and its row.
type pair struct {
	w uint64
	i uint64
}

// sort returns the numbers of rows from..to-1 in order. Peers keep their order.
func (s *sorter) sort(from, to int, acct *mem.Account, run *Run) (*mem.Array[uint32], error) {
	n := to - from
	out := &mem.Array[uint32]{Buffer: mem.Buffer{Account: acct}}
	if err := out.Grow(n); err != nil {
		return nil, err
	}
	idx := out.Slice(n)
	idxBits := uint(bits.Len(uint(max(n-1, 1))))
	if s.width+idxBits <= 64 {
		// Word and row in one integer.
		a := mem.Array[uint64]{Buffer: mem.Buffer{Account: acct}}
		defer a.Free()
		if err := a.Grow(n); err != nil {
			return nil, err
		}
		w := a.Slice(n)
		if err := inPieces(n, run, func(lo, hi int) {
			s.words(from+lo, w[lo:hi])
			for k, x := range w[lo:hi] {
				w[lo+k] = x<<idxBits | uint64(lo+k)
			}
		}); err != nil {
			out.Free()
			return nil, err
		}
		if n < radixMin {
			slices.Sort(w)
		} else {
			b := mem.Array[uint64]{Buffer: mem.Buffer{Account: acct}}
			defer b.Free()
			if err := b.Grow(n); err != nil {
				return nil, err
			}
			w = radixWords(w, b.Slice(n), idxBits, idxBits+s.width, run)
		}
		mask := uint64(1)<<idxBits - 1
		if inPieces(n, run, func(lo, hi int) {
			for k, x := range w[lo:hi] {
				idx[lo+k] = uint32(x&mask) + uint32(from)
			}
		}) == nil && !s.exact {
			s.ties(idx, func(k int) uint64 { return w[k] >> idxBits })
		}
		return s.sorted(out, run)
	}
	a := mem.Array[pair]{Buffer: mem.Buffer{Account: acct}}
	defer a.Free()
	if err := a.Grow(n); err != nil {
		return nil, err
	}
	ps := a.Slice(n)
	var buf [1024]uint64
	for k := 0; k < n; k += len(buf) {
		if k&lookMask == 0 && run.Interrupted() != nil {
			break
		}
		w := buf[:min(len(buf), n-k)]
		s.words(from+k, w)
		for j, x := range w {
			ps[k+j] = pair{x, uint64(from + k + j)}
		}
	}
	if n < radixMin {
		slices.SortFunc(ps, func(x, y pair) int {
			switch {
			case x.w < y.w:
				return -1
			case x.w > y.w:
				return 1
			}
			return int(int64(x.i) - int64(y.i))
		})
	} else {
		b := mem.Array[pair]{Buffer: mem.Buffer{Account: acct}}
		defer b.Free()
		if err := b.Grow(n); err != nil {
			return nil, err
		}
		ps = radixPairs(ps, b.Slice(n), s.width, run)
	}
	if inPieces(n, run, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			idx[k] = uint32(ps[k].i)
		}
	}) == nil && !s.exact {
		s.ties(idx, func(k int) uint64 { return ps[k].w })
	}
	return s.sorted(out, run)
}

// sorted is what sort returns: the order, unless the query has ended.
func (s *sorter) sorted(out *mem.Array[uint32], run *Run) (*mem.Array[uint32], error) {
	if err := run.Interrupted(); err != nil {
		out.Free()
		return nil, err
	}
	return out, nil
}

// ties orders the runs of equal words by the full keys.
func (s *sorter) ties(idx []uint32, word func(int) uint64) {
	for i := 0; i < len(idx); {
		j, w := i+1, word(i)
		for j < len(idx) && word(j) == w {
			if j++; j&lookMask == 0 && s.rows.acct.Ended() {
				return
			}
		}
		if j-i > 1 {
			sortLong(idx[i:j], func(a, b uint32) int {
				if c := compareRows(s.keys, s.rows, int(a), s.rows, int(b)); c != 0 {
					return c
				}
				return int(a) - int(b)
			}, s.rows.acct)
			if s.rows.acct.Ended() {
				return
			}
		}
		i = j
	}
}

// radixMin is from how many rows radix sort beats comparing.
const radixMin = 1024

// radixWords sorts a by the bits from lo to hi, with b as memory; the result is in
// one of the two. Bytes that are all equal cost no pass.
func radixWords(a, b []uint64, lo, hi uint, run *Run) []uint64 {
	for sh := lo; sh < hi; sh += 8 {
		var count [256]int
		if inPieces(len(a), run, func(from, to int) {
			for _, x := range a[from:to] {
				count[x>>(sh&63)&255]++
			}
		}) != nil {
			return a
		}
		if count[a[0]>>(sh&63)&255] == len(a) {
			continue
		}
		at := 0
		for i, c := range count {
			count[i] = at
			at += c
		}
		if inPieces(len(a), run, func(from, to int) {
			for _, x := range a[from:to] {
				k := x >> (sh & 63) & 255
				b[count[k]] = x
				count[k]++
			}
		}) != nil {
			return a
		}
		a, b = b, a
	}
	return a
}

func radixPairs(a, b []pair, width uint, run *Run) []pair {
	for sh := uint(0); sh < width; sh += 8 {
		var count [256]int
		if inPieces(len(a), run, func(from, to int) {
			for i := range a[from:to] {
				count[a[from+i].w>>(sh&63)&255]++
			}
		}) != nil {
			return a
		}
		if count[a[0].w>>(sh&63)&255] == len(a) {
			continue
		}
		at := 0
		for i, c := range count {
			count[i] = at
			at += c
		}
		if inPieces(len(a), run, func(from, to int) {
			for _, x := range a[from:to] {
				k := x.w >> (sh & 63) & 255
				b[count[k]] = x
				count[k]++
			}
		}) != nil {
			return a
		}
		a, b = b, a
	}
	return a
}
