package types

import (
	"strconv"
)

// readISOInterval reads P1Y2M3DT4H5M6S, P0001-02-03T04:05:06 and
// P00010203T040506.
func readISOInterval(s []byte, v *ivState) dtErr {
	if len(s) < 2 || s[0] != 'P' {
		return dtBadFormat
	}
	s = s[1:]
	date, any := true, false
	for len(s) > 0 {
		if s[0] == 'T' {
			date = false
			any = false
			s = s[1:]
			continue
		}
		start := s
		n, frac, digits, e := isoNumber(&s)
		if e != dtOK {
			return e
		}
		unit := byte(0)
		if len(s) > 0 {
			unit = s[0]
			s = s[1:]
		}
		if date {
			switch unit {
			case 'Y':
				v.put(ivYear, n, frac)
			case 'M':
				v.put(ivMonth, n, frac)
			case 'W':
				v.put(ivWeek, n, frac)
			case 'D':
				v.put(ivDay, n, frac)
			case 'T', 0, '-':
				// The alternative format: only as the first field.
				if any {
					return dtBadFormat
				}
				if unit != '-' {
					if digits != 8 || start[0] == '-' {
						if unit == 'T' || unit == 0 {
							v.put(ivYear, n, frac)
							if unit == 0 {
								return dtOK
							}
							date = false
							continue
						}
						return dtBadFormat
					}
					v.put(ivYear, n/10000, 0)
					v.put(ivMonth, n/100%100, 0)
					v.put(ivDay, n%100, frac)
					if unit == 0 {
						return dtOK
					}
					date = false
					continue
				}
				v.put(ivYear, n, frac)
				if n, frac, _, e = isoNumber(&s); e != dtOK {
					return e
				}
				v.put(ivMonth, n, frac)
				if len(s) == 0 {
					return dtOK
				}
				if s[0] == 'T' {
					date, s = false, s[1:]
					continue
				}
				if s[0] != '-' {
					return dtBadFormat
				}
				s = s[1:]
				if n, frac, _, e = isoNumber(&s); e != dtOK {
					return e
				}
				v.put(ivDay, n, frac)
				if len(s) == 0 {
					return dtOK
				}
				if s[0] != 'T' {
					return dtBadFormat
				}
				date, s = false, s[1:]
				continue
			default:
				return dtBadFormat
			}
		} else {
			switch unit {
			case 'H':
				v.put(ivHour, n, frac)
			case 'M':
				v.put(ivMinute, n, frac)
			case 'S':
				v.put(ivSecond, n, frac)
			case 0, ':':
				if any {
					return dtBadFormat
				}
				if unit == 0 {
					if digits == 6 && start[0] != '-' {
						v.put(ivHour, n/10000, 0)
						v.put(ivMinute, n/100%100, 0)
						v.put(ivSecond, n%100, frac)
						return dtOK
					}
					v.put(ivHour, n, frac)
					return dtOK
				}
				v.put(ivHour, n, frac)
				if n, frac, _, e = isoNumber(&s); e != dtOK {
					return e
				}
				v.put(ivMinute, n, frac)
				if len(s) == 0 {
					return dtOK
				}
				if s[0] != ':' {
					return dtBadFormat
				}
				s = s[1:]
				if n, frac, _, e = isoNumber(&s); e != dtOK {
					return e
				}
				v.put(ivSecond, n, frac)
				if len(s) != 0 {
					return dtBadFormat
				}
				return dtOK
			default:
				return dtBadFormat
			}
		}
		any = true
	}
	if v.overflow {
		return dtFieldOverflow
	}
	return dtOK
}

// isoNumber reads [-+]n[.f] and moves s behind it.
func isoNumber(s *[]byte) (n int64, frac float64, digits int, e dtErr) {
	t := *s
	neg := len(t) > 0 && t[0] == '-'
	if neg || len(t) > 0 && t[0] == '+' {
		t = t[1:]
	}
	i := 0
	for i < len(t) && isDigit(t[i]) {
		i++
	}
	digits = i
	j := i
	if j < len(t) && t[j] == '.' {
		for j++; j < len(t) && isDigit(t[j]); j++ {
		}
	}
	if j == 0 || i == 0 && j == 1 {
		return 0, 0, 0, dtBadFormat
	}
	if i > 0 {
		x, err := strconv.ParseInt(stringOf(t[:i]), 10, 32)
		if err != nil {
			return 0, 0, 0, dtFieldOverflow
		}
		n = x
	}
	if j > i+1 {
		frac, _ = strconv.ParseFloat(stringOf(t[i:j]), 64)
	}
	if neg {
		n, frac = -n, -frac
	}
	*s = t[j:]
	return n, frac, digits, dtOK
}
