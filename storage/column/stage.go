package column

import (
	"context"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Prepared implements storage.Prepared: the operations of a commit with the rows
// that their keys had in a pinned version.
type Prepared struct {
	t      *Tablet
	v      *version
	memID  uint64 // memtables from this one on are looked up in Stage
	ops    []chunkOps
	replay bool
	base   uint64 // in replay, the commit's first number
	adds   []adoption
	kills  killing
	seen   uint32 // rows of memtable memID that side files were probed against
	logged []storage.Chunk
}

// chunkOps is a chunk with its keys. old has the keys of rows to replace or
// delete, own those of new rows; they are one set when the keys do not change.
type chunkOps struct {
	c        *storage.Chunk
	old, own *keySet
	oldAt    []place
	ownAt    []place
	img      []place // of logged operations: the rows whose images were read
}

// place is where a key's row was found in a version: in a segment or frozen
// memtable. csn is the row's commit.
type place struct {
	seg *segFile
	mem *memtable
	row uint32
	// masks names the segment's masks of deletes that were found not to have the row.
	masks uint32
	csn   uint64
}

func (p *place) found() bool { return p.seg != nil || p.mem != nil }

// live says whether the row is still there, staged deletes counted.
func (p *place) live() bool {
	switch {
	case p.seg != nil:
		d := p.seg.del.Load()
		if p.masks != 0 && p.masks == d.masks {
			return d.tail.deathOf(p.row) == 0
		}
		return d.deathOf(p.row) == 0
	case p.mem != nil:
		return p.mem.deathOf(p.row) == 0
	}
	return false
}

// Prepare finds the rows of all keys. No lock is held.
func (t *Tablet) Prepare(ctx context.Context, chunks []storage.Chunk) (storage.Prepared, error) {
	p, err := t.prepare(ctx, chunks, false)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (t *Tablet) prepare(ctx context.Context, chunks []storage.Chunk, replay bool) (*Prepared, error) {
	p := &Prepared{t: t, v: t.pin(), replay: replay, ops: make([]chunkOps, len(chunks))}
	sch := p.v.sch
	for i := range chunks {
		o := &p.ops[i]
		o.c = &chunks[i]
		n := o.c.Len()
		if o.c.Keys != nil {
			o.old = new(keySet)
			o.old.set(o.c.Keys.Cols, n)
		}
		if o.c.Rows != nil {
			if len(o.c.Rows.Cols) != len(sch.table.Columns) {
				p.Release()
				return nil, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState,
					"rows have %d columns, table %q has %d", len(o.c.Rows.Cols), sch.table.Name, len(sch.table.Columns))
			}
			if sch.rowID < 0 {
				o.own = new(keySet)
				o.own.set(pick(o.c.Rows.Cols, sch.keys), n)
				if o.old != nil && o.old.same(o.own) {
					o.own = o.old
				}
			}
		}
	}
	if err := p.resolve(ctx, p.v); err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

func pick(cols []*vec.Vec, at []int) []*vec.Vec {
	out := make([]*vec.Vec, len(at))
	for i, k := range at {
		out[i] = cols[k]
	}
	return out
}

// resolve looks all keys up in v, but for its active memtable.
func (p *Prepared) resolve(ctx context.Context, v *version) error {
	p.memID = v.active().id
	l := p.t.newLookup(v, latest, p.memID)
	defer l.free()
	run := keyRun{l: l}
	for i := range p.ops {
		o := &p.ops[i]
		if o.old != nil {
			if err := run.add(ctx, o.old, &o.oldAt); err != nil {
				return err
			}
		}
		if o.own != nil && o.own != o.old {
			if err := run.add(ctx, o.own, &o.ownAt); err != nil {
				return err
			}
		}
	}
	return run.search(ctx)
}

// Fresh says whether Stage can work from memory alone. When a flush, compaction
// or adoption came between, Stage resolves again under the latch; a caller that
// would rather not makes a new Prepared.
func (p *Prepared) Fresh() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.t.cur.segGen == p.v.segGen
}

// Release gives the pinned version back. It may be called more than once.
func (p *Prepared) Release() {
	if p.v != nil {
		p.t.unpin(p.v)
		p.v = nil
	}
	for _, a := range p.adds {
		a.seg.close()
	}
	for _, s := range p.kills.files {
		s.close()
	}
	p.adds, p.kills = nil, killing{}
}

// Stage puts the rows and deletes into memory, invisible. On success the tablet's
// write lock stays held until Stamp or Abort.
func (p *Prepared) Stage() (storage.Staged, []storage.Conflict, error) {
	s, conflicts, err := p.stage()
	if s == nil {
		return nil, conflicts, err
	}
	return s, nil, nil
}

func (p *Prepared) stage() (*staged, []storage.Conflict, error) {
	t := p.t
	t.wmu.Lock()
	v := t.cur
	if v.segGen != p.v.segGen {
		err := p.resolve(context.Background(), v)
		if err == nil {
			err = p.probe(context.Background(), v)
		}
		if err != nil {
			t.wmu.Unlock()
			return nil, nil, err
		}
	}
	m := v.active()
	s := &staged{t: t, p: p, m: m, first: m.n}
	rows := 0
	for i := range p.ops {
		if c := p.ops[i].c; c.Rows != nil {
			if len(c.Rows.Cols) != len(v.sch.table.Columns) {
				t.wmu.Unlock()
				return nil, nil, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState,
					"table %q was changed while rows were written to it", v.sch.table.Name)
			}
			rows += c.Len()
		}
	}
	m.ready(rows)
	if p.kills.lost {
		s.Abort()
		return nil, []storage.Conflict{{Chunk: len(p.ops)}}, nil
	}
	p.stageKills(s)
	var conflicts []storage.Conflict
	for i := range p.ops {
		conflicts = p.stageChunk(s, v, i, conflicts)
	}
	if len(p.adds) > 0 {
		var err error
		if conflicts, err = p.stageSides(s, v, conflicts); err != nil {
			s.Abort()
			return nil, nil, err
		}
	}
	if len(conflicts) > 0 {
		s.Abort()
		return nil, conflicts, nil
	}
	return s, nil, nil
}

