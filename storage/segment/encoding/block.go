package encoding

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Block is a parsed block; it refers to the bytes it was parsed from. It has
// state of its own (a decoded dictionary, the last sub-block), so one goroutine
// uses it at a time.
type Block struct {
	T    types.T
	Rows int
	Enc  ID

	// bit vi of mixed: vector vi has a null bitmap; of allNull: it is all null
	mixed, allNull uint32
	nulls          []byte

	value  types.Datum // Const
	body   []byte
	a, b   ints
	exp    int
	except []byte // Decimal: starts (u32) per vector and end
	heap   heap
	dict   *vec.Dictionary
	dictN  int
	full   uint32 // Bits: vectors that are all true
	bitmap []byte
	part   uint32 // Bits: vectors with a bitmap

	matches   []codeMatch // predicates worked out over dictionaries
	nextMatch int
}

// Release empties the block but for memory that the next one can use.
func (b *Block) Release() {
	buf := b.heap.subBuf
	if cap(buf) > 4*subBlockBytes {
		buf = nil
	}
	*b = Block{}
	b.heap.subBuf = buf
}

// Parse reads a block of type t with this many rows. A block that refers to the
// segment's dictionary needs SetDictionary before it is decoded.
func (b *Block) Parse(data []byte, t types.T, rows int) error { return b.parse(data, t, rows, false) }

// ParseAgain is Parse of bytes that were parsed before without an error and have not
// changed since: the tables in them, one entry a vector or sub-block, are not checked
// again.
func (b *Block) ParseAgain(data []byte, t types.T, rows int) error {
	return b.parse(data, t, rows, true)
}

func (b *Block) parse(data []byte, t types.T, rows int, again bool) error {
	if len(data) < headerBytes || rows <= 0 || rows > vec.BlockRows {
		return corrupt("block of %d bytes and %d rows", len(data), rows)
	}
	if n := int(u32(data[4:])); n != rows {
		return corrupt("block has %d rows, expected %d", n, rows)
	}
	b.T, b.Rows, b.Enc = t, rows, ID(data[0])
	b.mixed, b.allNull, b.dict, b.dictN = 0, 0, nil, 0
	b.a.again, b.b.again, b.heap.again, b.heap.lens.again = again, again, again, again
	all := uint32(1<<vectors(rows) - 1)
	flags := data[1]
	data = data[headerBytes:]
	if flags&flagNulls != 0 {
		if len(data) < 8 {
			return corrupt("null section cut short")
		}
		b.mixed, b.allNull = u32(data), u32(data[4:])
		n := bitmapsBytes(rows, b.mixed)
		if b.mixed&b.allNull != 0 || (b.mixed|b.allNull)&^all != 0 || len(data) < 8+n {
			return corrupt("null section")
		}
		b.nulls, data = data[8:8+n], data[8+n:]
	}
	b.body = data
	bad := func() error { return corrupt("%v block of layout %d", b.Enc, t.Layout) }
	switch b.Enc {
	case Const:
		return b.parseConst(data)
	case Bits:
		if t.Layout != types.LayoutBool || len(data) < 8 {
			return bad()
		}
		b.part, b.full = u32(data), u32(data[4:])
		n := bitmapsBytes(rows, b.part)
		if b.part&b.full != 0 || (b.part|b.full)&^all != 0 || len(data) < 8+n {
			return corrupt("bitmaps")
		}
		b.bitmap = data[8 : 8+n]
		return nil
	case Ints:
		switch t.Layout {
		case types.LayoutI16, types.LayoutI32, types.LayoutI64, types.LayoutF32, types.LayoutF64:
			return b.a.parse(data, rows, false)
		}
		return bad()
	case Decimal:
		if t.Layout != types.LayoutF32 && t.Layout != types.LayoutF64 {
			return bad()
		}
		return b.parseDecimal(data)
	case Pair:
		if t.Layout != types.LayoutI128 && t.Layout != types.LayoutFixed16 || len(data) < 8 {
			return bad()
		}
		n := int(u32(data))
		if n > len(data)-8 || n&7 != 0 {
			return corrupt("pair cut short")
		}
		if err := b.a.parse(data[8:8+n], rows, false); err != nil {
			return err
		}
		return b.b.parse(data[8+n:], rows, false)
	case Heap:
		if t.Layout != types.LayoutView {
			return bad()
		}
		return b.heap.parse(data, rows)
	case Dict, SegDict:
		if t.Layout != types.LayoutView || len(data) < 8 {
			return bad()
		}
		b.dictN = int(u32(data))
		n := int(u32(data[4:]))
		if n > len(data)-8 || n&7 != 0 || b.dictN == 0 || b.Enc == Dict && b.dictN > rows {
			return corrupt("dictionary of %d strings", b.dictN)
		}
		if err := b.a.parse(data[8:8+n], rows, true); err != nil {
			return err
		}
		if b.Enc == Dict {
			return b.heap.parse(data[8+n:], b.dictN)
		}
		return nil
	}
	return corrupt("encoding %d", b.Enc)
}

