package tablet

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/txn"
	"github.com/millrace/millrace/storage/vec"
)

// entries is what a mutation does to the table behind a unique key. The entries are
// rows of that table like any other, in the same commit: log, locks, recovery and
// snapshots know nothing of indexes.
type entries struct {
	index *ownTable
	leave *vec.Batch // keys of entries that go
	enter *vec.Batch // new entries
}

// writeUnique is Write for a table with unique keys besides the primary key. All keys
// are locked and looked at before anything is written. Its transaction is one that
// locks: at the commit nothing is decided again, so that entries and rows agree.
func (x *tx) writeUnique(ctx context.Context, o *ownTable, m *storage.Mutation) (int64, error) {
	if err := x.Extend(); err != nil {
		return 0, err
	}
	if m.Op == storage.OpUpdate || m.Op == storage.OpDelete {
		return x.change(ctx, o, m)
	}
	rows := compactAll(m.Rows)
	count := int64(rows.N)
	if count == 0 {
		return 0, nil
	}
	if m.Op == storage.OpUpsert {
		rows = lastOfEach(rows, o.t.PK)
	}
	if err := x.lockNew(ctx, o, &storage.Mutation{Table: m.Table, Op: m.Op, Rows: rows}); err != nil {
		return 0, err
	}
	var old *vec.Batch
	was := make([]int, rows.N)
	for i := range was {
		was[i] = -1
	}
	if m.Op == storage.OpUpsert {
		idx, got, err := x.newestRows(ctx, o, &vec.Batch{Cols: pickCols(rows.Cols, o.t.PK), N: rows.N})
		if err != nil {
			return 0, err
		}
		old = got
		for k, i := range idx {
			was[i] = k
		}
	}
	es, err := x.entries(ctx, o.t, old, was, rows)
	if err != nil {
		return 0, err
	}
	o.addRows(x, m.Op, rows, nil, rows.N)
	if err := o.spill(ctx, x); err != nil {
		return 0, err
	}
	return count, x.writeEntries(ctx, es)
}

// lastOfEach leaves the last row of each key.
func lastOfEach(rows *vec.Batch, pk []int) *vec.Batch {
	keys := &vec.Batch{Cols: pickCols(rows.Cols, pk), N: rows.N}
	last := map[uint64]int{}
	hashes := lockHashes(keys.Cols, keys.N)
	for i, h := range hashes {
		last[h] = i
	}
	if len(last) == rows.N {
		return rows
	}
	sel := make([]uint16, 0, len(last))
	for i, h := range hashes {
		if j := last[h]; j == i || !sameKey(keys, i, j) {
			sel = append(sel, uint16(i))
		}
	}
	return compact(rows.Cols, sel, rows.N)
}

// newestRows reads the newest rows of keys that the transaction has locked; idx says
// which key each is of.
func (x *tx) newestRows(ctx context.Context, o *ownTable, keys *vec.Batch) (idx []uint16, rows *vec.Batch, err error) {
	n, r, err := x.newest(o)
	if err != nil {
		return nil, nil, err
	}
	defer n.Close()
	cols := make([]int, len(o.t.Columns))
	for i := range cols {
		cols[i] = i
	}
	rows = vec.NewBatch(o.t.Types())
	idx, err = r.Get(ctx, keys, cols, rows, nil)
	return idx, rows, err
}

// entriesOfChange are the entries of an update or delete of locked rows.
func (x *tx) entriesOfChange(ctx context.Context, o *ownTable, c *changeSet) ([]entries, error) {
	if c.keys.N == 0 {
		return nil, nil
	}
	idx, old, err := x.newestRows(ctx, o, c.keys)
	if err != nil {
		return nil, err
	}
	if len(idx) != c.keys.N {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "%d of %d locked rows of table %q are there", len(idx), c.keys.N, o.t.Name)
	}
	was := make([]int, c.keys.N)
	for k, i := range idx {
		was[i] = k
	}
	return x.entries(ctx, o.t, old, was, c.rows)
}

