package column

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// rowSource has one column of many chunks, to copy rows of any of them. A nil
// chunk lacks the column: its rows have the missing value.
type rowSource struct {
	t       types.T
	vecs    []*vec.Vec
	missing *vec.Vec
	bufs    [][]byte
	bufAt   []uint64 // number of the chunk's first buffer, shifted for Tail
	nulls   bool
	holes   bool // some chunk lacks the column
	heads   any  // the values of each chunk
}

func newRowSource(t types.T, vecs []*vec.Vec, missing types.Datum) *rowSource {
	s := &rowSource{t: t, vecs: vecs, missing: vec.New(t, 1)}
	s.missing.AppendDatum(missing)
	for _, v := range vecs {
		if v == nil {
			// One row's value for all: rows are read at index 0.
			s.holes = true
			s.nulls = s.nulls || !missing.Valid
			v = s.missing
		}
		s.nulls = s.nulls || v.Valid != nil
		if t.Layout == types.LayoutView {
			s.bufAt = append(s.bufAt, uint64(len(s.bufs))<<32)
			s.bufs = append(s.bufs, v.Bufs...)
		}
	}
	return s
}

func (s *rowSource) at(r rowRef) (*vec.Vec, int) {
	if v := s.vecs[r>>chunkShift]; v != nil {
		return v, int(r & chunkMask)
	}
	return s.missing, 0
}

// copy fills dst with the rows, at most vec.Size; strings stay where they are.
func (s *rowSource) copy(dst *vec.Vec, rows []rowRef) {
	dst.Reset(s.t)
	dst.N = len(rows)
	dst.Grow(len(rows))
	switch s.t.Layout {
	case types.LayoutBool:
		for k, r := range rows {
			v, i := s.at(r)
			vec.PutBit(dst.Bits, k, vec.Bit(v.Bits, i))
		}
	case types.LayoutI16:
		copyRefs(s, dst.I16, rows, func(v *vec.Vec) []int16 { return v.I16 })
	case types.LayoutI32:
		copyRefs(s, dst.I32, rows, func(v *vec.Vec) []int32 { return v.I32 })
	case types.LayoutI64:
		copyRefs(s, dst.I64, rows, func(v *vec.Vec) []int64 { return v.I64 })
	case types.LayoutI128:
		copyRefs(s, dst.I128, rows, func(v *vec.Vec) []types.Int128 { return v.I128 })
	case types.LayoutF32:
		copyRefs(s, dst.F32, rows, func(v *vec.Vec) []float32 { return v.F32 })
	case types.LayoutF64:
		copyRefs(s, dst.F64, rows, func(v *vec.Vec) []float64 { return v.F64 })
	case types.LayoutFixed16:
		copyRefs(s, dst.Fix, rows, func(v *vec.Vec) []types.Fixed16 { return v.Fix })
	default:
		dst.Bufs = s.bufs
		views := dst.Views[:len(rows)]
		copyRefs(s, views, rows, func(v *vec.Vec) []vec.View { return v.Views })
		for k, r := range rows {
			if w := &views[k]; w.Len > vec.InlineMax {
				w.Tail += s.bufAt[r>>chunkShift]
			}
		}
	}
	if !s.nulls {
		return
	}
	valid := dst.TakeValid(len(rows))
	for k, r := range rows {
		if v, i := s.at(r); v.IsNull(i) {
			vec.ClearBit(valid, k)
		}
	}
}

func copyRefs[E any](s *rowSource, dst []E, rows []rowRef, of func(*vec.Vec) []E) {
	heads, _ := s.heads.([][]E)
	if heads == nil {
		heads = make([][]E, len(s.vecs))
		for i, v := range s.vecs {
			if v != nil {
				heads[i] = of(v)
			}
		}
		s.heads = heads
	}
	if !s.holes {
		for k, r := range rows {
			dst[k] = heads[r>>chunkShift][r&chunkMask]
		}
		return
	}
	missing := of(s.missing)[0]
	for k, r := range rows {
		if h := heads[r>>chunkShift]; h != nil {
			dst[k] = h[r&chunkMask]
		} else {
			dst[k] = missing
		}
	}
}
