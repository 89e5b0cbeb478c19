// Package vec holds columns in memory: vectors in three forms, batches with a
// selection, validity bitmaps and builders. It imports catalog/types and
// catalog/sqlstate only.
//
// Ownership: a vector belongs to whoever made it. A batch is lent until the next
// call that produces one; views, dictionaries and slices in it may point into
// mapped files or into the producer's buffers. Whoever keeps a value longer
// copies it (Builder, or Copy into an own vector).
//
// Values under nulls are zero in storage, builders and kernel outputs.
package vec

import "github.com/millrace/millrace/catalog/types"

// Size is the number of rows in a full batch. BlockRows and SegmentRows are the
// units of encoding and of a full segment file.
const (
	Size        = 2048
	BlockRows   = 65536
	SegmentRows = 1048576
)

// Form says how a vector holds its values.
type Form uint8

// The forms. A Const vector's slices have length 1 (value 0 stands for all N
// rows; Valid, when not nil, has bit 0). A Dict vector has Codes and Dict;
// nulls are in its own Valid, and the code under a null is 0.
const (
	Flat Form = iota
	Const
	Dict
)

// Vec is one column of up to Size rows (storage may use longer ones internally).
// Exactly one of the value slices is in use, chosen by T.Layout; its length is
// at least N (1 for Const).
type Vec struct {
	T    types.T
	Form Form
	N    int
	// Valid has bit i set when row i is not null; nil when nothing is null.
	// Bits at and above N are unspecified.
	Valid []uint64

	Bits  []uint64        // LayoutBool: bit i is row i; bits under nulls are 0
	I16   []int16         // LayoutI16
	I32   []int32         // LayoutI32
	I64   []int64         // LayoutI64
	I128  []types.Int128  // LayoutI128
	F32   []float32       // LayoutF32
	F64   []float64       // LayoutF64
	Fix   []types.Fixed16 // LayoutFixed16
	Views []View          // LayoutView
	// Bufs holds the bytes that long views point into. It only grows while
	// views refer to it, and may be shared between vectors.
	Bufs [][]byte

	Codes []uint32 // Dict: index into Dict.Values
	Dict  *Dictionary

	arena    []byte   // tail of the last buffer that AppendBytes fills
	validMem []uint64 // memory for Valid, kept over Reset
	bufMem   [1][]byte
}

// Dictionary is an immutable list of values shared by vectors. Codes of two
// vectors compare only when they have the same *Dictionary. Values is Flat, has
// no nulls, and when Sorted its values ascend in the type's order.
type Dictionary struct {
	Values *Vec
	Sorted bool
	// ID distinguishes dictionaries for caches of results per dictionary.
	ID uint64
}

// New makes an empty flat vector with room for n rows.
func New(t types.T, n int) *Vec {
	v := &Vec{T: t}
	v.Grow(n)
	return v
}

// Reset makes v an empty flat vector of type t, keeping its memory. Buffers that
// views of earlier batches may still use are dropped, not overwritten.
func (v *Vec) Reset(t types.T) {
	v.T, v.Form, v.N, v.Valid = t, Flat, 0, nil
	v.Codes, v.Dict = v.Codes[:0], nil
	v.Bufs, v.arena = nil, nil
}

// Recycle is Reset, but also writes strings over the last buffer of its own: for
// an owner whose earlier batches nobody uses any more.
func (v *Vec) Recycle(t types.T) {
	a := v.arena
	v.Reset(t)
	if cap(a) > 0 {
		v.arena = a[:0]
		v.bufMem[0] = v.arena
		v.Bufs = v.bufMem[:]
	}
}

// TakeValid makes Valid cover at least n rows, all bits set, in v's own memory.
func (v *Vec) TakeValid(n int) []uint64 {
	w := Words(n)
	if cap(v.validMem) < w {
		v.validMem = make([]uint64, max(w, Words(Size)))
	}
	v.Valid = v.validMem[:w]
	for i := range v.Valid {
		v.Valid[i] = ^uint64(0)
	}
	return v.Valid
}

