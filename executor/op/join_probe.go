package op

import (
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
)

// JoinProbe is a lane of a hash join's left side. Its output columns are columns
// OutL of the input, then columns OutR of the stored right side, or the mark.
//
// Where each left row has at most one match the left columns pass on as they are,
// under a selection; else pairs are gathered.
type JoinProbe struct {
	In   Operator
	B    *JoinBuild
	Keys []int // columns of the input
	// On is the residual condition over the pairs' columns, or nil. Where it matters
	// that it is null rather than false, Value has it and On is nil.
	On, Value *eval.Program
	// Pairs have the input's columns PairL and the stored columns PairR.
	PairL, PairR []int
	OutL, OutR   []int
	LeftTypes    []types.T // of OutL, for right rows without a match
	MarkType     types.T
	Lanes        int

	// InTypes are the types of the input's columns, for spilling.
	InTypes []types.T

	t     *joinTable // B's, or that of a partition
	split splitter
	part  int // the partition being joined, when the join spills
	read  *partReader
	load  *partLoad // of the partition's right rows
	s     joinScratch
	keys  []*vec.Vec
	in    *vec.Batch
	rows  []uint16 // of in
	state probeState

	// pairs still to come for in
	frow    []uint16
	fid     []uint32
	at      int    // index in frow
	cur     uint32 // row + 1 of the chain at frow[at], 0: take the next
	prow    []uint16
	pid     []uint32
	hit     []uint64 // rows of in that had a match
	unknown []uint64 // rows for which Value was null
	lcols   []*vec.Vec
	rcols   []*vec.Vec
	nulls   []*vec.Vec
	pair    vec.Batch
	out     vec.Batch
	sel     []uint16
	mark    vec.Vec

	tail int // right rows looked at for the last part
	done bool
}

type probeState uint8

const (
	probeNext  probeState = iota // take a batch
	probePairs                   // pairs of it remain
	probeRest                    // its rows without a match remain
	probeTail                    // right rows without a match
)

// Next implements Operator.
func (o *JoinProbe) Next() (*vec.Batch, error) {
	for {
		switch o.state {
		case probeNext:
			b, err := o.input()
			if err != nil {
				return nil, err
			}
			if b == nil {
				if o.state == probeTail {
					continue
				}
				return nil, nil
			}
			if b.Rows() == 0 {
				return empty(&o.out), nil
			}
			out, err := o.probe(b)
			if out != nil || err != nil {
				return out, err
			}
		case probePairs:
			out, err := o.pairs()
			if out != nil || err != nil {
				return out, err
			}
		case probeRest:
			o.state = probeNext
			return o.rest(), nil
		case probeTail:
			if out := o.unmatched(); out != nil {
				return out, nil
			}
			o.state = probeNext
			o.endPart()
		}
	}
}

// Close implements Operator.
func (o *JoinProbe) Close() {
	o.In.Close()
	o.read.close()
	o.read = nil
	if o.load != nil {
		o.load.close()
	}
}

// input is the next batch to probe. At the end of what a table is probed with, nil,
// and state probeTail when its rows without a match follow.
func (o *JoinProbe) input() (*vec.Batch, error) {
	spilled := o.B.spilled.Load()
	tail := o.B.marks()
	if !spilled {
		if o.done {
			return nil, nil
		}
		o.t = o.B.table
		b, err := o.In.Next()
		if b == nil && err == nil {
			o.done = true
			if tail && o.B.ended.Add(1) == int64(o.Lanes) {
				o.state, o.tail = probeTail, 0
			}
		}
		return b, err
	}
	if !o.done {
		b, err := o.In.Next()
		if err != nil {
			return nil, err
		}
		left := o.B.leftSide(o.InTypes)
		if b != nil {
			if b.Rows() == 0 {
				return b, nil
			}
			o.keys = o.keys[:0]
			for _, c := range o.Keys {
				o.keys = append(o.keys, b.Cols[c])
			}
			return empty(&o.out), left.write(&o.split, o.keys, b.Cols, b.Sel, b.N)
		}
		o.done = true
		o.part = spillParts
		if o.B.ended.Add(1) == int64(o.Lanes) {
			// The last lane joins the partitions: all rows are there now.
			o.part = -1
			if err := left.finish(); err != nil {
				return nil, err
			}
		}
	}
	for o.part < spillParts {
		if o.part >= 0 && o.t != nil {
			if o.read != nil {
				b, err := o.read.next()
				if b != nil || err != nil {
					return b, err
				}
				o.read.close()
				o.read = nil
			}
			if tail {
				o.state, o.tail = probeTail, 0
				return nil, nil
			}
			if !o.load.done && !o.B.left.none(o.part) {
				// The left rows once more, for the next rows of the right side.
				o.freeTable()
				return empty(&o.out), o.nextTable()
			}
			o.endPart()
		}
		if o.part++; o.part == spillParts {
			break
		}
		if o.B.right.none(o.part) && o.B.left.none(o.part) {
			o.t = nil
			continue
		}
		var err error
		if o.load, err = o.B.load(o.part); err != nil {
			return nil, err
		}
		return empty(&o.out), o.nextTable()
	}
	return nil, nil
}

