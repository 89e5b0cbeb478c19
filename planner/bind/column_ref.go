package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// columnRef resolves a possibly qualified column.
func (q *query) columnRef(ref *pg.ColumnRef) (expr.Expr, error) {
	b, loc := q.b, ref.Location
	if q.clause.noColumns != "" {
		return nil, b.errf(loc, sqlstate.FeatureNotSupported, "%s", q.clause.noColumns)
	}
	if isStar(ref.Fields) {
		return q.wholeRowRef(ref)
	}
	ns := names(ref.Fields)
	if len(ns) == 1 {
		in, i, err := q.relOfColumn(ns[0], loc)
		if err != nil {
			return nil, err
		}
		if in != nil {
			b.record.column(ref, in, i)
			return in.value(i, loc), nil
		}
		// A relation's name stands for its row.
		r, err := q.findRel("", ns[0], loc)
		if err != nil {
			return nil, err
		}
		if r != nil {
			return q.wholeRow(r, loc), nil
		}
		if ns[0] == "tableoid" {
			for _, r := range q.ns {
				if r.table != nil && r.relVisible {
					return &expr.Const{T: types.Oid, D: types.NewInt(int64(r.table.OID))}, nil
				}
			}
		}
		return nil, q.missingColumn("", ns[0], loc)
	}
	r, err := q.relByNames(ns[:len(ns)-1], loc)
	if err != nil {
		return nil, err
	}
	name := ns[len(ns)-1]
	if r == nil {
		// column.field of a composite column
		if len(ns) == 2 {
			if e, err := q.findColumn(ns[0], loc); err == nil && e != nil && e.Type().OID == types.RecordOID {
				return q.field(e, name, loc)
			}
		}
		return nil, q.missingRel(ns[len(ns)-2], loc)
	}
	i, err := q.columnOf(r, name, loc)
	if err != nil {
		return nil, err
	}
	if i == notHidden {
		if name == "tableoid" && r.table != nil {
			return &expr.Const{T: types.Oid, D: types.NewInt(int64(r.table.OID))}, nil
		}
		return nil, q.missingColumn(r.name, name, loc)
	}
	b.record.column(ref, r, i)
	return r.value(i, loc), nil
}

func (q *query) missingColumn(rel, name string, loc int32) error {
	if rel != "" {
		return q.b.errf(loc, sqlstate.UndefinedColumn, "column %s.%s does not exist", rel, name)
	}
	err := q.b.errf(loc, sqlstate.UndefinedColumn, "column \"%s\" does not exist", name)
	if h := q.columnHint(name); h != "" {
		return err.WithHint("%s", h)
	}
	return err
}

// columnHint names a visible column that differs from name in case only or by
// little.
func (q *query) columnHint(name string) string {
	best, bestRel, dist, ties := "", "", len(name)/2+1, 0
	for l := q; l != nil; l = l.parent {
		for _, r := range l.ns {
			if !r.relVisible {
				continue
			}
			for i := range r.cols {
				d := editDistance(name, r.cols[i].name, dist)
				switch {
				case d < dist:
					best, bestRel, dist, ties = r.cols[i].name, r.name, d, 1
				case d == dist && best != "":
					ties++
				}
			}
		}
	}
	if best == "" || ties > 1 || dist > 3 {
		return ""
	}
	return "Perhaps you meant to reference the column \"" + bestRel + "." + best + "\"."
}

// editDistance is the Levenshtein distance, or limit+1 when it is above limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(a) > 63 || len(b) > 63 {
		return limit + 1
	}
	prev, cur := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			c := 1
			if a[i-1] == b[j-1] {
				c = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+c)
		}
		prev, cur = cur, prev
	}
	return min(prev[len(b)], limit+1)
}

// wholeRowRef is rel.* where one value is wanted.
func (q *query) wholeRowRef(ref *pg.ColumnRef) (expr.Expr, error) {
	if len(ref.Fields) == 1 {
		return nil, q.b.errf(ref.Location, sqlstate.SyntaxError, "row expansion via \"*\" is not supported here")
	}
	ns := names(ref.Fields[:len(ref.Fields)-1])
	r, err := q.relByNames(ns, ref.Location)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, q.missingRel(ns[len(ns)-1], ref.Location)
	}
	return q.wholeRow(r, ref.Location), nil
}
