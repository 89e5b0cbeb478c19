package eval

import (
	"bytes"
	"math/bits"
	"unsafe"

	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// OIDs that compilation treats apart.
const (
	numericAddOID = 1724
	numericSubOID = 1725
	numericMulOID = 1726
)

var ops = [...]kernel.Op{kernel.EQ, kernel.NE, kernel.LT, kernel.LE, kernel.GT, kernel.GE}
var opNames = [...]string{"eq", "ne", "lt", "le", "gt", "ge"}

// numericCompares are the comparisons of numeric.
var numericCompares = map[uint32]bool{}

func isNumericCompare(f *fn.Func) bool { return numericCompares[f.OID] }

// lessFor is the function of a type's <.
func lessFor(oid uint32) *fn.Func {
	if o := fn.LessFor(oid); o != nil {
		return o.Func
	}
	return nil
}

// family registers the six comparisons that have a name in common.
func family(pre, post string, m func(op kernel.Op) impl) {
	for i, op := range ops {
		x := m(op)
		if x.cost == 0 {
			x.cost = 1
		}
		reg(pre+opNames[i]+post, x)
	}
}

func init() {
	family("int2", "", func(op kernel.Op) impl { return impl{loop: cmpInts[int16](op), dense: true} })
	family("int4", "", func(op kernel.Op) impl { return impl{loop: cmpInts[int32](op), dense: true} })
	family("int8", "", func(op kernel.Op) impl { return impl{loop: cmpInts[int64](op), dense: true} })
	family("int24", "", func(op kernel.Op) impl { return impl{loop: cmpMixed[int16, int32](op), dense: true} })
	family("int42", "", func(op kernel.Op) impl { return impl{loop: cmpMixed[int32, int16](op), dense: true} })
	family("int28", "", func(op kernel.Op) impl { return impl{loop: cmpMixed[int16, int64](op), dense: true} })
	family("int82", "", func(op kernel.Op) impl { return impl{loop: cmpMixed[int64, int16](op), dense: true} })
	family("int48", "", func(op kernel.Op) impl { return impl{loop: cmpMixed[int32, int64](op), dense: true} })
	family("int84", "", func(op kernel.Op) impl { return impl{loop: cmpMixed[int64, int32](op), dense: true} })
	family("date_", "", func(op kernel.Op) impl { return impl{loop: cmpInts[int32](op), dense: true} })
	family("time_", "", func(op kernel.Op) impl { return impl{loop: cmpInts[int64](op), dense: true} })
	family("timestamp_", "", func(op kernel.Op) impl { return impl{loop: cmpInts[int64](op), dense: true} })
	family("timestamptz_", "", func(op kernel.Op) impl { return impl{loop: cmpInts[int64](op), dense: true} })
	family("oid", "", func(op kernel.Op) impl { return impl{loop: cmpUints[int32, uint32](op), dense: true} })
	family("xid8", "", func(op kernel.Op) impl { return impl{loop: cmpUints[int64, uint64](op), dense: true} })
	family("pg_lsn_", "", func(op kernel.Op) impl { return impl{loop: cmpUints[int64, uint64](op), dense: true} })
	reg("xideq", impl{loop: cmpInts[int32](kernel.EQ), dense: true, cost: 1})
	reg("cideq", impl{loop: cmpInts[int32](kernel.EQ), dense: true, cost: 1})
	reg("xidneq", impl{loop: cmpInts[int32](kernel.NE), dense: true, cost: 1})
	reg("xideqint4", impl{loop: cmpInts[int32](kernel.EQ), dense: true, cost: 1})
	reg("xidneqint4", impl{loop: cmpInts[int32](kernel.NE), dense: true, cost: 1})
	family("float4", "", func(op kernel.Op) impl { return impl{loop: cmpFloats[float32](op), dense: true} })
	family("float8", "", func(op kernel.Op) impl { return impl{loop: cmpFloats[float64](op), dense: true} })
	family("float48", "", func(op kernel.Op) impl {
		return impl{loop: cmpBy(op, func(c *Call, i int) int { return compareFloat(float64(c.F32(0, i)), c.F64(1, i)) })}
	})
	family("float84", "", func(op kernel.Op) impl {
		return impl{loop: cmpBy(op, func(c *Call, i int) int { return compareFloat(c.F64(0, i), float64(c.F32(1, i))) })}
	})
	family("bool", "", func(op kernel.Op) impl { return impl{loop: cmpBools(op), dense: true} })
	text := func(op kernel.Op) impl { return impl{loop: cmpText(op), cost: 4} }
	for _, s := range []string{"text", "name", "nameeqtext", "texteqname"} {
		pre, post := s, ""
		if len(s) > 4 {
			pre, post = s[:4], s[6:]
		}
		for i, op := range ops {
			sep := ""
			if s == "text" && i > 1 {
				sep = "_"
			}
			reg(pre+sep+opNames[i]+post, text(op))
		}
	}
	family("bytea", "", text)
	family("char", "", text)
	family("bpchar", "", func(op kernel.Op) impl {
		return impl{cost: 6, loop: cmpBy(op, func(c *Call, i int) int {
			return bytes.Compare(trimBlanks(c.Bytes(0, i)), trimBlanks(c.Bytes(1, i)))
		})}
	})
	family("uuid_", "", func(op kernel.Op) impl {
		return impl{loop: func(c *Call) error {
			a, b, out := c.Args[0].Fix, c.Args[1].Fix, c.Out.Bits
			switch {
			case !c.Dense:
				cmpRows(c, op, func(i int) int { return kernel.CompareUUID(a[i&c.mask[0]], b[i&c.mask[1]]) })
			case c.mask[0] == 0:
				kernel.CmpUUIDConst(op.Swap(), padded(b, c.N, c.mask[1]), a[0], out)
			case c.mask[1] == 0:
				kernel.CmpUUIDConst(op, a[:c.N], b[0], out)
			default:
				kernel.CmpUUIDVec(op, a[:c.N], b[:c.N], out)
			}
			return nil
		}, dense: true}
	})
	for i, op := range ops {
		sig := "numeric_" + opNames[i]
		numericCompares[lookup(sig).OID] = true
		reg(sig, impl{scaled: true, dense: true, cost: 1, loop: func(c *Call) error {
			switch c.Args[0].T.Layout {
			case types.LayoutI64:
				return cmpI64s[op](c)
			case types.LayoutI128:
				return cmpI128(c, op)
			}
			cmpRows(c, op, func(i int) int { return types.CompareNumeric(c.Bytes(0, i), c.Bytes(1, i)) })
			return nil
		}})
	}
}

var cmpI64s = func() (l [6]Loop) {
	for _, op := range ops {
		l[op] = cmpInts[int64](op)
	}
	return l
}()

// padded is a constant side repeated; only when both sides are constant.
func padded[E any](v []E, n, mask int) []E {
	if mask != 0 || n <= len(v) {
		return v[:n]
	}
	w := make([]E, n)
	for i := range w {
		w[i] = v[0]
	}
	return w
}

// cmpInts compares values of one integer layout.
func cmpInts[E int16 | int32 | int64](op kernel.Op) Loop {
	return func(c *Call) error {
		cmpSlices(c, op, vec.Values[E](c.Args[0]), vec.Values[E](c.Args[1]))
		return nil
	}
}

// cmpUints compares values of an integer layout as unsigned.
func cmpUints[S int32 | int64, U uint32 | uint64](op kernel.Op) Loop {
	return func(c *Call) error {
		a, b := vec.Values[S](c.Args[0]), vec.Values[S](c.Args[1])
		cmpSlices(c, op, *(*[]U)(unsafe.Pointer(&a)), *(*[]U)(unsafe.Pointer(&b)))
		return nil
	}
}

func cmpSlices[E kernel.Integer](c *Call, op kernel.Op, a, b []E) {
	out := c.Out.Bits
	switch {
	case !c.Dense:
		cmpSparse(c, op, a, b)
	case c.mask[1] == 0 && c.mask[0] == 0:
		kernel.CmpConst(op, padded(a, c.N, 0), b[0], out)
	case c.mask[1] == 0:
		kernel.CmpConst(op, a[:c.N], b[0], out)
	case c.mask[0] == 0:
		kernel.CmpConst(op.Swap(), b[:c.N], a[0], out)
	default:
		kernel.CmpVec(op, a[:c.N], b[:c.N], out)
	}
}

// cmpSparse compares the rows of the selection; the bits are clear before.
func cmpSparse[E kernel.Integer](c *Call, op kernel.Op, a, b []E) {
	ma, mb := c.mask[0], c.mask[1]
	if op == kernel.GT || op == kernel.LE {
		a, b, ma, mb, op = b, a, mb, ma, op.Swap()
	}
	var inv uint64
	if op == kernel.NE || op == kernel.GE {
		inv = 1
	}
	out := c.Out.Bits
	if c.Sel == nil {
		for i := 0; i < c.N; i++ {
			vec.PutBit(out, i, op.Holds(compareOrdered(a[i&ma], b[i&mb])))
		}
		return
	}
	if op == kernel.EQ || op == kernel.NE {
		for _, i := range c.Sel {
			x := inv ^ b2u(a[int(i)&ma] == b[int(i)&mb])
			out[i>>6] |= x << (i & 63)
		}
		return
	}
	for _, i := range c.Sel {
		x := inv ^ b2u(a[int(i)&ma] < b[int(i)&mb])
		out[i>>6] |= x << (i & 63)
	}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func compareOrdered[E kernel.Integer | float64](a, b E) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareFloat orders floats as PostgreSQL does: NaN equals NaN and is above all.
func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case a == a:
		return -1
	case b == b:
		return 1
	}
	return 0
}

