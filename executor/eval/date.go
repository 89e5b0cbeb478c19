package eval

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec/kernel"
)

func zoneOf(pc *prepareContext) *time.Location { return pc.env.session().zone() }

// inZone makes the loop of a function that needs the session's time zone.
func inZone(f func(loc *time.Location) Loop) func(*prepareContext) (Loop, error) {
	return func(pc *prepareContext) (Loop, error) { return f(zoneOf(pc)), nil }
}

func init() {
	initDateArith()
	initDateCasts()
	initDateCompare()
	initDateMake()
	initZones()
}

func initDateArith() {
	reg("date_mi", impl{cost: 1, dense: true, loop: func(c *Call) error {
		a, b, out := c.Args[0].I32, c.Args[1].I32, c.Out.I32
		inf := false
		do := func(i int) {
			x, y := a[i&c.mask[0]], b[i&c.mask[1]]
			inf = inf || infiniteDate(x) || infiniteDate(y)
			out[i] = x - y
		}
		if c.Dense {
			for i := 0; i < c.N; i++ {
				do(i)
			}
		} else {
			for _, i := range c.Sel {
				do(int(i))
			}
		}
		if inf && c.firstFailing(func(i int) bool { return infiniteDate(c.I32(0, i)) || infiniteDate(c.I32(1, i)) }) >= 0 {
			return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "cannot subtract infinite dates")
		}
		return nil
	}})
	addDays := func(d, n int32) (int32, error) {
		if infiniteDate(d) {
			return d, nil
		}
		r := int64(d) + int64(n)
		if !types.ValidDate(r) {
			return 0, dateOutOfRange()
		}
		return int32(r), nil
	}
	reg("date_pli", impl{cost: 2, loop: try2(addDays)})
	reg("integer_pl_date", impl{cost: 2, loop: try2(func(n, d int32) (int32, error) { return addDays(d, n) })})
	reg("date_mii", impl{cost: 2, loop: try2(func(d, n int32) (int32, error) {
		if n == math.MinInt32 {
			return 0, dateOutOfRange()
		}
		return addDays(d, -n)
	})})
	datePlus := func(d int32, iv types.Fixed16, neg bool) (int64, error) {
		ts, err := dateToTimestamp(d)
		if err == nil && neg {
			iv, err = negInterval(iv)
		}
		if err != nil {
			return 0, err
		}
		return addInterval(ts, iv)
	}
	reg("date_pl_interval", impl{loop: try2(func(d int32, iv types.Fixed16) (int64, error) { return datePlus(d, iv, false) })})
	reg("interval_pl_date", impl{loop: try2(func(iv types.Fixed16, d int32) (int64, error) { return datePlus(d, iv, false) })})
	reg("date_mi_interval", impl{loop: try2(func(d int32, iv types.Fixed16) (int64, error) { return datePlus(d, iv, true) })})
	reg("timestamp_pl_interval", impl{loop: try2(addInterval)})
	reg("interval_pl_timestamp", impl{loop: try2(func(iv types.Fixed16, ts int64) (int64, error) { return addInterval(ts, iv) })})
	reg("timestamp_mi_interval", impl{loop: try2(func(ts int64, iv types.Fixed16) (int64, error) {
		iv, err := negInterval(iv)
		if err != nil {
			return 0, err
		}
		return addInterval(ts, iv)
	})})
	tzPlus := func(neg bool) func(loc *time.Location) Loop {
		return func(loc *time.Location) Loop {
			return try2(func(ts int64, iv types.Fixed16) (int64, error) {
				if neg {
					var err error
					if iv, err = negInterval(iv); err != nil {
						return 0, err
					}
				}
				return addIntervalTz(ts, iv, loc)
			})
		}
	}
	reg("timestamptz_pl_interval", impl{prepare: inZone(tzPlus(false))})
	reg("timestamptz_mi_interval", impl{prepare: inZone(tzPlus(true))})
	reg("date_add(timestamptz,interval)", impl{prepare: inZone(tzPlus(false))})
	reg("date_subtract(timestamptz,interval)", impl{prepare: inZone(tzPlus(true))})
	reg("interval_pl_timestamptz", impl{prepare: inZone(func(loc *time.Location) Loop {
		return try2(func(iv types.Fixed16, ts int64) (int64, error) { return addIntervalTz(ts, iv, loc) })
	})})
	for _, neg := range []bool{false, true} {
		name := "date_add"
		if neg {
			name = "date_subtract"
		}
		reg(name+"(timestamptz,interval,text)", impl{prepare: func(*prepareContext) (Loop, error) {
			var z zoneCache
			return each(func(c *Call, i int) error {
				loc, err := z.find(c.Bytes(2, i))
				iv := c.Fix(1, i)
				if err == nil && neg {
					iv, err = negInterval(iv)
				}
				if err == nil {
					c.Out.I64[i], err = addIntervalTz(c.I64(0, i), iv, loc)
				}
				return err
			}), nil
		}})
	}
	reg("timestamp_mi", impl{cost: 3, loop: try2(subTimestamps)})
	reg("timestamptz_mi", impl{cost: 3, loop: try2(subTimestamps)})
	reg("age(timestamp,timestamp)", impl{loop: try2(age)})
	reg("age(timestamptz,timestamptz)", impl{prepare: inZone(func(loc *time.Location) Loop {
		return try2(func(a, b int64) (types.Fixed16, error) { return age(types.ToLocal(a, loc), types.ToLocal(b, loc)) })
	})})
	today := func(pc *prepareContext) int64 {
		s := pc.env.session()
		return floorTo(types.ToLocal(s.Now, s.zone()), usecPerDay)
	}
	reg("age(timestamp)", impl{prepare: func(pc *prepareContext) (Loop, error) {
		t := today(pc)
		return try1(func(b int64) (types.Fixed16, error) { return age(t, b) }), nil
	}})
	reg("age(timestamptz)", impl{prepare: func(pc *prepareContext) (Loop, error) {
		t, loc := today(pc), zoneOf(pc)
		return try1(func(b int64) (types.Fixed16, error) { return age(t, types.ToLocal(b, loc)) }), nil
	}})

	reg("interval_pl", impl{loop: try2(func(a, b types.Fixed16) (types.Fixed16, error) { return sumInterval(a, b, 1) })})
	reg("interval_mi", impl{loop: try2(func(a, b types.Fixed16) (types.Fixed16, error) { return sumInterval(a, b, -1) })})
	reg("interval_um", impl{loop: try1(negInterval)})
	mul := func(iv types.Fixed16, f float64) (types.Fixed16, error) {
		return scaleInterval(iv, func(x float64) float64 { return x * f })
	}
	reg("interval_mul", impl{loop: try2(mul)})
	reg("mul_d_interval", impl{loop: try2(func(f float64, iv types.Fixed16) (types.Fixed16, error) { return mul(iv, f) })})
	reg("interval_div", impl{loop: try2(func(iv types.Fixed16, f float64) (types.Fixed16, error) {
		if f == 0 {
			return iv, divisionByZero()
		}
		return scaleInterval(iv, func(x float64) float64 { return x / f })
	})})
	for _, w := range []struct {
		name string
		want int
	}{{"interval_larger", 1}, {"interval_smaller", -1}} {
		reg(w.name, impl{loop: map2(func(a, b types.Fixed16) types.Fixed16 {
			if types.CompareFixed16(types.IntervalOID, a, b) == w.want {
				return a
			}
			return b
		})})
	}
	reg("justify_hours", impl{loop: try1(justifyHours)})
	reg("justify_days", impl{loop: try1(justifyDays)})
	reg("justify_interval", impl{loop: try1(justifyInterval)})
	reg("date_bin(interval,timestamp,timestamp)", impl{loop: each(binRow)})
	reg("date_bin(interval,timestamptz,timestamptz)", impl{loop: each(binRow)})

	// Times of day.
	wrap := func(us int64) int64 { return floorMod(us, usecPerDay) }
	reg("time_mi_time", impl{loop: map2(func(a, b int64) types.Fixed16 { return types.MakeInterval(0, 0, a-b) })})
	reg("time_pl_interval", impl{loop: map2(func(t int64, iv types.Fixed16) int64 { return wrap(t + iv.A%usecPerDay) })})
	reg("interval_pl_time", impl{loop: map2(func(iv types.Fixed16, t int64) int64 { return wrap(t + iv.A%usecPerDay) })})
	reg("time_mi_interval", impl{loop: map2(func(t int64, iv types.Fixed16) int64 { return wrap(t - iv.A%usecPerDay) })})
	reg("timetz_pl_interval", impl{loop: map2(func(t, iv types.Fixed16) types.Fixed16 {
		return types.Fixed16{A: wrap(t.A + iv.A%usecPerDay), B: t.B}
	})})
	reg("interval_pl_timetz", impl{loop: map2(func(iv, t types.Fixed16) types.Fixed16 {
		return types.Fixed16{A: wrap(t.A + iv.A%usecPerDay), B: t.B}
	})})
	reg("timetz_mi_interval", impl{loop: map2(func(t, iv types.Fixed16) types.Fixed16 {
		return types.Fixed16{A: wrap(t.A - iv.A%usecPerDay), B: t.B}
	})})
	plusTime := func(d int32, t int64) (int64, error) {
		ts, err := dateToTimestamp(d)
		if err != nil || infiniteTime(ts) {
			return ts, err
		}
		if ts += t; !types.ValidTimestamp(ts) {
			return 0, timestampOutOfRange()
		}
		return ts, nil
	}
	reg("datetime_pl", impl{loop: try2(plusTime)})
	reg("timestamp(date,time)", impl{loop: try2(plusTime)})
	reg("timedate_pl", impl{loop: try2(func(t int64, d int32) (int64, error) { return plusTime(d, t) })})
	reg("timestamptz(date,time)", impl{prepare: inZone(func(loc *time.Location) Loop {
		return try2(func(d int32, t int64) (int64, error) {
			ts, err := plusTime(d, t)
			return types.ToUTC(ts, loc), err
		})
	})})
	plusTimetz := func(d int32, t types.Fixed16) (int64, error) {
		ts, err := plusTime(d, t.A)
		if err != nil || infiniteTime(ts) {
			return ts, err
		}
		return ts + t.B*usecPerSec, nil
	}
	reg("datetimetz_pl", impl{loop: try2(plusTimetz)})
	reg("timestamptz(date,timetz)", impl{loop: try2(plusTimetz)})
	reg("timetzdate_pl", impl{loop: try2(func(t types.Fixed16, d int32) (int64, error) { return plusTimetz(d, t) })})

	// isfinite.
	reg("isfinite(date)", impl{cost: 2, loop: total(func(c *Call, i int) { c.RetBool(i, !infiniteDate(c.I32(0, i))) })})
	reg("isfinite(timestamp)", impl{cost: 2, loop: total(func(c *Call, i int) { c.RetBool(i, !infiniteTime(c.I64(0, i))) })})
	reg("isfinite(timestamptz)", impl{cost: 2, loop: total(func(c *Call, i int) { c.RetBool(i, !infiniteTime(c.I64(0, i))) })})
	reg("isfinite(interval)", impl{cost: 2, loop: total(func(c *Call, i int) { c.RetBool(i, true) })})

	for _, t := range []string{"date", "time", "timestamp", "timestamptz"} {
		if t == "date" {
			reg("date_larger", impl{dense: true, cost: 1, loop: map2(func(a, b int32) int32 { return max(a, b) })})
			reg("date_smaller", impl{dense: true, cost: 1, loop: map2(func(a, b int32) int32 { return min(a, b) })})
			continue
		}
		reg(t+"_larger", impl{dense: true, cost: 1, loop: map2(func(a, b int64) int64 { return max(a, b) })})
		reg(t+"_smaller", impl{dense: true, cost: 1, loop: map2(func(a, b int64) int64 { return min(a, b) })})
	}
}

