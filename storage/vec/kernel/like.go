package kernel

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/storage/vec"
)

// Like is a compiled LIKE or ILIKE pattern. It is immutable and safe for
// concurrent use.
type Like struct {
	form likeForm
	lit  []byte // exact, prefix, suffix, contains
	fold bool
	// The general form: parts between the %, anchored at the start or the end
	// unless the pattern has a % there.
	parts      []likePart
	head, tail bool // anchored
	probe      []byte
}

type likeForm uint8

const (
	likeExact likeForm = iota
	likePrefix
	likeSuffix
	likeContains
	likeAny
	likeGeneral
)

// likePart is a run without %: bytes to match, and where one character is free.
type likePart struct {
	lit   []byte
	runes []likeRune // nil when there is no _ in it
}

// likeRune is a literal, then one free character when any is set.
type likeRune struct {
	lit []byte
	any bool
}

// CompileLike compiles a pattern. escape is the escape character, 0 for none;
// fold makes it ILIKE. ok is false when the pattern ends with the escape.
func CompileLike(pattern string, escape rune, fold bool) (l *Like, ok bool) {
	l = &Like{fold: fold}
	var part likePart
	var lit []byte
	percents := 0
	flush := func() {
		if part.runes != nil {
			if len(lit) > 0 {
				part.runes = append(part.runes, likeRune{lit: lit})
			}
		} else {
			part.lit = lit
		}
		if part.runes != nil || len(part.lit) > 0 {
			l.parts = append(l.parts, part)
		}
		part, lit = likePart{}, nil
	}
	l.head, l.tail = true, true
	for i := 0; i < len(pattern); {
		r, n := utf8.DecodeRuneInString(pattern[i:])
		s := pattern[i : i+n]
		i += n
		switch {
		case r == escape && escape != 0:
			if i == len(pattern) {
				return nil, false
			}
			_, n = utf8.DecodeRuneInString(pattern[i:])
			s = pattern[i : i+n]
			i += n
			lit = appendFolded(lit, s, fold)
		case r == '%':
			if i-n == 0 {
				l.head = false
			}
			if i == len(pattern) {
				l.tail = false
			}
			percents++
			flush()
		case r == '_':
			part.runes = append(part.runes, likeRune{lit: lit, any: true})
			lit = nil
		default:
			lit = appendFolded(lit, s, fold)
		}
	}
	// A pattern that begins with several % has its head free all the same.
	flush()
	plain := len(l.parts) <= 1
	for _, p := range l.parts {
		plain = plain && p.runes == nil
	}
	l.form = likeGeneral
	if plain {
		if len(l.parts) == 1 {
			l.lit = l.parts[0].lit
		}
		switch {
		case percents == 0:
			l.form = likeExact
		case len(l.parts) == 0:
			l.form = likeAny
		case l.head:
			l.form = likePrefix
		case l.tail:
			l.form = likeSuffix
		default:
			l.form = likeContains
		}
	} else if percents == 0 && len(l.parts) == 0 {
		l.form = likeExact
	}
	for _, p := range l.parts {
		if p.runes == nil && len(p.lit) > len(l.probe) {
			l.probe = p.lit
		}
		for _, r := range p.runes {
			if len(r.lit) > len(l.probe) {
				l.probe = r.lit
			}
		}
	}
	return l, true
}

// appendFolded appends s, in lower case for ILIKE.
func appendFolded(b []byte, s string, fold bool) []byte {
	if !fold {
		return append(b, s...)
	}
	for _, r := range s {
		if r == utf8.RuneError {
			return append(b, s...)
		}
		b = utf8.AppendRune(b, unicode.ToLower(r))
	}
	return b
}

