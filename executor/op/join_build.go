package op

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// JoinSpec says what a hash join does.
type JoinSpec struct {
	Kind      plan.JoinKind
	Build     []types.T // the stored columns of the right side
	Keys      []int     // stored columns that are keys
	NullEqual []bool
	NullAware bool // Anti with the semantics of NOT IN
	TwoValued bool // Mark is never null
}

// JoinBuild is the sink of a hash join's right side, and the table that the lanes
// of its left side probe.
type JoinBuild struct {
	spec JoinSpec
	run  *Run
	acct *mem.Account

	mu    sync.Mutex
	parts []*Rows
	rows  *Rows
	table *joinTable
	phase int

	ended   atomic.Int64 // probing lanes that have had all their input
	filters []KeyFilter
	once    []sync.Once
}

// NewJoinBuild makes the sink.
func NewJoinBuild(run *Run, spec JoinSpec) *JoinBuild {
	acct := run.Account.Child("hash join", 0)
	return &JoinBuild{spec: spec, run: run, acct: acct, filters: make([]KeyFilter, len(spec.Keys)), once: make([]sync.Once, len(spec.Keys))}
}

// Lane implements Sink.
func (s *JoinBuild) Lane(*Lane) (LaneSink, error) {
	return &joinBuildLane{s: s, rows: NewRows(s.spec.Build, s.acct)}, nil
}

type joinBuildLane struct {
	s    *JoinBuild
	rows *Rows
}

func (l *joinBuildLane) Add(b *vec.Batch) (Flow, error) { return Continue, l.rows.Append(b) }

func (l *joinBuildLane) Combine() error {
	l.s.mu.Lock()
	l.s.parts = append(l.s.parts, l.rows)
	l.s.mu.Unlock()
	return nil
}

// Finish implements Sink: gather the lanes' rows, hash them, fill the table.
func (s *JoinBuild) Finish() ([]func() error, error) {
	s.phase++
	switch s.phase {
	case 1:
		s.rows = NewRows(s.spec.Build, s.acct)
		for i, r := range s.parts {
			if i == 0 {
				s.rows = r
			} else if err := s.rows.Absorb(r); err != nil {
				return nil, err
			}
		}
		s.parts = nil
		s.table = newJoinTable(s.rows, s.spec.Keys, s.spec.NullEqual, s.acct)
		marks := s.spec.Kind == plan.Right || s.spec.Kind == plan.Full
		if err := s.table.plan(marks, s.run.Workers); err != nil {
			return nil, err
		}
		if s.table.form == tableEmpty || s.table.form == tableAll {
			return nil, nil
		}
		if err := s.table.chainMemory(); err != nil {
			return nil, err
		}
		if s.table.form == tableDense {
			return []func() error{func() error { s.table.fillDense(); return s.run.Interrupted() }}, nil
		}
		// Hash in ranges.
		var tasks []func() error
		const piece = 64 * vec.Size
		for from := 0; from < s.table.N; from += piece {
			tasks = append(tasks, func() error {
				s.table.prepare(from, min(from+piece, s.table.N))
				return nil
			})
		}
		return tasks, nil
	case 2:
		if s.table.form == tableDense || s.table.form == tableEmpty {
			s.table.filled()
			return nil, nil
		}
		var tasks []func() error
		for p := range s.table.parts {
			tasks = append(tasks, func() error { s.table.fill(p); return s.run.Interrupted() })
		}
		return tasks, nil
	case 3:
		s.table.filled()
	}
	return nil, nil
}

// Close implements Sink.
func (s *JoinBuild) Close() { s.acct.Close() }

// KeyFilter describes key i, for scans that the join narrows.
func (s *JoinBuild) KeyFilter(i int) *KeyFilter {
	s.once[i].Do(func() { s.makeFilter(i) })
	return &s.filters[i]
}

