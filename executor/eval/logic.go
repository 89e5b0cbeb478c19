package eval

import (
	"fmt"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// logic compiles AND (and = true) or OR.
func (c *compiler) logic(es []expr.Expr, and bool) (*node, error) {
	args, err := c.list(es)
	if err != nil {
		return nil, err
	}
	var live []*node
	for _, a := range args {
		if a.isConst && !a.out.IsNull(0) {
			if (a.out.Bits[0]&1 != 0) != and {
				// false AND x, true OR x: nothing else is evaluated.
				if len(live) == 0 || !anyMayFail(live) {
					return c.constant(types.Bool, types.NewBool(!and)), nil
				}
			} else if len(args) > 1 {
				continue
			}
		}
		live = append(live, a)
	}
	switch len(live) {
	case 0:
		return c.constant(types.Bool, types.NewBool(and)), nil
	case 1:
		return live[0], nil
	}
	key := "or"
	if and {
		key = "and"
	}
	return c.fold(c.make(key, types.Bool, &logicOp{and: and}, 0.1, live...)), nil
}

func anyMayFail(ns []*node) bool {
	for _, n := range ns {
		if n.mayFail {
			return true
		}
	}
	return false
}

// logicOp is AND or OR. Operands are evaluated in order, each for the rows whose
// answer the earlier ones left open; cheap ones that cannot raise for all rows.
type logicOp struct {
	and  bool
	cur  scope
	sel  []uint16
	open []uint64
}

func (o *logicOp) eval(n *node, s *scope) (*vec.Vec, error) {
	out := n.flat(s.n)
	w := words(s.n)
	// t has the rows known true, nf those not known false.
	t := out.Bits[:w]
	nf := n.ownValid(s.n)[:w]
	nulls := false
	if o.and {
		fillOnes(t)
		fillOnes(nf)
	} else {
		clear(t)
		clear(nf)
	}
	cur := &o.cur
	for k, a := range n.args {
		if k > 0 && (a.mayFail || a.cost > cheap) {
			// For AND open are the rows not false, for OR those not true.
			o.open = growTo(o.open, w)
			copy(o.open, nf)
			if !o.and {
				copy(o.open, t)
				for i := range o.open {
					o.open[i] = ^o.open[i]
				}
			}
			clean(o.open, s.n)
			o.sel = growTo(o.sel, s.n)
			var m int
			if s.sel != nil {
				m = kernel.RefineBits(o.open, s.sel, o.sel)
			} else {
				m = kernel.BitsToSel(o.open, s.n, o.sel)
			}
			if m == 0 {
				break
			}
			if m < s.rows() {
				o.cur = n.p.sub(s, o.sel[:m])
			} else {
				o.cur = *s
			}
		} else {
			o.cur = *s
		}
		v, err := a.eval(cur)
		if err != nil {
			return nil, err
		}
		if v.Form == vec.Const {
			nulls = o.foldConst(v, t, nf, cur.sel) || nulls
			continue
		}
		narrow := cur.sel != nil && len(cur.sel) != s.rows()
		if narrow {
			nulls = nulls || v.Valid != nil
			for _, i := range cur.sel {
				bit := uint64(1) << (i & 63)
				tv := v.Bits[i>>6] & bit
				nfv := tv
				if v.Valid != nil {
					nfv |= ^v.Valid[i>>6] & bit
				}
				if o.and {
					t[i>>6] &= tv | ^bit
					nf[i>>6] &= nfv | ^bit
				} else {
					t[i>>6] |= tv
					nf[i>>6] |= nfv
				}
			}
			continue
		}
		bits := v.Bits[:w]
		if v.Valid == nil {
			if o.and {
				kernel.And(t, bits)
				kernel.And(nf, bits)
			} else {
				kernel.Or(t, bits)
				kernel.Or(nf, bits)
			}
			continue
		}
		nulls = true
		for i, x := range bits {
			y := x | ^v.Valid[i]
			if o.and {
				t[i] &= x
				nf[i] &= y
			} else {
				t[i] |= x
				nf[i] |= y
			}
		}
	}
	if nulls {
		// Valid where true or false: t | ^nf.
		for i := range nf {
			nf[i] = t[i] | ^nf[i]
		}
		out.Valid = nf
	}
	clean(t, s.n)
	return out, nil
}

// foldConst joins a constant operand for the rows of sel (all when nil) and says
// whether it is null.
func (o *logicOp) foldConst(v *vec.Vec, t, nf []uint64, sel []uint16) bool {
	isNull := v.IsNull(0)
	tv := !isNull && v.Bits[0]&1 != 0
	nfv := tv || isNull
	put := func(b []uint64, on bool) {
		switch {
		case on == o.and:
			return
		case sel == nil && on:
			fillOnes(b)
		case sel == nil:
			clear(b)
		default:
			for _, i := range sel {
				vec.PutBit(b, int(i), on)
			}
		}
	}
	put(t, tv)
	put(nf, nfv)
	return isNull
}

func fillOnes(b []uint64) {
	for i := range b {
		b[i] = ^uint64(0)
	}
}

// notOp is NOT.
type notOp struct{}

func (notOp) eval(n *node, s *scope) (*vec.Vec, error) {
	v, err := n.args[0].eval(s)
	if err != nil {
		return nil, err
	}
	if v.Form == vec.Const {
		if v.IsNull(0) {
			return n.constant(types.Null, s.n), nil
		}
		return n.constant(types.NewBool(v.Bits[0]&1 == 0), s.n), nil
	}
	out := n.flat(s.n)
	w := words(s.n)
	out.Valid = v.Valid
	src := boolBits(v, out)
	for i := range out.Bits[:w] {
		out.Bits[i] = ^src[i]
	}
	if v.Valid != nil {
		kernel.And(out.Bits[:w], v.Valid)
	}
	clean(out.Bits, s.n)
	return out, nil
}

// boolBits is the bits of a flat or dictionary bool vector; scratch is an output
// whose Bits may be used.
func boolBits(v *vec.Vec, scratch *vec.Vec) []uint64 {
	if v.Form != vec.Dict {
		return v.Bits
	}
	clear(scratch.Bits)
	for i, code := range v.Codes[:v.N] {
		if vec.Bit(v.Dict.Values.Bits, int(code)) {
			vec.SetBit(scratch.Bits, i)
		}
	}
	return scratch.Bits
}

// isNullOp is IS [NOT] NULL. A record is null when all its fields are, and not
// null when none is.
type isNullOp struct{ not, record bool }

func (o isNullOp) eval(n *node, s *scope) (*vec.Vec, error) {
	v, err := n.args[0].eval(s)
	if err != nil {
		return nil, err
	}
	if o.record {
		return o.evalRecord(n, s, v)
	}
	if v.Valid == nil || v.Form == vec.Const {
		return n.constant(types.NewBool(v.IsNull(0) != o.not), s.n), nil
	}
	out := n.flat(s.n)
	w := words(s.n)
	copy(out.Bits[:w], v.Valid)
	if !o.not {
		kernel.Not(out.Bits, s.n)
	} else {
		clean(out.Bits, s.n)
	}
	return out, nil
}

func (o isNullOp) evalRecord(n *node, s *scope, v *vec.Vec) (*vec.Vec, error) {
	out := n.flat(s.n)
	clear(out.Bits)
	for k, m := 0, s.rows(); k < m; k++ {
		i := k
		if s.sel != nil {
			i = int(s.sel[k])
		}
		if v.IsNull(i) {
			vec.PutBit(out.Bits, i, !o.not)
			continue
		}
		all, none, err := recordNulls(v.BytesAt(i))
		if err != nil {
			return nil, err
		}
		if o.not {
			all = none
		}
		vec.PutBit(out.Bits, i, all)
	}
	return out, nil
}

// boolTestOp is IS [NOT] TRUE or FALSE.
type boolTestOp struct{ want, not bool }

func (o boolTestOp) eval(n *node, s *scope) (*vec.Vec, error) {
	v, err := n.args[0].eval(s)
	if err != nil {
		return nil, err
	}
	if v.Form == vec.Const {
		is := !v.IsNull(0) && (v.Bits[0]&1 != 0) == o.want
		return n.constant(types.NewBool(is != o.not), s.n), nil
	}
	out := n.flat(s.n)
	w := words(s.n)
	src := boolBits(v, out)
	copy(out.Bits[:w], src)
	if !o.want {
		kernel.Not(out.Bits, s.n)
	}
	if v.Valid != nil {
		kernel.And(out.Bits[:w], v.Valid)
	}
	if o.not {
		kernel.Not(out.Bits, s.n)
	}
	clean(out.Bits, s.n)
	return out, nil
}

// distinct compiles IS [NOT] DISTINCT FROM.
func (c *compiler) distinct(x *expr.Distinct) (*node, error) {
	l, err := c.compile(x.L)
	if err != nil {
		return nil, err
	}
	r, err := c.compile(x.R)
	if err != nil {
		return nil, err
	}
	if x.Eq == nil {
		return nil, sqlstate.Errorf(sqlstate.UndefinedFunction, "could not identify an equality operator for type %s", types.FormatType(l.t.OID, -1))
	}
	eq, err := c.call(x.Eq, []*node{l, r}, types.Bool)
	if err != nil {
		return nil, err
	}
	return c.fold(c.make(fmt.Sprintf("distinct%v", x.Not), types.Bool, distinctOp{x.Not}, 0.2, eq, l, r)), nil
}

// distinctOp has the equality and both sides as arguments.
type distinctOp struct{ not bool }

func (o distinctOp) eval(n *node, s *scope) (*vec.Vec, error) {
	eq, err := n.args[0].eval(s)
	if err != nil {
		return nil, err
	}
	l, err := n.args[1].eval(s)
	if err != nil {
		return nil, err
	}
	r, err := n.args[2].eval(s)
	if err != nil {
		return nil, err
	}
	if eq.Form == vec.Const && l.Form == vec.Const && r.Form == vec.Const {
		same := l.IsNull(0) && r.IsNull(0) || !eq.IsNull(0) && eq.Bits[0]&1 != 0
		return n.constant(types.NewBool(same == o.not), s.n), nil
	}
	out := n.flat(s.n)
	for i := range out.Bits[:words(s.n)] {
		lv, rv := validWord(l, i), validWord(r, i)
		var e uint64
		if eq.Form == vec.Const {
			if !eq.IsNull(0) && eq.Bits[0]&1 != 0 {
				e = ^uint64(0)
			}
		} else {
			e = eq.Bits[i]
		}
		same := e&lv&rv | ^lv&^rv
		if !o.not {
			same = ^same
		}
		out.Bits[i] = same
	}
	clean(out.Bits, s.n)
	return out, nil
}

// validWord is word i of a vector's validity.
func validWord(v *vec.Vec, i int) uint64 {
	switch {
	case v.Valid == nil:
		return ^uint64(0)
	case v.Form == vec.Const:
		return -(v.Valid[0] & 1)
	}
	return v.Valid[i]
}
