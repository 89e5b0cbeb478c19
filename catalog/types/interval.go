package types

import (
	"bytes"
	"math"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
)

type ivUnit uint8

const (
	ivNone ivUnit = iota
	ivMicrosecond
	ivMillisecond
	ivSecond
	ivMinute
	ivHour
	ivDay
	ivWeek
	ivMonth
	ivYear
	ivDecade
	ivCentury
	ivMillennium
	ivAgo
)

// ivWords are the units by their first ten letters, as PostgreSQL compares them.
var ivWords = map[string]ivUnit{
	"us": ivMicrosecond, "usec": ivMicrosecond, "usecs": ivMicrosecond, "usecond": ivMicrosecond, "useconds": ivMicrosecond, "microsecon": ivMicrosecond,
	"ms": ivMillisecond, "msec": ivMillisecond, "msecs": ivMillisecond, "msecond": ivMillisecond, "mseconds": ivMillisecond, "millisecon": ivMillisecond,
	"s": ivSecond, "sec": ivSecond, "secs": ivSecond, "second": ivSecond, "seconds": ivSecond,
	"m": ivMinute, "min": ivMinute, "mins": ivMinute, "minute": ivMinute, "minutes": ivMinute,
	"h": ivHour, "hr": ivHour, "hrs": ivHour, "hour": ivHour, "hours": ivHour,
	"d": ivDay, "day": ivDay, "days": ivDay,
	"w": ivWeek, "week": ivWeek, "weeks": ivWeek,
	"mon": ivMonth, "mons": ivMonth, "month": ivMonth, "months": ivMonth,
	"y": ivYear, "yr": ivYear, "yrs": ivYear, "year": ivYear, "years": ivYear,
	"dec": ivDecade, "decs": ivDecade, "decade": ivDecade, "decades": ivDecade,
	"c": ivCentury, "cent": ivCentury, "century": ivCentury, "centuries": ivCentury,
	"mil": ivMillennium, "mils": ivMillennium, "millennium": ivMillennium, "millennia": ivMillennium,
	"ago": ivAgo,
}

// ivMicros is the length of the units below a day; ivMonths that of the units
// from a month.
var (
	ivMicros = [ivAgo]int64{ivMicrosecond: 1, ivMillisecond: 1000, ivSecond: MicrosPerSecond, ivMinute: MicrosPerMinute, ivHour: MicrosPerHour}
	ivMonths = [ivAgo]int64{ivMonth: 1, ivYear: 12, ivDecade: 120, ivCentury: 1200, ivMillennium: 12000}
)

// ivState is an interval being added up.
type ivState struct {
	years, months, days, micros int64
	overflow                    bool
}

func (v *ivState) add(to *int64, x, times int64) {
	p, ok := MulInt64s(x, times).Int64()
	if s := *to + p; !ok || (s > *to) != (p > 0) && p != 0 {
		v.overflow = true
	} else {
		*to = s
	}
}

// addFraction adds a fraction of a unit of so many µs.
func (v *ivState) addFraction(f float64, unit int64) {
	if f == 0 {
		return
	}
	f *= float64(unit)
	us := int64(f)
	f -= float64(us)
	if f > 0.5 {
		us++
	} else if f < -0.5 {
		us--
	}
	v.add(&v.micros, us, 1)
}

func (v *ivState) addFractionDays(f float64, days float64) {
	if f == 0 {
		return
	}
	f *= days
	n := int64(f)
	v.add(&v.days, n, 1)
	v.addFraction(f-float64(n), MicrosPerDay)
}

// put adds n.f units.
func (v *ivState) put(u ivUnit, n int64, f float64) {
	switch {
	case u <= ivHour:
		v.add(&v.micros, n, ivMicros[u])
		v.addFraction(f, ivMicros[u])
	case u == ivDay:
		v.add(&v.days, n, 1)
		v.addFraction(f, MicrosPerDay)
	case u == ivWeek:
		v.add(&v.days, n, 7)
		v.addFractionDays(f, 7)
	case u == ivMonth:
		v.add(&v.months, n, 1)
		v.addFractionDays(f, 30)
	default:
		v.add(&v.years, n, ivMonths[u]/12)
		v.add(&v.months, int64(math.RoundToEven(f*float64(ivMonths[u]))), 1)
	}
	// The fields have 32 bits.
	if v.years != int64(int32(v.years)) || v.months != int64(int32(v.months)) || v.days != int64(int32(v.days)) {
		v.overflow = true
	}
}

func (v *ivState) fixed() (Fixed16, bool) {
	months := v.years*12 + v.months
	if v.overflow || months != int64(int32(months)) {
		return Fixed16{}, false
	}
	return MakeInterval(int32(months), int32(v.days), v.micros), true
}

