package agg

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// fixed are the element types of fixed size.
type fixed interface {
	int16 | int32 | int64 | float32 | float64 | types.Int128 | types.Fixed16
}

// column brings an argument to flat values in the order of the rows to add.
type column[E fixed] struct {
	vals  []E
	valid []uint64
}

// take returns the n values and their validity (nil: none is null). Values under
// nulls are zero.
func (c *column[E]) take(v *vec.Vec, sel []uint16, n int) ([]E, []uint64) {
	src := vec.Values[E](v.Source())
	valid := c.takeValid(v, sel, n)
	switch {
	case v.Form == vec.Flat && sel == nil:
		return src[:n], valid
	case len(src) == 0: // a dictionary of nothing: all rows are null
		c.vals = grown(c.vals, n)
		clear(c.vals)
		return c.vals, valid
	}
	c.vals = grown(c.vals, n)
	switch {
	case v.Form == vec.Flat:
		kernel.Gather(c.vals, src, sel)
	case v.Form == vec.Const:
		kernel.Fill(c.vals, src[0])
	case sel == nil:
		kernel.GatherU32(c.vals, src, v.Codes[:n])
	default:
		for k, i := range sel[:n] {
			c.vals[k] = src[v.Codes[i]]
		}
	}
	if valid != nil && v.Form != vec.Flat {
		kernel.ZeroInvalid(c.vals, valid)
	}
	return c.vals, valid
}

func (c *column[E]) takeValid(v *vec.Vec, sel []uint16, n int) []uint64 {
	return validity(&c.valid, v, sel, n)
}

// validity is the validity of the rows to add, in their order; nil when no row is
// null.
func validity(mem *[]uint64, v *vec.Vec, sel []uint16, n int) []uint64 {
	switch {
	case v.Valid == nil:
		return nil
	case v.Form == vec.Const:
		if !v.IsNull(0) {
			return nil
		}
		*mem = grown(*mem, vec.Words(n))
		clear(*mem)
		return *mem
	case sel == nil:
		return v.Valid
	}
	*mem = grown(*mem, vec.Words(n))
	kernel.GatherBits(*mem, v.Valid, sel[:n])
	return *mem
}

// countValid is the number of valid rows among n.
func countValid(valid []uint64, n int) int {
	if valid == nil {
		return n
	}
	return vec.Count(valid, n)
}

func grown[E any](s []E, n int) []E {
	if cap(s) < n {
		s = make([]E, n, max(n, vec.Size))
	}
	return s[:n]
}

// extended makes s n long, keeping what it has; new elements are zero.
func extended[E any](s []E, n int) []E {
	if n <= len(s) {
		return s
	}
	if n <= cap(s) {
		old := len(s)
		s = s[:n]
		clear(s[old:])
		return s
	}
	t := make([]E, n, max(n, 2*cap(s)))
	copy(t, s)
	return t
}

// appendFixed appends one value to a flat vector.
func appendFixed[E fixed](out *vec.Vec, x E) {
	switch x := any(x).(type) {
	case int16:
		out.AppendDatum(types.NewInt(int64(x)))
	case int32:
		out.AppendDatum(types.NewInt(int64(x)))
	case int64:
		out.AppendDatum(types.NewInt(x))
	case float32:
		out.AppendDatum(types.NewFloat(float64(x)))
	case float64:
		out.AppendDatum(types.NewFloat(x))
	case types.Int128:
		out.AppendDatum(types.NewI128(x))
	case types.Fixed16:
		out.AppendDatum(types.NewFixed16(x))
	}
}

// bit reads row k of a validity bitmap that may be nil.
func bit(valid []uint64, k int) bool {
	return valid == nil || valid[k>>6]>>(uint(k)&63)&1 != 0
}
