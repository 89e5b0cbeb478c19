package column

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Aim is how far a compaction goes.
type Aim uint8

const (
	// Tidy does what reads soon repay: it merges files when there are many of one
	// size, and rewrites those with many dead rows.
	Tidy Aim = iota
	// Settle is for a tablet that has not grown for a while: besides, it gives young
	// files their lasting form, together with smaller ones where that costs little.
	// A tablet settled once is at rest until something is written.
	Settle
	// Pack leaves at most one file that is not full, and hardly a dead row.
	Pack
)

const (
	// tierFiles of about one size are merged when compaction is due; tierMax files
	// at most at once, and as many rows as fill
	// mergeFactor segments. A settled file joins young ones when it has at most
	// settleFactor times their rows.
	tierFiles    = 4
	tierMax      = 32
	mergeFactor  = 2
	settleFactor = 4
)

// A merge is hot when most of its rows were written at most hotAge ago and one in
// hotShare of them is dead by now: what comes of it lasts no longer. It stays
// uncompressed, as compressing its strings, and decompressing them for the scans and
// the merge to come, would take longer than all else that is done to it; settling
// compresses it when the writes are over.
const (
	hotAge   = time.Minute
	hotShare = 12
)

// hot says whether a merge of these files is.
func hot(in []*segFile, now time.Time) bool {
	rows, young, dead := 0, 0, 0
	for _, s := range in {
		rows += s.info.Rows
		dead += s.del.Load().upTo(latest).count()
		if now.Sub(s.made) <= hotAge {
			young += s.info.Rows
		}
	}
	return 2*young > rows && hotShare*dead >= rows
}

// deadShare: a file with more than this part of its rows dead is rewritten. While a
// table grows by as many rows as are updated, each rewrite costs what it leaves, and a
// share of 1/3 rewrites a third fewer rows than 1/4, at 5% more dead rows to scan.
var deadShare = [...]int{Tidy: 3, Settle: 8, Pack: 20}

const (
	// deadNear: with it go files that would soon be rewritten themselves, being so far
	// on the way, rewriteMax in all. By itself a full file leaves one that is not, which
	// would be merged with its like, and written, once more. A file that leaves few rows
	// takes no large ones along: it has its like to go with, and what is young dies
	// quickly where few rows are updated most, so that large files would all be rewritten
	// before their time.
	deadNear   = 0.6
	rewriteMax = 4
)

// CompactionDue says whether there is something to gain for a compaction.
func (t *Tablet) CompactionDue(aim Aim) bool {
	t.mu.Lock()
	segs := slices.Clone(t.cur.segs)
	t.mu.Unlock()
	return len(t.pick(segs, aim)) > 0
}

// Generation changes whenever files of the tablet come or go.
func (t *Tablet) Generation() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cur.segGen
}

// small says whether a segment can be merged: it is neither nearly full nor wide.
func (t *Tablet) small(s *segFile) bool {
	return !s.info.Full && s.info.Rows < t.cfg.Limits.SegmentRows*3/4 && s.info.Size < segmentBytesMax*3/4
}

// pick lists the segments to merge next; none when the aim is reached.
func (t *Tablet) pick(segs []*segFile, aim Aim) []*segFile {
	if t.log {
		return t.pickLog(segs, aim)
	}
	var tiers [33][]*segFile
	var small, large []*segFile // that can be merged, and young ones that cannot
	for _, s := range segs {
		switch {
		case !s.mergeable():
		case t.small(s):
			k := bits.Len(uint(s.info.Rows)) / 2
			tiers[k] = append(tiers[k], s)
			small = append(small, s)
		case !s.info.Settled:
			large = append(large, s)
		}
	}
	for _, tier := range tiers {
		if len(tier) >= tierFiles {
			return t.window(tier)
		}
	}
	if in := t.dying(segs, deadShare[aim]); in != nil {
		return in
	}
	switch aim {
	case Settle:
		if in := t.unsettled(small); in != nil {
			return in
		}
	case Pack:
		if len(small) > 1 || len(small) == 1 && !small[0].info.Settled {
			return t.window(small)
		}
	}
	if aim != Tidy && len(large) > 0 {
		return large[:1]
	}
	return nil
}

// dying lists a file with more than one in share of its rows dead for all snapshots, and
// those that are best rewritten with it; nil when there is none.
func (t *Tablet) dying(segs []*segFile, share int) []*segFile {
	oldest, _ := t.watermark()
	type candidate struct {
		s    *segFile
		dead int
	}
	var near []candidate
	due := -1
	for _, s := range segs {
		if !s.mergeable() {
			continue
		}
		dead := s.del.Load().upTo(oldest).count()
		if due < 0 && dead > s.info.Rows/share {
			due = len(near)
		}
		if float64(dead*share) > deadNear*float64(s.info.Rows) {
			near = append(near, candidate{s, dead})
		}
	}
	if due < 0 {
		return nil
	}
	take := []*segFile{near[due].s}
	rows := near[due].s.info.Rows - near[due].dead
	if rows == 0 {
		return take // it only goes
	}
	most := settleFactor * rows
	near = slices.Delete(near, due, due+1)
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(b.dead*a.s.info.Rows, a.dead*b.s.info.Rows) })
	for _, c := range near {
		if live := c.s.info.Rows - c.dead; len(take) < rewriteMax && live <= most && rows+live <= mergeFactor*t.cfg.Limits.SegmentRows {
			take, rows = append(take, c.s), rows+live
		}
	}
	return slices.DeleteFunc(slices.Clone(segs), func(s *segFile) bool { return !slices.Contains(take, s) })
}

// unsettled lists the young ones among small files, and settled ones that have
// about as many rows: so each row is rewritten only a few times.
func (t *Tablet) unsettled(small []*segFile) []*segFile {
	rows := 0
	for _, s := range small {
		if !s.info.Settled {
			rows += s.info.Rows
		}
	}
	if rows == 0 {
		return nil
	}
	bySize := slices.Clone(small)
	slices.SortStableFunc(bySize, func(a, b *segFile) int { return cmp.Compare(a.info.Rows, b.info.Rows) })
	take := map[*segFile]bool{}
	for _, s := range bySize {
		if !s.info.Settled {
			take[s] = true
		} else if s.info.Rows <= settleFactor*rows {
			take[s] = true
			rows += s.info.Rows
		}
	}
	return t.window(slices.DeleteFunc(slices.Clone(small), func(s *segFile) bool { return !take[s] }))
}

// window is as many of the files as are merged at once, in their order.
func (t *Tablet) window(segs []*segFile) []*segFile {
	rows := 0
	for i, s := range segs {
		if rows += s.info.Rows; i == tierMax || i > 1 && rows > mergeFactor*t.cfg.Limits.SegmentRows {
			return segs[:i]
		}
	}
	return segs
}
