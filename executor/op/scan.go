package op

import (
	"context"
	"sync/atomic"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Scan is a relation's scan, shared by the lanes: they take its splits from a
// counter.
type Scan struct {
	Rel  storage.Relation
	Spec catalog.ScanSpec
	// Runtime are the filters that joins hand down; their joins are built before
	// Start.
	Runtime []RuntimeFilter
	// Bounds makes conjuncts of a runtime filter's bounds, for pruning splits.
	Bounds func(col int, min, max types.Datum) []expr.Expr

	splits []storage.Split
	next   atomic.Int64
	rows   atomic.Int64 // rows yielded, when Spec.Limit bounds them
	// Total and Read count the splits before and after pruning.
	Total, Read int
}

// RuntimeFilter narrows column Col of a scan's batches.
type RuntimeFilter struct {
	Col  int
	Keys func() *KeyFilter // called once the join is built
}

// KeyFilter describes the keys of a join's build side.
type KeyFilter struct {
	// None: there is no key at all.
	None bool
	// Min and Max enclose the keys; NULL when unknown.
	Min, Max types.Datum
	// Refine writes to out the rows of sel whose value may be a key, and returns how
	// many; nil when there is nothing more to tell than the bounds.
	Refine func(v *vec.Vec, sel, out []uint16) int
}

// Start finds the splits, and says how many there are.
func (s *Scan) Start(ctx context.Context) (int, error) {
	spec := s.Spec
	for _, f := range s.Runtime {
		k := f.Keys()
		if k.None {
			return 0, nil
		}
		if k.Min.Valid && k.Max.Valid && s.Bounds != nil {
			spec.Filter = append(spec.Filter[:len(spec.Filter):len(spec.Filter)], s.Bounds(spec.Cols[f.Col], k.Min, k.Max)...)
		}
	}
	var err error
	s.splits, s.Total, err = s.Rel.Splits(ctx, &spec)
	s.Read = len(s.splits)
	return len(s.splits), err
}

// Lane makes the operator of one lane. cond is the part of the filter that the
// reader does not apply, over the reader's columns, or nil; out lists the columns
// to yield.
func (s *Scan) Lane(cond *eval.Program, out []int) Operator {
	o := &scanLane{s: s, cond: cond, cols: out}
	o.out.Cols = make([]*vec.Vec, len(out))
	return o
}

type scanLane struct {
	s      *Scan
	r      storage.Reader
	open   bool
	cond   *eval.Program
	cols   []int
	filter []laneFilter
	work   vec.Batch
	out    vec.Batch
	done   bool
}

// laneFilter is a runtime filter on one lane. It is given up when it lets nearly
// all rows pass.
type laneFilter struct {
	col      int
	refine   func(v *vec.Vec, sel, out []uint16) int
	sel      []uint16
	in, pass int
}

// trialRows is how many rows a runtime filter is tried on.
const trialRows = 32 * vec.Size

func (o *scanLane) start() error {
	r, err := o.s.Rel.Reader(&o.s.Spec)
	if err != nil {
		return err
	}
	o.r = r
	for _, f := range o.s.Runtime {
		k := f.Keys()
		if k.Min.Valid || k.Max.Valid {
			r.Prune(f.Col, k.Min, k.Max)
		}
		if k.Refine != nil {
			o.filter = append(o.filter, laneFilter{col: f.Col, refine: k.Refine})
		}
	}
	return nil
}

// Next implements Operator.
func (o *scanLane) Next() (*vec.Batch, error) {
	if o.done || o.s.Spec.Limit >= 0 && o.s.rows.Load() >= o.s.Spec.Limit {
		return nil, nil
	}
	if !o.open {
		i := int(o.s.next.Add(1)) - 1
		if i >= len(o.s.splits) {
			o.done = true
			return nil, nil
		}
		if o.r == nil {
			if err := o.start(); err != nil {
				return nil, err
			}
		}
		if err := o.r.Open(o.s.splits[i]); err != nil {
			return nil, err
		}
		o.open = true
	}
	b, err := o.r.Next()
	if err != nil {
		return nil, err
	}
	if b == nil {
		o.open = false
		return empty(&o.out), nil
	}
	if b.Rows() == 0 {
		return empty(&o.out), nil
	}
	work := &o.work
	work.Cols, work.N, work.Sel = b.Cols, b.N, b.Sel
	for i := range o.filter {
		o.filter[i].apply(work)
	}
	if o.cond != nil && work.Rows() > 0 {
		if err := o.cond.Filter(work); err != nil {
			return nil, err
		}
	}
	for i, c := range o.cols {
		o.out.Cols[i] = work.Cols[c]
	}
	o.out.N, o.out.Sel = work.N, work.Sel
	if o.s.Spec.Limit >= 0 {
		o.s.rows.Add(int64(o.out.Rows()))
	}
	return &o.out, nil
}

func (f *laneFilter) apply(b *vec.Batch) {
	n := b.Rows()
	if n == 0 || f.in > trialRows && f.pass > f.in/8*7 {
		return
	}
	f.sel = grown(f.sel, n)
	m := f.refine(b.Cols[f.col], rowsOf(b), f.sel)
	f.in += n
	f.pass += m
	if m < n {
		b.Sel = f.sel[:m]
	}
}

// Close implements Operator.
func (o *scanLane) Close() {
	o.done = true
	if o.r != nil {
		_ = o.r.Close()
		o.r = nil
	}
}
