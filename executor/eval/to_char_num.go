package eval

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// numTemplate is a template of numbers taken apart.
type numTemplate struct {
	items   []numItem
	pre     int // digit places before the point
	post    int // and after
	zeroEnd int // digit places after the point up to the last 0
	zero    bool
	zeroAt  int // place of the first 0 before the point, counted from the left
	point   bool
	fill    bool // FM
	sign    byte // S, M (MI), P (PL), G (SG), B (PR) or 0
	signPre bool // S stands before the digits
	multi   int  // V: digits to shift
	roman   byte // R, or r for rn
	exp     bool
	err     error
}

type numItem struct {
	kind byte // 9, 0, '.', ',', 'L', 'S', 'M', 'P', 'G', 'T' (th), 't', or 0 for text
	text string
}

func numSyntax(format string, args ...any) error {
	return sqlstate.Errorf(sqlstate.SyntaxError, format, args...)
}

func parseNumTemplate(s string) *numTemplate {
	t := &numTemplate{zeroAt: -1}
	bad := func(format string, args ...any) {
		if t.err == nil {
			t.err = numSyntax(format, args...)
		}
	}
	digits := 0
	for len(s) > 0 {
		u := strings.ToUpper(s[:min(len(s), 4)])
		take := func(n int, kind byte) {
			t.items = append(t.items, numItem{kind: kind})
			s = s[n:]
		}
		if t.exp && !strings.HasPrefix(u, "FM") {
			bad("\"EEEE\" must be the last pattern used")
		}
		switch {
		case strings.HasPrefix(u, "FM"):
			t.fill = true
			s = s[2:]
		case u[0] == '9' || u[0] == '0':
			if t.sign == 'B' {
				bad("\"9\" must be ahead of \"PR\"")
			}
			if t.point {
				t.post++
				if u[0] == '0' {
					t.zeroEnd = t.post
				}
			} else {
				if t.multi >= 0 && t.hasV() {
					t.multi++
				} else {
					t.pre++
				}
				if u[0] == '0' && t.zeroAt < 0 {
					t.zero, t.zeroAt = true, digits
				}
				digits++
			}
			take(1, s[0])
		case u[0] == '.' || u[0] == 'D':
			if t.point {
				bad("multiple decimal points")
			}
			if t.hasV() {
				bad("cannot use \"V\" and decimal point together")
			}
			t.point = true
			take(1, '.')
		case u[0] == ',' || u[0] == 'G':
			take(1, ',')
		case u[0] == 'L':
			take(1, 'L')
		case strings.HasPrefix(u, "EEEE"):
			if t.fill || t.sign != 0 || t.hasV() || t.roman != 0 {
				bad("\"EEEE\" is incompatible with other formats")
			}
			t.exp = true
			take(4, 'E')
		case strings.HasPrefix(u, "MI"):
			if t.sign == 'S' {
				bad("cannot use \"S\" and \"MI\" together")
			}
			t.sign = 'M'
			take(2, 'M')
		case strings.HasPrefix(u, "PL"):
			if t.sign == 'S' {
				bad("cannot use \"S\" and \"PL\" together")
			}
			t.sign = 'P'
			take(2, 'P')
		case strings.HasPrefix(u, "SG"):
			if t.sign == 'S' {
				bad("cannot use \"S\" and \"SG\" together")
			}
			t.sign = 'G'
			take(2, 'G')
		case strings.HasPrefix(u, "PR"):
			if t.sign != 0 {
				bad("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together")
			}
			t.sign = 'B'
			take(2, 'B')
		case strings.HasPrefix(u, "RN"):
			t.roman = s[0]
			take(2, 'R')
		case u[0] == 'B': // blanks for zero, which changes nothing
			s = s[1:]
		case u[0] == 'S':
			if t.sign == 'S' {
				bad("cannot use \"S\" twice")
			}
			if t.sign != 0 {
				bad("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together")
			}
			t.sign, t.signPre = 'S', digits == 0 && !t.point
			take(1, 'S')
		case strings.HasPrefix(u, "TH"):
			take(2, map[bool]byte{true: 'T', false: 't'}[s[0] == 'T'])
		case u[0] == 'V':
			if t.point {
				bad("cannot use \"V\" and decimal point together")
			}
			take(1, 'V')
		case s[0] == '"':
			i, text := 1, []byte(nil)
			for ; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				text = append(text, s[i])
			}
			s = s[min(i+1, len(s)):]
			t.items = append(t.items, numItem{text: string(text)})
		case s[0] == '\\' && len(s) > 1 && s[1] == '"':
			t.items = append(t.items, numItem{text: `"`})
			s = s[2:]
		default:
			n := charLen([]byte(s[:min(len(s), 4)]), false)
			t.items = append(t.items, numItem{text: s[:n]})
			s = s[n:]
		}
	}
	return t
}

