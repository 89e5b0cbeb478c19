package ingest

import (
	"context"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// waves parts a mixed run of changes into mutations. A wave is a set of changes in
// which no key has more than one kind of change, so that the kinds may be applied one
// after another; changes of one key stay in their order, and that is all the order
// that counts.
type waves struct {
	hash                      []uint64
	kind                      map[uint64]kind
	upserts, deletes, partial []uint16
	moved                     map[uint16]uint16 // partial images of rows that move: where the old key is
}

type kind uint8

const (
	kindUpsert kind = 1 + iota
	kindDelete
	kindPartial
)

// writeRows applies rows [from, to) of c, which lie in one piece of vec.Size rows.
func (a *applier) writeRows(ctx context.Context, x storage.Txn, j *job, c *format.Changes, from, to int) (upserts, deletes int64, err error) {
	base := from / vec.Size * vec.Size
	rows := c.Rows.Piece(base)
	w := &a.waves
	w.upserts, w.deletes, w.partial = w.upserts[:0], w.deletes[:0], w.partial[:0]
	uniform := c.Partial == 0
	op := c.Op[from]
	for r := from; r < to && uniform; r++ {
		uniform = c.Op[r] == op
	}
	if uniform && (op == format.Insert || op == format.Upsert) {
		if len(j.bad) > 0 || from > base || to-base < rows.N {
			for r := from; r < to; r++ {
				if len(j.bad) == 0 || !j.isBad(int(c.Msg[r])) {
					w.upserts = append(w.upserts, uint16(r-base))
				}
			}
			if len(w.upserts) == 0 {
				return 0, 0, nil
			}
			rows.Sel = w.upserts
		}
		n, err := x.Write(ctx, &storage.Mutation{Table: a.table, Op: storageOp(op), Rows: rows})
		return n, 0, err
	}

	keys := pick(rows.Cols, a.table.PK)
	w.hash = append(w.hash[:0], make([]uint64, rows.N)...)
	for i, k := range keys {
		if i == 0 {
			kernel.HashVec(w.hash, k, nil)
		} else {
			kernel.CombineVec(w.hash, k, nil)
		}
	}
	if w.kind == nil {
		w.kind, w.moved = map[uint64]kind{}, map[uint16]uint16{}
	}
	clear(w.kind)
	clear(w.moved)
	flush := func() error {
		u, d, err := a.writeWave(ctx, x, j, c, rows, keys, base)
		upserts, deletes = upserts+u, deletes+d
		w.upserts, w.deletes, w.partial = w.upserts[:0], w.deletes[:0], w.partial[:0]
		clear(w.kind)
		clear(w.moved)
		return err
	}
	for r := from; r < to; r++ {
		if len(j.bad) > 0 && j.isBad(int(c.Msg[r])) {
			continue
		}
		i := uint16(r - base)
		var k kind
		switch c.Op[r] {
		case format.Truncate:
			if err := flush(); err != nil {
				return 0, 0, err
			}
			if err := x.Change(ctx, &catalog.Delta{Truncated: []uint32{a.table.OID}}); err != nil {
				return 0, 0, err
			}
			continue
		case format.Delete:
			// A row that moves with values missing takes them from its old place.
			if n := r + 1; n < to && c.Msg[n] == c.Msg[r] && c.Op[n] == format.Upsert && c.Partial > 0 && anyMissing(c, n) {
				if err := flush(); err != nil {
					return 0, 0, err
				}
				w.moved[i+1] = i
				w.partial = append(w.partial, i+1)
				if err := flush(); err != nil {
					return 0, 0, err
				}
				r++
				continue
			}
			k = kindDelete
		default:
			k = kindUpsert
			if c.Partial > 0 && anyMissing(c, r) {
				k = kindPartial
			}
		}
		was := w.kind[w.hash[i]]
		if was == kindDelete && k == kindDelete && w.deleted(keys, i) {
			continue // a tombstone behind its delete
		}
		if was != 0 && (was != k || k != kindUpsert) {
			if err := flush(); err != nil {
				return 0, 0, err
			}
		}
		w.kind[w.hash[i]] = k
		switch k {
		case kindDelete:
			w.deletes = append(w.deletes, i)
		case kindUpsert:
			w.upserts = append(w.upserts, i)
		default:
			w.partial = append(w.partial, i)
		}
	}
	return upserts, deletes, flush()
}

// deleted says whether the wave deletes the key of row i.
func (w *waves) deleted(keys []*vec.Vec, i uint16) bool {
	for n := len(w.deletes) - 1; n >= 0; n-- {
		if d := w.deletes[n]; w.hash[d] == w.hash[i] {
			return sameKey(keys, int(d), keys, int(i))
		}
	}
	return false
}

func sameKey(a []*vec.Vec, i int, b []*vec.Vec, k int) bool {
	for n, v := range a {
		if !types.Equal(v.T, v.Datum(i), b[n].Datum(k)) {
			return false
		}
	}
	return true
}

func storageOp(op format.Op) storage.Op {
	if op == format.Insert {
		return storage.OpInsert
	}
	return storage.OpUpsert
}

// writeWave applies what a wave has gathered.
func (a *applier) writeWave(ctx context.Context, x storage.Txn, j *job, c *format.Changes, rows *vec.Batch, keys []*vec.Vec, base int) (upserts, deletes int64, err error) {
	w := &a.waves
	if len(w.deletes) > 0 {
		m := storage.Mutation{Table: a.table, Op: storage.OpDelete, Keys: &vec.Batch{Cols: keys, Sel: w.deletes, N: rows.N}}
		if a.locks || len(a.table.Unique) > 0 {
			m.Resolve = keepAll // a transaction that locks keys wants to know what to do with rows that are not there
		}
		if deletes, err = x.Write(ctx, &m); err != nil {
			return 0, 0, err
		}
	}
	if len(w.upserts) > 0 {
		op := storage.OpUpsert
		if a.opt.Append {
			op = storage.OpInsert
		}
		m := storage.Mutation{Table: a.table, Op: op, Rows: &vec.Batch{Cols: rows.Cols, Sel: w.upserts, N: rows.N}}
		if upserts, err = x.Write(ctx, &m); err != nil {
			return 0, 0, err
		}
	}
	if len(w.partial) > 0 {
		n, err := a.writePartial(ctx, x, j, c, rows, keys, base)
		return upserts + n, deletes, err
	}
	return upserts, deletes, nil
}

// keepAll deletes rows whatever they have become.
func keepAll(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
	keep := make([]uint16, old.N)
	for i := range keep {
		keep[i] = uint16(i)
	}
	return nil, keep, nil
}

// writePartial updates rows of which messages do not have all values: the others are
// those stored. The transaction locks the keys, and is told when a row is not what was
// read.
func (a *applier) writePartial(ctx context.Context, x storage.Txn, j *job, c *format.Changes, rows *vec.Batch, keys []*vec.Vec, base int) (int64, error) {
	w := &a.waves
	at := make([]uint16, len(w.partial)) // where each row's stored key is
	for i, r := range w.partial {
		at[i] = r
		if from, ok := w.moved[r]; ok {
			at[i] = from
		}
	}
	lookup := gather(keys, at, rows.N)
	images := gather(rows.Cols, w.partial, rows.N)
	snap, err := x.Snapshot()
	if err != nil {
		return 0, err
	}
	open := true
	defer func() {
		if open {
			snap.Close()
		}
	}()
	rel, err := snap.Relation(a.table)
	if err != nil {
		return 0, err
	}
	cols := make([]int, len(a.table.Columns)+1)
	ts := append(a.table.Types(), types.Int8)
	for i := range a.table.Columns {
		cols[i] = i
	}
	cols[len(cols)-1] = catalog.ColCSN
	old := vec.NewBatch(ts)
	var made int64
	idx, err := rel.Get(ctx, lookup, cols, old, nil)
	if err != nil {
		return 0, err
	}
	if len(idx) < len(w.partial) {
		have := map[uint16]bool{}
		for _, i := range idx {
			have[i] = true
		}
		absent := []uint16{}
		for i, r := range w.partial {
			if have[uint16(i)] {
				continue
			}
			if c.Sparse {
				absent = append(absent, uint16(i))
			} else {
				j.markBad(badMessage{msg: int(c.Msg[base+int(r)]), class: format.Schema, err: sqlstate.Errorf(sqlstate.DataException,
					"the message does not have all values of the row, and table \"%s\" has no row of this key to keep them from", a.table.Name)})
			}
		}
		if !c.Sparse || !a.complete(j, c, absent, base) {
			return 0, foundBad{}
		}
		m := storage.Mutation{Table: a.table, Op: storage.OpInsert, Rows: gather(images.Cols, absent, images.N)}
		if made, err = x.Write(ctx, &m); err != nil {
			if sqlstate.CodeOf(err) == sqlstate.UniqueViolation { // it was not there when we looked
				err = sqlstate.Errorf(sqlstate.SerializationFailure, "a row was inserted meanwhile")
			}
			return 0, err
		}
		if len(idx) == 0 {
			return made, nil
		}
	}
	merge := func(old *vec.Batch, of []uint16) *vec.Batch {
		out := &vec.Batch{N: old.N}
		for o := range a.table.Columns {
			v := vec.New(a.table.Columns[o].T, old.N)
			for i, k := range of {
				one := [1]uint16{k}
				src := images.Cols[o]
				if c.IsMissing(o, base+int(w.partial[k])) {
					src, one[0] = old.Cols[o], uint16(i)
				}
				v.Copy(src, one[:], src.N)
			}
			out.Cols = append(out.Cols, v)
		}
		return out
	}
	m := storage.Mutation{Table: a.table, Op: storage.OpUpdate, Rows: merge(old, idx), Keys: gather(lookup.Cols, idx, lookup.N), OldCSN: old.Cols[len(cols)-1]}
	m.Resolve = func(_ context.Context, now *vec.Batch) (*vec.Batch, []uint16, error) {
		// Rows that others replaced meanwhile: the values are kept from what is there now.
		of, keep := make([]uint16, now.N), make([]uint16, now.N)
		for i := range now.N {
			keep[i] = uint16(i)
			of[i] = find(lookup, pick(now.Cols, a.table.PK), i)
		}
		return merge(now, of), keep, nil
	}
	snap.Close()
	open = false
	n, err := x.Write(ctx, &m)
	return made + n, err
}

// complete says whether partial images that make new rows have all that must not be
// null, and marks those that have not.
func (a *applier) complete(j *job, c *format.Changes, absent []uint16, base int) bool {
	good := true
	for _, k := range absent {
		r := base + int(a.waves.partial[k])
		for o, col := range a.table.Columns {
			if col.NotNull && c.IsMissing(o, r) {
				good = false
				j.markBad(badMessage{int(c.Msg[r]), format.Constraint, col.Name, sqlstate.Errorf(sqlstate.NotNullViolation,
					"null value in column \"%s\" of relation \"%s\" violates not-null constraint", col.Name, a.table.Name)})
			}
		}
	}
	return good
}

// find is the place of a key that is among keys.
func find(keys *vec.Batch, of []*vec.Vec, row int) uint16 {
	for i := 0; i < keys.N; i++ {
		if sameKey(keys.Cols, i, of, row) {
			return uint16(i)
		}
	}
	panic("ingest: a row was resolved that was not updated")
}

func pick(cols []*vec.Vec, at []int) []*vec.Vec {
	out := make([]*vec.Vec, len(at))
	for i, o := range at {
		out[i] = cols[o]
	}
	return out
}

func gather(cols []*vec.Vec, sel []uint16, n int) *vec.Batch {
	b := &vec.Batch{N: len(sel)}
	for _, c := range cols {
		v := vec.New(c.T, len(sel))
		v.Copy(c, sel, n)
		b.Cols = append(b.Cols, v)
	}
	return b
}
