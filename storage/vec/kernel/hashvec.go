package kernel

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// HashVec writes the hash of each row of v, or of those in sel when it is not
// nil, to dst: dst[k] is the hash of row sel[k]. v may have any form.
func HashVec(dst []uint64, v *vec.Vec, sel []uint16) {
	hashVec(dst, v, sel, false)
}

// CombineVec joins dst, the hashes of the columns before, with those of v: see
// HashVec and CombineHash.
func CombineVec(dst []uint64, v *vec.Vec, sel []uint16) {
	hashVec(dst, v, sel, true)
}

// hashVec works in pieces of hashChunk rows: the hashes of a piece are made first,
// then nulls are put right, then they are joined with those before.
func hashVec(dst []uint64, v *vec.Vec, sel []uint16, combine bool) {
	n := v.N
	if sel != nil {
		n = len(sel)
	}
	dst = dst[:n]
	if n == 0 {
		return
	}
	if v.Form == vec.Const {
		h := uint64(HashNull)
		if !v.IsNull(0) {
			h = hashOne(v, 0)
		}
		if combine {
			for i := range dst {
				dst[i] = CombineHash(dst[i], h)
			}
		} else {
			Fill(dst, h)
		}
		return
	}
	if sel == nil && v.Form == vec.Flat && v.Valid == nil && !combine {
		hashDense(dst, v, 0)
		return
	}
	var piece [hashChunk]uint64
	var idx [hashChunk]uint32
	src := v.Source()
	for from := 0; from < n; from += hashChunk {
		m := min(hashChunk, n-from)
		out := dst[from : from+m]
		h := out
		if combine {
			h = piece[:m]
		}
		if sel == nil && v.Form == vec.Flat {
			hashDense(h, v, from)
		} else {
			rows := idx[:m]
			switch {
			case v.Form == vec.Dict && sel != nil:
				for k, i := range sel[from : from+m] {
					rows[k] = v.Codes[i]
				}
			case v.Form == vec.Dict:
				copy(rows, v.Codes[from:])
			default:
				for k, i := range sel[from : from+m] {
					rows[k] = uint32(i)
				}
			}
			hashAt(h, src, rows)
		}
		if v.Valid != nil {
			for k := range h {
				i := from + k
				if sel != nil {
					i = int(sel[i])
				}
				if v.Valid[i>>6]>>(uint(i)&63)&1 == 0 {
					h[k] = HashNull
				}
			}
		}
		if combine {
			for k, x := range h {
				out[k] = CombineHash(out[k], x)
			}
		}
	}
}

const hashChunk = 256

// hashDense hashes the flat vector's rows from number from on.
func hashDense(dst []uint64, v *vec.Vec, from int) {
	to := from + len(dst)
	switch v.T.Layout {
	case types.LayoutI16:
		hashInts(dst, v.I16[from:to])
	case types.LayoutI32:
		hashInts(dst, v.I32[from:to])
	case types.LayoutI64:
		HashI64s(dst, v.I64[from:to])
	case types.LayoutF32:
		hashFloats(dst, v.F32[from:to])
	case types.LayoutF64:
		hashFloats(dst, v.F64[from:to])
	case types.LayoutView:
		if !hasOwnHash(v.T.OID) {
			bufs := v.Bufs
			views := v.Views[from:to]
			for k := range dst {
				if w := &views[k]; w.Len <= vec.InlineMax {
					dst[k] = hashInline(*w)
				} else {
					dst[k] = hashView(w, bufs)
				}
			}
			return
		}
		fallthrough
	default:
		for k := range dst {
			dst[k] = hashOne(v, from+k)
		}
	}
}

// hashAt hashes the listed values of a flat vector.
func hashAt(dst []uint64, v *vec.Vec, rows []uint32) {
	switch v.T.Layout {
	case types.LayoutI16:
		hashIntsAt(dst, v.I16, rows)
	case types.LayoutI32:
		hashIntsAt(dst, v.I32, rows)
	case types.LayoutI64:
		hashIntsAt(dst, v.I64, rows)
	case types.LayoutF32:
		hashFloatsAt(dst, v.F32, rows)
	case types.LayoutF64:
		hashFloatsAt(dst, v.F64, rows)
	case types.LayoutView:
		if !hasOwnHash(v.T.OID) {
			bufs := v.Bufs
			for k, i := range rows {
				if w := &v.Views[i]; w.Len <= vec.InlineMax {
					dst[k] = hashInline(*w)
				} else {
					dst[k] = hashView(w, bufs)
				}
			}
			return
		}
		fallthrough
	default:
		for k, i := range rows {
			dst[k] = hashOne(v, int(i))
		}
	}
}

