package column

import "github.com/millrace/millrace/storage"

// version is one immutable list of a tablet's parts. The parts themselves move:
// memtables grow, delete sets advance; what a snapshot sees of them is given by
// its CSN. The segments of a version that anyone has pinned stay mapped.
type version struct {
	sch  *schema
	mems []*memtable // oldest first; the last takes writes
	segs []*segFile  // oldest first
	// segGen changes whenever rows may have moved or come by other ways than the
	// active memtable: flush, compaction, adoption, truncation.
	segGen uint64

	refs int // pins, guarded by Tablet.mu
}

func (v *version) active() *memtable { return v.mems[len(v.mems)-1] }

// oldVersion is what snapshots below csn see: the state before a truncation.
type oldVersion struct {
	csn storage.CSN
	v   *version
}

// pin takes the current version; unpin gives it back.
func (t *Tablet) pin() *version {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cur.refs++
	return t.cur
}

// pinAt takes the version that a snapshot at s reads.
func (t *Tablet) pinAt(s storage.CSN) *version {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.cur
	for i := len(t.old) - 1; i >= 0 && s < t.old[i].csn; i-- {
		v = t.old[i].v
	}
	v.refs++
	return v
}

func (t *Tablet) unpin(v *version) {
	t.mu.Lock()
	v.refs--
	gone := t.released(v)
	t.mu.Unlock()
	for _, s := range gone {
		s.free()
	}
}

// swap makes v current. The caller holds the write lock. With keep not zero the
// replaced version stays for snapshots below keep.
func (t *Tablet) swap(v *version, keep storage.CSN) {
	t.mu.Lock()
	old := t.cur
	t.cur = v
	for _, s := range v.segs {
		s.refs++
	}
	if keep != 0 {
		old.refs++
		t.old = append(t.old, oldVersion{keep, old})
	}
	gone := t.released(old)
	t.mu.Unlock()
	for _, s := range gone {
		s.free()
	}
}

// released lists the segments that nobody has any more once v is neither current
// nor pinned. Called with mu held.
func (t *Tablet) released(v *version) (gone []*segFile) {
	if v == nil || v == t.cur || v.refs > 0 {
		return nil
	}
	for _, s := range v.segs {
		if s.refs--; s.refs == 0 {
			gone = append(gone, s)
		}
	}
	v.segs = nil
	return gone
}

// dropOld lets go of versions that no snapshot can read any more.
func (t *Tablet) dropOld() {
	oldest, _ := t.watermark()
	t.mu.Lock()
	var gone []*segFile
	keep := t.old[:0]
	for _, o := range t.old {
		if o.csn <= oldest {
			o.v.refs--
			gone = append(gone, t.released(o.v)...)
			continue
		}
		keep = append(keep, o)
	}
	clear(t.old[len(keep):])
	t.old = keep
	t.mu.Unlock()
	for _, s := range gone {
		s.free()
	}
}