// nextTable makes the next table of the present partition, and begins to read the left
// rows.
func (o *JoinProbe) nextTable() (err error) {
	if o.t, err = o.B.next(o.load); err != nil {
		return err
	}
	o.read, err = o.B.left.read(o.part)
	return err
}

func (o *JoinProbe) freeTable() {
	o.t.rows.Free()
	o.t.free()
	o.t = nil
}

// endPart frees a partition's table.
func (o *JoinProbe) endPart() {
	if !o.B.spilled.Load() || o.t == nil {
		return
	}
	o.freeTable()
	o.load.close()
	o.B.right.drop(o.part)
	o.B.left.drop(o.part)
}

// probe looks up a batch. It yields at once where no pairs need be made, or sets
// the state for what follows.
func (o *JoinProbe) probe(b *vec.Batch) (*vec.Batch, error) {
	t := o.t
	o.in, o.rows = b, rowsOf(b)
	o.keys = o.keys[:0]
	for _, c := range o.Keys {
		o.keys = append(o.keys, b.Cols[c])
	}
	o.frow, o.fid = t.find(o.keys, o.rows, &o.s)
	kind := o.B.spec.Kind
	dups := t.dups.Load()
	if o.B.spec.Flip && o.On == nil {
		t.markChains(o.fid)
		return empty(&o.out), nil
	}
	if o.On == nil && o.Value == nil {
		switch kind {
		case plan.Semi:
			return o.pass(o.frow), nil
		case plan.Anti:
			return o.pass(o.without(o.frow)), nil
		case plan.Mark:
			o.clearHits()
			o.setHits(o.frow)
			return o.marked(), nil
		case plan.Single:
			if dups && o.anyChain() {
				return nil, errManyRows
			}
			return o.padded(), nil
		case plan.Left:
			if !dups || !o.anyChain() {
				return o.padded(), nil
			}
		case plan.Inner, plan.Right, plan.Full:
			if !dups || !o.anyChain() {
				if kind != plan.Inner {
					t.mark(o.fid)
				}
				if kind == plan.Full && len(o.frow) < len(o.rows) {
					return o.padded(), nil
				}
				return o.single(), nil
			}
		}
	}
	o.clearHits()
	o.at, o.cur = 0, 0
	o.state = probePairs
	return nil, nil
}

// anyChain says whether a found row has another of the same key after it.
func (o *JoinProbe) anyChain() bool {
	t := o.t
	next := t.chains()
	for _, id := range o.fid {
		if t.after(next, id) != 0 {
			return true
		}
	}
	return false
}

func (o *JoinProbe) clearHits() {
	o.hit = grown(o.hit, vec.Words(o.in.N))
	clear(o.hit)
	if o.Value != nil {
		o.unknown = grown(o.unknown, vec.Words(o.in.N))
		clear(o.unknown)
	}
}

func (o *JoinProbe) setHits(rows []uint16) {
	for _, r := range rows {
		o.hit[r>>6] |= 1 << (r & 63)
	}
}

// without is the rows of the batch that are not among found, which is ascending.
// NOT IN also leaves out all rows when the right side has a null, and rows whose
// key is null unless the right side is empty.
func (o *JoinProbe) without(found []uint16) []uint16 {
	out := o.sel[:0]
	aware := o.B.spec.NullAware && o.B.notEmpty()
	if aware && o.B.hasNull() {
		o.sel = out
		return out
	}
	k := 0
	for _, r := range o.rows {
		if k < len(found) && found[k] == r {
			k++
			continue
		}
		if aware && o.keys[0].IsNull(int(r)) {
			continue
		}
		out = append(out, r)
	}
	o.sel = out
	return out
}

// outputs sets the left columns of the output to those of cols.
func (o *JoinProbe) leftCols(cols []*vec.Vec) {
	o.out.Cols = o.out.Cols[:0]
	for _, c := range o.OutL {
		o.out.Cols = append(o.out.Cols, cols[c])
	}
}

// pass yields the left columns of some rows.
func (o *JoinProbe) pass(rows []uint16) *vec.Batch {
	o.leftCols(o.in.Cols)
	o.out.N, o.out.Sel = o.in.N, selection(rows)
	return &o.out
}

func (o *JoinProbe) right(i int) *vec.Vec {
	for len(o.rcols) <= i {
		o.rcols = append(o.rcols, &vec.Vec{})
	}
	return o.rcols[i]
}

