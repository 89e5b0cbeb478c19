package eval

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec/kernel"
)

func arrayError(format string, args ...any) error {
	return sqlstate.Errorf(sqlstate.ArraySubscriptError, format, args...)
}

func init() {
	dim := func(f func(a types.Array, d types.ArrayDim) int32) Loop {
		return total(func(c *Call, i int) {
			a, k := types.Array(c.Bytes(0, i)), int(c.I32(1, i))
			if k < 1 || k > a.NDim() {
				c.ret(i, types.Null)
				return
			}
			c.Out.I32[i] = f(a, a.Dim(k-1))
		})
	}
	reg("array_length", impl{cost: 5, loop: dim(func(_ types.Array, d types.ArrayDim) int32 { return d.Len })})
	reg("array_lower", impl{cost: 5, loop: dim(func(_ types.Array, d types.ArrayDim) int32 { return d.Lower })})
	reg("array_upper", impl{cost: 5, loop: dim(func(_ types.Array, d types.ArrayDim) int32 { return d.Lower + d.Len - 1 })})
	reg("array_ndims", impl{cost: 5, loop: total(func(c *Call, i int) {
		n := types.Array(c.Bytes(0, i)).NDim()
		if n == 0 {
			c.ret(i, types.Null)
			return
		}
		c.Out.I32[i] = int32(n)
	})})
	reg("cardinality", impl{cost: 5, loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(types.Array(c.Bytes(0, i)).Len()) })})
	reg("array_dims", impl{loop: total(func(c *Call, i int) {
		a := types.Array(c.Bytes(0, i))
		if a.NDim() == 0 {
			c.ret(i, types.Null)
			return
		}
		b := c.Begin()
		for k := 0; k < a.NDim(); k++ {
			d := a.Dim(k)
			b = append(types.AppendInt(append(b, '['), int64(d.Lower)), ':')
			b = append(types.AppendInt(b, int64(d.Lower+d.Len-1)), ']')
		}
		c.End(i, b)
	})})
	for i, op := range ops {
		reg("array_"+opNames[i], impl{cost: 20, loop: cmpBy(op, func(c *Call, i int) int { return types.CompareArray(c.Bytes(0, i), c.Bytes(1, i)) })})
		reg("record_"+opNames[i], impl{cost: 20, loop: cmpBy(op, func(c *Call, i int) int { return types.CompareRecord(c.Bytes(0, i), c.Bytes(1, i)) })})
		reg("oidvector"+opNames[i], impl{cost: 20, loop: cmpBy(op, func(c *Call, i int) int { return types.CompareArray(c.Bytes(0, i), c.Bytes(1, i)) })})
	}
	for name, op := range map[string]kernel.Op{"array_larger": kernel.GT, "array_smaller": kernel.LT} {
		reg(name, impl{loop: total(func(c *Call, i int) {
			a, b := c.Bytes(0, i), c.Bytes(1, i)
			if op.Holds(types.CompareArray(a, b)) {
				c.RetBytes(i, a)
			} else {
				c.RetBytes(i, b)
			}
		})})
	}
	reg("array_append", impl{nonStrict: true, loop: each(func(c *Call, i int) error { return appendElem(c, i, 0, 1, false) })})
	reg("array_prepend", impl{nonStrict: true, loop: each(func(c *Call, i int) error { return appendElem(c, i, 1, 0, true) })})
	reg("array_cat", impl{nonStrict: true, loop: each(catArrays)})
	reg("arraycontains", impl{cost: 30, loop: each(func(c *Call, i int) error { return containsRow(c, i, 0, 1) })})
	reg("arraycontained", impl{cost: 30, loop: each(func(c *Call, i int) error { return containsRow(c, i, 1, 0) })})
	reg("arrayoverlap", impl{cost: 30, loop: total(func(c *Call, i int) {
		a, b := types.Array(c.Bytes(0, i)).Reader(), types.Array(c.Bytes(1, i)).Reader()
		for k := 0; k < b.N; k++ {
			if !b.IsNull(k) && findElem(&a, b.Datum(k), 0) >= 0 {
				c.RetBool(i, true)
				return
			}
		}
		c.RetBool(i, false)
	})})
	reg("array_position(anycompatiblearray,anycompatible)", impl{nonStrict: true, loop: each(positionRow)})
	reg("array_position(anycompatiblearray,anycompatible,int4)", impl{nonStrict: true, loop: each(positionRow)})
	reg("array_positions", impl{nonStrict: true, loop: each(func(c *Call, i int) error {
		if c.Null(0, i) {
			c.ret(i, types.Null)
			return nil
		}
		a := types.Array(c.Bytes(0, i))
		if a.NDim() > 1 {
			return sqlstate.Unsupported("searching for elements in multidimensional arrays")
		}
		var b types.ArrayBuilder
		b.Reset(types.Int4OID)
		r, d := a.Reader(), c.datum(c.Args[1], 1, i)
		for k := 0; k < r.N; k++ {
			if sameElem(&r, k, d) {
				b.Append(types.NewInt(int64(k) + int64(a.Dim(0).Lower)))
			}
		}
		c.End(i, b.Finish(c.Begin()))
		return nil
	})})
	reg("array_remove", impl{nonStrict: true, loop: each(func(c *Call, i int) error { return replaceRow(c, i, true) })})
	reg("array_replace", impl{nonStrict: true, loop: each(func(c *Call, i int) error { return replaceRow(c, i, false) })})
	reg("array_to_string(anyarray,text)", impl{loop: total(func(c *Call, i int) { c.arrayText(i, false) })})
	reg("array_to_string(anyarray,text,text)", impl{nonStrict: true, loop: total(func(c *Call, i int) {
		if c.Null(0, i) || c.Null(1, i) {
			c.ret(i, types.Null)
			return
		}
		c.arrayText(i, !c.Null(2, i))
	})})
	reg("string_to_array(text,text)", impl{nonStrict: true, loop: total(splitRow)})
	reg("string_to_array(text,text,text)", impl{nonStrict: true, loop: total(splitRow)})
	reg("trim_array", impl{loop: each(func(c *Call, i int) error {
		a, n := types.Array(c.Bytes(0, i)), int(c.I32(1, i))
		size := 0
		if a.NDim() > 0 {
			size = int(a.Dim(0).Len)
		}
		if n < 0 || n > size {
			return sqlstate.Errorf("2202E", "number of elements to trim must be between 0 and %d", size)
		}
		var b types.ArrayBuilder
		b.Reset(a.ElemOID())
		dims := dimsOf(a)
		r := a.Reader()
		keep := 0
		if size > 0 {
			keep = r.N / size * (size - n)
			dims[0].Len -= int32(n)
		}
		for k := 0; k < keep; k++ {
			b.Append(r.Datum(k))
		}
		for k := range dims {
			dims[k].Lower = 1
		}
		c.End(i, b.Finish(c.Begin(), dims...))
		return nil
	})})
	reg("array_fill(anyelement,_int4)", impl{nonStrict: true, loop: each(fillRow)})
	reg("array_fill(anyelement,_int4,_int4)", impl{nonStrict: true, loop: each(fillRow)})
	shuffled := func(n func(c *Call, i, size int) (int, error)) Loop {
		return each(func(c *Call, i int) error {
			a := types.Array(c.Bytes(0, i))
			size := 0
			if a.NDim() > 0 {
				size = int(a.Dim(0).Len)
			}
			keep, err := n(c, i, size)
			if err != nil {
				return err
			}
			var b types.ArrayBuilder
			b.Reset(a.ElemOID())
			r := a.Reader()
			per := 1
			if size > 0 {
				per = r.N / size
			}
			order := make([]int, size)
			for k := range order {
				order[k] = k
			}
			for k := 0; k < keep; k++ {
				j := k + int(c.Env.session().uint64()%uint64(size-k))
				order[k], order[j] = order[j], order[k]
				for e := 0; e < per; e++ {
					b.Append(r.Datum(order[k]*per + e))
				}
			}
			dims := dimsOf(a)
			if size > 0 {
				dims[0].Len = int32(keep)
			}
			c.End(i, b.Finish(c.Begin(), dims...))
			return nil
		})
	}
	reg("array_shuffle", impl{loop: shuffled(func(_ *Call, _, size int) (int, error) { return size, nil })})
	reg("array_sample", impl{loop: shuffled(func(c *Call, i, size int) (int, error) {
		n := int(c.I32(1, i))
		if n < 0 || n > size {
			return 0, sqlstate.Errorf(sqlstate.InvalidParameterValue, "sample size must be between 0 and %d", size)
		}
		return n, nil
	})})
}

