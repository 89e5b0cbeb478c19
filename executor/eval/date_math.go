package eval

import (
	"math"
	"math/bits"

	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

const (
	usecPerDay  = types.MicrosPerDay
	usecPerHour = types.MicrosPerHour
	usecPerMin  = types.MicrosPerMinute
	usecPerSec  = types.MicrosPerSecond
)

func dateOutOfRange() error {
	return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date out of range")
}

func intervalOutOfRange() error {
	return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "interval out of range")
}

func infiniteDate(d int32) bool { return d == types.DateInfinity || d == types.DateNegInfinity }

func infiniteTime(t int64) bool {
	return t == types.TimestampInfinity || t == types.TimestampNegInfinity
}

// splitDay is the day of a timestamp and the µs in it.
func splitDay(ts int64) (day, micros int64) {
	day = ts / usecPerDay
	micros = ts - day*usecPerDay
	if micros < 0 {
		micros += usecPerDay
		day--
	}
	return day, micros
}

// dateToTimestamp is midnight of a date.
func dateToTimestamp(d int32) (int64, error) {
	switch {
	case d == types.DateInfinity:
		return types.TimestampInfinity, nil
	case d == types.DateNegInfinity:
		return types.TimestampNegInfinity, nil
	case int64(d) >= types.EndTimestamp/usecPerDay:
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date out of range for timestamp")
	}
	return int64(d) * usecPerDay, nil
}

// dateToTimestamptz is local midnight of a date.
func dateToTimestamptz(d int32, loc *time.Location) (int64, error) {
	ts, err := dateToTimestamp(d)
	if err != nil || infiniteTime(ts) {
		return ts, err
	}
	ts = types.ToUTC(ts, loc)
	if !types.ValidTimestamp(ts) {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date out of range for timestamp")
	}
	return ts, nil
}

// timestampToDate is the day of a timestamp.
func timestampToDate(ts int64) int32 {
	switch ts {
	case types.TimestampInfinity:
		return types.DateInfinity
	case types.TimestampNegInfinity:
		return types.DateNegInfinity
	}
	d, _ := splitDay(ts)
	return int32(d)
}

// addMonths moves a day by months, to the last day of a shorter month.
func addMonths(day int64, months int64) (int64, bool) {
	y, m, d := types.CivilDate(int(day))
	t := int64(y)*12 + int64(m-1) + months
	yy := t / 12
	mm := t % 12
	if mm < 0 {
		mm += 12
		yy--
	}
	if yy < -4713 || yy > 5874898 {
		return 0, false
	}
	if n := types.DaysInMonth(int(yy), int(mm)+1); d > n {
		d = n
	}
	return int64(types.DateOf(int(yy), int(mm)+1, d)), true
}

// addInterval adds an interval to a timestamp without time zone.
func addInterval(ts int64, iv types.Fixed16) (int64, error) {
	if infiniteTime(ts) {
		return ts, nil
	}
	months, days, micros := iv.IntervalParts()
	if months != 0 || days != 0 {
		day, rest := splitDay(ts)
		if months != 0 {
			var ok bool
			if day, ok = addMonths(day, int64(months)); !ok {
				return 0, timestampOutOfRange()
			}
		}
		day += int64(days)
		if day < types.MinTimestamp/usecPerDay-1 || day > types.EndTimestamp/usecPerDay {
			return 0, timestampOutOfRange()
		}
		ts = day*usecPerDay + rest
		if !types.ValidTimestamp(ts) {
			return 0, timestampOutOfRange()
		}
	}
	r, err := addChecked(ts, micros)
	if err != nil || !types.ValidTimestamp(r) {
		return 0, timestampOutOfRange()
	}
	return r, nil
}

