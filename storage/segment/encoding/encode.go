package encoding

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Options are the limits of the choice of an encoding.
type Options struct {
	// Codec compresses string heaps where it saves much.
	Codec Codec
	// Points keeps rows cheap to read alone: no codec, deltas only where they
	// save most of the space. For key columns and young segments.
	Points bool
	// Heap keeps strings out of a dictionary of the block.
	Heap bool
}

// Encode appends the flat vector v of 1 to 65,536 rows, encoded in the form that
// takes the least space within the options.
func Encode(dst []byte, v *vec.Vec, o Options, s *Scratch) []byte {
	start := len(dst)
	if o.Points {
		o.Codec = NoCodec
	}
	n := v.N
	dst = appendHeader(dst, v)
	if allNull(v) || isConst(v) {
		dst[start] = byte(Const)
		return pad8(appendConst(dst, v), start)
	}
	switch v.T.Layout {
	case types.LayoutBool:
		dst[start] = byte(Bits)
		return appendBits(dst, v.Bits, n)
	case types.LayoutI16, types.LayoutI32, types.LayoutI64:
		dst[start] = byte(Ints)
		ints := s.intBuf(n)
		intsOf(v, ints)
		fillNulls(ints, v.Valid)
		return appendInts(dst, ints, intsOptions{dict: true, points: o.Points}, s)
	case types.LayoutF32, types.LayoutF64:
		if e := decimalExp(v, n); e >= 0 {
			if d := appendDecimal(dst, v, n, e, s); d != nil {
				d[start] = byte(Decimal)
				return d
			}
		}
		dst[start] = byte(Ints)
		ints := s.intBuf(n)
		for i := range ints {
			if v.T.Layout == types.LayoutF32 {
				ints[i] = int64(math.Float32bits(v.F32[i]))
			} else {
				ints[i] = int64(math.Float64bits(v.F64[i]))
			}
		}
		fillNulls(ints, v.Valid)
		return appendInts(dst, ints, intsOptions{dict: true, points: true}, s)
	case types.LayoutI128, types.LayoutFixed16:
		dst[start] = byte(Pair)
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
		for half := range 2 {
			ints := s.intBuf(n)
			for i := range ints {
				switch {
				case v.T.Layout == types.LayoutI128 && half == 0:
					ints[i] = int64(v.I128[i].Lo)
				case v.T.Layout == types.LayoutI128:
					ints[i] = v.I128[i].Hi
				case half == 0:
					ints[i] = v.Fix[i].A
				default:
					ints[i] = v.Fix[i].B
				}
			}
			fillNulls(ints, v.Valid)
			dst = appendInts(dst, ints, intsOptions{dict: true, points: true}, s)
			if half == 0 {
				binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-8))
			}
		}
		return dst
	}
	return encodeStrings(dst, start, v, o, s)
}

// intBuf is a buffer of n integers, good until the next call.
func (s *Scratch) intBuf(n int) []int64 {
	s.ints = slices.Grow(s.ints[:0], n)[:n]
	return s.ints
}

// intsOf widens the integers of v: unsigned types without sign, so that their
// order stays.
func intsOf(v *vec.Vec, dst []int64) {
	switch v.T.Layout {
	case types.LayoutI16:
		kernel.Convert(dst, v.I16[:len(dst)])
	case types.LayoutI64:
		copy(dst, v.I64)
	default:
		if vec.Unsigned32(v.T.OID) {
			for i, x := range v.I32[:len(dst)] {
				dst[i] = int64(uint32(x))
			}
			return
		}
		kernel.Convert(dst, v.I32[:len(dst)])
	}
}

// fillNulls gives nulls the value before them, so that they neither widen a
// frame nor break a run; the reader zeroes them.
func fillNulls(v []int64, valid []uint64) {
	if valid == nil {
		return
	}
	first := 0
	for first < len(v) && !vec.Bit(valid, first) {
		first++
	}
	if first == len(v) {
		return
	}
	last := v[first]
	for i := range v {
		if vec.Bit(valid, i) {
			last = v[i]
		} else {
			v[i] = last
		}
	}
}