// bitmapsBytes is the size of the bitmaps of the vectors in set.
func bitmapsBytes(rows int, set uint32) int {
	n := bits.OnesCount32(set) * vec.Size / 8
	last := vectors(rows) - 1
	if set>>last&1 != 0 {
		n -= vec.Size/8 - vec.Words(vectorRows(rows, last))*8
	}
	return n
}

// bitmapOf is the bitmap of vector vi, which is in set, as bytes.
func bitmapOf(b []byte, set uint32, rows, vi int) []byte {
	at := bits.OnesCount32(set&(1<<vi-1)) * vec.Size / 8
	return b[at : at+vec.Words(vectorRows(rows, vi))*8]
}

func loadBits(dst []uint64, b []byte) {
	for i := range len(b) / 8 {
		dst[i] = u64(b[8*i:])
	}
}

// SetDictionary gives a SegDict block its dictionary.
func (b *Block) SetDictionary(d *vec.Dictionary) error {
	if d.Values.N != b.dictN {
		return corrupt("block expects a dictionary of %d strings, the segment has %d", b.dictN, d.Values.N)
	}
	b.dict = d
	return nil
}

// dictionary is the block's dictionary, decoded when first needed.
func (b *Block) dictionary(s *Scratch) (*vec.Dictionary, error) {
	if b.dict == nil {
		if b.Enc == SegDict {
			return nil, corrupt("block without its segment's dictionary")
		}
		d, err := b.heap.dictionary(b.T, s)
		if err != nil {
			return nil, err
		}
		b.dict = d
	}
	return b.dict, nil
}

func (b *Block) parseConst(data []byte) error {
	if len(data) < 8 {
		return corrupt("constant cut short")
	}
	x := int64(u64(data))
	switch b.T.Layout {
	case types.LayoutBool, types.LayoutI16, types.LayoutI32, types.LayoutI64:
		b.value = types.NewInt(x)
	case types.LayoutF32:
		b.value = types.NewFloat(float64(math.Float32frombits(uint32(x))))
	case types.LayoutF64:
		b.value = types.NewFloat(math.Float64frombits(uint64(x)))
	case types.LayoutI128, types.LayoutFixed16:
		if len(data) < 16 {
			return corrupt("constant cut short")
		}
		b.value = types.Datum{Valid: true, I: x, H: int64(u64(data[8:]))}
	case types.LayoutView:
		if uint64(x) > uint64(len(data)-8) {
			return corrupt("constant string of %d bytes", x)
		}
		if s := data[8 : 8+x]; b.value.S != string(s) || !b.value.Valid {
			b.value = types.NewString(string(s))
		}
	default:
		return corrupt("layout %d", b.T.Layout)
	}
	return nil
}

// setValid puts the validity of vector vi into dst, whose N is set. It returns
// false when no row is valid.
func (b *Block) setValid(vi int, dst *vec.Vec) {
	dst.Valid = nil
	if b.mixed>>vi&1 != 0 {
		loadBits(dst.TakeValid(dst.N), bitmapOf(b.nulls, b.mixed, b.Rows, vi))
	} else if b.allNull>>vi&1 != 0 {
		clear(dst.TakeValid(dst.N))
	}
}

