package column

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// overlayLog is the binlog of what a transaction wrote to a shard: what it replaced of
// its own rows is noted as the operations reach the overlay, and when they go to files
// so do their binlog rows, in a private tablet whose numbers are ordinals.
type overlayLog struct {
	t      *Tablet
	pieces []logPiece // reached the overlay, and no file yet
	// segs and mems are the rows of base that the transaction has replaced or deleted
	// already; rebase carries them over to a newer state of the table.
	base *Snapshot
	segs map[*segFile]*maskEdit
	mems map[*memtable]*maskEdit
}

// logPiece is a chunk that reached the overlay, with what it replaced of the
// transaction's own rows.
type logPiece struct {
	seq   storage.CSN
	table *catalog.Table // which the chunk's columns are of
	chunk storage.Chunk
	late  *storage.Late
	own   []uint64 // operations that replaced rows of the transaction, by bit
}

func newLogPiece(seq storage.CSN, table *catalog.Table, c storage.Chunk, late *storage.Late) logPiece {
	p := logPiece{seq: seq, table: table, chunk: c, late: late, own: make([]uint64, vec.Words(max(c.Len(), 1)))}
	for _, i := range c.BeforeOf {
		vec.SetBit(p.own, int(i))
	}
	if late != nil {
		for i, k := 0, 0; i < c.Len() && k < len(late.Ord); i++ {
			if late.Ord[k] == c.Ord[i] {
				vec.SetBit(p.own, i)
				k++
			}
		}
	}
	return p
}

// kills is the chunk that kills what the piece's operations replace in the table. Those
// that replaced rows of the transaction are left out, unless there may be rows of the
// table below these still (all): ones that an upsert of before the binlog would have
// replaced at the commit.
func (p *logPiece) kills(sch *schema, all bool) (k storage.Chunk, some bool) {
	c := &p.chunk
	if c.Op == storage.OpInsert || c.Keys == nil && sch.rowID >= 0 {
		return k, false
	}
	cols := []*vec.Vec(nil)
	if c.Keys != nil {
		cols = c.Keys.Cols
	} else {
		cols = pick(c.Rows.Cols, sch.keys)
	}
	sel := make([]uint16, 0, c.Len())
	for i := 0; i < c.Len(); i++ {
		if all || !vec.Bit(p.own, i) {
			sel = append(sel, uint16(i))
		}
	}
	k = storage.Chunk{Op: storage.OpDelete, Keys: &vec.Batch{Cols: make([]*vec.Vec, len(cols)), N: len(sel)}, Ord: make([]uint32, len(sel))}
	for j, v := range cols {
		k.Keys.Cols[j] = vec.New(v.T, len(sel))
		k.Keys.Cols[j].Copy(v, sel, c.Len())
	}
	if c.OldCSN != nil {
		k.OldCSN = make([]storage.CSN, len(sel))
	}
	for j, i := range sel {
		k.Ord[j] = c.Ord[i]
		if c.OldCSN != nil {
			k.OldCSN[j] = c.OldCSN[i]
		}
	}
	return k, len(sel) > 0
}

func newOverlayLog(cfg Config) *overlayLog {
	cfg.Table = cfg.Table.Binlog()
	t, err := Open(cfg)
	if err != nil {
		panic(err) // an empty tablet reads nothing
	}
	return &overlayLog{t: t, segs: map[*segFile]*maskEdit{}, mems: map[*memtable]*maskEdit{}}
}

// cut forgets the pieces of statements after seq.
func (g *overlayLog) cut(seq storage.CSN) {
	n := len(g.pieces)
	for n > 0 && g.pieces[n-1].seq > seq {
		n--
	}
	clear(g.pieces[n:])
	g.pieces = g.pieces[:n]
}

// hidden says whether the transaction has replaced a row before, and notes that it
// does.
func (g *overlayLog) hidden(p *place) bool {
	var e *maskEdit
	if p.seg != nil {
		if e = g.segs[p.seg]; e == nil {
			e = editMask(nil, p.seg.blocks())
			g.segs[p.seg] = e
		}
	} else {
		e = g.mems[p.mem]
		if blocks := int(p.row/vec.BlockRows) + 1; e == nil {
			e = editMask(nil, 2*blocks)
			g.mems[p.mem] = e
		} else if blocks > len(e.m) {
			e.m, e.own = append(e.m, make(mask, blocks)...), append(e.own, make([]bool, blocks)...)
		}
	}
	if e.m.has(p.row) {
		return true
	}
	e.set(p.row)
	return false
}

