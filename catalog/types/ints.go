package types

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// ParseInt2 reads a smallint.
func ParseInt2(s []byte) (int16, error) {
	v, err := parseInt(s, 1<<15, "smallint")
	return int16(v), err
}

// ParseInt4 reads an integer.
func ParseInt4(s []byte) (int32, error) {
	v, err := parseInt(s, 1<<31, "integer")
	return int32(v), err
}

// ParseInt8 reads a bigint.
func ParseInt8(s []byte) (int64, error) { return parseInt(s, 1<<63, "bigint") }

// parseInt reads an integer of magnitude at most limit (limit-1 when positive).
func parseInt(s []byte, limit uint64, typ string) (int64, error) {
	// At most 18 digits, nothing else: the common case.
	t := s
	neg := false
	if len(t) > 1 && t[0] == '-' {
		neg, t = true, t[1:]
	}
	if len(t)-1 < 18 && len(t) > 0 {
		var u uint64
		for _, c := range t {
			c -= '0'
			if c > 9 {
				return parseIntSlow(s, limit, typ)
			}
			u = u*10 + uint64(c)
		}
		if neg {
			if u <= limit {
				return -int64(u), nil
			}
		} else if u < limit {
			return int64(u), nil
		}
	}
	return parseIntSlow(s, limit, typ)
}

// parseIntSlow knows the whole syntax of PostgreSQL 16: white space, signs,
// 0x, 0o and 0b, underscores between digits.
func parseIntSlow(s []byte, limit uint64, typ string) (int64, error) {
	t := trimSpace(s)
	neg := false
	if len(t) > 0 && (t[0] == '-' || t[0] == '+') {
		neg, t = t[0] == '-', t[1:]
	}
	base := uint64(10)
	if len(t) > 1 && t[0] == '0' {
		switch t[1] | 0x20 {
		case 'x':
			base = 16
		case 'o':
			base = 8
		case 'b':
			base = 2
		}
		if base != 10 {
			t = t[2:]
			if len(t) > 0 && t[0] == '_' {
				t = t[1:]
			}
		}
	}
	if len(t) == 0 {
		return 0, badSyntax(typ, s)
	}
	var u uint64
	for i, c := range t {
		if c == '_' && i > 0 && i+1 < len(t) {
			if v := hexVal(t[i+1]); v >= 0 && uint64(v) < base {
				continue
			}
		}
		v := hexVal(c)
		if v < 0 || uint64(v) >= base {
			return 0, badSyntax(typ, s)
		}
		if u > limit/base {
			return 0, outOfRange(typ, s)
		}
		u = u*base + uint64(v)
	}
	if neg {
		if u > limit {
			return 0, outOfRange(typ, s)
		}
		return -int64(u), nil
	}
	if u >= limit {
		return 0, outOfRange(typ, s)
	}
	return int64(u), nil
}

// ParseOid reads an oid; a negative number wraps, as in PostgreSQL.
func ParseOid(s []byte) (uint32, error) { return parseUint32(s, "oid") }

func parseUint32(s []byte, typ string) (uint32, error) {
	t := trimSpace(s)
	neg := false
	if len(t) > 0 && (t[0] == '-' || t[0] == '+') {
		neg, t = t[0] == '-', t[1:]
	}
	if len(t) == 0 {
		return 0, badSyntax(typ, s)
	}
	var u uint64
	for _, c := range t {
		if !isDigit(c) {
			return 0, badSyntax(typ, s)
		}
		if u = u*10 + uint64(c-'0'); u > 1<<40 {
			u = 1 << 40
		}
	}
	if u > math.MaxUint32 || neg && u > 1<<31 {
		return 0, outOfRange(typ, s)
	}
	if neg {
		u = -u
	}
	return uint32(u), nil
}

