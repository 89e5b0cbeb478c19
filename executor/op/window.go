package op

import (
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/agg"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Window is the sink that computes window functions over one partitioning and
// order. It keeps all rows, numbers the partitions by hashing, sorts each by the
// order keys and computes the functions, many partitions beside each other. Output:
// the first Width columns of the input and one for each function, partitions in the
// order of their keys.
//
// A task is a run of partitions. It appends the functions' values to rows of its
// own, in output order; the input's columns are gathered when they are read.
//
// When memory is short rows go to sorted runs: see window_spill.go.
type Window struct {
	Rows  *Rows
	run   *Run
	acct  *mem.Account
	sort  *Sort // takes the rows, by partition and order
	spec  WindowSpec
	begun bool
	order mem.Array[uint32] // row numbers in output order
	words mem.Array[uint64] // of the order keys, by row number; see sorter
	exact bool              // words are all of the keys
	start []uint32          // of each partition in order, and the end
	tasks []*windowTask
	// parts are the pieces of the output that lanes take.
	parts []windowPart
	next  atomic.Int64
	// tight: there was no memory to compute in; the rows become runs.
	tight atomic.Bool
	// stream reads the runs; nil when all is in memory.
	stream *windowStream
	// from is what the first partition begins with, when it is the rest of one.
	from *windowCarry
}

// WindowSpec says what a Window computes. Columns are places in its input.
type WindowSpec struct {
	Width     int
	Partition []int
	Order     []SortCol
	Funcs     []WindowFunc
}

// WindowFunc is one call. Exactly one of Agg and Fn is set.
type WindowFunc struct {
	Agg *agg.Call
	// Merges says that states may be merged in any order, from states that are used
	// again.
	Merges bool
	Fn     agg.WindowFunc
	Call   *agg.WindowCall
	// Framed says whether Fn looks at frames.
	Framed bool
	T      types.T
	Args   []int
	Filter int // -1: none
	Frame  Frame
}

type windowPart struct {
	t        *windowTask
	from, to int // rows of the task
}

// taskRows is about how many rows a task has at least.
const taskRows = 32 * vec.Size

// NewWindow makes the sink for input columns of types ts.
func NewWindow(run *Run, spec WindowSpec, ts []types.T) *Window {
	w := newWindow(run, spec, run.Account.Child("window", 0), nil)
	for i := range spec.Funcs {
		if c := spec.Funcs[i].Agg; c != nil {
			c.Ended = w.acct.Ended
		}
	}
	keys := make([]SortCol, 0, len(spec.Partition)+len(spec.Order))
	for _, c := range spec.Partition {
		keys = append(keys, SortCol{Col: c})
	}
	w.sort = &Sort{run: run, acct: w.acct, ts: ts, keys: append(keys, spec.Order...), limit: -1}
	return w
}

func newWindow(run *Run, spec WindowSpec, acct *mem.Account, rows *Rows) *Window {
	w := &Window{Rows: rows, run: run, acct: acct, spec: spec}
	w.order.Account, w.words.Account = acct, acct
	return w
}

// Lane implements Sink.
func (w *Window) Lane(l *Lane) (LaneSink, error) { return w.sort.Lane(l) }

// Close implements Sink.
func (w *Window) Close() { w.sort.Close() }

// Finish implements Sink: first the partitions, then tasks for runs of them.
func (w *Window) Finish() ([]func() error, error) {
	if w.begun {
		if w.tight.Load() {
			return nil, w.spill()
		}
		w.complete()
		return nil, nil
	}
	w.begun = true
	if err := w.gather(); err != nil {
		return nil, err
	}
	for i := range w.spec.Funcs {
		if err := w.spec.Funcs[i].Frame.check(w.Rows.N > 0 || len(w.sort.spills) > 0); err != nil {
			return nil, err
		}
	}
	if len(w.sort.spills) > 0 || w.run.CanSpill() && w.acct.Tight() {
		return nil, w.spill()
	}
	fs, err := w.prepare()
	if w.maySpill(err) {
		w.tight.Store(true)
		return []func() error{func() error { return nil }}, nil
	}
	if err != nil || !w.run.CanSpill() {
		return fs, err
	}
	for i, f := range fs {
		fs[i] = func() error {
			err := f()
			if w.maySpill(err) {
				w.tight.Store(true)
				return nil
			}
			return err
		}
	}
	return fs, nil
}

// gather makes one store of the lanes' rows; those that find no room become runs.
func (w *Window) gather() error {
	s := w.sort
	w.Rows = NewRows(s.ts, w.acct)
	for i, r := range s.parts {
		if i == 0 {
			w.Rows = r
			continue
		}
		err := w.Rows.Absorb(r)
		if w.maySpill(err) {
			err = (&sortLane{s: s, rows: r}).spill()
		}
		if err != nil {
			return err
		}
	}
	s.parts = nil
	return nil
}

// prepare makes the tasks.
func (w *Window) prepare() ([]func() error, error) {
	if w.Rows.N == 0 {
		return nil, nil
	}
	if err := w.partition(); err != nil {
		return nil, err
	}
	if err := w.orderWords(); err != nil {
		return nil, err
	}
	n := len(w.start) - 1
	var fs []func() error
	for p := 0; p < n; {
		t := &windowTask{w: w, first: p}
		for p++; p < n && w.start[p]-w.start[t.first] < taskRows; p++ {
		}
		t.end = p
		t.res = NewRows(w.results(), w.acct)
		w.tasks = append(w.tasks, t)
		fs = append(fs, t.run)
	}
	return fs, nil
}

// complete lists the output's pieces when all tasks are done.
func (w *Window) complete() {
	for _, t := range w.tasks {
		for from := 0; from < t.res.N; from += chunkRows {
			w.parts = append(w.parts, windowPart{t, from, min(from+chunkRows, t.res.N)})
		}
	}
}

// free gives back what was computed, and the rows.
func (w *Window) free() {
	for _, t := range w.tasks {
		t.res.Free()
	}
	w.tasks, w.parts, w.start = nil, nil, nil
	w.order.Free()
	w.words.Free()
	w.Rows.Free()
}

// orderWords makes the words by which the rows of a partition are sorted.
func (w *Window) orderWords() error {
	if len(w.spec.Order) == 0 {
		return nil
	}
	n := w.Rows.N
	if err := w.words.Grow(n); err != nil {
		return err
	}
	s := newSorter(w.Rows, w.spec.Order)
	w.exact = s.exact
	words := w.words.Slice(n)
	for from := 0; from < n; from += chunkRows {
		if err := w.run.Interrupted(); err != nil {
			return err
		}
		s.words(from, words[from:min(from+chunkRows, n)])
	}
	return nil
}

func (w *Window) results() []types.T {
	ts := make([]types.T, len(w.spec.Funcs))
	for i, f := range w.spec.Funcs {
		ts[i] = f.T
	}
	return ts
}

// partition numbers the partitions and brings the rows of each together, in input
// order.
func (w *Window) partition() error {
	n := w.Rows.N
	if err := w.order.Grow(n); err != nil {
		return err
	}
	order := w.order.Slice(n)
	if len(w.spec.Partition) == 0 {
		w.start = []uint32{0, uint32(n)}
		return inPieces(n, w.run, func(from, to int) {
			for i := range order[from:to] {
				order[from+i] = uint32(from + i)
			}
		})
	}
	ids := mem.Array[uint32]{Buffer: mem.Buffer{Account: w.acct}}
	defer ids.Free()
	if err := ids.Grow(n); err != nil {
		return err
	}
	id := ids.Slice(n)
	ts := make([]types.T, len(w.spec.Partition))
	cols := make([]*vec.Vec, len(ts))
	for k, c := range w.spec.Partition {
		ts[k], cols[k] = w.Rows.T[c], &vec.Vec{}
	}
	g := NewGroups(ts, w.acct)
	defer g.Free()
	keys := NewRows(ts, w.acct) // of the groups
	defer keys.Free()
	var count []uint32
	for from := 0; from < n; from += vec.Size {
		if err := w.run.Interrupted(); err != nil {
			return err
		}
		m := min(vec.Size, n-from)
		for k, c := range w.spec.Partition {
			w.Rows.View(c, from, m, cols[k])
		}
		if err := g.Find(cols, nil, m, id[from:from+m]); err != nil {
			return err
		}
		if err := keys.AppendCols(cols, g.Fresh, 0); err != nil {
			return err
		}
		for len(count) < g.N {
			count = append(count, 0)
		}
		for _, x := range id[from : from+m] {
			count[x]++
		}
	}
	asc := make([]SortCol, len(ts))
	for k := range asc {
		asc[k].Col = k
	}
	sorted, err := newSorter(keys, asc).sort(0, g.N, w.acct, w.run)
	if err != nil {
		return err
	}
	defer sorted.Free()
	at := make([]uint32, g.N) // where the next row of a group goes
	w.start = make([]uint32, 0, g.N+1)
	pos := uint32(0)
	for _, x := range sorted.Slice(g.N) {
		w.start = append(w.start, pos)
		at[x] = pos
		pos += count[x]
	}
	w.start = append(w.start, pos)
	return inPieces(n, w.run, func(from, to int) {
		for i, x := range id[from:to] {
			if i&touchMask == 0 && w.acct.Ended() {
				return
			}
			order[at[x]] = uint32(from + i)
			at[x]++
		}
	})
}

// Morsels is how many pieces the output has.
func (w *Window) Morsels() int {
	if w.stream != nil {
		return 1
	}
	return len(w.parts)
}

// Source makes the operator of one lane over the output.
func (w *Window) Source() Operator {
	if w.stream != nil {
		if w.next.Add(1) == 1 {
			return w.stream
		}
		return &windowSource{w: w} // there is one lane; no other has anything
	}
	return w.source()
}

func (w *Window) source() *windowSource {
	o := &windowSource{w: w}
	for range w.spec.Width + len(w.spec.Funcs) {
		o.out.Cols = append(o.out.Cols, &vec.Vec{})
	}
	return o
}

type windowSource struct {
	w    *Window
	part windowPart
	out  vec.Batch
}

func (o *windowSource) Next() (*vec.Batch, error) {
	w := o.w
	if o.part.from >= o.part.to {
		k := int(w.next.Add(1)) - 1
		if k >= len(w.parts) {
			return nil, nil
		}
		o.part = w.parts[k]
	}
	n := min(vec.Size, o.part.to-o.part.from)
	at := int(w.start[o.part.t.first]) + o.part.from
	idx := w.order.Slice(w.Rows.N)[at : at+n]
	for c := range w.spec.Width {
		w.Rows.Gather(c, idx, o.out.Cols[c])
	}
	for c := range w.spec.Funcs {
		o.part.t.res.View(c, o.part.from, n, o.out.Cols[w.spec.Width+c])
	}
	o.out.N, o.out.Sel = n, nil
	o.part.from += n
	return &o.out, nil
}

func (o *windowSource) Close() {}
