package parser

// tokKind is the kind of a token of our own lexer.
type tokKind uint8

const (
	tokEnd    tokKind = iota
	tokBad            // not lexed: an unterminated string, a stray byte
	tokWord           // identifier or keyword
	tokQuoted         // "identifier"
	tokString         // '...', plain
	tokOther          // E'', B'', X'', U&'', N'', $$...$$: left to the parser
	tokNumber         // unsigned
	tokParam          // $1
	tokOp             // operator characters, :: among them
	tokChar           // one of ( ) [ ] , ; . :
)

// token is a token's place in the source.
type token struct {
	kind       tokKind
	start, end int
	// escaped: a tokString with doubled quotes or a backslash inside.
	escaped bool
	// comment: a comment stood before it.
	comment bool
}

// lexer cuts SQL as PostgreSQL does with standard_conforming_strings on. It is
// lenient: what it does not understand it calls tokOther or tokBad.
type lexer struct {
	src string
	pos int
}

var (
	opChar  [256]bool
	idStart [256]bool
	idCont  [256]bool
)

func init() {
	for _, c := range "~!@#^&|`?+-*/%<>=" {
		opChar[c] = true
	}
	for c := 0; c < 256; c++ {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
		idStart[c] = letter
		idCont[c] = letter || c >= '0' && c <= '9' || c == '$'
	}
}

func digit(c byte) bool { return c-'0' < 10 }

func (l *lexer) next() token {
	s, i := l.src, l.pos
	comment := false
	for i < len(s) {
		c := s[i]
		if isSpace(c) {
			i++
			continue
		}
		if c == '-' && i+1 < len(s) && s[i+1] == '-' {
			comment = true
			for i < len(s) && s[i] != '\n' && s[i] != '\r' {
				i++
			}
			continue
		}
		if c == '/' && i+1 < len(s) && s[i+1] == '*' {
			comment = true
			n := blockComment(s[i:])
			if n < 0 {
				l.pos = len(s)
				return token{kind: tokBad, start: i, end: len(s), comment: true}
			}
			i += n
			continue
		}
		break
	}
	t := token{kind: tokEnd, start: i, comment: comment}
	if i >= len(s) {
		t.end = i
		l.pos = i
		return t
	}
	c := s[i]
	switch {
	case idStart[c]:
		i++
		for i < len(s) && idCont[s[i]] {
			i++
		}
		t.kind = tokWord
		if i < len(s) && i-t.start <= 1 && s[i] == '\'' {
			switch c {
			case 'e', 'E':
				t.kind = tokOther
				i = endString(s, i, true)
			case 'b', 'B', 'x', 'X', 'n', 'N':
				t.kind = tokOther
				i = endString(s, i, false)
			}
		} else if i+1 < len(s) && i-t.start == 1 && (c == 'u' || c == 'U') && s[i] == '&' && (s[i+1] == '\'' || s[i+1] == '"') {
			t.kind = tokOther
			i = endQuoted(s, i+1, s[i+1])
		}
	case digit(c) || c == '.' && i+1 < len(s) && digit(s[i+1]):
		t.kind = tokNumber
		i = endNumber(s, i)
	case c == '\'':
		t.kind = tokString
		i++
		for {
			if i >= len(s) {
				i = -1
				break
			}
			if s[i] == '\'' {
				if i+1 < len(s) && s[i+1] == '\'' {
					t.escaped = true
					i += 2
					continue
				}
				i++
				break
			}
			i++
		}
	case c == '"':
		t.kind = tokQuoted
		i = endQuoted(s, i, '"')
	case c == '$':
		switch {
		case i+1 < len(s) && digit(s[i+1]):
			t.kind = tokParam
			for i++; i < len(s) && digit(s[i]); i++ {
			}
		default:
			t.kind = tokOther
			i = endDollar(s, i)
		}
	case opChar[c]:
		t.kind = tokOp
		i++
		for i < len(s) && opChar[s[i]] {
			if s[i] == '-' && i+1 < len(s) && s[i+1] == '-' || s[i] == '/' && i+1 < len(s) && s[i+1] == '*' {
				break
			}
			i++
		}
		// A multi-character operator ends in + or - only when it has one of these.
		if i-t.start > 1 {
			for i-t.start > 1 && (s[i-1] == '+' || s[i-1] == '-') && !hasSpecialOp(s[t.start:i-1]) {
				i--
			}
		}
	case c == ':' && i+1 < len(s) && (s[i+1] == ':' || s[i+1] == '='):
		t.kind = tokOp
		i += 2
	case c == '(' || c == ')' || c == '[' || c == ']' || c == ',' || c == ';' || c == '.' || c == ':':
		t.kind = tokChar
		i++
	default:
		i = -1
	}
	if i < 0 {
		t.kind = tokBad
		i = len(s)
	}
	t.end = i
	l.pos = i
	return t
}

func hasSpecialOp(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '~', '!', '@', '#', '%', '^', '&', '|', '`', '?':
			return true
		}
	}
	return false
}

// endString is the end of the string whose quote is at i, -1 when it has none.
func endString(s string, i int, backslash bool) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if backslash {
				i++
			}
		case '\'':
			if i+1 < len(s) && s[i+1] == '\'' {
				i++
				continue
			}
			return i + 1
		}
	}
	return -1
}

func endQuoted(s string, i int, q byte) int {
	for i++; i < len(s); i++ {
		if s[i] == q {
			if i+1 < len(s) && s[i+1] == q {
				i++
				continue
			}
			return i + 1
		}
	}
	return -1
}

func endDollar(s string, i int) int {
	j := i + 1
	for j < len(s) && idCont[s[j]] && s[j] != '$' {
		j++
	}
	if j >= len(s) || s[j] != '$' {
		return -1
	}
	tag := s[i : j+1]
	for k := j + 1; k+len(tag) <= len(s); k++ {
		if s[k:k+len(tag)] == tag {
			return k + len(tag)
		}
	}
	return -1
}

// endNumber is the end of the number at i: decimal digits, point, exponent, or
// 0x, 0o, 0b. "1..2" ends before the dots.
func endNumber(s string, i int) int {
	if s[i] == '0' && i+1 < len(s) {
		switch s[i+1] {
		case 'x', 'X', 'o', 'O', 'b', 'B':
			j := i + 2
			for j < len(s) && (digit(s[j]) || s[j] == '_' || s[j]|0x20 >= 'a' && s[j]|0x20 <= 'f') {
				j++
			}
			if j > i+2 {
				return j
			}
		}
	}
	digits := func() {
		for i < len(s) && (digit(s[i]) || s[i] == '_' && i+1 < len(s) && digit(s[i+1])) {
			i++
		}
	}
	digits()
	if i < len(s) && s[i] == '.' && !(i+1 < len(s) && s[i+1] == '.') {
		i++
		digits()
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if j < len(s) && digit(s[j]) {
			i = j
			digits()
		}
	}
	return i
}
