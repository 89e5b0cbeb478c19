package build

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// insert builds INSERT.
func (b *builder) insert(n *plan.Insert) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	in = b.exact(in, n.Input.Columns()) // the row goes by position
	s, err := b.write(n, n.Table, storage.OpInsert, n.Returning)
	if err != nil {
		return nil, err
	}
	if s.Checks, err = b.checks(n.Table, n.Row, n.Checks); err != nil {
		return nil, err
	}
	if s.Returning, err = b.returning(n.Returning, n.Row, nil); err != nil {
		return nil, err
	}
	if n.Conflict != nil && len(n.Table.PK) > 0 {
		if err := b.conflict(n, s); err != nil {
			return nil, err
		}
	}
	return b.written(n, in, s, n.Returning), nil
}

// arbiters are the unique keys that decide an ON CONFLICT, nil for the primary key.
func (b *builder) arbiters(t *catalog.Table, k *plan.Conflict) ([]op.Arbiter, error) {
	var out []op.Arbiter
	if k.Any {
		out = append(out, op.Arbiter{Name: t.PKName, Key: t.PK})
	}
	for i := range t.Unique {
		u := &t.Unique[i]
		if !k.Any && (k.Unique == nil || k.Unique.OID != u.OID) {
			continue
		}
		a := op.Arbiter{Name: u.Name, Key: t.Ordinals(u), Index: b.env.Snapshot.Catalog().Table(u.OID)}
		if a.Index == nil {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "the index of unique key %s is not there", u.Name)
		}
		cols := t.IndexColumns(u)
		for _, o := range t.PK {
			a.PK = append(a.PK, slices.Index(cols, o))
		}
		out = append(out, a)
	}
	return out, nil
}

// conflict builds ON CONFLICT.
func (b *builder) conflict(n *plan.Insert, s *op.Write) error {
	k := n.Conflict
	c := &op.Conflict{DoNothing: k.DoNothing, First: b.env.KeepFirst, Last: b.env.KeepLast || k.LastWins}
	s.Conflict = c
	if !k.DoNothing && blind(n) {
		c.Blind, s.Op = true, storage.OpUpsert
		return nil
	}
	if b.env.Snapshot == nil {
		return sqlstate.Errorf(sqlstate.InternalError, "ON CONFLICT on %s without a snapshot", n.Table.Name)
	}
	var err error
	if k.Unique != nil || k.Any {
		if c.Arbiters, err = b.arbiters(n.Table, k); err != nil {
			return err
		}
	}
	if c.Rel, err = b.env.Snapshot.Relation(n.Table); err != nil || k.DoNothing {
		return err
	}
	c.Extra = len(k.Extra)
	env := b.evalEnv(slices.Concat(k.Old, n.Row, k.Extra))
	if c.Set, err = eval.CompileList(k.Set, env); err != nil {
		return err
	}
	if k.Where != nil {
		if c.Where, err = eval.CompileFilter(k.Where, env); err != nil {
			return err
		}
	}
	c.Resolve = func(proposed *vec.Batch, keys []*vec.Vec) op.Resolver {
		r := &resolver{b: b, old: k.Old, recheck: k.Where, set: k.Set, table: n.Table, row: n.Row, checks: n.Checks,
			proposed: proposed, keys: keys, excluded: slices.Concat(n.Row, k.Extra)}
		return r.resolve
	}
	s.Resolved, err = b.returning(n.Returning, n.Row, nil)
	return err
}

// blind says whether DO UPDATE makes the existing row the proposed one.
func blind(n *plan.Insert) bool {
	if n.Conflict.Where != nil || n.Conflict.Unique != nil {
		return false
	}
	for i, e := range n.Conflict.Set {
		c, ok := e.(*expr.Column)
		if !ok || c.ID != n.Row[i].ID && !(slices.Contains(n.Table.PK, i) && c.ID == n.Conflict.Old[i].ID) {
			return false
		}
	}
	return true
}

