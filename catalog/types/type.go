// Package types is the type system: PostgreSQL's type OIDs, the physical layout
// that carries each in a vector, the edge value Datum, and for each type the one
// meaning of its text and binary forms, order, equality, hash and order-preserving
// key encoding. Whoever else gives a value a meaning (kernels, codecs, zone maps,
// row keys, joins) is built on this package or tested equal to it.
//
// It imports catalog/sqlstate only.
package types

// Layout is the physical form of a type's values in a vector. It, not the OID,
// chooses a kernel.
type Layout uint8

// The layouts. See DESIGN §3.
const (
	LayoutNone    Layout = iota
	LayoutBool           // bitmap
	LayoutI16            // int2
	LayoutI32            // int4, date (days since 2000-01-01), oid and the reg* family (as uint32 bits)
	LayoutI64            // int8, time, timestamp(tz) (µs since 2000-01-01), scaled numeric of at most 18 digits
	LayoutI128           // scaled numeric of at most 38 digits
	LayoutF32            // float4
	LayoutF64            // float8
	LayoutFixed16        // interval, timetz, uuid
	LayoutView           // strings, bytea, json; numeric without scale, jsonb, arrays, records in their binary forms
)

// T is a type as an expression or column has it. Compare with Same or SameSQL,
// not ==, since Prec may differ.
type T struct {
	OID uint32
	// Mod is PostgreSQL's typmod, -1 when there is none.
	Mod    int32
	Layout Layout
	// Scale is the number of digits after the point of a scaled numeric
	// (Layout I64 or I128); every value of the vector has that display scale.
	Scale int16
	// Prec bounds the digits of a scaled numeric: every unscaled value v has
	// |v| < 10^Prec. The binder narrows it from column statistics, which the
	// plan then records as an assumption (plan.Assumption).
	Prec int16
}

// NumericDigitsI64 and NumericDigitsI128 bound the declared precision that the
// scaled layouts hold.
const (
	NumericDigitsI64  = 18
	NumericDigitsI128 = 38
)

// The types without modifier.
var (
	Unknown     = T{OID: UnknownOID, Mod: -1, Layout: LayoutView}
	Bool        = T{OID: BoolOID, Mod: -1, Layout: LayoutBool}
	Bytea       = T{OID: ByteaOID, Mod: -1, Layout: LayoutView}
	Char        = T{OID: CharOID, Mod: -1, Layout: LayoutView}
	Name        = T{OID: NameOID, Mod: -1, Layout: LayoutView}
	Int2        = T{OID: Int2OID, Mod: -1, Layout: LayoutI16}
	Int4        = T{OID: Int4OID, Mod: -1, Layout: LayoutI32}
	Int8        = T{OID: Int8OID, Mod: -1, Layout: LayoutI64}
	Oid         = T{OID: OidOID, Mod: -1, Layout: LayoutI32}
	Text        = T{OID: TextOID, Mod: -1, Layout: LayoutView}
	Varchar     = T{OID: VarcharOID, Mod: -1, Layout: LayoutView}
	BPChar      = T{OID: BPCharOID, Mod: -1, Layout: LayoutView}
	Float4      = T{OID: Float4OID, Mod: -1, Layout: LayoutF32}
	Float8      = T{OID: Float8OID, Mod: -1, Layout: LayoutF64}
	Numeric     = T{OID: NumericOID, Mod: -1, Layout: LayoutView}
	Date        = T{OID: DateOID, Mod: -1, Layout: LayoutI32}
	Time        = T{OID: TimeOID, Mod: -1, Layout: LayoutI64}
	Timetz      = T{OID: TimetzOID, Mod: -1, Layout: LayoutFixed16}
	Timestamp   = T{OID: TimestampOID, Mod: -1, Layout: LayoutI64}
	Timestamptz = T{OID: TimestamptzOID, Mod: -1, Layout: LayoutI64}
	Interval    = T{OID: IntervalOID, Mod: -1, Layout: LayoutFixed16}
	UUID        = T{OID: UUIDOID, Mod: -1, Layout: LayoutFixed16}
	JSON        = T{OID: JSONOID, Mod: -1, Layout: LayoutView}
	JSONB       = T{OID: JSONBOID, Mod: -1, Layout: LayoutView}
	Record      = T{OID: RecordOID, Mod: -1, Layout: LayoutView}
	Regclass    = T{OID: RegclassOID, Mod: -1, Layout: LayoutI32}
	Void        = T{OID: VoidOID, Mod: -1, Layout: LayoutView}
)

