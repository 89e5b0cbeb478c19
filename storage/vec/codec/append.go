package codec

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// TextAppender reads the text form of type t, with t's typmod applied as the
// type's input function does. Text is taken to be valid UTF-8 (CheckUTF8).
func TextAppender(t types.T, env *types.Env) Appender {
	switch t.Layout {
	case types.LayoutBool:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseBool(b)
			if err == nil {
				PushBool(v, x)
			}
			return err
		}
	case types.LayoutI16:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseInt2(b)
			if err == nil {
				PushI16(v, x)
			}
			return err
		}
	case types.LayoutI32:
		switch t.OID {
		case types.Int4OID:
			return func(v *vec.Vec, b []byte) error {
				x, err := types.ParseInt4(b)
				if err == nil {
					PushI32(v, x)
				}
				return err
			}
		case types.DateOID:
			return func(v *vec.Vec, b []byte) error {
				x, err := types.ParseDate(b, env)
				if err == nil {
					PushI32(v, x)
				}
				return err
			}
		}
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseI32(t, b, env)
			if err == nil {
				PushI32(v, x)
			}
			return err
		}
	case types.LayoutI64:
		switch t.OID {
		case types.Int8OID:
			return func(v *vec.Vec, b []byte) error {
				x, err := types.ParseInt8(b)
				if err == nil {
					PushI64(v, x)
				}
				return err
			}
		case types.NumericOID:
			return func(v *vec.Vec, b []byte) error {
				x, err := types.ParseDecimal64(b, t)
				if err == nil {
					PushI64(v, x)
				}
				return err
			}
		}
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseI64(t, b, env)
			if err == nil {
				PushI64(v, x)
			}
			return err
		}
	case types.LayoutI128:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseDecimal128(b, t)
			if err == nil {
				PushI128(v, x)
			}
			return err
		}
	case types.LayoutF32:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseFloat4(b)
			if err == nil {
				PushF32(v, x)
			}
			return err
		}
	case types.LayoutF64:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseFloat8(b)
			if err == nil {
				PushF64(v, x)
			}
			return err
		}
	case types.LayoutFixed16:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ParseFixed16(t, b, env)
			if err == nil {
				PushFix(v, x)
			}
			return err
		}
	}
	switch t.OID {
	case types.TextOID, types.UnknownOID, types.CstringOID:
		return appendPlain
	case types.VarcharOID:
		if t.Mod < types.VarHeader {
			return appendPlain
		}
		return func(v *vec.Vec, b []byte) error {
			b, err := types.FitVarchar(b, t.Mod, false)
			if err == nil {
				v.AppendBytes(b)
			}
			return err
		}
	}
	var scratch []byte
	return func(v *vec.Vec, b []byte) error {
		form, err := types.ParseView(scratch[:0], t, b, env)
		if err != nil {
			return err
		}
		v.AppendBytes(form)
		scratch = keep(form)
		return nil
	}
}

func appendPlain(v *vec.Vec, b []byte) error {
	v.AppendBytes(b)
	return nil
}

// keep is scratch space to use again, unless it grew large.
func keep(b []byte) []byte {
	if cap(b) > 1<<20 {
		return nil
	}
	return b[:0]
}

// BinaryAppender reads the binary wire form of type t, with t's typmod applied.
// Text is checked to be valid UTF-8.
func BinaryAppender(t types.T, env *types.Env) Appender {
	be := binary.BigEndian
	switch t.Layout {
	case types.LayoutBool:
		return func(v *vec.Vec, b []byte) error {
			if err := wantLen(b, 1); err != nil {
				return err
			}
			PushBool(v, b[0] != 0)
			return nil
		}
	case types.LayoutI16:
		return func(v *vec.Vec, b []byte) error {
			if err := wantLen(b, 2); err != nil {
				return err
			}
			PushI16(v, int16(be.Uint16(b)))
			return nil
		}
	case types.LayoutI32:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ReadI32(t, b)
			if err == nil {
				PushI32(v, x)
			}
			return err
		}
	case types.LayoutI64:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ReadI64(t, b)
			if err == nil {
				PushI64(v, x)
			}
			return err
		}
	case types.LayoutI128:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ReadDecimal(t, b)
			if err == nil {
				PushI128(v, x)
			}
			return err
		}
	case types.LayoutF32:
		return func(v *vec.Vec, b []byte) error {
			if err := wantLen(b, 4); err != nil {
				return err
			}
			PushF32(v, math.Float32frombits(be.Uint32(b)))
			return nil
		}
	case types.LayoutF64:
		return func(v *vec.Vec, b []byte) error {
			if err := wantLen(b, 8); err != nil {
				return err
			}
			PushF64(v, math.Float64frombits(be.Uint64(b)))
			return nil
		}
	case types.LayoutFixed16:
		return func(v *vec.Vec, b []byte) error {
			x, err := types.ReadFixed16(t, b)
			if err == nil {
				PushFix(v, x)
			}
			return err
		}
	}
	switch t.OID {
	case types.ByteaOID:
		return appendPlain
	case types.TextOID, types.UnknownOID, types.CstringOID:
		return func(v *vec.Vec, b []byte) error {
			if err := types.CheckUTF8(b); err != nil {
				return err
			}
			v.AppendBytes(b)
			return nil
		}
	}
	var scratch []byte
	return func(v *vec.Vec, b []byte) error {
		form, err := types.ReadView(scratch[:0], t, b, env)
		if err != nil {
			return err
		}
		v.AppendBytes(form)
		scratch = keep(form)
		return nil
	}
}

func wantLen(b []byte, n int) error {
	switch {
	case len(b) < n:
		return sqlstate.Errorf(sqlstate.ProtocolViolation, "insufficient data left in message")
	case len(b) > n:
		return sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "incorrect binary data format")
	}
	return nil
}
