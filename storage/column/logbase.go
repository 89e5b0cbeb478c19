package column

import (
	"context"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// rebase lays the binlog rows of a transaction over a newer state of the table, which it
// takes over. Rows that it has replaced already are looked up anew where a flush or a
// compaction has moved them: their keys are locked, so that they are what they were.
func (g *overlayLog) rebase(ctx context.Context, sch *schema, base *Snapshot) error {
	old := g.base
	if old == base {
		return nil
	}
	g.base = base
	if old == nil {
		return nil
	}
	defer old.Close()
	if old.v == base.v {
		return nil
	}
	segs, mems := map[*segFile]mask{}, map[*memtable]mask{}
	for s, e := range g.segs {
		if !slices.Contains(base.v.segs, s) {
			segs[s] = e.m
			delete(g.segs, s)
		}
	}
	for m, e := range g.mems {
		if !slices.Contains(base.v.mems, m) {
			mems[m] = e.m
			delete(g.mems, m)
		}
	}
	if sch.rowID >= 0 {
		return nil // a row that was replaced keeps its id, and is the transaction's own
	}
	l := base.t.newLookup(base.v, latest, everyMemtable)
	defer l.free()
	var places []place
	hide := func(ks *keySet, hidden func(k int) bool) error {
		places = slices.Grow(places[:0], ks.n)[:ks.n]
		clear(places)
		if err := l.find(ks, places); err != nil {
			return err
		}
		for k := range places {
			if places[k].found() && hidden(k) {
				g.hidden(&places[k])
			}
		}
		return nil
	}
	for s, m := range segs {
		err := s.guard(func() error {
			return s.eachKeys(ctx, func(ks *keySet, first int, _ func(int) bool) error {
				hidden := func(k int) bool { return m.has(uint32(first + k)) }
				for k := range ks.n {
					if hidden(k) {
						return hide(ks, hidden)
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	for mem, m := range mems {
		if err := mem.eachKeyOf(ctx, m, func(ks *keySet) error {
			return hide(ks, func(int) bool { return true })
		}); err != nil {
			return err
		}
	}
	return nil
}

// eachKeyOf calls f with the keys of the rows of a mask.
func (m *memtable) eachKeyOf(ctx context.Context, rows mask, f func(ks *keySet) error) error {
	cols := make([]*vec.Vec, len(m.sch.keys))
	flush := func() error {
		if cols[0] == nil || cols[0].N == 0 {
			return nil
		}
		var ks keySet
		ks.set(cols, cols[0].N)
		err := f(&ks)
		clear(cols)
		if err == nil {
			err = context.Cause(ctx)
		}
		return err
	}
	for b, words := range rows {
		if words == nil {
			continue
		}
		for w, word := range words {
			for ; word != 0; word &= word - 1 {
				c, at := m.at(uint32(b*vec.BlockRows + w<<6 + bits.TrailingZeros64(word)))
				for i, p := range m.sch.keys {
					if cols[i] == nil {
						cols[i] = vec.New(m.sch.cols[p], vec.Size)
					}
					cols[i].Copy(c.cols[p].head.Load(), []uint16{uint16(at)}, 1)
				}
				if cols[0].N == vec.Size {
					if err := flush(); err != nil {
						return err
					}
				}
			}
		}
	}
	return flush()
}

// Changed lists the keys whose newest row is not, or no longer, the one that was read
// with a commit; 0 stands for any row, and for none.
func (s *Snapshot) Changed(keys *vec.Batch, read []storage.CSN) ([]uint16, error) {
	var ks keySet
	ks.set(keys.Cols, keys.N)
	places := make([]place, ks.n)
	l := s.t.newLookup(s.v, latest, everyMemtable)
	defer l.free()
	if err := l.find(&ks, places); err != nil {
		return nil, err
	}
	var changed []uint16
	for i := range places {
		if read[i] != 0 && !places[i].read(uint64(read[i])) {
			changed = append(changed, uint16(i))
		}
	}
	return changed, nil
}
