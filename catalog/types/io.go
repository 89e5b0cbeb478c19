package types

import (
	"github.com/millrace/millrace/catalog/sqlstate"
)

// ParseText reads a value of type t from its text form, with t's typmod applied
// as the type's input function does. env may be nil.
func ParseText(t T, s string, env *Env) (Datum, error) {
	b := bytesOf(s)
	switch t.Layout {
	case LayoutBool:
		v, err := ParseBool(b)
		return NewBool(v).on(err), err
	case LayoutI16:
		v, err := ParseInt2(b)
		return NewInt(int64(v)).on(err), err
	case LayoutI32:
		v, err := ParseI32(t, b, env)
		if UnsignedI32(t.OID) {
			return NewInt(int64(uint32(v))).on(err), err
		}
		return NewInt(int64(v)).on(err), err
	case LayoutI64:
		v, err := ParseI64(t, b, env)
		return NewInt(v).on(err), err
	case LayoutI128:
		v, err := ParseDecimal128(b, t)
		return NewI128(v).on(err), err
	case LayoutF32:
		v, err := ParseFloat4(b)
		return NewFloat(float64(v)).on(err), err
	case LayoutF64:
		v, err := ParseFloat8(b)
		return NewFloat(v).on(err), err
	case LayoutFixed16:
		v, err := ParseFixed16(t, b, env)
		return NewFixed16(v).on(err), err
	}
	var buf [256]byte
	v, err := ParseView(buf[:0], t, b, env)
	if err != nil {
		return Null, err
	}
	return NewString(string(v)), nil
}

// on is d, or NULL when there was an error.
func (d Datum) on(err error) Datum {
	if err != nil {
		return Null
	}
	return d
}

// UnsignedI32 says whether a LayoutI32 type holds uint32 bits (oid and its kin).
func UnsignedI32(oid uint32) bool { return oid != Int4OID && oid != DateOID }

// UnsignedI64 says whether a LayoutI64 type holds uint64 bits.
func UnsignedI64(oid uint32) bool { return oid == PgLSNOID || oid == Xid8OID }

// ParseI32 reads the text of a LayoutI32 type.
func ParseI32(t T, s []byte, env *Env) (int32, error) {
	switch t.OID {
	case Int4OID:
		return ParseInt4(s)
	case DateOID:
		return ParseDate(s, env)
	case OidOID:
		v, err := ParseOid(s)
		return int32(v), err
	case XidOID, CidOID:
		v, err := parseUint32(s, FormatTypeNoMod(t.OID))
		return int32(v), err
	}
	v, err := parseReg(t.OID, s, env)
	return int32(v), err
}

// ParseI64 reads the text of a LayoutI64 type.
func ParseI64(t T, s []byte, env *Env) (int64, error) {
	switch t.OID {
	case Int8OID:
		return ParseInt8(s)
	case NumericOID:
		return ParseDecimal64(s, t)
	case TimestampOID:
		v, err := ParseTimestamp(s, env)
		return fitTimestamp(v, t.Mod, err)
	case TimestamptzOID:
		v, err := ParseTimestamptz(s, env)
		return fitTimestamp(v, t.Mod, err)
	case TimeOID:
		v, err := ParseTime(s, env)
		return roundMicros(v, t.Mod), err
	case PgLSNOID:
		v, err := ParseLSN(s)
		return int64(v), err
	case Xid8OID:
		v, err := ParseXid8(s)
		return int64(v), err
	}
	return 0, noInput(t)
}

func fitTimestamp(v int64, mod int32, err error) (int64, error) {
	if mod < 0 || err != nil {
		return v, err
	}
	return roundMicros(v, mod), nil
}

// ParseFixed16 reads the text of a LayoutFixed16 type.
func ParseFixed16(t T, s []byte, env *Env) (Fixed16, error) {
	switch t.OID {
	case UUIDOID:
		return ParseUUID(s)
	case IntervalOID:
		return ParseInterval(s, t.Mod, env)
	case TimetzOID:
		v, err := ParseTimetz(s, env)
		v.A = roundMicros(v.A, t.Mod)
		return v, err
	}
	return Fixed16{}, noInput(t)
}

func noInput(t T) error {
	return sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot accept a value of type %s", FormatTypeNoMod(t.OID))
}