// Nulls says whether vector vi has nulls, and whether it has nothing else.
func (b *Block) Nulls(vi int) (some, all bool) {
	all = b.allNull>>vi&1 != 0
	return all || b.mixed>>vi&1 != 0, all
}

// Vector decodes vector vi into dst, overwriting it and its string memory. The
// result may be flat, constant or in dictionary form, and views may point into
// the bytes the block was parsed from.
func (b *Block) Vector(vi int, dst *vec.Vec, s *Scratch) error {
	n := vectorRows(b.Rows, vi)
	dst.Recycle(b.T)
	if b.allNull>>vi&1 != 0 {
		setConst(dst, types.Datum{}, n)
		clear(dst.TakeValid(1))
		return nil
	}
	if b.Enc == Const {
		setConst(dst, b.value, n)
		if b.mixed>>vi&1 == 0 {
			return nil
		}
		spread(dst, n)
		b.setValid(vi, dst)
		zeroInvalid(dst)
		return nil
	}
	dst.N = n
	dst.Grow(vec.Size)
	b.setValid(vi, dst)
	switch b.Enc {
	case Bits:
		b.boolBits(vi, dst.Bits)
		return nil
	case Heap:
		return b.heap.vector(vi, dst.Views[:n], dst, s)
	case Dict, SegDict:
		d, err := b.dictionary(s)
		if err != nil {
			return err
		}
		if cap(dst.Codes) < vec.Size {
			dst.Codes = make([]uint32, vec.Size)
		}
		dst.Codes = dst.Codes[:vec.Size]
		if err := b.a.decode32(vi, (*[vec.Size]uint32)(dst.Codes), s); err != nil {
			return err
		}
		dst.Codes = dst.Codes[:n]
		dst.Form, dst.Dict = vec.Dict, d
		return checkCodes(dst.Codes, b.dictN)
	case Ints:
		if err := b.intVector(vi, dst, s); err != nil {
			return err
		}
	case Decimal:
		if err := b.decimalVector(vi, dst, s); err != nil {
			return err
		}
	case Pair:
		if err := b.pairVector(vi, dst, s); err != nil {
			return err
		}
	}
	if dst.Valid != nil {
		zeroInvalid(dst)
	}
	return nil
}

// boolBits writes the bitmap of vector vi.
func (b *Block) boolBits(vi int, dst []uint64) {
	n := vectorRows(b.Rows, vi)
	switch {
	case b.part>>vi&1 != 0:
		loadBits(dst, bitmapOf(b.bitmap, b.part, b.Rows, vi))
	case b.full>>vi&1 != 0:
		kernel.Ones(dst, n)
	default:
		kernel.Zeros(dst, n)
	}
}

func asU32(v []int32) *[vec.Size]uint32 {
	return (*[vec.Size]uint32)(unsafe.Pointer((*[vec.Size]int32)(v)))
}

func (b *Block) intVector(vi int, dst *vec.Vec, s *Scratch) error {
	switch b.T.Layout {
	case types.LayoutI64:
		return b.a.decode64(vi, (*[vec.Size]int64)(dst.I64), s)
	case types.LayoutI32:
		return b.a.decode32(vi, asU32(dst.I32), s)
	case types.LayoutF64:
		return b.a.decode64(vi, (*[vec.Size]int64)(unsafe.Pointer((*[vec.Size]float64)(dst.F64))), s)
	case types.LayoutF32:
		return b.a.decode32(vi, (*[vec.Size]uint32)(unsafe.Pointer((*[vec.Size]float32)(dst.F32))), s)
	}
	if err := b.a.decode32(vi, &s.lens, s); err != nil {
		return err
	}
	kernel.Convert(dst.I16[:dst.N], s.lens[:dst.N])
	return nil
}

