package eval

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// textMax is the longest string a function makes, as in PostgreSQL.
const textMax = 0x3fffffff

func tooLong() error {
	return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "requested length too large")
}

// bytesFn is the loop of a function from one string to another.
func bytesFn(f func(dst, s []byte) []byte) Loop {
	return total(func(c *Call, i int) { c.End(i, f(c.Begin(), c.Bytes(0, i))) })
}

func init() {
	for _, t := range []string{"text", "bpchar"} {
		count := total(func(c *Call, i int) { c.Out.I32[i] = int32(charCount(c.Bytes(0, i))) })
		if t == "bpchar" {
			count = total(func(c *Call, i int) { c.Out.I32[i] = int32(charCount(trimBlanks(c.Bytes(0, i)))) })
		}
		for _, name := range []string{"length", "char_length", "character_length"} {
			reg(name+"("+t+")", impl{loop: count, cost: 3})
		}
	}
	size := total(func(c *Call, i int) { c.Out.I32[i] = int32(c.Args[0].Views[i&c.mask[0]].Len) })
	reg("length(bytea)", impl{loop: size, cost: 2})
	reg("textlen", impl{loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(charCount(c.Bytes(0, i))) }), cost: 3})
	for _, t := range []string{"text", "bpchar", "bytea"} {
		reg("octet_length("+t+")", impl{loop: size, cost: 2})
	}
	for _, t := range []string{"text", "bytea"} {
		reg("bit_length("+t+")", impl{loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(8 * c.Args[0].Views[i&c.mask[0]].Len) }), cost: 2})
	}
	reg("upper(text)", impl{loop: bytesFn(appendUpper)})
	reg("lower(text)", impl{loop: bytesFn(appendLower)})
	reg("initcap(text)", impl{loop: bytesFn(appendInitcap)})
	reg("textcat", impl{loop: catLoop, cost: 6})
	reg("byteacat", impl{loop: catLoop, cost: 6})
	reg("textanycat", impl{loop: total(func(c *Call, i int) {
		c.End(i, c.appendCast(append(c.Begin(), c.Bytes(0, i)...), 1, i))
	})})
	reg("anytextcat", impl{loop: total(func(c *Call, i int) {
		c.End(i, append(c.appendCast(c.Begin(), 0, i), c.Bytes(1, i)...))
	})})
	reg("concat", impl{nonStrict: true, loop: total(func(c *Call, i int) {
		b := c.Begin()
		for k := range c.Args {
			if !c.Null(k, i) {
				b = c.appendArg(b, k, i)
			}
		}
		c.End(i, b)
	})})
	reg("concat_ws", impl{nonStrict: true, loop: total(func(c *Call, i int) {
		if c.Null(0, i) {
			c.SetNull(i)
			c.Out.Views[i] = vec.View{}
			return
		}
		b, some := c.Begin(), false
		for k := 1; k < len(c.Args); k++ {
			if c.Null(k, i) {
				continue
			}
			if some {
				b = append(b, c.Bytes(0, i)...)
			}
			b, some = c.appendArg(b, k, i), true
		}
		c.End(i, b)
	})})

	// Parts of strings.
	for _, name := range []string{"substr", "substring"} {
		reg(name+"(text,int4)", impl{sharesBufs: true, cost: 4, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			return substring(s, int64(c.I32(1, i)), math.MaxInt32, false)
		})})
		reg(name+"(text,int4,int4)", impl{sharesBufs: true, cost: 4, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			n := c.I32(2, i)
			if n < 0 {
				return 0, 0, negativeLength()
			}
			return substring(s, int64(c.I32(1, i)), int64(n), false)
		})})
		reg(name+"(bytea,int4)", impl{sharesBufs: true, cost: 4, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			return substring(s, int64(c.I32(1, i)), math.MaxInt32, true)
		})})
		reg(name+"(bytea,int4,int4)", impl{sharesBufs: true, cost: 4, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			n := c.I32(2, i)
			if n < 0 {
				return 0, 0, negativeLength()
			}
			return substring(s, int64(c.I32(1, i)), int64(n), true)
		})})
	}
	reg("left(text,int4)", impl{sharesBufs: true, cost: 4, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
		n := int(c.I32(1, i))
		if n < 0 {
			n = max(charCount(s)+n, 0)
		}
		return 0, charOffset(s, n), nil
	})})
	reg("right(text,int4)", impl{sharesBufs: true, cost: 4, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
		n := int(c.I32(1, i))
		if n < 0 {
			n = -n
		} else {
			n = max(charCount(s)-n, 0)
		}
		return charOffset(s, n), len(s), nil
	})})
	for name, ends := range map[string]int{"ltrim": 1, "rtrim": 2, "btrim": 3} {
		reg(name+"(text)", impl{sharesBufs: true, cost: 4, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			from, to := trim(s, []byte(" "), ends, false)
			return from, to, nil
		})})
		reg(name+"(text,text)", impl{sharesBufs: true, cost: 6, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			from, to := trim(s, c.Bytes(1, i), ends, false)
			return from, to, nil
		})})
		reg(name+"(bytea,bytea)", impl{sharesBufs: true, cost: 6, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			from, to := trim(s, c.Bytes(1, i), ends, true)
			return from, to, nil
		})})
	}
	reg("text(bpchar)", impl{sharesBufs: true, cost: 3, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
		return 0, len(trimBlanks(s)), nil
	})})
	reg("split_part", impl{sharesBufs: true, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
		return splitPart(s, c.Bytes(1, i), int(c.I32(2, i)))
	})})

	// Positions.
	strpos := total(func(c *Call, i int) {
		s := c.Bytes(0, i)
		at := bytes.Index(s, c.Bytes(1, i))
		if at > 0 {
			at = charCount(s[:at])
		}
		c.Out.I32[i] = int32(at + 1)
	})
	reg("strpos", impl{loop: strpos})
	reg("position(text,text)", impl{loop: strpos})
	reg("position(bytea,bytea)", impl{loop: total(func(c *Call, i int) {
		c.Out.I32[i] = int32(bytes.Index(c.Bytes(0, i), c.Bytes(1, i)) + 1)
	})})
	reg("starts_with", impl{loop: total(func(c *Call, i int) { c.RetBool(i, bytes.HasPrefix(c.Bytes(0, i), c.Bytes(1, i))) }), cost: 4})

	// Making strings.
	reg("replace(text,text,text)", impl{cost: 20, loop: total(func(c *Call, i int) {
		c.End(i, appendReplace(c.Begin(), c.Bytes(0, i), c.Bytes(1, i), c.Bytes(2, i)))
	})})
	reg("translate", impl{cost: 20, loop: total(func(c *Call, i int) {
		c.End(i, appendTranslate(c.Begin(), c.Bytes(0, i), c.Bytes(1, i), c.Bytes(2, i)))
	})})
	reg("repeat", impl{loop: each(func(c *Call, i int) error {
		s, n := c.Bytes(0, i), max(int(c.I32(1, i)), 0)
		if len(s)*n > textMax {
			return tooLong()
		}
		if err := c.room(len(s) * n); err != nil {
			return err
		}
		b := slices.Grow(c.Begin(), len(s)*n)
		for ; n > 0; n-- {
			b = append(b, s...)
		}
		c.End(i, b)
		return nil
	})})
	reg("reverse(text)", impl{loop: bytesFn(func(dst, s []byte) []byte {
		for len(s) > 0 {
			_, n := utf8.DecodeLastRune(s)
			dst = append(dst, s[len(s)-n:]...)
			s = s[:len(s)-n]
		}
		return dst
	})})
	for _, right := range []bool{false, true} {
		name := "lpad"
		if right {
			name = "rpad"
		}
		pad := func(c *Call, i int, fill []byte) error {
			size := 0
			if n := int(c.I32(1, i)); n <= textMax/4 && n*len(fill) > freeBytes {
				chars := max(charCount(fill), 1)
				size = (n + chars - 1) / chars * len(fill)
				if err := c.room(size); err != nil {
					return err
				}
			}
			b, err := appendPad(slices.Grow(c.Begin(), size), c.Bytes(0, i), fill, int(c.I32(1, i)), right)
			if err == nil {
				c.End(i, b)
			}
			return err
		}
		reg(name+"(text,int4)", impl{loop: each(func(c *Call, i int) error { return pad(c, i, []byte(" ")) })})
		reg(name+"(text,int4,text)", impl{loop: each(func(c *Call, i int) error { return pad(c, i, c.Bytes(2, i)) })})
	}
	for _, t := range []string{"text", "bytea"} {
		overlay := func(c *Call, i int, n int64) error {
			s, by, at := c.Bytes(0, i), c.Bytes(1, i), int64(c.I32(2, i))
			if at <= 0 {
				return negativeLength()
			}
			if at+n > math.MaxInt32 {
				return outOfRange[int32]()
			}
			raw := t == "bytea"
			_, to, err := substring(s, 1, at-1, raw)
			if err != nil {
				return err
			}
			from, _, err := substring(s, at+n, math.MaxInt32, raw)
			if err != nil {
				return err
			}
			b := append(c.Begin(), s[:to]...)
			b = append(b, by...)
			c.End(i, append(b, s[from:]...))
			return nil
		}
		reg("overlay("+t+","+t+",int4)", impl{loop: each(func(c *Call, i int) error {
			n := len(c.Bytes(1, i))
			if t == "text" {
				n = charCount(c.Bytes(1, i))
			}
			return overlay(c, i, int64(n))
		})})
		reg("overlay("+t+","+t+",int4,int4)", impl{loop: each(func(c *Call, i int) error { return overlay(c, i, int64(c.I32(3, i))) })})
	}

	// Codes.
	reg("ascii", impl{loop: total(func(c *Call, i int) {
		r := rune(0)
		if b := c.Bytes(0, i); len(b) > 0 {
			r, _ = utf8.DecodeRune(b)
		}
		c.Out.I32[i] = r
	}), cost: 3})
	reg("chr", impl{loop: each(func(c *Call, i int) error {
		v := c.I32(0, i)
		switch {
		case v < 0:
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "character number must be positive")
		case v == 0:
			return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "null character not permitted")
		case v > utf8.MaxRune || v >= 0xD800 && v < 0xE000:
			return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "requested character too large for encoding: %d", v)
		}
		c.End(i, utf8.AppendRune(c.Begin(), v))
		return nil
	})})
	reg("to_hex(int4)", impl{loop: total(func(c *Call, i int) { c.End(i, appendHex(c.Begin(), uint64(uint32(c.I32(0, i))))) })})
	reg("to_hex(int8)", impl{loop: total(func(c *Call, i int) { c.End(i, appendHex(c.Begin(), uint64(c.I64(0, i)))) })})
	sum := func(dst, s []byte) []byte {
		h := md5.Sum(s)
		return hex.AppendEncode(dst, h[:])
	}
	reg("md5(text)", impl{loop: bytesFn(sum), cost: 100, short: true})
	reg("md5(bytea)", impl{loop: bytesFn(sum), cost: 100, short: true})
	reg("sha224", impl{cost: 100, short: true, loop: bytesFn(func(dst, s []byte) []byte { h := sha256.Sum224(s); return append(dst, h[:]...) })})
	reg("sha256", impl{cost: 100, short: true, loop: bytesFn(func(dst, s []byte) []byte { h := sha256.Sum256(s); return append(dst, h[:]...) })})
	reg("sha384", impl{cost: 100, short: true, loop: bytesFn(func(dst, s []byte) []byte { h := sha512.Sum384(s); return append(dst, h[:]...) })})
	reg("sha512", impl{cost: 100, short: true, loop: bytesFn(func(dst, s []byte) []byte { h := sha512.Sum512(s); return append(dst, h[:]...) })})
	reg("encode", impl{loop: each(func(c *Call, i int) error {
		b, err := appendEncode(c.Begin(), c.Bytes(0, i), c.Str(1, i))
		if err == nil {
			c.End(i, b)
		}
		return err
	})})
	reg("decode", impl{loop: each(func(c *Call, i int) error {
		b, err := appendDecode(c.Begin(), c.Bytes(0, i), c.Str(1, i))
		if err == nil {
			c.End(i, b)
		}
		return err
	})})
	reg("convert_to", impl{loop: each(convertLoop)})
	reg("convert_from", impl{loop: each(func(c *Call, i int) error {
		s := c.Bytes(0, i)
		if !utf8.Valid(s) {
			return invalidUTF8(s)
		}
		if bytes.IndexByte(s, 0) >= 0 {
			return sqlstate.Errorf(sqlstate.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x00")
		}
		return convertLoop(c, i)
	})})

	// Quoting.
	reg("quote_ident", impl{loop: bytesFn(appendIdent)})
	reg("quote_literal(text)", impl{loop: bytesFn(appendLiteral)})
	reg("quote_nullable(text)", impl{nonStrict: true, loop: total(quoteNullable)})
	reg("quote_literal(anyelement)", impl{loop: total(func(c *Call, i int) {
		c.End(i, appendLiteral(c.Begin(), c.appendCast(nil, 0, i)))
	})})
	reg("quote_nullable(anyelement)", impl{nonStrict: true, loop: total(quoteNullable)})
	for _, sig := range []string{"format(text)", "format(text,any)"} {
		reg(sig, impl{nonStrict: true, loop: each(formatRow), cost: 50})
	}

	// char(n), name and "char".
	reg("text(name)", impl{sharesBufs: true, cost: 3, loop: subLoop(whole)})
	reg("text(char)", impl{sharesBufs: true, cost: 3, loop: subLoop(whole)})
	reg("bpchar(char)", impl{sharesBufs: true, cost: 3, loop: subLoop(whole)})
	reg("bpchar(name)", impl{sharesBufs: true, cost: 3, loop: subLoop(whole)})
	reg("varchar(name)", impl{sharesBufs: true, cost: 3, loop: subLoop(whole)})
	for _, t := range []string{"text", "bpchar", "varchar"} {
		reg("name("+t+")", impl{sharesBufs: true, cost: 3, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) {
			if t == "bpchar" {
				s = trimBlanks(s)
			}
			return 0, len(types.ClipUTF8(s, types.NameLen)), nil
		})})
	}
	reg("char(text)", impl{sharesBufs: true, cost: 3, loop: subLoop(func(c *Call, i int, s []byte) (int, int, error) { return 0, min(len(s), 1), nil })})
	reg("text(bool)", impl{loop: total(func(c *Call, i int) {
		if c.Bool(0, i) {
			c.Out.Views[i] = vec.MakeInline([]byte("true"))
		} else {
			c.Out.Views[i] = vec.MakeInline([]byte("false"))
		}
	}), cost: 2})
	for _, t := range []string{"text", "bpchar"} {
		larger := func(want int) Loop {
			return total(func(c *Call, i int) {
				a, b := c.Bytes(0, i), c.Bytes(1, i)
				x, y := a, b
				if t == "bpchar" {
					x, y = trimBlanks(a), trimBlanks(b)
				}
				if bytes.Compare(x, y)*want > 0 {
					c.RetBytes(i, a)
				} else {
					c.RetBytes(i, b)
				}
			})
		}
		reg(t+"_larger", impl{loop: larger(1)})
		reg(t+"_smaller", impl{loop: larger(-1)})
	}
	initBytes()
}

