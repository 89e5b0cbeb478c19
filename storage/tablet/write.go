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

// source is the mutation that a chunk's operations came from, for the resolver.
// Operations without one may share a chunk.
type source struct {
	op      storage.Op
	resolve func(ctx context.Context, old *vec.Batch) (*vec.Batch, []uint16, error)
	stale   func(rows []uint16) // may be nil
	lock    bool                // keys are locked at statement time
	// moved maps the number of the delete of a row that changed its key to the
	// number of the insert that goes with it.
	moved map[uint32]uint32
}

// Write implements storage.Txn.
func (x *tx) Write(ctx context.Context, m *storage.Mutation) (int64, error) {
	if err := x.over(); err != nil {
		return 0, err
	}
	after := x.owner.After()
	x.told, x.unsure = false, false
	n, err := x.write(ctx, m)
	if x.opts.Hasty {
		// What rows it has tells of others' commits is told after its own, which comes later.
		if err == nil && n == 0 {
			err = x.sure(ctx)
		}
		if err != nil {
			return 0, storage.ErrWaits
		}
		return n, nil
	}
	// What the outcome tells of rows whose commits are not on disk yet waits for these.
	if err != nil || (x.owner.After() > after || x.unsure) && (x.told || !x.silent(m, n)) {
		if e := x.sure(ctx); err == nil {
			err = e
		}
	}
	return n, err
}

// silent says that a mutation of n rows tells nothing of others' commits.
func (x *tx) silent(m *storage.Mutation, n int64) bool {
	switch {
	case len(m.Table.Unique) > 0:
		return false
	case m.Op == storage.OpUpsert:
		return x.opts.Isolation != storage.RepeatableRead // whatever there was, it is written
	case m.Op == storage.OpInsert:
		return false
	}
	return m.Silent && n == int64(m.Keys.Rows())
}

func (x *tx) write(ctx context.Context, m *storage.Mutation) (int64, error) {
	if x.opts.ReadOnly {
		return 0, sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", opName(m.Op))
	}
	t := m.Table
	if now := x.Catalog().Table(t.OID); now == nil || now.SchemaVersion != t.SchemaVersion {
		return 0, errSchemaChanged(t, now)
	}
	if x.opts.Isolation == storage.RepeatableRead {
		x.registerRR()
	}
	if x.opts.Unhindered {
		x.opts.Unhindered = false
	} else if err := x.s.backpressure(ctx); err != nil {
		return 0, err
	}
	o, err := x.ownTable(t)
	if err != nil {
		return 0, err
	}
	if len(x.snaps) > 0 {
		if err := x.settle(o); err != nil {
			return 0, err
		}
	}
	if len(t.Unique) > 0 {
		return x.writeUnique(ctx, o, m)
	}
	switch m.Op {
	case storage.OpInsert, storage.OpUpsert:
		return x.insert(ctx, o, m)
	default:
		return x.change(ctx, o, m)
	}
}

func opName(op storage.Op) string {
	switch op {
	case storage.OpUpdate:
		return "UPDATE"
	case storage.OpDelete:
		return "DELETE"
	}
	return "INSERT"
}

// insert adds the rows of an insert or upsert.
func (x *tx) insert(ctx context.Context, o *ownTable, m *storage.Mutation) (int64, error) {
	n := m.Rows.Rows()
	if n == 0 {
		return 0, nil
	}
	if x.opts.Explicit || m.Lock {
		if err := x.lockNew(ctx, o, m); err != nil {
			return 0, err
		}
	}
	o.addRows(x, m.Op, m.Rows, m.Rows.Sel, m.Rows.N)
	return int64(n), o.spill(ctx, x)
}

// lockNew locks the keys of new rows and, for an insert, sees that none exists.
func (x *tx) lockNew(ctx context.Context, o *ownTable, m *storage.Mutation) error {
	t := o.t
	if len(t.PK) == 0 {
		_, err := x.s.locks.LockRows(ctx, x.owner, t.OID, nil, txn.Update)
		return err
	}
	keys := compact(pickCols(m.Rows.Cols, t.PK), m.Rows.Sel, m.Rows.N)
	if m.Op == storage.OpUpsert && x.opts.Isolation != storage.RepeatableRead {
		return x.lock(ctx, t.OID, keys, txn.Update) // whatever there is
	}
	csn, _, err := x.lockAndFind(ctx, o, keys, txn.Update)
	if err != nil {
		return err
	}
	for i, c := range csn {
		switch {
		case c == 0:
		case m.Op == storage.OpInsert:
			x.awaitPublished(ctx, c)
			return errDuplicate(t, keys, i)
		case x.opts.Isolation == storage.RepeatableRead && c != ownCSN && c > x.rr:
			return errConcurrentUpdate
		}
	}
	if m.Op == storage.OpInsert {
		if i := twice(keys); i >= 0 {
			return errDuplicate(t, keys, i)
		}
	}
	return nil
}