func (b *Block) pairVector(vi int, dst *vec.Vec, s *Scratch) error {
	n := dst.N
	if err := b.a.decode64(vi, &s.wide, s); err != nil {
		return err
	}
	if b.T.Layout == types.LayoutI128 {
		for i, x := range s.wide[:n] {
			dst.I128[i].Lo = uint64(x)
		}
	} else {
		for i, x := range s.wide[:n] {
			dst.Fix[i].A = x
		}
	}
	if err := b.b.decode64(vi, &s.wide, s); err != nil {
		return err
	}
	if b.T.Layout == types.LayoutI128 {
		for i, x := range s.wide[:n] {
			dst.I128[i].Hi = x
		}
	} else {
		for i, x := range s.wide[:n] {
			dst.Fix[i].B = x
		}
	}
	return nil
}

// setConst makes dst, just recycled, a constant of n rows; the caller marks a
// null.
func setConst(dst *vec.Vec, d types.Datum, n int) {
	dst.Grow(1)
	switch dst.T.Layout {
	case types.LayoutBool:
		dst.Bits[0] = uint64(d.I & 1)
	case types.LayoutI16:
		dst.I16[0] = int16(d.I)
	case types.LayoutI32:
		dst.I32[0] = int32(d.I)
	case types.LayoutI64:
		dst.I64[0] = d.I
	case types.LayoutI128:
		dst.I128[0] = d.I128()
	case types.LayoutF32:
		dst.F32[0] = float32(d.F)
	case types.LayoutF64:
		dst.F64[0] = d.F
	case types.LayoutFixed16:
		dst.Fix[0] = d.Fixed16()
	default:
		b := unsafe.Slice(unsafe.StringData(d.S), len(d.S))
		if len(b) > vec.InlineMax {
			dst.LendBuf(b)
			dst.Views[0] = vec.MakeView(b, 0, 0)
		} else {
			dst.Views[0] = vec.MakeInline(b)
		}
	}
	dst.Form, dst.N, dst.Valid = vec.Const, n, nil
}

// spread makes a constant flat.
func spread(dst *vec.Vec, n int) {
	dst.Grow(vec.Size)
	switch dst.T.Layout {
	case types.LayoutBool:
		if dst.Bits[0]&1 != 0 {
			kernel.Ones(dst.Bits, n)
		} else {
			kernel.Zeros(dst.Bits, n)
		}
	case types.LayoutI16:
		kernel.Fill(dst.I16[1:n], dst.I16[0])
	case types.LayoutI32:
		kernel.Fill(dst.I32[1:n], dst.I32[0])
	case types.LayoutI64:
		kernel.Fill(dst.I64[1:n], dst.I64[0])
	case types.LayoutI128:
		kernel.Fill(dst.I128[1:n], dst.I128[0])
	case types.LayoutF32:
		kernel.Fill(dst.F32[1:n], dst.F32[0])
	case types.LayoutF64:
		kernel.Fill(dst.F64[1:n], dst.F64[0])
	case types.LayoutFixed16:
		kernel.Fill(dst.Fix[1:n], dst.Fix[0])
	default:
		kernel.Fill(dst.Views[1:n], dst.Views[0])
	}
	dst.Form, dst.N = vec.Flat, n
}

// zeroInvalid zeroes the values under nulls of a flat vector.
func zeroInvalid(dst *vec.Vec) {
	n := dst.N
	switch dst.T.Layout {
	case types.LayoutBool:
		kernel.And(dst.Bits[:vec.Words(n)], dst.Valid)
	case types.LayoutI16:
		kernel.ZeroInvalid(dst.I16[:n], dst.Valid)
	case types.LayoutI32:
		kernel.ZeroInvalid(dst.I32[:n], dst.Valid)
	case types.LayoutI64:
		kernel.ZeroInvalid(dst.I64[:n], dst.Valid)
	case types.LayoutI128:
		kernel.ZeroInvalid(dst.I128[:n], dst.Valid)
	case types.LayoutF32:
		kernel.ZeroInvalid(dst.F32[:n], dst.Valid)
	case types.LayoutF64:
		kernel.ZeroInvalid(dst.F64[:n], dst.Valid)
	case types.LayoutFixed16:
		kernel.ZeroInvalid(dst.Fix[:n], dst.Valid)
	default:
		kernel.ZeroInvalid(dst.Views[:n], dst.Valid)
	}
}

