package op

import (
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage/vec"
)

// Project computes expressions.
type Project struct {
	In    Operator
	Exprs *eval.Program
	out   vec.Batch
}

// Next implements Operator.
func (o *Project) Next() (*vec.Batch, error) {
	b, err := o.In.Next()
	if b == nil || err != nil {
		return nil, err
	}
	if b.Rows() == 0 {
		return empty(&o.out), nil
	}
	o.out.Cols, err = o.Exprs.EvalAll(b)
	if err != nil {
		return nil, err
	}
	o.out.N, o.out.Sel = b.N, b.Sel
	return &o.out, nil
}

// Close implements Operator.
func (o *Project) Close() { o.In.Close() }

// Pick passes on some of the input's columns, in another order maybe.
type Pick struct {
	In   Operator
	Cols []int
	out  vec.Batch
}

// Next implements Operator.
func (o *Pick) Next() (*vec.Batch, error) {
	b, err := o.In.Next()
	if b == nil || err != nil {
		return nil, err
	}
	if b.Rows() == 0 {
		return empty(&o.out), nil
	}
	o.out.Cols = o.out.Cols[:0]
	for _, c := range o.Cols {
		o.out.Cols = append(o.out.Cols, b.Cols[c])
	}
	o.out.N, o.out.Sel = b.N, b.Sel
	return &o.out, nil
}

// Close implements Operator.
func (o *Pick) Close() { o.In.Close() }