// ParseInterval reads an interval under a typmod (-1 for none), whose fields
// give meaning to a number without unit.
func ParseInterval(s []byte, mod int32, env *Env) (Fixed16, error) {
	fields, _ := IntervalMod(mod)
	var v ivState
	e := readInterval(s, fields, env.orDefault().IntervalStyle, &v)
	if e == dtBadFormat {
		v = ivState{}
		e = readISOInterval(s, &v)
	}
	if e == dtFieldOverflow {
		e = dtIntervalOverflow
	}
	if e != dtOK {
		return Fixed16{}, e.error("interval", s, "")
	}
	r, ok := v.fixed()
	if !ok {
		if v.overflow {
			return r, dtIntervalOverflow.error("interval", s, "")
		}
		return r, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "interval out of range")
	}
	return FitInterval(r, mod)
}

func readInterval(s []byte, rng int, style IntervalStyle, v *ivState) dtErr {
	var buf [dtMaxLen]byte
	var mem [dtMaxFields]dtField
	text, fields, ok := dtLex(s, buf[:], mem[:])
	if !ok {
		return dtBadFormat
	}
	// In the SQL style a leading minus counts for all fields, unless another
	// field has a sign too.
	negAll := false
	if style == IntervalSQL && len(fields) > 0 && fields[0].in(text)[0] == '-' {
		negAll = true
		for _, f := range fields[1:] {
			if c := f.in(text)[0]; c == '-' || c == '+' {
				negAll = false
			}
		}
	}
	var seen, mask uint32
	ago := false
	unit := ivNone
	// Right to left, because units follow their numbers.
	for i := len(fields) - 1; i >= 0; i-- {
		f, kind := fields[i].in(text), fields[i].kind
		mask = 0
		if kind == dtTZ {
			if bytes.IndexByte(f[1:], ':') >= 0 {
				if us, e := intervalClock(f[1:], rng); e == dtOK {
					if f[0] == '-' {
						us = -us
					}
					v.add(&v.micros, us, 1)
					unit = ivDay
					mask = ivTimeMask
					kind = dtTime
				} else {
					kind = dtNumber
				}
			} else {
				kind = dtNumber
			}
		} else if kind == dtTime {
			us, e := intervalClock(f, rng)
			if e != dtOK {
				return e
			}
			if negAll && us > 0 {
				us = -us
			}
			v.add(&v.micros, us, 1)
			unit = ivDay
			mask = ivTimeMask
		}
		switch kind {
		case dtTime:
		case dtNumber, dtDate:
			if unit == ivNone {
				unit = lastUnit(rng)
			}
			n, frac, u, e := intervalNumber(f, unit)
			if e != dtOK {
				return e
			}
			unit = u
			if negAll {
				if n > 0 {
					n = -n
				}
				if frac > 0 {
					frac = -frac
				}
			}
			v.put(unit, n, frac)
			mask = 1 << unit
			if unit == ivSecond && frac != 0 {
				mask |= 1<<ivMillisecond | 1<<ivMicrosecond
			}
			if unit == ivHour {
				unit = ivDay
			}
		default:
			u, ok := ivWords[stringOf(f[:min(len(f), 10)])]
			if !ok {
				if w, ok := dtWords[stringOf(f)]; ok && w.kind == wordIgnore {
					continue
				}
				return dtBadFormat
			}
			if u == ivAgo {
				ago = true
				continue
			}
			unit = u
		}
		if mask&seen != 0 {
			return dtBadFormat
		}
		seen |= mask
	}
	if seen == 0 {
		return dtBadFormat
	}
	if v.overflow {
		return dtFieldOverflow
	}
	if ago {
		if v.micros == math.MinInt64 {
			return dtFieldOverflow
		}
		v.years, v.months, v.days, v.micros = -v.years, -v.months, -v.days, -v.micros
	}
	return dtOK
}

const ivTimeMask = 1<<ivHour | 1<<ivMinute | 1<<ivSecond | 1<<ivMillisecond | 1<<ivMicrosecond

// lastUnit is the unit of a bare number under a restricted typmod.
func lastUnit(rng int) ivUnit {
	switch rng {
	case IntervalYear:
		return ivYear
	case IntervalMonth, IntervalYear | IntervalMonth:
		return ivMonth
	case IntervalDay:
		return ivDay
	case IntervalHour, IntervalDay | IntervalHour:
		return ivHour
	case IntervalMinute, IntervalHour | IntervalMinute, IntervalDay | IntervalHour | IntervalMinute:
		return ivMinute
	}
	return ivSecond
}

