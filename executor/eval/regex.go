package eval

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// matcher is a compiled PostgreSQL regular expression: by Go's linear-time engine
// where the pattern has an equivalent there, else by a backtracking one with a time
// limit. Neither has PostgreSQL's rule that the whole match is longest or shortest;
// both prefer the leftmost alternative.
type matcher struct {
	fast   *fastRegex
	re     *regexp.Regexp
	slow   *regexp2.Regexp
	groups int
	locs   []int
	runes  []rune // the subject of slow, and the byte offset of each rune
	offs   []int
	env    *Env // knows whether the query has ended
}

// regexTime bounds one match of the backtracking engine.
const regexTime = 10 * time.Second

func badRegex(format string, args ...any) error {
	e := sqlstate.Errorf(sqlstate.InvalidRegularExpression, format, args...)
	e.Message = "invalid regular expression: " + e.Message
	return e
}

// compileRegex translates a pattern with PostgreSQL's flags (i, n, s, x, q …).
func compileRegex(pat, flags string) (*matcher, error) {
	t, err := translateRegex(pat, flags)
	if err != nil {
		return nil, err
	}
	if !t.backtrack {
		re, err := regexp.Compile(t.flags() + t.out.String())
		if err == nil {
			m := &matcher{re: re, groups: re.NumSubexp()}
			m.fast = newFastRegex(t.flags()+t.out.String(), syntax.Perl)
			return m, nil
		}
		if strings.Contains(err.Error(), "repeat count") {
			// More repeats than Go allows.
			t.backtrack = true
		} else {
			return nil, badRegex("%s", regexMessage(err.Error()))
		}
	}
	opts := regexp2.None
	if t.fold {
		opts |= regexp2.IgnoreCase
	}
	if t.dotAll {
		opts |= regexp2.Singleline
	}
	if t.lines {
		opts |= regexp2.Multiline
	}
	slow, err := regexp2.Compile(t.out.String(), opts)
	if err != nil {
		return nil, badRegex("%s", regexMessage(err.Error()))
	}
	slow.MatchTimeout = regexTime
	return &matcher{slow: slow, groups: len(slow.GetGroupNumbers()) - 1}, nil
}

// regexMessage finds PostgreSQL's words for an engine's complaint.
func regexMessage(msg string) string {
	switch {
	case strings.Contains(msg, "missing closing )"), strings.Contains(msg, "unexpected )"), strings.Contains(msg, "parenthesis"), strings.Contains(msg, "Not enough )'s"), strings.Contains(msg, "Too many )'s"):
		return "parentheses () not balanced"
	case strings.Contains(msg, "missing closing ]"), strings.Contains(msg, "Unterminated []"):
		return "brackets [] not balanced"
	case strings.Contains(msg, "character class range"), strings.Contains(msg, "reverse order"):
		return "invalid character range"
	case strings.Contains(msg, "character class"):
		return "invalid character class"
	case strings.Contains(msg, "repetition operator"), strings.Contains(msg, "Quantifier"), strings.Contains(msg, "Nested quantifier"):
		return "quantifier operand invalid"
	case strings.Contains(msg, "repeat count"):
		return "invalid repetition count(s)"
	case strings.Contains(msg, "trailing backslash"), strings.Contains(msg, "escape"):
		return "invalid escape \\ sequence"
	case strings.Contains(msg, "reference"):
		return "invalid backreference number"
	}
	return msg
}

type regexTranslation struct {
	out       strings.Builder
	backtrack bool
	fold      bool
	dotAll    bool // . and [^…] match newlines
	lines     bool // ^ and $ match at lines
}

func (t *regexTranslation) flags() string {
	f := ""
	if t.fold {
		f += "i"
	}
	if t.dotAll {
		f += "s"
	}
	if t.lines {
		f += "m"
	}
	if f == "" {
		return ""
	}
	return "(?" + f + ")"
}