// Gather decodes the listed rows of vector vi (ascending, below its rows) into
// dst, overwriting it; row k of dst is rows[k].
func (b *Block) Gather(vi int, rows []uint16, dst *vec.Vec, s *Scratch) error {
	n, k := vectorRows(b.Rows, vi), len(rows)
	if k > 0 && int(rows[k-1]) >= n {
		return corrupt("row %d of a vector of %d", rows[k-1], n)
	}
	if b.Enc == Const && b.mixed>>vi&1 == 0 || b.allNull>>vi&1 != 0 {
		if err := b.Vector(vi, dst, s); err != nil {
			return err
		}
		dst.N = k
		return nil
	}
	if k > n/6 && b.Enc != Bits || b.Enc == Const {
		// The whole vector is cheaper than that many single rows.
		if s.whole == nil {
			s.whole = new(vec.Vec)
		}
		if err := b.Vector(vi, s.whole, s); err != nil {
			return err
		}
		gatherVec(dst, s.whole, rows)
		return nil
	}
	dst.Recycle(b.T)
	dst.Grow(max(k, 1))
	dst.N = k
	if b.mixed>>vi&1 != 0 {
		loadBits(s.bits[:], bitmapOf(b.nulls, b.mixed, b.Rows, vi))
		kernel.GatherBits(dst.TakeValid(k), s.bits[:], rows)
	}
	switch b.Enc {
	case Bits:
		b.boolBits(vi, s.bits[:])
		kernel.GatherBits(dst.Bits, s.bits[:], rows)
		return nil
	case Heap:
		return b.gatherHeap(vi, rows, dst, s)
	case Dict, SegDict:
		return b.gatherDict(vi, rows, dst, s)
	case Decimal:
		if err := b.gatherDecimal(vi, rows, dst, s); err != nil {
			return err
		}
	case Pair:
		if err := b.a.gather(vi, rows, s); err != nil {
			return err
		}
		s.swap = append(s.swap[:0], s.wide[:k]...)
		if err := b.b.gather(vi, rows, s); err != nil {
			return err
		}
		if b.T.Layout == types.LayoutI128 {
			for i := range k {
				dst.I128[i] = types.Int128{Lo: uint64(s.swap[i]), Hi: s.wide[i]}
			}
		} else {
			for i := range k {
				dst.Fix[i] = types.Fixed16{A: s.swap[i], B: s.wide[i]}
			}
		}
	default:
		if err := b.a.gather(vi, rows, s); err != nil {
			return err
		}
		switch b.T.Layout {
		case types.LayoutI16:
			kernel.Convert(dst.I16[:k], s.wide[:k])
		case types.LayoutI32:
			kernel.Convert(dst.I32[:k], s.wide[:k])
		case types.LayoutI64:
			copy(dst.I64, s.wide[:k])
		case types.LayoutF32:
			for i, x := range s.wide[:k] {
				dst.F32[i] = math.Float32frombits(uint32(x))
			}
		case types.LayoutF64:
			for i, x := range s.wide[:k] {
				dst.F64[i] = math.Float64frombits(uint64(x))
			}
		}
	}
	if dst.Valid != nil {
		zeroInvalid(dst)
	}
	return nil
}

// gather writes the rows' values to s.wide.
func (p *ints) gather(vi int, rows []uint16, s *Scratch) error {
	for k, i := range rows {
		x, ok, err := p.at(vi, int(i))
		if err != nil {
			return err
		}
		if !ok {
			if err := p.decode64(vi, &s.wide, s); err != nil {
				return err
			}
			for k, i := range rows { // ascending, so in place
				s.wide[k] = s.wide[i]
			}
			return nil
		}
		s.wide[k] = x
	}
	return nil
}

