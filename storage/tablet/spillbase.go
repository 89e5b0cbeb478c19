package tablet

import (
	"context"
	"slices"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/txn"
)

// largeSpace has a lock for each table with a binlog: a set whose binlog rows in files
// show what it replaces has it alone, other large sets share it while they commit. The
// keys of rows in files are not looked at one by one, so that these would not wait for
// locks of keys.
const largeSpace = 2

func (x *tx) lockLargeOf(ctx context.Context, o *ownTable, mode txn.Mode) error {
	_, err := x.s.locks.LockKey(ctx, x.owner, txn.Key{Space: largeSpace, Hash: uint64(o.t.OID)}, mode)
	return err
}

// lockLarge keeps the large sets of the transaction from those whose binlog rows show
// what they replace. These lock keys after they have the table's lock of large sets: who
// has the whole table keeps them from that, and would wait for them in a circle here.
func (x *tx) lockLarge(ctx context.Context) error {
	for _, oid := range x.order {
		o := x.own[oid]
		if o.fresh || o.large || o.locked || !o.t.KeepsBinlog() || !slices.ContainsFunc(o.shards, func(s *ownShard) bool { return s.spilled }) {
			continue
		}
		if err := x.lockLargeOf(ctx, o, txn.Share); err != nil {
			return err
		}
	}
	return nil
}

// keysLocked says that all keys that the set replaces or deletes are locked.
func (x *tx) keysLocked(o *ownTable) bool { return o.keyed || x.opts.Explicit && !x.unlocked }

// settleBase locks what the set replaces before binlog rows go to files that show it, and
// takes the newest states of its shards: what they show of locked keys stays true until
// the commit. Rows that others changed since the statement read them are decided again.
func (x *tx) settleBase(ctx context.Context, o *ownTable) error {
	if o.fresh || !o.large && !o.replacesLogged() {
		return nil
	}
	if err := o.join(ctx); err != nil {
		return err
	}
	if !o.large {
		if err := x.lockLargeOf(ctx, o, txn.Update); err != nil {
			return err
		}
		o.large = true
		if !x.keysLocked(o) {
			// Keys that went to files already are known to nobody: then the whole table.
			o.locked = slices.ContainsFunc(o.shards, func(s *ownShard) bool {
				return s.spilled && (s.overlay.Kills() || s.overlay.Upserts() || s.inRows > 0)
			})
			o.keyed = !o.locked
		}
	}
	if o.locked {
		if _, err := x.s.locks.LockTable(ctx, x.owner, o.t.OID); err != nil {
			return err
		}
		return x.takeBases(o)
	}
	for range settleTries {
		if err := x.lockListed(ctx, o); err != nil {
			return err
		}
		if err := x.takeBases(o); err != nil {
			return err
		}
		again, err := x.decideListed(ctx, o)
		if err != nil || !again {
			return err
		}
	}
	return errConcurrentUpdate
}

// settleTries is how often rows are decided again: once would do, since their keys are
// locked by then.
const settleTries = 4

// takeBases takes the newest states of the shards that have something to write.
func (x *tx) takeBases(o *ownTable) error {
	t := x.s.table(o.t.OID)
	if t == nil {
		return errSchemaChanged(o.t, nil)
	}
	shards := t.current()
	if len(shards) != len(o.shards) {
		return errSchemaChanged(o.t, nil)
	}
	o.closeBases()
	o.bases = make([]*column.Snapshot, len(shards))
	for i, sh := range shards {
		if len(o.shards[i].chunks) == 0 {
			continue
		}
		sh.latch.Lock() // whoever staged before us stamps before it unlatches
		o.bases[i] = sh.col.Snapshot(x.s.marks.NewestAppended())
		sh.latch.Unlock()
	}
	return nil
}

func (o *ownTable) closeBases() {
	for _, b := range o.bases {
		if b != nil {
			b.Close()
		}
	}
	o.bases = nil
}

// lockListed locks the keys that the listed operations replace or delete, of which the
// statement has locked none.
func (x *tx) lockListed(ctx context.Context, o *ownTable) error {
	if x.opts.Explicit && !x.unlocked {
		return nil
	}
	byMode := map[txn.Mode][]uint64{}
	for _, s := range o.shards {
		for i := s.inRows; i < len(s.chunks); i++ {
			c := &s.chunks[i]
			mode := txn.Update
			switch {
			case c.Op == storage.OpInsert || s.src[i] != nil && s.src[i].lock:
				continue
			case c.Op == storage.OpUpdate:
				mode = txn.NoKeyUpdate
			}
			switch {
			case c.Keys != nil:
				byMode[mode] = append(byMode[mode], lockHashes(c.Keys.Cols, c.Len())...)
			case len(o.t.PK) > 0:
				byMode[mode] = append(byMode[mode], lockHashes(pickCols(c.Rows.Cols, o.t.PK), c.Len())...)
			}
		}
	}
	for _, mode := range [...]txn.Mode{txn.Update, txn.NoKeyUpdate} {
		hashes := byMode[mode]
		slices.Sort(hashes)
		if _, err := x.s.locks.LockRows(ctx, x.owner, o.t.OID, slices.Compact(hashes), mode); err != nil {
			return err
		}
	}
	return nil
}

// decideListed finds the listed rows that others changed since they were read, and has
// their statements decide again; again says that there were such.
func (x *tx) decideListed(ctx context.Context, o *ownTable) (again bool, err error) {
	if x.opts.Explicit && !x.unlocked {
		return false, nil
	}
	for k, s := range o.shards {
		cf := &conflictError{part: &part{own: o, ops: s}}
		for i := range s.chunks {
			c := &s.chunks[i]
			if s.src[i] == nil || s.src[i].lock || c.OldCSN == nil {
				continue
			}
			changed, err := o.bases[k].Changed(c.Keys, c.OldCSN)
			if err != nil {
				return false, err
			}
			for _, r := range changed {
				cf.conflicts = append(cf.conflicts, storage.Conflict{Chunk: i, Row: int(r)})
			}
		}
		if len(cf.conflicts) == 0 {
			continue
		}
		if x.opts.Explicit {
			return false, errConcurrentUpdate // what the transaction reads has them already
		}
		if err := x.resolveChanged(ctx, cf); err != nil {
			return false, err
		}
		again = true
	}
	return again, nil
}
