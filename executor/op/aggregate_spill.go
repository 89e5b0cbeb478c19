package op

import (
	"slices"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Partitioned aggregation. A table with many groups that come back seldom costs
// twice: each row misses the cache, and lanes' tables must be merged. So a lane
// whose table grows large without gathering many rows leaves it as it is, and sorts
// all further rows into partitions by their groups' hash, as they came. When memory
// is short a lane does the same at once, and the partitions go to files.
//
// A partition is finished on its own when its groups are read: the lanes' groups of
// it, then its rows. It has one table, which fits the cache or at least memory.

// headroom is the memory that must be left for a table to take another batch: what
// fails in the middle of a batch cannot be undone.
const headroom = 4 << 20

// A lane's table is left when it has manyGroups and took fewer than fewRows rows for
// each.
const (
	manyGroups = 1 << 16
	fewRows    = 8
)

// parted is a lane's rows by partition, in memory.
type parted struct {
	rows [spillParts]*Rows
}

// add gives a batch to a set: to the lane's table, or to the partitions.
func (l *aggLane) add(set int, b *vec.Batch) error {
	s, t := l.s, l.tables[set]
	if len(t.set) == 0 {
		return t.add(b)
	}
	if l.parted[set] == nil && s.spills[set].Load() == nil {
		t.rowsIn += b.Rows()
		full := l.full(t, b.Rows())
		switch {
		case full:
		case t.groups.N >= manyGroups && t.rowsIn < fewRows*t.groups.N && t.groups.size == 0:
			l.parted[set] = &parted{}
			s.lazy[set].Store(true)
		default:
			err := t.find(b)
			if err == nil {
				return t.update(b)
			}
			if !s.run.CanSpill() || sqlstate.CodeOf(err) != sqlstate.OutOfMemory {
				return err
			}
			full = true
		}
		if full {
			s.spill(set, typesOfBatch(b))
		}
	}
	t.keyCols(b)
	if p := s.spills[set].Load(); p != nil {
		if err := l.flush(set, p); err != nil {
			return err
		}
		return p.write(&l.split, t.keys, b.Cols, b.Sel, b.N)
	}
	return l.keepRows(set, b)
}

// full says whether a lane's table has no room for n more rows, or would leave too
// little of it: each lane makes a table of one partition of all lanes' groups in the end,
// which takes about a twentieth of what the lanes' tables do.
func (l *aggLane) full(t *aggTable, n int) bool {
	s := l.s
	switch {
	case s.run.ForceSpill && t.groups.N >= forcedRows:
		return true
	case !s.run.CanSpill():
		return false
	}
	after := max(headroom, s.acct.Used()/20*int64(min(l.count, maxMaking)))
	return s.acct.Left() < after || !t.prepare(n, after) || t.cramped()
}

// maxMaking is for how many lanes' tables of partitions room is kept.
const maxMaking = 8

// prepare makes room in the states for the groups of n more rows, if that leaves as much
// memory as after says. States grow by doubling, which a batch that is half done cannot
// take back; few groups are no matter.
func (t *aggTable) prepare(n int, after int64) bool {
	if n += t.groups.N; n <= t.roomy || n < manyGroups || len(t.states) == 0 {
		return true
	}
	bytes := int64(0)
	for _, st := range t.states {
		bytes += st.Bytes()
	}
	want := 2 * n
	// What they hold by value (strings, lists) does not double with the groups: it is
	// counted as if it did.
	more := max(0, bytes*int64(want)/int64(max(t.roomy, t.grown, 1))-t.charged)
	if t.acct.Left()-more < after || !t.acct.TryReserve(more) {
		return false
	}
	t.charged += more
	for _, st := range t.states {
		st.Grow(want)
	}
	t.roomy = want
	return true
}

// spill begins files for a set.
func (s *Aggregate) spill(set int, ts []types.T) *partitions {
	s.lazy[set].Store(true)
	s.spills[set].CompareAndSwap(nil, newPartitions(s.run, ts, groupShift))
	return s.spills[set].Load()
}

// keepRows adds a batch to the lane's partitions in memory; what finds no room goes to
// files with all before it.
func (l *aggLane) keepRows(set int, b *vec.Batch) error {
	s, ps, sp := l.s, l.parted[set], &l.split
	n := b.Rows()
	sp.hash = grown(sp.hash, n)
	hashKeys(sp.hash, l.tables[set].keys, b.Sel, b.N)
	sp.cut(sp.hash, groupShift, physicalRows(b.Sel, b.N))
	for i := range spillParts {
		sel := sp.sel[sp.count[i]:sp.count[i+1]]
		if len(sel) == 0 {
			continue
		}
		if ps.rows[i] == nil {
			ps.rows[i] = NewRows(typesOfBatch(b), s.acct)
		}
		err := ps.rows[i].AppendCols(b.Cols, sel, 0)
		if err == nil {
			continue
		}
		if !s.run.CanSpill() || sqlstate.CodeOf(err) != sqlstate.OutOfMemory {
			return err
		}
		p := s.spill(set, typesOfBatch(b))
		if err := l.flush(set, p); err != nil { // first: some aggregates keep their input's order
			return err
		}
		rest := vec.Batch{Cols: b.Cols, N: b.N}
		for k := i; k < spillParts; k++ {
			if rest.Sel = sp.sel[sp.count[k]:sp.count[k+1]]; len(rest.Sel) > 0 {
				if err := p.append(k, &rest); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return nil
}

// flush writes the lane's partitions in memory to files.
func (l *aggLane) flush(set int, p *partitions) error {
	ps := l.parted[set]
	if ps == nil {
		return nil
	}
	for i, r := range ps.rows {
		if r == nil {
			continue
		}
		if err := eachBatch(r, func(b *vec.Batch) error { return p.append(i, b) }); err != nil {
			return err
		}
		r.Free()
		if err := l.s.run.Interrupted(); err != nil {
			return err
		}
	}
	l.parted[set] = nil
	return nil
}

// eachBatch calls f for the rows of a store.
func eachBatch(r *Rows, f func(*vec.Batch) error) error {
	b := &vec.Batch{Cols: make([]*vec.Vec, len(r.T))}
	for i := range b.Cols {
		b.Cols[i] = &vec.Vec{}
	}
	for from := 0; from < r.N; from += vec.Size {
		b.N, b.Sel = min(vec.Size, r.N-from), nil
		for c, v := range b.Cols {
			r.View(c, from, b.N, v)
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

// fit decides, when all rows have come, how the tables of a set are merged. What does
// not fit beside the lanes' tables is made by partition when it is read, and rows that
// leave no room for that go to files after all.
func (s *Aggregate) fit(set int) {
	tables, groups := int64(0), 0
	for _, l := range s.lanes {
		t := l.tables[set]
		if len(t.set) == 0 {
			return
		}
		tables += t.bytes()
		groups += t.groups.N
	}
	if !s.lazy[set].Load() {
		if len(s.lanes) > 1 && s.acct.Left() < tables+tables/4 {
			s.lazy[set].Store(true)
			s.short[set] = true
		}
		return
	}
	var rows [spillParts]int
	var ts []types.T
	for _, l := range s.lanes {
		if ps := l.parted[set]; ps != nil {
			for i, r := range ps.rows {
				if r != nil {
					rows[i] += r.N
					ts = r.T
				}
			}
		}
	}
	if ts == nil {
		return
	}
	// Twice what a group took, since tables grow by doubling.
	most := slices.Max(rows[:]) + groups/spillParts
	need := 2 * int64(most) * (tables/int64(max(groups, 1)) + 1) * int64(len(s.lanes))
	if s.short[set] = s.acct.Left() < need+headroom; s.short[set] && s.run.CanSpill() {
		s.spill(set, ts)
	}
}

// freePart is how much of a partition's table is uncounted.
const freePart = 32 << 20

// remaking makes the table of a partition.
type remaking struct {
	s     *Aggregate
	t     *aggTable
	p     *partitions
	set   int
	part  int
	r     *partReader
	lane  int
	at    int
	batch vec.Batch
}

func (s *Aggregate) remake(set, part int) (*remaking, error) {
	// When rows are in files memory is short, and some is uncounted then: a partition is
	// a small part of what the lanes' tables hold, which are counted to the end.
	acct := s.acct
	p := s.spills[set].Load()
	var own *mem.Account
	if p != nil || s.short[set] {
		own = s.acct.ChildFree("partition", freePart)
		acct = own
	}
	t, err := s.newTable(set, true, acct)
	if err != nil {
		own.Close()
		return nil, err
	}
	t.own = own
	t.groups.size = 0 // partitions are by hash, not by word
	m := &remaking{s: s, t: t, p: p, set: set, part: part}
	// Room for the groups that there are, and as many rows again.
	n := 0
	for _, l := range s.lanes {
		n += l.bounds[set][part+1] - l.bounds[set][part]
		if ps := l.parted[set]; ps != nil && ps.rows[part] != nil {
			n += ps.rows[part].N / 3
		}
	}
	t.groups.expect(n)
	if err = s.mergeInto(t, set, part, part+1); err == nil && p != nil {
		m.r, err = p.read(part)
	}
	if err != nil {
		t.free()
		return nil, err
	}
	return m, nil
}

// step takes some batches; true when the table is complete.
func (m *remaking) step() (bool, error) {
	for range 8 {
		b, err := m.next()
		if err != nil {
			return false, err
		}
		if b == nil {
			return true, m.t.finish(m.s.run)
		}
		if err := m.t.add(b); err != nil {
			return false, err
		}
	}
	return false, nil
}

// next is the partition's next batch: from the file, then from the lanes.
func (m *remaking) next() (*vec.Batch, error) {
	if m.r != nil {
		b, err := m.r.next()
		if b != nil || err != nil {
			return b, err
		}
		m.r.close()
		m.r = nil
	}
	for ; m.lane < len(m.s.lanes); m.lane, m.at = m.lane+1, 0 {
		ps := m.s.lanes[m.lane].parted[m.set]
		if ps == nil || ps.rows[m.part] == nil {
			continue
		}
		r := ps.rows[m.part]
		if m.at >= r.N {
			r.Free()
			continue
		}
		for len(m.batch.Cols) < len(r.T) {
			m.batch.Cols = append(m.batch.Cols, &vec.Vec{})
		}
		m.batch.N, m.batch.Sel = min(vec.Size, r.N-m.at), nil
		for c, v := range m.batch.Cols {
			r.View(c, m.at, m.batch.N, v)
		}
		m.at += m.batch.N
		return &m.batch, nil
	}
	return nil, nil
}

func (m *remaking) close() {
	m.r.close()
	m.r = nil
	if m.p != nil {
		m.p.drop(m.part)
	}
}

// cramped says whether what the table keeps of DISTINCT and ordered aggregates has no
// room to grow: that must be known before a batch is begun.
func (t *aggTable) cramped() bool {
	if !t.run.CanSpill() {
		return false
	}
	strings := int64(0)
	for i := range t.spec.Aggs {
		if g := t.seen[i]; g != nil {
			if g.ready(vec.Size) != nil {
				return true
			}
			strings += g.rows.nextStrings()
		}
		if r := t.rows[i]; r != nil {
			if r.ready(vec.Size) != nil {
				return true
			}
			strings += r.nextStrings()
		}
	}
	if strings > 0 {
		if !t.acct.TryReserve(strings) {
			return true
		}
		t.acct.Release(strings)
	}
	return false
}

// nextStrings is how much the columns of strings take when their buffers are full,
// of those that soon will be.
func (r *Rows) nextStrings() int64 {
	if r == nil {
		return 0
	}
	n := int64(0)
	for i := range r.cols {
		if c := &r.cols[i]; c.t.Layout == types.LayoutView && (c.cur < 0 || len(c.bufs[c.cur])-c.fill < stringsSoon) {
			n += heapMax
		}
	}
	return n
}

// stringsSoon is about what the strings of a batch take.
const stringsSoon = 1 << 20

// ready makes room for n more groups, strings aside.
func (g *Groups) ready(n int) error {
	if g.size > 0 {
		return nil
	}
	if g.rows != nil {
		if err := g.rows.ready(n); err != nil {
			return err
		}
	}
	return g.room(n)
}

// ready makes room for n more rows, strings aside.
func (r *Rows) ready(n int) error {
	for i := range r.cols {
		if err := r.cols[i].reserve(r.N + n); err != nil {
			return err
		}
	}
	return nil
}

// keepApart puts values of a DISTINCT aggregate, t.args, into files: rows of one group
// can only be parted by them. What the table has seen goes there first.
func (t *aggTable) keepApart(i int, sel []uint16, n int) error {
	a := &t.spec.Aggs[i]
	if t.apart[i].Load() == nil {
		keys := make([]int, len(a.Args))
		for k := range keys {
			keys[k] = k
		}
		t.apart[i].CompareAndSwap(nil, newUnique(t.run, t.acct, a.Call.Args, keys))
	}
	u := t.apart[i].Load()
	if seen := t.seen[i]; seen.N > 0 {
		var err error
		if t.direct {
			err = u.pass(&t.split, seen, 1)
		} else {
			err = eachGroup(seen, func(cols []*vec.Vec, n int) error { return u.add(&t.split, cols[1:], nil, n) })
		}
		if err != nil {
			return err
		}
		seen.Free()
	}
	return u.add(&t.split, t.args[:len(a.Args)], sel, n)
}

// passed says whether values of a DISTINCT aggregate that went to the states are
// known in files only: what is merged then is the state.
func (t *aggTable) passed(i int) bool {
	return t.direct && t.apart != nil && t.apart[i].Load() != nil && t.seen[i].N == 0
}

// finishApart gives the states the values that were put into files.
func (t *aggTable) finishApart(i int) error {
	u := t.apart[i].Load()
	// What this table has seen since is not in the files.
	if seen := t.seen[i]; seen.N > 0 {
		if err := u.pass(&t.split, seen, 1); err != nil {
			return err
		}
		seen.Free()
	}
	if err := u.finish(); err != nil {
		return err
	}
	r := &uniqueReader{u: u}
	defer r.close()
	for {
		b, err := r.next()
		if b == nil || err != nil {
			return err
		}
		if err := t.run.Interrupted(); err != nil {
			return err
		}
		if n := b.Rows(); n > 0 {
			t.gids = grown(t.gids, n)
			clear(t.gids)
			if err := t.states[i].Update(b.Cols, b.Sel, n, t.gids); err != nil {
				return err
			}
		}
	}
}
