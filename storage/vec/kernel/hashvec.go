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
	if combine && v.Valid != nil {
		combineNulls(dst, v, sel)
		return
	}
	src := v.Source()
	var codes []uint32
	if v.Form == vec.Dict {
		codes = v.Codes
	}
	switch v.T.Layout {
	case types.LayoutBool:
		for k := range dst {
			i := rowOf(k, sel, codes)
			hashInto(dst, k, HashU64(src.Bits[i>>6]>>(uint(i)&63)&1), combine)
		}
	case types.LayoutI16:
		hashLoop(dst, src.I16, sel, codes, combine, func(x int16) uint64 { return HashU64(uint64(x)) })
	case types.LayoutI32:
		if sel == nil && codes == nil && !combine {
			for i, x := range src.I32[:n] {
				dst[i] = HashU64(uint64(x))
			}
		} else {
			hashLoop(dst, src.I32, sel, codes, combine, func(x int32) uint64 { return HashU64(uint64(x)) })
		}
	case types.LayoutI64:
		if sel == nil && codes == nil && !combine {
			HashI64s(dst, src.I64[:n])
		} else {
			hashLoop(dst, src.I64, sel, codes, combine, func(x int64) uint64 { return HashU64(uint64(x)) })
		}
	case types.LayoutI128:
		hashLoop(dst, src.I128, sel, codes, combine, HashI128)
	case types.LayoutF32:
		hashLoop(dst, src.F32, sel, codes, combine, func(x float32) uint64 { return HashF64(float64(x)) })
	case types.LayoutF64:
		hashLoop(dst, src.F64, sel, codes, combine, HashF64)
	case types.LayoutFixed16:
		if v.T.OID == types.IntervalOID {
			hashLoop(dst, src.Fix, sel, codes, combine, HashInterval)
		} else {
			hashLoop(dst, src.Fix, sel, codes, combine, HashFixed)
		}
	default:
		switch v.T.OID {
		case types.NumericOID:
			for k := range dst {
				hashInto(dst, k, HashNumeric(src.Bytes(rowOf(k, sel, codes))), combine)
			}
		case types.BPCharOID:
			for k := range dst {
				hashInto(dst, k, HashBytes(TrimBlanks(src.Bytes(rowOf(k, sel, codes)))), combine)
			}
		default:
			if !types.PlainBytes(v.T.OID) {
				for k := range dst {
					hashInto(dst, k, types.HashView(v.T.OID, src.Bytes(rowOf(k, sel, codes))), combine)
				}
				break
			}
			bufs := src.Bufs
			for k := range dst {
				w := &src.Views[rowOf(k, sel, codes)]
				var h uint64
				if w.Len <= vec.InlineMax {
					h = hashInline(*w)
				} else {
					off := uint32(w.Tail)
					h = xxh3.Hash(bufs[w.Tail>>32][off : off+w.Len])
				}
				hashInto(dst, k, h, combine)
			}
		}
	}
	if v.Valid == nil {
		return
	}
	for k := range dst {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		if v.Valid[i>>6]>>(uint(i)&63)&1 == 0 {
			dst[k] = HashNull
		}
	}
}

// combineNulls is CombineVec for vectors with nulls, a piece at a time: nulls are
// put right before they are joined.
func combineNulls(dst []uint64, v *vec.Vec, sel []uint16) {
	var h [256]uint64
	var rows [256]uint16
	for from := 0; from < len(dst); from += len(h) {
		n := min(len(h), len(dst)-from)
		s := rows[:n]
		if sel != nil {
			s = sel[from : from+n]
		} else {
			for i := range s {
				s[i] = uint16(from + i)
			}
		}
		hashVec(h[:n], v, s, false)
		for i, x := range h[:n] {
			dst[from+i] = CombineHash(dst[from+i], x)
		}
	}
}

// HashI64s hashes integers.
func HashI64s(dst []uint64, v []int64) {
	dst = dst[:len(v)]
	for i, x := range v {
		dst[i] = HashU64(uint64(x))
	}
}

func rowOf(k int, sel []uint16, codes []uint32) int {
	if sel != nil {
		k = int(sel[k])
	}
	if codes != nil {
		k = int(codes[k])
	}
	return k
}

func hashInto(dst []uint64, k int, h uint64, combine bool) {
	if combine {
		h = CombineHash(dst[k], h)
	}
	dst[k] = h
}

// hashLoop is inlined with its hash.
func hashLoop[E any](dst []uint64, v []E, sel []uint16, codes []uint32, combine bool, hash func(E) uint64) {
	for k := range dst {
		hashInto(dst, k, hash(v[rowOf(k, sel, codes)]), combine)
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
		return types.HashView(v.T.OID, v.Bytes(i))
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
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
