package types

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// NameLen is the most bytes that a name holds.
const NameLen = 63

// InvalidUTF8 finds the first byte of s that is not part of valid UTF-8 (or is
// zero); -1 when there is none.
func InvalidUTF8(s []byte) int {
	if utf8.Valid(s) {
		return bytes.IndexByte(s, 0)
	}
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c == 0 {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// CheckUTF8 fails with 22021 when s is not text in UTF-8.
func CheckUTF8(s []byte) error {
	if utf8.Valid(s) && bytes.IndexByte(s, 0) < 0 {
		return nil
	}
	return UTF8Error(s[InvalidUTF8(s):])
}

// UTF8Error is 22021 about the bytes at the start of s.
func UTF8Error(s []byte) error {
	n := 1
	switch c := s[0]; {
	case c&0xe0 == 0xc0:
		n = 2
	case c&0xf0 == 0xe0:
		n = 3
	case c&0xf8 == 0xf0:
		n = 4
	}
	msg := `invalid byte sequence for encoding "UTF8":`
	for _, c := range s[:min(n, len(s))] {
		msg += fmt.Sprintf(" 0x%02x", c)
	}
	return &sqlstate.Error{Code: sqlstate.CharacterNotInRepertoire, Message: msg}
}

// ClipUTF8 is the longest prefix of s of at most n bytes that cuts no character.
func ClipUTF8(s []byte, n int) []byte {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// RuneLen is the number of characters of s.
func RuneLen(s []byte) int {
	if len(s) < 16 {
		n := 0
		for _, c := range s {
			if c&0xc0 != 0x80 {
				n++
			}
		}
		return n
	}
	return utf8.RuneCount(s)
}

// charOffset is the byte offset of character n; len(s) when s is shorter.
func charOffset(s []byte, n int) int {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		i++
		for i < len(s) && s[i]&0xc0 == 0x80 {
			i++
		}
	}
	return i
}

// FitVarchar applies a varchar's typmod: s itself, s without excess trailing
// blanks, or 22001. explicit casts cut anything.
func FitVarchar(s []byte, mod int32, explicit bool) ([]byte, error) {
	n := int(mod) - VarHeader
	if mod < VarHeader || len(s) <= n {
		return s, nil
	}
	cut := charOffset(s, n)
	if cut == len(s) {
		return s, nil
	}
	if !explicit && len(bytes.TrimRight(s[cut:], " ")) > 0 {
		return nil, sqlstate.Errorf(sqlstate.StringDataRightTruncation,
			"value too long for type character varying(%d)", n)
	}
	return s[:cut], nil
}

// AppendBPChar appends s fitted to a bpchar's typmod: padded with blanks to its
// length, or without excess trailing blanks, or 22001. explicit casts cut anything.
func AppendBPChar(dst, s []byte, mod int32, explicit bool) ([]byte, error) {
	n := int(mod) - VarHeader
	if mod < VarHeader {
		return append(dst, s...), nil
	}
	if len(s) > n {
		cut := charOffset(s, n)
		if !explicit && len(bytes.TrimRight(s[cut:], " ")) > 0 {
			return dst, sqlstate.Errorf(sqlstate.StringDataRightTruncation,
				"value too long for type character(%d)", n)
		}
		s = s[:cut]
	}
	dst = append(dst, s...)
	for k := n - RuneLen(s); k > 0; k-- {
		dst = append(dst, ' ')
	}
	return dst, nil
}

// TrimBPChar is s without trailing blanks: what counts of a bpchar in
// comparisons and in casts to text.
func TrimBPChar(s []byte) []byte {
	n := len(s)
	for n > 0 && s[n-1] == ' ' {
		n--
	}
	return s[:n]
}

// ParseChar reads a "char": its first byte, or \ooo. Its form is one byte, none
// for \000.
func ParseChar(s []byte) (v [1]byte, n int) {
	if len(s) == 4 && s[0] == '\\' && s[1]-'0' < 8 && s[2]-'0' < 8 && s[3]-'0' < 8 {
		v[0] = (s[1]-'0')<<6 | (s[2]-'0')<<3 | (s[3] - '0')
	} else if len(s) > 0 {
		v[0] = s[0]
	}
	if v[0] != 0 {
		n = 1
	}
	return v, n
}

// AppendChar appends a "char": bytes beyond ASCII as \ooo.
func AppendChar(dst, s []byte) []byte {
	if len(s) == 0 {
		return dst
	}
	if c := s[0]; c >= 0x80 {
		return append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
	}
	return append(dst, s[0])
}

// ParseBytea appends the bytes that s stands for, in the hex form \x… or the
// escape form.
func ParseBytea(dst, s []byte) ([]byte, error) {
	if len(s) >= 2 && s[0] == '\\' && s[1] == 'x' {
		return parseHex(dst, s[2:])
	}
	return ParseByteaEscape(dst, s)
}

// ParseByteaEscape appends the bytes that s stands for in the escape form.
func ParseByteaEscape(dst, s []byte) ([]byte, error) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		switch {
		case i+1 < len(s) && s[i+1] == '\\':
			dst = append(dst, '\\')
			i++
		case i+3 < len(s) && s[i+1]-'0' < 4 && s[i+2]-'0' < 8 && s[i+3]-'0' < 8:
			dst = append(dst, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
		default:
			return dst, sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "invalid input syntax for type bytea")
		}
	}
	return dst, nil
}

