package tablet

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/vec"
)

// ownTable is what a transaction wrote to one table, by shard.
type ownTable struct {
	t *catalog.Table
	// fresh says that the table was created or emptied by this transaction, so that
	// nobody else's rows are below. gen then has its tablets, which the commit makes
	// everyone's.
	fresh  bool
	gen    *generation
	shards []*ownShard
	next   int // shard for rows that may go anywhere
	rt     *router
	// running is the spill under way, of rows that are no longer in the shards' lists.
	running *spilling
	// bases are states of the shards for the spill that begins: binlog rows in side files
	// need what the operations replaced. large says that there are such rows; then either
	// all keys that the operations replace are locked (keyed, or by the statements), or
	// the table is (locked).
	bases                []*column.Snapshot
	large, keyed, locked bool
	settling             bool // rows are decided again, which begins no spill
}

// ownShard has the operations on one shard in statement order.
type ownShard struct {
	chunks []storage.Chunk
	src    []*source // of each chunk; nil: insert or upsert
	sealed int       // chunks below take no more rows
	bytes  int64
	// overlay is the operations as reads see them, made when something reads or when
	// the rows go to side files.
	overlay *column.Overlay
	spilled bool
	// rows is what went to files of the row tablet; blind says that the overlay lacks some
	// of that, so that the transaction cannot read it.
	rows   *row.Set
	inRows int // chunks, the first ones, that it has
	blind  bool
	hidden *hidden // keys that the operations hide in a row tablet
}

// ownTable finds or makes the record of a table's writes.
func (x *tx) ownTable(t *catalog.Table) (*ownTable, error) {
	o := x.own[t.OID]
	if o == nil {
		o = newOwnTable(x.s, t)
		if x.own == nil {
			x.own = map[uint32]*ownTable{}
		}
		x.own[t.OID] = o
		x.order = append(x.order, t.OID)
	}
	return o, nil
}

// any says whether there are operations.
func (o *ownTable) any() bool {
	for _, s := range o.shards {
		if s.any() {
			return true
		}
	}
	return false
}

func (s *ownShard) any() bool { return len(s.chunks) > 0 || s.spilled }

// tail is a chunk that takes n more rows of an insert or upsert.
func (s *ownShard) tail(op storage.Op, t *catalog.Table, n int, logged bool) *storage.Chunk {
	if k := len(s.chunks); k > s.sealed && s.chunks[k-1].Op == op && s.chunks[k-1].Logged == logged && s.src[k-1] == nil && s.chunks[k-1].Len()+n <= vec.Size {
		return &s.chunks[k-1]
	}
	c := storage.Chunk{Op: op, Logged: logged, Rows: &vec.Batch{Cols: make([]*vec.Vec, len(t.Columns))}}
	if n >= vec.Size/4 {
		n = vec.Size // more is likely to come: no second copy when it does
		c.Ord = make([]uint32, 0, n)
	}
	for i := range t.Columns {
		c.Rows.Cols[i] = vec.New(t.Columns[i].T, n)
	}
	s.chunks = append(s.chunks, c)
	s.src = append(s.src, nil)
	return &s.chunks[len(s.chunks)-1]
}

// addRows adds new rows.
func (o *ownTable) addRows(x *tx, op storage.Op, rows *vec.Batch, sel []uint16, n int) {
	logged := x.logged(o.t)
	step := numbering(op, o.t)
	first := x.ord + step - 1
	count := n
	if sel != nil {
		count = len(sel)
	}
	x.ord += uint32(count) * step
	dist := distribution(o.t)
	if len(o.shards) == 1 || len(dist) == 0 {
		k := 0
		if len(o.shards) > 1 {
			k = o.next % len(o.shards)
			o.next++
		}
		o.shards[k].addRows(o.t, op, logged, rows, sel, n, func(i int) uint32 { return first + uint32(i)*step })
		return
	}
	if o.rt == nil {
		o.rt = newRouter(len(o.shards))
	}
	rt := o.rt
	rt.route(pickCols(rows.Cols, dist), sel, n)
	place := make([]uint32, n) // number of each row in the statement
	if sel == nil {
		for i := range place {
			place[i] = first + uint32(i)*step
		}
	} else {
		for k, i := range sel {
			place[i] = first + uint32(k)*step
		}
	}
	for k, s := range o.shards {
		if sel := rt.sel[k]; len(sel) > 0 {
			s.addRows(o.t, op, logged, rows, sel, n, func(i int) uint32 { return place[sel[i]] })
		}
	}
}

