package eval

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	// Integers.
	reg("int4(int2)", impl{loop: map1(func(v int16) int32 { return int32(v) }), dense: true, cost: 1})
	reg("int8(int2)", impl{loop: map1(func(v int16) int64 { return int64(v) }), dense: true, cost: 1})
	reg("int8(int4)", impl{loop: map1(func(v int32) int64 { return int64(v) }), dense: true, cost: 1})
	reg("int8(oid)", impl{loop: map1(func(v int32) int64 { return int64(uint32(v)) }), dense: true, cost: 1})
	reg("int2(int4)", impl{loop: try1(narrow[int32, int16])})
	reg("int2(int8)", impl{loop: try1(narrow[int64, int16])})
	reg("int4(int8)", impl{loop: try1(narrow[int64, int32])})
	reg("oid(int8)", impl{loop: try1(func(v int64) (int32, error) {
		if v != int64(uint32(v)) {
			return 0, sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "OID out of range")
		}
		return int32(v), nil
	})})
	reg("int4(bool)", impl{loop: total(func(c *Call, i int) {
		c.Out.I32[i] = 0
		if c.Bool(0, i) {
			c.Out.I32[i] = 1
		}
	}), cost: 2})
	reg("bool(int4)", impl{loop: total(func(c *Call, i int) { c.RetBool(i, c.I32(0, i) != 0) }), cost: 2})
	reg("int4(char)", impl{loop: total(func(c *Call, i int) {
		var v int8
		if b := c.Bytes(0, i); len(b) > 0 {
			v = int8(b[0])
		}
		c.RetI32(i, int32(v))
	})})
	reg("char(int4)", impl{loop: each(func(c *Call, i int) error {
		v := c.I32(0, i)
		if v < math.MinInt8 || v > math.MaxInt8 {
			return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, `"char" out of range`)
		}
		if v == 0 {
			c.Out.Views[i] = vec.View{}
			return nil
		}
		c.RetBytes(i, []byte{byte(v)})
		return nil
	})})
	reg("xid(xid8)", impl{loop: map1(func(v int64) int32 { return int32(v) }), dense: true, cost: 1})

	// Integers and floats.
	reg("float8(int2)", impl{loop: map1(func(v int16) float64 { return float64(v) }), dense: true, cost: 1})
	reg("float8(int4)", impl{loop: map1(func(v int32) float64 { return float64(v) }), dense: true, cost: 1})
	reg("float8(int8)", impl{loop: map1(func(v int64) float64 { return float64(v) }), dense: true, cost: 1})
	reg("float4(int2)", impl{loop: map1(func(v int16) float32 { return float32(v) }), dense: true, cost: 1})
	reg("float4(int4)", impl{loop: map1(func(v int32) float32 { return float32(v) }), dense: true, cost: 1})
	reg("float4(int8)", impl{loop: map1(func(v int64) float32 { return float32(v) }), dense: true, cost: 1})
	reg("float8(float4)", impl{loop: map1(func(v float32) float64 { return float64(v) }), dense: true, cost: 1})
	reg("float4(float8)", impl{loop: try1(func(v float64) (float32, error) {
		r := float32(v)
		switch {
		case isInf(r) && !isInf(v):
			return 0, overflow()
		case r == 0 && v != 0:
			return 0, underflow()
		}
		return r, nil
	})})
	reg("int2(float8)", impl{loop: try1(func(v float64) (int16, error) { return roundTo[int16](v, math.MinInt16, math.MaxInt16+1) })})
	reg("int4(float8)", impl{loop: try1(func(v float64) (int32, error) { return roundTo[int32](v, math.MinInt32, math.MaxInt32+1) })})
	reg("int8(float8)", impl{loop: try1(func(v float64) (int64, error) { return roundTo[int64](v, math.MinInt64, -math.MinInt64) })})
	reg("int2(float4)", impl{loop: try1(func(v float32) (int16, error) { return roundTo[int16](float64(v), math.MinInt16, math.MaxInt16+1) })})
	reg("int4(float4)", impl{loop: try1(func(v float32) (int32, error) { return roundTo[int32](float64(v), math.MinInt32, math.MaxInt32+1) })})
	reg("int8(float4)", impl{loop: try1(func(v float32) (int64, error) { return roundTo[int64](float64(v), math.MinInt64, -math.MinInt64) })})

	// Numerics.
	numericFromInt[int16]("int2")
	numericFromInt[int32]("int4")
	numericFromInt[int64]("int8")
	reg("numeric(float8)", impl{scaled: true, prepare: onlyView(total(func(c *Call, i int) {
		c.End(i, types.NumericFromFloat64(c.Begin(), c.F64(0, i)))
	}))})
	reg("numeric(float4)", impl{scaled: true, prepare: onlyView(total(func(c *Call, i int) {
		c.End(i, types.NumericFromFloat32(c.Begin(), c.F32(0, i)))
	}))})
	reg("int2(numeric)", impl{scaled: true, prepare: numericToInt[int16]})
	reg("int4(numeric)", impl{scaled: true, prepare: numericToInt[int32]})
	reg("int8(numeric)", impl{scaled: true, prepare: numericToInt[int64]})
	reg("float8(numeric)", impl{scaled: true, prepare: func(pc *prepareContext) (Loop, error) {
		scale := int(pc.types[0].Scale)
		switch pc.types[0].Layout {
		case types.LayoutI64:
			return map1(func(v int64) float64 { return decimalToFloat(v, scale) }), nil
		case types.LayoutI128:
			return map1(func(v types.Int128) float64 {
				if x, ok := v.Int64(); ok {
					return decimalToFloat(x, scale)
				}
				f, _ := strconv.ParseFloat(string(types.AppendDecimal128(nil, v, scale)), 64)
				return f
			}), nil
		}
		return each(func(c *Call, i int) error {
			f, ok := types.NumericToFloat64(c.Bytes(0, i))
			if !ok {
				return doubleRange(c.Bytes(0, i), "double precision")
			}
			c.Out.F64[i] = f
			return nil
		}), nil
	}})
	reg("float4(numeric)", impl{scaled: true, prepare: func(pc *prepareContext) (Loop, error) {
		scale := int(pc.types[0].Scale)
		var buf []byte
		return each(func(c *Call, i int) error {
			buf = buf[:0]
			switch pc.types[0].Layout {
			case types.LayoutI64:
				buf = types.AppendDecimal64(buf, c.I64(0, i), scale)
			case types.LayoutI128:
				buf = types.AppendDecimal128(buf, c.I128(0, i), scale)
			default:
				buf = types.AppendNumeric(buf, c.Bytes(0, i))
			}
			f, err := types.ParseFloat4(buf)
			c.Out.F32[i] = f
			return err
		}), nil
	}})
}

