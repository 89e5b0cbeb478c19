package types

import "strconv"

// AppendDate appends a date.
func AppendDate(dst []byte, d int32, env *Env) []byte {
	switch d {
	case DateInfinity:
		return append(dst, "infinity"...)
	case DateNegInfinity:
		return append(dst, "-infinity"...)
	}
	y, m, day := CivilDate(int(d))
	if env == nil || env.DateStyle == DateISO {
		return appendISODate(dst, y, m, day)
	}
	bc := y <= 0
	if bc {
		y = 1 - y
	}
	switch env.DateStyle {
	case DateSQL:
		dst = appendDayMonth(dst, m, day, '/', env.DateOrder == OrderDMY)
		dst = append(dst, '/')
	case DateGerman:
		dst = appendDayMonth(dst, m, day, '.', true)
		dst = append(dst, '.')
	default:
		dst = appendDayMonth(dst, m, day, '-', env.DateOrder == OrderDMY)
		dst = append(dst, '-')
	}
	dst = appendYear(dst, y)
	return appendBC(dst, bc)
}

// appendISODate appends yyyy-mm-dd, with BC.
func appendISODate(dst []byte, y, m, d int) []byte {
	if y > 0 && y < 10000 {
		return append(dst,
			digitPairs[y/100*2], digitPairs[y/100*2+1], digitPairs[y%100*2], digitPairs[y%100*2+1], '-',
			digitPairs[m*2], digitPairs[m*2+1], '-', digitPairs[d*2], digitPairs[d*2+1])
	}
	bc := y <= 0
	if bc {
		y = 1 - y
	}
	dst = appendYear(dst, y)
	dst = append(dst, '-')
	dst = append2(dst, m)
	dst = append(dst, '-')
	dst = append2(dst, d)
	return appendBC(dst, bc)
}

// appendYear appends at least four digits.
func appendYear(dst []byte, y int) []byte {
	if y < 10000 {
		return append2(append2(dst, y/100), y%100)
	}
	return strconv.AppendInt(dst, int64(y), 10)
}

func appendBC(dst []byte, bc bool) []byte {
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

func appendDayMonth(dst []byte, m, d int, sep byte, dayFirst bool) []byte {
	if dayFirst {
		m, d = d, m
	}
	return append2(append(append2(dst, m), sep), d)
}

// appendClock appends hh:mm:ss[.ffffff] of µs of day.
func appendClock(dst []byte, us int64) []byte {
	sec := us / MicrosPerSecond
	h, m, s := int(sec/3600), int(sec/60%60), int(sec%60)
	dst = append(dst, digitPairs[h*2], digitPairs[h*2+1], ':', digitPairs[m*2], digitPairs[m*2+1], ':', digitPairs[s*2], digitPairs[s*2+1])
	return appendFraction(dst, int(us-sec*MicrosPerSecond))
}

// appendFraction appends .ffffff without trailing zeros; nothing for 0.
func appendFraction(dst []byte, us int) []byte {
	if us == 0 {
		return dst
	}
	dst = append(dst, '.')
	dst = append2(dst, us/10000)
	dst = append2(dst, us/100%100)
	dst = append2(dst, us%100)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// AppendTime appends a time of day.
func AppendTime(dst []byte, us int64) []byte { return appendClock(dst, us) }

// AppendTimetz appends a time of day with its zone.
func AppendTimetz(dst []byte, v Fixed16) []byte {
	return appendOffset(appendClock(dst, v.A), -int(v.B))
}

// appendOffset appends +hh[:mm[:ss]].
func appendOffset(dst []byte, secondsEast int) []byte {
	sign := byte('+')
	if secondsEast < 0 {
		sign, secondsEast = '-', -secondsEast
	}
	dst = append2(append(dst, sign), secondsEast/3600)
	if secondsEast%3600 != 0 {
		dst = append2(append(dst, ':'), secondsEast/60%60)
		if secondsEast%60 != 0 {
			dst = append2(append(dst, ':'), secondsEast%60)
		}
	}
	return dst
}

// AppendTimestamp appends a timestamp without zone.
func AppendTimestamp(dst []byte, ts int64, env *Env) []byte {
	return appendTimestamp(dst, ts, env, false)
}

// AppendTimestamptz appends an instant in env's zone.
func AppendTimestamptz(dst []byte, ts int64, env *Env) []byte {
	return appendTimestamp(dst, ts, env, true)
}

var (
	monthNames = [13]string{"", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
	dayNames   = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
)

func appendTimestamp(dst []byte, ts int64, env *Env, tz bool) []byte {
	switch ts {
	case TimestampInfinity:
		return append(dst, "infinity"...)
	case TimestampNegInfinity:
		return append(dst, "-infinity"...)
	}
	off, abbrev := 0, ""
	if tz {
		off, abbrev = offsetAt(env.zone(), ts)
		ts += int64(off) * MicrosPerSecond
	}
	date, us := splitMicros(ts)
	y, m, d := CivilDate(date)
	bc := y <= 0
	if bc {
		y = 1 - y
	}
	if env == nil || env.DateStyle == DateISO {
		dst = appendISODate(dst, y, m, d)
		dst = append(dst, ' ')
		dst = appendClock(dst, us)
		if tz {
			dst = appendOffset(dst, off)
		}
		return appendBC(dst, bc)
	}
	switch env.DateStyle {
	case DateSQL:
		dst = appendDayMonth(dst, m, d, '/', env.DateOrder == OrderDMY)
		dst = appendYear(append(dst, '/'), y)
		dst = append(dst, ' ')
		dst = appendClock(dst, us)
	case DateGerman:
		dst = appendDayMonth(dst, m, d, '.', true)
		dst = appendYear(append(dst, '.'), y)
		dst = append(dst, ' ')
		dst = appendClock(dst, us)
	default:
		dow := (date + 6) % 7 // 2000-01-01 was a Saturday
		if dow < 0 {
			dow += 7
		}
		dst = append(append(dst, dayNames[dow]...), ' ')
		if env.DateOrder == OrderDMY {
			dst = append(append2(dst, d), ' ')
			dst = append(dst, monthNames[m]...)
		} else {
			dst = append(append(dst, monthNames[m]...), ' ')
			dst = append2(dst, d)
		}
		dst = append(dst, ' ')
		dst = appendClock(dst, us)
		dst = appendYear(append(dst, ' '), y)
	}
	if tz {
		dst = append(append(dst, ' '), abbrev...)
	}
	return appendBC(dst, bc)
}
