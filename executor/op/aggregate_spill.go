package op

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
)

// Spilling of aggregations. When memory is short, the lanes' tables of a set stay
// as they are, and all further rows are written to partitions by their groups'
// hash, as they came. A partition is then finished on its own, when its groups are
// read: the lanes' groups of it, then its rows.

// headroom is the memory that must be left for a table to take another batch: what
// fails in the middle of a batch cannot be undone.
const headroom = 4 << 20

// addOrSpill writes the batch to the set's partitions if it must; false: it belongs
// into the table.
func (l *aggLane) addOrSpill(set int, b *vec.Batch) (bool, error) {
	s, t := l.s, l.tables[set]
	p := s.spills[set].Load()
	if p == nil {
		full := s.run.ForceSpill && t.groups.N >= forcedRows
		if !full {
			if full = !s.acct.TryReserve(headroom); !full {
				s.acct.Release(headroom)
			}
		}
		if !full {
			if err := t.find(b); err == nil {
				return true, t.update(b)
			} else if sqlstate.CodeOf(err) != sqlstate.OutOfMemory {
				return true, err
			}
		}
		p = newPartitions(s.run, typesOfBatch(b), groupShift)
		if !s.spills[set].CompareAndSwap(nil, p) {
			p = s.spills[set].Load()
		}
	}
	t.keyCols(b)
	return true, p.write(&l.split, t.keys, b.Cols, b.Sel, b.N)
}

// remaking makes the table of a partition that spilled.
type remaking struct {
	s *Aggregate
	t *aggTable
	p *partitions
	i int
	r *partReader
}

func (s *Aggregate) remake(set, part int) (*remaking, error) {
	// Uncounted: it is a small part of what the lanes' tables hold, which are counted
	// to the end.
	t, err := s.newTable(s.spec.Sets[set], true, nil)
	if err != nil {
		return nil, err
	}
	t.groups.size = 0 // partitions are by hash, not by word
	m := &remaking{s: s, t: t, p: s.spills[set].Load(), i: part}
	if err := s.mergeInto(t, set, part, part+1); err != nil {
		t.free()
		return nil, err
	}
	if m.r, err = m.p.read(part); err != nil {
		t.free()
		return nil, err
	}
	return m, nil
}

// step takes a batch; true when the table is complete.
func (m *remaking) step() (bool, error) {
	if m.r != nil {
		b, err := m.r.next()
		if err != nil {
			return false, err
		}
		if b != nil {
			return false, m.t.add(b)
		}
	}
	return true, m.t.finish(m.s.run)
}

func (m *remaking) close() {
	m.r.close()
	m.p.drop(m.i)
}