func (s *JoinBuild) makeFilter(i int) {
	f, t := &s.filters[i], s.table
	if t.form == tableEmpty {
		f.None = true
		return
	}
	if t.form == tableHashed || t.form == tableAll || t.nullEqual[i] {
		return
	}
	f.Min, f.Max = types.NewInt(t.min[i]), types.NewInt(int64(uint64(t.min[i])+t.span[i]))
	if kt := t.rows.T[t.keys[i]]; kt.Layout == types.LayoutBool {
		f.Min, f.Max = types.Null, types.Null
	}
	if len(t.keys) != 1 {
		return
	}
	if t.form == tableDense {
		heads := t.heads.Slice(int(t.width))
		f.Refine = func(v *vec.Vec, sel, out []uint16) int { return refineDense(v, sel, out, uint64(t.min[0]), heads) }
		return
	}
	// One word of a Bloom filter for each key, two bits in it.
	size := 1024
	for size < t.N/4 {
		size *= 2
	}
	m := mem.Array[uint64]{Buffer: mem.Buffer{Account: s.acct}}
	if m.Grow(size) != nil {
		return // a filter is not worth an error
	}
	bloom := m.Slice(size)
	for r, w := range t.words.Slice(t.N) {
		if !t.skipped(r) {
			h := kernel.HashU64(w + uint64(t.min[0]))
			bloom[h>>32&uint64(size-1)] |= bloomBits(h)
		}
	}
	f.Refine = func(v *vec.Vec, sel, out []uint16) int { return refineBloom(v, sel, out, bloom) }
}

func bloomBits(h uint64) uint64 { return 1<<(h&63) | 1<<(h>>6&63) }

func refineDense(v *vec.Vec, sel, out []uint16, lo uint64, heads []uint32) int {
	switch {
	case v.Form == vec.Flat && v.Valid == nil && v.T.Layout == types.LayoutI64:
		return refineDenseFlat(v.I64, sel, out, lo, heads)
	case v.Form == vec.Flat && v.Valid == nil && v.T.Layout == types.LayoutI32:
		return refineDenseFlat(v.I32, sel, out, lo, heads)
	}
	m := 0
	s := v.Source()
	for _, r := range sel {
		if v.IsNull(int(r)) {
			continue
		}
		d := uint64(intAt(s, v.Index(int(r)))) - lo
		if d < uint64(len(heads)) && heads[d] != 0 {
			out[m] = r
			m++
		}
	}
	return m
}

func refineDenseFlat[E int32 | int64](v []E, sel, out []uint16, lo uint64, heads []uint32) int {
	m := 0
	for _, r := range sel {
		out[m] = r
		d := uint64(v[r]) - lo
		if d < uint64(len(heads)) && heads[d] != 0 {
			m++
		}
	}
	return m
}

func refineBloom(v *vec.Vec, sel, out []uint16, bloom []uint64) int {
	m := 0
	mask := uint64(len(bloom) - 1)
	switch {
	case v.Form == vec.Flat && v.Valid == nil && v.T.Layout == types.LayoutI64:
		for _, r := range sel {
			h := kernel.HashU64(uint64(v.I64[r]))
			b := bloomBits(h)
			out[m] = r
			if bloom[h>>32&mask]&b == b {
				m++
			}
		}
		return m
	case v.Form == vec.Flat && v.Valid == nil && v.T.Layout == types.LayoutI32:
		for _, r := range sel {
			h := kernel.HashU64(uint64(v.I32[r]))
			b := bloomBits(h)
			out[m] = r
			if bloom[h>>32&mask]&b == b {
				m++
			}
		}
		return m
	}
	s := v.Source()
	for _, r := range sel {
		if v.IsNull(int(r)) {
			continue
		}
		h := kernel.HashU64(uint64(intAt(s, v.Index(int(r)))))
		b := bloomBits(h)
		out[m] = r
		if bloom[h>>32&mask]&b == b {
			m++
		}
	}
	return m
}
