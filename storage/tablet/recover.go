package tablet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/millrace/millrace/catalog"
	catstore "github.com/millrace/millrace/catalog/store"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/txn"
	"github.com/millrace/millrace/storage/wal"
)

const (
	formatName = "FORMAT"
	formatText = "millrace data directory, format 1\n"
	lockName   = "LOCK"
)

// numberStep is how far numbers jump over a restart: more than could have been
// handed out without leaving a trace.
const numberStep = 1 << 32

// Open recovers a data directory, or makes a new one when it is empty.
func Open(dir blob.Dir, opts Options) (*Store, error) {
	opts.defaults()
	s := &Store{opts: opts, dir: dir, locks: txn.NewLocks(), tables: map[uint32]*table{}, logs: map[uint32]*table{}, switches: map[storage.CSN]bool{}, dbErr: make(chan error, 1)}
	s.filters.Max = opts.FilterBytes
	if opts.CacheBytes > 0 {
		s.cache = segment.NewHeapCache(opts.CacheBytes)
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if l, ok := dir.(*blob.Local); ok {
		lock, err := l.Lock(lockName)
		if err != nil {
			return nil, err
		}
		s.lock = lock
	}
	if err := s.open(); err != nil {
		s.cancel(err)
		s.abandon()
		return nil, err
	}
	return s, nil
}

// abandon releases what a failed open holds.
func (s *Store) abandon() {
	if s.db != nil {
		s.db.Close()
	}
	if s.man != nil {
		s.man.close()
	}
	s.closeTablets()
	if s.lock != nil {
		s.lock.Close()
	}
}

func (s *Store) open() error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	var err error
	if s.data, err = s.dir.Sub("data"); err != nil {
		return err
	}
	catDir, err := s.dir.Sub("catalog")
	if err != nil {
		return err
	}
	logDir, err := s.dir.Sub("log")
	if err != nil {
		return err
	}
	if s.man, err = openManifest(s.dir); err != nil {
		return err
	}
	if s.db, err = openPebble(catDir, s); err != nil {
		return err
	}
	if err := s.rowSets.Load(s.db); err != nil {
		return err
	}
	s.runs = row.NewRuns(s.db)
	s.rows.start(s.runs)
	s.marks.OnPublish = s.rows.published
	version, found, err := catstore.Load(s.db)
	if err != nil {
		return err
	}
	if !found {
		version = catalog.NewVersion()
	}
	dbCovered, err := covered(s.db)
	if err != nil {
		return err
	}
	s.dbApplied, s.dbFlushed = dbCovered, dbCovered
	s.log, err = wal.Open(wal.Options{Dir: logDir, FileBytes: s.opts.LogFileBytes, Clock: s.now,
		OnAppend: s.onAppend, OnDurable: s.onDurable, Fatal: s.fail})
	if err != nil {
		return err
	}
	r := &recovery{s: s, version: version, dbCovered: dbCovered, named: map[string]bool{}, touched: map[*shard]bool{}, opened: map[uint32]bool{}}
	relies := max(dbCovered, s.man.state.covered())
	if err := s.man.rewrite(); err != nil {
		return err
	}
	if err := s.countFiles(); err != nil {
		return err
	}
	if err := r.openTables(); err != nil {
		return err
	}
	tail, err := s.log.Recover(relies, r.replay)
	if err != nil {
		return err
	}
	if tail.Cut > 0 {
		s.opts.Logger.Info("cut the torn end of the log", "bytes", tail.Cut, "last_commit", tail.Last)
	}
	// Files go only after the manifest has stopped to name them.
	s.man.settle(func(oid uint32) (opened, exists bool) { return r.opened[oid], r.version.Table(oid) != nil })
	if err := s.man.rewrite(); err != nil {
		return err
	}
	if err := s.removeOrphans(r.named); err != nil {
		return err
	}

	next := uint64(1)
	if tail.MaxNumber > 0 {
		next = (tail.MaxNumber/numberStep+1)*numberStep + 1
	}
	s.marks.Start(storage.CSN(next - 1))
	s.rowsAt.Store(next - 1)
	s.nextSet.Store(next - 1) // above those of all sets that were committed before
	s.hist.add(0, r.version)
	s.nextOID.Store(max(r.version.NextOID, catalog.FirstUserOID))
	if err := s.log.Start(next, tail.Time); err != nil {
		return err
	}
	s.maintainer.start(s)
	if r.version.Role(catalog.PostgresRoleOID) == nil {
		return s.bootstrap()
	}
	return nil
}

