package tablet

import (
	"context"
	"hash/maphash"
	"maps"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/txn"
)

// tx implements storage.Txn.
type tx struct {
	s     *Store
	opts  storage.TxnOptions
	owner *txn.Owner
	// rr is the snapshot of a REPEATABLE READ transaction, registered at its first
	// statement.
	rr     storage.CSN
	rrRows *rowView
	hasRR  bool

	// ddl is the transaction's own catalog change, seen what each changed object
	// was before, and cat the catalog with it on top of base.
	ddl  *catalog.Delta
	seen map[uint32]*catalog.Table
	base *catalog.Version
	cat  *catalog.Version
	// rests has, of views that the transaction defines, the relations that they read as
	// these were then; known are the views over relations whose names, or schemas' names, it
	// changes.
	rests map[uint32][]named
	known map[*catalog.Table]bool

	notes map[string][]byte // nil values remove
	// unlocked says that there are writes from before the transaction locked keys.
	unlocked bool

	own   map[uint32]*ownTable
	order []uint32    // tables as first written
	past  []*ownTable // what the transaction wrote to tables before it emptied them
	ord   uint32
	marks []mark
	// quiet keeps operations out of binlogs; logMarks are the markers for them.
	quiet    bool
	logMarks []storage.Mark
	set      uint64             // number of its large sets for row tablets; 0: none
	snaps    map[*snapshot]bool // open ones
	last     storage.CSN        // of the newest snapshot
	// kept is the oldest state that changes without locks were read in. It stays registered
	// when the statement has ended: compaction would give what others write until the commit
	// one commit with what was read, which then could not be told from it.
	kept  storage.CSN
	keeps bool
	done  bool
	told  bool // the present mutation tells more than that its rows are there
	// met is the newest commit that was not published when its row was found under the
	// transaction's locks; unsure says that the present mutation has found such a one.
	met    storage.CSN
	unsure bool
	// begun is a commit that CommitLater has put into the log.
	begun *commit
	// dropped counts rows that the commit left out after all.
	dropped int64
	// broken is an error that left the transaction's own rows in doubt.
	broken error
}

// mark is a savepoint.
type mark struct {
	ord    uint32
	ddl    *catalog.Delta
	seen   map[uint32]*catalog.Table
	notes  map[string][]byte
	tables map[uint32]tableMark
	logs   []storage.Mark
}

// Begin implements storage.Store.
func (s *Store) Begin(opts storage.TxnOptions) storage.Txn {
	x := &tx{s: s, opts: opts, owner: txn.NewOwner()}
	x.owner.LockTimeout = s.opts.LockTimeout
	x.owner.Who = opts.Who
	return x
}

// read is the oldest state that a present statement may have read.
func (x *tx) read() storage.CSN {
	at := x.last
	for n := range x.snaps {
		at = min(at, n.at)
	}
	return at
}

// keep keeps what the present statement reads registered until the transaction ends.
func (x *tx) keep() {
	if x.keeps || len(x.snaps) == 0 {
		return
	}
	x.kept, x.keeps = x.last, true
	for n := range x.snaps {
		x.kept = min(x.kept, n.at)
	}
	x.s.marks.Retain(x.kept)
}

func (x *tx) over() error {
	if x.done {
		return sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "transaction is over")
	}
	if x.broken != nil {
		return x.broken
	}
	return x.s.broken()
}

// Snapshot implements storage.Txn.
func (x *tx) Snapshot() (storage.Snapshot, error) {
	if err := x.over(); err != nil {
		return nil, err
	}
	if err := x.sure(context.Background()); err != nil {
		return nil, err
	}
	n := &snapshot{s: x.s, tx: x}
	if x.opts.Isolation == storage.RepeatableRead {
		x.registerRR()
		x.s.marks.Retain(x.rr)
		n.at, n.rows = x.rr, x.rrRows.retain()
		n.cat = x.s.hist.at(n.at)
	} else {
		n.at, n.rows = x.s.register(x.opts.After, func(at storage.CSN) { n.cat = x.s.hist.at(at) })
	}
	if x.ddl != nil {
		n.cat = x.Catalog()
	}
	n.own = x.views()
	if x.snaps == nil {
		x.snaps = map[*snapshot]bool{}
	}
	x.snaps[n], x.last = true, n.at
	return n, nil
}

// registerRR takes the snapshot of a REPEATABLE READ transaction, once.
func (x *tx) registerRR() {
	if !x.hasRR {
		x.rr, x.rrRows = x.s.register(x.opts.After, nil)
		x.hasRR = true
	}
}

// meet notes the commit of a row that was found under the transaction's locks. Who let
// go of a key early has told so (Owner.After), but there are commits that never locked
// it, or not in a mode that the transaction's own had to wait for. A transaction that
// does not wait for its own commit does not wait for such ones either.
func (x *tx) meet(csn storage.CSN) {
	if csn == ownCSN || x.opts.Async || csn <= x.s.marks.Published() {
		return
	}
	x.met, x.unsure = max(x.met, csn), true
}