// single yields the rows found, each with its one match.
func (o *JoinProbe) single() *vec.Batch {
	o.leftCols(o.in.Cols)
	for i, c := range o.OutR {
		v := o.right(i)
		o.t.rows.Scatter(c, o.fid, o.frow, o.in.N, v)
		o.out.Cols = append(o.out.Cols, v)
	}
	o.out.N, o.out.Sel = o.in.N, selection(o.frow)
	return &o.out
}

// padded yields all rows, those that were found with their one match, the others
// with nulls.
func (o *JoinProbe) padded() *vec.Batch {
	o.leftCols(o.in.Cols)
	n := o.in.N
	for i, c := range o.OutR {
		v := o.right(i)
		if len(o.frow) == 0 {
			nullVec(v, o.t.rows.T[c], n)
		} else {
			o.t.rows.ScatterNull(c, o.fid, o.frow, n, v)
		}
		o.out.Cols = append(o.out.Cols, v)
	}
	o.out.N, o.out.Sel = n, o.in.Sel
	return &o.out
}

// marked yields all rows with the mark.
func (o *JoinProbe) marked() *vec.Batch {
	t := o.t
	n := o.in.N
	o.leftCols(o.in.Cols)
	m := &o.mark
	m.Reset(types.Bool)
	m.Grow(n)
	m.N = n
	copy(m.Bits, o.hit[:vec.Words(n)])
	if o.Value != nil {
		valid := m.TakeValid(n)
		for i := range valid {
			valid[i] = o.hit[i] | ^o.unknown[i]
		}
	} else if !o.B.spec.TwoValued && o.B.notEmpty() && len(o.keys) > 0 {
		switch key := o.keys[0]; {
		case o.B.hasNull():
			copy(m.TakeValid(n), o.hit[:vec.Words(n)])
		case key.Valid != nil && !t.nullEqual[0]:
			valid := m.TakeValid(n)
			if key.Form == vec.Const {
				copy(valid, o.hit[:vec.Words(n)]) // a null: no row was found
			} else {
				copy(valid, key.Valid[:vec.Words(n)])
			}
		}
	}
	o.out.Cols = append(o.out.Cols, m)
	o.out.N, o.out.Sel = n, o.in.Sel
	return &o.out
}

// pairs makes the next batch of pairs and yields what comes of it; nil when the
// state has changed.
func (o *JoinProbe) pairs() (*vec.Batch, error) {
	t := o.t
	kind := o.B.spec.Kind
	chains := t.dups.Load()
	next := t.chains()
	// A left row that has found its match needs no other in these kinds.
	flip := o.B.spec.Flip
	first := !flip && (kind == plan.Semi || kind == plan.Anti || kind == plan.Mark)
	var marked []uint64
	if flip {
		marked = t.matched.Slice(vec.Words(t.N))
	}
	o.prow, o.pid = o.prow[:0], o.pid[:0]
	for len(o.prow) < vec.Size {
		if o.cur == 0 {
			if o.at >= len(o.frow) {
				break
			}
			o.cur = o.fid[o.at] + 1
		}
		r := o.frow[o.at]
		if first && o.hit[r>>6]>>(r&63)&1 != 0 {
			o.cur = 0
			o.at++
			continue
		}
		if id := o.cur - 1; !flip || atomic.LoadUint64(&marked[id>>6])>>(id&63)&1 == 0 {
			o.prow = append(o.prow, r)
			o.pid = append(o.pid, id)
		}
		if chains {
			o.cur = t.after(next, o.cur-1)
		} else {
			o.cur = 0
		}
		if o.cur == 0 {
			o.at++
		}
	}
	if len(o.prow) == 0 {
		switch {
		case flip || kind == plan.Inner || kind == plan.Right:
			o.state = probeNext
		default:
			o.state = probeRest
		}
		return nil, nil
	}
	n := len(o.prow)
	p := &o.pair
	p.Cols = p.Cols[:0]
	li, ri := 0, 0
	for _, c := range o.PairL {
		v := o.left(li)
		li++
		gatherVec(v, o.in.Cols[c], o.prow)
		p.Cols = append(p.Cols, v)
	}
	for _, c := range o.PairR {
		v := o.right(ri)
		ri++
		t.rows.Gather(c, o.pid, v)
		p.Cols = append(p.Cols, v)
	}
	p.N, p.Sel = n, nil
	if o.On != nil {
		if err := o.On.Filter(p); err != nil {
			return nil, err
		}
	}
	if o.Value != nil {
		if err := o.judge(p); err != nil {
			return nil, err
		}
	}
	if p.Rows() == 0 {
		return empty(&o.out), nil
	}
	// Note the matches.
	switch {
	case kind == plan.Inner:
	case kind == plan.Right, kind == plan.Full, flip:
		ids := o.pid
		if p.Sel != nil {
			o.s.hit = grown(o.s.hit, len(p.Sel))
			for k, i := range p.Sel {
				o.s.hit[k] = o.pid[i]
			}
			ids = o.s.hit[:len(p.Sel)]
		}
		t.mark(ids)
		if flip {
			return empty(&o.out), nil
		}
		fallthrough
	default:
		for k := range p.Rows() {
			r := o.prow[p.Row(k)]
			bit := uint64(1) << (r & 63)
			if kind == plan.Single && o.hit[r>>6]&bit != 0 {
				return nil, errManyRows
			}
			o.hit[r>>6] |= bit
		}
	}
	if first {
		return empty(&o.out), nil
	}
	o.out.Cols = o.out.Cols[:0]
	for _, c := range o.OutL {
		o.out.Cols = append(o.out.Cols, p.Cols[indexOf(o.PairL, c)])
	}
	for _, c := range o.OutR {
		o.out.Cols = append(o.out.Cols, p.Cols[len(o.PairL)+indexOf(o.PairR, c)])
	}
	o.out.N, o.out.Sel = p.N, p.Sel
	return &o.out, nil
}