// lockAndFind locks keys and finds the newest commits of their rows, whoever
// wrote them. What it finds stays true until the locks are released: others see
// the locks before they stage, and what was staged before is waited for.
func (x *tx) lockAndFind(ctx context.Context, o *ownTable, keys *vec.Batch, mode txn.Mode) (csn []storage.CSN, shard []uint16, err error) {
	if err := x.lock(ctx, o.t.OID, keys, mode); err != nil {
		return nil, nil, err
	}
	n, r, err := x.newest(o)
	if err != nil {
		return nil, nil, err
	}
	defer n.Close()
	return x.find(r, keys)
}

// find finds the newest commits of rows whose keys are locked, and their shards.
func (x *tx) find(r *relation, keys *vec.Batch) (csn []storage.CSN, shard []uint16, err error) {
	csn, shard = make([]storage.CSN, keys.N), make([]uint16, keys.N)
	if err := r.find(keys, csn, shard); err != nil {
		return nil, nil, err
	}
	for _, c := range csn {
		x.meet(c)
	}
	return csn, shard, nil
}

// lock locks keys, those of one call in one order for everybody: statements of one
// batch never wait for each other in a circle.
func (x *tx) lock(ctx context.Context, table uint32, keys *vec.Batch, mode txn.Mode) error {
	hashes := lockHashes(keys.Cols, keys.N)
	if x.opts.Hasty {
		for _, h := range hashes {
			if !x.s.locks.TryRow(x.owner, table, h, mode) {
				return storage.ErrWaits
			}
		}
		return nil
	}
	slices.Sort(hashes)
	_, err := x.s.locks.LockRows(ctx, x.owner, table, hashes, mode)
	return err
}

// newest is the table with everything that is staged by now, the transaction's
// own rows over it.
func (x *tx) newest(o *ownTable, also ...*ownTable) (*snapshot, *relation, error) {
	for _, o := range append(also, o) {
		if o.fresh {
			continue
		}
		if tt := x.s.table(o.t.OID); tt != nil {
			for _, sh := range tt.current() {
				if !sh.lock(x.opts.Hasty) { // whoever staged before us stamps before it unlatches
					return nil, nil, storage.ErrWaits
				}
				sh.latch.Unlock()
			}
		}
	}
	if appended := x.s.marks.NewestAppended(); !x.opts.Hasty {
		x.s.marks.WaitApplied(appended, x.s.ctx.Done())
	} else if !soon(func() bool { return x.s.marks.Applied() >= appended }) {
		return nil, nil, storage.ErrWaits
	}
	n := &snapshot{s: x.s, own: x.views(), newest: true}
	n.at = x.s.marks.RegisterApplied(func(at storage.CSN) { n.cat = x.s.hist.at(at) })
	r, err := n.Relation(o.t)
	if err != nil {
		n.Close()
		return nil, nil, err
	}
	return n, r.(*relation), nil
}

// awaitPublished keeps an error from being told before the commit that caused it
// is sure.
func (x *tx) awaitPublished(ctx context.Context, csn storage.CSN) {
	if csn != ownCSN && !x.opts.Hasty {
		_ = x.s.log.Wait(csn)
	}
}

// change adds the operations of an update or delete.
func (x *tx) change(ctx context.Context, o *ownTable, m *storage.Mutation) (int64, error) {
	n := m.Keys.Rows()
	if n == 0 {
		return 0, nil
	}
	c := &changeSet{keys: compactAll(m.Keys), old: make([]storage.CSN, n), read: m.ReadAt}
	if m.Rows != nil {
		c.rows = compactAll(m.Rows)
	}
	for i := range c.old {
		if m.OldCSN != nil {
			c.old[i] = storage.CSN(m.OldCSN.I64[m.OldCSN.Index(m.Keys.Row(i))])
		}
	}
	src := &source{op: m.Op, resolve: m.Resolve, stale: m.Stale, lock: x.opts.Explicit || m.Lock}
	if x.opts.Isolation == storage.RepeatableRead {
		src.resolve = nil
	}
	if src.lock {
		if err := x.lockChanged(ctx, o, src, c); err != nil {
			return 0, err
		}
	} else {
		x.keep()
	}
	if len(o.t.Unique) == 0 {
		return x.addChanges(ctx, o, src, c)
	}
	es, err := x.entriesOfChange(ctx, o, c)
	if err != nil {
		return 0, err
	}
	count, err := x.addChanges(ctx, o, src, c)
	if err != nil {
		return 0, err
	}
	return count, x.writeEntries(ctx, es)
}

