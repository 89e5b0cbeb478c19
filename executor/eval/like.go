package eval

import (
	"bytes"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	like := func(not, fold, raw bool) impl {
		return impl{cost: 20, loop: likeRows(not, fold, raw), prepare: likePrepared(not, fold, raw)}
	}
	for _, t := range []string{"text", "name", "bpchar"} {
		reg(t+"like", like(false, false, false))
		reg(t+"nlike", like(true, false, false))
		reg(t+"iclike", like(false, true, false))
		reg(t+"icnlike", like(true, true, false))
	}
	reg("bytealike", like(false, false, true))
	reg("byteanlike", like(true, false, true))
	reg("like(text,text)", like(false, false, false))
	reg("like(name,text)", like(false, false, false))
	reg("like(bytea,bytea)", like(false, false, true))
	reg("notlike(text,text)", like(true, false, false))
	reg("notlike(name,text)", like(true, false, false))
	reg("notlike(bytea,bytea)", like(true, false, true))
	reg("like_escape(text,text)", impl{loop: each(likeEscape)})
	reg("like_escape(bytea,bytea)", impl{loop: each(likeEscape)})
}

// pattern is a LIKE pattern taken apart: pieces between %, each of literal bytes
// and _ .
type pattern struct {
	pieces     []piece
	head, tail bool // the pattern starts or ends with %
	fold       bool
	raw        bool // _ is a byte, not a character
	// trailing: the pattern ends with an escape character, which raises when
	// matching gets there. It was replaced by _%, so a match is that case.
	trailing bool
}

// piece is a run of pattern without %. any[i] marks lit[i] as _; any is nil when
// there is none.
type piece struct {
	lit []byte
	any []bool
}

func escapeAtEnd() error {
	return sqlstate.Errorf(sqlstate.InvalidEscapeSequence, "LIKE pattern must not end with escape character")
}

// compile parses a pattern into p, using p's memory. fold expects text lowered by
// the matcher.
func (p *pattern) compile(pat []byte, fold, raw bool) {
	p.pieces, p.head, p.tail, p.fold, p.raw, p.trailing = p.pieces[:0], false, false, fold, raw, false
	if n := len(pat) - len(bytes.TrimRight(pat, "\\")); n&1 == 1 {
		p.trailing = true
		pat = append(append([]byte(nil), pat[:len(pat)-1]...), "_%"...)
	}
	if fold {
		pat = appendLower(nil, pat)
	}
	cur := piece{}
	open := false // cur has something
	flush := func() {
		if open {
			p.pieces = append(p.pieces, cur)
			cur, open = piece{}, false
		}
	}
	for i := 0; i < len(pat); i++ {
		b, wild := pat[i], false
		switch b {
		case '%':
			flush()
			if len(p.pieces) == 0 {
				p.head = true
			}
			p.tail = true
			continue
		case '_':
			wild = true
		case '\\':
			i++
			b = pat[i]
		}
		p.tail = false
		open = true
		if wild && cur.any == nil {
			cur.any = make([]bool, len(cur.lit), len(pat))
		}
		cur.lit = append(cur.lit, b)
		if cur.any != nil {
			cur.any = append(cur.any, wild)
		}
	}
	flush()
}

// prefix says whether s starts with the piece, and how many bytes it takes.
func (q *piece) prefix(s []byte, raw bool) (int, bool) {
	if q.any == nil {
		return len(q.lit), bytes.HasPrefix(s, q.lit)
	}
	j := 0
	for i, b := range q.lit {
		if j >= len(s) {
			return 0, false
		}
		if q.any[i] {
			j += charLen(s[j:], raw)
			continue
		}
		if s[j] != b {
			return 0, false
		}
		j++
	}
	return j, true
}

func charLen(s []byte, raw bool) int {
	if raw || s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRune(s)
	return n
}

// find is the first place in s where the piece matches: its start and end.
func (q *piece) find(s []byte, raw bool) (start, end int) {
	if q.any == nil {
		i := bytes.Index(s, q.lit)
		return i, i + len(q.lit)
	}
	for i := 0; i <= len(s); {
		if n, ok := q.prefix(s[i:], raw); ok {
			return i, i + n
		}
		if i == len(s) {
			break
		}
		i += charLen(s[i:], raw)
	}
	return -1, 0
}

// suffix says whether s ends with the piece.
func (q *piece) suffix(s []byte, raw bool) bool {
	if q.any == nil {
		return bytes.HasSuffix(s, q.lit)
	}
	// The piece has a fixed number of characters: step back that many.
	n := 0
	for i, b := range q.lit {
		if q.any[i] || raw || utf8.RuneStart(b) {
			n++
		}
	}
	i := len(s)
	for ; n > 0; n-- {
		if i == 0 {
			return false
		}
		if raw {
			i--
			continue
		}
		_, k := utf8.DecodeLastRune(s[:i])
		i -= k
	}
	m, ok := q.prefix(s[i:], raw)
	return ok && m == len(s)-i
}

