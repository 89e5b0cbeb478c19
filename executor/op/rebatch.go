package op

import "github.com/millrace/millrace/storage/vec"

// Rebatch cuts batches to at most Size rows: a source's output where the batch
// size is set smaller than vec.Size.
type Rebatch struct {
	In   Operator
	Size int
	b    *vec.Batch
	rows []uint16
	at   int
	out  vec.Batch
}

// Next implements Operator.
func (o *Rebatch) Next() (*vec.Batch, error) {
	if o.b == nil || o.at >= len(o.rows) {
		b, err := o.In.Next()
		if b == nil || err != nil {
			return nil, err
		}
		if b.Rows() <= o.Size {
			o.b = nil
			return b, nil
		}
		o.b, o.at = b, 0
		o.rows = append(o.rows[:0], rowsOf(b)...)
	}
	to := min(o.at+o.Size, len(o.rows))
	o.out.Cols, o.out.N, o.out.Sel = o.b.Cols, o.b.N, o.rows[o.at:to:to]
	o.at = to
	return &o.out, nil
}

// Close implements Operator.
func (o *Rebatch) Close() { o.In.Close() }
