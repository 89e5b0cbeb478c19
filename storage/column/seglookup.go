package column

import (
	"slices"
	"sort"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// segLookup finds keys in segments, with memory that is kept from one segment and
// batch to the next.
type segLookup struct {
	scratch *encoding.Scratch
	seg     *segFile
	keyCols []*segment.ColReader
	csn     *segment.ColReader
	vecs    []*vec.Vec
	csnVec  vec.Vec
	oneCSN  uint64               // of all rows of the vector, 0: see csnVec
	readers []*segment.ColReader // of which keyCols and csn are made

	want   []uint32 // keys that may be there
	cands  []candidate
	sel    []uint16
	sorted []uint32
	order  []uint64

	prober segment.Prober
	probes []segment.Probe
	sure   []candidate // that have the key
	rows   []uint32    // of those
	csns   []int64
	taken  int // keys that were found since
}

// candidate is a row that may have a key.
type candidate struct{ row, key uint32 }

func (l *segLookup) bind(s *segFile, keys int) bool {
	if l.seg == s {
		return len(l.keyCols) == keys
	}
	if l.scratch == nil {
		l.scratch = new(encoding.Scratch)
	}
	l.seg, l.keyCols, l.csn, l.oneCSN = s, l.keyCols[:0], nil, 0
	for len(l.readers) < len(s.r.Key())+1 {
		l.readers = append(l.readers, new(segment.ColReader))
	}
	for i, id := range s.r.Key() {
		if !s.r.ColumnInto(l.readers[i], id, l.scratch) {
			return false
		}
		l.keyCols = append(l.keyCols, l.readers[i])
	}
	for len(l.vecs) < len(l.keyCols) {
		l.vecs = append(l.vecs, new(vec.Vec))
	}
	if k := len(l.keyCols); s.info.CSN == 0 && s.r.ColumnInto(l.readers[k], csnColumnID, l.scratch) {
		l.csn = l.readers[k]
	}
	return len(l.keyCols) == keys
}

// release forgets the segment and keeps the memory.
func (l *segLookup) release() {
	clear(l.keyCols)
	for _, c := range l.readers {
		c.Release()
	}
	l.seg, l.keyCols, l.csn = nil, l.keyCols[:0], nil
	clear(l.probes)
	l.prober.Release()
}

// find fills out for the keys of todo that have a visible row in the segment, and
// returns those that have none, in todo's memory. filter says whether the segment's
// key filter is worth a look.
func (l *segLookup) find(s *segFile, ks *keySet, todo []uint32, at storage.CSN, out []place, filter bool) ([]uint32, error) {
	if at != latest && s.csnMin() > uint64(at) || !l.bind(s, len(ks.cols)) {
		return todo, nil
	}
	err := s.guard(func() error { return l.search(s, ks, todo, at, out, filter) })
	if err != nil {
		return nil, err
	}
	rest := todo[:0]
	for _, k := range todo {
		if out[k].seg != s {
			rest = append(rest, k)
		}
	}
	return rest, nil
}

func (l *segLookup) search(s *segFile, ks *keySet, todo []uint32, at storage.CSN, out []place, filter bool) error {
	if s.shifted() && s.isRowID() {
		ks = l.stored(s, ks)
	}
	l.prune(s, ks, todo)
	if filter && len(l.want) > 0 && s.keyed {
		if err := l.sift(s, ks); err != nil {
			return err
		}
	}
	if len(l.want) == 0 {
		return nil
	}
	switch {
	case s.r.HasKeyIndex():
		l.probes = l.probes[:0]
		for _, k := range l.want {
			l.probes = append(l.probes, segment.Probe{Reader: s.r, Hash: ks.hash[k]})
		}
		found, err := l.prober.Find(l.probes)
		if err != nil {
			return err
		}
		return l.settle(s, ks, found, l.want, at, out)
	case s.sorted:
		return l.searchSorted(s, ks, at, out)
	}
	return l.searchAll(s, ks, at, out)
}

// settle takes the rows that probes of the segment found, if they have the keys and are
// visible; keys has that of each probe.
func (l *segLookup) settle(s *segFile, ks *keySet, found []segment.Found, keys []uint32, at storage.CSN, out []place) error {
	ints := ks.ints != nil && len(l.keyCols) == 1 && l.keyCols[0].T().Layout == ks.cols[0].T.Layout
	l.cands, l.sure, l.rows = l.cands[:0], l.sure[:0], l.rows[:0]
	for i := range found {
		f := &found[i]
		switch k := keys[f.Probe]; {
		case out[k].found(): // in a newer segment
		case !ints || !f.Known:
			l.cands = append(l.cands, candidate{f.Row, k})
		case f.Int == ks.ints[k]:
			l.sure = append(l.sure, candidate{f.Row, k})
			l.rows = append(l.rows, f.Row)
		}
	}
	if len(l.sure) > 0 {
		s.del.Load().touch(l.rows)
		if err := l.commits(s); err != nil {
			return err
		}
		for i, c := range l.sure {
			l.take(s, c, uint64(l.csns[i]), at, out)
		}
	}
	return l.compare(s, ks, at, out)
}

// compare looks at the candidates' keys.
func (l *segLookup) compare(s *segFile, ks *keySet, at storage.CSN, out []place) (err error) {
	l.sortCands()
	touched := 0 // of cands
	for i := 0; i < len(l.cands); {
		vi := l.cands[i].row / vec.Size
		if i >= touched {
			if touched, err = l.touch(i); err != nil {
				return err
			}
		}
		l.sel = l.sel[:0]
		j := i
		for ; j < len(l.cands) && l.cands[j].row/vec.Size == vi; j++ {
			if r := uint16(l.cands[j].row % vec.Size); len(l.sel) == 0 || l.sel[len(l.sel)-1] != r {
				l.sel = append(l.sel, r)
			}
		}
		if err := l.verify(s, ks, int(vi), l.cands[i:j], at, out); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// sortCands sorts by row: as numbers, which is much faster than by a function.
func (l *segLookup) sortCands() {
	l.order = l.order[:0]
	for _, c := range l.cands {
		l.order = append(l.order, uint64(c.row)<<32|uint64(c.key))
	}
	slices.Sort(l.order)
	for i, x := range l.order {
		l.cands[i] = candidate{uint32(x >> 32), uint32(x)}
	}
}

// touch loads the keys of the candidates from i on that are in i's block, and says where
// the next block begins.
func (l *segLookup) touch(i int) (int, error) {
	block := l.cands[i].row / vec.BlockRows
	l.sel = l.sel[:0]
	for ; i < len(l.cands) && l.cands[i].row/vec.BlockRows == block; i++ {
		l.sel = append(l.sel, uint16(l.cands[i].row%vec.BlockRows))
	}
	if len(l.sel) < touchRows {
		return i, nil
	}
	for _, c := range l.keyCols {
		if err := c.Touch(int(block), l.sel); err != nil {
			return i, err
		}
	}
	return i, nil
}

func (s *segFile) isRowID() bool {
	k := s.r.Key()
	return len(k) == 1 && k[0] == rowIDColumnID
}

// stored is the set with row ids as the file has them.
func (l *segLookup) stored(s *segFile, ks *keySet) *keySet {
	v := vec.New(types.Int8, ks.n)
	for i, x := range ks.ints {
		v.I64[i] = s.storedID(x)
	}
	v.N = ks.n
	st := new(keySet)
	st.set([]*vec.Vec{v}, ks.n)
	return st
}

// prune keeps in want the keys whose first column lies within the zone.
func (l *segLookup) prune(s *segFile, ks *keySet, todo []uint32) {
	l.want = l.want[:0]
	z := l.keyCols[0].Total()
	c := ks.cols[0]
	if !z.Min.Valid || !z.Max.Valid {
		l.want = append(l.want, todo...)
		return
	}
	switch {
	case intLayout(c.T) && !vec.Unsigned32(c.T.OID) || c.T.Layout == types.LayoutI64 || c.T.Layout == types.LayoutI16:
		src := c.Source()
		for _, k := range todo {
			if x := intAt(src, c.Index(int(k))); x >= z.Min.I && x <= z.Max.I {
				l.want = append(l.want, k)
			}
		}
	case c.T.Layout == types.LayoutView && ordered(c.T):
		for _, k := range todo {
			src := c.Source()
			d := types.Datum{Valid: true, S: src.String(c.Index(int(k)))}
			if compareOrdered(c.T, d, z.Min) >= 0 && compareOrdered(c.T, d, z.Max) <= 0 {
				l.want = append(l.want, k)
			}
		}
	default:
		l.want = append(l.want, todo...)
	}
}

// sift drops from want the keys that the segment's filter knows not to be there.
func (l *segLookup) sift(s *segFile, ks *keySet) error {
	f, ok, err := s.r.KeyFilter()
	if err != nil || !ok {
		return err
	}
	n := 0
	for _, k := range l.want {
		l.want[n] = k
		if f.Has(ks.hash[k]) {
			n++
		}
	}
	l.want = l.want[:n]
	return nil
}

// verify checks the candidates of one vector, whose rows are in sel: visible
// first, then by key.
func (l *segLookup) verify(s *segFile, ks *keySet, vi int, cands []candidate, at storage.CSN, out []place) error {
	for i, c := range l.keyCols {
		if err := c.Gather(vi, l.sel, l.vecs[i]); err != nil {
			return err
		}
	}
	if l.csn != nil {
		// Most blocks of settled files have one commit, as their zone says.
		l.oneCSN = 0
		if z := l.csn.Zone(vi * vec.Size / vec.BlockRows); z.Min.I == z.Max.I {
			l.oneCSN = uint64(z.Min.I)
		} else if err := l.csn.Gather(vi, l.sel, &l.csnVec); err != nil {
			return err
		}
	}
	p := 0
	for _, c := range cands {
		for uint32(l.sel[p]) != c.row%vec.Size {
			p++
		}
		if ks.equal(int(c.key), l.vecs, p) {
			l.accept(s, c, p, at, out)
		}
	}
	return nil
}

// commits writes the commits of rows to csns.
func (l *segLookup) commits(s *segFile) error {
	l.csns = slices.Grow(l.csns[:0], len(l.rows))[:len(l.rows)]
	some := false
	for i, row := range l.rows {
		l.csns[i] = int64(s.info.CSN)
		if l.csn != nil {
			var ok bool
			// Most blocks of settled files have one commit, as their zone says.
			if l.csns[i], ok = l.csn.Same(int(row / vec.BlockRows)); !ok {
				some = true
			}
		}
	}
	if !some {
		return nil
	}
	if ok, err := s.r.CommitsOf(l.csns, l.rows); ok || err != nil {
		return err
	}
	for i, row := range l.rows {
		if err := l.csn.Gather(int(row/vec.Size), []uint16{uint16(row % vec.Size)}, &l.csnVec); err != nil {
			return err
		}
		l.csns[i] = l.csnVec.I64[l.csnVec.Index(0)]
	}
	return nil
}

// accept takes a row with the right key if it is visible; p is its place in csnVec.
func (l *segLookup) accept(s *segFile, c candidate, p int, at storage.CSN, out []place) {
	csn := uint64(s.info.CSN)
	switch {
	case l.oneCSN != 0:
		csn = l.oneCSN
	case l.csn != nil:
		csn = uint64(l.csnVec.I64[l.csnVec.Index(p)])
	}
	l.take(s, c, csn, at, out)
}

// take is accept of a row of this commit.
func (l *segLookup) take(s *segFile, c candidate, csn uint64, at storage.CSN, out []place) {
	if csn > uint64(at) {
		return
	}
	d := s.del.Load()
	death, masks := d.deathOf(c.row), d.masks
	switch {
	case death == 0:
	case death <= uint64(at):
		return
	default:
		masks = 0
	}
	if !out[c.key].found() {
		l.taken++
	}
	out[c.key] = place{seg: s, row: c.row, masks: masks, csn: csn}
}

// fence has the first key of each vector of a segment that is sorted by key.
func (s *segFile) fence() ([]*vec.Vec, error) {
	s.fenceOnce.Do(func() {
		scratch := new(encoding.Scratch)
		for _, id := range s.r.Key() {
			c, ok := s.r.ColumnOn(id, scratch)
			if !ok {
				return
			}
			f := vec.New(c.T(), s.r.Vectors())
			var v vec.Vec
			for vi := 0; vi < s.r.Vectors(); vi++ {
				if s.fenceErr = c.Gather(vi, []uint16{0}, &v); s.fenceErr != nil {
					return
				}
				f.Copy(&v, nil, 1)
			}
			s.fences = append(s.fences, f)
		}
	})
	return s.fences, s.fenceErr
}

// compareKeys orders key k of a set against row i of other columns.
func (s *keySet) compareKeys(k int, cols []*vec.Vec, i int) int {
	if s.ints != nil {
		x, y := s.ints[k], intAt(cols[0].Source(), cols[0].Index(i))
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	for c, v := range s.cols {
		if d := compareAt(v, k, cols[c], i); d != 0 {
			return d
		}
	}
	return 0
}

// compareAt orders two values that are not null.
func compareAt(a *vec.Vec, i int, b *vec.Vec, j int) int {
	i, j = a.Index(i), b.Index(j)
	a, b = a.Source(), b.Source()
	switch a.T.Layout {
	case types.LayoutView:
		return segment.Compare(a.T, types.Datum{Valid: true, S: a.String(i)}, types.Datum{Valid: true, S: b.String(j)})
	case types.LayoutI16, types.LayoutI64:
		x, y := intAt(a, i), intAt(b, j)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	x, y := *a, *b
	x.Valid, y.Valid, x.Form, y.Form = nil, nil, vec.Flat, vec.Flat
	return segment.Compare(a.T, x.Datum(i), y.Datum(j))
}

// searchSorted finds the wanted keys in a segment sorted by key: by the vectors'
// first keys, then within the decoded vector.
func (l *segLookup) searchSorted(s *segFile, ks *keySet, at storage.CSN, out []place) error {
	fences, err := s.fence()
	if err != nil || len(fences) == 0 {
		return err
	}
	n := s.r.Vectors()
	// (vector, key) pairs; a key equal to a fence may also end the vector before.
	l.cands = l.cands[:0]
	for _, k := range l.want {
		vi := sort.Search(n, func(i int) bool { return ks.compareKeys(int(k), fences, i) <= 0 })
		if vi > 0 {
			l.cands = append(l.cands, candidate{uint32(vi - 1), k})
		}
		for ; vi < n && ks.compareKeys(int(k), fences, vi) == 0; vi++ {
			l.cands = append(l.cands, candidate{uint32(vi), k})
		}
	}
	l.sortCands()
	for i := 0; i < len(l.cands); {
		vi := l.cands[i].row
		if err := l.load(int(vi)); err != nil {
			return err
		}
		rows := s.r.VectorRows(int(vi))
		for ; i < len(l.cands) && l.cands[i].row == vi; i++ {
			k := l.cands[i].key
			p := sort.Search(rows, func(p int) bool { return ks.compareKeys(int(k), l.vecs, p) <= 0 })
			for ; p < rows && ks.compareKeys(int(k), l.vecs, p) == 0; p++ {
				l.accept(s, candidate{vi*vec.Size + uint32(p), k}, p, at, out)
			}
		}
	}
	return nil
}

// load decodes key columns and commits of a vector.
func (l *segLookup) load(vi int) error {
	for c, col := range l.keyCols {
		if err := col.Vector(vi, l.vecs[c]); err != nil {
			return err
		}
	}
	if l.csn != nil {
		l.oneCSN = 0
		return l.csn.Vector(vi, &l.csnVec)
	}
	return nil
}

// searchAll finds row ids in a segment that reorders them: blocks whose zone has
// none of the wanted ids are left out, others read through.
func (l *segLookup) searchAll(s *segFile, ks *keySet, at storage.CSN, out []place) error {
	if ks.ints == nil {
		return nil
	}
	l.sorted = append(l.sorted[:0], l.want...)
	slices.SortFunc(l.sorted, func(a, b uint32) int {
		switch x, y := ks.ints[a], ks.ints[b]; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	key := func(i int) int64 { return ks.ints[l.sorted[i]] }
	for b := 0; b < s.r.Blocks(); b++ {
		z := l.keyCols[0].Zone(b)
		from := sort.Search(len(l.sorted), func(i int) bool { return key(i) >= z.Min.I })
		to := sort.Search(len(l.sorted), func(i int) bool { return key(i) > z.Max.I })
		if from == to {
			continue
		}
		lo, hi := key(from), key(to-1)
		for v := b * (vec.BlockRows / vec.Size); v < s.r.Vectors() && v < (b+1)*(vec.BlockRows/vec.Size); v++ {
			if err := l.keyCols[0].Vector(v, l.vecs[0]); err != nil {
				return err
			}
			ids, loaded := l.vecs[0], false
			for p := 0; p < ids.N; p++ {
				x := ids.I64[ids.Index(p)]
				if x < lo || x > hi {
					continue
				}
				i := from + sort.Search(to-from, func(i int) bool { return key(from+i) >= x })
				for ; i < to && key(i) == x; i++ {
					if !loaded && l.csn != nil {
						l.oneCSN = 0
						if err := l.csn.Vector(v, &l.csnVec); err != nil {
							return err
						}
						loaded = true
					}
					l.accept(s, candidate{uint32(v*vec.Size + p), l.sorted[i]}, p, at, out)
				}
			}
		}
	}
	return nil
}
