package op

import "github.com/millrace/millrace/storage/vec"

// SetOp is INTERSECT or EXCEPT over the groups of both sides' rows: its input has the
// columns of a distinct row, then how often it is on the left and on the right.
type SetOp struct {
	In          Operator
	Except, All bool

	b    *vec.Batch // at hand
	rows []uint16
	at   int
	left int64 // more times that row at-1 is to be yielded
	sel  []uint16
	cols []*vec.Vec
	out  vec.Batch
}

// times is how often a row is yielded.
func (o *SetOp) times(l, r int64) int64 {
	switch {
	case o.Except && o.All:
		return max(l-r, 0)
	case o.Except:
		if l > 0 && r == 0 {
			return 1
		}
		return 0
	case o.All:
		return min(l, r)
	}
	return min(l, r, 1)
}

// Next implements Operator.
func (o *SetOp) Next() (*vec.Batch, error) {
	if o.b == nil {
		b, err := o.In.Next()
		if b == nil || err != nil {
			return nil, err
		}
		if b.Rows() == 0 {
			return empty(&o.out), nil
		}
		o.b, o.rows, o.at = b, rowsOf(b), 0
	}
	n := len(o.b.Cols) - 2
	l, r := o.b.Cols[n], o.b.Cols[n+1]
	o.sel = o.sel[:0]
	for len(o.sel) < vec.Size {
		if o.left > 0 {
			o.left--
			o.sel = append(o.sel, o.rows[o.at-1])
			continue
		}
		if o.at >= len(o.rows) {
			break
		}
		i := int(o.rows[o.at])
		o.left = o.times(l.I64[i], r.I64[i])
		o.at++
	}
	for len(o.cols) < n {
		o.cols = append(o.cols, &vec.Vec{})
	}
	for c, v := range o.cols {
		gatherVec(v, o.b.Cols[c], o.sel)
	}
	o.out.Cols, o.out.N, o.out.Sel = o.cols, len(o.sel), nil
	if o.left == 0 && o.at >= len(o.rows) {
		o.b = nil
	}
	return &o.out, nil
}

// Close implements Operator.
func (o *SetOp) Close() { o.In.Close() }