// appendHeader appends the header of a block, encoding still 0, and its null
// section.
func appendHeader(dst []byte, v *vec.Vec) []byte {
	n := v.N
	flags := byte(0)
	hasNulls := v.Valid != nil && vec.Count(v.Valid, n) < n
	if hasNulls {
		flags = flagNulls
	}
	dst = append(dst, 0, flags, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	if hasNulls {
		dst = appendBitmaps(dst, v.Valid, n, true)
	}
	return dst
}

// appendBitmaps appends two masks of vectors, those with a bitmap and those that
// are all 0 (zeros) or all 1, and then the bitmaps.
func appendBitmaps(dst []byte, b []uint64, n int, zeros bool) []byte {
	var part, uniform uint32
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	for vi := range vectors(n) {
		rows := vectorRows(n, vi)
		w := b[vi*vec.Size/64:]
		c := vec.Count(w, rows)
		if c == 0 && zeros || c == rows && !zeros {
			uniform |= 1 << vi
			continue
		}
		if c == 0 || c == rows {
			continue
		}
		part |= 1 << vi
		words := vec.Words(rows)
		for i, x := range w[:words] {
			if r := uint(rows) & 63; i == words-1 && r != 0 {
				x &= 1<<r - 1
			}
			dst = binary.LittleEndian.AppendUint64(dst, x)
		}
	}
	binary.LittleEndian.PutUint32(dst[at:], part)
	binary.LittleEndian.PutUint32(dst[at+4:], uniform)
	return dst
}

func appendBits(dst []byte, b []uint64, n int) []byte { return appendBitmaps(dst, b, n, false) }

func allNull(v *vec.Vec) bool { return v.Valid != nil && vec.Count(v.Valid, v.N) == 0 }

// firstValid is the first row that is not null.
func firstValid(v *vec.Vec) int {
	i := 0
	for v.IsNull(i) {
		i++
	}
	return i
}

// isConst says whether all values that are not null have the same bits.
func isConst(v *vec.Vec) bool {
	n, f := v.N, firstValid(v)
	same := func(eq func(i int) bool) bool {
		for i := f + 1; i < n; i++ {
			if !eq(i) && !v.IsNull(i) {
				return false
			}
		}
		return true
	}
	switch v.T.Layout {
	case types.LayoutBool:
		return same(func(i int) bool { return vec.Bit(v.Bits, i) == vec.Bit(v.Bits, f) })
	case types.LayoutI16:
		return same(func(i int) bool { return v.I16[i] == v.I16[f] })
	case types.LayoutI32:
		return same(func(i int) bool { return v.I32[i] == v.I32[f] })
	case types.LayoutI64:
		return same(func(i int) bool { return v.I64[i] == v.I64[f] })
	case types.LayoutI128:
		return same(func(i int) bool { return v.I128[i] == v.I128[f] })
	case types.LayoutF32:
		return same(func(i int) bool { return math.Float32bits(v.F32[i]) == math.Float32bits(v.F32[f]) })
	case types.LayoutF64:
		return same(func(i int) bool { return math.Float64bits(v.F64[i]) == math.Float64bits(v.F64[f]) })
	case types.LayoutFixed16:
		return same(func(i int) bool { return v.Fix[i] == v.Fix[f] })
	}
	return same(func(i int) bool {
		return v.Views[i] == v.Views[f] ||
			v.Views[i].Len == v.Views[f].Len && v.Views[f].Len > vec.InlineMax && v.String(i) == v.String(f)
	})
}

// appendConst appends the value of the first row that is not null.
func appendConst(dst []byte, v *vec.Vec) []byte {
	var d types.Datum
	if !allNull(v) {
		d = v.Datum(firstValid(v))
	}
	switch v.T.Layout {
	case types.LayoutF32:
		return binary.LittleEndian.AppendUint64(dst, uint64(math.Float32bits(float32(d.F))))
	case types.LayoutF64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(d.F))
	case types.LayoutI128, types.LayoutFixed16:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(d.I))
		return binary.LittleEndian.AppendUint64(dst, uint64(d.H))
	case types.LayoutView:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(d.S)))
		return append(dst, d.S...)
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(d.I))
}

