package eval

import (
	"unsafe"

	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Loop computes a function for one vector of rows.
//
// Args are flat or constant. A strict function's Out.Valid is set already to the
// rows where no argument is null; the loop leaves the others alone, or computes
// what it likes there without raising. The loop fills Out's values (flat, N rows),
// and calls SetNull for further nulls. Sel has the rows that count, nil for all;
// when Dense, the loop may compute all N rows, provided that only those of Sel
// raise.
type Loop func(c *Call) error

// Call is what a loop works on.
type Call struct {
	Fn    *fn.Func
	Args  []*vec.Vec
	Out   *vec.Vec
	N     int
	Sel   []uint16
	Dense bool
	Env   *Env

	node   *node
	op     *impl
	mask   []int // per argument -1 when flat, 0 when constant
	consts []types.Datum
}

// impl is a registered loop.
type impl struct {
	loop Loop
	// dense loops run over all rows at about the price of a selection.
	dense bool
	// nonStrict loops see null arguments although the function is strict, or are
	// of a function that is not.
	nonStrict bool
	// cost of one row, an integer comparison being 1; 0 means 10.
	cost float32
	// prepare, when set, is asked for a loop at compile time, when constants among
	// the arguments are known. A nil loop means: use loop.
	prepare func(pc *prepareContext) (Loop, error)
	// sharesBufs: the result's long strings lie in the buffers of argument 0.
	sharesBufs bool
	// short results are made of arguments of any length.
	short bool
	// scaled: the loop takes numerics in scaled layouts; prepare chooses by them.
	// Otherwise numeric arguments come in the variable form.
	scaled bool
}

// prepareContext is what is known of a call when it is compiled.
type prepareContext struct {
	env   *Env
	fn    *fn.Func
	types []types.T
	// known[i] says that argument i is a constant, args[i].
	known []bool
	args  []types.Datum
	// out is the result's type.
	out types.T
}

var registry = map[uint32]*impl{}

// reg registers the loop of a function by its signature: name(type,type), or the
// name alone when it has no overloads.
func reg(sig string, m impl) {
	f := lookup(sig)
	if registry[f.OID] != nil {
		panic("eval: two loops for " + sig)
	}
	if m.cost == 0 {
		m.cost = 10
	}
	registry[f.OID] = &m
}

func lookup(sig string) *fn.Func {
	if f := fn.BySignature(sig); f != nil {
		return f
	}
	panic("eval: no function " + sig)
}

// callOp is a call with a loop.
type callOp struct {
	m      *impl
	loop   Loop
	call   Call
	flats  []vec.Vec // scratch for flattened arguments
	strict bool
	pure   bool // immutable and cannot fail: may run over a dictionary
	dicts  dictCache
	codes  []uint32
}

func (o *callOp) eval(n *node, s *scope) (*vec.Vec, error) {
	c := &o.call
	nconst, dictArg, ndict := 0, -1, 0
	for k, a := range n.args {
		v, err := a.eval(s)
		if err != nil {
			return nil, err
		}
		c.Args[k] = v
		switch v.Form {
		case vec.Const:
			nconst++
			if o.strict && v.IsNull(0) {
				return n.constant(types.Null, s.n), nil
			}
		case vec.Dict:
			ndict++
			dictArg = k
		}
	}
	if nconst == len(n.args) && !n.volatile {
		return o.evalConst(n, s)
	}
	if o.pure && ndict == 1 && nconst == len(n.args)-1 {
		if v, ok, err := o.evalDict(n, s, dictArg); ok || err != nil {
			return v, err
		}
	}
	if ndict > 0 {
		for k, v := range c.Args {
			if v.Form == vec.Dict {
				c.Args[k] = flatten(&o.flats[k], v, s.sel)
			}
		}
	}
	out := n.flat(s.n)
	if o.strict {
		out.Valid = n.combineValid(c.Args, s.n)
	}
	c.N, c.Sel = s.n, s.sel
	c.Dense = o.m.dense && (s.sel == nil || len(s.sel)*4 >= s.n)
	return o.run(n, out)
}

// run calls the loop on c, whose N, Sel, Dense and Args are set.
func (o *callOp) run(n *node, out *vec.Vec) (*vec.Vec, error) {
	c := &o.call
	c.Out, c.op = out, o.m
	for k, v := range c.Args {
		c.mask[k] = -1
		if v.Form == vec.Const {
			c.mask[k] = 0
		}
	}
	if n.t.Layout == types.LayoutBool && !c.Dense {
		clear(out.Bits[:words(c.N)])
	}
	if err := o.loop(c); err != nil {
		return nil, err
	}
	if n.t.Layout == types.LayoutView {
		switch {
		case o.m.sharesBufs:
			out.Bufs = c.Args[0].Bufs
		default:
			n.sealStrings()
		}
	}
	zeroNulls(out)
	return out, nil
}

// evalConst computes one row.
func (o *callOp) evalConst(n *node, s *scope) (*vec.Vec, error) {
	out := n.flat(1)
	o.call.N, o.call.Sel, o.call.Dense = 1, nil, o.m.dense
	if _, err := o.run(n, out); err != nil {
		return nil, err
	}
	out.Form, out.N = vec.Const, s.n
	return out, nil
}

// combineValid is the rows where no argument is null, nil for all.
func (n *node) combineValid(args []*vec.Vec, rows int) []uint64 {
	var first []uint64
	own := false
	for _, v := range args {
		if v.Valid == nil || v.Form == vec.Const {
			continue
		}
		switch {
		case first == nil:
			first = v.Valid
		case !own:
			w := n.ownValid(rows)
			copy(w, first)
			kernel.And(w, v.Valid)
			first, own = w, true
		default:
			kernel.And(first, v.Valid)
		}
	}
	return first
}

// SetNull makes row i of the result null. The value there is cleared afterwards.
func (c *Call) SetNull(i int) {
	o, n := c.Out, c.node
	own := len(n.valid) > 0 && len(o.Valid) > 0 && &o.Valid[0] == &n.valid[0]
	if !own {
		old := o.Valid
		w := n.ownValid(c.N)
		if old == nil {
			for k := range w {
				w[k] = ^uint64(0)
			}
		} else {
			copy(w, old)
		}
		o.Valid = w
	}
	vec.ClearBit(o.Valid, i)
}

// valid says whether row i is to be computed: no argument of a strict function
// is null there.
func (c *Call) valid(i int) bool {
	return c.Out.Valid == nil || vec.Bit(c.Out.Valid, i)
}

// Null says whether argument k is null in row i.
func (c *Call) Null(k, i int) bool { return c.Args[k].IsNull(i) }

// Bool, I16, I32, I64, I128, F32, F64, Fix and Bytes read argument k in row i.
func (c *Call) Bool(k, i int) bool         { return vec.Bit(c.Args[k].Bits, i&c.mask[k]) }
func (c *Call) I16(k, i int) int16         { return c.Args[k].I16[i&c.mask[k]] }
func (c *Call) I32(k, i int) int32         { return c.Args[k].I32[i&c.mask[k]] }
func (c *Call) I64(k, i int) int64         { return c.Args[k].I64[i&c.mask[k]] }
func (c *Call) I128(k, i int) types.Int128 { return c.Args[k].I128[i&c.mask[k]] }
func (c *Call) F32(k, i int) float32       { return c.Args[k].F32[i&c.mask[k]] }
func (c *Call) F64(k, i int) float64       { return c.Args[k].F64[i&c.mask[k]] }
func (c *Call) Fix(k, i int) types.Fixed16 { return c.Args[k].Fix[i&c.mask[k]] }
func (c *Call) Bytes(k, i int) []byte      { return c.Args[k].Bytes(i & c.mask[k]) }

// Str is Bytes as a string that must not outlive the batch.
func (c *Call) Str(k, i int) string { return unsafeString(c.Bytes(k, i)) }

// Const is argument k when it is a constant of this vector.
func (c *Call) Const(k int) bool { return c.mask[k] == 0 }

// RetBool, RetI32, RetI64, RetF64, RetFix and RetBytes set the result's row i;
// RetBytes copies.
func (c *Call) RetBool(i int, b bool)         { vec.PutBit(c.Out.Bits, i, b) }
func (c *Call) RetI32(i int, v int32)         { c.Out.I32[i] = v }
func (c *Call) RetI64(i int, v int64)         { c.Out.I64[i] = v }
func (c *Call) RetF64(i int, v float64)       { c.Out.F64[i] = v }
func (c *Call) RetFix(i int, v types.Fixed16) { c.Out.Fix[i] = v }
func (c *Call) RetBytes(i int, b []byte) {
	if len(b) <= vec.InlineMax {
		c.Out.Views[i] = vec.MakeInline(b)
		return
	}
	n := c.node
	start := len(n.buf)
	n.buf = append(n.buf, b...)
	c.Out.Views[i] = vec.MakeView(b, uint32(len(n.full)), uint32(start))
}

// Begin and End bracket the making of a string result: append to what Begin
// returns, and give that to End.
func (c *Call) Begin() []byte { return c.node.buf }

// End sets the result's row i to what was appended since Begin.
func (c *Call) End(i int, b []byte) {
	n := c.node
	start := len(n.buf)
	n.buf = b
	c.Out.Views[i] = n.view(start)
}

// room charges for n more bytes of the result before they are made, and makes room
// for them: before Begin.
func (c *Call) room(n int) error { return c.node.room(n) }

// charge charges for n more bytes of the result.
func (c *Call) charge(n int) error { return c.node.hold(len(c.node.buf)+n, 0) }

// over charges for what the result has grown to.
func (c *Call) over() error {
	if n := c.node; len(n.buf) > n.mark {
		return n.over()
	}
	return nil
}

// long says whether strings of some rows may be so long that room for the result of
// a row is charged before it is made: it is taken to be as long as its arguments.
func (c *Call) long() bool {
	if c.node.t.Layout != types.LayoutView || c.op.short {
		return false
	}
	for _, v := range c.Args {
		if v.T.Layout != types.LayoutView {
			continue
		}
		n := 0
		for _, b := range v.Bufs {
			n += len(b)
		}
		if n > freeBytes {
			return true
		}
	}
	return false
}

// before charges for the result of row i when its arguments are long.
func (c *Call) before(i int) error {
	n := 0
	for k, v := range c.Args {
		if v.T.Layout == types.LayoutView && !v.IsNull(i) {
			n += int(v.Views[i&c.mask[k]].Len)
		}
	}
	if n <= freeBytes {
		return nil
	}
	return c.room(n)
}

// longRows is each for vectors with long strings.
func (c *Call) longRows(f func(c *Call, i int) error) error {
	for k := range c.N {
		i := k
		if c.Sel != nil {
			if k >= len(c.Sel) {
				break
			}
			i = int(c.Sel[k])
		}
		if !c.valid(i) {
			continue
		}
		if c.Env.ended() {
			return errEnded
		}
		if err := c.before(i); err != nil {
			return err
		}
		if err := f(c, i); err != nil {
			return err
		}
		if err := c.over(); err != nil {
			return err
		}
	}
	return nil
}

// each is a loop that calls f for every row that counts.
func each(f func(c *Call, i int) error) Loop {
	return func(c *Call) error {
		if c.long() {
			return c.longRows(f)
		}
		if c.Sel == nil {
			if c.Out.Valid == nil {
				for i := 0; i < c.N; i++ {
					if i&lookMask == lookMask && c.Env.ended() {
						return errEnded
					}
					if err := f(c, i); err != nil {
						return err
					}
					if err := c.over(); err != nil {
						return err
					}
				}
				return nil
			}
			for i := 0; i < c.N; i++ {
				if i&lookMask == lookMask && c.Env.ended() {
					return errEnded
				}
				if c.valid(i) {
					if err := f(c, i); err != nil {
						return err
					}
					if err := c.over(); err != nil {
						return err
					}
				}
			}
			return nil
		}
		for k, i := range c.Sel {
			if k&lookMask == lookMask && c.Env.ended() {
				return errEnded
			}
			if c.valid(int(i)) {
				if err := f(c, int(i)); err != nil {
					return err
				}
				if err := c.over(); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// total is each for functions that cannot fail.
func total(f func(c *Call, i int)) Loop {
	return func(c *Call) error {
		if c.long() {
			return c.longRows(func(c *Call, i int) error { f(c, i); return nil })
		}
		if c.Sel == nil {
			v := c.Out.Valid
			for i := 0; i < c.N; i++ {
				if v == nil || vec.Bit(v, i) {
					f(c, i)
				}
				if i&lookMask == lookMask {
					if err := c.over(); err != nil {
						return err
					}
				}
			}
			return c.over()
		}
		for k, i := range c.Sel {
			if c.valid(int(i)) {
				f(c, int(i))
			}
			if k&lookMask == lookMask {
				if err := c.over(); err != nil {
					return err
				}
			}
		}
		return c.over()
	}
}

// firstFailing calls bad for the rows that count and returns the first for which
// it holds, or -1: how a loop that ran branch-free finds out whether an overflow it
// saw was real.
func (c *Call) firstFailing(bad func(i int) bool) int {
	if c.Sel == nil {
		for i := 0; i < c.N; i++ {
			if c.valid(i) && bad(i) {
				return i
			}
		}
		return -1
	}
	for _, i := range c.Sel {
		if c.valid(int(i)) && bad(int(i)) {
			return int(i)
		}
	}
	return -1
}

// fixed are the element types of vals with arithmetic of their own.
type fixed interface {
	int16 | int32 | int64 | float32 | float64 | types.Int128 | types.Fixed16
}

// map1 makes a loop of a function of one fixed-size value that cannot fail.
func map1[A, R fixed](f func(A) R) Loop {
	return func(c *Call) error {
		a, out := vec.Values[A](c.Args[0]), vec.Values[R](c.Out)
		m := c.mask[0]
		if c.Dense {
			for i := range out[:c.N] {
				out[i] = f(a[i&m])
			}
			return nil
		}
		if c.Sel == nil {
			for i := range out[:c.N] {
				if c.valid(i) {
					out[i] = f(a[i&m])
				}
			}
			return nil
		}
		for _, i := range c.Sel {
			if c.valid(int(i)) {
				out[i] = f(a[int(i)&m])
			}
		}
		return nil
	}
}

// try1 makes a loop of a function of one value that may fail.
func try1[A, R fixed](f func(A) (R, error)) Loop {
	return each(func(c *Call, i int) error {
		r, err := f(vec.Values[A](c.Args[0])[i&c.mask[0]])
		vec.Values[R](c.Out)[i] = r
		return err
	})
}

// map2 and try2 are map1 and try1 for two arguments.
func map2[A, B, R fixed](f func(A, B) R) Loop {
	return func(c *Call) error {
		a, b, out := vec.Values[A](c.Args[0]), vec.Values[B](c.Args[1]), vec.Values[R](c.Out)
		ma, mb := c.mask[0], c.mask[1]
		if c.Dense {
			for i := range out[:c.N] {
				out[i] = f(a[i&ma], b[i&mb])
			}
			return nil
		}
		if c.Sel == nil {
			for i := range out[:c.N] {
				if c.valid(i) {
					out[i] = f(a[i&ma], b[i&mb])
				}
			}
			return nil
		}
		for _, j := range c.Sel {
			if i := int(j); c.valid(i) {
				out[i] = f(a[i&ma], b[i&mb])
			}
		}
		return nil
	}
}

func try2[A, B, R fixed](f func(A, B) (R, error)) Loop {
	return each(func(c *Call, i int) error {
		r, err := f(vec.Values[A](c.Args[0])[i&c.mask[0]], vec.Values[B](c.Args[1])[i&c.mask[1]])
		vec.Values[R](c.Out)[i] = r
		return err
	})
}

// flatten copies the selected rows of a dictionary vector to dst.
func flatten(dst *vec.Vec, v *vec.Vec, sel []uint16) *vec.Vec {
	d := v.Dict.Values
	dst.T, dst.Form, dst.N, dst.Valid, dst.Bufs, dst.Dict, dst.Codes = v.T, vec.Flat, v.N, v.Valid, d.Bufs, nil, nil
	switch v.T.Layout {
	case types.LayoutBool:
		dst.Bits = growTo(dst.Bits, words(v.N))
		clear(dst.Bits)
		for i, code := range v.Codes[:v.N] {
			if vec.Bit(d.Bits, int(code)) {
				vec.SetBit(dst.Bits, i)
			}
		}
		if v.Valid != nil {
			kernel.And(dst.Bits, v.Valid)
		}
	case types.LayoutI16:
		dst.I16 = decode(dst.I16, d.I16, v, sel)
	case types.LayoutI32:
		dst.I32 = decode(dst.I32, d.I32, v, sel)
	case types.LayoutI64:
		dst.I64 = decode(dst.I64, d.I64, v, sel)
	case types.LayoutI128:
		dst.I128 = decode(dst.I128, d.I128, v, sel)
	case types.LayoutF32:
		dst.F32 = decode(dst.F32, d.F32, v, sel)
	case types.LayoutF64:
		dst.F64 = decode(dst.F64, d.F64, v, sel)
	case types.LayoutFixed16:
		dst.Fix = decode(dst.Fix, d.Fix, v, sel)
	default:
		dst.Views = decode(dst.Views, d.Views, v, sel)
	}
	return dst
}

func decode[E any](dst, values []E, v *vec.Vec, sel []uint16) []E {
	dst = growTo(dst, v.N)
	if len(values) == 0 { // all rows are null
		clear(dst)
		return dst
	}
	if sel != nil {
		for _, i := range sel {
			dst[i] = values[v.Codes[i]]
		}
	} else {
		for i, code := range v.Codes[:v.N] {
			dst[i] = values[code]
		}
	}
	if v.Valid != nil {
		kernel.ZeroInvalid(dst, v.Valid)
	}
	return dst
}

func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func unsafeBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// unsupported is the error for a function without a loop.
func unsupported(f *fn.Func) error { return sqlstate.Unsupported("function %s", f.Name) }