// Fold appends b in lower case to dst, as ILIKE compares it.
func Fold(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		c := b[i]
		if c < utf8.RuneSelf {
			if c-'A' < 26 {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError {
			dst = append(dst, b[i:i+n]...)
		} else {
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
		i += n
	}
	return dst
}

// Prefix is what every match begins with, and whether the pattern is that and %;
// exact says that it is nothing else. For pruning; nothing for ILIKE.
func (l *Like) Prefix() (prefix []byte, exact bool) {
	switch {
	case l.fold:
	case l.form == likeExact:
		return l.lit, true
	case l.form == likePrefix:
		return l.lit, false
	case l.form == likeGeneral && l.head && len(l.parts) > 0:
		if p := l.parts[0]; p.runes != nil {
			return p.runes[0].lit, false
		}
		return l.parts[0].lit, false
	}
	return nil, false
}

// Match says whether b matches. For ILIKE b is folded (Fold).
func (l *Like) Match(b []byte) bool {
	switch l.form {
	case likeExact:
		return bytes.Equal(b, l.lit)
	case likePrefix:
		return bytes.HasPrefix(b, l.lit)
	case likeSuffix:
		return bytes.HasSuffix(b, l.lit)
	case likeContains:
		return Index(b, l.lit) >= 0
	case likeAny:
		return true
	}
	parts := l.parts
	if l.head && len(parts) > 0 {
		n := parts[0].at(b)
		if n < 0 {
			return false
		}
		b, parts = b[n:], parts[1:]
		if len(parts) == 0 {
			return !l.tail || len(b) == 0
		}
	}
	for len(parts) > 1 || len(parts) == 1 && !l.tail {
		k, n := parts[0].find(b)
		if k < 0 {
			return false
		}
		b, parts = b[k+n:], parts[1:]
	}
	if len(parts) == 1 {
		return parts[0].atEnd(b)
	}
	return true
}

// at matches the part at the start of b and returns its length there, or -1.
func (p *likePart) at(b []byte) int {
	if p.runes == nil {
		if bytes.HasPrefix(b, p.lit) {
			return len(p.lit)
		}
		return -1
	}
	n := len(b)
	for i := range p.runes {
		r := &p.runes[i]
		if !bytes.HasPrefix(b, r.lit) {
			return -1
		}
		b = b[len(r.lit):]
		if r.any {
			if len(b) == 0 {
				return -1
			}
			b = b[charLen(b):]
		}
	}
	return n - len(b)
}

// charLen is the length of the character at the start of b: its first byte tells.
func charLen(b []byte) int {
	n := 1
	switch c := b[0]; {
	case c >= 0xf0:
		n = 4
	case c >= 0xe0:
		n = 3
	case c >= 0xc0:
		n = 2
	}
	return min(n, len(b))
}

// find is the first place of the part in b and its length there.
func (p *likePart) find(b []byte) (at, n int) {
	if p.runes == nil {
		return Index(b, p.lit), len(p.lit)
	}
	lead := p.runes[0].lit
	for at := 0; at <= len(b); {
		k := 0
		if len(lead) > 0 {
			if k = Index(b[at:], lead); k < 0 {
				return -1, 0
			}
		}
		at += k
		if n := p.at(b[at:]); n >= 0 {
			return at, n
		}
		if at == len(b) {
			break
		}
		at += charLen(b[at:])
	}
	return -1, 0
}

// atEnd says whether b ends with the part.
func (p *likePart) atEnd(b []byte) bool {
	if p.runes == nil {
		return bytes.HasSuffix(b, p.lit)
	}
	for at := 0; at <= len(b); {
		if n := p.at(b[at:]); n >= 0 && at+n == len(b) {
			return true
		}
		if at == len(b) {
			break
		}
		at += charLen(b[at:])
	}
	return false
}

// MatchViews sets bit i of out when string i of v matches. scratch is working
// memory for ILIKE; the grown one is returned for the next call.
func (l *Like) MatchViews(v []vec.View, bufs [][]byte, out []uint64, scratch []byte) []byte {
	n := len(v)
	switch {
	case l.form == likeAny:
		Ones(out, n)
	case l.fold:
		for w := range words(n) {
			var x uint64
			p := v[w<<6 : min(w<<6+64, n)]
			for j := range p {
				scratch = Fold(scratch[:0], viewBytes(&p[j], bufs))
				x |= b2u(l.Match(scratch)) << uint(j)
			}
			out[w] = x
		}
	case l.form == likeExact:
		eqViewConst(v, bufs, l.lit, out)
	case l.form == likePrefix:
		PrefixViews(v, bufs, l.lit, out)
	case l.form == likeContains:
		searchViews(v, bufs, l.lit, out, nil)
	case l.form == likeGeneral && len(l.probe) >= 2:
		searchViews(v, bufs, l.probe, out, l.Match)
	default:
		for w := range words(n) {
			var x uint64
			p := v[w<<6 : min(w<<6+64, n)]
			for j := range p {
				x |= b2u(l.Match(viewBytes(&p[j], bufs))) << uint(j)
			}
			out[w] = x
		}
	}
	return scratch
}
