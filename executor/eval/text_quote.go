package eval

import (
	"bytes"

	"github.com/millrace/millrace/storage/vec"
)

// appendIdent quotes an identifier where it must be.
func appendIdent(dst, s []byte) []byte {
	safe := len(s) > 0 && (s[0]-'a' < 26 || s[0] == '_')
	for _, b := range s {
		safe = safe && (b-'a' < 26 || isDigit(b) || b == '_')
	}
	if safe && !keywords[unsafeString(s)] {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for _, b := range s {
		if b == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, b)
	}
	return append(dst, '"')
}

// appendLiteral quotes a string constant.
func appendLiteral(dst, s []byte) []byte {
	if bytes.IndexByte(s, '\\') >= 0 {
		dst = append(dst, 'E')
	}
	dst = append(dst, '\'')
	for _, b := range s {
		if b == '\'' || b == '\\' {
			dst = append(dst, b)
		}
		dst = append(dst, b)
	}
	return append(dst, '\'')
}

func quoteNullable(c *Call, i int) {
	if c.Null(0, i) {
		c.Out.Views[i] = vec.MakeInline([]byte("NULL"))
		return
	}
	c.End(i, appendLiteral(c.Begin(), c.appendCast(nil, 0, i)))
}
