package row

import (
	"context"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Prepared implements storage.Prepared: a commit's changes, and what their keys had
// when they were looked up.
type Prepared struct {
	t       *Tablet
	sch     *schema
	chunks  []storage.Chunk
	keys    []chunkKeys
	changes Changes
	had     []state // by change; of those that were looked up
	looked  []bool
	epoch   uint64
	logged  []storage.Chunk
	holds   bool // what is pending in the tablet
}

// Prepare encodes the rows, and looks up the keys whose rows decide something. No
// lock is held. Of logged chunks it reads the rows that they replace.
func (t *Tablet) Prepare(ctx context.Context, chunks []storage.Chunk) (*Prepared, error) {
	p := &Prepared{t: t, sch: t.sch.Load(), chunks: chunks, keys: make([]chunkKeys, len(chunks))}
	for i := range chunks {
		if r := chunks[i].Rows; r != nil && len(r.Cols) != len(p.sch.table.Columns) {
			return nil, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState,
				"rows have %d columns, table %q has %d", len(r.Cols), p.sch.table.Name, len(p.sch.table.Columns))
		}
	}
	p.sch.add(&p.changes, t.prefix, chunks, p.keys)
	p.changes.sort(sortedPrefix)
	p.had, p.looked = make([]state, p.changes.Len()), make([]bool, p.changes.Len())
	for ci := range chunks {
		c, k := &chunks[ci], &p.keys[ci]
		for i := range k.own {
			if c.Op != storage.OpUpsert || c.Logged {
				if k.own[i] >= 0 {
					p.looked[k.own[i]] = true
				}
			}
			if k.old[i] >= 0 {
				p.looked[k.old[i]] = true
			}
		}
	}
	if p.changes.Len() >= holdFrom {
		p.holds = true
		t.hold()
	}
	err := p.look(ctx)
	if err == nil {
		err = p.readImages()
	}
	if err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

// look finds what the keys have now.
func (p *Prepared) look(ctx context.Context) error {
	t := p.t
	t.mu.Lock()
	p.epoch = t.epoch
	absent := make([]int32, 0, 8)
	for i, is := range p.looked {
		if !is {
			continue
		}
		if e := t.pending(p.changes.key(i)); e != nil {
			p.had[i] = e.state()
			continue
		}
		absent = append(absent, int32(i))
	}
	t.mu.Unlock()
	src := t.sourceOf(t.cfg.DB)
	for n, i := range absent {
		if n&255 == 255 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		var err error
		if p.had[i], err = t.stored(&src, p.changes.key(int(i))); err != nil {
			return err
		}
	}
	return nil
}

// Changes are the commit's changes, for the log's leader.
func (p *Prepared) Changes() *Changes { return &p.changes }

// Fresh says whether Stage can work from memory alone.
func (p *Prepared) Fresh() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.t.epoch <= p.epoch+1
}

// Release implements storage.Prepared. The changes stay, for the log's leader and for a
// run, and must not keep the rows in memory that they were made of.
func (p *Prepared) Release() {
	if p.holds {
		p.holds = false
		p.t.unhold()
	}
	p.chunks, p.keys, p.had, p.looked, p.logged = nil, nil, nil, nil, nil
}

// replaced is the change by which operation i of a chunk replaces or removes a row.
func (k *chunkKeys) replaced(i int) int32 {
	if k.old[i] >= 0 {
		return k.old[i]
	}
	return k.own[i]
}

// readImages makes the chunks with before images, if any are logged.
func (p *Prepared) readImages() error {
	for ci := range p.chunks {
		c := &p.chunks[ci]
		if !c.Logged {
			continue
		}
		if p.logged == nil {
			p.logged = append([]storage.Chunk(nil), p.chunks...)
		}
		if c.Op == storage.OpInsert {
			continue
		}
		l := &p.logged[ci]
		l.Before, l.BeforeOf = nil, nil
		var d *decoder
		for i := 0; i < c.Len(); i++ {
			h := &p.had[p.keys[ci].replaced(i)]
			if !h.found() {
				continue
			}
			if d == nil {
				d, l.Before = p.sch.images(c.Len())
			}
			if err := d.row(h.value, l.Before.N); err != nil {
				return err
			}
			l.Before.N++
			l.BeforeOf = append(l.BeforeOf, uint16(i))
		}
	}
	return nil
}

// images is a decoder of whole rows, and the batch that it fills.
func (s *schema) images(n int) (*decoder, *vec.Batch) {
	d, b := &decoder{}, &vec.Batch{}
	for i := range s.table.Columns {
		c := &s.table.Columns[i]
		d.want(c.ID, c.Missing)
		b.Cols = append(b.Cols, vec.New(c.T, n))
	}
	d.cols = b.Cols
	return d, b
}

// Logged is the chunks with the before images found so far; nil without a binlog.
func (p *Prepared) Logged() []storage.Chunk { return p.logged }

