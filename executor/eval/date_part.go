package eval

import (
	"math"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// unit is a field of date_part and date_trunc.
type unit uint8

const (
	noUnit unit = iota
	uMicros
	uMillis
	uSecond
	uMinute
	uHour
	uDay
	uWeek
	uMonth
	uQuarter
	uYear
	uDecade
	uCentury
	uMillennium
	uISOYear
	uDow
	uISODow
	uDoy
	uEpoch
	uJulian
	uZone
	uZoneHour
	uZoneMinute
)

// units are PostgreSQL's words; only their first ten letters count.
var units = map[string]unit{}

func init() {
	for u, words := range map[unit][]string{
		uMicros: {"us", "usec", "usecs", "usecond", "useconds", "microsecon"}, uMillis: {"ms", "msec", "msecs", "msecond", "mseconds", "millisecon"},
		uSecond: {"s", "sec", "secs", "second", "seconds"}, uMinute: {"m", "min", "mins", "minute", "minutes"},
		uHour: {"h", "hr", "hrs", "hour", "hours"}, uDay: {"d", "day", "days"}, uWeek: {"w", "week", "weeks"},
		uMonth: {"mon", "mons", "month", "months"}, uQuarter: {"qtr", "quarter"}, uYear: {"y", "yr", "yrs", "year", "years"},
		uDecade: {"dec", "decs", "decade", "decades"}, uCentury: {"c", "cent", "century", "centuries"},
		uMillennium: {"mil", "mils", "millennia", "millennium"}, uISOYear: {"isoyear"}, uDow: {"dow"}, uISODow: {"isodow"}, uDoy: {"doy"},
		uEpoch: {"epoch"}, uJulian: {"j", "jd", "julian"}, uZone: {"timezone"}, uZoneHour: {"timezone_h"}, uZoneMinute: {"timezone_m"},
	} {
		for _, w := range words {
			units[w] = u
		}
	}
}

func unitOf(name []byte) unit {
	var buf [10]byte
	n := 0
	for _, b := range name {
		if n == len(buf) {
			break
		}
		buf[n] = lowerByte(b)
		n++
	}
	return units[string(buf[:n])]
}

func unknownUnit(name []byte, typ uint32) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "unit \"%s\" not recognized for type %s", string(name), types.FormatType(typ, -1))
}

func unsupportedUnit(name []byte, typ uint32) error {
	return sqlstate.Errorf(sqlstate.FeatureNotSupported, "unit \"%s\" not supported for type %s", string(name), types.FormatType(typ, -1))
}

// part is a field's value: v × 10^-scale; or infinite; or null; or a day with a
// fraction (scale < 0: v days and frac µs).
type part struct {
	v     int64
	scale int
	inf   int
	null  bool
	frac  int64
}

// wide is the scale of a part of v seconds and frac microseconds, for more than an
// int8 holds of the latter.
const wide = -2

// infinitePart is a field of an infinite timestamp: infinite for what grows
// without end, null for what goes in circles.
func infinitePart(u unit, sign int) part {
	switch u {
	case uYear, uDecade, uCentury, uMillennium, uISOYear, uEpoch, uJulian:
		return part{inf: sign}
	}
	return part{null: true}
}

func isoWeekYear(day int64) (week, year int) {
	// The Thursday of the week decides.
	dow := int((day + 5) % 7) // Monday 0; 2000-01-01 was a Saturday
	if dow < 0 {
		dow += 7
	}
	th := day - int64(dow) + 3
	y, _, _ := types.CivilDate(int(th))
	return int(th-int64(types.DateOf(y, 1, 1)))/7 + 1, y
}

func dayOfWeek(day int64) int {
	d := int((day + 6) % 7)
	if d < 0 {
		d += 7
	}
	return d
}

func shownYear(y int) int64 {
	if y <= 0 {
		y--
	}
	return int64(y)
}

