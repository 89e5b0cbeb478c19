package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// gatherVec makes out, a vector with memory of its own, hold the rows idx of v.
// Constants and dictionary codes stay what they are; bytes are shared.
func gatherVec(out, v *vec.Vec, idx []uint16) {
	n := len(idx)
	switch v.Form {
	case vec.Const:
		bits, i16, i32, i64 := v.Bits, v.I16, v.I32, v.I64
		out.T, out.Form, out.N, out.Valid, out.Dict, out.Bufs = v.T, vec.Const, n, v.Valid, nil, v.Bufs
		// The values are one element: copied, so that out keeps its own memory.
		out.Grow(1)
		switch v.T.Layout {
		case types.LayoutBool:
			out.Bits[0] = bits[0]
		case types.LayoutI16:
			out.I16[0] = i16[0]
		case types.LayoutI32:
			out.I32[0] = i32[0]
		case types.LayoutI64:
			out.I64[0] = i64[0]
		case types.LayoutI128:
			out.I128[0] = v.I128[0]
		case types.LayoutF32:
			out.F32[0] = v.F32[0]
		case types.LayoutF64:
			out.F64[0] = v.F64[0]
		case types.LayoutFixed16:
			out.Fix[0] = v.Fix[0]
		default:
			out.Views[0] = v.Views[0]
		}
		return
	case vec.Dict:
		codes := out.Codes
		if cap(codes) < n {
			codes = make([]uint32, n, max(n, vec.Size))
		}
		codes = codes[:n]
		out.T, out.Form, out.N, out.Dict, out.Bufs = v.T, vec.Dict, n, v.Dict, nil
		kernel.Gather(codes, v.Codes, idx)
		out.Codes = codes
	default:
		out.Reset(v.T)
		out.Grow(n)
		out.N = n
		switch v.T.Layout {
		case types.LayoutBool:
			kernel.GatherBits(out.Bits, v.Bits, idx)
		case types.LayoutI16:
			kernel.Gather(out.I16[:n], v.I16, idx)
		case types.LayoutI32:
			kernel.Gather(out.I32[:n], v.I32, idx)
		case types.LayoutI64:
			kernel.Gather(out.I64[:n], v.I64, idx)
		case types.LayoutI128:
			kernel.Gather(out.I128[:n], v.I128, idx)
		case types.LayoutF32:
			kernel.Gather(out.F32[:n], v.F32, idx)
		case types.LayoutF64:
			kernel.Gather(out.F64[:n], v.F64, idx)
		case types.LayoutFixed16:
			kernel.Gather(out.Fix[:n], v.Fix, idx)
		default:
			kernel.Gather(out.Views[:n], v.Views, idx)
			out.Bufs = v.Bufs
		}
	}
	if v.Valid == nil {
		out.Valid = nil
		return
	}
	kernel.GatherBits(out.TakeValid(n), v.Valid, idx)
}

// nullVec makes out a constant null of n rows.
func nullVec(out *vec.Vec, t types.T, n int) { out.SetConst(t, types.Null, n) }