func (s *Store) bootstrap() error {
	x := s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	if err := x.Change(s.ctx, catalog.Bootstrap(s.opts.Shards)); err != nil {
		return err
	}
	_, err := x.Commit(s.ctx)
	return err
}

func (s *Store) checkFormat() error {
	b, err := blob.ReadAll(s.dir, formatName)
	if errors.Is(err, fs.ErrNotExist) {
		infos, err := s.dir.List()
		if err != nil {
			return err
		}
		for _, in := range infos {
			if in.Name != lockName && !strings.HasSuffix(in.Name, blob.TempSuffix) {
				return fmt.Errorf("the directory holds %q, but is no data directory", in.Name)
			}
		}
		return blob.WriteFile(s.dir, formatName, []byte(formatText))
	}
	if err != nil {
		return err
	}
	if string(b) != formatText {
		return fmt.Errorf("the data directory has another format: %q", strings.TrimSpace(string(b)))
	}
	return nil
}

// recovery is the state of a replay.
type recovery struct {
	s         *Store
	version   *catalog.Version
	dbCovered storage.CSN
	named     map[string]bool // files that the log names
	touched   map[*shard]bool // tablets that the present record changed
	opened    map[uint32]bool // tables that there are or were at some point
	records   int
	// What the present record does to Pebble, and how many bytes of rows.
	batch    *pebble.Batch
	rowBytes int64
	files    rowFiles
}

// openTables opens the tablets of the tables that Pebble's catalog has.
func (r *recovery) openTables() error {
	for _, t := range r.version.AllTables() {
		if t.Kind != catalog.KindTable {
			continue
		}
		if err := r.openTable(t, 0); err != nil {
			return err
		}
	}
	return nil
}

// openTable opens a table's tablets; created is the commit that made it, if that
// is being replayed.
func (r *recovery) openTable(t *catalog.Table, created storage.CSN) error {
	r.opened[t.OID] = true
	st := r.s.man.state[tabletsOf{oid: t.OID}]
	if st != nil && st.gen == dropped {
		st = nil // the log will say so
	}
	g, err := r.s.newGeneration(t, st)
	if err != nil {
		return fmt.Errorf("table %s: %w", t.Name, err)
	}
	from := created
	if st != nil {
		from = max(from, st.gen)
	}
	r.s.push(t.OID, g, from)
	if t.KeepsBinlog() {
		if err := r.openLog(t, created); err != nil {
			return fmt.Errorf("binlog of table %s: %w", t.Name, err)
		}
	}
	return nil
}

