package column

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// Overlay is what a transaction wrote to one shard of a table, as its own reads
// see it: a private tablet with the newest rows, laid over snapshots whose
// replaced and deleted rows are hidden. It is fed from the transaction's list of
// chunks when it is read, so that a transaction that does not read its own writes
// pays nothing. Used by one goroutine at a time; its snapshots by any.
//
// Rows of a table without a primary key have the provisional id -1-Ord until the
// commit numbers them; keys may name them so.
type Overlay struct {
	t   *Tablet
	seq storage.CSN // the last statement's; the private tablet's commits

	// Applied are the first chunks of the list, and rows of the next one.
	chunks, rows int

	hide hidden
	// marks has where the list stood at each statement number.
	marks []overlayMark
	log   *overlayLog // nil for a table without a binlog
	// bare are the first chunks of the list that are no pieces of the log.
	bare int
	// killed are keys files, which Spill writes with killFiles.
	killed    []SegmentInfo
	killFiles bool
}

type overlayMark struct {
	seq          storage.CSN
	chunks, rows int
}

// hidden are the rows of one version that the transaction replaced or deleted, as
// far as the list was looked at. Its masks are replaced, never changed.
type hidden struct {
	v            *version
	chunks, rows int
	files        int // private files that were looked at
	killed       int // keys files likewise
	segs         map[*segFile]mask
	mems         map[*memtable]mask
}

// NewOverlay makes an empty overlay for a shard of a table. files and nextFile are
// for Spill and may be nil without it.
func NewOverlay(table *catalog.Table, shard int, files blob.Dir, nextFile func() string, limits Limits) *Overlay {
	cfg := Config{Table: table, Shard: shard, Files: files, NextFile: nextFile, Limits: limits, own: true,
		Watermark: func() (storage.CSN, []storage.CSN) { return 0, nil }}
	t, err := Open(cfg)
	if err != nil {
		panic(err) // an empty tablet reads nothing
	}
	o := &Overlay{t: t}
	if table.KeepsBinlog() {
		o.log = newOverlayLog(cfg)
	}
	return o
}

// CountWrites has w count what the overlay spills.
func (o *Overlay) CountWrites(w *Written) { o.t.cfg.Written = w }

// SetSchema takes over a definition of the table that the transaction made; chunks
// from the next on have its columns.
func (o *Overlay) SetSchema(table *catalog.Table) {
	o.t.SetSchema(table)
	switch {
	case o.log != nil:
		o.log.t.SetSchema(table.Binlog())
	case table.KeepsBinlog():
		cfg := o.t.cfg
		cfg.Table = table
		o.log, o.bare = newOverlayLog(cfg), o.applied()
	}
}

// applied is how many chunks of the list reached the private tablet.
func (o *Overlay) applied() int {
	if o.rows > 0 {
		return o.chunks + 1
	}
	return o.chunks
}

// apply brings the private tablet up to the list.
func (o *Overlay) apply(chunks []storage.Chunk) error {
	if o.chunks == len(chunks) || o.chunks == len(chunks)-1 && o.rows == chunks[o.chunks].Len() {
		return nil
	}
	o.seq++
	for o.chunks < len(chunks) {
		c := chunks[o.chunks]
		n := c.Len()
		if o.rows > 0 {
			c = tailOf(c, o.rows)
		}
		if c.Len() > 0 {
			if err := o.put(c); err != nil {
				return err
			}
		}
		if o.chunks == len(chunks)-1 {
			o.rows = n // it may still grow
			return nil
		}
		o.chunks, o.rows = o.chunks+1, 0
	}
	return nil
}

// DuplicateKeyError is an insert of a key that the transaction inserted before.
// Row of Keys is the key.
type DuplicateKeyError struct {
	Keys *vec.Batch
	Row  int
}

func (e *DuplicateKeyError) Error() string { return "duplicate key" }