// stageChunk stages one chunk's operations in order.
func (p *Prepared) stageChunk(s *staged, v *version, ci int, conflicts []storage.Conflict) []storage.Conflict {
	o, m := &p.ops[ci], s.m
	c, n := o.c, o.c.Len()
	first := noRow
	if c.Rows != nil {
		first = m.append(c.Rows.Cols, n)
	}
	rowIDs := v.sch.rowID >= 0
	if ks := o.own; ks != nil && n >= touchRows {
		for k := len(v.mems) - 1; k >= 0 && v.mems[k].id >= p.memID; k-- {
			v.mems[k].table.Load().touch(ks.hash[:ks.n])
		}
	}
	for i := 0; i < n; i++ {
		row := first
		if first != noRow {
			row += uint32(i)
		}
		var old place
		killed := false
		newest, slot := noRow, uint32(0)
		switch {
		case o.old == nil: // insert, upsert
		case rowIDs && o.old.ints[i] < 0 && !p.t.cfg.own:
			old = s.provisional(o.old.ints[i])
		default:
			old, newest, slot = p.current(v, o.old, o.oldAt, i)
		}
		if o.old != nil {
			if !p.mayReplace(&old, c, i) {
				conflicts = append(conflicts, storage.Conflict{Chunk: ci, Row: i})
				continue
			}
			if o.img != nil {
				s.checkImage(o, i, &old)
			}
			if old.found() {
				s.kill(&old)
				killed = true
			}
		}
		if row == noRow {
			s.count(c.Op, killed)
			continue
		}
		if rowIDs {
			s.count(c.Op, killed)
			s.stageRowID(row, c, i)
			continue
		}
		if o.own != o.old {
			var same place
			same, newest, slot = p.current(v, o.own, o.ownAt, i)
			if o.img != nil && o.old == nil {
				s.checkImage(o, i, &same)
			}
			if same.found() {
				if c.Op != storage.OpUpsert && !p.replay {
					conflicts = append(conflicts, storage.Conflict{Chunk: ci, Row: i, Duplicate: true})
					continue
				}
				s.kill(&same)
				killed = true
			}
		}
		s.count(c.Op, killed)
		m.link(row, newest, slot, o.own.hash[i])
		s.linked = append(s.linked, linkedRow{row, o.own.hash[i]})
	}
	return conflicts
}

// mayReplace says whether an update or delete finds the row it was computed from.
func (p *Prepared) mayReplace(old *place, c *storage.Chunk, i int) bool {
	if p.replay || p.t.cfg.own || c.OldCSN == nil || c.OldCSN[i] == 0 {
		return true
	}
	return old.read(uint64(c.OldCSN[i]))
}

