package types

import (
	"bytes"
)

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