// encodeStrings chooses between a dictionary of the block and a heap.
func encodeStrings(dst []byte, start int, v *vec.Vec, o Options, s *Scratch) []byte {
	n := v.N
	if !o.Heap && n >= 16 {
		if d := s.distinctStrings(v, n/2); d != nil {
			raw := 0
			for i := range n {
				raw += int(v.Views[i].Len)
			}
			// What a codec leaves of a heap, from one sub-block of each.
			heapBytes := o.Codec.guess(v, raw, s) + n*3/4
			dictBytes := int(float64(d.Bytes())*o.Codec.guessRatio(d.heap, s)) + d.Len() + n*bits.Len(uint(d.Len()-1))/8
			if dictBytes < heapBytes {
				order, ranks := d.Sorted()
				codes := s.intBuf(n)
				for i, c := range s.strCodes {
					codes[i] = int64(ranks[c])
				}
				dst[start] = byte(Dict)
				dst = appendCodes(dst, codes, v.Valid, len(order), s)
				return d.AppendHeap(dst, order, o.Codec, s)
			}
		}
	}
	dst[start] = byte(Heap)
	return appendHeapOf(dst, n, v.Bytes, o.Codec, s)
}

// appendCodes appends the size of a dictionary and the codes of all rows.
func appendCodes(dst []byte, codes []int64, valid []uint64, dictN int, s *Scratch) []byte {
	if valid != nil {
		for i := range codes {
			if !vec.Bit(valid, i) {
				codes[i] = 0
			}
		}
	}
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(dictN))
	dst = append(dst, 0, 0, 0, 0)
	dst = appendInts(dst, codes, intsOptions{points: true}, s)
	binary.LittleEndian.PutUint32(dst[at+4:], uint32(len(dst)-at-8))
	return dst
}

// EncodeCodes appends a SegDict block: codes into the segment's dictionary of
// dictN strings. Only Valid and N of v are looked at. The codes are overwritten
// under nulls.
func EncodeCodes(dst []byte, v *vec.Vec, codes []int64, dictN int, s *Scratch) []byte {
	start := len(dst)
	dst = appendHeader(dst, v)
	dst[start] = byte(SegDict)
	return appendCodes(dst, codes, v.Valid, dictN, s)
}

// EncodeConstString appends a block of one string. Only Valid and N of v are
// looked at.
func EncodeConstString(dst []byte, v *vec.Vec, b []byte) []byte {
	start := len(dst)
	dst = appendHeader(dst, v)
	dst[start] = byte(Const)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(b)))
	return pad8(append(dst, b...), start)
}

// distinctStrings collects the distinct strings of v and the number of each row
// in s.strCodes; nil when there are more than limit. A sample decides whether to
// count at all.
func (s *Scratch) distinctStrings(v *vec.Vec, limit int) *Strings {
	if s.strs == nil {
		s.strs = new(Strings)
	}
	d, n := s.strs, v.N
	d.Reset()
	if n > 8192 && SampleDistinct(v, d) > 0.75 {
		return nil
	}
	d.Reset()
	s.strCodes = slices.Grow(s.strCodes[:0], n)[:n]
	for i := range n {
		if v.IsNull(i) {
			s.strCodes[i] = 0
			continue
		}
		b := v.Bytes(i)
		s.strCodes[i] = d.Add(b, kernel.HashBytes(b))
		if d.Len() > limit {
			return nil
		}
	}
	return d
}

// SampleDistinct is the share of distinct strings in 2,048 rows from all over v,
// using d for work space.
func SampleDistinct(v *vec.Vec, d *Strings) float64 {
	step, seen := max(1, v.N/2048), 0
	for i := 0; i < v.N; i += step {
		if !v.IsNull(i) {
			b := v.Bytes(i)
			d.Add(b, kernel.HashBytes(b))
			seen++
		}
	}
	return float64(d.Len()) / float64(max(seen, 1))
}

// guess estimates the size of v's raw bytes under the codec.
func (c Codec) guess(v *vec.Vec, raw int, s *Scratch) int {
	if c == NoCodec {
		return raw
	}
	buf := s.raw[:0]
	for i := v.N / 3; i < v.N && len(buf) < subBlockBytes; i++ {
		buf = append(buf, v.Bytes(i)...)
	}
	s.raw = buf
	return int(float64(raw) * c.guessRatio(buf, s))
}

// guessRatio is how much of b the codec leaves, by its first sub-block.
func (c Codec) guessRatio(b []byte, s *Scratch) float64 {
	if c == NoCodec || len(b) == 0 {
		return 1
	}
	b = b[:min(len(b), subBlockBytes)]
	s.comp = c.compress(s.comp[:0], b)
	return float64(len(s.comp)) / float64(len(b))
}
