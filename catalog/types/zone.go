package types

import (
	_ "embed"
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/millrace/millrace/catalog/sqlstate"
)

//go:embed zonenames.txt
var zoneNamesText string

// zoneNames maps the lower-case name of each zone to its spelling.
var zoneNames = sync.OnceValue(func() map[string]string {
	names := strings.Fields(zoneNamesText)
	m := make(map[string]string, len(names))
	for _, n := range names {
		m[strings.ToLower(n)] = n
	}
	return m
})

// ZoneNames lists the names of all zones (pg_timezone_names).
func ZoneNames() []string { return strings.Fields(zoneNamesText) }

// zoneCache holds the zones loaded by name; it is bounded by zoneNames.
var zoneCache sync.Map

// LoadZone finds a time zone by its name in any case ("europe/berlin", "UTC") or
// by a POSIX description ("EST5EDT,M3.2.0,M11.1.0", "<+03>-3", "GMT+02:00":
// positive means west of Greenwich). It fails with 22023.
func LoadZone(name string) (*time.Location, error) {
	if loc := loadZone(name); loc != nil {
		return loc, nil
	}
	return nil, badZone(name)
}

func badZone(name string) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "time zone \"%s\" not recognized", name)
}

func loadZone(name string) *time.Location {
	if name == "UTC" || name == "" {
		if name == "" {
			return nil
		}
		return time.UTC
	}
	key := strings.ToLower(name)
	if proper, ok := zoneNames()[key]; ok {
		if loc, ok := zoneCache.Load(proper); ok {
			return loc.(*time.Location)
		}
		loc, err := time.LoadLocation(proper)
		if err != nil {
			return nil
		}
		zoneCache.Store(proper, loc)
		return loc
	}
	return posixZone(name)
}

// posixZone makes a zone of a POSIX TZ string, or nil.
func posixZone(name string) *time.Location {
	std, rest, ok := posixAbbrev(strings.ToUpper(name))
	if !ok || rest == "" {
		return nil
	}
	off, rest, ok := posixOffset(rest)
	if !ok {
		return nil
	}
	if rest == "" {
		return time.FixedZone(std, -off)
	}
	dst, rest, ok := posixAbbrev(rest)
	if !ok {
		return nil
	}
	spec := strings.ToUpper(name)
	if rest == "" || rest[0] != ',' {
		if rest != "" {
			if _, rest, ok = posixOffset(rest); !ok || rest != "" && rest[0] != ',' {
				return nil
			}
		}
		if rest == "" {
			spec += ",M3.2.0,M11.1.0" // the rule POSIX leaves open: that of the United States
		}
	}
	_ = dst
	// A TZif file without transitions whose footer is the description: the
	// runtime evaluates it for every instant.
	b := []byte("TZif2")
	b = append(b, make([]byte, 15)...)
	header := func() {
		for _, n := range []uint32{0, 0, 0, 0, 1, uint32(len(std) + 1)} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(-off))
		b = append(b, 0, 0)
		b = append(b, std...)
		b = append(b, 0)
	}
	header()
	b = append(b, "TZif2"...)
	b = append(b, make([]byte, 15)...)
	header()
	b = append(b, '\n')
	b = append(b, spec...)
	b = append(b, '\n')
	loc, err := time.LoadLocationFromTZData(name, b)
	if err != nil {
		return nil
	}
	return loc
}

func posixAbbrev(s string) (name, rest string, ok bool) {
	if strings.HasPrefix(s, "<") {
		i := strings.IndexByte(s, '>')
		if i < 0 {
			return "", "", false
		}
		return s[1:i], s[i+1:], true
	}
	i := 0
	for i < len(s) && isAlpha(s[i]) {
		i++
	}
	return s[:i], s[i:], true // PostgreSQL takes names of any length, also none
}

// posixOffset reads [+-]hh[:mm[:ss]] as seconds west of Greenwich.
func posixOffset(s string) (off int, rest string, ok bool) {
	neg := false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		neg, s = s[0] == '-', s[1:]
	}
	unit := 3600
	for {
		i, v := 0, 0
		for i < len(s) && isDigit(s[i]) && i < 3 {
			v = v*10 + int(s[i]-'0')
			i++
		}
		if i == 0 || unit == 3600 && v > 167 || unit < 3600 && v > 59 {
			return 0, "", false
		}
		off += v * unit
		s = s[i:]
		if unit == 1 || s == "" || s[0] != ':' {
			break
		}
		s = s[1:]
		unit /= 60
	}
	if neg {
		off = -off
	}
	return off, s, true
}

// FixedZone is the zone at an offset, named as SET TIME ZONE names it:
// "<+02>-02".
func FixedZone(secondsEast int) *time.Location {
	abs, sign, inv := secondsEast, byte('+'), byte('-')
	if abs < 0 {
		abs, sign, inv = -abs, '-', '+'
	}
	hms := append2(nil, abs/3600%100)
	if abs%3600 != 0 {
		hms = append2(append(hms, ':'), abs/60%60)
		if abs%60 != 0 {
			hms = append2(append(hms, ':'), abs%60)
		}
	}
	name := "<" + string(sign) + string(hms) + ">" + string(inv) + string(hms)
	return time.FixedZone(name, secondsEast)
}

