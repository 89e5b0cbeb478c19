package eval

import (
	"time"

	"github.com/millrace/millrace/catalog/types"
)

// truncTimestamp cuts a timestamp to a unit; ok is false when there is no such
// unit for timestamps.
func truncTimestamp(u unit, ts int64) (int64, bool) {
	if infiniteTime(ts) {
		return ts, true
	}
	switch u {
	case uMicros:
		return ts, true
	case uMillis:
		return floorTo(ts, 1000), true
	case uSecond:
		return floorTo(ts, usecPerSec), true
	case uMinute:
		return floorTo(ts, usecPerMin), true
	case uHour:
		return floorTo(ts, usecPerHour), true
	case uDay:
		return floorTo(ts, usecPerDay), true
	case uWeek:
		// 2000-01-03 was a Monday.
		return floorTo(ts-2*usecPerDay, 7*usecPerDay) + 2*usecPerDay, true
	}
	day, _ := splitDay(ts)
	y, m, _ := types.CivilDate(int(day))
	switch u {
	case uMonth:
	case uQuarter:
		m = (m-1)/3*3 + 1
	case uYear:
		m = 1
	case uDecade:
		m = 1
		if y > 0 {
			y = y / 10 * 10
		} else {
			y = -((8 - (y - 1)) / 10) * 10
		}
	case uCentury:
		m = 1
		if y > 0 {
			y = (y+99)/100*100 - 99
		} else {
			y = -((99-(y-1))/100)*100 + 1
		}
	case uMillennium:
		m = 1
		if y > 0 {
			y = (y+999)/1000*1000 - 999
		} else {
			y = -((999-(y-1))/1000)*1000 + 1
		}
	default:
		return 0, false
	}
	return int64(types.DateOf(y, m, 1)) * usecPerDay, true
}

// truncUnit is unitOf without the fields that nothing is cut to.
func truncUnit(name []byte) unit {
	if u := unitOf(name); u < uISOYear || u >= uZone {
		return u
	}
	return noUnit
}

func floorTo(v, unit int64) int64 {
	r := v % unit
	if r < 0 {
		r += unit
	}
	return v - r
}

// truncTimestamptz cuts in local time. Within a day the offset stays that of ts.
func truncTimestamptz(u unit, ts int64, loc *time.Location) (int64, bool) {
	if infiniteTime(ts) {
		return truncTimestamp(u, ts)
	}
	local := types.ToLocal(ts, loc)
	r, ok := truncTimestamp(u, local)
	if u <= uHour {
		return r - (local - ts), ok
	}
	return types.ToUTC(r, loc), ok
}

func truncInterval(u unit, iv types.Fixed16) (types.Fixed16, bool) {
	m, d, us := iv.IntervalParts()
	switch u {
	case uMicros:
	case uMillis:
		us -= us % 1000
	case uSecond:
		us -= us % usecPerSec
	case uMinute:
		us -= us % usecPerMin
	case uHour:
		us -= us % usecPerHour
	default:
		us = 0
		switch u {
		case uDay:
			return types.MakeInterval(m, d, 0), true
		case uMonth:
		case uQuarter:
			m -= m % 3
		case uYear:
			m -= m % 12
		case uDecade:
			m -= m % 120
		case uCentury:
			m -= m % 1200
		case uMillennium:
			m -= m % 12000
		default:
			return iv, false
		}
		return types.MakeInterval(m, 0, 0), true
	}
	return types.MakeInterval(m, d, us), true
}

// truncLoop registers a form of date_trunc, whose unit is argument 0.
func truncLoop(sig string, typ uint32, f func(c *Call, u unit, i int) bool) {
	row := func(c *Call, u unit, i int) error {
		if !f(c, u, i) {
			return unsupportedUnit(c.Bytes(0, i), typ)
		}
		return nil
	}
	reg(sig, impl{cost: 5, loop: each(func(c *Call, i int) error {
		u := truncUnit(c.Bytes(0, i))
		if u == noUnit {
			return unknownUnit(c.Bytes(0, i), typ)
		}
		return row(c, u, i)
	}), prepare: func(pc *prepareContext) (Loop, error) {
		if !pc.known[0] || !pc.args[0].Valid {
			return nil, nil
		}
		u := truncUnit([]byte(pc.args[0].S))
		if u == noUnit {
			return nil, unknownUnit([]byte(pc.args[0].S), typ)
		}
		return each(func(c *Call, i int) error { return row(c, u, i) }), nil
	}})
}

func init() {
	truncLoop("date_trunc(text,timestamp)", types.TimestampOID, func(c *Call, u unit, i int) (ok bool) {
		c.Out.I64[i], ok = truncTimestamp(u, c.I64(1, i))
		return ok
	})
	truncLoop("date_trunc(text,timestamptz)", types.TimestamptzOID, func(c *Call, u unit, i int) (ok bool) {
		c.Out.I64[i], ok = truncTimestamptz(u, c.I64(1, i), c.Env.session().zone())
		return ok
	})
	truncLoop("date_trunc(text,interval)", types.IntervalOID, func(c *Call, u unit, i int) (ok bool) {
		c.Out.Fix[i], ok = truncInterval(u, c.Fix(1, i))
		return ok
	})
	reg("date_trunc(text,timestamptz,text)", impl{cost: 20, prepare: func(*prepareContext) (Loop, error) {
		var z zoneCache
		return each(func(c *Call, i int) error {
			u := truncUnit(c.Bytes(0, i))
			if u == noUnit {
				return unknownUnit(c.Bytes(0, i), types.TimestamptzOID)
			}
			loc, err := z.find(c.Bytes(2, i))
			if err != nil {
				return err
			}
			var ok bool
			if c.Out.I64[i], ok = truncTimestamptz(u, c.I64(1, i), loc); !ok {
				return unsupportedUnit(c.Bytes(0, i), types.TimestamptzOID)
			}
			return nil
		}), nil
	}})
}

// zoneCache remembers the last zone found by name.
type zoneCache struct {
	name []byte
	loc  *time.Location
}

func (z *zoneCache) find(name []byte) (*time.Location, error) {
	if z.loc != nil && string(z.name) == string(name) {
		return z.loc, nil
	}
	loc, err := types.FindZone(string(name))
	if err != nil {
		return nil, err
	}
	z.name, z.loc = append(z.name[:0], name...), loc
	return loc, nil
}
