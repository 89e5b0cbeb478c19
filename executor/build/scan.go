package build

import (
	"context"
	"math"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
)

func (b *builder) scan(n *plan.Scan) (*chain, error) {
	if n.Table.Kind == catalog.KindSystem || n.Table.Kind == catalog.KindSequence {
		return b.systemScan(n)
	}
	if b.env.Snapshot == nil {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "scan of %s without a snapshot", n.Table.Name)
	}
	rel, err := b.env.Snapshot.Relation(n.Table)
	if err != nil {
		return nil, err
	}
	if (n.Key != nil || n.KeyIn != nil && b.fewKeys(n, rel)) && knows(b.env.Snapshot, n.Unique) {
		return b.lookup(n, rel)
	}
	switch {
	case n.ByRow: // a narrow range is for the caller's goroutine
	case n.Stored > 0:
		b.rows += n.Stored
	default:
		total, _ := rel.RowCount()
		b.rows += total
	}

	// What the reader applies, in ordinals; the rest, in columns, is applied above it.
	ordinal := make(map[int]int, len(n.Cols))
	for i, c := range n.Cols {
		ordinal[c.ID] = n.Ords[i]
	}
	var taken, rest []expr.Expr
	for _, f := range n.Filter {
		for _, f := range expr.Conjuncts(f) {
			f = dateBounds(b.bindConstants(f))
			g := expr.Rewrite(f, func(e expr.Expr) expr.Expr {
				if c, ok := e.(*expr.Column); ok {
					return &expr.Column{ID: ordinal[c.ID], T: c.T, Name: c.Name}
				}
				return e
			})
			if b.env.simple(g) {
				taken = append(taken, g)
			} else {
				rest = append(rest, f)
			}
		}
	}
	out := n.Out
	if out == nil {
		out = make([]int, len(n.Cols))
		for i := range out {
			out[i] = i
		}
	}
	// The reader's columns: the output, and what the rest and runtime filters need.
	used := map[int]bool{}
	for _, f := range rest {
		expr.Columns(f, used)
	}
	var runtime []plan.RuntimeFilter
	for _, f := range append(slices.Clone(n.Runtime), b.narrowed[n]...) {
		if b.joins[f.Join] != nil && !b.env.NoRuntimeFilters {
			runtime = append(runtime, f)
			used[f.Col] = true
		}
	}
	for _, i := range out {
		used[n.Cols[i].ID] = true
	}
	var cols []plan.Column
	var spec catalog.ScanSpec
	for i, c := range n.Cols {
		if used[c.ID] {
			cols = append(cols, c)
			spec.Cols = append(spec.Cols, n.Ords[i])
		}
	}
	outCols := make([]plan.Column, len(out))
	outAt := make([]int, len(out))
	for i, k := range out {
		outCols[i] = n.Cols[k]
		outAt[i] = position(cols, n.Cols[k].ID)
	}
	spec.Filter = taken
	spec.Limit = n.Limit
	spec.ByRow = n.ByRow
	s := &op.Scan{Rel: rel, Spec: spec, First: b.first(n)}
	s.Spec.First, s.Spec.Last = s.First, n.Last
	if len(rest) > 0 {
		s.Spec.Limit = -1
		if s.First > 0 {
			s.Spec.First = math.MaxInt64 // of which the rest of the filter leaves some
		}
	}
	c := &chain{cols: outCols, starts: []func(context.Context) (int, error){s.Start}}
	if len(runtime) > 0 {
		byOrd := map[int]plan.Column{}
		for i, col := range n.Cols {
			byOrd[n.Ords[i]] = col
		}
		s.Bounds = func(ord int, min, max types.Datum) []expr.Expr { return bounds(ord, byOrd[ord].T, min, max) }
		for _, f := range runtime {
			j := b.joins[f.Join]
			key := f.Key
			s.Runtime = append(s.Runtime, op.RuntimeFilter{Col: position(cols, f.Col), Keys: func() *op.KeyFilter { return j.build.KeyFilter(key) }})
			c.deps = append(c.deps, j.pipe)
		}
	}
	if b.env.Profile {
		b.q.mu.Lock()
		b.q.scans[n] = s
		b.q.mu.Unlock()
	}
	env := b.evalEnv(cols)
	cond := expr.Conjoin(rest)
	c.lane = func(l *op.Lane) (op.Operator, error) {
		var p *eval.Program
		if cond != nil {
			var err error
			if p, err = eval.CompileFilter(cond, env); err != nil {
				return nil, err
			}
		}
		return rebatched(l, s.Lane(p, outAt)), nil
	}
	return c, nil
}

