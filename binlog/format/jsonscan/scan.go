// Package jsonscan walks JSON text in place: strictly (RFC 8259, valid UTF-8),
// without allocating, in one pass. The caller opens the containers it wants to
// look into and takes all else as spans of the source, whole.
//
// Bounds: nesting of at most DepthMax; nothing is copied and nothing grows with
// the input. A Scanner belongs to one goroutine.
package jsonscan

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// DepthMax bounds the nesting of arrays and objects, as the type jsonb does.
const DepthMax = 6400

// Kind is what a value is.
type Kind uint8

// The kinds. None is no value: an error, or the absence of a member.
const (
	None Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// String is the kind in words, for messages.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Value is a span of the source. Of a string it is what lies between the
// quotes, still escaped when Escaped; of all else the whole text.
type Value struct {
	From, To uint32
	Kind     Kind
	Escaped  bool
}

// Error says what is wrong with a text, and where.
type Error struct {
	Offset int
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.Reason) }

// Scanner is a place in a text. Reset gives it one. After a failure every call
// reports the end of what it reads, and Err says why.
type Scanner struct {
	src   []byte
	pos   int
	depth int
	err   *Error
	stack [DepthMax/64 + 1]uint64 // skip: bit d is set when level d is an object
}

// Reset begins at the start of src, which stays unchanged while it is read.
func (s *Scanner) Reset(src []byte) { s.ResetAt(src, 0) }

