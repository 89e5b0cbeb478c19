package column

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// onlyNewRows says whether the chunks that the private tablet does not have yet are
// all inserts or all upserts and nothing waits in its memory: the case of COPY, whose
// rows then go to files without a stop in a memtable.
func (o *Overlay) onlyNewRows(chunks []storage.Chunk) bool {
	if o.rows != 0 || o.chunks >= len(chunks) {
		return false
	}
	for _, m := range o.t.cur.mems {
		if m.rows.Load() > 0 {
			return false
		}
	}
	op := chunks[o.chunks].Op
	if op != storage.OpInsert && (op != storage.OpUpsert || o.t.cur.sch.rowID >= 0) {
		return false
	}
	for i := o.chunks; i < len(chunks); i++ {
		c := &chunks[i]
		if c.Op != op || c.Len() > chunkRows || len(c.Rows.Cols) != len(o.t.cur.sch.table.Columns) ||
			slices.ContainsFunc(c.Rows.Cols, func(v *vec.Vec) bool { return v.Form != vec.Flat }) {
			return false
		}
	}
	return true
}

// spillNewRows writes the rows of flat insert or upsert chunks to private files. An
// upsert replaces rows of its key in chunks and files before it.
func (o *Overlay) spillNewRows(ctx context.Context, chunks []storage.Chunk) error {
	t := o.t
	sch := t.cur.sch
	upsert := chunks[0].Op == storage.OpUpsert
	var replaced []place // rows of files
	var dropped []uint64 // rows of the chunks, by bit, where there are some
	if sch.rowID < 0 {
		d := ownDuplicates{o: o, upsert: upsert}
		if err := d.find(ctx, chunks); err != nil {
			return err
		}
		replaced, dropped = d.replaced, d.dropped
	}
	o.seq++
	seq := uint64(o.seq)
	sw := &sortedWriter{t: t, sch: sch, ordinals: true, born: func(rowRef) uint64 { return seq }}
	for i := range sch.cols {
		vecs := make([]*vec.Vec, len(chunks))
		for k := range chunks {
			if i == sch.rowID {
				vecs[k] = ordinals(chunks[k].Ord)
			} else {
				vecs[k] = chunks[k].Rows.Cols[i]
			}
		}
		sw.sources = append(sw.sources, newRowSource(sch.cols[i], vecs, types.Null))
	}
	for k := range chunks {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for i := 0; i < chunks[k].Len(); i++ {
			if r := uint32(k)<<chunkShift | uint32(i); dropped == nil || !vec.Bit(dropped, int(r)) {
				sw.rows = append(sw.rows, r)
			}
		}
	}
	if err := sw.write(ctx); err != nil {
		sw.abort()
		return err
	}
	t.wmu.Lock()
	defer t.wmu.Unlock()
	v := t.cur
	for _, s := range sw.segs {
		s.inManifest.Store(true)
		s.upsert = upsert
	}
	for _, p := range replaced {
		d := p.seg.del.Load()
		if !d.room(1) {
			d = d.grown(len(replaced))
			p.seg.del.Store(d)
		}
		d.tail.push(p.row, seq)
	}
	t.swap(&version{sch: v.sch, mems: v.mems, segs: slices.Concat(v.segs, sw.segs), segGen: v.segGen + 1}, 0)
	return nil
}

func ordinals(ords []uint32) *vec.Vec {
	v := vec.New(types.Int8, len(ords))
	for i, x := range ords {
		v.I64[i] = int64(x)
	}
	v.N = len(ords)
	return v
}

// ownDuplicates looks for keys that occur twice in chunks, or in files that were
// spilled before. For inserts that is an error; of upserts the last counts.
type ownDuplicates struct {
	o        *Overlay
	upsert   bool
	replaced []place
	dropped  []uint64
}

func (d *ownDuplicates) find(ctx context.Context, chunks []storage.Chunk) error {
	t := d.o.t
	rows := 0
	for i := range chunks {
		rows += chunks[i].Len()
	}
	table := newKeyTable(rows)
	sets := make([]keySet, len(chunks))
	l := t.newLookup(t.cur, latest, everyMemtable)
	defer l.free()
	places := make([]place, chunkRows)
	for ci := range chunks {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		ks, n := &sets[ci], chunks[ci].Len()
		ks.wide = l.wide
		ks.set(pick(chunks[ci].Rows.Cols, t.cur.sch.keys), n)
		l.wide, ks.wide = ks.wide, nil
		if len(t.cur.segs) > 0 {
			clear(places[:n])
			if err := l.find(ks, places[:n]); err != nil {
				return err
			}
		}
		for k := 0; k < n; k++ {
			row := uint32(ci)<<chunkShift | uint32(k)
			old, at := table.newest(sets, ks, k)
			if old == noRow && places[k].found() && !d.upsert || old != noRow && !d.upsert {
				return &DuplicateKeyError{Keys: &vec.Batch{Cols: ks.cols, N: n}, Row: k}
			}
			switch {
			case old != noRow:
				if d.dropped == nil {
					d.dropped = make([]uint64, vec.Words(len(chunks)<<chunkShift))
				}
				vec.SetBit(d.dropped, int(old))
			case places[k].found():
				d.replaced = append(d.replaced, places[k])
			}
			table.put(at, ks.hash[k], row)
		}
	}
	return nil
}

// newest finds the row that the table has for key k, or noRow, and its slot.
func (t *keyTable) newest(sets []keySet, ks *keySet, k int) (row, at uint32) {
	h := ks.hash[k]
	for i := t.slot(h); ; i = (i + 1) & t.mask {
		r, at, ok := t.next(h, i)
		if !ok {
			return noRow, at
		}
		if ks.equal(k, sets[r>>chunkShift].cols, int(r&chunkMask)) {
			return r, at
		}
		i = at
	}
}
