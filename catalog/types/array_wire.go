package types

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// AppendArrayBinary appends the wire form of an array.
func AppendArrayBinary(dst, form []byte, env *Env) []byte {
	a := Array(form)
	be := binary.BigEndian
	nd := a.NDim()
	dst = be.AppendUint32(dst, uint32(nd))
	flag := uint32(0)
	if a.HasNulls() {
		flag = 1
	}
	dst = be.AppendUint32(dst, flag)
	dst = be.AppendUint32(dst, a.ElemOID())
	for i := 0; i < nd; i++ {
		d := a.Dim(i)
		dst = be.AppendUint32(dst, uint32(d.Len))
		dst = be.AppendUint32(dst, uint32(d.Lower))
	}
	r := a.Reader()
	for i := 0; i < r.N; i++ {
		if r.IsNull(i) {
			dst = be.AppendUint32(dst, math.MaxUint32)
			continue
		}
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		dst = AppendBinary(dst, r.T, elemDatum(r.T, r.Bytes(i)), env)
		be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

// ReadArray appends the form of an array from its wire form.
func ReadArray(dst []byte, elem T, s []byte, env *Env) ([]byte, error) {
	be := binary.BigEndian
	if len(s) < 12 {
		return dst, shortBinary()
	}
	nd, flags, oid := int32(be.Uint32(s)), be.Uint32(s[4:]), be.Uint32(s[8:])
	if nd < 0 {
		return dst, sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "invalid number of dimensions: %d", nd)
	}
	if nd > arrayDimsMax {
		return dst, tooManyDims(int(nd))
	}
	if flags > 1 {
		return dst, sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "invalid array flags")
	}
	if oid != elem.OID {
		return dst, sqlstate.Errorf(sqlstate.DatatypeMismatch,
			"binary data has array element type %d (%s) instead of expected %d (%s)",
			oid, FormatTypeNoMod(oid), elem.OID, FormatTypeNoMod(elem.OID))
	}
	s = s[12:]
	if len(s) < 8*int(nd) {
		return dst, shortBinary()
	}
	var dims [arrayDimsMax]ArrayDim
	total := int64(1)
	for i := range dims[:nd] {
		n, lower := int32(be.Uint32(s)), int32(be.Uint32(s[4:]))
		s = s[8:]
		if n < 0 || int64(lower)+int64(n) > math.MaxInt32 {
			return dst, sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "array lower bound is too large: %d", lower)
		}
		dims[i] = ArrayDim{n, lower}
		if total *= int64(n); total > arrayElemsMax {
			return dst, arrayTooLarge()
		}
	}
	if nd == 0 || total == 0 {
		if len(s) > 0 {
			return dst, badBinary()
		}
		return append(dst, EmptyArray(oid)...), nil
	}
	if int64(len(s)) < 4*total {
		return dst, shortBinary()
	}
	var b ArrayBuilder
	b.Reset(oid)
	t := elemType(oid, elem.Mod)
	for ; total > 0; total-- {
		v, rest, err := wireField(s)
		if err != nil {
			return dst, err
		}
		s = rest
		if v == nil {
			b.Append(Null)
			continue
		}
		d, err := ParseBinary(t, v, env)
		if err != nil {
			return dst, err
		}
		b.Append(d)
	}
	if len(s) > 0 {
		return dst, badBinary()
	}
	return b.Finish(dst, dims[:nd]...), nil
}

// wireField splits off a length-prefixed field; v is nil for NULL.
func wireField(s []byte) (v, rest []byte, err error) {
	if len(s) < 4 {
		return nil, nil, shortBinary()
	}
	n := int32(binary.BigEndian.Uint32(s))
	s = s[4:]
	if n == -1 {
		return nil, s, nil
	}
	if n < 0 || int(n) > len(s) {
		return nil, nil, shortBinary()
	}
	return s[:n:n], s[n:], nil
}
