package op

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/sqlstate"
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
	// Flip: a Semi or Anti join whose sides are exchanged, the rows to keep are the
	// stored ones: worth it when they are few beside the others.
	Flip bool
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

	// A build side that does not fit is written to partitions by its keys' hash, and
	// so is the left side; then they are joined partition by partition.
	spilled  atomic.Bool
	right    *partitions // right
	left     *partitions // left
	leftOnce sync.Once
	nullKey  atomic.Bool // a spilled row has a null in a key
	someRow  atomic.Bool // there is a spilled row

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
	s     *JoinBuild
	rows  *Rows
	split splitter
	keys  []*vec.Vec
}

// Add implements LaneSink.
func (l *joinBuildLane) Add(b *vec.Batch) (Flow, error) {
	s := l.s
	if s.spilled.Load() {
		if err := l.spill(); err != nil {
			return Stop, err
		}
		return Continue, l.write(b)
	}
	err := l.rows.Append(b)
	if !s.maySpill() || err != nil && sqlstate.CodeOf(err) != sqlstate.OutOfMemory {
		return Continue, err
	}
	if err != nil || s.run.ForceSpill && l.rows.N >= forcedRows {
		again := err != nil
		s.begin()
		if err = l.spill(); err == nil && again {
			err = l.write(b)
		}
	}
	return Continue, err
}

// maySpill says whether the build side can go to files. Without keys it is one
// partition, of which pieces are joined.
func (s *JoinBuild) maySpill() bool {
	return s.run.CanSpill() && (len(s.spec.Keys) > 0 || s.pieces())
}

// pieces says whether rows of a partition may be joined piece by piece: where the fate
// of a left row does not depend on all its matches.
func (s *JoinBuild) pieces() bool { return s.spec.Kind == plan.Inner }

// begin makes the join one that spills.
func (s *JoinBuild) begin() {
	s.mu.Lock()
	if s.right == nil {
		s.right = newPartitions(s.run, s.spec.Build, joinShift)
	}
	s.mu.Unlock()
	s.spilled.Store(true)
}

// spill writes the lane's rows to the partitions.
func (l *joinBuildLane) spill() error {
	if l.rows.N == 0 {
		return nil
	}
	l.s.someRow.Store(true)
	for i, c := range l.s.spec.Keys {
		if !l.s.spec.NullEqual[i] && l.rows.HasNulls(c) {
			l.s.nullKey.Store(true)
		}
	}
	if err := l.s.right.writeRows(&l.split, l.rows, l.s.spec.Keys); err != nil {
		return err
	}
	l.rows.Free()
	return nil
}

// write writes a batch to the partitions.
func (l *joinBuildLane) write(b *vec.Batch) error {
	if b.Rows() == 0 {
		return nil
	}
	l.s.someRow.Store(true)
	l.keys = l.keys[:0]
	for i, c := range l.s.spec.Keys {
		v := b.Cols[c]
		l.keys = append(l.keys, v)
		if !l.s.spec.NullEqual[i] && anyNull(v, b.Sel, b.N) {
			l.s.nullKey.Store(true)
		}
	}
	return l.s.right.write(&l.split, l.keys, b.Cols, b.Sel, b.N)
}

// Combine implements LaneSink.
func (l *joinBuildLane) Combine() error {
	if l.s.spilled.Load() {
		return l.spill()
	}
	l.s.mu.Lock()
	l.s.parts = append(l.s.parts, l.rows)
	l.s.mu.Unlock()
	return nil
}

// notEmpty says whether the right side has a row; hasNull whether one has a null
// key.
func (s *JoinBuild) notEmpty() bool {
	if s.spilled.Load() {
		return s.someRow.Load()
	}
	return s.table.form != tableEmpty
}

func (s *JoinBuild) hasNull() bool {
	if s.spilled.Load() {
		return s.nullKey.Load()
	}
	return s.table.hasNull
}

// leftSide are the partitions of the left side, whose columns have these types.
func (s *JoinBuild) leftSide(ts []types.T) *partitions {
	s.leftOnce.Do(func() { s.left = newPartitions(s.run, ts, joinShift) })
	return s.left
}

// partLoad reads the rows of a partition of the right side, into one table or, where
// that does not fit, into several one after another.
type partLoad struct {
	r    *partReader
	held *vec.Batch // read, and of the next table
	done bool
}

func (l *partLoad) close() {
	l.r.close()
	l.r, l.held, l.done = nil, nil, true
}

// tableRow is about what the tables of a join take for a row besides the row.
const tableRow = 48

// load begins with partition i.
func (s *JoinBuild) load(i int) (*partLoad, error) {
	r, err := s.right.read(i)
	return &partLoad{r: r, done: r == nil}, err
}

