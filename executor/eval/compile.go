package eval

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// compiler makes nodes of expressions. Equal sub-expressions become one node: the
// key of a node names its kind, its own facts and its arguments by number.
type compiler struct {
	p     *Program
	nodes map[string]*node
	ids   map[*node]int
	seen  int // expressions compiled
}

func newCompiler(p *Program) *compiler {
	return &compiler{p: p, nodes: map[string]*node{}, ids: map[*node]int{}}
}

// make returns the node with this key, or a new one. The cost given is the
// node's own, per row.
func (c *compiler) make(key string, t types.T, o op, cost float32, args ...*node) *node {
	var b strings.Builder
	b.WriteString(key)
	fmt.Fprintf(&b, "|%d.%d.%d.%d", t.OID, t.Mod, t.Layout, t.Scale)
	volatile := false
	for _, a := range args {
		fmt.Fprintf(&b, "#%d", c.ids[a])
		volatile = volatile || a.volatile
	}
	k := b.String()
	if n := c.nodes[k]; n != nil && !volatile && !n.volatile {
		return n
	}
	n := &node{p: c.p, t: t, op: o, args: args, cost: cost, volatile: volatile}
	for _, a := range args {
		n.cost += a.cost
		n.mayFail = n.mayFail || a.mayFail
	}
	c.nodes[k] = n
	c.ids[n] = len(c.ids) + 1
	c.p.all = append(c.p.all, n)
	return n
}

// fold replaces a node whose arguments are constants by its value. One that
// raises stays: it raises when a row gets there.
func (c *compiler) fold(n *node) *node {
	if n.isConst || n.volatile || len(n.args) == 0 && !n.foldable() {
		return n
	}
	for _, a := range n.args {
		if !a.isConst {
			return n
		}
	}
	s := scope{id: -1, n: 1}
	v, err := n.eval(&s)
	n.at = 0
	if err != nil {
		return n
	}
	if n.t.Layout == types.LayoutView && v == &n.out && !v.IsNull(0) && v.Views[0].Len > freeBytes {
		n.isConst, v.Form = true, vec.Const // a long string stays where it is
		return n
	}
	return c.constant(n.t, v.Datum(0))
}

// foldable says whether a node without arguments has the same value all through
// the statement.
func (n *node) foldable() bool {
	_, ok := n.op.(*callOp)
	return ok
}

func (c *compiler) constant(t types.T, d types.Datum) *node {
	var key string
	if len(d.S) > 1<<10 {
		key = fmt.Sprintf("const%p.%d", unsafe.StringData(d.S), len(d.S))
	} else {
		key = fmt.Sprintf("const%v.%d.%d.%x.%q", d.Valid, d.I, d.H, d.F, d.S)
	}
	n := c.make(key, t, nil, 0)
	if !n.isConst {
		n.constant(d, 1)
		n.isConst = true
		n.out.Form = vec.Const
	}
	return n
}

func (c *compiler) compile(e expr.Expr) (*node, error) {
	if c.seen++; c.seen&1023 == 0 && c.p.env.ended() {
		return nil, errEnded
	}
	switch x := e.(type) {
	case *expr.Column:
		ord := x.ID
		if env := c.p.env; env != nil && env.Ordinal != nil {
			ord = env.Ordinal(x.ID)
		}
		if ord < 0 {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "column %q (%d) is not in the input", x.Name, x.ID)
		}
		return c.make(fmt.Sprintf("col%d", ord), x.T, &columnOp{ord}, 0), nil
	case *expr.Const:
		return c.constant(x.T, x.D), nil
	case *expr.Param:
		d, ok := c.p.env.param(x)
		if !ok {
			return nil, sqlstate.Errorf(sqlstate.UndefinedParameter, "there is no parameter $%d", x.N)
		}
		return c.constant(x.T, d), nil
	case *expr.Call:
		args, err := c.list(x.Args)
		if err != nil {
			return nil, err
		}
		return c.call(x.Fn, args, x.T)
	case *expr.Cast:
		a, err := c.compile(x.Arg)
		if err != nil {
			return nil, err
		}
		return c.cast(a, x)
	case *expr.And:
		return c.logic(x.Args, true)
	case *expr.Or:
		return c.logic(x.Args, false)
	case *expr.Not:
		return c.unary(x.Arg, "not", types.Bool, notOp{}, 0.1)
	case *expr.IsNull:
		return c.unary(x.Arg, fmt.Sprintf("isnull%v", x.Not), types.Bool, isNullOp{x.Not, x.Arg.Type().OID == types.RecordOID}, 0.1)
	case *expr.BoolTest:
		return c.unary(x.Arg, fmt.Sprintf("booltest%v%v", x.Want, x.Not), types.Bool, boolTestOp{x.Want, x.Not}, 0.1)
	case *expr.Distinct:
		return c.distinct(x)
	case *expr.Case:
		return c.caseExpr(x)
	case *expr.Coalesce:
		args, err := c.list(x.Args)
		if err != nil {
			return nil, err
		}
		return c.coalesce(args, x.T)
	case *expr.MinMax:
		return c.minMax(x)
	case *expr.In:
		return c.in(x)
	case *expr.AnyAll:
		return c.anyAll(x)
	case *expr.Array:
		args, err := c.list(x.Elems)
		if err != nil {
			return nil, err
		}
		return c.array(x, args)
	case *expr.Row:
		args, err := c.list(x.Elems)
		if err != nil {
			return nil, err
		}
		return c.row(args, x.Names)
	case *expr.Field:
		a, err := c.compile(x.Arg)
		if err != nil {
			return nil, err
		}
		return c.field(x, a)
	case *expr.Subscript:
		return c.subscript(x)
	case nil:
		return nil, sqlstate.Errorf(sqlstate.InternalError, "no expression")
	}
	return nil, sqlstate.Errorf(sqlstate.InternalError, "cannot evaluate a %T", e)
}

