package column

import (
	"context"
	"slices"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/segment"
)

// logRun small neighbours of a binlog are joined; joining is only for the sake of
// fewer files, since nothing in a binlog ever dies.
const logRun = 8

// numbers encloses the numbers of a binlog's segment.
func (s *segFile) numbers() (lo, hi int64) {
	z, _ := s.zone(logLSNID)
	return z.Min.I, z.Max.I
}

// pickLog is pick for a binlog.
func (t *Tablet) pickLog(segs []*segFile, aim Aim) []*segFile {
	if aim == Tidy {
		return t.pickNeighbours(segs, logRun)
	}
	return t.pickNeighbours(segs, 2)
}

// pickNeighbours lists at least n small segments that follow one another.
func (t *Tablet) pickNeighbours(segs []*segFile, n int) []*segFile {
	segs = slices.Clone(segs)
	slices.SortFunc(segs, func(a, b *segFile) int {
		x, _ := a.numbers()
		y, _ := b.numbers()
		return int(min(max(x-y, -1), 1))
	})
	var run []*segFile
	rows := 0
	for _, s := range segs {
		if !s.mergeable() || !t.small(s) || len(run) > 0 && rows+s.info.Rows > t.cfg.Limits.SegmentRows {
			if len(run) >= n {
				return run
			}
			run, rows = run[:0], 0
			if !s.mergeable() || !t.small(s) {
				continue
			}
		}
		run, rows = append(run, s), rows+s.info.Rows
		if len(run) == tierMax {
			return run
		}
	}
	if len(run) >= n {
		return run
	}
	return nil
}

// Floor is the newest number that expiry has dropped from a binlog.
func (t *Tablet) Floor() storage.CSN { return storage.CSN(t.floor.Load()) }

// Expire drops whole segments of a binlog, oldest first, as long as drop says so of
// the next: it is told the segment's greatest number, its newest time (microseconds
// since 1970) and its size. Nil when none goes.
func (t *Tablet) Expire(ctx context.Context, drop func(number uint64, time int64, bytes int64) bool) (*Edit, error) {
	v := t.pin()
	due := slices.ContainsFunc(v.segs, func(s *segFile) bool { return s.expires(drop) })
	t.unpin(v)
	if !due {
		return nil, nil
	}
	if err := acquire(ctx, t.merging); err != nil {
		return nil, err
	}
	if err := t.acquireMaint(ctx); err != nil {
		<-t.merging
		return nil, err
	}
	t.wmu.Lock()
	v, f, deletes := t.pin(), t.f, t.deletes
	t.wmu.Unlock()
	defer t.unpin(v)
	segs := slices.Clone(v.segs)
	slices.SortFunc(segs, func(a, b *segFile) int {
		_, x := a.numbers()
		_, y := b.numbers()
		return int(min(max(x-y, -1), 1))
	})
	e := &Edit{F: f, Deletes: deletes, tablet: t, merging: true, undo: func() {}}
	var gone []*segFile
	for _, s := range segs {
		if !s.expires(drop) {
			break
		}
		_, hi := s.numbers()
		gone = append(gone, s)
		e.Drop = append(e.Drop, s.info.File)
		e.Floor = storage.CSN(hi)
	}
	if len(gone) == 0 {
		e.release()
		return nil, nil
	}
	e.install = func() {
		n := &version{sch: t.cur.sch, mems: t.cur.mems, segGen: t.cur.segGen + 1}
		for _, s := range t.cur.segs {
			if slices.Contains(gone, s) {
				s.doomed.Store(true)
				continue
			}
			n.segs = append(n.segs, s)
		}
		t.floor.Store(uint64(e.Floor))
		t.swap(n, 0)
	}
	return e, nil
}

func (s *segFile) expires(drop func(number uint64, time int64, bytes int64) bool) bool {
	_, hi := s.numbers()
	z, _ := s.zone(logTimeID)
	return s.mergeable() && drop(uint64(hi), z.Max.I, s.info.Size)
}

// Segments describes a tablet's segments, for retention and for tests.
func (t *Tablet) Segments() []SegmentInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []SegmentInfo
	for _, s := range t.cur.segs {
		out = append(out, s.info)
	}
	return out
}

// LogSegments lists the segments of a binlog that expiry may drop, oldest first: up to
// the first that it may not.
func (t *Tablet) LogSegments() []storage.BinlogSegment {
	v := t.pin()
	defer t.unpin(v)
	segs := slices.Clone(v.segs)
	slices.SortFunc(segs, func(a, b *segFile) int {
		_, x := a.numbers()
		_, y := b.numbers()
		return int(min(max(x-y, -1), 1))
	})
	var out []storage.BinlogSegment
	for _, s := range segs {
		if !s.mergeable() {
			break
		}
		_, hi := s.numbers()
		z, _ := s.zone(logTimeID)
		out = append(out, storage.BinlogSegment{Last: hi, Time: z.Max.I, Bytes: s.info.Size})
	}
	return out
}

// Floor is the newest number that expiry has dropped: since the snapshot was taken, or
// before.
func (s *Snapshot) Floor() storage.CSN { return s.t.Floor() }

// Numbers encloses the numbers of the rows that a split of a binlog may have.
func (s *Snapshot) Numbers(split storage.Split) (lo, hi int64) {
	p := s.parts[split.Part]
	if p.seg == nil {
		l, h, _, _ := s.partBounds(p, s.table.BinlogLSN())
		return l.I, h.I
	}
	z, ok := p.seg.blockZone(logLSNID, split.Block)
	if !ok {
		z = segment.Zone{}
	}
	return z.Min.I, z.Max.I
}