func (s *ownShard) addRows(t *catalog.Table, op storage.Op, logged bool, rows *vec.Batch, sel []uint16, n int, ord func(i int) uint32) {
	count := n
	if sel != nil {
		count = len(sel)
	}
	room := vec.Size
	if k := len(s.chunks); k > s.sealed && s.chunks[k-1].Op == op && s.chunks[k-1].Logged == logged && s.src[k-1] == nil {
		room = vec.Size - s.chunks[k-1].Len()
	}
	for from := 0; from < count; {
		if room == 0 {
			room = vec.Size
			s.sealed = len(s.chunks)
		}
		k := min(count-from, room)
		c := s.tail(op, t, k, logged)
		part := sel
		if part != nil {
			part = sel[from : from+k]
		} else if from > 0 || k < n {
			part = make([]uint16, k)
			for i := range part {
				part[i] = uint16(from + i)
			}
		}
		for i, v := range c.Rows.Cols {
			v.Copy(rows.Cols[i], part, n)
		}
		c.Rows.N += k
		for i := 0; i < k; i++ {
			c.Ord = append(c.Ord, ord(from+i))
		}
		s.bytes += batchBytes(rows, k)
		from += k
		room -= k
	}
}

// batchBytes estimates the memory of k rows of b.
func batchBytes(b *vec.Batch, k int) int64 {
	var n int64
	for _, v := range b.Cols {
		switch v.T.Layout {
		case types.LayoutBool:
			n += int64(k) / 8
		case types.LayoutI16:
			n += 2 * int64(k)
		case types.LayoutI32, types.LayoutF32:
			n += 4 * int64(k)
		case types.LayoutI64, types.LayoutF64:
			n += 8 * int64(k)
		case types.LayoutView:
			n += 16 * int64(k)
			if v.Form == vec.Flat && v.N > 0 {
				var heap int64
				for _, w := range v.Views[:v.N] {
					if w.Len > vec.InlineMax {
						heap += int64(w.Len)
					}
				}
				n += heap * int64(k) / int64(v.N)
			}
		default:
			n += 16 * int64(k)
		}
	}
	return n
}

// shardsOfKeys says which shard has each key's row.
func (o *ownTable) shardsOfKeys(x *tx, keys *vec.Batch) ([]uint16, error) {
	shard := make([]uint16, keys.N)
	if len(o.shards) == 1 {
		return shard, nil
	}
	if at, ok := keyDistribution(o.t); ok {
		rt := newRouter(len(o.shards))
		rt.route(pickCols(keys.Cols, at), nil, keys.N)
		for k, sel := range rt.sel {
			for _, i := range sel {
				shard[i] = uint16(k)
			}
		}
		return shard, nil
	}
	n, r, err := x.newest(o)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	return shard, r.find(keys, make([]storage.CSN, keys.N), shard)
}

// splitMoved separates updates that keep key and shard from those that do not,
// which become a delete and an insert.
func (o *ownTable) splitMoved(c *changeSet) (same, moved []uint16) {
	var target []uint16
	if d := distribution(o.t); len(d) > 0 && len(o.shards) > 1 {
		target = make([]uint16, c.keys.N)
		rt := newRouter(len(o.shards))
		rt.route(pickCols(c.rows.Cols, d), nil, c.rows.N)
		for k, sel := range rt.sel {
			for _, i := range sel {
				target[i] = uint16(k)
			}
		}
	}
	for i := 0; i < c.keys.N; i++ {
		keeps := target == nil || target[i] == c.shard[i]
		for k, p := range o.t.PK {
			keeps = keeps && sameValue(c.keys.Cols[k], c.rows.Cols[p], i)
		}
		if keeps {
			same = append(same, uint16(i))
		} else {
			moved = append(moved, uint16(i))
		}
	}
	return same, moved
}

