package tablet

import (
	"context"
	"errors"
	"sync"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
)

// spillAt is the size at which a set begins to move to side files while it is
// still growing: large, so that the files are.
func (s *Store) spillAt(shards int) int64 {
	return max(s.opts.Limits.SpillBytes, min(int64(shards)*s.opts.Limits.FlushBytes, s.opts.MemoryLimit/4))
}

func (o *ownTable) bytes() (n int64) {
	for _, s := range o.shards {
		n += s.bytes
	}
	return n
}

// replacesLogged says whether some of the set's binlog rows show what it replaced.
func (o *ownTable) replacesLogged() bool {
	for _, s := range o.shards {
		for i := range s.chunks {
			c := &s.chunks[i]
			if c.Logged && c.Op != storage.OpInsert && (c.Op != storage.OpUpsert || len(o.t.PK) > 0) {
				return true
			}
		}
	}
	return false
}

// spills says whether the set may go to side files. The binlog rows of what it replaces
// in a table of orientation row are made at the commit, from memory; so a transaction of
// several statements, which may replace something later, keeps its rows there.
func (x *tx) spills(o *ownTable) bool {
	return o.t.StoresColumns() || !o.replacesLogged() && !(x.opts.Explicit && o.t.KeepsBinlog())
}

// spill moves a set that has grown large to side files.
func (o *ownTable) spill(ctx context.Context, x *tx) error {
	n, at := o.bytes(), x.s.spillAt(len(o.shards))
	if o.t.KeepsBinlog() || o.t.StoresRows() {
		at = max(x.s.opts.Limits.SpillBytes, at/2) // up to three times that much is written
	}
	if n < at {
		return nil
	}
	if o.settling {
		return nil // what was decided again goes with the rest
	}
	if len(x.marks) > 0 || !x.spills(o) {
		// What a savepoint may bring back stays in memory.
		if n > x.s.opts.MemoryLimit/2 {
			return sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").
				WithDetail("A transaction that cannot leave memory has written %d bytes.", n)
		}
		return nil
	}
	if err := x.settleBase(ctx, o); err != nil {
		return err
	}
	if x.opts.Explicit {
		return o.spillNow(ctx, x) // statements of the transaction may read what it wrote
	}
	return o.spillAside(ctx, x)
}

// spilling is a spill that runs beside the statement.
type spilling struct {
	cancel context.CancelFunc
	done   chan struct{}
	errs   []error
	rest   [][]storage.Chunk // by shard: what the lists keep
}

// spillNow moves all rows to side files and returns when that is done.
func (o *ownTable) spillNow(ctx context.Context, x *tx) error {
	if err := o.spillAside(ctx, x); err != nil {
		return err
	}
	return o.join(ctx)
}

// spillAside takes the rows out of the lists and writes them to side files, the
// shards side by side, while the statement goes on. The transaction owns the
// goroutines: join and stop wait for their end.
func (o *ownTable) spillAside(ctx context.Context, x *tx) error {
	s := x.s
	if err := o.join(ctx); err != nil {
		return err
	}
	// The statement may end first (COPY runs several in its transaction): join and stop
	// end the spill, not the statement's context.
	ctx, cancel := s.until(context.WithoutCancel(ctx))
	r := &spilling{cancel: cancel, done: make(chan struct{}), errs: make([]error, len(o.shards)), rest: make([][]storage.Chunk, len(o.shards))}
	var wg sync.WaitGroup
	for i, sh := range o.shards {
		if len(sh.chunks) == 0 {
			continue
		}
		chunks, rows, known := sh.chunks, x.rowSet(o, i), sh.inRows
		var overlay *column.Overlay
		if o.t.StoresColumns() || o.t.KeepsBinlog() || x.opts.Explicit {
			overlay = sh.need(s, o.t, i)
		} else {
			sh.blind = true
		}
		if overlay != nil && x.keysToFiles(o, i) {
			overlay.KillsToFiles()
		}
		var base *column.Snapshot
		if o.bases != nil {
			base, o.bases[i] = o.bases[i], nil // the overlay closes it
		}
		sh.chunks, sh.src, sh.sealed, sh.bytes, sh.spilled, sh.inRows, sh.hidden = nil, nil, 0, 0, true, 0, nil
		wg.Add(1)
		go func() {
			defer wg.Done()
			if rows != nil {
				if r.errs[i] = rows.Add(ctx, chunks[known:]); r.errs[i] != nil {
					if base != nil {
						base.Close()
					}
					return
				}
			}
			if overlay != nil {
				r.rest[i], r.errs[i] = overlay.Spill(ctx, chunks, base)
			} else if base != nil {
				base.Close()
			}
		}()
	}
	go func() {
		wg.Wait()
		close(r.done)
	}()
	o.running = r
	return nil
}