// addIntervalTz is addInterval in local time: months and days there, time of day
// in real time.
func addIntervalTz(ts int64, iv types.Fixed16, loc *time.Location) (int64, error) {
	if infiniteTime(ts) {
		return ts, nil
	}
	months, days, micros := iv.IntervalParts()
	if months != 0 || days != 0 {
		local, err := addInterval(types.ToLocal(ts, loc), types.MakeInterval(months, 0, 0))
		if err != nil {
			return 0, err
		}
		if days != 0 {
			if months != 0 {
				local = types.ToLocal(types.ToUTC(local, loc), loc)
			}
			if local, err = addInterval(local, types.MakeInterval(0, days, 0)); err != nil {
				return 0, err
			}
		}
		ts = types.ToUTC(local, loc)
		if !types.ValidTimestamp(ts) {
			return 0, timestampOutOfRange()
		}
	}
	r, err := addChecked(ts, micros)
	if err != nil || !types.ValidTimestamp(r) {
		return 0, timestampOutOfRange()
	}
	return r, nil
}

// negInterval is -iv.
func negInterval(iv types.Fixed16) (types.Fixed16, error) {
	months, days, micros := iv.IntervalParts()
	if months == math.MinInt32 || days == math.MinInt32 || micros == math.MinInt64 {
		return iv, intervalOutOfRange()
	}
	return types.MakeInterval(-months, -days, -micros), nil
}

// sumInterval adds or subtracts two intervals.
func sumInterval(a, b types.Fixed16, sign int64) (types.Fixed16, error) {
	am, ad, au := a.IntervalParts()
	bm, bd, bu := b.IntervalParts()
	m, d := int64(am)+sign*int64(bm), int64(ad)+sign*int64(bd)
	if m != int64(int32(m)) || d != int64(int32(d)) {
		return a, intervalOutOfRange()
	}
	var u int64
	var err error
	if sign > 0 {
		u, err = addChecked(au, bu)
	} else {
		u = au - bu
		if (au^bu)&(au^u) < 0 {
			err = intervalOutOfRange()
		}
	}
	if err != nil {
		return a, intervalOutOfRange()
	}
	return types.MakeInterval(int32(m), int32(d), u), nil
}

// scaleInterval multiplies an interval; what is left of a month goes to days, of a
// day to time.
func scaleInterval(iv types.Fixed16, mul func(float64) float64) (types.Fixed16, error) {
	months, days, micros := iv.IntervalParts()
	fm, fd := mul(float64(months)), mul(float64(days))
	if !fits32(fm) || !fits32(fd) {
		return iv, intervalOutOfRange()
	}
	m, d := int32(fm), int32(fd)
	remDays := round6((fm - float64(m)) * 30)
	remSecs := round6((fd - float64(d) + remDays - math.Trunc(remDays)) * 86400)
	if math.Abs(remSecs) >= 86400 {
		d += int32(remSecs / 86400)
		remSecs -= math.Trunc(remSecs/86400) * 86400
	}
	d += int32(remDays)
	u := math.RoundToEven(mul(float64(micros)) + remSecs*usecPerSec)
	if !(u >= math.MinInt64 && u < -math.MinInt64) {
		return iv, intervalOutOfRange()
	}
	return types.MakeInterval(m, d, int64(u)), nil
}

func fits32(f float64) bool { return f >= math.MinInt32 && f < math.MaxInt32+1 }

func round6(f float64) float64 { return math.RoundToEven(f*1e6) / 1e6 }

// subTimestamps is a - b in days and time.
func subTimestamps(a, b int64) (types.Fixed16, error) {
	if infiniteTime(a) || infiniteTime(b) {
		return types.Fixed16{}, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "cannot subtract infinite timestamps")
	}
	d := a - b
	if (a^b)&(a^d) < 0 {
		return types.Fixed16{}, intervalOutOfRange()
	}
	return types.MakeInterval(0, int32(d/usecPerDay), d%usecPerDay), nil
}