func sameValue(a, b *vec.Vec, i int) bool {
	if a.IsNull(i) || b.IsNull(i) {
		return false
	}
	switch a.T.Layout {
	case types.LayoutI16:
		return a.I16[i] == b.I16[i]
	case types.LayoutI32:
		return a.I32[i] == b.I32[i]
	case types.LayoutI64:
		return a.I64[i] == b.I64[i]
	case types.LayoutView:
		if types.PlainBytes(a.T.OID) {
			return string(a.Bytes(i)) == string(b.Bytes(i))
		}
	}
	return types.Equal(a.T, a.Datum(i), b.Datum(i))
}

// addUpdates adds updates of rows that stay where they are; c is flat, and o's from now on.
func (o *ownTable) addUpdates(x *tx, src *source, c *changeSet, sel []uint16) {
	logged := x.logged(o.t)
	step := numbering(storage.OpUpdate, o.t)
	first := x.ord + step - 1
	x.ord += uint32(len(sel)) * step
	o.eachShard(c, sel, func(s *ownShard, part []uint16, num func(i int) uint32) {
		k := storage.Chunk{Op: storage.OpUpdate, Logged: logged, Keys: c.keys, Rows: c.rows}
		if len(part) < c.keys.N {
			k.Keys, k.Rows = compact(c.keys.Cols, part, c.keys.N), compact(c.rows.Cols, part, c.rows.N)
		}
		s.addChange(o.t, src, c, k, part, func(i int) uint32 { return first + num(i)*step })
		s.bytes += batchBytes(c.rows, len(part))
	})
}

// addDeletes adds deletes of rows.
func (o *ownTable) addDeletes(x *tx, src *source, c *changeSet, sel []uint16) {
	if sel == nil {
		sel = make([]uint16, c.keys.N)
		for i := range sel {
			sel[i] = uint16(i)
		}
	}
	logged := x.logged(o.t)
	first := x.ord
	x.ord += uint32(len(sel))
	o.eachShard(c, sel, func(s *ownShard, part []uint16, num func(i int) uint32) {
		k := storage.Chunk{Op: storage.OpDelete, Logged: logged, Keys: compact(c.keys.Cols, part, c.keys.N)}
		s.addChange(o.t, src, c, k, part, func(i int) uint32 { return first + num(i) })
	})
}

// addMoved adds updates that change key or shard: all deletes, then the inserts.
func (o *ownTable) addMoved(x *tx, src *source, c *changeSet, sel []uint16) {
	del := *src
	del.moved = map[uint32]uint32{}
	x.logged(o.t) // a marker takes a number
	first := x.ord
	for i := range sel {
		del.moved[first+uint32(i)] = first + uint32(len(sel)+i)
	}
	o.addDeletes(x, &del, c, sel)
	for _, s := range o.shards {
		s.sealed = len(s.chunks)
	}
	o.addRows(x, storage.OpInsert, c.rows, sel, c.rows.N)
}

// eachShard hands the selected rows of each shard to add, with the number of each
// among sel.
func (o *ownTable) eachShard(c *changeSet, sel []uint16, add func(s *ownShard, part []uint16, num func(i int) uint32)) {
	if len(o.shards) == 1 {
		add(o.shards[0], sel, func(i int) uint32 { return uint32(i) })
		return
	}
	var part []uint16
	var nums []uint32
	for k, s := range o.shards {
		part, nums = part[:0], nums[:0]
		for j, i := range sel {
			if int(c.shard[i]) == k {
				part = append(part, i)
				nums = append(nums, uint32(j))
			}
		}
		if len(part) > 0 {
			add(s, part, func(i int) uint32 { return nums[i] })
		}
	}
}

