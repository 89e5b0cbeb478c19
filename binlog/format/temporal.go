package format

import (
	"math"

	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// unit is the unit of a number that stands for a time.
type unit uint8

const (
	// unitAuto tells the unit of a time since 1970 by its size: seconds below 10^11,
	// milliseconds below 10^14, microseconds below 10^17, else nanoseconds. That is
	// right from 1973 to 5138, and refuses what is too small to tell.
	unitAuto unit = iota
	unitSeconds
	unitMillis
	unitMicros
	unitNanos
	// unitAdaptive is milliseconds for columns of at most three digits of seconds,
	// else microseconds: how change streams write what they were not told otherwise.
	unitAdaptive
)

var units = map[string]unit{
	"auto": unitAuto, "s": unitSeconds, "ms": unitMillis, "us": unitMicros, "ns": unitNanos,
	"seconds": unitSeconds, "milliseconds": unitMillis, "microseconds": unitMicros, "nanoseconds": unitNanos,
}

// adapt is the unit for a column with this typmod.
func (u unit) adapt(mod int32) unit {
	if u != unitAdaptive {
		return u
	}
	if mod >= 0 && mod <= 3 {
		return unitMillis
	}
	return unitMicros
}

// Infinite timestamps as sources spell them: PostgreSQL's driver has the first
// pair (milliseconds), its change streams the second (microseconds).
const (
	infinityMillis    = 9223372036825200000
	negInfinityMillis = -9223372036832400000
	infinityMicros    = 9223371331200000000
	negInfinityMicros = -9223372022400000000
)

// temporal takes numbers by the encoding's unit and strings by the type's own text.
func (c *coercer) temporal(t types.T, e encoding) put {
	e.unit = e.unit.adapt(t.Mod)
	kind := e.kind
	natural := map[encKind]types.T{encDays: types.Date, encTime: types.Time, encTimestamp: types.Timestamp, encDuration: types.Interval}[kind]
	if kind == encPlain {
		natural = t
	}
	switch t.OID {
	case types.Int2OID, types.Int4OID, types.Int8OID, types.NumericOID, types.Float4OID, types.Float8OID:
		return c.plain(t) // the number as it is
	case types.DateOID, types.TimeOID, types.TimestampOID, types.TimestamptzOID, types.IntervalOID:
	case types.TimetzOID:
		if kind == encPlain {
			return c.plain(t)
		}
		return c.via(natural, t, e)
	default:
		return c.via(natural, t, e)
	}
	text := c.plain(t)
	number := c.temporalNumber(t, natural, e)
	if number == nil {
		return c.via(natural, t, e)
	}
	return func(v *vec.Vec, x jsonscan.Value) error {
		switch x.Kind {
		case jsonscan.Number:
			return number(v, c.scan.Bytes(x))
		case jsonscan.String:
			return text(v, x)
		}
		return c.mismatch(t, x)
	}
}

// temporalNumber appends a number to a vector of type t; nil when only text leads
// from the one to the other.
func (c *coercer) temporalNumber(t, natural types.T, e encoding) func(v *vec.Vec, b []byte) error {
	u := e.unit
	switch t.OID {
	case types.TimestampOID, types.TimestamptzOID:
		if natural.OID == types.TimeOID || natural.OID == types.IntervalOID {
			return nil
		}
		days := natural.OID == types.DateOID
		return func(v *vec.Vec, b []byte) error {
			var ts int64
			var err error
			if days {
				var d int32
				if d, err = epochDays(b); err == nil {
					ts, err = daysToTimestamp(d)
				}
			} else {
				ts, err = epochTimestamp(b, u)
			}
			if err != nil {
				return err
			}
			if ts != math.MaxInt64 && ts != math.MinInt64 && t.Mod >= 0 {
				ts = types.FitTimestamp(ts, t.Mod)
			}
			codec.PushI64(v, ts)
			return nil
		}
	case types.DateOID:
		if natural.OID == types.TimeOID || natural.OID == types.IntervalOID {
			return nil
		}
		return func(v *vec.Vec, b []byte) error {
			d, err := int32(0), error(nil)
			if e.kind == encDays || e.kind == encPlain && (len(b) < 8 || u == unitAdaptive) {
				d, err = epochDays(b) // seven digits of seconds would lie before 1973
			} else {
				var ts int64
				if ts, err = epochTimestamp(b, u); err == nil {
					d = timestampDate(ts)
				}
			}
			if err == nil {
				codec.PushI32(v, d)
			}
			return err
		}
	case types.TimeOID:
		if natural.OID != types.TimeOID {
			return nil
		}
		return func(v *vec.Vec, b []byte) error {
			if u == unitAuto {
				return sqlstate.Errorf(sqlstate.InvalidDatetimeFormat, "the unit of time %s is not known", excerpt(b)).
					WithHint("Set timestamp_unit to s, ms, us or ns.")
			}
			us, err := micros(b, u)
			if err != nil {
				return err
			}
			if us < 0 || us > types.MicrosPerDay {
				return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "time out of range: %s", excerpt(b))
			}
			codec.PushI64(v, types.FitTime(us, t.Mod))
			return nil
		}
	case types.IntervalOID:
		if e.kind != encDuration {
			return nil
		}
		return func(v *vec.Vec, b []byte) error {
			us, err := micros(b, u)
			if err != nil {
				return err
			}
			iv, err := types.FitInterval(types.MakeInterval(0, 0, us), t.Mod)
			if err == nil {
				codec.PushFix(v, iv)
			}
			return err
		}
	}
	return nil
}

