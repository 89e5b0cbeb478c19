package eval

import (
	"fmt"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// castElements makes the cast of an array whose elements are cast by a function; nil
// when theirs goes through the text forms, as the whole array's then does.
func (c *compiler) castElements(a *node, t types.T, explicit bool) (*node, error) {
	from, to := fn.ElemOf(a.t.OID), fn.ElemOf(t.OID)
	if from == 0 || to == 0 {
		return nil, nil
	}
	cast, ok := fn.CastOf(from, to)
	if !ok || cast.Method != fn.CastFunc {
		return nil, nil
	}
	elem := types.ElemType(from)
	args := []expr.Expr{&expr.Column{T: elem}}
	if len(cast.Func.Args) > 1 {
		args = append(args, &expr.Const{T: types.Int4, D: types.NewInt(-1)})
	}
	if len(cast.Func.Args) > 2 {
		args = append(args, &expr.Const{T: types.Bool, D: types.NewBool(explicit)})
	}
	// The function decides on the form of a numeric; elements have the variable one.
	call := &expr.Call{Fn: cast.Func, Args: args, T: types.ElemType(to)}
	return c.eachElement(fmt.Sprintf("elements%v", explicit), a, t, &expr.Cast{Arg: call, T: types.ElemType(to), Kind: expr.CastRelabel})
}

// modifyElements enforces the modifier of an array type on its elements.
func (c *compiler) modifyElements(a *node, t types.T, explicit bool) (*node, error) {
	elem := types.ElemType(fn.ElemOf(t.OID))
	to := elem
	to.Mod = t.Mod
	return c.eachElement(fmt.Sprintf("mods%v", explicit), a, t,
		&expr.Cast{Arg: &expr.Column{T: elem}, T: to, Kind: expr.CastTypmod, Explicit: explicit})
}

// eachElement makes the array whose elements are those of a, put through an expression
// of column 0.
func (c *compiler) eachElement(key string, a *node, t types.T, e expr.Expr) (*node, error) {
	env := c.p.env
	if env != nil {
		own := *env
		own.Ordinal = nil
		env = &own
	}
	p, err := Compile(e, env)
	if err != nil {
		return nil, err
	}
	elem, to := types.ElemType(fn.ElemOf(a.t.OID)), fn.ElemOf(t.OID)
	in := &vec.Batch{Cols: []*vec.Vec{vec.New(elem, vec.Size)}}
	var b types.ArrayBuilder
	return c.loopNode(key, t, impl{cost: 50, loop: each(func(c *Call, i int) error {
		arr := types.Array(c.Bytes(0, i))
		r := arr.Reader()
		b.Reset(to)
		for at := 0; at < r.N; at += in.N {
			v := in.Cols[0]
			v.Recycle(elem)
			in.N = min(vec.Size, r.N-at)
			for k := at; k < at+in.N; k++ {
				v.AppendDatum(r.Datum(k))
			}
			out, err := p.Eval(in)
			if err != nil {
				return err
			}
			for k := range in.N {
				b.Append(out.Datum(k))
			}
		}
		dims := make([]types.ArrayDim, arr.NDim())
		for k := range dims {
			dims[k] = arr.Dim(k)
		}
		c.End(i, b.Finish(c.Begin(), dims...))
		return nil
	})}, true, a), nil
}
