package op

import (
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage/vec"
)

// Filter keeps the rows for which a condition is true.
type Filter struct {
	In   Operator
	Cond *eval.Program // made by CompileFilter
}

// Next implements Operator.
func (o *Filter) Next() (*vec.Batch, error) {
	b, err := o.In.Next()
	if b == nil || err != nil {
		return nil, err
	}
	if b.Rows() > 0 {
		if err := o.Cond.Filter(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Close implements Operator.
func (o *Filter) Close() { o.In.Close() }
