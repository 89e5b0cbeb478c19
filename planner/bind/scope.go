package bind

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// rel is one entry of the namespace: a table, subquery, function or join.
type rel struct {
	name  string
	table *catalog.Table // a relation named in FROM, nil for others
	scan  *plan.Scan     // when the relation is scanned
	node  plan.Node      // what FROM has of it
	q     *query
	cols  []relCol
	// relVisible: "name.column" works. colsVisible: "column" works.
	relVisible, colsVisible bool
	// lateralOnly: seen only from LATERAL items to its right; lateralOK: may be
	// referred to from there.
	lateralOnly, lateralOK bool
	hidden                 map[string]int // ids of columns that * leaves out, by name
	aliased                int            // how many columns have names that an alias gives them
	// scalar: a function that returns one plain column; its name is a value too.
	scalar bool
	// object is what useColumn takes for what is read of the relation; 0 for none.
	object int
	// written: the target of an UPDATE or DELETE, which has no binlog columns.
	written bool
}

// relCol is a column of a rel: an expression, a column of another rel (a join's),
// or an ordinal of a scan that is added to it when first used.
type relCol struct {
	name string
	e    expr.Expr
	src  *rel
	idx  int
	id   int // of the scan's column, 0 until used
}

// value is the column as an expression met at loc, for one who has to have the right
// to read it.
func (r *rel) value(i int, loc int32) expr.Expr {
	if r.object > 0 {
		r.q.b.useColumn(r.object, 'r', r.table, i)
	}
	return r.plain(i, loc)
}

// plain is value for the server's own ends.
func (r *rel) plain(i int, loc int32) expr.Expr {
	b := r.q.b
	if i < 0 {
		return b.ref(r.hiddenColumn(hiddenNames[-1-i]), loc)
	}
	c := &r.cols[i]
	switch {
	case c.src != nil:
		return c.src.value(c.idx, loc)
	case c.e != nil:
		if x, ok := c.e.(*expr.Column); ok {
			return b.ref(x.ID, loc)
		}
		return c.e
	case c.id == 0:
		c.id = b.scanColumn(r, c.idx)
	}
	return b.ref(c.id, loc)
}

// scanColumn adds a column of the table to r's scan.
func (b *binder) scanColumn(r *rel, ord int) int {
	col := plan.Column{ID: b.id()}
	switch {
	case ord >= len(r.table.Columns): // of the binlog
		tc := &r.scan.Table.Columns[ord]
		col.Name, col.T = tc.Name, tc.T
	case ord >= 0:
		tc := &r.table.Columns[ord]
		col.Name, col.T = tc.Name, b.columnType(r.table, ord)
		col.Table, col.Attr = r.table.OID, tc.Attr
	case ord == catalog.ColCSN:
		col.Name, col.T = "csn", types.Int8
	case ord == catalog.ColRowID:
		col.Name, col.T = "row_id", types.Int8
	case ord == catalog.ColShard:
		col.Name, col.T = catalog.ShardColumn, types.Int4
	}
	r.scan.Cols = append(r.scan.Cols, col)
	r.scan.Ords = append(r.scan.Ords, ord)
	b.cols[col.ID] = &colInfo{col: col, q: r.q, rel: r, ord: ord}
	return col.ID
}

// columnType is a column's type, with the digits of a scaled numeric narrowed to
// those that the statistics know of.
func (b *binder) columnType(t *catalog.Table, ord int) types.T {
	ct := t.Columns[ord].T
	if !ct.Scaled() || b.binlog && t.KeepsBinlog() || b.env.Stats == nil || t.Kind != catalog.KindTable {
		return ct
	}
	st := b.env.Stats(t.OID)
	if st == nil || ord >= len(st.Columns) {
		return ct
	}
	lo, hi := st.Columns[ord].Min, st.Columns[ord].Max
	if !lo.Valid || !hi.Valid {
		return ct
	}
	p := int16(max(digitsOf(ct, lo), digitsOf(ct, hi)))
	if p >= ct.Prec {
		return ct
	}
	ct.Prec = p
	b.assumed[[2]int{int(t.OID), ord}] = int(p)
	return ct
}

// digitsOf counts the digits of an unscaled value, at least one.
func digitsOf(t types.T, d types.Datum) int {
	v := types.I128(d.I)
	if t.Layout == types.LayoutI128 {
		v = d.I128()
	}
	var buf [48]byte
	s := types.AppendInt128(buf[:0], v)
	if s[0] == '-' {
		s = s[1:]
	}
	return len(s)
}

// use says whether an entry can be seen from where q's expressions stand now.
func (q *query) sees(r *rel) bool { return !r.lateralOnly || q.lateral }

// findColumn resolves an unqualified column name, in this level and those around it.
func (q *query) findColumn(name string, loc int32) (expr.Expr, error) {
	r, i, err := q.relOfColumn(name, loc)
	if err != nil || r == nil {
		return nil, err
	}
	return r.value(i, loc), nil
}