// update builds UPDATE.
func (b *builder) update(n *plan.Update) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	s, err := b.write(n, n.Table, storage.OpUpdate, n.Returning)
	if err != nil {
		return nil, err
	}
	if err := b.target(s, in, n.Old, n.CSN, n.RowID); err != nil {
		return nil, err
	}
	if s.New, err = eval.CompileList(n.Set, b.evalEnv(in.cols)); err != nil {
		return nil, err
	}
	if s.Checks, err = b.checks(n.Table, n.Row, n.Checks); err != nil {
		return nil, err
	}
	if s.Returning, err = b.returning(n.Returning, n.Row, in.cols); err != nil {
		return nil, err
	}
	s.Once = !n.SelfContained
	if n.SelfContained && within(n.Old, append([]expr.Expr{n.Recheck}, n.Set...)...) && within(slices.Concat(n.Old, n.Row), projections(n.Returning)...) {
		r := &resolver{b: b, old: n.Old, recheck: n.Recheck, set: n.Set, table: n.Table, row: n.Row, checks: n.Checks}
		s.Resolve = r.resolve
		if s.Resolved, err = b.returning(n.Returning, n.Row, n.Old); err != nil {
			return nil, err
		}
	}
	return b.written(n, in, s, n.Returning), nil
}

// delete builds DELETE.
func (b *builder) delete(n *plan.Delete) (*chain, error) {
	in, err := b.node(n.Input)
	if err != nil {
		return nil, err
	}
	s, err := b.write(n, n.Table, storage.OpDelete, n.Returning)
	if err != nil {
		return nil, err
	}
	if err := b.target(s, in, n.Old, n.CSN, n.RowID); err != nil {
		return nil, err
	}
	if s.Returning, err = b.returning(n.Returning, nil, in.cols); err != nil {
		return nil, err
	}
	s.Once = !n.SelfContained
	if n.SelfContained && within(n.Old, n.Recheck) && within(n.Old, projections(n.Returning)...) {
		r := &resolver{b: b, old: n.Old, recheck: n.Recheck, table: n.Table}
		s.Resolve = r.resolve
		if s.Resolved, err = b.returning(n.Returning, nil, n.Old); err != nil {
			return nil, err
		}
	}
	return b.written(n, in, s, n.Returning), nil
}

// write begins the sink of a writing node.
func (b *builder) write(n plan.Node, t *catalog.Table, o storage.Op, ret []plan.Projection) (*op.Write, error) {
	if b.env.Txn == nil {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "write to %s without a transaction", t.Name)
	}
	b.writes++
	q, top := b.q, n == b.top
	s := &op.Write{Ctx: b.waiting(), Txn: b.env.Txn, Run: q.run, Table: t, Op: o, Lock: locks(n, b.env.CountLater),
		Out: op.NewRows(exprTypes(projections(ret)), q.run.Account), Changed: b.changed(t.OID)}
	s.Affected = func(k int64) {
		if top {
			q.mu.Lock()
			q.affected += k
			q.mu.Unlock()
		}
	}
	return s, nil
}

// waiting is the query's context for calls that may wait for another transaction: a
// worker that waits is replaced.
func (b *builder) waiting() context.Context {
	q, pool := b.q, b.env.Pool
	return storage.WhileWaiting(q.ctx, func() func() {
		if pool == nil || !q.job.Offered() {
			return nil
		}
		return pool.Lend()
	})
}

// written pipes a chain into a write, and reads RETURNING's rows.
func (b *builder) written(n plan.Node, in *chain, s *op.Write, ret []plan.Projection) *chain {
	one := *in
	one.ordered = true // a single lane; see op.Write
	p := b.pipe(&one, s)
	b.parts.wrote(p, n == b.top)
	cols := make([]plan.Column, len(ret))
	for i, r := range ret {
		cols[i] = r.Col
	}
	return b.rowsChain(cols, s.Out, p, true)
}

// target finds the key and the commit of the old row in the input.
func (b *builder) target(s *op.Write, in *chain, old []plan.Column, csn, rowID plan.Column) error {
	var key []plan.Column
	for _, o := range s.Table.PK {
		key = append(key, old[o])
	}
	if len(key) == 0 {
		key = append(key, rowID)
	}
	for _, c := range key {
		s.Keys = append(s.Keys, position(in.cols, c.ID))
	}
	s.CSN = position(in.cols, csn.ID)
	if s.CSN < 0 || slices.Contains(s.Keys, -1) {
		return sqlstate.Errorf(sqlstate.InternalError, "a write to %s has no key in its input", s.Table.Name)
	}
	return nil
}

// returning compiles RETURNING over the new row beside other columns.
func (b *builder) returning(ret []plan.Projection, row, beside []plan.Column) (*eval.Program, error) {
	if len(ret) == 0 {
		return nil, nil
	}
	return eval.CompileList(projections(ret), b.evalEnv(slices.Concat(row, beside)))
}