// age is the difference in years, months, days and time by the calendar.
func age(a, b int64) (types.Fixed16, error) {
	if infiniteTime(a) || infiniteTime(b) {
		return types.Fixed16{}, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range")
	}
	da, ua := splitDay(a)
	db, ub := splitDay(b)
	ya, ma, dda := types.CivilDate(int(da))
	yb, mb, ddb := types.CivilDate(int(db))
	sign := 1
	if a < b {
		sign = -1
	}
	years, months, days, micros := sign*(ya-yb), sign*(ma-mb), sign*(dda-ddb), int64(sign)*(ua-ub)
	if micros < 0 {
		micros += usecPerDay
		days--
	}
	for days < 0 {
		// The length of the earlier date's month.
		if a < b {
			days += types.DaysInMonth(ya, ma)
		} else {
			days += types.DaysInMonth(yb, mb)
		}
		months--
	}
	for months < 0 {
		months += 12
		years--
	}
	return types.MakeInterval(int32(sign*(years*12+months)), int32(sign*days), int64(sign)*micros), nil
}

// justifyHours moves whole days of time to days, justifyDays 30 days to months.
func justifyHours(iv types.Fixed16) (types.Fixed16, error) {
	m, d, u := iv.IntervalParts()
	whole := u / usecPerDay
	u -= whole * usecPerDay
	nd := int64(d) + whole
	if nd > 0 && u < 0 {
		u += usecPerDay
		nd--
	} else if nd < 0 && u > 0 {
		u -= usecPerDay
		nd++
	}
	if nd != int64(int32(nd)) {
		return iv, intervalOutOfRange()
	}
	return types.MakeInterval(m, int32(nd), u), nil
}

func justifyDays(iv types.Fixed16) (types.Fixed16, error) {
	m, d, u := iv.IntervalParts()
	whole := d / 30
	d -= whole * 30
	nm := int64(m) + int64(whole)
	if nm > 0 && d < 0 {
		d += 30
		nm--
	} else if nm < 0 && d > 0 {
		d -= 30
		nm++
	}
	if nm != int64(int32(nm)) {
		return iv, intervalOutOfRange()
	}
	return types.MakeInterval(int32(nm), d, u), nil
}

// justifyInterval does both, with one sign for all parts.
func justifyInterval(iv types.Fixed16) (types.Fixed16, error) {
	m0, d0, u := iv.IntervalParts()
	m, d := int64(m0), int64(d0)
	whole := u / usecPerDay
	u -= whole * usecPerDay
	d += whole
	m += d / 30
	d -= d / 30 * 30
	if m > 0 && (d < 0 || d == 0 && u < 0) {
		d += 30
		m--
	} else if m < 0 && (d > 0 || d == 0 && u > 0) {
		d -= 30
		m++
	}
	if d > 0 && u < 0 {
		u += usecPerDay
		d--
	} else if d < 0 && u > 0 {
		u -= usecPerDay
		d++
	}
	if m != int64(int32(m)) || d != int64(int32(d)) {
		return iv, intervalOutOfRange()
	}
	return types.MakeInterval(int32(m), int32(d), u), nil
}

// dateBin is the start of the stride that holds ts, counted from origin.
func dateBin(iv types.Fixed16, ts, origin int64) (int64, error) {
	if infiniteTime(ts) {
		return ts, nil
	}
	if infiniteTime(origin) {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "origin out of range")
	}
	months, days, micros := iv.IntervalParts()
	if months != 0 {
		return 0, sqlstate.Errorf(sqlstate.FeatureNotSupported, "timestamps cannot be binned into intervals containing months or years")
	}
	hi, lo := bits.Mul64(uint64(int64(days)), usecPerDay)
	if days < 0 {
		hi -= usecPerDay
	}
	stride := int64(lo)
	if int64(hi) != stride>>63 {
		return 0, intervalOutOfRange()
	}
	stride, err := addChecked(stride, micros)
	if err != nil {
		return 0, intervalOutOfRange()
	}
	if stride <= 0 {
		return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "stride must be greater than zero")
	}
	diff := ts - origin
	if (ts^origin)&(ts^diff) < 0 {
		return 0, intervalOutOfRange()
	}
	m := diff % stride
	r := ts - m
	if m < 0 {
		r -= stride
	}
	if !types.ValidTimestamp(r) {
		return 0, timestampOutOfRange()
	}
	return r, nil
}
