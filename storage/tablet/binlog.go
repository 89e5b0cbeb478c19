package tablet

import (
	"context"
	"slices"
	"sort"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/wal"
)

// A table with a binlog has a log tablet beside the tablet of each shard. Log tablets
// are kept like others, as generations of their own: one begins when the binlog is
// switched on and ends when it is switched off; emptying the table leaves it alone.
// Whoever stages in a log tablet holds the latch of the table's shard, or is the
// commit that replaces it.

// logPart is what a commit adds to one log tablet.
type logPart struct {
	sh     *shard
	part   *part // nil: markers only
	marks  []storage.Mark
	late   *storage.Late
	files  *column.LogFiles
	staged *column.LogStaged
}

// logSwap is a table whose binlog begins, or ends (gen has no shards then).
type logSwap struct {
	oid   uint32
	gen   *generation
	begin bool
	ended bool // there was one before
}

// logTable is the binlog of a table.
func (s *Store) logTable(oid uint32) *table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.logs[oid]
}

// logged says whether the transaction's operations on a table go to its binlog. One
// that keeps them out leaves a marker.
func (x *tx) logged(t *catalog.Table) bool {
	switch {
	case !t.KeepsBinlog():
		if old := x.seen[t.OID]; old != nil && old.KeepsBinlog() {
			x.mark(t.OID, storage.EventGap) // it may be switched on again before the commit
		}
		return false
	case !x.quiet:
		return true
	}
	x.mark(t.OID, storage.EventGap)
	return false
}

// mark notes a marker of the transaction, once a table and event.
func (x *tx) mark(oid uint32, e storage.Event) {
	for i, m := range x.logMarks {
		if m.Table == oid && m.Event == e {
			if e == storage.EventGap {
				return
			}
			x.logMarks = slices.Delete(slices.Clone(x.logMarks), i, i+1) // the last truncation counts
			break
		}
	}
	x.logMarks = append(slices.Clip(x.logMarks), storage.Mark{Table: oid, Event: e, Ord: x.ord})
	x.ord++
}

// SuppressBinlog implements storage.Txn.
func (x *tx) SuppressBinlog(on bool) { x.quiet = on }

// numbering is how many numbers an operation takes, of which the last is its own.
func numbering(op storage.Op, t *catalog.Table) uint32 {
	if t.KeepsBinlog() && (op == storage.OpUpsert || op == storage.OpUpdate) {
		return 2
	}
	return 1
}

// withoutMarkers narrows the scan of a binlog to changes of rows.
func (r *relation) withoutMarkers(spec *catalog.ScanSpec) *catalog.ScanSpec {
	if !r.t.IsBinlog || r.t.Markers {
		return spec
	}
	n := *spec
	n.Filter = append(slices.Clip(spec.Filter), &expr.Call{Op: "<", Fn: int8Less, T: types.Bool, Args: []expr.Expr{
		&expr.Column{ID: r.t.BinlogType(), T: types.Int8}, &expr.Const{T: types.Int8, D: types.NewInt(int64(storage.EventTruncate))}}})
	return &n
}

var int8Less = fn.ByOID(469)

// planLogs finds the log tablets that the commit adds to.
func (c *commit) planLogs() error {
	begins := map[uint32]*generation{}
	for _, w := range c.logSwaps {
		begins[w.oid] = w.gen
	}
	parts := map[*shard]*logPart{}
	of := func(oid uint32) []*shard {
		if g, ok := begins[oid]; ok {
			return g.shards
		}
		if t := c.x.s.logTable(oid); t != nil {
			return t.current()
		}
		return nil
	}
	need := func(sh *shard) *logPart {
		if parts[sh] == nil {
			parts[sh] = &logPart{sh: sh}
			c.logs = append(c.logs, parts[sh])
		}
		return parts[sh]
	}
	for _, p := range c.parts {
		if !p.own.t.KeepsBinlog() || !p.ops.logged() && len(p.logs) == 0 {
			continue
		}
		shards := of(p.own.t.OID)
		if p.sh.index >= len(shards) {
			return errSchemaChanged(p.own.t, nil)
		}
		need(shards[p.sh.index]).part = p
	}
	for _, m := range c.x.logMarks {
		t := c.x.Catalog().Table(m.Table)
		if c.after != nil {
			t = c.after.Table(m.Table)
		}
		if t == nil || !t.KeepsBinlog() {
			continue
		}
		c.marks = append(c.marks, m)
		for _, sh := range of(m.Table) {
			l := need(sh)
			l.marks = append(l.marks, m)
		}
	}
	sort.Slice(c.logs, func(i, j int) bool { return c.logs[i].sh.before(c.logs[j].sh) })
	return nil
}

