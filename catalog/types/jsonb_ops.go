package types

// CompareJSONB orders jsonb values as PostgreSQL's btree operators do: object >
// array > boolean > number > string > null, containers by size first. (An empty
// array at the top level sorts below scalars: its old quirk.)
func CompareJSONB(x, y []byte) int {
	a, b := JSONNode(x), JSONNode(y)
	ka, kb := a.Kind(), b.Kind()
	// At the top level a scalar is an array of one element that sorts below
	// real arrays of one element.
	if sa, sb := !a.IsContainer(), !b.IsContainer(); sa != sb && (ka == JSONArray || kb == JSONArray) {
		na, nb := 1, 1
		if !sa {
			na = a.Len()
		}
		if !sb {
			nb = b.Len()
		}
		if na != nb {
			return sign(na - nb)
		}
		if sa {
			return -1
		}
		return 1
	}
	return compareJSON(a, b)
}

func compareJSON(a, b JSONNode) int {
	ka, kb := a.Kind(), b.Kind()
	if ka != kb {
		return sign(int(ka) - int(kb))
	}
	switch ka {
	case JSONString:
		return compareBytes(a.Str(), b.Str())
	case JSONNumber:
		return CompareNumeric(a.Number(), b.Number())
	case JSONBool:
		return sign(int(a[0]) - int(b[0]))
	case JSONArray:
		n := a.Len()
		if c := n - b.Len(); c != 0 {
			return sign(c)
		}
		for i := 0; i < n; i++ {
			if c := compareJSON(a.Elem(i), b.Elem(i)); c != 0 {
				return c
			}
		}
	case JSONObject:
		n := a.Len()
		if c := n - b.Len(); c != 0 {
			return sign(c)
		}
		for i := 0; i < n; i++ {
			if c := compareBytes(a.Key(i), b.Key(i)); c != 0 {
				return c
			}
			if c := compareJSON(a.Value(i), b.Value(i)); c != 0 {
				return c
			}
		}
	}
	return 0
}

func compareBytes(a, b []byte) int {
	x, y := stringOf(a), stringOf(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// HashJSONB hashes a jsonb; numbers by value.
func HashJSONB(form []byte) uint64 {
	j := JSONNode(form)
	switch j[0] {
	case jbNull, jbFalse, jbTrue:
		return HashInt64(int64(j[0]))
	case jbNumber:
		return HashCombine(jbNumber, HashNumeric(j[1:]))
	case jbString:
		return HashBytes(j[1:])
	case jbArray, jbArrayWide:
		n := j.Len()
		h := HashInt64(int64(n) + jbArray)
		for i := 0; i < n; i++ {
			h = HashCombine(h, HashJSONB(j.Elem(i)))
		}
		return h
	}
	n := j.Len()
	h := HashInt64(int64(n) + jbObject<<32)
	for i := 0; i < n; i++ {
		h = HashCombine(HashCombine(h, HashBytes(j.Key(i))), HashJSONB(j.Value(i)))
	}
	return h
}

// Contains is the operator @>.
func (j JSONNode) Contains(x JSONNode) bool {
	switch {
	case j.Kind() == JSONArray && !x.IsContainer():
		return j.hasElem(x)
	case !j.IsContainer():
		return !x.IsContainer() && compareJSON(j, x) == 0
	}
	return j.contains(x)
}

func (j JSONNode) contains(x JSONNode) bool {
	if j.Kind() != x.Kind() {
		return false
	}
	switch x.Kind() {
	case JSONObject:
		if x.Len() > j.Len() {
			return false
		}
		for i, n := 0, x.Len(); i < n; i++ {
			v := j.Field(x.Key(i))
			if v == nil || !v.contains(x.Value(i)) {
				return false
			}
		}
		return true
	case JSONArray:
		for i, n := 0, x.Len(); i < n; i++ {
			e := x.Elem(i)
			if !e.IsContainer() {
				if !j.hasElem(e) {
					return false
				}
				continue
			}
			found := false
			for k, m := 0, j.Len(); k < m && !found; k++ {
				found = j.Elem(k).contains(e)
			}
			if !found {
				return false
			}
		}
		return true
	}
	return compareJSON(j, x) == 0
}

// hasElem says whether an array has an element equal to scalar x.
func (j JSONNode) hasElem(x JSONNode) bool {
	for i, n := 0, j.Len(); i < n; i++ {
		if e := j.Elem(i); e[0] == x[0] && compareJSON(e, x) == 0 {
			return true
		}
	}
	return false
}

// Exists is the operator ?: a key of an object, or a string in an array or at
// the top.
func (j JSONNode) Exists(key []byte) bool {
	switch j.Kind() {
	case JSONObject:
		return j.Find(key) >= 0
	case JSONArray:
		for i, n := 0, j.Len(); i < n; i++ {
			if e := j.Elem(i); e.Kind() == JSONString && stringOf(e.Str()) == stringOf(key) {
				return true
			}
		}
	case JSONString:
		return stringOf(j.Str()) == stringOf(key)
	}
	return false
}