// cmpMixed compares two integer layouts.
func cmpMixed[A, B int16 | int32 | int64](op kernel.Op) Loop {
	return func(c *Call) error {
		a, b, out := vec.Values[A](c.Args[0]), vec.Values[B](c.Args[1]), c.Out.Bits
		ma, mb := c.mask[0], c.mask[1]
		switch {
		case !c.Dense:
			cmpRows(c, op, func(i int) int { return compareOrdered(int64(a[i&ma]), int64(b[i&mb])) })
		case mb == 0 && ma != 0 && int64(A(b[0])) == int64(b[0]):
			kernel.CmpConst(op, a[:c.N], A(b[0]), out)
		case ma == 0 && mb != 0 && int64(B(a[0])) == int64(a[0]):
			kernel.CmpConst(op.Swap(), b[:c.N], B(a[0]), out)
		default:
			for w := range out[:words(c.N)] {
				var eq, lt uint64
				for j, base := 0, w<<6; j < 64 && base+j < c.N; j++ {
					x, y := int64(a[(base+j)&ma]), int64(b[(base+j)&mb])
					eq |= b2u(x == y) << (uint(j) & 63)
					lt |= b2u(x < y) << (uint(j) & 63)
				}
				out[w] = pick(op, eq, lt)
			}
			clean(out, c.N)
		}
		return nil
	}
}

