package types

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// ParseBinary reads a value of type t from its binary wire form, with t's typmod
// applied.
func ParseBinary(t T, s []byte, env *Env) (Datum, error) {
	switch t.Layout {
	case LayoutBool:
		if err := wantLen(s, 1); err != nil {
			return Null, err
		}
		return NewBool(s[0] != 0), nil
	case LayoutI16:
		if err := wantLen(s, 2); err != nil {
			return Null, err
		}
		return NewInt(int64(int16(binary.BigEndian.Uint16(s)))), nil
	case LayoutI32:
		v, err := ReadI32(t, s)
		if UnsignedI32(t.OID) {
			return NewInt(int64(uint32(v))).on(err), err
		}
		return NewInt(int64(v)).on(err), err
	case LayoutI64:
		v, err := ReadI64(t, s)
		return NewInt(v).on(err), err
	case LayoutI128:
		v, err := ReadDecimal(t, s)
		return NewI128(v).on(err), err
	case LayoutF32:
		if err := wantLen(s, 4); err != nil {
			return Null, err
		}
		return NewFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(s)))), nil
	case LayoutF64:
		if err := wantLen(s, 8); err != nil {
			return Null, err
		}
		return NewFloat(math.Float64frombits(binary.BigEndian.Uint64(s))), nil
	case LayoutFixed16:
		v, err := ReadFixed16(t, s)
		return NewFixed16(v).on(err), err
	}
	var buf [256]byte
	v, err := ReadView(buf[:0], t, s, env)
	if err != nil {
		return Null, err
	}
	return NewString(string(v)), nil
}

func wantLen(s []byte, n int) error {
	switch {
	case len(s) < n:
		return shortBinary()
	case len(s) > n:
		return badBinary()
	}
	return nil
}

// ReadI32 reads the binary form of a LayoutI32 type.
func ReadI32(t T, s []byte) (int32, error) {
	if err := wantLen(s, 4); err != nil {
		return 0, err
	}
	v := int32(binary.BigEndian.Uint32(s))
	if t.OID == DateOID && v != DateInfinity && v != DateNegInfinity && !ValidDate(int64(v)) {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date out of range")
	}
	return v, nil
}

// ReadI64 reads the binary form of a LayoutI64 type.
func ReadI64(t T, s []byte) (int64, error) {
	if t.OID == NumericOID {
		v, err := ReadDecimal(t, s)
		if err != nil {
			return 0, err
		}
		x, ok := v.Int64()
		if !ok {
			return 0, numOverflow()
		}
		return x, nil
	}
	if err := wantLen(s, 8); err != nil {
		return 0, err
	}
	v := int64(binary.BigEndian.Uint64(s))
	switch t.OID {
	case TimestampOID, TimestamptzOID:
		if v != TimestampInfinity && v != TimestampNegInfinity && !ValidTimestamp(v) {
			return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range")
		}
		return fitTimestamp(v, t.Mod, nil)
	case TimeOID:
		if v < 0 || v > MicrosPerDay {
			return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "time out of range")
		}
		return roundMicros(v, t.Mod), nil
	}
	return v, nil
}

// ReadFixed16 reads the binary form of a LayoutFixed16 type.
func ReadFixed16(t T, s []byte) (Fixed16, error) {
	switch t.OID {
	case UUIDOID:
		if err := wantLen(s, 16); err != nil {
			return Fixed16{}, err
		}
		return Fixed16{A: int64(binary.BigEndian.Uint64(s)), B: int64(binary.BigEndian.Uint64(s[8:]))}, nil
	case TimetzOID:
		if err := wantLen(s, 12); err != nil {
			return Fixed16{}, err
		}
		us := int64(binary.BigEndian.Uint64(s))
		zone := int32(binary.BigEndian.Uint32(s[8:]))
		if us < 0 || us > MicrosPerDay {
			return Fixed16{}, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "time out of range")
		}
		if zone <= -16*3600 || zone >= 16*3600 {
			return Fixed16{}, sqlstate.Errorf(sqlstate.InvalidTimeZoneDisplacementValue, "time zone displacement out of range")
		}
		return Fixed16{A: roundMicros(us, t.Mod), B: int64(zone)}, nil
	}
	if err := wantLen(s, 16); err != nil {
		return Fixed16{}, err
	}
	days, months := int32(binary.BigEndian.Uint32(s[8:])), int32(binary.BigEndian.Uint32(s[12:]))
	return FitInterval(MakeInterval(months, days, int64(binary.BigEndian.Uint64(s))), t.Mod)
}