// dayPart is a field of a day; ok is false when it is not one of the date.
func dayPart(u unit, day int64) (int64, bool) {
	switch u {
	case uISOYear:
		_, y := isoWeekYear(day)
		return shownYear(y), true
	case uWeek:
		w, _ := isoWeekYear(day)
		return int64(w), true
	case uDow:
		return int64(dayOfWeek(day)), true
	case uISODow:
		d := dayOfWeek(day)
		if d == 0 {
			d = 7
		}
		return int64(d), true
	}
	y, m, d := types.CivilDate(int(day))
	switch u {
	case uDay:
		return int64(d), true
	case uMonth:
		return int64(m), true
	case uQuarter:
		return int64(m-1)/3 + 1, true
	case uYear:
		return shownYear(y), true
	case uDecade:
		if y >= 0 {
			return int64(y / 10), true
		}
		return int64(-((8 - (y - 1)) / 10)), true
	case uCentury:
		if y > 0 {
			return int64((y + 99) / 100), true
		}
		return int64(-((99 - (y - 1)) / 100)), true
	case uMillennium:
		if y > 0 {
			return int64((y + 999) / 1000), true
		}
		return int64(-((999 - (y - 1)) / 1000)), true
	case uDoy:
		return day - int64(types.DateOf(y, 1, 1)) + 1, true
	}
	return 0, false
}

// clockPart is a field of a time of day.
func clockPart(u unit, us int64) (part, bool) {
	switch u {
	case uMicros:
		return part{v: us % usecPerMin}, true
	case uMillis:
		return part{v: us % usecPerMin, scale: 3}, true
	case uSecond:
		return part{v: us % usecPerMin, scale: 6}, true
	case uMinute:
		return part{v: us / usecPerMin % 60}, true
	case uHour:
		return part{v: us / usecPerHour}, true
	}
	return part{}, false
}

const julianEpoch = 2451545

// timestampPart is a field of a timestamp; ok is false when it has no such field.
func timestampPart(u unit, ts int64) (part, bool) {
	if infiniteTime(ts) {
		sign := 1
		if ts < 0 {
			sign = -1
		}
		return infinitePart(u, sign), u < uZone
	}
	if u == uEpoch {
		return epochPart(ts), true
	}
	day, us := splitDay(ts)
	if p, ok := clockPart(u, us); ok {
		return p, true
	}
	if u == uJulian {
		return part{v: day + julianEpoch, scale: -1, frac: us}, true
	}
	v, ok := dayPart(u, day)
	return part{v: v}, ok
}

// epochPart is the seconds since 1970. Of the last timestamps, whose microseconds
// since then exceed an int64, PostgreSQL divides numerics and keeps four decimals.
func epochPart(ts int64) part {
	if ts < math.MaxInt64+types.UnixEpochMicros {
		return part{v: ts - types.UnixEpochMicros, scale: 6}
	}
	const unit = 100
	sec, us := ts/usecPerSec-types.UnixEpochMicros/usecPerSec, ts%usecPerSec
	us = (us + unit/2) / unit * unit
	return part{v: sec + us/usecPerSec, frac: us % usecPerSec, scale: wide}
}

func timestamptzPart(u unit, ts int64, loc *time.Location) (part, bool) {
	if infiniteTime(ts) {
		p, _ := timestampPart(u, ts)
		return p, true
	}
	switch u {
	case uEpoch:
		return epochPart(ts), true
	case uZone:
		return part{v: int64(types.ZoneOffset(loc, ts))}, true
	case uZoneHour:
		return part{v: int64(types.ZoneOffset(loc, ts) / 3600)}, true
	case uZoneMinute:
		return part{v: int64(types.ZoneOffset(loc, ts) % 3600 / 60)}, true
	}
	return timestampPart(u, types.ToLocal(ts, loc))
}

// datePart is a field of a date for extract, which has none of time there.
func datePart(u unit, d int32) (part, bool) {
	if infiniteDate(d) {
		sign := 1
		if d < 0 {
			sign = -1
		}
		return infinitePart(u, sign), u >= uDay && u < uZone
	}
	switch u {
	case uEpoch:
		return part{v: (int64(d) - types.UnixEpochDays) * 86400}, true
	case uJulian:
		return part{v: int64(d) + julianEpoch}, true
	}
	v, ok := dayPart(u, int64(d))
	return part{v: v}, ok
}