func (c *compiler) list(es []expr.Expr) ([]*node, error) {
	ns := make([]*node, len(es))
	for i, e := range es {
		n, err := c.compile(e)
		if err != nil {
			return nil, err
		}
		ns[i] = n
	}
	return ns, nil
}

func (c *compiler) unary(arg expr.Expr, key string, t types.T, o op, cost float32) (*node, error) {
	a, err := c.compile(arg)
	if err != nil {
		return nil, err
	}
	return c.fold(c.make(key, t, o, cost, a)), nil
}

// call compiles a call of f with compiled arguments.
func (c *compiler) call(f *fn.Func, args []*node, t types.T) (*node, error) {
	if f.RetSet {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "set-valued function called in context that cannot accept a set")
	}
	if len(args) == 2 && args[0].isConst != args[1].isConst {
		k := b2i(args[1].isConst)
		args[k].out.N = 1
		if to, ct, d, ok := narrowCompare(f, k, args[k].out.Datum(0)); ok {
			f, args = to, []*node{args[1-k], c.constant(ct, d)}
		}
	}
	m := registry[f.OID]
	if m == nil {
		return c.provided(f, args, t)
	}
	out := t
	if t.OID == types.NumericOID || anyNumeric(args) {
		args, out = c.numericArgs(f, m, args, t)
	}
	pc := &prepareContext{env: c.p.env, fn: f, out: out}
	key := strings.Builder{}
	fmt.Fprintf(&key, "f%d", f.OID)
	for _, a := range args {
		pc.types = append(pc.types, a.t)
		pc.known = append(pc.known, a.isConst)
		var d types.Datum
		if a.isConst {
			a.out.N = 1
			d = a.out.Datum(0)
		}
		pc.args = append(pc.args, d)
	}
	o := &callOp{m: m, loop: m.loop, strict: f.Strict && !m.nonStrict}
	n := c.make(key.String(), out, o, m.cost, args...)
	if n.op == op(o) {
		n.volatile = n.volatile || f.Volatility == fn.Volatile
		mayFail := f.MayFail && !fn.SafeCall(f, pc.known, pc.args)
		n.mayFail = n.mayFail || mayFail
		o.pure = f.Volatility != fn.Volatile && !mayFail
		nullArg := false
		for i := range args {
			nullArg = nullArg || pc.known[i] && !pc.args[i].Valid
		}
		if m.prepare != nil && !(nullArg && o.strict) {
			l, err := m.prepare(pc)
			if err != nil {
				l = func(*Call) error { return err }
				n.mayFail = true
			}
			if l != nil {
				o.loop = l
			}
		}
		if o.loop == nil {
			o.loop = func(*Call) error { return unsupported(f) }
			if !(nullArg && o.strict) {
				return nil, unsupported(f)
			}
		}
		o.call = Call{Fn: f, Env: c.p.env, node: n, Args: make([]*vec.Vec, len(args)), mask: make([]int, len(args)), consts: pc.args}
		o.flats = make([]vec.Vec, len(args))
		n = c.fold(n)
	}
	if !out.Same(t) {
		return c.castNumeric(n, t), nil
	}
	return n, nil
}

func anyNumeric(args []*node) bool {
	for _, a := range args {
		if a.t.OID == types.NumericOID {
			return true
		}
	}
	return false
}

