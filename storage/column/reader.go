package column

import (
	"sync"
	"unsafe"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

const vecWords = vec.Size / 64

// Reader scans splits of a snapshot. It implements storage.Reader. Filter columns
// are read first; other columns only of vectors where rows are left.
type Reader struct {
	s      *Snapshot
	cols   []int
	preds  []*predState
	pruned []prunedCol

	out   vec.Batch
	vecs  []vec.Vec // own memory, for what segments decode into
	wins  []vec.Vec // windows on memtables; never written through
	words [][2 * vecWords]uint64
	bits  [vecWords]uint64
	tmp   [vecWords]uint64
	sel   [vec.Size + 64]uint16

	p        *part
	pos, end int // rows of the part
	mem      memCursor
	seg      segCursor
}

// prunedCol is a runtime filter on column i of cols.
type prunedCol struct {
	i      int
	lo, hi *predState // nil: open
}

// Reader makes a reader for one worker.
func (s *Snapshot) Reader(spec *catalog.ScanSpec) (storage.Reader, error) {
	r, err := s.reader(spec.Cols, compileFilter(spec.Filter))
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s *Snapshot) reader(cols []int, preds []pred) (*Reader, error) {
	if err := s.checkSpec(&catalog.ScanSpec{Cols: cols}); err != nil {
		return nil, err
	}
	r := new(Reader)
	r.reset(s, cols)
	for _, p := range preds {
		r.preds = append(r.preds, newPredState(p))
	}
	return r, nil
}

// reset makes r a reader of these columns, without filter, in the memory it has.
func (r *Reader) reset(s *Snapshot, cols []int) {
	r.s, r.cols, r.p, r.preds, r.pruned = s, cols, nil, r.preds[:0], r.pruned[:0]
	if n := len(cols); cap(r.vecs) < n {
		r.vecs, r.wins, r.words = make([]vec.Vec, n), make([]vec.Vec, n), make([][2 * vecWords]uint64, n)
		r.out.Cols = make([]*vec.Vec, n)
	}
	r.vecs, r.wins, r.words, r.out.Cols = r.vecs[:len(cols)], r.wins[:len(cols)], r.words[:len(cols)], r.out.Cols[:len(cols)]
	for i := range r.vecs {
		r.out.Cols[i] = &r.vecs[i]
	}
}

// readers are for lookups, which are short.
var readers = sync.Pool{New: func() any { return new(Reader) }}

// free gives a reader back to the pool: it forgets what it read and keeps its
// memory.
func (r *Reader) free() {
	r.s, r.p, r.cols = nil, nil, nil
	clear(r.wins)
	clear(r.out.Cols)
	r.mem.forget()
	r.seg.forget()
	readers.Put(r)
}

// Open positions the reader at a split.
func (r *Reader) Open(split storage.Split) error {
	if split.Part >= len(r.s.parts) {
		return sqlstate.Errorf(sqlstate.InternalError, "split of another snapshot")
	}
	r.s.t.cfg.Scans.note()
	r.p = r.s.parts[split.Part]
	r.pos = split.Block * vec.BlockRows
	r.end = min(r.pos+vec.BlockRows, int(r.p.rows))
	if r.p.mem != nil {
		r.mem.open(r)
		return nil
	}
	return r.seg.open(r, split.Block)
}

// Next is the next batch with rows, nil at the end of the split.
func (r *Reader) Next() (*vec.Batch, error) {
	for r.pos < r.end {
		at, n := r.pos, min(vec.Size, r.end-r.pos)
		r.pos += n
		var rows int
		var err error
		if r.p.mem != nil {
			rows = r.mem.next(r, at, n)
		} else {
			rows, err = r.seg.next(r, at, n)
		}
		if err != nil {
			return nil, err
		}
		if rows > 0 {
			return &r.out, nil
		}
	}
	return nil, nil
}

// finish turns the bitmap of survivors into the batch's selection and says how
// many there are.
func (r *Reader) finish(n int, all bool) int {
	r.out.N = n
	if all {
		r.out.Sel = nil
		return n
	}
	k := kernel.BitsToSel(r.bits[:], n, r.sel[:])
	if k == n {
		r.out.Sel = nil
	} else {
		r.out.Sel = r.sel[:k]
	}
	return k
}

// Prune narrows column i to [min, max] for later batches.
func (r *Reader) Prune(i int, min, max types.Datum) {
	col := r.cols[i]
	t := r.s.columnType(col)
	if col == catalog.ColCSN || !ordered(t) {
		return
	}
	p := prunedCol{i: i}
	if min.Valid {
		p.lo = newPredState(pred{col: col, t: t, op: kernel.GE, value: min})
	}
	if max.Valid {
		p.hi = newPredState(pred{col: col, t: t, op: kernel.LE, value: max})
	}
	for k := range r.pruned {
		if r.pruned[k].i == i {
			r.pruned[k] = p
			return
		}
	}
	r.pruned = append(r.pruned, p)
}

// Close releases the reader.
func (r *Reader) Close() error {
	r.p = nil
	r.seg.close()
	return nil
}

// memCursor reads a memtable.
type memCursor struct {
	cols   []int // position of each of the reader's columns in the memtable; <0: see below
	preds  []int
	consts []*vec.Vec
	pv     vec.Vec // a predicate's column
	pw     [2 * vecWords]uint64
	pconst []*vec.Vec
	skip   bool
}

// Positions of columns that a part does not store as such.
const (
	colMissing = -1
	colCSN     = -2
)

func (s *Snapshot) position(sch *schema, col int) int {
	if col == catalog.ColCSN {
		return colCSN
	}
	return sch.find(s.id(col))
}

func constVec(t types.T, d types.Datum) *vec.Vec {
	v := new(vec.Vec)
	v.SetConst(t, d, vec.Size)
	return v
}

func (m *memCursor) forget() {
	clear(m.consts)
	clear(m.pconst)
	m.pv = vec.Vec{}
}

// open binds the reader's columns to the memtable's.
func (m *memCursor) open(r *Reader) {
	sch := r.p.mem.sch
	m.cols, m.preds = m.cols[:0], m.preds[:0]
	m.consts, m.pconst = m.consts[:0], m.pconst[:0]
	bind := func(col int, at []int, consts []*vec.Vec) ([]int, []*vec.Vec) {
		k := r.s.position(sch, col)
		var c *vec.Vec
		switch {
		case k == colMissing:
			c = constVec(r.s.columnType(col), r.s.missing(col))
		case k == colCSN && r.p.own:
			c = constVec(types.Int8, types.NewInt(0))
		}
		return append(at, k), append(consts, c)
	}
	for _, c := range r.cols {
		m.cols, m.consts = bind(c, m.cols, m.consts)
	}
	for _, p := range r.preds {
		m.preds, m.pconst = bind(p.col, m.preds, m.pconst)
	}
	m.skip = false
	for _, p := range r.preds {
		m.skip = m.skip || p.kind == predNever
	}
}

// column makes dst the window of rows at..at+n of a column.
func (m *memCursor) column(dst *vec.Vec, c *chunk, pos, at, n int, words []uint64) {
	if pos == colCSN {
		dst.T, dst.Form, dst.N, dst.Valid = types.Int8, vec.Flat, n, nil
		csn := c.csn[at : at+n]
		dst.I64 = unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(csn))), n)
		return
	}
	c.cols[pos].window(dst, at, n, words)
}