// ordinal says whether the template ends numbers like 1st.
func (t *numTemplate) ordinal() bool {
	for _, it := range t.items {
		if it.kind == 'T' || it.kind == 't' {
			return true
		}
	}
	return false
}

func (t *numTemplate) hasV() bool {
	for _, it := range t.items {
		if it.kind == 'V' {
			return true
		}
	}
	return false
}

// appendNumber renders digits (unsigned: whole digits, fraction digits) by the
// template. special is the text of NaN or an infinity.
func (t *numTemplate) appendNumber(dst []byte, neg bool, whole, frac string, special string) []byte {
	whole = strings.TrimLeft(whole, "0")
	pre := t.pre + t.multi
	if special != "" {
		whole = special
	}
	over := max(len(whole), 1) > pre // one digit before the point even of 0.5
	if over {
		whole, frac = strings.Repeat("#", pre), strings.Repeat("#", len(frac))
	} else if special != "" {
		frac = ""
	}
	// pad is how many digit places stand empty before the number.
	pad := pre - len(whole)
	firstShown := pad
	if t.zero && t.zeroAt < firstShown {
		firstShown = t.zeroAt
	}
	// A zero whole part is shown as blank, or as 0 when nothing would stand there.
	if firstShown == pre && pre > 0 && !t.point && len(whole) == 0 {
		firstShown = pre - 1
	}
	if firstShown == pre && t.point && t.post == 0 && pre > 0 {
		firstShown = pre - 1
	}
	lastFrac := t.post
	if t.fill {
		lastFrac = len(strings.TrimRight(frac[:min(len(frac), t.post)], "0"))
		lastFrac = max(lastFrac, t.zeroEnd)
		if over {
			lastFrac = t.post
		}
	}
	if t.fill && t.point && lastFrac == 0 && firstShown == pre && pre > 0 {
		firstShown = pre - 1 // 0 by FM9.9 is 0.
	}
	signDone := false
	putSign := func(b []byte) []byte {
		// The sign that clings to the first digit.
		if signDone {
			return b
		}
		signDone = true
		switch {
		case t.sign == 'S' && t.signPre:
			if neg {
				return append(b, '-')
			}
			return append(b, '+')
		case t.sign == 'B':
			if neg {
				return append(b, '<')
			}
			if !t.fill {
				return append(b, ' ')
			}
		case t.sign == 0 || t.sign == 'P':
			if neg {
				return append(b, '-')
			}
			if !t.fill {
				return append(b, ' ')
			}
		}
		return b
	}
	place, fracPlace, inFrac := 0, 0, false
	lastDigit := t.lastDigit()
	for k, it := range t.items {
		switch it.kind {
		case '9', '0':
			if inFrac {
				if fracPlace < lastFrac || !t.fill {
					// What stands behind a number that has ended is not shown.
					if fracPlace >= len(frac) {
						if t.sign == 'S' {
							return append(dst, t.signBehind(neg)...)
						}
						return t.closeBracket(putSign(dst), neg)
					}
					dst = append(dst, frac[fracPlace])
				}
				fracPlace++
			} else {
				switch {
				case place < firstShown:
					if !t.fill {
						dst = append(dst, ' ')
					}
				default:
					dst = putSign(dst)
					if place < pad {
						dst = append(dst, '0')
					} else {
						dst = append(dst, whole[place-pad])
					}
				}
				place++
			}
		case '.':
			inFrac = true
			if place <= firstShown || pre == 0 {
				dst = putSign(dst)
			}
			if len(frac) == 0 && !over {
				return dst
			}
			dst = append(dst, '.')
		case ',':
			if !inFrac && place <= firstShown && !signDone {
				if !t.fill {
					dst = append(dst, ' ')
				}
			} else {
				dst = append(dst, ',')
			}
		case 'L':
			if !t.fill {
				dst = append(dst, ' ')
			}
		case 'S':
			dst = append(dst, t.signBehind(neg)...)
		case 'M':
			if neg {
				dst = append(dst, '-')
			} else if !t.fill {
				dst = append(dst, ' ')
			}
		case 'P':
			if !neg {
				dst = append(dst, '+')
			} else if !t.fill {
				dst = append(dst, ' ')
			}
		case 'G':
			if neg {
				dst = append(dst, '-')
			} else {
				dst = append(dst, '+')
			}
		case 'T', 't':
			if !neg && !t.point && special == "" && !over {
				o := ordinal(int64(atoi(whole[max(len(whole)-2, 0):])))
				if it.kind == 'T' {
					o = strings.ToUpper(o)
				}
				dst = append(dst, o...)
			}
		case 0:
			dst = append(dst, it.text...)
		}
		if k == lastDigit && t.sign == 'B' {
			dst = t.closeBracket(putSign(dst), neg)
		}
	}
	return dst
}