// sameElem says whether element k is d; nulls are alike here.
func sameElem(r *types.ArrayReader, k int, d types.Datum) bool {
	if r.IsNull(k) || !d.Valid {
		return r.IsNull(k) && !d.Valid
	}
	return types.Equal(r.T, r.Datum(k), d)
}

func findElem(r *types.ArrayReader, d types.Datum, from int) int {
	for k := from; k < r.N; k++ {
		if sameElem(r, k, d) {
			return k
		}
	}
	return -1
}

func containsRow(c *Call, i, whole, part int) error {
	x, y := types.Array(c.Bytes(whole, i)), types.Array(c.Bytes(part, i))
	a, b := x.Reader(), y.Reader()
	if x.ElemOID() != y.ElemOID() {
		return sqlstate.Errorf(sqlstate.DatatypeMismatch, "cannot compare arrays of different element types")
	}
	for k := 0; k < b.N; k++ {
		if b.IsNull(k) || findElem(&a, b.Datum(k), 0) < 0 {
			c.RetBool(i, false)
			return nil
		}
	}
	c.RetBool(i, true)
	return nil
}

// appendElem is array_append, or array_prepend when front; arr and el are the
// places of the arguments.
func appendElem(c *Call, i, arr, el int, front bool) error {
	var b types.ArrayBuilder
	lower := int32(1)
	elem := types.ElemOf(c.Out.T.OID)
	b.Reset(elem)
	d := c.datum(c.Args[el], el, i)
	if front {
		b.Append(d)
	}
	if !c.Null(arr, i) {
		a := types.Array(c.Bytes(arr, i))
		switch a.NDim() {
		case 0:
		case 1:
			lower = a.Dim(0).Lower
			appendElems(&b, a)
		default:
			return sqlstate.Errorf(sqlstate.DataException, "argument must be empty or one-dimensional array")
		}
	}
	if !front {
		b.Append(d)
	}
	c.End(i, b.Finish(c.Begin(), types.ArrayDim{Len: int32(b.Len()), Lower: lower}))
	return nil
}

