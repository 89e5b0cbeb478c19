package session

import (
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Settings with units, read and shown by PostgreSQL's rules.

// unit is a name and how much it is of the smallest of its kind.
type unit struct {
	name string
	size float64
}

var (
	times    = []unit{{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"min", 60e6}, {"h", 3600e6}, {"d", 86400e6}}
	memories = []unit{{"B", 1}, {"kB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", 1 << 40}}
)

// scale is what values of a setting are kept in, and what they may be given in.
type scale struct {
	base float64
	all  []unit
	hint string
}

var units = map[string]*scale{
	"ms":  {1e3, times, "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."},
	"kB":  {1 << 10, memories, "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."},
	"8kB": {8 << 10, memories, "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."},
}

func millis(name string) func(string) (string, error) {
	return quantity(name, "ms", 0, math.MaxInt32)
}

// quantity checks a number with or without a unit; it is kept in that of the setting.
func quantity(name, in string, lo, hi int64) func(string) (string, error) {
	return func(v string) (string, error) {
		bad := sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", name, v)
		s := strings.TrimSpace(v)
		i := 0
		for i < len(s) && strings.IndexByte("+-.0123456789eExX", s[i]) >= 0 {
			i++
		}
		n, err := strconv.ParseFloat(s[:i], 64)
		for err != nil && i > 0 { // an "e" that begins a unit, and the like
			i--
			n, err = strconv.ParseFloat(s[:i], 64)
		}
		if err != nil {
			return "", bad
		}
		sc := units[in]
		if word := strings.TrimSpace(s[i:]); word != "" {
			known := false
			for _, u := range sc.all {
				if u.name == word {
					n, known = n*u.size/sc.base, true
				}
			}
			if !known {
				return "", bad.WithHint("%s", sc.hint)
			}
		}
		n = math.RoundToEven(n)
		if n > math.MaxInt32 || n < math.MinInt32 {
			return "", bad.WithHint("Value exceeds integer range.")
		}
		if int64(n) < lo || int64(n) > hi {
			return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "%d %s is outside the valid range for parameter \"%s\" (%d .. %d)", int64(n), in, name, lo, hi)
		}
		return strconv.FormatInt(int64(n), 10), nil
	}
}

// inUnits shows a value in the largest unit of which it is a whole number.
func inUnits(n int64, sc *scale) string {
	if n == 0 {
		return "0"
	}
	x := float64(n) * sc.base
	for i := len(sc.all) - 1; i >= 0; i-- {
		if q := x / sc.all[i].size; q == math.Trunc(q) {
			return strconv.FormatFloat(q, 'f', -1, 64) + sc.all[i].name
		}
	}
	return strconv.FormatInt(n, 10)
}

func real(name string, lo, hi float64) func(string) (string, error) {
	return func(v string) (string, error) {
		x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || math.IsNaN(x) {
			return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", name, v)
		}
		if x < lo || x > hi {
			return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "%g is outside the valid range for parameter \"%s\" (%g .. %g)", x, name, lo, hi)
		}
		return strconv.FormatFloat(x, 'g', -1, 64), nil
	}
}

// identifier says whether a part of a custom setting's name is a simple identifier.
func identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80:
		case i > 0 && (c >= '0' && c <= '9' || c == '$'):
		default:
			return false
		}
	}
	return s != ""
}

func tablespace(v string) (string, error) {
	if v != "" && v != "pg_default" {
		return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"default_tablespace\": \"%s\"", v).
			WithDetail("Tablespace \"%s\" does not exist.", v)
	}
	return v, nil
}

func heap(v string) (string, error) {
	if v != "heap" {
		return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"default_table_access_method\": \"%s\"", v).
			WithDetail("Table access method \"%s\" does not exist.", v)
	}
	return v, nil
}
