package parser

import "strings"

// LitClass is what the type rules can see of a literal.
type LitClass uint8

// The classes. Other numbers stay in the text, since their digits decide types.
const (
	LitInt4 LitClass = iota
	LitString
)

// Literal is a literal taken out of a text: its token, quotes included.
type Literal struct {
	Start, End int
	Class      LitClass
}

// Value is the literal's value as text. Strings with escapes are never taken out.
func (l Literal) Value(sql string) string {
	if l.Class == LitString {
		return sql[l.Start+1 : l.End-1]
	}
	return sql[l.Start:l.End]
}

// slotMark stands in a normalized text where a literal was, with its class behind
// it. It cannot occur in SQL outside quotes.
const slotMark = 1

// Normalize appends to dst the text with plain literals replaced by marks and
// white space made single, and to lits the literals. ok is false for what it does not
// understand: comments, strings with escapes of other kinds, parameters, several
// statements. It does one pass and allocates only to grow dst and lits.
func Normalize(dst []byte, lits []Literal, sql string) (_ []byte, _ []Literal, ok bool) {
	lx := lexer{src: sql}
	space := false
	for {
		before := lx.pos
		t := lx.next()
		if t.comment {
			return dst, lits, false
		}
		switch t.kind {
		case tokEnd:
			return dst, lits, true
		case tokBad, tokOther, tokParam:
			return dst, lits, false
		}
		text := sql[t.start:t.end]
		if t.start > before && space && text != ";" {
			dst = append(dst, ' ')
		}
		space = true
		switch {
		case t.kind == tokChar && text == ";":
			rest := lexer{src: sql, pos: t.end}
			if e := rest.next(); e.kind != tokEnd || e.comment {
				return dst, lits, false
			}
			return dst, lits, true
		case t.kind == tokString && !t.escaped && strings.IndexByte(text, '\\') < 0:
			lits = append(lits, Literal{t.start, t.end, LitString})
			dst = append(dst, slotMark, 's')
		case t.kind == tokNumber && isInt4(text):
			lits = append(lits, Literal{t.start, t.end, LitInt4})
			dst = append(dst, slotMark, 'i')
		default:
			if strings.IndexByte(text, slotMark) >= 0 {
				return dst, lits, false
			}
			dst = append(dst, text...)
		}
	}
}

// isInt4 says whether an unsigned number is an integer literal of type int4.
func isInt4(s string) bool {
	if len(s) > 10 {
		return false
	}
	v := 0
	for i := 0; i < len(s); i++ {
		if !digit(s[i]) {
			return false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v <= 1<<31-1
}