// write writes the binlog rows of the pieces to files, and hands on what is to be killed
// in the table. base is the newest state of the table, taken since it was locked, or the
// keys were; nil when nothing of it can be replaced. upserts says that files have rows
// that replace others.
func (g *overlayLog) write(ctx context.Context, sch *schema, base *Snapshot, seq storage.CSN, upserts bool, to *killSink) error {
	var l *lookup
	var img imageReader
	if base != nil {
		if err := g.rebase(ctx, sch, base); err != nil {
			return err
		}
		l = base.t.newLookup(base.v, latest, everyMemtable)
		defer l.free()
		img = imageReader{s: Snapshot{t: base.t, v: base.v, at: latest, table: sch.table}}
	}
	for i := range g.pieces {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p := &g.pieces[i]
		p.recast(sch.table)
		if l != nil && p.chunk.Op != storage.OpInsert {
			if err := g.images(p, sch, l, &img); err != nil {
				return err
			}
		}
		if k, some := p.kills(sch, upserts); some {
			if err := to.add(k); err != nil {
				return err
			}
		}
		if p.chunk.Logged {
			g.t.StageLog([]storage.Chunk{p.chunk}, p.late, nil, nil).Stamp(0, seq, 0)
		}
		*p = logPiece{}
		if g.t.Full() {
			if err := g.flush(ctx); err != nil {
				return err
			}
		}
	}
	g.pieces = nil
	return g.flush(ctx)
}

func (g *overlayLog) flush(ctx context.Context) error {
	e, err := g.t.Flush(ctx, nil)
	if e != nil && err == nil {
		e.Install()
	}
	return err
}

// images adds the rows of the table that the operations of a piece replace, where
// they replace none of the transaction's own.
func (g *overlayLog) images(p *logPiece, sch *schema, l *lookup, img *imageReader) error {
	c := &p.chunk
	var cols []*vec.Vec
	switch {
	case c.Keys != nil:
		cols = c.Keys.Cols
	case sch.rowID < 0:
		cols = pick(c.Rows.Cols, sch.keys)
	default:
		return nil
	}
	var ks keySet
	ks.set(cols, c.Len())
	places := make([]place, ks.n)
	if err := l.find(&ks, places); err != nil {
		return err
	}
	img.begin()
	for i := range places {
		if pl := &places[i]; pl.found() && !g.hidden(pl) && !vec.Bit(p.own, i) {
			img.want(pl, i)
		}
	}
	b, of, err := img.read()
	if err != nil || b == nil || !c.Logged {
		return err
	}
	if c.Before == nil {
		c.Before, c.BeforeOf = b, of
		return nil
	}
	joined := &vec.Batch{N: c.Before.N + b.N}
	for i, v := range c.Before.Cols {
		n := vec.New(v.T, joined.N)
		n.Copy(v, nil, c.Before.N)
		n.Copy(b.Cols[i], nil, b.N)
		joined.Cols = append(joined.Cols, n)
	}
	c.Before, c.BeforeOf = joined, slices.Concat(c.BeforeOf, of)
	return nil
}

// recast gives a piece the columns of another definition of its table.
func (p *logPiece) recast(to *catalog.Table) {
	if p.table == to {
		return
	}
	p.chunk.Rows = recastBatch(p.chunk.Rows, p.table, to)
	p.chunk.Before = recastBatch(p.chunk.Before, p.table, to)
	if p.late != nil {
		l := *p.late
		l.Rows = recastBatch(l.Rows, p.table, to)
		p.late = &l
	}
	p.table = to
}