func catArrays(c *Call, i int) error {
	switch {
	case c.Null(0, i) && c.Null(1, i):
		c.ret(i, types.Null)
		return nil
	case c.Null(0, i):
		c.RetBytes(i, c.Bytes(1, i))
		return nil
	case c.Null(1, i):
		c.RetBytes(i, c.Bytes(0, i))
		return nil
	}
	x, y := types.Array(c.Bytes(0, i)), types.Array(c.Bytes(1, i))
	switch {
	case y.NDim() == 0:
		c.RetBytes(i, x)
		return nil
	case x.NDim() == 0:
		c.RetBytes(i, y)
		return nil
	}
	mismatch := func() error { return arrayError("cannot concatenate incompatible arrays") }
	var dims []types.ArrayDim
	switch x.NDim() - y.NDim() {
	case 0:
		dims = dimsOf(x)
		for k := 1; k < x.NDim(); k++ {
			if x.Dim(k) != y.Dim(k) {
				return mismatch()
			}
		}
		dims[0].Len += y.Dim(0).Len
	case 1:
		dims = dimsOf(x)
		if !sameDims(y, dims[1:]) {
			return mismatch()
		}
		dims[0].Len++
	case -1:
		dims = dimsOf(y)
		if !sameDims(x, dims[1:]) {
			return mismatch()
		}
		dims[0].Len++
	default:
		return mismatch()
	}
	var b types.ArrayBuilder
	b.Reset(x.ElemOID())
	appendElems(&b, x)
	appendElems(&b, y)
	c.End(i, b.Finish(c.Begin(), dims...))
	return nil
}

func positionRow(c *Call, i int) error {
	if c.Null(0, i) {
		c.ret(i, types.Null)
		return nil
	}
	a := types.Array(c.Bytes(0, i))
	if a.NDim() > 1 {
		return sqlstate.Unsupported("searching for elements in multidimensional arrays")
	}
	r := a.Reader()
	from, lower := 0, int32(1)
	if a.NDim() == 1 {
		lower = a.Dim(0).Lower
	}
	if len(c.Args) == 3 {
		if c.Null(2, i) {
			return sqlstate.Errorf(sqlstate.NullValueNotAllowed, "initial position must not be null")
		}
		from = max(int(c.I32(2, i)-lower), 0)
	}
	k := findElem(&r, c.datum(c.Args[1], 1, i), from)
	if k < 0 {
		c.ret(i, types.Null)
		return nil
	}
	c.Out.I32[i] = int32(k) + lower
	return nil
}