// replay does a logged commit again, each tablet only what its files lack.
func (r *recovery) replay(e *wal.Entry) error {
	var sh, lsh, rsh *shard
	logs := logReplay{late: map[*shard]*storage.Late{}, marks: map[*shard][]storage.Mark{}, files: map[*shard][]column.SegmentInfo{}}
	var notes []wal.KV // they come first, and go with the catalog's changes
	// What the record says of late images is read after its changes of the catalog, by
	// the definition that its other rows have.
	var lateRead bool
	var lateErr error
	readLate := func() {
		if lateRead {
			return
		}
		lateRead = true
		var of *shard
		lateErr = wal.DecodeLate(e.Payload(), func(oid uint32, index int) *catalog.Table {
			if of = r.wantsLog(oid, index, e.CSN); of == nil {
				return nil
			}
			return r.definition(oid)
		}, func(_ uint32, _ int, l *storage.Late) { logs.late[of] = l })
	}
	err := wal.Decode(e.Payload(), &wal.Visitor{
		// The catalog may be ahead of the manifest: then it has a rewrite of the table that
		// comes later in the log, and what a record does to its tablets is of no use.
		OtherKey: e.CSN <= r.dbCovered,
		Notes:    func(kvs []wal.KV) error { notes = kvs; return nil },
		Catalog: func(kvs []wal.KV) error {
			n := notes
			notes = nil
			return r.catalog(kvs, n, e.CSN)
		},
		Truncated: func(oids []uint32) error {
			for _, oid := range oids {
				if err := r.empty(oid, e.CSN); err != nil {
					return err
				}
			}
			return nil
		},
		Marks: func(ms []storage.Mark) error {
			for _, m := range ms {
				if err := logs.mark(r, m, e.CSN); err != nil {
					return err
				}
			}
			return nil
		},
		File:     func(f *wal.SideFile) error { return r.sideFile(f, e) },
		LogFile:  func(f *wal.SideFile) error { logs.file(r, f, e.CSN); return nil },
		KeysFile: func(f *wal.SideFile) error { return r.keysFile(f, e) },
		RowFile:  func(f *wal.RowFile) error { return r.rowFile(f, e.CSN) },
		Want: func(oid uint32, index int, _ uint64) *catalog.Table {
			readLate()
			sh, lsh, rsh = r.wants(oid, index, e.CSN), r.wantsLog(oid, index, e.CSN), r.wantsRows(oid, index, e.CSN)
			switch {
			case sh != nil:
				return sh.def
			case lsh != nil || rsh != nil:
				return r.definition(oid)
			}
			return nil
		},
		Chunk: func(_ uint32, _ int, c *storage.Chunk) error {
			if lsh != nil && c.Logged {
				r.touched[lsh] = true
				logs.chunk(lsh, c, e.Base, e.CSN, e.Time+postgresEpoch)
			}
			if rsh != nil {
				if err := r.applyRows(rsh, c, e.CSN); err != nil {
					return err
				}
			}
			if sh == nil || c.Keys != nil && len(c.Keys.Cols) == 0 {
				return nil
			}
			r.touched[sh] = true
			return sh.col.Replay([]storage.Chunk{*c}, e.Base, e.CSN)
		},
	})
	if err == nil {
		err = logs.rest(r.touched, e.Base, e.CSN, e.Time+postgresEpoch)
	}
	if err == nil {
		err = lateErr
	}
	if err != nil {
		return fmt.Errorf("replay of commit %d: %w", e.CSN, err)
	}
	if e.CSN > r.dbCovered {
		if err := r.ingest(e.CSN); err != nil {
			return fmt.Errorf("replay of commit %d: %w", e.CSN, err)
		}
		if notes != nil {
			if err := applyNotes(r.pebble(), notes); err != nil {
				return err
			}
		}
		if err := r.finish(e.CSN); err != nil {
			return err
		}
	}
	r.s.marks.Start(e.CSN)
	return r.relieve()
}

// relieve flushes tablets that replay has filled. It runs between records, so that
// a checkpoint never parts one.
func (r *recovery) relieve() error {
	r.records++
	crowded := r.records%1024 == 0 && r.s.pressure() > 0.5
	for sh := range r.touched {
		if !crowded && !sh.col.Full() {
			continue
		}
		e, err := sh.col.Flush(r.s.ctx, nil) // what was read of the log has been synced
		if err != nil {
			return err
		}
		if e != nil {
			if err := r.s.install(sh, e); err != nil {
				return err
			}
		}
	}
	if len(r.touched) > 0 {
		clear(r.touched)
	}
	return nil
}

