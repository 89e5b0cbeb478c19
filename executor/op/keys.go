package op

import (
	"bytes"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Keys of joins and groups: hashing columns of a batch, and comparing its rows
// with rows of a store. Two nulls are equal here; who must not match nulls leaves
// them out before.

// hashKeys writes to dst the hashes of the rows in sel (or 0..n-1) over all cols.
func hashKeys(dst []uint64, cols []*vec.Vec, sel []uint16, n int) {
	if sel != nil {
		n = len(sel)
	}
	dst = dst[:n]
	if len(cols) == 0 {
		clear(dst)
		return
	}
	for i, v := range cols {
		switch {
		case !hashable(v.T):
			hashSlow(dst, v, sel, i > 0)
		case i == 0:
			kernel.HashVec(dst, v, sel)
		default:
			kernel.CombineVec(dst, v, sel)
		}
	}
}

// hashable says whether the kernels hash the type's values by their equality.
func hashable(t types.T) bool {
	return t.Layout != types.LayoutView || t.OID == types.NumericOID || t.OID == types.BPCharOID || types.PlainBytes(t.OID)
}

func hashSlow(dst []uint64, v *vec.Vec, sel []uint16, combine bool) {
	for k := range dst {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		h := uint64(kernel.HashNull)
		if !v.IsNull(i) {
			h = types.HashView(v.T.OID, v.BytesAt(i))
		}
		if combine {
			h = kernel.CombineHash(dst[k], h)
		}
		dst[k] = h
	}
}

// keyCompare compares rows of batches with rows of a store.
type keyCompare struct {
	at  []int32
	tmp []uint8
}

// differ sets ne[t] to 1 where row rows[t] of the vectors is not equal to row
// ids[t] of r in the columns from first on, and to 0 elsewhere.
func (kc *keyCompare) differ(ne []uint8, cols []*vec.Vec, rows []uint16, r *Rows, first int, ids []uint32) {
	clear(ne[:len(rows)])
	for c, v := range cols {
		kc.differCol(ne, v, rows, r, first+c, ids)
	}
}

func (kc *keyCompare) differCol(ne []uint8, v *vec.Vec, rows []uint16, r *Rows, c int, ids []uint32) {
	n := len(rows)
	if n == 0 {
		return
	}
	kc.at = grown(kc.at, n)
	at := kc.at
	switch v.Form {
	case vec.Flat:
		for t, i := range rows {
			at[t] = int32(i)
		}
	case vec.Const:
		clear(at)
	default:
		for t, i := range rows {
			at[t] = int32(v.Codes[i])
		}
	}
	col := &r.cols[c]
	nulls := v.Valid != nil || col.nulls
	out := ne
	if nulls {
		kc.tmp = grown(kc.tmp, n)
		out = kc.tmp
		clear(out)
	}
	src := v.Source()
	if v.Form != vec.Dict || src.N > 0 {
		differValues(out[:n], v.T, src, at, col, r.N, ids)
	}
	if !nulls {
		return
	}
	var valid []uint64
	if col.nulls {
		valid = mem.As[uint64](col.valid.Bytes(), vec.Words(r.N))
	}
	for t, i := range rows {
		vn := v.IsNull(int(i))
		rn := valid != nil && !vec.Bit(valid, int(ids[t]))
		if vn || rn {
			if vn != rn {
				ne[t] = 1
			}
			continue
		}
		ne[t] |= out[t]
	}
}

func differValues(ne []uint8, t types.T, src *vec.Vec, at []int32, col *rowsCol, rows int, ids []uint32) {
	d := col.data.Bytes()
	switch t.Layout {
	case types.LayoutBool:
		w := mem.As[uint64](d, vec.Words(rows))
		for k, i := range at {
			if vec.Bit(src.Bits, int(i)) != vec.Bit(w, int(ids[k])) {
				ne[k] = 1
			}
		}
	case types.LayoutI16:
		differLoop(ne, src.I16, at, mem.As[int16](d, rows), ids)
	case types.LayoutI32:
		differLoop(ne, src.I32, at, mem.As[int32](d, rows), ids)
	case types.LayoutI64:
		differLoop(ne, src.I64, at, mem.As[int64](d, rows), ids)
	case types.LayoutI128:
		differLoop(ne, src.I128, at, mem.As[types.Int128](d, rows), ids)
	case types.LayoutF32:
		differFloat(ne, src.F32, at, mem.As[float32](d, rows), ids)
	case types.LayoutF64:
		differFloat(ne, src.F64, at, mem.As[float64](d, rows), ids)
	case types.LayoutFixed16:
		f := mem.As[types.Fixed16](d, rows)
		if t.OID != types.IntervalOID {
			differLoop(ne, src.Fix, at, f, ids)
			return
		}
		for k, i := range at {
			if types.CompareFixed16(t.OID, src.Fix[i], f[ids[k]]) != 0 {
				ne[k] = 1
			}
		}
	default:
		if types.PlainBytes(t.OID) {
			differViews(ne, src, at, mem.As[vec.View](d, rows), col.bufs, ids)
			return
		}
		for k, i := range at {
			if types.CompareView(t.OID, src.Bytes(int(i)), col.bytes(int(ids[k]))) != 0 {
				ne[k] = 1
			}
		}
	}
}

func differLoop[E comparable](ne []uint8, a []E, at []int32, b []E, ids []uint32) {
	ne, ids = ne[:len(at)], ids[:len(at)]
	for k, i := range at {
		var x uint8
		if a[i] != b[ids[k]] {
			x = 1
		}
		ne[k] |= x
	}
}

func differFloat[E float32 | float64](ne []uint8, a []E, at []int32, b []E, ids []uint32) {
	for k, i := range at {
		x, y := a[i], b[ids[k]]
		if x != y && (x == x || y == y) {
			ne[k] = 1
		}
	}
}

func differViews(ne []uint8, src *vec.Vec, at []int32, views []vec.View, bufs [][]byte, ids []uint32) {
	for k, i := range at {
		a, b := &src.Views[i], &views[ids[k]]
		switch {
		case a.Len != b.Len || a.Prefix != b.Prefix:
			ne[k] = 1
		case a.Len <= vec.InlineMax:
			if a.Tail != b.Tail {
				ne[k] = 1
			}
		default:
			off := uint32(b.Tail)
			if !bytes.Equal(src.Long(*a), bufs[b.Tail>>32][off:off+b.Len]) {
				ne[k] = 1
			}
		}
	}
}
