package tablet

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
)

// maintainer owns the background work: one goroutine flushes, trims the log and
// drops what nobody reads any more, another compacts. Both end with Close.
type maintainer struct {
	s     *Store
	kick  chan struct{} // flush now
	merge chan struct{} // look for compactions
	wg    sync.WaitGroup

	hurried atomic.Int32 // of those who wait for what is under way

	mu      sync.Mutex
	waiting []chan error // writers that wait for memory or log space

	ages []age // of commits, oldest first, a minute apart

	complained int64 // when, of the flushing goroutine
	expired    int64 // likewise, when binlogs were last looked at
}

const maintainEvery = 200 * time.Millisecond

func (m *maintainer) start(s *Store) {
	m.s = s
	m.kick = make(chan struct{}, 1)
	m.merge = make(chan struct{}, 1)
	if s.opts.Manual {
		return
	}
	m.wg.Add(2)
	go m.flushes()
	go m.compactions()
}

func (m *maintainer) wait() { m.wg.Wait() }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (m *maintainer) flushes() {
	defer m.wg.Done()
	t := time.NewTicker(maintainEvery)
	defer t.Stop()
	p := &pacer{idle: m.s.scans.Since, calm: m.s.calm, wait: flushWait, eager: true, hurried: m.hurry}
	for {
		select {
		case <-m.s.ctx.Done():
			m.wake(nil)
			return
		case <-t.C:
		case <-m.kick:
		}
		began := time.Now()
		err := m.s.maintain(m.s.ctx, p)
		// Very many tables take their time even if nothing is to be done.
		t.Reset(max(maintainEvery, min(20*time.Since(began), 5*maintainEvery)))
		if err != nil && m.s.ctx.Err() == nil {
			m.s.opts.Logger.Error("flush failed", "err", err)
		}
		m.wake(err)
	}
}

func (m *maintainer) compactions() {
	defer m.wg.Done()
	t := time.NewTicker(10 * maintainEvery)
	defer t.Stop()
	quiet := map[*shard]quietness{}
	p := &pacer{idle: m.s.scans.Since, calm: m.s.calm, wait: mergeWait, hurried: m.hurry}
	var rows rowQuiet
	for {
		select {
		case <-m.s.ctx.Done():
			return
		case <-t.C:
		case <-m.merge:
		}
		if err := rows.settle(m.s.ctx, m.s); err != nil && m.s.ctx.Err() == nil {
			m.s.opts.Logger.Error("compaction of rows failed", "err", err)
		}
		shards := m.s.allShards()
		for sh := range quiet {
			if !slices.Contains(shards, sh) {
				delete(quiet, sh)
			}
		}
		for _, sh := range shards {
			aim := column.Tidy
			if q := quiet[sh]; q.since.IsZero() || q.gen != sh.col.Generation() {
				quiet[sh] = quietness{sh.col.Generation(), time.Now()}
			} else if time.Since(q.since) >= m.s.opts.SettleAfter {
				aim = column.Settle
			}
			if !sh.col.CompactionDue(aim) {
				continue
			}
			p.begin(backlogOf(shards))
			did, err := m.s.compactShard(m.s.ctx, sh, aim, p.pace)
			switch {
			case err != nil && m.s.ctx.Err() == nil:
				m.s.opts.Logger.Error("compaction failed", "table", sh.oid, "shard", sh.index, "err", err)
			case did && aim == column.Settle:
				// Its own work is no reason to wait again.
				quiet[sh] = quietness{sh.col.Generation(), quiet[sh].since}
				signal(m.merge)
			}
		}
	}
}

// quietness is since when a tablet's files have not changed.
type quietness struct {
	gen   uint64
	since time.Time
}

// wake lets waiting writers look again; err is why that may be in vain.
func (m *maintainer) wake(err error) {
	m.mu.Lock()
	for _, c := range m.waiting {
		c <- err
	}
	m.waiting = nil
	m.mu.Unlock()
}

// pressure says how much of the memory and of the log is in use, 1 being the limit.
// The log's last file does not count, since nothing can be done about it.
func (s *Store) pressure() float64 {
	var log int64
	live := s.filters.Bytes()
	for _, sh := range s.allShards() {
		live += sh.col.LiveBytes()
	}
	files := s.log.Files()
	for _, f := range files[:max(len(files)-1, 0)] {
		log += f.Bytes
	}
	return max(float64(live)/float64(s.opts.MemoryLimit), float64(log)/float64(s.opts.LogBytesMax))
}