// wants is the tablet that lacks a commit's changes; nil when none does.
func (r *recovery) wants(oid uint32, index int, csn storage.CSN) *shard {
	t := r.s.tables[oid]
	if t == nil {
		return nil
	}
	if st := r.s.man.state[tabletsOf{oid: oid}]; st != nil && st.gen == dropped {
		return nil // later in the log, and files that it names may be gone
	}
	g := t.gens[len(t.gens)-1]
	if index >= len(g.shards) || csn < g.from || csn <= g.shards[index].col.Checkpoint() || g.shards[index].rowOnly() {
		return nil
	}
	return g.shards[index]
}

// wantsRows is the shard whose row tablet lacks a commit's changes; nil for none.
// Pebble takes them in order, whatever happens to the table later in the log.
func (r *recovery) wantsRows(oid uint32, index int, csn storage.CSN) *shard {
	t := r.s.tables[oid]
	if t == nil || csn <= r.dbCovered {
		return nil
	}
	g := t.gens[len(t.gens)-1]
	if index >= len(g.shards) || g.shards[index].row == nil {
		return nil
	}
	return g.shards[index]
}

// applyRows adds a chunk's rows to what the record does to Pebble.
func (r *recovery) applyRows(sh *shard, k *storage.Chunk, csn storage.CSN) error {
	c := sh.row.Changes([]storage.Chunk{*k})
	c.Stamp(csn)
	r.rowBytes += int64(c.Bytes())
	if err := c.Apply(r.pebble()); err != nil {
		return err
	}
	if r.batch.Len() > applyBytes {
		b := r.batch
		r.batch = r.s.db.NewBatch()
		return b.Commit(pebble.NoSync)
	}
	return nil
}

// pebble is the batch of the present record.
func (r *recovery) pebble() *pebble.Batch {
	if r.batch == nil {
		r.batch = r.s.db.NewBatch()
	}
	return r.batch
}

// definition is a table as its tablets have it now; nil for none.
func (r *recovery) definition(oid uint32) *catalog.Table {
	t := r.s.tables[oid]
	if t == nil {
		return nil
	}
	return t.gens[len(t.gens)-1].shards[0].def
}

func (r *recovery) catalog(kvs, notes []wal.KV, csn storage.CSN) error {
	if csn <= r.dbCovered {
		return nil
	}
	sets := make([]catstore.KV, len(kvs))
	for i, kv := range kvs {
		sets[i] = catstore.KV(kv)
	}
	d, number, err := catstore.Delta(sets)
	if err != nil {
		return err
	}
	before := r.version
	r.version = before.Apply(d)
	r.version.Number = number
	if err := catstore.Apply(r.pebble(), sets); err != nil {
		return err
	}
	if err := applyNotes(r.pebble(), notes); err != nil {
		return err
	}
	for oid, t := range d.Tables {
		old := before.Table(oid)
		was := old != nil && old.Kind == catalog.KindTable
		is := t != nil && t.Kind == catalog.KindTable
		switch {
		case is && !was:
			if err := r.openTable(t, csn); err != nil {
				return err
			}
		case was && !is:
			if old.StoresRows() {
				if err := row.Empty(r.pebble(), oid); err != nil {
					return err
				}
			}
			if tt := r.s.tables[oid]; tt != nil {
				for _, g := range tt.gens {
					g.close()
				}
				delete(r.s.tables, oid)
			}
			r.closeLog(oid)
		case is:
			if t.Shards != old.Shards {
				if err := r.reshard(t, csn); err != nil {
					return err
				}
			}
			for _, sh := range r.s.tables[oid].current() {
				sh.setSchema(t)
			}
			if l := r.s.logs[oid]; l != nil {
				for _, sh := range l.current() {
					sh.def = t.Binlog()
					sh.col.SetSchema(sh.def)
				}
			}
		}
	}
	return nil
}

