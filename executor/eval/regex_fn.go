package eval

import (
	"bytes"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// withRegex makes a loop whose compiled patterns belong to the call. A constant
// pattern is compiled with it.
func withRegex(f func(rc *regexCache, c *Call, i int) error) func(*prepareContext) (Loop, error) {
	return func(pc *prepareContext) (Loop, error) {
		rc := &regexCache{env: pc.env}
		return each(func(c *Call, i int) error { return f(rc, c, i) }), nil
	}
}

func init() {
	for _, t := range []string{"text", "name", "bpchar"} {
		for _, op := range []struct {
			name  string
			flags string
			not   bool
		}{{"regexeq", "", false}, {"regexne", "", true}, {"icregexeq", "i", false}, {"icregexne", "i", true}} {
			reg(t+op.name, impl{cost: 100, prepare: func(pc *prepareContext) (Loop, error) {
				rc := &regexCache{env: pc.env}
				if lit, ok := plainSubstring(pc, op.flags); ok {
					return total(func(c *Call, i int) { c.RetBool(i, bytes.Contains(c.Bytes(0, i), lit) != op.not) }), nil
				}
				return each(func(c *Call, i int) error {
					m, err := rc.get(c.Bytes(1, i), []byte(op.flags))
					if err != nil {
						return err
					}
					ok, err := m.match(c.Bytes(0, i))
					c.RetBool(i, ok != op.not)
					return err
				}), nil
			}})
		}
	}
	for _, sig := range []string{"regexp_replace(text,text,text)", "regexp_replace(text,text,text,text)"} {
		reg(sig, impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			flags, global := []byte(nil), false
			if len(c.Args) == 4 {
				f := c.Bytes(3, i)
				if len(f) > 0 && isDigit(f[0]) {
					return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid regular expression option: \"%s\"", f[:1]).
						WithHint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.")
				}
				flags, global = cutGlobal(f)
			}
			n := 1
			if global {
				n = 0
			}
			return rc.replace(c, i, flags, 0, n)
		})})
	}
	for _, sig := range []string{"regexp_replace(text,text,text,int4)", "regexp_replace(text,text,text,int4,int4)", "regexp_replace(text,text,text,int4,int4,text)"} {
		reg(sig, impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			start, n := c.I32(3, i), int32(1)
			if len(c.Args) > 4 {
				n = c.I32(4, i)
			}
			if start <= 0 {
				return badParameter("start", start)
			}
			if n < 0 {
				return badParameter("n", n)
			}
			var flags []byte
			if len(c.Args) > 5 {
				f, global := cutGlobal(c.Bytes(5, i))
				flags = f
				_ = global
			} else if len(c.Args) == 4 {
				n = 1
			}
			from, ok := charStart(c.Bytes(0, i), start)
			if !ok {
				c.RetBytes(i, c.Bytes(0, i))
				return nil
			}
			return rc.replace(c, i, flags, from, int(n))
		})})
	}
	for _, sig := range []string{"regexp_match(text,text)", "regexp_match(text,text,text)"} {
		reg(sig, impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			var flags []byte
			if len(c.Args) == 3 {
				var global bool
				if flags, global = cutGlobal(c.Bytes(2, i)); global {
					return sqlstate.Errorf(sqlstate.InvalidParameterValue, "regexp_match() does not support the \"global\" option").
						WithHint("Use the regexp_matches function instead.")
				}
			}
			m, err := rc.get(c.Bytes(1, i), flags)
			if err != nil {
				return err
			}
			s := c.Bytes(0, i)
			loc, err := m.find(s, 0)
			if err != nil {
				return err
			}
			if loc == nil {
				c.ret(i, types.Null)
				return nil
			}
			c.End(i, appendMatch(c.Begin(), s, loc))
			return nil
		})})
	}
	for _, sig := range []string{"regexp_split_to_array(text,text)", "regexp_split_to_array(text,text,text)"} {
		reg(sig, impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			var flags []byte
			if len(c.Args) == 3 {
				f, global := cutGlobal(c.Bytes(2, i))
				if flags = f; global {
					return sqlstate.Errorf(sqlstate.InvalidParameterValue, "regexp_split_to_array() does not support the \"global\" option")
				}
			}
			m, err := rc.get(c.Bytes(1, i), flags)
			if err != nil {
				return err
			}
			var b types.ArrayBuilder
			b.Reset(types.TextOID)
			if err := m.split(c.Bytes(0, i), func(part []byte) { b.AppendBytes(part) }); err != nil {
				return err
			}
			c.End(i, b.Finish(c.Begin()))
			return nil
		})})
	}
	for _, sig := range []string{"regexp_like(text,text)", "regexp_like(text,text,text)"} {
		reg(sig, impl{cost: 100, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			var flags []byte
			if len(c.Args) == 3 {
				f, global := cutGlobal(c.Bytes(2, i))
				if flags = f; global {
					return sqlstate.Errorf(sqlstate.InvalidParameterValue, "regexp_like() does not support the \"global\" option")
				}
			}
			m, err := rc.get(c.Bytes(1, i), flags)
			if err != nil {
				return err
			}
			ok, err := m.match(c.Bytes(0, i))
			c.RetBool(i, ok)
			return err
		})})
	}
	for _, sig := range []string{"regexp_count(text,text)", "regexp_count(text,text,int4)", "regexp_count(text,text,int4,text)"} {
		reg(sig, impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			start := int32(1)
			var flags []byte
			if len(c.Args) > 2 {
				start = c.I32(2, i)
			}
			if start <= 0 {
				return badParameter("start", start)
			}
			if len(c.Args) > 3 {
				f, global := cutGlobal(c.Bytes(3, i))
				if flags = f; global {
					return sqlstate.Errorf(sqlstate.InvalidParameterValue, "regexp_count() does not support the \"global\" option")
				}
			}
			m, err := rc.get(c.Bytes(1, i), flags)
			if err != nil {
				return err
			}
			n := int32(0)
			if from, ok := charStart(c.Bytes(0, i), start); ok {
				err = m.all(c.Bytes(0, i), from, func([]int) bool { n++; return true })
			}
			c.Out.I32[i] = n
			return err
		})})
	}
	for n := 2; n <= 6; n++ {
		sig := "regexp_substr(" + strings.Join([]string{"text", "text", "int4", "int4", "text", "int4"}[:n], ",") + ")"
		reg(sig, impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			from, to, ok, err := rc.nth(c, i, "regexp_substr", 2, 3, 4, 5)
			if err != nil {
				return err
			}
			if !ok {
				c.ret(i, types.Null)
				return nil
			}
			c.RetBytes(i, c.Bytes(0, i)[from:to])
			return nil
		})})
	}
	for n := 2; n <= 7; n++ {
		sig := "regexp_instr(" + strings.Join([]string{"text", "text", "int4", "int4", "int4", "text", "int4"}[:n], ",") + ")"
		reg(sig, impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
			end := int32(0)
			if len(c.Args) > 4 {
				if end = c.I32(4, i); end != 0 && end != 1 {
					return badParameter("endoption", end)
				}
			}
			from, to, ok, err := rc.nth(c, i, "regexp_instr", 2, 3, 5, 6)
			if err != nil || !ok {
				c.Out.I32[i] = 0
				return err
			}
			if end == 1 {
				from = to
			}
			c.Out.I32[i] = int32(charCount(c.Bytes(0, i)[:from])) + 1
			return nil
		})})
	}
	// substring(text from pattern): the first group, or the whole match.
	reg("substring(text,text)", impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
		return rc.substring(c, i, c.Bytes(1, i))
	})})
	reg("substring(text,text,text)", impl{cost: 200, prepare: withRegex(func(rc *regexCache, c *Call, i int) error {
		p, err := similarPattern(c.Bytes(1, i), c.Bytes(2, i))
		if err != nil {
			return err
		}
		return rc.substring(c, i, p)
	})})
	similar := func(c *Call, i int) error {
		esc := []byte(`\`)
		if len(c.Args) == 2 {
			if c.Null(1, i) {
				esc = []byte(`\`)
			} else {
				esc = c.Bytes(1, i)
			}
		}
		p, err := similarPattern(c.Bytes(0, i), esc)
		if err == nil {
			c.RetBytes(i, p)
		}
		return err
	}
	reg("similar_to_escape(text)", impl{loop: each(similar)})
	reg("similar_to_escape(text,text)", impl{loop: each(similar)})
	reg("similar_escape", impl{nonStrict: true, loop: each(func(c *Call, i int) error {
		if c.Null(0, i) {
			c.ret(i, types.Null)
			return nil
		}
		return similar(c, i)
	})})
}

// plainSubstring is the text that a constant pattern without special characters
// looks for.
func plainSubstring(pc *prepareContext, flags string) ([]byte, bool) {
	if flags != "" || len(pc.known) < 2 || !pc.known[1] || !pc.args[1].Valid || strings.ContainsAny(pc.args[1].S, `\.[]{}()*+?^$|#`) {
		return nil, false
	}
	return []byte(pc.args[1].S), true
}