// after is the newest commit that the transaction goes on from, which may not be on
// disk yet.
func (x *tx) after() storage.CSN { return max(x.owner.After(), x.met) }

// sure waits until the commits that the transaction goes on from are published: a later
// snapshot must see them, and what a statement tells must not be lost with them.
func (x *tx) sure(ctx context.Context) error {
	at := x.after()
	if at <= x.s.marks.Published() {
		return nil
	}
	if x.opts.Hasty {
		return storage.ErrWaits
	}
	defer storage.BeginWait(ctx)()
	if err := x.s.log.Wait(at); err == nil {
		x.s.marks.WaitPublished(at, x.s.ctx.Done())
	}
	return x.s.broken()
}

// Catalog implements storage.Txn.
func (x *tx) Catalog() *catalog.Version {
	base := x.s.hist.at(max(x.s.marks.Published(), min(x.opts.After, x.s.marks.Applied())))
	if x.ddl == nil {
		return base
	}
	if base != x.base || x.cat == nil {
		x.base, x.cat = base, base.Apply(x.ddl)
	}
	return x.cat
}

// Dropped implements storage.Txn.
func (x *tx) Dropped() int64 { return x.dropped }

// AllocOIDs implements storage.Txn.
func (x *tx) AllocOIDs(n int) uint32 { return x.s.nextOID.Add(uint32(n)) - uint32(n) }

var nameSeed = maphash.MakeSeed()

// nameSpace is the lock space of names that DDL claims; tables have their OIDs.
const nameSpace = 1

func nameKey(kind byte, schema uint32, name string) txn.Key {
	var h maphash.Hash
	h.SetSeed(nameSeed)
	h.WriteByte(kind)
	h.WriteString(name)
	return txn.Key{Space: nameSpace, Hash: h.Sum64() ^ uint64(schema)<<32}
}

// Change implements storage.Txn. It claims the names of new objects and locks the
// tables that change, so that of two transactions that want the same the second
// waits, and then finds what the first did.
func (x *tx) Change(ctx context.Context, d *catalog.Delta) error {
	if err := x.over(); err != nil {
		return err
	}
	if d.Empty() {
		return nil
	}
	before := d.From
	if before == nil {
		before = x.Catalog()
	}
	d = d.WithIndexes(before)
	if err := x.lockObjects(ctx, d, before); err != nil {
		return err
	}
	// The locks are held now; what they guard may have changed while we waited.
	now := x.s.hist.newest()
	if x.stale(d, before, now) {
		return errConcurrentDDL
	}
	for _, oid := range d.Truncated {
		if t := before.Table(oid); t != nil && t.KeepsBinlog() {
			x.mark(oid, storage.EventTruncate)
		}
	}
	merged := &catalog.Delta{}
	if x.ddl != nil {
		*merged = *x.ddl
	}
	merged.Schemas = merge(merged.Schemas, d.Schemas)
	merged.Tables = merge(merged.Tables, d.Tables)
	merged.Roles = merge(merged.Roles, d.Roles)
	merged.Databases = merge(merged.Databases, d.Databases)
	merged.Subscriptions = merge(merged.Subscriptions, d.Subscriptions)
	merged.TableGroups = merge(merged.TableGroups, d.TableGroups)
	merged.NextOID, merged.From = max(merged.NextOID, d.NextOID), nil
	merged.Truncated = append(merged.Truncated[:len(merged.Truncated):len(merged.Truncated)], d.Truncated...)
	if err := checkNames(now, merged); err != nil {
		return err
	}
	seen := maps.Clone(x.seen)
	if seen == nil {
		seen = map[uint32]*catalog.Table{}
	}
	for oid := range d.Tables {
		if _, have := seen[oid]; !have {
			seen[oid] = before.Table(oid)
		}
	}
	x.ddl, x.seen, x.cat = merged, seen, nil
	x.noteViews(d, before)
	for oid, t := range d.Tables {
		if err := x.defineOwn(oid, t); err != nil {
			return err
		}
	}
	for _, oid := range d.Truncated {
		if t := x.Catalog().Table(oid); t != nil {
			if err := x.emptyOwn(t); err != nil {
				return err
			}
		}
	}
	return nil
}

var errConcurrentDDL = sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")

func merge[V any](a, b map[uint32]*V) map[uint32]*V {
	if len(b) == 0 {
		return a
	}
	c := maps.Clone(a)
	if c == nil {
		c = map[uint32]*V{}
	}
	maps.Copy(c, b)
	return c
}

