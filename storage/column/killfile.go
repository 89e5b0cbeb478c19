package column

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// A keys file has the keys of rows that a large transaction updates or deletes, in the
// form of a segment with the key's columns alone. The commit of each row in it is the one
// that the row was read with, 0 where it may be any. Neither file nor log has positions:
// where the rows are is looked up at the commit, and again by replay, and kept as masks.

// KillsToFiles has Spill write the keys of what operations replace or delete to keys
// files, which Sides then lists, instead of giving them back as chunks. What is in such
// files cannot be decided again when others changed a row of them.
func (o *Overlay) KillsToFiles() { o.killFiles = true }

// Kills says whether there are keys files.
func (o *Overlay) Kills() bool { return len(o.killed) > 0 }

// killSink takes the chunks that kill rows: it keeps them, or writes their keys.
type killSink struct {
	o    *Overlay
	rest []storage.Chunk
	w    *segWriter // nil: until there is something to write
}

func (k *killSink) add(c storage.Chunk) error {
	if !k.o.killFiles {
		k.rest = append(k.rest, c)
		return nil
	}
	sch := k.o.t.cur.sch
	b := &vec.Batch{Cols: make([]*vec.Vec, len(c.Keys.Cols))}
	var sel []uint16
	if sch.rowID >= 0 {
		// Rows of the transaction itself have their deaths in its own files.
		ids := c.Keys.Cols[0]
		sel = make([]uint16, 0, c.Len())
		for i := range c.Len() {
			if ids.Source().I64[ids.Index(i)] >= 0 {
				sel = append(sel, uint16(i))
			}
		}
	} else {
		sel = make([]uint16, c.Len())
		for i := range sel {
			sel[i] = uint16(i)
		}
	}
	if len(sel) == 0 {
		return nil
	}
	b.N = len(sel)
	csns := make([]uint64, len(sel))
	for j, v := range c.Keys.Cols {
		b.Cols[j] = vec.New(v.T, len(sel))
		b.Cols[j].Copy(v, sel, c.Len())
	}
	if c.OldCSN != nil {
		for j, i := range sel {
			csns[j] = uint64(c.OldCSN[i])
		}
	}
	if k.w == nil {
		keys := &schema{table: sch.table, rowID: -1}
		for _, p := range sch.keys {
			keys.cols, keys.ids = append(keys.cols, sch.cols[p]), append(keys.ids, sch.ids[p])
		}
		k.w = k.o.t.newSegWriter(keys, nil, encoding.NoCodec)
	}
	return k.w.append(b, csns)
}

// done closes the file; the overlay then has it.
func (k *killSink) done() error {
	if k.w == nil {
		return nil
	}
	if err := k.w.finish(); err != nil {
		return err
	}
	k.o.killed = append(k.o.killed, k.w.infos...)
	k.w = nil
	return nil
}

// abort removes what was written.
func (k *killSink) abort() {
	if k.w != nil {
		k.w.abort()
	}
}

// ErrOtherKey says that a keys file does not have the columns of the table's key.
var ErrOtherKey = errors.New("keys file of another key")

// killRun is how many keys of a file are looked up at once: what a segment and each of
// its blocks cost is paid once for them.
const killRun = keyRunMax

// eachKilled calls f with runs of a keys file's keys, and the commits that their rows
// were read with.
func eachKilled(ctx context.Context, s *segFile, sch *schema, f func(ks *keySet, csns []int64) error) error {
	return s.guard(func() error {
		scratch := new(encoding.Scratch)
		ids := make([]int32, 0, len(sch.keys)+1)
		for _, p := range sch.keys {
			ids = append(ids, sch.ids[p])
		}
		ids = append(ids, csnColumnID)
		cols := make([]*segment.ColReader, len(ids))
		for i, id := range ids {
			c, ok := s.r.ColumnOn(id, scratch)
			if i < len(sch.keys) && (!ok || c.T().Layout != sch.cols[sch.keys[i]].Layout) {
				return fmt.Errorf("%w: column %d of %s", ErrOtherKey, id, s.info.File)
			}
			if !ok {
				return &segment.CorruptError{File: s.info.File, What: fmt.Sprintf("column %d is missing", id)}
			}
			cols[i] = c
		}
		run, parts := make([]*vec.Vec, len(ids)), make([]vec.Vec, len(ids))
		var ks keySet
		last := s.r.Vectors() - 1
		for vi := 0; vi <= last; vi++ {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			n := s.r.VectorRows(vi)
			for i := range ids {
				if err := cols[i].Vector(vi, &parts[i]); err != nil {
					return err
				}
				if run[i] == nil {
					run[i] = vec.New(parts[i].T, min(s.info.Rows, killRun))
				}
				run[i].Copy(&parts[i], nil, n)
			}
			if vi < last && run[0].N+vec.Size <= killRun {
				continue
			}
			k := len(ids) - 1
			ks.set(run[:k], run[0].N)
			if err := f(&ks, run[k].I64[:ks.n]); err != nil {
				return err
			}
			clear(run)
		}
		return nil
	})
}