// changeSet is rows to replace or delete: their keys, the commits they were read
// with, and for an update the new rows.
type changeSet struct {
	keys  *vec.Batch
	old   []storage.CSN
	rows  *vec.Batch
	shard []uint16 // of the old rows, where it is known
	at    []uint16 // of those that resolveRows gives, the places among its keys
	// read is a state that the rows were read in at the oldest; 0: that of the
	// transaction's snapshots.
	read storage.CSN
	// looked says that lockChanged has found each row: an old of 0 is the transaction's.
	looked bool
}

func (c *changeSet) keep(sel []uint16) {
	n := c.keys.N
	c.keys = compact(c.keys.Cols, sel, n)
	if c.rows != nil {
		c.rows = compact(c.rows.Cols, sel, n)
	}
	for i, k := range sel {
		c.old[i] = c.old[k]
		if c.shard != nil {
			c.shard[i] = c.shard[k]
		}
	}
	c.old = c.old[:len(sel)]
	if c.shard != nil {
		c.shard = c.shard[:len(sel)]
	}
}

// lockChanged locks the rows and brings those that others replaced up to date.
func (x *tx) lockChanged(ctx context.Context, o *ownTable, src *source, c *changeSet) error {
	mode := txn.Update
	if src.op == storage.OpUpdate {
		mode = txn.NoKeyUpdate
	}
	if err := x.lock(ctx, o.t.OID, c.keys, mode); err != nil {
		return err
	}
	n, r, err := x.newest(o)
	if err != nil {
		return err
	}
	defer n.Close()
	csn, shard, err := x.find(r, c.keys)
	if err != nil {
		return err
	}
	c.shard, c.looked = shard, true
	stale, fresh := []uint16{}, []uint16{} // nil would mean all rows
	read := c.read
	if read == 0 {
		read = x.read()
	}
	for i := range csn {
		seen := csn[i]
		if seen == ownCSN {
			seen = 0
		}
		// Compaction gives old rows one commit for all, so what is no newer than the
		// statement's snapshot is what the statement read, whatever its number.
		if csn[i] != 0 && (seen == c.old[i] || c.old[i] == 0 || csn[i] <= read) {
			fresh = append(fresh, uint16(i))
			c.old[i] = seen
			continue
		}
		stale = append(stale, uint16(i))
		if csn[i] == 0 {
			x.meet(x.s.marks.Applied()) // one of those up to there has removed the row
		}
	}
	if len(stale) == 0 {
		return nil
	}
	if src.resolve == nil {
		return errConcurrentUpdate
	}
	if src.stale != nil {
		src.stale(stale)
	}
	staleKeys := compact(c.keys.Cols, stale, c.keys.N)
	of := make([]uint16, len(stale)) // keep moves those of c
	for i, k := range stale {
		of[i] = shard[k]
	}
	c.keep(fresh)
	again, err := resolveRows(ctx, r, o.t, src, staleKeys)
	if err != nil || again == nil {
		return err
	}
	for _, k := range again.at {
		c.shard = append(c.shard, of[k])
	}
	if c.keys.N == 0 {
		c.keys, c.rows, c.old = again.keys, again.rows, again.old
		return nil
	}
	c.keys.Append(again.keys)
	if c.rows != nil {
		c.rows.Append(again.rows)
	}
	c.old = append(c.old, again.old...)
	return nil
}

func (x *tx) shardsOf(r *relation, keys *vec.Batch) ([]uint16, error) {
	csn, shard := make([]storage.CSN, keys.N), make([]uint16, keys.N)
	return shard, r.find(keys, csn, shard)
}

// resolveRows reads the newest versions of rows and has the statement decide again
// on them. Rows that are gone, or that it no longer wants, are left out; nil when
// none is left.
func resolveRows(ctx context.Context, r *relation, t *catalog.Table, src *source, keys *vec.Batch) (*changeSet, error) {
	cols := make([]int, len(t.Columns)+1)
	ts := make([]types.T, len(cols))
	for i := range t.Columns {
		cols[i], ts[i] = i, t.Columns[i].T
	}
	cols[len(t.Columns)], ts[len(t.Columns)] = catalog.ColCSN, types.Int8
	got := vec.NewBatch(ts)
	idx, err := r.Get(ctx, keys, cols, got, nil)
	if err != nil {
		return nil, err
	}
	if len(idx) == 0 {
		return nil, nil
	}
	old := &vec.Batch{Cols: got.Cols[:len(t.Columns)], N: got.N}
	rows, keep, err := src.resolve(ctx, old)
	if err != nil || len(keep) == 0 {
		return nil, err
	}
	c := &changeSet{at: make([]uint16, len(keep))}
	for i, k := range keep {
		c.at[i] = idx[k]
		c.old = append(c.old, storage.CSN(got.Cols[len(t.Columns)].I64[k]))
	}
	c.keys = compact(keys.Cols, c.at, keys.N)
	if src.op == storage.OpUpdate {
		if rows == nil || rows.Rows() != len(keep) {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "resolver returned rows for another set")
		}
		c.rows = compactAll(rows)
	}
	return c, nil
}

