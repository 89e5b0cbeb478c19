package vec

import "github.com/millrace/millrace/catalog/types"

// Batch is a set of rows as columns of equal length. N is the number of
// physical rows (the N of every column); Sel, when not nil, lists those that
// count, ascending. Sel belongs to the batch.
type Batch struct {
	Cols []*Vec
	Sel  []uint16
	N    int
}

// NewBatch makes an empty batch with flat vectors of these types, with room for
// Size rows.
func NewBatch(ts []types.T) *Batch { return NewBatchOf(ts, Size) }

// NewBatchOf is NewBatch with room for n rows; more may come.
func NewBatchOf(ts []types.T, n int) *Batch {
	b := &Batch{Cols: make([]*Vec, len(ts))}
	for i, t := range ts {
		b.Cols[i] = New(t, n)
	}
	return b
}

// Rows is the number of selected rows.
func (b *Batch) Rows() int {
	if b.Sel != nil {
		return len(b.Sel)
	}
	return b.N
}

// Row is the physical index of selected row k.
func (b *Batch) Row(k int) int {
	if b.Sel != nil {
		return int(b.Sel[k])
	}
	return k
}

// Reset empties the batch and its vectors, keeping types and memory.
func (b *Batch) Reset() {
	b.Sel, b.N = nil, 0
	for _, c := range b.Cols {
		c.Reset(c.T)
	}
}

// Append copies the selected rows of src (same column types) onto b, which must
// be flat and without selection. Rows may pass Size: consumers that need batches
// of Size cut them.
func (b *Batch) Append(src *Batch) {
	for i, c := range b.Cols {
		c.Copy(src.Cols[i], src.Sel, src.N)
	}
	b.N += src.Rows()
}

// Piece is the Size rows of a flat batch that begin at base, a multiple of that, without
// copying.
func (b *Batch) Piece(base int) *Batch {
	if base == 0 && b.N <= Size {
		return &Batch{Cols: b.Cols, N: b.N}
	}
	n := min(b.N-base, Size)
	out := &Batch{N: n}
	for _, c := range b.Cols {
		v := &Vec{T: c.T, N: n, Bufs: c.Bufs}
		if c.Valid != nil {
			v.Valid = c.Valid[base/64:]
		}
		switch c.T.Layout {
		case types.LayoutBool:
			v.Bits = c.Bits[base/64:]
		case types.LayoutI16:
			v.I16 = c.I16[base:]
		case types.LayoutI32:
			v.I32 = c.I32[base:]
		case types.LayoutI64:
			v.I64 = c.I64[base:]
		case types.LayoutI128:
			v.I128 = c.I128[base:]
		case types.LayoutF32:
			v.F32 = c.F32[base:]
		case types.LayoutF64:
			v.F64 = c.F64[base:]
		case types.LayoutFixed16:
			v.Fix = c.Fix[base:]
		default:
			v.Views = c.Views[base:]
		}
		out.Cols = append(out.Cols, v)
	}
	return out
}
