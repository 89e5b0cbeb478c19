package types

import "time"

// DateStyle is the output form of dates and timestamps.
type DateStyle uint8

// The date styles.
const (
	DateISO DateStyle = iota
	DateSQL
	DatePostgres
	DateGerman
)

// DateOrder is the order in which ambiguous numeric dates are read (and, in the
// styles SQL and Postgres, written).
type DateOrder uint8

// The date orders.
const (
	OrderMDY DateOrder = iota
	OrderDMY
	OrderYMD
)

// IntervalStyle is the output form of intervals.
type IntervalStyle uint8

// The interval styles.
const (
	IntervalPostgres IntervalStyle = iota
	IntervalPostgresVerbose
	IntervalSQL
	IntervalISO
)

// Names resolves the names behind the reg* types. kind is the type's OID
// (RegclassOID, RegtypeOID, RegprocOID ...).
type Names interface {
	// RegName is the text of an object: quoted and qualified as the search
	// path requires. ok is false when there is no such object; its number is
	// printed then.
	RegName(kind, oid uint32) (name string, ok bool)
	// RegOID finds the object that a text names, or fails as PostgreSQL does
	// (42P01, 42704, 42883 ...).
	RegOID(kind uint32, name string) (uint32, error)
}

// Env is the part of a session's settings that gives text its meaning. A nil
// *Env means the defaults: ISO, MDY, UTC. Envs are read-only once in use.
type Env struct {
	DateStyle     DateStyle
	DateOrder     DateOrder
	IntervalStyle IntervalStyle
	TimeZone      *time.Location // nil: UTC
	// ExtraFloatDigits above 0 (the default is 1) asks for the shortest text
	// that reads back as the same number.
	ExtraFloatDigits int
	ByteaEscape      bool
	// Now is the start of the transaction, µs since 2000-01-01 UTC: the value
	// of 'now' and the base of 'today'.
	Now   int64
	Names Names // nil: reg* values are numbers (regtype: builtin names)
}

// DefaultEnv is what a nil *Env stands for.
var DefaultEnv = &Env{TimeZone: time.UTC, ExtraFloatDigits: 1}

func (e *Env) orDefault() *Env {
	if e == nil {
		return DefaultEnv
	}
	return e
}

func (e *Env) zone() *time.Location {
	if e == nil || e.TimeZone == nil {
		return time.UTC
	}
	return e.TimeZone
}