func (b *Block) gatherHeap(vi int, rows []uint16, dst *vec.Vec, s *Scratch) error {
	h := &b.heap
	from, _, err := h.span(vi, s)
	if err != nil {
		return err
	}
	if h.codec == NoCodec {
		dst.LendBuf(h.data)
	}
	at, off := 0, from
	for k, i := range rows {
		for ; at < int(i); at++ {
			off += int(s.lens[at])
		}
		n := int(s.lens[at])
		str, err := h.bytes(off, n)
		if err != nil {
			return err
		}
		dst.Views[k] = viewOf(dst, str, off, h.codec == NoCodec)
	}
	return nil
}

// viewOf makes a view of str in dst: lent, at offset off of buffer 0, or copied.
func viewOf(dst *vec.Vec, str []byte, off int, lent bool) vec.View {
	if len(str) <= vec.InlineMax {
		return vec.MakeInline(str)
	}
	if lent {
		return vec.MakeView(str, 0, uint32(off))
	}
	mem, buf, o := dst.Reserve(len(str))
	copy(mem, str)
	return vec.MakeView(mem, buf, o)
}

// gatherDict gives codes where the dictionary is at hand; otherwise it reads
// just the strings asked for.
func (b *Block) gatherDict(vi int, rows []uint16, dst *vec.Vec, s *Scratch) error {
	k := len(rows)
	if err := b.a.gather(vi, rows, s); err != nil {
		return err
	}
	dst.Codes = slices.Grow(dst.Codes[:0], k)[:k]
	for i, x := range s.wide[:k] {
		if uint64(x) >= uint64(b.dictN) {
			return corrupt("code %d in a dictionary of %d", x, b.dictN)
		}
		dst.Codes[i] = uint32(x)
	}
	if b.Enc == SegDict || b.dict != nil || b.heap.raw <= subBlockBytes {
		d, err := b.dictionary(s)
		if err != nil {
			return err
		}
		dst.Form, dst.Dict = vec.Dict, d
		return nil
	}
	h := &b.heap
	if h.codec == NoCodec {
		dst.LendBuf(h.data)
	}
	vec0, from := -1, 0
	for i, c := range dst.Codes {
		if cv := int(c) / vec.Size; cv != vec0 {
			var err error
			if from, _, err = h.span(cv, s); err != nil {
				return err
			}
			vec0 = cv
		}
		off := from
		for _, l := range s.lens[:int(c)%vec.Size] {
			off += int(l)
		}
		str, err := h.bytes(off, int(s.lens[int(c)%vec.Size]))
		if err != nil {
			return err
		}
		dst.Views[i] = viewOf(dst, str, off, h.codec == NoCodec)
	}
	dst.Codes = dst.Codes[:0]
	if dst.Valid != nil {
		zeroInvalid(dst)
	}
	return nil
}

// gatherVec copies the listed rows of src, which is flat or in dictionary form.
func gatherVec(dst, src *vec.Vec, rows []uint16) {
	k := len(rows)
	dst.Recycle(src.T)
	if src.Form == vec.Dict {
		dst.Codes = slices.Grow(dst.Codes[:0], k)[:k]
		kernel.Gather(dst.Codes, src.Codes, rows)
		dst.Form, dst.Dict = vec.Dict, src.Dict
	} else {
		dst.Grow(max(k, 1))
		switch src.T.Layout {
		case types.LayoutBool:
			kernel.GatherBits(dst.Bits, src.Bits, rows)
		case types.LayoutI16:
			kernel.Gather(dst.I16, src.I16, rows)
		case types.LayoutI32:
			kernel.Gather(dst.I32, src.I32, rows)
		case types.LayoutI64:
			kernel.Gather(dst.I64, src.I64, rows)
		case types.LayoutI128:
			kernel.Gather(dst.I128, src.I128, rows)
		case types.LayoutF32:
			kernel.Gather(dst.F32, src.F32, rows)
		case types.LayoutF64:
			kernel.Gather(dst.F64, src.F64, rows)
		case types.LayoutFixed16:
			kernel.Gather(dst.Fix, src.Fix, rows)
		default:
			dst.Copy(src, rows, k)
			return
		}
	}
	dst.N = k
	if src.Valid != nil {
		kernel.GatherBits(dst.TakeValid(k), src.Valid, rows)
	}
}