// backpressure makes writers wait while memtables or the log are full.
func (s *Store) backpressure(ctx context.Context) error {
	if s.opts.Manual {
		return nil
	}
	// Asking all tablets is too much for every small write.
	if s.writes.Add(1)&63 != 0 && !s.pressed.Load() {
		return nil
	}
	for {
		if s.measure() < 1 {
			return nil
		}
		c := make(chan error, 1)
		s.maintainer.mu.Lock()
		s.maintainer.waiting = append(s.maintainer.waiting, c)
		s.maintainer.mu.Unlock()
		select {
		case err := <-c:
			if err != nil {
				code := sqlstate.CodeOf(err)
				if code != sqlstate.DiskFull {
					code = sqlstate.IOError
				}
				return sqlstate.Errorf(code, "could not write memory to disk: %v", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ctx.Done():
			return s.broken()
		}
		if s.measure() < 1 {
			return nil
		}
		// All was flushed that can be: what is left goes with snapshots and transactions.
		select {
		case <-time.After(backpressureEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ctx.Done():
			return s.broken()
		}
	}
}

// backpressureEvery is how often writers look again whether there is room.
const backpressureEvery = 5 * time.Millisecond

// measure is the pressure of now. It has memory written to disk where there is much.
func (s *Store) measure() float64 {
	p := s.pressure()
	s.pressed.Store(p > 0.5)
	if p > 0.5 {
		signal(s.maintainer.kick)
	}
	return p
}

// allShards lists the tablets that take writes.
func (s *Store) allShards() []*shard {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*shard
	for _, t := range s.tables {
		out = append(out, t.current()...)
	}
	for _, t := range s.logs {
		out = append(out, t.current()...)
	}
	return out
}

// calm says whether there is so much room that background work may wait for queries.
func (s *Store) calm() bool { return s.pressure() < 0.25 }

// backlogOf is the greatest backlog of these tablets: work on one of them is what the
// others wait for.
func backlogOf(shards []*shard) func() float64 {
	return func() (most float64) {
		for _, sh := range shards {
			most = max(most, sh.col.Backlog())
		}
		return most
	}
}

// maintain is one round of flushing, trimming and dropping. The pacer may be nil.
func (s *Store) maintain(ctx context.Context, p *pacer) error {
	pace := (func(context.Context) error)(nil)
	if p != nil {
		pace = p.pace
	}
	hold := s.holdback()
	shards := s.allShards()
	large, old := s.largest(shards), s.aged()
	for _, sh := range shards {
		if sh.row != nil {
			sh.row.Idle()
		}
		o := sh.col.OldestUnflushed()
		if !sh.col.Full() && !sh.col.Adopted() && !large[sh] && (o == 0 || o >= hold && (o >= old || sh.col.LiveBytes() < agedBytes)) {
			continue
		}
		if p != nil {
			p.begin(backlogOf(shards))
		}
		if err := s.flushShard(ctx, sh, pace); err != nil {
			return err
		}
		signal(s.maintainer.merge)
	}
	for _, sh := range shards {
		if err := sh.col.BuildFilters(ctx); err != nil && ctx.Err() == nil {
			// Lookups do without, and meet the error themselves.
			s.opts.Logger.Error("key filters could not be read", "table", sh.oid, "shard", sh.index, "err", err)
		}
	}
	if now := s.now(); now-s.maintainer.expired >= expireEvery {
		s.maintainer.expired = now
		if err := s.Expire(ctx); err != nil {
			return err
		}
	}
	oldest, _ := s.marks.Live()
	s.dropGenerations(oldest)
	s.hist.prune(oldest)
	if err := s.trim(); err != nil {
		return err
	}
	s.complain()
	return nil
}

// complain tells, now and then, why writers wait although all was flushed.
func (s *Store) complain() {
	now := s.now()
	if now-s.maintainer.complained < 10e6 {
		return
	}
	s.maintainer.complained = now
	if s.pressure() < 1 {
		return
	}
	files := s.log.Files()
	s.floorMu.Lock()
	defer s.floorMu.Unlock()
	s.opts.Logger.Warn("writers wait for memory or log space", "log_files", len(files), "log_first", files[0].Start,
		"applied", s.marks.Applied(), "catalog_applied", s.dbApplied, "catalog_flushed", s.dbFlushed, "switches", len(s.switches))
	for _, sh := range s.allShards() {
		if o := sh.col.OldestUnflushed(); o != 0 {
			s.opts.Logger.Warn("holds memory or log", "table", sh.oid, "shard", sh.index, "oldest", o, "bytes", sh.col.LiveBytes())
		}
	}
}

// A memtable of some size is flushed when it has rows so old, in microseconds, though it is
// not full: memory, and what is replayed after a crash, do not go in waves as long as the log.
const (
	agedAfter = 5 * 60e6
	agedEvery = 60e6
	agedBytes = 1 << 20
)

// age is what was published at a time.
type age struct {
	at  int64
	csn storage.CSN
}

// aged is the first commit that is not old.
func (s *Store) aged() storage.CSN {
	m, now := &s.maintainer, s.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.ages); n == 0 || now-m.ages[n-1].at >= agedEvery {
		m.ages = append(m.ages, age{now, s.marks.Published()})
	}
	for len(m.ages) > 1 && now-m.ages[1].at >= agedAfter {
		m.ages = m.ages[1:]
	}
	if now-m.ages[0].at < agedAfter {
		return 0
	}
	return m.ages[0].csn + 1
}

// largest are the tablets whose memtables are to be flushed so that all take half of what
// they may: each can be small while there are many.
func (s *Store) largest(shards []*shard) map[*shard]bool {
	type sized struct {
		sh    *shard
		bytes int64
	}
	var all []sized
	over := s.filters.Bytes() - s.opts.MemoryLimit/2
	for _, sh := range shards {
		if n := sh.col.LiveBytes(); n > 0 {
			all = append(all, sized{sh, n})
			over += n
		}
	}
	if over <= 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b sized) int { return cmp.Compare(b.bytes, a.bytes) })
	out := map[*shard]bool{}
	for _, x := range all {
		if over <= 0 {
			break
		}
		out[x.sh] = true
		over -= x.bytes
	}
	return out
}