func intervalPart(u unit, iv types.Fixed16) (part, bool) {
	months, days, us := iv.IntervalParts()
	year := int64(months / 12)
	switch u {
	case uMicros, uMillis, uSecond, uMinute, uHour:
		return clockPart(u, us)
	case uDay:
		return part{v: int64(days)}, true
	case uMonth:
		return part{v: int64(months % 12)}, true
	case uQuarter:
		return part{v: int64(months%12)/3 + 1}, true
	case uYear:
		return part{v: year}, true
	case uDecade:
		return part{v: year / 10}, true
	case uCentury:
		return part{v: year / 100}, true
	case uMillennium:
		return part{v: year / 1000}, true
	case uEpoch:
		// A year is 365.25 days, a month 30.
		secs := (1461*int64(months/12) + 120*int64(months%12) + 4*int64(days)) * 21600
		if v, f := mulWrap(secs, int64(usecPerSec)); f == 0 {
			if s, err := addChecked(v, us); err == nil {
				return part{v: s, scale: 6}, true
			}
		}
		return part{v: secs, frac: us, scale: wide}, true
	}
	return part{}, false
}

func timePart(u unit, us int64) (part, bool) {
	if u == uEpoch {
		return part{v: us, scale: 6}, true
	}
	return clockPart(u, us)
}

func timetzPart(u unit, v types.Fixed16) (part, bool) {
	switch u {
	case uEpoch:
		return part{v: v.A + v.B*usecPerSec, scale: 6}, true
	case uZone:
		return part{v: -v.B}, true
	case uZoneHour:
		return part{v: -v.B / 3600}, true
	case uZoneMinute:
		return part{v: -v.B % 3600 / 60}, true
	}
	return clockPart(u, v.A)
}

// retPart sets row i to a field, as numeric or float8.
func (c *Call) retPart(i int, p part) {
	if c.Out.T.Layout == types.LayoutF64 {
		switch {
		case p.null:
			c.SetNull(i)
		case p.inf != 0:
			c.Out.F64[i] = math.Inf(p.inf)
		case p.scale == wide:
			c.Out.F64[i] = float64(p.v) + float64(p.frac)/usecPerSec
		case p.scale < 0:
			c.Out.F64[i] = float64(p.v) + float64(p.frac)/usecPerDay
		default:
			c.Out.F64[i] = decimalToFloat(p.v, p.scale)
		}
		return
	}
	switch {
	case p.null:
		c.SetNull(i)
		c.Out.Views[i] = vec.View{}
	case p.inf != 0:
		b, _ := types.ParseNumeric(c.Begin(), map[int][]byte{1: []byte("Infinity"), -1: []byte("-Infinity")}[p.inf])
		c.End(i, b)
	case p.scale == wide:
		b, _ := types.NumericAdd(c.Begin(), types.NumericFromInt64(nil, p.v, 0), types.NumericFromInt64(nil, p.frac, 6))
		c.End(i, b)
	case p.scale < 0:
		day := types.NumericFromInt64(nil, p.v, 0)
		f, _ := types.NumericDiv(nil, types.NumericFromInt64(nil, p.frac, 0), types.NumericFromInt64(nil, usecPerDay, 0))
		b, _ := types.NumericAdd(c.Begin(), day, f)
		c.End(i, b)
	case p.scale == 0 && p.v > 0 && p.v < 1e9:
		// The form of a small whole number, written in place.
		c.Out.Views[i] = vec.View{Len: 8, Tail: uint64(p.v)}
	default:
		c.End(i, types.NumericFromInt64(c.Begin(), p.v, p.scale))
	}
}

