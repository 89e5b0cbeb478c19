package bind

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// operator finds the operator that an expression means; left is 0 for a prefix one.
func (b *binder) operator(name string, left, right uint32, loc int32) (*fn.Operator, error) {
	ops := fn.Operators(name)
	l, r := left, right
	switch {
	case l == types.UnknownOID && r != 0:
		l = r
	case r == types.UnknownOID && l != 0:
		r = l
	}
	for _, op := range ops {
		if op.Left == l && op.Right == r {
			return op, nil
		}
	}
	actual := []uint32{left, right}
	if left == 0 {
		actual = actual[1:]
	}
	var fit []*candidate
	for _, op := range ops {
		if (op.Left == 0) != (left == 0) {
			continue
		}
		c := candidate{op: op, fn: op.Func, args: []uint32{op.Left, op.Right}}
		if left == 0 {
			c.args = c.args[1:]
		}
		if c.accepts(actual) {
			fit = append(fit, &c)
		}
	}
	switch len(fit) {
	case 0:
	case 1:
		return fit[0].op, nil
	default:
		if c := selectCandidate(actual, fit); c != nil {
			return c.op, nil
		}
		return nil, b.errf(loc, sqlstate.AmbiguousFunction, "operator is not unique: %s", opSignature(name, left, right)).
			WithHint("Could not choose a best candidate operator. You might need to add explicit type casts.")
	}
	err := b.errf(loc, sqlstate.UndefinedFunction, "operator does not exist: %s", opSignature(name, left, right))
	if left == 0 {
		return nil, err.WithHint("No operator matches the given name and argument type. You might need to add an explicit type cast.")
	}
	return nil, err.WithHint("No operator matches the given name and argument types. You might need to add explicit type casts.")
}

func opSignature(name string, left, right uint32) string {
	s := name + " " + types.FormatTypeNoMod(right)
	if left != 0 {
		s = types.FormatTypeNoMod(left) + " " + s
	}
	return s
}

// opName is an operator's name, out of a possibly qualified list.
func (b *binder) opName(ns []string, loc int32) (string, error) {
	if len(ns) > 1 && ns[len(ns)-2] != "pg_catalog" {
		if b.env.Catalog.SchemaNamed(ns[len(ns)-2]) == nil {
			return "", b.errf(loc, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", ns[len(ns)-2])
		}
		return "", b.errf(loc, sqlstate.UndefinedFunction, "operator does not exist: %s.%s", ns[len(ns)-2], ns[len(ns)-1])
	}
	name := ns[len(ns)-1]
	if name == "!=" {
		name = "<>"
	}
	return name, nil
}

// binary applies an operator; l is nil for a prefix one.
func (b *binder) binary(name string, l, r expr.Expr, loc int32) (expr.Expr, error) {
	left := uint32(0)
	if l != nil {
		left = l.Type().OID
	}
	op, err := b.operator(name, left, r.Type().OID, loc)
	if err != nil {
		return nil, err
	}
	return b.applyOp(op, l, r, loc)
}

// applyOp calls an operator with arguments that it accepts.
func (b *binder) applyOp(op *fn.Operator, l, r expr.Expr, loc int32) (expr.Expr, error) {
	args := []expr.Expr{r}
	decl := []uint32{op.Right}
	if l != nil {
		args, decl = []expr.Expr{l, r}, []uint32{op.Left, op.Right}
	}
	if op.Func == nil {
		return nil, b.unsupported(loc, "operator %s", op.Name)
	}
	args, ret, err := b.passArgs(op.Func, decl, args, op.Func.Ret, loc)
	if err != nil {
		return nil, err
	}
	return &expr.Call{Fn: op.Func, Args: args, T: callType(op.Func, args, ret), Pos: int(loc), Op: op.Name}, nil
}

// passArgs coerces a call's arguments to the declared types, polymorphic ones made
// concrete, and gives the concrete result type.
func (b *binder) passArgs(f *fn.Func, decl []uint32, args []expr.Expr, ret uint32, loc int32) ([]expr.Expr, uint32, error) {
	poly := fn.IsPoly(ret)
	for _, d := range decl {
		poly = poly || fn.IsPoly(d)
	}
	target := decl
	if poly {
		actual := make([]uint32, len(args))
		for i, a := range args {
			actual[i] = a.Type().OID
		}
		var ok bool
		if target, ret, ok = concrete(decl, ret, actual); !ok {
			return nil, 0, b.polyError(decl, actual, loc)
		}
	}
	out := make([]expr.Expr, len(args))
	for i, a := range args {
		if target[i] == types.AnyOID {
			// "any" takes a value as it is; an untyped literal is text there.
			e, err := b.known(a, loc)
			if err != nil {
				return nil, 0, err
			}
			out[i] = e
			continue
		}
		e, err := b.coerceType(a, types.Of(target[i], -1), fn.Implicit, loc)
		if err != nil {
			return nil, 0, err
		}
		out[i] = e
	}
	return out, ret, nil
}

func (b *binder) polyError(decl, actual []uint32, loc int32) error {
	allUnknown := true
	for i, d := range decl {
		if fn.IsPoly(d) && actual[i] != types.UnknownOID {
			allUnknown = false
		}
	}
	if allUnknown {
		return b.errf(loc, sqlstate.DatatypeMismatch, "could not determine polymorphic type because input has type unknown")
	}
	for i, d := range decl {
		if d == types.AnyArrayOID && fn.ElemOf(actual[i]) == 0 && actual[i] != types.UnknownOID {
			return b.errf(loc, sqlstate.DatatypeMismatch, "argument declared anyarray is not an array but type %s", types.FormatTypeNoMod(actual[i]))
		}
	}
	for i, d := range decl {
		if d == types.AnyElementOID && actual[i] != types.UnknownOID && fn.ArrayOf(actual[i]) == 0 {
			return b.errf(loc, sqlstate.UndefinedObject, "could not find array type for data type %s", types.FormatTypeNoMod(actual[i]))
		}
	}
	return b.errf(loc, sqlstate.DatatypeMismatch, "arguments declared \"anyelement\" are not all alike")
}

// callType is a call's type: as declared, with the form that fn gives numerics.
func callType(f *fn.Func, args []expr.Expr, ret uint32) types.T {
	t := fn.ResultType(f, typesOf(args))
	if t.OID != ret {
		return types.Of(ret, -1)
	}
	return t
}

// equality is the = operator's function for values of one type, with its error.
func (b *binder) equality(oid uint32, loc int32) (*fn.Func, error) {
	if op := fn.EqualityFor(oid); op != nil && op.Func != nil {
		return op.Func, nil
	}
	return nil, b.errf(loc, sqlstate.UndefinedFunction, "could not identify an equality operator for type %s", types.FormatTypeNoMod(oid))
}

// orderable checks that a type can be sorted.
func (b *binder) orderable(oid uint32, loc int32) error {
	if fn.LessFor(oid) != nil {
		return nil
	}
	return b.errf(loc, sqlstate.UndefinedFunction, "could not identify an ordering operator for type %s", types.FormatTypeNoMod(oid)).
		WithHint("Use an explicit ordering operator or modify the query.")
}