// cutGlobal takes the option g out of flags.
func cutGlobal(f []byte) (rest []byte, global bool) {
	if bytes.IndexByte(f, 'g') < 0 {
		return f, false
	}
	return bytes.ReplaceAll(f, []byte("g"), nil), true
}

func badParameter(name string, v int32) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": %d", name, v)
}

// charStart is the byte offset of character start, from 1; ok is false beyond the end.
func charStart(s []byte, start int32) (int, bool) {
	if int(start) > charCount(s)+1 {
		return 0, false
	}
	return charOffset(s, int(start)-1), true
}

// replace replaces the nth match from a place on, all with n = 0.
func (rc *regexCache) replace(c *Call, i int, flags []byte, from, n int) error {
	m, err := rc.get(c.Bytes(1, i), flags)
	if err != nil {
		return err
	}
	s, with := c.Bytes(0, i), c.Bytes(2, i)
	if n == 1 && from == 0 {
		loc, err := m.find(s, 0)
		if err != nil {
			return err
		}
		if loc == nil {
			c.RetBytes(i, s)
			return nil
		}
		b := append(c.Begin(), s[:loc[0]]...)
		b = appendExpanded(b, with, s, loc)
		c.End(i, append(b, s[loc[1]:]...))
		return nil
	}
	b, last, k := c.Begin(), 0, 0
	err = m.all(s, from, func(loc []int) bool {
		k++
		if n != 0 && k < n {
			return true
		}
		b = append(b, s[last:loc[0]]...)
		b = appendExpanded(b, with, s, loc)
		last = loc[1]
		return n == 0
	})
	if err != nil {
		return err
	}
	c.End(i, append(b, s[last:]...))
	return nil
}