// put applies one chunk. An insert of a key that is there already is an error,
// since the rows of a spilled set are not looked at one by one at the commit.
func (o *Overlay) put(c storage.Chunk) error {
	replay := c.Op != storage.OpInsert || o.t.cur.sch.rowID >= 0
	if replay && o.log == nil {
		return o.t.Replay([]storage.Chunk{c}, 0, o.seq)
	}
	p, err := o.t.prepare(context.Background(), []storage.Chunk{c}, replay)
	if err != nil {
		return err
	}
	defer p.Release()
	if o.log != nil {
		if err := p.readImages(context.Background()); err != nil {
			return err
		}
	}
	s, conflicts, err := p.stage()
	if err != nil {
		return err
	}
	if len(conflicts) > 0 {
		keys := pick(c.Rows.Cols, o.t.cur.sch.keys)
		return &DuplicateKeyError{Keys: &vec.Batch{Cols: keys, N: c.Len()}, Row: conflicts[0].Row}
	}
	if o.log != nil {
		late, err := s.Late()
		if err != nil {
			s.Abort()
			return err
		}
		o.log.pieces = append(o.log.pieces, newLogPiece(o.seq, o.t.cur.sch.table, p.logged[0], late))
	}
	s.Stamp(0, o.seq)
	return nil
}

// tailOf is a chunk's operations from number from on.
func tailOf(c storage.Chunk, from int) storage.Chunk {
	sel := make([]uint16, c.Len()-from)
	for i := range sel {
		sel[i] = uint16(from + i)
	}
	cut := func(b *vec.Batch) *vec.Batch {
		if b == nil {
			return nil
		}
		n := &vec.Batch{Cols: make([]*vec.Vec, len(b.Cols)), N: len(sel)}
		for i, v := range b.Cols {
			n.Cols[i] = vec.New(v.T, len(sel))
			n.Cols[i].Copy(v, sel, c.Len())
		}
		return n
	}
	n := storage.Chunk{Op: c.Op, Rows: cut(c.Rows), Keys: cut(c.Keys), Ord: c.Ord[from:], Logged: c.Logged, Own: c.Own}
	if c.OldCSN != nil {
		n.OldCSN = c.OldCSN[from:]
	}
	if c.RowID != nil {
		n.RowID = c.RowID[from:]
	}
	return n
}

// Over lays the transaction's writes, given as its whole list of chunks, over a
// snapshot of the shard, and returns it. Later chunks, and rows that the last
// chunk gets later, are not seen by it. A nil base stands for an empty table. The
// commit of the transaction's own rows reads 0, and Find tells it as dying.
func (o *Overlay) Over(base *Snapshot, chunks []storage.Chunk) (*Snapshot, error) {
	if err := o.apply(chunks); err != nil {
		if base != nil {
			base.Close()
		}
		return nil, err
	}
	own := o.t.Snapshot(o.seq)
	for _, p := range own.parts {
		p.own = true
	}
	if base == nil {
		own.allOwn = true
		return own, nil
	}
	if err := o.resolve(base, chunks); err != nil {
		own.Close()
		base.Close()
		return nil, err
	}
	for _, p := range base.parts {
		if p.seg != nil {
			p.hide = o.hide.segs[p.seg]
		} else {
			p.hide = o.hide.mems[p.mem]
		}
	}
	base.parts = append(base.parts, own.parts...)
	base.own = own
	return base, nil
}

