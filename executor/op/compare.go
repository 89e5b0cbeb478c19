package op

import (
	"bytes"
	"cmp"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// compare orders value i of column c and value j of o's column c, neither null, by
// the type's order.
func (r *Rows) compare(c, i int, o *Rows, j int) int {
	return compareCols(&r.cols[c], r.N, i, &o.cols[c], o.N, j)
}

func compareCols(a *rowsCol, an, i int, b *rowsCol, bn, j int) int {
	x, y := a.data.Bytes(), b.data.Bytes()
	switch a.t.Layout {
	case types.LayoutBool:
		p, q := vec.Bit(mem.As[uint64](x, vec.Words(an)), i), vec.Bit(mem.As[uint64](y, vec.Words(bn)), j)
		switch {
		case p == q:
			return 0
		case q:
			return -1
		}
		return 1
	case types.LayoutI16:
		return cmp.Compare(mem.As[int16](x, an)[i], mem.As[int16](y, bn)[j])
	case types.LayoutI32:
		p, q := mem.As[int32](x, an)[i], mem.As[int32](y, bn)[j]
		if vec.Unsigned32(a.t.OID) {
			return cmp.Compare(uint32(p), uint32(q))
		}
		return cmp.Compare(p, q)
	case types.LayoutI64:
		p, q := mem.As[int64](x, an)[i], mem.As[int64](y, bn)[j]
		if types.UnsignedI64(a.t.OID) {
			return cmp.Compare(uint64(p), uint64(q))
		}
		return cmp.Compare(p, q)
	case types.LayoutI128:
		return mem.As[types.Int128](x, an)[i].Cmp(mem.As[types.Int128](y, bn)[j])
	case types.LayoutF32:
		return types.CompareFloat(float64(mem.As[float32](x, an)[i]), float64(mem.As[float32](y, bn)[j]))
	case types.LayoutF64:
		return types.CompareFloat(mem.As[float64](x, an)[i], mem.As[float64](y, bn)[j])
	case types.LayoutFixed16:
		return types.CompareFixed16(a.t.OID, mem.As[types.Fixed16](x, an)[i], mem.As[types.Fixed16](y, bn)[j])
	}
	if types.PlainBytes(a.t.OID) {
		return bytes.Compare(a.bytes(i), b.bytes(j))
	}
	return types.CompareView(a.t.OID, a.bytes(i), b.bytes(j))
}
