package types

import (
	"unsafe"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// badSyntax is 22P02 in PostgreSQL's words. typ is the type's name in messages.
func badSyntax(typ string, s []byte) error {
	return sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "invalid input syntax for type %s: \"%s\"", typ, s)
}

// outOfRange is 22003 for a value given as text.
func outOfRange(typ string, s []byte) error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value \"%s\" is out of range for type %s", s, typ)
}

// badBinary is 22P03: a binary value of the wrong length or content.
func badBinary() error {
	return sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "incorrect binary data format")
}

// shortBinary is what PostgreSQL says when a binary value ends early.
func shortBinary() error {
	return sqlstate.Errorf(sqlstate.ProtocolViolation, "insufficient data left in message")
}

// bytesOf is the bytes of s, not to be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// stringOf is b as a string that lives as long as b stays unchanged.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// isSpace is C's isspace.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c-'0' < 10 }

func isAlpha(c byte) bool { return (c|0x20)-'a' < 26 }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 32
	}
	return c
}

// trimSpace strips C white space from both ends.
func trimSpace(s []byte) []byte {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// foldEqual says whether s is word (lower case) in any case.
func foldEqual(s []byte, word string) bool {
	return len(s) == len(word) && foldPrefix(s, word)
}

// foldPrefix says whether s is a non-empty prefix of word (lower case) in any case.
func foldPrefix(s []byte, word string) bool {
	if len(s) == 0 || len(s) > len(word) {
		return false
	}
	for i, c := range s {
		if lower(c) != word[i] {
			return false
		}
	}
	return true
}

func hexVal(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
