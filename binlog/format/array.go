package format

import (
	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// arrayDims is how many dimensions an array has at most.
const arrayDims = 6

// array makes arrays of JSON arrays, which are as deep and as regular as an SQL array
// must be, and of strings in the array's own text form.
func (c *coercer) array(t types.T, elem uint32, e encoding) put {
	et := types.ElemType(elem)
	et.Mod = -1
	item := encoding{}
	if e.item != nil {
		item = *e.item
	}
	a := &arrayReader{c: c, t: t, elem: c.put(et, item), tmp: vec.New(et, 1)}
	app := codec.TextAppender(t, c.env)
	var form []byte
	return func(v *vec.Vec, x jsonscan.Value) error {
		switch x.Kind {
		case jsonscan.String:
			b, err := c.text(x)
			if err != nil {
				return err
			}
			return app(v, b)
		case jsonscan.Array:
		default:
			return c.mismatch(t, x)
		}
		back := c.scan.Offset()
		c.scan.Seek(x.Start())
		a.b.Reset(elem)
		a.ndim = 0
		err := a.read(0)
		c.scan.Seek(back)
		if err != nil {
			return err
		}
		form = a.b.Finish(scratch(form), a.dims[:a.ndim]...)
		v.AppendBytes(form)
		return nil
	}
}

type arrayReader struct {
	c    *coercer
	t    types.T
	elem put
	tmp  *vec.Vec
	b    types.ArrayBuilder
	dims [arrayDims]types.ArrayDim
	ndim int
	full [arrayDims]bool // the length of this dimension is known
}

func (a *arrayReader) malformed(detail string) error {
	return sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "malformed array for type %s", types.FormatType(a.t.OID, -1)).WithDetail("%s", detail)
}

// read reads a JSON array as the members of dimension d.
func (a *arrayReader) read(d int) error {
	if d == arrayDims {
		return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "number of array dimensions exceeds the maximum allowed (%d)", arrayDims)
	}
	if d == a.ndim {
		a.ndim++
		a.full[d] = false
	}
	s := a.c.scan
	s.Peek()
	s.Open()
	n := int32(0)
	for first := true; s.Element(first); first = false {
		n++
		if s.Peek() == jsonscan.Array && a.t.OID != types.ArrayOf(types.JSONBOID) && a.t.OID != types.ArrayOf(types.JSONOID) {
			if d+1 == a.ndim && a.b.Len() > 0 {
				return a.malformed("Arrays and plain values are mixed.")
			}
			if err := a.read(d + 1); err != nil {
				return err
			}
			continue
		}
		if d+1 < a.ndim {
			return a.malformed("Arrays and plain values are mixed.")
		}
		x := s.Value()
		if x.Kind == jsonscan.Null {
			a.b.Append(types.Null)
			continue
		}
		a.tmp.Recycle(a.tmp.T)
		if err := a.elem(a.tmp, x); err != nil {
			return err
		}
		if a.tmp.T.Layout == types.LayoutView {
			a.b.AppendBytes(a.tmp.Bytes(0))
		} else {
			a.b.Append(a.tmp.Datum(0))
		}
	}
	if a.full[d] && a.dims[d].Len != n {
		return a.malformed("Arrays inside an array differ in length.")
	}
	a.full[d] = true
	a.dims[d] = types.ArrayDim{Len: n, Lower: 1}
	return nil
}