// ResetAt begins at an offset of src; what lies before it is known to be valid UTF-8.
func (s *Scanner) ResetAt(src []byte, offset int) {
	s.src, s.pos, s.depth, s.err = src, offset, 0, nil
	switch {
	case len(src) > math.MaxInt32:
		s.fail(0, "the text is too long")
	case !ascii(src[offset:]) && !utf8.Valid(src[offset:]):
		i := offset
		for i < len(src) {
			r, n := utf8.DecodeRune(src[i:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			i += n
		}
		s.fail(i, fmt.Sprintf("byte 0x%02x is not valid UTF-8", src[i]))
	}
}

// ascii says whether all bytes are ASCII, which most texts are.
func ascii(b []byte) bool {
	for len(b) >= 32 {
		if (binary.LittleEndian.Uint64(b)|binary.LittleEndian.Uint64(b[8:])|binary.LittleEndian.Uint64(b[16:])|binary.LittleEndian.Uint64(b[24:]))&highs != 0 {
			return false
		}
		b = b[32:]
	}
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&highs != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Sub begins at the start of a span of a text that was Reset before: valid UTF-8.
func (s *Scanner) Sub(src []byte) { s.src, s.pos, s.depth, s.err = src, 0, 0, nil }

// Seek goes to a byte of the text that was read before: the start of a value, to
// read it again (Start), or an Offset, to go on from there. Calls come in such pairs.
func (s *Scanner) Seek(offset int) { s.pos = offset }

// Start is where the value begins in the text; of a string, its opening quote.
func (v Value) Start() int {
	if v.Kind == String {
		return int(v.From) - 1
	}
	return int(v.From)
}

// Source is the text.
func (s *Scanner) Source() []byte { return s.src }

// Bytes is the text of a value.
func (s *Scanner) Bytes(v Value) []byte { return s.src[v.From:v.To:v.To] }

// Offset is the place of the next byte to read.
func (s *Scanner) Offset() int { return s.pos }

// Err is the failure, nil when there was none.
func (s *Scanner) Err() error {
	if s.err == nil {
		return nil
	}
	return s.err
}

func (s *Scanner) fail(at int, reason string) {
	if s.err == nil {
		s.err = &Error{at, reason}
	}
}

// unexpected fails at the byte at i, which is not what was wanted.
func (s *Scanner) unexpected(i int, want string) {
	if i >= len(s.src) {
		s.fail(len(s.src), "the text ends where "+want+" is expected")
		return
	}
	r, _ := utf8.DecodeRune(s.src[i:])
	s.fail(i, fmt.Sprintf("%q where %s is expected", r, want))
}

// space is the place of the first byte from i on that is no white space.
func space(src []byte, i int) int {
	for i < len(src) && src[i] <= ' ' {
		if c := src[i]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			break
		}
		i++
	}
	return i
}

// More says whether anything but white space is left.
func (s *Scanner) More() bool {
	s.pos = space(s.src, s.pos)
	return s.err == nil && s.pos < len(s.src)
}

// End says whether nothing but white space is left, and fails otherwise.
func (s *Scanner) End() bool {
	if s.More() {
		s.unexpected(s.pos, "the end of the text")
	}
	return s.err == nil
}

// Peek is the kind of the next value by its first byte, without reading it.
func (s *Scanner) Peek() Kind {
	s.pos = space(s.src, s.pos)
	if s.err != nil || s.pos >= len(s.src) {
		return None
	}
	switch s.src[s.pos] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 'n':
		return Null
	case 't':
		return True
	case 'f':
		return False
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return Number
	}
	return None
}

// Open reads the bracket that Peek saw: Member or Element reads what follows.
func (s *Scanner) Open() bool {
	if s.err != nil {
		return false
	}
	if s.depth++; s.depth > DepthMax {
		s.tooDeep(s.pos)
		return false
	}
	s.pos++
	return true
}

func (s *Scanner) tooDeep(at int) {
	s.fail(at, fmt.Sprintf("nesting of more than %d levels", DepthMax))
}

// Member reads the key of the next member of an open object, up to its value;
// first says that none was read yet. It is false at the end of the object, whose
// bracket it reads, and on failure.
func (s *Scanner) Member(first bool) (key Value, ok bool) {
	if s.err != nil {
		return key, false
	}
	src := s.src
	i := space(src, s.pos)
	if i < len(src) && src[i] == '}' {
		s.pos = i + 1
		s.depth--
		return key, false
	}
	if !first {
		if i >= len(src) || src[i] != ',' {
			s.unexpected(i, `"," or "}"`)
			return key, false
		}
		i = space(src, i+1)
	}
	if i >= len(src) || src[i] != '"' {
		s.unexpected(i, "a key in quotes")
		return key, false
	}
	end, escaped := s.str(i + 1)
	if end < 0 {
		return key, false
	}
	key = Value{uint32(i + 1), uint32(end), String, escaped}
	i = end + 1
	if i >= len(src) || src[i] != ':' {
		if i = space(src, i); i >= len(src) || src[i] != ':' {
			s.unexpected(i, `":"`)
			return key, false
		}
	}
	s.pos = i + 1
	return key, true
}

// Guess is Member for a key that is expected: quoted is its text in quotes with the
// colon behind, and nothing in it is escaped. It reads the key, if that is what stands
// there without white space; else nothing.
func (s *Scanner) Guess(first bool, quoted string) bool {
	src, i := s.src, s.pos
	if !first {
		if i >= len(src) || src[i] != ',' {
			return false
		}
		i++
	}
	if s.err != nil || len(src)-i < len(quoted) || string(src[i:i+len(quoted)]) != quoted {
		return false
	}
	s.pos = i + len(quoted)
	return true
}

// Element goes to the next element of an open array; see Member.
func (s *Scanner) Element(first bool) bool {
	if s.err != nil {
		return false
	}
	i := space(s.src, s.pos)
	if i < len(s.src) && s.src[i] == ']' {
		s.pos = i + 1
		s.depth--
		return false
	}
	if !first {
		if i >= len(s.src) || s.src[i] != ',' {
			s.unexpected(i, `"," or "]"`)
			return false
		}
		i++
	}
	s.pos = i
	return true
}

// Value reads a value; a container whole. Its kind is None on failure.
func (s *Scanner) Value() Value {
	if s.err != nil {
		return Value{}
	}
	src := s.src
	i := s.pos
	if i >= len(src) || src[i] <= ' ' {
		i = space(src, i)
	}
	if i >= len(src) {
		s.unexpected(i, "a value")
		return Value{}
	}
	switch src[i] {
	case '"':
		end, escaped := s.str(i + 1)
		if end < 0 {
			return Value{}
		}
		s.pos = end + 1
		return Value{uint32(i + 1), uint32(end), String, escaped}
	case '{', '[':
		kind := Array
		if src[i] == '{' {
			kind = Object
		}
		end := s.skip(i)
		if end < 0 {
			return Value{}
		}
		s.pos = end
		return Value{uint32(i), uint32(end), kind, false}
	}
	kind, end := s.scalar(i)
	if end < 0 {
		return Value{}
	}
	s.pos = end
	return Value{uint32(i), uint32(end), kind, false}
}

// scalar reads a number or word at i and is where it ends, -1 on failure.
func (s *Scanner) scalar(i int) (Kind, int) {
	src := s.src
	switch c := src[i]; c {
	case 'n':
		if i+4 <= len(src) && string(src[i:i+4]) == "null" {
			return Null, i + 4
		}
	case 't':
		if i+4 <= len(src) && string(src[i:i+4]) == "true" {
			return True, i + 4
		}
	case 'f':
		if i+5 <= len(src) && string(src[i:i+5]) == "false" {
			return False, i + 5
		}
	default:
		if c == '-' || c-'0' < 10 {
			return Number, s.number(i)
		}
	}
	s.unexpected(i, "a value")
	return None, -1
}

// number reads a number at i and is where it ends, -1 on failure.
func (s *Scanner) number(i int) int {
	src := s.src
	if src[i] == '-' {
		i++
	}
	switch {
	case i < len(src) && src[i] == '0':
		i++
		if i < len(src) && src[i]-'0' < 10 {
			s.fail(i, "a number may not begin with 0")
			return -1
		}
	default:
		if i = s.digits(i); i < 0 {
			return -1
		}
	}
	if i < len(src) && src[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return -1
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		if i = s.digits(i); i < 0 {
			return -1
		}
	}
	return i
}

// digits passes over at least one digit.
func (s *Scanner) digits(i int) int {
	src := s.src
	if i >= len(src) || src[i]-'0' > 9 {
		s.unexpected(i, "a digit")
		return -1
	}
	i++
	for i+8 <= len(src) {
		// In each byte the high bit is set unless it is a digit.
		w := binary.LittleEndian.Uint64(src[i:]) ^ ones*'0'
		if m := (w + ones*(0x80-10) | w) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(src) && src[i]-'0' < 10 {
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// str finds the closing quote of a string whose first byte is at i, eight bytes
// at a time; -1 on failure. In each term the lowest flagged byte is right: a
// borrow only spoils bytes above one that is flagged.
func (s *Scanner) str(i int) (end int, escaped bool) {
	src := s.src
	for {
		for i+8 <= len(src) {
			w := binary.LittleEndian.Uint64(src[i:])
			q, b := w^ones*'"', w^ones*'\\'
			m := ((q-ones)&^q | (b-ones)&^b | (w-ones*' ')&^w) & highs
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				goto found
			}
			i += 8
		}
		for i < len(src) && src[i] != '"' && src[i] != '\\' && src[i] >= ' ' {
			i++
		}
		if i >= len(src) {
			s.fail(len(src), "the text ends inside a string")
			return -1, false
		}
	found:
		switch src[i] {
		case '"':
			return i, escaped
		case '\\':
			escaped = true
			if i = s.escape(i + 1); i < 0 {
				return -1, false
			}
		default:
			s.fail(i, fmt.Sprintf("byte 0x%02x must be escaped in a string", src[i]))
			return -1, false
		}
	}
}

// escape passes over what follows a backslash, at i.
func (s *Scanner) escape(i int) int {
	src := s.src
	if i >= len(src) {
		s.fail(len(src), "the text ends inside a string")
		return -1
	}
	switch src[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for k := i + 1; k < i+5; k++ {
			if k >= len(src) {
				s.fail(len(src), "the text ends inside a string")
				return -1
			}
			if hex(src[k]) < 0 {
				s.fail(k, `\u must be followed by four hexadecimal digits`)
				return -1
			}
		}
		return i + 5
	}
	r, _ := utf8.DecodeRune(src[i:])
	s.fail(i, fmt.Sprintf("%q may not follow a backslash", r))
	return -1
}

func hex(c byte) int {
	switch {
	case c-'0' < 10:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// skip passes over the container that begins at i and is where it ends, -1 on
// failure. It needs no recursion: one bit a level says what is open.
func (s *Scanner) skip(i int) int {
	src := s.src
	base := s.depth
	depth := base
	object := false
open:
	if depth++; depth > DepthMax {
		s.tooDeep(i)
		return -1
	}
	object = src[i] == '{'
	if object {
		s.stack[depth>>6] |= 1 << (depth & 63)
	} else {
		s.stack[depth>>6] &^= 1 << (depth & 63)
	}
	i = space(src, i+1)
	if i < len(src) && src[i]|0x20 == '}' && (src[i] == '}') == object {
		goto close
	}
	if object {
		goto key
	}
value:
	i = space(src, i)
	if i >= len(src) {
		s.unexpected(i, "a value")
		return -1
	}
	switch src[i] {
	case '"':
		if i, _ = s.str(i + 1); i < 0 {
			return -1
		}
		i++
	case '{', '[':
		goto open
	default:
		if _, i = s.scalar(i); i < 0 {
			return -1
		}
	}
next:
	i = space(src, i)
	if i >= len(src) || src[i] != ',' {
		if i < len(src) && src[i]|0x20 == '}' && (src[i] == '}') == object {
			goto close
		}
		if object {
			s.unexpected(i, `"," or "}"`)
		} else {
			s.unexpected(i, `"," or "]"`)
		}
		return -1
	}
	i = space(src, i+1)
	if !object {
		goto value
	}
key:
	if i >= len(src) || src[i] != '"' {
		s.unexpected(i, "a key in quotes")
		return -1
	}
	if i, _ = s.str(i + 1); i < 0 {
		return -1
	}
	if i = space(src, i+1); i >= len(src) || src[i] != ':' {
		s.unexpected(i, `":"`)
		return -1
	}
	i++
	goto value
close:
	i++
	if depth--; depth == base {
		return i
	}
	object = s.stack[depth>>6]>>(depth&63)&1 == 1
	goto next
}