// entries finds what goes and what comes where rows (nil: nothing) take the place of
// old ones, row i that of old row was[i] (-1: none). It locks the keys, and sees that
// no new entry has the key of another row.
func (x *tx) entries(ctx context.Context, t *catalog.Table, old *vec.Batch, was []int, rows *vec.Batch) ([]entries, error) {
	var out []entries
	v := x.Catalog()
	for u := range t.Unique {
		k := &t.Unique[u]
		def := v.Table(k.OID)
		if def == nil {
			return nil, errSchemaChanged(t, nil)
		}
		cols, key := t.IndexColumns(k), t.Ordinals(k)
		var leave, enter []uint16
		for i := range was {
			had := was[i] >= 0 && !anyNull(old, key, was[i])
			has := rows != nil && !anyNull(rows, key, i)
			if had && has && sameColumns(old, was[i], rows, i, cols) {
				continue
			}
			if had {
				leave = append(leave, uint16(was[i]))
			}
			if has {
				enter = append(enter, uint16(i))
			}
		}
		if len(leave)+len(enter) == 0 {
			continue
		}
		index, err := x.ownTable(def)
		if err != nil {
			return nil, err
		}
		e := entries{index: index}
		if len(leave) > 0 {
			e.leave = compact(pickCols(old.Cols, key), leave, old.N)
		}
		if len(enter) > 0 {
			e.enter = compact(pickCols(rows.Cols, cols), enter, rows.N)
		}
		if err := x.lockEntries(ctx, t, &e, len(key)); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// lockEntries locks the keys of entries, and finds new ones that are there already.
func (x *tx) lockEntries(ctx context.Context, t *catalog.Table, e *entries, width int) error {
	o := e.index
	left := map[uint64]bool{}
	var hashes []uint64
	if e.leave != nil {
		hashes = lockHashes(e.leave.Cols, e.leave.N)
		for _, h := range hashes {
			left[h] = true
		}
	}
	var keys *vec.Batch
	var entering []uint64
	if e.enter != nil {
		keys = &vec.Batch{Cols: e.enter.Cols[:width], N: e.enter.N}
		entering = lockHashes(keys.Cols, keys.N)
		hashes = append(slices.Clone(hashes), entering...)
	}
	slices.Sort(hashes)
	if _, err := x.s.locks.LockRows(ctx, x.owner, o.t.OID, slices.Compact(hashes), txn.Update); err != nil {
		return err
	}
	if keys == nil {
		return nil
	}
	n, r, err := x.newest(o)
	if err != nil {
		return err
	}
	defer n.Close()
	csn := make([]storage.CSN, keys.N)
	if err := r.find(keys, csn, make([]uint16, keys.N)); err != nil {
		return err
	}
	for i, c := range csn {
		if c != 0 && !left[entering[i]] {
			x.awaitPublished(ctx, c)
			return errDuplicateEntry(t, o.t, keys, i)
		}
	}
	if i := twice(keys); i >= 0 {
		return errDuplicateEntry(t, o.t, keys, i)
	}
	return nil
}

// writeEntries adds the operations on the tables behind unique keys.
func (x *tx) writeEntries(ctx context.Context, es []entries) error {
	for _, e := range es {
		o := e.index
		if len(x.snaps) > 0 {
			if err := x.settle(o); err != nil {
				return err
			}
		}
		if e.leave != nil {
			c := &changeSet{keys: e.leave, old: make([]storage.CSN, e.leave.N)}
			var err error
			if c.shard, err = o.shardsOfKeys(x, c.keys); err != nil {
				return err
			}
			o.addDeletes(x, &source{op: storage.OpDelete, lock: true}, c, nil)
		}
		if e.enter != nil {
			o.addRows(x, storage.OpInsert, e.enter, nil, e.enter.N)
		}
		if err := o.spill(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// errDuplicateEntry is 23505 of a unique key of t.
func errDuplicateEntry(t, index *catalog.Table, keys *vec.Batch, i int) error {
	err := errDuplicate(index, keys, i)
	if e, ok := err.(*sqlstate.Error); ok {
		e.Table = t.Name
	}
	return err
}

func anyNull(b *vec.Batch, cols []int, i int) bool {
	return slices.ContainsFunc(cols, func(o int) bool { return b.Cols[o].IsNull(i) })
}

func sameColumns(a *vec.Batch, i int, b *vec.Batch, j int, cols []int) bool {
	for _, o := range cols {
		if !types.Equal(a.Cols[o].T, a.Cols[o].Datum(i), b.Cols[o].Datum(j)) {
			return false
		}
	}
	return true
}
