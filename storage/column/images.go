package column

import (
	"context"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// PrepareLogged is Prepare (with side files PrepareSides) for a commit whose logged
// chunks need before images: the rows that their operations will replace, as far as
// that can be said without a latch, are read here. Logged has the chunks with them.
func (t *Tablet) PrepareLogged(ctx context.Context, chunks []storage.Chunk, sides []Side) (*Prepared, error) {
	p, err := t.prepareSides(ctx, chunks, sides, false)
	if err != nil {
		return nil, err
	}
	if err := p.readImages(ctx); err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

// Logged is the chunks with the before images found so far.
func (p *Prepared) Logged() []storage.Chunk { return p.logged }

// readImages finds what each logged operation would replace now, the published rows
// of the active memtable included, and reads those rows: of many chunks at once, so that
// a block of a file is opened once for all of them.
func (p *Prepared) readImages(ctx context.Context) error {
	p.logged = make([]storage.Chunk, len(p.ops))
	m := p.v.active()
	rows := m.rows.Load()
	g := imageReader{s: Snapshot{t: p.t, v: p.v, at: latest, table: p.v.sch.table}}
	g.begin()
	var asked []imageRun
	for i := range p.ops {
		o := &p.ops[i]
		p.logged[i] = *o.c
		ks, at := o.old, o.oldAt
		if o.c.Op == storage.OpUpsert {
			ks, at = o.own, o.ownAt
		}
		if !o.c.Logged || o.c.Op == storage.OpInsert || ks == nil {
			continue
		}
		if len(g.rows)+ks.n > imagesMax {
			if err := g.share(ctx, asked, p.logged); err != nil {
				return err
			}
			asked = asked[:0]
			g.begin()
		}
		o.img = make([]place, ks.n)
		if rows > 0 {
			m.table.Load().touch(ks.hash[:ks.n])
		}
		run := imageRun{chunk: i}
		for k := range o.img {
			pl := &o.img[k]
			// A row of a file was live when it was found; should it have died since, the
			// stage finds that the image is late.
			if at != nil && (at[k].seg != nil || at[k].live()) {
				*pl = at[k]
			}
			if rows > 0 {
				if row := m.findAt(ks, k, latest); row != noRow {
					if d := m.deathOf(row); d == 0 || d == dying {
						*pl = place{mem: m, row: row, csn: m.csnOf(row)}
					}
				}
			}
			if pl.found() {
				g.want(pl, len(g.rows))
				run.keys = append(run.keys, uint16(k))
			}
		}
		if len(run.keys) > 0 {
			asked = append(asked, run)
		}
	}
	return g.share(ctx, asked, p.logged)
}

// imageRun is the keys of a chunk whose rows were asked for, in order.
type imageRun struct {
	chunk int
	keys  []uint16
}

// imagesMax bounds the rows that are read at once; a row's number among them has 16 bits.
const imagesMax = 1 << 15

// share reads the rows that were asked for, and gives each chunk its own.
func (g *imageReader) share(ctx context.Context, asked []imageRun, chunks []storage.Chunk) error {
	if len(asked) == 0 {
		return nil
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(asked) == 1 {
		b, of, err := g.read()
		if err != nil {
			return err
		}
		c := &chunks[asked[0].chunk]
		for i, k := range of {
			of[i] = asked[0].keys[k]
		}
		c.Before, c.BeforeOf = b, of
		return nil
	}
	at := g.once()
	b, _, err := g.read()
	if err != nil {
		return err
	}
	for _, run := range asked {
		n := len(run.keys)
		own := &vec.Batch{N: n, Cols: make([]*vec.Vec, len(b.Cols))}
		for i, v := range b.Cols {
			own.Cols[i] = vec.New(v.T, n)
			if v.T.Layout == types.LayoutView {
				own.Cols[i].CopyLent(v, at[:n], n)
			} else {
				own.Cols[i].Copy(v, at[:n], n)
			}
		}
		c := &chunks[run.chunk]
		c.Before, c.BeforeOf = own, run.keys
		at = at[n:]
	}
	return nil
}

// imageReader reads whole rows of a version.
type imageReader struct {
	s    Snapshot
	cols []int
	rows []found
	last int // part of the last row
}

func (g *imageReader) begin() { g.rows = g.rows[:0] }

// want asks for a row.
func (g *imageReader) want(pl *place, key int) {
	is := func(q *part) bool { return q.seg == pl.seg && q.mem == pl.mem }
	if g.last >= len(g.s.parts) || !is(g.s.parts[g.last]) {
		g.last = len(g.s.parts)
		for i, q := range g.s.parts {
			if is(q) {
				g.last = i
				break
			}
		}
		if g.last == len(g.s.parts) {
			q := &part{seg: pl.seg, mem: pl.mem, at: latest}
			if pl.seg != nil {
				q.rows = uint32(pl.seg.info.Rows)
			} else {
				q.rows = pl.mem.rows.Load()
			}
			g.s.parts = append(g.s.parts, q)
		}
	}
	if q := g.s.parts[g.last]; q.mem != nil && pl.row >= q.rows {
		q.rows = q.mem.rows.Load() // it has grown since
	}
	g.rows = append(g.rows, found{uint32(g.last), pl.row, uint16(key)})
}

// once leaves one of each row that was asked for, several chunks having the same key,
// in the order in which they are read; at says which of them each key's is.
func (g *imageReader) once() (at []uint16) {
	sortFound(g.rows)
	at = make([]uint16, len(g.rows))
	n := 0
	for _, f := range g.rows {
		if n == 0 || g.rows[n-1].part != f.part || g.rows[n-1].row != f.row {
			g.rows[n] = found{f.part, f.row, uint16(n)}
			n++
		}
		at[f.key] = uint16(n - 1)
	}
	g.rows = g.rows[:n]
	return at
}

// read reads the rows that were asked for, no row twice; of says which key each belongs
// to.
func (g *imageReader) read() (b *vec.Batch, of []uint16, err error) {
	if len(g.rows) == 0 {
		return nil, nil, nil
	}
	ts := g.s.table.Types()
	if g.cols == nil {
		for i := range ts {
			g.cols = append(g.cols, i)
		}
	}
	b = &vec.Batch{Cols: make([]*vec.Vec, len(ts))}
	for i, ty := range ts {
		b.Cols[i] = vec.New(ty, len(g.rows))
	}
	of, err = g.s.fetch(g.rows, g.cols, b, make([]uint16, 0, len(g.rows)))
	return b, of, err
}

// lateImage is a logged operation that replaced another row than its image shows.
type lateImage struct {
	ord uint32
	at  place
}

// checkImage compares what a logged operation replaces with its image.
func (s *staged) checkImage(o *chunkOps, i int, live *place) {
	img := &o.img[i]
	switch {
	case !live.found():
		if !img.found() {
			return
		}
	case !img.found():
	case live.mem == img.mem && live.seg == img.seg && live.row == img.row:
		return
	case live.mem == s.m && live.row >= s.first: // of this commit
	case live.csn == img.csn:
		return // a flush or compaction moved it
	case live.seg != nil && live.csn <= live.seg.floor && img.csn <= live.seg.floor:
		return // likewise, and its commit was given up
	}
	s.late = append(s.late, lateImage{o.c.Ord[i], *live})
}

// Late reads the rows that logged operations replaced though their images show
// others; nil when there are none. Called between Stage and Stamp. Keys written since
// Prepare are in memory, so a file is read only where a large commit came between.
func (s *staged) Late() (*storage.Late, error) {
	if len(s.late) == 0 {
		return nil, nil
	}
	sch := s.t.cur.sch
	l := &storage.Late{Rows: &vec.Batch{}}
	for _, ty := range sch.table.Types() {
		l.Rows.Cols = append(l.Rows.Cols, vec.New(ty, min(len(s.late), vec.Size)))
	}
	for i := range s.late {
		x := &s.late[i]
		l.Ord = append(l.Ord, x.ord)
		switch {
		case !x.at.found():
			l.At = append(l.At, -1)
			continue
		case x.at.mem != nil:
			x.at.mem.copyRow(l.Rows, sch, x.at.row)
		default:
			g := imageReader{s: Snapshot{t: s.t, v: s.t.cur, at: latest, table: sch.table}}
			g.want(&x.at, 0)
			b, _, err := g.read()
			if err != nil {
				return nil, err
			}
			for c, v := range b.Cols {
				l.Rows.Cols[c].Copy(v, nil, 1)
			}
			l.Rows.N++
		}
		l.At = append(l.At, int32(l.Rows.N-1))
	}
	return l, nil
}

// copyRow appends a row, staged or not, to a batch with the columns of a schema. The
// write lock is held.
func (m *memtable) copyRow(out *vec.Batch, sch *schema, row uint32) {
	c, at := m.at(row)
	for i := range out.Cols {
		k := m.sch.find(sch.ids[i])
		if k < 0 {
			out.Cols[i].AppendDatum(sch.table.Columns[i].Missing)
			continue
		}
		out.Cols[i].Copy(c.cols[k].head.Load(), []uint16{uint16(at)}, 1)
	}
	out.N++
}