// reshard opens a table's tablets again for another number of shards, where the manifest
// knows of tablets that the commit at csn or a later one made: they were opened by what
// the catalog said before. What it made only now is for empty to open.
func (r *recovery) reshard(t *catalog.Table, csn storage.CSN) error {
	tt := r.s.tables[t.OID]
	if tt == nil {
		return nil
	}
	if g := tt.gens[len(tt.gens)-1]; g.from >= csn {
		n, err := r.s.newGeneration(t, r.s.man.state[tabletsOf{oid: t.OID}])
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		g.close()
		tt.gens = nil
		r.s.push(t.OID, n, g.from)
	}
	if l := r.s.logs[t.OID]; l != nil && l.current() != nil && l.gens[len(l.gens)-1].from >= csn {
		r.closeLog(t.OID)
		return r.openLog(t, 0)
	}
	return nil
}

// finish commits what the record does to Pebble, with the commit that is then covered.
func (r *recovery) finish(csn storage.CSN) error {
	b := r.batch
	if b == nil {
		return nil
	}
	r.batch = nil
	r.s.rowBytes += r.rowBytes
	r.rowBytes = 0
	if err := setCovered(b, csn); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	r.s.dbApplied = csn
	return nil
}

// empty begins a new generation of a table, unless the manifest knows a later one.
func (r *recovery) empty(oid uint32, csn storage.CSN) error {
	t := r.s.tables[oid]
	if t == nil {
		return nil
	}
	g := t.gens[len(t.gens)-1]
	if csn > r.dbCovered && g.shards[0].row != nil {
		if err := row.Empty(r.pebble(), oid); err != nil {
			return err
		}
	}
	if g.from >= csn {
		return nil
	}
	n, err := r.s.newGeneration(g.shards[0].def, nil)
	if err != nil {
		return err
	}
	g.close()
	t.gens = nil
	r.s.push(oid, n, csn)
	r.s.man.note(&edit{Table: oid, Gen: csn, Switch: true, F: csn - 1})
	return nil
}

func (r *recovery) sideFile(f *wal.SideFile, e *wal.Entry) error {
	r.named[f.Name] = true
	if f.Deletes != "" {
		r.named[f.Deletes] = true
	}
	sh := r.wants(f.Table, f.Shard, e.CSN)
	if sh == nil {
		return nil
	}
	side := column.Side{SegmentInfo: column.SegmentInfo{File: f.Name, Size: f.Size, Rows: int(f.Rows)}, Deletes: f.Deletes}
	return sh.col.ReplaySides(nil, []column.Side{side}, e.Base, e.CSN)
}

// keysFile kills the rows with the keys of a file, which is gone once a checkpoint covers
// the commit.
func (r *recovery) keysFile(f *wal.SideFile, e *wal.Entry) error {
	sh := r.wants(f.Table, f.Shard, e.CSN)
	if sh == nil {
		return nil
	}
	r.named[f.Name] = true
	side := column.Side{SegmentInfo: column.SegmentInfo{File: f.Name, Size: f.Size, Rows: int(f.Rows)}, Keys: true}
	err := sh.col.ReplaySides(nil, []column.Side{side}, e.Base, e.CSN)
	if e.CSN <= r.dbCovered && errors.Is(err, column.ErrOtherKey) {
		return nil // as in replay
	}
	return err
}

// rowFile notes a file that Pebble is to take in.
func (r *recovery) rowFile(f *wal.RowFile, csn storage.CSN) error {
	if csn <= r.dbCovered {
		return nil // it may be gone
	}
	r.named[f.Name] = true
	if r.wantsRows(f.Table, f.Shard, csn) == nil {
		return nil
	}
	r.files.names = append(r.files.names, f.Name)
	r.rowBytes += f.Size
	return r.s.rowSets.Committed(r.pebble(), f.Set, csn)
}

