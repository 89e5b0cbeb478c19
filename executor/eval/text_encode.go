package eval

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func appendHex(dst []byte, v uint64) []byte {
	var b [16]byte
	i := len(b)
	for {
		i--
		b[i] = "0123456789abcdef"[v&15]
		if v >>= 4; v == 0 {
			return append(dst, b[i:]...)
		}
	}
}

func appendEncode(dst, s []byte, format string) ([]byte, error) {
	switch strings.ToLower(format) {
	case "hex":
		return hex.AppendEncode(dst, s), nil
	case "base64":
		// Lines of 76 characters.
		for len(s) > 57 {
			dst = append(base64.StdEncoding.AppendEncode(dst, s[:57]), '\n')
			s = s[57:]
		}
		return base64.StdEncoding.AppendEncode(dst, s), nil
	case "escape":
		for _, b := range s {
			switch {
			case b == 0 || b >= utf8.RuneSelf:
				dst = append(dst, '\\', '0'+b>>6, '0'+b>>3&7, '0'+b&7)
			case b == '\\':
				dst = append(dst, '\\', '\\')
			default:
				dst = append(dst, b)
			}
		}
		return dst, nil
	}
	return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unrecognized encoding: \"%s\"", format)
}

func appendDecode(dst, s []byte, format string) ([]byte, error) {
	switch strings.ToLower(format) {
	case "hex":
		half := -1
		for _, b := range s {
			if isSpace(b) && b != '\v' && b != '\f' {
				continue
			}
			v := bytes.IndexByte([]byte("0123456789abcdef"), b|0x20)
			if isDigit(b) {
				v = int(b - '0')
			} else if v < 10 {
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid hexadecimal digit: \"%s\"", firstChar(s, b))
			}
			if half < 0 {
				half = v
				continue
			}
			dst = append(dst, byte(half<<4|v))
			half = -1
		}
		if half >= 0 {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid hexadecimal data: odd number of digits")
		}
		return dst, nil
	case "base64":
		var acc uint32
		n, end := 0, 0
		for _, b := range s {
			if b == ' ' || b == '\t' || b == '\n' || b == '\r' {
				continue
			}
			v := uint32(0)
			switch {
			case b == '=':
				if end == 0 {
					switch n {
					case 2:
						end = 1
					case 3:
						end = 2
					default:
						return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unexpected \"=\" while decoding base64 sequence")
					}
				}
			default:
				k := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", b)
				if k < 0 || end != 0 && false {
					return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid symbol \"%s\" found while decoding base64 sequence", firstChar(s, b))
				}
				v = uint32(k)
			}
			acc = acc<<6 | v
			if n++; n == 4 {
				dst = append(dst, byte(acc>>16))
				if end == 0 || end > 1 {
					dst = append(dst, byte(acc>>8))
				}
				if end == 0 || end > 2 {
					dst = append(dst, byte(acc))
				}
				acc, n = 0, 0
			}
		}
		if n != 0 {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid base64 end sequence").
				WithHint("Input data is missing padding, is truncated, or is otherwise corrupted.")
		}
		return dst, nil
	case "escape":
		return types.ParseByteaEscape(dst, s)
	}
	return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unrecognized encoding: \"%s\"", format)
}

// firstChar is the character of s that begins with byte b.
func firstChar(s []byte, b byte) []byte {
	k := bytes.IndexByte(s, b)
	return s[k : k+charLen(s[k:], false)]
}

func invalidUTF8(s []byte) error {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			want := 1
			switch b := s[i]; {
			case b >= 0xF0 && b < 0xF8:
				want = 4
			case b >= 0xE0 && b < 0xF0:
				want = 3
			case b >= 0xC0 && b < 0xE0:
				want = 2
			}
			var hexes []string
			for _, b := range s[i:min(i+want, len(s))] {
				hexes = append(hexes, "0x"+hex.EncodeToString([]byte{b}))
			}
			return sqlstate.Errorf(sqlstate.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": %s", strings.Join(hexes, " "))
		}
		i += n
	}
	return nil
}

// convertLoop passes UTF-8 through, the only encoding there is.
func convertLoop(c *Call, i int) error {
	switch strings.ToLower(strings.ReplaceAll(c.Str(1, i), "-", "")) {
	case "utf8", "unicode":
		c.RetBytes(i, c.Bytes(0, i))
		return nil
	case "sqlascii", "sql_ascii":
		c.RetBytes(i, c.Bytes(0, i))
		return nil
	}
	return sqlstate.Unsupported("the encoding \"%s\"", c.Str(1, i))
}
