package types

import (
	"strconv"
)

// AppendInterval appends an interval in env's style.
func AppendInterval(dst []byte, v Fixed16, env *Env) []byte {
	months, days, us := v.IntervalParts()
	p := ivParts{year: int64(months / 12), mon: int64(months % 12), day: int64(days)}
	p.hour = us / MicrosPerHour
	us -= p.hour * MicrosPerHour
	p.min = us / MicrosPerMinute
	us -= p.min * MicrosPerMinute
	p.sec = us / MicrosPerSecond
	p.usec = us - p.sec*MicrosPerSecond
	switch env.orDefault().IntervalStyle {
	case IntervalPostgresVerbose:
		return p.verbose(dst)
	case IntervalSQL:
		return p.sql(dst)
	case IntervalISO:
		return p.iso(dst)
	}
	return p.postgres(dst)
}

// ivParts is an interval broken down; all of hour, min, sec and usec have one sign.
type ivParts struct{ year, mon, day, hour, min, sec, usec int64 }

func (p *ivParts) clockNegative() bool { return p.hour < 0 || p.min < 0 || p.sec < 0 || p.usec < 0 }

func abs64(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

// appendSeconds appends |sec|[.usec], with at least two digits if pad.
func (p *ivParts) appendSeconds(dst []byte, pad bool) []byte {
	s := abs64(p.sec)
	if pad && s < 10 {
		dst = append(dst, '0')
	}
	return appendFraction(strconv.AppendInt(dst, s, 10), int(abs64(p.usec)))
}

func appendPadded(dst []byte, v int64) []byte {
	if v < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, v, 10)
}

func (p *ivParts) postgres(dst []byte) []byte {
	start := len(dst)
	before := false
	for i, n := range [3]int64{p.year, p.mon, p.day} {
		if n == 0 {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if before && n > 0 {
			dst = append(dst, '+')
		}
		dst = strconv.AppendInt(dst, n, 10)
		dst = append(dst, [3]string{" year", " mon", " day"}[i]...)
		if n != 1 {
			dst = append(dst, 's')
		}
		before = n < 0
	}
	if len(dst) > start && p.hour|p.min|p.sec|p.usec == 0 {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	if p.clockNegative() {
		dst = append(dst, '-')
	} else if before {
		dst = append(dst, '+')
	}
	dst = append(appendPadded(dst, abs64(p.hour)), ':')
	dst = append(appendPadded(dst, abs64(p.min)), ':')
	return p.appendSeconds(dst, true)
}

func (p *ivParts) verbose(dst []byte) []byte {
	dst = append(dst, '@')
	zero, before := true, false
	for i, n := range [5]int64{p.year, p.mon, p.day, p.hour, p.min} {
		if n == 0 {
			continue
		}
		if zero {
			before = n < 0
			n = abs64(n)
		} else if before {
			n = -n
		}
		zero = false
		dst = strconv.AppendInt(append(dst, ' '), n, 10)
		dst = append(dst, [5]string{" year", " mon", " day", " hour", " min"}[i]...)
		if n != 1 {
			dst = append(dst, 's')
		}
	}
	if p.sec|p.usec != 0 {
		dst = append(dst, ' ')
		if p.sec < 0 || p.sec == 0 && p.usec < 0 {
			if zero {
				before = true
			} else if !before {
				dst = append(dst, '-')
			}
		} else if before {
			dst = append(dst, '-')
		}
		dst = append(p.appendSeconds(dst, false), " sec"...)
		if abs64(p.sec) != 1 || p.usec != 0 {
			dst = append(dst, 's')
		}
		zero = false
	}
	if zero {
		dst = append(dst, " 0"...)
	}
	if before {
		dst = append(dst, " ago"...)
	}
	return dst
}

func (p *ivParts) sql(dst []byte) []byte {
	q := *p
	neg := q.year < 0 || q.mon < 0 || q.day < 0 || q.clockNegative()
	pos := q.year > 0 || q.mon > 0 || q.day > 0 || q.hour > 0 || q.min > 0 || q.sec > 0 || q.usec > 0
	ym := q.year|q.mon != 0
	dt := q.day|q.hour|q.min|q.sec|q.usec != 0
	standard := !(neg && pos) && !(ym && dt)
	if neg && standard {
		dst = append(dst, '-')
		q = ivParts{-q.year, -q.mon, -q.day, -q.hour, -q.min, -q.sec, -q.usec}
	}
	sign := func(n bool) byte {
		if n {
			return '-'
		}
		return '+'
	}
	switch {
	case !neg && !pos:
		return append(dst, '0')
	case !standard:
		dst = strconv.AppendInt(append(dst, sign(q.year < 0 || q.mon < 0)), abs64(q.year), 10)
		dst = strconv.AppendInt(append(dst, '-'), abs64(q.mon), 10)
		dst = strconv.AppendInt(append(dst, ' ', sign(q.day < 0)), abs64(q.day), 10)
		dst = append(dst, ' ', sign(q.clockNegative()))
	case ym:
		dst = strconv.AppendInt(dst, q.year, 10)
		return strconv.AppendInt(append(dst, '-'), q.mon, 10)
	case q.day != 0:
		dst = append(strconv.AppendInt(dst, q.day, 10), ' ')
	}
	dst = append(strconv.AppendInt(dst, abs64(q.hour), 10), ':')
	dst = append(appendPadded(dst, abs64(q.min)), ':')
	return q.appendSeconds(dst, true)
}

func (p *ivParts) iso(dst []byte) []byte {
	if p.year|p.mon|p.day|p.hour|p.min|p.sec|p.usec == 0 {
		return append(dst, "PT0S"...)
	}
	dst = append(dst, 'P')
	put := func(n int64, unit byte) {
		if n != 0 {
			dst = append(strconv.AppendInt(dst, n, 10), unit)
		}
	}
	put(p.year, 'Y')
	put(p.mon, 'M')
	put(p.day, 'D')
	if p.hour|p.min|p.sec|p.usec != 0 {
		dst = append(dst, 'T')
		put(p.hour, 'H')
		put(p.min, 'M')
		if p.sec|p.usec != 0 {
			if p.sec < 0 || p.usec < 0 {
				dst = append(dst, '-')
			}
			dst = append(p.appendSeconds(dst, false), 'S')
		}
	}
	return dst
}