// holdback is the first commit that the log need not keep on account of its size:
// tablets with older rows only in memory are flushed.
func (s *Store) holdback() storage.CSN {
	files := s.log.Files()
	var total int64
	for _, f := range files {
		total += f.Bytes
	}
	var hold storage.CSN
	for i := 0; i+1 < len(files) && total > s.opts.LogBytesMax/2; i++ {
		total -= files[i].Bytes
		hold = storage.CSN(files[i+1].Start)
	}
	return hold
}

// flushShard writes a tablet's memtables to files.
func (s *Store) flushShard(ctx context.Context, sh *shard, pace func(context.Context) error) error {
	ctx, cancel := s.until(ctx)
	defer cancel()
	e, err := sh.col.FlushPaced(ctx, s.log.Wait, pace)
	if err != nil || e == nil {
		return err
	}
	return s.install(sh, e)
}

// until is ctx, ended by the store's end too.
func (s *Store) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() { stop(); cancel(nil) }
}

// install makes an edit durable, and then the tablet's state.
func (s *Store) install(sh *shard, e *column.Edit) error {
	if err := s.broken(); err != nil {
		e.Discard()
		return err
	}
	sh.latch.Lock()
	retired := sh.retired
	sh.latch.Unlock()
	if retired {
		e.Discard()
		return nil
	}
	err := s.man.append(&edit{Table: sh.oid, Log: sh.log, Shard: sh.index, Gen: sh.gen.number(), Add: e.Add, Drop: e.Drop, Deletes: e.Deletes, F: e.F, Floor: e.Floor})
	if err != nil {
		s.fail(err) // the files stay: the manifest may name them
		return s.broken()
	}
	sh.latch.Lock()
	e.Install()
	sh.latch.Unlock()
	return nil
}

// compactShard merges segments of a tablet once, if its aim is not reached.
func (s *Store) compactShard(ctx context.Context, sh *shard, aim column.Aim, pace func(context.Context) error) (did bool, err error) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	e, err := sh.col.Compact(ctx, aim, pace)
	if err != nil || e == nil {
		return false, err
	}
	if err := s.install(sh, e); err != nil {
		return false, err
	}
	sh.latch.Lock()
	defer sh.latch.Unlock()
	return !sh.retired, nil
}

// Flush implements storage.Store.
func (s *Store) Flush(ctx context.Context) error { return s.aside(ctx, s.flushAll) }

