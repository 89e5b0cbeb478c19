package types

import "math"

// Units of time in microseconds, and the limits of dates and timestamps.
const (
	MicrosPerSecond = 1_000_000
	MicrosPerMinute = 60 * MicrosPerSecond
	MicrosPerHour   = 60 * MicrosPerMinute
	MicrosPerDay    = 24 * MicrosPerHour

	// UnixEpochDays is 1970-01-01 as a date: days before 2000-01-01.
	UnixEpochDays = -10957
	// UnixEpochMicros is the same as a timestamp.
	UnixEpochMicros = UnixEpochDays * MicrosPerDay

	epochJulian = 2451545 // Julian day of 2000-01-01

	// MinDate and MaxDate bound the finite dates: 4714-11-24 BC to 5874897-12-31.
	MinDate = -epochJulian
	MaxDate = 2147483493 - epochJulian
	// MinTimestamp and EndTimestamp bound the finite timestamps: from
	// 4714-11-24 BC up to, not including, 294277-01-01.
	MinTimestamp = -211813488000000000
	EndTimestamp = 9223371331200000000
)

// civil is a broken-down date and time without zone. Year 0 is 1 BC.
type civil struct {
	year, month, day     int
	hour, min, sec, usec int
}

// julianDay is the Julian day number of a Gregorian date.
func julianDay(y, m, d int) int {
	if m > 2 {
		m++
		y += 4800
	} else {
		m += 13
		y += 4799
	}
	c := y / 100
	return y*365 - 32167 + y/4 - c + c/4 + 7834*m/256 + d
}

// DateOf is the date of a civil year (0 is 1 BC), month and day.
func DateOf(y, m, d int) int { return julianDay(y, m, d) - epochJulian }

// CivilDate is the inverse of DateOf.
func CivilDate(date int) (y, m, d int) {
	// Days since 0000-03-01 in 400-year eras.
	z := int64(date) + 730425
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := uint32(z - era*146097)
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = int(doy-(153*mp+2)/5) + 1
	m = int(mp) + 3
	y = int(era)*400 + int(yoe)
	if m > 12 {
		m -= 12
		y++
	}
	return y, m, d
}

// validJulian says whether julianDay can be computed for this year and month.
func validJulian(y, m int) bool {
	return (y > -4713 || y == -4713 && m >= 11) && (y < 5874898 || y == 5874898 && m < 6)
}

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

var monthDays = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// DaysInMonth is the length of a month.
func DaysInMonth(y, m int) int {
	if m == 2 && leap(y) {
		return 29
	}
	return monthDays[m]
}

// splitMicros takes a timestamp (finite) apart into a date and µs of day.
func splitMicros(ts int64) (date int, micros int64) {
	d := ts / MicrosPerDay
	r := ts % MicrosPerDay
	if r < 0 {
		d--
		r += MicrosPerDay
	}
	return int(d), r
}

func civilOf(ts int64) (c civil) {
	d, us := splitMicros(ts)
	c.year, c.month, c.day = CivilDate(d)
	c.setClock(us)
	return c
}

func (c *civil) setClock(us int64) {
	c.hour = int(us / MicrosPerHour)
	us -= int64(c.hour) * MicrosPerHour
	c.min = int(us / MicrosPerMinute)
	us -= int64(c.min) * MicrosPerMinute
	c.sec = int(us / MicrosPerSecond)
	c.usec = int(us - int64(c.sec)*MicrosPerSecond)
}

// clock is the µs of day.
func (c *civil) clock() int64 {
	return ((int64(c.hour)*60+int64(c.min))*60+int64(c.sec))*MicrosPerSecond + int64(c.usec)
}

// micros is the timestamp; ok is false when it is out of range.
func (c *civil) micros() (ts int64, ok bool) {
	if !validJulian(c.year, c.month) {
		return 0, false
	}
	d := int64(DateOf(c.year, c.month, c.day))
	if d > EndTimestamp/MicrosPerDay+1 || d < MinTimestamp/MicrosPerDay-1 {
		return 0, false
	}
	ts = d*MicrosPerDay + c.clock() // may wrap just at the end
	if ts < 0 && d > 0 {
		return 0, false
	}
	return ts, true
}

// ValidTimestamp says whether ts is finite and in range.
func ValidTimestamp(ts int64) bool { return ts >= MinTimestamp && ts < EndTimestamp }

// ValidDate says whether d is finite and in range.
func ValidDate(d int64) bool { return d >= MinDate && d <= MaxDate }

// roundMicros rounds a time to a typmod of 0..6 digits, half away from zero.
func roundMicros(us int64, mod int32) int64 {
	if mod < 0 || mod >= 6 || us == math.MaxInt64 || us == math.MinInt64 {
		return us
	}
	unit := Pow10I64[6-mod]
	if us >= 0 {
		return (us + unit/2) / unit * unit
	}
	return -((-us + unit/2) / unit * unit)
}

// FitTime, FitTimestamp apply a precision typmod.
func FitTime(us int64, mod int32) int64 { return roundMicros(us, mod) }

// FitTimestamp rounds a timestamp to a precision typmod.
func FitTimestamp(ts int64, mod int32) int64 { return roundMicros(ts, mod) }