// epochDays is a number of days since 1970 as a date.
func epochDays(b []byte) (int32, error) {
	n, err := types.ParseInt8(b)
	if err != nil {
		return 0, sqlstate.Errorf(sqlstate.InvalidDatetimeFormat, "not a number of days since 1970: %s", excerpt(b))
	}
	switch n {
	case math.MaxInt32:
		return math.MaxInt32, nil // infinity
	case math.MinInt32:
		return math.MinInt32, nil
	}
	if n < math.MinInt32 || n > math.MaxInt32 || !types.ValidDate(n+types.UnixEpochDays) {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date out of range: %s days since 1970", excerpt(b))
	}
	return int32(n + types.UnixEpochDays), nil
}

func daysToTimestamp(d int32) (int64, error) {
	switch d {
	case math.MaxInt32:
		return math.MaxInt64, nil
	case math.MinInt32:
		return math.MinInt64, nil
	}
	if n := int64(d); n > types.MinTimestamp/types.MicrosPerDay && n < types.EndTimestamp/types.MicrosPerDay {
		return n * types.MicrosPerDay, nil
	}
	return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range")
}

// timestampDate is the day of a timestamp.
func timestampDate(ts int64) int32 {
	switch ts {
	case math.MaxInt64:
		return math.MaxInt32
	case math.MinInt64:
		return math.MinInt32
	}
	d := ts / types.MicrosPerDay
	if ts%types.MicrosPerDay < 0 {
		d--
	}
	return int32(d)
}

// epochTimestamp is a number of units since 1970 as a timestamp.
func epochTimestamp(b []byte, u unit) (int64, error) {
	if u == unitAuto {
		var err error
		if u, err = guessUnit(b); err != nil {
			return 0, err
		}
	}
	if len(b) >= 19 {
		if n, err := types.ParseInt8(b); err == nil {
			switch {
			case n == math.MaxInt64, u != unitNanos && (n == infinityMillis || n == infinityMicros):
				return math.MaxInt64, nil
			case n == math.MinInt64, u != unitNanos && (n == negInfinityMillis || n == negInfinityMicros):
				return math.MinInt64, nil
			}
		}
	}
	us, err := micros(b, u)
	if err != nil {
		return 0, err
	}
	ts := us + types.UnixEpochMicros
	if ts > us || !types.ValidTimestamp(ts) {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range: %s", excerpt(b))
	}
	return ts, nil
}

// guessUnit tells the unit by the digits before the point.
func guessUnit(b []byte) (unit, error) {
	n := 0
	for _, c := range b {
		if c == '-' && n == 0 {
			continue
		}
		if c-'0' > 9 {
			if c != '.' {
				n = 0 // with an exponent; say so below
			}
			break
		}
		n++
	}
	switch {
	case n < 9:
		return 0, sqlstate.Errorf(sqlstate.InvalidDatetimeFormat, "the unit of timestamp %s is not known", excerpt(b)).
			WithHint("Set timestamp_unit to s, ms, us or ns.")
	case n <= 11:
		return unitSeconds, nil
	case n <= 14:
		return unitMillis, nil
	case n <= 17:
		return unitMicros, nil
	case n <= 19:
		return unitNanos, nil
	}
	return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range: %s", excerpt(b))
}

// micros is a number of units as microseconds, rounded toward the past where it is
// finer.
func micros(b []byte, u unit) (int64, error) {
	n, err := types.ParseInt8(b)
	if err != nil {
		return fractionMicros(b, u)
	}
	times := int64(1)
	switch u {
	case unitSeconds:
		times = 1e6
	case unitMillis:
		times = 1e3
	case unitNanos:
		q := n / 1000
		if n%1000 < 0 {
			q--
		}
		return q, nil
	}
	if n > math.MaxInt64/times || n < math.MinInt64/times {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range: %s", excerpt(b))
	}
	return n * times, nil
}

// fractionMicros is micros for numbers with a fraction or an exponent: exact, by way
// of a decimal with as many digits as the unit has below it.
func fractionMicros(b []byte, u unit) (int64, error) {
	scale := map[unit]int{unitSeconds: 6, unitMillis: 3}[u]
	n, err := types.ParseDecimal128(b, types.Decimal(types.NumericDigitsI128, scale))
	if err != nil {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range: %s", excerpt(b))
	}
	if u == unitNanos {
		n, _ = n.QuoRemInt64(1000)
	}
	us, ok := n.Int64()
	if !ok {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range: %s", excerpt(b))
	}
	return us, nil
}