// ParseTimeZone reads the value of the setting TimeZone: a name, a POSIX
// description, or a number of hours east of Greenwich. shown is what SHOW prints.
func ParseTimeZone(v string) (loc *time.Location, shown string, err error) {
	bad := sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"TimeZone\": \"%s\"", v)
	if h, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
		if h < -167 || h > 167 {
			return nil, "", bad.WithDetail("UTC timezone offset is out of range.")
		}
		loc = FixedZone(int(h * 3600))
		return loc, loc.String(), nil
	}
	if loc = loadZone(v); loc == nil {
		return nil, "", bad
	}
	if proper, ok := zoneNames()[strings.ToLower(v)]; ok {
		return loc, proper, nil
	}
	return loc, strings.ToUpper(v), nil
}

// offsetAt is the zone's offset in seconds east of Greenwich at an instant (µs
// since 2000, UTC), and its abbreviation.
func offsetAt(loc *time.Location, ts int64) (secondsEast int, abbrev string) {
	if loc == time.UTC {
		return 0, "UTC"
	}
	s := ts / MicrosPerSecond
	if ts%MicrosPerSecond < 0 {
		s--
	}
	abbrev, secondsEast = time.Unix(s+946684800, 0).In(loc).Zone()
	if strings.HasPrefix(abbrev, "<") {
		// A zone made by FixedZone: its abbreviation stands in the brackets.
		if i := strings.IndexByte(abbrev, '>'); i > 0 {
			abbrev = abbrev[1:i]
		}
	}
	return secondsEast, abbrev
}

// localOffset is the zone's offset (seconds east) at a local time given as µs
// since 2000. A time that a change of clocks skips is read with the offset
// before it, one that occurs twice with the offset after it.
func localOffset(loc *time.Location, local int64) int {
	if loc == time.UTC {
		return 0
	}
	s := local / MicrosPerSecond
	if local%MicrosPerSecond < 0 {
		s--
	}
	s += 946684800
	before := time.Unix(s-86400, 0).In(loc)
	_, end := before.ZoneBounds()
	_, off := before.Zone()
	if end.IsZero() {
		return off
	}
	boundary := end.Unix()
	_, off2 := end.Zone()
	t1, t2 := s-int64(off), s-int64(off2)
	switch {
	case t1 < boundary && t2 < boundary:
		return off
	case t1 >= boundary && t2 >= boundary:
		// Two changes within two days would need another look; the zone data
		// has none that matter.
		return off2
	case t1 > t2:
		return off
	}
	return off2
}

// abbrevOffset is the offset that an abbreviation means in a zone at an instant:
// its last use before it, else its first use after it, else def.
func abbrevOffset(loc *time.Location, abbrev string, ts int64, def int) int {
	at := time.Unix(ts/MicrosPerSecond+946684800, 0).In(loc)
	t := at
	for range 400 { // no zone has more changes
		if name, off := t.Zone(); name == abbrev {
			return off
		}
		start, _ := t.ZoneBounds()
		if start.IsZero() {
			break
		}
		t = start.Add(-time.Second)
	}
	t = at
	for range 400 {
		_, end := t.ZoneBounds()
		if end.IsZero() {
			break
		}
		t = end
		if name, off := t.Zone(); name == abbrev {
			return off
		}
	}
	return def
}

// ToLocal shifts a timestamptz to local time in a zone; ToUTC the reverse.
// Infinities stay.
func ToLocal(ts int64, loc *time.Location) int64 {
	if ts == TimestampInfinity || ts == TimestampNegInfinity || loc == nil {
		return ts
	}
	off, _ := offsetAt(loc, ts)
	return ts + int64(off)*MicrosPerSecond
}

// ToUTC reads a timestamp as local time in a zone.
func ToUTC(local int64, loc *time.Location) int64 {
	if local == TimestampInfinity || local == TimestampNegInfinity || loc == nil {
		return local
	}
	return local - int64(localOffset(loc, local))*MicrosPerSecond
}

// ZoneOffset is a zone's offset in seconds east of Greenwich at an instant.
func ZoneOffset(loc *time.Location, ts int64) int {
	off, _ := offsetAt(loc, ts)
	return off
}

// FindZone resolves what AT TIME ZONE accepts: an abbreviation, a name or a
// POSIX description.
func FindZone(name string) (*time.Location, error) {
	if a, ok := zoneAbbrevs[strings.ToUpper(name)]; ok {
		if a.zone == "" {
			return time.FixedZone(strings.ToUpper(name), int(a.offset)), nil
		}
		if loc := loadZone(a.zone); loc != nil {
			return loc, nil
		}
	}
	return LoadZone(name)
}
