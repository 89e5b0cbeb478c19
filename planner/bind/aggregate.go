package bind

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// aggregate takes an aggregate call out of an expression: its value is a column of
// the Aggregate of the level it belongs to, which is that of the innermost column
// among its arguments.
func (q *query) aggregate(in *invocation, c *candidate) (expr.Expr, error) {
	b, f := q.b, in.call
	switch {
	case len(in.args) == 0 && !f.AggStar && !f.AggWithinGroup:
		return nil, b.errf(in.loc, sqlstate.WrongObjectType, "%s(*) must be used to call a parameterless aggregate function", in.name)
	case c.fn.Agg != fn.Plain && !f.AggWithinGroup:
		return nil, b.errf(in.loc, sqlstate.WrongObjectType, "WITHIN GROUP is required for ordered-set aggregate %s", in.name)
	case c.fn.Agg == fn.Plain && f.AggWithinGroup:
		return nil, b.errf(in.loc, sqlstate.WrongObjectType, "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP", in.name)
	case f.AggDistinct && f.AggWithinGroup:
		return nil, b.errf(in.loc, sqlstate.SyntaxError, "cannot use DISTINCT with WITHIN GROUP")
	case c.fn.RetSet:
		return nil, b.errf(in.loc, sqlstate.InvalidFunctionDefinition, "aggregates cannot return sets")
	}
	agg := plan.Agg{Fn: c.fn, Star: f.AggStar, Distinct: f.AggDistinct}
	args, ret, err := q.aggArgs(in, c, &agg)
	if err != nil {
		return nil, err
	}
	agg.Filter = in.filter
	home, err := q.aggLevel(&agg, in.loc)
	if err != nil {
		return nil, err
	}
	if home.clause.agg != "" {
		return nil, b.errf(in.loc, sqlstate.GroupingError, "aggregate functions are not allowed in %s", home.clause.agg)
	}
	t := callType(c.fn, args, ret)
	k := fmt.Sprintf("%d %t %t %s|%s|%s|%s", c.fn.OID, agg.Star, agg.Distinct, keys(agg.Args), keys(agg.Direct), sortKeys(agg.Order), key(agg.Filter))
	if id, ok := home.aggKeys[k]; ok {
		return b.ref(id, in.loc), nil
	}
	agg.Col = b.column(home, c.fn.Name, t, aggCol)
	home.aggs = append(home.aggs, agg)
	home.hasAgg = true
	if home.aggKeys == nil {
		home.aggKeys = map[string]int{}
	}
	home.aggKeys[k] = agg.Col.ID
	return b.ref(agg.Col.ID, in.loc), nil
}

// aggArgs fills in an aggregate's arguments, direct arguments and order, and gives
// all arguments in the order of the signature.
func (q *query) aggArgs(in *invocation, c *candidate, agg *plan.Agg) ([]expr.Expr, uint32, error) {
	b, f := q.b, in.call
	if f.AggWithinGroup {
		args, ret, err := q.orderedSetArgs(in, c)
		if err != nil {
			return nil, 0, err
		}
		agg.Direct, agg.Args = args[:in.order], args[in.order:]
		for i, o := range f.AggOrder {
			k, err := b.sortKey(agg.Args[i], o.GetSortBy())
			if err != nil {
				return nil, 0, err
			}
			agg.Order = append(agg.Order, k)
		}
		return args, ret, nil
	}
	args, ret, err := b.arguments(in, c)
	if err != nil {
		return nil, 0, err
	}
	agg.Args = args
	for _, o := range f.AggOrder {
		sb := o.GetSortBy()
		e, err := q.expr(sb.Node)
		if err != nil {
			return nil, 0, err
		}
		if e, err = b.known(e, location(sb.Node)); err != nil {
			return nil, 0, err
		}
		// An ORDER BY of an argument as written means the argument as passed.
		for i, a := range in.args {
			if i < len(args) && key(a) == key(e) {
				e = args[i]
			}
		}
		k, err := b.sortKey(e, sb)
		if err != nil {
			return nil, 0, err
		}
		agg.Order = append(agg.Order, k)
	}
	if f.AggDistinct {
		for i, a := range args {
			if _, err := b.equality(a.Type().OID, locAt(in.locs, i)); err != nil {
				return nil, 0, err
			}
			if err := b.orderable(a.Type().OID, locAt(in.locs, i)); err != nil {
				return nil, 0, err
			}
		}
		for i, k := range agg.Order {
			found := false
			for _, a := range args {
				found = found || key(a) == key(k.Expr)
			}
			if !found {
				return nil, 0, b.errf(location(f.AggOrder[i].GetSortBy().Node), sqlstate.InvalidColumnReference,
					"in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list")
			}
		}
	}
	return args, ret, nil
}

