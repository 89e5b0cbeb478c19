package bind

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// canCoerce says whether a value of one type may become another in a context.
// Polymorphic targets are accepted here and checked as a whole elsewhere.
func canCoerce(from, to uint32, ctx fn.CastContext) bool {
	switch {
	case from == to, to == types.AnyOID, from == types.UnknownOID, fn.IsPoly(to):
		return true
	}
	c, ok := fn.CastOf(from, to)
	return ok && c.Context <= ctx
}

// coerce makes e of type to, its modifier included. ok is false when no cast
// leads there in this context.
func (b *binder) coerce(e expr.Expr, to types.T, ctx fn.CastContext, loc int32) (out expr.Expr, ok bool, err error) {
	from := e.Type()
	if !canCoerce(from.OID, to.OID, ctx) {
		return nil, false, nil
	}
	explicit := ctx == fn.Explicit
	if c, isConst := e.(*expr.Const); isConst && from.OID == types.UnknownOID {
		if !c.D.Valid {
			return null(to), true, nil
		}
		if at, ok := b.literals[c]; ok {
			loc = at
		}
		// An explicit cast to varchar(n) cuts, which the input function does not.
		if explicit && to.Mod >= 0 && cuts(to.OID) {
			out, err = b.literal(c.D.S, types.Of(to.OID, -1), loc)
		} else {
			out, err = b.literal(c.D.S, to, loc)
		}
		if err != nil {
			return nil, true, err
		}
		return b.modify(out, to, explicit), true, nil
	}
	if out, err = b.coerceType(e, to, ctx, loc); err != nil {
		return nil, true, err
	}
	return b.modify(out, to, explicit), true, nil
}

func cuts(oid uint32) bool {
	switch oid {
	case types.VarcharOID, types.BPCharOID, types.VarcharArrayOID, types.BPCharArrayOID:
		return true
	}
	return false
}

// coerceType converts e to a type it can be coerced to; the modifier is left out.
func (b *binder) coerceType(e expr.Expr, to types.T, ctx fn.CastContext, loc int32) (expr.Expr, error) {
	from := e.Type()
	if from.OID == to.OID || to.OID == types.AnyOID || fn.IsPoly(to.OID) {
		return e, nil
	}
	plainTo := types.Of(to.OID, -1)
	if from.OID == types.UnknownOID {
		switch x := e.(type) {
		case *expr.Const:
			if !x.D.Valid {
				return null(plainTo), nil
			}
			if at, ok := b.literals[x]; ok {
				loc = at
			}
			return b.literal(x.D.S, plainTo, loc)
		case *expr.Param:
			return b.settle(x, to, loc)
		}
		return &expr.Cast{Arg: e, T: plainTo, Kind: expr.CastIO}, nil
	}
	// An array constructor of literals converts by element, as its elements would have.
	c, ok := fn.CastOf(from.OID, to.OID)
	if !ok {
		return nil, b.errf(loc, sqlstate.CannotCoerce, "cannot cast type %s to %s", types.FormatTypeNoMod(from.OID), types.FormatTypeNoMod(to.OID))
	}
	explicit := ctx == fn.Explicit
	switch c.Method {
	case fn.CastBinary:
		return &expr.Cast{Arg: e, T: plainTo, Kind: expr.CastRelabel, Explicit: explicit}, nil
	case fn.CastIO:
		return &expr.Cast{Arg: e, T: plainTo, Kind: expr.CastIO, Explicit: explicit}, nil
	}
	if to.OID == types.NumericOID {
		if v, ok := intOf(e); ok {
			return decimalOf(v), nil
		}
	}
	if k, ok := e.(*expr.Const); ok && !k.D.Valid {
		return null(plainTo), nil
	}
	if v, ok := intOf(e); ok && to.OID == types.Int8OID {
		return int8Const(v), nil
	}
	args := []expr.Expr{e}
	if len(c.Func.Args) > 1 {
		args = append(args, intConst(-1))
	}
	if len(c.Func.Args) > 2 {
		args = append(args, boolConst(explicit))
	}
	return &expr.Call{Fn: c.Func, Args: args, T: castResult(c.Func, args, to.OID), Pos: int(loc)}, nil
}