func recastBatch(b *vec.Batch, from, to *catalog.Table) *vec.Batch {
	if b == nil {
		return nil
	}
	n := &vec.Batch{N: b.N, Cols: make([]*vec.Vec, len(to.Columns))}
	for i := range to.Columns {
		c := &to.Columns[i]
		k := slices.IndexFunc(from.Columns, func(f catalog.Column) bool { return f.ID == c.ID && f.T.Layout == c.T.Layout })
		if k >= 0 {
			n.Cols[i] = b.Cols[k]
			continue
		}
		n.Cols[i] = new(vec.Vec)
		n.Cols[i].SetConst(c.T, c.Missing, b.N)
	}
	return n
}

// writeNew writes the binlog rows of flat insert chunks to files, without a stop in
// memory.
func (g *overlayLog) writeNew(ctx context.Context, chunks []storage.Chunk, seq storage.CSN) error {
	sch := g.t.cur.sch
	user, most := sch.table.BinlogLSN(), 0
	for k := range chunks {
		most = max(most, chunks[k].Len())
	}
	event, time := vec.New(types.Int8, most), vec.New(types.Int8, most)
	event.N, time.N = most, most
	for i := range event.I64[:most] {
		event.I64[i], time.I64[i] = int64(storage.EventInsert), 0
	}
	sw := &sortedWriter{t: g.t, sch: sch, born: func(rowRef) uint64 { return uint64(seq) }}
	for i := range sch.cols {
		vecs := make([]*vec.Vec, len(chunks))
		for k := range chunks {
			switch {
			case i < user:
				vecs[k] = chunks[k].Rows.Cols[i]
			case i == user:
				vecs[k] = ordinals(chunks[k].Ord)
			case i == sch.table.BinlogType():
				vecs[k] = event
			default:
				vecs[k] = time
			}
		}
		sw.sources = append(sw.sources, newRowSource(sch.cols[i], vecs, types.Null))
	}
	for k := range chunks {
		if !chunks[k].Logged {
			continue
		}
		for i := 0; i < chunks[k].Len(); i++ {
			sw.rows = append(sw.rows, uint32(k)<<chunkShift|uint32(i))
		}
	}
	if len(sw.rows) == 0 {
		return nil
	}
	if err := sw.write(ctx); err != nil {
		sw.abort()
		return err
	}
	t := g.t
	t.wmu.Lock()
	defer t.wmu.Unlock()
	for _, s := range sw.segs {
		s.inManifest.Store(true)
	}
	v := t.cur
	t.swap(&version{sch: v.sch, mems: v.mems, segs: slices.Concat(v.segs, sw.segs), segGen: v.segGen + 1}, 0)
	return nil
}

// Logged says whether rows of the binlog have gone to files.
func (o *Overlay) Logged() bool { return o.log != nil && len(o.log.t.cur.segs) > 0 }

// LogSides are the files with the binlog rows of what was spilled.
func (o *Overlay) LogSides() []SegmentInfo {
	if o.log == nil {
		return nil
	}
	return o.log.t.Segments()
}

// LogFiles are side files on their way into a binlog's tablet.
type LogFiles struct{ segs []*segFile }

// OpenLogFiles opens side files of a binlog for StageLog. Whoever does not stamp them
// closes them.
func (t *Tablet) OpenLogFiles(infos []SegmentInfo) (*LogFiles, error) {
	f := new(LogFiles)
	for _, info := range infos {
		info.CSN, info.Base, info.Time = latest, 0, 0 // filled in by the stamp
		s, err := t.openSegment(info)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.segs = append(f.segs, s)
	}
	return f, nil
}

// Close lets go of files that no tablet took over.
func (f *LogFiles) Close() {
	if f == nil {
		return
	}
	for _, s := range f.segs {
		s.close()
	}
	f.segs = nil
}

// adopt makes the files part of the tablet as rows of a commit. Called with the write
// lock held.
func (f *LogFiles) adopt(t *Tablet, base uint64, csn storage.CSN, time int64) {
	v := t.cur
	n := &version{sch: v.sch, mems: v.mems, segs: slices.Clone(v.segs), segGen: v.segGen + 1}
	for _, s := range f.segs {
		s.info.CSN, s.info.Base, s.info.Time = csn, base, time
		n.segs = append(n.segs, s)
	}
	f.segs = nil
	// The memtable holds the log back until a flush puts the files in the manifest.
	v.active().touch(csn)
	t.swap(n, 0)
}
