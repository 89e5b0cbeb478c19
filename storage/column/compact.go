package column

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// Compact merges segments that the aim selects, drops rows that no snapshot can see
// any more, and gives what it writes the form that stays. Nil when nothing is left
// to gain. Flushes and commits go on meanwhile; of compactions there is one at a
// time. pace, unless nil, is called again and again between pieces of work, to sleep
// or to stop it.
func (t *Tablet) Compact(ctx context.Context, aim Aim, pace func(context.Context) error) (*Edit, error) {
	if err := acquire(ctx, t.merging); err != nil {
		return nil, err
	}
	e, err := t.compact(ctx, aim, pace)
	if e == nil || err != nil {
		<-t.merging
	}
	return e, err
}

// mergeable segments are in the manifest and were not found damaged.
func (s *segFile) mergeable() bool { return s.inManifest.Load() && !s.damaged.Load() }

// merging is a compaction under way.
type merging struct {
	t      *Tablet
	sch    *schema
	in     []*segFile
	chunks []uint32 // number of each input's first chunk of row references
	remap  [][]uint32
	rows   []rowRef
	w      *segWriter
	out    []*segFile
	floor  uint64
	hot    bool // what it writes will soon be rewritten
	pace   func(context.Context) error
}

func (t *Tablet) compact(ctx context.Context, aim Aim, pace func(context.Context) error) (*Edit, error) {
	v := t.pin() // its files stay
	defer t.unpin(v)
	m := &merging{t: t, sch: v.sch, in: t.pick(v.segs, aim), pace: pace}
	if len(m.in) == 0 {
		return nil, nil
	}
	m.hot = aim == Tidy && hot(m.in, time.Now())
	if err := m.merge(ctx); err != nil {
		m.abort()
		return nil, err
	}
	e, err := m.edit(ctx)
	if e == nil || err != nil {
		m.abort()
	}
	return e, err
}

// edit makes the edit that replaces the inputs; nil when they were truncated
// meanwhile. From here on no flush runs until the edit's end.
func (m *merging) edit(ctx context.Context) (*Edit, error) {
	t := m.t
	if err := t.acquireMaint(ctx); err != nil {
		return nil, err
	}
	t.wmu.Lock()
	v := t.pin()
	f := t.f
	t.wmu.Unlock()
	defer t.unpin(v)
	if !slices.Contains(v.segs, m.in[0]) {
		t.releaseMaint()
		return nil, nil
	}
	drop := map[*segFile]bool{}
	e := &Edit{F: f, tablet: t, undo: m.abort, install: m.install, merging: true}
	for _, s := range m.in {
		drop[s] = true
		e.Drop = append(e.Drop, s.info.File)
	}
	dead := t.manifestDeletes(v.segs, f, drop)
	deaths := m.deaths()
	durable := t.durableDeath(f)
	for i, s := range m.out {
		ed := editMask(nil, s.blocks())
		for _, d := range deaths[i] {
			if d.csn <= uint64(durable) {
				ed.set(d.row)
			}
		}
		dead = append(dead, segDeletes{s.info.File, s.info.Rows, ed.m})
		e.Add = append(e.Add, s.info)
	}
	name, err := t.writeDeletes(f, dead)
	if err != nil {
		t.releaseMaint()
		return nil, err
	}
	e.Deletes = name
	return e, nil
}

// rest gives way to what matters more than compaction.
func (m *merging) rest(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if m.pace == nil {
		return nil
	}
	return m.pace(ctx)
}