// regexFlags reads PostgreSQL's option letters into t; what is returned is g, and
// whether the pattern is literal, basic or has comments.
func (t *regexTranslation) option(f byte) (literal, expanded, ok bool) {
	switch f {
	case 'i':
		t.fold = true
	case 'c':
		t.fold = false
	case 'n', 'm':
		t.dotAll, t.lines = false, true
	case 's':
		t.dotAll, t.lines = true, false
	case 'p':
		t.dotAll, t.lines = false, false
	case 'w':
		t.dotAll, t.lines = true, true
	case 'q':
		return true, false, true
	case 'x':
		return false, true, true
	case 't', 'e', 'b':
	default:
		return false, false, false
	}
	return false, false, true
}

// translateRegex rewrites PostgreSQL's advanced regular expressions for Go's
// syntax: escapes, constraints, collating brackets, embedded options.
func translateRegex(pat, flags string) (*regexTranslation, error) {
	t := &regexTranslation{dotAll: true}
	literal, expanded := false, false
	for i := 0; i < len(flags); i++ {
		l, x, ok := t.option(flags[i])
		if !ok {
			_, n := utf8.DecodeRuneInString(flags[i:])
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid regular expression option: \"%s\"", flags[i:i+n])
		}
		literal, expanded = literal || l, expanded || x
	}
	if strings.HasPrefix(pat, "***=") {
		literal, pat = true, pat[4:]
	} else if strings.HasPrefix(pat, "***:") {
		pat = pat[4:]
	}
	if strings.HasPrefix(pat, "(?") {
		if k := strings.IndexByte(pat, ')'); k > 2 && isAlpha(pat[2]) {
			for _, f := range []byte(pat[2:k]) {
				l, x, ok := t.option(f)
				if !ok {
					return nil, badRegex("invalid embedded option")
				}
				literal, expanded = literal || l, expanded || x
			}
			pat = pat[k+1:]
		}
	}
	if literal {
		t.out.WriteString(regexp.QuoteMeta(pat))
		return t, nil
	}
	// Back references and look-around need the other engine.
	for i := 0; i+1 < len(pat); i++ {
		if pat[i] == '\\' {
			if c := pat[i+1]; c >= '1' && c <= '9' {
				t.backtrack = true
			}
			if c := pat[i+1]; c == 'm' || c == 'M' {
				t.backtrack = true
			}
			i++
		} else if strings.HasPrefix(pat[i:], "(?=") || strings.HasPrefix(pat[i:], "(?!") || strings.HasPrefix(pat[i:], "(?<") {
			t.backtrack = true
		}
	}
	w := &t.out
	depth := 0
	start := true // where a quantifier has nothing to repeat
	for i := 0; i < len(pat); i++ {
		c := pat[i]
		switch {
		case expanded && isSpace(c):
			continue
		case expanded && c == '#':
			for i < len(pat) && pat[i] != '\n' {
				i++
			}
			continue
		case c == '[':
			switch {
			case strings.HasPrefix(pat[i:], "[[:<:]]"):
				t.backtrack = true
				w.WriteString(`\b(?=\w)`)
				i += 6
				start = false
				continue
			case strings.HasPrefix(pat[i:], "[[:>:]]"):
				t.backtrack = true
				w.WriteString(`\b(?<=\w)`)
				i += 6
				start = false
				continue
			}
			n, err := t.bracket(pat[i:])
			if err != nil {
				return nil, err
			}
			i += n - 1
			start = false
			continue
		case c == '\\':
			n, err := t.escape(pat[i:])
			if err != nil {
				return nil, err
			}
			i += n - 1
			start = false
			continue
		case c == '(':
			depth++
			if strings.HasPrefix(pat[i:], "(?#") {
				k := strings.IndexByte(pat[i:], ')')
				if k < 0 {
					return nil, badRegex("parentheses () not balanced")
				}
				depth--
				i += k
				continue
			}
			if i+2 < len(pat) && pat[i+1] == '?' {
				switch pat[i+2] {
				case ':':
					w.WriteString("(?:")
					i += 2
				case '=', '!':
					w.WriteString(pat[i : i+3])
					i += 2
				case '<':
					if i+3 < len(pat) && (pat[i+3] == '=' || pat[i+3] == '!') {
						w.WriteString(pat[i : i+4])
						i += 3
						break
					}
					return nil, badRegex("quantifier operand invalid")
				default:
					return nil, badRegex("quantifier operand invalid")
				}
				start = true
				continue
			}
			w.WriteByte('(')
			start = true
			continue
		case c == ')':
			if depth == 0 {
				return nil, badRegex("parentheses () not balanced")
			}
			depth--
			w.WriteByte(')')
			start = false
			continue
		case c == '|':
			w.WriteByte('|')
			start = true
			continue
		case c == '*' || c == '+' || c == '?':
			if start {
				return nil, badRegex("quantifier operand invalid")
			}
			w.WriteByte(c)
			if i+1 < len(pat) && pat[i+1] == '?' {
				w.WriteByte('?')
				i++
			}
			continue
		case c == '{':
			if i+1 < len(pat) && isDigit(pat[i+1]) {
				k := strings.IndexByte(pat[i:], '}')
				if start {
					return nil, badRegex("quantifier operand invalid")
				}
				if k < 0 {
					return nil, badRegex("braces {} not balanced")
				}
				w.WriteString(pat[i : i+k+1])
				i += k
				if i+1 < len(pat) && pat[i+1] == '?' {
					w.WriteByte('?')
					i++
				}
				continue
			}
			w.WriteString(`\{`)
			start = false
			continue
		case c == '}':
			w.WriteString(`\}`)
			start = false
			continue
		case c == '$':
			if t.lines {
				w.WriteString(`$`)
			} else {
				w.WriteString(`\z`)
			}
			start = true
			continue
		case c == '^':
			w.WriteByte('^')
			start = true
			continue
		default:
			w.WriteByte(c)
			start = false
		}
	}
	if depth > 0 {
		return nil, badRegex("parentheses () not balanced")
	}
	return t, nil
}