// openLogFiles opens the side files of binlogs.
func (c *commit) openLogFiles() (err error) {
	for _, l := range c.logs {
		if l.files == nil && l.part != nil && len(l.part.logs) > 0 {
			if l.files, err = l.sh.col.OpenLogFiles(l.part.logs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *ownShard) logged() bool {
	return slices.ContainsFunc(s.chunks, func(c storage.Chunk) bool { return c.Logged })
}

// planLogDDL finds what a new definition means for the table's binlog.
func (c *commit) planLogDDL(old, def *catalog.Table) error {
	keeps := func(t *catalog.Table) bool { return t != nil && t.Kind == catalog.KindTable && t.KeepsBinlog() }
	was, is := keeps(old), keeps(def)
	switch {
	case was && is:
		if t := c.x.s.logTable(def.OID); t != nil && old != def {
			c.defs = append(c.defs, redefinition{t.current(), old.Binlog(), def.Binlog()})
		}
	case is:
		g, err := c.x.s.newGeneration(def.Binlog(), nil)
		if err != nil {
			return err
		}
		c.logSwaps = append(c.logSwaps, logSwap{oid: def.OID, gen: g, begin: true})
	case was:
		c.logSwaps = append(c.logSwaps, logSwap{oid: old.OID, gen: &generation{}, ended: true})
	}
	return nil
}

// logChunks are the chunks of a part with their before images.
func (p *part) logChunks() []storage.Chunk {
	if q, ok := p.prepared.(interface{ Logged() []storage.Chunk }); ok {
		if l := q.Logged(); l != nil {
			return l
		}
	}
	return p.chunks()
}

// stageLogs derives the binlog rows of the commit, and adds to its record what was
// found about before images only now. The tablets are staged.
func (c *commit) stageLogs() error {
	size := len(c.enc.Buf)
	for _, l := range c.logs {
		if p := l.part; p != nil {
			if st, ok := p.staged.(interface {
				Late() (*storage.Late, error)
			}); ok {
				var err error
				if l.late, err = st.Late(); err != nil {
					return err
				}
			}
			if l.late != nil {
				c.enc.Late(p.own.t, p.sh.index, l.late)
			}
		}
	}
	if len(c.enc.Buf) > size {
		c.entry.Extend(c.enc.Buf)
	}
	for _, l := range c.logs {
		var chunks []storage.Chunk
		if l.part != nil {
			chunks = l.part.logChunks()
		}
		l.staged = l.sh.col.StageLog(chunks, l.late, l.marks, l.files)
	}
	return nil
}

// stampLogs makes the staged rows part of the commit; time is the log's.
func (c *commit) stampLogs() {
	for _, l := range c.logs {
		l.staged.Stamp(c.entry.Base, c.entry.CSN, c.entry.Time+postgresEpoch)
		l.staged = nil
	}
	for _, w := range c.logSwaps {
		if t := c.x.s.logTable(w.oid); t != nil {
			for _, sh := range t.current() {
				sh.latch.Lock()
				sh.retired = true
				sh.latch.Unlock()
			}
		}
		c.x.s.pushLog(w.oid, w.gen, c.entry.CSN)
	}
}

func (c *commit) abortLogs() {
	for _, l := range c.logs {
		if l.staged != nil {
			l.staged.Abort()
			l.staged = nil
		}
	}
}

// logMarks are the markers of the commit's record: those of the transaction, and the
// beginnings and ends of binlogs.
func (c *commit) logMarks() []storage.Mark {
	ms := slices.Clone(c.marks)
	for _, w := range c.logSwaps {
		e := eventEnd
		if w.begin {
			e = eventBegin
		}
		ms = append(ms, storage.Mark{Table: w.oid, Event: e})
	}
	return ms
}

// Markers of a record that make no binlog row.
const (
	eventBegin storage.Event = 103
	eventEnd   storage.Event = 104
)

func (s *Store) pushLog(oid uint32, g *generation, csn storage.CSN) { s.pushTo(s.logs, oid, g, csn) }

// logSwapEdits are what the manifest has to know of binlogs that began or ended.
func logSwapEdits(swaps []logSwap, dropped func(uint32) bool, csn storage.CSN) []*edit {
	var es []*edit
	for _, w := range swaps {
		if w.ended && dropped(w.oid) {
			es = append(es, &edit{Table: w.oid, Log: true, Dropped: true})
			continue
		}
		es = append(es, &edit{Table: w.oid, Log: true, Gen: csn, Switch: true, F: csn - 1})
	}
	return es
}

// expireEvery is how often binlogs are looked at for what is too old, in microseconds.
const expireEvery = 10e6

// Expire drops the segments of binlogs whose newest row is older than its table says.
// What was dropped is at or below the floor that the manifest keeps.
func (s *Store) Expire(ctx context.Context) error {
	now := s.opts.Clock().UnixMicro()
	holder := s.holder.Load()
	for _, sh := range s.allShards() {
		if !sh.log {
			continue
		}
		oldest := now - sh.col.Table().BinlogTTL()*1e6
		due := sh.col.LogSegments()
		n := 0
		for n < len(due) && due[n].Time < oldest {
			n++
		}
		if n > 0 && holder != nil {
			n = min(n, (*holder).Release(sh.oid, sh.index, oldest, due[:n]))
		}
		if n == 0 {
			continue
		}
		last := uint64(due[n-1].Last)
		e, err := sh.col.Expire(ctx, func(number uint64, time, _ int64) bool { return number <= last && time < oldest })
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if err := s.install(sh, e); err != nil {
			return err
		}
	}
	return nil
}

// HoldBinlogs implements storage.BinlogStore.
func (s *Store) HoldBinlogs(h storage.BinlogHolder) { s.holder.Store(&h) }

// AwaitPublished implements storage.BinlogStore.
func (s *Store) AwaitPublished(ctx context.Context, after storage.CSN) error {
	w, cancel := s.until(ctx)
	defer cancel()
	s.marks.WaitPublished(after+1, w.Done())
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return s.broken()
}

var (
	_ storage.BinlogStore    = (*Store)(nil)
	_ storage.BinlogRelation = (*relation)(nil)
)

// Shards implements storage.BinlogRelation.
func (r *relation) Shards() int { return len(r.parts) }

// Since implements storage.BinlogRelation.
func (r *relation) Since() storage.CSN { return r.since }

// Floor implements storage.BinlogRelation.
func (r *relation) Floor(shard int) int64 { return int64(r.part(shard).Floor()) }

// Numbers implements storage.BinlogRelation.
func (r *relation) Numbers(s storage.Split) (lo, hi int64) { return r.part(s.Shard).Numbers(s) }

// Recovery.

// openLog opens a table's log tablets.
func (r *recovery) openLog(t *catalog.Table, created storage.CSN) error {
	st := r.s.man.state[tabletsOf{t.OID, true}]
	if st != nil && st.gen == dropped {
		st = nil
	}
	g, err := r.s.newGeneration(t.Binlog(), st)
	if err != nil {
		return err
	}
	from := created
	if st != nil {
		from = max(from, st.gen)
	}
	r.s.pushLog(t.OID, g, from)
	return nil
}

// closeLog ends a table's binlog in memory.
func (r *recovery) closeLog(oid uint32) {
	if t := r.s.logs[oid]; t != nil {
		for _, g := range t.gens {
			g.close()
		}
		delete(r.s.logs, oid)
	}
}

// logBorder begins or ends a table's binlog, unless the manifest knows a later
// border.
func (r *recovery) logBorder(m storage.Mark, csn storage.CSN) error {
	st := r.s.man.state[tabletsOf{m.Table, true}]
	if st != nil && st.gen > csn {
		return nil
	}
	t := r.s.tables[m.Table]
	if t == nil {
		return nil // dropped later
	}
	open := r.s.logs[m.Table] != nil && r.s.logs[m.Table].current() != nil
	if open && m.Event == eventBegin && r.s.logs[m.Table].gens[0].from >= csn {
		return nil
	}
	r.closeLog(m.Table)
	if st == nil || st.gen < csn {
		st = nil
		r.s.man.note(&edit{Table: m.Table, Log: true, Gen: csn, Switch: true, F: csn - 1})
	}
	if m.Event == eventEnd {
		return nil
	}
	g, err := r.s.newGeneration(t.gens[len(t.gens)-1].shards[0].def.Binlog(), st)
	if err != nil {
		return err
	}
	r.s.pushLog(m.Table, g, csn)
	return nil
}

// wantsLog is the log tablet that lacks a commit's changes; nil when none does.
func (r *recovery) wantsLog(oid uint32, index int, csn storage.CSN) *shard {
	t := r.s.logs[oid]
	if t == nil {
		return nil
	}
	if st := r.s.man.state[tabletsOf{oid, true}]; st != nil && st.gen == dropped {
		return nil
	}
	g := t.gens[len(t.gens)-1]
	if index >= len(g.shards) || csn < g.from || csn <= g.shards[index].col.Checkpoint() {
		return nil
	}
	return g.shards[index]
}

// logReplay derives binlog rows from one record.
type logReplay struct {
	late  map[*shard]*storage.Late
	marks map[*shard][]storage.Mark
	files map[*shard][]column.SegmentInfo
}

// chunk adds a chunk's rows, and the markers before them.
func (l *logReplay) chunk(sh *shard, c *storage.Chunk, base uint64, csn storage.CSN, time int64) {
	marks := l.marks[sh]
	k := 0
	for k < len(marks) && c.Len() > 0 && marks[k].Ord < c.Ord[0] {
		k++
	}
	l.marks[sh] = marks[k:]
	sh.col.ReplayLog([]storage.Chunk{*c}, l.late[sh], marks[:k], nil, base, csn, time)
}

// rest adds the markers that no chunk followed, and the side files.
func (l *logReplay) rest(touched map[*shard]bool, base uint64, csn storage.CSN, time int64) error {
	for sh, infos := range l.files {
		files, err := sh.col.OpenLogFiles(infos)
		if err != nil {
			return err
		}
		sh.col.ReplayLog(nil, nil, l.marks[sh], files, base, csn, time)
		delete(l.marks, sh)
		touched[sh] = true
	}
	for sh, marks := range l.marks {
		if len(marks) > 0 {
			sh.col.ReplayLog(nil, nil, marks, nil, base, csn, time)
			touched[sh] = true
		}
	}
	return nil
}

// file notes a side file of a binlog.
func (l *logReplay) file(r *recovery, f *wal.SideFile, csn storage.CSN) {
	r.named[f.Name] = true
	if sh := r.wantsLog(f.Table, f.Shard, csn); sh != nil {
		l.files[sh] = append(l.files[sh], column.SegmentInfo{File: f.Name, Size: f.Size, Rows: int(f.Rows)})
	}
}

// mark takes in a marker of the record.
func (l *logReplay) mark(r *recovery, m storage.Mark, csn storage.CSN) error {
	if m.Event == eventBegin || m.Event == eventEnd {
		return r.logBorder(m, csn)
	}
	t := r.s.logs[m.Table]
	if t == nil {
		return nil
	}
	for i := range t.gens[len(t.gens)-1].shards {
		if sh := r.wantsLog(m.Table, i, csn); sh != nil {
			l.marks[sh] = append(l.marks[sh], m)
		}
	}
	return nil
}