// castResult is the type of a cast function's call; one function serves several
// target types (int8 → regclass by oid(int8)).
func castResult(f *fn.Func, args []expr.Expr, to uint32) types.T {
	t := fn.ResultType(f, typesOf(args))
	if t.OID != to {
		t = types.Of(to, -1)
	}
	return t
}

func typesOf(es []expr.Expr) []types.T {
	ts := make([]types.T, len(es))
	for i, e := range es {
		ts[i] = e.Type()
	}
	return ts
}

// modify enforces the modifier of to on e, which is of that type already.
func (b *binder) modify(e expr.Expr, to types.T, explicit bool) expr.Expr {
	from := e.Type()
	if to.Mod < 0 || from.OID != to.OID || from.Mod == to.Mod && from.Same(to) {
		return e
	}
	if c, ok := e.(*expr.Const); ok {
		if !c.D.Valid {
			return null(to)
		}
		if from.Scaled() && to.Scaled() && to.Scale >= from.Scale && to.Prec-to.Scale >= from.Prec-from.Scale {
			if k, ok := convertConst(c, to); ok {
				return k
			}
		}
	}
	return &expr.Cast{Arg: e, T: to, Kind: expr.CastTypmod, Explicit: explicit}
}

// cast is CAST(e AS to).
func (b *binder) cast(e expr.Expr, to types.T, loc int32) (expr.Expr, error) {
	out, ok, err := b.coerce(e, to, fn.Explicit, loc)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.errf(loc, sqlstate.CannotCoerce, "cannot cast type %s to %s",
			types.FormatTypeNoMod(e.Type().OID), types.FormatTypeNoMod(to.OID))
	}
	if out == e && !e.Type().Same(types.Of(to.OID, to.Mod)) && to.Mod < 0 && e.Type().Mod >= 0 {
		// x::numeric of a numeric(p,s): the modifier is gone, the form stays.
		t := e.Type()
		t.Mod = -1
		return &expr.Cast{Arg: e, T: t, Kind: expr.CastRelabel, Explicit: true}, nil
	}
	return out, nil
}

// boolean coerces a condition; what names the clause in errors.
func (b *binder) boolean(e expr.Expr, what string, loc int32) (expr.Expr, error) {
	out, ok, err := b.coerce(e, types.Bool, fn.Assignment, loc)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.errf(loc, sqlstate.DatatypeMismatch, "argument of %s must be type boolean, not type %s", what, types.FormatTypeNoMod(e.Type().OID))
	}
	return out, nil
}

// assignable coerces a value for storing into a column.
func (b *binder) assignable(e expr.Expr, t types.T, column string, loc int32) (expr.Expr, error) {
	out, ok, err := b.coerce(e, t, fn.Assignment, loc)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.errf(loc, sqlstate.DatatypeMismatch, "column \"%s\" is of type %s but expression is of type %s",
			column, types.FormatTypeNoMod(t.OID), types.FormatTypeNoMod(e.Type().OID)).
			WithHint("You will need to rewrite or cast the expression.")
	}
	return asType(out, t), nil
}

// asType makes e's layout and scale exactly t's, whose OID it has: a stored column,
// or the branches of a CASE, hold one form only.
func asType(e expr.Expr, t types.T) expr.Expr {
	from := e.Type()
	if from.OID != t.OID || from.Same(t) {
		return e
	}
	if c, ok := e.(*expr.Const); ok {
		if k, ok := convertConst(c, t); ok {
			return k
		}
	}
	if t.Mod >= 0 && (!from.Scaled() || from.Scale > t.Scale || from.Prec-from.Scale > t.Prec-t.Scale) {
		return &expr.Cast{Arg: e, T: t, Kind: expr.CastTypmod}
	}
	return &expr.Cast{Arg: e, T: t, Kind: expr.CastNumeric}
}

