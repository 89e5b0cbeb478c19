package eval

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// moment is a date and time taken apart, or an interval.
type moment struct {
	year, month, day     int // year 0 is 1 BC
	hour, min, sec, usec int64
	date                 int64 // days since 2000-01-01
	interval             bool
	zoned                bool
	offset               int // seconds east
	abbrev               string
}

func momentOf(ts int64) moment {
	d, us := splitDay(ts)
	m := moment{date: d}
	m.year, m.month, m.day = types.CivilDate(int(d))
	m.clock(us)
	return m
}

func (m *moment) clock(us int64) {
	m.hour, m.min, m.sec, m.usec = us/usecPerHour, us/usecPerMin%60, us/usecPerSec%60, us%usecPerSec
}

func momentOfInterval(iv types.Fixed16) moment {
	months, days, us := iv.IntervalParts()
	m := moment{interval: true, year: int(months / 12), month: int(months % 12), day: int(days)}
	m.clock(us)
	m.date = int64(months/12)*360 + int64(months%12)*30 + int64(days)
	return m
}

func notForInterval() error {
	return sqlstate.Errorf(sqlstate.InvalidDatetimeFormat, "invalid format specification for an interval value").
		WithHint("Intervals are not tied to specific calendar dates.")
}

// appendDate renders a template.
func appendDate(dst []byte, tokens []token, m *moment) ([]byte, error) {
	for i := range tokens {
		t := &tokens[i]
		if t.f == literal {
			dst = append(dst, t.text...)
			continue
		}
		start := len(dst)
		num := func(v int64, width int) {
			if t.fill {
				width = 0
			}
			if v < 0 && width > 0 {
				width++
			}
			dst = append(dst, fmt.Sprintf("%0*d", width, v)...)
		}
		word := func(s string, width int) {
			s = cased(s, t.as)
			dst = append(dst, s...)
			if !t.fill {
				for k := len(s); k < width; k++ {
					dst = append(dst, ' ')
				}
			}
		}
		year := int64(m.year)
		if !m.interval && year <= 0 {
			year = 1 - year
		}
		switch t.f {
		case fHH24:
			num(m.hour, 2)
		case fHH12:
			h := m.hour % 12
			if h == 0 {
				h = 12
			}
			num(h, 2)
		case fMI:
			num(m.min, 2)
		case fSS:
			num(m.sec, 2)
		case fMS:
			dst = append(dst, fmt.Sprintf("%03d", m.usec/1000)...)
		case fUS:
			dst = append(dst, fmt.Sprintf("%06d", m.usec)...)
		case fFF:
			dst = append(dst, fmt.Sprintf("%06d", m.usec)[:t.n]...)
		case fSSSS:
			dst = strconv.AppendInt(dst, m.hour*3600+m.min*60+m.sec, 10)
		case fAM, fAMd:
			s := "AM"
			if m.hour%24 >= 12 {
				s = "PM"
			}
			if t.f == fAMd {
				s = s[:1] + "." + s[1:] + "."
			}
			dst = append(dst, cased(s, t.as)...)
		case fBC, fBCd:
			if m.interval {
				return nil, notForInterval()
			}
			s := "AD"
			if m.year <= 0 {
				s = "BC"
			}
			if t.f == fBCd {
				s = s[:1] + "." + s[1:] + "."
			}
			dst = append(dst, cased(s, t.as)...)
		case fMonth, fMon, fDay, fDy:
			if m.interval {
				return nil, notForInterval()
			}
			switch t.f {
			case fMonth, fMon:
				name := monthNames[((m.month-1)%12+12)%12]
				if t.f == fMon {
					word(name[:3], 3)
				} else {
					word(name, 9)
				}
			case fDay:
				word(dayNames[dayOfWeek(m.date)], 9)
			default:
				word(dayNames[dayOfWeek(m.date)][:3], 3)
			}
		case fMM:
			num(int64(m.month), 2)
		case fDDD:
			if m.interval {
				num(m.date, 3)
			} else {
				num(m.date-int64(types.DateOf(m.year, 1, 1))+1, 3)
			}
		case fDD:
			if m.day < 0 && m.day > -10 { // the sign takes a place here
				num(int64(m.day), 0)
			} else {
				num(int64(m.day), 2)
			}
		case fD, fID, fIDDD, fWW, fIW, fISOYear:
			if m.interval && (t.f == fD || t.f == fID) {
				return nil, notForInterval()
			}
			week, isoYear := isoWeekYear(m.date)
			switch t.f {
			case fD:
				num(int64(dayOfWeek(m.date))+1, 0)
			case fID:
				d := dayOfWeek(m.date)
				if d == 0 {
					d = 7
				}
				num(int64(d), 0)
			case fIDDD:
				d := dayOfWeek(m.date)
				if d == 0 {
					d = 7
				}
				num(int64((week-1)*7+d), 3)
			case fWW:
				num((m.date-int64(types.DateOf(m.year, 1, 1)))/7+1, 2)
			case fIW:
				num(int64(week), 2)
			default:
				if isoYear <= 0 {
					isoYear = 1 - isoYear
				}
				yearDigits(&dst, int64(isoYear), t)
			}
		case fW:
			num(int64(m.day-1)/7+1, 0)
		case fYear:
			yearDigits(&dst, year, t)
		case fYcYYY:
			dst = append(dst, fmt.Sprintf("%d,%03d", year/1000, year%1000)...)
		case fCC:
			var c int64
			switch {
			case m.interval:
				c = year / 100
			case m.year > 0:
				c = (year-1)/100 + 1
			default:
				c = -((year-1)/100 + 1)
			}
			w := 2
			if t.fill {
				w = 0
			}
			if c < 0 {
				w++
			}
			dst = append(dst, fmt.Sprintf("%0*d", w, c)...)
		case fJ:
			dst = strconv.AppendInt(dst, m.date+julianEpoch, 10)
		case fQ:
			if m.month == 0 {
				continue
			}
			num(int64(m.month-1)/3+1, 0)
		case fRM:
			if m.interval && m.month == 0 {
				continue
			}
			word(romanMonths[((m.month-1)%12+12)%12], 4)
		case fTZ:
			if m.zoned {
				dst = append(dst, cased(m.abbrev, t.as)...)
			} else if m.interval {
				return nil, notForInterval()
			}
			continue
		case fTZH, fTZM, fOF:
			if m.interval {
				return nil, notForInterval()
			}
			o, sign := m.offset, byte('+')
			if o < 0 {
				o, sign = -o, '-'
			}
			switch t.f {
			case fTZH:
				dst = append(dst, fmt.Sprintf("%c%02d", sign, o/3600)...)
			case fTZM:
				dst = append(dst, fmt.Sprintf("%02d", o%3600/60)...)
			default:
				w := 2
				if t.fill {
					w = 0
				}
				dst = append(dst, fmt.Sprintf("%c%0*d", sign, w, o/3600)...)
				if o%3600 != 0 {
					dst = append(dst, fmt.Sprintf(":%02d", o%3600/60)...)
				}
			}
			continue
		}
		if t.hasTH {
			s := strings.TrimSpace(string(dst[start:]))
			if n, err := strconv.ParseInt(s[max(len(s)-2, 0):], 10, 64); err == nil {
				dst = append(dst, cased(ordinal(n), t.th)...)
			}
		}
	}
	return dst, nil
}

