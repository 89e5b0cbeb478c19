package tablet

import (
	"context"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/txn"
	"github.com/millrace/millrace/storage/vec"
)

var lockModes = [...]txn.Mode{storage.ForKeyShare: txn.KeyShare, storage.ForShare: txn.Share,
	storage.ForNoKeyUpdate: txn.NoKeyUpdate, storage.ForUpdate: txn.Update}

// LockRows implements storage.Txn.
func (x *tx) LockRows(ctx context.Context, l *storage.RowLock) error {
	if err := x.over(); err != nil {
		return err
	}
	err := x.lockRows(ctx, l)
	if e := x.sure(ctx); err == nil {
		err = e
	}
	return err
}

func (x *tx) lockRows(ctx context.Context, l *storage.RowLock) error {
	if x.opts.ReadOnly {
		return sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", lockStatement(l.Mode))
	}
	t := l.Table
	o := x.own[t.OID]
	if o == nil {
		o = newOwnTable(x.s, t) // for looking only
	}
	keys := compactAll(l.Keys)
	n := keys.N
	l.State = append(l.State[:0], make([]storage.RowState, n)...)
	l.Newest, l.Which = nil, l.Which[:0]
	mode := lockModes[l.Mode]
	if l.Wait == storage.WaitForLock {
		if err := x.lock(ctx, t.OID, keys, mode); err != nil {
			return err
		}
	} else {
		for i, h := range lockHashes(keys.Cols, n) {
			if x.s.locks.TryRow(x.owner, t.OID, h, mode) {
				continue
			}
			if l.Wait == storage.NoWait {
				return sqlstate.Errorf(sqlstate.LockNotAvailable, "could not obtain lock on row in relation \"%s\"", t.Name)
			}
			l.State[i] = storage.RowSkipped
		}
	}
	snap, r, err := x.newest(o)
	if err != nil {
		return err
	}
	defer snap.Close()
	csn, shard := make([]storage.CSN, n), make([]uint16, n)
	if err := r.find(keys, csn, shard); err != nil {
		return err
	}
	read := x.read()
	var stale []uint16
	for i, c := range csn {
		var old storage.CSN
		if l.OldCSN != nil {
			old = storage.CSN(l.OldCSN.I64[l.OldCSN.Index(l.Keys.Row(i))])
		}
		seen := c
		if c == ownCSN {
			seen = 0
		}
		if l.State[i] != storage.RowSkipped {
			x.meet(c)
		}
		switch {
		case l.State[i] == storage.RowSkipped:
		case c != 0 && (seen == old || old == 0 || c <= read): // see lockChanged
		case x.opts.Isolation == storage.RepeatableRead:
			x.awaitPublished(ctx, c)
			return errConcurrentUpdate
		case c == 0 || l.Again && c == ownCSN: // which the statement itself has changed
			l.State[i] = storage.RowGone
			x.meet(snap.at) // one of the commits up to there has removed it
		default:
			l.State[i] = storage.RowChanged
			stale = append(stale, uint16(i))
		}
	}
	if len(stale) == 0 {
		return nil
	}
	if l.Again {
		for _, i := range stale {
			x.s.marks.WaitPublished(csn[i], x.s.ctx.Done())
		}
		return errConcurrentUpdate
	}
	cols, ts := make([]int, len(t.Columns)), make([]types.T, len(t.Columns))
	for i := range t.Columns {
		cols[i], ts[i] = i, t.Columns[i].T
	}
	l.Newest = vec.NewBatch(ts)
	idx, err := r.Get(ctx, compact(keys.Cols, stale, n), cols, l.Newest, nil)
	if err != nil {
		return err
	}
	for _, k := range idx {
		l.Which = append(l.Which, stale[k])
	}
	return nil
}

func lockStatement(m storage.LockMode) string {
	return "SELECT FOR " + [...]string{"KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"}[m]
}

// Lock implements storage.Txn.
func (x *tx) Lock(ctx context.Context, table uint32) error {
	if err := x.over(); err != nil {
		return err
	}
	if _, err := x.s.locks.LockTable(ctx, x.owner, table); err != nil {
		return err
	}
	tt := x.s.table(table)
	if tt == nil {
		return nil
	}
	for _, sh := range tt.current() {
		sh.latch.Lock() // as in newest
		//lint:ignore SA2001 whoever holds it is waited for
		sh.latch.Unlock()
	}
	x.s.marks.WaitPublished(x.s.marks.NewestAppended(), x.s.ctx.Done())
	return x.s.broken()
}

// LockTimeout implements storage.Txn.
func (x *tx) LockTimeout(d time.Duration) { x.owner.LockTimeout = d }