// merge writes the inputs' rows, in order, to new files.
func (m *merging) merge(ctx context.Context) error {
	t := m.t
	oldest, live := t.watermark()
	refs := uint32(0)
	for _, s := range m.in {
		if err := m.rest(ctx); err != nil {
			return err
		}
		m.chunks = append(m.chunks, refs)
		var keep []uint32
		err := s.guard(func() (err error) {
			keep, err = m.survivors(s, oldest, live)
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range keep {
			m.rows = append(m.rows, refs<<chunkShift+row)
		}
		refs += uint32(s.info.Rows+chunkRows-1) >> chunkShift
		remap := make([]uint32, s.info.Rows)
		for i := range remap {
			remap[i] = noRow
		}
		m.remap = append(m.remap, remap)
		m.floor = max(m.floor, min(s.csnMax(), uint64(oldest)))
	}
	order, err := m.order(ctx, refs)
	if err != nil {
		return err
	}
	if len(m.rows) > 0 {
		if err := m.write(ctx, order, uint64(oldest)); err != nil {
			return err
		}
	}
	for n, ref := range m.rows {
		i, row := m.input(ref)
		m.remap[i][row] = uint32(n)
	}
	m.rows = nil
	return nil
}

// input is the file and row that a reference means.
func (m *merging) input(ref rowRef) (int, uint32) {
	i := len(m.chunks) - 1
	for m.chunks[i]<<chunkShift > ref {
		i--
	}
	return i, ref - m.chunks[i]<<chunkShift
}

// survivors lists the rows of a file that someone may still see.
func (m *merging) survivors(s *segFile, oldest storage.CSN, live []storage.CSN) ([]uint32, error) {
	d := s.del.Load()
	gone := d.upTo(oldest) // a snapshot at or above oldest sees none of these
	var csn *segment.ColReader
	var v vec.Vec
	at := -1
	born := func(row uint32) (uint64, error) {
		if s.info.CSN != 0 {
			return uint64(s.info.CSN), nil
		}
		if csn == nil {
			csn, _ = s.r.Column(csnColumnID)
		}
		if vi := int(row / vec.Size); vi != at {
			if err := csn.Vector(vi, &v); err != nil {
				return 0, err
			}
			at = vi
		}
		return uint64(v.I64[v.Index(int(row%vec.Size))]), nil
	}
	some := d.upTo(latest)
	keep := make([]uint32, 0, s.info.Rows-gone.count())
	for row := uint32(0); row < uint32(s.info.Rows); row++ {
		if !some.has(row) {
			keep = append(keep, row)
			continue
		}
		if gone.has(row) {
			continue
		}
		b, err := born(row)
		if err != nil {
			return nil, err
		}
		if needed(b, d.deathOf(row), oldest, live) {
			keep = append(keep, row)
		}
	}
	return keep, nil
}

// order puts the rows into the table's order and says what they are sorted by.
// Files of a table without an order stay one after the other, unless all are sorted
// by key: then so is their merger.
func (m *merging) order(ctx context.Context, refs uint32) ([]segment.SortColumn, error) {
	order := m.sch.sortOrder()
	if len(order) == 0 {
		order = m.sch.keyOrder()
		for _, s := range m.in {
			if !s.sorted {
				return nil, nil
			}
		}
	}
	for _, s := range m.in {
		for _, c := range order {
			if s.cols[c.ID] == nil {
				return nil, nil
			}
		}
	}
	cols := make([]sortCol, len(order))
	for i, c := range order {
		cols[i] = sortCol{t: m.sch.cols[m.sch.find(c.ID)], desc: c.Desc, vecs: make([]*vec.Vec, refs)}
		for k, s := range m.in {
			if err := m.rest(ctx); err != nil {
				return nil, err
			}
			if err := m.loadColumn(s, c.ID, cols[i].vecs[m.chunks[k]:]); err != nil {
				return nil, err
			}
		}
	}
	sortRows(m.rows, cols, func() bool { return ctx.Err() != nil })
	return order, context.Cause(ctx)
}

// loadColumn decodes a whole column into chunks.
func (m *merging) loadColumn(s *segFile, id int32, chunks []*vec.Vec) error {
	c, _ := s.r.Column(id)
	var v vec.Vec
	return s.guard(func() error {
		for vi := 0; vi < s.r.Vectors(); vi++ {
			if err := c.Vector(vi, &v); err != nil {
				return err
			}
			if s.shifts(id) {
				s.shift(id, &v)
			}
			k := vi * vec.Size >> chunkShift
			if chunks[k] == nil {
				chunks[k] = vec.New(v.T, min(chunkRows, s.info.Rows-k<<chunkShift))
			}
			chunks[k].Copy(&v, nil, v.N)
		}
		return nil
	})
}

// mergeInput reads one input's columns, a vector at a time, rows ascending.
type mergeInput struct {
	s    *segFile
	cols []*segment.ColReader // nil: missing
	ids  []int32
	csn  *segment.ColReader
	vi   int
	vecs []*vec.Vec
	csns vec.Vec
}

func (m *merging) openInput(s *segFile) *mergeInput {
	in := &mergeInput{s: s, vi: -1, ids: m.sch.ids, cols: make([]*segment.ColReader, len(m.sch.ids)),
		vecs: make([]*vec.Vec, len(m.sch.ids))}
	scratch := new(encoding.Scratch)
	for i, id := range m.sch.ids {
		c, ok := s.r.ColumnOn(id, scratch)
		if !ok {
			missing := types.Null
			if i < len(m.sch.table.Columns) {
				missing = m.sch.table.Columns[i].Missing
			}
			in.vecs[i] = constVec(m.sch.cols[i], missing)
			continue
		}
		in.cols[i], in.vecs[i] = c, new(vec.Vec)
	}
	if s.info.CSN == 0 {
		in.csn, _ = s.r.ColumnOn(csnColumnID, scratch)
	}
	return in
}

// load decodes vector vi of all columns.
func (in *mergeInput) load(vi int) error {
	if in.vi == vi {
		return nil
	}
	in.vi = -1
	n := in.s.r.VectorRows(vi)
	for i, c := range in.cols {
		if c == nil {
			in.vecs[i].N = n
			continue
		}
		if err := c.Vector(vi, in.vecs[i]); err != nil {
			return err
		}
		if id := in.ids[i]; in.s.shifts(id) {
			in.s.shift(id, in.vecs[i])
		}
	}
	if in.csn != nil {
		if err := in.csn.Vector(vi, &in.csns); err != nil {
			return err
		}
	}
	in.vi = vi
	return nil
}

func (in *mergeInput) born(i int) uint64 {
	if in.csn == nil {
		return uint64(in.s.info.CSN)
	}
	return uint64(in.csns.I64[in.csns.Index(i)])
}

// write copies the rows in their order. Each batch takes from each input a run of
// rows that ascends, since the inputs are in the same order.
func (m *merging) write(ctx context.Context, order []segment.SortColumn, oldest uint64) error {
	codec := encoding.S2
	if m.hot {
		codec = encoding.NoCodec
	}
	m.w = m.t.newSegWriter(m.sch, order, codec)
	m.w.settled = !m.hot
	m.w.pace(ctx, m.pace)
	if m.t.cfg.Written != nil {
		m.w.written = &m.t.cfg.Written.Merge
	}
	ins := make([]*mergeInput, len(m.in))
	for i, s := range m.in {
		ins[i] = m.openInput(s)
	}
	pool, out := vec.NewBatch(m.sch.cols), vec.NewBatch(m.sch.cols)
	csns, poolCSN := make([]uint64, vec.Size), make([]uint64, vec.Size)
	perm := make([]uint16, vec.Size)
	type at struct {
		input int
		row   uint32
		k     uint16
	}
	places := make([]at, 0, vec.Size)
	for from := 0; from < len(m.rows); from += vec.Size {
		if err := m.rest(ctx); err != nil {
			return err
		}
		rows := m.rows[from:min(from+vec.Size, len(m.rows))]
		places = places[:0]
		for k, ref := range rows {
			i, row := m.input(ref)
			places = append(places, at{i, row, uint16(k)})
		}
		slices.SortFunc(places, func(a, b at) int {
			if a.input != b.input {
				return a.input - b.input
			}
			return int(int64(a.row) - int64(b.row))
		})
		pool.Reset()
		var sel []uint16
		for i := 0; i < len(places); {
			in, vi := ins[places[i].input], int(places[i].row/vec.Size)
			if err := in.s.guard(func() error { return in.load(vi) }); err != nil {
				return err
			}
			sel = sel[:0]
			for ; i < len(places) && ins[places[i].input] == in && int(places[i].row/vec.Size) == vi; i++ {
				r := uint16(places[i].row % vec.Size)
				sel = append(sel, r)
				b := in.born(int(r))
				if b <= oldest && !m.sch.log { // a binlog's reader wants to know the commits
					b = m.floor
				}
				poolCSN[i] = b
				perm[places[i].k] = uint16(i)
			}
			for c := range pool.Cols {
				pool.Cols[c].Copy(in.vecs[c], sel, in.vecs[c].N)
			}
			pool.N += len(sel)
		}
		b := pool
		if !slices.IsSorted(perm[:len(rows)]) {
			out.Reset()
			for c := range out.Cols {
				out.Cols[c].Copy(pool.Cols[c], perm[:len(rows)], pool.N)
			}
			out.N = pool.N
			b = out
		}
		for k := range rows {
			csns[k] = poolCSN[perm[k]]
		}
		if err := m.w.append(b, csns[:len(rows)]); err != nil {
			return err
		}
	}
	if err := m.w.finish(); err != nil {
		return err
	}
	for _, info := range m.w.infos {
		s, err := m.t.openSegment(info)
		if err != nil {
			return err
		}
		s.floor = m.floor
		m.out = append(m.out, s)
	}
	return nil
}

// deaths are the rows of the new files that have died by now.
func (m *merging) deaths() [][]death {
	out := make([][]death, len(m.out))
	for i, s := range m.in {
		remap := m.remap[i]
		add := func(row uint32, csn uint64) {
			if n := remap[row]; n != noRow {
				file, r := m.w.place(n)
				out[file] = append(out[file], death{r, csn})
			}
		}
		d := s.del.Load()
		eachBit(d.base, func(r uint32) { add(r, 1) })
		d.each(add)
	}
	return out
}

// install replaces the inputs by the new files; deletes that came meanwhile are
// carried over. Called with the write lock held.
func (m *merging) install() {
	t := m.t
	v := t.cur
	for _, s := range m.out {
		s.inManifest.Store(true)
	}
	if !slices.Contains(v.segs, m.in[0]) {
		// Truncated since the edit was made; the manifest has dropped the inputs already.
		for _, s := range m.in {
			s.inManifest.Store(false)
		}
		t.retire(m.out)
		return
	}
	deaths := m.deaths()
	for i, s := range m.out {
		s.del.Store(t.deletesOf(s, deaths[i]))
	}
	n := &version{sch: v.sch, mems: v.mems, segGen: v.segGen + 1}
	for _, s := range v.segs {
		if s == m.in[0] {
			n.segs = append(n.segs, m.out...)
		}
		if slices.Contains(m.in, s) {
			s.doomed.Store(true)
			continue
		}
		n.segs = append(n.segs, s)
	}
	m.remap = nil
	t.swap(n, 0)
}

func (m *merging) abort() {
	for _, s := range m.out {
		s.close()
	}
	if m.w != nil {
		m.w.abort()
	}
}
