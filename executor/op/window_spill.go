package op

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/agg"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
)

// A window whose rows do not fit sorts them by partition and order in runs on disk,
// and computes the functions while it reads them merged, some whole partitions at a
// time, each time as a Window of its own in memory.
//
// A partition that does not fit is computed in pieces that end between peers, if all
// functions need no more of the rows before than what windowCarry keeps.

// maySpill says whether an error is one that spilling helps against.
func (w *Window) maySpill(err error) bool {
	return err != nil && w.run.CanSpill() && sqlstate.CodeOf(err) == sqlstate.OutOfMemory
}

// spill makes runs of all rows and begins to read them.
func (w *Window) spill() error {
	rows := w.Rows
	w.Rows = NewRows(w.sort.ts, w.acct)
	w.free()
	w.sort.rows = rows
	in, err := w.sort.merge()
	if err != nil {
		return err
	}
	s := &windowStream{w: w, in: in, chunk: NewRows(w.sort.ts, w.acct)}
	s.keys = w.sort.keys[:len(w.spec.Partition)]
	if w.spec.carries() {
		s.carry = &windowCarry{funcs: w.spec.Funcs, states: make([]agg.State, len(w.spec.Funcs))}
	}
	for range w.sort.ts {
		s.rest = append(s.rest, &vec.Vec{})
	}
	w.stream = s
	return nil
}

// windowStream computes the functions over sorted rows.
type windowStream struct {
	w     *Window
	in    Operator
	keys  []SortCol // of partitions
	chunk *Rows     // rows that were read, and not computed yet
	cut   int       // where the last partition of chunk begins
	ended bool
	carry *windowCarry // nil: partitions are never cut

	win *Window       // computes a chunk
	src *windowSource // reads it
	out vec.Batch

	rest []*vec.Vec
	idx  []uint32
}

// streamRows is how many rows a chunk has at least; forcedChunk when spilling is
// forced.
const (
	streamRows  = taskRows / 2
	forcedChunk = 100
)

func (s *windowStream) enough() int {
	if s.w.run.ForceSpill {
		return forcedChunk
	}
	return streamRows
}

// pieceRows is how many rows a piece of a partition has that is cut.
const pieceRows = 2 * streamRows

// Next implements Operator.
func (s *windowStream) Next() (*vec.Batch, error) {
	if s.src != nil {
		b, err := s.src.Next()
		if b != nil || err != nil {
			return b, err
		}
		s.win.free()
		s.win, s.src = nil, nil
	}
	if s.ended {
		if s.chunk.N == 0 {
			return nil, nil
		}
		return empty(&s.out), s.compute(s.chunk.N, false)
	}
	b, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	if b == nil {
		s.ended = true
		return empty(&s.out), nil
	}
	from := s.chunk.N
	err = s.chunk.Append(b)
	if s.w.maySpill(err) && s.chunk.N > 0 {
		// Make room, then take the batch again: it is lent until the next call.
		if err = s.compute(s.cutAt()); err == nil {
			err = s.chunk.Append(b)
			from = 0
		}
	}
	if err != nil {
		return nil, err
	}
	for i := max(from, 1); i < s.chunk.N; i++ {
		if compareRows(s.keys, s.chunk, i-1, s.chunk, i) != 0 {
			s.cut = i
		}
	}
	if s.src == nil {
		if n, open := s.cutAt(); n > 0 && (!open && n >= s.enough() || open && s.chunk.N >= s.piece()) {
			err = s.compute(n, open)
		}
	}
	return empty(&s.out), err
}

func (s *windowStream) piece() int {
	if s.w.run.ForceSpill {
		return 2 * forcedChunk
	}
	return pieceRows
}

// cutAt is where the chunk may be cut, 0 for nowhere, and whether a partition goes on
// behind.
func (s *windowStream) cutAt() (n int, open bool) {
	if s.cut > 0 || s.carry == nil {
		return s.cut, false
	}
	// Before the last peers.
	keys := s.w.sort.keys
	for i := s.chunk.N - 1; i > 0; i-- {
		if compareRows(keys, s.chunk, i-1, s.chunk, i) != 0 {
			return i, true
		}
	}
	return 0, false
}

