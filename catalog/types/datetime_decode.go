package types

import (
	"bytes"
	"math"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// dtErr is why a text is no date.
type dtErr uint8

const (
	dtOK dtErr = iota
	dtBadFormat
	dtFieldOverflow
	dtMonthDayOverflow
	dtZoneOverflow
	dtBadZone
	dtIntervalOverflow
)

// error is the SQL error for text s of a type.
func (e dtErr) error(typ string, s []byte, zone string) error {
	switch e {
	case dtFieldOverflow:
		return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date/time field value out of range: \"%s\"", s)
	case dtMonthDayOverflow:
		return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date/time field value out of range: \"%s\"", s).
			WithHint("Perhaps you need a different \"datestyle\" setting.")
	case dtIntervalOverflow:
		return sqlstate.Errorf(sqlstate.IntervalFieldOverflow, "interval field value out of range: \"%s\"", s)
	case dtZoneOverflow:
		return sqlstate.Errorf(sqlstate.InvalidTimeZoneDisplacementValue, "time zone displacement out of range: \"%s\"", s)
	case dtBadZone:
		return badZone(zone)
	}
	return sqlstate.Errorf(sqlstate.InvalidDatetimeFormat, "invalid input syntax for type %s: \"%s\"", typ, s)
}

// dtState is the result being put together.
type dtState struct {
	civil
	env     *Env
	mask    int
	doy     int
	is2     bool // the year had at most two digits
	textMon bool
	julian  bool
	bc      bool
	ampm    int // 0: none, 1 am, 2 pm
	special int // resEpoch, resInfinity, resNegInfinity or -1
	zone    int // seconds east, when hasZone
	dstAdd  int
	loc     *time.Location
	abbrev  string // with loc: a name for one of its offsets, whose meaning depends on the date
	badZone string
}

// dtInt reads decimal digits; n is how many bytes they take.
func dtInt(s []byte) (v, n int, ok bool) {
	for n < len(s) && isDigit(s[n]) {
		if v = v*10 + int(s[n]-'0'); v > math.MaxInt32 {
			return 0, n, false
		}
		n++
	}
	return v, n, true
}

// dtFraction reads ".ddd" as µs, rounded.
func dtFraction(s []byte) (us int, ok bool) {
	if len(s) == 0 || s[0] != '.' {
		return 0, false
	}
	unit := 100000
	for i, c := range s[1:] {
		if !isDigit(c) {
			return 0, false
		}
		switch {
		case unit > 0:
			us += int(c-'0') * unit
			unit /= 10
		case i == 6 && dtRoundUp(s[7:], us):
			us++
		}
	}
	return us, true
}

// dtRoundUp rounds the digits below the microsecond half to even, as rint does.
func dtRoundUp(rest []byte, us int) bool {
	if rest[0] != '5' {
		return rest[0] > '5'
	}
	for _, c := range rest[1:] {
		if c != '0' {
			return true
		}
	}
	return us&1 == 1
}

func (d *dtState) today() {
	local := ToLocal(d.env.Now, d.env.zone())
	date, _ := splitMicros(local)
	d.year, d.month, d.day = CivilDate(date)
}

func (d *dtState) addDays(n int) {
	d.year, d.month, d.day = CivilDate(DateOf(d.year, d.month, d.day) + n)
}

