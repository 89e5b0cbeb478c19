package types

import "math"

// Datum is one value, for the edges: constants, parameters, keys, statistics,
// point lookups. Bulk data is never a Datum. Its meaning depends on the type it
// is used with. The zero Datum is NULL. Datums are values; S is never mutated.
//
//	LayoutBool                    I: 0 or 1
//	LayoutI16, I32, I64           I (oids: zero-extended)
//	LayoutI128                    I: low 64 bits, H: high 64 bits (two's complement)
//	LayoutF32, F64                F
//	LayoutFixed16                 I: first 8 bytes, H: last 8, as the vector holds them
//	LayoutView                    S: the bytes
type Datum struct {
	Valid bool
	I, H  int64
	F     float64
	S     string
}

// Null is the NULL datum.
var Null Datum

// NewBool, NewInt, NewFloat, NewString and NewI128 make a datum of the layouts
// their names say.
func NewBool(b bool) Datum {
	if b {
		return Datum{Valid: true, I: 1}
	}
	return Datum{Valid: true}
}

// NewInt makes a datum of any integer layout.
func NewInt(i int64) Datum { return Datum{Valid: true, I: i} }

// NewFloat makes a datum of a float layout.
func NewFloat(f float64) Datum { return Datum{Valid: true, F: f} }

// NewString makes a datum of LayoutView.
func NewString(s string) Datum { return Datum{Valid: true, S: s} }

// NewI128 makes a datum of LayoutI128.
func NewI128(v Int128) Datum { return Datum{Valid: true, I: int64(v.Lo), H: v.Hi} }

// NewFixed16 makes a datum of LayoutFixed16.
func NewFixed16(v Fixed16) Datum { return Datum{Valid: true, I: v.A, H: v.B} }

// Bool is the value of a bool datum.
func (d Datum) Bool() bool { return d.I != 0 }

// I128 is the value of a LayoutI128 datum.
func (d Datum) I128() Int128 { return Int128{Lo: uint64(d.I), Hi: d.H} }

// Fixed16 is the value of a LayoutFixed16 datum.
func (d Datum) Fixed16() Fixed16 { return Fixed16{A: d.I, B: d.H} }

// Int128 is a two's complement 128-bit integer.
type Int128 struct {
	Lo uint64
	Hi int64
}

// Fixed16 is 16 bytes as two words:
//
//	interval  A: microseconds; B: days in the low 32 bits, months in the high 32
//	timetz    A: microseconds of day; B: zone, seconds west of Greenwich (as PostgreSQL keeps it)
//	uuid      A, B: the bytes as two big-endian words
type Fixed16 struct {
	A, B int64
}

// MakeInterval packs an interval.
func MakeInterval(months, days int32, micros int64) Fixed16 {
	return Fixed16{A: micros, B: int64(months)<<32 | int64(uint32(days))}
}

// IntervalParts unpacks an interval.
func (f Fixed16) IntervalParts() (months, days int32, micros int64) {
	return int32(f.B >> 32), int32(uint32(f.B)), f.A
}

// The infinities of date and timestamp(tz).
const (
	DateInfinity         = math.MaxInt32
	DateNegInfinity      = math.MinInt32
	TimestampInfinity    = math.MaxInt64
	TimestampNegInfinity = math.MinInt64
)
