// Package parser turns SQL text into pg_query trees and back into places in the
// text: it splits strings of several statements, gives syntax errors PostgreSQL's
// form, and bounds what reaches the C parser, which would overflow its stack on
// deep trees. Beside it stands a small lexer of our own for what must be faster
// than a parse: normalizing literals to slots for plan caches, and scanning the
// tuples of a long INSERT ... VALUES.
//
// It knows no catalog and resolves no names; planner/bind does.
package parser

import (
	"errors"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v5"
	cparser "github.com/pganalyze/pg_query_go/v5/parser"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Stmt is one statement of a query string. Locations in its tree are byte offsets
// in the whole string.
type Stmt struct {
	Node *pg.Node
	// Offset and Len delimit the statement's own text, without the semicolon and
	// the white space around it.
	Offset, Len int
	// Tuples is set for an INSERT of which only the first tuple was parsed: it is
	// where the tuples begin, for ScanTuples.
	Tuples int
}

// Text is the statement's own part of the query string.
func (s *Stmt) Text(sql string) string { return sql[s.Offset : s.Offset+s.Len] }

// Parse parses a query string of any number of statements, also none.
func Parse(sql string) ([]Stmt, error) {
	if i := strings.IndexByte(sql, 0); i >= 0 {
		return nil, sqlstate.Errorf(sqlstate.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x00")
	}
	if err := checkDepth(sql); err != nil {
		return nil, err
	}
	tree, err := pg.Parse(sql)
	if err != nil {
		return nil, syntaxError(err)
	}
	out := make([]Stmt, len(tree.Stmts))
	for i, s := range tree.Stmts {
		start, n := int(s.StmtLocation), int(s.StmtLen)
		if n == 0 {
			n = len(sql) - start
		}
		end := start + n
		start += skipBlank(sql[start:end])
		for end > start && isSpace(sql[end-1]) {
			end--
		}
		out[i] = Stmt{Node: s.Stmt, Offset: start, Len: end - start}
	}
	return out, nil
}

// Position turns a byte offset into the position that errors report: it counts
// characters, from 1. Offsets below zero give 0, unknown.
func Position(sql string, offset int) int {
	if offset < 0 {
		return 0
	}
	return utf8.RuneCountInString(sql[:min(offset, len(sql))]) + 1
}

// Deparse writes a statement as SQL.
func Deparse(n *pg.Node) (string, error) {
	return pg.Deparse(&pg.ParseResult{Stmts: []*pg.RawStmt{{Stmt: n}}})
}

// ParseExpr parses one expression, as of a column's default or a CHECK
// constraint. Locations in it have no meaning.
func ParseExpr(text string) (*pg.Node, error) {
	stmts, err := Parse("SELECT (" + text + "\n)")
	if err != nil {
		return nil, err
	}
	if len(stmts) == 1 {
		if sel := stmts[0].Node.GetSelectStmt(); sel != nil && len(sel.TargetList) == 1 {
			if rt := sel.TargetList[0].GetResTarget(); rt != nil && rt.Val != nil {
				return rt.Val, nil
			}
		}
	}
	return nil, sqlstate.Errorf(sqlstate.SyntaxError, "\"%s\" is not one expression", text)
}

// DeparseExpr writes an expression as SQL.
func DeparseExpr(n *pg.Node) (string, error) {
	sql, err := Deparse(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{
		TargetList:  []*pg.Node{{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: n}}}},
		LimitOption: pg.LimitOption_LIMIT_OPTION_DEFAULT, Op: pg.SetOperation_SETOP_NONE,
	}}})
	return strings.TrimPrefix(sql, "SELECT "), err
}

// ParseType parses a type's name as SQL writes it ("numeric(10,2)", "text[]").
func ParseType(text string) (*pg.TypeName, error) {
	n, err := ParseExpr("NULL::" + text)
	if err != nil {
		return nil, err
	}
	if c := n.GetTypeCast(); c != nil && c.TypeName != nil {
		return c.TypeName, nil
	}
	return nil, sqlstate.Errorf(sqlstate.SyntaxError, "invalid type name \"%s\"", text)
}

// syntaxError gives the C parser's error a code. The parser reports only texts.
func syntaxError(err error) error {
	var pe *cparser.Error
	if !errors.As(err, &pe) {
		if strings.Contains(err.Error(), "recursion depth") {
			return tooDeep()
		}
		return sqlstate.Errorf(sqlstate.InternalError, "parser: %v", err)
	}
	code := sqlstate.Code(sqlstate.SyntaxError)
	msg := pe.Message
	switch {
	case strings.HasPrefix(msg, "memory exhausted"), strings.Contains(msg, "stack depth"):
		return tooDeep()
	case strings.Contains(msg, "not yet implemented"), strings.Contains(msg, "no longer supported"),
		strings.Contains(msg, "not supported"), strings.HasSuffix(msg, "is not implemented"):
		code = sqlstate.FeatureNotSupported
	case strings.HasPrefix(msg, "invalid Unicode escape"), strings.HasPrefix(msg, "invalid Unicode surrogate"):
		code = sqlstate.SyntaxError
	case strings.HasPrefix(msg, "frame "):
		code = sqlstate.WindowingError
	case strings.HasPrefix(msg, "unsafe use of"):
		code = "22P06"
	case strings.HasPrefix(msg, "invalid byte sequence"):
		code = sqlstate.CharacterNotInRepertoire
	case strings.HasPrefix(msg, "unrecognized role option"):
		code = sqlstate.SyntaxError
	}
	return &sqlstate.Error{Code: code, Message: msg, Position: pe.Cursorpos}
}

func tooDeep() error {
	return sqlstate.Errorf(sqlstate.StatementTooComplex, "stack depth limit exceeded").
		WithHint("The statement nests too deeply; write long chains of operators as lists, or split it.")
}

// skipBlank is the length of white space and comments at the start of s.
func skipBlank(s string) int {
	i := 0
	for i < len(s) {
		switch {
		case isSpace(s[i]):
			i++
		case strings.HasPrefix(s[i:], "--"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return len(s)
			}
			i += n + 1
		case strings.HasPrefix(s[i:], "/*"):
			n := blockComment(s[i:])
			if n < 0 {
				return i
			}
			i += n
		default:
			return i
		}
	}
	return i
}

// blockComment is the length of the nested comment that s starts with, -1 when
// it does not end.
func blockComment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); {
		switch s[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