func binRow(c *Call, i int) (err error) {
	c.Out.I64[i], err = dateBin(c.Fix(0, i), c.I64(1, i), c.I64(2, i))
	return err
}

func floorMod(v, unit int64) int64 {
	r := v % unit
	if r < 0 {
		r += unit
	}
	return r
}

func initDateCasts() {
	reg("timestamp(date)", impl{cost: 2, loop: try1(dateToTimestamp)})
	reg("timestamptz(date)", impl{cost: 5, prepare: inZone(func(loc *time.Location) Loop {
		return try1(func(d int32) (int64, error) { return dateToTimestamptz(d, loc) })
	})})
	reg("date(timestamp)", impl{cost: 2, loop: map1(timestampToDate)})
	reg("date(timestamptz)", impl{cost: 5, prepare: inZone(func(loc *time.Location) Loop {
		return map1(func(ts int64) int32 { return timestampToDate(types.ToLocal(ts, loc)) })
	})})
	reg("timestamp(timestamptz)", impl{cost: 5, prepare: inZone(func(loc *time.Location) Loop {
		return map1(func(ts int64) int64 { return types.ToLocal(ts, loc) })
	})})
	reg("timestamptz(timestamp)", impl{cost: 5, prepare: inZone(func(loc *time.Location) Loop {
		return try1(func(ts int64) (int64, error) {
			r := types.ToUTC(ts, loc)
			if !infiniteTime(r) && !types.ValidTimestamp(r) {
				return 0, timestampOutOfRange()
			}
			return r, nil
		})
	})})
	reg("time(timestamp)", impl{cost: 3, loop: total(func(c *Call, i int) { c.retClock(i, c.I64(0, i)) })})
	reg("time(timestamptz)", impl{cost: 5, prepare: inZone(func(loc *time.Location) Loop {
		return total(func(c *Call, i int) { c.retClock(i, types.ToLocal(c.I64(0, i), loc)) })
	})})
	reg("time(interval)", impl{loop: map1(func(iv types.Fixed16) int64 { return floorMod(iv.A, usecPerDay) })})
	reg("interval(time)", impl{loop: map1(func(t int64) types.Fixed16 { return types.MakeInterval(0, 0, t) })})
	reg("time(timetz)", impl{loop: map1(func(t types.Fixed16) int64 { return t.A })})
	reg("timetz(time)", impl{prepare: func(pc *prepareContext) (Loop, error) {
		s := pc.env.session()
		west := -int64(types.ZoneOffset(s.zone(), s.Now))
		return map1(func(t int64) types.Fixed16 { return types.Fixed16{A: t, B: west} }), nil
	}})
	reg("timetz(timestamptz)", impl{prepare: inZone(func(loc *time.Location) Loop {
		return total(func(c *Call, i int) {
			ts := c.I64(0, i)
			if infiniteTime(ts) {
				c.SetNull(i)
				return
			}
			_, us := splitDay(types.ToLocal(ts, loc))
			c.Out.Fix[i] = types.Fixed16{A: us, B: -int64(types.ZoneOffset(loc, ts))}
		})
	})})
	for _, t := range []string{"timestamp", "timestamptz"} {
		reg(t+"("+t+",int4)", impl{loop: try2(func(ts int64, p int32) (int64, error) { return types.FitTimestamp(ts, p), nil })})
	}
	reg("time(time,int4)", impl{loop: map2(func(t int64, p int32) int64 { return types.FitTime(t, p) })})
	reg("timetz(timetz,int4)", impl{loop: map2(func(t types.Fixed16, p int32) types.Fixed16 { return types.Fixed16{A: types.FitTime(t.A, p), B: t.B} })})
	reg("interval(interval,int4)", impl{loop: try2(func(iv types.Fixed16, m int32) (types.Fixed16, error) { return types.FitInterval(iv, m) })})
}