// join waits for a spill under way and puts what it left before what came since. When
// ctx ends first the spill is left to stop.
func (o *ownTable) join(ctx context.Context) error {
	r := o.running
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	o.running = nil
	r.cancel()
	for i, err := range r.errs {
		var dup *column.DuplicateKeyError
		if errors.As(err, &dup) {
			return errDuplicate(o.t, dup.Keys, dup.Row)
		}
		if err != nil {
			return o.setError(err)
		}
		if sh, rest := o.shards[i], r.rest[i]; len(rest) > 0 {
			sh.chunks = append(rest[:len(rest):len(rest)], sh.chunks...)
			sh.src = append(make([]*source, len(rest)), sh.src...)
			sh.sealed, sh.inRows = len(sh.chunks), len(rest)
		}
	}
	return nil
}

// stop ends a spill under way, whatever comes of it.
func (o *ownTable) stop() {
	if r := o.running; r != nil {
		o.running = nil
		r.cancel()
		<-r.done
	}
}

// finishSpill moves the rest of a large set to side files before its commit.
func (x *tx) finishSpill(ctx context.Context) error {
	for _, oid := range x.order {
		o := x.own[oid]
		if err := o.join(ctx); err != nil {
			return err
		}
		some := false
		for _, s := range o.shards {
			some = some || s.spilled
		}
		least := x.s.opts.Limits.SpillBytes
		if o.t.StoresRows() {
			least *= 2 // Pebble merges what is small well by itself
		}
		if !some && (o.bytes() <= least || len(x.marks) > 0 || !x.spills(o)) {
			continue
		}
		if !o.t.StoresColumns() && o.replacesLogged() {
			return sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").
				WithDetail("A large transaction has written to a table of orientation row with a binlog, and then changed rows of it.")
		}
		if err := x.settleBase(ctx, o); err != nil {
			return err
		}
		if err := o.spillNow(ctx, x); err != nil {
			return err
		}
	}
	if err := x.lockSpilled(ctx); err != nil {
		return err
	}
	if err := x.lockLarge(ctx); err != nil {
		return err
	}
	return x.finishRowSets(ctx)
}

// keysMemory is about what a key of a row to update or delete takes until the commit when
// it is not in a file.
const keysMemory = 256

// keysToFiles says whether the keys of what the set updates or deletes in a shard go to
// files. The table must be locked then, or each key, since none is looked at for itself at
// the commit; so without locks they stay in memory as long as they are not too many.
func (x *tx) keysToFiles(o *ownTable, index int) bool {
	if !o.t.StoresColumns() {
		return false
	}
	if o.fresh || o.locked || x.keysLocked(o) {
		return true
	}
	var n int64
	for i := range o.shards[index].chunks {
		if c := &o.shards[index].chunks[i]; c.Op != storage.OpInsert {
			n += int64(c.Len())
		}
	}
	return n*int64(len(o.shards))*keysMemory > x.s.opts.MemoryLimit/8
}

// lockSpilled locks the tables whose rows a large set replaces or deletes by files: its
// keys are not looked at one by one at the commit, as those of small sets are.
func (x *tx) lockSpilled(ctx context.Context) error {
	for _, oid := range x.order {
		o := x.own[oid]
		if o.fresh || x.keysLocked(o) || !o.t.StoresColumns() {
			continue
		}
		kills, upserts := false, false
		for _, s := range o.shards {
			if s.spilled {
				kills, upserts = kills || s.overlay.Kills(), upserts || s.overlay.Upserts()
			}
		}
		if !kills && !upserts {
			continue
		}
		if _, err := x.s.locks.LockTable(ctx, x.owner, oid); err != nil {
			return err
		}
		o.locked = true
		t := x.s.table(oid)
		if !kills || t == nil {
			continue
		}
		for _, sh := range t.current() {
			sh.latch.Lock() // whoever staged before us stamps before it unlatches
			//lint:ignore SA2001 whoever holds it is waited for
			sh.latch.Unlock()
		}
	}
	return nil
}
