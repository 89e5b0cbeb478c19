package tablet

import (
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/millrace/millrace/catalog"
	catstore "github.com/millrace/millrace/catalog/store"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/txn"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/wal"
)

// commit is a transaction on its way through the log.
type commit struct {
	x       *tx
	patient bool    // rather prepares anew than reads files under the latch
	hasty   bool    // rather gives up than waits for a latch
	parts   []*part // in latch order
	entry   wal.Entry
	enc     *wal.Encoder

	// Catalog changes.
	after *catalog.Version
	kvs   []catstore.KV
	swaps []swap
	defs  []redefinition
	latch []*shard // all that are latched, in order; parts' shards among them

	// Binlogs.
	logs     []*logPart // in latch order
	logSwaps []logSwap
	marks    []storage.Mark
}

// part is what a commit does to one tablet.
type part struct {
	sh       *shard
	own      *ownTable
	ops      *ownShard
	sides    []column.Side
	logs     []column.SegmentInfo // side files of its binlog
	prepared storage.Prepared
	staged   storage.Staged
	changes  *row.Changes // of the row tablet, if there is one
	set      *row.Set     // instead, of a large set
	tables   []row.TableFile
}

// chunks are the operations that the commit looks at one by one.
func (p *part) chunks() []storage.Chunk {
	if p.set != nil && p.sh.rowOnly() {
		return nil // all are in the set
	}
	return p.ops.chunks
}

// swap is a table whose tablets are replaced: by those of gen, or by none.
type swap struct {
	oid   uint32
	gen   *generation
	empty bool // an existing table is emptied: the log and the manifest say so
	rows  bool // an existing table's rows are in Pebble
}

// redefinition is a table that stays but has a new definition.
type redefinition struct {
	shards   []*shard
	old, def *catalog.Table
}

// Commit implements storage.Txn.
func (x *tx) Commit(ctx context.Context) (storage.CSN, error) {
	if err := x.over(); err != nil {
		return 0, err
	}
	if x.ddl == nil && len(x.notes) == 0 && !x.wrote() {
		x.end()
		return 0, nil
	}
	var csn storage.CSN
	var err error
	if c := x.begun; c != nil {
		x.begun = nil
		csn, err = c.entry.CSN, c.await()
	} else {
		csn, err = x.commit(ctx)
	}
	if err != nil {
		x.Rollback()
		return 0, err
	}
	// Locks that are left stay until others can see the commit.
	if !x.opts.Async {
		x.s.marks.WaitPublished(csn, x.s.ctx.Done())
	}
	x.end()
	x.discard()
	if err := x.s.broken(); err != nil && !x.opts.Async && x.s.marks.Published() < csn {
		return 0, err
	}
	return csn, nil
}

func (x *tx) wrote() bool {
	for _, o := range x.own {
		if o.any() {
			return true
		}
	}
	return false
}

func (x *tx) commit(ctx context.Context) (storage.CSN, error) {
	if err := x.s.log.Throttle(); err != nil {
		return 0, x.s.broken()
	}
	if err := x.finishSpill(ctx); err != nil {
		return 0, err
	}
	for tries := 0; ; tries++ {
		c := &commit{x: x, patient: tries < freshTries}
		err := c.try(ctx)
		c.release() // before a wait for others, for whom nothing is held meanwhile
		again, err := c.settle(ctx, err)
		if err != nil {
			return 0, err
		}
		if again {
			if err := ctx.Err(); err != nil {
				return 0, context.Cause(ctx)
			}
			continue
		}
		csn := c.entry.CSN
		if !x.opts.Async && c.mayLetGo() {
			x.s.locks.ReleaseEarly(x.owner, csn)
		}
		if x.opts.Async && !c.mustWait() {
			x.s.log.SyncSoon()
			return csn, nil
		}
		return csn, c.await()
	}
}

// await waits until the commit is on disk.
func (c *commit) await() error {
	x, csn := c.x, c.entry.CSN
	if err := x.s.log.Wait(csn); err != nil {
		if b := x.s.broken(); b != nil {
			return b
		}
		return err
	}
	if len(c.swaps) > 0 || len(c.logSwaps) > 0 {
		if err := x.s.recordSwaps(c, csn); err != nil {
			return err
		}
	}
	c.enc.Free()
	return nil
}

// mustWait says that a commit is durable before it is acknowledged, whatever the
// session asked for: DDL and large sets.
func (c *commit) mustWait() bool { return c.after != nil || c.hasSides() }

