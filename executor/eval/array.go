package eval

import (
	"fmt"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// array compiles ARRAY[…].
func (c *compiler) array(x *expr.Array, args []*node) (*node, error) {
	elem := types.ElemOf(x.T.OID)
	for i, a := range args {
		if !x.Multi {
			args[i] = c.castNumeric(a, types.Numeric)
		}
	}
	if len(args) == 0 {
		return c.constant(x.T, types.NewString(string(types.EmptyArray(elem)))), nil
	}
	var b types.ArrayBuilder
	loop := total(func(c *Call, i int) {
		b.Reset(elem)
		for k, a := range c.Args {
			b.Append(c.datum(a, k, i))
		}
		c.End(i, b.Finish(c.Begin()))
	})
	mayFail := false
	if x.Multi {
		mayFail = true
		loop = each(func(c *Call, i int) error {
			b.Reset(elem)
			var dims []types.ArrayDim
			empty := 0
			for k := range c.Args {
				if c.Null(k, i) {
					empty++
					continue
				}
				a := types.Array(c.Bytes(k, i))
				if a.NDim() == 0 {
					empty++
					continue
				}
				if dims == nil {
					dims = append(dims, types.ArrayDim{Lower: 1})
					for d := 0; d < a.NDim(); d++ {
						dims = append(dims, a.Dim(d))
					}
				}
				if !sameDims(a, dims[1:]) {
					return multiMismatch()
				}
				dims[0].Len++
				appendElems(&b, a)
			}
			if dims != nil && empty > 0 {
				return multiMismatch()
			}
			c.End(i, b.Finish(c.Begin(), dims...))
			return nil
		})
	}
	return c.loopNode(fmt.Sprintf("array%v", x.Multi), x.T, impl{loop: loop, nonStrict: true, cost: 20}, mayFail, args...), nil
}

func multiMismatch() error {
	return sqlstate.Errorf(sqlstate.ArraySubscriptError, "multidimensional arrays must have array expressions with matching dimensions")
}

func sameDims(a types.Array, dims []types.ArrayDim) bool {
	if a.NDim() != len(dims) {
		return false
	}
	for i, d := range dims {
		if a.Dim(i).Len != d.Len || a.Dim(i).Lower != d.Lower {
			return false
		}
	}
	return true
}

func appendElems(b *types.ArrayBuilder, a types.Array) {
	r := a.Reader()
	for i := 0; i < r.N; i++ {
		b.Append(r.Datum(i))
	}
}

func dimsOf(a types.Array) []types.ArrayDim {
	dims := make([]types.ArrayDim, a.NDim())
	for i := range dims {
		dims[i] = a.Dim(i)
	}
	return dims
}

// datum is argument k of row i as an edge value whose string aliases the vector.
func (c *Call) datum(v *vec.Vec, k, i int) types.Datum {
	if v.IsNull(i) {
		return types.Null
	}
	if v.T.Layout == types.LayoutView {
		return types.Datum{Valid: true, S: c.Str(k, i)}
	}
	return v.Datum(i)
}

// row compiles ROW(…).
func (c *compiler) row(args []*node, names []string) (*node, error) {
	ts := make([]types.T, len(args))
	ds := make([]types.Datum, len(args))
	for i, a := range args {
		args[i] = c.castNumeric(a, types.Numeric)
		ts[i] = args[i].t
	}
	if len(args) == 0 {
		return c.constant(types.Record, types.NewString(string(types.MakeRecord(nil, nil, nil)))), nil
	}
	loop := total(func(c *Call, i int) {
		for k, a := range c.Args {
			ds[k] = c.datum(a, k, i)
		}
		c.End(i, types.MakeRecord(c.Begin(), ts, ds))
	})
	n := c.loopNode(fmt.Sprintf("row%q", names), types.Record, impl{loop: loop, nonStrict: true, cost: 20}, false, args...)
	n.names = names
	return n, nil
}

// field compiles the n-th field of a record.
func (c *compiler) field(x *expr.Field, a *node) (*node, error) {
	t := x.T
	if t.OID == types.NumericOID {
		t = types.Numeric
	}
	n := c.loopNode(fmt.Sprintf("field%d", x.N), t, impl{cost: 5, loop: each(func(c *Call, i int) error {
		r := types.RecordValue(c.Bytes(0, i))
		if x.N >= r.Len() {
			return sqlstate.Errorf(sqlstate.InternalError, "the record has no field %d", x.N+1)
		}
		if r.IsNull(x.N) {
			c.ret(i, types.Null)
			return nil
		}
		c.ret(i, r.Datum(x.N))
		return nil
	})}, false, a)
	return c.castNumeric(n, x.T), nil
}

// recordNulls says whether all fields of a record are null, and whether none is.
func recordNulls(b []byte) (all, none bool, err error) {
	r := types.RecordValue(b)
	all, none = true, true
	for i := 0; i < r.Len(); i++ {
		if r.IsNull(i) {
			none = false
		} else {
			all = false
		}
	}
	return all, none, nil
}

// subscript compiles a[i], a[i][j] and a[l:u].
func (c *compiler) subscript(x *expr.Subscript) (*node, error) {
	a, err := c.compile(x.Arg)
	if err != nil {
		return nil, err
	}
	args := []*node{a}
	place := func(es []expr.Expr) ([]int, error) {
		at := make([]int, len(es))
		for i, e := range es {
			at[i] = -1
			if e == nil {
				continue
			}
			n, err := c.compile(e)
			if err != nil {
				return nil, err
			}
			at[i] = len(args)
			args = append(args, n)
		}
		return at, nil
	}
	lower, err := place(x.Lower)
	if err != nil {
		return nil, err
	}
	upper, err := place(x.Upper)
	if err != nil {
		return nil, err
	}
	t := x.T
	if t.OID == types.NumericOID {
		t = types.Numeric
	}
	key := fmt.Sprintf("subscript%v%v%v", x.Slice, lower, upper)
	var loop Loop
	switch {
	case a.t.OID == types.JSONBOID:
		loop = total(jsonSubscript)
	case x.Slice:
		loop = total(func(c *Call, i int) { sliceRow(c, i, lower, upper) })
	default:
		loop = total(func(c *Call, i int) { elementRow(c, i) })
	}
	n := c.loopNode(key, t, impl{loop: loop, cost: 8}, false, args...)
	return c.castNumeric(n, x.T), nil
}

// bound is the integer argument k of row i.
func (c *Call) bound(k, i int) int64 {
	switch c.Args[k].T.Layout {
	case types.LayoutI16:
		return int64(c.I16(k, i))
	case types.LayoutI64:
		return c.I64(k, i)
	}
	return int64(c.I32(k, i))
}

// elementRow is a[i][j]…: NULL outside the array or with the wrong number of
// subscripts.
func elementRow(c *Call, i int) {
	a := types.Array(c.Bytes(0, i))
	n := len(c.Args) - 1
	if a.NDim() != n {
		c.ret(i, types.Null)
		return
	}
	at := int64(0)
	for k := 0; k < n; k++ {
		d := a.Dim(k)
		s := c.bound(k+1, i) - int64(d.Lower)
		if s < 0 || s >= int64(d.Len) {
			c.ret(i, types.Null)
			return
		}
		at = at*int64(d.Len) + s
	}
	r := a.Reader()
	c.ret(i, r.Datum(int(at)))
}

// sliceRow is a[l:u]…: missing bounds are the array's, and dimensions without a
// bound are taken whole.
func sliceRow(c *Call, i int, lower, upper []int) {
	a := types.Array(c.Bytes(0, i))
	n := a.NDim()
	var b types.ArrayBuilder
	b.Reset(a.ElemOID())
	if n == 0 || len(upper) > n {
		c.End(i, b.Finish(c.Begin()))
		return
	}
	from, dims := make([]int64, n), make([]types.ArrayDim, n)
	for k := 0; k < n; k++ {
		d := a.Dim(k)
		lo, hi := int64(d.Lower), int64(d.Lower)+int64(d.Len)-1
		if k < len(lower) && lower[k] >= 0 {
			lo = max(lo, c.bound(lower[k], i))
		}
		if k < len(upper) && upper[k] >= 0 {
			hi = min(hi, c.bound(upper[k], i))
		}
		if lo > hi {
			c.End(i, b.Finish(c.Begin()))
			return
		}
		from[k] = lo - int64(d.Lower)
		dims[k] = types.ArrayDim{Len: int32(hi - lo + 1), Lower: 1}
	}
	r := a.Reader()
	idx := make([]int64, n)
	for {
		at := int64(0)
		for k := 0; k < n; k++ {
			at = at*int64(a.Dim(k).Len) + from[k] + idx[k]
		}
		b.Append(r.Datum(int(at)))
		k := n - 1
		for ; k >= 0; k-- {
			if idx[k]++; idx[k] < int64(dims[k].Len) {
				break
			}
			idx[k] = 0
		}
		if k < 0 {
			break
		}
	}
	c.End(i, b.Finish(c.Begin(), dims...))
}

// slotOp is an operand that another node sets before evaluation.
type slotOp struct{ v *vec.Vec }

func (o *slotOp) eval(n *node, s *scope) (*vec.Vec, error) { return o.v, nil }

// anyAll compiles op ANY (array) and op ALL (array).
func (c *compiler) anyAll(x *expr.AnyAll) (*node, error) {
	l, err := c.compile(x.L)
	if err != nil {
		return nil, err
	}
	a, err := c.compile(x.Array)
	if err != nil {
		return nil, err
	}
	elem := types.ElemType(types.ElemOf(a.t.OID))
	if a.isConst {
		if a.out.IsNull(0) {
			return c.constant(types.Bool, types.Null), nil
		}
		r := types.Array(a.out.Bytes(0)).Reader()
		eq := fn.EqualityFor(l.t.OID)
		isEq := eq != nil && eq.Func == x.Fn && !x.All
		isNe := eq != nil && fn.OperatorByOID(eq.Negator) != nil && fn.OperatorByOID(eq.Negator).Func == x.Fn && x.All
		if isEq || isNe || r.N <= 32 {
			items := make([]*node, r.N)
			for i := range items {
				d := r.Datum(i)
				t := elem
				if d.Valid && t.OID == types.NumericOID {
					t, d = scaledConst(d)
				}
				items[i] = c.constant(t, d)
			}
			if isEq || isNe {
				return c.inNodes(l, items, eq.Func, isNe)
			}
			var parts []*node
			for _, it := range items {
				n, err := c.call(x.Fn, []*node{l, it}, types.Bool)
				if err != nil {
					return nil, err
				}
				parts = append(parts, n)
			}
			switch len(parts) {
			case 0:
				return c.constant(types.Bool, types.NewBool(x.All)), nil
			case 1:
				return parts[0], nil
			}
			return c.fold(c.make(fmt.Sprintf("logic%v", x.All), types.Bool, &logicOp{and: x.All}, 0.1, parts...)), nil
		}
	}
	lt := l.t
	if lt.OID == types.NumericOID {
		l = c.castNumeric(l, types.Numeric)
		lt = l.t
	}
	ls, es := &slotOp{}, &slotOp{}
	ln := c.make(fmt.Sprintf("slotL%p", ls), lt, ls, 0)
	en := c.make(fmt.Sprintf("slotE%p", es), elem, es, 0)
	ln.volatile, en.volatile = true, true
	inner, err := c.call(x.Fn, []*node{ln, en}, types.Bool)
	if err != nil {
		return nil, err
	}
	o := &anyOp{all: x.All, l: ls, e: es, inner: inner, lv: vec.New(lt, 1), ev: vec.New(elem, 0)}
	n := c.make(fmt.Sprintf("any%v.%d", x.All, x.Fn.OID), types.Bool, o, 50, l, a)
	n.mayFail = n.mayFail || inner.mayFail
	return n, nil
}

// scaledConst gives a numeric constant a scaled layout when it fits one.
func scaledConst(d types.Datum) (types.T, types.Datum) {
	b := []byte(d.S)
	if types.NumericIsNaN(b) || types.NumericIsInf(b) {
		return types.Numeric, d
	}
	scale := types.NumericDScale(b)
	v, ok := types.NumericToI128(b, scale)
	if x, fits := v.Int64(); ok && fits && x > -1e18 && x < 1e18 && scale <= types.NumericDigitsI64 {
		t := types.DecimalResult(types.NumericDigitsI64, scale)
		return boundDigits(t, types.NewInt(x)), types.NewInt(x)
	}
	return types.Numeric, d
}

// anyOp compares one value with the elements of one array, row by row.
type anyOp struct {
	all    bool
	l, e   *slotOp
	inner  *node
	lv, ev *vec.Vec
	sc     scope
}

func (o *anyOp) eval(n *node, s *scope) (*vec.Vec, error) {
	l, err := n.args[0].eval(s)
	if err != nil {
		return nil, err
	}
	a, err := n.args[1].eval(s)
	if err != nil {
		return nil, err
	}
	out := n.flat(s.n)
	clear(out.Bits[:words(s.n)])
	valid := n.ownValid(s.n)
	fillOnes(valid)
	nulls := false
	for k, m := 0, s.rows(); k < m; k++ {
		i := k
		if s.sel != nil {
			i = int(s.sel[k])
		}
		if a.IsNull(i) {
			nulls = true
			vec.ClearBit(valid, i)
			continue
		}
		r := types.Array(a.BytesAt(i)).Reader()
		if r.N == 0 {
			vec.PutBit(out.Bits, i, o.all)
			continue
		}
		o.lv.SetConst(o.lv.T, l.Datum(i), r.N)
		o.ev.Recycle(o.ev.T)
		for j := 0; j < r.N; j++ {
			o.ev.AppendDatum(r.Datum(j))
		}
		o.l.v, o.e.v = o.lv, o.ev
		n.p.scopeID++
		o.sc = scope{id: n.p.scopeID, n: r.N}
		v, err := o.inner.eval(&o.sc)
		if err != nil {
			return nil, err
		}
		hit, unknown := false, false
		for j := 0; j < r.N && !hit; j++ {
			switch {
			case v.IsNull(j):
				unknown = true
			case v.Form == vec.Const:
				hit = (v.Bits[0]&1 != 0) != o.all
			default:
				hit = vec.Bit(v.Bits, j) != o.all
			}
		}
		switch {
		case hit:
			vec.PutBit(out.Bits, i, !o.all)
		case unknown:
			nulls = true
			vec.ClearBit(valid, i)
		default:
			vec.PutBit(out.Bits, i, o.all)
		}
	}
	if nulls {
		out.Valid = valid
	}
	return out, nil
}
