package format

import (
	"encoding/binary"
	"math/big"

	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// decimalBytesMax bounds the integers of decimals: more than any numeric holds.
const decimalBytesMax = 64 << 10

// decimal reads Kafka Connect's decimals: the base64 of an integer, big-endian
// and in two's complement, whose scale the schema, the value or the column
// gives. Other ways of the same source (text, numbers) are told by their kind
// only where they cannot be mistaken for it.
func (c *coercer) decimal(t types.T, e encoding) put {
	if t.OID != types.NumericOID {
		return c.via(types.Numeric, t, e)
	}
	number := c.plain(t)
	return func(v *vec.Vec, x jsonscan.Value) error {
		scale := e.scale
		if e.kind == encVarScale && x.Kind == jsonscan.Object {
			s, value, err := c.scaleAndValue(t, x)
			if err != nil {
				return err
			}
			scale, x = s, value
		}
		switch x.Kind {
		case jsonscan.Number: // decimal.handling.mode=double
			return number(v, x)
		case jsonscan.String:
		default:
			return c.mismatch(t, x)
		}
		b, err := c.text(x)
		if err != nil {
			return err
		}
		if len(b) > decimalBytesMax*4/3 {
			return tooLong(t, b)
		}
		if c.raw, err = decodeBase64(scratch(c.raw), b); err != nil {
			return err.(*sqlstate.Error).WithHint("If the source writes decimals as text, set decimal_handling_mode = 'string'.")
		}
		if scale == fromColumn {
			p, s, ok := types.NumericMod(t.Mod)
			if !ok || s < 0 || p == 0 {
				return sqlstate.Errorf(sqlstate.InvalidParameterValue, "the scale of a decimal is not known").
					WithHint("Declare the column as numeric(precision, scale), let the source send schemas, or set decimal_handling_mode.")
			}
			scale = s
		}
		return c.appendDecimal(v, t, c.raw, scale)
	}
}

// scaleAndValue reads {"scale":2,"value":"…"}.
func (c *coercer) scaleAndValue(t types.T, x jsonscan.Value) (scale int, value jsonscan.Value, err error) {
	back := c.scan.Offset()
	c.scan.Seek(x.Start())
	c.scan.Open()
	scale = -1
	for first := true; ; first = false {
		key, ok := c.scan.Member(first)
		if !ok {
			break
		}
		val := c.scan.Value()
		switch string(c.scan.Bytes(key)) {
		case "scale":
			if n, err := types.ParseInt4(c.scan.Bytes(val)); err == nil && val.Kind == jsonscan.Number {
				scale = int(n)
			}
		case "value":
			value = val
		}
	}
	c.scan.Seek(back)
	if value.Kind != jsonscan.String || scale < 0 || scale > 16383 {
		return 0, value, c.mismatch(t, x)
	}
	return scale, value, nil
}

// appendDecimal appends the integer b × 10^-scale, rounded to t's scale.
func (c *coercer) appendDecimal(v *vec.Vec, t types.T, b []byte, scale int) error {
	if len(b) <= 16 {
		n := int128(b)
		switch t.Layout {
		case types.LayoutI64, types.LayoutI128:
			if n, ok := n.Rescale(scale, int(t.Scale)); ok {
				if err := types.FitDecimal(n, t.Mod); err != nil {
					return err
				}
				if t.Layout == types.LayoutI128 {
					codec.PushI128(v, n)
					return nil
				}
				if x, ok := n.Int64(); ok {
					codec.PushI64(v, x)
					return nil
				}
			}
			return types.NumericFieldOverflow(t.Mod)
		}
		c.num = types.NumericFromI128(scratch(c.num), n, scale)
	} else {
		if len(b) > decimalBytesMax {
			return types.NumericFieldOverflow(t.Mod)
		}
		n := new(big.Int).SetBytes(b)
		if b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		var err error
		if c.num, err = types.NumericFromBig(scratch(c.num), n, scale); err != nil {
			return err
		}
	}
	return c.appendNumeric(v, t, c.num)
}

// appendNumeric appends a numeric in the variable form to a vector of any numeric.
func (c *coercer) appendNumeric(v *vec.Vec, t types.T, form []byte) error {
	if t.Layout == types.LayoutView {
		if _, _, ok := types.NumericMod(t.Mod); ok {
			fit, err := types.FitNumeric(nil, form, t.Mod)
			if err != nil {
				return err
			}
			form = fit
		}
		v.AppendBytes(form)
		return nil
	}
	n, err := types.NumericScaled(form, t)
	if err != nil {
		return err
	}
	if t.Layout == types.LayoutI128 {
		codec.PushI128(v, n)
		return nil
	}
	x, ok := n.Int64()
	if !ok {
		return types.NumericFieldOverflow(t.Mod)
	}
	codec.PushI64(v, x)
	return nil
}

// int128 is a big-endian two's complement integer of at most 16 bytes.
func int128(b []byte) types.Int128 {
	if len(b) == 0 {
		return types.Int128{}
	}
	if len(b) <= 8 {
		var w [8]byte
		copy(w[8-len(b):], b)
		shift := 64 - 8*len(b)
		return types.I128(int64(binary.BigEndian.Uint64(w[:])) << shift >> shift)
	}
	var w [16]byte
	fill := byte(int8(b[0]) >> 7)
	for i := range w[:16-len(b)] {
		w[i] = fill
	}
	copy(w[16-len(b):], b)
	return types.Int128{Hi: int64(binary.BigEndian.Uint64(w[:])), Lo: binary.BigEndian.Uint64(w[8:])}
}

// via reads a value as type from, whose encoding e is, and casts it to t by its
// text, as an assignment in SQL would.
func (c *coercer) via(from, t types.T, e encoding) put {
	var (
		put  = c.put(from, e)
		tmp  = vec.New(from, 1)
		enc  = codec.TextEncoder(from, c.env)
		app  = codec.TextAppender(t, c.env)
		text []byte
	)
	return func(v *vec.Vec, x jsonscan.Value) error {
		tmp.Recycle(from)
		if err := put(tmp, x); err != nil {
			return err
		}
		text = enc(scratch(text), tmp, 0)
		return app(v, text)
	}
}