// match says whether s matches. Between two % the leftmost match of a piece is
// always as good as any other.
func (p *pattern) match(s []byte) bool {
	k := len(p.pieces)
	if k == 0 {
		return p.head || p.tail || len(s) == 0
	}
	first, last := 0, k
	if !p.head {
		n, ok := p.pieces[0].prefix(s, p.raw)
		if !ok {
			return false
		}
		if k == 1 && !p.tail {
			return n == len(s)
		}
		s = s[n:]
		first = 1
	}
	if !p.tail {
		last--
	}
	for i := first; i < last; i++ {
		at, end := p.pieces[i].find(s, p.raw)
		if at < 0 {
			return false
		}
		s = s[end:]
	}
	if p.tail {
		return true
	}
	return p.pieces[k-1].suffix(s, p.raw)
}

// likePrepared makes the loop for a constant pattern.
func likePrepared(not, fold, raw bool) func(*prepareContext) (Loop, error) {
	return func(pc *prepareContext) (Loop, error) {
		if len(pc.known) < 2 || !pc.known[1] || !pc.args[1].Valid {
			return nil, nil
		}
		p := &pattern{}
		p.compile([]byte(pc.args[1].S), fold, raw)
		if p.trailing {
			return nil, nil
		}
		if fold {
			var buf []byte
			return likeLoop(not, func(v *vec.Vec, i int) bool {
				buf = appendLower(buf[:0], v.Bytes(i))
				return p.match(buf)
			}), nil
		}
		if len(p.pieces) == 1 && p.pieces[0].any == nil {
			lit := p.pieces[0].lit
			switch {
			case p.head && p.tail:
				return likeLoop(not, func(v *vec.Vec, i int) bool {
					w := &v.Views[i]
					return int(w.Len) >= len(lit) && bytes.Contains(viewBytes(v, w), lit)
				}), nil
			case p.tail:
				want := vec.MakeView(lit, 0, 0)
				mask := uint32(1)<<(8*min(uint(len(lit)), 4)) - 1
				if len(lit) >= 4 {
					mask = ^uint32(0)
				}
				return likeLoop(not, func(v *vec.Vec, i int) bool {
					w := &v.Views[i]
					if w.Prefix&mask != want.Prefix || int(w.Len) < len(lit) {
						return false
					}
					return len(lit) <= 4 || bytes.HasPrefix(viewBytes(v, w), lit)
				}), nil
			}
		}
		return likeLoop(not, func(v *vec.Vec, i int) bool { return p.match(viewBytes(v, &v.Views[i])) }), nil
	}
}

func likeLoop(not bool, match func(v *vec.Vec, i int) bool) Loop {
	return func(c *Call) error {
		v, out, m := c.Args[0], c.Out.Bits, c.mask[0]
		if c.Sel == nil {
			for i := 0; i < c.N; i++ {
				if c.valid(i) && match(v, i&m) != not {
					vec.SetBit(out, i)
				}
			}
			return nil
		}
		for _, j := range c.Sel {
			if i := int(j); c.valid(i) && match(v, i&m) != not {
				vec.SetBit(out, i)
			}
		}
		return nil
	}
}

// likeRows is LIKE with a pattern per row.
func likeRows(not, fold, raw bool) Loop {
	return func(c *Call) error {
		var p pattern
		var last, buf []byte
		first := true
		return each(func(c *Call, i int) error {
			s, pat := c.Bytes(0, i), c.Bytes(1, i)
			if first || !bytes.Equal(last, pat) {
				p.compile(pat, fold, raw)
				last, first = append(last[:0], pat...), false
			}
			if fold {
				buf = appendLower(buf[:0], s)
				s = buf
			}
			m := p.match(s)
			if p.trailing {
				if m {
					return escapeAtEnd()
				}
			}
			if m != not {
				vec.SetBit(c.Out.Bits, i)
			}
			return nil
		})(c)
	}
}

// likeEscape rewrites a pattern with another escape character to one with \.
func likeEscape(c *Call, i int) error {
	pat, esc := c.Bytes(0, i), c.Bytes(1, i)
	b := c.Begin()
	switch {
	case len(esc) == 0:
		for _, x := range pat {
			if x == '\\' {
				b = append(b, '\\')
			}
			b = append(b, x)
		}
	case charLen(esc, false) != len(esc):
		return sqlstate.Errorf(sqlstate.InvalidEscapeSequence, "invalid escape string").WithHint("Escape string must be empty or one character.")
	case len(esc) == 1 && esc[0] == '\\':
		b = append(b, pat...)
	default:
		after := false
		for k := 0; k < len(pat); {
			n := charLen(pat[k:], false)
			ch := pat[k : k+n]
			switch {
			case bytes.Equal(ch, esc) && !after:
				b = append(b, '\\')
				after = true
			case len(ch) == 1 && ch[0] == '\\':
				b = append(b, '\\')
				if !after {
					b = append(b, '\\')
				}
				after = false
			default:
				b = append(b, ch...)
				after = false
			}
			k += n
		}
	}
	c.End(i, b)
	return nil
}
