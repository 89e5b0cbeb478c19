package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// array binds ARRAY[...]; want is the array type that a cast around it asks for.
func (q *query) array(x *pg.A_ArrayExpr, want types.T) (expr.Expr, error) {
	b := q.b
	var es []expr.Expr
	var locs []int32
	multi := false
	for _, n := range x.Elements {
		var e expr.Expr
		var err error
		if sub := n.GetAArrayExpr(); sub != nil {
			multi = true
			e, err = q.array(sub, want)
		} else {
			e, err = q.expr(n)
			if err == nil && fn.ElemOf(e.Type().OID) != 0 && e.Type().OID != types.Int2VectorOID && e.Type().OID != types.OidVectorOID {
				multi = true
			}
		}
		if err != nil {
			return nil, err
		}
		es = append(es, e)
		locs = append(locs, location(n))
	}
	if want.OID != 0 {
		elem := types.Of(fn.ElemOf(want.OID), want.Mod)
		if multi {
			elem = want
		}
		for i, e := range es {
			out, ok, err := b.coerce(e, elem, fn.Explicit, locs[i])
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, b.errf(locs[i], sqlstate.CannotCoerce, "cannot cast type %s to %s", types.FormatTypeNoMod(e.Type().OID), types.FormatTypeNoMod(elem.OID))
			}
			es[i] = asType(out, types.Of(elem.OID, -1))
		}
		return &expr.Array{Elems: es, T: types.Of(want.OID, want.Mod), Multi: multi}, nil
	}
	if len(es) == 0 {
		return nil, b.errf(x.Location, sqlstate.IndeterminateDatatype, "cannot determine type of empty array").
			WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
	}
	oid, err := b.commonType(es, locs, "ARRAY")
	if err != nil {
		return nil, err
	}
	for i, e := range es {
		if es[i], err = b.toCommon(e, oid, locs[i], "ARRAY"); err != nil {
			return nil, err
		}
		es[i] = asType(es[i], types.Of(oid, -1)) // elements are in the variable form
	}
	arr := oid
	if !multi {
		if arr = fn.ArrayOf(oid); arr == 0 {
			return nil, b.errf(x.Location, sqlstate.UndefinedObject, "could not find array type for data type %s", types.FormatTypeNoMod(oid))
		}
	}
	return &expr.Array{Elems: es, T: types.Of(arr, -1), Multi: multi}, nil
}

func (q *query) row(x *pg.RowExpr) (expr.Expr, error) {
	row := &expr.Row{}
	for _, n := range x.Args {
		if ref := n.GetColumnRef(); ref != nil && isStar(ref.Fields) {
			ts, err := q.star(ref)
			if err != nil {
				return nil, err
			}
			for _, t := range ts {
				row.Elems = append(row.Elems, t.e)
			}
			continue
		}
		e, err := q.expr(n)
		if err != nil {
			return nil, err
		}
		row.Elems = append(row.Elems, e)
	}
	for i := range row.Elems {
		row.Names = append(row.Names, "f"+itoa(i+1))
	}
	return row, nil
}

// knownRow resolves a row's fields of type unknown.
func (b *binder) knownRow(row *expr.Row) (*expr.Row, error) {
	out := &expr.Row{Names: row.Names}
	for _, e := range row.Elems {
		k, err := b.known(e, -1)
		if err != nil {
			return nil, err
		}
		out.Elems = append(out.Elems, k)
	}
	return out, nil
}

