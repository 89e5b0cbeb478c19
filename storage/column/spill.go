package column

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// onlyInserts says whether the chunks that the private tablet does not have yet are
// plain inserts and nothing waits in its memory: the case of COPY, whose rows then
// go to files without a stop in a memtable.
func (o *Overlay) onlyInserts(chunks []storage.Chunk) bool {
	if o.rows != 0 || o.chunks >= len(chunks) {
		return false
	}
	for _, m := range o.t.cur.mems {
		if m.rows.Load() > 0 {
			return false
		}
	}
	for i := o.chunks; i < len(chunks); i++ {
		c := &chunks[i]
		if c.Op != storage.OpInsert || c.Len() > chunkRows || len(c.Rows.Cols) != len(o.t.cur.sch.table.Columns) ||
			slices.ContainsFunc(c.Rows.Cols, func(v *vec.Vec) bool { return v.Form != vec.Flat }) {
			return false
		}
	}
	return true
}

// spillInserts writes the rows of flat insert chunks to private files.
func (o *Overlay) spillInserts(ctx context.Context, chunks []storage.Chunk) error {
	t := o.t
	sch := t.cur.sch
	if sch.rowID < 0 {
		if err := o.ownDuplicates(chunks); err != nil {
			return err
		}
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
		for i := 0; i < chunks[k].Len(); i++ {
			sw.rows = append(sw.rows, uint32(k)<<chunkShift|uint32(i))
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

// ownDuplicates looks for keys that occur twice in the chunks, or in files that
// were spilled before.
func (o *Overlay) ownDuplicates(chunks []storage.Chunk) error {
	sch := o.t.cur.sch
	rows := 0
	for i := range chunks {
		rows += chunks[i].Len()
	}
	table := newKeyTable(rows)
	sets := make([]keySet, len(chunks))
	l := newLookup(o.t.cur, latest, everyMemtable)
	defer l.free()
	places := make([]place, chunkRows)
	for ci := range chunks {
		ks, n := &sets[ci], chunks[ci].Len()
		ks.wide = l.wide
		ks.set(pick(chunks[ci].Rows.Cols, sch.keys), n)
		l.wide, ks.wide = ks.wide, nil
		dup := -1
		if len(o.t.cur.segs) > 0 {
			clear(places[:n])
			if err := l.find(ks, places[:n]); err != nil {
				return err
			}
			dup = slices.IndexFunc(places[:n], func(p place) bool { return p.found() })
		}
		for k := 0; k < n && dup < 0; k++ {
			h := ks.hash[k]
			for i := table.slot(h); ; i = (i + 1) & table.mask {
				r, at, ok := table.next(h, i)
				if !ok {
					table.put(at, h, uint32(ci)<<chunkShift|uint32(k))
					break
				}
				if ks.equal(k, sets[r>>chunkShift].cols, int(r&chunkMask)) {
					dup = k
					break
				}
				i = at
			}
		}
		if dup >= 0 {
			return &DuplicateKeyError{Keys: &vec.Batch{Cols: ks.cols, N: n}, Row: dup}
		}
	}
	return nil
}