// hideKilled finds the rows of keys files in a version.
func (o *Overlay) hideKilled(files []SegmentInfo, l *lookup, hide func([]place)) error {
	for _, info := range files {
		s, err := openSegFile(o.t.cfg.Files, info)
		if err != nil {
			return err
		}
		err = eachKilled(context.Background(), s, o.t.cur.sch, func(ks *keySet, _ []int64) error {
			places := make([]place, ks.n)
			if err := l.find(ks, places); err != nil {
				return err
			}
			hide(places)
			return nil
		})
		s.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// killing is what the keys files of a commit kill: rows of memtables one by one, those of
// segments, which may be very many, by masks.
type killing struct {
	files []*segFile
	mems  []place
	segs  segMasks
	// lost says that a row is not, or no longer, the one that was read.
	lost bool
}

// probeKills looks the keys files up in v, the active memtable's published rows
// included. The table is locked, or the keys are: what is found stays what there is.
func (p *Prepared) probeKills(ctx context.Context, v *version) error {
	k := &p.kills
	k.mems, k.segs, k.lost = k.mems[:0], nil, false
	if len(k.files) == 0 {
		return nil
	}
	l := p.t.newLookup(v, latest, everyMemtable)
	defer l.free()
	var places []place
	for _, s := range k.files {
		err := eachKilled(ctx, s, v.sch, func(ks *keySet, csns []int64) error {
			places = slices.Grow(places[:0], ks.n)[:ks.n]
			clear(places)
			if err := l.find(ks, places); err != nil {
				return err
			}
			for i := range places {
				pl := &places[i]
				if csn := uint64(csns[i]); csn != 0 && !p.replay && !pl.read(csn) {
					k.lost = true
				}
				switch {
				case pl.mem != nil:
					k.mems = append(k.mems, *pl)
				case pl.seg != nil:
					k.segs.note(pl)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read says whether a row that was read with a commit is the one at the place.
func (p *place) read(csn uint64) bool {
	if !p.found() {
		return false
	}
	if p.csn == csn {
		return true
	}
	// Compaction gives rows that are older than every snapshot one commit for all:
	// a row that was read before is then still the same version.
	return p.seg != nil && p.csn <= p.seg.floor && csn <= p.seg.floor
}

// stageKills stages the deaths. Rows that are dead by now died by the commit itself.
func (p *Prepared) stageKills(s *staged) {
	k := &p.kills
	for i := range k.mems {
		if k.mems[i].live() {
			s.kill(&k.mems[i])
			s.deleted++
		}
	}
	for _, old := range k.segs {
		if alive := old.rows.m.without(old.seg.del.Load().maskAt(dying)); alive != nil {
			s.killMask(old.seg, alive)
			s.deleted += int64(alive.count())
		}
	}
}

// spentFile is a keys file that replay may need until a checkpoint covers its commit.
type spentFile struct {
	csn  storage.CSN
	name string
}

// spend leaves the keys files of a stamped commit to the next flush. Called with the
// write lock held.
func (p *Prepared) spend(m *memtable, csn storage.CSN) {
	if len(p.kills.files) == 0 {
		return
	}
	for _, s := range p.kills.files {
		p.t.spent = append(p.t.spent, spentFile{csn, s.info.File})
	}
	p.t.waiting.Store(true)
	m.touch(csn)
}

// dropSpent removes the keys files of commits up to f. Called with the write lock held.
func (t *Tablet) dropSpent(f storage.CSN) {
	t.spent = slices.DeleteFunc(t.spent, func(s spentFile) bool {
		if s.csn > f {
			return false
		}
		_ = t.cfg.Files.Remove(s.name) // one that stays is found by the next start's clean-up
		return true
	})
	t.waiting.Store(len(t.spent) > 0)
}

// Spent is how many keys files wait for a checkpoint.
func (t *Tablet) Spent() int {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	return len(t.spent)
}