// signBehind is the sign of a template that has S behind its digits.
func (t *numTemplate) signBehind(neg bool) string {
	switch {
	case t.signPre:
		return ""
	case neg:
		return "-"
	}
	return "+"
}

// closeBracket ends a number in a template with PR.
func (t *numTemplate) closeBracket(dst []byte, neg bool) []byte {
	switch {
	case t.sign != 'B':
	case neg:
		return append(dst, '>')
	case !t.fill:
		return append(dst, ' ')
	}
	return dst
}

func (t *numTemplate) lastDigit() int {
	last := -1
	for k, it := range t.items {
		if it.kind == '9' || it.kind == '0' || it.kind == '.' {
			last = k
		}
	}
	return last
}

// roman is the number in Roman letters, right-aligned in 15 places.
func (t *numTemplate) appendRoman(dst []byte, n int64) []byte {
	s := ""
	if n < 1 || n > 3999 {
		s = strings.Repeat("#", 15)
	} else {
		for _, p := range []struct {
			v int64
			s string
		}{{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"}, {40, "XL"}, {10, "X"}, {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"}} {
			for n >= p.v {
				s += p.s
				n -= p.v
			}
		}
	}
	if t.roman == 'r' {
		s = strings.ToLower(s)
	}
	if !t.fill {
		s = fmt.Sprintf("%15s", s)
	}
	return append(dst, s...)
}

// romanValue is the integer that RN shows, 0 for a float that is none.
func romanValue(c *Call, i int, f64 func(c *Call, i int) float64) (int64, error) {
	var v int64
	switch c.Args[0].T.OID {
	case types.NumericOID:
		b := c.Bytes(0, i)
		switch {
		case types.NumericIsNaN(b):
			return 0, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot convert NaN to integer")
		case types.NumericIsInf(b):
			return 0, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot convert infinity to integer")
		}
		var ok bool
		if v, ok = types.NumericToInt64(b); !ok {
			return 0, outOfRange[int32]()
		}
	case types.Int8OID:
		v = c.I64(0, i)
	default:
		f := math.RoundToEven(f64(c, i))
		if !(f >= math.MinInt32 && f <= math.MaxInt32) {
			return 0, nil
		}
		v = int64(f)
	}
	if v != int64(int32(v)) {
		return 0, outOfRange[int32]()
	}
	return v, nil
}

