package build

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// QuickChange is an UPDATE or DELETE of the row with one primary key, made ready once
// as a Quick is. It reads the row, computes the new one and hands both to the
// transaction, which locks the key and, where the row is another by then, has it
// computed again.
//
// A QuickChange is for one goroutine at a time.
type QuickChange struct {
	q     Quick // finds the row: all columns by ordinal, then its commit
	table *catalog.Table
	op    storage.Op
	cols  int // of the table
	// silent says that the statement tells no more of the row than that it is there.
	silent bool

	recheck *eval.Program // the WHERE condition over the row
	set     *eval.Program // the new row over the old one; nil for a delete
	notNull []int
	checks  []plan.Check
	row     []plan.Column

	in, rows, keys vec.Batch
}

// NewQuickChange makes a statement ready, or returns nil when it changes no row by its
// key alone, returns rows, or has expressions that depend on the session or the time.
func NewQuickChange(st *plan.Statement) *QuickChange {
	if len(st.Assume) > 0 {
		return nil
	}
	d := &QuickChange{}
	var err error
	switch n := st.Root.(type) {
	case *plan.Update:
		if len(n.Returning) > 0 || !n.SelfContained || !within(n.Old, append([]expr.Expr{n.Recheck}, n.Set...)...) {
			return nil
		}
		d.op, d.checks, d.row = storage.OpUpdate, n.Checks, n.Row
		err = d.build(n.Table, n.Input, n.Old, n.CSN, n.Recheck, n.Set)
	case *plan.Delete:
		if len(n.Returning) > 0 || !n.SelfContained || !within(n.Old, n.Recheck) {
			return nil
		}
		d.op = storage.OpDelete
		err = d.build(n.Table, n.Input, n.Old, n.CSN, n.Recheck, nil)
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return d
}

func (d *QuickChange) build(t *catalog.Table, input plan.Node, old []plan.Column, csn plan.Column, recheck expr.Expr, set []expr.Expr) error {
	by := keyScan(input)
	if by == nil || by.Table != t || t.Kind != catalog.KindTable || len(old) != len(t.Columns) || recheck == nil {
		return errNotQuick
	}
	for _, c := range d.checks {
		o := -1
		if c.Column != "" {
			o = t.Ordinal(c.Column)
		}
		if o < 0 {
			return errNotQuick
		}
		d.notNull = append(d.notNull, o)
	}
	slices.Sort(d.notNull)
	d.table, d.cols = t, len(old)
	// With a condition for each column of the key and no other, and a key that stays, the
	// count tells that the row is there, and no more.
	d.silent = by.Unique == nil && len(expr.Conjuncts(recheck)) == len(t.PK) && len(by.Key) == len(t.PK)
	s := &plan.Scan{Table: t, Key: by.Key, Unique: by.Unique, Cols: append(slices.Clone(old), csn)}
	for i := range old {
		s.Ords = append(s.Ords, i)
	}
	s.Ords = append(s.Ords, catalog.ColCSN)
	q := &d.q
	// All parameters are known before the first program is made: they stand behind the
	// columns of its input.
	if err := q.prepare(append(append([]expr.Expr{recheck}, by.Key...), set...)...); err != nil {
		return err
	}
	if _, err := q.buildLookup(s); err != nil {
		return err
	}
	var err error
	if d.recheck, err = eval.CompileFilter(q.withColumns(recheck), q.env(old)); err != nil || set == nil {
		return err
	}
	es := make([]expr.Expr, len(set))
	for i, e := range set {
		es[i] = q.withColumns(e)
	}
	d.set, err = eval.CompileList(es, q.env(old))
	return err
}

// keyScan is the look-up by key that a change's input is made of, under filters and
// projections alone.
func keyScan(n plan.Node) *plan.Scan {
	switch n := n.(type) {
	case *plan.Scan:
		if n.Key == nil {
			return nil
		}
		return n
	case *plan.Filter:
		return keyScan(n.Input)
	case *plan.Project:
		return keyScan(n.Input)
	}
	return nil
}

// Small says that a run takes no longer than a few look-ups, and looks at no other rows.
func (d *QuickChange) Small() bool { return len(d.table.Unique) == 0 && !d.table.KeepsBinlog() }

// Run changes the row, if there is one that the statement wants, in env's transaction.
// done is false, and nothing has happened, when the plan is to be run like any other:
// valid says whether it holds in a catalog, and cat is the one that it was last known
// to hold in.
func (d *QuickChange) Run(ctx context.Context, env *Env, s storage.Store, cat *catalog.Version, valid func(*catalog.Version) bool, params []types.Datum) (n int64, done bool, err error) {
	defer sched.Recover(&err)
	defer d.q.Shed()
	if err := d.q.bind(params); err != nil {
		return 0, true, err
	}
	at, behind, done, err := d.find(ctx, env.Txn, s, cat, valid)
	if !done || err != nil {
		return 0, done, err
	}
	row, rows, err := d.decide(env)
	if behind && (row == nil || err != nil) {
		// There may be a row, or another one, in what others are about to publish.
		if done, err = d.lookup(ctx, env.Txn, cat, valid); !done || err != nil {
			return 0, done, err
		}
		at = 0
		row, rows, err = d.decide(env)
	}
	if row == nil || err != nil {
		return 0, true, err
	}
	m := &storage.Mutation{Table: d.table, Op: d.op, OldCSN: d.q.found.Cols[d.cols], Lock: true, Silent: d.silent, ReadAt: at}
	d.keys = vec.Batch{Cols: d.keys.Cols[:0], N: row.N}
	for _, o := range d.table.PK {
		d.keys.Cols = append(d.keys.Cols, row.Cols[o])
	}
	m.Keys, m.Rows = &d.keys, rows
	// Not the portal's own: the transaction may ask when the statement is over.
	params = slices.Clone(params)
	m.Resolve = func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
		return d.again(env, params, old)
	}
	n, err = env.Txn.Write(ctx, m)
	return n, true, err
}