// next makes the next table of a partition.
func (s *JoinBuild) next(l *partLoad) (*joinTable, error) {
	rows := NewRows(s.spec.Build, s.acct)
	for !l.done {
		b := l.held
		if l.held = nil; b == nil {
			var err error
			if b, err = l.r.next(); err != nil {
				rows.Free()
				return nil, err
			}
		}
		if b == nil {
			l.close()
			break
		}
		if s.pieces() && rows.N > 0 && s.full(rows) {
			l.held = b
			break
		}
		if err := rows.Append(b); err != nil {
			if s.pieces() && rows.N > 0 && sqlstate.CodeOf(err) == sqlstate.OutOfMemory {
				l.held = b
				break
			}
			rows.Free()
			return nil, err
		}
		if err := s.run.Interrupted(); err != nil {
			rows.Free()
			return nil, err
		}
	}
	t := newJoinTable(rows, s.spec.Keys, s.spec.NullEqual, s.acct)
	if err := t.plan(s.marks(), 1); err != nil {
		return nil, err
	}
	if t.form != tableEmpty && t.form != tableAll {
		if err := t.chainMemory(); err != nil {
			return nil, err
		}
		if t.form != tableDense {
			t.prepare(0, t.N)
		}
		t.fill(0)
		t.filled()
	}
	return t, nil
}

// full says whether there would be no room for the table of these rows and more.
func (s *JoinBuild) full(rows *Rows) bool {
	if s.run.ForceSpill {
		return rows.N >= forcedRun
	}
	if s.acct.Tight() && rows.Bytes() >= yieldBytes {
		return true // what is above the join takes some too
	}
	need := int64(headroom)
	if len(s.spec.Keys) > 0 {
		need += int64(rows.N) * tableRow
	}
	if !s.acct.TryReserve(need) {
		return true
	}
	s.acct.Release(need)
	return false
}

func (s *JoinBuild) marks() bool {
	return s.spec.Kind == plan.Right || s.spec.Kind == plan.Full || s.spec.Flip
}

// Finish implements Sink: gather the lanes' rows, hash them, fill the table.
func (s *JoinBuild) Finish() ([]func() error, error) {
	s.phase++
	switch s.phase {
	case 1:
		if s.spilled.Load() {
			return nil, s.finishSpill()
		}
		s.rows = NewRows(s.spec.Build, s.acct)
		for len(s.parts) > 0 {
			r := s.parts[0]
			if s.rows.N == 0 {
				s.rows.Free()
				s.rows = r
			} else if err := s.rows.Absorb(r); err != nil {
				if s.maySpill() && sqlstate.CodeOf(err) == sqlstate.OutOfMemory {
					// Together they do not fit: all go to files.
					s.begin()
					s.parts = append(s.parts, s.rows)
					return nil, s.finishSpill()
				}
				return nil, err
			}
			s.parts = s.parts[1:]
		}
		s.table = newJoinTable(s.rows, s.spec.Keys, s.spec.NullEqual, s.acct)
		if err := s.table.plan(s.marks(), s.run.Workers); err != nil {
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

// finishSpill ends writing; lanes that had ended before the first spilled still
// have their rows.
func (s *JoinBuild) finishSpill() error {
	for _, r := range s.parts {
		l := &joinBuildLane{s: s, rows: r}
		if err := l.spill(); err != nil {
			return err
		}
	}
	s.parts = nil
	return s.right.finish()
}

// Close implements Sink.
func (s *JoinBuild) Close() {
	s.right.close()
	s.left.close()
	s.acct.Close()
}

// KeyFilter describes key i, for scans that the join narrows.
func (s *JoinBuild) KeyFilter(i int) *KeyFilter {
	s.once[i].Do(func() { s.makeFilter(i) })
	return &s.filters[i]
}

func (s *JoinBuild) makeFilter(i int) {
	f, t := &s.filters[i], s.table
	if s.spilled.Load() {
		return
	}
	if t.form == tableEmpty {
		f.None = true
		return
	}
	if t.form == tableHashed || t.form == tableAll || t.nullEqual[i] {
		return
	}
	f.Min, f.Max = types.NewInt(t.min[i]), types.NewInt(int64(uint64(t.min[i])+t.span[i]))
	kt := t.rows.T[t.keys[i]]
	if kt.Layout == types.LayoutBool || kt.Layout == types.LayoutI32 && types.UnsignedI32(kt.OID) || kt.Layout == types.LayoutI64 && types.UnsignedI64(kt.OID) {
		// The bounds are those of the bits taken as signed.
		f.Min, f.Max = types.Null, types.Null
	}
	if t.form == tableDense && len(t.keys) == 1 {
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
	shift, mask := t.shift[i]&63, uint64(1)<<uint(bits.Len64(t.span[i]))-1
	add := func(w uint64) {
		h := kernel.HashU64(w>>shift&mask + uint64(t.min[i]))
		bloom[h>>32&uint64(size-1)] |= bloomBits(h)
	}
	if t.form == tableDense {
		for w, head := range t.heads.Slice(int(t.width)) {
			if head != 0 {
				add(uint64(w))
			}
		}
	} else {
		for r, w := range t.words.Slice(t.N) {
			if !t.skipped(r) {
				add(w)
			}
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