// judge selects the pairs for which Value is true, and notes the rows for which it
// is null.
func (o *JoinProbe) judge(p *vec.Batch) error {
	v, err := o.Value.Eval(p)
	if err != nil {
		return err
	}
	sel := o.sel[:0]
	for k, r := range o.prow {
		switch {
		case v.IsNull(k):
			o.unknown[r>>6] |= 1 << (r & 63)
		case vec.Bit(v.Bits, v.Index(k)):
			sel = append(sel, uint16(k))
		}
	}
	o.sel = sel
	p.Sel = selection(sel)
	return nil
}

func (o *JoinProbe) left(i int) *vec.Vec {
	for len(o.lcols) <= i {
		o.lcols = append(o.lcols, &vec.Vec{})
	}
	return o.lcols[i]
}

func indexOf(s []int, x int) int {
	for i, y := range s {
		if y == x {
			return i
		}
	}
	panic("op: column is not among the pairs'")
}

// rest yields what is left of the batch after its pairs: the rows with a match, or
// those without, or all with their marks.
func (o *JoinProbe) rest() *vec.Batch {
	kind := o.B.spec.Kind
	if kind == plan.Mark {
		return o.marked()
	}
	want := kind == plan.Semi
	out := o.sel[:0]
	for _, r := range o.rows {
		if o.Value != nil && o.unknown[r>>6]>>(r&63)&1 != 0 {
			continue // NOT IN: neither in nor surely not in
		}
		if (o.hit[r>>6]>>(r&63)&1 != 0) == want {
			out = append(out, r)
		}
	}
	o.sel = out
	if kind == plan.Semi || kind == plan.Anti {
		return o.pass(out)
	}
	o.leftCols(o.in.Cols)
	for i, c := range o.OutR {
		v := o.null(i)
		nullVec(v, o.B.spec.Build[c], o.in.N)
		o.out.Cols = append(o.out.Cols, v)
	}
	o.out.N, o.out.Sel = o.in.N, selection(out)
	return &o.out
}

func (o *JoinProbe) null(i int) *vec.Vec {
	for len(o.nulls) <= i {
		o.nulls = append(o.nulls, &vec.Vec{})
	}
	return o.nulls[i]
}

// unmatched yields the right rows that met no match (for flipped semi joins, those
// that did), nil at their end.
func (o *JoinProbe) unmatched() *vec.Batch {
	t := o.t
	w := t.matched.Slice(vec.Words(t.N))
	want, skip := false, ^uint64(0)
	if o.B.spec.Flip && o.B.spec.Kind == plan.Semi {
		want, skip = true, 0
	}
	o.pid = o.pid[:0]
	for o.tail < t.N && len(o.pid) < vec.Size {
		if o.tail&63 == 0 && w[o.tail>>6] == skip {
			o.tail += 64
			continue
		}
		if vec.Bit(w, o.tail) == want {
			o.pid = append(o.pid, uint32(o.tail))
		}
		o.tail++
	}
	if len(o.pid) == 0 {
		return nil
	}
	n := len(o.pid)
	o.out.Cols = o.out.Cols[:0]
	for i, lt := range o.LeftTypes {
		v := o.null(i)
		nullVec(v, lt, n)
		o.out.Cols = append(o.out.Cols, v)
	}
	for i, c := range o.OutR {
		v := o.right(i)
		t.rows.Gather(c, o.pid, v)
		o.out.Cols = append(o.out.Cols, v)
	}
	o.out.N, o.out.Sel = n, nil
	return &o.out
}
