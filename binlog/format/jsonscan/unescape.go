package jsonscan

import (
	"bytes"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Unescape appends the string that a span with escapes spells. Like PostgreSQL
// it refuses what no text can hold: \u0000 and halves of surrogate pairs.
func Unescape(dst, raw []byte) ([]byte, error) {
	for {
		k := bytes.IndexByte(raw, '\\')
		if k < 0 {
			return append(dst, raw...), nil
		}
		dst = append(dst, raw[:k]...)
		c := raw[k+1]
		raw = raw[k+2:]
		switch c {
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
		case 'u':
			r := hex4(raw)
			raw = raw[4:]
			if r >= 0xd800 && r < 0xe000 {
				low := rune(0)
				if r < 0xdc00 && len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
					low = hex4(raw[2:])
				}
				if low < 0xdc00 || low >= 0xe000 {
					return dst, untranslatable(`half of a surrogate pair stands alone`)
				}
				r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
				raw = raw[6:]
			}
			if r == 0 {
				return dst, untranslatable(`\u0000 cannot be converted to text.`)
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

func untranslatable(detail string) error {
	return sqlstate.Errorf(sqlstate.UntranslatableCharacter, "unsupported Unicode escape sequence").WithDetail("%s", detail)
}

func hex4(b []byte) rune {
	return rune(hex(b[0])<<12 | hex(b[1])<<8 | hex(b[2])<<4 | hex(b[3]))
}
