package column

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// squeezeRows is the number of dead rows from which a memtable that is mostly dead
// is compacted in memory: one key updated over and over must not become a long scan.
const squeezeRows = 32 << 10

// squeeze replaces the active memtable by one without the rows that nobody can see
// any more. Called with the write lock held and nothing staged.
func (t *Tablet) squeeze() {
	v := t.cur
	m := v.active()
	rows, dead := m.rows.Load(), m.dead.Load()
	if dead < max(squeezeRows, m.squeezeAt) || 2*dead < int64(rows) {
		return
	}
	oldest, live := t.watermark()
	var keep []rowRef
	for r := uint32(0); r < rows; r++ {
		if d := m.deathOf(r); d == 0 || needed(m.csnOf(r), d, oldest, live) {
			keep = append(keep, r)
		}
	}
	if len(keep) > int(rows)/2 {
		m.squeezeAt = 2 * dead // snapshots hold them; try again when there are more
		return
	}
	n := t.newMemtable(m.sch)
	n.copyRows(m, keep)
	n.first.Store(m.first.Load())
	n.last.Store(m.last.Load())
	n.squeezeAt = 2 * n.dead.Load()
	next := &version{sch: v.sch, segs: v.segs, segGen: v.segGen + 1}
	next.mems = append(append(next.mems, v.mems[:len(v.mems)-1]...), n)
	t.swap(next, 0)
}

// copyRows appends rows of another memtable of the same schema, with their commits
// and deaths, and publishes them.
func (m *memtable) copyRows(from *memtable, rows []rowRef) {
	chunks := from.chunks()
	sources := make([]*rowSource, len(m.sch.cols))
	for i, ty := range m.sch.cols {
		vecs := make([]*vec.Vec, len(chunks))
		for k, c := range chunks {
			vecs[k] = c.cols[i].head.Load()
		}
		sources[i] = newRowSource(ty, vecs, types.Null)
	}
	b := vec.NewBatch(m.sch.cols)
	var ks keySet
	for at := 0; at < len(rows); at += vec.Size {
		part := rows[at:min(at+vec.Size, len(rows))]
		for i, s := range sources {
			s.copy(b.Cols[i], part)
		}
		first := m.append(b.Cols, len(part))
		ks.set(pick(b.Cols, m.sch.keys), len(part))
		m.ready(len(part))
		for k, r := range part {
			row := first + uint32(k)
			c, i := m.at(row)
			c.csn[i] = from.csnOf(r)
			if d := from.deathOf(r); d != 0 {
				m.setDeath(row, d)
				m.died(d)
			}
			old, slot := m.find(&ks, k)
			m.link(row, old, slot, ks.hash[k])
		}
	}
	m.rows.Store(m.n)
}
