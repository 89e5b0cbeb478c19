package types

// The reader of dates and times: input is cut into fields by their first
// character (dtLex), and the fields are interpreted left to right (dtDecode),
// each claiming parts of the result that must not be claimed twice.

type dtKind uint8

const (
	dtNumber  dtKind = iota // digits, perhaps with a fraction
	dtString                // a word
	dtDate                  // digits and words joined by one of - / .
	dtTime                  // digits with colons
	dtTZ                    // sign and digits
	dtSpecial               // sign and word
)

// dtField is a field by its place in the lower-case text. (Offsets, because a
// slice stored here would send the text to the heap.)
type dtField struct {
	kind     dtKind
	from, to uint8
}

func (f dtField) in(text []byte) []byte { return text[f.from:f.to:f.to] }

const (
	dtMaxFields = 25
	dtMaxLen    = 128
)

// dtLex cuts s into fields. buf (dtMaxLen) receives the lower-case text, fields
// has room for dtMaxFields.
func dtLex(s, buf []byte, fields []dtField) (text []byte, _ []dtField, ok bool) {
	if len(s) > dtMaxLen {
		return nil, nil, false
	}
	out := buf[:0]
	n := 0
	i := 0
	peek := func() byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	for i < len(s) {
		c := s[i]
		if isSpace(c) {
			i++
			continue
		}
		start := len(out)
		var kind dtKind
		take := func() {
			out = append(out, lower(s[i]))
			i++
		}
		switch {
		case isDigit(c):
			for isDigit(peek()) {
				take()
			}
			switch c := peek(); {
			case c == ':':
				kind = dtTime
				for isDigit(peek()) || peek() == ':' || peek() == '.' {
					take()
				}
			case c == '-' || c == '/' || c == '.':
				delim := c
				take()
				switch {
				case isDigit(peek()):
					kind = dtDate
					if delim == '.' {
						kind = dtNumber
					}
					for isDigit(peek()) {
						take()
					}
					if peek() == delim {
						kind = dtDate
						for isDigit(peek()) || peek() == delim {
							take()
						}
					}
				default:
					kind = dtDate
					for isDigit(peek()) || isAlpha(peek()) || peek() == delim {
						take()
					}
				}
			default:
				kind = dtNumber
			}
		case c == '.':
			kind = dtNumber
			take()
			for isDigit(peek()) {
				take()
			}
		case isAlpha(c):
			kind = dtString
			for isAlpha(peek()) {
				take()
			}
			// A word with punctuation in it is a date with a month's name, or
			// a zone's name; one before + or a digit only if it is no keyword.
			joined := false
			switch c := peek(); {
			case c == '-' || c == '/' || c == '.':
				joined = true
			case c == '+' || isDigit(c):
				_, known := dtWords[stringOf(out[start:])]
				joined = !known
			}
			if joined {
				kind = dtDate
				for {
					take()
					c := peek()
					if !(isDigit(c) || isAlpha(c) || c == '+' || c == '-' || c == '/' || c == '_' || c == '.' || c == ':') {
						break
					}
				}
			}
		case c == '+' || c == '-':
			take()
			for isSpace(peek()) {
				i++
			}
			switch {
			case isDigit(peek()):
				kind = dtTZ
				for isDigit(peek()) || peek() == ':' || peek() == '.' || peek() == '-' {
					take()
				}
			case isAlpha(peek()):
				kind = dtSpecial
				for isAlpha(peek()) {
					take()
				}
			default:
				return nil, nil, false
			}
		case c > ' ' && c < 0x7f:
			i++ // other punctuation separates
			continue
		default:
			return nil, nil, false
		}
		if n == dtMaxFields {
			return nil, nil, false
		}
		fields[n] = dtField{kind, uint8(start), uint8(len(out))}
		n++
	}
	return out, fields[:n], true
}