// addChanges adds operations whose rows are as up to date as they can be now.
func (x *tx) addChanges(ctx context.Context, o *ownTable, src *source, c *changeSet) (int64, error) {
	n := c.keys.N
	if n == 0 {
		return 0, nil
	}
	if c.shard == nil {
		var err error
		if c.shard, err = o.shardsOfKeys(x, c.keys); err != nil {
			return 0, err
		}
	}
	if src.op == storage.OpDelete {
		o.addDeletes(x, src, c, nil)
		return int64(n), o.spill(ctx, x)
	}
	same, moved := o.splitMoved(c)
	if len(moved) > 0 && src.lock && len(o.t.PK) > 0 {
		to := compact(pickCols(c.rows.Cols, o.t.PK), moved, n)
		if err := x.lockMoved(ctx, o, to, c.keys); err != nil {
			return 0, err
		}
	}
	if len(same) > 0 {
		o.addUpdates(x, src, c, same)
	}
	if len(moved) > 0 {
		x.told = true // of keys that were free
		o.addMoved(x, src, c, moved)
	}
	return int64(n), o.spill(ctx, x)
}

// lockMoved locks the keys that updated rows move to, which must be free or be
// left by the same statement.
func (x *tx) lockMoved(ctx context.Context, o *ownTable, to, leaving *vec.Batch) error {
	csn, _, err := x.lockAndFind(ctx, o, to, txn.Update)
	if err != nil {
		return err
	}
	left := lockHashes(leaving.Cols, leaving.N)
	set := make(map[uint64]bool, len(left))
	for _, h := range left {
		set[h] = true
	}
	hashes := lockHashes(to.Cols, to.N)
	for i, c := range csn {
		if c != 0 && !set[hashes[i]] {
			x.awaitPublished(ctx, c)
			return errDuplicate(o.t, to, i)
		}
	}
	if i := twice(to); i >= 0 {
		return errDuplicate(o.t, to, i)
	}
	return nil
}

var errConcurrentUpdate = sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")

// errDuplicate is 23505 for key i of keys, or of a key that nobody knows any more.
func errDuplicate(t *catalog.Table, keys *vec.Batch, i int) error {
	if keys == nil {
		name := constraintName(t)
		err := sqlstate.Errorf(sqlstate.UniqueViolation, "duplicate key value violates unique constraint %q", name)
		err.Table, err.Constraint = t.Name, name
		return err
	}
	names, vals := "", []byte(nil)
	for k, o := range t.PK {
		if k > 0 {
			names += ", "
			vals = append(vals, ", "...)
		}
		names += t.Columns[o].Name
		vals = types.AppendText(vals, t.Columns[o].T, keys.Cols[k].Datum(i), types.DefaultEnv)
	}
	name := constraintName(t)
	err := sqlstate.Errorf(sqlstate.UniqueViolation, "duplicate key value violates unique constraint %q", name).
		WithDetail("Key (%s)=(%s) already exists.", names, vals)
	err.Table, err.Constraint = t.Name, name
	return err
}

func constraintName(t *catalog.Table) string {
	if t.PKName != "" {
		return t.PKName
	}
	return t.Name + "_pkey"
}

// twice finds a key that occurs before in the same batch; -1 for none.
func twice(keys *vec.Batch) int {
	hashes := lockHashes(keys.Cols, keys.N)
	seen := make(map[uint64]int, keys.N)
	for i, h := range hashes {
		if j, ok := seen[h]; ok && sameKey(keys, i, j) {
			return i
		}
		seen[h] = i
	}
	return -1
}

func sameKey(keys *vec.Batch, i, j int) bool {
	for _, c := range keys.Cols {
		if !types.Equal(c.T, c.Datum(i), c.Datum(j)) {
			return false
		}
	}
	return true
}

// compact copies the selected rows (all n for nil) of columns into a batch of its own.
func compact(cols []*vec.Vec, sel []uint16, n int) *vec.Batch {
	k := n
	if sel != nil {
		k = len(sel)
	}
	b := &vec.Batch{Cols: make([]*vec.Vec, len(cols)), N: k}
	for i, c := range cols {
		b.Cols[i] = vec.New(c.T, k)
		b.Cols[i].Copy(c, sel, n)
	}
	return b
}

func compactAll(b *vec.Batch) *vec.Batch { return compact(b.Cols, b.Sel, b.N) }
