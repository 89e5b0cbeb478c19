package eval

import (
	"fmt"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// loopNode makes a node of a strict loop without a function of its own: casts and
// the like.
func (c *compiler) loopNode(key string, t types.T, m impl, mayFail bool, args ...*node) *node {
	if m.cost == 0 {
		m.cost = 10
	}
	o := &callOp{m: &m, loop: m.loop, strict: !m.nonStrict, pure: !mayFail}
	n := c.make(key, t, o, m.cost, args...)
	if n.op == op(o) {
		n.mayFail = n.mayFail || mayFail
		o.call = Call{Env: c.p.env, node: n, Args: make([]*vec.Vec, len(args)), mask: make([]int, len(args))}
		o.flats = make([]vec.Vec, len(args))
		n = c.fold(n)
	}
	return n
}

func (c *compiler) cast(a *node, x *expr.Cast) (*node, error) {
	switch x.Kind {
	case expr.CastRelabel:
		if a.t.Layout != x.T.Layout {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "no relabelling from %s to %s", types.FormatType(a.t.OID, a.t.Mod), types.FormatType(x.T.OID, x.T.Mod))
		}
		return c.relabel(a, x.T), nil
	case expr.CastNumeric:
		return c.castNumeric(a, x.T), nil
	case expr.CastTypmod:
		if x.T.Mod >= 0 && fn.ElemOf(x.T.OID) != 0 {
			return c.modifyElements(a, x.T, x.Explicit)
		}
		return c.castTypmod(a, x.T, x.Explicit), nil
	}
	if n, err := c.castElements(a, x.T, x.Explicit); n != nil || err != nil {
		return n, err
	}
	return c.castIO(a, x.T, x.Explicit), nil
}

// castNumeric changes layout and scale of a numeric.
func (c *compiler) castNumeric(a *node, t types.T) *node {
	switch {
	case a.t.OID != types.NumericOID || a.t == t:
		return a
	case a.t.Layout == t.Layout && a.t.Scale == t.Scale:
		return c.relabel(a, t)
	}
	from, to := int(a.t.Scale), int(t.Scale)
	m := impl{cost: 2, dense: true}
	mayFail := false
	switch {
	case a.t.Layout == types.LayoutI64 && t.Layout == types.LayoutI64:
		if to > from && to-from <= types.NumericDigitsI64 {
			p := types.Pow10I64[to-from]
			m.loop = map1(func(v int64) int64 { return v * p })
		} else {
			m.loop, mayFail = try1(func(v int64) (int64, error) {
				r, ok := types.RescaleI64(v, from, to)
				if !ok {
					return 0, numericOverflow()
				}
				return r, nil
			}), true
		}
	case a.t.Layout == types.LayoutI64 && t.Layout == types.LayoutI128:
		if to >= from && to-from <= types.NumericDigitsI64 {
			p := types.Pow10I64[to-from]
			m.loop = map1(func(v int64) types.Int128 { return types.MulInt64s(v, p) })
		} else {
			m.loop, mayFail = try1(func(v int64) (types.Int128, error) { return rescale128(types.I128(v), from, to) }), true
		}
	case a.t.Layout == types.LayoutI128 && t.Layout == types.LayoutI128:
		m.loop, mayFail = try1(func(v types.Int128) (types.Int128, error) { return rescale128(v, from, to) }), true
		mayFail = a.t.Prec == 0 || int(a.t.Prec)+to-from > types.NumericDigitsI128
	case a.t.Layout == types.LayoutI128 && t.Layout == types.LayoutI64:
		m.loop, mayFail = try1(func(v types.Int128) (int64, error) {
			r, err := rescale128(v, from, to)
			x, ok := r.Int64()
			if err == nil && !ok {
				err = numericOverflow()
			}
			return x, err
		}), true
	case t.Layout == types.LayoutView && a.t.Layout == types.LayoutI64:
		m.dense, m.cost = false, 6
		m.loop = total(func(c *Call, i int) { c.End(i, types.NumericFromInt64(c.Begin(), c.I64(0, i), from)) })
	case t.Layout == types.LayoutView:
		m.dense, m.cost = false, 8
		m.loop = total(func(c *Call, i int) { c.End(i, types.NumericFromI128(c.Begin(), c.I128(0, i), from)) })
	default:
		m.dense, m.cost, mayFail = false, 10, true
		wide := t.Layout == types.LayoutI128
		plain := t
		plain.Mod = -1
		m.loop = each(func(c *Call, i int) error {
			v, err := types.NumericScaled(c.Bytes(0, i), plain)
			if err != nil {
				return err
			}
			if wide {
				c.Out.I128[i] = v
				return nil
			}
			x, ok := v.Int64()
			if !ok {
				return numericOverflow()
			}
			c.Out.I64[i] = x
			return nil
		})
	}
	return c.loopNode("castnum", t, m, mayFail, a)
}