// retClock sets row i to the time of day of a timestamp; an infinite one has none.
func (c *Call) retClock(i int, ts int64) {
	if infiniteTime(ts) {
		c.SetNull(i)
		return
	}
	_, c.Out.I64[i] = splitDay(ts)
}

func initDateCompare() {
	// Between dates and timestamps: a date beyond the timestamps is just above them.
	widen := func(d int32) int64 {
		ts, err := dateToTimestamp(d)
		if err != nil {
			return types.EndTimestamp
		}
		return ts
	}
	family("date_", "_timestamp", func(op kernel.Op) impl {
		return impl{cost: 2, loop: cmpBy(op, func(c *Call, i int) int { return compareOrdered(widen(c.I32(0, i)), c.I64(1, i)) })}
	})
	family("timestamp_", "_date", func(op kernel.Op) impl {
		return impl{cost: 2, loop: cmpBy(op, func(c *Call, i int) int { return compareOrdered(c.I64(0, i), widen(c.I32(1, i))) })}
	})
	zoned := func(cmp func(c *Call, i int, loc *time.Location) int) func(op kernel.Op) impl {
		return func(op kernel.Op) impl {
			return impl{cost: 5, prepare: inZone(func(loc *time.Location) Loop {
				return cmpBy(op, func(c *Call, i int) int { return cmp(c, i, loc) })
			})}
		}
	}
	family("date_", "_timestamptz", zoned(func(c *Call, i int, loc *time.Location) int {
		return compareOrdered(types.ToUTC(widen(c.I32(0, i)), loc), c.I64(1, i))
	}))
	family("timestamptz_", "_date", zoned(func(c *Call, i int, loc *time.Location) int {
		return compareOrdered(c.I64(0, i), types.ToUTC(widen(c.I32(1, i)), loc))
	}))
	family("timestamp_", "_timestamptz", zoned(func(c *Call, i int, loc *time.Location) int {
		return compareOrdered(types.ToUTC(c.I64(0, i), loc), c.I64(1, i))
	}))
	family("timestamptz_", "_timestamp", zoned(func(c *Call, i int, loc *time.Location) int {
		return compareOrdered(c.I64(0, i), types.ToUTC(c.I64(1, i), loc))
	}))
	for _, t := range []struct {
		name string
		oid  uint32
	}{{"interval_", types.IntervalOID}, {"timetz_", types.TimetzOID}} {
		family(t.name, "", func(op kernel.Op) impl {
			return impl{cost: 3, loop: cmpBy(op, func(c *Call, i int) int { return types.CompareFixed16(t.oid, c.Fix(0, i), c.Fix(1, i)) })}
		})
	}
}