// ParseXid8 reads an unsigned 64-bit number.
func ParseXid8(s []byte) (uint64, error) {
	t := trimSpace(s)
	u, err := strconv.ParseUint(stringOf(t), 10, 64)
	if err != nil {
		if e, ok := err.(*strconv.NumError); ok && e.Err == strconv.ErrRange {
			return 0, outOfRange("xid8", s)
		}
		return 0, badSyntax("xid8", s)
	}
	return u, nil
}

// AppendInt appends an integer of any width.
func AppendInt(dst []byte, v int64) []byte { return AppendDecimal64(dst, v, 0) }

// ParseBool reads a boolean: any prefix of true, false, yes, no, and on, off, 1, 0.
func ParseBool(s []byte) (bool, error) {
	if len(s) == 1 {
		switch s[0] {
		case 't', '1':
			return true, nil
		case 'f', '0':
			return false, nil
		}
	}
	switch t := trimSpace(s); {
	case foldPrefix(t, "true"), foldPrefix(t, "yes"), foldEqual(t, "on"), foldEqual(t, "1"):
		return true, nil
	case foldPrefix(t, "false"), foldPrefix(t, "no"), len(t) > 1 && foldPrefix(t, "off"), foldEqual(t, "0"):
		return false, nil
	}
	return false, badSyntax("boolean", s)
}

// AppendBool appends t or f.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 't')
	}
	return append(dst, 'f')
}

// ParseLSN reads a pg_lsn: two hexadecimal numbers of 32 bits.
func ParseLSN(s []byte) (uint64, error) {
	var w [2]uint64
	t := s
	for i := range w {
		n := 0
		for n < len(t) && hexVal(t[n]) >= 0 {
			w[i] = w[i]<<4 | uint64(hexVal(t[n]))
			n++
			if n > 8 {
				return 0, badSyntax("pg_lsn", s)
			}
		}
		if n == 0 || i == 0 && (n == len(t) || t[n] != '/') || i == 1 && n != len(t) {
			return 0, badSyntax("pg_lsn", s)
		}
		if i == 0 {
			t = t[n+1:]
		}
	}
	return w[0]<<32 | w[1], nil
}

// AppendLSN appends a pg_lsn.
func AppendLSN(dst []byte, v uint64) []byte {
	dst = appendHexUpper(dst, v>>32)
	dst = append(dst, '/')
	return appendHexUpper(dst, v&math.MaxUint32)
}

func appendHexUpper(dst []byte, v uint64) []byte {
	n := len(dst)
	dst = strconv.AppendUint(dst, v, 16)
	for i := n; i < len(dst); i++ {
		if dst[i] >= 'a' {
			dst[i] -= 32
		}
	}
	return dst
}

// parseReg reads a value of the reg* family. "-" is 0 and digits are the number
// itself; a name goes to env's Names.
func parseReg(kind uint32, s []byte, env *Env) (uint32, error) {
	if len(s) == 1 && s[0] == '-' {
		return 0, nil
	}
	digits := len(s) > 0
	for _, c := range s {
		digits = digits && isDigit(c)
	}
	if digits {
		return ParseOid(s)
	}
	if env != nil && env.Names != nil {
		return env.Names.RegOID(kind, string(s))
	}
	if kind == RegtypeOID {
		if t := ByAlias(string(s)); t != nil {
			return t.OID, nil
		}
		return 0, sqlstate.Errorf(sqlstate.UndefinedObject, "type \"%s\" does not exist", s)
	}
	return 0, badSyntax(FormatTypeNoMod(kind), s)
}

// appendReg appends a value of the reg* family.
func appendReg(dst []byte, kind, oid uint32, env *Env) []byte {
	if oid == 0 {
		return append(dst, '-')
	}
	if env != nil && env.Names != nil {
		if name, ok := env.Names.RegName(kind, oid); ok {
			return append(dst, name...)
		}
	} else if kind == RegtypeOID && Lookup(oid) != nil {
		return append(dst, FormatTypeNoMod(oid)...)
	}
	return strconv.AppendUint(dst, uint64(oid), 10)
}