// find reads the row: the transaction's own, or what is published where that is what it sees,
// at being a commit that it is not older than; else by a snapshot. behind is as in
// storage.PointTxn.
func (d *QuickChange) find(ctx context.Context, x storage.Txn, s storage.Store, cat *catalog.Version, valid func(*catalog.Version) bool) (at storage.CSN, behind, done bool, err error) {
	if p, is := x.(storage.PointTxn); is && d.table.StoresRows() && d.q.Points(s) {
		if at, is, behind := p.ReadsPublished(d.table.OID); is {
			some, err := d.q.seek()
			if !some || err != nil {
				return at, false, true, err
			}
			switch p.OwnRow(d.table, d.q.scan.Ords, &d.q.key.batch, &d.q.found) {
			case storage.OwnFound, storage.OwnGone:
				return at, behind, true, nil
			case storage.OwnAsk:
				done, err = d.lookup(ctx, x, cat, valid)
				return 0, false, done, err
			}
			if ok, err := d.q.point.Get(cat, &d.q.key.batch, &d.q.found); ok {
				return at, behind, true, err
			}
		}
	}
	done, err = d.lookup(ctx, x, cat, valid)
	return 0, false, done, err
}

// lookup reads the row by a snapshot.
func (d *QuickChange) lookup(ctx context.Context, x storage.Txn, cat *catalog.Version, valid func(*catalog.Version) bool) (done bool, err error) {
	snap, err := x.Snapshot()
	if err != nil {
		return true, err
	}
	defer snap.Close()
	if snap.Catalog() != cat && !valid(snap.Catalog()) || !d.q.Reads(snap) {
		return false, nil
	}
	_, err = d.q.lookup(ctx, snap, nil)
	return true, err
}

// decide is the row that was read, nil where the statement wants none, and the new one.
func (d *QuickChange) decide(env *Env) (row, rows *vec.Batch, err error) {
	if row, err = d.found(); row == nil || err != nil || d.set == nil {
		return row, nil, err
	}
	rows, err = d.computed(env)
	return row, rows, err
}

// found is the row that was read, also in d.in; nil where there is none that the
// statement wants.
func (d *QuickChange) found() (*vec.Batch, error) {
	if d.q.found.N == 0 {
		return nil, nil
	}
	row := &vec.Batch{Cols: d.q.found.Cols[:d.cols], N: d.q.found.N}
	if err := d.wanted(row); err != nil || d.in.Rows() == 0 {
		return nil, err
	}
	return row, nil
}

// wanted leaves those rows in d.in that the statement wants.
func (d *QuickChange) wanted(rows *vec.Batch) error {
	d.q.with(&d.in, rows)
	return d.recheck.Filter(&d.in)
}

// computed are the new rows for those of d.in, at their places.
func (d *QuickChange) computed(env *Env) (*vec.Batch, error) {
	cols, err := d.set.EvalAll(&d.in)
	if err != nil {
		return nil, err
	}
	d.rows = vec.Batch{Cols: cols, N: d.in.N, Sel: d.in.Sel}
	if len(d.notNull) == 0 {
		return &d.rows, nil
	}
	c := op.Checks{Table: d.table, NotNull: d.notNull}
	if c.Test(&d.rows) == nil {
		return &d.rows, nil
	}
	words, err := (&builder{env: env}).checks(d.table, d.row, d.checks) // they have the session's
	if err == nil {
		err = words.Test(&d.rows)
	}
	return &d.rows, err
}

// again decides on rows that others have put in the place of those that were read.
func (d *QuickChange) again(env *Env, params []types.Datum, old *vec.Batch) (*vec.Batch, []uint16, error) {
	if err := d.q.bind(params); err != nil {
		return nil, nil, err
	}
	if err := d.wanted(old); err != nil {
		return nil, nil, err
	}
	keep := make([]uint16, 0, d.in.Rows())
	for k := range d.in.Rows() {
		keep = append(keep, uint16(d.in.Row(k)))
	}
	if d.set == nil || len(keep) == 0 {
		return nil, keep, nil
	}
	rows, err := d.computed(env)
	if err != nil {
		return nil, nil, err
	}
	out := &vec.Batch{N: len(keep)}
	for _, c := range rows.Cols {
		v := vec.New(c.T, len(keep))
		v.Copy(c, keep, rows.N)
		out.Cols = append(out.Cols, v)
	}
	return out, keep, nil
}
