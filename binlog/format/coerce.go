package format

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// A put appends a JSON value, not null, to a flat vector of the type it was made
// for. On error the vector is unchanged.
type put func(v *vec.Vec, x jsonscan.Value) error

// encoding says how JSON spells a value that has no form of its own there.
type encoding struct {
	kind  encKind
	unit  unit // of times and durations
	scale int  // of decimals: digits after the point, fromColumn when the column says
	item  *encoding
}

type encKind uint8

const (
	encPlain     encKind = iota // as JSON has it: numbers, strings, true, false
	encDecimal                  // base64 of a big-endian two's complement integer
	encVarScale                 // an object of scale and such an integer
	encDays                     // days since 1970
	encTime                     // units since midnight
	encTimestamp                // units since 1970
	encDuration                 // units
	encBase64                   // bytes
	encHex                      // bytes
	encJSON                     // JSON text in a string
	encBits                     // base64 of a little-endian bit string
)

const fromColumn = -1

// excerptMax bounds what messages quote of a value.
const excerptMax = 80

// coercer makes puts that read from its scanner. The scratch space is shared by
// them all and holds nothing between calls.
type coercer struct {
	scan *jsonscan.Scanner
	env  *types.Env
	unit unit // of plain numbers in columns of time
	str  []byte
	raw  []byte
	num  []byte
	sub  jsonscan.Scanner // for JSON inside strings
	json types.JSONBuilder
}

// scratch is b emptied for the next use, unless it grew large.
func scratch(b []byte) []byte {
	if cap(b) > 1<<20 {
		return nil
	}
	return b[:0]
}

// text is the string that a String spells.
func (c *coercer) text(x jsonscan.Value) ([]byte, error) {
	raw := c.scan.Bytes(x)
	if !x.Escaped {
		return raw, nil
	}
	var err error
	c.str, err = jsonscan.Unescape(scratch(c.str), raw)
	return c.str, err
}

// mismatch is the error for a value of the wrong kind.
func (c *coercer) mismatch(t types.T, x jsonscan.Value) error {
	return sqlstate.Errorf(sqlstate.DatatypeMismatch, "%s cannot be stored in a column of type %s: %s",
		x.Kind, types.FormatType(t.OID, t.Mod), excerpt(c.scan.Bytes(x)))
}

// excerpt is the beginning of a value, for messages.
func excerpt(b []byte) string {
	if len(b) <= excerptMax {
		return string(b)
	}
	return fmt.Sprintf("%s… (%d bytes)", types.ClipUTF8(b, excerptMax), len(b))
}

// textMax bounds the text of types whose values are short, so that a huge one is
// refused before anything copies it.
const textMax = 1024

func tooLong(t types.T, b []byte) error {
	return sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "invalid input syntax for type %s: \"%s\"",
		types.FormatType(t.OID, -1), excerpt(b))
}

// put chooses the way from JSON, encoded so, to vectors of type t.
func (c *coercer) put(t types.T, e encoding) put {
	switch e.kind {
	case encDecimal, encVarScale:
		return c.decimal(t, e)
	case encDays, encTime, encTimestamp, encDuration:
		return c.temporal(t, e)
	case encBase64, encHex, encBits:
		return c.binary(t, e)
	}
	switch t.OID {
	case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID, types.CharOID, types.UnknownOID:
		return c.string(t)
	case types.JSONOID:
		return c.jsonText(t, e)
	case types.JSONBOID:
		return c.jsonb(t, e)
	case types.BoolOID:
		return c.boolean(t)
	case types.ByteaOID:
		return c.binary(t, encoding{kind: encBase64})
	case types.DateOID, types.TimeOID, types.TimestampOID, types.TimestamptzOID, types.TimetzOID:
		return c.temporal(t, encoding{kind: encPlain, unit: c.unit})
	}
	if elem := types.ElemOf(t.OID); elem != 0 && t.OID != types.Int2VectorOID && t.OID != types.OidVectorOID {
		return c.array(t, elem, e)
	}
	return c.plain(t)
}

// plain takes numbers and strings by their text.
func (c *coercer) plain(t types.T) put {
	app := codec.TextAppender(t, c.env)
	short := t.Layout != types.LayoutView
	integer := t.OID == types.Int2OID || t.OID == types.Int4OID || t.OID == types.Int8OID
	return func(v *vec.Vec, x jsonscan.Value) error {
		switch x.Kind {
		case jsonscan.Number:
			b := c.scan.Bytes(x)
			err := app(v, b)
			if err == nil || !integer {
				return err
			}
			// 5.0 and 1e3 are whole numbers too.
			var ok bool
			if c.num, ok = wholeNumber(c.num[:0], b); ok {
				return app(v, c.num)
			}
			return err
		case jsonscan.String:
			b, err := c.text(x)
			if err != nil {
				return err
			}
			if short && len(b) > textMax {
				return tooLong(t, b)
			}
			return app(v, b)
		}
		return c.mismatch(t, x)
	}
}

