package build

import (
	"slices"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// merge builds MERGE: one write for each WHEN clause that writes.
func (b *builder) merge(n *plan.Merge) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	m := &op.Merge{Pick: position(in.cols, n.Pick.ID), Whens: make([]op.MergeWhen, len(n.Whens))}
	if m.Pick < 0 {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "a merge into %s does not know its clauses", n.Table.Name)
	}
	for _, o := range n.Table.PK {
		m.Keys = append(m.Keys, position(in.cols, n.Old[o].ID))
	}
	if len(m.Keys) == 0 {
		m.Keys = append(m.Keys, position(in.cols, n.RowID.ID))
	}
	ops := map[plan.MergeAction]storage.Op{plan.MergeInsert: storage.OpInsert, plan.MergeUpdate: storage.OpUpdate, plan.MergeDelete: storage.OpDelete}
	var out *op.Rows
	writes := b.writes + 1 // one sink, whatever its clauses
	for i, w := range n.Whens {
		if w.Action == plan.MergeNothing {
			continue
		}
		s, err := b.write(n, n.Table, ops[w.Action], nil)
		if err != nil {
			return nil, err
		}
		out = s.Out
		s.Changed = nil // op.Merge looks
		var row *eval.Program
		if w.Set != nil {
			if row, err = eval.CompileList(w.Set, b.evalEnv(in.cols)); err != nil {
				return nil, err
			}
			if s.Checks, err = b.checks(n.Table, n.Row, n.Checks); err != nil {
				return nil, err
			}
		}
		if w.Action == plan.MergeInsert {
			m.Whens[i] = op.MergeWhen{Write: s, New: row}
		} else {
			if err := b.target(s, in, n.Old, n.CSN, n.RowID); err != nil {
				return nil, err
			}
			s.New = row
			m.Whens[i] = op.MergeWhen{Write: s}
		}
		m.Order = append(m.Order, i)
	}
	b.writes = writes
	slices.SortStableFunc(m.Order, func(x, y int) int { return int(n.Whens[y].Action) - int(n.Whens[x].Action) })
	if out == nil {
		out = op.NewRows(nil, b.q.run.Account)
	}
	one := *in
	one.ordered = true // a single lane, as op.Write's
	m.Changed = b.changed(n.Table.OID)
	p := b.pipe(&one, m)
	b.parts.wrote(p, n == b.top)
	return b.rowsChain(nil, out, p, true), nil
}