// escape translates the escape that s starts with and says how long it is.
func (t *regexTranslation) escape(s string) (int, error) {
	if len(s) < 2 {
		return 0, badRegex("invalid escape \\ sequence")
	}
	w := &t.out
	switch c := s[1]; c {
	case 'A':
		w.WriteString(`\A`)
	case 'Z':
		w.WriteString(`\z`)
	case 'y':
		w.WriteString(`\b`)
	case 'Y':
		w.WriteString(`\B`)
	case 'm':
		w.WriteString(`\b(?=\w)`)
	case 'M':
		w.WriteString(`\b(?<=\w)`)
	case 'd', 'D', 'w', 'W', 's', 'S':
		w.WriteString(s[:2])
		if c == 's' && !t.backtrack {
			// Go's \s has no vertical tab.
			str := w.String()
			w.Reset()
			w.WriteString(str[:len(str)-2])
			w.WriteString(`[\s\v]`)
		}
	case 'a':
		w.WriteString(`\x07`)
	case 'b':
		w.WriteString(`\x08`)
	case 'e':
		w.WriteString(`\x1b`)
	case 'f', 'n', 'r', 't', 'v':
		w.WriteString(s[:2])
	case 'B':
		w.WriteString(`\\`)
	case 'x', 'u', 'U':
		k := 2
		for k < len(s) && k < 10 && (isDigit(s[k]) || (s[k]|0x20)-'a' < 6) {
			k++
		}
		if c == 'u' {
			k = min(k, 6)
		}
		hexes := s[2:k]
		if len(hexes) > 6 {
			hexes = hexes[len(hexes)-6:]
		}
		if t.backtrack {
			w.WriteString(`\u` + strings.Repeat("0", max(4-len(hexes), 0)) + hexes)
		} else {
			w.WriteString(`\x{` + hexes + `}`)
		}
		return k, nil
	case 'c':
		if len(s) < 3 {
			return 0, badRegex("invalid escape \\ sequence")
		}
		w.WriteString(`\x` + string("0123456789abcdef"[s[2]>>4&1]) + string("0123456789abcdef"[s[2]&15]))
		return 3, nil
	case '0':
		w.WriteString(`\x00`)
	default:
		if c >= '1' && c <= '9' {
			w.WriteString(s[:2])
			return 2, nil
		}
		if isAlnum(c) {
			return 0, badRegex("invalid escape \\ sequence")
		}
		if c < utf8.RuneSelf {
			w.WriteString(regexp.QuoteMeta(s[1:2]))
			return 2, nil
		}
		_, n := utf8.DecodeRuneInString(s[1:])
		w.WriteString(s[1 : 1+n])
		return 1 + n, nil
	}
	return 2, nil
}