func rescale128(v types.Int128, from, to int) (types.Int128, error) {
	r, ok := v.Rescale(from, to)
	if !ok {
		return r, numericOverflow()
	}
	return r, nil
}

func numericOverflow() error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value overflows numeric format")
}

// castTypmod enforces t's modifier on a value of the same type.
func (c *compiler) castTypmod(a *node, t types.T, explicit bool) *node {
	key := fmt.Sprintf("typmod%v", explicit)
	switch t.OID {
	case types.NumericOID:
		return c.castNumericMod(a, t)
	case types.VarcharOID:
		if t.Mod < 0 {
			break
		}
		return c.loopNode(key, t, impl{cost: 4, loop: each(func(c *Call, i int) error {
			b, err := types.FitVarchar(c.Bytes(0, i), t.Mod, explicit)
			c.RetBytes(i, b)
			return err
		})}, !explicit, a)
	case types.BPCharOID:
		if t.Mod < 0 {
			break
		}
		return c.loopNode(key, t, impl{cost: 4, loop: each(func(c *Call, i int) error {
			b, err := types.AppendBPChar(c.Begin(), c.Bytes(0, i), t.Mod, explicit)
			if err == nil {
				c.End(i, b)
			}
			return err
		})}, !explicit, a)
	case types.TimestampOID, types.TimestamptzOID:
		if t.Mod < 0 || t.Mod >= 6 {
			break
		}
		// The last second may become the first beyond the range, as in PostgreSQL.
		return c.loopNode(key, t, impl{cost: 4, loop: map1(func(v int64) int64 { return types.FitTimestamp(v, t.Mod) })}, false, a)
	case types.TimeOID:
		if t.Mod < 0 || t.Mod >= 6 {
			break
		}
		return c.loopNode(key, t, impl{cost: 4, loop: map1(func(v int64) int64 { return types.FitTime(v, t.Mod) })}, false, a)
	case types.TimetzOID:
		if t.Mod < 0 || t.Mod >= 6 {
			break
		}
		return c.loopNode(key, t, impl{cost: 4, loop: map1(func(v types.Fixed16) types.Fixed16 {
			v.A = types.FitTime(v.A, t.Mod)
			return v
		})}, false, a)
	case types.IntervalOID:
		if t.Mod < 0 {
			break
		}
		return c.loopNode(key, t, impl{cost: 4, loop: try1(func(v types.Fixed16) (types.Fixed16, error) { return types.FitInterval(v, t.Mod) })}, true, a)
	}
	return c.relabel(a, t)
}

// castNumericMod rounds to t's scale and checks its precision.
func (c *compiler) castNumericMod(a *node, t types.T) *node {
	p, s, ok := types.NumericMod(t.Mod)
	if !ok {
		return c.castNumeric(a, t)
	}
	if a.t.Scaled() && t.Scaled() && int(a.t.Scale) <= s && int(a.t.Prec)-int(a.t.Scale) <= p-s {
		return c.castNumeric(a, t)
	}
	key := "typmod"
	if !t.Scaled() {
		a = c.castNumeric(a, types.Numeric)
		return c.loopNode(key, t, impl{loop: each(func(c *Call, i int) error {
			b, err := types.FitNumeric(c.Begin(), c.Bytes(0, i), t.Mod)
			if err == nil {
				c.End(i, b)
			}
			return err
		})}, true, a)
	}
	wide := t.Layout == types.LayoutI128
	from, src := int(a.t.Scale), a.t.Layout
	return c.loopNode(key, t, impl{loop: each(func(c *Call, i int) error {
		var v types.Int128
		var err error
		switch src {
		case types.LayoutI64:
			v = types.I128(c.I64(0, i))
		case types.LayoutI128:
			v = c.I128(0, i)
		default:
			if v, err = types.NumericScaled(c.Bytes(0, i), t); err != nil {
				return err
			}
		}
		if src != types.LayoutView {
			r, ok := v.Rescale(from, s)
			if !ok {
				return types.NumericFieldOverflow(t.Mod)
			}
			if err = types.FitDecimal(r, t.Mod); err != nil {
				return err
			}
			v = r
		}
		if wide {
			c.Out.I128[i] = v
		} else {
			c.Out.I64[i] = int64(v.Lo)
		}
		return nil
	})}, true, a)
}

