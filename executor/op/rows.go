package op

import (
	"unsafe"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Rows keeps rows as columns in memory outside Go's heap: the build side of a
// join, the keys of groups, the rows of a sort, window or CTE. Rows are appended
// by batches, and read as vectors over the same memory or gathered by number.
// Appending may move the memory: vectors made before are dead then. One goroutine
// appends; then any number may read.
type Rows struct {
	T    []types.T
	N    int
	cols []rowsCol
	acct *mem.Account
}

// rowsCol is one column. Strings are views into bufs: buffers of its own, and
// those of dictionaries that it met, which are immutable and only referred to.
type rowsCol struct {
	t     types.T
	width int // bytes of a value, 0 for bits
	data  mem.Buffer
	valid mem.Buffer
	nulls bool // valid is in use
	bufs  [][]byte
	heap  []mem.Buffer // the own buffers among bufs
	cur   int          // index in bufs of the one being filled, -1: none
	fill  int          // bytes used in it
	dicts map[*vec.Dictionary]uint32
}

// NewRows makes an empty store of these types.
func NewRows(ts []types.T, acct *mem.Account) *Rows {
	r := &Rows{T: ts, cols: make([]rowsCol, len(ts)), acct: acct}
	for i := range r.cols {
		c := &r.cols[i]
		c.t, c.width, c.cur = ts[i], width(ts[i].Layout), -1
		c.data.Account, c.valid.Account = acct, acct
	}
	return r
}

func width(l types.Layout) int {
	switch l {
	case types.LayoutBool:
		return 0
	case types.LayoutI16:
		return 2
	case types.LayoutI32, types.LayoutF32:
		return 4
	case types.LayoutI64, types.LayoutF64:
		return 8
	}
	return 16
}

// Free gives all memory back.
func (r *Rows) Free() {
	if r == nil {
		return
	}
	for i := range r.cols {
		c := &r.cols[i]
		c.data.Free()
		c.valid.Free()
		for k := range c.heap {
			c.heap[k].Free()
		}
		c.heap, c.bufs, c.dicts, c.cur, c.nulls = nil, nil, nil, -1, false
	}
	r.N = 0
}

// Reset empties the store, keeping the memory of fixed-width columns.
func (r *Rows) Reset() {
	for i := range r.cols {
		c := &r.cols[i]
		for k := range c.heap {
			c.heap[k].Free()
		}
		c.heap, c.bufs, c.dicts, c.cur, c.nulls = nil, nil, nil, -1, false
	}
	r.N = 0
}

// yieldBytes is from what size a store is worth to be spilled for others.
const yieldBytes = 1 << 20

// yields says whether memory is short and the store takes a good part of it.
func (r *Rows) yields() bool {
	return r.N&(16*vec.Size-1) < vec.Size && r.acct.Tight() && r.Bytes() >= yieldBytes
}

// Bytes is the memory in use.
func (r *Rows) Bytes() int64 {
	n := 0
	for i := range r.cols {
		c := &r.cols[i]
		n += c.data.Cap() + c.valid.Cap()
		for k := range c.heap {
			n += c.heap[k].Cap()
		}
	}
	return int64(n)
}

// Append copies the selected rows of b, whose columns begin with the store's.
func (r *Rows) Append(b *vec.Batch) error { return r.AppendCols(b.Cols, b.Sel, b.N) }

// AppendCols copies rows of vectors: those of sel, or rows 0..n-1. If it fails
// nothing has been appended.
func (r *Rows) AppendCols(cols []*vec.Vec, sel []uint16, n int) error {
	if sel != nil {
		n = len(sel)
	}
	if n == 0 {
		return nil
	}
	for i := range r.cols {
		if i > 0 && r.acct.Ended() { // each column may be about to touch new memory
			return errClosed
		}
		if err := r.cols[i].append(r.N, cols[i], sel, n); err != nil {
			return err
		}
	}
	r.N += n
	return nil
}

// copyPiece is how many bytes are moved between looks at the query.
const copyPiece = 4 << 20

func (c *rowsCol) reserve(n int) error {
	if c.width == 0 {
		if err := c.data.Grow(8 * vec.Words(n)); err != nil {
			return err
		}
	} else if err := c.data.Grow(c.width * n); err != nil {
		return err
	}
	if c.nulls {
		return c.valid.Grow(8 * vec.Words(n))
	}
	return nil
}

// needValid starts keeping validity: the first n rows are not null.
func (c *rowsCol) needValid(n, room int) error {
	if c.nulls {
		return nil
	}
	if err := c.valid.Grow(8 * vec.Words(room)); err != nil {
		return err
	}
	c.nulls = true
	w := mem.As[uint64](c.valid.Bytes(), vec.Words(room))
	for i := range w[:vec.Words(n)] {
		w[i] = ^uint64(0)
	}
	return nil
}

func (c *rowsCol) append(at int, v *vec.Vec, sel []uint16, n int) error {
	if err := c.reserve(at + n); err != nil {
		return err
	}
	nulls := anyNull(v, sel, n)
	if nulls {
		if err := c.needValid(at, at+n); err != nil {
			return err
		}
	}
	src := v.Source()
	d := c.data.Bytes()
	switch l := c.t.Layout; {
	case v.Form == vec.Dict && src.N == 0:
		for k := range n { // all null
			c.zero(at + k)
		}
	case l == types.LayoutBool:
		w := mem.As[uint64](d, vec.Words(at+n))
		if v.Form == vec.Flat && sel == nil {
			kernel.CopyBits(w, at, src.Bits, 0, n)
			break
		}
		for k := 0; k < n; k++ {
			vec.PutBit(w, at+k, vec.Bit(src.Bits, index(v, sel, k)))
		}
	case l == types.LayoutI16:
		take(mem.As[int16](d, at+n)[at:], src.I16, v, sel)
	case l == types.LayoutI32:
		take(mem.As[int32](d, at+n)[at:], src.I32, v, sel)
	case l == types.LayoutI64:
		take(mem.As[int64](d, at+n)[at:], src.I64, v, sel)
	case l == types.LayoutI128:
		take(mem.As[types.Int128](d, at+n)[at:], src.I128, v, sel)
	case l == types.LayoutF32:
		take(mem.As[float32](d, at+n)[at:], src.F32, v, sel)
	case l == types.LayoutF64:
		take(mem.As[float64](d, at+n)[at:], src.F64, v, sel)
	case l == types.LayoutFixed16:
		take(mem.As[types.Fixed16](d, at+n)[at:], src.Fix, v, sel)
	default:
		if err := c.appendViews(mem.As[vec.View](d, at+n)[at:], v, src, sel); err != nil {
			return err
		}
	}
	if !c.nulls {
		return nil
	}
	valid := mem.As[uint64](c.valid.Bytes(), vec.Words(at+n))
	vec.SetRange(valid, at, at+n)
	if !nulls {
		return nil
	}
	for k := 0; k < n; k++ {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		if v.IsNull(i) {
			vec.ClearBit(valid, at+k)
			c.zero(at + k)
		}
	}
	return nil
}

// anyNull says whether one of the rows is null. Nulls among other rows do not count:
// who asks HasNulls wants to know of real ones.
func anyNull(v *vec.Vec, sel []uint16, n int) bool {
	switch {
	case v.Valid == nil:
		return false
	case v.Form == vec.Const:
		return v.IsNull(0)
	case sel == nil:
		return vec.Count(v.Valid, n) < n
	}
	all := uint64(1)
	for _, i := range sel {
		all &= v.Valid[i>>6] >> (i & 63)
	}
	return all&1 == 0
}

func index(v *vec.Vec, sel []uint16, k int) int {
	if sel != nil {
		k = int(sel[k])
	}
	return v.Index(k)
}

// take fills dst with the rows of v, whose values are vals.
func take[E any](dst, vals []E, v *vec.Vec, sel []uint16) {
	switch {
	case v.Form == vec.Const:
		x := vals[0]
		for k := range dst {
			dst[k] = x
		}
	case v.Form == vec.Dict && sel == nil:
		codes := v.Codes[:len(dst)]
		for k := range dst {
			dst[k] = vals[codes[k]]
		}
	case v.Form == vec.Dict:
		sel = sel[:len(dst)]
		for k := range dst {
			dst[k] = vals[v.Codes[sel[k]]]
		}
	case sel == nil:
		copy(dst, vals)
	default:
		sel = sel[:len(dst)]
		for k := range dst {
			dst[k] = vals[sel[k]]
		}
	}
}

func (c *rowsCol) zero(i int) {
	if c.width == 0 {
		vec.ClearBit(mem.As[uint64](c.data.Bytes(), vec.Words(i+1)), i)
		return
	}
	clear(c.data.Bytes()[i*c.width : (i+1)*c.width])
}

// dictsMax bounds the dictionaries a column refers to before it copies strings.
const dictsMax = 1 << 16

func (c *rowsCol) appendViews(dst []vec.View, v, src *vec.Vec, sel []uint16) error {
	if v.Form == vec.Dict && len(c.dicts) < dictsMax {
		base, ok := c.dicts[v.Dict]
		if !ok {
			if c.dicts == nil {
				c.dicts = map[*vec.Dictionary]uint32{}
			}
			base = uint32(len(c.bufs))
			c.bufs = append(c.bufs, src.Bufs...)
			c.dicts[v.Dict] = base
		}
		shift := uint64(base) << 32
		for k := range dst {
			w := src.Views[index(v, sel, k)]
			if w.Len > vec.InlineMax {
				w.Tail += shift
			}
			dst[k] = w
		}
		return nil
	}
	if v.Form == vec.Const {
		w := src.Views[0]
		if w.Len > vec.InlineMax {
			var err error
			if w, err = c.store(src.Long(w)); err != nil {
				return err
			}
		}
		for k := range dst {
			dst[k] = w
		}
		return nil
	}
	for k := range dst {
		w := src.Views[index(v, sel, k)]
		if w.Len > vec.InlineMax {
			var err error
			if w, err = c.store(src.Long(w)); err != nil {
				return err
			}
		}
		dst[k] = w
	}
	return nil
}

// store copies a long string into the column's buffers.
// heapMax is the size of a buffer of strings among many.
const heapMax = 8 << 20

func (c *rowsCol) store(b []byte) (vec.View, error) {
	if c.cur < 0 || c.fill+len(b) > len(c.bufs[c.cur]) {
		n := 4 << 10
		if k := len(c.heap); k > 0 {
			n = min(2*c.heap[k-1].Cap(), heapMax)
		}
		m := mem.Buffer{Account: c.data.Account}
		if err := m.Grow(max(n, len(b))); err != nil {
			return vec.View{}, err
		}
		c.heap = append(c.heap, m)
		c.cur, c.fill = len(c.bufs), 0
		c.bufs = append(c.bufs[:len(c.bufs):len(c.bufs)], m.Bytes())
	}
	off := c.fill
	copy(c.bufs[c.cur][off:], b)
	c.fill += len(b)
	return vec.MakeView(b, uint32(c.cur), uint32(off)), nil
}

// Absorb appends all rows of o, whose strings it takes over; o is empty after. If it
// fails both are as they were.
func (r *Rows) Absorb(o *Rows) error {
	// All memory first: if there is none, nothing has moved.
	for i := range r.cols {
		c, s := &r.cols[i], &o.cols[i]
		if err := c.reserve(r.N + o.N); err != nil {
			return err
		}
		if s.nulls {
			if err := c.needValid(r.N, r.N+o.N); err != nil {
				return err
			}
		}
	}
	for i := range r.cols {
		if r.acct.Ended() {
			return errClosed
		}
		c, s := &r.cols[i], &o.cols[i]
		if c.width == 0 {
			kernel.CopyBits(mem.As[uint64](c.data.Bytes(), vec.Words(r.N+o.N)), r.N, mem.As[uint64](s.data.Bytes(), vec.Words(o.N)), 0, o.N)
		} else {
			to, from := c.data.Bytes()[r.N*c.width:], s.data.Bytes()[:o.N*c.width]
			for len(from) > 0 {
				if r.acct.Ended() {
					return errClosed
				}
				n := copy(to[:min(len(from), copyPiece)], from)
				to, from = to[n:], from[n:]
			}
		}
		if c.nulls {
			valid := mem.As[uint64](c.valid.Bytes(), vec.Words(r.N+o.N))
			if s.nulls {
				kernel.CopyBits(valid, r.N, mem.As[uint64](s.valid.Bytes(), vec.Words(o.N)), 0, o.N)
			} else {
				vec.SetRange(valid, r.N, r.N+o.N)
			}
		}
		if c.t.Layout == types.LayoutView && len(s.bufs) > 0 {
			if base := uint64(len(c.bufs)) << 32; base != 0 {
				views := mem.As[vec.View](c.data.Bytes(), r.N+o.N)[r.N:]
				for k := range views {
					if k&lookMask == 0 && r.acct.Ended() {
						return errClosed
					}
					if views[k].Len > vec.InlineMax {
						views[k].Tail += base
					}
				}
			}
			c.bufs = append(c.bufs, s.bufs...)
			c.heap = append(c.heap, s.heap...)
			c.cur = -1
			s.heap, s.bufs, s.dicts, s.cur = nil, nil, nil, -1
		}
	}
	r.N += o.N
	o.Free()
	return nil
}

// View makes out a vector over rows from..from+n-1 of column c, without a copy.
// from is a multiple of 64.
func (r *Rows) View(c, from, n int, out *vec.Vec) {
	col := &r.cols[c]
	out.T, out.Form, out.N, out.Valid = col.t, vec.Flat, n, nil
	d := col.data.Bytes()
	switch col.t.Layout {
	case types.LayoutBool:
		out.Bits = mem.As[uint64](d, vec.Words(from+n))[from>>6:]
	case types.LayoutI16:
		out.I16 = mem.As[int16](d, from+n)[from:]
	case types.LayoutI32:
		out.I32 = mem.As[int32](d, from+n)[from:]
	case types.LayoutI64:
		out.I64 = mem.As[int64](d, from+n)[from:]
	case types.LayoutI128:
		out.I128 = mem.As[types.Int128](d, from+n)[from:]
	case types.LayoutF32:
		out.F32 = mem.As[float32](d, from+n)[from:]
	case types.LayoutF64:
		out.F64 = mem.As[float64](d, from+n)[from:]
	case types.LayoutFixed16:
		out.Fix = mem.As[types.Fixed16](d, from+n)[from:]
	default:
		out.Views = mem.As[vec.View](d, from+n)[from:]
		out.Bufs = col.bufs
	}
	if col.nulls {
		out.Valid = mem.As[uint64](col.valid.Bytes(), vec.Words(from+n))[from>>6:]
	}
}

// Column is all of column c as one vector.
func (r *Rows) Column(c int) *vec.Vec {
	v := &vec.Vec{}
	r.View(c, 0, r.N, v)
	return v
}

// Gather makes out, a vector with memory of its own, hold the rows idx of column c.
func (r *Rows) Gather(c int, idx []uint32, out *vec.Vec) {
	r.gatherBegin(c, len(idx), out)
	r.gatherPart(c, idx, out, 0)
}

// gatherBegin makes out ready for n rows of column c.
func (r *Rows) gatherBegin(c, n int, out *vec.Vec) {
	col := &r.cols[c]
	out.Reset(col.t)
	out.Grow(n)
	out.N = n
	if n > 0 && col.nulls {
		out.TakeValid(n)
	}
}

// gatherPart fills the rows of out from row from on, a multiple of 64.
func (r *Rows) gatherPart(c int, idx []uint32, out *vec.Vec, from int) {
	col := &r.cols[c]
	n := len(idx)
	if n == 0 {
		return
	}
	d := col.data.Bytes()
	to := from + n
	switch col.t.Layout {
	case types.LayoutBool:
		src := mem.As[uint64](d, vec.Words(r.N))
		for w := 0; w<<6 < n; w++ {
			var x uint64
			for j, i := range idx[w<<6 : min(w<<6+64, n)] {
				x |= (src[i>>6] >> (i & 63) & 1) << uint(j)
			}
			out.Bits[from>>6+w] = x
		}
	case types.LayoutI16:
		kernel.GatherU32(out.I16[from:to], mem.As[int16](d, r.N), idx)
	case types.LayoutI32:
		kernel.GatherU32(out.I32[from:to], mem.As[int32](d, r.N), idx)
	case types.LayoutI64:
		kernel.GatherU32(out.I64[from:to], mem.As[int64](d, r.N), idx)
	case types.LayoutI128:
		kernel.GatherU32(out.I128[from:to], mem.As[types.Int128](d, r.N), idx)
	case types.LayoutF32:
		kernel.GatherU32(out.F32[from:to], mem.As[float32](d, r.N), idx)
	case types.LayoutF64:
		kernel.GatherU32(out.F64[from:to], mem.As[float64](d, r.N), idx)
	case types.LayoutFixed16:
		kernel.GatherU32(out.Fix[from:to], mem.As[types.Fixed16](d, r.N), idx)
	default:
		kernel.GatherU32(out.Views[from:to], mem.As[vec.View](d, r.N), idx)
		out.Bufs = col.bufs
	}
	if col.nulls {
		src := mem.As[uint64](col.valid.Bytes(), vec.Words(r.N))
		dst := out.Valid[from>>6:]
		for w := 0; w<<6 < n; w++ {
			var x uint64
			for j, i := range idx[w<<6 : min(w<<6+64, n)] {
				x |= (src[i>>6] >> (i & 63) & 1) << uint(j)
			}
			dst[w] = x
		}
	}
}

// Scatter is Gather to chosen places: out's row at[k] is row idx[k], the other
// rows of 0..n-1 are unspecified and not null.
func (r *Rows) Scatter(c int, idx []uint32, at []uint16, n int, out *vec.Vec) {
	col := &r.cols[c]
	out.Reset(col.t)
	out.Grow(n)
	out.N = n
	if len(idx) == 0 {
		return
	}
	d := col.data.Bytes()
	switch col.t.Layout {
	case types.LayoutBool:
		src := mem.As[uint64](d, vec.Words(r.N))
		for k, i := range idx {
			vec.PutBit(out.Bits, int(at[k]), vec.Bit(src, int(i)))
		}
	case types.LayoutI16:
		scatter(out.I16, mem.As[int16](d, r.N), idx, at)
	case types.LayoutI32:
		scatter(out.I32, mem.As[int32](d, r.N), idx, at)
	case types.LayoutI64:
		scatter(out.I64, mem.As[int64](d, r.N), idx, at)
	case types.LayoutI128:
		scatter(out.I128, mem.As[types.Int128](d, r.N), idx, at)
	case types.LayoutF32:
		scatter(out.F32, mem.As[float32](d, r.N), idx, at)
	case types.LayoutF64:
		scatter(out.F64, mem.As[float64](d, r.N), idx, at)
	case types.LayoutFixed16:
		scatter(out.Fix, mem.As[types.Fixed16](d, r.N), idx, at)
	default:
		clear(out.Views[:n]) // a stale view would point anywhere
		scatter(out.Views, mem.As[vec.View](d, r.N), idx, at)
		out.Bufs = col.bufs
	}
	if col.nulls {
		src := mem.As[uint64](col.valid.Bytes(), vec.Words(r.N))
		dst := out.TakeValid(n)
		for k, i := range idx {
			vec.PutBit(dst, int(at[k]), vec.Bit(src, int(i)))
		}
	}
}

// ScatterNull is Scatter with nulls in the rows that at does not name.
func (r *Rows) ScatterNull(c int, idx []uint32, at []uint16, n int, out *vec.Vec) {
	col := &r.cols[c]
	out.Reset(col.t)
	out.Grow(n)
	switch col.t.Layout {
	case types.LayoutBool:
		clear(out.Bits[:vec.Words(n)])
	case types.LayoutI16:
		clear(out.I16[:n])
	case types.LayoutI32:
		clear(out.I32[:n])
	case types.LayoutI64:
		clear(out.I64[:n])
	case types.LayoutI128:
		clear(out.I128[:n])
	case types.LayoutF32:
		clear(out.F32[:n])
	case types.LayoutF64:
		clear(out.F64[:n])
	case types.LayoutFixed16:
		clear(out.Fix[:n])
	}
	r.Scatter(c, idx, at, n, out)
	valid := out.TakeValid(n)
	clear(valid)
	if !col.nulls {
		for _, i := range at[:len(idx)] {
			valid[i>>6] |= 1 << (i & 63)
		}
		return
	}
	src := mem.As[uint64](col.valid.Bytes(), vec.Words(r.N))
	for k, i := range idx {
		valid[at[k]>>6] |= (src[i>>6] >> (i & 63) & 1) << (at[k] & 63)
	}
}

func scatter[E any](dst, src []E, idx []uint32, at []uint16) {
	at = at[:len(idx)]
	for k, i := range idx {
		dst[at[k]] = src[i]
	}
}

// HasNulls says whether a null was ever appended to column c.
func (r *Rows) HasNulls(c int) bool { return r.cols[c].nulls }

// IsNull says whether row i of column c is null.
func (r *Rows) IsNull(c, i int) bool {
	col := &r.cols[c]
	return col.nulls && !vec.Bit(mem.As[uint64](col.valid.Bytes(), vec.Words(r.N)), i)
}

// bytes is string i of a view column.
func (c *rowsCol) bytes(i int) []byte {
	w := (*vec.View)(unsafe.Pointer(&c.data.Bytes()[i*16]))
	if w.Len > vec.InlineMax {
		off := uint32(w.Tail)
		return c.bufs[w.Tail>>32][off : off+w.Len : off+w.Len]
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w.Prefix)), int(w.Len))
}