// bracket translates the bracket expression that s starts with and says how long
// it is.
func (t *regexTranslation) bracket(s string) (int, error) {
	w := &t.out
	w.WriteByte('[')
	i := 1
	if i < len(s) && s[i] == '^' {
		w.WriteByte('^')
		i++
		if t.lines {
			w.WriteString(`\n`)
		}
	}
	for first := true; ; first = false {
		if i >= len(s) {
			return 0, badRegex("brackets [] not balanced")
		}
		c := s[i]
		switch {
		case c == ']' && !first:
			w.WriteByte(']')
			return i + 1, nil
		case c == '[' && i+1 < len(s) && (s[i+1] == ':' || s[i+1] == '.' || s[i+1] == '='):
			k := strings.Index(s[i+2:], s[i+1:i+2]+"]")
			if k < 0 {
				return 0, badRegex("brackets [] not balanced")
			}
			name := s[i+2 : i+2+k]
			if s[i+1] == ':' {
				if !posixClasses[name] {
					return 0, badRegex("invalid character class")
				}
				if t.backtrack {
					w.WriteString(backtrackClass[name])
				} else {
					w.WriteString("[:" + name + ":]")
				}
			} else {
				w.WriteString(regexp.QuoteMeta(name))
			}
			i += k + 4
		case c == '\\':
			if i+1 >= len(s) {
				return 0, badRegex("brackets [] not balanced")
			}
			n, err := t.escape(s[i:])
			if err != nil {
				return 0, err
			}
			i += n
		case c == '[' || c == ']' || c == '^' || c == '&' || c == '~' || c == '|':
			w.WriteByte('\\')
			w.WriteByte(c)
			i++
		default:
			w.WriteByte(c)
			i++
		}
	}
}

var posixClasses = map[string]bool{"alnum": true, "alpha": true, "blank": true, "cntrl": true, "digit": true, "graph": true, "lower": true, "print": true, "punct": true, "space": true, "upper": true, "xdigit": true, "word": true}

var backtrackClass = map[string]string{"alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": ` \t`, "cntrl": `\x00-\x1f\x7f`, "digit": "0-9", "graph": "!-~",
	"lower": "a-z", "print": " -~", "punct": `!-/:-@\[-` + "`" + `{-~`, "space": `\s`, "upper": "A-Z", "xdigit": "0-9a-fA-F", "word": `\w`}

// match says whether the pattern is found in s.
func (m *matcher) match(s []byte) (bool, error) {
	if m.fast != nil {
		if loc, done := m.fast.find(s, 0); done {
			return loc != nil, nil
		}
	}
	if m.re != nil {
		return m.search(s)
	}
	ok, err := m.slow.MatchString(string(s))
	if err != nil {
		return false, regexTimeout()
	}
	return ok, nil
}

func regexTimeout() error {
	return sqlstate.Errorf(sqlstate.StatementTooComplex, "regular expression failed: the match took too long")
}

// find gives the bounds of the next match at or after from, in bytes: whole match,
// then groups, -1 for a group that took no part. nil: none. The slice is reused.
func (m *matcher) find(s []byte, from int) ([]int, error) {
	if m.fast != nil {
		if loc, done := m.fast.find(s, from); done {
			return loc, nil
		}
	}
	if m.re != nil {
		if from == 0 {
			return m.firstIn(s)
		}
		// Anchors must not match at from: search all of s.
		for _, loc := range m.re.FindAllSubmatchIndex(s, -1) {
			if loc[0] >= from {
				return loc, nil
			}
		}
		return nil, nil
	}
	m.load(s)
	start := 0
	for start < len(m.offs)-1 && m.offs[start] < from {
		start++
	}
	r, err := m.slow.FindRunesMatchStartingAt(m.runes, start)
	if err != nil {
		return nil, regexTimeout()
	}
	if r == nil {
		return nil, nil
	}
	m.locs = m.locs[:0]
	for _, g := range r.Groups() {
		if len(g.Captures) == 0 {
			m.locs = append(m.locs, -1, -1)
			continue
		}
		m.locs = append(m.locs, m.offs[g.Index], m.offs[g.Index+g.Length])
	}
	return m.locs, nil
}