// ParseView appends to dst the form of a LayoutView value from its text. On
// error dst is not to be used.
func ParseView(dst []byte, t T, s []byte, env *Env) ([]byte, error) {
	switch t.OID {
	case TextOID, UnknownOID, CstringOID, ACLItemOID, XMLOID, PgNodeTreeOID, RefcursorOID, JSONPathOID:
		return append(dst, s...), nil
	case VarcharOID:
		v, err := FitVarchar(s, t.Mod, false)
		return append(dst, v...), err
	case BPCharOID:
		return AppendBPChar(dst, s, t.Mod, false)
	case NameOID:
		return append(dst, ClipUTF8(s, NameLen)...), nil
	case CharOID:
		v, n := ParseChar(s)
		return append(dst, v[:n]...), nil
	case ByteaOID:
		return ParseBytea(dst, s)
	case NumericOID:
		if t.Mod >= 0 {
			var sc numScratch
			n, err := parseNum(s, &sc)
			if err == nil {
				n, err = n.fit(t.Mod)
			}
			if err != nil {
				return dst, err
			}
			return appendNum(dst, n)
		}
		return ParseNumeric(dst, s)
	case JSONOID:
		if err := ValidateJSON(s); err != nil {
			return dst, err
		}
		return append(dst, s...), nil
	case JSONBOID:
		return ParseJSONB(dst, s)
	case Int2VectorOID, OidVectorOID:
		return parseVector(dst, t.OID, s)
	case RecordOID:
		return dst, sqlstate.Errorf(sqlstate.FeatureNotSupported, "input of anonymous composite types is not implemented")
	case VoidOID:
		return dst, nil
	}
	if e := ElemOf(t.OID); e != 0 {
		return ParseArray(dst, Of(e, t.Mod), s, env)
	}
	return dst, noInput(t)
}

// AppendText appends the text form of a value that is not NULL.
func AppendText(dst []byte, t T, d Datum, env *Env) []byte {
	switch t.Layout {
	case LayoutBool:
		return AppendBool(dst, d.I != 0)
	case LayoutI16:
		return AppendInt(dst, d.I)
	case LayoutI32:
		return AppendI32(dst, t, int32(d.I), env)
	case LayoutI64:
		return AppendI64(dst, t, d.I, env)
	case LayoutI128:
		return AppendDecimal128(dst, d.I128(), int(t.Scale))
	case LayoutF32:
		return AppendFloat4(dst, float32(d.F), env)
	case LayoutF64:
		return AppendFloat8(dst, d.F, env)
	case LayoutFixed16:
		return AppendFixed16(dst, t, d.Fixed16(), env)
	}
	return AppendView(dst, t, bytesOf(d.S), env)
}

// AppendI32 appends the text of a LayoutI32 value.
func AppendI32(dst []byte, t T, v int32, env *Env) []byte {
	switch t.OID {
	case Int4OID:
		return AppendInt(dst, int64(v))
	case DateOID:
		return AppendDate(dst, v, env)
	case OidOID, XidOID, CidOID:
		return AppendInt(dst, int64(uint32(v)))
	}
	return appendReg(dst, t.OID, uint32(v), env)
}

// AppendI64 appends the text of a LayoutI64 value.
func AppendI64(dst []byte, t T, v int64, env *Env) []byte {
	switch t.OID {
	case NumericOID:
		return AppendDecimal64(dst, v, int(t.Scale))
	case TimestampOID:
		return AppendTimestamp(dst, v, env)
	case TimestamptzOID:
		return AppendTimestamptz(dst, v, env)
	case TimeOID:
		return AppendTime(dst, v)
	case PgLSNOID:
		return AppendLSN(dst, uint64(v))
	case Xid8OID:
		return AppendInt128(dst, Int128{Lo: uint64(v)})
	}
	return AppendInt(dst, v)
}

// AppendFixed16 appends the text of a LayoutFixed16 value.
func AppendFixed16(dst []byte, t T, v Fixed16, env *Env) []byte {
	switch t.OID {
	case UUIDOID:
		return AppendUUID(dst, v)
	case TimetzOID:
		return AppendTimetz(dst, v)
	}
	return AppendInterval(dst, v, env)
}

// AppendView appends the text of a LayoutView value in its form.
func AppendView(dst []byte, t T, b []byte, env *Env) []byte {
	switch t.OID {
	case TextOID, VarcharOID, BPCharOID:
		return append(dst, b...)
	case ByteaOID:
		return AppendBytea(dst, b, env)
	case CharOID:
		return AppendChar(dst, b)
	case NumericOID:
		return AppendNumeric(dst, b)
	case JSONBOID:
		return AppendJSONB(dst, b)
	case RecordOID:
		return AppendRecord(dst, b, env)
	case Int2VectorOID, OidVectorOID:
		return appendVector(dst, b)
	case VoidOID:
		return dst
	}
	if IsArray(t.OID) || t.OID == AnyArrayOID {
		return AppendArray(dst, b, env)
	}
	return append(dst, b...)
}
