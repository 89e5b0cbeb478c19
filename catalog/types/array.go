package types

import (
	"encoding/binary"
	"math"
)

// The form of an array, little-endian:
//
//	uint32  element OID
//	byte    number of dimensions (0: empty array, which ends here)
//	byte    1 when there are nulls
//	per dimension: int32 length, int32 lower bound
//	nulls   one bit per element, set for null (only with the flag)
//	fixed-width elements: the values, zero under nulls
//	others: uint32 end of each element, then their bytes in their own forms
//
// Elements are in row-major order. A numeric element has the variable form,
// whatever the declared precision.

// Array is an array value in its form.
type Array []byte

// ArrayDim is one dimension: its length and its first subscript.
type ArrayDim struct{ Len, Lower int32 }

const (
	arrayDimsMax  = 6
	arrayElemsMax = 134217727 // PostgreSQL's MaxArraySize on 64 bits
)

// elemType is the type that elements have inside arrays and records.
func elemType(oid uint32, mod int32) T {
	t := Of(oid, mod)
	if oid == NumericOID {
		t.Layout, t.Scale = LayoutView, 0
	}
	return t
}

// ElemType is the type that elements of an array (or fields of a record) of
// this OID have: its natural layout, except that numeric is always in the
// variable form.
func ElemType(oid uint32) T { return elemType(oid, -1) }

// fixedWidth is the width of a layout inside arrays and records, 0 if variable.
func fixedWidth(l Layout) int {
	switch l {
	case LayoutBool:
		return 1
	case LayoutI16:
		return 2
	case LayoutI32, LayoutF32:
		return 4
	case LayoutI64, LayoutF64:
		return 8
	case LayoutFixed16, LayoutI128:
		return 16
	}
	return 0
}

// appendElem appends a value as arrays and records hold it.
func appendElem(dst []byte, t T, d Datum) []byte {
	switch t.Layout {
	case LayoutBool:
		return append(dst, byte(d.I))
	case LayoutI16:
		return binary.LittleEndian.AppendUint16(dst, uint16(d.I))
	case LayoutI32:
		return binary.LittleEndian.AppendUint32(dst, uint32(d.I))
	case LayoutI64:
		return binary.LittleEndian.AppendUint64(dst, uint64(d.I))
	case LayoutF32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(d.F)))
	case LayoutF64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(d.F))
	case LayoutFixed16:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(d.I))
		return binary.LittleEndian.AppendUint64(dst, uint64(d.H))
	}
	return append(dst, d.S...)
}

// elemDatum is the value that appendElem wrote. A view's S aliases b.
func elemDatum(t T, b []byte) Datum {
	switch t.Layout {
	case LayoutBool:
		return NewBool(b[0] != 0)
	case LayoutI16:
		return NewInt(int64(int16(binary.LittleEndian.Uint16(b))))
	case LayoutI32:
		v := binary.LittleEndian.Uint32(b)
		if UnsignedI32(t.OID) {
			return NewInt(int64(v))
		}
		return NewInt(int64(int32(v)))
	case LayoutI64:
		return NewInt(int64(binary.LittleEndian.Uint64(b)))
	case LayoutF32:
		return NewFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	case LayoutF64:
		return NewFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case LayoutFixed16:
		return NewFixed16(Fixed16{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))})
	}
	return NewString(stringOf(b))
}

// ElemOID is the type of the elements.
func (a Array) ElemOID() uint32 { return binary.LittleEndian.Uint32(a) }

// NDim is the number of dimensions; 0 for an empty array.
func (a Array) NDim() int { return int(a[4]) }

// Dim is dimension i, from 0.
func (a Array) Dim(i int) ArrayDim {
	b := a[6+8*i:]
	return ArrayDim{int32(binary.LittleEndian.Uint32(b)), int32(binary.LittleEndian.Uint32(b[4:]))}
}

// Len is the number of elements in all dimensions.
func (a Array) Len() int {
	if a[4] == 0 {
		return 0
	}
	n := 1
	for i := 0; i < int(a[4]); i++ {
		n *= int(a.Dim(i).Len)
	}
	return n
}

// HasNulls says whether an element is null.
func (a Array) HasNulls() bool { return a[4] != 0 && a[5]&1 != 0 }

// An ArrayReader gives access to an array's elements by index.
type ArrayReader struct {
	T     T
	N     int
	width int
	nulls []byte
	ends  []byte
	data  []byte
}

// Reader opens the array's elements.
func (a Array) Reader() ArrayReader {
	r := ArrayReader{T: ElemType(a.ElemOID())}
	r.width = fixedWidth(r.T.Layout)
	if a[4] == 0 {
		return r
	}
	r.N = a.Len()
	b := []byte(a[6+8*int(a[4]):])
	if a[5]&1 != 0 {
		k := (r.N + 7) / 8
		r.nulls, b = b[:k], b[k:]
	}
	if r.width == 0 {
		r.ends, b = b[:4*r.N], b[4*r.N:]
	}
	r.data = b
	return r
}

// IsNull says whether element i is null.
func (r *ArrayReader) IsNull(i int) bool { return r.nulls != nil && r.nulls[i>>3]>>(i&7)&1 != 0 }

// Bytes is element i as the array holds it: for types of LayoutView, its form.
func (r *ArrayReader) Bytes(i int) []byte {
	if r.width > 0 {
		return r.data[i*r.width : (i+1)*r.width]
	}
	from := uint32(0)
	if i > 0 {
		from = binary.LittleEndian.Uint32(r.ends[4*(i-1):])
	}
	to := binary.LittleEndian.Uint32(r.ends[4*i:])
	return r.data[from:to:to]
}

// Datum is element i. A string aliases the array.
func (r *ArrayReader) Datum(i int) Datum {
	if r.IsNull(i) {
		return Null
	}
	return elemDatum(r.T, r.Bytes(i))
}