// hurry says whether somebody waits for work under way.
func (m *maintainer) hurry() bool { return m.hurried.Load() > 0 }

// flushAll and compactAll work on tablets one at a time with the background work, which
// hurries meanwhile.
func (s *Store) flushAll(ctx context.Context) error {
	s.maintainer.hurried.Add(1)
	defer s.maintainer.hurried.Add(-1)
	for _, sh := range s.allShards() {
		if err := s.flushShard(ctx, sh, nil); err != nil {
			return err
		}
	}
	if err := s.flushCatalog(); err != nil {
		return err
	}
	oldest, _ := s.marks.Live()
	s.dropGenerations(oldest)
	s.hist.prune(oldest)
	return s.trim()
}

// Compact implements storage.Store.
func (s *Store) Compact(ctx context.Context, oid uint32) error {
	return s.aside(ctx, func(ctx context.Context) error { return s.compactAll(ctx, oid) })
}

func (s *Store) compactAll(ctx context.Context, oid uint32) error {
	s.maintainer.hurried.Add(1)
	defer s.maintainer.hurried.Add(-1)
	shards := s.allShards()
	if oid != 0 {
		t := s.table(oid)
		if t == nil {
			return sqlstate.Errorf(sqlstate.UndefinedTable, "relation with OID %d does not exist", oid)
		}
		shards = t.current()
		if l := s.logTable(oid); l != nil {
			shards = append(slices.Clone(shards), l.current()...)
		}
	}
	for _, sh := range shards {
		if err := s.flushShard(ctx, sh, nil); err != nil {
			return err
		}
		for {
			did, err := s.compactShard(ctx, sh, column.Pack, nil)
			if err != nil {
				return err
			}
			if !did {
				break
			}
		}
	}
	if oid == 0 || slices.ContainsFunc(shards, func(sh *shard) bool { return sh.row != nil }) {
		if err := s.compactRows(ctx, oid); err != nil {
			return err
		}
	}
	return s.trim()
}

// flushCatalog writes Pebble's memtable, so that the log need not keep it.
func (s *Store) flushCatalog() error {
	s.floorMu.Lock()
	applied, flushed := s.dbApplied, s.dbFlushed
	s.floorMu.Unlock()
	if applied == flushed {
		return nil
	}
	// All up to applied is in Pebble then, so the flush has it. Pebble tries again
	// by itself when the disk fails; here it is an error.
	select {
	case <-s.dbErr:
	default:
	}
	if err := s.drainRuns(); err != nil {
		return err
	}
	done, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-done:
	case err := <-s.dbErr:
		return err
	case <-s.ctx.Done():
		return s.broken()
	}
	s.floorMu.Lock()
	s.dbFlushed = max(s.dbFlushed, applied)
	s.rowBytes = 0
	s.floorMu.Unlock()
	s.dropRowFiles()
	return nil
}

// pebbleHolds says whether Pebble's memtable should be flushed for the log: at once
// when it has no rows, else when it is large, or when the log is.
func (s *Store) pebbleHolds(hold storage.CSN) bool {
	s.floorMu.Lock()
	defer s.floorMu.Unlock()
	return s.rowBytes == 0 || s.rowBytes >= s.rowMem || s.dbFlushed < hold
}

// floor is the newest commit such that it and all before are in files.
func (s *Store) floor() storage.CSN {
	// Commits above applied may have rows in no memtable yet. The catalog of
	// commits above durable is not in Pebble yet.
	floor := min(s.marks.Applied(), s.log.Durable())
	s.floorMu.Lock()
	if s.dbFlushed < s.dbApplied {
		floor = min(floor, s.dbFlushed)
	}
	for csn := range s.switches {
		floor = min(floor, csn-1)
	}
	s.floorMu.Unlock()
	oldest := storage.CSN(math.MaxUint64)
	for _, sh := range s.allShards() {
		if o := sh.col.OldestUnflushed(); o != 0 {
			oldest = min(oldest, o)
		}
	}
	return min(floor, oldest-1)
}

// trim removes log files that nothing needs.
func (s *Store) trim() error {
	if len(s.log.Files()) < 2 {
		return nil
	}
	if s.pebbleHolds(s.holdback()) {
		if err := s.flushCatalog(); err != nil {
			return err
		}
	}
	err := s.log.Trim(s.floor())
	if err != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