func init() {
	char := func(digits func(c *Call, i int, t *numTemplate) (neg bool, whole, frac, special string, err error), f64 func(c *Call, i int) float64) func(*prepareContext) (Loop, error) {
		return func(*prepareContext) (Loop, error) {
			var t *numTemplate
			last := ""
			return each(func(c *Call, i int) error {
				if t == nil || last != c.Str(1, i) {
					last = string(c.Bytes(1, i))
					t = parseNumTemplate(last)
				}
				if t.err != nil {
					return t.err
				}
				switch {
				case t.roman != 0:
					v, err := romanValue(c, i, f64)
					if err != nil {
						return err
					}
					c.End(i, t.appendRoman(c.Begin(), v))
					return nil
				case t.exp:
					b, err := t.appendExp(c, i, f64)
					if err == nil {
						c.End(i, b)
					}
					return err
				}
				neg, whole, frac, special, err := digits(c, i, t)
				if err != nil {
					return err
				}
				if special != "" && !neg && !t.point && len(special) <= t.pre+t.multi && t.ordinal() {
					return sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "\"%s\" is not a number", special)
				}
				c.End(i, t.appendNumber(c.Begin(), neg, whole, frac, special))
				return nil
			}), nil
		}
	}
	ints := func(get func(c *Call, i int) int64, most int64, overflow func() error) func(*prepareContext) (Loop, error) {
		return char(func(c *Call, i int, t *numTemplate) (bool, string, string, string, error) {
			v := get(c, i)
			for k, w, p := 0, v, int64(1); k < t.multi; k++ {
				if p > most/10 || w > most/10 || w < -(most/10) {
					return false, "", "", "", overflow()
				}
				w, p = w*10, p*10
			}
			s := strconv.FormatInt(v, 10)
			s = strings.TrimPrefix(s, "-")
			return v < 0, s + strings.Repeat("0", t.multi), strings.Repeat("0", t.post), "", nil
		}, func(c *Call, i int) float64 { return float64(get(c, i)) })
	}
	reg("to_char(int4,text)", impl{cost: 100, prepare: ints(func(c *Call, i int) int64 { return int64(c.I32(0, i)) }, math.MaxInt32, outOfRange[int32])})
	reg("to_char(int8,text)", impl{cost: 100, prepare: ints(func(c *Call, i int) int64 { return c.I64(0, i) }, math.MaxInt64, outOfRange[int64])})
	floats := func(get func(c *Call, i int) float64, digits int) func(*prepareContext) (Loop, error) {
		return char(func(c *Call, i int, t *numTemplate) (bool, string, string, string, error) {
			v := get(c, i)
			if t.multi > 0 {
				v *= math.Pow10(t.multi)
			}
			// No more digits than the type has.
			whole := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
			special := ""
			if v != v || math.IsInf(v, 0) {
				special = specialName(v != v)
				whole = special
			}
			post := t.post
			if len(whole) >= digits {
				post = 0
			} else if len(whole)+post > digits {
				post = digits - len(whole)
			}
			if special != "" {
				return v < 0, "", strings.Repeat("0", post), special, nil
			}
			s := strconv.FormatFloat(math.Abs(v), 'f', post, 64)
			w, f, _ := strings.Cut(s, ".")
			return math.Signbit(v), w, f, "", nil
		}, get)
	}
	reg("to_char(float8,text)", impl{cost: 100, prepare: floats(func(c *Call, i int) float64 { return c.F64(0, i) }, 15)})
	reg("to_char(float4,text)", impl{cost: 100, prepare: floats(func(c *Call, i int) float64 { return float64(c.F32(0, i)) }, 6)})
	reg("to_char(numeric,text)", impl{cost: 100, prepare: char(func(c *Call, i int, t *numTemplate) (bool, string, string, string, error) {
		n := c.Bytes(0, i)
		if types.NumericIsNaN(n) || types.NumericIsInf(n) {
			return types.NumericSign(n) < 0, "", strings.Repeat("0", t.post), specialName(types.NumericIsNaN(n)), nil
		}
		var err error
		if t.multi > 0 {
			p := types.NumericFromInt64(nil, 1, 0)
			for k := 0; k < t.multi; k++ {
				if p, err = types.NumericMul(nil, p, ten); err != nil {
					return false, "", "", "", err
				}
			}
			if n, err = types.NumericMul(nil, n, p); err != nil {
				return false, "", "", "", err
			}
		}
		if n, err = types.NumericRound(nil, n, t.post); err != nil {
			return false, "", "", "", err
		}
		s := string(types.AppendNumeric(nil, n))
		neg := strings.HasPrefix(s, "-")
		w, f, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
		return neg, w, f, "", nil
	}, func(c *Call, i int) float64 {
		f, _ := types.NumericToFloat64(c.Bytes(0, i))
		return f
	})})
	reg("to_number", impl{cost: 100, loop: each(func(c *Call, i int) error {
		if len(c.Bytes(1, i)) == 0 {
			c.ret(i, types.Null)
			return nil
		}
		t := parseNumTemplate(c.Str(1, i))
		if t.err != nil {
			return t.err
		}
		text, err := t.read(c.Str(0, i))
		if err != nil {
			return err
		}
		b, err := types.ParseNumeric(c.Begin(), []byte(text))
		if err == nil && t.multi > 0 {
			return numSyntaxV()
		}
		if err == nil {
			c.End(i, b)
		}
		return err
	})})
}

