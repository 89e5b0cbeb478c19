package codec

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// TextEncoder writes the text form of type t.
func TextEncoder(t types.T, env *types.Env) Encoder {
	switch t.Layout {
	case types.LayoutBool:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendBool(dst, vec.Bit(v.Source().Bits, v.Index(i)))
		}
	case types.LayoutI16:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendInt(dst, int64(v.Source().I16[v.Index(i)]))
		}
	case types.LayoutI32:
		switch t.OID {
		case types.Int4OID:
			return func(dst []byte, v *vec.Vec, i int) []byte {
				return types.AppendInt(dst, int64(v.Source().I32[v.Index(i)]))
			}
		case types.DateOID:
			return func(dst []byte, v *vec.Vec, i int) []byte {
				return types.AppendDate(dst, v.Source().I32[v.Index(i)], env)
			}
		}
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendI32(dst, t, v.Source().I32[v.Index(i)], env)
		}
	case types.LayoutI64:
		switch t.OID {
		case types.Int8OID:
			return func(dst []byte, v *vec.Vec, i int) []byte {
				return types.AppendInt(dst, v.Source().I64[v.Index(i)])
			}
		case types.NumericOID:
			scale := int(t.Scale)
			return func(dst []byte, v *vec.Vec, i int) []byte {
				return types.AppendDecimal64(dst, v.Source().I64[v.Index(i)], scale)
			}
		}
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendI64(dst, t, v.Source().I64[v.Index(i)], env)
		}
	case types.LayoutI128:
		scale := int(t.Scale)
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendDecimal128(dst, v.Source().I128[v.Index(i)], scale)
		}
	case types.LayoutF32:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendFloat4(dst, v.Source().F32[v.Index(i)], env)
		}
	case types.LayoutF64:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendFloat8(dst, v.Source().F64[v.Index(i)], env)
		}
	case types.LayoutFixed16:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendFixed16(dst, t, v.Source().Fix[v.Index(i)], env)
		}
	}
	switch t.OID {
	case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID, types.JSONOID, types.UnknownOID, types.CstringOID:
		return encodePlain
	}
	return func(dst []byte, v *vec.Vec, i int) []byte {
		return types.AppendView(dst, t, v.BytesAt(i), env)
	}
}

func encodePlain(dst []byte, v *vec.Vec, i int) []byte { return append(dst, v.BytesAt(i)...) }

// BinaryEncoder writes the binary wire form of type t.
func BinaryEncoder(t types.T, env *types.Env) Encoder {
	be := binary.BigEndian
	switch t.Layout {
	case types.LayoutBool:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			if vec.Bit(v.Source().Bits, v.Index(i)) {
				return append(dst, 1)
			}
			return append(dst, 0)
		}
	case types.LayoutI16:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return be.AppendUint16(dst, uint16(v.Source().I16[v.Index(i)]))
		}
	case types.LayoutI32:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return be.AppendUint32(dst, uint32(v.Source().I32[v.Index(i)]))
		}
	case types.LayoutI64:
		if t.OID == types.NumericOID {
			scale := int(t.Scale)
			return func(dst []byte, v *vec.Vec, i int) []byte {
				return types.AppendDecimalBinary(dst, types.I128(v.Source().I64[v.Index(i)]), scale)
			}
		}
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return be.AppendUint64(dst, uint64(v.Source().I64[v.Index(i)]))
		}
	case types.LayoutI128:
		scale := int(t.Scale)
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendDecimalBinary(dst, v.Source().I128[v.Index(i)], scale)
		}
	case types.LayoutF32:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return be.AppendUint32(dst, math.Float32bits(v.Source().F32[v.Index(i)]))
		}
	case types.LayoutF64:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return be.AppendUint64(dst, math.Float64bits(v.Source().F64[v.Index(i)]))
		}
	case types.LayoutFixed16:
		return func(dst []byte, v *vec.Vec, i int) []byte {
			return types.AppendFixed16Binary(dst, t, v.Source().Fix[v.Index(i)])
		}
	}
	switch t.OID {
	case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID, types.JSONOID, types.ByteaOID, types.UnknownOID, types.CstringOID:
		return encodePlain
	}
	return func(dst []byte, v *vec.Vec, i int) []byte {
		return types.AppendViewBinary(dst, t, v.BytesAt(i), env)
	}
}
