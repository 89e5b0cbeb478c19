package parser

import (
	"errors"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// TupleSink takes the values of scanned tuples, one call a value and one End a
// tuple. Texts are lent until the call returns. An error other than ErrNotPlain ends the
// scan and gets the value's position.
type TupleSink interface {
	// Number is a numeric literal as written, with its sign.
	Number(col int, text string) error
	// String is a string literal's content.
	String(col int, text string) error
	Bool(col int, v bool) error
	Null(col int) error
	Default(col int) error
	End() error
}

// ErrNotPlain is returned by a sink for a literal that only the full rules of
// assignment can take, and by ScanTuples for text that is no list of plain tuples: the
// statement is then to be parsed as a whole.
var ErrNotPlain = errors.New("parser: not a plain tuple")

// longInsert is the length from which an INSERT is worth scanning.
const longInsert = 2048

// ParseLong is Parse, except that of a long INSERT ... VALUES it parses the first
// tuple only: the statement then has Tuples set. What is found not to be plain later
// (ErrNotPlain) is to be parsed anew by Parse.
func ParseLong(sql string) ([]Stmt, error) {
	if len(sql) < longInsert {
		return Parse(sql)
	}
	start, end, ok := firstTuple(sql)
	if !ok {
		return Parse(sql)
	}
	stmts, err := Parse(sql[:end])
	if err != nil || len(stmts) != 1 || stmts[0].Node.GetInsertStmt() == nil {
		return Parse(sql)
	}
	stmts[0].Tuples = start
	stmts[0].Len = len(sql) - stmts[0].Offset
	return stmts, nil
}

// firstTuple finds the first tuple of an INSERT ... VALUES that is followed by
// more. sql[:end] is then a statement of its own. ok is false for anything else.
func firstTuple(sql string) (start, end int, ok bool) {
	lx := lexer{src: sql}
	t := lx.next()
	if t.kind != tokWord || !strings.EqualFold(sql[t.start:t.end], "insert") {
		return 0, 0, false
	}
	depth := 0
	for {
		t = lx.next()
		switch t.kind {
		case tokEnd, tokBad, tokOther:
			return 0, 0, false
		case tokChar:
			switch sql[t.start] {
			case '(':
				depth++
			case ')':
				depth--
			case ';':
				return 0, 0, false
			}
			continue
		case tokWord:
			if depth != 0 {
				continue
			}
			w := sql[t.start:t.end]
			if strings.EqualFold(w, "select") || strings.EqualFold(w, "with") {
				return 0, 0, false
			}
			if !strings.EqualFold(w, "values") {
				continue
			}
		default:
			continue
		}
		break
	}
	if t = lx.next(); t.kind != tokChar || sql[t.start] != '(' {
		return 0, 0, false
	}
	start = t.start
	for depth = 1; depth > 0; {
		t = lx.next()
		switch t.kind {
		case tokEnd, tokBad:
			return 0, 0, false
		case tokChar:
			switch sql[t.start] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
	}
	end = t.end
	if t = lx.next(); t.kind != tokChar || sql[t.start] != ',' {
		return 0, 0, false
	}
	return start, end, true
}

// ScanTuples reads the tuples of a statement with Tuples set, from there to the end
// of the text, and hands their values to the sink. It gives ErrNotPlain when there is
// anything but tuples of plain literals, whatever the sink has taken until then.
func ScanTuples(sql string, from, columns int, sink TupleSink) error {
	lx := lexer{src: sql, pos: from}
	var unescaped []byte
	fail := func(err error, at int) error {
		if err == nil || errors.Is(err, ErrNotPlain) {
			return err
		}
		e := sqlstate.From(err)
		if e.Code == sqlstate.StringDataRightTruncation || e.Message == "numeric field overflow" {
			return e // a column's modifier is enforced after the literal is read
		}
		return e.At(Position(sql, at))
	}
	for first := true; ; first = false {
		t := lx.next()
		switch {
		case first:
		case t.kind == tokEnd:
			return nil
		case t.kind == tokChar && sql[t.start] == ';':
			if t = lx.next(); t.kind == tokEnd {
				return nil
			}
			return ErrNotPlain
		case t.kind != tokChar || sql[t.start] != ',':
			return ErrNotPlain
		default:
			t = lx.next()
		}
		if t.kind != tokChar || sql[t.start] != '(' {
			return ErrNotPlain
		}
		for col := 0; ; col++ {
			t = lx.next()
			if col >= columns {
				return ErrNotPlain // the parser has the words for it
			}
			var err error
			at := t.start
			switch t.kind {
			case tokNumber:
				err = sink.Number(col, sql[t.start:t.end])
			case tokOp:
				sign := sql[t.start:t.end]
				if sign != "-" {
					return ErrNotPlain
				}
				n := lx.next()
				if n.kind != tokNumber || n.start != t.end {
					return ErrNotPlain
				}
				err = sink.Number(col, sql[t.start:n.end])
			case tokString:
				text := sql[t.start+1 : t.end-1]
				if t.escaped {
					unescaped = unescape(unescaped[:0], text)
					text = string(unescaped)
				}
				err = sink.String(col, text)
			case tokWord:
				switch w := sql[t.start:t.end]; {
				case strings.EqualFold(w, "null"):
					err = sink.Null(col)
				case strings.EqualFold(w, "true"):
					err = sink.Bool(col, true)
				case strings.EqualFold(w, "false"):
					err = sink.Bool(col, false)
				case strings.EqualFold(w, "default"):
					err = sink.Default(col)
				default:
					return ErrNotPlain
				}
			default:
				return ErrNotPlain
			}
			if err != nil {
				return fail(err, at)
			}
			t = lx.next()
			if t.kind != tokChar {
				return ErrNotPlain
			}
			if sql[t.start] == ')' {
				if col+1 != columns {
					return ErrNotPlain
				}
				break
			}
			if sql[t.start] != ',' {
				return ErrNotPlain
			}
		}
		if err := sink.End(); err != nil {
			return fail(err, t.start)
		}
	}
}

// unescape makes doubled quotes single.
func unescape(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, s[i])
		if s[i] == '\'' {
			i++
		}
	}
	return dst
}
