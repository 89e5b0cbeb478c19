package op

import (
	"container/heap"
	"math"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Sort is the sink that orders rows. Lanes gather rows; Finish sorts ranges of all
// rows beside each other, and reading merges them. With a limit a lane keeps only
// about as many rows as are wanted, and drops those behind its last at once.
type Sort struct {
	run   *Run
	acct  *mem.Account
	ts    []types.T
	keys  []SortCol
	limit int // -1: all

	mu     sync.Mutex
	parts  []*Rows
	rows   *Rows
	order  []*mem.Array[uint32]
	ends   []int
	phase  int
	bound  atomic.Uint64 // top-N: no row whose prefix is above is wanted
	spills []*run
	// tight: there was no memory to sort in; what there is becomes runs.
	tight atomic.Bool
}

// limitMax is the largest limit for which lanes drop rows.
const limitMax = 1 << 20

// NewSort makes a sort of rows of these types; limit is -1 for all rows.
func NewSort(r *Run, ts []types.T, keys []SortCol, limit int64) *Sort {
	s := &Sort{run: r, acct: r.Account.Child("sort", 0), ts: ts, keys: keys, limit: -1}
	if limit >= 0 && limit <= limitMax {
		s.limit = int(limit)
	}
	s.bound.Store(math.MaxUint64)
	return s
}

// Lane implements Sink.
func (s *Sort) Lane(*Lane) (LaneSink, error) {
	return &sortLane{s: s, rows: NewRows(s.ts, s.acct)}, nil
}

type sortLane struct {
	s    *Sort
	rows *Rows
	sel  []uint16
}

// Add implements LaneSink.
func (l *sortLane) Add(b *vec.Batch) (Flow, error) {
	s := l.s
	if s.limit >= 0 {
		return l.addTop(b)
	}
	err := l.rows.Append(b)
	if err != nil && s.run.CanSpill() && l.rows.N > 0 {
		if err := l.spill(); err != nil {
			return Stop, err
		}
		err = l.rows.Append(b)
	} else if err == nil && (s.run.ForceSpill && l.rows.N >= forcedRun || s.run.CanSpill() && l.rows.yields()) {
		err = l.spill()
	}
	return Continue, err
}

// forcedRun is the length of runs when spilling is forced.
const forcedRun = 500

func (l *sortLane) addTop(b *vec.Batch) (Flow, error) {
	s := l.s
	if s.limit == 0 {
		return Stop, nil
	}
	rows := rowsOf(b)
	if bound := s.bound.Load(); bound != math.MaxUint64 {
		sel := l.sel[:0]
		v, k := b.Cols[s.keys[0].Col], s.keys[0]
		for _, r := range rows {
			if prefix(v, int(r), k) <= bound {
				sel = append(sel, r)
			}
		}
		l.sel = sel
		rows = sel
	}
	if err := l.rows.AppendCols(b.Cols, rows, 0); err != nil {
		return Stop, err
	}
	if l.rows.N >= 2*s.limit+4*vec.Size {
		return Continue, l.shrink()
	}
	return Continue, nil
}

// shrink keeps the limit's rows of the lane and lowers the bound.
func (l *sortLane) shrink() error {
	s := l.s
	if l.rows.N <= s.limit {
		return nil
	}
	idx, err := newSorter(l.rows, s.keys).sort(0, l.rows.N, s.acct, s.run)
	if err != nil {
		return err
	}
	defer idx.Free()
	keep := NewRows(s.ts, s.acct)
	tmp := make([]*vec.Vec, len(s.ts))
	for i := range tmp {
		tmp[i] = &vec.Vec{}
	}
	best := idx.Slice(s.limit)
	for from := 0; from < len(best); from += vec.Size {
		part := best[from:min(from+vec.Size, len(best))]
		for c, v := range tmp {
			l.rows.Gather(c, part, v)
		}
		if err := keep.AppendCols(tmp, nil, len(part)); err != nil {
			return err
		}
	}
	l.rows.Free()
	l.rows = keep
	var v vec.Vec
	last := keep.N - 1
	keep.View(s.keys[0].Col, last&^63, last&63+1, &v)
	p := prefix(&v, last&63, s.keys[0])
	for {
		old := s.bound.Load()
		if p >= old || s.bound.CompareAndSwap(old, p) {
			return nil
		}
	}
}

// prefix maps a value to 64 bits whose order never contradicts the key's: what may
// be compared across batches and lanes.
func prefix(v *vec.Vec, i int, k SortCol) uint64 {
	if v.IsNull(i) {
		if k.NullsFirst {
			return 0
		}
		return math.MaxUint64
	}
	s, j := v.Source(), v.Index(i)
	var w uint64
	switch v.T.Layout {
	case types.LayoutBool:
		w = uint64(intAt(s, j)) << 62
	case types.LayoutI16:
		w = uint64(s.I16[j]) ^ 1<<63
	case types.LayoutI32:
		if vec.Unsigned32(v.T.OID) {
			w = uint64(uint32(s.I32[j]))
		} else {
			w = uint64(s.I32[j]) ^ 1<<63
		}
	case types.LayoutI64:
		if types.UnsignedI64(v.T.OID) {
			w = uint64(s.I64[j])
		} else {
			w = uint64(s.I64[j]) ^ 1<<63
		}
	case types.LayoutF32:
		w = orderedFloat(float64(s.F32[j]))
	case types.LayoutF64:
		w = orderedFloat(s.F64[j])
	case types.LayoutI128:
		w = high64(s.I128[j])
	case types.LayoutFixed16:
		switch v.T.OID {
		case types.IntervalOID:
			w = high64(types.IntervalSpan(s.Fix[j]))
		case types.UUIDOID:
			w = uint64(s.Fix[j].A)
		default:
			w = 1 << 62
		}
	default:
		if types.PlainBytes(v.T.OID) {
			w = viewPrefix(s.Bytes(j))
		} else {
			w = 1 << 62
		}
	}
	if k.Desc {
		w = ^w
	}
	// Room for nulls at both ends; neighbours may meet.
	return min(max(w, 1), math.MaxUint64-1)
}

func viewPrefix(b []byte) uint64 {
	var w uint64
	for i := range 8 {
		w <<= 8
		if i < len(b) {
			w |= uint64(b[i])
		}
	}
	return w
}

// Combine implements LaneSink.
func (l *sortLane) Combine() error {
	if l.s.limit >= 0 {
		if err := l.shrink(); err != nil {
			return err
		}
	}
	l.s.mu.Lock()
	l.s.parts = append(l.s.parts, l.rows)
	l.s.mu.Unlock()
	return nil
}

// sortPiece is how many rows a task sorts at least.
const sortPiece = 1 << 16

// Finish implements Sink.
func (s *Sort) Finish() ([]func() error, error) {
	if s.phase++; s.phase > 1 {
		return nil, nil
	}
	s.rows = NewRows(s.ts, s.acct)
	for i, r := range s.parts {
		if i == 0 {
			s.rows = r
			continue
		}
		err := s.rows.Absorb(r)
		if err != nil && s.run.CanSpill() {
			err = (&sortLane{s: s, rows: r}).spill()
		}
		if err != nil {
			return nil, err
		}
	}
	s.parts = nil
	n := s.rows.N
	tasks := max(1, min(s.run.Workers, n/sortPiece))
	srt := newSorter(s.rows, s.keys)
	s.order, s.ends = make([]*mem.Array[uint32], tasks), make([]int, tasks)
	var fs []func() error
	for t := range tasks {
		from, to := n*t/tasks, n*(t+1)/tasks
		s.ends[t] = to - from
		fs = append(fs, func() error {
			var err error
			s.order[t], err = srt.sort(from, to, s.acct, s.run)
			if err != nil && s.run.CanSpill() && sqlstate.CodeOf(err) == sqlstate.OutOfMemory {
				s.tight.Store(true)
				return nil
			}
			return err
		})
	}
	return fs, nil
}

// Close implements Sink.
func (s *Sort) Close() {
	for _, r := range s.spills {
		r.close()
	}
	s.acct.Close()
}

// Output makes the operator that reads the rows in order; there is one.
func (s *Sort) Output() (Operator, error) {
	if len(s.spills) > 0 || s.tight.Load() {
		return s.merge()
	}
	o := &sortOutput{s: s}
	o.out.Cols = make([]*vec.Vec, len(s.ts))
	for i := range o.out.Cols {
		o.out.Cols[i] = &vec.Vec{}
	}
	o.left = s.rows.N
	if s.limit >= 0 {
		o.left = min(o.left, s.limit)
	}
	for t, n := range s.ends {
		if n > 0 {
			o.runs.order = append(o.runs.order, s.order[t].Slice(n))
		}
	}
	o.runs.s = s
	heap.Init(&o.runs)
	return o, nil
}

// sortOutput merges the sorted ranges.
type sortOutput struct {
	s    *Sort
	runs runHeap
	left int
	idx  []uint32
	out  vec.Batch
}

// runHeap orders ranges by their next rows; equal ones by row number, so that the
// sort is stable.
type runHeap struct {
	s     *Sort
	order [][]uint32
}

func (h *runHeap) Len() int { return len(h.order) }
func (h *runHeap) Less(i, j int) bool {
	a, b := h.order[i][0], h.order[j][0]
	if c := compareRows(h.s.keys, h.s.rows, int(a), h.s.rows, int(b)); c != 0 {
		return c < 0
	}
	return a < b
}
func (h *runHeap) Swap(i, j int) { h.order[i], h.order[j] = h.order[j], h.order[i] }
func (h *runHeap) Push(any)      {}
func (h *runHeap) Pop() any {
	h.order = h.order[:len(h.order)-1]
	return nil
}

// Next implements Operator.
func (o *sortOutput) Next() (*vec.Batch, error) {
	n := min(o.left, vec.Size)
	if n == 0 {
		return nil, nil
	}
	o.left -= n
	h := &o.runs
	var idx []uint32
	if len(h.order) == 1 {
		idx = h.order[0][:n]
		h.order[0] = h.order[0][n:]
	} else {
		o.idx = grown(o.idx, n)
		for k := range o.idx {
			o.idx[k] = h.order[0][0]
			if h.order[0] = h.order[0][1:]; len(h.order[0]) == 0 {
				heap.Pop(h)
			} else {
				heap.Fix(h, 0)
			}
		}
		idx = o.idx
	}
	for c, v := range o.out.Cols {
		o.s.rows.Gather(c, idx, v)
	}
	o.out.N, o.out.Sel = n, nil
	return &o.out, nil
}

// Close implements Operator.
func (o *sortOutput) Close() {}