// resolve finds the rows of the base that the list's keys replace or delete. What
// was found in a version stays: the transaction has locked the keys.
func (o *Overlay) resolve(base *Snapshot, chunks []storage.Chunk) error {
	h := &o.hide
	if h.v != base.v || h.segs == nil {
		*h = hidden{v: base.v, segs: map[*segFile]mask{}, mems: map[*memtable]mask{}}
	}
	segs, mems := map[*segFile]*maskEdit{}, map[*memtable]*maskEdit{}
	hide := func(places []place) {
		for _, p := range places {
			switch {
			case p.seg != nil:
				e := segs[p.seg]
				if e == nil {
					e = editMask(h.segs[p.seg], p.seg.blocks())
					segs[p.seg] = e
				}
				e.set(p.row)
			case p.mem != nil:
				e := mems[p.mem]
				if blocks := int(p.row/vec.BlockRows) + 1; e == nil || blocks > len(e.m) {
					from := h.mems[p.mem]
					if e != nil {
						from = e.m
					}
					e = editMask(from, 2*blocks)
					mems[p.mem] = e
				}
				e.set(p.row)
			}
		}
	}
	l := base.t.newLookup(base.v, base.at, everyMemtable)
	defer l.free()
	var ks keySet
	for ; h.chunks < len(chunks); h.chunks, h.rows = h.chunks+1, 0 {
		c := chunks[h.chunks]
		if h.rows > 0 {
			if h.rows == c.Len() {
				if h.chunks == len(chunks)-1 {
					break
				}
				continue
			}
			c = tailOf(c, h.rows)
		}
		var cols []*vec.Vec
		switch {
		case c.Keys != nil:
			cols = c.Keys.Cols
		case c.Op == storage.OpUpsert && o.t.cur.sch.rowID < 0:
			cols = pick(c.Rows.Cols, o.t.cur.sch.keys)
		}
		if cols != nil && c.Len() > 0 {
			ks.set(cols, c.Len())
			places := make([]place, ks.n)
			if err := l.find(&ks, places); err != nil {
				return err
			}
			hide(places)
		}
		if h.chunks == len(chunks)-1 {
			h.rows = chunks[h.chunks].Len()
			break
		}
	}
	// Upserts that were spilled have their keys in files.
	for _, f := range o.t.cur.segs[min(h.files, len(o.t.cur.segs)):] {
		if !f.upsert {
			continue
		}
		err := f.eachKeys(context.Background(), func(ks *keySet, _ int, _ func(int) bool) error {
			places := make([]place, ks.n)
			if err := l.find(ks, places); err != nil {
				return err
			}
			hide(places)
			return nil
		})
		if err != nil {
			return err
		}
	}
	h.files = len(o.t.cur.segs)
	if err := o.hideKilled(o.killed[min(h.killed, len(o.killed)):], l, hide); err != nil {
		return err
	}
	h.killed = len(o.killed)
	for s, e := range segs {
		h.segs[s] = e.m
	}
	for m, e := range mems {
		h.mems[m] = e.m
	}
	return nil
}

// Mark takes in the list and remembers where it stands, for RollbackTo.
func (o *Overlay) Mark(chunks []storage.Chunk) (int, error) {
	if err := o.apply(chunks); err != nil {
		return 0, err
	}
	o.marks = append(o.marks, overlayMark{o.seq, o.chunks, o.rows})
	return len(o.marks) - 1, nil
}

// RollbackTo forgets what came after a mark. The list must have been cut to what
// it was then; snapshots taken since must not be used any more.
func (o *Overlay) RollbackTo(mark int) error {
	m := o.marks[mark]
	if err := o.t.rollback(m.seq); err != nil {
		return err
	}
	if o.log != nil {
		o.log.cut(m.seq)
	}
	o.chunks, o.rows = m.chunks, m.rows
	o.bare = min(o.bare, o.applied())
	o.marks = o.marks[:mark+1]
	o.hide = hidden{}
	return nil
}

// Bytes is the memory of the private tablet.
func (o *Overlay) Bytes() int64 { return o.t.LiveBytes() }

// Close drops the private tablet and its files. Snapshots may outlive it.
func (o *Overlay) Close() {
	o.t.DropFiles()
	for _, f := range o.killed {
		_ = o.t.cfg.Files.Remove(f.File) // one that stays is found by the next start's clean-up
	}
	o.killed = nil
	if o.log != nil {
		if o.log.base != nil {
			o.log.base.Close()
			o.log.base = nil
		}
		o.log.t.DropFiles()
	}
}

// rollback undoes all commits of a private tablet after seq.
func (t *Tablet) rollback(seq storage.CSN) error {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	for _, s := range t.cur.segs {
		if err := s.rollback(uint64(seq)); err != nil {
			return err
		}
	}
	for _, m := range t.cur.mems {
		m.rollback(seq)
	}
	return nil
}

// rollback cuts the rows after seq off and revives those that died after it.
func (m *memtable) rollback(seq storage.CSN) {
	n := m.prefix(seq)
	if n < m.rows.Load() {
		m.rows.Store(n)
		m.cut(n)
		m.table.Store(newKeyTable(int(n)))
		m.relink()
	}
	for _, c := range m.chunks() {
		if d := c.dead.Load(); d != nil {
			for i := range *d {
				if (*d)[i] > uint64(seq) {
					(*d)[i] = 0
					m.dead.Add(-1)
				}
			}
		}
	}
}