// relOfColumn is findColumn's relation, nil for none, and the place of the column in it.
func (q *query) relOfColumn(name string, loc int32) (*rel, int, error) {
	for l := q; l != nil; l = l.parent {
		r, i, err := l.localColumn(name, loc)
		if err != nil {
			return nil, 0, err
		}
		if r != nil {
			if r.lateralOnly && !r.lateralOK {
				return nil, 0, q.badLateral(r, loc)
			}
			return r, i, nil
		}
	}
	return nil, 0, nil
}

// localColumn finds an unqualified column name in this level only.
func (q *query) localColumn(name string, loc int32) (found *rel, at int, err error) {
	for _, r := range q.ns {
		if !r.colsVisible || !q.sees(r) {
			continue
		}
		for i := range r.cols {
			if r.cols[i].name != name {
				continue
			}
			if found != nil {
				return nil, 0, q.b.errf(loc, sqlstate.AmbiguousColumn, "column reference \"%s\" is ambiguous", name)
			}
			found, at = r, i
		}
	}
	if found == nil {
		return q.localHidden(name, loc)
	}
	return found, at, nil
}

// findRel resolves a relation's name in this level and those around it.
func (q *query) findRel(schema, name string, loc int32) (*rel, error) {
	for l := q; l != nil; l = l.parent {
		var found *rel
		for _, r := range l.ns {
			if !r.relVisible || !l.sees(r) || r.name != name {
				continue
			}
			if schema != "" && (r.table == nil || r.name != r.table.Name || l.b.schemaName(r.table) != schema) {
				continue
			}
			if found != nil {
				return nil, q.b.errf(loc, sqlstate.AmbiguousAlias, "table reference \"%s\" is ambiguous", name)
			}
			found = r
		}
		if found != nil {
			if found.lateralOnly && !found.lateralOK {
				return nil, q.badLateral(found, loc)
			}
			return found, nil
		}
	}
	return nil, nil
}

func (q *query) badLateral(r *rel, loc int32) error {
	return q.b.errf(loc, sqlstate.InvalidColumnReference, "invalid reference to FROM-clause entry for table \"%s\"", r.name).
		WithDetail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
}

// missingRel is the error for a qualified name whose relation is not there.
func (q *query) missingRel(name string, loc int32) error {
	for l := q; l != nil; l = l.parent {
		for _, r := range l.ns {
			if r.table != nil && r.table.Name == name && r.name != name && r.relVisible {
				return q.b.errf(loc, sqlstate.UndefinedTable, "invalid reference to FROM-clause entry for table \"%s\"", name).
					WithHint("Perhaps you meant to reference the table alias \"%s\".", r.name)
			}
			if r.name == name {
				err := q.b.errf(loc, sqlstate.UndefinedTable, "invalid reference to FROM-clause entry for table \"%s\"", name).
					WithDetail("There is an entry for table \"%s\", but it cannot be referenced from this part of the query.", name)
				if r.lateralOnly && r.lateralOK && r.relVisible {
					return err.WithHint("To reference that table, you must mark this subquery with LATERAL.")
				}
				return err
			}
		}
		if l.hidden[name] {
			return q.b.errf(loc, sqlstate.UndefinedTable, "invalid reference to FROM-clause entry for table \"%s\"", name).
				WithDetail("There is an entry for table \"%s\", but it cannot be referenced from this part of the query.", name)
		}
	}
	return q.b.errf(loc, sqlstate.UndefinedTable, "missing FROM-clause entry for table \"%s\"", name)
}

// columnOf finds a column in a relation: -1 when there is none.
func (q *query) columnOf(r *rel, name string, loc int32) (int, error) {
	at := -1
	for i := range r.cols {
		if r.cols[i].name == name {
			if at >= 0 {
				return 0, q.b.errf(loc, sqlstate.AmbiguousColumn, "column reference \"%s\" is ambiguous", name)
			}
			at = i
		}
	}
	if at < 0 {
		at = r.hiddenAt(name)
	}
	return at, nil
}

// wholeRow is a relation's row as a value: a function's single column itself,
// else a record.
func (q *query) wholeRow(r *rel, loc int32) expr.Expr {
	if r.scalar && len(r.cols) == 1 {
		return r.value(0, loc)
	}
	row := &expr.Row{}
	for i := range r.cols {
		row.Elems = append(row.Elems, r.value(i, loc))
		row.Names = append(row.Names, r.cols[i].name)
	}
	return row
}

func (b *binder) schemaName(t *catalog.Table) string {
	if s := b.env.Catalog.Schema(t.Schema); s != nil {
		return s.Name
	}
	switch t.Schema {
	case catalog.PgCatalogOID:
		return "pg_catalog"
	case catalog.InformationSchemaOID:
		return "information_schema"
	case catalog.HologresSchemaOID:
		return "hologres"
	}
	return ""
}

// depends says whether n uses columns that from produces.
func depends(n plan.Node, from plan.Node) bool {
	set := map[int]bool{}
	for _, c := range from.Columns() {
		set[c.ID] = true
	}
	found := false
	plan.RewriteExprs(n, func(e expr.Expr) (expr.Expr, bool) {
		if c, ok := e.(*expr.Column); ok && set[c.ID] {
			found = true
		}
		return e, found
	})
	return found
}
