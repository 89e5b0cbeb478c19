package agg

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	reg("array_agg(anynonarray)", func(c *Call) (State, error) { return newRows(c, arrayOf), nil })
	reg("array_agg(anyarray)", func(c *Call) (State, error) { return newRows(c, arrayOfArrays), nil })
}

// rows keeps all rows of a group, nulls too, and makes one value of them at the end.
type rows struct {
	c    collector
	make func(s *rows, g uint32, dst []byte) ([]byte, error)
	call *Call
	buf  []byte
}

func newRows(c *Call, f func(s *rows, g uint32, dst []byte) ([]byte, error)) State {
	return &rows{c: newCollector(c), make: f, call: c}
}

func (s *rows) Grow(n int) { s.c.grow(n) }

func (s *rows) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	s.c.add(args, sel, n, groups, nil)
	return nil
}

func (s *rows) Merge(from State, src, dst []uint32) error {
	return s.c.merge(&from.(*rows).c, src, dst)
}

func (s *rows) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		if s.c.list[g].n == 0 {
			out.AppendNull()
			continue
		}
		b, err := s.make(s, g, s.buf[:0])
		if err != nil {
			return err
		}
		if len(b) > maxValue {
			return errTooLong(len(b))
		}
		s.buf = appendOwned(out, b)
	}
	return nil
}

func (s *rows) Bytes() int64 { return s.c.bytes() }

// arrayOf is the array of the values.
func arrayOf(s *rows, g uint32, dst []byte) ([]byte, error) {
	t := s.c.types[0]
	var b types.ArrayBuilder
	b.Reset(t.OID)
	b.Grow(int(s.c.list[g].n))
	if err := s.c.each(g, func(r int) error {
		b.Append(recast(s.c.datum(0, r), t, b.T()))
		return nil
	}); err != nil {
		return nil, err
	}
	return b.Finish(dst), nil
}

// arrayOfArrays is the array of one more dimension.
func arrayOfArrays(s *rows, g uint32, dst []byte) ([]byte, error) {
	var b types.ArrayBuilder
	var dims []types.ArrayDim
	err := s.c.each(g, func(r int) error {
		if s.c.isNull(0, r) {
			return sqlstate.Errorf(sqlstate.NullValueNotAllowed, "cannot accumulate null arrays")
		}
		a := types.Array(s.c.bytesAt(0, r))
		if a.NDim() == 0 {
			return sqlstate.Errorf(sqlstate.ArraySubscriptError, "cannot accumulate empty arrays")
		}
		if dims == nil {
			b.Reset(a.ElemOID())
			dims = append(dims, types.ArrayDim{Len: 0, Lower: 1})
			for i := 0; i < a.NDim(); i++ {
				dims = append(dims, a.Dim(i))
			}
		}
		same := a.NDim() == len(dims)-1
		for i := 0; same && i < a.NDim(); i++ {
			same = a.Dim(i).Len == dims[i+1].Len
		}
		if !same {
			return sqlstate.Errorf(sqlstate.ArraySubscriptError, "cannot accumulate arrays of different dimensionality")
		}
		dims[0].Len++
		e := a.Reader()
		for i := 0; i < e.N; i++ {
			b.Append(e.Datum(i))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b.Finish(dst, dims...), nil
}
