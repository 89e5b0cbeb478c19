package fn

import "github.com/millrace/millrace/catalog/types"

// CastOf is the cast from src to dst: an entry of pg_cast, or one of those that
// PostgreSQL makes by itself: between arrays with castable elements, and through
// the text forms to a string type (assignment) or from one (explicit). Equal types
// give a binary cast. Arrays cast element by element although their Method is
// CastIO; Func is then nil.
func CastOf(src, dst uint32) (Cast, bool) {
	if src == dst {
		return Cast{Source: src, Target: dst, Context: Implicit, Method: CastBinary}, true
	}
	if c, ok := casts[castKey{src, dst}]; ok {
		return c, true
	}
	if src == types.UnknownOID {
		return Cast{Source: src, Target: dst, Context: Implicit, Method: CastIO}, true
	}
	switch {
	case dst == types.RecordOID || src == types.RecordOID && !stringLike(dst):
		return Cast{}, false
	case src == types.VoidOID || dst == types.VoidOID || IsPoly(src) || IsPoly(dst):
		return Cast{}, false
	}
	// No array turns into an oidvector or int2vector by its elements.
	if se, de := ElemOf(src), ElemOf(dst); se != 0 && de != 0 && dst != types.OidVectorOID && dst != types.Int2VectorOID {
		c, ok := CastOf(se, de)
		if !ok {
			return Cast{}, false
		}
		m := CastIO
		if c.Method == CastBinary {
			m = CastBinary
		}
		return Cast{Source: src, Target: dst, Context: c.Context, Method: m}, true
	}
	if stringLike(dst) {
		return Cast{Source: src, Target: dst, Context: Assignment, Method: CastIO}, true
	}
	if stringLike(src) {
		return Cast{Source: src, Target: dst, Context: Explicit, Method: CastIO}, true
	}
	return Cast{}, false
}

// stringLike is PostgreSQL's type category S.
func stringLike(oid uint32) bool {
	switch oid {
	case types.TextOID, types.VarcharOID, types.BPCharOID, types.NameOID:
		return true
	}
	return false
}
