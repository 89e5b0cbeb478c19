package op

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/agg"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// AggSpec says what an aggregation does. Its input has the group keys as the first
// columns; arguments, filters and order keys are columns too.
type AggSpec struct {
	Keys []types.T
	// Bounds enclose integer keys where they are known; nil for none. Expect is about
	// how many groups there will be, 0 when it is unknown.
	Bounds []KeyBounds
	Expect float64
	// Dependent keys are determined by the others: the groups are found without them.
	// Only with a single set.
	Dependent []bool
	// Sets are the grouping sets, as positions in Keys; one for a plain GROUP BY.
	Sets [][]int
	Aggs []AggCall
}

// AggCall is one aggregate.
type AggCall struct {
	Call     agg.Call
	Args     []int // columns of the input
	Filter   int   // a bool column, -1: none
	Distinct bool
	// Order sorts the rows of each group; Col counts in Args and then in Extra.
	Order      []SortCol
	Extra      []int // columns that only Order needs
	ExtraTypes []types.T
}

// Aggregate is the sink of an aggregation. Each lane has a table of its own for
// each grouping set; Finish merges them, by partitions of the groups' hashes when
// there are many, and what it yields are the merged tables.
//
// Rows of a DISTINCT or ordered aggregate are kept until then, unless there is one
// lane, which can tell at once whether a value is new.
type Aggregate struct {
	run   *Run
	acct  *mem.Account
	spec  *AggSpec
	mu    sync.Mutex
	lanes []*aggLane
	// tables has the merged tables of each set.
	tables []aggOut
	phase  int
	// spills has for each set the rows that found no room: see aggregate_spill.go.
	spills []atomic.Pointer[partitions]
	// lazy marks the sets whose tables are made by partition when they are read.
	lazy  []atomic.Bool
	short []bool // lazy, since memory is short
	mixed []bool
	// apart has for each set and aggregate the values of a DISTINCT one that found no
	// room: only of sets without keys, whose rows cannot be parted by group.
	apart [][]atomic.Pointer[unique]
}

// aggOut is a part of the output: a table, or the partition of a set that spilled,
// whose table is made when it is read.
type aggOut struct {
	set   int
	table *aggTable
	part  int
}

// NewAggregate makes the sink.
func NewAggregate(run *Run, spec *AggSpec) *Aggregate {
	s := &Aggregate{run: run, acct: run.Account.Child("aggregate", 0), spec: spec, spills: make([]atomic.Pointer[partitions], len(spec.Sets)),
		lazy: make([]atomic.Bool, len(spec.Sets)), short: make([]bool, len(spec.Sets)), apart: make([][]atomic.Pointer[unique], len(spec.Sets))}
	for k := range s.apart {
		s.apart[k] = make([]atomic.Pointer[unique], len(spec.Aggs))
	}
	for i := range spec.Aggs {
		spec.Aggs[i].Call.Ended = s.acct.Ended
	}
	return s
}

// aggTable is the groups of one set and their states.
type aggTable struct {
	spec   *AggSpec
	set    []int // keys by which groups are found
	deps   []int // dependent keys
	acct   *mem.Account
	own    *mem.Account // closed with the table
	groups *Groups
	dep    *Rows // of deps, by group
	states []agg.State
	seen   []*Groups // of DISTINCT: group and arguments
	rows   []*Rows   // of ordered aggregates, or of DISTINCT ones to merge: group, arguments, order keys
	direct bool      // one lane: DISTINCT rows go to the states at once
	run    *Run
	apart  []atomic.Pointer[unique] // by aggregate, of a set without keys
	split  splitter

	gids    []uint32
	keys    []*vec.Vec
	args    []*vec.Vec
	gidVec  vec.Vec
	sel     []uint16
	sub     []uint32
	kept    []*vec.Vec // of keep: columns, groups found, rows that are new
	ids     []uint32
	fresh   []uint16
	charged int64
	grown   int // groups that the states know
	roomy   int // groups that they have room for, where that was made ahead
	rowsIn  int
	lane    bool // a lane's, which stops growing when memory is short
}

