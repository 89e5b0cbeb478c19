package op

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/storage/vec"
)

// Profile counts what a plan node yields, over all its lanes.
type Profile struct {
	Rows, Batches atomic.Int64
	// Nanos is the time spent in the node and what it pulls from.
	Nanos atomic.Int64
}

// Profiled wraps an operator to fill a Profile.
type Profiled struct {
	In Operator
	P  *Profile
}

// Next implements Operator.
func (o *Profiled) Next() (*vec.Batch, error) {
	t := time.Now()
	b, err := o.In.Next()
	o.P.Nanos.Add(int64(time.Since(t)))
	if b != nil {
		o.P.Rows.Add(int64(b.Rows()))
		o.P.Batches.Add(1)
	}
	return b, err
}

// Close implements Operator.
func (o *Profiled) Close() { o.In.Close() }