// scan is column for what reads all rows: strings come as codes where that is
// possible. Rows of an overlay may be taken back and others come in their place, so
// that they get no codes.
func (m *memCursor) scan(dst *vec.Vec, p *part, c *chunk, pos, at, n int, words []uint64) {
	m.column(dst, c, pos, at, n, words)
	if n == vec.Size && dst.T.Layout == types.LayoutView && !p.own {
		p.mem.dicts[pos].encode(p.mem, &c.cols[pos], at/vec.Size, dst)
	}
}

// next filters rows at..at+n of the memtable and makes the batch.
func (m *memCursor) next(r *Reader, row, n int) int {
	mt := r.p.mem
	if m.skip {
		return 0
	}
	words := vec.Words(n)
	kernel.Ones(r.bits[:], n)
	all := true
	c, at := mt.at(uint32(row))
	if c.dead.Load() != nil || r.p.hide != nil {
		mt.clearDead(r.bits[:], uint32(row), n, uint64(r.p.at), r.p.hide)
		all = false
	}
	test := func(p *predState, pos int, k *vec.Vec) bool {
		v := k
		if v == nil {
			v = &m.pv
			m.scan(v, r.p, c, pos, at, n, m.pw[:])
		} else {
			v.N = n
		}
		p.eval(v, r.tmp[:])
		kernel.And(r.bits[:words], r.tmp[:])
		all = false
		return kernel.Any(r.bits[:], n)
	}
	for i, p := range r.preds {
		if !test(p, m.preds[i], m.pconst[i]) {
			return 0
		}
	}
	for _, pr := range r.pruned {
		for _, p := range [...]*predState{pr.lo, pr.hi} {
			if p != nil && !test(p, m.cols[pr.i], m.consts[pr.i]) {
				return 0
			}
		}
	}
	rows := r.finish(n, all)
	if rows == 0 {
		return 0
	}
	for i, pos := range m.cols {
		if k := m.consts[i]; k != nil {
			k.N = n
			r.out.Cols[i] = k
			continue
		}
		r.out.Cols[i] = &r.wins[i]
		m.scan(&r.wins[i], r.p, c, pos, at, n, r.words[i][:])
	}
	return rows
}