// convertConst changes a numeric constant's form without changing its worth.
func convertConst(c *expr.Const, t types.T) (*expr.Const, bool) {
	if !c.D.Valid {
		return null(t), true
	}
	if c.T.OID != types.NumericOID || !c.T.Scaled() {
		return nil, false
	}
	v := types.I128(c.D.I)
	if c.T.Layout == types.LayoutI128 {
		v = c.D.I128()
	}
	if !t.Scaled() {
		return &expr.Const{T: t, D: types.NewString(string(types.NumericFromI128(nil, v, int(c.T.Scale))))}, true
	}
	w, err := types.NumericScaled(types.NumericFromI128(nil, v, int(c.T.Scale)), t)
	if err != nil || t.Scale < c.T.Scale {
		return nil, false
	}
	if t.Layout == types.LayoutI64 {
		return &expr.Const{T: t, D: types.NewInt(int64(w.Lo))}, true
	}
	return &expr.Const{T: t, D: types.NewI128(w)}, true
}

// commonType is select_common_type: the type in which the expressions of a UNION,
// CASE, ARRAY and the like meet. With an empty context a mismatch gives 0 instead
// of an error.
func (b *binder) commonType(es []expr.Expr, locs []int32, context string) (uint32, error) {
	p := es[0].Type().OID
	same := p != types.UnknownOID
	for _, e := range es[1:] {
		same = same && e.Type().OID == p
	}
	if same {
		return p, nil
	}
	pcat, ppref := fn.Category(p)
	for i, e := range es[1:] {
		n := e.Type().OID
		if n == types.UnknownOID || n == p {
			continue
		}
		ncat, npref := fn.Category(n)
		switch {
		case p == types.UnknownOID:
			p, pcat, ppref = n, ncat, npref
		case ncat != pcat:
			if context == "" {
				return 0, nil
			}
			loc := int32(-1)
			if i+1 < len(locs) {
				loc = locs[i+1]
			}
			return 0, b.errf(loc, sqlstate.DatatypeMismatch, "%s types %s and %s cannot be matched",
				context, types.FormatTypeNoMod(p), types.FormatTypeNoMod(n))
		case !ppref && canCoerce(p, n, fn.Implicit) && !canCoerce(n, p, fn.Implicit):
			p, pcat, ppref = n, ncat, npref
		}
	}
	if p == types.UnknownOID {
		p = types.TextOID
	}
	return p, nil
}

// unify brings expressions to their common type and, for numerics, to one form.
func (b *binder) unify(es []expr.Expr, locs []int32, context string) ([]expr.Expr, types.T, error) {
	oid, err := b.commonType(es, locs, context)
	if err != nil {
		return nil, types.T{}, err
	}
	out := make([]expr.Expr, len(es))
	for i, e := range es {
		if out[i], err = b.toCommon(e, oid, locAt(locs, i), context); err != nil {
			return nil, types.T{}, err
		}
	}
	t := commonForm(out, oid)
	for i := range out {
		out[i] = asType(out[i], t)
	}
	return out, t, nil
}

func locAt(locs []int32, i int) int32 {
	if i < len(locs) {
		return locs[i]
	}
	return -1
}

func (b *binder) toCommon(e expr.Expr, oid uint32, loc int32, context string) (expr.Expr, error) {
	if !canCoerce(e.Type().OID, oid, fn.Implicit) {
		return nil, b.errf(loc, sqlstate.CannotCoerce, "%s could not convert type %s to %s",
			context, types.FormatTypeNoMod(e.Type().OID), types.FormatTypeNoMod(oid))
	}
	return b.coerceType(e, types.Of(oid, -1), fn.Implicit, loc)
}