// relink enters all rows in a new key table.
func (m *memtable) relink() {
	for row := uint32(0); row < m.n; {
		c, at := m.at(row)
		k := int(min(m.n-row, uint32(c.cap-at), vec.Size))
		cols, sel := make([]*vec.Vec, len(m.sch.keys)), make([]uint16, k)
		for i := range sel {
			sel[i] = uint16(at + i)
		}
		for i, p := range m.sch.keys {
			cols[i] = vec.New(m.sch.cols[p], k)
			cols[i].Copy(c.cols[p].head.Load(), sel, k)
		}
		var ks keySet
		ks.set(cols, k)
		m.ready(k)
		for i := 0; i < k; i++ {
			old, slot := m.find(&ks, i)
			m.link(row+uint32(i), old, slot, ks.hash[i])
		}
		row += uint32(k)
	}
}

// rollback marks a private file's rows after seq dead and revives what died after.
func (s *segFile) rollback(seq uint64) error {
	d := s.del.Load()
	if d.tail != nil {
		for n := d.tail.n.Load(); n > 0 && d.tail.csns[n-1] > seq; n = d.tail.n.Load() {
			d.tail.pop()
		}
	}
	if s.csnMax() <= seq {
		return nil
	}
	c, _ := s.r.Column(csnColumnID)
	e := editMask(d.base, d.blocks)
	var v vec.Vec
	for vi := 0; vi < s.r.Vectors(); vi++ {
		if err := c.Vector(vi, &v); err != nil {
			return err
		}
		for i := 0; i < v.N; i++ {
			if uint64(v.I64[v.Index(i)]) > seq {
				e.set(uint32(vi*vec.Size + i))
			}
		}
	}
	s.del.Store(&deleteSet{blocks: d.blocks, base: e.m, stripes: d.stripes, tail: d.tail})
	return nil
}

// Spill moves the transaction's rows to private files and returns the chunks that
// the list is to be replaced by: the keys that updates, deletes and upserts need
// killed, unless these go to files too (KillsToFiles). Rows need no chunk any more; the
// commit takes them by Sides, and the rows of a binlog by LogSides. For these base, which
// Spill takes over, is the newest state of the table, where logged operations other than
// inserts may replace something; the table is locked then, or all keys so far are.
func (o *Overlay) Spill(ctx context.Context, chunks []storage.Chunk, base *Snapshot) ([]storage.Chunk, error) {
	if base != nil {
		defer func() {
			if o.log == nil || o.log.base != base {
				base.Close()
			}
		}()
	}
	k := &killSink{o: o}
	err := o.spill(ctx, chunks, base, k)
	if err == nil {
		err = k.done()
	}
	if err != nil {
		k.abort()
		return nil, err
	}
	o.chunks, o.rows, o.bare = len(k.rest), 0, len(k.rest)
	o.hide = hidden{}
	return k.rest, nil
}

func (o *Overlay) spill(ctx context.Context, chunks []storage.Chunk, base *Snapshot, k *killSink) error {
	sch := o.t.cur.sch
	if o.onlyNewRows(chunks) && (o.log == nil || chunks[o.chunks].Op == storage.OpInsert) {
		fresh := chunks[o.chunks:]
		if err := o.spillNewRows(ctx, fresh); err != nil {
			return err
		}
		if o.log == nil {
			return o.kills(chunks[:o.chunks], k)
		}
		if err := o.kills(chunks[:o.bare], k); err != nil {
			return err
		}
		if err := o.log.write(ctx, sch, base, o.seq, o.Upserts(), k); err != nil {
			return err
		}
		return o.log.writeNew(ctx, fresh, o.seq)
	}
	if err := o.apply(chunks); err != nil {
		return err
	}
	if o.log != nil {
		chunks = chunks[:o.bare]
	}
	if err := o.kills(chunks, k); err != nil {
		return err
	}
	if o.log != nil {
		if err := o.log.write(ctx, sch, base, o.seq, o.Upserts(), k); err != nil {
			return err
		}
	}
	e, err := o.t.Flush(ctx, nil)
	if e != nil && err == nil {
		e.Install()
	}
	return err
}

