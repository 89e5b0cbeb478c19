package eval

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func init() {
	reg("unistr", impl{loop: each(func(c *Call, i int) error {
		b, err := appendUnistr(c.Begin(), c.Bytes(0, i))
		if err != nil {
			return err
		}
		c.End(i, b)
		return nil
	})})
	reg("parse_ident", impl{loop: each(func(c *Call, i int) error {
		var b types.ArrayBuilder
		b.Reset(types.TextOID)
		strict := len(c.Args) < 2 || c.Bool(1, i)
		if err := parseIdent(c.Bytes(0, i), strict, func(s []byte) { b.AppendBytes(s) }); err != nil {
			return err
		}
		c.End(i, b.Finish(c.Begin()))
		return nil
	})})
}

// appendUnistr evaluates the Unicode escapes \XXXX, \+XXXXXX, \uXXXX and \UXXXXXXXX.
func appendUnistr(dst, s []byte) ([]byte, error) {
	var high rune // the first of a pair of surrogates
	pair := func() error { return sqlstate.Errorf(sqlstate.SyntaxError, "invalid Unicode surrogate pair") }
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 < len(s) && s[i+1] == '\\' {
			if high != 0 {
				return dst, pair()
			}
			dst = append(dst, s[i])
			if s[i] == '\\' {
				i++
			}
			i++
			continue
		}
		skip, n := 1, 4
		if i+1 < len(s) {
			switch s[i+1] {
			case '+':
				skip, n = 2, 6
			case 'u':
				skip = 2
			case 'U':
				skip, n = 2, 8
			}
		}
		if i+skip+n > len(s) || !allHex(s[i+skip:i+skip+n]) {
			return dst, sqlstate.Errorf(sqlstate.SyntaxError, "invalid Unicode escape").
				WithHint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
		}
		v, _ := strconv.ParseUint(string(s[i+skip:i+skip+n]), 16, 32)
		i += skip + n
		r := rune(v)
		if v == 0 || v > utf8.MaxRune {
			return dst, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid Unicode code point: %04X", v)
		}
		switch {
		case high != 0:
			if r < 0xDC00 || r > 0xDFFF {
				return dst, pair()
			}
			r, high = utf16.DecodeRune(high, r), 0
		case r >= 0xDC00 && r <= 0xDFFF:
			return dst, pair()
		case r >= 0xD800 && r < 0xDC00:
			high = r
			continue
		}
		dst = utf8.AppendRune(dst, r)
	}
	if high != 0 {
		return dst, pair()
	}
	return dst, nil
}

func allHex(s []byte) bool {
	for _, b := range s {
		if !isDigit(b) && b|0x20-'a' > 5 {
			return false
		}
	}
	return true
}

// parseIdent splits a qualified name as the SQL parser would.
func parseIdent(s []byte, strict bool, add func(part []byte)) error {
	bad := func(detail string) error {
		e := sqlstate.Errorf(sqlstate.InvalidParameterValue, "string is not a valid identifier: \"%s\"", s)
		if detail != "" {
			e = e.WithDetail("%s", detail)
		}
		return e
	}
	i := 0
	blank := func() {
		for i < len(s) && (s[i] == ' ' || s[i] >= '\t' && s[i] <= '\r') {
			i++
		}
	}
	start := func(b byte) bool { return b|0x20-'a' < 26 || b == '_' || b >= 0x80 }
	afterDot := false
	for blank(); ; {
		switch {
		case i < len(s) && s[i] == '"':
			var part []byte
			closed := false
			for i++; i < len(s); i++ {
				if s[i] == '"' {
					if i+1 >= len(s) || s[i+1] != '"' {
						i++
						closed = true
						break
					}
					i++
				}
				part = append(part, s[i])
			}
			if !closed {
				return bad("String has unclosed double quotes.")
			}
			if len(part) == 0 {
				return bad("Quoted identifier must not be empty.")
			}
			add(part)
		case i < len(s) && start(s[i]):
			from := i
			for i < len(s) && (start(s[i]) || isDigit(s[i]) || s[i] == '$') {
				i++
			}
			part := append([]byte(nil), s[from:i]...)
			for k, b := range part {
				if b-'A' < 26 {
					part[k] = b | 0x20
				}
			}
			add(part)
		case i < len(s) && s[i] == '.':
			return bad("No valid identifier before \".\".")
		case afterDot:
			return bad("No valid identifier after \".\".")
		default:
			return bad("")
		}
		blank()
		switch {
		case i < len(s) && s[i] == '.':
			afterDot = true
			i++
			blank()
		case i == len(s) || !strict:
			return nil
		default:
			return bad("")
		}
	}
}
