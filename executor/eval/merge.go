package eval

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// merger fills a node's result from several vectors, each giving some rows.
type merger struct {
	n     *node
	out   *vec.Vec
	valid []uint64
	nulls bool
	bufs  [][]byte
}

func (m *merger) begin(n *node, rows int) {
	m.n, m.out, m.nulls = n, n.flat(rows), false
	m.valid = n.ownValid(rows)
	fillOnes(m.valid)
	m.bufs = m.bufs[:0]
	if n.t.Layout == types.LayoutBool {
		clear(m.out.Bits)
	}
}

// take copies the rows of sel (all when nil) from v.
func (m *merger) take(v *vec.Vec, sel []uint16) {
	o := m.out
	src := v.Source()
	switch o.T.Layout {
	case types.LayoutBool:
		take(v, sel, o.N, func(i, j int) {
			vec.PutBit(o.Bits, i, vec.Bit(src.Bits, j))
		})
	case types.LayoutI16:
		takeRows(o.I16, src.I16, v, sel)
	case types.LayoutI32:
		takeRows(o.I32, src.I32, v, sel)
	case types.LayoutI64:
		takeRows(o.I64, src.I64, v, sel)
	case types.LayoutI128:
		takeRows(o.I128, src.I128, v, sel)
	case types.LayoutF32:
		takeRows(o.F32, src.F32, v, sel)
	case types.LayoutF64:
		takeRows(o.F64, src.F64, v, sel)
	case types.LayoutFixed16:
		takeRows(o.Fix, src.Fix, v, sel)
	default:
		m.takeViews(v, src, sel)
	}
	if v.Valid == nil {
		return
	}
	take(v, sel, o.N, func(i, _ int) {
		if v.IsNull(i) {
			m.setNull(i)
		}
	})
}

func (m *merger) setNull(i int) {
	m.nulls = true
	vec.ClearBit(m.valid, i)
}

func (m *merger) end() *vec.Vec {
	o := m.out
	if o.T.Layout == types.LayoutView {
		o.Bufs = m.bufs
	}
	if m.nulls {
		o.Valid = m.valid
		zeroNulls(o)
	}
	return o
}

// takeViews shares the buffers of v behind those taken before.
func (m *merger) takeViews(v, src *vec.Vec, sel []uint16) {
	o := m.out
	shift := uint64(len(m.bufs)) << 32
	if len(src.Bufs) > 0 {
		// The arms of one CASE often come from one column.
		for k := range m.bufs {
			if k+len(src.Bufs) <= len(m.bufs) && sameBufs(m.bufs[k:k+len(src.Bufs)], src.Bufs) {
				shift = uint64(k) << 32
				goto found
			}
		}
		m.bufs = append(m.bufs, src.Bufs...)
	}
found:
	put := func(i, j int) {
		w := src.Views[j]
		if w.Len > vec.InlineMax {
			w.Tail += shift
		}
		o.Views[i] = w
	}
	if v.Form == vec.Dict && len(src.Views) == 0 {
		put = func(i, _ int) { o.Views[i] = vec.View{} }
	}
	take(v, sel, o.N, put)
}

func sameBufs(a, b [][]byte) bool {
	for i := range b {
		if len(a[i]) != len(b[i]) || len(b[i]) > 0 && &a[i][0] != &b[i][0] {
			return false
		}
	}
	return true
}

// take calls f(i, j) for the rows i of sel with their places j among v's values.
func take(v *vec.Vec, sel []uint16, n int, f func(i, j int)) {
	if sel == nil {
		for i := 0; i < n; i++ {
			f(i, v.Index(i))
		}
		return
	}
	for _, i := range sel {
		f(int(i), v.Index(int(i)))
	}
}

func takeRows[E any](dst, src []E, v *vec.Vec, sel []uint16) {
	switch {
	case v.Form == vec.Const:
		x := src[0]
		if sel == nil {
			for i := range dst {
				dst[i] = x
			}
			return
		}
		for _, i := range sel {
			dst[i] = x
		}
	case v.Form == vec.Dict:
		if len(src) == 0 {
			return
		}
		if sel == nil {
			for i := range dst {
				dst[i] = src[v.Codes[i]]
			}
			return
		}
		for _, i := range sel {
			dst[i] = src[v.Codes[i]]
		}
	case sel == nil:
		copy(dst, src)
	default:
		for _, i := range sel {
			dst[i] = src[i]
		}
	}
}