// Grow makes the value slice of a flat vector at least n rows long, keeping the
// first N values. It does not change N.
func (v *Vec) Grow(n int) {
	switch v.T.Layout {
	case types.LayoutBool:
		v.Bits = grow(v.Bits, Words(n))
	case types.LayoutI16:
		v.I16 = grow(v.I16, n)
	case types.LayoutI32:
		v.I32 = grow(v.I32, n)
	case types.LayoutI64:
		v.I64 = grow(v.I64, n)
	case types.LayoutI128:
		v.I128 = grow(v.I128, n)
	case types.LayoutF32:
		v.F32 = grow(v.F32, n)
	case types.LayoutF64:
		v.F64 = grow(v.F64, n)
	case types.LayoutFixed16:
		v.Fix = grow(v.Fix, n)
	default:
		v.Views = grow(v.Views, n)
	}
}

func grow[E any](s []E, n int) []E {
	if n <= len(s) {
		return s
	}
	if n <= cap(s) {
		return s[:n]
	}
	c := max(n, 2*cap(s))
	t := make([]E, n, c)
	copy(t, s)
	return t
}

// Index is the position in the value slices of row i: i when flat, 0 when
// constant, the code when in dictionary form (then in Dict.Values).
func (v *Vec) Index(i int) int {
	switch v.Form {
	case Const:
		return 0
	case Dict:
		return int(v.Codes[i])
	}
	return i
}

// IsNull says whether row i is null.
func (v *Vec) IsNull(i int) bool {
	if v.Valid == nil {
		return false
	}
	if v.Form == Const {
		i = 0
	}
	return v.Valid[i>>6]>>(uint(i)&63)&1 == 0
}

// Source is the vector that holds the values: Dict.Values in dictionary form,
// v itself otherwise. Use it with Index.
func (v *Vec) Source() *Vec {
	if v.Form == Dict {
		return v.Dict.Values
	}
	return v
}

// Datum is row i as an edge value. Strings are copied.
func (v *Vec) Datum(i int) types.Datum {
	if v.IsNull(i) {
		return types.Null
	}
	s, j := v.Source(), v.Index(i)
	switch v.T.Layout {
	case types.LayoutBool:
		return types.NewBool(Bit(s.Bits, j))
	case types.LayoutI16:
		return types.NewInt(int64(s.I16[j]))
	case types.LayoutI32:
		if Unsigned32(v.T.OID) {
			return types.NewInt(int64(uint32(s.I32[j])))
		}
		return types.NewInt(int64(s.I32[j]))
	case types.LayoutI64:
		return types.NewInt(s.I64[j])
	case types.LayoutI128:
		return types.NewI128(s.I128[j])
	case types.LayoutF32:
		return types.NewFloat(float64(s.F32[j]))
	case types.LayoutF64:
		return types.NewFloat(s.F64[j])
	case types.LayoutFixed16:
		return types.NewFixed16(s.Fix[j])
	}
	return types.NewString(string(s.Bytes(j)))
}

// Unsigned32 says whether a LayoutI32 type holds uint32 bits (oid and its family).
func Unsigned32(oid uint32) bool { return oid != types.Int4OID && oid != types.DateOID }

// AppendNull appends a null to a flat vector.
func (v *Vec) AppendNull() {
	i := v.N
	v.Grow(i + 1)
	v.zero(i)
	v.N++
	v.SetNull(i)
}

func (v *Vec) zero(i int) {
	switch v.T.Layout {
	case types.LayoutBool:
		ClearBit(v.Bits, i)
	case types.LayoutI16:
		v.I16[i] = 0
	case types.LayoutI32:
		v.I32[i] = 0
	case types.LayoutI64:
		v.I64[i] = 0
	case types.LayoutI128:
		v.I128[i] = types.Int128{}
	case types.LayoutF32:
		v.F32[i] = 0
	case types.LayoutF64:
		v.F64[i] = 0
	case types.LayoutFixed16:
		v.Fix[i] = types.Fixed16{}
	default:
		v.Views[i] = View{}
	}
}

// SetNull marks row i (< N) of a flat vector null, allocating Valid if needed.
// The caller zeroes the value.
func (v *Vec) SetNull(i int) {
	v.needValid()
	ClearBit(v.Valid, i)
}

// needValid makes Valid cover N rows, new bits set.
func (v *Vec) needValid() {
	if v.Valid == nil {
		v.TakeValid(v.N)
		return
	}
	old := len(v.Valid)
	v.Valid = grow(v.Valid, Words(v.N))
	for i := old; i < len(v.Valid); i++ {
		v.Valid[i] = ^uint64(0)
	}
}

// validAppended keeps Valid in step after a non-null row was appended.
func (v *Vec) validAppended() {
	if v.Valid != nil {
		v.needValid()
		SetBit(v.Valid, v.N-1)
	}
}

