package types

import (
	"bytes"
	"math"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// nanBits is the NaN that PostgreSQL makes.
const nanBits = 0x7ff8 << 48

// ParseFloat8 reads a double precision.
func ParseFloat8(s []byte) (float64, error) { return parseFloat(s, 64, "double precision") }

// ParseFloat4 reads a real.
func ParseFloat4(s []byte) (float32, error) {
	f, err := parseFloat(s, 32, "real")
	return float32(f), err
}

func parseFloat(s []byte, size int, typ string) (float64, error) {
	t := s
	if len(s) == 0 || isSpace(s[0]) || isSpace(s[len(s)-1]) {
		t = trimSpace(s)
	}
	if len(t) == 0 {
		return 0, badSyntax(typ, s)
	}
	u := t
	neg := false
	if u[0] == '-' || u[0] == '+' {
		neg, u = u[0] == '-', u[1:]
	}
	if len(u) == 0 {
		return 0, badSyntax(typ, s)
	}
	if c := u[0]; c != '.' && !isDigit(c) {
		switch {
		case foldEqual(u, "nan"):
			return math.Float64frombits(nanBits), nil
		case foldEqual(u, "inf"), foldEqual(u, "infinity"):
			if neg {
				return math.Inf(-1), nil
			}
			return math.Inf(1), nil
		}
		return 0, badSyntax(typ, s)
	}
	hex := len(u) > 1 && u[1]|0x20 == 'x'
	if hex && bytes.IndexByte(u, 'p') < 0 && bytes.IndexByte(u, 'P') < 0 {
		t = append(append(make([]byte, 0, len(t)+2), t...), 'p', '0') // C needs no exponent, Go does
	}
	if bytes.IndexByte(t, '_') >= 0 {
		return 0, badSyntax(typ, s)
	}
	f, err := strconv.ParseFloat(stringOf(t), size)
	if err != nil {
		if e, ok := err.(*strconv.NumError); !ok || e.Err != strconv.ErrRange {
			return 0, badSyntax(typ, s)
		}
		return 0, floatRange(t, typ)
	}
	if f == 0 && nonzeroMantissa(u) {
		return 0, floatRange(t, typ)
	}
	return f, nil
}

func floatRange(t []byte, typ string) error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "\"%s\" is out of range for type %s", t, typ)
}

func nonzeroMantissa(u []byte) bool {
	for i, c := range u {
		switch {
		case c == '.' || c == '0' || i == 1 && c|0x20 == 'x':
		case isDigit(c):
			return true
		default:
			return false
		}
	}
	return false
}

// AppendFloat8 appends a double precision as PostgreSQL prints it.
func AppendFloat8(dst []byte, f float64, env *Env) []byte {
	return appendFloat(dst, f, 64, 15, env.orDefault().ExtraFloatDigits)
}

// AppendFloat4 appends a real.
func AppendFloat4(dst []byte, f float32, env *Env) []byte {
	return appendFloat(dst, float64(f), 32, 6, env.orDefault().ExtraFloatDigits)
}

// appendFloat: digits is the number of decimal digits that every value of the
// width keeps (DBL_DIG, FLT_DIG); it is also where exponents begin.
func appendFloat(dst []byte, f float64, size, digits, extra int) []byte {
	switch {
	case f != f:
		return append(dst, "NaN"...)
	case f > math.MaxFloat64:
		return append(dst, "Infinity"...)
	case f < -math.MaxFloat64:
		return append(dst, "-Infinity"...)
	}
	if extra <= 0 {
		return appendFloatG(dst, f, max(digits+extra, 1))
	}
	if i := int64(f); float64(i) == f && i > -1e6 && i < 1e6 && (i != 0 || !math.Signbit(f)) {
		return AppendInt(dst, i)
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', -1, size)
	if size == 32 {
		e = insideFloat4(e, buf[:0], f)
	}
	return appendExp(dst, e, digits)
}

// insideFloat4 lengthens e, the shortest text of a real, where that lies exactly
// half-way to the next real: it reads back as f only because ties go to even, and
// PostgreSQL does not rely on that (3e10 is 3.0000001e+10).
func insideFloat4(e, buf []byte, f float64) []byte {
	x := math.Abs(f)
	if x == 0 {
		return e
	}
	up := float64(math.Nextafter32(float32(x), math.MaxFloat32))
	down := float64(math.Nextafter32(float32(x), 0))
	for digits := len(e); digits < 32; digits++ {
		d, err := strconv.ParseFloat(string(e), 64)
		if d = math.Abs(d); err != nil || d != (x+up)/2 && d != (x+down)/2 {
			return e
		}
		// One digit more than before: e has them all but sign, point and exponent.
		n := 0
		for _, c := range e {
			if c == 'e' {
				break
			}
			if c >= '0' && c <= '9' {
				n++
			}
		}
		e = strconv.AppendFloat(buf[:0], f, 'e', n, 64)
	}
	return e
}

// appendFloatG is C's %.*g.
func appendFloatG(dst []byte, f float64, prec int) []byte {
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', prec-1, 64)
	// %g drops trailing zeros of the mantissa.
	x := bytes.IndexByte(e, 'e')
	m := x
	if bytes.IndexByte(e[:x], '.') >= 0 {
		for e[m-1] == '0' {
			m--
		}
		if e[m-1] == '.' {
			m--
		}
	}
	e = append(e[:m], e[x:]...)
	return appendExp(dst, e, prec)
}

// appendExp rewrites d.ddde±xx without exponent when the exponent lies in
// [-4, limit), and copies it otherwise.
func appendExp(dst, e []byte, limit int) []byte {
	x := bytes.IndexByte(e, 'e')
	exp := 0
	for _, c := range e[x+2:] {
		exp = exp*10 + int(c-'0')
	}
	if e[x+1] == '-' {
		exp = -exp
	}
	if exp < -4 || exp >= limit {
		return append(dst, e...)
	}
	m := e[:x]
	if m[0] == '-' {
		dst = append(dst, '-')
		m = m[1:]
	}
	frac := m[1:]
	if len(frac) > 0 {
		frac = frac[1:]
	}
	switch {
	case exp < 0:
		dst = append(dst, "0.0000"[:1-exp]...)
		dst = append(dst, m[0])
		return append(dst, frac...)
	case exp >= len(frac):
		dst = append(dst, m[0])
		dst = append(dst, frac...)
		for n := exp - len(frac); n > 0; n-- {
			dst = append(dst, '0')
		}
		return dst
	}
	dst = append(dst, m[0])
	dst = append(dst, frac[:exp]...)
	dst = append(dst, '.')
	return append(dst, frac[exp:]...)
}
