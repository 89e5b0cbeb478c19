package build

import (
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// lockRows builds the locks of SELECT FOR UPDATE and its kin.
func (b *builder) lockRows(n *plan.LockRows) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	if b.env.Txn == nil {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "locks of %s without a transaction", n.Table.Name)
	}
	b.writes++
	ts := make([]types.T, len(n.Old))
	s := &op.LockRows{Ctx: b.waiting(), Txn: b.env.Txn, Max: math.MaxInt64,
		Lock: storage.RowLock{Table: n.Table, Mode: storage.LockMode(n.Mode)}}
	switch {
	case n.NoWait:
		s.Lock.Wait = storage.NoWait
	case n.Skip:
		s.Lock.Wait = storage.SkipLocked
	}
	for i, c := range n.Old {
		ts[i] = c.T
		s.Old = append(s.Old, position(in.cols, c.ID))
	}
	for _, o := range n.Table.PK {
		s.Keys = append(s.Keys, s.Old[o])
	}
	if len(n.Table.PK) == 0 {
		s.Keys = append(s.Keys, position(in.cols, n.RowID.ID))
	}
	s.CSN = position(in.cols, n.CSN.ID)
	for _, k := range append(append([]int{s.CSN}, s.Old...), s.Keys...) {
		if k < 0 {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "locks of %s lack a column", n.Table.Name)
		}
	}
	if n.Recheck != nil {
		if s.Recheck, err = eval.CompileFilter(n.Recheck, b.evalEnv(n.Old)); err != nil {
			return nil, err
		}
	}
	s.SelfContained = n.SelfContained
	if n.Count != nil {
		d, err := b.constant(n.Count)
		if err != nil {
			return nil, err
		}
		if d.Valid && d.I >= 0 { // what is wrong with it LIMIT says
			s.Max = d.I
			if n.Offset != nil {
				o, err := b.constant(n.Offset)
				if err != nil {
					return nil, err
				}
				if o.Valid && o.I > 0 {
					s.Max += min(o.I, math.MaxInt64-s.Max)
				}
			}
		}
	}
	s.Out = op.NewRows(ts, b.q.run.Account)
	one := *in
	one.ordered = true // a single lane
	p := b.pipe(&one, s)
	return b.rowsChain(n.Old, s.Out, p, true), nil
}
