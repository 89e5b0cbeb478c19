package op

import (
	"sync/atomic"

	"github.com/millrace/millrace/storage/vec"
)

// RowsSource yields stored rows: lanes take chunks of them from a counter.
type RowsSource struct {
	Rows *Rows
	next atomic.Int64
}

// chunkRows is how many rows a lane takes at a time.
const chunkRows = 16 * vec.Size

// Morsels is the number of chunks.
func (s *RowsSource) Morsels() int { return (s.Rows.N + chunkRows - 1) / chunkRows }

// Lane makes the operator of one lane.
func (s *RowsSource) Lane() Operator {
	o := &rowsLane{s: s}
	o.out.Cols = make([]*vec.Vec, len(s.Rows.T))
	for i := range o.out.Cols {
		o.out.Cols[i] = &vec.Vec{}
	}
	return o
}

type rowsLane struct {
	s       *RowsSource
	at, end int
	out     vec.Batch
}

func (o *rowsLane) Next() (*vec.Batch, error) {
	if o.at >= o.end {
		c := int(o.s.next.Add(1)) - 1
		o.at = c * chunkRows
		o.end = min(o.at+chunkRows, o.s.Rows.N)
		if o.at >= o.end {
			return nil, nil
		}
	}
	n := min(vec.Size, o.end-o.at)
	for c, v := range o.out.Cols {
		o.s.Rows.View(c, o.at, n, v)
	}
	o.out.N, o.out.Sel = n, nil
	o.at += n
	return &o.out, nil
}

func (o *rowsLane) Close() {}

// BatchSource yields batches that lie in memory, which several queries may share;
// one lane gets all.
type BatchSource struct {
	Batches []*vec.Batch
	at      int
	out     vec.Batch
}

// Next implements Operator.
func (o *BatchSource) Next() (*vec.Batch, error) {
	if o.at >= len(o.Batches) {
		return nil, nil
	}
	b := o.Batches[o.at]
	o.at++
	o.out.Cols, o.out.N, o.out.Sel = b.Cols, b.N, b.Sel
	return &o.out, nil
}

// Close implements Operator.
func (o *BatchSource) Close() {}