// first is how many rows are wanted of each row tablet, 0 for all.
func (b *builder) first(n *plan.Scan) int64 {
	sum := int64(0)
	for _, e := range n.First {
		d, err := b.constant(b.bindConstants(e))
		if err != nil || !d.Valid && sum == 0 || d.I < 0 || d.I > math.MaxInt32 {
			return 0 // what is wrong is told by who counts
		}
		sum += d.I
	}
	return sum
}

// bounds are the conjuncts min ≤ column and column ≤ max, for pruning.
func bounds(ord int, t types.T, min, max types.Datum) []expr.Expr {
	col := &expr.Column{ID: ord, T: t}
	var out []expr.Expr
	for _, x := range []struct {
		op string
		d  types.Datum
	}{{">=", min}, {"<=", max}} {
		for _, o := range fn.Operators(x.op) {
			if o.Left == t.OID && o.Right == t.OID && o.Func != nil {
				out = append(out, &expr.Call{Fn: o.Func, Args: []expr.Expr{col, &expr.Const{T: t, D: x.d}}, T: types.Bool, Pos: -1, Op: x.op})
				break
			}
		}
	}
	return out
}

// bindConstants replaces parameters and computes parts without columns that do not
// change while the statement runs. What fails is left, to fail when it runs.
func (b *builder) bindConstants(e expr.Expr) expr.Expr {
	return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
		switch x := e.(type) {
		case *expr.Const, *expr.Column:
			return e
		case *expr.Param:
			if b.env.Eval != nil && x.N >= 1 && x.N <= len(b.env.Eval.Params) {
				return &expr.Const{T: x.T, D: b.env.Eval.Params[x.N-1]}
			}
			return e
		case *expr.Call:
			if x.Fn.Volatility == fn.Volatile || x.Fn.RetSet {
				return e
			}
		case *expr.Row, *expr.Case, *expr.Coalesce:
			return e
		}
		for _, c := range e.Children() {
			if _, ok := c.(*expr.Const); !ok {
				return e
			}
		}
		d, err := b.constant(e)
		if err != nil {
			return e
		}
		return &expr.Const{T: e.Type(), D: d}
	})
}

// systemScan reads a relation that a row provider serves.
func (b *builder) systemScan(n *plan.Scan) (*chain, error) {
	if b.env.System == nil {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "relation \"%s\" cannot be read here", n.Table.Name)
	}
	var batches []*vec.Batch
	c := &chain{cols: n.Cols, ordered: true}
	c.starts = []func(context.Context) (int, error){func(ctx context.Context) (int, error) {
		var err error
		batches, err = b.env.System(ctx, n.Table, n.Ords)
		return 1, err
	}}
	c.lane = func(l *op.Lane) (op.Operator, error) { return rebatched(l, &op.BatchSource{Batches: batches}), nil }
	c = b.filtered(c, expr.Conjoin(n.Filter))
	if n.Out != nil {
		ps := make([]plan.Projection, len(n.Out))
		for i, k := range n.Out {
			ps[i] = plan.Projection{Col: n.Cols[k], Expr: n.Cols[k].Ref()}
		}
		c = b.projected(c, ps)
	}
	return c, nil
}
