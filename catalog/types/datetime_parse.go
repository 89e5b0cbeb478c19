package types

import (
	"bytes"
	"math"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The reader of dates and times: input is cut into fields by their first
// character (dtLex), and the fields are interpreted left to right (dtDecode),
// each claiming parts of the result that must not be claimed twice.

type dtKind uint8

const (
	dtNumber  dtKind = iota // digits, perhaps with a fraction
	dtString                // a word
	dtDate                  // digits and words joined by one of - / .
	dtTime                  // digits with colons
	dtTZ                    // sign and digits
	dtSpecial               // sign and word
)

// dtField is a field by its place in the lower-case text. (Offsets, because a
// slice stored here would send the text to the heap.)
type dtField struct {
	kind     dtKind
	from, to uint8
}

func (f dtField) in(text []byte) []byte { return text[f.from:f.to:f.to] }

const (
	dtMaxFields = 25
	dtMaxLen    = 128
)

// dtLex cuts s into fields. buf (dtMaxLen) receives the lower-case text, fields
// has room for dtMaxFields.
func dtLex(s, buf []byte, fields []dtField) (text []byte, _ []dtField, ok bool) {
	if len(s) > dtMaxLen {
		return nil, nil, false
	}
	out := buf[:0]
	n := 0
	i := 0
	peek := func() byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	for i < len(s) {
		c := s[i]
		if isSpace(c) {
			i++
			continue
		}
		start := len(out)
		var kind dtKind
		take := func() {
			out = append(out, lower(s[i]))
			i++
		}
		switch {
		case isDigit(c):
			for isDigit(peek()) {
				take()
			}
			switch c := peek(); {
			case c == ':':
				kind = dtTime
				for isDigit(peek()) || peek() == ':' || peek() == '.' {
					take()
				}
			case c == '-' || c == '/' || c == '.':
				delim := c
				take()
				switch {
				case isDigit(peek()):
					kind = dtDate
					if delim == '.' {
						kind = dtNumber
					}
					for isDigit(peek()) {
						take()
					}
					if peek() == delim {
						kind = dtDate
						for isDigit(peek()) || peek() == delim {
							take()
						}
					}
				default:
					kind = dtDate
					for isDigit(peek()) || isAlpha(peek()) || peek() == delim {
						take()
					}
				}
			default:
				kind = dtNumber
			}
		case c == '.':
			kind = dtNumber
			take()
			for isDigit(peek()) {
				take()
			}
		case isAlpha(c):
			kind = dtString
			for isAlpha(peek()) {
				take()
			}
			// A word with punctuation in it is a date with a month's name, or
			// a zone's name; one before + or a digit only if it is no keyword.
			joined := false
			switch c := peek(); {
			case c == '-' || c == '/' || c == '.':
				joined = true
			case c == '+' || isDigit(c):
				_, known := dtWords[stringOf(out[start:])]
				joined = !known
			}
			if joined {
				kind = dtDate
				for {
					take()
					c := peek()
					if !(isDigit(c) || isAlpha(c) || c == '+' || c == '-' || c == '/' || c == '_' || c == '.' || c == ':') {
						break
					}
				}
			}
		case c == '+' || c == '-':
			take()
			for isSpace(peek()) {
				i++
			}
			switch {
			case isDigit(peek()):
				kind = dtTZ
				for isDigit(peek()) || peek() == ':' || peek() == '.' || peek() == '-' {
					take()
				}
			case isAlpha(peek()):
				kind = dtSpecial
				for isAlpha(peek()) {
					take()
				}
			default:
				return nil, nil, false
			}
		case c > ' ' && c < 0x7f:
			i++ // other punctuation separates
			continue
		default:
			return nil, nil, false
		}
		if n == dtMaxFields {
			return nil, nil, false
		}
		fields[n] = dtField{kind, uint8(start), uint8(len(out))}
		n++
	}
	return out, fields[:n], true
}

// What a word or field says. The low values are bits of a mask.
const (
	hasYear = 1 << iota
	hasMonth
	hasDay
	hasDOY
	hasHour
	hasMinute
	hasSecond
	hasZone
	hasDSTMod
	hasEra
	hasAMPM
	hasDOW

	hasDate = hasYear | hasMonth | hasDay
	hasTime = hasHour | hasMinute | hasSecond
)

type dtWordKind uint8

const (
	wordIgnore dtWordKind = iota
	wordMonth
	wordDOW
	wordAMPM
	wordEra
	wordReserved
	wordUnit
	wordISOTime
	wordDSTMod
)

const (
	resNow = iota
	resToday
	resTomorrow
	resYesterday
	resAllballs
	resEpoch
	resInfinity
	resNegInfinity
)

const (
	unitJulian = iota + 1
	unitTime
	unitOther
)

type dtWord struct {
	kind dtWordKind
	val  int
}

var dtWords = map[string]dtWord{
	"-infinity": {wordReserved, resNegInfinity}, "infinity": {wordReserved, resInfinity}, "+infinity": {wordReserved, resInfinity},
	"ad": {wordEra, 0}, "bc": {wordEra, 1}, "am": {wordAMPM, 0}, "pm": {wordAMPM, 1},
	"allballs": {wordReserved, resAllballs}, "epoch": {wordReserved, resEpoch}, "now": {wordReserved, resNow},
	"today": {wordReserved, resToday}, "tomorrow": {wordReserved, resTomorrow}, "yesterday": {wordReserved, resYesterday},
	"at": {wordIgnore, 0}, "on": {wordIgnore, 0},
	"jan": {wordMonth, 1}, "january": {wordMonth, 1}, "feb": {wordMonth, 2}, "february": {wordMonth, 2},
	"mar": {wordMonth, 3}, "march": {wordMonth, 3}, "apr": {wordMonth, 4}, "april": {wordMonth, 4}, "may": {wordMonth, 5},
	"jun": {wordMonth, 6}, "june": {wordMonth, 6}, "jul": {wordMonth, 7}, "july": {wordMonth, 7},
	"aug": {wordMonth, 8}, "august": {wordMonth, 8}, "sep": {wordMonth, 9}, "sept": {wordMonth, 9}, "september": {wordMonth, 9},
	"oct": {wordMonth, 10}, "october": {wordMonth, 10}, "nov": {wordMonth, 11}, "november": {wordMonth, 11},
	"dec": {wordMonth, 12}, "december": {wordMonth, 12},
	"sun": {wordDOW, 0}, "sunday": {wordDOW, 0}, "mon": {wordDOW, 1}, "monday": {wordDOW, 1},
	"tue": {wordDOW, 2}, "tues": {wordDOW, 2}, "tuesday": {wordDOW, 2}, "wed": {wordDOW, 3}, "weds": {wordDOW, 3},
	"wednesday": {wordDOW, 3}, "thu": {wordDOW, 4}, "thur": {wordDOW, 4}, "thurs": {wordDOW, 4}, "thursday": {wordDOW, 4},
	"fri": {wordDOW, 5}, "friday": {wordDOW, 5}, "sat": {wordDOW, 6}, "saturday": {wordDOW, 6},
	"dst": {wordDSTMod, 3600},
	"j":   {wordUnit, unitJulian}, "jd": {wordUnit, unitJulian}, "julian": {wordUnit, unitJulian},
	"t": {wordISOTime, unitTime},
	"d": {wordUnit, unitOther}, "h": {wordUnit, unitOther}, "m": {wordUnit, unitOther}, "mm": {wordUnit, unitOther},
	"s": {wordUnit, unitOther}, "y": {wordUnit, unitOther},
}

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
		return sqlstate.Errorf("22009", "time zone displacement out of range: \"%s\"", s)
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

// setZone reads ±hh[[:]mm[:ss]].
func (d *dtState) setZone(s []byte) dtErr {
	if len(s) == 0 || s[0] != '+' && s[0] != '-' {
		return dtBadFormat
	}
	neg := s[0] == '-'
	t := s[1:]
	h, n, ok := dtInt(t)
	if !ok {
		return dtZoneOverflow
	}
	m, sec := 0, 0
	digits := n
	t = t[n:]
	if len(t) > 0 && t[0] == ':' {
		if m, n, ok = dtInt(t[1:]); !ok {
			return dtZoneOverflow
		}
		t = t[1+n:]
		if len(t) > 0 && t[0] == ':' {
			if sec, n, ok = dtInt(t[1:]); !ok {
				return dtZoneOverflow
			}
			t = t[1+n:]
		}
	} else if len(t) == 0 && digits > 2 {
		h, m = h/100, h%100
	}
	if h > 15 || m > 59 || sec > 59 {
		return dtZoneOverflow
	}
	if len(t) != 0 {
		return dtBadFormat
	}
	d.zone = h*3600 + m*60 + sec
	if neg {
		d.zone = -d.zone
	}
	return dtOK
}

// time reads hh:mm[:ss[.fff]].
func (d *dtState) time(s []byte) dtErr {
	h, n, ok := dtInt(s)
	if !ok {
		return dtFieldOverflow
	}
	if n == len(s) || s[n] != ':' {
		return dtBadFormat
	}
	s = s[n+1:]
	m, n, ok := dtInt(s)
	if !ok {
		return dtFieldOverflow
	}
	sec, us := 0, 0
	s = s[n:]
	switch {
	case len(s) == 0:
	case s[0] == '.': // mm:ss.fff
		if us, ok = dtFraction(s); !ok {
			return dtBadFormat
		}
		h, m, sec = 0, h, m
	case s[0] == ':':
		sec, n, ok = dtInt(s[1:])
		if !ok {
			return dtFieldOverflow
		}
		s = s[1+n:]
		if len(s) > 0 {
			if us, ok = dtFraction(s); !ok {
				return dtBadFormat
			}
		}
	default:
		return dtBadFormat
	}
	if m > 59 || sec > 60 {
		return dtFieldOverflow
	}
	d.hour, d.min, d.sec, d.usec = h, m, sec, us
	return dtOK
}

// date reads a joined date.
func (d *dtState) date(s []byte) (mask int, e dtErr) {
	var parts [dtMaxFields][]byte
	n := 0
	for i := 0; i < len(s) && n < len(parts); {
		start := i
		switch {
		case isDigit(s[i]):
			for i < len(s) && isDigit(s[i]) {
				i++
			}
		case isAlpha(s[i]):
			for i < len(s) && isAlpha(s[i]) {
				i++
			}
		default:
			i++
			continue
		}
		parts[n] = s[start:i]
		n++
	}
	have := d.mask
	textMon := d.textMon
	d.textMon = false
	for i := 0; i < n; i++ {
		if !isAlpha(parts[i][0]) {
			continue
		}
		w, ok := dtWords[stringOf(parts[i])]
		if !ok {
			return 0, dtBadFormat
		}
		if w.kind == wordIgnore {
			parts[i] = nil
			continue
		}
		if w.kind != wordMonth || have&hasMonth != 0 {
			return 0, dtBadFormat
		}
		d.month = w.val
		d.textMon = true
		have |= hasMonth
		mask |= hasMonth
		parts[i] = nil
	}
	for i := 0; i < n; i++ {
		if parts[i] == nil {
			continue
		}
		m, e := d.number(parts[i], have)
		if e != dtOK {
			return 0, e
		}
		if m&have != 0 {
			return 0, dtBadFormat
		}
		have |= m
		mask |= m
	}
	d.textMon = d.textMon || textMon
	if have&^(hasDOY|hasZone) != hasDate {
		return 0, dtBadFormat
	}
	return mask, dtOK
}

// number interprets plain digits by what is known so far.
func (d *dtState) number(s []byte, have int) (mask int, e dtErr) {
	v, n, ok := dtInt(s)
	if !ok {
		return 0, dtFieldOverflow
	}
	if n == 0 {
		return 0, dtBadFormat
	}
	if n < len(s) {
		if s[n] != '.' {
			return 0, dtBadFormat
		}
		if n > 2 {
			return d.numberField(s, have|hasDate)
		}
		if d.usec, ok = dtFraction(s[n:]); !ok {
			return 0, dtBadFormat
		}
	}
	if len(s) == 3 && have&hasDate == hasYear && v >= 1 && v <= 366 {
		d.doy = v
		return hasDOY | hasMonth | hasDay, dtOK
	}
	switch have & hasDate {
	case 0:
		switch {
		case len(s) >= 3 || d.env.DateOrder == OrderYMD:
			mask, d.year = hasYear, v
		case d.env.DateOrder == OrderDMY:
			mask, d.day = hasDay, v
		default:
			mask, d.month = hasMonth, v
		}
	case hasYear:
		mask, d.month = hasMonth, v
	case hasMonth:
		if d.textMon && (len(s) >= 3 || d.env.DateOrder == OrderYMD) {
			mask, d.year = hasYear, v
		} else {
			mask, d.day = hasDay, v
		}
	case hasYear | hasMonth:
		if d.textMon && len(s) >= 3 && d.is2 {
			// The first number was the day after all.
			mask, d.day, d.year = hasDay, d.year, v
			d.is2 = false
		} else {
			mask, d.day = hasDay, v
		}
	case hasDay:
		mask, d.month = hasMonth, v
	case hasMonth | hasDay:
		mask, d.year = hasYear, v
	case hasDate:
		return d.numberField(s, have)
	default:
		return 0, dtBadFormat
	}
	if mask == hasYear {
		d.is2 = len(s) <= 2
	}
	return mask, dtOK
}

// numberField reads run-together digits: yyyymmdd, yymmdd, hhmmss[.fff], hhmm.
func (d *dtState) numberField(s []byte, have int) (mask int, e dtErr) {
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	if dot := bytes.IndexByte(s, '.'); dot >= 0 {
		us, ok := dtFraction(s[dot:])
		if !ok {
			return 0, dtBadFormat
		}
		d.usec = us
		s = s[:dot]
	} else if have&hasDate != hasDate && len(s) >= 6 {
		for _, c := range s {
			if !isDigit(c) {
				return 0, dtBadFormat
			}
		}
		n := len(s)
		y, _, ok := dtInt(s[:n-4])
		if !ok {
			return 0, dtFieldOverflow
		}
		d.year, d.month, d.day = y, two(n-4), two(n-2)
		d.is2 = n-4 == 2
		return hasDate, dtOK
	}
	if have&hasTime != hasTime && (len(s) == 6 || len(s) == 4) {
		for _, c := range s {
			if !isDigit(c) {
				return 0, dtBadFormat
			}
		}
		d.hour, d.min, d.sec = two(0), two(2), 0
		if len(s) == 6 {
			d.sec = two(4)
		}
		if d.min > 59 || d.sec > 60 {
			return 0, dtFieldOverflow
		}
		return hasTime, dtOK
	}
	return 0, dtBadFormat
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