// indirection binds subscripts and field selections after an expression.
func (q *query) indirection(x *pg.A_Indirection) (expr.Expr, error) {
	b := q.b
	loc := location(x.Arg)
	e, err := q.expr(x.Arg)
	if err != nil {
		return nil, err
	}
	var subs []*pg.A_Indices
	flush := func() error {
		if len(subs) == 0 {
			return nil
		}
		e, err = q.subscript(e, subs, loc)
		subs = nil
		return err
	}
	for _, n := range x.Indirection {
		if i := n.GetAIndices(); i != nil {
			subs = append(subs, i)
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
		if n.GetAStar() != nil {
			return nil, b.errf(loc, sqlstate.FeatureNotSupported, "row expansion via \"*\" is not supported here")
		}
		ref := x.Arg.GetColumnRef()
		_, isRow := e.(*expr.Row)
		if e, err = q.field(e, stringNode(n), loc); err != nil {
			if ref != nil && isRow && len(ref.Fields) == 1 {
				return nil, q.missingColumn(stringNode(ref.Fields[0]), stringNode(n), loc)
			}
			return nil, err
		}
	}
	return e, flush()
}

func (q *query) subscript(e expr.Expr, subs []*pg.A_Indices, loc int32) (expr.Expr, error) {
	b := q.b
	t := e.Type()
	if t.OID == types.JSONBOID {
		for _, s := range subs {
			if s.IsSlice {
				return nil, b.errf(loc, sqlstate.DatatypeMismatch, "jsonb subscript does not support slices")
			}
			k, err := q.expr(s.Uidx)
			if err != nil {
				return nil, err
			}
			if k, err = b.known(k, location(s.Uidx)); err != nil {
				return nil, err
			}
			if e, err = b.binary("->", e, k, loc); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
	elem := fn.ElemOf(t.OID)
	if elem == 0 {
		return nil, b.errf(loc, sqlstate.DatatypeMismatch, "cannot subscript type %s because it does not support subscripting", types.FormatTypeNoMod(t.OID))
	}
	s := &expr.Subscript{Arg: e}
	for _, i := range subs {
		s.Slice = s.Slice || i.IsSlice
	}
	one := func(n *pg.Node) (expr.Expr, error) {
		if n == nil {
			return nil, nil
		}
		x, err := q.expr(n)
		if err != nil {
			return nil, err
		}
		out, ok, err := b.coerce(x, types.Int4, fn.Assignment, location(n))
		if err == nil && !ok {
			err = b.errf(location(n), sqlstate.DatatypeMismatch, "array subscript must have type integer")
		}
		return out, err
	}
	for _, i := range subs {
		lo, err := one(i.Lidx)
		if err != nil {
			return nil, err
		}
		up, err := one(i.Uidx)
		if err != nil {
			return nil, err
		}
		switch {
		case !s.Slice:
			s.Lower = append(s.Lower, up)
		case i.IsSlice:
			s.Lower, s.Upper = append(s.Lower, lo), append(s.Upper, up)
		default: // a[i] among slices is a[1:i]
			s.Lower, s.Upper = append(s.Lower, intConst(1)), append(s.Upper, up)
		}
	}
	s.T = types.Of(elem, -1)
	if s.Slice {
		s.T = t
	}
	return s, nil
}

// field selects a field of a record.
func (q *query) field(e expr.Expr, name string, loc int32) (expr.Expr, error) {
	b := q.b
	if t := e.Type().OID; t != types.RecordOID {
		return nil, b.errf(loc, sqlstate.WrongObjectType, "column notation .%s applied to type %s, which is not a composite type", name, types.FormatTypeNoMod(t))
	}
	fs, err := q.fields(e, loc)
	if err != nil {
		return nil, err
	}
	for _, f := range fs {
		if f.name == name {
			return f.e, nil
		}
	}
	return nil, b.errf(loc, sqlstate.UndefinedColumn, "could not identify column \"%s\" in record data type", name)
}

// shape notes the fields of column id, which has the value of e.
func (b *binder) shape(q *query, id int, e expr.Expr) {
	if e.Type().OID != types.RecordOID {
		return
	}
	fs, err := q.fields(e, 0)
	if err != nil {
		return // not known; asking for a field fails
	}
	info := b.cols[id]
	for _, f := range fs {
		info.fields = append(info.fields, plan.Column{Name: f.name, T: f.e.Type()})
	}
}

// fields lists the fields of a record whose shape is known.
func (q *query) fields(e expr.Expr, loc int32) ([]target, error) {
	var out []target
	switch x := e.(type) {
	case *expr.Row:
		for i, f := range x.Elems {
			out = append(out, target{name: x.Names[i], e: f, loc: loc})
		}
		return out, nil
	case *expr.Call:
		for i, oid := range x.Fn.OutTypes {
			t := types.Of(oid, -1)
			out = append(out, target{name: x.Fn.OutNames[i], e: &expr.Field{Arg: e, N: i, Name: x.Fn.OutNames[i], T: t}, loc: loc})
		}
		if len(out) > 0 {
			return out, nil
		}
	case *expr.Column:
		if info := q.b.cols[x.ID]; info != nil && len(info.fields) > 0 {
			for i, c := range info.fields {
				out = append(out, target{name: c.Name, e: &expr.Field{Arg: e, N: i, Name: c.Name, T: c.T}, loc: loc})
			}
			return out, nil
		}
	}
	if e.Type().OID != types.RecordOID {
		return nil, q.b.errf(-1, sqlstate.WrongObjectType, "type %s is not composite", types.FormatTypeNoMod(e.Type().OID))
	}
	return nil, q.b.errf(loc, sqlstate.FeatureNotSupported, "record type has not been registered")
}
