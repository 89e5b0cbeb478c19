package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Distinct passes the first row of each distinct value of some columns, in order,
// on one lane.
type Distinct struct {
	In     Operator
	cols   []int
	acct   *mem.Account
	groups *Groups
	keys   []*vec.Vec
	gids   []uint32
	sel    []uint16
}

// NewDistinct makes the operator; cols, of types ts, are columns of the input.
func NewDistinct(run *Run, in Operator, cols []int, ts []types.T) *Distinct {
	acct := run.Account.Child("distinct", 0)
	return &Distinct{In: in, cols: cols, acct: acct, groups: NewGroups(ts, acct)}
}

// Next implements Operator.
func (o *Distinct) Next() (*vec.Batch, error) {
	b, err := o.In.Next()
	if b == nil || err != nil {
		return nil, err
	}
	n := b.Rows()
	if n == 0 {
		return b, nil
	}
	o.keys = o.keys[:0]
	for _, c := range o.cols {
		o.keys = append(o.keys, b.Cols[c])
	}
	o.gids = grown(o.gids, n)
	if err := o.groups.Find(o.keys, b.Sel, b.N, o.gids); err != nil {
		return nil, err
	}
	o.sel = o.groups.FreshRows(b.Sel, o.sel)
	b.Sel = o.sel
	return b, nil
}

// Close implements Operator.
func (o *Distinct) Close() {
	o.In.Close()
	o.acct.Close()
}
