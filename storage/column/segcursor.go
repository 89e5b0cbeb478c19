package column

import (
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// gatherShare: of vectors of which at most 1/gatherShare is left, the rows are
// decoded one by one into a dense batch.
const gatherShare = 8

// touchRows: from so many rows of a block on, what is read of them is loaded at once
// before it is decoded row by row.
const touchRows = 4

var scratches = sync.Pool{New: func() any { return new(encoding.Scratch) }}

// segCursor reads a segment, one block after another.
type segCursor struct {
	seg     *segFile
	block   int
	cols    []segColumn
	preds   []segPred
	pruned  []segPred
	csn     *segment.ColReader
	pv      vec.Vec
	scratch *encoding.Scratch
	own     []*segment.ColReader // memory of the readers of cols and, last, csn
	// of the block
	skip     bool
	checkCSN bool
	step     func() error
	n, at    int
	rows     int
}

// segColumn is one of the reader's columns in a segment: a column of the file, or
// a constant.
type segColumn struct {
	c     *segment.ColReader
	konst *vec.Vec
	shift int32 // its id, when what is stored is to be shifted; else 0
}

// segPred is a predicate as a segment applies it: on encoded values where all of
// enc can say, else on the decoded vector.
type segPred struct {
	p     *predState
	c     *segment.ColReader
	shift int32
	enc   []*segment.Pred
	skip  bool // holds for the whole block
}

func (s *segCursor) close() {
	if s.scratch != nil {
		scratches.Put(s.scratch)
	}
	*s = segCursor{}
}

// forget drops what the cursor is bound to.
func (s *segCursor) forget() {
	clear(s.cols)
	clear(s.preds)
	clear(s.pruned)
	for _, c := range s.own {
		c.Release()
	}
	s.seg, s.csn, s.cols, s.preds, s.pruned = nil, nil, s.cols[:0], s.preds[:0], s.pruned[:0]
}

// reader makes the i-th of the cursor's own readers one of a column of the segment.
func (s *segCursor) reader(i int, id int32) (*segment.ColReader, bool) {
	for len(s.own) <= i {
		s.own = append(s.own, new(segment.ColReader))
	}
	return s.own[i], s.seg.r.ColumnInto(s.own[i], id, s.scratch)
}

// open binds the reader to a block.
func (s *segCursor) open(r *Reader, block int) error {
	if s.seg != r.p.seg {
		s.bind(r)
	}
	s.block = block
	s.checkCSN = s.seg.blockCSNMax(block) > uint64(r.p.at)
	s.skip = false
	if len(s.pruned) != len(r.pruned) {
		s.bindPruned(r)
	}
	for i := range s.preds {
		s.zone(&s.preds[i], block)
	}
	for i := range s.pruned {
		s.zone(&s.pruned[i], block)
	}
	return nil
}

// zone asks the block's zone map.
func (s *segCursor) zone(p *segPred, block int) {
	p.skip = false
	if p.c == nil {
		// The column is missing: its constant decides.
		if p.p.kind == predNever {
			s.skip = true
		}
		return
	}
	z := p.c.Zone(block)
	if p.shift != 0 {
		z = s.seg.shiftZone(p.shift, z)
	}
	lo, hi, nulls, values := zoneBounds(z)
	if !p.p.mayMatch(lo, hi, nulls, values) {
		s.skip = true
		return
	}
	if len(p.enc) == 0 || p.shift != 0 {
		return
	}
	p.skip = true
	for _, e := range p.enc {
		p.skip = p.skip && z.Covers(p.c.T(), e)
	}
}

func (s *segCursor) bind(r *Reader) {
	if s.scratch == nil {
		s.scratch = scratches.Get().(*encoding.Scratch)
	}
	seg := r.p.seg
	s.seg = seg
	s.cols = s.cols[:0]
	for i, col := range r.cols {
		s.cols = append(s.cols, s.column(r, col, i))
	}
	s.preds = s.preds[:0]
	for _, p := range r.preds {
		s.preds = append(s.preds, s.pred(r, p))
	}
	s.bindPruned(r)
	s.csn = nil
	if seg.info.CSN == 0 {
		if c, ok := s.reader(len(r.cols), csnColumnID); ok {
			s.csn = c
		}
	}
	if s.step == nil {
		s.step = func() (err error) {
			s.rows, err = s.vector(r, s.at, s.n)
			return err
		}
	}
}

func (s *segCursor) bindPruned(r *Reader) {
	s.pruned = s.pruned[:0]
	for _, p := range r.pruned {
		for _, q := range [...]*predState{p.lo, p.hi} {
			if q != nil {
				s.pruned = append(s.pruned, s.pred(r, q))
			}
		}
	}
}

// column finds a column of the table in the segment, with the i-th of the cursor's own
// readers, or a new one when i is below 0.
func (s *segCursor) column(r *Reader, col, i int) segColumn {
	switch {
	case col == catalog.ColCSN && r.p.own:
		return segColumn{konst: constVec(types.Int8, types.NewInt(0))}
	case col == catalog.ColCSN && s.seg.info.CSN != 0:
		return segColumn{konst: constVec(types.Int8, types.NewInt(int64(s.seg.info.CSN)))}
	}
	id := r.s.id(col)
	var c *segment.ColReader
	var ok bool
	if i >= 0 {
		c, ok = s.reader(i, id)
	} else {
		c, ok = s.seg.r.ColumnOn(id, s.scratch)
	}
	switch {
	case !ok:
		return segColumn{konst: constVec(r.s.columnType(col), r.s.missing(col))}
	case !s.seg.shifts(id):
		return segColumn{c: c}
	case id == logTimeID:
		return segColumn{konst: constVec(types.Int8, types.NewInt(s.seg.info.Time))}
	}
	return segColumn{c: c, shift: id}
}

func (s *segCursor) pred(r *Reader, p *predState) segPred {
	k := s.column(r, p.col, -1)
	sp := segPred{p: p, c: k.c, shift: k.shift}
	if k.c == nil {
		var bit [1]uint64
		k.konst.N = 1
		p.eval(k.konst, bit[:])
		if bit[0]&1 == 0 {
			sp.p = newPredState(pred{col: p.col, t: p.t, kind: predNever})
		}
		return sp
	}
	if k.shift == 0 {
		sp.enc = p.encoded(k.c.T())
	}
	return sp
}

// encoded is p as predicates that segments apply; nil when they cannot.
func (p *predState) encoded(t types.T) []*segment.Pred {
	switch p.kind {
	case predNull, predNotNull:
		return []*segment.Pred{encoding.NullPred(t, p.kind == predNull)}
	}
	if !segment.Ordered(t) {
		return nil
	}
	switch p.kind {
	case predCmp:
		return []*segment.Pred{encoding.ComparePred(t, p.op, p.value)}
	case predRange:
		ps := []*segment.Pred{encoding.ComparePred(t, kernel.GE, p.value)}
		if p.hi.Valid {
			ps = append(ps, encoding.ComparePred(t, kernel.LT, p.hi))
		}
		return ps
	case predIn:
		if !p.not {
			return []*segment.Pred{encoding.InPred(t, p.list)}
		}
	}
	return nil
}

// next filters rows at..at+n, one vector, and makes the batch.
func (s *segCursor) next(r *Reader, at, n int) (int, error) {
	if s.skip {
		r.pos = r.end
		return 0, nil
	}
	if len(s.pruned) == 0 && len(r.pruned) > 0 || len(r.pruned) > 0 && s.stale(r) {
		s.bindPruned(r)
		for i := range s.pruned {
			s.zone(&s.pruned[i], s.block)
		}
		if s.skip {
			r.pos = r.end
			return 0, nil
		}
	}
	s.at, s.n = at, n
	err := s.seg.guard(s.step)
	return s.rows, err
}

// stale says whether the reader's runtime filters changed.
func (s *segCursor) stale(r *Reader) bool {
	i := 0
	for _, p := range r.pruned {
		for _, q := range [...]*predState{p.lo, p.hi} {
			if q == nil {
				continue
			}
			if i >= len(s.pruned) || s.pruned[i].p != q && s.pruned[i].p.kind != predNever {
				return true
			}
			i++
		}
	}
	return i != len(s.pruned)
}

func (s *segCursor) vector(r *Reader, at, n int) (int, error) {
	vi, words := at/vec.Size, vec.Words(n)
	all := true
	kernel.Ones(r.bits[:], n)
	if b := r.p.deadMask().block(s.block); b != nil {
		kernel.AndNot(r.bits[:words], b[at%vec.BlockRows>>6:])
		all = false
	}
	if s.checkCSN {
		if s.csn == nil {
			return 0, nil // one commit, not visible
		}
		if err := s.csn.Filter(vi, encoding.ComparePred(types.Int8, kernel.LE, types.NewInt(int64(r.p.at))), r.bits[:words]); err != nil {
			return 0, err
		}
		all = false
	}
	for _, ps := range [...][]segPred{s.preds, s.pruned} {
		for i := range ps {
			p := &ps[i]
			if p.skip || p.c == nil {
				continue
			}
			all = false
			if err := s.test(r, p, vi, n, words); err != nil {
				return 0, err
			}
			if !kernel.Any(r.bits[:], n) {
				return 0, nil
			}
		}
	}
	rows := r.finish(n, all)
	if rows == 0 {
		return 0, nil
	}
	dense := r.out.Sel != nil && rows*gatherShare <= n
	if dense {
		r.out.Sel, r.out.N = nil, rows
	}
	for i := range s.cols {
		c := &s.cols[i]
		if c.konst != nil {
			c.konst.N = r.out.N
			r.out.Cols[i] = c.konst
			continue
		}
		v := &r.vecs[i]
		r.out.Cols[i] = v
		var err error
		if dense {
			err = c.c.Gather(vi, r.sel[:rows], v)
		} else {
			err = c.c.Vector(vi, v)
		}
		if err != nil {
			return 0, err
		}
		if c.shift != 0 {
			s.seg.shift(c.shift, v)
		}
	}
	return rows, nil
}

// test clears the bits of rows for which p does not hold.
func (s *segCursor) test(r *Reader, p *segPred, vi, n, words int) error {
	if len(p.enc) > 0 {
		for _, e := range p.enc {
			if err := p.c.Filter(vi, e, r.bits[:words]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := p.c.Vector(vi, &s.pv); err != nil {
		return err
	}
	if p.shift != 0 {
		s.seg.shift(p.shift, &s.pv)
	}
	p.p.eval(&s.pv, r.tmp[:])
	kernel.And(r.bits[:words], r.tmp[:])
	return nil
}

// gather appends the listed rows of the block that is open to out, visible or not.
func (s *segCursor) gather(r *Reader, sel []uint16, out *vec.Batch) error {
	return s.seg.guard(func() error {
		first := s.block * (vec.BlockRows / vec.Size)
		var in [vec.Size]uint16
		// One column after the other: what a vector of it needs stays at hand for the
		// next one.
		for i := range s.cols {
			c, to := &s.cols[i], out.Cols[i]
			if c.konst != nil {
				c.konst.N = len(sel)
				to.Copy(c.konst, nil, len(sel))
				continue
			}
			if len(sel) >= touchRows {
				if err := c.c.Touch(s.block, sel); err != nil {
					return err
				}
			}
			v := &r.vecs[i]
			for k := 0; k < len(sel); {
				vi, n := sel[k]/vec.Size, 0
				for ; k < len(sel) && sel[k]/vec.Size == vi; k++ {
					in[n] = sel[k] % vec.Size
					n++
				}
				if err := c.c.Gather(first+int(vi), in[:n], v); err != nil {
					return err
				}
				if c.shift != 0 {
					s.seg.shift(c.shift, v)
				}
				to.Copy(v, nil, n)
			}
		}
		out.N += len(sel)
		return nil
	})
}