func (m *matcher) load(s []byte) {
	m.runes, m.offs = m.runes[:0], m.offs[:0]
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		m.runes, m.offs = append(m.runes, r), append(m.offs, i)
		i += n
	}
	m.offs = append(m.offs, len(s))
}

// all calls f with every match, one after another, until f returns false. Behind a
// match there may be an empty one, at its very end.
func (m *matcher) all(s []byte, from int, f func(loc []int) bool) error {
	if m.fast == nil && m.re != nil && len(s) >= longSubject && from == 0 && !looksBack(m.re) {
		return m.each(s, from, m.findRest, f)
	}
	if m.fast == nil && m.re != nil {
		locs := m.re.FindAllSubmatchIndex(s, -1)
		for k, loc := range locs {
			if loc[0] >= from && !f(loc) {
				break
			}
			end := loc[1]
			if loc[0] == end || end < from || k+1 < len(locs) && locs[k+1][0] == end || looksBack(m.re) {
				continue
			}
			// The package leaves that one out.
			if more := m.re.FindSubmatchIndex(s[end:]); more != nil && more[0] == 0 && more[1] == 0 {
				for i := range more {
					if more[i] >= 0 {
						more[i] += end
					}
				}
				if !f(more) {
					break
				}
			}
		}
		return nil
	}
	return m.each(s, from, m.find, f)
}

// each calls f with the matches that find gives from one end to the next.
func (m *matcher) each(s []byte, from int, find func(s []byte, from int) ([]int, error), f func(loc []int) bool) error {
	for from <= len(s) {
		if len(s) >= longSubject && m.env.ended() {
			return errEnded
		}
		loc, err := find(s, from)
		if err != nil {
			return err
		}
		if loc == nil {
			return nil
		}
		from = loc[1]
		if loc[1] == loc[0] {
			if from == len(s) {
				from++
			} else {
				from += charLen(s[from:], false)
			}
		}
		if !f(loc) {
			return nil
		}
	}
	return nil
}

// longSubject is the length from which a match looks whether the query has ended.
const longSubject = 64 << 10

// findRest is find for a long subject and a pattern that does not look back: what is
// left after a match is searched by itself, so that a query that has ended is noticed
// between two matches.
func (m *matcher) findRest(s []byte, from int) ([]int, error) {
	loc, err := m.firstIn(s[from:])
	if err != nil {
		return nil, err
	}
	for i := range loc {
		if loc[i] >= 0 {
			loc[i] += from
		}
	}
	return loc, nil
}

// looksBack says whether a pattern's match may depend on what stands before it.
func looksBack(re *regexp.Regexp) bool {
	p, err := syntax.Parse(re.String(), syntax.Perl)
	return err != nil || opLooksBack(p)
}

func opLooksBack(p *syntax.Regexp) bool {
	switch p.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(p.Sub, opLooksBack)
}

// regexCache keeps the patterns compiled for one call.
type regexCache struct {
	byKey map[string]*matcher
	last  *matcher
	env   *Env
	pat   string
	flags string
}

func (rc *regexCache) get(pat, flags []byte) (*matcher, error) {
	if rc.last != nil && rc.pat == unsafeString(pat) && rc.flags == unsafeString(flags) {
		return rc.last, nil
	}
	key := string(flags) + "\x00" + string(pat)
	m := rc.byKey[key]
	if m == nil {
		var err error
		if m, err = compileRegex(string(pat), string(flags)); err != nil {
			return nil, err
		}
		if rc.byKey == nil || len(rc.byKey) > 100 {
			rc.byKey = map[string]*matcher{}
		}
		m.env = rc.env
		rc.byKey[key] = m
	}
	rc.last, rc.pat, rc.flags = m, string(pat), string(flags)
	return m, nil
}