func initDateMake() {
	now := func(f func(s *Session) int64) impl {
		return impl{cost: 1, loop: func(c *Call) error {
			t := f(c.Env.session())
			for i := range c.Out.I64[:c.N] {
				c.Out.I64[i] = t
			}
			return nil
		}}
	}
	reg("now", now(func(s *Session) int64 { return s.Now }))
	reg("transaction_timestamp", now(func(s *Session) int64 { return s.Now }))
	reg("statement_timestamp", now(func(s *Session) int64 { return s.StatementTime }))
	reg("clock_timestamp", impl{cost: 20, loop: total(func(c *Call, i int) { c.Out.I64[i] = c.Env.session().clock() })})
	reg("timeofday", impl{loop: total(func(c *Call, i int) {
		s := c.Env.session()
		t := time.UnixMicro(s.clock() - types.UnixEpochMicros).In(s.zone())
		c.RetBytes(i, []byte(t.Format("Mon Jan 02 15:04:05.000000 2006 MST")))
	})})
	reg("to_timestamp(float8)", impl{loop: try1(func(v float64) (int64, error) {
		switch {
		case v != v:
			return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp cannot be NaN")
		case math.IsInf(v, 1):
			return types.TimestampInfinity, nil
		case math.IsInf(v, -1):
			return types.TimestampNegInfinity, nil
		}
		us := math.RoundToEven((v + types.UnixEpochDays*86400) * usecPerSec)
		if !(us >= types.MinTimestamp && us < types.EndTimestamp) {
			return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range: \"%g\"", v)
		}
		return int64(us), nil
	})})
	reg("make_date", impl{loop: each(func(c *Call, i int) error {
		y, m, d := c.I32(0, i), c.I32(1, i), c.I32(2, i)
		day, ok := makeDate(y, m, d)
		if !ok {
			return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date field value out of range: %d-%02d-%02d", y, m, d)
		}
		if !types.ValidDate(day) {
			return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date out of range: %d-%02d-%02d", y, m, d)
		}
		c.Out.I32[i] = int32(day)
		return nil
	})})
	reg("make_time", impl{loop: each(func(c *Call, i int) error {
		t, ok := makeTime(c.I32(0, i), c.I32(1, i), c.F64(2, i))
		if !ok {
			return sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "time field value out of range: %d:%02d:%s", c.I32(0, i), c.I32(1, i), seconds02(c.F64(2, i)))
		}
		c.Out.I64[i] = t
		return nil
	})})
	makeTS := func(c *Call, i int) (int64, error) {
		y, m, d := c.I32(0, i), c.I32(1, i), c.I32(2, i)
		day, ok := makeDate(y, m, d)
		if !ok {
			return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "date field value out of range: %d-%02d-%02d", y, m, d)
		}
		t, ok := makeTime(c.I32(3, i), c.I32(4, i), c.F64(5, i))
		if !ok {
			return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "time field value out of range: %d:%02d:%s", c.I32(3, i), c.I32(4, i), seconds02(c.F64(5, i)))
		}
		ts := day*usecPerDay + t
		if day < types.MinTimestamp/usecPerDay-1 || day > types.EndTimestamp/usecPerDay || !types.ValidTimestamp(ts) {
			return 0, sqlstate.Errorf(sqlstate.DatetimeFieldOverflow, "timestamp out of range: %d-%02d-%02d %d:%02d:%s", y, m, d, c.I32(3, i), c.I32(4, i), seconds02(c.F64(5, i)))
		}
		return ts, nil
	}
	reg("make_timestamp", impl{loop: each(func(c *Call, i int) (err error) {
		c.Out.I64[i], err = makeTS(c, i)
		return err
	})})
	reg("make_timestamptz(int4,int4,int4,int4,int4,float8)", impl{loop: each(func(c *Call, i int) error {
		ts, err := makeTS(c, i)
		c.Out.I64[i] = types.ToUTC(ts, c.Env.session().zone())
		return err
	})})
	reg("make_timestamptz(int4,int4,int4,int4,int4,float8,text)", impl{prepare: func(*prepareContext) (Loop, error) {
		var z zoneCache
		return each(func(c *Call, i int) error {
			ts, err := makeTS(c, i)
			if err != nil {
				return err
			}
			loc, err := z.find(c.Bytes(6, i))
			if err != nil {
				return err
			}
			c.Out.I64[i] = types.ToUTC(ts, loc)
			return nil
		}), nil
	}})
	reg("make_interval", impl{loop: each(func(c *Call, i int) error {
		months := int64(c.I32(0, i))*12 + int64(c.I32(1, i))
		days := int64(c.I32(2, i))*7 + int64(c.I32(3, i))
		secs := c.F64(6, i)
		us := float64(c.I32(4, i))*usecPerHour + float64(c.I32(5, i))*usecPerMin + math.RoundToEven(secs*usecPerSec)
		if months != int64(int32(months)) || days != int64(int32(days)) || !(us >= math.MinInt64 && us < -math.MinInt64) {
			return intervalOutOfRange()
		}
		c.Out.Fix[i] = types.MakeInterval(int32(months), int32(days), int64(c.I32(4, i))*usecPerHour+int64(c.I32(5, i))*usecPerMin+int64(math.RoundToEven(secs*usecPerSec)))
		return nil
	})})
}