// hasOwnHash says whether equal values of a type with views may differ in bytes.
func hasOwnHash(oid uint32) bool {
	switch oid {
	case types.TextOID, types.VarcharOID:
		return false
	}
	return !types.PlainBytes(oid)
}

func hashView(w *vec.View, bufs [][]byte) uint64 {
	if w.Len <= vec.InlineMax {
		return hashInline(*w)
	}
	off := uint32(w.Tail)
	return xxh3.Hash(bufs[w.Tail>>32][off : off+w.Len])
}

func hashInts[E Signed](dst []uint64, v []E) {
	dst = dst[:len(v)]
	for i, x := range v {
		dst[i] = HashU64(uint64(x))
	}
}

func hashIntsAt[E Signed](dst []uint64, v []E, rows []uint32) {
	dst = dst[:len(rows)]
	for k, i := range rows {
		dst[k] = HashU64(uint64(v[i]))
	}
}

func hashFloats[E Float](dst []uint64, v []E) {
	dst = dst[:len(v)]
	for i, x := range v {
		dst[i] = HashF64(float64(x))
	}
}

func hashFloatsAt[E Float](dst []uint64, v []E, rows []uint32) {
	dst = dst[:len(rows)]
	for k, i := range rows {
		dst[k] = HashF64(float64(v[i]))
	}
}

// HashI64s hashes integers.
func HashI64s(dst []uint64, v []int64) {
	dst = dst[:len(v)]
	for i, x := range v {
		dst[i] = HashU64(uint64(x))
	}
}

func hashOne(v *vec.Vec, i int) uint64 {
	switch v.T.Layout {
	case types.LayoutBool:
		return HashU64(v.Bits[i>>6] >> (uint(i) & 63) & 1)
	case types.LayoutI16:
		return HashU64(uint64(v.I16[i]))
	case types.LayoutI32:
		return HashU64(uint64(v.I32[i]))
	case types.LayoutI64:
		return HashU64(uint64(v.I64[i]))
	case types.LayoutI128:
		return HashI128(v.I128[i])
	case types.LayoutF32:
		return HashF64(float64(v.F32[i]))
	case types.LayoutF64:
		return HashF64(v.F64[i])
	case types.LayoutFixed16:
		if v.T.OID == types.IntervalOID {
			return HashInterval(v.Fix[i])
		}
		return HashFixed(v.Fix[i])
	}
	switch v.T.OID {
	case types.NumericOID:
		return HashNumeric(v.Bytes(i))
	case types.BPCharOID:
		return HashBytes(TrimBlanks(v.Bytes(i)))
	}
	if !types.PlainBytes(v.T.OID) {
		b := v.Bytes(i)
		if len(b) == 0 {
			return HashBytes(b) // under a null: no value of these types is empty
		}
		return types.HashView(v.T.OID, b)
	}
	return HashView(v.Views[i], v.Bufs)
}

// HashNumeric hashes a numeric in its variable form without its display scale,
// in which alone equal numbers differ.
func HashNumeric(b []byte) uint64 {
	if len(b) < 2 {
		return HashBytes(b)
	}
	h := binary.LittleEndian.Uint16(b)
	if h>>14 != 2 {
		h &= 3 << 14
		if len(b) == 2 {
			h = 0 // zero
		}
	}
	return CombineHash(HashU64(uint64(h)), HashBytes(b[2:]))
}

// TrimBlanks is b without trailing blanks: what comparisons of char(n) see.
func TrimBlanks(b []byte) []byte {
	const blanks = 0x2020202020202020
	for len(b) >= 8 && binary.LittleEndian.Uint64(b[len(b)-8:]) == blanks {
		b = b[:len(b)-8]
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
