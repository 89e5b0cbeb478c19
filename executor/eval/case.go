package eval

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// caseExpr compiles CASE. Arms whose condition is a constant are decided here.
func (c *compiler) caseExpr(x *expr.Case) (*node, error) {
	var args []*node
	var elseNode *node
	for _, w := range x.Whens {
		cond, err := c.compile(w.Cond)
		if err != nil {
			return nil, err
		}
		if cond.isConst && (cond.out.IsNull(0) || cond.out.Bits[0]&1 == 0) {
			continue
		}
		then, err := c.compile(w.Then)
		if err != nil {
			return nil, err
		}
		then = c.same(then, x.T)
		if cond.isConst {
			elseNode = then
			break
		}
		args = append(args, cond, then)
	}
	if elseNode == nil {
		if x.Else != nil {
			e, err := c.compile(x.Else)
			if err != nil {
				return nil, err
			}
			elseNode = c.same(e, x.T)
		} else {
			elseNode = c.constant(x.T, types.Null)
		}
	}
	if len(args) == 0 {
		return elseNode, nil
	}
	args = append(args, elseNode)
	return c.make("case", x.T, &caseOp{}, 1, args...), nil
}

// same brings a numeric to the layout of t, and leaves other types alone.
func (c *compiler) same(n *node, t types.T) *node {
	if n.t.Same(t) {
		return n
	}
	if n.t.OID == types.NumericOID && t.OID == types.NumericOID {
		return c.castNumeric(n, t)
	}
	return c.relabel(n, t)
}

// relabel gives a node's values another type of the same layout.
func (c *compiler) relabel(n *node, t types.T) *node {
	if n.isConst {
		n.out.N = 1
		return c.constant(t, n.out.Datum(0))
	}
	return c.make("relabel", t, relabelOp{}, 0, n)
}

// caseOp has conditions and results in turns, then the ELSE.
type caseOp struct {
	m                   merger
	open                []uint16 // rows no arm has taken
	next                []uint16
	taken               []uint16
	condScope, armScope scope
}

func (o *caseOp) eval(n *node, s *scope) (*vec.Vec, error) {
	o.m.begin(n, s.n)
	o.condScope = *s
	k := 0
	for ; k+1 < len(n.args); k += 2 {
		cond, err := n.args[k].eval(&o.condScope)
		if err != nil {
			return nil, err
		}
		open := o.condScope.sel
		var armSel []uint16
		if cond.Form == vec.Const {
			if cond.IsNull(0) || cond.Bits[0]&1 == 0 {
				continue
			}
			armSel = open
			if err := o.arm(n, s, k+1, armSel); err != nil {
				return nil, err
			}
			return o.m.end(), nil
		}
		o.taken = growTo(o.taken, s.n)
		o.next = growTo(o.next, s.n)
		var nt, nn int
		if open == nil {
			nt, nn = split(cond.Bits, s.n, o.taken, o.next)
		} else {
			nt, nn = splitSel(cond.Bits, open, o.taken, o.next)
		}
		if nt > 0 {
			if err := o.arm(n, s, k+1, o.taken[:nt]); err != nil {
				return nil, err
			}
		}
		if nn == 0 {
			return o.m.end(), nil
		}
		o.open, o.next = o.next, o.open
		o.condScope = n.p.sub(s, o.open[:nn])
	}
	if err := o.arm(n, s, k, o.condScope.sel); err != nil {
		return nil, err
	}
	return o.m.end(), nil
}

// arm evaluates result k for the rows of sel, all of the scope when nil.
func (o *caseOp) arm(n *node, s *scope, k int, sel []uint16) error {
	a := n.args[k]
	if sel == nil || len(sel) == s.rows() {
		o.armScope = *s
	} else {
		o.armScope = n.p.sub(s, sel)
	}
	// What is cheap and cannot raise is better computed for all rows at once.
	if !a.mayFail && a.cost <= cheap && s.sel == nil && len(sel)*4 >= s.n {
		o.armScope = *s
	}
	v, err := a.eval(&o.armScope)
	if err != nil {
		return err
	}
	o.m.take(v, sel)
	return nil
}

// split lists the rows 0..n-1 whose bit is set, and the others.
func split(b []uint64, n int, yes, no []uint16) (ny, nn int) {
	for i := 0; i < n; i++ {
		bit := int(b[i>>6] >> (uint(i) & 63) & 1)
		yes[ny] = uint16(i)
		no[nn] = uint16(i)
		ny += bit
		nn += 1 - bit
	}
	return ny, nn
}