// mayLetGo says that others may have the keys of a commit that is in the log's order
// and stamped, before it is on disk. What they do under the locks comes after it in the
// log, and what they tell of it waits for it (tx.sure).
func (c *commit) mayLetGo() bool { return !c.mustWait() && len(c.x.notes) == 0 && len(c.swaps) == 0 }

func (c *commit) hasSides() bool {
	return slices.ContainsFunc(c.parts, func(p *part) bool { return len(p.sides)+len(p.logs)+len(p.tables) > 0 })
}

// try goes once through the steps of a commit.
func (c *commit) try(ctx context.Context) error {
	if c.x.ddl != nil {
		c.x.s.ddlMu.Lock()
		defer c.x.s.ddlMu.Unlock()
	}
	if err := c.plan(); err != nil {
		return err
	}
	// Large tables of a transaction that redefines them are prepared under the
	// latch, since their tablets take the new definition there.
	if len(c.defs) == 0 {
		if err := c.prepare(ctx); err != nil {
			return err
		}
		c.encode()
	}

	held := c.latch[:0:0]
	defer func() {
		for i := len(held) - 1; i >= 0; i-- {
			held[i].latch.Unlock()
		}
	}()
	for i, sh := range c.latch {
		if !sh.lock(c.hasty) {
			return errAgain
		}
		held = c.latch[:i+1]
	}
	if c.patient && !c.fresh() {
		return errAgain
	}
	return c.locked(ctx)
}

// freshTries is how often a commit prepares anew because a flush or compaction moved
// rows meanwhile; then it looks its keys up under the latch.
const freshTries = 3

// fresh says whether what was prepared still holds. Called with the latches held.
func (c *commit) fresh() bool {
	for _, p := range c.parts {
		if f, ok := p.prepared.(interface{ Fresh() bool }); ok && !f.Fresh() {
			return false
		}
	}
	return true
}

// errAgain says that tablets were replaced between planning and latching.
var errAgain = errors.New("try again")

// settle looks at how a try ended, with no latch held. again says that conflicts
// were resolved, or waited for, and the commit should be tried anew.
func (c *commit) settle(ctx context.Context, err error) (again bool, _ error) {
	x := c.x
	if err == errAgain {
		return true, nil
	}
	var b *blockedError
	if as(err, &b) {
		// A key is locked by another transaction: wait for it without latches.
		return true, x.s.locks.WaitFree(ctx, x.owner, b.table, b.hash, b.mode)
	}
	var cf *conflictError
	if as(err, &cf) {
		return true, x.resolve(ctx, cf)
	}
	return false, err
}

func as[E error](err error, target *E) bool {
	e, ok := err.(E)
	if ok {
		*target = e
	}
	return ok
}

type blockedError struct {
	table uint32
	hash  *uint64
	mode  txn.Mode
}

func (*blockedError) Error() string { return "key is locked" }

type conflictError struct {
	part      *part
	conflicts []storage.Conflict
}

func (*conflictError) Error() string { return "conflict" }

// plan finds the tablets that the commit touches, and applies the catalog change
// to the newest version.
func (c *commit) plan() error {
	x, s := c.x, c.x.s
	latched := map[*shard]bool{}
	add := func(shards []*shard) {
		for _, sh := range shards {
			if !latched[sh] {
				latched[sh] = true
				c.latch = append(c.latch, sh)
			}
		}
	}
	if x.ddl != nil {
		if err := c.planDDL(add); err != nil {
			return err
		}
	}
	for _, oid := range x.order {
		o := x.own[oid]
		if !o.any() {
			continue
		}
		if c.after != nil && c.after.Table(oid) == nil {
			continue // dropped by the same transaction
		}
		var shards []*shard
		if o.fresh {
			shards = o.gen.shards
		} else {
			t := s.table(oid)
			if t == nil {
				return errSchemaChanged(o.t, nil)
			}
			shards = t.current()
		}
		if len(shards) != len(o.shards) {
			return errSchemaChanged(o.t, nil)
		}
		for i, ops := range o.shards {
			if !ops.any() {
				continue
			}
			p := &part{sh: shards[i], own: o, ops: ops}
			if ops.spilled {
				var err error
				if !shards[i].rowOnly() {
					if p.sides, err = ops.overlay.Sides(); err != nil {
						return err
					}
				}
				if ops.rows != nil {
					p.set, p.tables = ops.rows, ops.rows.Tables()
				}
				if o.t.KeepsBinlog() {
					p.logs = ops.overlay.LogSides()
				}
			}
			c.parts = append(c.parts, p)
			add(shards[i : i+1])
		}
	}
	sort.Slice(c.parts, func(i, j int) bool { return c.parts[i].sh.before(c.parts[j].sh) })
	sort.Slice(c.latch, func(i, j int) bool { return c.latch[i].before(c.latch[j]) })
	return c.planLogs()
}

