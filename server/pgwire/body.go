package pgwire

import (
	"bytes"
	"encoding/binary"
)

// body takes the fields of a message body one after another. Anything that does
// not fit sets bad; later fields are then zero.
type body struct {
	b   []byte
	bad bool
}

func (m *body) take(n int) []byte {
	if n < 0 || n > len(m.b) {
		m.bad, m.b = true, nil
		return nil
	}
	p := m.b[:n:n]
	m.b = m.b[n:]
	return p
}

func (m *body) byte() byte {
	if p := m.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (m *body) int16() int16 {
	if p := m.take(2); p != nil {
		return int16(binary.BigEndian.Uint16(p))
	}
	return 0
}

func (m *body) int32() int32 {
	if p := m.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

// cstring takes a zero-terminated string, lent, without its end.
func (m *body) cstring() []byte {
	i := bytes.IndexByte(m.b, 0)
	if i < 0 {
		m.bad, m.b = true, nil
		return nil
	}
	p := m.b[:i:i]
	m.b = m.b[i+1:]
	return p
}

// done says whether all fields fitted and nothing is left over.
func (m *body) done() bool { return !m.bad && len(m.b) == 0 }

// internMax bounds the entries of a connection's intern tables.
const internMax = 1024

// interned keeps one copy of the names and format lists a connection uses again
// and again, so that Bind and Execute need not allocate them.
type interned struct {
	names   map[string]string
	formats map[string][]int16
}

var (
	formatText   = []int16{0}
	formatBinary = []int16{1}
)

// name is p as a string that stays valid.
func (t *interned) name(p []byte) string {
	if len(p) == 0 {
		return ""
	}
	if s, ok := t.names[string(p)]; ok {
		return s
	}
	if t.names == nil || len(t.names) >= internMax {
		t.names = map[string]string{}
	}
	s := string(p)
	t.names[s] = s
	return s
}

// formatList takes a count and as many format codes. The list never changes.
func (t *interned) formatList(m *body) []int16 {
	n := int(uint16(m.int16()))
	p := m.take(2 * n)
	switch {
	case n == 0 || p == nil:
		return nil
	case n == 1 && p[0] == 0 && p[1] == 0:
		return formatText
	case n == 1 && p[0] == 0 && p[1] == 1:
		return formatBinary
	}
	if f, ok := t.formats[string(p)]; ok {
		return f
	}
	if t.formats == nil || len(t.formats) >= internMax {
		t.formats = map[string][]int16{}
	}
	f := make([]int16, n)
	for i := range f {
		f[i] = int16(binary.BigEndian.Uint16(p[2*i:]))
	}
	t.formats[string(p)] = f
	return f
}

// bind is a Bind message, lent until the next frame.
type bind struct {
	portal, stmt  string
	paramFormats  []int16
	params        [][]byte
	resultFormats []int16
}

// parseBind takes a Bind apart into b, whose params slice is used again.
func (t *interned) parseBind(p []byte, b *bind) bool {
	m := body{b: p}
	b.portal = t.name(m.cstring())
	b.stmt = t.name(m.cstring())
	b.paramFormats = t.formatList(&m)
	n := int(uint16(m.int16()))
	b.params = b.params[:0]
	if n > cap(b.params) && 4*n <= len(m.b) {
		b.params = make([][]byte, 0, n)
	}
	for i := 0; i < n && !m.bad; i++ {
		size := m.int32()
		switch {
		case size == -1:
			b.params = append(b.params, nil)
		case size < 0:
			return false
		default:
			b.params = append(b.params, m.take(int(size)))
		}
	}
	b.resultFormats = t.formatList(&m)
	return m.done()
}