// kills hands on the chunks that kill what chunks replace.
func (o *Overlay) kills(chunks []storage.Chunk, to *killSink) error {
	for i := range chunks {
		c := &chunks[i]
		k := storage.Chunk{Op: storage.OpDelete, Keys: c.Keys, OldCSN: c.OldCSN, Ord: c.Ord}
		switch {
		case c.Op == storage.OpInsert:
			continue
		case c.Own && !o.Upserts() && slices.Contains(c.OldCSN, 0):
			// Rows of the transaction have their deaths in its own files. A row of another
			// under such a key is a duplicate, not to be killed. (Below a row that an upsert
			// has left in a file there may be one that it was to replace.)
			if k = notOwn(c); k.Len() == 0 {
				continue
			}
		case c.Keys == nil: // upsert
			if o.t.cur.sch.rowID >= 0 {
				continue
			}
			cols := pick(c.Rows.Cols, o.t.cur.sch.keys)
			k.Keys = &vec.Batch{Cols: make([]*vec.Vec, len(cols)), N: c.Len()}
			for j, v := range cols {
				k.Keys.Cols[j] = vec.New(v.T, c.Len())
				k.Keys.Cols[j].Copy(v, nil, c.Len())
			}
		}
		if err := to.add(k); err != nil {
			return err
		}
	}
	return nil
}

// notOwn kills the rows of others that a chunk's operations replace or delete.
func notOwn(c *storage.Chunk) storage.Chunk {
	k := storage.Chunk{Op: storage.OpDelete}
	var sel []uint16
	for i, csn := range c.OldCSN {
		if csn != 0 {
			sel = append(sel, uint16(i))
			k.OldCSN, k.Ord = append(k.OldCSN, csn), append(k.Ord, c.Ord[i])
		}
	}
	k.Keys = &vec.Batch{Cols: make([]*vec.Vec, len(c.Keys.Cols)), N: len(sel)}
	for j, v := range c.Keys.Cols {
		k.Keys.Cols[j] = vec.New(v.T, len(sel))
		k.Keys.Cols[j].Copy(v, sel, c.Len())
	}
	return k
}

// Upserts says whether rows that were spilled replace others, whatever there is.
func (o *Overlay) Upserts() bool {
	for _, s := range o.t.cur.segs {
		if s.upsert {
			return true
		}
	}
	return false
}

// Sides are the files with the rows that were spilled, for the commit's record.
// What the transaction deleted of them again is in a deletes file.
func (o *Overlay) Sides() ([]Side, error) {
	var dead []segDeletes
	var sides []Side
	for _, s := range o.t.cur.segs {
		m := s.del.Load().upTo(latest)
		if m.count() == s.info.Rows {
			continue
		}
		dead = append(dead, segDeletes{s.info.File, s.info.Rows, m})
		sides = append(sides, Side{SegmentInfo: s.info, Upsert: s.upsert})
	}
	if len(sides)+len(o.killed) == 0 {
		return nil, nil
	}
	name, err := o.t.writeDeletes(0, dead)
	if err != nil {
		return nil, err
	}
	for i := range sides {
		if dead[i].dead.count() > 0 {
			sides[i].Deletes = name
		}
	}
	if o.t.deletes != "" {
		_ = o.t.cfg.Files.Remove(o.t.deletes)
	}
	o.t.deletes = name
	for _, f := range o.killed {
		sides = append(sides, Side{SegmentInfo: f, Keys: true})
	}
	return sides, nil
}

// CommittedLog tells that the files of LogSides belong to the table's binlog now. Those of
// Sides no one has taken.
func (o *Overlay) CommittedLog() {
	if o.log == nil {
		return
	}
	l := o.log.t
	l.wmu.Lock()
	l.swap(&version{sch: l.cur.sch, mems: l.cur.mems, segGen: l.cur.segGen + 1}, 0)
	l.wmu.Unlock()
}

// Committed tells that the files of Sides belong to the table now, with logged those of
// LogSides too: Close leaves them alone, but for the deletes file, which nobody needs
// once the log has been trimmed beyond the commit.
func (o *Overlay) Committed(logged bool) {
	o.t.wmu.Lock()
	defer o.t.wmu.Unlock()
	t := o.t
	t.deletes, o.killed = "", nil
	for _, s := range t.cur.segs {
		if s.del.Load().upTo(latest).count() == s.info.Rows {
			s.doomed.Store(true) // Sides left it out
		}
	}
	t.swap(&version{sch: t.cur.sch, mems: t.cur.mems, segGen: t.cur.segGen + 1}, 0)
	if logged {
		o.CommittedLog()
	}
}