func doubleRange(b []byte, typ string) error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "%q is out of range for type %s", types.AppendNumeric(nil, b), typ)
}

func narrow[A, R ints](v A) (R, error) {
	if r := R(v); A(r) == v {
		return r, nil
	}
	return 0, outOfRange[R]()
}

// roundTo rounds half to even, as rint does, within lo <= v < end.
func roundTo[R ints](v float64, lo, end float64) (R, error) {
	v = math.RoundToEven(v)
	if !(v >= lo && v < end) {
		return 0, outOfRange[R]()
	}
	return R(v), nil
}

// onlyView is a loop whose result is in the variable form; the compiler converts
// it when the plan wants another.
func onlyView(l Loop) func(*prepareContext) (Loop, error) {
	return func(pc *prepareContext) (Loop, error) {
		if pc.out.Layout != types.LayoutView {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "%s has no scaled result", pc.fn.Name)
		}
		return l, nil
	}
}

func numericFromInt[E ints](name string) {
	reg("numeric("+name+")", impl{scaled: true, dense: true, cost: 2, prepare: func(pc *prepareContext) (Loop, error) {
		scale := int(pc.out.Scale)
		switch pc.out.Layout {
		case types.LayoutI64:
			p := types.Pow10I64[min(scale, 18)]
			return map1(func(v E) int64 { return int64(v) * p }), nil
		case types.LayoutI128:
			if scale == 0 {
				return map1(func(v E) types.Int128 { return types.I128(int64(v)) }), nil
			}
			return try1(func(v E) (types.Int128, error) { return rescale128(types.I128(int64(v)), 0, scale) }), nil
		}
		return total(func(c *Call, i int) {
			c.End(i, types.NumericFromInt64(c.Begin(), int64(vec.Values[E](c.Args[0])[i&c.mask[0]]), 0))
		}), nil
	}})
}

func numericToInt[R ints](pc *prepareContext) (Loop, error) {
	scale := int(pc.types[0].Scale)
	switch pc.types[0].Layout {
	case types.LayoutI64:
		return try1(func(v int64) (R, error) {
			r, _ := types.RescaleI64(v, scale, 0)
			return narrow[int64, R](r)
		}), nil
	case types.LayoutI128:
		return try1(func(v types.Int128) (R, error) {
			r, _ := v.Rescale(scale, 0)
			x, ok := r.Int64()
			if !ok {
				return 0, outOfRange[R]()
			}
			return narrow[int64, R](x)
		}), nil
	}
	return each(func(c *Call, i int) error {
		b := c.Bytes(0, i)
		name := map[string]string{"int2": "smallint", "int4": "integer", "int8": "bigint"}[c.Fn.Name]
		switch {
		case types.NumericIsNaN(b):
			return sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot convert NaN to %s", name)
		case types.NumericIsInf(b):
			return sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot convert infinity to %s", name)
		}
		x, ok := types.NumericToInt64(b)
		if !ok {
			return outOfRange[R]()
		}
		r, err := narrow[int64, R](x)
		vec.Values[R](c.Out)[i] = r
		return err
	}), nil
}

// decimalToFloat is v / 10^scale, correctly rounded.
func decimalToFloat(v int64, scale int) float64 {
	if v < 1<<53 && v > -1<<53 && scale <= 22 {
		return float64(v) / pow10F64[scale]
	}
	var buf [48]byte
	f, _ := strconv.ParseFloat(unsafeString(types.AppendDecimal64(buf[:0], v, scale)), 64)
	return f
}

var pow10F64 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