func (s *Aggregate) newTable(k int, direct bool, acct *mem.Account) (*aggTable, error) {
	set := s.spec.Sets[k]
	t := &aggTable{spec: s.spec, acct: acct, direct: direct, run: s.run}
	if len(set) == 0 {
		t.apart = s.apart[k]
	}
	var ts, dts []types.T
	var bounds []KeyBounds
	for _, k := range set {
		if s.spec.Dependent != nil && s.spec.Dependent[k] {
			t.deps = append(t.deps, k)
			dts = append(dts, s.spec.Keys[k])
			continue
		}
		t.set = append(t.set, k)
		ts = append(ts, s.spec.Keys[k])
		if s.spec.Bounds != nil {
			bounds = append(bounds, s.spec.Bounds[k])
		}
	}
	t.groups = NewGroupsIn(ts, bounds, s.spec.Expect, acct)
	if len(t.deps) > 0 {
		t.dep = NewRows(dts, acct)
	}
	t.states = make([]agg.State, len(s.spec.Aggs))
	t.seen = make([]*Groups, len(s.spec.Aggs))
	t.rows = make([]*Rows, len(s.spec.Aggs))
	for i := range s.spec.Aggs {
		a := &s.spec.Aggs[i]
		var err error
		if t.states[i], err = agg.New(&a.Call); err != nil {
			return nil, err
		}
		row := append([]types.T{types.Int4}, a.Call.Args...)
		if a.Distinct {
			t.seen[i] = NewGroups(row, acct)
		}
		if len(a.Order) > 0 {
			t.rows[i] = NewRows(append(row, a.ExtraTypes...), acct)
		}
	}
	return t, nil
}

// Lane implements Sink.
func (s *Aggregate) Lane(l *Lane) (LaneSink, error) {
	a := &aggLane{s: s, count: l.Count, parted: make([]*parted, len(s.spec.Sets))}
	for k := range s.spec.Sets {
		t, err := s.newTable(k, l.Count == 1, s.acct)
		if err != nil {
			return nil, err
		}
		t.lane = s.run.CanSpill() && len(t.set) > 0
		a.tables = append(a.tables, t)
	}
	return a, nil
}

type aggLane struct {
	s      *Aggregate
	count  int // of lanes
	tables []*aggTable
	parts  [][]uint8  // by set: the partition of each group
	remap  [][]uint32 // by set: group in the merged partition
	order  [][]uint32 // by set: groups by partition
	bounds [][]int
	split  splitter
	parted []*parted // by set: rows that the tables did not take
}

// Add implements LaneSink.
func (l *aggLane) Add(b *vec.Batch) (Flow, error) {
	for k := range l.tables {
		if err := l.add(k, b); err != nil {
			return Stop, err
		}
	}
	return Continue, nil
}

// Combine implements LaneSink.
func (l *aggLane) Combine() error {
	l.s.mu.Lock()
	l.s.lanes = append(l.s.lanes, l)
	l.s.mu.Unlock()
	return nil
}

// add takes a batch's rows into the groups.
func (t *aggTable) add(b *vec.Batch) error {
	if err := t.find(b); err != nil {
		return err
	}
	return t.update(b)
}

// keyCols sets keys to the batch's columns of the set.
func (t *aggTable) keyCols(b *vec.Batch) {
	t.keys = t.keys[:0]
	for _, k := range t.set {
		t.keys = append(t.keys, b.Cols[k])
	}
}

// find finds the groups of a batch's rows. If it fails the table has the groups that it
// had, and takes no more batches.
func (t *aggTable) find(b *vec.Batch) error {
	had := t.groups.N
	err := t.findGroups(b)
	if err != nil {
		t.groups.N = had // new ones have no states, nor perhaps dependent keys
	}
	return err
}

