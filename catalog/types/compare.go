package types

import (
	"bytes"
	"cmp"
	"math"
)

// Compare orders two values of one type: -1, 0 or 1. NULL is above all values
// and equal to itself here; SQL's NULL rules are the caller's. Text is compared
// by bytes (collation C).
func Compare(t T, a, b Datum) int {
	if !a.Valid || !b.Valid {
		switch {
		case a.Valid:
			return -1
		case b.Valid:
			return 1
		}
		return 0
	}
	switch t.Layout {
	case LayoutI64:
		if UnsignedI64(t.OID) {
			return cmp.Compare(uint64(a.I), uint64(b.I))
		}
		return cmp.Compare(a.I, b.I)
	case LayoutI128:
		return a.I128().Cmp(b.I128())
	case LayoutF32, LayoutF64:
		return CompareFloat(a.F, b.F)
	case LayoutFixed16:
		return CompareFixed16(t.OID, a.Fixed16(), b.Fixed16())
	case LayoutView:
		return CompareView(t.OID, bytesOf(a.S), bytesOf(b.S))
	}
	return cmp.Compare(a.I, b.I)
}

// Equal is Compare(t, a, b) == 0.
func Equal(t T, a, b Datum) bool { return Compare(t, a, b) == 0 }

// CompareFloat orders floats as SQL does: NaN equals NaN and is above all, -0
// equals 0.
func CompareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	an, bn := a != a, b != b
	switch {
	case an && bn:
		return 0
	case an:
		return 1
	}
	return -1
}

// CompareFixed16 orders values of LayoutFixed16.
func CompareFixed16(oid uint32, a, b Fixed16) int {
	switch oid {
	case IntervalOID:
		return IntervalSpan(a).Cmp(IntervalSpan(b))
	case TimetzOID:
		// By instant, then by zone.
		if c := cmp.Compare(a.A+a.B*MicrosPerSecond, b.A+b.B*MicrosPerSecond); c != 0 {
			return c
		}
		return cmp.Compare(a.B, b.B)
	}
	if c := cmp.Compare(uint64(a.A), uint64(b.A)); c != 0 {
		return c
	}
	return cmp.Compare(uint64(a.B), uint64(b.B))
}

// CompareView orders values of LayoutView in their forms.
func CompareView(oid uint32, a, b []byte) int {
	if oid == BPCharOID { // an empty one equals blanks
		return bytes.Compare(TrimBPChar(a), TrimBPChar(b))
	}
	if len(a) == 0 || len(b) == 0 {
		// An empty string, or what lies under a null: no other form is empty.
		return cmp.Compare(len(a), len(b))
	}
	switch oid {
	case NumericOID:
		return CompareNumeric(a, b)
	case JSONBOID:
		return CompareJSONB(a, b)
	case RecordOID:
		return CompareRecord(a, b)
	case OidVectorOID, Int2VectorOID:
		return compareVector(a, b)
	}
	if IsArray(oid) {
		return CompareArray(a, b)
	}
	return bytes.Compare(a, b)
}

// PlainBytes says whether values of a LayoutView type are equal exactly when
// their bytes are, and ordered as their bytes are: kernels may then use the
// views alone.
func PlainBytes(oid uint32) bool {
	switch oid {
	case BPCharOID, NumericOID, JSONBOID, RecordOID, OidVectorOID, Int2VectorOID:
		return false
	}
	return !IsArray(oid)
}

// CanonFloat is f with -0 as 0 and one NaN, so that equal floats have equal bits.
func CanonFloat(f float64) float64 {
	if f != f {
		return math.NaN()
	}
	return f + 0
}
