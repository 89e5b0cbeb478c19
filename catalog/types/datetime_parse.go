package types

import (
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

func dtRead(s []byte, env *Env, d *dtState, timeOnly bool) dtErr {
	var buf [dtMaxLen]byte
	var mem [dtMaxFields]dtField
	text, fields, ok := dtLex(s, buf[:], mem[:])
	if !ok {
		return dtBadFormat
	}
	d.env = env.orDefault()
	return d.decode(text, fields, timeOnly)
}

// isoDate reads exactly yyyy-mm-dd at the start of s.
func isoDate(s []byte) (date int, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	var bad byte
	dig := func(i int) int {
		c := s[i] - '0'
		if c > 9 {
			bad = 1
		}
		return int(c)
	}
	y := dig(0)*1000 + dig(1)*100 + dig(2)*10 + dig(3)
	m := dig(5)*10 + dig(6)
	d := dig(8)*10 + dig(9)
	if bad != 0 || y == 0 || m-1 > 11 || m < 1 || d < 1 || d > 31 || d > 28 && d > DaysInMonth(y, m) {
		return 0, false
	}
	return DateOf(y, m, d), true
}

// isoClock reads exactly hh:mm:ss[.f…] (at most six digits) that fills s.
func isoClock(s []byte) (us int64, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, false
	}
	var bad byte
	dig := func(i int) int {
		c := s[i] - '0'
		if c > 9 {
			bad = 1
		}
		return int(c)
	}
	h, m, sec := dig(0)*10+dig(1), dig(3)*10+dig(4), dig(6)*10+dig(7)
	if bad != 0 || h > 23 || m > 59 || sec > 59 {
		return 0, false
	}
	us = int64(h*3600+m*60+sec) * MicrosPerSecond
	if len(s) == 8 {
		return us, true
	}
	if s[8] != '.' || len(s) < 10 || len(s) > 15 {
		return 0, false
	}
	unit := int64(100000)
	for _, c := range s[9:] {
		if !isDigit(c) {
			return 0, false
		}
		us += int64(c-'0') * unit
		unit /= 10
	}
	return us, true
}

// ParseDate reads a date.
func ParseDate(s []byte, env *Env) (int32, error) {
	if len(s) == 10 {
		if d, ok := isoDate(s); ok {
			return int32(d), nil
		}
	}
	var d dtState
	if e := dtRead(s, env, &d, false); e != dtOK {
		return 0, e.error("date", s, d.badZone)
	}
	switch d.special {
	case resEpoch:
		return UnixEpochDays, nil
	case resInfinity:
		return DateInfinity, nil
	case resNegInfinity:
		return DateNegInfinity, nil
	}
	if !validJulian(d.year, d.month) {
		return 0, dateRange("date", s)
	}
	v := int64(DateOf(d.year, d.month, d.day))
	if !ValidDate(v) {
		return 0, dateRange("date", s)
	}
	return int32(v), nil
}

func dateRange(typ string, s []byte) error {
	return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "%s out of range: \"%s\"", typ, s)
}

// ParseTimestamp reads a timestamp without time zone; a zone in the text is
// ignored.
func ParseTimestamp(s []byte, env *Env) (int64, error) {
	if len(s) >= 19 && (s[10] == ' ' || s[10] == 'T') {
		if d, ok := isoDate(s); ok {
			if us, ok := isoClock(s[11:]); ok {
				return int64(d)*MicrosPerDay + us, nil
			}
		}
	} else if len(s) == 10 {
		if d, ok := isoDate(s); ok {
			return int64(d) * MicrosPerDay, nil
		}
	}
	var d dtState
	if e := dtRead(s, env, &d, false); e != dtOK {
		return 0, e.error("timestamp", s, d.badZone)
	}
	if v, ok := d.specialTimestamp(); ok {
		return v, nil
	}
	ts, ok := d.micros()
	if !ok || !ValidTimestamp(ts) {
		return 0, dateRange("timestamp", s)
	}
	return ts, nil
}

func (d *dtState) specialTimestamp() (int64, bool) {
	switch d.special {
	case resEpoch:
		return UnixEpochMicros, true
	case resInfinity:
		return TimestampInfinity, true
	case resNegInfinity:
		return TimestampNegInfinity, true
	}
	return 0, false
}