// commonForm is the type, form and modifier included, that holds all of es, which
// have this OID. NULL constants take any form, but have no modifier.
func commonForm(es []expr.Expr, oid uint32) types.T {
	var t types.T
	nulls := false
	for _, e := range es {
		if c, ok := e.(*expr.Const); ok && !c.D.Valid {
			nulls = nulls || c.T.Mod < 0
			continue
		}
		switch et := e.Type(); {
		case t.OID == 0:
			t = et
		default:
			t = fn.CommonNumeric(t, et)
		}
	}
	if t.OID != oid {
		return types.Of(oid, -1)
	}
	if nulls {
		t.Mod = -1
	}
	return t
}

// comparable brings expressions of one OID to one form for comparing, where the
// scale they are shown with does not matter.
func comparableForm(es []expr.Expr, oid uint32) types.T {
	if oid != types.NumericOID {
		return types.Of(oid, -1)
	}
	scale, whole := 0, 1
	for _, e := range es {
		if c, ok := e.(*expr.Const); ok && !c.D.Valid {
			continue
		}
		t := e.Type()
		if !t.Scaled() {
			return types.Numeric
		}
		scale, whole = max(scale, int(t.Scale)), max(whole, int(t.Prec-t.Scale))
	}
	return types.DecimalResult(scale+whole, scale)
}

// known resolves an output of type unknown to text.
func (b *binder) known(e expr.Expr, loc int32) (expr.Expr, error) {
	if e.Type().OID != types.UnknownOID {
		return e, nil
	}
	return b.coerceType(e, types.Text, fn.Implicit, loc)
}

// retype is a plan whose columns have the given types: the projection on top is
// changed where it can be, or a new one put above.
func (b *binder) retype(q *query, n plan.Node, cols []plan.Column, want []types.T, ctx fn.CastContext, loc int32) (plan.Node, []plan.Column, error) {
	same := true
	for i, c := range cols {
		same = same && c.T.Same(want[i]) && c.T.OID != types.UnknownOID
	}
	if same {
		return n, cols, nil
	}
	out := append([]plan.Column(nil), cols...)
	if p, ok := n.(*plan.Project); ok && len(p.Exprs) >= len(cols) {
		inPlace := true
		for i, c := range cols {
			if p.Exprs[i].Col.ID != c.ID {
				inPlace = false
			}
		}
		if inPlace {
			m := &plan.Project{Input: p.Input, Exprs: append([]plan.Projection(nil), p.Exprs...)}
			for i := range cols {
				if cols[i].T.Same(want[i]) {
					continue
				}
				e, ok, err := b.coerce(p.Exprs[i].Expr, want[i], ctx, loc)
				if err != nil {
					return nil, nil, err
				}
				if !ok {
					return nil, nil, b.errf(loc, sqlstate.CannotCoerce, "cannot cast type %s to %s",
						types.FormatTypeNoMod(cols[i].T.OID), types.FormatTypeNoMod(want[i].OID))
				}
				e = asType(e, want[i])
				col := b.column(q, cols[i].Name, e.Type(), inputCol)
				m.Exprs[i] = plan.Projection{Col: col, Expr: e}
				out[i] = col
			}
			return m, out, nil
		}
	}
	m := &plan.Project{Input: n}
	for i, c := range cols {
		if c.T.Same(want[i]) {
			m.Exprs = append(m.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
			continue
		}
		e, ok, err := b.coerce(c.Ref(), want[i], ctx, loc)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, nil, b.errf(loc, sqlstate.CannotCoerce, "cannot cast type %s to %s",
				types.FormatTypeNoMod(c.T.OID), types.FormatTypeNoMod(want[i].OID))
		}
		e = asType(e, want[i])
		col := b.column(q, c.Name, e.Type(), inputCol)
		m.Exprs = append(m.Exprs, plan.Projection{Col: col, Expr: e})
		out[i] = col
	}
	return m, out, nil
}