// checkNames finds names that the newest catalog gives to other objects.
func checkNames(v *catalog.Version, d *catalog.Delta) error {
	for oid, t := range d.Tables {
		if t == nil {
			continue
		}
		if o := v.TableNamed(t.Schema, t.Name); o != nil && o.OID != oid {
			if n, changed := d.Tables[o.OID]; !changed || n != nil && n.Name == o.Name && n.Schema == o.Schema {
				return sqlstate.Errorf(sqlstate.DuplicateTable, "relation %q already exists", t.Name)
			}
		}
		if _, changed := d.Schemas[t.Schema]; v.Schema(t.Schema) == nil && !changed {
			return sqlstate.Errorf(sqlstate.InvalidSchemaName, "schema with OID %d does not exist", t.Schema)
		}
	}
	for oid, o := range d.Schemas {
		if o == nil {
			continue
		}
		if p := v.SchemaNamed(o.Name); p != nil && p.OID != oid {
			if n, changed := d.Schemas[p.OID]; !changed || n != nil && n.Name == p.Name {
				return sqlstate.Errorf(sqlstate.DuplicateSchema, "schema %q already exists", o.Name)
			}
		}
	}
	for oid, o := range d.Roles {
		if o == nil {
			continue
		}
		if p := v.RoleNamed(o.Name); p != nil && p.OID != oid {
			if n, changed := d.Roles[p.OID]; !changed || n != nil && n.Name == p.Name {
				return sqlstate.Errorf(sqlstate.DuplicateObject, "role %q already exists", o.Name)
			}
		}
	}
	for oid, o := range d.Subscriptions {
		if o == nil {
			continue
		}
		if p := v.SubscriptionNamed(o.Name); p != nil && p.OID != oid {
			if n, changed := d.Subscriptions[p.OID]; !changed || n != nil && n.Name == p.Name {
				return sqlstate.Errorf(sqlstate.DuplicateObject, "subscription %q already exists", o.Name)
			}
		}
	}
	for oid, o := range d.TableGroups {
		if o == nil {
			continue
		}
		if p := v.TableGroupNamed(o.Name); p != nil && p.OID != oid {
			if n, changed := d.TableGroups[p.OID]; !changed || n != nil {
				return sqlstate.Errorf(sqlstate.DuplicateObject, "table group %q already exists", o.Name)
			}
		}
	}
	return nil
}

// Extend implements storage.Txn.
func (x *tx) Extend() error {
	if err := x.over(); err != nil || x.opts.Explicit {
		return err
	}
	for _, o := range x.own {
		if err := o.join(context.Background()); err != nil {
			return err
		}
	}
	x.unlocked = x.wrote()
	x.opts.Explicit = true
	return nil
}

// Savepoint implements storage.Txn.
func (x *tx) Savepoint() int {
	m := mark{ord: x.ord, ddl: x.ddl, seen: x.seen, notes: maps.Clone(x.notes), tables: map[uint32]tableMark{}, logs: x.logMarks}
	for oid, o := range x.own {
		tm, err := o.mark()
		if err != nil {
			x.broken = err
		}
		m.tables[oid] = tm
	}
	x.marks = append(x.marks, m)
	return len(x.marks) - 1
}

// RollbackTo implements storage.Txn. Locks stay until the transaction ends.
func (x *tx) RollbackTo(k int) error {
	if err := x.over(); err != nil {
		return err
	}
	if k < 0 || k >= len(x.marks) {
		return sqlstate.Errorf(sqlstate.InvalidSavepointSpecification, "savepoint does not exist")
	}
	m := x.marks[k]
	x.marks = x.marks[:k+1] // the mark itself stays, as in PostgreSQL
	x.ord, x.logMarks = m.ord, m.logs
	x.ddl, x.seen, x.cat = m.ddl, m.seen, nil
	x.notes = maps.Clone(m.notes)
	var order []uint32
	for _, oid := range x.order {
		tm, had := m.tables[oid]
		if !had {
			x.own[oid].discard()
			delete(x.own, oid)
			continue
		}
		order = append(order, oid)
		if now := x.own[oid]; now.gen != tm.o.gen {
			now.discard()
		}
		o, err := tm.restore()
		if err != nil {
			x.broken = err
			return err
		}
		x.own[oid] = o
	}
	x.order = order
	return nil
}

// Release implements storage.Txn.
func (x *tx) Release(k int) {
	if k >= 0 && k == len(x.marks)-1 {
		x.marks[k] = mark{}
		x.marks = x.marks[:k]
	}
}

// Rollback implements storage.Txn.
func (x *tx) Rollback() {
	if x.done {
		return
	}
	if c := x.begun; c != nil {
		_ = c.await() // it is in the log: what it does cannot be taken back
		x.begun = nil
	}
	x.end()
	x.discard()
	x.own = nil
}

// discard releases what the transaction made and no commit took over.
func (x *tx) discard() {
	all := x.past
	for _, o := range x.own {
		all = append(all, o)
	}
	x.past = nil
	if len(all) > 0 {
		x.s.discardAll(all)
	}
}

// end gives up locks and the snapshot.
func (x *tx) end() {
	x.done = true
	x.s.locks.Release(x.owner)
	if x.keeps {
		x.s.marks.Release(x.kept)
		x.keeps = false
	}
	if x.hasRR {
		x.rrRows.release()
		x.rrRows = nil
		x.s.marks.Release(x.rr)
		x.hasRR = false
	}
}