func parseHex(dst, s []byte) ([]byte, error) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			continue
		}
		h := hexVal(s[i])
		if h < 0 {
			return dst, badHexDigit(s[i:])
		}
		if i+1 == len(s) {
			return dst, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid hexadecimal data: odd number of digits")
		}
		i++
		l := hexVal(s[i])
		if l < 0 {
			return dst, badHexDigit(s[i:])
		}
		dst = append(dst, byte(h<<4|l))
	}
	return dst, nil
}

func badHexDigit(s []byte) error {
	_, n := utf8.DecodeRune(s)
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid hexadecimal digit: \"%s\"", s[:n])
}

const hexDigits = "0123456789abcdef"

// AppendBytea appends the text of a bytea, in hex or (bytea_output = escape) in
// the escape form.
func AppendBytea(dst, b []byte, env *Env) []byte {
	if env != nil && env.ByteaEscape {
		for _, c := range b {
			switch {
			case c == '\\':
				dst = append(dst, '\\', '\\')
			case c < 0x20 || c > 0x7e:
				dst = append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
			default:
				dst = append(dst, c)
			}
		}
		return dst
	}
	dst = append(dst, '\\', 'x')
	for _, c := range b {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// ParseUUID reads a uuid: 32 hexadecimal digits, a hyphen allowed after each
// four, braces allowed around.
func ParseUUID(s []byte) (Fixed16, error) {
	t := s
	brace := len(t) > 0 && t[0] == '{'
	if brace {
		t = t[1:]
	}
	var w [2]uint64
	for i := 0; i < 16; i++ {
		if len(t) < 2 {
			return Fixed16{}, badSyntax("uuid", s)
		}
		h, l := hexVal(t[0]), hexVal(t[1])
		if h|l < 0 {
			return Fixed16{}, badSyntax("uuid", s)
		}
		w[i>>3] = w[i>>3]<<8 | uint64(h<<4|l)
		t = t[2:]
		if i&1 == 1 && i < 15 && len(t) > 0 && t[0] == '-' {
			t = t[1:]
		}
	}
	if brace {
		if len(t) == 0 || t[0] != '}' {
			return Fixed16{}, badSyntax("uuid", s)
		}
		t = t[1:]
	}
	if len(t) > 0 {
		return Fixed16{}, badSyntax("uuid", s)
	}
	return Fixed16{A: int64(w[0]), B: int64(w[1])}, nil
}

// AppendUUID appends a uuid in its 8-4-4-4-12 form.
func AppendUUID(dst []byte, v Fixed16) []byte {
	for i := 0; i < 16; i++ {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		w := uint64(v.A)
		if i >= 8 {
			w = uint64(v.B)
		}
		c := byte(w >> (56 - uint(i&7)*8))
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}
