package types

import "strconv"

// FormatType is a type as SQL writes it, with its modifier: format_type().
// Types that are not builtin print as "???"; the catalog knows their names.
func FormatType(oid uint32, mod int32) string {
	return formatType(oid, mod, true)
}

// FormatTypeNoMod is the name without modifier, as in messages: "numeric",
// "character varying".
func FormatTypeNoMod(oid uint32) string { return formatType(oid, -1, false) }

func formatType(oid uint32, mod int32, given bool) string {
	if oid == 0 {
		return "-"
	}
	t := Lookup(oid)
	if t == nil {
		return "???"
	}
	if e := ElemOf(oid); e != 0 && t.Storage != 'p' {
		return formatType(e, mod, given) + "[]"
	}
	switch oid {
	case BoolOID:
		return "boolean"
	case CharOID:
		return `"char"` + precisionText(mod)
	case BPCharOID:
		if given && mod < 0 {
			return "bpchar" // "character" would be character(1)
		}
		return "character" + TypmodText(oid, mod)
	case VarcharOID:
		return "character varying" + TypmodText(oid, mod)
	case Int2OID:
		return "smallint"
	case Int4OID:
		return "integer"
	case Int8OID:
		return "bigint"
	case Float4OID:
		return "real"
	case Float8OID:
		return "double precision"
	case NumericOID:
		return "numeric" + TypmodText(oid, mod)
	case TimeOID:
		return "time" + precisionText(mod) + " without time zone"
	case TimetzOID:
		return "time" + precisionText(mod) + " with time zone"
	case TimestampOID:
		return "timestamp" + precisionText(mod) + " without time zone"
	case TimestamptzOID:
		return "timestamp" + precisionText(mod) + " with time zone"
	case IntervalOID:
		return "interval" + TypmodText(oid, mod)
	case BitOID:
		if mod >= 0 {
			return "bit(" + strconv.Itoa(int(mod)) + ")"
		}
		return `"bit"`
	case VarbitOID:
		if mod >= 0 {
			return "bit varying(" + strconv.Itoa(int(mod)) + ")"
		}
		return "bit varying"
	}
	if mod >= 0 {
		return t.Name + "(" + strconv.Itoa(int(mod)) + ")"
	}
	return t.Name
}

func precisionText(mod int32) string {
	if mod < 0 {
		return ""
	}
	return "(" + strconv.Itoa(int(mod)) + ")"
}

// VarHeader is what PostgreSQL adds to a declared length in the typmods of
// varchar, bpchar and numeric.
const VarHeader = 4

// TypmodText is the text that follows a type's name for a modifier, as the
// typmodout functions give it: "(10)", "(15,2)", " day to second(3)"; "" when
// there is none.
func TypmodText(oid uint32, mod int32) string {
	if mod < 0 {
		return ""
	}
	switch oid {
	case VarcharOID, BPCharOID:
		if mod <= VarHeader {
			return ""
		}
		return "(" + strconv.Itoa(int(mod-VarHeader)) + ")"
	case NumericOID:
		if p, s, ok := NumericMod(mod); ok {
			return "(" + strconv.Itoa(p) + "," + strconv.Itoa(s) + ")"
		}
	case TimeOID, TimestampOID:
		return precisionText(mod) + " without time zone"
	case TimetzOID, TimestamptzOID:
		return precisionText(mod) + " with time zone"
	case IntervalOID:
		fields, prec := IntervalMod(mod)
		s := intervalFieldNames[fields]
		if prec >= 0 {
			s += "(" + strconv.Itoa(prec) + ")"
		}
		return s
	case BitOID, VarbitOID:
		return "(" + strconv.Itoa(int(mod)) + ")"
	}
	return ""
}

// The fields of an interval typmod (INTERVAL_MASK bits of PostgreSQL).
const (
	IntervalMonth  = 1 << 1
	IntervalYear   = 1 << 2
	IntervalDay    = 1 << 3
	IntervalHour   = 1 << 10
	IntervalMinute = 1 << 11
	IntervalSecond = 1 << 12
	IntervalFull   = 0x7fff
	// IntervalFullPrecision stands for no declared precision.
	IntervalFullPrecision = 0xffff
)

var intervalFieldNames = map[int]string{
	IntervalFull:                 "",
	IntervalYear:                 " year",
	IntervalMonth:                " month",
	IntervalDay:                  " day",
	IntervalHour:                 " hour",
	IntervalMinute:               " minute",
	IntervalSecond:               " second",
	IntervalYear | IntervalMonth: " year to month",
	IntervalDay | IntervalHour:   " day to hour",
	IntervalDay | IntervalHour | IntervalMinute:                  " day to minute",
	IntervalDay | IntervalHour | IntervalMinute | IntervalSecond: " day to second",
	IntervalHour | IntervalMinute:                                " hour to minute",
	IntervalHour | IntervalMinute | IntervalSecond:               " hour to second",
	IntervalMinute | IntervalSecond:                              " minute to second",
}

// IntervalMod splits an interval's typmod into its field mask (IntervalFull when
// not restricted) and its precision (-1 when full).
func IntervalMod(mod int32) (fields, precision int) {
	if mod < 0 {
		return IntervalFull, -1
	}
	fields, precision = int(mod>>16)&0x7fff, int(mod&0xffff)
	if precision == IntervalFullPrecision {
		precision = -1
	}
	return fields, precision
}

// MakeIntervalMod is the inverse of IntervalMod.
func MakeIntervalMod(fields, precision int) int32 {
	if fields == IntervalFull && precision < 0 {
		return -1
	}
	if precision < 0 {
		precision = IntervalFullPrecision
	}
	return int32(fields)<<16 | int32(precision)
}