func (t *aggTable) findGroups(b *vec.Batch) error {
	t.gids = grown(t.gids, b.Rows())
	t.keyCols(b)
	if err := t.groups.Find(t.keys, b.Sel, b.N, t.gids); err != nil || len(t.deps) == 0 {
		return err
	}
	t.args = t.args[:0]
	for _, k := range t.deps {
		t.args = append(t.args, b.Cols[k])
	}
	return t.depend(t.args, b.Sel)
}

// depend keeps the dependent keys of the groups that the last Find made.
func (t *aggTable) depend(cols []*vec.Vec, sel []uint16) error {
	fresh := t.groups.Fresh
	if len(fresh) == 0 {
		return nil
	}
	t.sel = grown(t.sel, len(fresh))
	for i, k := range fresh {
		t.sel[i] = uint16(physRow(sel, k))
	}
	return t.dep.AppendCols(cols, t.sel, 0)
}

// update gives the states the rows of a batch whose groups were found.
func (t *aggTable) update(b *vec.Batch) error {
	n := b.Rows()
	grew := t.groups.N > t.grown
	t.grown = t.groups.N
	for i := range t.spec.Aggs {
		a := &t.spec.Aggs[i]
		if grew {
			t.states[i].Grow(t.groups.N)
		}
		sel, gids := b.Sel, t.gids[:n]
		if a.Filter >= 0 {
			sel, gids = t.filtered(b, b.Cols[a.Filter])
			if len(sel) == 0 {
				continue
			}
		}
		t.args = t.args[:0]
		for _, c := range a.Args {
			t.args = append(t.args, b.Cols[c])
		}
		if !a.Distinct && len(a.Order) == 0 {
			if err := t.states[i].Update(t.args, sel, len(gids), gids); err != nil {
				return err
			}
			continue
		}
		for _, c := range a.Extra {
			t.args = append(t.args, b.Cols[c])
		}
		if err := t.keep(i, sel, b.N, gids); err != nil {
			return err
		}
	}
	return t.charge()
}

// charge accounts for what the states hold: some grow with the rows of a group.
func (t *aggTable) charge() error {
	n := int64(0)
	for _, s := range t.states {
		n += s.Bytes()
	}
	if n <= t.charged {
		return nil
	}
	if more := n + n/8; t.acct.TryReserve(more - t.charged) {
		t.charged = more
		return nil
	}
	if t.lane {
		t.acct.Charge(n - t.charged) // of one batch; the next one finds the table full
	} else if err := t.acct.Reserve(n - t.charged); err != nil {
		return err
	}
	t.charged = n
	return nil
}

// bytes is the memory of the table.
func (t *aggTable) bytes() int64 {
	n := t.groups.Bytes() + t.charged
	if t.dep != nil {
		n += t.dep.Bytes()
	}
	for i := range t.seen {
		if t.seen[i] != nil {
			n += t.seen[i].Bytes()
		}
		if t.rows[i] != nil {
			n += t.rows[i].Bytes()
		}
	}
	return n
}

// filtered are the rows for which a FILTER holds, and their groups.
func (t *aggTable) filtered(b *vec.Batch, cond *vec.Vec) ([]uint16, []uint32) {
	sel, sub := t.sel[:0], t.sub[:0]
	for k, r := range rowsOf(b) {
		if !cond.IsNull(int(r)) && vec.Bit(cond.Source().Bits, cond.Index(int(r))) {
			sel = append(sel, r)
			sub = append(sub, t.gids[k])
		}
	}
	t.sel, t.sub = sel, sub
	return sel, sub
}