// Of gives the type with this OID and typmod: layout and scale follow from them.
// An array or any other type of variable form has LayoutView. A numeric gets a
// scaled layout when its typmod bounds it to NumericDigitsI128 digits and its
// scale lies between 0 and its precision.
func Of(oid uint32, mod int32) T {
	t := T{OID: oid, Mod: mod, Layout: LayoutView}
	switch oid {
	case BoolOID:
		t.Layout = LayoutBool
	case Int2OID:
		t.Layout = LayoutI16
	case Int4OID, DateOID, OidOID, RegclassOID, RegprocOID, RegprocedureOID, RegoperOID, RegoperatorOID,
		RegtypeOID, RegconfigOID, RegdictionaryOID, RegnamespaceOID, RegroleOID, RegcollationOID, XidOID, CidOID:
		t.Layout = LayoutI32
	case Int8OID, TimeOID, TimestampOID, TimestamptzOID, PgLSNOID, Xid8OID:
		t.Layout = LayoutI64
	case Float4OID:
		t.Layout = LayoutF32
	case Float8OID:
		t.Layout = LayoutF64
	case TimetzOID, IntervalOID, UUIDOID:
		t.Layout = LayoutFixed16
	case NumericOID:
		if p, s, ok := NumericMod(mod); ok && s >= 0 && s <= p && p <= NumericDigitsI128 {
			return Decimal(p, s)
		}
	}
	return t
}

// NumericMod splits a numeric's typmod into precision and scale; ok is false
// when there is no typmod.
func NumericMod(mod int32) (precision, scale int, ok bool) {
	if mod < 4 {
		return 0, 0, false
	}
	mod -= 4
	scale = int(mod & 0x7ff)
	if scale >= 1024 {
		scale -= 2048
	}
	return int(mod >> 16), scale, true
}

// MakeNumericMod is the inverse of NumericMod.
func MakeNumericMod(precision, scale int) int32 {
	return int32(precision)<<16 | int32(scale&0x7ff) + 4
}

// Decimal is numeric(precision, scale) in its scaled layout, by precision.
func Decimal(precision, scale int) T {
	t := T{OID: NumericOID, Mod: MakeNumericMod(precision, scale), Layout: LayoutI128, Scale: int16(scale), Prec: int16(precision)}
	if precision <= NumericDigitsI64 {
		t.Layout = LayoutI64
	}
	return t
}

// DecimalResult is the type of a scaled numeric that an expression made: no
// typmod, a scale and a digit bound, which chooses the layout. Beyond
// NumericDigitsI128 digits it is the variable form.
func DecimalResult(prec, scale int) T {
	t := T{OID: NumericOID, Mod: -1, Layout: LayoutI64, Scale: int16(scale), Prec: int16(prec)}
	switch {
	case prec > NumericDigitsI128 || scale < 0:
		return Numeric
	case prec > NumericDigitsI64:
		t.Layout = LayoutI128
	}
	return t
}

// Scaled says whether t is a numeric in a scaled layout.
func (t T) Scaled() bool { return t.OID == NumericOID && t.Layout != LayoutView }

// Same says whether vectors of the two types hold the same kind of values in the
// same form, so that one can be copied into the other.
func (t T) Same(u T) bool { return t.OID == u.OID && t.Layout == u.Layout && t.Scale == u.Scale }

// SameSQL says whether two types are one type to SQL: the same OID, whatever
// the modifier and layout.
func (t T) SameSQL(u T) bool { return t.OID == u.OID }
