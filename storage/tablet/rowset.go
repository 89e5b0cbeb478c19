package tablet

import (
	"context"
	"errors"
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/row"
)

// errBlind is for a batch of statements that are one transaction without a block: the
// first wrote a set too large for memory, which none could read then.
var errBlind = sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").
	WithDetail("What a large statement wrote to a table of orientation row can be read after its commit only.").
	WithHint("Begin a transaction block before the statement, or end the batch after it.")

// rowTableBytes is the size of the files that large sets become for row tablets.
const rowTableBytes = 32 << 20

// rowSet is what the row tablet of a shard gets of a large set; nil when there is none.
func (x *tx) rowSet(o *ownTable, index int) *row.Set {
	sh, s := o.shards[index], x.s
	if sh.rows == nil && o.t.StoresRows() {
		if x.set == 0 {
			x.set = s.nextSet.Add(1)
		}
		sh.rows = row.NewSet(o.t, index, row.SetConfig{Files: s.data, NextFile: s.newFile, Number: x.set,
			RunBytes: s.runBytes(), TableBytes: rowTableBytes, Options: s.rowTables, Judges: !o.t.StoresColumns()})
	}
	return sh.rows
}

// runBytes is how much of a set is sorted at a time.
func (s *Store) runBytes() int {
	return int(min(s.opts.Limits.SpillBytes, max(s.opts.MemoryLimit/32, 1<<20)))
}

// setError is a set's error as clients see it.
func (o *ownTable) setError(err error) error {
	var dup *row.DuplicateKeyError
	switch {
	case errors.As(err, &dup):
		return errDuplicate(o.t, dup.Keys, 0)
	case errors.Is(err, row.ErrChanged):
		return errConcurrentUpdate
	}
	return err
}

// finishRowSets merges what large sets do to row tablets to the files that the commit
// names. A table of orientation row is locked by then: no one else's row is on its way
// while the set's are in no pending table, and what Pebble has decides conflicts.
func (x *tx) finishRowSets(ctx context.Context) error {
	for _, oid := range x.order {
		o := x.own[oid]
		some, decides, inserts := false, false, true
		for _, s := range o.shards {
			if s.rows != nil {
				some, decides, inserts = true, decides || s.rows.Decides(), inserts && s.rows.Inserts()
			}
		}
		if !some {
			continue
		}
		if o.t.StoresColumns() {
			if err := o.eachSet(func(_ int, s *row.Set) error { return s.Finish(ctx, nil) }); err != nil {
				return err
			}
			continue
		}
		if inserts || !decides {
			if err := o.eachSet(func(_ int, s *row.Set) error { return s.Finish(ctx, nil) }); err != nil {
				return err
			}
		}
		base, err := x.settleRows(ctx, o)
		if err != nil {
			return err
		}
		if !decides {
			continue
		}
		err = o.eachSet(func(i int, s *row.Set) error {
			switch {
			case !inserts && base == nil:
				return s.Finish(ctx, nil)
			case !inserts:
				return s.Finish(ctx, base[i].row)
			case base != nil:
				return s.Check(ctx, base[i].row)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachSet calls f with the shards' sets, side by side.
func (o *ownTable) eachSet(f func(i int, s *row.Set) error) error {
	errs := make([]error, len(o.shards))
	var wg sync.WaitGroup
	for i, s := range o.shards {
		if s.rows != nil {
			wg.Go(func() { errs[i] = f(i, s.rows) })
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return o.setError(err)
		}
	}
	return nil
}

// settleRows locks a table and waits until Pebble has all that others wrote to it. It
// returns the shards, nil for a table that has nobody else's rows.
func (x *tx) settleRows(ctx context.Context, o *ownTable) ([]*shard, error) {
	if _, err := x.s.locks.LockTable(ctx, x.owner, o.t.OID); err != nil {
		return nil, err
	}
	if o.fresh {
		return nil, nil
	}
	t := x.s.table(o.t.OID)
	if t == nil {
		return nil, errSchemaChanged(o.t, nil)
	}
	shards := t.current()
	if len(shards) != len(o.shards) {
		return nil, errSchemaChanged(o.t, nil)
	}
	for _, sh := range shards {
		sh.latch.Lock() // whoever staged before us stamps before it unlatches
		//lint:ignore SA2001 whoever holds it is waited for
		sh.latch.Unlock()
	}
	if err := x.s.log.Wait(x.s.marks.NewestAppended()); err != nil {
		if b := x.s.broken(); b != nil {
			return nil, b
		}
		return nil, err
	}
	return shards, nil
}

// committed tells that the files of a large set are the commit's.
func (s *ownShard) committed(t *catalog.Table) {
	if s.rows != nil {
		s.rows.Committed()
	}
	switch {
	case s.overlay == nil:
	case t.StoresColumns():
		s.overlay.Committed(t.KeepsBinlog())
	case t.KeepsBinlog():
		s.overlay.CommittedLog()
	}
}