// keep takes the rows of a DISTINCT or ordered aggregate: t.args are its arguments
// and extra columns.
func (t *aggTable) keep(i int, sel []uint16, n int, gids []uint32) error {
	a := &t.spec.Aggs[i]
	// The group as a column beside the arguments, at the same rows.
	g := &t.gidVec
	g.Reset(types.Int4)
	g.Grow(n)
	g.N = n
	if sel == nil {
		for k, id := range gids {
			g.I32[k] = int32(id)
		}
	} else {
		for k, id := range gids {
			g.I32[sel[k]] = int32(id)
		}
	}
	t.kept = append(append(t.kept[:0], g), t.args...)
	cols := t.kept
	if a.Distinct {
		seen := t.seen[i]
		mayPart := t.apart != nil && len(a.Order) == 0
		if mayPart && (t.apart[i].Load() != nil || t.run.scarce(t.acct, seen.N)) {
			return t.keepApart(i, sel, n)
		}
		t.ids = grown(t.ids, len(gids))
		if err := seen.Find(cols[:1+len(a.Args)], sel, n, t.ids); err != nil {
			if mayPart && t.run.spillsFor(err) {
				return t.keepApart(i, sel, n)
			}
			return err
		}
		t.fresh = seen.FreshRows(sel, t.fresh)
		fresh := t.fresh
		if len(fresh) == 0 {
			return nil
		}
		if len(a.Order) == 0 {
			if !t.direct {
				return nil // kept in seen
			}
			t.ids = t.ids[:len(fresh)]
			for k, r := range fresh {
				t.ids[k] = uint32(g.I32[r])
			}
			return t.states[i].Update(t.args[:len(a.Args)], fresh, len(fresh), t.ids)
		}
		sel = fresh
	}
	return t.rows[i].AppendCols(cols, sel, n)
}

// finish gives the states what was kept in order.
func (t *aggTable) finish(run *Run) error {
	for i := range t.spec.Aggs {
		a := &t.spec.Aggs[i]
		if t.apart != nil && t.apart[i].Load() != nil {
			if err := t.finishApart(i); err != nil {
				return err
			}
		}
		if t.rows[i] == nil || t.rows[i].N == 0 {
			continue
		}
		r := t.rows[i]
		keys := []SortCol{{Col: 0}}
		for _, k := range a.Order {
			k.Col++
			keys = append(keys, k)
		}
		idx, err := newSorter(r, keys).sort(0, r.N, t.acct, run)
		if err != nil {
			return err
		}
		args := make([]*vec.Vec, len(a.Args))
		for k := range args {
			args[k] = &vec.Vec{}
		}
		var g vec.Vec
		all := idx.Slice(r.N)
		for from := 0; from < len(all); from += vec.Size {
			part := all[from:min(from+vec.Size, len(all))]
			r.Gather(0, part, &g)
			for k, v := range args {
				r.Gather(1+k, part, v)
			}
			t.gids = grown(t.gids, len(part))
			for k, x := range g.I32[:len(part)] {
				t.gids[k] = uint32(x)
			}
			if err := t.states[i].Update(args, nil, len(part), t.gids); err != nil {
				return err
			}
			if err := run.Interrupted(); err != nil {
				return err
			}
		}
		idx.Free()
		r.Free()
	}
	return t.charge()
}

// mergeParts is the number of partitions when many groups are merged; mergeMin is
// how many groups are many.
const (
	mergeParts = 64
	mergeMin   = 8192
)

