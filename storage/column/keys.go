package column

import (
	"bytes"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/vec"
)

// keySet is a run of keys with their hashes, the hash that memtables and key
// indexes share. It refers to the columns it was made of.
type keySet struct {
	n    int
	cols []*vec.Vec
	hash []uint32
	// ints has the keys of a single integer column, flat.
	ints []int64
	wide []uint64
}

// intLayout says whether a key of this type is an integer as a whole.
func intLayout(t types.T) bool {
	switch t.Layout {
	case types.LayoutI16, types.LayoutI32, types.LayoutI64:
		return true
	}
	return false
}

func intAt(v *vec.Vec, i int) int64 {
	switch v.T.Layout {
	case types.LayoutI16:
		return int64(v.I16[i])
	case types.LayoutI32:
		return int64(v.I32[i])
	}
	return v.I64[i]
}

// set makes s the first n rows of these key columns, in any form.
func (s *keySet) set(cols []*vec.Vec, n int) {
	s.n, s.cols = n, cols
	s.hash = growU32(s.hash, n)
	if cap(s.wide) < n {
		s.wide = make([]uint64, n)
	}
	segment.KeyHashes(s.hash, cols, nil, s.wide[:n])
	s.ints = s.ints[:0]
	if len(cols) != 1 || !intLayout(cols[0].T) {
		s.ints = nil
		return
	}
	src := cols[0].Source()
	for i := 0; i < n; i++ {
		s.ints = append(s.ints, intAt(src, cols[0].Index(i)))
	}
}

func growU32(s []uint32, n int) []uint32 {
	if cap(s) < n {
		return make([]uint32, n)
	}
	return s[:n]
}

// equal says whether key k is that of row i of other key columns.
func (s *keySet) equal(k int, cols []*vec.Vec, i int) bool {
	for c, v := range s.cols {
		if !equalAt(v, k, cols[c], i) {
			return false
		}
	}
	return true
}

// same says whether two sets have the same keys, row by row.
func (s *keySet) same(o *keySet) bool {
	if s.n != o.n {
		return false
	}
	for i, h := range s.hash {
		if h != o.hash[i] {
			return false
		}
	}
	for i := 0; i < s.n; i++ {
		if !s.equal(i, o.cols, i) {
			return false
		}
	}
	return true
}

// setInt makes s one int8 key.
func (s *keySet) setInt(x int64) {
	s.set([]*vec.Vec{{T: types.Int8, N: 1, I64: []int64{x}}}, 1)
}

// equalAt says whether two values are equal to SQL; nulls equal nothing.
func equalAt(a *vec.Vec, i int, b *vec.Vec, j int) bool {
	if a.IsNull(i) || b.IsNull(j) {
		return false
	}
	i, j = a.Index(i), b.Index(j)
	a, b = a.Source(), b.Source()
	switch a.T.Layout {
	case types.LayoutBool:
		return vec.Bit(a.Bits, i) == vec.Bit(b.Bits, j)
	case types.LayoutI16:
		return a.I16[i] == b.I16[j]
	case types.LayoutI32:
		return a.I32[i] == b.I32[j]
	case types.LayoutI64:
		return a.I64[i] == b.I64[j]
	case types.LayoutI128:
		return a.I128[i] == b.I128[j]
	case types.LayoutF32:
		x, y := a.F32[i], b.F32[j]
		return x == y || x != x && y != y
	case types.LayoutF64:
		x, y := a.F64[i], b.F64[j]
		return x == y || x != x && y != y
	case types.LayoutFixed16:
		if a.T.OID == types.UUIDOID {
			return a.Fix[i] == b.Fix[j]
		}
		return segment.Compare(a.T, types.NewFixed16(a.Fix[i]), types.NewFixed16(b.Fix[j])) == 0
	}
	x, y := a.Bytes(i), b.Bytes(j)
	switch a.T.OID {
	case types.BPCharOID:
		return bytes.Equal(bytes.TrimRight(x, " "), bytes.TrimRight(y, " "))
	case types.NumericOID:
		return types.CompareNumeric(x, y) == 0
	}
	return bytes.Equal(x, y)
}