func (s *ownShard) addChange(t *catalog.Table, src *source, c *changeSet, k storage.Chunk, part []uint16, num func(i int) uint32) {
	k.Own = c.looked
	k.OldCSN = make([]storage.CSN, len(part))
	k.Ord = make([]uint32, len(part))
	for i, row := range part {
		k.OldCSN[i], k.Ord[i] = c.old[row], num(i)
	}
	if len(t.PK) == 0 && k.Op == storage.OpUpdate {
		k.RowID = make([]int64, len(part))
		for i := range part {
			k.RowID[i] = k.Keys.Cols[0].I64[i]
		}
	}
	s.chunks = append(s.chunks, k)
	s.src = append(s.src, src)
	s.sealed = len(s.chunks)
	s.bytes += 24 * int64(len(part))
}

// tableMark is a savepoint's view of an ownTable.
type tableMark struct {
	o      *ownTable
	t      *catalog.Table
	shards []shardMark
}

type shardMark struct {
	chunks  int
	bytes   int64
	overlay *column.Overlay
	mark    int
}

// mark seals the chunks, so that what follows can be cut off.
func (o *ownTable) mark() (tableMark, error) {
	m := tableMark{o: o, t: o.t}
	if err := o.join(context.Background()); err != nil {
		return m, err
	}
	for _, s := range o.shards {
		s.sealed = len(s.chunks)
		k := shardMark{chunks: len(s.chunks), bytes: s.bytes, overlay: s.overlay}
		if s.overlay != nil {
			var err error
			if k.mark, err = s.overlay.Mark(s.chunks); err != nil {
				return m, err
			}
		}
		m.shards = append(m.shards, k)
	}
	return m, nil
}

func (m tableMark) restore() (*ownTable, error) {
	m.o.t = m.t
	if err := m.o.join(context.Background()); err != nil {
		return nil, err
	}
	for i, s := range m.o.shards {
		k := m.shards[i]
		clear(s.chunks[k.chunks:])
		clear(s.src[k.chunks:])
		s.hidden = nil
		s.chunks, s.src, s.sealed, s.bytes = s.chunks[:k.chunks], s.src[:k.chunks], k.chunks, k.bytes
		switch {
		case k.overlay == nil && s.overlay != nil:
			s.overlay.Close()
			s.overlay = nil
		case k.overlay != nil:
			if err := k.overlay.RollbackTo(k.mark); err != nil {
				return nil, err
			}
		}
	}
	m.o.setSchema()
	return m.o, nil
}

// remove takes operations with these numbers out of a table's chunks.
func (o *ownTable) remove(ords map[uint32]bool) {
	for _, s := range o.shards {
		s.hidden = nil
		for ci := range s.chunks {
			c := &s.chunks[ci]
			keep := []uint16{} // nil would mean all rows
			for i, n := range c.Ord {
				if !ords[n] {
					keep = append(keep, uint16(i))
				}
			}
			if len(keep) < c.Len() {
				s.chunks[ci] = cutChunk(c, keep)
			}
		}
		for ci := len(s.chunks) - 1; ci >= 0; ci-- {
			if s.chunks[ci].Len() == 0 {
				s.chunks = slices.Delete(s.chunks, ci, ci+1)
				s.src = slices.Delete(s.src, ci, ci+1)
			}
		}
		s.sealed = len(s.chunks)
	}
}

// cutChunk is a chunk with some of c's operations.
func cutChunk(c *storage.Chunk, keep []uint16) storage.Chunk {
	n := storage.Chunk{Op: c.Op, Logged: c.Logged, Own: c.Own}
	if c.Rows != nil {
		n.Rows = compact(c.Rows.Cols, keep, c.Len())
	}
	if c.Keys != nil {
		n.Keys = compact(c.Keys.Cols, keep, c.Len())
	}
	for _, i := range keep {
		n.Ord = append(n.Ord, c.Ord[i])
		if c.OldCSN != nil {
			n.OldCSN = append(n.OldCSN, c.OldCSN[i])
		}
		if c.RowID != nil {
			n.RowID = append(n.RowID, c.RowID[i])
		}
	}
	return n
}
