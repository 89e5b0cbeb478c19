package column

import (
	"cmp"
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Get looks rows up by full key, in key order: found rows are appended to out
// (columns cols, ordinals or hidden), and the index in keys of each to idx. The
// order of found rows is not that of the keys.
func (s *Snapshot) Get(_ context.Context, keys *vec.Batch, cols []int, out *vec.Batch, idx []uint16) ([]uint16, error) {
	at, err := s.find(keys)
	if err != nil {
		return idx, err
	}
	return s.fetch(at, cols, out, idx)
}

// found is a row of a part; key is its number in the batch of keys.
type found struct {
	part, row uint32
	key       uint16
}

// Find says for each selected key in which of the snapshot's rows it is: the CSN
// of its row, or 0 when the snapshot has none (own rows of a transaction: dying).
func (s *Snapshot) Find(keys *vec.Batch, csn []storage.CSN) error {
	clear(csn[:keys.Rows()])
	ks, places, err := s.places(keys)
	if err != nil {
		return err
	}
	for i := 0; i < ks.n; i++ {
		switch {
		case places[i].found() && s.allOwn:
			csn[i] = storage.CSN(dying)
		case places[i].found():
			csn[i] = storage.CSN(max(places[i].csn, 1))
		}
	}
	return nil
}

// places finds the visible rows of keys, own ones included.
func (s *Snapshot) places(keys *vec.Batch) (*keySet, []place, error) {
	cols := keys.Cols
	n := keys.Rows()
	if keys.Sel != nil {
		flat := make([]*vec.Vec, len(cols))
		for i, c := range cols {
			flat[i] = vec.New(c.T, n)
			flat[i].Copy(c, keys.Sel, n)
		}
		cols = flat
	}
	var ks keySet
	ks.set(cols, n)
	places := make([]place, n)
	if s.own != nil {
		l := s.own.t.newLookup(s.own.v, s.own.at, everyMemtable)
		defer l.free()
		if err := l.find(&ks, places); err != nil {
			return nil, nil, err
		}
		for i := range places {
			if places[i].found() {
				places[i].csn = dying
			}
		}
	}
	l := s.t.newLookup(s.v, s.at, everyMemtable)
	defer l.free()
	base := places
	if s.own != nil {
		base = make([]place, n)
	}
	if err := l.find(&ks, base); err != nil {
		return nil, nil, err
	}
	if s.own != nil {
		for i := range base {
			if base[i].found() && !places[i].found() && !s.hidden(&base[i]) {
				places[i] = base[i]
			}
		}
	}
	return &ks, places, nil
}

// hidden says whether an overlay hides the row.
func (s *Snapshot) hidden(p *place) bool {
	for _, q := range s.parts {
		if q.hide != nil && (q.seg != nil && q.seg == p.seg || q.mem != nil && q.mem == p.mem) {
			return q.hide.has(p.row)
		}
	}
	return false
}

func (s *Snapshot) find(keys *vec.Batch) (at []found, err error) {
	_, places, err := s.places(keys)
	if err != nil {
		return nil, err
	}
	for i := range places {
		pl := &places[i]
		if !pl.found() {
			continue
		}
		for k, q := range s.parts {
			if pl.seg != nil && q.seg == pl.seg || pl.mem != nil && q.mem == pl.mem {
				at = append(at, found{uint32(k), pl.row, uint16(keys.Row(i))})
				break
			}
		}
	}
	return at, nil
}

// fetch appends the rows' columns to out, part by part in the order of their rows. The
// same row may be asked for again and again.
func (s *Snapshot) fetch(at []found, cols []int, out *vec.Batch, idx []uint16) ([]uint16, error) {
	sortFound(at)
	if err := s.checkSpec(&catalog.ScanSpec{Cols: cols}); err != nil {
		return idx, err
	}
	r := readers.Get().(*Reader)
	r.reset(s, cols)
	defer r.free()
	for i := range at {
		idx = append(idx, at[i].key)
	}
	rows, of := once(at)
	if of == nil {
		return idx, s.fetchRows(r, rows, out)
	}
	b := &vec.Batch{Cols: make([]*vec.Vec, len(out.Cols))}
	for i, v := range out.Cols {
		b.Cols[i] = vec.New(v.T, len(rows))
	}
	if err := s.fetchRows(r, rows, b); err != nil {
		return idx, err
	}
	for i, v := range b.Cols {
		out.Cols[i].Copy(v, of, b.N)
	}
	out.N += len(of)
	return idx, nil
}

// once is each row of at, which is sorted, once; of says which of them every one of at
// is. It is nil, and all is as it was, when no row is there twice.
func once(at []found) (rows []found, of []uint16) {
	same := func(i int) bool { return at[i].part == at[i-1].part && at[i].row == at[i-1].row }
	i := 1
	for i < len(at) && !same(i) {
		i++
	}
	if i >= len(at) {
		return at, nil
	}
	of = make([]uint16, len(at))
	for i := range at {
		if i == 0 || !same(i) {
			rows = append(rows, at[i])
		}
		of[i] = uint16(len(rows) - 1)
	}
	return rows, of
}

// fetchRows appends rows, sorted and no two the same.
func (s *Snapshot) fetchRows(r *Reader, at []found, out *vec.Batch) error {
	sel := make([]uint16, 0, len(at))
	for i := 0; i < len(at); {
		p := s.parts[at[i].part]
		size := uint32(vec.Size)
		if p.seg != nil {
			size = vec.BlockRows
		}
		base := at[i].row / size * size
		j := i
		for sel = sel[:0]; j < len(at) && at[j].part == at[i].part && at[j].row/size*size == base; j++ {
			sel = append(sel, uint16(at[j].row-base))
		}
		if err := r.rows(p, base, sel, out); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// sortFound sorts by part and row: as numbers, which is much faster than by a
// function.
func sortFound(at []found) {
	keys := make([]uint64, len(at))
	for i, f := range at {
		if f.part >= 1<<16 {
			slices.SortFunc(at, func(a, b found) int {
				return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.row, b.row))
			})
			return
		}
		keys[i] = uint64(f.part)<<48 | uint64(f.row)<<16 | uint64(f.key)
	}
	slices.Sort(keys)
	for i, k := range keys {
		at[i] = found{uint32(k >> 48), uint32(k >> 16), uint16(k)}
	}
}

// rows appends rows of one vector of a memtable, or of one block of a segment, to
// out, visible or not.
func (r *Reader) rows(p *part, base uint32, sel []uint16, out *vec.Batch) error {
	if p.mem != nil {
		n := int(min(p.rows-base, vec.Size))
		if r.p != p {
			r.p = p
			r.mem.open(r)
		}
		c, at := p.mem.at(base)
		for i, pos := range r.mem.cols {
			v := r.mem.consts[i]
			if v == nil {
				v = &r.wins[i]
				r.mem.column(v, c, pos, at, n, r.words[i][:])
			}
			out.Cols[i].Copy(v, sel, n)
		}
		out.N += len(sel)
		return nil
	}
	if r.p != p || r.seg.block != int(base/vec.BlockRows) {
		r.p = p
		if err := r.seg.open(r, int(base/vec.BlockRows)); err != nil {
			return err
		}
	}
	return r.seg.gather(r, sel, out)
}
