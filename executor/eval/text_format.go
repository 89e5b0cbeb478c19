package eval

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
	"slices"
)

// formatRow is format(fmt, …).
func formatRow(c *Call, i int) error {
	if c.Null(0, i) {
		c.SetNull(i)
		c.Out.Views[i] = vec.View{}
		return nil
	}
	f := c.Bytes(0, i)
	out := c.Begin()
	start := len(out)
	bad := func(format string, args ...any) error {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, format, args...)
	}
	next := 1
	arg := func(pos int) (int, error) {
		if pos < 0 {
			pos = next
			next++
		} else {
			next = pos + 1
		}
		if pos >= len(c.Args) {
			return 0, bad("too few arguments for format()")
		}
		return pos, nil
	}
	unterminated := func() error {
		return bad("unterminated format() type specifier").(*sqlstate.Error).WithHint("For a single \"%%\" use \"%%%%\".")
	}
	number := func(k int) (int, int, error) {
		v := 0
		for ; k < len(f) && isDigit(f[k]); k++ {
			v = v*10 + int(f[k]-'0')
			if v > 1<<30 {
				return 0, 0, sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "number is out of range")
			}
		}
		return v, k, nil
	}
	for k := 0; k < len(f); k++ {
		if f[k] != '%' {
			out = append(out, f[k])
			continue
		}
		if k++; k >= len(f) {
			return unterminated()
		}
		if f[k] == '%' {
			out = append(out, '%')
			continue
		}
		pos, width, minus := -1, 0, false
		v, e, err := number(k)
		if err != nil {
			return err
		}
		if e > k && e < len(f) && f[e] == '$' {
			if v == 0 {
				return bad("format specifies argument 0, but arguments are numbered from 1")
			}
			pos, k = v, e+1
		}
		for k < len(f) && f[k] == '-' {
			minus = true
			k++
		}
		switch {
		case k < len(f) && f[k] == '*':
			k++
			wpos := -1
			if v, e, err = number(k); err != nil {
				return err
			}
			if e > k {
				if e >= len(f) || f[e] != '$' {
					return bad("width argument position must be ended by \"$\"")
				}
				if v == 0 {
					return bad("format specifies argument 0, but arguments are numbered from 1")
				}
				wpos, k = v, e+1
			}
			p, err := arg(wpos)
			if err != nil {
				return err
			}
			if !c.Null(p, i) {
				t := c.appendArg(nil, p, i)
				neg := false
				for _, b := range t {
					switch {
					case b == '-':
						neg = true
					case isDigit(b):
						width = width*10 + int(b-'0')
					}
				}
				if neg {
					minus = true
				}
			}
		default:
			if width, k, err = number(k); err != nil {
				return err
			}
		}
		if k >= len(f) {
			return unterminated()
		}
		kind := f[k]
		if kind != 's' && kind != 'I' && kind != 'L' {
			return bad("unrecognized format() type specifier \"%s\"", f[k:k+charLen(f[k:], false)]).(*sqlstate.Error).WithHint("For a single \"%%\" use \"%%%%\".")
		}
		p, err := arg(pos)
		if err != nil {
			return err
		}
		var s []byte
		switch {
		case c.Null(p, i):
			switch kind {
			case 'I':
				return sqlstate.Errorf(sqlstate.NullValueNotAllowed, "null values cannot be formatted as an SQL identifier")
			case 'L':
				s = []byte("NULL")
			}
		default:
			s = c.appendArg(nil, p, i)
			switch kind {
			case 'I':
				s = appendIdent(nil, s)
			case 'L':
				s = appendLiteral(nil, s)
			}
		}
		pad := width - charCount(s)
		if len(out)+len(s)+max(pad, 0) > start+textMax {
			return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "out of memory").
				WithDetail("Cannot enlarge string buffer containing %d bytes by %d more bytes.", len(out)-start, max(pad, len(s)))
		}
		if err := c.charge(len(out) - start + len(s) + max(pad, 0)); err != nil {
			return err
		}
		out = slices.Grow(out, len(s)+max(pad, 0))
		if !minus {
			for ; pad > 0; pad-- {
				out = append(out, ' ')
			}
		}
		out = append(out, s...)
		for ; pad > 0; pad-- {
			out = append(out, ' ')
		}
	}
	c.End(i, out)
	return nil
}