// intervalNumber reads [±]n, [±]n.f or [±]years-months.
func intervalNumber(s []byte, unit ivUnit) (n int64, frac float64, u ivUnit, e dtErr) {
	t := s
	neg := t[0] == '-'
	if neg || t[0] == '+' {
		t = t[1:]
	}
	i := 0
	for i < len(t) && isDigit(t[i]) {
		i++
	}
	if i > 0 {
		signed := t[:i]
		if neg {
			signed = s[:i+1]
		}
		x, err := strconv.ParseInt(stringOf(signed), 10, 64)
		if err != nil {
			return 0, 0, unit, dtFieldOverflow
		}
		n = x
	}
	t = t[i:]
	switch {
	case len(t) == 0:
		return n, 0, unit, dtOK
	case t[0] == '-':
		m, k, ok := dtInt(t[1:])
		if !ok || m >= 12 {
			return 0, 0, unit, dtFieldOverflow
		}
		if 1+k != len(t) {
			return 0, 0, unit, dtBadFormat
		}
		if neg {
			m = -m
		}
		if n > math.MaxInt64/12-1 || n < math.MinInt64/12+1 {
			return 0, 0, unit, dtFieldOverflow
		}
		return n*12 + int64(m), 0, ivMonth, dtOK
	case t[0] == '.':
		if len(t) > 1 {
			for _, c := range t[1:] {
				if !isDigit(c) {
					return 0, 0, unit, dtBadFormat
				}
			}
			frac, _ = strconv.ParseFloat(stringOf(t), 64)
		}
		if neg {
			frac = -frac
		}
		return n, frac, unit, dtOK
	}
	return 0, 0, unit, dtBadFormat
}

// intervalClock reads h:m[:s[.f]] with any number of hours.
func intervalClock(s []byte, rng int) (int64, dtErr) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	h, err := strconv.ParseInt(stringOf(s[:i]), 10, 64)
	if err != nil && i > 0 {
		return 0, dtFieldOverflow
	}
	if i == len(s) || s[i] != ':' {
		return 0, dtBadFormat
	}
	s = s[i+1:]
	m, n, ok := dtInt(s)
	if !ok {
		return 0, dtFieldOverflow
	}
	s = s[n:]
	sec, us := 0, 0
	minuteToSecond := rng == IntervalMinute|IntervalSecond
	switch {
	case len(s) == 0:
		if minuteToSecond {
			h, m, sec = 0, int(h), m
		}
	case s[0] == '.':
		if us, ok = dtFraction(s); !ok {
			return 0, dtBadFormat
		}
		h, m, sec = 0, int(h), m
	case s[0] == ':':
		if sec, n, ok = dtInt(s[1:]); !ok {
			return 0, dtFieldOverflow
		}
		if s = s[1+n:]; len(s) > 0 {
			if us, ok = dtFraction(s); !ok {
				return 0, dtBadFormat
			}
		}
	default:
		return 0, dtBadFormat
	}
	if m < 0 || m > 59 || sec > 60 {
		return 0, dtFieldOverflow
	}
	var v ivState
	v.add(&v.micros, h, MicrosPerHour)
	v.add(&v.micros, int64(m*60+sec)*MicrosPerSecond+int64(us), 1)
	if v.overflow {
		return 0, dtFieldOverflow
	}
	return v.micros, dtOK
}

// FitInterval applies an interval's typmod: fields below the last one declared
// are cut off, seconds are rounded.
func FitInterval(v Fixed16, mod int32) (Fixed16, error) {
	if mod < 0 {
		return v, nil
	}
	fields, prec := IntervalMod(mod)
	months, days, us := v.IntervalParts()
	switch fields {
	case IntervalYear:
		months, days, us = months/12*12, 0, 0
	case IntervalMonth, IntervalYear | IntervalMonth:
		days, us = 0, 0
	case IntervalDay:
		us = 0
	case IntervalHour, IntervalDay | IntervalHour:
		us = us / MicrosPerHour * MicrosPerHour
	case IntervalMinute, IntervalHour | IntervalMinute, IntervalDay | IntervalHour | IntervalMinute:
		us = us / MicrosPerMinute * MicrosPerMinute
	}
	if prec >= 0 {
		us = roundMicros(us, int32(prec))
	}
	return MakeInterval(months, days, us), nil
}

// IntervalSpan is an interval's length in µs for comparisons: months have 30
// days, days 24 hours.
func IntervalSpan(v Fixed16) Int128 {
	months, days, us := v.IntervalParts()
	return MulInt64s(int64(months)*30+int64(days), MicrosPerDay).AddWrap(I128(us))
}
