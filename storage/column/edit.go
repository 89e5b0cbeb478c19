package column

import (
	"slices"

	"github.com/millrace/millrace/storage"
)

// Install makes the tablet use the edit's files. Called after the manifest has
// the edit, with the shard latched; it touches memory only.
func (e *Edit) Install() {
	if e.done {
		return
	}
	e.done = true
	t := e.tablet
	t.wmu.Lock()
	old := t.deletes
	t.deletes = e.Deletes
	e.install()
	t.wmu.Unlock()
	if old != "" && old != e.Deletes {
		_ = t.cfg.Files.Remove(old)
	}
	e.release()
	t.dropOld()
}

func (e *Edit) release() {
	e.tablet.releaseMaint()
	if e.merging {
		<-e.tablet.merging
	}
}

// Discard removes the edit's files; the tablet stays as it was.
func (e *Edit) Discard() {
	if e.done {
		return
	}
	e.done = true
	e.undo()
	if e.Deletes != "" {
		_ = e.tablet.cfg.Files.Remove(e.Deletes)
	}
	e.release()
}

// death is a deleted row that a new file still has.
type death struct {
	row uint32
	csn uint64
}

// deletesOf makes a delete set of deaths in any order.
func (t *Tablet) deletesOf(s *segFile, ds []death) *deleteSet {
	d := &deleteSet{blocks: s.blocks()}
	if len(ds) == 0 {
		return d.named()
	}
	slices.SortFunc(ds, func(a, b death) int { return cmpU64(a.csn, b.csn) })
	d = d.grown(len(ds))
	for _, x := range ds {
		d.tail.push(x.row, x.csn)
	}
	oldest, live := t.watermark()
	return d.fold(oldest, live)
}

// needed says whether a row that was born and died may still be seen by a
// snapshot: by one that lives, or by a later one when the death is newer than all.
func needed(born, death uint64, oldest storage.CSN, live []storage.CSN) bool {
	if death == 0 || death == dying {
		return true
	}
	newest := uint64(oldest)
	for _, s := range live {
		if born <= uint64(s) && uint64(s) < death {
			return true
		}
		newest = max(newest, uint64(s))
	}
	return death > newest || born <= uint64(oldest) && uint64(oldest) < death
}

// manifestDeletes are the deletes of the segments that the manifest will have,
// without those in drop: all up to f, and later ones as long as they are durable.
// Stripes do not say which of their deletes are how old, so they count in full; a
// delete above f is in the log too, and finds nothing when it is replayed.
func (t *Tablet) manifestDeletes(segs []*segFile, f storage.CSN, drop map[*segFile]bool) []segDeletes {
	var out []segDeletes
	for _, s := range segs {
		if !drop[s] {
			d := s.del.Load()
			out = append(out, segDeletes{s.info.File, s.info.Rows, d.upTo(t.durableDeath(f))})
		}
	}
	return out
}

// durableDeath is the newest commit whose deletes a file with checkpoint f may
// have. It is asked after the deletes were read: what was folded into stripes by
// then is no newer.
func (t *Tablet) durableDeath(f storage.CSN) storage.CSN {
	_, live := t.watermark()
	if n := len(live); n > 0 {
		f = max(f, live[n-1])
	}
	return f
}