// appendExpanded appends a replacement, where \1 to \9 are groups and \& the match.
func appendExpanded(dst, with, s []byte, loc []int) []byte {
	for k := 0; k < len(with); k++ {
		if with[k] != '\\' || k+1 == len(with) {
			dst = append(dst, with[k])
			continue
		}
		k++
		g := -1
		switch b := with[k]; {
		case b == '&':
			g = 0
		case b >= '1' && b <= '9':
			g = int(b - '0')
		case b == '\\':
			dst = append(dst, '\\')
			continue
		default:
			dst = append(dst, '\\', b)
			continue
		}
		if 2*g+1 < len(loc) && loc[2*g] >= 0 {
			dst = append(dst, s[loc[2*g]:loc[2*g+1]]...)
		}
	}
	return dst
}

// appendMatch appends the array of a match's groups, or of the match when it has none.
func appendMatch(dst, s []byte, loc []int) []byte {
	var b types.ArrayBuilder
	b.Reset(types.TextOID)
	if len(loc) == 2 {
		b.AppendBytes(s[loc[0]:loc[1]])
		return b.Finish(dst)
	}
	for k := 2; k < len(loc); k += 2 {
		if loc[k] < 0 {
			b.Append(types.Null)
		} else {
			b.AppendBytes(s[loc[k]:loc[k+1]])
		}
	}
	return b.Finish(dst)
}

// split calls f for what lies between the matches. Empty matches at the start, the
// end, or right after another match do not split.
func (m *matcher) split(s []byte, f func(part []byte)) error {
	last := 0
	err := m.all(s, 0, func(loc []int) bool {
		if loc[0] == loc[1] && (loc[0] >= len(s) || loc[0] == last) {
			return true
		}
		f(s[last:loc[0]])
		last = loc[1]
		return true
	})
	f(s[last:])
	return err
}

