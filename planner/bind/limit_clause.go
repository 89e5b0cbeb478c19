package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// limits are a query's LIMIT and OFFSET.
type limits struct {
	count, offset expr.Expr
	ties          bool
}

func (q *query) limit(s *pg.SelectStmt) (limits, error) {
	var l limits
	l.ties = s.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES
	one := func(n *pg.Node, c clause, what string) (expr.Expr, error) {
		if n == nil {
			return nil, nil
		}
		var out expr.Expr
		err := q.in(c, func() error {
			e, err := q.expr(n) // no slot: top-N wants to see the number
			if err != nil {
				return err
			}
			o, ok, err := q.b.coerce(e, types.Int8, fn.Assignment, location(n))
			if err != nil {
				return err
			}
			if !ok {
				return q.b.errf(location(n), sqlstate.DatatypeMismatch, "argument of %s must be type bigint, not type %s", what, types.FormatTypeNoMod(e.Type().OID))
			}
			if q.usesColumns(o) {
				return q.b.errf(location(n), sqlstate.InvalidColumnReference, "argument of %s must not contain variables", what)
			}
			out = o
			return nil
		})
		if c, ok := out.(*expr.Const); ok && !c.D.Valid {
			return nil, err
		}
		return out, err
	}
	var err error
	if l.offset, err = one(s.LimitOffset, clauseOffset, "OFFSET"); err != nil {
		return l, err
	}
	if s.LimitCount != nil && l.ties {
		if c := s.LimitCount.GetAConst(); c != nil && c.Isnull {
			return l, q.b.errf(-1, sqlstate.InvalidRowCountInLimitClause, "row count cannot be null in FETCH FIRST ... WITH TIES clause")
		}
	}
	l.count, err = one(s.LimitCount, clauseLimit, "LIMIT")
	return l, err
}

// apply puts the limits above a node that is sorted by keys.
func (l limits) apply(n plan.Node, keys []plan.SortKey) plan.Node {
	if l.count == nil && l.offset == nil {
		return n
	}
	lim := &plan.Limit{Input: n, Count: l.count, Offset: l.offset}
	if l.ties && l.count != nil {
		lim.WithTies, lim.Ties = true, keys
	}
	return lim
}