func (c *commit) planDDL(latch func([]*shard)) error {
	x, s := c.x, c.x.s
	base := s.hist.newest()
	for oid, t := range x.seen {
		if base.Table(oid) != t {
			return errConcurrentDDL
		}
	}
	if err := checkNames(base, x.ddl); err != nil {
		return err
	}
	d := *x.ddl
	d.NextOID = max(d.NextOID, s.nextOID.Load())
	c.after = base.Apply(&d)
	if err := checkDepends(c.after, &d); err != nil {
		return err
	}
	if x.viewsAside(base) {
		return errConcurrentDDL
	}
	kvs, err := catstore.Sets(&d, c.after)
	if err != nil {
		return err
	}
	c.kvs = kvs
	oids := make([]uint32, 0, len(d.Tables))
	for oid := range d.Tables {
		oids = append(oids, oid)
	}
	for _, oid := range d.Truncated {
		if !slices.Contains(oids, oid) {
			oids = append(oids, oid)
		}
	}
	slices.Sort(oids)
	for _, oid := range oids {
		old, def := base.Table(oid), c.after.Table(oid)
		var shards []*shard
		if t := s.table(oid); t != nil {
			shards = t.current()
		}
		isTable := func(t *catalog.Table) bool { return t != nil && t.Kind == catalog.KindTable }
		switch {
		case !isTable(def):
			if shards != nil {
				latch(shards)
				c.swaps = append(c.swaps, swap{oid: oid, rows: old != nil && old.StoresRows()})
			}
		case !isTable(old) || slices.Contains(d.Truncated, oid):
			o, err := x.ownTable(def)
			if err != nil {
				return err
			}
			if o.gen == nil {
				if err := x.emptyOwn(def); err != nil {
					return err
				}
			}
			latch(shards)
			c.swaps = append(c.swaps, swap{oid: oid, gen: x.own[oid].gen, empty: isTable(old), rows: isTable(old) && old.StoresRows()})
		case old != def:
			latch(shards)
			c.defs = append(c.defs, redefinition{shards, old, def})
		}
		if err := c.planLogDDL(old, def); err != nil {
			return err
		}
	}
	return nil
}

func (c *commit) prepare(ctx context.Context) error {
	for _, p := range c.parts {
		if !p.own.fresh && len(c.defs) == 0 { // else the latch is held, and locked has looked
			if !p.sh.lock(c.hasty) {
				return errAgain
			}
			def := p.sh.def
			p.sh.latch.Unlock()
			if def.SchemaVersion != p.own.t.SchemaVersion {
				return errSchemaChanged(p.own.t, def)
			}
		}
		var err error
		if p.sh.rowOnly() && p.set != nil {
			p.prepared = p.sh.row.PrepareSet(p.set)
		} else if p.sh.rowOnly() {
			var q *row.Prepared
			if q, err = p.sh.row.Prepare(ctx, p.ops.chunks); err == nil {
				p.prepared, p.changes = q, q.Changes()
			}
		} else if p.ops.logged() {
			var q *column.Prepared
			if q, err = p.sh.col.PrepareLogged(ctx, p.ops.chunks, p.sides); err == nil {
				p.prepared = q
			}
		} else if len(p.sides) > 0 {
			p.prepared, err = p.sh.col.PrepareSides(ctx, p.ops.chunks, p.sides)
		} else {
			p.prepared, err = p.sh.col.Prepare(ctx, p.ops.chunks)
		}
		if err != nil {
			p.prepared = nil
			return err
		}
		if p.sh.row != nil && p.changes == nil && p.set == nil {
			p.changes = p.sh.row.Changes(p.ops.chunks)
		}
	}
	if err := c.openLogFiles(); err != nil {
		return err
	}
	if c.hasSides() {
		return c.x.s.aside(ctx, func(context.Context) error { return c.x.s.data.Sync() })
	}
	return nil
}