// yearDigits appends the last digits of a year.
func yearDigits(dst *[]byte, year int64, t *token) {
	switch t.n {
	case 3:
		year %= 1000
	case 2:
		year %= 100
	case 1:
		year %= 10
	}
	w := t.n
	if t.fill {
		w = 0
	}
	if year < 0 && w > 0 {
		w++
	}
	*dst = append(*dst, fmt.Sprintf("%0*d", w, year)...)
}

// templateCache keeps the last template taken apart.
type templateCache struct {
	text   string
	ok     bool
	tokens []token
	fx     bool
}

func (tc *templateCache) get(s []byte) ([]token, bool) {
	if !tc.ok || tc.text != string(s) {
		tc.text, tc.ok = string(s), true
		tc.tokens, tc.fx = dateTemplate(tc.text)
	}
	return tc.tokens, tc.fx
}

func init() {
	char := func(f func(c *Call, i int) (moment, bool)) func(*prepareContext) (Loop, error) {
		return func(*prepareContext) (Loop, error) {
			var tc templateCache
			return each(func(c *Call, i int) error {
				if len(c.Bytes(1, i)) == 0 {
					c.ret(i, types.Null)
					return nil
				}
				m, ok := f(c, i)
				if !ok {
					c.ret(i, types.Null)
					return nil
				}
				tokens, _ := tc.get(c.Bytes(1, i))
				b, err := appendDate(c.Begin(), tokens, &m)
				if err == nil {
					c.End(i, b)
				}
				return err
			}), nil
		}
	}
	reg("to_char(timestamp,text)", impl{cost: 200, prepare: char(func(c *Call, i int) (moment, bool) {
		ts := c.I64(0, i)
		if infiniteTime(ts) {
			return moment{}, false
		}
		return momentOf(ts), true
	})})
	reg("to_char(timestamptz,text)", impl{cost: 200, prepare: char(func(c *Call, i int) (moment, bool) {
		ts := c.I64(0, i)
		if infiniteTime(ts) {
			return moment{}, false
		}
		loc := c.Env.session().zone()
		m := momentOf(types.ToLocal(ts, loc))
		m.zoned, m.offset = true, types.ZoneOffset(loc, ts)
		m.abbrev, _ = time.UnixMicro(ts - types.UnixEpochMicros).In(loc).Zone()
		return m, true
	})})
	reg("to_char(interval,text)", impl{cost: 200, prepare: char(func(c *Call, i int) (moment, bool) { return momentOfInterval(c.Fix(0, i)), true })})
	parse := func(f func(c *Call, i int, d *parsedDate) error) func(*prepareContext) (Loop, error) {
		return func(*prepareContext) (Loop, error) {
			var tc templateCache
			return each(func(c *Call, i int) error {
				tokens, fx := tc.get(c.Bytes(1, i))
				d, err := parseByTemplate(c.Bytes(0, i), tokens, fx)
				if err != nil {
					return err
				}
				return f(c, i, d)
			}), nil
		}
	}
	reg("to_date(text,text)", impl{cost: 200, prepare: parse(func(c *Call, i int, d *parsedDate) error {
		day, err := d.day(c.Bytes(0, i))
		c.Out.I32[i] = int32(day)
		return err
	})})
	reg("to_timestamp(text,text)", impl{cost: 200, prepare: parse(func(c *Call, i int, d *parsedDate) error {
		ts, err := d.timestamp(c.Bytes(0, i), c.Env.session().zone())
		c.Out.I64[i] = ts
		return err
	})})
}