func projections(ps []plan.Projection) []expr.Expr {
	es := make([]expr.Expr, len(ps))
	for i, p := range ps {
		es[i] = p.Expr
	}
	return es
}

// within says whether expressions use only these columns.
func within(cols []plan.Column, es ...expr.Expr) bool {
	used := map[int]bool{}
	for _, e := range es {
		if e != nil {
			expr.Columns(e, used)
		}
	}
	for id := range used {
		if position(cols, id) < 0 {
			return false
		}
	}
	return true
}

// checks compiles the tests of new rows, whose columns are row; nil for none.
func (b *builder) checks(t *catalog.Table, row []plan.Column, cs []plan.Check) (*op.Checks, error) {
	if len(cs) == 0 {
		return nil, nil
	}
	out := &op.Checks{Table: t}
	if e := b.env.Eval; e != nil && e.Session != nil {
		out.Env = e.Session.Types
	}
	if b.env.Txn != nil {
		if s := b.env.Txn.Catalog().Schema(t.Schema); s != nil {
			out.Schema = s.Name
		}
	}
	env := b.evalEnv(row)
	for _, c := range cs {
		if c.Column != "" {
			if o := t.Ordinal(c.Column); o >= 0 {
				out.NotNull = append(out.NotNull, o)
				continue
			}
		}
		p, err := eval.Compile(c.Pred, env)
		if err != nil {
			return nil, err
		}
		out.Exprs = append(out.Exprs, op.CheckExpr{Name: c.Name, Pred: p})
	}
	slices.Sort(out.NotNull)
	slices.SortStableFunc(out.Exprs, func(a, b op.CheckExpr) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// resolver decides again on rows that others replaced, by a statement that looks at
// nothing but the row: see storage.Mutation. It outlives the query, up to the
// commit.
type resolver struct {
	b       *builder
	old     []plan.Column
	recheck expr.Expr
	set     []expr.Expr // nil: a delete
	table   *catalog.Table
	row     []plan.Column
	checks  []plan.Check
	// proposed are an ON CONFLICT's rows, as the columns excluded, and keys the primary
	// keys of the rows that they are for; nil otherwise.
	proposed *vec.Batch
	keys     []*vec.Vec
	excluded []plan.Column
}

func (r *resolver) resolve(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
	env := r.b.evalEnv(slices.Concat(r.old, r.excluded))
	at := &vec.Batch{Cols: old.Cols, Sel: old.Sel, N: old.N}
	if r.proposed != nil {
		at.Cols = slices.Concat(old.Cols, r.beside(old))
	}
	if r.recheck != nil {
		p, err := eval.CompileFilter(r.recheck, env)
		if err != nil {
			return nil, nil, err
		}
		if err := p.Filter(at); err != nil {
			return nil, nil, err
		}
	}
	keep := make([]uint16, 0, at.Rows())
	for k := range at.Rows() {
		keep = append(keep, uint16(at.Row(k)))
	}
	if r.set == nil || len(keep) == 0 {
		return nil, keep, nil
	}
	p, err := eval.CompileList(r.set, env)
	if err != nil {
		return nil, nil, err
	}
	cols, err := p.EvalAll(at)
	if err != nil {
		return nil, nil, err
	}
	rows := &vec.Batch{N: len(keep)}
	for _, c := range cols {
		v := vec.New(c.T, len(keep))
		v.Copy(c, keep, at.N)
		rows.Cols = append(rows.Cols, v)
	}
	checks, err := r.b.checks(r.table, r.row, r.checks)
	if err != nil {
		return nil, nil, err
	}
	if checks != nil {
		if err := checks.Test(rows); err != nil {
			return nil, nil, err
		}
	}
	return rows, keep, nil
}

// beside finds the proposed row of each existing one, by the key.
func (r *resolver) beside(old *vec.Batch) []*vec.Vec {
	sel := make([]uint16, old.N)
	place := op.Places(r.keys, r.proposed.N)
	for i := range sel {
		sel[i] = uint16(place(old, r.table.PK, i))
	}
	out := make([]*vec.Vec, len(r.proposed.Cols))
	for c, v := range r.proposed.Cols {
		out[c] = vec.New(v.T, old.N)
		out[c].Copy(v, sel, r.proposed.N)
	}
	return out
}