// partLoop registers extract or date_part for one type.
func partLoop(sig string, typ uint32, get func(c *Call, u unit, i int) (part, bool)) {
	row := func(c *Call, u unit, i int) error {
		p, ok := get(c, u, i)
		if !ok {
			return unsupportedUnit(c.Bytes(0, i), typ)
		}
		c.retPart(i, p)
		return nil
	}
	reg(sig, impl{cost: 6, loop: each(func(c *Call, i int) error {
		u := unitOf(c.Bytes(0, i))
		if u == noUnit {
			return unknownUnit(c.Bytes(0, i), typ)
		}
		return row(c, u, i)
	}), prepare: func(pc *prepareContext) (Loop, error) {
		if !pc.known[0] || !pc.args[0].Valid {
			return nil, nil
		}
		u := unitOf([]byte(pc.args[0].S))
		if u == noUnit {
			return nil, unknownUnit([]byte(pc.args[0].S), typ)
		}
		if l := plainPart(u, typ, pc); l != nil {
			return l, nil
		}
		return each(func(c *Call, i int) error { return row(c, u, i) }), nil
	}})
}

// plainPart is the loop of a common field that is a small whole number, in a loop
// of its own; nil for other fields.
func plainPart(u unit, typ uint32, pc *prepareContext) Loop {
	if pc.out.Layout != types.LayoutView {
		return nil
	}
	put := func(c *Call, i int, v int64) {
		if v > 0 && v < 1e9 {
			c.Out.Views[i] = vec.View{Len: 8, Tail: uint64(v)}
			return
		}
		c.retPart(i, part{v: v})
	}
	switch {
	case typ == types.DateOID && (u == uYear || u == uMonth || u == uDay):
		return total(func(c *Call, i int) {
			d := c.I32(1, i)
			if infiniteDate(d) {
				p, _ := datePart(u, d)
				c.retPart(i, p)
				return
			}
			y, m, day := types.CivilDate(int(d))
			switch u {
			case uYear:
				put(c, i, shownYear(y))
			case uMonth:
				put(c, i, int64(m))
			default:
				put(c, i, int64(day))
			}
		})
	case typ == types.TimestampOID && (u == uMinute || u == uHour):
		return total(func(c *Call, i int) {
			ts := c.I64(1, i)
			if infiniteTime(ts) {
				c.retPart(i, part{null: true})
				return
			}
			if u == uMinute {
				put(c, i, floorMod(ts, usecPerHour)/usecPerMin)
			} else {
				put(c, i, floorMod(ts, usecPerDay)/usecPerHour)
			}
		})
	}
	return nil
}

func init() {
	tsPart := func(c *Call, u unit, i int) (part, bool) { return timestampPart(u, c.I64(1, i)) }
	tzPart := func(c *Call, u unit, i int) (part, bool) {
		return timestamptzPart(u, c.I64(1, i), c.Env.session().zone())
	}
	ivPart := func(c *Call, u unit, i int) (part, bool) { return intervalPart(u, c.Fix(1, i)) }
	for _, f := range []string{"extract", "date_part"} {
		partLoop(f+"(text,timestamp)", types.TimestampOID, tsPart)
		partLoop(f+"(text,timestamptz)", types.TimestamptzOID, tzPart)
		partLoop(f+"(text,interval)", types.IntervalOID, ivPart)
		partLoop(f+"(text,time)", types.TimeOID, func(c *Call, u unit, i int) (part, bool) { return timePart(u, c.I64(1, i)) })
		partLoop(f+"(text,timetz)", types.TimetzOID, func(c *Call, u unit, i int) (part, bool) { return timetzPart(u, c.Fix(1, i)) })
	}
	partLoop("extract(text,date)", types.DateOID, func(c *Call, u unit, i int) (part, bool) { return datePart(u, c.I32(1, i)) })
	partLoop("date_part(text,date)", types.TimestampOID, func(c *Call, u unit, i int) (part, bool) {
		ts, err := dateToTimestamp(c.I32(1, i))
		if err != nil {
			return datePart(u, c.I32(1, i))
		}
		return timestampPart(u, ts)
	})
}