// encode writes the record but for its numbers.
func (c *commit) encode() {
	c.enc = wal.NewEncoder()
	size := int64(0)
	for _, p := range c.parts {
		size += p.ops.bytes
	}
	c.enc.Grow(int(min(size, 64<<20)))
	c.enc.Notes(c.x.noteSets()) // before the catalog's: see recovery.replay
	if len(c.kvs) > 0 {
		kvs := make([]wal.KV, len(c.kvs))
		for i, kv := range c.kvs {
			kvs[i] = wal.KV(kv)
		}
		c.enc.Catalog(kvs)
	}
	var emptied []uint32
	for _, w := range c.swaps {
		if w.empty {
			emptied = append(emptied, w.oid)
		}
	}
	c.enc.Truncated(emptied)
	c.enc.Marks(c.logMarks())
	for _, p := range c.parts {
		chunks := p.logChunks()
		for i := range chunks {
			c.enc.Chunk(p.own.t, p.sh.index, &chunks[i])
		}
		for _, f := range p.sides {
			if f.Keys {
				c.enc.KeysFile(&wal.SideFile{Table: p.own.t.OID, Shard: p.sh.index, Rows: uint64(f.Rows), Size: f.Size, Name: f.File})
			}
		}
		for _, f := range p.sides {
			if f.Keys {
				continue
			}
			c.enc.File(&wal.SideFile{Table: p.own.t.OID, Shard: p.sh.index, Rows: uint64(f.Rows), Size: f.Size, Name: f.File, Deletes: f.Deletes})
		}
		for _, f := range p.tables {
			c.enc.RowFile(&wal.RowFile{Table: p.own.t.OID, Shard: p.sh.index, Rows: uint64(f.Rows), Size: f.Size, Set: p.set.Number(), Name: f.Name})
		}
		for _, f := range p.logs {
			c.enc.LogFile(&wal.SideFile{Table: p.own.t.OID, Shard: p.sh.index, Rows: uint64(f.Rows), Size: f.Size, Name: f.File})
		}
	}
	c.entry = wal.Entry{Buf: c.enc.Buf, Changes: int(c.x.ord), Tag: c}
	c.entry.Seal()
}

// locked is what happens under the latches: it touches memory only.
func (c *commit) locked(ctx context.Context) error {
	s := c.x.s
	if err := s.broken(); err != nil {
		return err
	}
	for _, sh := range c.latch {
		if sh.retired {
			return errAgain // emptied or dropped since; the next try finds out what
		}
	}
	for _, p := range c.parts {
		if !p.own.fresh && !c.redefines(p.sh) && p.sh.def.SchemaVersion != p.own.t.SchemaVersion {
			return errSchemaChanged(p.own.t, p.sh.def)
		}
	}
	for _, l := range c.logs {
		if l.sh.retired {
			return errAgain
		}
	}
	if err := c.blocked(); err != nil {
		return err
	}
	undo := c.redefine()
	if len(c.defs) > 0 {
		if err := c.prepare(ctx); err != nil {
			undo()
			return err
		}
		c.encode()
	}
	if err := c.stage(); err != nil {
		undo()
		return err
	}
	if err := c.stageLogs(); err != nil {
		c.abort()
		undo()
		return err
	}
	if err := s.log.Append(&c.entry); err != nil {
		c.abortLogs()
		c.abort()
		undo()
		if b := s.broken(); b != nil {
			return b
		}
		return err
	}
	csn := c.entry.CSN
	for _, p := range c.parts {
		p.staged.Stamp(c.entry.Base, csn)
		p.staged = nil
		if p.changes != nil && !p.sh.rowOnly() {
			p.changes.Stamp(csn)
		}
	}
	c.stampLogs()
	for _, p := range c.parts {
		if p.ops.spilled {
			p.ops.committed(p.own.t)
		}
	}
	for _, w := range c.swaps {
		if t := s.table(w.oid); t != nil {
			for _, sh := range t.current() {
				sh.retired = true
			}
		}
		g := w.gen
		if g == nil {
			g = &generation{}
		}
		s.push(w.oid, g, csn)
	}
	s.marks.Stamped(csn)
	return nil
}

// blocked looks for keys that other transactions have locked. One that locked its
// own keys can only be blocked by a lock of the whole table.
func (c *commit) blocked() error {
	l := c.x.s.locks
	if l.None() {
		return nil
	}
	for _, p := range c.parts {
		if p.own.fresh {
			continue
		}
		if p.ops.spilled {
			// What is in files is not among the chunks: the lock of a table is for it too.
			if _, is := l.Blocked(c.x.owner, p.own.t.OID, nil, txn.Update); is {
				return &blockedError{table: p.own.t.OID, mode: txn.Update}
			}
		}
		for i := range p.chunks() {
			k := &p.ops.chunks[i]
			var hashes []uint64
			if !c.x.opts.Explicit || c.x.unlocked {
				if k.Keys != nil {
					hashes = lockHashes(k.Keys.Cols, k.Len())
				}
				if k.Rows != nil && len(p.own.t.PK) > 0 && k.Op != storage.OpUpdate {
					hashes = append(hashes, lockHashes(pickCols(k.Rows.Cols, p.own.t.PK), k.Len())...)
				}
			}
			mode := txn.Update
			if k.Op == storage.OpUpdate {
				mode = txn.NoKeyUpdate
			}
			if row, is := l.Blocked(c.x.owner, p.own.t.OID, hashes, mode); is {
				b := &blockedError{table: p.own.t.OID, mode: mode}
				if row >= 0 {
					b.hash = &hashes[row]
				}
				return b
			}
		}
	}
	return nil
}