// nth finds the n-th match and a group of it; start, n, flags and sub are the
// places of the optional arguments.
func (rc *regexCache) nth(c *Call, i int, name string, start, nArg, flagArg, subArg int) (from, to int, ok bool, err error) {
	at, n, sub := int32(1), int32(1), int32(0)
	var flags []byte
	if len(c.Args) > start {
		if at = c.I32(start, i); at <= 0 {
			return 0, 0, false, badParameter("start", at)
		}
	}
	if len(c.Args) > nArg {
		if n = c.I32(nArg, i); n <= 0 {
			return 0, 0, false, badParameter("n", n)
		}
	}
	if len(c.Args) > flagArg {
		var global bool
		if flags, global = cutGlobal(c.Bytes(flagArg, i)); global {
			return 0, 0, false, sqlstate.Errorf(sqlstate.InvalidParameterValue, "%s() does not support the \"global\" option", name)
		}
	}
	if len(c.Args) > subArg {
		if sub = c.I32(subArg, i); sub < 0 {
			return 0, 0, false, badParameter("subexpr", sub)
		}
	}
	m, err := rc.get(c.Bytes(1, i), flags)
	if err != nil {
		return 0, 0, false, err
	}
	s := c.Bytes(0, i)
	begin, inside := charStart(s, at)
	if !inside {
		return 0, 0, false, nil
	}
	err = m.all(s, begin, func(loc []int) bool {
		if n--; n > 0 {
			return true
		}
		if k := 2 * int(sub); k+1 < len(loc) && loc[k] >= 0 {
			from, to, ok = loc[k], loc[k+1], true
		}
		return false
	})
	return from, to, ok, err
}

func (rc *regexCache) substring(c *Call, i int, pat []byte) error {
	m, err := rc.get(pat, nil)
	if err != nil {
		return err
	}
	s := c.Bytes(0, i)
	loc, err := m.find(s, 0)
	if err != nil {
		return err
	}
	k := 0
	if m.groups > 0 {
		k = 2
	}
	if loc == nil || loc[k] < 0 {
		c.ret(i, types.Null)
		return nil
	}
	c.RetBytes(i, s[loc[k]:loc[k+1]])
	return nil
}

// similarPattern rewrites a pattern of SIMILAR TO as a regular expression. Two
// escaped double quotes cut it into three parts for substring.
func similarPattern(pat, esc []byte) ([]byte, error) {
	if len(esc) > 0 && charLen(esc, false) != len(esc) {
		return nil, sqlstate.Errorf(sqlstate.InvalidEscapeSequence, "invalid escape string").WithHint("Escape string must be empty or one character.")
	}
	out := []byte("^(?:")
	bracket, after, quotes := 0, false, 0
	for k := 0; k < len(pat); {
		n := charLen(pat[k:], false)
		ch := pat[k : k+n]
		b := ch[0]
		switch {
		case after:
			if b == '"' && bracket == 0 {
				switch quotes {
				case 0:
					out = append(out, "){1,1}?("...)
				case 1:
					out = append(out, "){1,1}(?:"...)
				default:
					return nil, sqlstate.Errorf(sqlstate.InvalidEscapeSequence, "SQL regular expression may not contain more than two escape-double-quote separators")
				}
				quotes++
			} else {
				out = append(append(out, '\\'), ch...)
			}
			after = false
		case len(esc) > 0 && bytes.Equal(ch, esc):
			after = true
		case bracket > 0:
			if b == '\\' {
				out = append(out, '\\')
			}
			out = append(out, ch...)
			if b == ']' && bracket > 1 {
				bracket = 0
			} else {
				bracket = 2
				if b == '^' && out[len(out)-2] == '[' {
					bracket = 1
				}
			}
		case b == '[':
			out = append(out, '[')
			bracket = 1
		case b == '%':
			out = append(out, ".*"...)
		case b == '_':
			out = append(out, '.')
		case b == '(':
			out = append(out, "(?:"...)
		case b == '\\' || b == '.' || b == '^' || b == '$':
			out = append(append(out, '\\'), b)
		default:
			out = append(out, ch...)
		}
		k += n
	}
	return append(out, ")$"...), nil
}