// wholeNumber appends the digits of a JSON number that has a fraction or an
// exponent but is an integer of at most 20 digits.
func wholeNumber(dst, b []byte) ([]byte, bool) {
	i, exp := 0, 0
	if b[0] == '-' {
		dst, i = append(dst, '-'), 1
	}
	start := len(dst)
	for point := false; i < len(b) && b[i]|0x20 != 'e'; i++ {
		if b[i] == '.' {
			point = true
			continue
		}
		if point {
			exp--
		}
		if b[i] == '0' && len(dst) == start {
			continue
		}
		if dst = append(dst, b[i]); len(dst) > 64 {
			return dst, false
		}
	}
	if i < len(b) {
		i++
		neg := b[i] == '-'
		if b[i] == '-' || b[i] == '+' {
			i++
		}
		n := 0
		for ; i < len(b) && n < 1000; i++ {
			n = n*10 + int(b[i]-'0')
		}
		if neg {
			n = -n
		}
		exp += n
	}
	for exp < 0 && len(dst) > start && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
		exp++
	}
	if len(dst) == start {
		return append(dst[:0], '0'), true
	}
	if exp < 0 || exp+len(dst) > 24 {
		return dst, false
	}
	for ; exp > 0; exp-- {
		dst = append(dst, '0')
	}
	return dst, true
}

// string takes strings as they are, and all else as its JSON text.
func (c *coercer) string(t types.T) put {
	app := codec.TextAppender(t, c.env)
	return func(v *vec.Vec, x jsonscan.Value) error {
		if x.Kind != jsonscan.String {
			return app(v, c.scan.Bytes(x))
		}
		b, err := c.text(x)
		if err != nil {
			return err
		}
		return app(v, b)
	}
}

func (c *coercer) boolean(t types.T) put {
	app := codec.TextAppender(t, c.env)
	return func(v *vec.Vec, x jsonscan.Value) error {
		switch x.Kind {
		case jsonscan.True, jsonscan.False:
			codec.PushBool(v, x.Kind == jsonscan.True)
			return nil
		case jsonscan.String, jsonscan.Number:
			b := c.scan.Bytes(x)
			if x.Escaped || len(b) > textMax {
				return c.mismatch(t, x)
			}
			return app(v, b)
		}
		return c.mismatch(t, x)
	}
}

// jsonText keeps the text of a value, for type json.
func (c *coercer) jsonText(t types.T, e encoding) put {
	return func(v *vec.Vec, x jsonscan.Value) error {
		if x.Kind != jsonscan.String {
			v.AppendBytes(c.scan.Bytes(x))
			return nil
		}
		if e.kind != encJSON {
			x.From, x.To = x.From-1, x.To+1 // with its quotes
			v.AppendBytes(c.scan.Bytes(x))
			return nil
		}
		b, err := c.text(x)
		if err != nil {
			return err
		}
		c.sub.Sub(b)
		if c.sub.Value(); !c.sub.End() {
			return badJSON(t, c.sub.Err(), b)
		}
		v.AppendBytes(b)
		return nil
	}
}

func badJSON(t types.T, err error, b []byte) error {
	return sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "invalid input syntax for type %s: \"%s\"",
		types.FormatType(t.OID, -1), excerpt(b)).WithDetail("%v", err)
}

// jsonb builds the binary form straight from the scanner.
func (c *coercer) jsonb(t types.T, e encoding) put {
	return func(v *vec.Vec, x jsonscan.Value) error {
		b := &c.json
		b.Reset()
		defer c.shrink()
		if x.Kind == jsonscan.String && e.kind == encJSON {
			text, err := c.text(x)
			if err != nil {
				return err
			}
			// Strings inside are unescaped to c.raw, so text stays whole.
			c.sub.Sub(text)
			if err := c.build(b, &c.sub); err != nil {
				return err
			}
			if !c.sub.End() {
				return badJSON(t, c.sub.Err(), text)
			}
		} else {
			back := c.scan.Offset()
			c.scan.Seek(x.Start())
			err := c.build(b, c.scan)
			c.scan.Seek(back)
			if err != nil {
				return err
			}
		}
		form, err := b.Finish()
		if err == nil {
			v.AppendBytes(form)
		}
		return err
	}
}