// Finish implements Sink.
func (s *Aggregate) Finish() ([]func() error, error) {
	s.phase++
	switch s.phase {
	case 1:
		// A set without keys has a group even when there are no rows.
		for _, l := range s.lanes[:1] {
			for _, t := range l.tables {
				if len(t.set) == 0 && t.groups.N == 0 {
					if err := t.groups.Find(nil, nil, 1, grown(t.gids, 1)); err != nil {
						return nil, err
					}
					for _, st := range t.states {
						st.Grow(1)
					}
				}
			}
		}
		lazy := false
		for k := range s.spills {
			s.fit(k)
			lazy = lazy || s.lazy[k].Load()
		}
		if len(s.lanes) == 1 && !lazy {
			var fs []func() error
			for k, t := range s.lanes[0].tables {
				s.tables = append(s.tables, aggOut{k, t, -1})
				fs = append(fs, func() error { return t.finish(s.run) })
			}
			s.lanes = nil
			return fs, nil
		}
		s.compareForms()
		var fs []func() error
		for _, l := range s.lanes {
			fs = append(fs, func() error {
				l.partition()
				for k := range s.spills {
					if p := s.spills[k].Load(); p != nil {
						if err := l.flush(k, p); err != nil {
							return err
						}
					}
				}
				return s.run.Interrupted()
			})
		}
		return fs, nil
	case 2:
		for k := range s.spills {
			if p := s.spills[k].Load(); p != nil {
				if err := p.finish(); err != nil {
					return nil, err
				}
			}
		}
		var fs []func() error
		for k := range s.spec.Sets {
			if len(s.lanes) == 0 {
				break
			}
			if s.lazy[k].Load() {
				for p := range mergeParts {
					s.tables = append(s.tables, aggOut{k, nil, p})
				}
				continue
			}
			groups := 0
			for _, l := range s.lanes {
				groups += l.tables[k].groups.N
			}
			if groups < mergeMin {
				fs = append(fs, func() error { return s.merge(k, 0, mergeParts) })
				continue
			}
			for p := range mergeParts {
				fs = append(fs, func() error { return s.merge(k, p, p+1) })
			}
		}
		if len(fs) > 0 {
			return fs, nil
		}
		fallthrough
	case 3:
		for _, l := range s.lanes {
			for k, t := range l.tables {
				if !s.lazy[k].Load() {
					t.free()
				}
			}
		}
	}
	return nil, nil
}

func (t *aggTable) free() {
	t.groups.Free()
	t.dep.Free()
	for i := range t.seen {
		t.seen[i].Free()
		t.rows[i].Free()
	}
	t.freeStates()
	t.own.Close()
}

func (t *aggTable) freeStates() {
	t.states = nil
	t.acct.Release(t.charged)
	t.charged = 0
}

// compareForms notes the sets whose tables differ in form: one found keys that it
// could not pack, or no room for a dense array. Partitions are then not cut by what
// the tables have.
func (s *Aggregate) compareForms() {
	s.mixed = make([]bool, len(s.spec.Sets))
	for k := range s.spec.Sets {
		first := s.lanes[0].tables[k].groups
		for _, l := range s.lanes[1:] {
			g := l.tables[k].groups
			s.mixed[k] = s.mixed[k] || (g.packed == nil) != (first.packed == nil) || g.size != first.size
		}
	}
}

// partition lists the lane's groups by partition.
func (l *aggLane) partition() {
	for k, t := range l.tables {
		n := t.groups.N
		if l.s.acct.Ended() {
			n = 0
		}
		of := make([]uint8, n)
		if n > 0 && len(t.set) > 0 {
			t.groups.partition(of, l.s.lazy[k].Load() || l.s.mixed[k])
		}
		bounds := make([]int, mergeParts+1)
		for i, p := range of {
			if i&lookMask == 0 && l.s.acct.Ended() {
				return
			}
			bounds[p+1]++
		}
		for p := range mergeParts {
			bounds[p+1] += bounds[p]
		}
		order := make([]uint32, n)
		at := append([]int(nil), bounds...)
		for i, p := range of {
			if i&lookMask == 0 && l.s.acct.Ended() {
				return
			}
			order[at[p]] = uint32(i)
			at[p]++
		}
		l.parts = append(l.parts, of)
		l.order, l.bounds = append(l.order, order), append(l.bounds, bounds)
		l.remap = append(l.remap, make([]uint32, n))
	}
}

// merge makes one table of the partitions from..to-1 of all lanes' tables of a set.
func (s *Aggregate) merge(set, from, to int) error {
	dst, err := s.newTable(set, true, s.acct)
	if err != nil {
		return err
	}
	switch {
	case s.mixed[set]:
		dst.groups.size = 0
	case to == from+1:
		dst.groups.part(from)
	}
	if err := s.mergeInto(dst, set, from, to); err != nil {
		return err
	}
	if dst.groups.N == 0 {
		dst.free()
		return nil
	}
	if err := dst.finish(s.run); err != nil {
		return err
	}
	s.mu.Lock()
	s.tables = append(s.tables, aggOut{set, dst, -1})
	s.mu.Unlock()
	return nil
}

