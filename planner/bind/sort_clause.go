package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

type sortRef struct {
	target int
	key    plan.SortKey // Expr is filled in by build
}

// sortKey makes an ordering of an expression as ORDER BY's words say.
func (b *binder) sortKey(e expr.Expr, sb *pg.SortBy) (plan.SortKey, error) {
	k := plan.SortKey{Expr: e}
	oid := e.Type().OID
	loc := location(sb.Node)
	switch sb.SortbyDir {
	case pg.SortByDir_SORTBY_DESC:
		k.Desc = true
	case pg.SortByDir_SORTBY_USING:
		name, err := b.opName(names(sb.UseOp), sb.Location)
		if err != nil {
			return k, err
		}
		op, err := b.operator(name, oid, oid, sb.Location)
		if err != nil {
			return k, err
		}
		switch op {
		case fn.LessFor(oid):
		case fn.GreaterFor(oid):
			k.Desc = true
		default:
			return k, b.errf(sb.Location, sqlstate.WrongObjectType, "operator %s is not a valid ordering operator", name).
				WithHint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
		}
	}
	switch sb.SortbyNulls {
	case pg.SortByNulls_SORTBY_NULLS_FIRST:
		k.NullsFirst = true
	case pg.SortByNulls_SORTBY_NULLS_LAST:
	default:
		k.NullsFirst = k.Desc
	}
	return k, b.orderable(oid, loc)
}

// findTarget resolves an item of ORDER BY, GROUP BY or DISTINCT ON by SQL-92's
// rule (output names and positions), else by SQL-99's: any expression, which joins
// the list as a hidden target.
func (s *selection) findTarget(n *pg.Node, what string, c clause) (int, error) {
	q, b := s.q, s.q.b
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 && !isStar(ref.Fields) {
		name := stringNode(ref.Fields[0])
		byName := true
		if what == "GROUP BY" {
			r, _, err := q.localColumn(name, ref.Location)
			if err != nil {
				return 0, err
			}
			byName = r == nil
		}
		if byName {
			at := -1
			for i, t := range s.targets {
				if t.hidden || t.name != name {
					continue
				}
				if at >= 0 && key(s.targets[at].e) != key(t.e) {
					return 0, b.errf(ref.Location, sqlstate.AmbiguousColumn, "%s \"%s\" is ambiguous", what, name)
				}
				if at < 0 {
					at = i
				}
			}
			if at >= 0 {
				return at, nil
			}
		}
	}
	if ac := n.GetAConst(); ac != nil {
		pos, ok := int64(0), false
		switch v := ac.Val.(type) {
		case *pg.A_Const_Ival:
			pos, ok = int64(v.Ival.Ival), true
		case nil:
			ok = !ac.Isnull
		}
		if !ok {
			return 0, b.errf(ac.Location, sqlstate.SyntaxError, "non-integer constant in %s", what)
		}
		i := int64(0)
		for k, t := range s.targets {
			if t.hidden {
				continue
			}
			if i++; i == pos {
				return k, nil
			}
		}
		return 0, b.errf(ac.Location, sqlstate.InvalidColumnReference, "%s position %d is not in select list", what, pos)
	}
	var e expr.Expr
	err := q.in(c, func() (err error) {
		e, err = q.expr(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	k := key(e)
	for i, t := range s.targets {
		if key(t.e) == k {
			return i, nil
		}
	}
	s.targets = append(s.targets, target{name: "?column?", e: e, loc: location(n), hidden: true})
	return len(s.targets) - 1, nil
}

// resolve makes target i's type known.
func (s *selection) resolve(i int) error {
	t := &s.targets[i]
	e, err := s.q.b.known(t.e, t.loc)
	t.e = e
	return err
}

func (s *selection) orderBy(list []*pg.Node) error {
	for _, n := range list {
		sb := n.GetSortBy()
		i, err := s.findTarget(sb.Node, "ORDER BY", clauseSelect)
		if err != nil {
			return err
		}
		if err := s.resolve(i); err != nil {
			return err
		}
		k, err := s.q.b.sortKey(s.targets[i].e, sb)
		if err != nil {
			return err
		}
		dup := false
		for _, r := range s.sorts {
			dup = dup || r.target == i
		}
		if !dup {
			s.sorts = append(s.sorts, sortRef{i, k})
		}
	}
	return nil
}

// distinctClause binds DISTINCT (a list of one nil) and DISTINCT ON.
func (s *selection) distinctClause(list []*pg.Node) error {
	if len(list) == 0 {
		return nil
	}
	b := s.q.b
	if len(list) == 1 && list[0].GetNode() == nil {
		s.distinct = true
		for i := range s.targets {
			t := &s.targets[i]
			if t.hidden {
				for _, r := range s.sorts {
					if r.target == i {
						return b.errf(t.loc, sqlstate.InvalidColumnReference, "for SELECT DISTINCT, ORDER BY expressions must appear in select list")
					}
				}
				continue
			}
			if err := s.resolve(i); err != nil {
				return err
			}
			if _, err := b.equality(t.e.Type().OID, t.loc); err != nil {
				return err
			}
		}
		return nil
	}
	for _, n := range list {
		i, err := s.findTarget(n, "DISTINCT ON", clauseSelect)
		if err != nil {
			return err
		}
		if err := s.resolve(i); err != nil {
			return err
		}
		if _, err := b.equality(s.targets[i].e.Type().OID, location(n)); err != nil {
			return err
		}
		dup := false
		for _, k := range s.on {
			dup = dup || k == i
		}
		if !dup {
			s.on = append(s.on, i)
			s.onLocs = append(s.onLocs, location(n))
		}
	}
	// The ON items must be those that the rows are sorted by first.
	isOn := func(i int) bool {
		for _, k := range s.on {
			if k == i {
				return true
			}
		}
		return false
	}
	seen, skipped := map[int]bool{}, false
	for _, r := range s.sorts {
		if !isOn(r.target) {
			skipped = true
			continue
		}
		if skipped {
			loc := int32(-1)
			for k, i := range s.on {
				if i == r.target {
					loc = s.onLocs[k]
				}
			}
			return b.errf(loc, sqlstate.InvalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions")
		}
		seen[r.target] = true
	}
	for k, i := range s.on {
		if !skipped || seen[i] {
			continue
		}
		return b.errf(s.onLocs[k], sqlstate.InvalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions")
	}
	return nil
}