// numericArgs brings numeric arguments to the layouts that f's loop takes; out is
// the type of the loop's result.
func (c *compiler) numericArgs(f *fn.Func, m *impl, args []*node, t types.T) ([]*node, types.T) {
	as := append([]*node(nil), args...)
	all := func(to types.T) {
		for i, a := range as {
			if a.t.OID == types.NumericOID {
				as[i] = c.castNumeric(a, to)
			}
		}
	}
	out := t
	if !m.scaled {
		all(types.Numeric)
		if t.OID == types.NumericOID {
			out = types.Numeric
		}
		return as, out
	}
	switch {
	case isNumericCompare(f):
		all(commonCompare(as[0].t, as[1].t))
	case f.OID == numericAddOID || f.OID == numericSubOID || len(args) == 1 && t.OID == types.NumericOID && args[0].t.OID == types.NumericOID:
		if t.Scaled() && fits(as, t) {
			all(types.T{OID: types.NumericOID, Mod: -1, Layout: t.Layout, Scale: t.Scale, Prec: t.Prec})
		} else {
			all(types.Numeric)
			out = types.Numeric
		}
	case f.OID == numericMulOID:
		a, b := as[0].t, as[1].t
		switch {
		case t.Scaled() && a.Scaled() && b.Scaled() && a.Scale+b.Scale == t.Scale:
			if t.Layout == types.LayoutI128 && (a.Layout == types.LayoutI128) != (b.Layout == types.LayoutI128) {
				as[0] = c.castNumeric(as[0], widened(a))
				as[1] = c.castNumeric(as[1], widened(b))
			} else if t.Layout == types.LayoutI64 && (a.Layout != types.LayoutI64 || b.Layout != types.LayoutI64) {
				// A factor declared wider than the product: its values fit all the same.
				as[0] = c.castNumeric(as[0], narrowed(a))
				as[1] = c.castNumeric(as[1], narrowed(b))
			}
		default:
			all(types.Numeric)
			out = types.Numeric
		}
	}
	return as, out
}

func widened(t types.T) types.T {
	t.Layout, t.Mod = types.LayoutI128, -1
	return t
}

func narrowed(t types.T) types.T {
	t.Layout, t.Mod = types.LayoutI64, -1
	t.Prec = min(t.Prec, types.NumericDigitsI64)
	return t
}

// fits says whether scaled arguments can take t's scale.
func fits(as []*node, t types.T) bool {
	for _, a := range as {
		if a.t.OID == types.NumericOID && (!a.t.Scaled() || a.t.Scale > t.Scale) {
			return false
		}
	}
	return true
}

// commonCompare is the numeric type in which two values compare.
func commonCompare(a, b types.T) types.T {
	if !a.Scaled() || !b.Scaled() {
		return types.Numeric
	}
	if a.Layout == b.Layout && a.Scale == b.Scale {
		return types.T{OID: types.NumericOID, Mod: -1, Layout: a.Layout, Scale: a.Scale, Prec: max(a.Prec, b.Prec)}
	}
	scale := max(a.Scale, b.Scale)
	whole := max(a.Prec-a.Scale, b.Prec-b.Scale)
	return types.DecimalResult(int(whole+scale), int(scale))
}

// provided compiles a call that the session's provider answers.
func (c *compiler) provided(f *fn.Func, args []*node, t types.T) (*node, error) {
	p := c.p.env.session().Provider
	if p == nil || !p.Has(f.OID) {
		return nil, unsupported(f)
	}
	for i, a := range args {
		if a.t.OID == types.NumericOID {
			args[i] = c.castNumeric(a, types.Numeric)
		}
	}
	o := &callOp{m: &impl{cost: 1000}, strict: f.Strict, loop: provide(p, f)}
	n := c.make(fmt.Sprintf("f%d", f.OID), t, o, 1000, args...)
	if n.op == op(o) {
		n.volatile = n.volatile || f.Volatility == fn.Volatile
		n.mayFail = true
		o.call = Call{Fn: f, Env: c.p.env, node: n, Args: make([]*vec.Vec, len(args)), mask: make([]int, len(args))}
		o.flats = make([]vec.Vec, len(args))
		n = c.fold(n)
	}
	return n, nil
}

// provide is the loop of a provider's function.
func provide(p Provider, f *fn.Func) Loop {
	return each(func(c *Call, i int) error {
		args := make([]types.Datum, len(c.Args))
		for k, a := range c.Args {
			args[k] = a.Datum(i)
		}
		var d types.Datum
		var err error
		if ap, ok := p.(AnyProvider); ok && f.Variadic == types.AnyOID {
			ts := make([]types.T, len(c.Args))
			for k, a := range c.Args {
				ts[k] = a.T
			}
			d, err = ap.CallAny(f, ts, args)
		} else {
			d, err = p.Call(f, args)
		}
		if err != nil {
			return err
		}
		c.ret(i, d)
		return nil
	})
}

// ret sets the result's row i to an edge value.
func (c *Call) ret(i int, d types.Datum) {
	switch {
	case !d.Valid:
		c.SetNull(i)
		if c.Out.T.Layout == types.LayoutView {
			c.Out.Views[i] = vec.View{}
		}
	case c.Out.T.Layout == types.LayoutView:
		c.RetBytes(i, unsafeBytes(d.S))
	default:
		vecPut(c.Out, i, d)
	}
}

func vecPut(o *vec.Vec, i int, d types.Datum) {
	if o.T.Layout == types.LayoutBool {
		vec.PutBit(o.Bits, i, d.I != 0)
		return
	}
	putDatum(o, i, d)
}