// compute begins to yield the first n rows of the chunk. With open the partition
// that they end with goes on.
func (s *windowStream) compute(n int, open bool) error {
	w := s.w
	if n == 0 {
		return sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").
			WithDetail("A partition of a window is too large.")
	}
	rows := s.chunk
	s.chunk, s.cut = NewRows(w.sort.ts, w.acct), 0
	for at := n; at < rows.N; at += vec.Size {
		s.idx = grown(s.idx, min(vec.Size, rows.N-at))
		for k := range s.idx {
			s.idx[k] = uint32(at + k)
		}
		for c, v := range s.rest {
			rows.Gather(c, s.idx, v)
		}
		if err := s.chunk.AppendCols(s.rest, nil, len(s.idx)); err != nil {
			return err
		}
	}
	rows.N = n
	s.win = newWindow(w.run, w.spec, w.acct, rows)
	s.win.sort = w.sort
	if s.carry != nil {
		s.win.from = s.carry
		s.carry.open = open
	}
	fs, err := s.win.prepare()
	for i := 0; i < len(fs) && err == nil; i++ {
		err = fs[i]()
	}
	if err != nil {
		return err
	}
	s.win.complete()
	s.src = s.win.source()
	return nil
}

// Close implements Operator.
func (s *windowStream) Close() { s.in.Close() }

// windowCarry is what the rows of a partition that were computed leave for the rest
// of it.
type windowCarry struct {
	funcs  []WindowFunc
	rows   int64 // that were
	peers  int64 // groups of peers
	states []agg.State
	open   bool // the last partition of the chunk at hand goes on
}

// carries says whether all functions can go on within a partition.
func (s *WindowSpec) carries() bool {
	for i := range s.Funcs {
		f := &s.Funcs[i]
		if f.Agg != nil {
			// A frame that ends with the row or its peers: what comes after has no part in it.
			if !f.Frame.prefix() || f.Frame.End.Kind != plan.CurrentRow || f.Frame.whole(len(s.Order) > 0) {
				return false
			}
			continue
		}
		switch f.Call.Fn.Name {
		case "row_number", "rank", "dense_rank":
		default:
			return false
		}
	}
	return true
}

// begin gives the state of the first partition what was there before.
func (c *windowCarry) begin(f *WindowFunc, st agg.State) error {
	for i := range c.funcs {
		if &c.funcs[i] == f && c.states[i] != nil {
			old := c.states[i]
			c.states[i] = nil
			return st.Merge(old, []uint32{0}, []uint32{0})
		}
	}
	return nil
}

// shift adds to the numbers of the first partition what was there before.
func (c *windowCarry) shift(i int, out *vec.Vec, n int) {
	f := &c.funcs[i]
	if f.Agg != nil || c.rows == 0 {
		return
	}
	by := c.rows
	if f.Call.Fn.Name == "dense_rank" {
		by = c.peers
	}
	for k := out.N - n; k < out.N; k++ {
		out.I64[k] += by
	}
}

// carry keeps what the last partition of the chunk leaves, if it goes on.
func (t *windowTask) carry() error {
	c := t.w.from
	first := t.first+t.part == 0 // the partition that was begun before is the last too
	if !c.open {
		c.rows, c.peers = 0, 0
		return nil
	}
	if !first {
		c.rows, c.peers = 0, 0
	}
	c.rows += int64(t.n)
	for i := range t.n {
		if int(t.peerStart[i]) == i {
			c.peers++
		}
	}
	for i, call := range t.calls {
		p, ok := call.(*prefixCall)
		if !ok {
			continue
		}
		st, err := agg.New(c.funcs[i].Agg)
		if err != nil {
			return err
		}
		st.Grow(1)
		if err := st.Merge(p.state, []uint32{uint32(t.part)}, []uint32{0}); err != nil {
			return err
		}
		c.states[i] = st
	}
	return nil
}