func splitSel(b []uint64, sel, yes, no []uint16) (ny, nn int) {
	for _, i := range sel {
		bit := int(b[i>>6] >> (i & 63) & 1)
		if bit != 0 {
			yes[ny] = i
			ny++
		} else {
			no[nn] = i
			nn++
		}
	}
	return ny, nn
}

// coalesce compiles COALESCE.
func (c *compiler) coalesce(args []*node, t types.T) (*node, error) {
	var live []*node
	for _, a := range args {
		if a.isConst && a.out.IsNull(0) {
			continue
		}
		live = append(live, c.same(a, t))
		if a.isConst {
			break
		}
	}
	switch len(live) {
	case 0:
		return c.constant(t, types.Null), nil
	case 1:
		return live[0], nil
	}
	return c.make("coalesce", t, &coalesceOp{}, 1, live...), nil
}

type coalesceOp struct {
	m    merger
	cur  scope
	sel  []uint16
	open []uint64
}

func (o *coalesceOp) eval(n *node, s *scope) (*vec.Vec, error) {
	v, err := n.args[0].eval(s)
	if err != nil {
		return nil, err
	}
	if v.Valid == nil {
		return v, nil
	}
	o.m.begin(n, s.n)
	o.cur = *s
	for k := 0; ; k++ {
		o.m.take(v, o.cur.sel)
		if v.Valid == nil {
			break
		}
		// The rows still null go on.
		w := words(s.n)
		o.open = growTo(o.open, w)
		for i := range o.open {
			o.open[i] = ^validWord(v, i)
		}
		clean(o.open, s.n)
		o.sel = growTo(o.sel, s.n)
		var m int
		if o.cur.sel == nil {
			m = kernel.BitsToSel(o.open, s.n, o.sel)
		} else {
			m = kernel.RefineBits(o.open, o.cur.sel, o.sel)
		}
		if m == 0 || k+1 == len(n.args) {
			break
		}
		for _, i := range o.sel[:m] {
			vec.SetBit(o.m.valid, int(i))
		}
		o.cur = n.p.sub(s, o.sel[:m])
		if v, err = n.args[k+1].eval(&o.cur); err != nil {
			return nil, err
		}
	}
	return o.m.end(), nil
}

// minMax compiles GREATEST and LEAST as comparisons.
func (c *compiler) minMax(x *expr.MinMax) (*node, error) {
	args, err := c.list(x.Args)
	if err != nil {
		return nil, err
	}
	for i := range args {
		args[i] = c.same(args[i], x.T)
	}
	if len(args) == 1 {
		return args[0], nil
	}
	less := lessFor(x.T.OID)
	if less == nil {
		return nil, sqlstate.Errorf(sqlstate.UndefinedFunction, "could not identify a comparison function for type %s", types.FormatType(x.T.OID, -1))
	}
	acc := args[0]
	for _, a := range args[1:] {
		// a when it is the better or acc is null; else acc, which stays among equals.
		l, r := a, acc
		if x.Greatest {
			l, r = acc, a
		}
		lt, err := c.call(less, []*node{l, r}, types.Bool)
		if err != nil {
			return nil, err
		}
		acc = c.fold(c.make("better", x.T, &betterOp{}, 1, lt, a, acc))
	}
	return acc, nil
}

// betterOp gives argument 1 where argument 0 is true or argument 2 is null, else
// argument 2, where that is not null.
type betterOp struct {
	m    merger
	a, b []uint16
}

func (o *betterOp) eval(n *node, s *scope) (*vec.Vec, error) {
	var v [3]*vec.Vec
	for k := range v {
		var err error
		if v[k], err = n.args[k].eval(s); err != nil {
			return nil, err
		}
	}
	o.m.begin(n, s.n)
	o.a, o.b = growTo(o.a, s.n), growTo(o.b, s.n)
	na, nb := 0, 0
	for k, m := 0, s.rows(); k < m; k++ {
		i := k
		if s.sel != nil {
			i = int(s.sel[k])
		}
		first := false
		switch {
		case v[2].IsNull(i):
			first = true
		case v[1].IsNull(i):
		case v[0].Form == vec.Const:
			first = v[0].Bits[0]&1 != 0
		default:
			first = vec.Bit(v[0].Bits, i)
		}
		if first {
			o.a[na] = uint16(i)
			na++
		} else {
			o.b[nb] = uint16(i)
			nb++
		}
	}
	o.m.take(v[1], o.a[:na])
	o.m.take(v[2], o.b[:nb])
	return o.m.end(), nil
}