// ParseTimestamptz reads a timestamp with time zone, in env's zone when the
// text names none.
func ParseTimestamptz(s []byte, env *Env) (int64, error) {
	if n := len(s); n >= 19 && (s[10] == ' ' || s[10] == 'T') {
		if d, ok := isoDate(s); ok {
			body, off, zoned := s[11:], 0, false
			// A trailing +hh, -hh, +hh:mm, Z
			switch {
			case s[n-1] == 'Z':
				body, zoned = s[11:n-1], true
			case n > 22 && (s[n-3] == '+' || s[n-3] == '-') && isDigit(s[n-2]) && isDigit(s[n-1]):
				off = (int(s[n-2]-'0')*10 + int(s[n-1]-'0')) * 3600
				if s[n-3] == '-' {
					off = -off
				}
				body, zoned = s[11:n-3], off <= 15*3600 && off >= -15*3600
			case env.zone() == time.UTC:
				zoned = true
			}
			if zoned {
				if us, ok := isoClock(body); ok {
					return int64(d)*MicrosPerDay + us - int64(off)*MicrosPerSecond, nil
				}
			}
		}
	}
	var d dtState
	if e := dtRead(s, env, &d, false); e != dtOK {
		return 0, e.error("timestamp with time zone", s, d.badZone)
	}
	if v, ok := d.specialTimestamp(); ok {
		return v, nil
	}
	ts, ok := d.micros()
	if !ok {
		return 0, dateRange("timestamp", s)
	}
	off, e := d.offset(ts)
	if e != dtOK {
		return 0, e.error("timestamp with time zone", s, "")
	}
	ts -= int64(off) * MicrosPerSecond
	if !ValidTimestamp(ts) {
		return 0, dateRange("timestamp", s)
	}
	return ts, nil
}

// ParseTime reads a time of day.
func ParseTime(s []byte, env *Env) (int64, error) {
	if us, ok := isoClock(s); ok {
		return us, nil
	}
	var d dtState
	if e := dtRead(s, env, &d, true); e != dtOK {
		return 0, e.error("time", s, d.badZone)
	}
	if _, e := d.timeOffset(); e != dtOK {
		return 0, e.error("time", s, d.badZone)
	}
	return d.clock(), nil
}

// timeOffset is the zone offset of a time of day: of the date that came with it,
// or of today.
func (d *dtState) timeOffset() (int, dtErr) {
	zoneNeedsDate := d.loc != nil && d.mask&hasZone != 0
	if d.mask&hasZone != 0 && !zoneNeedsDate {
		return d.zone + d.dstAdd, dtOK
	}
	if d.mask&hasDSTMod != 0 {
		return 0, dtBadFormat
	}
	loc := d.env.zone()
	if zoneNeedsDate {
		loc = d.loc
		if d.abbrev != "" && d.mask&hasDate == 0 {
			d.today()
		} else if d.mask&hasDate != hasDate {
			if _, end := time.Unix(0, 0).In(loc).ZoneBounds(); end.IsZero() {
				return ZoneOffset(loc, 0), dtOK
			}
			return 0, dtBadFormat
		}
	} else if d.mask&hasDate == 0 {
		d.today()
	} else if d.mask&hasDate != hasDate {
		return 0, dtBadFormat
	}
	ts, ok := d.micros()
	if !ok {
		return 0, dtFieldOverflow
	}
	off := localOffset(loc, ts)
	if d.abbrev != "" {
		off = abbrevOffset(loc, d.abbrev, ts-int64(off)*MicrosPerSecond, off)
	}
	return off, dtOK
}

// ParseTimetz reads a time of day with zone.
func ParseTimetz(s []byte, env *Env) (Fixed16, error) {
	var d dtState
	if e := dtRead(s, env, &d, true); e != dtOK {
		return Fixed16{}, e.error("time with time zone", s, d.badZone)
	}
	off, e := d.timeOffset()
	if e != dtOK {
		return Fixed16{}, e.error("time with time zone", s, d.badZone)
	}
	return Fixed16{A: d.clock(), B: int64(-off)}, nil
}
