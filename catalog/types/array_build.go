package types

import (
	"encoding/binary"
	"slices"
)

// An ArrayBuilder collects elements in row-major order. Reset it with the
// element's type first.
type ArrayBuilder struct {
	t     T
	n     int
	nulls []byte
	any   bool
	ends  []byte
	data  []byte
}

// Reset empties the builder for elements of this OID.
func (b *ArrayBuilder) Reset(oid uint32) {
	b.t, b.n, b.any = ElemType(oid), 0, false
	b.nulls, b.ends, b.data = b.nulls[:0], b.ends[:0], b.data[:0]
}

// Grow makes room for n more elements, as far as their size is known.
func (b *ArrayBuilder) Grow(n int) {
	b.nulls = slices.Grow(b.nulls, (n+7)/8)
	if w := fixedWidth(b.t.Layout); w > 0 {
		b.data = slices.Grow(b.data, n*w)
	} else {
		b.ends = slices.Grow(b.ends, 4*n)
	}
}

// T is the type that Append takes: numeric in the variable form.
func (b *ArrayBuilder) T() T { return b.t }

// Len is the number of elements so far.
func (b *ArrayBuilder) Len() int { return b.n }

// Append appends an element or NULL.
func (b *ArrayBuilder) Append(d Datum) {
	b.bit(!d.Valid)
	if d.Valid {
		b.data = appendElem(b.data, b.t, d)
	} else {
		for k := fixedWidth(b.t.Layout); k > 0; k-- {
			b.data = append(b.data, 0)
		}
	}
	b.end()
}

// AppendBytes appends an element as the array holds it: for types of LayoutView,
// its form.
func (b *ArrayBuilder) AppendBytes(v []byte) {
	b.bit(false)
	b.data = append(b.data, v...)
	b.end()
}

func (b *ArrayBuilder) bit(null bool) {
	if b.n&7 == 0 {
		b.nulls = append(b.nulls, 0)
	}
	if null {
		b.any = true
		b.nulls[b.n>>3] |= 1 << (b.n & 7)
	}
	b.n++
}

func (b *ArrayBuilder) end() {
	if fixedWidth(b.t.Layout) == 0 {
		b.ends = binary.LittleEndian.AppendUint32(b.ends, uint32(len(b.data)))
	}
}

// Finish appends the array's form with these dimensions, whose lengths multiply
// to Len. No dimensions means one that starts at 1; no elements an empty array.
func (b *ArrayBuilder) Finish(dst []byte, dims ...ArrayDim) []byte {
	dst = slices.Grow(dst, 6+8*max(len(dims), 1)+len(b.nulls)+len(b.ends)+len(b.data))
	dst = binary.LittleEndian.AppendUint32(dst, b.t.OID)
	if b.n == 0 {
		return append(dst, 0, 0)
	}
	nd := max(len(dims), 1)
	flag := byte(0)
	if b.any {
		flag = 1
	}
	dst = append(dst, byte(nd), flag)
	if len(dims) == 0 {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(b.n))
		dst = binary.LittleEndian.AppendUint32(dst, 1)
	}
	for _, d := range dims {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Len))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Lower))
	}
	if b.any {
		dst = append(dst, b.nulls...)
	}
	dst = append(dst, b.ends...)
	return append(dst, b.data...)
}

// EmptyArray is the form of an empty array.
func EmptyArray(elem uint32) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, elem), 0, 0)
}
