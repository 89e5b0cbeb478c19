package eval

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Values of type json are kept as text, checked when they came in; the functions
// here walk it without building a tree.

func jsonSpace(s []byte, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// jsonEnd is the place behind the value that starts at i.
func jsonEnd(s []byte, i int) int {
	if i >= len(s) {
		return i
	}
	switch s[i] {
	case '"':
		for i++; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' {
				i++
			}
		}
		return min(i+1, len(s))
	case '{', '[':
		depth := 0
		for i < len(s) {
			switch s[i] {
			case '"':
				i = jsonEnd(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i < len(s) && s[i] != ',' && s[i] != '}' && s[i] != ']' && s[i] != ' ' && s[i] != '\n' && s[i] != '\t' && s[i] != '\r' && s[i] != ':' {
		i++
	}
	return i
}

// jsonValue is s without the space around it.
func jsonValue(s []byte) []byte {
	i := jsonSpace(s, 0)
	return s[i:jsonEnd(s, i)]
}

// jsonElems calls f for the elements of an array until f returns false.
func jsonElems(s []byte, f func(v []byte) bool) {
	i := jsonSpace(s, jsonSpace(s, 0)+1)
	for i < len(s) && s[i] != ']' {
		e := jsonEnd(s, i)
		if !f(s[i:e]) {
			return
		}
		if i = jsonSpace(s, e); i < len(s) && s[i] == ',' {
			i = jsonSpace(s, i+1)
		}
	}
}

// jsonFields calls f for the members of an object until f returns false; the key
// is as written, with its quotes.
func jsonFields(s []byte, f func(k, v []byte) bool) {
	i := jsonSpace(s, jsonSpace(s, 0)+1)
	for i < len(s) && s[i] != '}' {
		ke := jsonEnd(s, i)
		k := s[i:ke]
		i = jsonSpace(s, jsonSpace(s, ke)+1)
		e := jsonEnd(s, i)
		if !f(k, s[i:e]) {
			return
		}
		if i = jsonSpace(s, e); i < len(s) && s[i] == ',' {
			i = jsonSpace(s, i+1)
		}
	}
}

// jsonField is the member with a key, the last when there are several; nil when
// there is none or s is no object.
func jsonField(s, key []byte) (found []byte) {
	if i := jsonSpace(s, 0); i >= len(s) || s[i] != '{' {
		return nil
	}
	jsonMembers(s, key, func(v []byte) { found = v })
	return found
}

// jsonMembers calls f for the members of an object that have a key.
func jsonMembers(s, key []byte, f func(v []byte)) {
	var buf []byte
	jsonFields(s, func(k, v []byte) bool {
		inner := k[1 : len(k)-1]
		if hasByte(inner, '\\') {
			buf = appendUnquoted(buf[:0], k)
			inner = buf
		}
		if string(inner) == string(key) {
			f(v)
		}
		return true
	})
}

func hasByte(s []byte, b byte) bool {
	for _, x := range s {
		if x == b {
			return true
		}
	}
	return false
}

// jsonElem is element n of an array, from the end when n is negative.
func jsonElem(s []byte, n int) (found []byte) {
	if i := jsonSpace(s, 0); i >= len(s) || s[i] != '[' {
		return nil
	}
	if n < 0 {
		n += jsonLen(s)
		if n < 0 {
			return nil
		}
	}
	jsonElems(s, func(v []byte) bool {
		if n == 0 {
			found = v
			return false
		}
		n--
		return true
	})
	return found
}

func jsonLen(s []byte) (n int) {
	jsonElems(s, func([]byte) bool { n++; return true })
	return n
}

// jsonPath follows keys and indexes; nil when there is nothing. Of several members with
// one key the last counts in which the rest of the path leads somewhere.
func jsonPath(s []byte, path [][]byte) []byte {
	if at := jsonSpace(s, 0); len(path) == 0 && at > 0 && at < len(s) && s[at] != '{' && s[at] != '[' {
		return s[:jsonEnd(s, at)] // a scalar keeps the blanks before it
	}
	return jsonWalk(jsonValue(s), path)
}

func jsonWalk(s []byte, path [][]byte) (found []byte) {
	switch {
	case len(path) == 0 || len(s) == 0:
		return s
	case s[0] == '{':
		jsonMembers(s, path[0], func(v []byte) {
			if r := jsonWalk(v, path[1:]); r != nil {
				found = r
			}
		})
	case s[0] == '[':
		if n, err := strconv.ParseInt(string(path[0]), 10, 32); err == nil {
			if v := jsonElem(s, int(n)); v != nil {
				return jsonWalk(v, path[1:])
			}
		}
	}
	return found
}

// appendJSONText appends a value as text: a string without quotes and escapes. ok
// is false for null.
func appendJSONText(dst, v []byte) (b []byte, ok bool) {
	at := jsonSpace(v, 0)
	if at == len(v) || v[at] == 'n' {
		return dst, false
	}
	if v[at] == '"' {
		return appendUnquoted(dst, v[at:]), true
	}
	return append(dst, v...), true
}

// appendUnquoted appends what a JSON string says.
func appendUnquoted(dst, s []byte) []byte {
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && i+6 < len(s)+0 && s[i+1] == '\\' && s[i+2] == 'u' {
				r = utf16.DecodeRune(r, hex4(s[i+3:]))
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func hex4(s []byte) (r rune) {
	for _, b := range s[:min(4, len(s))] {
		r <<= 4
		switch {
		case isDigit(b):
			r |= rune(b - '0')
		default:
			r |= rune(b|0x20-'a') + 10
		}
	}
	return r
}

// jsonType is json_typeof.
func jsonType(s []byte) string {
	switch s[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
