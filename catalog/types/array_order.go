package types

// CompareArray orders arrays: element by element, NULL above all, then by
// length, then by dimensions and bounds.
func CompareArray(x, y []byte) int {
	a, b := Array(x), Array(y)
	ra, rb := a.Reader(), b.Reader()
	for i := 0; i < ra.N && i < rb.N; i++ {
		an, bn := ra.IsNull(i), rb.IsNull(i)
		if an || bn {
			if an && bn {
				continue
			}
			if an {
				return 1
			}
			return -1
		}
		if c := compareElems(ra.T, ra.Bytes(i), rb.Bytes(i)); c != 0 {
			return c
		}
	}
	if ra.N != rb.N {
		return sign(ra.N - rb.N)
	}
	if c := a.NDim() - b.NDim(); c != 0 {
		return sign(c)
	}
	for i := 0; i < a.NDim(); i++ {
		if c := int(a.Dim(i).Len) - int(b.Dim(i).Len); c != 0 {
			return sign(c)
		}
	}
	for i := 0; i < a.NDim(); i++ {
		if c := int(a.Dim(i).Lower) - int(b.Dim(i).Lower); c != 0 {
			return sign(c)
		}
	}
	return 0
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func compareElems(t T, a, b []byte) int {
	if t.Layout == LayoutView {
		return CompareView(t.OID, a, b)
	}
	return Compare(t, elemDatum(t, a), elemDatum(t, b))
}

func hashElem(t T, b []byte) uint64 {
	if t.Layout == LayoutView {
		return HashView(t.OID, b)
	}
	return Hash(t, elemDatum(t, b))
}

// HashArray hashes an array.
func HashArray(form []byte) uint64 {
	r := Array(form).Reader()
	h := HashInt64(int64(r.N))
	for i := 0; i < r.N; i++ {
		if r.IsNull(i) {
			h = HashCombine(h, HashNull)
		} else {
			h = HashCombine(h, hashElem(r.T, r.Bytes(i)))
		}
	}
	return h
}

// compareVector orders vectors by length, then by elements.
func compareVector(a, b []byte) int {
	if c := Array(a).Len() - Array(b).Len(); c != 0 {
		return sign(c)
	}
	return CompareArray(a, b)
}
