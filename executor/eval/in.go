package eval

import (
	"bytes"
	"fmt"
	"math"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// in compiles [NOT] IN over a list: constants as a set, everything else as a
// chain of equalities.
func (c *compiler) in(x *expr.In) (*node, error) {
	arg, err := c.compile(x.Arg)
	if err != nil {
		return nil, err
	}
	items, err := c.list(x.List)
	if err != nil {
		return nil, err
	}
	return c.inNodes(arg, items, x.Eq, x.Not)
}

func (c *compiler) inNodes(arg *node, items []*node, equal *fn.Func, not bool) (*node, error) {
	var set []types.Datum
	var rest []*node
	hasNull := false
	if arg.t.OID == types.NumericOID {
		t := arg.t
		for _, it := range items {
			t = commonCompare(t, it.t)
		}
		arg = c.castNumeric(arg, t)
		for i := range items {
			items[i] = c.castNumeric(items[i], t)
		}
	}
	loopable := inLoopable(arg.t)
	for _, it := range items {
		switch {
		case it.isConst && it.out.IsNull(0):
			hasNull = true
		case it.isConst && loopable && it.t.Layout == arg.t.Layout && sameStrings(it.t.OID, arg.t.OID):
			it.out.N = 1
			set = append(set, it.out.Datum(0))
		default:
			rest = append(rest, it)
		}
	}
	var parts []*node
	switch {
	case arg.isConst && arg.out.IsNull(0):
		return c.constant(types.Bool, types.Null), nil
	case len(set) == 1:
		rest = append(rest, c.constant(arg.t, set[0]))
	case len(set) > 1:
		parts = append(parts, c.inSet(arg, set))
	}
	for _, it := range rest {
		eq, err := c.call(equal, []*node{arg, it}, types.Bool)
		if err != nil {
			return nil, err
		}
		parts = append(parts, eq)
	}
	if hasNull {
		parts = append(parts, c.constant(types.Bool, types.Null))
	}
	var n *node
	switch len(parts) {
	case 0:
		n = c.constant(types.Bool, types.NewBool(false))
	case 1:
		n = parts[0]
	default:
		n = c.fold(c.make("or", types.Bool, &logicOp{and: false}, 0.1, parts...))
	}
	if not {
		n = c.fold(c.make("not", types.Bool, notOp{}, 0.1, n))
	}
	return n, nil
}

// inLoopable says whether equality of a type is equality of the values held.
func inLoopable(t types.T) bool {
	switch t.Layout {
	case types.LayoutI16, types.LayoutI32, types.LayoutI64:
		return true
	case types.LayoutView:
		switch t.OID {
		case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID, types.ByteaOID, types.UnknownOID, types.CharOID:
			return true
		}
	}
	return false
}

// sameStrings says whether two types of one layout compare alike.
func sameStrings(a, b uint32) bool { return (a == types.BPCharOID) == (b == types.BPCharOID) }

// inSet makes the node of arg ∈ set.
func (c *compiler) inSet(arg *node, set []types.Datum) *node {
	key := fmt.Sprintf("in%v", set)
	cost := float32(2)
	var l Loop
	dense := true
	switch arg.t.Layout {
	case types.LayoutI16:
		l = inInts[int16](set)
	case types.LayoutI32:
		l = inInts[int32](set)
	case types.LayoutI64:
		l = inInts[int64](set)
	default:
		l, cost, dense = inStrings(set, arg.t.OID == types.BPCharOID), 6, false
	}
	o := &callOp{m: &impl{loop: l, dense: dense}, loop: l, strict: true, pure: true}
	n := c.make(key, types.Bool, o, cost, arg)
	if n.op == op(o) {
		o.call = Call{Env: c.p.env, node: n, Args: make([]*vec.Vec, 1), mask: make([]int, 1)}
		o.flats = make([]vec.Vec, 1)
	}
	return c.fold(n)
}

// inInts compares with each of a few values, looks up a bitmap of a small range,
// or a hash table.
func inInts[E int16 | int32 | int64](set []types.Datum) Loop {
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	items := make([]E, len(set))
	for i, d := range set {
		items[i] = E(d.I)
		lo, hi = min(lo, int64(items[i])), max(hi, int64(items[i]))
	}
	var range64 []uint64
	if uint64(hi-lo) < 1<<16 {
		range64 = make([]uint64, words(int(hi-lo)+1))
		for _, v := range items {
			vec.SetBit(range64, int(int64(v)-lo))
		}
	}
	var table map[E]struct{}
	if len(items) > 6 && range64 == nil {
		table = make(map[E]struct{}, len(items))
		for _, v := range items {
			table[v] = struct{}{}
		}
	}
	has := func(v E) bool {
		switch {
		case range64 != nil:
			d := uint64(int64(v) - lo)
			return d <= uint64(hi-lo) && range64[d>>6]>>(d&63)&1 != 0
		case table != nil:
			_, ok := table[v]
			return ok
		}
		for _, x := range items {
			if x == v {
				return true
			}
		}
		return false
	}
	var tmp []uint64
	return func(c *Call) error {
		a, out := vec.Values[E](c.Args[0]), c.Out.Bits
		switch {
		case c.mask[0] == 0:
			vec.PutBit(out, 0, has(a[0]))
			for i := 1; i < c.N; i++ {
				vec.PutBit(out, i, vec.Bit(out, 0))
			}
		case c.Dense && len(items) <= 6:
			w := words(c.N)
			tmp = growTo(tmp, w)
			for k, x := range items {
				if k == 0 {
					kernel.CmpConst(kernel.EQ, a[:c.N], x, out[:w])
					continue
				}
				kernel.CmpConst(kernel.EQ, a[:c.N], x, tmp)
				kernel.Or(out[:w], tmp)
			}
		case c.Dense:
			for w := range out[:words(c.N)] {
				var x uint64
				for j, v := range a[w<<6 : min(c.N, w<<6+64)] {
					if has(v) {
						x |= 1 << (uint(j) & 63)
					}
				}
				out[w] = x
			}
		case c.Sel == nil:
			for i := 0; i < c.N; i++ {
				if has(a[i]) {
					vec.SetBit(out, i)
				}
			}
		default:
			for _, i := range c.Sel {
				if has(a[i]) {
					vec.SetBit(out, int(i))
				}
			}
		}
		return nil
	}
}

// inStrings compares with a few strings by their first words, or looks up a map.
func inStrings(set []types.Datum, blanks bool) Loop {
	trim := func(b []byte) []byte {
		if blanks {
			return bytes.TrimRight(b, " ")
		}
		return b
	}
	items := make([][]byte, len(set))
	views := make([]vec.View, len(set))
	for i, d := range set {
		items[i] = trim([]byte(d.S))
		views[i] = vec.MakeView(items[i], 0, 0)
	}
	var table map[string]struct{}
	if len(items) > 8 {
		table = make(map[string]struct{}, len(items))
		for _, it := range items {
			table[string(it)] = struct{}{}
		}
	}
	return total(func(c *Call, i int) {
		a := c.Args[0]
		j := i & c.mask[0]
		switch {
		case table != nil:
			if _, ok := table[string(trim(a.Bytes(j)))]; ok {
				vec.SetBit(c.Out.Bits, i)
			}
			return
		case blanks:
			b := trim(a.Bytes(j))
			for _, it := range items {
				if bytes.Equal(it, b) {
					vec.SetBit(c.Out.Bits, i)
					return
				}
			}
			return
		}
		w := a.Views[j]
		for k := range views {
			x := &views[k]
			if x.Len != w.Len || x.Prefix != w.Prefix {
				continue
			}
			if w.Len <= vec.InlineMax {
				if x.Tail != w.Tail {
					continue
				}
			} else if !bytes.Equal(a.Long(w), items[k]) {
				continue
			}
			vec.SetBit(c.Out.Bits, i)
			return
		}
	})
}
