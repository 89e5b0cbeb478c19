package op

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage/vec"
)

// Values computes rows of expressions without columns, on one lane. Constants are
// appended as they are; only other expressions are compiled.
type Values struct {
	Rows  [][]expr.Expr
	Types []types.T // of the columns; with none the rows are only counted
	Env   *eval.Env
	Size  int
	at    int
	one   vec.Batch
	out   *vec.Batch
}

// Next implements Operator.
func (o *Values) Next() (*vec.Batch, error) {
	if o.at >= len(o.Rows) {
		return nil, nil
	}
	n := min(o.Size, len(o.Rows)-o.at)
	if o.out == nil {
		o.out = vec.NewBatchOf(o.Types, n)
	}
	for i, c := range o.out.Cols {
		c.Recycle(o.Types[i])
	}
	o.out.N, o.out.Sel = n, nil
	if len(o.Types) > 0 {
		for _, row := range o.Rows[o.at : o.at+n] {
			for c, e := range row {
				if err := o.append(o.out.Cols[c], e); err != nil {
					return nil, err
				}
			}
		}
	}
	o.at += n
	return o.out, nil
}

func (o *Values) append(v *vec.Vec, e expr.Expr) error {
	switch x := e.(type) {
	case *expr.Const:
		v.AppendDatum(x.D)
		return nil
	case *expr.Param:
		if o.Env != nil && x.N >= 1 && x.N <= len(o.Env.Params) {
			v.AppendDatum(o.Env.Params[x.N-1])
			return nil
		}
	}
	p, err := eval.Compile(e, o.Env)
	if err != nil {
		return err
	}
	o.one.N = 1
	r, err := p.Eval(&o.one)
	if err != nil {
		return err
	}
	v.Copy(r, nil, 1)
	return nil
}

// Close implements Operator.
func (o *Values) Close() {}