// castIO converts through the text forms.
func (c *compiler) castIO(a *node, t types.T, explicit bool) *node {
	switch t.OID {
	case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID, types.UnknownOID, types.CstringOID:
		n := a
		if !isText(a.t.OID) {
			n = c.toText(a, types.Text)
		}
		if t.OID == types.NameOID {
			return c.parseText(n, t)
		}
		if t.Mod >= 0 {
			return c.castTypmod(n, t, explicit)
		}
		return c.relabel(n, t)
	}
	if !isText(a.t.OID) {
		a = c.toText(a, types.Text)
	}
	return c.parseText(a, t)
}

// isText says whether the values of a type are their own text.
func isText(oid uint32) bool {
	switch oid {
	case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID, types.UnknownOID, types.CstringOID, types.JSONOID:
		return true
	}
	return false
}

// toText makes a node of the text forms of a.
func (c *compiler) toText(a *node, t types.T) *node {
	if isText(a.t.OID) {
		return c.relabel(a, t)
	}
	env, from := c.p.env.session().Types, a.t
	var l Loop
	switch from.Layout {
	case types.LayoutBool:
		l = total(func(c *Call, i int) { c.End(i, types.AppendBool(c.Begin(), c.Bool(0, i))) })
	case types.LayoutI16:
		l = total(func(c *Call, i int) { c.End(i, types.AppendInt(c.Begin(), int64(c.I16(0, i)))) })
	case types.LayoutI32:
		l = total(func(c *Call, i int) { c.End(i, types.AppendI32(c.Begin(), from, c.I32(0, i), env)) })
	case types.LayoutI64:
		l = total(func(c *Call, i int) { c.End(i, types.AppendI64(c.Begin(), from, c.I64(0, i), env)) })
	case types.LayoutI128:
		l = total(func(c *Call, i int) {
			c.End(i, types.AppendDecimal128(c.Begin(), c.I128(0, i), int(from.Scale)))
		})
	case types.LayoutF32:
		l = total(func(c *Call, i int) { c.End(i, types.AppendFloat4(c.Begin(), c.F32(0, i), env)) })
	case types.LayoutF64:
		l = total(func(c *Call, i int) { c.End(i, types.AppendFloat8(c.Begin(), c.F64(0, i), env)) })
	case types.LayoutFixed16:
		l = total(func(c *Call, i int) { c.End(i, types.AppendFixed16(c.Begin(), from, c.Fix(0, i), env)) })
	default:
		l = total(func(c *Call, i int) { c.End(i, types.AppendView(c.Begin(), from, c.Bytes(0, i), env)) })
	}
	return c.loopNode("totext", t, impl{loop: l, cost: 10}, false, a)
}

// parseText makes a node of the values whose text a is.
func (c *compiler) parseText(a *node, t types.T) *node {
	env := c.p.env.session().Types
	var l Loop
	switch t.Layout {
	case types.LayoutBool:
		l = each(func(c *Call, i int) error {
			v, err := types.ParseBool(c.Bytes(0, i))
			c.RetBool(i, v)
			return err
		})
	case types.LayoutI16:
		l = each(func(c *Call, i int) (err error) {
			c.Out.I16[i], err = types.ParseInt2(c.Bytes(0, i))
			return err
		})
	case types.LayoutI32:
		l = each(func(c *Call, i int) (err error) {
			c.Out.I32[i], err = types.ParseI32(t, c.Bytes(0, i), env)
			return err
		})
	case types.LayoutI64:
		l = each(func(c *Call, i int) (err error) {
			c.Out.I64[i], err = types.ParseI64(t, c.Bytes(0, i), env)
			return err
		})
	case types.LayoutI128:
		l = each(func(c *Call, i int) (err error) {
			c.Out.I128[i], err = types.ParseDecimal128(c.Bytes(0, i), t)
			return err
		})
	case types.LayoutF32:
		l = each(func(c *Call, i int) (err error) {
			c.Out.F32[i], err = types.ParseFloat4(c.Bytes(0, i))
			return err
		})
	case types.LayoutF64:
		l = each(func(c *Call, i int) (err error) {
			c.Out.F64[i], err = types.ParseFloat8(c.Bytes(0, i))
			return err
		})
	case types.LayoutFixed16:
		l = each(func(c *Call, i int) (err error) {
			c.Out.Fix[i], err = types.ParseFixed16(t, c.Bytes(0, i), env)
			return err
		})
	default:
		l = each(func(c *Call, i int) error {
			b, err := types.ParseView(c.Begin(), t, c.Bytes(0, i), env)
			if err == nil {
				c.End(i, b)
			}
			return err
		})
	}
	mayFail := t.OID != types.NameOID
	return c.loopNode("parse", t, impl{loop: l, cost: 20}, mayFail, a)
}

func timestampOutOfRange() error {
	return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range")
}