// pick makes the bits of op of those of = and <.
func pick(op kernel.Op, eq, lt uint64) uint64 {
	switch op {
	case kernel.EQ:
		return eq
	case kernel.NE:
		return ^eq
	case kernel.LT:
		return lt
	case kernel.LE:
		return lt | eq
	case kernel.GT:
		return ^(lt | eq)
	}
	return ^lt
}

func cmpFloats[E float32 | float64](op kernel.Op) Loop {
	return func(c *Call) error {
		a, b, out := vec.Values[E](c.Args[0]), vec.Values[E](c.Args[1]), c.Out.Bits
		switch {
		case !c.Dense:
			cmpRows(c, op, func(i int) int { return compareFloat(float64(a[i&c.mask[0]]), float64(b[i&c.mask[1]])) })
		case c.mask[1] == 0:
			kernel.CmpFloatConst(op, padded(a, c.N, c.mask[0]), b[0], out)
		case c.mask[0] == 0:
			kernel.CmpFloatConst(op.Swap(), b[:c.N], a[0], out)
		default:
			kernel.CmpFloatVec(op, a[:c.N], b[:c.N], out)
		}
		return nil
	}
}

func cmpI128(c *Call, op kernel.Op) error {
	a, b, out := c.Args[0].I128, c.Args[1].I128, c.Out.Bits
	switch {
	case !c.Dense:
		cmpRows(c, op, func(i int) int { return a[i&c.mask[0]].Cmp(b[i&c.mask[1]]) })
	case c.mask[1] == 0:
		kernel.CmpI128Const(op, padded(a, c.N, c.mask[0]), b[0], out)
	case c.mask[0] == 0:
		kernel.CmpI128Const(op.Swap(), b[:c.N], a[0], out)
	default:
		kernel.CmpI128Vec(op, a[:c.N], b[:c.N], out)
	}
	return nil
}