// ingest takes in the files of the present record. Pebble may have done so before a
// crash: they come upon themselves then.
func (r *recovery) ingest(csn storage.CSN) error {
	f := r.files
	r.files = rowFiles{}
	if len(f.names) == 0 {
		return nil
	}
	b := r.pebble()
	r.batch = r.s.db.NewBatch()
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	f.csn = csn
	return r.s.ingest(f)
}

// removeOrphans removes files that nothing names.
func (s *Store) removeOrphans(named map[string]bool) error {
	infos, err := s.data.List()
	if err != nil {
		return err
	}
	known := s.man.state.files()
	for _, in := range infos {
		if !known[in.Name] && !named[in.Name] {
			if err := s.data.Remove(in.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// countFiles has new files numbered above those that there are.
func (s *Store) countFiles() error {
	infos, err := s.data.List()
	if err != nil {
		return err
	}
	highest := uint64(0)
	for _, in := range infos {
		base, _, _ := strings.Cut(in.Name, ".")
		if n, err := strconv.ParseUint(base, 16, 64); err == nil {
			highest = max(highest, n)
		}
	}
	s.nextFile.Store(highest)
	return nil
}

// Pebble has the catalog under its own prefix, and the newest commit that was
// applied to it under this key.
var coveredKey = []byte{'m', 'c'}

func setCovered(b *pebble.Batch, csn storage.CSN) error {
	return b.Set(coveredKey, binary.BigEndian.AppendUint64(nil, uint64(csn)), nil)
}

func covered(db *pebble.DB) (storage.CSN, error) {
	v, c, err := db.Get(coveredKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if len(v) != 8 {
		return 0, fmt.Errorf("catalog: the covered commit is malformed")
	}
	return storage.CSN(binary.BigEndian.Uint64(v)), nil
}

func openPebble(dir blob.Dir, s *Store) (*pebble.DB, error) {
	// Files have filters of their keys, so that a look-up reads one block. A few files that
	// overlap are left until they are worth a rewrite of the level below, which is kept about
	// as large as they are together; writers wait long before there are many of them.
	s.rowMem = min(max(s.opts.MemoryLimit/32, 4<<20), 64<<20)
	if s.opts.RowRunsBytes == 0 {
		s.opts.RowRunsBytes = s.rowMem
	}
	opts := &pebble.Options{
		FS: pebbleFS{dir, s.data}, DisableWAL: true, FormatMajorVersion: pebble.FormatVirtualSSTables,
		CacheSize: max(s.opts.MemoryLimit/4, 8<<20), L0CompactionThreshold: 4, L0StopWritesThreshold: 16, LBaseMaxBytes: 4 * s.rowMem,
		MemTableSize: uint64(s.rowMem), MemTableStopWritesThreshold: 4,
		EventListener: &pebble.EventListener{BackgroundError: func(err error) {
			select {
			case s.dbErr <- err:
			default:
			}
		}, WriteStallBegin: func(pebble.WriteStallBeginInfo) { s.rowStalls.Add(1) }},
		Logger: pebbleLogger{s},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].IndexBlockSize = 4 << 20 // one level: a look-up reads one index block
		if i < len(opts.Levels)-1 {
			opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // soon rewritten
		}
	}
	db, err := pebble.Open("", opts)
	if err == nil {
		opts.EnsureDefaults() // Open has done that to a copy
		s.rowTables = opts.MakeWriterOptions(len(opts.Levels)-1, db.TableFormat())
		s.rowTables.WritingToLowestLevel = false // what they remove may lie below
	}
	return db, err
}

// pebbleLogger passes on what an operator should know.
type pebbleLogger struct{ s *Store }

func (l pebbleLogger) Infof(string, ...any) {}
func (l pebbleLogger) Errorf(f string, a ...any) {
	l.s.opts.Logger.Error("catalog store: " + fmt.Sprintf(f, a...))
}
func (l pebbleLogger) Fatalf(f string, a ...any) {
	l.s.fail(fmt.Errorf("catalog store: "+f, a...))
}
