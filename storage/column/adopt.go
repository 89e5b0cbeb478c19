package column

import (
	"context"
	"slices"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Side is a segment file that a large transaction wrote before its commit. Its
// row ids are ordinals in the commit, and the commit of its rows is not in it.
type Side struct {
	SegmentInfo
	// Keys: it is a keys file, of rows that the commit updates or deletes.
	Keys bool
	// Upsert: its rows replace those with their keys; else they must be new.
	Upsert bool
	// Deletes names a deletes file with the rows that the transaction deleted again,
	// "" for none.
	Deletes string
}

// adoption is a side file on its way into the tablet.
type adoption struct {
	seg *segFile
	// dup are live rows of memtables that have a key of the file, old those of
	// segments: there may be as many as the file has rows.
	dup    []place
	old    segMasks
	upsert bool
}

// segRows is a set of a segment's rows.
type segRows struct {
	seg  *segFile
	rows *maskEdit
}

// note adds a row that has a key of the file.
func (a *adoption) note(p *place) {
	if p.seg == nil {
		a.dup = append(a.dup, *p)
		return
	}
	a.old.note(p)
}

// segMasks are rows of several segments.
type segMasks []segRows

// note adds a row of a segment.
func (m *segMasks) note(p *place) {
	s := *m
	i := len(s) - 1 // rows of one segment come one after the other
	if i < 0 || s[i].seg != p.seg {
		if i = slices.IndexFunc(s, func(r segRows) bool { return r.seg == p.seg }); i < 0 {
			i = len(s)
			*m = append(s, segRows{p.seg, editMask(nil, p.seg.blocks())})
		}
	}
	(*m)[i].rows.set(p.row)
}

// PrepareSides is Prepare for a commit with side files. Their rows come after the
// chunks: a key of theirs must be absent once the chunks are staged. A conflict
// about one has Chunk = len(chunks) + its number. What keys files name is killed first;
// a conflict about them has Chunk = len(chunks) too, and is no duplicate.
func (t *Tablet) PrepareSides(ctx context.Context, chunks []storage.Chunk, sides []Side) (storage.Prepared, error) {
	p, err := t.prepareSides(ctx, chunks, sides, false)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (t *Tablet) prepareSides(ctx context.Context, chunks []storage.Chunk, sides []Side, replay bool) (*Prepared, error) {
	p, err := t.prepare(ctx, chunks, replay)
	if err != nil {
		return nil, err
	}
	for _, side := range sides {
		info := side.SegmentInfo
		info.CSN, info.Base = latest, 0 // numbered at the stamp
		s, err := openSegFile(t.cfg.Files, info)
		if err != nil {
			p.Release()
			return nil, err
		}
		if side.Keys {
			p.kills.files = append(p.kills.files, s)
			continue
		}
		t.size(s)
		p.adds = append(p.adds, adoption{seg: s, upsert: side.Upsert})
		if side.Deletes != "" {
			m, err := readDeletes(t.cfg.Files, side.Deletes)
			if err != nil {
				p.Release()
				return nil, err
			}
			s.del.Store((&deleteSet{blocks: s.blocks(), base: m[info.File]}).named())
			s.sideDeletes = side.Deletes
		}
	}
	if err := p.probe(ctx, p.v); err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

// probe looks up in v what the files of the commit name.
func (p *Prepared) probe(ctx context.Context, v *version) error {
	if err := p.probeKills(ctx, v); err != nil {
		return err
	}
	return p.probeSides(ctx, v)
}

// probeSides finds the rows of v, active memtable and all, that have keys of the
// side files.
func (p *Prepared) probeSides(ctx context.Context, v *version) error {
	if len(p.adds) == 0 || v.sch.rowID >= 0 {
		return nil
	}
	p.seen = v.active().rows.Load()
	for i := range p.adds {
		a := &p.adds[i]
		a.dup, a.old = a.dup[:0], nil
		l := p.t.newLookup(v, latest, everyMemtable)
		defer l.free()
		err := a.seg.eachKeys(ctx, func(ks *keySet, _ int, dead func(int) bool) error {
			places := make([]place, ks.n)
			if err := l.find(ks, places); err != nil {
				return err
			}
			for k := range places {
				if places[k].found() && !dead(k) {
					a.note(&places[k])
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

// eachKeys calls f with the keys of one vector after another.
func (s *segFile) eachKeys(ctx context.Context, f func(ks *keySet, first int, dead func(int) bool) error) error {
	var l segLookup
	if !l.bind(s, len(s.r.Key())) {
		return nil
	}
	d := s.del.Load()
	var ks keySet
	for vi := 0; vi < s.r.Vectors(); vi++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for c, col := range l.keyCols {
			if err := col.Vector(vi, l.vecs[c]); err != nil {
				return err
			}
		}
		ks.set(l.vecs[:len(l.keyCols)], s.r.VectorRows(vi))
		first := vi * vec.Size
		if err := f(&ks, first, func(k int) bool { return d.deathOf(uint32(first+k)) != 0 }); err != nil {
			return err
		}
	}
	return nil
}

// stageSides checks the side files' keys and takes them in, invisible.
func (p *Prepared) stageSides(s *staged, v *version, conflicts []storage.Conflict) ([]storage.Conflict, error) {
	for i := range p.adds {
		a := &p.adds[i]
		clash := func(pl place) {
			if p.replay || a.upsert {
				s.kill(&pl)
				return
			}
			conflicts = append(conflicts, storage.Conflict{Chunk: len(p.ops) + i, Duplicate: true})
		}
		for _, pl := range a.dup {
			if pl.live() {
				clash(pl)
			}
		}
		for _, old := range a.old {
			alive := old.rows.m.without(old.seg.del.Load().maskAt(dying))
			switch {
			case alive == nil:
			case p.replay || a.upsert:
				s.killMask(old.seg, alive)
			default:
				conflicts = append(conflicts, storage.Conflict{Chunk: len(p.ops) + i, Duplicate: true})
			}
		}
		if v.sch.rowID >= 0 {
			continue
		}
		// Keys committed since, looked up in the file.
		var l segLookup
		for _, m := range v.mems {
			from := uint32(0)
			switch {
			case m.id < p.memID:
				continue
			case m.id == p.memID:
				from = p.seen
			}
			if err := p.probeNew(&l, a.seg, m, from, clash); err != nil {
				return nil, err
			}
		}
	}
	s.adds = p.adds
	return conflicts, nil
}

// probeNew looks keys of a memtable's published rows from number from on up in a
// side file, and calls clash for the live ones that are there.
func (p *Prepared) probeNew(l *segLookup, seg *segFile, m *memtable, from uint32, clash func(place)) error {
	rows := m.rows.Load()
	for from < rows {
		c, at := m.at(from)
		n := int(min(rows-from, uint32(c.cap-at), vec.Size))
		cols := make([]*vec.Vec, len(m.sch.keys))
		refs := make([]uint16, n)
		for i := range refs {
			refs[i] = uint16(at + i)
		}
		for i, k := range m.sch.keys {
			cols[i] = vec.New(m.sch.cols[k], n)
			cols[i].Copy(c.cols[k].head.Load(), refs, n)
		}
		var ks keySet
		ks.set(cols, n)
		todo := make([]uint32, n)
		for i := range todo {
			todo[i] = uint32(i)
		}
		places := make([]place, n)
		if _, err := l.find(seg, &ks, todo, latest, places, true); err != nil {
			return err
		}
		for i := range places {
			if row := from + uint32(i); places[i].found() && m.deathOf(row) == 0 {
				clash(place{mem: m, row: row, csn: m.csnOf(row)})
			}
		}
		from += uint32(n)
	}
	return nil
}

// killMask stages the death of many live rows of a segment, as a stripe of their own.
func (s *staged) killMask(seg *segFile, rows mask) {
	d := seg.del.Load()
	seg.del.Store(&deleteSet{blocks: d.blocks, base: d.base, stripes: append(slices.Clip(d.stripes), stripe{dying, rows}), tail: d.tail})
	s.masks = append(s.masks, seg)
}

// stripesMax is the number of stripes from which a commit folds them.
const stripesMax = 4

// stampMasks gives the staged stripes their commit.
func (s *staged) stampMasks(csn storage.CSN) {
	for _, seg := range s.masks {
		d := seg.del.Load()
		stripes := slices.Clone(d.stripes)
		for i := range stripes {
			if stripes[i].csn == dying {
				stripes[i].csn = uint64(csn)
			}
		}
		d = (&deleteSet{blocks: d.blocks, base: d.base, stripes: stripes, tail: d.tail}).named()
		if len(stripes) > stripesMax {
			d = d.fold(s.t.watermark())
		}
		seg.del.Store(d)
	}
}

// dropMasks takes the staged stripes back.
func (s *staged) dropMasks() {
	for _, seg := range s.masks {
		d := seg.del.Load()
		live := slices.DeleteFunc(slices.Clone(d.stripes), func(st stripe) bool { return st.csn == dying })
		seg.del.Store((&deleteSet{blocks: d.blocks, base: d.base, stripes: live, tail: d.tail}).named())
	}
}

// adopt makes the side files part of the tablet. Called by Stamp.
func (s *staged) adopt(base uint64, csn storage.CSN) {
	t := s.t
	v := t.cur
	n := &version{sch: v.sch, mems: v.mems, segGen: v.segGen + 1}
	n.segs = append(n.segs, v.segs...)
	for _, a := range s.adds {
		a.seg.info.CSN, a.seg.info.Base = csn, base
		n.segs = append(n.segs, a.seg)
	}
	// The memtable holds the log back until a flush puts the files in the manifest.
	s.m.touch(csn)
	t.swap(n, 0)
	s.p.adds = nil // theirs now
}

// ReplaySides is Replay for a commit with side files.
func (t *Tablet) ReplaySides(chunks []storage.Chunk, sides []Side, base uint64, csn storage.CSN) error {
	p, err := t.prepareSides(context.Background(), t.numbered(chunks, base), sides, true)
	if err != nil {
		return err
	}
	defer p.Release()
	return p.replayAt(base, csn)
}