// Staged implements storage.Staged.
type Staged struct {
	p     *Prepared
	slab  []entry // for the entries to come
	count int     // changes that are staged
	late  []lateImage

	inserted, updated, deleted int64
}

// lateImage is a logged operation that replaced another row than its image shows.
type lateImage struct {
	ord   uint32
	value []byte
}

// Stage implements storage.Prepared: it checks the operations in order against the
// newest rows, those of the commit among them, and enters theirs as pending.
func (p *Prepared) Stage() (storage.Staged, []storage.Conflict, error) {
	if !p.Fresh() {
		if err := p.look(context.Background()); err != nil {
			return nil, nil, err
		}
	}
	t := p.t
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &Staged{p: p}
	var conflicts []storage.Conflict
	for ci := range p.chunks {
		c := &p.chunks[ci]
		for i := 0; i < c.Len(); i++ {
			if ok, duplicate := s.operation(ci, i); !ok {
				conflicts = append(conflicts, storage.Conflict{Chunk: ci, Row: i, Duplicate: duplicate})
			}
		}
	}
	if len(conflicts) > 0 {
		s.undo()
		return nil, conflicts, nil
	}
	return s, nil, nil
}

// now is what change k's key has, staged rows counted.
func (s *Staged) now(k int32) state {
	p := s.p
	e := p.t.newest(p.changes.key(int(k)))
	if e == nil {
		return p.had[k]
	}
	st := e.state()
	st.own = e.csn == 0
	return st
}

// slabEntries bounds how many entries are made at a time: one that stays in the
// pending table keeps the others in memory.
const slabEntries = 64

func (s *Staged) put(k int32) {
	c := &s.p.changes
	if len(s.slab) == 0 {
		s.slab = make([]entry, max(min(c.Len()-s.count, slabEntries), 1))
	}
	s.p.t.stage(&s.slab[0], c.key(int(k)), c.value(int(k)))
	s.slab = s.slab[1:]
	s.count = int(k) + 1
}

// operation stages one operation. A conflict is entered all the same: all of it will
// be undone, and what follows is judged as if it had been right.
func (s *Staged) operation(ci, i int) (ok, duplicate bool) {
	p := s.p
	c, k := &p.chunks[ci], &p.keys[ci]
	at := k.replaced(i)
	old := state{}
	known := p.looked[at]
	if known {
		old = s.now(at)
	}
	ok = true
	switch c.Op {
	case storage.OpInsert:
		if old.found() {
			ok, duplicate = false, true
		}
		s.inserted++
	case storage.OpUpsert:
		if known && old.found() {
			s.updated++
		} else {
			s.inserted++
		}
	default:
		if c.OldCSN != nil && c.OldCSN[i] != 0 && (!old.found() || old.own || old.csn != c.OldCSN[i]) {
			ok = false
		}
		if c.Op == storage.OpDelete {
			s.deleted++
		} else {
			s.updated++
		}
	}
	if c.Logged && c.Op != storage.OpInsert {
		if img := &p.had[at]; old.own || old.csn != img.csn || old.found() != img.found() {
			s.late = append(s.late, lateImage{c.Ord[i], old.value})
		}
	}
	if k.old[i] >= 0 {
		s.put(k.old[i])
	}
	if own := k.own[i]; own >= 0 {
		if k.old[i] >= 0 {
			if same := s.now(own); same.found() {
				ok, duplicate = false, true
			}
		}
		s.put(own)
	}
	return ok, duplicate
}

// Late reads the rows that logged operations replaced though their images show
// others; nil when there are none.
func (s *Staged) Late() (*storage.Late, error) {
	if len(s.late) == 0 {
		return nil, nil
	}
	d, rows := s.p.sch.images(min(len(s.late), vec.Size))
	l := &storage.Late{Rows: rows}
	for _, x := range s.late {
		l.Ord = append(l.Ord, x.ord)
		if x.value == nil {
			l.At = append(l.At, -1)
			continue
		}
		if err := d.row(x.value, rows.N); err != nil {
			return nil, err
		}
		rows.N++
		l.At = append(l.At, int32(rows.N-1))
	}
	return l, nil
}

// Stamp implements storage.Staged.
func (s *Staged) Stamp(_ uint64, csn storage.CSN) {
	t := s.p.t
	t.mu.Lock()
	s.p.changes.Stamp(csn)
	t.stamped(&s.p.changes, csn)
	t.mu.Unlock()
	t.inserted.Add(s.inserted)
	t.updated.Add(s.updated)
	t.deleted.Add(s.deleted)
	t.changed.Add(int64(s.p.changes.Len()))
}

// Abort implements storage.Staged.
func (s *Staged) Abort() {
	s.p.t.mu.Lock()
	defer s.p.t.mu.Unlock()
	s.undo()
}

func (s *Staged) undo() {
	for k := s.count - 1; k >= 0; k-- {
		s.p.t.unstage(s.p.changes.key(k))
	}
	s.count = 0
}