// orderedSetArgs coerces the direct and the ordered arguments. Those of a
// hypothetical-set aggregate meet in pairs.
func (q *query) orderedSetArgs(in *invocation, c *candidate) ([]expr.Expr, uint32, error) {
	b := q.b
	if c.fn.Agg == fn.Hypothetical {
		if n := len(in.args) - in.order; n != in.order {
			return nil, 0, b.errf(in.loc, sqlstate.UndefinedFunction, "function %s does not exist", signature(in.name, nil, actualTypes(in.args))).
				WithHint("To use the hypothetical-set aggregate %s, the number of hypothetical direct arguments (here %d) must match the number of ordering columns (here %d).", in.name, in.order, n)
		}
		args := append([]expr.Expr(nil), in.args...)
		for i := 0; i < in.order; i++ {
			pair, _, err := b.unify([]expr.Expr{args[i+in.order], args[i]}, []int32{locAt(in.locs, i+in.order), locAt(in.locs, i)}, "WITHIN GROUP")
			if err != nil {
				return nil, 0, err
			}
			args[i+in.order], args[i] = pair[0], pair[1]
		}
		return args, c.fn.Ret, nil
	}
	return b.passArgs(c.fn, c.args[:len(in.args)], in.args, c.fn.Ret, in.loc)
}

// aggLevel finds the level that an aggregate belongs to and refuses nested ones.
func (q *query) aggLevel(agg *plan.Agg, loc int32) (*query, error) {
	b := q.b
	up := map[*query]int{}
	for l, d := q, 0; l != nil; l, d = l.parent, d+1 {
		up[l] = d
	}
	best := -1
	var inside []*expr.Column
	visit := func(e expr.Expr) {
		plan.RewriteExpr(e, func(e expr.Expr) (expr.Expr, bool) {
			if c, ok := e.(*expr.Column); ok {
				if info := b.cols[c.ID]; info != nil {
					if d, ok := up[info.q]; ok {
						inside = append(inside, c)
						if best < 0 || d < best {
							best = d
						}
					}
				}
			}
			return e, false
		})
	}
	for _, list := range [][]expr.Expr{agg.Args, {agg.Filter}} {
		for _, e := range list {
			if e != nil {
				visit(e)
			}
		}
	}
	for _, k := range agg.Order {
		visit(k.Expr)
	}
	home := q
	for d := best; d > 0; d-- {
		home = home.parent
	}
	for _, e := range agg.Direct {
		visit(e)
	}
	for _, c := range inside {
		info := b.cols[c.ID]
		if info.q != home {
			continue
		}
		at := b.at[c]
		switch info.kind {
		case aggCol:
			return nil, b.errf(at, sqlstate.GroupingError, "aggregate function calls cannot be nested")
		case windowCol:
			return nil, b.errf(at, sqlstate.GroupingError, "aggregate function calls cannot contain window function calls")
		case srfCol:
			return nil, b.errf(at, sqlstate.FeatureNotSupported, "aggregate function calls cannot contain set-returning function calls").
				WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
		}
	}
	return home, nil
}

// grouping binds GROUPING(...). Which groups its arguments are is known only when
// GROUP BY is bound.
func (q *query) grouping(g *pg.GroupingFunc) (expr.Expr, error) {
	b := q.b
	if len(g.Args) > 31 {
		return nil, b.errf(g.Location, sqlstate.TooManyArguments, "GROUPING must have fewer than 32 arguments")
	}
	if q.clause.agg != "" {
		return nil, b.errf(g.Location, sqlstate.GroupingError, "grouping operations are not allowed in %s", q.clause.agg)
	}
	call := &groupingCall{loc: g.Location}
	for _, a := range g.Args {
		e, err := q.expr(a)
		if err != nil {
			return nil, err
		}
		call.args = append(call.args, e)
		call.locs = append(call.locs, location(a))
	}
	call.col = b.column(q, "grouping", types.Int4, aggCol)
	q.groupings = append(q.groupings, call)
	q.hasAgg = true
	return b.ref(call.col.ID, g.Location), nil
}

type groupingCall struct {
	col  plan.Column
	args []expr.Expr
	locs []int32
	loc  int32
}
