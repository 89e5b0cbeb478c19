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

// Scan is a relation's scan, shared by the lanes. Each takes splits of shards of its own, one
// after the other, as long as there is one that no lane has begun, and then helps with the
// others: where rows are grouped or joined by what distributes them, lanes so meet keys of
// their own, and their tables are small and need little merging.
type Scan struct {
	Rel  storage.Relation
	Spec catalog.ScanSpec
	// Runtime are the filters that joins hand down; their joins are built before
	// Start.
	Runtime []RuntimeFilter
	// Bounds makes conjuncts of a runtime filter's bounds, for pruning splits.
	Bounds func(col int, min, max types.Datum) []expr.Expr

	// First is how many rows are wanted of each split that has them in order, 0 for all.
	First int64

	splits []storage.Split
	shards []shardSplits
	begun  atomic.Int64 // shards, in their order
	rows   atomic.Int64 // rows yielded, when Spec.Limit bounds them
	// Total and Read count the splits before and after pruning.
	Total, Read int
}

// shardSplits are splits of one shard, one after the other, and how many of them are taken.
type shardSplits struct {
	splits []storage.Split
	taken  atomic.Int64
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
	runs := 0
	for i := range s.splits {
		if i == 0 || s.splits[i].Shard != s.splits[i-1].Shard {
			runs++
		}
	}
	s.begun.Store(0)
	s.shards = make([]shardSplits, runs)
	for i, left := 0, s.splits; i < runs; i++ {
		n := 1
		for n < len(left) && left[n].Shard == left[0].Shard {
			n++
		}
		s.shards[i].splits, left = left[:n], left[n:]
	}
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
	begun  bool
	shard  int // that it takes splits of, once it has begun
	r      storage.Reader
	open   bool
	left   int64 // of First in the split, -1: all
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

// take is the next split to read, nil when none is left.
func (o *scanLane) take() *storage.Split {
	all := o.s.shards
	if !o.begun && len(all) > 0 {
		o.begun, o.shard = true, int(o.s.begun.Add(1)-1)%len(all)
	}
	for helped := 0; helped < len(all); {
		r := &all[o.shard]
		if i := int(r.taken.Add(1)) - 1; i < len(r.splits) {
			return &r.splits[i]
		}
		if fresh := int(o.s.begun.Add(1)) - 1; fresh < len(all) {
			o.shard = fresh
			continue
		}
		o.shard = (o.shard + 1) % len(all)
		helped++
	}
	return nil
}

// Next implements Operator.
func (o *scanLane) Next() (*vec.Batch, error) {
	if o.done || o.s.Spec.Limit >= 0 && o.s.rows.Load() >= o.s.Spec.Limit {
		return nil, nil
	}
	if !o.open {
		split := o.take()
		if split == nil {
			o.done = true
			return nil, nil
		}
		if o.r == nil {
			if err := o.start(); err != nil {
				return nil, err
			}
		}
		if err := o.r.Open(*split); err != nil {
			return nil, err
		}
		o.open, o.left = true, -1
		if o.s.First > 0 && split.InOrder {
			o.left = o.s.First
		}
	}
	if o.left == 0 {
		o.open = false
		return empty(&o.out), nil
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
	if o.left > 0 { // what is beyond comes in no harm
		o.left = max(o.left-int64(o.out.Rows()), 0)
	}
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
