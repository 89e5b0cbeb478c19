package eval

import (
	"io"
	"unicode/utf8"
)

// longText is the length from which a single search reads its subject through a
// textReader, so that it can be given up when the query has ended.
const longText = 256 << 10

// textReader reads the runes of a long subject, and ends early when the query does.
type textReader struct {
	s     []byte
	at    int
	n     int
	env   *Env
	ended bool
}

// ReadRune implements io.RuneReader.
func (r *textReader) ReadRune() (rune, int, error) {
	if r.at >= len(r.s) || r.ended {
		return 0, 0, io.EOF
	}
	if r.n++; r.n&(1<<12-1) == 0 && r.env.ended() {
		r.ended = true
		return 0, 0, io.EOF
	}
	if b := r.s[r.at]; b < utf8.RuneSelf {
		r.at++
		return rune(b), 1, nil
	}
	c, n := utf8.DecodeRune(r.s[r.at:])
	r.at += n
	return c, n, nil
}

// byReader says whether a search in s goes through a textReader: not for patterns that
// begin with plain text, which the package looks for much faster in memory.
func (m *matcher) byReader(s []byte) bool {
	if len(s) < longText || m.env == nil || m.env.Ended == nil {
		return false
	}
	prefix, _ := m.re.LiteralPrefix()
	return prefix == ""
}

// search is m.re.Match, and firstIn m.re.FindSubmatchIndex, for subjects of any length.
func (m *matcher) search(s []byte) (bool, error) {
	if !m.byReader(s) {
		return m.re.Match(s), nil
	}
	r := &textReader{s: s, env: m.env}
	ok := m.re.MatchReader(r)
	if r.ended {
		return false, errEnded
	}
	return ok, nil
}

func (m *matcher) firstIn(s []byte) ([]int, error) {
	if !m.byReader(s) {
		return m.re.FindSubmatchIndex(s), nil
	}
	r := &textReader{s: s, env: m.env}
	loc := m.re.FindReaderSubmatchIndex(r)
	if r.ended {
		return nil, errEnded
	}
	return loc, nil
}
