package types

import "github.com/millrace/millrace/catalog/sqlstate"

// edit runs f on a pooled builder and appends the result to dst.
func edit(dst []byte, f func(b *JSONBuilder) error) ([]byte, error) {
	b := jsonBuilders.Get().(*JSONBuilder)
	defer b.release()
	b.Reset()
	if err := f(b); err != nil {
		return dst, err
	}
	j, err := b.Finish()
	return append(dst, j...), err
}

// members copies the members or elements of a container for which keep holds.
func (b *JSONBuilder) members(j JSONNode, keep func(i int) bool) {
	n := j.Len()
	object := j.Kind() == JSONObject
	for i := 0; i < n; i++ {
		if keep != nil && !keep(i) {
			continue
		}
		if object {
			b.Key(j.Key(i))
			b.Node(j.Value(i))
		} else {
			b.Node(j.Elem(i))
		}
	}
}

// begin opens a container like j.
func (b *JSONBuilder) like(j JSONNode) { b.begin(j.Kind() == JSONObject) }

// JSONBConcat appends a || b: objects are merged, arrays joined, anything else
// becomes an element.
func JSONBConcat(dst []byte, x, y JSONNode) ([]byte, error) {
	return edit(dst, func(b *JSONBuilder) error {
		if x.Kind() == JSONObject && y.Kind() == JSONObject {
			b.BeginObject()
			b.members(x, nil)
			b.members(y, nil)
			b.End()
			return nil
		}
		b.BeginArray()
		for _, j := range []JSONNode{x, y} {
			if j.Kind() == JSONArray {
				b.members(j, nil)
			} else {
				b.Node(j)
			}
		}
		b.End()
		return nil
	})
}

func jsonbScalarError(what string) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot %s scalar", what)
}

// JSONBDeleteKeys appends j without these keys (of an array: without these
// strings): the operators - text and - text[].
func JSONBDeleteKeys(dst []byte, j JSONNode, keys ...[]byte) ([]byte, error) {
	if !j.IsContainer() {
		return dst, jsonbScalarError("delete from")
	}
	object := j.Kind() == JSONObject
	return edit(dst, func(b *JSONBuilder) error {
		b.like(j)
		b.members(j, func(i int) bool {
			var have []byte
			if object {
				have = j.Key(i)
			} else if e := j.Elem(i); e.Kind() == JSONString {
				have = e.Str()
			} else {
				return true
			}
			for _, k := range keys {
				if stringOf(k) == stringOf(have) {
					return false
				}
			}
			return true
		})
		b.End()
		return nil
	})
}

// JSONBDeleteIndex appends j without the element of an index, counted from the
// end when negative: the operator - int.
func JSONBDeleteIndex(dst []byte, j JSONNode, at int) ([]byte, error) {
	switch j.Kind() {
	case JSONObject:
		return dst, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot delete from object using integer index")
	case JSONArray:
	default:
		return dst, jsonbScalarError("delete from")
	}
	if at < 0 {
		at += j.Len()
	}
	return edit(dst, func(b *JSONBuilder) error {
		b.BeginArray()
		b.members(j, func(i int) bool { return i != at })
		b.End()
		return nil
	})
}

type jsonbEdit uint8

const (
	jsonbReplace jsonbEdit = iota // jsonb_set, create_if_missing = false
	jsonbCreate                   // jsonb_set
	jsonbBefore                   // jsonb_insert
	jsonbAfter
	jsonbDelete
)

// JSONBDeletePath appends j without what a path leads to: the operator #-.
func JSONBDeletePath(dst []byte, j JSONNode, path [][]byte) ([]byte, error) {
	if !j.IsContainer() {
		return dst, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot delete path in scalar")
	}
	return editPath(dst, j, path, nil, jsonbDelete)
}

// JSONBSet appends j with the value at a path replaced, or created if asked.
func JSONBSet(dst []byte, j JSONNode, path [][]byte, v JSONNode, create bool) ([]byte, error) {
	if !j.IsContainer() {
		return dst, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot set path in scalar")
	}
	op := jsonbReplace
	if create {
		op = jsonbCreate
	}
	return editPath(dst, j, path, v, op)
}

// JSONBInsert appends j with a value inserted at a path.
func JSONBInsert(dst []byte, j JSONNode, path [][]byte, v JSONNode, after bool) ([]byte, error) {
	if !j.IsContainer() {
		return dst, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot set path in scalar")
	}
	op := jsonbBefore
	if after {
		op = jsonbAfter
	}
	return editPath(dst, j, path, v, op)
}

func editPath(dst []byte, j JSONNode, path [][]byte, v JSONNode, op jsonbEdit) ([]byte, error) {
	if len(path) == 0 || j.Len() == 0 && (op == jsonbReplace || op == jsonbDelete) {
		return append(dst, j...), nil
	}
	return edit(dst, func(b *JSONBuilder) error { return b.path(j, path, 0, v, op) })
}

func (b *JSONBuilder) path(j JSONNode, path [][]byte, level int, v JSONNode, op jsonbEdit) error {
	last := level == len(path)-1
	switch j.Kind() {
	case JSONObject:
		b.BeginObject()
		at := j.Find(path[level])
		for i, n := 0, j.Len(); i < n; i++ {
			if i == at && last && op == jsonbDelete {
				continue
			}
			if i == at && last && op >= jsonbBefore {
				return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot replace existing key").
					WithHint("Try using the function jsonb_set to replace key value.")
			}
			b.Key(j.Key(i))
			switch {
			case i == at && last:
				b.Node(v)
			case i == at:
				if err := b.path(j.Value(i), path, level+1, v, op); err != nil {
					return err
				}
			default:
				b.Node(j.Value(i))
			}
		}
		if at < 0 && last && op != jsonbReplace && op != jsonbDelete {
			b.Key(path[level])
			b.Node(v)
		}
		b.End()
		return nil
	case JSONArray:
		n := j.Len()
		at64, err := ParseInt4(path[level])
		if err != nil {
			return sqlstate.Errorf(sqlstate.InvalidTextRepresentation,
				"path element at position %d is not an integer: \"%s\"", level+1, path[level])
		}
		at := int(at64)
		before := false // a negative index beyond the start: prepend
		if at < 0 {
			if at += n; at < 0 {
				before = true
			}
		}
		b.BeginArray()
		creating := last && op != jsonbReplace && op != jsonbDelete
		if before && creating {
			b.Node(v)
		}
		for i := 0; i < n; i++ {
			e := j.Elem(i)
			if i != at {
				b.Node(e)
				continue
			}
			switch {
			case !last:
				if err := b.path(e, path, level+1, v, op); err != nil {
					return err
				}
			case op == jsonbDelete:
			case op == jsonbBefore:
				b.Node(v)
				b.Node(e)
			case op == jsonbAfter:
				b.Node(e)
				b.Node(v)
			default:
				b.Node(v)
			}
		}
		if at >= n && creating {
			b.Node(v)
		}
		b.End()
		return nil
	}
	b.Node(j)
	return nil
}