func cmpBools(op kernel.Op) Loop {
	return func(c *Call) error {
		side := func(k, w int) uint64 {
			if c.mask[k] == 0 {
				return -(c.Args[k].Bits[0] & 1)
			}
			return c.Args[k].Bits[w]
		}
		out := c.Out.Bits
		for w := range out[:words(c.N)] {
			a, b := side(0, w), side(1, w)
			out[w] = pick(op, ^(a ^ b), ^a&b)
		}
		clean(out, c.N)
		return nil
	}
}

// cmpRows sets the bits of the rows that count by a three-way comparison.
func cmpRows(c *Call, op kernel.Op, cmp func(i int) int) {
	out := c.Out.Bits
	if c.Dense {
		clear(out[:words(c.N)])
	}
	if c.Sel == nil {
		for i := 0; i < c.N; i++ {
			if c.valid(i) && op.Holds(cmp(i)) {
				vec.SetBit(out, i)
			}
		}
		return
	}
	for _, j := range c.Sel {
		if i := int(j); c.valid(i) && op.Holds(cmp(i)) {
			vec.SetBit(out, i)
		}
	}
}

// cmpBy is cmpRows as a loop.
func cmpBy(op kernel.Op, cmp func(c *Call, i int) int) Loop {
	return func(c *Call) error {
		cmpRows(c, op, func(i int) int { return cmp(c, i) })
		return nil
	}
}

// cmpText compares strings byte-wise, by their first words where these decide.
func cmpText(op kernel.Op) Loop {
	inv := op == kernel.NE || op == kernel.GE || op == kernel.LE
	if op == kernel.EQ || op == kernel.NE {
		return func(c *Call) error {
			a, b, out := c.Args[0], c.Args[1], c.Out.Bits
			av, bv := a.Views, b.Views
			ma, mb := c.mask[0], c.mask[1]
			want := b2u(inv)
			if c.Sel == nil {
				for i := 0; i < c.N; i++ {
					x := b2u(equalViews(a, b, &av[i&ma], &bv[i&mb])) ^ want
					out[i>>6] |= x << (uint(i) & 63)
				}
				return nil
			}
			for _, j := range c.Sel {
				i := int(j)
				x := b2u(equalViews(a, b, &av[i&ma], &bv[i&mb])) ^ want
				out[i>>6] |= x << (uint(i) & 63)
			}
			return nil
		}
	}
	return func(c *Call) error {
		a, b, out := c.Args[0], c.Args[1], c.Out.Bits
		ma, mb := c.mask[0], c.mask[1]
		if op == kernel.GT || op == kernel.LE {
			a, b, ma, mb = b, a, mb, ma
		}
		av, bv := a.Views, b.Views
		want := b2u(inv)
		if c.Sel == nil {
			for i := 0; i < c.N; i++ {
				x := b2u(lessViews(a, b, &av[i&ma], &bv[i&mb])) ^ want
				out[i>>6] |= x << (uint(i) & 63)
			}
			return nil
		}
		for _, j := range c.Sel {
			i := int(j)
			x := b2u(lessViews(a, b, &av[i&ma], &bv[i&mb])) ^ want
			out[i>>6] |= x << (uint(i) & 63)
		}
		return nil
	}
}

func equalViews(a, b *vec.Vec, x, y *vec.View) bool {
	if x.Len != y.Len || x.Prefix != y.Prefix {
		return false
	}
	if x.Len <= vec.InlineMax {
		return x.Tail == y.Tail
	}
	return bytes.Equal(a.Long(*x), b.Long(*y))
}

func lessViews(a, b *vec.Vec, x, y *vec.View) bool {
	if x.Prefix != y.Prefix {
		return bits.ReverseBytes32(x.Prefix) < bits.ReverseBytes32(y.Prefix)
	}
	return bytes.Compare(viewBytes(a, x), viewBytes(b, y)) < 0
}

func viewBytes(v *vec.Vec, w *vec.View) []byte {
	if w.Len > vec.InlineMax {
		return v.Long(*w)
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w.Prefix)), int(w.Len))
}

func trimBlanks(b []byte) []byte {
	n := len(b)
	for n > 0 && b[n-1] == ' ' {
		n--
	}
	return b[:n]
}
