package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// pgTypeof is the function that tells its argument's type, which is known here.
const pgTypeof = 1619

// invocation is a function call while it is being bound.
type invocation struct {
	call   *pg.FuncCall
	name   string
	loc    int32
	args   []expr.Expr
	locs   []int32
	named  []string // names of the trailing arguments
	filter expr.Expr
	// order: the arguments from here on stand in WITHIN GROUP.
	order int
}

// funcName splits a function's name; only pg_catalog has functions.
func (b *binder) funcName(ns []string, loc int32) (name, shown string, err error) {
	name, shown = ns[len(ns)-1], strings.Join(ns, ".")
	if len(ns) > 3 {
		return "", "", b.errf(loc, sqlstate.SyntaxError, "improper qualified name (too many dotted names): %s", shown)
	}
	if len(ns) == 3 && ns[0] != b.env.Database {
		return "", "", b.errf(loc, sqlstate.FeatureNotSupported, "cross-database references are not implemented: %s", shown)
	}
	if len(ns) > 1 {
		schema := ns[len(ns)-2]
		if schema != "pg_catalog" {
			if b.env.Catalog.SchemaNamed(schema) == nil && schema != "information_schema" && schema != "hologres" {
				return "", "", b.errf(loc, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", schema)
			}
			// Extensions put their functions into a schema of their own; ours are all in one.
			if schema != "public" && schema != "hologres" && !(schema == "information_schema" && strings.HasPrefix(name, "_pg_")) {
				return "", shown, nil
			}
		}
	}
	return name, shown, nil
}

// call binds a function call.
func (q *query) call(f *pg.FuncCall) (expr.Expr, error) {
	b := q.b
	ns := names(f.Funcname)
	name, shown, err := b.funcName(ns, f.Location)
	if err != nil {
		return nil, err
	}
	in := &invocation{call: f, name: shown, loc: f.Location}
	for _, a := range f.Args {
		if na := a.GetNamedArgExpr(); na != nil {
			for _, n := range in.named {
				if n == na.Name {
					return nil, b.errf(na.Location, sqlstate.SyntaxError, "argument name \"%s\" used more than once", na.Name)
				}
			}
			in.named = append(in.named, na.Name)
			a = na.Arg
		} else if len(in.named) > 0 {
			return nil, b.errf(location(a), sqlstate.SyntaxError, "positional argument cannot follow named argument")
		}
		e, err := q.expr(a)
		if err != nil {
			return nil, err
		}
		in.args = append(in.args, e)
		in.locs = append(in.locs, location(a))
	}
	in.order = len(in.args)
	if f.AggWithinGroup {
		if len(in.named) > 0 {
			return nil, b.unsupported(f.Location, "named arguments of an ordered-set aggregate")
		}
		for _, o := range f.AggOrder {
			e, err := q.expr(o.GetSortBy().Node)
			if err != nil {
				return nil, err
			}
			in.args = append(in.args, e)
			in.locs = append(in.locs, location(o.GetSortBy().Node))
		}
	}
	if f.AggFilter != nil {
		if in.filter, err = q.condition(f.AggFilter, clauseFilter, "FILTER"); err != nil {
			return nil, err
		}
	}
	if name == "" {
		return nil, b.noFunction(in, actualTypes(in.args))
	}
	if err := b.namedRows(in, name); err != nil {
		return nil, err
	}
	c, coercion, err := q.resolve(in, name)
	if err != nil {
		return nil, err
	}
	if coercion != 0 {
		if err := q.plainCall(in); err != nil {
			return nil, err
		}
		return b.cast(in.args[0], types.Of(coercion, -1), in.loc)
	}
	switch {
	case c.fn.Kind == fn.Aggregate && f.Over == nil:
		return q.aggregate(in, c)
	case f.Over != nil:
		return q.windowCall(in, c)
	case c.fn.Kind == fn.Window:
		return nil, b.errf(in.loc, sqlstate.WrongObjectType, "window function %s requires an OVER clause", in.name)
	}
	if err := q.plainCall(in); err != nil {
		return nil, err
	}
	if c.fn.OID == pgTypeof {
		return &expr.Const{T: types.Of(types.RegtypeOID, -1), D: types.NewInt(int64(in.args[0].Type().OID))}, nil
	}
	args, ret, err := b.arguments(in, c)
	if err != nil {
		return nil, err
	}
	e := &expr.Call{Fn: c.fn, Args: args, T: callType(c.fn, args, ret), Pos: int(in.loc)}
	if c.fn.RetSet {
		return q.srf(e, in.loc)
	}
	return e, nil
}

// namedRows turns rows that json functions gather into json at once: a row in a
// vector has no field names.
func (b *binder) namedRows(in *invocation, name string) error {
	with := ""
	switch name {
	case "json_agg", "json_object_agg", "json_build_array", "json_build_object":
		with = "row_to_json"
	case "jsonb_agg", "jsonb_object_agg", "jsonb_build_array", "jsonb_build_object":
		with = "to_jsonb"
	default:
		return nil
	}
	for i, a := range in.args {
		row, ok := a.(*expr.Row)
		if !ok {
			continue
		}
		row, err := b.knownRow(row)
		if err != nil {
			return err
		}
		for _, f := range fn.ByName(with) {
			if len(f.Args) == 1 {
				in.args[i] = &expr.Call{Fn: f, Args: []expr.Expr{row}, T: types.Of(f.Ret, -1), Pos: int(in.loc)}
			}
		}
	}
	return nil
}

// plainCall refuses the decorations that only aggregates take.
func (q *query) plainCall(in *invocation) error {
	f := in.call
	bad := func(what string) error {
		return q.b.errf(in.loc, sqlstate.WrongObjectType, "%s specified, but %s is not an aggregate function", what, in.name)
	}
	switch {
	case f.AggStar:
		return q.b.errf(in.loc, sqlstate.WrongObjectType, "%s(*) specified, but %s is not an aggregate function", in.name, in.name)
	case f.AggDistinct:
		return bad("DISTINCT")
	case f.AggWithinGroup:
		return bad("WITHIN GROUP")
	case len(f.AggOrder) > 0:
		return bad("ORDER BY")
	case f.AggFilter != nil:
		return bad("FILTER")
	case f.Over != nil:
		return q.b.errf(in.loc, sqlstate.WrongObjectType, "OVER specified, but %s is not a window function nor an aggregate function", in.name)
	}
	return nil
}

func actualTypes(es []expr.Expr) []uint32 {
	out := make([]uint32, len(es))
	for i, e := range es {
		out[i] = e.Type().OID
	}
	return out
}

// resolve is func_get_detail: the function that a call means, or the type it casts to.
func (q *query) resolve(in *invocation, name string) (*candidate, uint32, error) {
	b := q.b
	actual := actualTypes(in.args)
	cands := functionCandidates(name, len(actual), in.named, !in.call.FuncVariadic)
	for _, c := range cands {
		if len(c.args) >= len(actual) && sameOIDs(c.args[:len(actual)], actual) {
			return c, 0, nil
		}
	}
	if len(actual) == 1 && len(in.named) == 0 {
		if info := types.ByName(name); info != nil && info.Kind != 'p' {
			if actual[0] == types.UnknownOID {
				return nil, info.OID, nil
			}
			if cast, ok := fn.CastOf(actual[0], info.OID); ok {
				cat, _ := fn.Category(info.OID)
				if cast.Method == fn.CastBinary || cast.Method == fn.CastIO && !(actual[0] == types.RecordOID && cat == 'S') {
					return nil, info.OID, nil
				}
			}
		}
	}
	var fit []*candidate
	for _, c := range cands {
		if c.accepts(actual) {
			fit = append(fit, c)
		}
	}
	switch len(fit) {
	case 0:
		return nil, 0, b.noFunction(in, actual)
	case 1:
		return fit[0], 0, nil
	}
	if c := selectCandidate(actual, fit); c != nil {
		return c, 0, nil
	}
	return nil, 0, b.errf(in.loc, sqlstate.AmbiguousFunction, "function %s is not unique", signature(in.name, in.named, actual)).
		WithHint("Could not choose a best candidate function. You might need to add explicit type casts.")
}

func (b *binder) noFunction(in *invocation, actual []uint32) error {
	err := b.errf(in.loc, sqlstate.UndefinedFunction, "function %s does not exist", signature(in.name, in.named, actual))
	if len(in.call.AggOrder) > 1 && !in.call.AggWithinGroup {
		return err.WithHint("No aggregate function matches the given name and argument types. Perhaps you misplaced ORDER BY; ORDER BY must appear after all regular arguments of the aggregate.")
	}
	return err.WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

// arguments are a call's arguments as they are passed: in the order of the
// parameters, coerced, defaults filled in, variadic ones gathered.
func (b *binder) arguments(in *invocation, c *candidate) ([]expr.Expr, uint32, error) {
	f := c.fn
	args, decl := in.args, c.args[:min(len(c.args), len(in.args))]
	if c.order != nil || len(in.args) < len(f.Args) {
		n := len(f.Args)
		full, fullDecl := make([]expr.Expr, n), make([]uint32, n)
		for i := range full {
			from := i
			if c.order != nil {
				from = c.order[i]
			} else if i >= len(in.args) {
				from = -1
			}
			fullDecl[i] = f.Args[i]
			if from >= 0 {
				full[i] = in.args[from]
				continue
			}
			e, err := b.defaultArg(f, i)
			if err != nil {
				return nil, 0, err
			}
			full[i] = e
		}
		args, decl = full, fullDecl
	}
	out, ret, err := b.passArgs(f, decl, args, f.Ret, in.loc)
	if err != nil {
		return nil, 0, err
	}
	if c.variadic > 0 {
		fixed := len(out) - c.variadic
		elems := out[fixed:]
		oid := f.Variadic
		if fn.IsPoly(oid) {
			oid = elems[0].Type().OID
		}
		for i := range elems {
			elems[i] = asType(elems[i], types.Of(oid, -1))
		}
		arr := &expr.Array{Elems: append([]expr.Expr(nil), elems...), T: types.Of(fn.ArrayOf(oid), -1)}
		out = append(out[:fixed:fixed], arr)
	}
	if in.call.FuncVariadic && f.Variadic == types.AnyOID {
		return nil, 0, b.unsupported(in.loc, "VARIADIC with function %s", in.name)
	}
	return out, ret, nil
}

// defaultArg binds the default of parameter i.
func (b *binder) defaultArg(f *fn.Func, i int) (expr.Expr, error) {
	k := i - (len(f.Args) - len(f.DefaultText))
	if k < 0 || k >= len(f.DefaultText) {
		return null(types.Of(f.Args[i], -1)), nil
	}
	return b.exprText(f.DefaultText[k], types.Of(f.Args[i], -1))
}

// exprText binds an expression without columns from its text.
func (b *binder) exprText(text string, t types.T) (expr.Expr, error) {
	n, err := parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	saved := b.text
	b.text = ""
	defer func() { b.text = saved }()
	q := &query{b: b, clause: clauseDefault}
	e, err := q.expr(n)
	if err != nil {
		return nil, err
	}
	return b.assignable(e, t, "", -1)
}

// srf takes a set-returning call out of an expression: its value is a column of a
// ProjectSet below.
func (q *query) srf(call *expr.Call, loc int32) (expr.Expr, error) {
	if q.clause.srf != "" {
		return nil, q.b.errf(loc, sqlstate.FeatureNotSupported, "set-returning functions are not allowed in %s", q.clause.srf)
	}
	if q.noSRF != "" {
		return nil, q.b.errf(loc, sqlstate.FeatureNotSupported, "set-returning functions are not allowed in %s", q.noSRF).
			WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
	}
	level := 0
	expr.Walk(call, func(e expr.Expr) bool {
		if c, ok := e.(*expr.Column); ok {
			for i, s := range q.srfs {
				for _, sc := range s.call.Cols {
					if sc.ID == c.ID {
						level = max(level, q.srfs[i].level+1)
					}
				}
			}
		}
		return true
	})
	k := key(call)
	volatile := expr.Volatility(call) == fn.Volatile
	for _, s := range q.srfs {
		if s.key == k && !volatile && s.out != nil {
			return s.out, nil
		}
	}
	s := &setCall{level: level, key: k, loc: loc}
	s.call.Call = call
	if len(call.Fn.OutTypes) > 1 {
		row := &expr.Row{Names: call.Fn.OutNames}
		for i := range call.Fn.OutTypes {
			col := q.b.column(q, call.Fn.OutNames[i], types.Of(outType(call, i), -1), srfCol)
			s.call.Cols = append(s.call.Cols, col)
			row.Elems = append(row.Elems, q.b.ref(col.ID, loc))
		}
		s.out = row
	} else {
		col := q.b.column(q, call.Fn.Name, call.T, srfCol)
		s.call.Cols = []plan.Column{col}
		s.out = q.b.ref(col.ID, loc)
	}
	q.srfs = append(q.srfs, s)
	return s.out, nil
}

// outType is the type of a call's i-th OUT column.
func outType(call *expr.Call, i int) uint32 {
	oid := call.Fn.OutTypes[i]
	if fn.IsPoly(oid) && len(call.Args) > 0 {
		if _, r, ok := concrete(call.Fn.Args, oid, actualTypes(call.Args)); ok {
			return r
		}
	}
	return oid
}

// setCall is a set-returning call of a select list. Calls of one level run in
// lockstep; a call over another's result is of the next level.
type setCall struct {
	call  plan.SetCall
	out   expr.Expr
	level int
	key   string
	loc   int32
}