// decode interprets the fields. timeOnly is for time and timetz.
func (d *dtState) decode(text []byte, fields []dtField, timeOnly bool) dtErr {
	d.special = -1
	pending := 0
	for i := range fields {
		f := fields[i].in(text)
		var mask int
		e := dtOK
		switch fields[i].kind {
		case dtDate:
			switch {
			case pending == unitJulian:
				v, n, ok := dtInt(f)
				if !ok {
					return dtFieldOverflow
				}
				d.year, d.month, d.day = CivilDate(v - epochJulian)
				d.julian = true
				if e = d.setZone(f[n:]); e != dtOK {
					return e
				}
				mask, pending = hasDate|hasTime|hasZone, 0
			case pending != 0 || !timeOnly && d.mask&(hasMonth|hasDay) == hasMonth|hasDay,
				timeOnly && !(i == 0 && len(fields) >= 2 && (fields[len(fields)-1].kind == dtDate || fields[1].kind == dtTime)):
				// There is a date already: a run-together time with a zone, or
				// a zone's name.
				if pending != 0 || isDigit(f[0]) {
					if pending != 0 {
						if pending != unitTime {
							return dtBadFormat
						}
						pending = 0
					}
					if d.mask&hasTime == hasTime {
						return dtBadFormat
					}
					k := bytes.IndexByte(f, '-')
					if k < 0 {
						return dtBadFormat
					}
					if e = d.setZone(f[k:]); e != dtOK {
						return e
					}
					m := d.mask
					if timeOnly {
						m |= hasDate
					}
					if mask, e = d.numberField(f[:k], m); e != dtOK {
						return e
					}
					mask |= hasZone
				} else {
					if d.loc = loadZone(string(f)); d.loc == nil {
						d.badZone = string(f)
						return dtBadZone
					}
					mask = hasZone
				}
			default:
				if mask, e = d.date(f); e != dtOK {
					return e
				}
			}
		case dtTime:
			if pending != 0 {
				if pending != unitTime {
					return dtBadFormat
				}
				pending = 0
			}
			if e = d.time(f); e != dtOK {
				return e
			}
			mask = hasTime
		case dtTZ:
			if e = d.setZone(f); e != dtOK {
				return e
			}
			mask = hasZone
		case dtNumber:
			if pending != 0 {
				v, n, ok := dtInt(f)
				if !ok {
					return dtFieldOverflow
				}
				if n < len(f) && f[n] != '.' {
					return dtBadFormat
				}
				switch pending {
				case unitJulian:
					d.year, d.month, d.day = CivilDate(v - epochJulian)
					d.julian = true
					mask = hasDate
					if n < len(f) {
						us, ok := julianFraction(f[n:])
						if !ok {
							return dtBadFormat
						}
						d.setClock(us)
						mask |= hasTime
					}
				case unitTime:
					if mask, e = d.numberField(f, d.mask|hasDate); e != dtOK {
						return e
					}
					if mask != hasTime {
						return dtBadFormat
					}
				default:
					return dtBadFormat
				}
				pending = 0
				break
			}
			dot := bytes.IndexByte(f, '.')
			switch {
			case timeOnly && dot >= 0 && i == 0 && len(fields) >= 2 && fields[len(fields)-1].kind == dtDate:
				mask, e = d.date(f)
			case timeOnly && dot >= 0 && dot <= 2:
				return dtBadFormat
			case timeOnly && (dot > 2 || len(f) > 4):
				mask, e = d.numberField(f, d.mask|hasDate)
			case timeOnly:
				mask, e = d.number(f, d.mask|hasDate)
			case dot >= 0 && d.mask&hasDate == 0:
				mask, e = d.date(f)
			case dot > 2, dot < 0 && len(f) >= 6 && (d.mask&hasDate == 0 || d.mask&hasTime == 0):
				mask, e = d.numberField(f, d.mask)
			default:
				mask, e = d.number(f, d.mask)
			}
			if e != dtOK {
				return e
			}
		case dtString, dtSpecial:
			m, p, e := d.word(f, pending, timeOnly)
			if e != dtOK {
				return e
			}
			mask, pending = m, p
		}
		if mask&d.mask != 0 {
			return dtBadFormat
		}
		d.mask |= mask
	}
	if pending != 0 {
		return dtBadFormat
	}
	if d.special >= 0 {
		if len(fields) != 1 || timeOnly {
			return dtBadFormat
		}
		return dtOK
	}
	if !timeOnly || d.mask&hasDate != 0 {
		if e := d.validDate(); e != dtOK {
			return e
		}
	}
	if d.ampm != 0 {
		if d.hour > 12 {
			return dtFieldOverflow
		}
		if d.ampm == 1 && d.hour == 12 {
			d.hour = 0
		} else if d.ampm == 2 && d.hour != 12 {
			d.hour += 12
		}
	}
	if d.hour > 24 || d.hour == 24 && (d.min|d.sec|d.usec) != 0 {
		return dtFieldOverflow
	}
	if timeOnly {
		if d.mask&hasTime != hasTime {
			return dtBadFormat
		}
	} else if d.mask&hasDate != hasDate {
		return dtBadFormat
	}
	return dtOK
}

// julianFraction is ".ddd" of a day in µs.
func julianFraction(s []byte) (int64, bool) {
	us, unit := 0.0, float64(MicrosPerDay)
	for _, c := range s[1:] {
		if !isDigit(c) {
			return 0, false
		}
		unit /= 10
		us += float64(c-'0') * unit
	}
	return int64(us), true
}