func whole(_ *Call, _ int, s []byte) (int, int, error) { return 0, len(s), nil }

// appendArg appends the text of argument k by its type's output function.
func (c *Call) appendArg(dst []byte, k, i int) []byte {
	v := c.Args[k]
	j := i & c.mask[k]
	env := c.Env.session().Types
	switch v.T.Layout {
	case types.LayoutBool:
		return types.AppendBool(dst, vec.Bit(v.Bits, j))
	case types.LayoutI16:
		return types.AppendInt(dst, int64(v.I16[j]))
	case types.LayoutI32:
		return types.AppendI32(dst, v.T, v.I32[j], env)
	case types.LayoutI64:
		return types.AppendI64(dst, v.T, v.I64[j], env)
	case types.LayoutI128:
		return types.AppendDecimal128(dst, v.I128[j], int(v.T.Scale))
	case types.LayoutF32:
		return types.AppendFloat4(dst, v.F32[j], env)
	case types.LayoutF64:
		return types.AppendFloat8(dst, v.F64[j], env)
	case types.LayoutFixed16:
		return types.AppendFixed16(dst, v.T, v.Fix[j], env)
	}
	return types.AppendView(dst, v.T, v.Bytes(j), env)
}

// appendCast is appendArg by a cast to text, which differs for bool and char(n).
func (c *Call) appendCast(dst []byte, k, i int) []byte {
	switch v := c.Args[k]; v.T.OID {
	case types.BoolOID:
		if c.Bool(k, i) {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case types.BPCharOID:
		return append(dst, trimBlanks(c.Bytes(k, i))...)
	}
	return c.appendArg(dst, k, i)
}

func catLoop(c *Call) error {
	return total(func(c *Call, i int) {
		c.End(i, append(append(c.Begin(), c.Bytes(0, i)...), c.Bytes(1, i)...))
	})(c)
}

func negativeLength() error {
	return sqlstate.Errorf(sqlstate.SubstringError, "negative substring length not allowed")
}

// substring is the byte range of n characters (bytes when raw) from position at,
// counted from 1.
func substring(s []byte, at, n int64, raw bool) (from, to int, err error) {
	end := at + n
	at = max(at, 1)
	if end <= at {
		return 0, 0, nil
	}
	n = min(end-at, math.MaxInt32)
	if raw {
		from = int(min(at-1, int64(len(s))))
		return from, int(min(int64(from)+n, int64(len(s)))), nil
	}
	from = charOffset(s, int(at-1))
	return from, from + charOffset(s[from:], int(n)), nil
}

// trim is what is left of s without characters of set at its ends: 1 the left, 2
// the right, 3 both.
func trim(s, set []byte, ends int, raw bool) (from, to int) {
	to = len(s)
	if len(set) == 1 {
		b := set[0]
		for ends&1 != 0 && from < to && s[from] == b {
			from++
		}
		for ends&2 != 0 && to > from && s[to-1] == b {
			to--
		}
		return from, to
	}
	has := func(ch []byte) bool {
		for k := 0; k < len(set); {
			n := charLen(set[k:], raw)
			if bytes.Equal(set[k:k+n], ch) {
				return true
			}
			k += n
		}
		return false
	}
	for ends&1 != 0 && from < to {
		n := charLen(s[from:to], raw)
		if !has(s[from : from+n]) {
			break
		}
		from += n
	}
	for ends&2 != 0 && to > from {
		n := 1
		if !raw {
			_, n = utf8.DecodeLastRune(s[from:to])
		}
		if !has(s[to-n : to]) {
			break
		}
		to -= n
	}
	return from, to
}

// splitPart is the n-th field of s, from the end when n is negative.
func splitPart(s, sep []byte, n int) (from, to int, err error) {
	switch {
	case n == 0:
		return 0, 0, sqlstate.Errorf(sqlstate.InvalidParameterValue, "field position must not be zero")
	case len(s) == 0:
		return 0, 0, nil
	case len(sep) == 0:
		if n == 1 || n == -1 {
			return 0, len(s), nil
		}
		return 0, 0, nil
	case n < 0:
		n += bytes.Count(s, sep) + 2
		if n <= 0 {
			return 0, 0, nil
		}
	}
	for {
		k := bytes.Index(s[from:], sep)
		if n == 1 {
			if k < 0 {
				return from, len(s), nil
			}
			return from, from + k, nil
		}
		if k < 0 {
			return 0, 0, nil
		}
		from += k + len(sep)
		n--
	}
}

func appendReplace(dst, s, from, to []byte) []byte {
	if len(from) == 0 {
		return append(dst, s...)
	}
	for {
		k := bytes.Index(s, from)
		if k < 0 {
			return append(dst, s...)
		}
		dst = append(append(dst, s[:k]...), to...)
		s = s[k+len(from):]
	}
}

// appendTranslate replaces characters of from by those at the same place of to,
// or drops them when to is shorter.
func appendTranslate(dst, s, from, to []byte) []byte {
	for len(s) > 0 {
		n := charLen(s, false)
		ch := s[:n]
		s = s[n:]
		place, found := 0, false
		for k := 0; k < len(from); place++ {
			m := charLen(from[k:], false)
			if bytes.Equal(from[k:k+m], ch) {
				found = true
				break
			}
			k += m
		}
		if !found {
			dst = append(dst, ch...)
			continue
		}
		if at := charOffset(to, place); at < len(to) {
			dst = append(dst, to[at:at+charLen(to[at:], false)]...)
		}
	}
	return dst
}

// appendPad brings s to n characters: cut at the right, or filled.
func appendPad(dst, s, fill []byte, n int, right bool) ([]byte, error) {
	n = max(n, 0)
	if n > textMax/4 {
		return nil, tooLong()
	}
	have := charCount(s)
	if have >= n || len(fill) == 0 {
		return append(dst, s[:charOffset(s, n)]...), nil
	}
	if right {
		dst = append(dst, s...)
	}
	chars := charCount(fill)
	for k := n - have; k > 0; k -= chars {
		dst = append(dst, fill[:charOffset(fill, k)]...)
	}
	if !right {
		dst = append(dst, s...)
	}
	return dst, nil
}