// current is the live row of key i: in memtables that take or took writes since
// the keys were looked up, else where it was found then. newest is the key's
// newest row in the active memtable, dead or not, and slot its place in the table.
func (p *Prepared) current(v *version, ks *keySet, at []place, i int) (live place, newest, slot uint32) {
	m := v.active()
	newest, slot = m.find(ks, i)
	row := newest
	for k := len(v.mems) - 1; k >= 0 && v.mems[k].id >= p.memID; k-- {
		if m != v.mems[k] {
			m = v.mems[k]
			row, _ = m.find(ks, i)
		}
		if row != noRow && m.deathOf(row) == 0 {
			return place{mem: m, row: row, csn: m.csnOf(row)}, newest, slot
		}
	}
	if at != nil && at[i].live() {
		live = at[i]
	}
	return live, newest, slot
}

// staged implements storage.Staged.
type staged struct {
	t      *Tablet
	p      *Prepared
	m      *memtable
	first  uint32 // rows of m before
	linked []linkedRow
	kills  []memRow
	segs   []segTail
	masks  []*segFile // with a stripe of this commit
	// Rows of a table without a primary key whose ids depend on the commit's base.
	ids  []stagedID
	prov map[int64]uint32 // provisional id → newest row
	adds []adoption
	late []lateImage

	inserted, updated, deleted int64
}

type linkedRow struct{ row, hash uint32 }

type memRow struct {
	m   *memtable
	row uint32
}

// segTail remembers where the staged deletes of a segment begin in its tail.
type segTail struct {
	seg  *segFile
	from uint32
}

type stagedID struct {
	row  uint32
	id   int64 // ≥ 0: known; negative: -1-Ord
	link bool
}

// kill stages the death of a row.
func (s *staged) kill(p *place) {
	if p.mem != nil {
		p.mem.setDeath(p.row, dying)
		s.kills = append(s.kills, memRow{p.mem, p.row})
		return
	}
	s.killSeg(p.seg, p.row)
}

func (s *staged) killSeg(seg *segFile, row uint32) {
	d := seg.del.Load()
	if !d.room(1) {
		n := 1
		if d.tail != nil {
			n = len(d.tail.rows)
		}
		d = d.grown(n)
		seg.del.Store(d)
	}
	if !seg.staging {
		seg.staging = true
		s.segs = append(s.segs, segTail{seg, d.tail.n.Load()})
	}
	d.tail.push(row, dying)
}

// provisional finds a row that this commit inserted, by its provisional id
// (-1-Ord), which stands for base+Ord.
func (s *staged) provisional(id int64) place {
	row, ok := s.prov[id]
	if !ok || s.m.deathOf(row) != 0 {
		return place{}
	}
	return place{mem: s.m, row: row}
}

// stageRowID notes the hidden key of a new row: of an insert -1-Ord, of an update
// what its chunk says.
func (s *staged) stageRowID(row uint32, c *storage.Chunk, i int) {
	id := -1 - int64(c.Ord[i])
	if c.Op == storage.OpUpdate && c.RowID != nil {
		id = c.RowID[i]
	}
	if id < 0 && s.p.replay && !s.t.cfg.own {
		id = int64(s.p.base) + (-1 - id)
	}
	if id < 0 && !s.t.cfg.own {
		if s.prov == nil {
			s.prov = make(map[int64]uint32)
		}
		s.prov[id] = row
		s.ids = append(s.ids, stagedID{row: row, id: id, link: true})
		return
	}
	s.m.setRowID(row, id)
	var ks keySet
	ks.setInt(id)
	newest, slot := s.m.find(&ks, 0)
	s.m.link(row, newest, slot, ks.hash[0])
	s.linked = append(s.linked, linkedRow{row, ks.hash[0]})
	s.ids = append(s.ids, stagedID{row: row, id: id})
}

// Stamp makes the staged rows and deletes a commit.
func (s *staged) Stamp(base uint64, csn storage.CSN) {
	s.numberRows(base)
	s.countWrites()
	for _, k := range s.kills {
		k.m.setDeath(k.row, uint64(csn))
		k.m.died(uint64(csn))
	}
	for _, st := range s.segs {
		st.seg.staging = false
		tail := st.seg.del.Load().tail
		tail.stamp(st.from, uint64(csn))
	}
	s.stampMasks(csn)
	if len(s.adds) > 0 {
		s.adopt(base, csn)
	}
	if s.m.n > s.first {
		s.m.publish(csn)
	} else if len(s.kills)+len(s.segs)+len(s.masks) > 0 {
		s.m.touch(csn)
	}
	s.p.spend(s.m, csn)
	s.foldDeletes()
	s.t.squeeze()
	s.t.wmu.Unlock()
}

