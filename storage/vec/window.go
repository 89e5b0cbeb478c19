package vec

import "github.com/millrace/millrace/catalog/types"

// Window makes out the flat rows from..from+n-1 of the flat vector v without a
// copy; from is a multiple of 64. out shares v's memory and must not be written
// or recycled, and its bitmaps may go on beyond row n.
func (v *Vec) Window(from, n int, out *Vec) {
	out.T, out.Form, out.N, out.Valid, out.Dict, out.Bufs = v.T, Flat, n, nil, nil, v.Bufs
	switch v.T.Layout {
	case types.LayoutBool:
		out.Bits = v.Bits[from>>6:]
	case types.LayoutI16:
		out.I16 = v.I16[from : from+n]
	case types.LayoutI32:
		out.I32 = v.I32[from : from+n]
	case types.LayoutI64:
		out.I64 = v.I64[from : from+n]
	case types.LayoutI128:
		out.I128 = v.I128[from : from+n]
	case types.LayoutF32:
		out.F32 = v.F32[from : from+n]
	case types.LayoutF64:
		out.F64 = v.F64[from : from+n]
	case types.LayoutFixed16:
		out.Fix = v.Fix[from : from+n]
	default:
		out.Views = v.Views[from : from+n]
	}
	if v.Valid != nil {
		out.Valid = v.Valid[from>>6:]
	}
}