// Appended tells that the caller wrote a value that is not null behind the last and
// counted it in N.
func (v *Vec) Appended() { v.validAppended() }

// AppendDatum appends an edge value to a flat vector, copying strings.
func (v *Vec) AppendDatum(d types.Datum) {
	if !d.Valid {
		v.AppendNull()
		return
	}
	if v.T.Layout == types.LayoutView {
		v.AppendString(d.S)
		return
	}
	i := v.N
	v.Grow(i + 1)
	switch v.T.Layout {
	case types.LayoutBool:
		PutBit(v.Bits, i, d.I != 0)
	case types.LayoutI16:
		v.I16[i] = int16(d.I)
	case types.LayoutI32:
		v.I32[i] = int32(d.I)
	case types.LayoutI64:
		v.I64[i] = d.I
	case types.LayoutI128:
		v.I128[i] = d.I128()
	case types.LayoutF32:
		v.F32[i] = float32(d.F)
	case types.LayoutF64:
		v.F64[i] = d.F
	case types.LayoutFixed16:
		v.Fix[i] = d.Fixed16()
	}
	v.N++
	v.validAppended()
}

// SetConst makes v a constant vector of n rows.
func (v *Vec) SetConst(t types.T, d types.Datum, n int) {
	v.Reset(t)
	v.AppendDatum(d)
	v.Form, v.N = Const, n
}

// Copy appends rows of src to the flat vector v, copying all bytes: the rows of
// sel, or rows 0..n-1 when sel is nil.
func (v *Vec) Copy(src *Vec, sel []uint16, n int) {
	if sel != nil {
		n = len(sel)
	}
	base := v.N
	v.Grow(base + n)
	s := src.Source()
	at := func(k int) int {
		if sel != nil {
			k = int(sel[k])
		}
		return src.Index(k)
	}
	switch v.T.Layout {
	case types.LayoutBool:
		for k := 0; k < n; k++ {
			PutBit(v.Bits, base+k, Bit(s.Bits, at(k)))
		}
	case types.LayoutI16:
		copyRows(v.I16[base:base+n], s.I16, src, sel)
	case types.LayoutI32:
		copyRows(v.I32[base:base+n], s.I32, src, sel)
	case types.LayoutI64:
		copyRows(v.I64[base:base+n], s.I64, src, sel)
	case types.LayoutI128:
		copyRows(v.I128[base:base+n], s.I128, src, sel)
	case types.LayoutF32:
		copyRows(v.F32[base:base+n], s.F32, src, sel)
	case types.LayoutF64:
		copyRows(v.F64[base:base+n], s.F64, src, sel)
	case types.LayoutFixed16:
		copyRows(v.Fix[base:base+n], s.Fix, src, sel)
	default:
		long := 0
		for k := 0; k < n; k++ {
			w := s.Views[at(k)]
			v.Views[base+k] = w
			if w.Len > InlineMax {
				long += int(w.Len)
			}
		}
		if long == 0 {
			break
		}
		if long <= arenaMaxBytes {
			v.room(long)
		}
		for k, w := range v.Views[base : base+n] {
			if w.Len > InlineMax {
				v.Views[base+k] = v.store(s.Long(w))
			}
		}
	}
	v.N += n
	v.copyValid(src, sel, n)
}

// copyValid takes over which of the last n rows are null.
func (v *Vec) copyValid(src *Vec, sel []uint16, n int) {
	base := v.N - n
	if src.Valid == nil {
		if v.Valid != nil {
			v.needValid()
			SetRange(v.Valid, base, base+n)
		}
		return
	}
	v.needValid()
	SetRange(v.Valid, base, base+n)
	for k := 0; k < n; k++ {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		if src.IsNull(i) {
			ClearBit(v.Valid, base+k)
			v.zero(base + k)
		}
	}
}

func copyRows[E any](dst, vals []E, src *Vec, sel []uint16) {
	switch {
	case src.Form == Const:
		for k := range dst {
			dst[k] = vals[0]
		}
	case src.Form == Dict && sel == nil:
		for k := range dst {
			dst[k] = vals[src.Codes[k]]
		}
	case src.Form == Dict:
		for k := range dst {
			dst[k] = vals[src.Codes[sel[k]]]
		}
	case sel == nil:
		copy(dst, vals)
	default:
		for k := range dst {
			dst[k] = vals[sel[k]]
		}
	}
}