// ReadView appends to dst the form of a LayoutView value from its binary form.
func ReadView(dst []byte, t T, s []byte, env *Env) ([]byte, error) {
	switch t.OID {
	case ByteaOID:
		return append(dst, s...), nil
	case CharOID:
		if err := wantLen(s, 1); err != nil {
			return dst, err
		}
		if s[0] == 0 {
			return dst, nil
		}
		return append(dst, s[0]), nil
	case NumericOID:
		var sc numScratch
		n, err := readNum(s, &sc)
		if err == nil && t.Mod >= 0 {
			n, err = n.fit(t.Mod)
		}
		if err != nil {
			return dst, err
		}
		return appendNum(dst, n)
	case JSONBOID:
		if len(s) == 0 {
			return dst, shortBinary()
		}
		if s[0] != 1 {
			return dst, sqlstate.Errorf(sqlstate.InternalError, "unsupported jsonb version number %d", s[0])
		}
		if err := CheckUTF8(s[1:]); err != nil {
			return dst, err
		}
		return ParseJSONB(dst, s[1:])
	case RecordOID:
		return readRecord(dst, s, env)
	}
	if e := ElemOf(t.OID); e != 0 {
		return ReadArray(dst, Of(e, t.Mod), s, env)
	}
	if err := CheckUTF8(s); err != nil {
		return dst, err
	}
	return ParseView(dst, t, s, env)
}

// AppendBinary appends the binary wire form of a value that is not NULL.
func AppendBinary(dst []byte, t T, d Datum, env *Env) []byte {
	switch t.Layout {
	case LayoutBool:
		return append(dst, byte(d.I))
	case LayoutI16:
		return binary.BigEndian.AppendUint16(dst, uint16(d.I))
	case LayoutI32:
		return binary.BigEndian.AppendUint32(dst, uint32(d.I))
	case LayoutI64:
		if t.OID == NumericOID {
			return AppendDecimalBinary(dst, I128(d.I), int(t.Scale))
		}
		return binary.BigEndian.AppendUint64(dst, uint64(d.I))
	case LayoutI128:
		return AppendDecimalBinary(dst, d.I128(), int(t.Scale))
	case LayoutF32:
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(d.F)))
	case LayoutF64:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(d.F))
	case LayoutFixed16:
		return AppendFixed16Binary(dst, t, d.Fixed16())
	}
	return AppendViewBinary(dst, t, bytesOf(d.S), env)
}

// AppendFixed16Binary appends the binary form of a LayoutFixed16 value.
func AppendFixed16Binary(dst []byte, t T, v Fixed16) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.A))
	switch t.OID {
	case UUIDOID:
		return binary.BigEndian.AppendUint64(dst, uint64(v.B))
	case TimetzOID:
		return binary.BigEndian.AppendUint32(dst, uint32(v.B))
	}
	months, days, _ := v.IntervalParts()
	dst = binary.BigEndian.AppendUint32(dst, uint32(days))
	return binary.BigEndian.AppendUint32(dst, uint32(months))
}

// AppendViewBinary appends the binary form of a LayoutView value.
func AppendViewBinary(dst []byte, t T, b []byte, env *Env) []byte {
	switch t.OID {
	case CharOID:
		if len(b) == 0 {
			return append(dst, 0)
		}
		return append(dst, b[0])
	case NumericOID:
		return AppendNumericBinary(dst, b)
	case JSONBOID:
		return AppendJSONB(append(dst, 1), b)
	case RecordOID:
		return appendRecordBinary(dst, b, env)
	case VoidOID:
		return dst
	case Int2VectorOID, OidVectorOID:
		if Array(b).NDim() == 0 { // vectors always have one dimension
			dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 0)
			dst = binary.BigEndian.AppendUint32(dst, Array(b).ElemOID())
			return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
		}
	}
	if IsArray(t.OID) || t.OID == AnyArrayOID {
		return AppendArrayBinary(dst, b, env)
	}
	return append(dst, b...)
}
