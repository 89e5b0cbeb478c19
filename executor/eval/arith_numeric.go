package eval

import (
	"github.com/millrace/millrace/catalog/types"
)

func init() {
	reg("numeric_add", impl{scaled: true, dense: true, cost: 2, prepare: numericArith(0)})
	reg("numeric_sub", impl{scaled: true, dense: true, cost: 2, prepare: numericArith(1)})
	reg("numeric_mul", impl{scaled: true, dense: true, cost: 2, prepare: numericArith(2)})
	reg("numeric_uminus", impl{scaled: true, dense: true, cost: 1, prepare: numericSign(func(neg bool) bool { return true })})
	reg("numeric_uplus", impl{scaled: true, dense: true, cost: 1, prepare: numericSign(func(neg bool) bool { return false })})
	reg("numeric_abs", impl{scaled: true, dense: true, cost: 1, prepare: numericSign(func(neg bool) bool { return neg })})
	reg("abs(numeric)", impl{scaled: true, dense: true, cost: 1, prepare: numericSign(func(neg bool) bool { return neg })})
}

// numericArith chooses the loop of + (0), - (1) or * (2). The digit bounds of the
// result's type rule out an overflow of the scaled forms; the 128-bit loops check
// all the same, because bounds may come from statistics.
func numericArith(op int) func(pc *prepareContext) (Loop, error) {
	return func(pc *prepareContext) (Loop, error) {
		a, r := pc.types[0].Layout, pc.out.Layout
		switch {
		case r == types.LayoutI64 && op == 0:
			return wrapAdd, nil
		case r == types.LayoutI64 && op == 1:
			return wrapSub, nil
		case r == types.LayoutI64:
			return wrapMul, nil
		case r == types.LayoutI128 && op == 2 && a == types.LayoutI64:
			return wideMul, nil
		case r == types.LayoutI128:
			f := []func(a, b types.Int128) (types.Int128, bool){types.Int128.Add, types.Int128.Sub, types.Int128.Mul}[op]
			return try2(func(a, b types.Int128) (types.Int128, error) {
				r, ok := f(a, b)
				if !ok {
					return r, numericOverflow()
				}
				return r, nil
			}), nil
		}
		f := []func(dst, a, b []byte) ([]byte, error){types.NumericAdd, types.NumericSub, types.NumericMul}[op]
		return numeric2(f), nil
	}
}

// numeric2 is the loop of a function of two numerics in the variable form.
func numeric2(f func(dst, a, b []byte) ([]byte, error)) Loop {
	return each(func(c *Call, i int) error {
		b, err := f(c.Begin(), c.Bytes(0, i), c.Bytes(1, i))
		if err != nil {
			return err
		}
		c.End(i, b)
		return nil
	})
}

// numeric1 is the loop of a function of one numeric.
func numeric1(f func(dst, a []byte) ([]byte, error)) Loop {
	return each(func(c *Call, i int) error {
		b, err := f(c.Begin(), c.Bytes(0, i))
		if err != nil {
			return err
		}
		c.End(i, b)
		return nil
	})
}

func wrapAdd(c *Call) error {
	a, b, out := c.Args[0].I64, c.Args[1].I64, c.Out.I64[:c.N]
	switch {
	case !c.Dense:
		for _, i := range c.Sel {
			out[i] = a[int(i)&c.mask[0]] + b[int(i)&c.mask[1]]
		}
	case c.mask[0] == 0 || c.mask[1] == 0:
		if c.mask[0] == 0 {
			a, b = b, a
		}
		y := b[0]
		for i, x := range padded(a, c.N, c.mask[0]|c.mask[1]) {
			out[i] = x + y
		}
	default:
		a, b = a[:len(out)], b[:len(out)]
		for i := range out {
			out[i] = a[i] + b[i]
		}
	}
	return nil
}

func wrapSub(c *Call) error {
	a, b, out := c.Args[0].I64, c.Args[1].I64, c.Out.I64[:c.N]
	switch {
	case !c.Dense:
		for _, i := range c.Sel {
			out[i] = a[int(i)&c.mask[0]] - b[int(i)&c.mask[1]]
		}
	case c.mask[1] == 0:
		y := b[0]
		for i, x := range padded(a, c.N, c.mask[0]) {
			out[i] = x - y
		}
	case c.mask[0] == 0:
		x := a[0]
		for i, y := range b[:c.N] {
			out[i] = x - y
		}
	default:
		a, b = a[:len(out)], b[:len(out)]
		for i := range out {
			out[i] = a[i] - b[i]
		}
	}
	return nil
}

func wrapMul(c *Call) error {
	a, b, out := c.Args[0].I64, c.Args[1].I64, c.Out.I64[:c.N]
	switch {
	case !c.Dense:
		for _, i := range c.Sel {
			out[i] = a[int(i)&c.mask[0]] * b[int(i)&c.mask[1]]
		}
	case c.mask[1] == 0:
		y := b[0]
		for i, x := range padded(a, c.N, c.mask[0]) {
			out[i] = x * y
		}
	case c.mask[0] == 0:
		x := a[0]
		for i, y := range b[:c.N] {
			out[i] = x * y
		}
	default:
		a, b = a[:len(out)], b[:len(out)]
		for i := range out {
			out[i] = a[i] * b[i]
		}
	}
	return nil
}

// wideMul multiplies 64-bit values into 128 bits.
func wideMul(c *Call) error {
	a, b, out := c.Args[0].I64, c.Args[1].I64, c.Out.I128[:c.N]
	ma, mb := c.mask[0], c.mask[1]
	if c.Dense {
		for i := range out {
			out[i] = types.MulInt64s(a[i&ma], b[i&mb])
		}
		return nil
	}
	for _, i := range c.Sel {
		out[i] = types.MulInt64s(a[int(i)&ma], b[int(i)&mb])
	}
	return nil
}

// numericSign flips the sign of the values for which flip says so.
func numericSign(flip func(neg bool) bool) func(pc *prepareContext) (Loop, error) {
	return func(pc *prepareContext) (Loop, error) {
		switch pc.out.Layout {
		case types.LayoutI64:
			return map1(func(v int64) int64 {
				if flip(v < 0) {
					return -v
				}
				return v
			}), nil
		case types.LayoutI128:
			return map1(func(v types.Int128) types.Int128 {
				if flip(v.Hi < 0) {
					return v.Neg()
				}
				return v
			}), nil
		}
		return each(func(c *Call, i int) error {
			b := c.Bytes(0, i)
			if flip(types.NumericSign(b) < 0) {
				c.End(i, types.NumericNeg(c.Begin(), b))
				return nil
			}
			c.RetBytes(i, b)
			return nil
		}), nil
	}
}