func seconds02(f float64) string {
	s := fmt.Sprintf("%g", f)
	if f >= 0 && f < 10 {
		s = "0" + s
	}
	return s
}

// makeDate is the day of a date; a negative year is BC.
func makeDate(y, m, d int32) (int64, bool) {
	if y == 0 || m < 1 || m > 12 || d < 1 {
		return 0, false
	}
	if y < 0 {
		y++
	}
	if y < -4713 || y > 5874898 || int(d) > types.DaysInMonth(int(y), int(m)) {
		return 0, false
	}
	return int64(types.DateOf(int(y), int(m), int(d))), true
}

func makeTime(h, m int32, s float64) (int64, bool) {
	if h < 0 || m < 0 || m > 59 || !(s >= 0 && s <= 60) || h > 24 || h == 24 && (m > 0 || s > 0) {
		return 0, false
	}
	us := math.RoundToEven(s * usecPerSec)
	return int64(h)*usecPerHour + int64(m)*usecPerMin + int64(us), true
}

func initZones() {
	// An infinite timestamp is that in any zone, even one that there is not.
	endless := func(c *Call, i int) bool {
		if c.Args[1].T.Layout != types.LayoutI64 || !infiniteTime(c.I64(1, i)) {
			return false
		}
		c.Out.I64[i] = c.I64(1, i)
		return true
	}
	named := func(f func(c *Call, i int, loc *time.Location) error) func(*prepareContext) (Loop, error) {
		return func(*prepareContext) (Loop, error) {
			var z zoneCache
			return each(func(c *Call, i int) error {
				if endless(c, i) {
					return nil
				}
				loc, err := z.find(c.Bytes(0, i))
				if err != nil {
					return err
				}
				return f(c, i, loc)
			}), nil
		}
	}
	toUTC := func(c *Call, i int, loc *time.Location) error {
		r := types.ToUTC(c.I64(1, i), loc)
		if !infiniteTime(r) && !types.ValidTimestamp(r) {
			return timestampOutOfRange()
		}
		c.Out.I64[i] = r
		return nil
	}
	toLocal := func(c *Call, i int, loc *time.Location) error {
		r := types.ToLocal(c.I64(1, i), loc)
		if !infiniteTime(r) && !types.ValidTimestamp(r) {
			return timestampOutOfRange()
		}
		c.Out.I64[i] = r
		return nil
	}
	toTimetz := func(c *Call, i int, loc *time.Location) error {
		t := c.Fix(1, i)
		west := -int64(types.ZoneOffset(loc, c.Env.session().Now))
		c.Out.Fix[i] = types.Fixed16{A: floorMod(t.A+(t.B-west)*usecPerSec, usecPerDay), B: west}
		return nil
	}
	offset := func(f func(c *Call, i int, loc *time.Location) error) Loop {
		return each(func(c *Call, i int) error {
			if endless(c, i) {
				return nil
			}
			iv := c.Fix(0, i)
			if iv.B != 0 {
				return sqlstate.Errorf(sqlstate.InvalidParameterValue, "interval time zone \"%s\" must not include months or days",
					types.AppendInterval(nil, iv, nil))
			}
			return f(c, i, time.FixedZone("", int(iv.A/usecPerSec)))
		})
	}
	reg("timezone(text,timestamp)", impl{prepare: named(toUTC)})
	reg("timezone(text,timestamptz)", impl{prepare: named(toLocal)})
	reg("timezone(text,timetz)", impl{prepare: named(toTimetz)})
	reg("timezone(interval,timestamp)", impl{loop: offset(toUTC)})
	reg("timezone(interval,timestamptz)", impl{loop: offset(toLocal)})
	reg("timezone(interval,timetz)", impl{loop: offset(toTimetz)})
}