func specialName(nan bool) string {
	if nan {
		return "NaN"
	}
	return "Infinity"
}

func numSyntaxV() error { return sqlstate.Unsupported("\"V\" in to_number") }

// appendExp renders EEEE.
func (t *numTemplate) appendExp(c *Call, i int, f64 func(c *Call, i int) float64) ([]byte, error) {
	b := c.Begin()
	v := f64(c, i)
	if v != v || math.IsInf(v, 0) {
		s := []byte(" " + strings.Repeat("#", t.pre+t.post+5))
		s[min(t.pre+1, len(s)-1)] = '.'
		return append(b, s...), nil
	}
	s := strconv.FormatFloat(v, 'e', t.post, 64)
	if v >= 0 {
		s = " " + s
	}
	return append(b, s...), nil
}

// read takes a number out of text by the template: what the template says of
// grouping and signs is passed over.
func (t *numTemplate) read(s string) (string, error) {
	var whole, frac []byte
	neg, inFrac := false, false
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	sign := func() {
		switch {
		case i < len(s) && s[i] == '-':
			neg = true
			i++
		case i < len(s) && s[i] == '+':
			i++
		case i < len(s) && s[i] == '<':
			neg = true
			i++
		}
	}
	signed := false
	for _, it := range t.items {
		if i >= len(s) {
			break
		}
		switch it.kind {
		case '9', '0':
			if !signed {
				sign()
				signed = true
			}
			for i < len(s) && s[i] == ' ' {
				i++
			}
			if i < len(s) && isDigit(s[i]) {
				if inFrac {
					if len(frac) < t.post {
						frac = append(frac, s[i])
					}
				} else {
					whole = append(whole, s[i])
				}
				i++
			} else if i < len(s) && s[i] == '.' && !inFrac && t.point {
				inFrac = true
				i++
				if i < len(s) && isDigit(s[i]) && len(frac) < t.post {
					frac = append(frac, s[i])
					i++
				}
			} else if i < len(s) && s[i] != '-' && s[i] != '+' && s[i] != '>' {
				i += charLen([]byte(s[i:min(i+4, len(s))]), false) // a place without a digit
			}
		case '.':
			switch {
			case s[i] == '.':
				inFrac = true
				i++
			case isDigit(s[i]):
				if !inFrac {
					whole = append(whole, s[i])
				} else if len(frac) < t.post {
					frac = append(frac, s[i])
				}
				i++
			case s[i] != '-' && s[i] != '+' && s[i] != '>':
				i += charLen([]byte(s[i:min(i+4, len(s))]), false)
			}
		case ',':
			if i < len(s) && s[i] == ',' {
				i++
			}
		case 'L':
			for i < len(s) && !isDigit(s[i]) && s[i] != '-' && s[i] != '+' && s[i] != '.' {
				i++
			}
		case 'S', 'M', 'P', 'G':
			sign()
			signed = true
		case 'B':
			if s[i] == '>' {
				i++
			}
		case 'T', 't':
			if i+1 < len(s) && isAlpha(s[i]) {
				i += 2
			}
		case 'R':
			return "", sqlstate.Unsupported("\"RN\" for input")
		case 'E':
			return "", sqlstate.Unsupported("\"EEEE\" for input")
		case 0:
			i += charLen([]byte(s[i:min(i+4, len(s))]), false)
		}
	}
	if t.sign == 'S' && !t.signPre || t.sign == 'M' || t.sign == 0 {
		sign()
	}
	if len(whole)+len(frac) == 0 {
		return "", sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "invalid input syntax for type numeric: \"%s\"", strings.Repeat(" ", 1))
	}
	if places := t.pre + t.multi; len(bytes.TrimLeft(whole, "0")) > places {
		return "", sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "numeric field overflow").
			WithDetail("A field with precision %d, scale %d must round to an absolute value less than %s%d.", places+len(frac), len(frac), "10^", places)
	}
	out := ""
	if neg {
		out = "-"
	}
	out += string(whole)
	if len(whole) == 0 {
		out += "0"
	}
	if len(frac) > 0 {
		out += "." + string(frac)
	}
	return out, nil
}