// shrink lets go of scratch space that grew large.
func (c *coercer) shrink() {
	if cap(c.raw) > 1<<20 {
		c.raw, c.json = nil, types.JSONBuilder{}
	}
}

// build appends the next value of s to b. What s refuses is in s.Err.
func (c *coercer) build(b *types.JSONBuilder, s *jsonscan.Scanner) error {
	switch s.Peek() {
	case jsonscan.Object:
		if !s.Open() {
			return nil
		}
		b.BeginObject()
		for first := true; ; first = false {
			key, ok := s.Member(first)
			if !ok {
				break
			}
			k, err := c.unescaped(s, key)
			if err != nil {
				return err
			}
			b.Key(k)
			if err := c.build(b, s); err != nil {
				return err
			}
			if s.Err() != nil {
				return nil
			}
		}
		b.End()
	case jsonscan.Array:
		if !s.Open() {
			return nil
		}
		b.BeginArray()
		for first := true; s.Element(first); first = false {
			if err := c.build(b, s); err != nil {
				return err
			}
			if s.Err() != nil {
				return nil
			}
		}
		b.End()
	default:
		return c.buildScalar(b, s, s.Value())
	}
	return nil
}

func (c *coercer) buildScalar(b *types.JSONBuilder, s *jsonscan.Scanner, x jsonscan.Value) error {
	switch x.Kind {
	case jsonscan.Null:
		b.Null()
	case jsonscan.True, jsonscan.False:
		b.Bool(x.Kind == jsonscan.True)
	case jsonscan.Number:
		var err error
		if c.num, err = types.ParseNumeric(scratch(c.num), s.Bytes(x)); err != nil {
			return err
		}
		b.Number(c.num)
	case jsonscan.String:
		str, err := c.unescaped(s, x)
		if err != nil {
			return err
		}
		b.String(str)
	}
	return nil
}

// unescaped is text for a string of any scanner, in scratch space of its own.
func (c *coercer) unescaped(s *jsonscan.Scanner, x jsonscan.Value) ([]byte, error) {
	if !x.Escaped {
		return s.Bytes(x), nil
	}
	var err error
	c.raw, err = jsonscan.Unescape(c.raw[:0], s.Bytes(x))
	return c.raw, err
}

// binary takes bytes in base64 or hexadecimal. A string that begins with \x is in
// bytea's own form, which base64 cannot be.
func (c *coercer) binary(t types.T, e encoding) put {
	app := codec.TextAppender(t, c.env)
	return func(v *vec.Vec, x jsonscan.Value) error {
		if x.Kind != jsonscan.String {
			if e.kind == encBits && (x.Kind == jsonscan.True || x.Kind == jsonscan.False) { // bit(1)
				return app(v, []byte{'0' + byte(x.Kind-jsonscan.False)})
			}
			return c.mismatch(t, x)
		}
		b, err := c.text(x)
		if err != nil {
			return err
		}
		if e.kind == encHex {
			if t.OID != types.ByteaOID {
				return app(v, b)
			}
			c.raw = append(append(scratch(c.raw), '\\', 'x'), b...)
			return app(v, c.raw)
		}
		if t.OID == types.ByteaOID && len(b) >= 2 && b[0] == '\\' && b[1] == 'x' {
			return app(v, b)
		}
		if c.raw, err = decodeBase64(scratch(c.raw), b); err != nil {
			return err
		}
		switch {
		case t.OID == types.ByteaOID:
			v.AppendBytes(c.raw)
			return nil
		case e.kind == encBits:
			return app(v, bitText(c.raw, e.scale))
		}
		if err := types.CheckUTF8(c.raw); err != nil {
			return err
		}
		return app(v, c.raw)
	}
}

func decodeBase64(dst, b []byte) ([]byte, error) {
	n := base64.StdEncoding.DecodedLen(len(b))
	dst = slices.Grow(dst, n)[:n]
	n, err := base64.StdEncoding.Decode(dst, b)
	if err != nil {
		return dst[:0], sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "invalid base64: \"%s\"", excerpt(b))
	}
	return dst[:n], nil
}

// bitText spells a little-endian bit string of n bits, the highest first.
func bitText(b []byte, n int) []byte {
	if n <= 0 || n > 8*len(b) {
		n = 8 * len(b)
	}
	out := make([]byte, n)
	for i := range out {
		k := n - 1 - i
		out[i] = '0' + b[k>>3]>>(k&7)&1
	}
	return out
}
