package build

import (
	"math"
	"slices"

	"github.com/millrace/millrace/catalog"
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
		return nil, sqlstate.Errorf(sqlstate.InternalError, "row locks without a transaction")
	}
	b.writes++
	s := &op.LockRows{Ctx: b.waiting(), Txn: b.env.Txn, Max: math.MaxInt64}
	lock := func(t *catalog.Table, mode plan.LockMode, noWait, skip bool) storage.RowLock {
		l := storage.RowLock{Table: t, Mode: storage.LockMode(mode)}
		switch {
		case noWait:
			l.Wait = storage.NoWait
		case skip:
			l.Wait = storage.SkipLocked
		}
		return l
	}
	ts := make([]types.T, len(n.Columns()))
	for i, c := range n.Columns() {
		ts[i] = c.T
		s.Old = append(s.Old, position(in.cols, c.ID))
	}
	need := s.Old
	if n.Joined != nil {
		for _, t := range n.Joined {
			lt := op.LockedTable{Lock: lock(t.Table, t.Mode, t.NoWait, t.Skip), CSN: position(in.cols, t.CSN.ID)}
			lt.Lock.Again = true
			for _, c := range t.Key {
				lt.Keys = append(lt.Keys, position(in.cols, c.ID))
			}
			need = append(append(need, lt.CSN), lt.Keys...)
			s.Joined = append(s.Joined, lt)
		}
	} else {
		s.Lock = lock(n.Table, n.Mode, n.NoWait, n.Skip)
		s.Lock.Again = !n.SelfContained
		for _, o := range n.Table.PK {
			s.Keys = append(s.Keys, s.Old[o])
		}
		if len(n.Table.PK) == 0 {
			s.Keys = append(s.Keys, position(in.cols, n.RowID.ID))
		}
		s.CSN = position(in.cols, n.CSN.ID)
		need = append(append(need, s.CSN), s.Keys...)
		if n.Recheck != nil {
			if s.Recheck, err = eval.CompileFilter(n.Recheck, b.evalEnv(n.Old)); err != nil {
				return nil, err
			}
		}
	}
	if slices.Contains(need, -1) {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "row locks lack a column")
	}
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
	return b.rowsChain(n.Columns(), s.Out, p, true), nil
}
