package eval

import (
	"math"
	"slices"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// cheap bounds the cost of what runs over all rows rather than over a selection.
const cheap = 8

// node is one compiled sub-expression with the memory of its result.
type node struct {
	p    *Program
	t    types.T
	op   op
	args []*node

	isConst  bool // a constant, in out
	mayFail  bool
	volatile bool
	cost     float32 // of one row, in units of an integer comparison, arguments included

	names []string // of the fields of a record

	out   vec.Vec
	valid []uint64
	buf   []byte // bytes of the result's long strings, after those in full
	full  [][]byte
	spare [][]byte // of full, of evaluations before
	kept  int      // room in full and spare
	run   int      // the evaluation of the program that buf is of
	held  int      // bytes charged for the buffers, beyond freeBytes
	mark  int      // the length of buf from which more must be charged
	bufs  [1][]byte
	res   *vec.Vec
	at    int // id of the scope res was made in
}

// op computes a node's result for the rows of a scope that has at least one.
type op interface {
	eval(n *node, s *scope) (*vec.Vec, error)
}

func (n *node) eval(s *scope) (*vec.Vec, error) {
	if n.isConst {
		n.out.N = s.n
		return &n.out, nil
	}
	if n.at != 0 && s.covers(n.at) {
		return n.res, nil
	}
	if s.rows() == 0 {
		v := n.constant(types.Null, s.n)
		return v, nil
	}
	v, err := n.op.eval(n, s)
	if err != nil {
		return nil, err
	}
	n.res, n.at = v, s.id
	return v, nil
}

// constant makes the result a constant.
func (n *node) constant(d types.Datum, rows int) *vec.Vec {
	o := n.flat(1)
	if !d.Valid {
		n.valid = growTo(n.valid, 1)
		n.valid[0] = 0
		o.Valid = n.valid
		d.Valid = true
		d.S = ""
	}
	switch n.t.Layout {
	case types.LayoutView:
		start := len(n.buf)
		n.buf = append(n.buf, d.S...)
		o.Views[0] = n.view(start)
		n.sealStrings()
	default:
		putDatum(o, 0, d)
	}
	o.Form, o.N = vec.Const, rows
	return o
}

// flat readies the result vector for n rows, all valid, values as they were.
func (n *node) flat(rows int) *vec.Vec {
	o := &n.out
	o.T, o.Form, o.N, o.Valid, o.Codes, o.Dict = n.t, vec.Flat, rows, nil, nil, nil
	o.Bufs = nil
	if n.run != n.p.run {
		// A node may be computed for the rows of one arm of a CASE and again for those of
		// another: the strings of the first stay where they are.
		n.buf, n.run = n.buf[:0], n.p.run
		if len(n.full) > 0 {
			n.spare, n.full = append(n.spare, n.full...), n.full[:0]
		}
	}
	switch n.t.Layout {
	case types.LayoutBool:
		o.Bits = growTo(o.Bits, words(rows))
	case types.LayoutI16:
		o.I16 = growTo(o.I16, rows)
	case types.LayoutI32:
		o.I32 = growTo(o.I32, rows)
	case types.LayoutI64:
		o.I64 = growTo(o.I64, rows)
	case types.LayoutI128:
		o.I128 = growTo(o.I128, rows)
	case types.LayoutF32:
		o.F32 = growTo(o.F32, rows)
	case types.LayoutF64:
		o.F64 = growTo(o.F64, rows)
	case types.LayoutFixed16:
		o.Fix = growTo(o.Fix, rows)
	default:
		o.Views = growTo(o.Views, rows)
	}
	return o
}

// ownValid is the node's validity memory for n rows; contents unspecified.
func (n *node) ownValid(rows int) []uint64 {
	n.valid = growTo(n.valid, words(rows))
	return n.valid
}

// freeBytes is how long the strings of a node may be without being charged; fullBytes
// is from where a buffer is left for another: growing one by copying holds it twice.
const (
	freeBytes = 1 << 20
	fullBytes = 4 << 20
)

// hold charges for a buffer that is to have size bytes, and spare more for its
// growth. What is charged stays so to the end of the query, as the buffers do.
func (n *node) hold(size, spare int) error {
	if size > math.MaxUint32 { // which a view cannot reach
		return sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").WithDetail("The strings of one batch take more than %d bytes.", uint32(math.MaxUint32))
	}
	if e := n.p.env; e != nil && e.Reserve != nil && n.kept+size > n.held+freeBytes {
		want := n.kept + size + spare - freeBytes
		if err := e.Reserve(int64(want - n.held)); err != nil {
			return err
		}
		n.held = want
	}
	n.mark = max(min(n.held+freeBytes-n.kept, fullBytes), size)
	return nil
}

// seal leaves a long buffer as it is and begins another with room for size bytes,
// between two rows.
func (n *node) seal(size int) {
	n.kept += cap(n.buf)
	n.full = append(n.full, n.buf)
	n.buf = nil
	if last := len(n.spare) - 1; last >= 0 {
		// One that is too small is dropped: what is charged for it goes to the new one.
		size := max(size, fullBytes)
		k := max(slices.IndexFunc(n.spare, func(b []byte) bool { return cap(b) >= size }), 0)
		b := n.spare[k]
		n.kept -= cap(b)
		if cap(b) >= size {
			n.buf = b[:0]
		}
		n.spare[k], n.spare[last] = n.spare[last], nil
		n.spare = n.spare[:last]
	}
	if size == 0 && n.buf == nil {
		n.buf = make([]byte, 0, fullBytes+fullBytes/8)
	}
	n.mark = min(n.held+freeBytes-n.kept, fullBytes)
}

// room charges for size more bytes of the result and makes room for them.
func (n *node) room(size int) error {
	if len(n.buf) >= fullBytes {
		n.seal(size)
	}
	if err := n.hold(max(len(n.buf)+size, cap(n.buf)), 0); err != nil {
		return err
	}
	n.buf = slices.Grow(n.buf, size)
	return nil
}

// over charges for what the result has grown to.
func (n *node) over() error {
	if err := n.hold(len(n.buf), len(n.buf)/4); err != nil {
		return err
	}
	if len(n.buf) >= fullBytes {
		n.seal(0)
	}
	return nil
}

// view makes a view of what was appended to n.buf since start.
func (n *node) view(start int) vec.View {
	b := n.buf[start:]
	if len(b) <= vec.InlineMax {
		v := vec.MakeInline(b)
		n.buf = n.buf[:start]
		return v
	}
	return vec.MakeView(b, uint32(len(n.full)), uint32(start))
}

// sealStrings lets the result's views see n.full and n.buf.
func (n *node) sealStrings() {
	if len(n.full) > 0 {
		n.out.Bufs = append(slices.Clone(n.full), n.buf)
		return
	}
	n.bufs[0] = n.buf
	n.out.Bufs = n.bufs[:]
}

// zeroNulls clears the values under nulls of a flat result.
func zeroNulls(o *vec.Vec) {
	if o.Valid == nil {
		return
	}
	switch o.T.Layout {
	case types.LayoutBool:
		kernel.And(o.Bits[:words(o.N)], o.Valid)
	case types.LayoutI16:
		kernel.ZeroInvalid(o.I16[:o.N], o.Valid)
	case types.LayoutI32:
		kernel.ZeroInvalid(o.I32[:o.N], o.Valid)
	case types.LayoutI64:
		kernel.ZeroInvalid(o.I64[:o.N], o.Valid)
	case types.LayoutI128:
		kernel.ZeroInvalid(o.I128[:o.N], o.Valid)
	case types.LayoutF32:
		kernel.ZeroInvalid(o.F32[:o.N], o.Valid)
	case types.LayoutF64:
		kernel.ZeroInvalid(o.F64[:o.N], o.Valid)
	case types.LayoutFixed16:
		kernel.ZeroInvalid(o.Fix[:o.N], o.Valid)
	default:
		kernel.ZeroInvalid(o.Views[:o.N], o.Valid)
	}
}

// putDatum sets value i of a flat vector that is not of LayoutView.
func putDatum(o *vec.Vec, i int, d types.Datum) {
	switch o.T.Layout {
	case types.LayoutBool:
		if i == 0 && len(o.Bits) == 1 {
			o.Bits[0] = 0
		}
		vec.PutBit(o.Bits, i, d.I != 0)
	case types.LayoutI16:
		o.I16[i] = int16(d.I)
	case types.LayoutI32:
		o.I32[i] = int32(d.I)
	case types.LayoutI64:
		o.I64[i] = d.I
	case types.LayoutI128:
		o.I128[i] = d.I128()
	case types.LayoutF32:
		o.F32[i] = float32(d.F)
	case types.LayoutF64:
		o.F64[i] = d.F
	case types.LayoutFixed16:
		o.Fix[i] = d.Fixed16()
	}
}

// columnOp is a column of the batch.
type columnOp struct{ ord int }

func (o *columnOp) eval(n *node, s *scope) (*vec.Vec, error) { return n.p.batch.Cols[o.ord], nil }

// relabelOp gives the argument's values another type of the same layout.
type relabelOp struct{}

func (relabelOp) eval(n *node, s *scope) (*vec.Vec, error) {
	v, err := n.args[0].eval(s)
	if err != nil {
		return nil, err
	}
	o := &n.out
	o.Form, o.N, o.Valid = v.Form, v.N, v.Valid
	o.Bits, o.I16, o.I32, o.I64, o.I128, o.F32, o.F64, o.Fix = v.Bits, v.I16, v.I32, v.I64, v.I128, v.F32, v.F64, v.Fix
	o.Views, o.Bufs, o.Codes, o.Dict = v.Views, v.Bufs, v.Codes, v.Dict
	o.T = n.t
	return o, nil
}