// word interprets a word; it returns what it claims and the unit that the next
// field has.
func (d *dtState) word(s []byte, pending int, timeOnly bool) (mask, unit int, e dtErr) {
	unit = pending
	w, known := dtWords[stringOf(s)]
	if !known {
		if a, ok := lookupAbbrev(s); ok {
			switch {
			case a.zone != "":
				d.loc, d.abbrev = loadZone(a.zone), string(bytes.ToUpper(s))
			default:
				d.zone = int(a.offset)
			}
			return hasZone, unit, dtOK
		}
	}
	if !known {
		if d.loc = loadZone(string(s)); d.loc == nil {
			return 0, unit, dtBadFormat
		}
		return hasZone, unit, dtOK
	}
	switch w.kind {
	case wordIgnore:
		return 0, unit, dtOK
	case wordMonth:
		if timeOnly {
			return 0, unit, dtBadFormat
		}
		if d.mask&hasMonth != 0 && !d.textMon && d.mask&hasDay == 0 && d.month >= 1 && d.month <= 31 {
			d.day = d.month
			mask = hasDay
		} else {
			mask = hasMonth
		}
		d.textMon = true
		d.month = w.val
		return mask, unit, dtOK
	case wordDOW:
		if timeOnly {
			return 0, unit, dtBadFormat
		}
		return hasDOW, unit, dtOK
	case wordAMPM:
		d.ampm = w.val + 1
		return hasAMPM, unit, dtOK
	case wordEra:
		d.bc = w.val == 1
		return hasEra, unit, dtOK
	case wordDSTMod:
		d.dstAdd = w.val
		return hasDSTMod, unit, dtOK
	case wordUnit:
		if pending != 0 {
			return 0, unit, dtBadFormat
		}
		return 0, w.val, dtOK
	case wordISOTime:
		if pending != 0 || !timeOnly && d.mask&hasDate != hasDate {
			return 0, unit, dtBadFormat
		}
		return 0, unitTime, dtOK
	}
	switch w.val {
	case resNow:
		local := ToLocal(d.env.Now, d.env.zone())
		d.civil = civilOf(local)
		if timeOnly {
			return hasTime, unit, dtOK
		}
		d.zone = ZoneOffset(d.env.zone(), d.env.Now)
		return hasDate | hasTime | hasZone, unit, dtOK
	case resToday, resTomorrow, resYesterday:
		if timeOnly {
			return 0, unit, dtBadFormat
		}
		d.today()
		switch w.val {
		case resTomorrow:
			d.addDays(1)
		case resYesterday:
			d.addDays(-1)
		}
		return hasDate, unit, dtOK
	case resAllballs:
		d.hour, d.min, d.sec, d.usec, d.zone = 0, 0, 0, 0, 0
		return hasTime | hasZone, unit, dtOK
	}
	if timeOnly {
		return 0, unit, dtBadFormat
	}
	d.special = w.val
	return hasDate | hasTime | hasZone, unit, dtOK
}

func lookupAbbrev(s []byte) (zoneAbbrev, bool) {
	var up [16]byte
	if len(s) > len(up) {
		return zoneAbbrev{}, false
	}
	for i, c := range s {
		if c >= 'a' && c <= 'z' {
			c -= 32
		}
		up[i] = c
	}
	a, ok := zoneAbbrevs[string(up[:len(s)])]
	return a, ok
}

func (d *dtState) validDate() dtErr {
	if d.mask&hasYear != 0 && !d.julian {
		switch {
		case d.bc:
			if d.year <= 0 {
				return dtFieldOverflow
			}
			d.year = 1 - d.year
		case d.is2:
			if d.year < 70 {
				d.year += 2000
			} else if d.year < 100 {
				d.year += 1900
			}
		case d.year <= 0:
			return dtFieldOverflow
		}
	}
	if d.mask&hasDOY != 0 {
		d.year, d.month, d.day = CivilDate(DateOf(d.year, 1, 1) + d.doy - 1)
	}
	if d.mask&hasMonth != 0 && (d.month < 1 || d.month > 12) {
		return dtMonthDayOverflow
	}
	if d.mask&hasDay != 0 && (d.day < 1 || d.day > 31) {
		return dtMonthDayOverflow
	}
	if d.mask&hasDate == hasDate && d.day > DaysInMonth(d.year, d.month) {
		return dtFieldOverflow
	}
	return dtOK
}

// offset is the zone offset (seconds east) of the decoded local time.
func (d *dtState) offset(local int64) (int, dtErr) {
	if d.mask&hasZone == 0 {
		if d.mask&hasDSTMod != 0 {
			return 0, dtBadFormat
		}
		return localOffset(d.env.zone(), local), dtOK
	}
	if d.loc != nil {
		if d.mask&hasDSTMod != 0 {
			return 0, dtBadFormat
		}
		off := localOffset(d.loc, local)
		if d.abbrev != "" {
			off = abbrevOffset(d.loc, d.abbrev, local-int64(off)*MicrosPerSecond, off)
		}
		return off, dtOK
	}
	return d.zone + d.dstAdd, dtOK
}
