package eval

import (
	"strings"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// parsedDate is what a template found in a text.
type parsedDate struct {
	set                                map[field]bool
	year, yearDigits, month, day_, ddd int
	hour, min, sec, usec               int64
	ssss, millis                       int64
	pm, bc, h12                        bool
	cc, julian, week, ww, iw, d, iso   int
	offset                             int
	zoned                              bool
}

func badDateText(format string, args ...any) *sqlstate.Error {
	return sqlstate.Errorf(sqlstate.InvalidDatetimeFormat, format, args...)
}

// parseByTemplate reads a text by a template. Without FX, blanks in the text are
// passed over, and a separator of the template matches any separator or none.
func parseByTemplate(s []byte, tokens []token, fx bool) (*parsedDate, error) {
	d := &parsedDate{set: map[field]bool{}}
	i := 0
	sep := func(b byte) bool { return b > ' ' && b < 0x7f && !isAlnum(b) }
	blanks := func() {
		for i < len(s) && isSpace(s[i]) {
			i++
		}
	}
	if !fx {
		blanks()
	}
	for k := range tokens {
		t := &tokens[k]
		if i >= len(s) {
			break
		}
		if t.f == literal {
			switch {
			case t.quoted:
				i = min(i+charCount(t.text), len(s))
			case fx:
				i += charLen(s[i:], false)
			case len(t.text) == 1 && (isSpace(t.text[0]) || sep(t.text[0])):
				if isSpace(s[i]) || sep(s[i]) {
					i++
					blanks()
				}
			default:
				i += charLen(s[i:], false)
			}
			continue
		}
		if !fx {
			blanks()
		}
		name := templateName(t)
		number := func(width int) (int64, error) {
			// A number takes all digits when no other number follows it directly.
			end := len(s)
			exact := !t.fill && !t.hasTH && k+1 < len(tokens) && tokens[k+1].f != literal && numeric(tokens[k+1].f)
			if exact {
				if left := len(s) - i; left < width {
					return 0, badDateText("source string too short for \"%s\" formatting field", name).
						WithDetail("Field requires %d characters, but only %d remain.", width, left).
						WithHint("If your source string is not fixed-width, try using the \"FM\" modifier.")
				}
				end = i + width
			} else if !fx || t.fill {
				width = 18
			}
			start := i
			for exact && i < end && isSpace(s[i]) {
				i++
			}
			neg := false
			if i < end && (s[i] == '-' || s[i] == '+') {
				neg = s[i] == '-'
				i++
			}
			from := i
			v := int64(0)
			for i < end && i-from < width && isDigit(s[i]) {
				v = v*10 + int64(s[i]-'0')
				if v > 1<<40 {
					return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "value for \"%s\" in source string is out of range", name)
				}
				i++
			}
			if i == from {
				e := start
				for e < len(s) && e-start < max(width, 1) && width < 18 {
					e++
				}
				if width == 18 {
					e = min(start+fieldWidth(t), len(s))
				}
				return 0, badDateText("invalid value \"%s\" for \"%s\"", s[start:e], name).WithDetail("Value must be an integer.")
			}
			if exact && i < end {
				return 0, badDateText("invalid value \"%s\" for \"%s\"", s[start:end], name).
					WithDetail("Field requires %d characters, but only %d could be parsed.", width, i-start).
					WithHint("If your source string is not fixed-width, try using the \"FM\" modifier.")
			}
			if neg {
				v = -v
			}
			if t.hasTH && i+2 <= len(s) {
				i += 2
			}
			return v, nil
		}
		word := func(names []string, short int) (int, error) {
			rest := string(s[i:])
			for n, w := range names {
				if short > 0 {
					w = w[:short]
				}
				if hasFold(rest, w) {
					i += len(w)
					return n, nil
				}
			}
			e := i
			for e < len(s) && !isSpace(s[e]) {
				e++
			}
			return 0, badDateText("invalid value \"%s\" for \"%s\"", s[i:e], name).WithDetail("The given value did not match any of the allowed values for this field.")
		}
		put := func(p *int, width int) error {
			v, err := number(width)
			if err != nil {
				return err
			}
			if d.set[t.f] && int64(*p) != v {
				return badDateText("conflicting values for \"%s\" field in formatting string", name).
					WithDetail("This value contradicts a previous setting for the same field type.")
			}
			*p = int(v)
			d.set[t.f] = true
			return nil
		}
		put64 := func(p *int64, width int) error {
			v, err := number(width)
			*p = v
			d.set[t.f] = true
			return err
		}
		var err error
		switch t.f {
		case fHH24:
			err = put64(&d.hour, 2)
		case fHH12:
			d.h12 = true
			err = put64(&d.hour, 2)
		case fMI:
			err = put64(&d.min, 2)
		case fSS:
			err = put64(&d.sec, 2)
		case fMS, fUS, fFF:
			width := map[field]int{fMS: 3, fUS: 6, fFF: t.n}[t.f]
			from := i
			var v int64
			if v, err = number(width); err == nil {
				n := i - from
				for ; n < 6; n++ {
					v *= 10
				}
				for ; n > 6; n-- {
					v /= 10
				}
				if t.f == fMS {
					d.millis = v
				} else {
					d.usec = v
				}
			}
		case fSSSS:
			err = put64(&d.ssss, 5)
		case fAM, fAMd:
			var n int
			if t.f == fAM {
				n, err = word([]string{"am", "pm"}, 0)
			} else {
				n, err = word([]string{"a.m.", "p.m."}, 0)
			}
			d.pm, d.h12 = n == 1, true
			d.set[fAM] = true
		case fBC, fBCd:
			var n int
			if t.f == fBC {
				n, err = word([]string{"ad", "bc"}, 0)
			} else {
				n, err = word([]string{"a.d.", "b.c."}, 0)
			}
			d.bc = n == 1
		case fMonth, fMon:
			var n int
			if n, err = word(monthNames[:], 0); err != nil || t.f == fMon {
				var e2 error
				n, e2 = word(monthNames[:], 3)
				if t.f == fMon {
					err = e2
				}
			}
			d.month = n + 1
			d.set[fMM] = true
		case fMM:
			err = put(&d.month, 2)
		case fRM:
			best := -1
			for n, r := range romanMonths {
				if hasFold(string(s[i:]), r) && (best < 0 || len(r) > len(romanMonths[best])) {
					best = n
				}
			}
			if best < 0 {
				_, err = word(nil, 0)
			} else {
				i += len(romanMonths[best])
				d.month = best + 1
				d.set[fMM] = true
			}
		case fDay:
			var n int
			n, err = word(dayNames[:], 0)
			d.d = n + 1
		case fDy:
			var n int
			n, err = word(dayNames[:], 3)
			d.d = n + 1
		case fDDD, fIDDD:
			err = put(&d.ddd, 3)
		case fDD:
			err = put(&d.day_, 2)
		case fD, fID:
			err = put(&d.d, 1)
			if t.f == fID {
				d.set[fID] = true
			}
		case fWW:
			err = put(&d.ww, 2)
		case fIW:
			err = put(&d.iw, 2)
		case fW:
			err = put(&d.week, 1)
		case fQ:
			var q int
			err = put(&q, 1)
		case fCC:
			err = put(&d.cc, 2)
		case fJ:
			err = put(&d.julian, 18)
		case fYear, fISOYear:
			from := i
			p := &d.year
			if t.f == fISOYear {
				p = &d.iso
			}
			if err = put(p, t.n); err == nil {
				digits := i - from
				if t.n < 4 && digits < 4 {
					*p = fullYear(*p, t.n)
				}
				d.yearDigits = t.n
			}
		case fYcYYY:
			from := i
			for i < len(s) && (isDigit(s[i]) || s[i] == ',') {
				i++
			}
			d.year = atoi(strings.ReplaceAll(string(s[from:i]), ",", ""))
			d.set[fYear], d.yearDigits = true, 4
		case fTZH:
			neg := i < len(s) && s[i] == '-'
			var v int64
			if v, err = number(2); err == nil {
				d.zoned = true
				if neg && v == 0 {
					d.set[fOF] = true
				}
				d.offset += int(v) * 3600
				d.set[fTZH] = neg
			}
		case fTZM:
			var v int64
			if v, err = number(2); err == nil {
				d.zoned = true
				if d.set[fTZH] {
					v = -v
				}
				d.offset += int(v) * 60
			}
		case fTZ, fOF:
			err = sqlstate.Errorf(sqlstate.FeatureNotSupported, "formatting field \"%s\" is only supported in to_char", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

func atoi(s string) (n int) {
	for _, b := range []byte(s) {
		if isDigit(b) && n < 1<<30 {
			n = n*10 + int(b-'0')
		}
	}
	return n
}

// fullYear adds the century that PostgreSQL assumes: years near 2020.
func fullYear(y, digits int) int {
	switch digits {
	case 1:
		return y + 2000
	case 2:
		if y < 70 {
			return y + 2000
		}
		if y < 100 {
			return y + 1900
		}
	case 3:
		if y < 100 {
			if y < 70 {
				return y + 2000
			}
			return y + 1900
		}
		if y < 520 {
			return y + 2000
		}
		if y < 1000 {
			return y + 1000
		}
	}
	return y
}

func numeric(f field) bool {
	switch f {
	case literal, fAM, fAMd, fBC, fBCd, fMonth, fMon, fDay, fDy, fRM, fTZ, fOF:
		return false
	}
	return true
}

func fieldWidth(t *token) int {
	switch t.f {
	case fYear, fISOYear, fFF:
		return t.n
	case fMS, fDDD, fIDDD:
		return 3
	case fUS:
		return 6
	case fSSSS:
		return 5
	case fD, fID, fQ, fW:
		return 1
	}
	return 2
}

// templateName is the keyword of a token, for messages.
func templateName(t *token) string {
	for _, k := range dateKeywords {
		if k.f == t.f && k.n == t.n && k.as == t.as {
			return k.name
		}
	}
	return ""
}

// date is the calendar date, without its range checked against types.
func (d *parsedDate) date(src []byte) (int64, error) {
	year, have := d.year, d.set[fYear] || d.year != 0
	if d.bc && have {
		if year > 0 {
			year = 1 - year
		} else {
			year++
		}
	} else if year < 0 {
		year++
	}
	if d.set[fCC] {
		switch {
		case have && d.yearDigits <= 2:
			year = d.year % 100
			if d.cc > 0 {
				if year != 0 {
					year += (d.cc - 1) * 100
				} else {
					year = d.cc * 100
				}
			}
		case !have:
			year = (d.cc-1)*100 + 1
			have = true
		}
	}
	if d.set[fJ] {
		return int64(d.julian) - julianEpoch, nil
	}
	if d.set[fIW] || d.set[fISOYear] {
		y := d.iso
		jan4 := int64(types.DateOf(y, 1, 4))
		monday := jan4 - int64((dayOfWeek(jan4)+6)%7)
		if d.set[fIW] {
			wd := 1
			if d.d != 0 {
				wd = d.d
				if !d.set[fID] {
					wd--
					if wd == 0 {
						wd = 7
					}
				}
			}
			return monday + int64(d.iw-1)*7 + int64(wd-1), nil
		}
		if d.ddd != 0 {
			return monday + int64(d.ddd-1), nil
		}
		year, have = y, true
	}
	if !have {
		year = 0 // 1 BC, as PostgreSQL
	}
	month, day := 1, 1
	if d.month != 0 { // as one that is not there
		month = d.month
	}
	if d.day_ != 0 {
		day = d.day_
	}
	out := func() error {
		return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date/time field value out of range: \"%s\"", src)
	}
	switch {
	case d.set[fWW]:
		d.ddd = (d.ww-1)*7 + 1
	case d.set[fW]:
		day = (d.week-1)*7 + 1
	}
	if d.ddd != 0 && !d.set[fMM] {
		n := 365
		if types.DaysInMonth(year, 2) == 29 {
			n++
		}
		if d.ddd < 1 || d.ddd > n {
			return 0, out()
		}
		return int64(types.DateOf(year, 1, 1)) + int64(d.ddd-1), nil
	}
	if month < 1 || month > 12 || day < 1 || day > types.DaysInMonth(year, month) {
		return 0, out()
	}
	return int64(types.DateOf(year, month, day)), nil
}

func (d *parsedDate) day(src []byte) (int64, error) {
	day, err := d.date(src)
	if err == nil && !types.ValidDate(day) {
		err = sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date out of range: \"%s\"", src)
	}
	return day, err
}

func (d *parsedDate) timestamp(src []byte, loc *time.Location) (int64, error) {
	day, err := d.date(src)
	if err != nil {
		return 0, err
	}
	hour, minute, sec := d.hour, d.min, d.sec
	if d.set[fSSSS] {
		hour, minute, sec = d.ssss/3600, d.ssss/60%60, d.ssss%60
	}
	if d.h12 && !d.set[fHH24] {
		if d.set[fHH12] && (hour < 1 || hour > 12) {
			return 0, badDateText("hour \"%d\" is invalid for the 12-hour clock", hour).WithHint("Use the 24-hour clock, or give an hour between 1 and 12.")
		}
		if d.pm && hour < 12 {
			hour += 12
		} else if !d.pm && hour == 12 {
			hour = 0
		}
	}
	if hour < 0 || hour > 24 || minute < 0 || minute > 59 || sec < 0 || sec > 60 || hour == 24 && (minute > 0 || sec > 0 || d.usec > 0) {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date/time field value out of range: \"%s\"", src)
	}
	ts := day*usecPerDay + hour*usecPerHour + minute*usecPerMin + sec*usecPerSec + d.millis + d.usec
	if d.zoned {
		ts -= int64(d.offset) * usecPerSec
	} else {
		ts = types.ToUTC(ts, loc)
	}
	if day < types.MinTimestamp/usecPerDay-1 || day > types.EndTimestamp/usecPerDay || !types.ValidTimestamp(ts) {
		return 0, timestampOutOfRange()
	}
	return ts, nil
}
