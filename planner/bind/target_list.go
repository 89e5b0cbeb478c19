package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
)

// target is an entry of a select list. Hidden ones serve ORDER BY, DISTINCT ON and
// GROUP BY only.
type target struct {
	name   string
	e      expr.Expr
	loc    int32
	hidden bool
	// qualifier and source are the relation and the column that one expanded from *
	// stands for, when it can be named.
	qualifier, source string
}

// targets binds a select list, stars expanded.
func (q *query) targets(list []*pg.Node) ([]target, error) {
	var out []target
	for _, n := range list {
		rt := n.GetResTarget()
		if ref := rt.Val.GetColumnRef(); ref != nil && isStar(ref.Fields) {
			ts, err := q.star(ref)
			if err != nil {
				return nil, err
			}
			q.b.record.star(rt, ts)
			out = append(out, ts...)
			continue
		}
		if ind := rt.Val.GetAIndirection(); ind != nil && isStar(ind.Indirection) {
			ts, err := q.fieldStar(ind)
			if err != nil {
				return nil, err
			}
			out = append(out, ts...)
			continue
		}
		e, err := q.expr(rt.Val)
		if err != nil {
			return nil, err
		}
		name := rt.Name
		if name == "" {
			name = columnName(rt.Val)
		}
		out = append(out, target{name: name, e: e, loc: location(rt.Val)})
	}
	return out, nil
}

func isStar(fields []*pg.Node) bool {
	return len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil
}

// star expands * and rel.*.
func (q *query) star(ref *pg.ColumnRef) ([]target, error) {
	b := q.b
	var out []target
	add := func(r *rel) {
		for i := range r.cols {
			from, c := r, r.cols[i]
			for c.src != nil && !from.relVisible {
				from = c.src
				c = from.cols[c.idx]
			}
			t := target{name: r.cols[i].name, e: r.value(i, ref.Location), loc: ref.Location}
			if from.relVisible {
				t.qualifier, t.source = from.name, c.name
			}
			out = append(out, t)
		}
	}
	if len(ref.Fields) == 1 {
		found := false
		for _, r := range q.ns {
			if r.colsVisible && q.sees(r) {
				found = true
				add(r)
			}
		}
		if !found {
			return nil, b.errf(ref.Location, sqlstate.SyntaxError, "SELECT * with no tables specified is not valid")
		}
		return out, nil
	}
	ns := names(ref.Fields[:len(ref.Fields)-1])
	r, err := q.relByNames(ns, ref.Location)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, q.missingRel(ns[len(ns)-1], ref.Location)
	}
	add(r)
	return out, nil
}

// relByNames resolves [[db.]schema.]rel.
func (q *query) relByNames(ns []string, loc int32) (*rel, error) {
	schema := ""
	switch len(ns) {
	case 1:
	case 2:
		schema = ns[0]
	case 3:
		if ns[0] != q.b.env.Database {
			return nil, q.b.errf(loc, sqlstate.FeatureNotSupported, "cross-database references are not implemented: %s.%s.%s.*", ns[0], ns[1], ns[2])
		}
		schema = ns[1]
	default:
		return nil, q.b.errf(loc, sqlstate.SyntaxError, "improper qualified name (too many dotted names)")
	}
	return q.findRel(schema, ns[len(ns)-1], loc)
}

// fieldStar expands (record).*.
func (q *query) fieldStar(ind *pg.A_Indirection) ([]target, error) {
	inner := &pg.A_Indirection{Arg: ind.Arg, Indirection: ind.Indirection[:len(ind.Indirection)-1]}
	var e expr.Expr
	var err error
	if len(inner.Indirection) == 0 {
		e, err = q.expr(ind.Arg)
	} else {
		e, err = q.indirection(inner)
	}
	if err != nil {
		return nil, err
	}
	fields, err := q.fields(e, location(ind.Arg))
	if err != nil {
		return nil, err
	}
	return fields, nil
}
