package column

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Flush writes all memtables to segments. durable returns when the log has made a
// commit durable: no file may cover more than that. The edit is the tablet's
// checkpoint; nil when there is nothing to flush.
func (t *Tablet) Flush(ctx context.Context, durable func(storage.CSN) error) (*Edit, error) {
	return t.FlushPaced(ctx, durable, nil)
}

// FlushPaced is Flush that calls pace between pieces of the work; nil for none.
func (t *Tablet) FlushPaced(ctx context.Context, durable func(storage.CSN) error, pace func(context.Context) error) (*Edit, error) {
	if err := t.acquireMaint(ctx); err != nil {
		return nil, err
	}
	e, err := t.flush(ctx, durable, pace)
	if e == nil || err != nil {
		t.releaseMaint()
	}
	return e, err
}

func (t *Tablet) flush(ctx context.Context, durable func(storage.CSN) error, pace func(context.Context) error) (*Edit, error) {
	t.wmu.Lock()
	t.freeze(t.cur.sch)
	v := t.pin() // a commit with side files may replace it meanwhile
	defer t.unpin(v)
	frozen := slices.Clone(v.mems[:len(v.mems)-1])
	f := t.f
	for _, m := range frozen {
		f = max(f, storage.CSN(m.last.Load()))
	}
	truncated := slices.Clone(t.truncated)
	truncCSN := t.truncCSN
	var adopted []*segFile
	for _, s := range v.segs {
		if !s.inManifest.Load() {
			adopted = append(adopted, s)
		}
	}
	t.wmu.Unlock()
	if len(frozen) == 0 && len(truncated) == 0 && len(adopted) == 0 && truncCSN == 0 {
		return nil, nil
	}
	if durable != nil {
		if err := durable(f); err != nil {
			return nil, err
		}
	}
	fl := &flushing{sortedWriter: sortedWriter{t: t, sch: v.sch, pace: pace}, mems: frozen, f: f}
	if err := fl.write(ctx); err != nil {
		fl.abort()
		return nil, err
	}
	dead := t.manifestDeletes(v.segs, f, nil)
	dead = append(dead, fl.deletesUpTo(f)...)
	name, err := t.writeDeletes(f, dead)
	if err != nil {
		fl.abort()
		return nil, err
	}
	e := &Edit{Deletes: name, F: f, tablet: t, undo: fl.abort}
	for _, s := range truncated {
		if s.inManifest.Load() {
			e.Drop = append(e.Drop, s.info.File)
		}
	}
	for _, s := range adopted {
		e.Add = append(e.Add, s.info)
	}
	for _, s := range fl.segs {
		e.Add = append(e.Add, s.info)
	}
	e.install = func() {
		t.f = f
		t.dropSpent(f)
		t.truncated = t.truncated[len(truncated):]
		t.mu.Lock()
		if t.truncCSN == truncCSN {
			t.truncCSN = 0
		}
		t.mu.Unlock()
		for _, s := range adopted {
			s.inManifest.Store(true) // if it was truncated meanwhile, the next edit drops it
			if s.sideDeletes != "" {
				_ = t.cfg.Files.Remove(s.sideDeletes) // several may share one
				s.sideDeletes = ""
			}
		}
		t.drop(truncated)
		fl.install()
	}
	return e, nil
}

// flushing is a flush under way.
type flushing struct {
	sortedWriter
	mems []*memtable
	f    storage.CSN

	chunks []*chunk // of all memtables
	memOf  []int    // memtable of each
}

// write writes the rows that anyone may still see.
func (fl *flushing) write(ctx context.Context) error {
	oldest, live := fl.t.watermark()
	for mi, m := range fl.mems {
		n := m.rows.Load()
		for ci, c := range m.chunks() {
			base := uint32(len(fl.chunks)) << chunkShift
			fl.chunks, fl.memOf = append(fl.chunks, c), append(fl.memOf, mi)
			// Chunks beyond the rows are what an undone commit had asked for.
			k := uint32(max(min(int(n)-ci<<chunkShift, chunkRows), 0))
			for i := uint32(0); i < k; i++ {
				if d := m.deathOf(uint32(ci)<<chunkShift + i); d != 0 && !needed(c.csn[i], d, oldest, live) {
					continue
				}
				fl.rows = append(fl.rows, base+i)
			}
		}
	}
	if len(fl.rows) == 0 {
		return nil
	}
	for i := range fl.sch.cols {
		fl.sources = append(fl.sources, fl.source(i))
	}
	fl.born = func(r rowRef) uint64 { return fl.chunks[r>>chunkShift].csn[r&chunkMask] }
	return fl.sortedWriter.write(ctx)
}

// source is column i of the schema in all chunks.
func (fl *flushing) source(i int) *rowSource {
	vecs := make([]*vec.Vec, len(fl.chunks))
	for k, c := range fl.chunks {
		if p := fl.mems[fl.memOf[k]].sch.find(fl.sch.ids[i]); p >= 0 {
			vecs[k] = c.cols[p].head.Load()
		}
	}
	missing := types.Null
	if i < len(fl.sch.table.Columns) {
		missing = fl.sch.table.Columns[i].Missing
	}
	return newRowSource(fl.sch.cols[i], vecs, missing)
}

// deaths calls f for every written row that has died by now.
func (fl *flushing) deaths(f func(file int, row uint32, csn uint64)) {
	for n, r := range fl.rows {
		c := fl.chunks[r>>chunkShift]
		d := c.dead.Load()
		if d == nil {
			continue
		}
		if csn := atomic.LoadUint64(&(*d)[r&chunkMask]); csn != 0 {
			file, row := fl.w.place(uint32(n))
			f(file, row, csn)
		}
	}
}

// deletesUpTo are the deletes of the new files.
func (fl *flushing) deletesUpTo(f storage.CSN) []segDeletes {
	out := make([]segDeletes, len(fl.segs))
	edits := make([]*maskEdit, len(fl.segs))
	for i, s := range fl.segs {
		edits[i] = editMask(nil, s.blocks())
	}
	fl.deaths(func(file int, row uint32, csn uint64) {
		if csn <= uint64(f) {
			edits[file].set(row)
		}
	})
	for i, s := range fl.segs {
		out[i] = segDeletes{s.info.File, s.info.Rows, edits[i].m}
	}
	return out
}

// install replaces the memtables by the segments; deletes that came meanwhile are
// carried over. Called with the write lock held.
func (fl *flushing) install() {
	t := fl.t
	v := t.cur
	if len(fl.mems) > 0 && !slices.Contains(v.mems, fl.mems[0]) {
		// Truncated meanwhile: the manifest has the files, the next edit drops them.
		for _, s := range fl.segs {
			s.inManifest.Store(true)
		}
		t.retire(fl.segs)
		return
	}
	deaths := make([][]death, len(fl.segs))
	fl.deaths(func(file int, row uint32, csn uint64) { deaths[file] = append(deaths[file], death{row, csn}) })
	for i, s := range fl.segs {
		s.del.Store(t.deletesOf(s, deaths[i]))
		s.inManifest.Store(true)
	}
	n := &version{sch: v.sch, segs: slices.Concat(v.segs, fl.segs), segGen: v.segGen + 1}
	for _, m := range v.mems {
		if !slices.Contains(fl.mems, m) {
			n.mems = append(n.mems, m)
		}
	}
	t.swap(n, 0)
}