// replaceRow is array_replace, or array_remove.
func replaceRow(c *Call, i int, remove bool) error {
	if c.Null(0, i) {
		c.ret(i, types.Null)
		return nil
	}
	a := types.Array(c.Bytes(0, i))
	if remove && a.NDim() > 1 {
		return sqlstate.Unsupported("removing elements from multidimensional arrays")
	}
	var b types.ArrayBuilder
	b.Reset(a.ElemOID())
	r, d := a.Reader(), c.datum(c.Args[1], 1, i)
	for k := 0; k < r.N; k++ {
		switch {
		case !sameElem(&r, k, d):
			b.Append(r.Datum(k))
		case !remove:
			b.Append(c.datum(c.Args[2], 2, i))
		}
	}
	dims := dimsOf(a)
	if remove && len(dims) == 1 {
		dims[0].Len = int32(b.Len())
	}
	c.End(i, b.Finish(c.Begin(), dims...))
	return nil
}

// arrayText is array_to_string; nulls are left out, or shown as argument 2.
func (c *Call) arrayText(i int, showNulls bool) {
	r := types.Array(c.Bytes(0, i)).Reader()
	b := c.Begin()
	first := true
	for k := 0; k < r.N; k++ {
		if r.IsNull(k) && !showNulls {
			continue
		}
		if !first {
			b = append(b, c.Bytes(1, i)...)
		}
		first = false
		if r.IsNull(k) {
			b = append(b, c.Bytes(2, i)...)
			continue
		}
		b = types.AppendText(b, r.T, r.Datum(k), c.Env.session().Types)
	}
	c.End(i, b)
}

// splitRow is string_to_array: by characters with a null delimiter, whole with an
// empty one.
func splitRow(c *Call, i int) {
	if c.Null(0, i) {
		c.ret(i, types.Null)
		return
	}
	var b types.ArrayBuilder
	b.Reset(types.TextOID)
	var null []byte
	hasNull := len(c.Args) == 3 && !c.Null(2, i)
	if hasNull {
		null = c.Bytes(2, i)
	}
	var sep []byte
	if !c.Null(1, i) {
		sep = c.Bytes(1, i)
	}
	splitText(c.Bytes(0, i), sep, c.Null(1, i), func(part []byte) {
		if hasNull && string(part) == string(null) {
			b.Append(types.Null)
			return
		}
		b.AppendBytes(part)
	})
	c.End(i, b.Finish(c.Begin()))
}

// splitText calls f for the fields of s.
func splitText(s, sep []byte, chars bool, f func(part []byte)) {
	switch {
	case len(s) == 0:
		return
	case chars:
		for len(s) > 0 {
			n := charLen(s, false)
			f(s[:n])
			s = s[n:]
		}
		return
	case len(sep) == 0:
		f(s)
		return
	}
	for n := 1; ; n++ {
		from, to, _ := splitPart(s, sep, 1)
		f(s[from:to])
		if to == len(s) {
			return
		}
		s = s[to+len(sep):]
		if len(s) == 0 {
			f(s)
			return
		}
	}
}

func fillRow(c *Call, i int) error {
	if c.Null(1, i) || len(c.Args) == 3 && c.Null(2, i) {
		return sqlstate.Errorf(sqlstate.NullValueNotAllowed, "dimension array or low bound array cannot be null")
	}
	r := types.Array(c.Bytes(1, i)).Reader()
	var dims []types.ArrayDim
	n := 1
	for k := 0; k < r.N; k++ {
		if r.IsNull(k) {
			return sqlstate.Errorf(sqlstate.NullValueNotAllowed, "dimension values cannot be null")
		}
		d := types.ArrayDim{Len: int32(r.Datum(k).I), Lower: 1}
		n *= int(d.Len)
		if d.Len < 0 || n > 1<<27 {
			return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "array size exceeds the maximum allowed (%d)", 134217727)
		}
		dims = append(dims, d)
	}
	if n > freeBytes/16 { // the builder's copy, and the result
		size := 8
		if !c.Null(0, i) && c.Args[0].T.Layout == types.LayoutView {
			size += len(c.Bytes(0, i))
		}
		if err := c.charge(2 * n * size); err != nil {
			return err
		}
	}
	if len(c.Args) == 3 {
		l := types.Array(c.Bytes(2, i)).Reader()
		if l.N != len(dims) {
			return arrayError("wrong number of array subscripts").(*sqlstate.Error).WithDetail("Low bound array has different size than dimensions array.")
		}
		for k := range dims {
			dims[k].Lower = int32(l.Datum(k).I)
		}
	}
	if len(dims) == 0 {
		n = 0
	}
	var b types.ArrayBuilder
	b.Reset(types.ElemOf(c.Out.T.OID))
	d := c.datum(c.Args[0], 0, i)
	for k := 0; k < n; k++ {
		b.Append(d)
	}
	c.End(i, b.Finish(c.Begin(), dims...))
	return nil
}
