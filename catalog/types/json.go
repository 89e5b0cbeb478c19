package types

import (
	"fmt"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// jsonDepthMax bounds the nesting of JSON; deeper input fails with 54001, as
// PostgreSQL's stack check makes it fail at about this depth.
const jsonDepthMax = 6400

// A jsonLex reads JSON text strictly (RFC 8259) and words its complaints as
// PostgreSQL does.
type jsonLex struct {
	s         []byte
	pos       int // behind the current token
	start     int // of the current token
	tok       byte
	line      int
	lineStart int
	unescape  bool   // decode strings into str, and insist that they can be
	str       []byte // the decoded string
	depth     int
}

// Tokens are the characters { } [ ] , : and these.
const (
	jsonEnd    = 'E'
	jsonString = '"'
	jsonNumber = '0'
	jsonTrue   = 't'
	jsonFalse  = 'f'
	jsonNull   = 'n'
)

func (l *jsonLex) init(s []byte, unescape bool) {
	l.s, l.line, l.unescape = s, 1, unescape
}

// fail makes 22P02 with a detail about the current token; the token ends at pos.
func (l *jsonLex) fail(detail string) error {
	return l.failCode(sqlstate.InvalidTextRepresentation, "invalid input syntax for type json", detail)
}

func (l *jsonLex) failCode(code sqlstate.Code, msg, detail string) error {
	end := min(l.pos, len(l.s))
	start := l.lineStart
	for end-start >= 50 {
		_, n := utf8.DecodeRune(l.s[start:])
		start += n
	}
	if start-l.lineStart <= 3 {
		start = l.lineStart
	}
	prefix, suffix := "", ""
	if start > l.lineStart {
		prefix = "..."
	}
	if l.tok != jsonEnd && end < len(l.s) && l.s[end] != '\n' && l.s[end] != '\r' {
		suffix = "..."
	}
	return &sqlstate.Error{Code: code, Message: msg, Detail: detail,
		Where: fmt.Sprintf("JSON data, line %d: %s%s%s", l.line, prefix, l.s[start:max(start, end)], suffix)}
}

// unexpected is the error about a token in a wrong place.
func (l *jsonLex) unexpected(want string) error {
	if l.tok == jsonEnd {
		return l.fail("The input string ended unexpectedly.")
	}
	return l.fail(fmt.Sprintf("Expected %s, but found \"%s\".", want, l.s[l.start:l.pos]))
}

func (l *jsonLex) invalidToken() error {
	return l.fail(fmt.Sprintf("Token \"%s\" is invalid.", l.s[l.start:l.pos]))
}

func jsonWordChar(c byte) bool { return isAlpha(c) || isDigit(c) || c == '_' || c >= 0x80 }

// next reads a token.
func (l *jsonLex) next() error {
	s := l.s
	i := l.pos
	for i < len(s) {
		c := s[i]
		if c > ' ' {
			break
		}
		if c == '\n' {
			l.line++
			l.lineStart = i + 1
		} else if c != ' ' && c != '\t' && c != '\r' {
			break
		}
		i++
	}
	l.start = i
	if i == len(s) {
		l.pos, l.tok = i, jsonEnd
		return nil
	}
	switch c := s[i]; c {
	case '{', '}', '[', ']', ',', ':':
		l.tok, l.pos = c, i+1
		return nil
	case '"':
		l.tok = jsonString
		return l.lexString()
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		l.tok = jsonNumber
		return l.lexNumber()
	}
	for i < len(s) && jsonWordChar(s[i]) {
		i++
	}
	if i == l.start {
		_, n := utf8.DecodeRune(s[i:])
		l.pos, l.tok = i+n, '?'
		return l.invalidToken()
	}
	l.pos = i
	switch stringOf(s[l.start:i]) {
	case "true":
		l.tok = jsonTrue
	case "false":
		l.tok = jsonFalse
	case "null":
		l.tok = jsonNull
	default:
		l.tok = '?'
		return l.invalidToken()
	}
	return nil
}

func (l *jsonLex) lexNumber() error {
	s := l.s
	i := l.start
	at := func() byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	bad := false
	digits := func() {
		if !isDigit(at()) {
			bad = true
		}
		for isDigit(at()) {
			i++
		}
	}
	if at() == '-' {
		i++
	}
	if at() == '0' {
		i++
	} else {
		digits()
	}
	if at() == '.' {
		i++
		digits()
	}
	if at()|0x20 == 'e' {
		i++
		if at() == '+' || at() == '-' {
			i++
		}
		digits()
	}
	for i < len(s) && jsonWordChar(s[i]) {
		bad = true
		i++
	}
	l.pos = i
	if bad {
		return l.invalidToken()
	}
	return nil
}

// failAt ends the token behind the character at i and fails.
func (l *jsonLex) failAt(i int, detail string) error {
	_, n := utf8.DecodeRune(l.s[i:])
	l.pos = min(i+n, len(l.s))
	return l.fail(detail)
}

func (l *jsonLex) lexString() error {
	s := l.s
	i := l.start + 1
	out := l.str[:0]
	high := rune(-1) // a high surrogate that waits for its low one
	for {
		run := i
		for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= ' ' {
			i++
		}
		if i > run {
			if high >= 0 && l.unescape {
				return l.failAt(run, "Unicode low surrogate must follow a high surrogate.")
			}
			if l.unescape {
				out = append(out, s[run:i]...)
			}
		}
		if i == len(s) {
			l.pos = i
			return l.invalidToken()
		}
		c := s[i]
		if c < ' ' {
			l.pos = i
			return l.fail(fmt.Sprintf("Character with value 0x%02x must be escaped.", c))
		}
		if c == '"' {
			if high >= 0 {
				return l.failAt(i, "Unicode low surrogate must follow a high surrogate.")
			}
			l.pos = i + 1
			l.str = out
			return nil
		}
		i++
		if i == len(s) {
			l.pos = i
			return l.invalidToken()
		}
		c = s[i]
		if c == 'u' {
			r := rune(0)
			for k := 0; k < 4; k++ {
				i++
				if i == len(s) {
					l.pos = i
					return l.invalidToken()
				}
				v := hexVal(s[i])
				if v < 0 {
					return l.failAt(i, "\"\\u\" must be followed by four hexadecimal digits.")
				}
				r = r<<4 | rune(v)
			}
			i++
			if !l.unescape {
				continue
			}
			l.pos = i
			switch {
			case r >= 0xd800 && r < 0xdc00:
				if high >= 0 {
					return l.fail("Unicode high surrogate must not follow a high surrogate.")
				}
				high = r
				continue
			case r >= 0xdc00 && r < 0xe000:
				if high < 0 {
					return l.fail("Unicode low surrogate must follow a high surrogate.")
				}
				r = 0x10000 + (high-0xd800)<<10 + (r - 0xdc00)
				high = -1
			}
			if high >= 0 {
				return l.fail("Unicode low surrogate must follow a high surrogate.")
			}
			if r == 0 {
				return l.failCode(sqlstate.UntranslatableCharacter, "unsupported Unicode escape sequence",
					"\\u0000 cannot be converted to text.")
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		if high >= 0 {
			return l.failAt(i, "Unicode low surrogate must follow a high surrogate.")
		}
		switch c {
		case '"', '\\', '/':
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		default:
			_, n := utf8.DecodeRune(s[i:])
			return l.failAt(i, fmt.Sprintf("Escape sequence \"\\%s\" is invalid.", s[i:i+n]))
		}
		i++
		if l.unescape {
			out = append(out, c)
		}
	}
}

func (l *jsonLex) push() error {
	if l.depth++; l.depth > jsonDepthMax {
		return sqlstate.Errorf(sqlstate.StatementTooComplex, "stack depth limit exceeded").
			WithHint("JSON may be nested at most %d levels deep.", jsonDepthMax)
	}
	return nil
}

// ValidateJSON says whether s is one JSON value, as the type json requires.
func ValidateJSON(s []byte) error {
	var l jsonLex
	l.init(s, false)
	if err := l.next(); err != nil {
		return err
	}
	if err := l.skipValue(); err != nil {
		return err
	}
	if l.tok != jsonEnd {
		return l.unexpected("end of input")
	}
	return nil
}

// skipValue passes over a value; the current token is its first, and afterwards
// the one behind it.
func (l *jsonLex) skipValue() error {
	switch l.tok {
	case jsonString, jsonNumber, jsonTrue, jsonFalse, jsonNull:
		return l.next()
	case '[':
		if err := l.push(); err != nil {
			return err
		}
		if err := l.next(); err != nil {
			return err
		}
		if l.tok != ']' {
			for {
				if err := l.skipValue(); err != nil {
					return err
				}
				if l.tok == ']' {
					break
				}
				if l.tok != ',' {
					return l.unexpected("\",\" or \"]\"")
				}
				if err := l.next(); err != nil {
					return err
				}
			}
		}
		l.depth--
		return l.next()
	case '{':
		if err := l.push(); err != nil {
			return err
		}
		if err := l.next(); err != nil {
			return err
		}
		for first := true; l.tok != '}' || !first; first = false {
			if l.tok != jsonString {
				return l.unexpected(jsonKeyWanted(first))
			}
			if err := l.colon(); err != nil {
				return err
			}
			if err := l.skipValue(); err != nil {
				return err
			}
			if l.tok == '}' {
				break
			}
			if l.tok != ',' {
				return l.unexpected("\",\" or \"}\"")
			}
			if err := l.next(); err != nil {
				return err
			}
		}
		l.depth--
		return l.next()
	}
	return l.unexpected("JSON value")
}

func jsonKeyWanted(first bool) string {
	if first {
		return "string or \"}\""
	}
	return "string"
}

// colon passes over a colon to the token behind it.
func (l *jsonLex) colon() error {
	if err := l.next(); err != nil {
		return err
	}
	if l.tok != ':' {
		return l.unexpected("\":\"")
	}
	return l.next()
}

// AppendJSONString appends s as a JSON string.
func AppendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	run := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[run:i]...)
		run = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[run:]...)
	return append(dst, '"')
}
