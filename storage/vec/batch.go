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
func NewBatch(ts []types.T) *Batch {
	b := &Batch{Cols: make([]*Vec, len(ts))}
	for i, t := range ts {
		b.Cols[i] = New(t, Size)
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