// mergeInto adds the partitions from..to-1 of all lanes' tables of a set to dst.
func (s *Aggregate) mergeInto(dst *aggTable, set, from, to int) error {
	keys := make([]*vec.Vec, len(dst.set))
	for i := range keys {
		keys[i] = &vec.Vec{}
	}
	deps := make([]*vec.Vec, len(dst.deps))
	for i := range deps {
		deps[i] = &vec.Vec{}
	}
	ids := make([]uint32, vec.Size)
	for _, l := range s.lanes {
		src := l.tables[set]
		all := l.order[set][l.bounds[set][from]:l.bounds[set][to]]
		for len(all) > 0 {
			chunk := all[:min(len(all), vec.Size)]
			all = all[len(chunk):]
			src.groups.gatherShared(chunk, keys)
			if err := dst.groups.Find(keys, nil, len(chunk), ids); err != nil {
				return err
			}
			if len(deps) > 0 && len(dst.groups.Fresh) > 0 {
				for i, v := range deps {
					src.dep.Gather(i, chunk, v)
				}
				if err := dst.depend(deps, nil); err != nil {
					return err
				}
			}
			for k, id := range chunk {
				l.remap[set][id] = ids[k]
			}
			for i, st := range dst.states {
				st.Grow(dst.groups.N)
				if a := &s.spec.Aggs[i]; (a.Distinct || len(a.Order) > 0) && !src.passed(i) {
					continue
				}
				if err := st.Merge(src.states[i], chunk, ids[:len(chunk)]); err != nil {
					return err
				}
			}
			if err := s.run.Interrupted(); err != nil {
				return err
			}
		}
		for i := range s.spec.Aggs {
			if err := s.mergeKept(dst, l, set, i, from, to); err != nil {
				return err
			}
		}
		if to-from == mergeParts {
			// Nobody else reads the lane's states: what is not taken over goes at once.
			src.freeStates()
			if err := dst.charge(); err != nil {
				return err
			}
		}
	}
	return nil
}

// mergeKept gives dst the rows that a lane kept for a DISTINCT or ordered
// aggregate, of groups in the partitions from..to-1.
func (s *Aggregate) mergeKept(dst *aggTable, l *aggLane, set, i, from, to int) error {
	a := &s.spec.Aggs[i]
	src := l.tables[set]
	var n int
	var gather func(ids []uint32, cols []*vec.Vec)
	switch {
	case len(a.Order) > 0:
		r := src.rows[i]
		n = r.N
		gather = func(ids []uint32, cols []*vec.Vec) {
			for c, v := range cols {
				r.Gather(c, ids, v)
			}
		}
	case a.Distinct:
		n = src.seen[i].N
		gather = src.seen[i].gatherShared
	default:
		return nil
	}
	cols := make([]*vec.Vec, 1+len(a.Args)+len(a.Extra))
	if len(a.Order) == 0 {
		cols = cols[:1+len(a.Args)]
	}
	for c := range cols {
		cols[c] = &vec.Vec{}
	}
	of := l.parts[set]
	idx := make([]uint32, vec.Size)
	gids := make([]uint32, vec.Size)
	sel := make([]uint16, vec.Size)
	for at := 0; at < n; at += vec.Size {
		m := min(vec.Size, n-at)
		for k := range m {
			idx[k] = uint32(at + k)
		}
		gather(idx[:m], cols)
		sub := sel[:0]
		g := gids[:0]
		for k, id := range cols[0].I32[:m] {
			if p := int(of[id]); p >= from && p < to {
				sub = append(sub, uint16(k))
				g = append(g, l.remap[set][id])
			}
		}
		if len(sub) == 0 {
			continue
		}
		dst.args = append(dst.args[:0], cols[1:]...)
		if err := dst.keep(i, sub, m, g); err != nil {
			return err
		}
		if err := s.run.Interrupted(); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Sink.
func (s *Aggregate) Close() {
	for k := range s.spills {
		s.spills[k].Load().close()
		for i := range s.apart[k] {
			s.apart[k][i].Load().close()
		}
	}
	s.acct.Close()
}
