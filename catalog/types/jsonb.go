package types

import (
	"bytes"
	"encoding/binary"
)

// The form of jsonb is a node: a tag byte and what the tag says.
//
//	0 null · 1 false · 2 true            nothing
//	3 number                              a numeric in its variable form
//	4 string                              UTF-8 bytes
//	5, 6 array (narrow, wide)             n, end[n], data: nodes
//	7, 8 object (narrow, wide)            n, keyEnd[n], valueEnd[n], data: keys, then nodes
//
// n and the ends are uint16 in narrow containers, uint32 in wide ones,
// little-endian; ends are offsets into data, so an entry starts where the one
// before ends (the first value where the last key ends). Keys are unique and
// ascend by length, then bytes: PostgreSQL's order, in which they also print.
// Each node is a complete value, so an element is taken out by slicing.

// JSONNode is a jsonb value in its form.
type JSONNode []byte

// JSONKind is what a JSONNode is, in jsonb's sort order.
type JSONKind uint8

// The kinds.
const (
	JSONNull JSONKind = iota
	JSONString
	JSONNumber
	JSONBool
	JSONArray
	JSONObject
)

const (
	jbNull = iota
	jbFalse
	jbTrue
	jbNumber
	jbString
	jbArray
	jbArrayWide
	jbObject
	jbObjectWide

	jbDataMax = 1<<28 - 1 // PostgreSQL's bound for a container
)

var jbKinds = [...]JSONKind{jbNull: JSONNull, jbFalse: JSONBool, jbTrue: JSONBool, jbNumber: JSONNumber, jbString: JSONString,

	jbArray: JSONArray, jbArrayWide: JSONArray, jbObject: JSONObject, jbObjectWide: JSONObject}

// Kind is what j is.
func (j JSONNode) Kind() JSONKind { return jbKinds[j[0]] }

// TypeName is jsonb_typeof.
func (j JSONNode) TypeName() string {
	return [...]string{"null", "string", "number", "boolean", "array", "object"}[j.Kind()]
}

// Bool is the value of a boolean.
func (j JSONNode) Bool() bool { return j[0] == jbTrue }

// Number is the numeric of a number, in the variable form.
func (j JSONNode) Number() []byte { return j[1:] }

// Str is the text of a string.
func (j JSONNode) Str() []byte { return j[1:] }

// IsContainer says whether j is an array or object.
func (j JSONNode) IsContainer() bool { return j[0] >= jbArray }

// Len is the number of elements or members of a container, 0 otherwise.
func (j JSONNode) Len() int {
	if j[0] < jbArray {
		return 0
	}
	return j.word(0)
}

// word is entry i of the header: the count, then the ends.
func (j JSONNode) word(i int) int {
	if j[0]&1 == 1 {
		return int(binary.LittleEndian.Uint16(j[1+2*i:]))
	}
	return int(binary.LittleEndian.Uint32(j[1+4*i:]))
}

// data is the part behind a header of so many words.
func (j JSONNode) data(words int) []byte {
	if j[0]&1 == 1 {
		return j[1+2*words:]
	}
	return j[1+4*words:]
}

// Elem is element i of an array.
func (j JSONNode) Elem(i int) JSONNode {
	from := 0
	if i > 0 {
		from = j.word(i)
	}
	to := j.word(i + 1)
	return JSONNode(j.data(1 + j.word(0))[from:to:to])
}

// Key is the key of member i of an object.
func (j JSONNode) Key(i int) []byte {
	from := 0
	if i > 0 {
		from = j.word(i)
	}
	to := j.word(i + 1)
	return j.data(1 + 2*j.word(0))[from:to:to]
}

// Value is the value of member i of an object.
func (j JSONNode) Value(i int) JSONNode {
	n := j.word(0)
	from, to := j.word(n+i), j.word(n+i+1)
	return JSONNode(j.data(1 + 2*n)[from:to:to])
}

func compareKeys(a, b []byte) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}

// Find is the index of a key in an object, -1 when it has none.
func (j JSONNode) Find(key []byte) int {
	if j.Kind() != JSONObject {
		return -1
	}
	lo, hi := 0, j.word(0)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		switch c := compareKeys(j.Key(m), key); {
		case c == 0:
			return m
		case c < 0:
			lo = m + 1
		default:
			hi = m
		}
	}
	return -1
}

// Field is the member of this key (the operator ->); nil when there is none.
func (j JSONNode) Field(key []byte) JSONNode {
	if i := j.Find(key); i >= 0 {
		return j.Value(i)
	}
	return nil
}

// At is the element of this index, counted from the end when negative (the
// operator ->); nil when there is none. To PostgreSQL a scalar is an array of one
// here.
func (j JSONNode) At(i int) JSONNode {
	switch j.Kind() {
	case JSONArray:
	case JSONObject:
		return nil
	default:
		if i == 0 || i == -1 {
			return j
		}
		return nil
	}
	n := j.word(0)
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil
	}
	return j.Elem(i)
}

// Path follows keys and indexes (the operator #>); nil when it leads nowhere.
func (j JSONNode) Path(path [][]byte) JSONNode {
	for _, p := range path {
		switch j.Kind() {
		case JSONObject:
			j = j.Field(p)
		case JSONArray:
			i, ok := jsonIndex(p)
			if !ok {
				return nil
			}
			j = j.At(i)
		default:
			return nil
		}
		if j == nil {
			return nil
		}
	}
	return j
}

// jsonIndex reads a path's text as an array index.
func jsonIndex(p []byte) (int, bool) {
	v, err := ParseInt4(p)
	return int(v), err == nil
}

// AppendTextValue appends j as the operator ->> gives it: strings bare, the
// rest as JSON. Null gives SQL NULL, which the caller decides by Kind.
func (j JSONNode) AppendTextValue(dst []byte) []byte {
	if j.Kind() == JSONString {
		return append(dst, j.Str()...)
	}
	return AppendJSONB(dst, j)
}