// numberRows gives rows without a primary key their ids and enters them in the
// key table.
func (s *staged) numberRows(base uint64) {
	if len(s.ids) == 0 {
		return
	}
	ids := vec.New(types.Int8, vec.Size)
	var ks keySet
	for from := 0; from < len(s.ids); from += vec.Size {
		part := s.ids[from:min(from+vec.Size, len(s.ids))]
		for i, id := range part {
			if id.link {
				id.id = int64(base) + (-1 - id.id)
			}
			ids.I64[i] = id.id
		}
		ids.N = len(part)
		ks.set([]*vec.Vec{ids}, len(part))
		for i, id := range part {
			if !id.link {
				continue
			}
			s.m.setRowID(id.row, ids.I64[i])
			newest, slot := s.m.find(&ks, i)
			s.m.link(id.row, newest, slot, ks.hash[i])
		}
		s.m.boundsMu.Lock()
		s.m.bounds[s.m.sch.rowID].add(ids, len(part))
		s.m.boundsMu.Unlock()
	}
}

// foldDeletes folds the tails of segments that this commit made long.
func (s *staged) foldDeletes() {
	var oldest storage.CSN
	var live []storage.CSN
	asked := false
	for _, st := range s.segs {
		d := st.seg.del.Load()
		if d.tail == nil || int(d.tail.n.Load()) < max(foldMin, st.seg.foldAt) {
			continue
		}
		if !asked {
			oldest, live = s.t.watermark()
			asked = true
		}
		d = d.fold(oldest, live)
		st.seg.foldAt = 0
		if d.tail != nil {
			// What a missing border kept here is not tried again at once.
			st.seg.foldAt = 2 * int(d.tail.n.Load())
		}
		st.seg.del.Store(d)
	}
}

// Abort undoes everything.
func (s *staged) Abort() {
	for i := len(s.linked) - 1; i >= 0; i-- {
		s.m.unlink(s.linked[i].row, s.linked[i].hash)
	}
	for _, k := range s.kills {
		k.m.setDeath(k.row, 0)
	}
	for _, st := range s.segs {
		st.seg.staging = false
		for tail := st.seg.del.Load().tail; tail.n.Load() > st.from; {
			tail.pop()
		}
	}
	s.dropMasks()
	s.m.cut(s.first)
	s.t.wmu.Unlock()
}

// Replay applies chunks of a logged commit.
func (t *Tablet) Replay(chunks []storage.Chunk, base uint64, csn storage.CSN) error {
	chunks = t.numbered(chunks, base)
	p, err := t.prepare(context.Background(), chunks, true)
	if err != nil {
		return err
	}
	defer p.Release()
	return p.replayAt(base, csn)
}

func (p *Prepared) replayAt(base uint64, csn storage.CSN) error {
	p.base = base
	s, _, err := p.stage()
	if err != nil {
		return err
	}
	s.Stamp(base, csn)
	return nil
}

// numbered gives provisional row ids in keys their numbers, which in replay are
// known from the start.
func (t *Tablet) numbered(chunks []storage.Chunk, base uint64) []storage.Chunk {
	if t.cfg.own || t.cur.sch.rowID < 0 {
		return chunks
	}
	out := make([]storage.Chunk, len(chunks))
	for i, c := range chunks {
		if c.Keys != nil {
			ids := vec.New(types.Int8, c.Len())
			ids.Copy(c.Keys.Cols[0], nil, c.Len())
			provisionalIDs(ids.I64[:c.Len()], base)
			c.Keys = &vec.Batch{Cols: []*vec.Vec{ids}, N: c.Len()}
		}
		if c.RowID != nil {
			c.RowID = append([]int64(nil), c.RowID...)
			provisionalIDs(c.RowID, base)
		}
		out[i] = c
	}
	return out
}

func provisionalIDs(ids []int64, base uint64) {
	for i, id := range ids {
		if id < 0 {
			ids[i] = int64(base) + (-1 - id)
		}
	}
}
