package op

import "github.com/millrace/millrace/storage/vec"

// UnionAll yields the rows of its inputs one after another. Each lane has all
// inputs, whose sources are shared by the lanes.
type UnionAll struct {
	Ins []Operator
	at  int
}

// Next implements Operator.
func (o *UnionAll) Next() (*vec.Batch, error) {
	for o.at < len(o.Ins) {
		b, err := o.Ins[o.at].Next()
		if b != nil || err != nil {
			return b, err
		}
		o.at++
	}
	return nil, nil
}

// Close implements Operator.
func (o *UnionAll) Close() {
	for _, in := range o.Ins {
		in.Close()
	}
}