func (c *commit) redefines(sh *shard) bool {
	for i := range c.defs {
		if slices.Contains(c.defs[i].shards, sh) {
			return true
		}
	}
	return false
}

// redefine gives tablets their table's new definition; undo takes it back.
func (c *commit) redefine() (undo func()) {
	set := func(r *redefinition, def *catalog.Table) {
		for _, sh := range r.shards {
			sh.setSchema(def)
		}
	}
	for i := range c.defs {
		set(&c.defs[i], c.defs[i].def)
	}
	return func() {
		for i := range c.defs {
			set(&c.defs[i], c.defs[i].old)
		}
	}
}

func (c *commit) stage() error {
	for _, p := range c.parts {
		st, conflicts, err := p.prepared.Stage()
		if err == nil && len(conflicts) > 0 {
			err = &conflictError{p, conflicts}
		}
		if err != nil {
			c.abort()
			return err
		}
		p.staged = st
	}
	return nil
}

func (c *commit) abort() {
	for _, p := range c.parts {
		if p.staged != nil {
			p.staged.Abort()
			p.staged = nil
		}
	}
}

func (c *commit) release() {
	for _, p := range c.parts {
		if p.prepared != nil {
			p.prepared.Release()
			p.prepared = nil
		}
	}
	for _, l := range c.logs {
		l.files.Close()
	}
}

// resolve settles conflicts: duplicates are errors; rows that others replaced are
// decided again where the statement can, in READ COMMITTED.
func (x *tx) resolve(ctx context.Context, cf *conflictError) error {
	p := cf.part
	for _, k := range cf.conflicts {
		if k.Duplicate && k.Chunk >= len(p.ops.chunks) {
			_ = x.s.log.Wait(x.s.marks.NewestAppended())
			return errDuplicate(p.own.t, nil, 0)
		}
		if k.Duplicate {
			c := &p.ops.chunks[k.Chunk]
			// The row that is in the way may not be published yet; the error tells of it.
			_ = x.s.log.Wait(x.s.marks.NewestAppended())
			return errDuplicate(p.own.t, &vec.Batch{Cols: pickCols(c.Rows.Cols, p.own.t.PK), N: c.Len()}, k.Row)
		}
	}
	return x.resolveChanged(ctx, cf)
}

// onAppend runs in the log's append section.
func (s *Store) onAppend(e *wal.Entry) {
	c := e.Tag.(*commit)
	s.marks.Appended(e.CSN)
	if c.after == nil {
		return
	}
	s.hist.add(e.CSN, c.after)
	holds := len(c.logSwaps) > 0
	for _, w := range c.swaps {
		holds = holds || w.empty || w.gen == nil
	}
	if holds {
		s.floorMu.Lock()
		s.switches[e.CSN] = true
		s.floorMu.Unlock()
	}
}

// onDurable runs after a sync, in commit order: the catalog and the rows go to
// Pebble, and snapshots may see the commits.
func (s *Store) onDurable(es []*wal.Entry) error {
	if len(es) == 0 {
		return nil
	}
	if err := s.apply(es); err != nil {
		return err
	}
	s.marks.Durable(es[len(es)-1].CSN)
	s.rows.reap()
	return nil
}

// recordSwaps tells the manifest that older generations are over; until then the
// log keeps the commit.
func (s *Store) recordSwaps(c *commit, csn storage.CSN) error {
	es := logSwapEdits(c.logSwaps, func(oid uint32) bool { return c.after.Table(oid) == nil }, csn)
	for _, w := range c.swaps {
		switch {
		case w.gen == nil:
			es = append(es, &edit{Table: w.oid, Dropped: true})
		case w.empty:
			es = append(es, &edit{Table: w.oid, Gen: csn, Switch: true, F: csn - 1})
		}
	}
	if len(es) == 0 {
		return nil
	}
	if err := s.man.append(es...); err != nil {
		s.fail(err)
		return s.broken()
	}
	s.floorMu.Lock()
	delete(s.switches, csn)
	s.floorMu.Unlock()
	return nil
}
