package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// generatedAlways is 428C9, for writes to columns that the server computes.
const generatedAlways = sqlstate.Code("428C9")

// insert binds INSERT.
func (b *binder) insert(s *pg.InsertStmt, parent *query) (plan.Node, []plan.Column, error) {
	q := &query{b: b, parent: parent}
	t, err := b.writable(s.Relation, "insert into")
	if err != nil {
		return nil, nil, err
	}
	object := b.useColumns(t, "a")
	if err := q.with(s.WithClause); err != nil {
		return nil, nil, err
	}
	ords, err := b.insertColumns(t, s.Cols)
	if err != nil {
		return nil, nil, err
	}
	ins := &plan.Insert{Table: t}
	sel := s.SelectStmt.GetSelectStmt()
	given := ords
	switch {
	case sel == nil:
		given = nil
	case len(s.Cols) == 0 && len(sel.ValuesLists) > 0:
		given = ords[:min(len(ords), len(sel.ValuesLists[0].GetList().GetItems()))]
	}
	for _, o := range given {
		b.useColumn(object, 'a', t, o)
	}
	switch {
	case sel == nil:
		ins.Input, err = b.insertDefaults(q, t)
	case len(sel.ValuesLists) > 0 && sel.WithClause == nil && len(sel.SortClause) == 0 && sel.LimitCount == nil && sel.LimitOffset == nil:
		ins.Input, err = b.insertValues(q, t, ords, len(s.Cols) > 0, sel.ValuesLists, s.Cols, s.Override)
	default:
		ins.Input, err = b.insertSelect(q, t, ords, len(s.Cols) > 0, sel, s.Cols, s.Override)
	}
	if err != nil {
		return nil, nil, err
	}
	if ins.Input, err = b.generated(q, t, ins.Input); err != nil {
		return nil, nil, err
	}
	ins.Row = ins.Input.Columns()
	if ins.Checks, err = b.checks(q, t, ins.Row); err != nil {
		return nil, nil, err
	}
	name := t.Name
	if s.Relation.Alias != nil {
		name = s.Relation.Alias.Aliasname
	}
	if s.OnConflictClause != nil {
		if ins.Conflict, err = b.conflict(q, t, name, s.OnConflictClause, ins); err != nil {
			return nil, nil, err
		}
	}
	entry := q.rowRel(name, t, ins.Row)
	entry.object = object
	if len(s.ReturningList) > 0 {
		b.useColumns(t, "r")
	}
	above, cols, err := q.returning(s.ReturningList, []*rel{entry}, &ins.Returning)
	if err != nil {
		return nil, nil, err
	}
	return q.written(ins, &ins.Input, above), cols, nil
}

// insertColumns are the ordinals that INSERT's columns name: all when it names none.
func (b *binder) insertColumns(t *catalog.Table, list []*pg.Node) ([]int, error) {
	var ords []int
	if len(list) == 0 {
		for i := range t.Columns {
			ords = append(ords, i)
		}
		return ords, nil
	}
	seen := map[int]bool{}
	for _, n := range list {
		rt := n.GetResTarget()
		o := t.Ordinal(rt.Name)
		if o < 0 {
			return nil, b.errf(rt.Location, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", rt.Name, t.Name)
		}
		if len(rt.Indirection) > 0 {
			return nil, b.unsupported(rt.Location, "assignment to a part of column \"%s\"", rt.Name)
		}
		if seen[o] {
			return nil, b.errf(rt.Location, sqlstate.DuplicateColumn, "column \"%s\" specified more than once", rt.Name)
		}
		seen[o] = true
		ords = append(ords, o)
	}
	return ords, nil
}

// countMismatch compares the number of values with that of the columns.
func (b *binder) countMismatch(n int, ords []int, named bool, valueLoc func(int) int32, cols []*pg.Node) error {
	switch {
	case n > len(ords):
		return b.errf(valueLoc(len(ords)), sqlstate.SyntaxError, "INSERT has more expressions than target columns")
	case named && n < len(ords):
		return b.errf(cols[n].GetResTarget().Location, sqlstate.SyntaxError, "INSERT has more target columns than expressions")
	}
	return nil
}

// missing are the values of the columns that an INSERT does not give, by ordinal.
func (b *binder) missing(t *catalog.Table, given map[int]bool) (map[int]expr.Expr, error) {
	out := map[int]expr.Expr{}
	for i := range t.Columns {
		if given[i] {
			continue
		}
		c := &t.Columns[i]
		if c.GeneratedText != "" {
			out[i] = null(c.T)
			continue
		}
		e, err := b.defaultOf(c)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

func (b *binder) insertDefaults(q *query, t *catalog.Table) (plan.Node, error) {
	miss, err := b.missing(t, nil)
	if err != nil {
		return nil, err
	}
	row := make([]expr.Expr, len(t.Columns))
	for i := range row {
		row[i] = miss[i]
	}
	return &plan.Values{Rows: [][]expr.Expr{row}, Cols: b.rowColumns(q, t)}, nil
}

// explicit refuses a value for a column that the server computes.
func explicit(c *catalog.Column, over pg.OverridingKind) error {
	switch {
	case c.GeneratedText != "":
		return sqlstate.Errorf(generatedAlways, "cannot insert a non-DEFAULT value into column \"%s\"", c.Name).
			WithDetail("Column \"%s\" is a generated column.", c.Name)
	case c.Identity == 'a' && over != pg.OverridingKind_OVERRIDING_SYSTEM_VALUE:
		return sqlstate.Errorf(generatedAlways, "cannot insert a non-DEFAULT value into column \"%s\"", c.Name).
			WithDetail("Column \"%s\" is an identity column defined as GENERATED ALWAYS.", c.Name).
			WithHint("Use OVERRIDING SYSTEM VALUE to override.")
	}
	return nil
}

func (b *binder) insertValues(q *query, tab *catalog.Table, ords []int, named bool, lists []*pg.Node, cols []*pg.Node, over pg.OverridingKind) (plan.Node, error) {
	v := &plan.Values{Cols: b.rowColumns(q, tab)}
	width := -1
	var miss map[int]expr.Expr
	err := q.in(clauseValues, func() error {
		for _, l := range lists {
			items := l.GetList().GetItems()
			if width >= 0 && len(items) != width {
				return b.errf(location(items[0]), sqlstate.SyntaxError, "VALUES lists must all be the same length")
			}
			es := make([]expr.Expr, len(items)) // nil for DEFAULT
			for i, n := range items {
				if n.GetSetToDefault() != nil {
					continue
				}
				t := types.Unknown
				if i < len(ords) {
					t = tab.Columns[ords[i]].T
				}
				var err error
				if es[i], err = q.slotted(n, t); err != nil {
					return err
				}
			}
			if width < 0 {
				width = len(items)
				if err := b.countMismatch(width, ords, named, func(i int) int32 { return location(items[i]) }, cols); err != nil {
					return err
				}
				given := map[int]bool{}
				for _, o := range ords[:width] {
					given[o] = true
				}
				var err error
				if miss, err = b.missing(tab, given); err != nil {
					return err
				}
			}
			row := make([]expr.Expr, len(tab.Columns))
			for o, e := range miss {
				row[o] = e
			}
			for i, e := range es {
				c := &tab.Columns[ords[i]]
				var err error
				switch {
				case e == nil && c.GeneratedText != "":
					e = null(c.T)
				case e == nil || c.Identity != 0 && over == pg.OverridingKind_OVERRIDING_USER_VALUE:
					e, err = b.defaultOf(c)
				default:
					if err = explicit(c, over); err == nil {
						e, err = b.assignable(e, c.T, c.Name, location(items[i]))
					}
				}
				if err != nil {
					return err
				}
				row[ords[i]] = b.fold(e)
			}
			v.Rows = append(v.Rows, row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// fold evaluates an immutable expression of constants; one that fails stays, to
// fail when it runs.
func (b *binder) fold(e expr.Expr) expr.Expr {
	if _, ok := e.(*expr.Const); ok || b.env.Fold == nil || hasColumns(e) || expr.Volatility(e) != 0 {
		return e
	}
	if f, err := b.env.Fold(e); err == nil && f != nil {
		return f
	}
	return e
}

func (b *binder) insertSelect(q *query, t *catalog.Table, ords []int, named bool, sel *pg.SelectStmt, cols []*pg.Node, over pg.OverridingKind) (plan.Node, error) {
	r, err := b.bindQuery(sel, q, true)
	if err != nil {
		return nil, err
	}
	if err := b.countMismatch(len(r.cols), ords, named, func(i int) int32 { return targetLocation(sel, i) }, cols); err != nil {
		return nil, err
	}
	given := map[int]bool{}
	for _, o := range ords[:len(r.cols)] {
		given[o] = true
	}
	miss, err := b.missing(t, given)
	if err != nil {
		return nil, err
	}
	p := &plan.Project{Input: r.node}
	out := b.rowColumns(q, t)
	row := make([]expr.Expr, len(t.Columns))
	for o, e := range miss {
		row[o] = e
	}
	for i := range r.cols {
		c := &t.Columns[ords[i]]
		if c.Identity != 0 && over == pg.OverridingKind_OVERRIDING_USER_VALUE {
			if row[ords[i]], err = b.defaultOf(c); err != nil {
				return nil, err
			}
			continue
		}
		if err := explicit(c, over); err != nil {
			return nil, err
		}
		if row[ords[i]], err = b.assignable(armExpr(r, i), c.T, c.Name, targetLocation(sel, i)); err != nil {
			return nil, err
		}
	}
	for i, e := range row {
		p.Exprs = append(p.Exprs, plan.Projection{Col: out[i], Expr: e})
	}
	return p, nil
}

// generated computes the generated columns above an input that has the others.
func (b *binder) generated(q *query, t *catalog.Table, in plan.Node) (plan.Node, error) {
	any := false
	for i := range t.Columns {
		any = any || t.Columns[i].GeneratedText != ""
	}
	if !any {
		return in, nil
	}
	cols := in.Columns()
	row := q.rowRel(t.Name, t, cols)
	p := &plan.Project{Input: in}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.GeneratedText == "" {
			p.Exprs = append(p.Exprs, plan.Projection{Col: cols[i], Expr: cols[i].Ref()})
			continue
		}
		e, err := b.columnExpr(c.GeneratedText, c, row)
		if err != nil {
			return nil, err
		}
		out := b.column(q, c.Name, c.T, inputCol)
		out.Table, out.Attr = t.OID, c.Attr
		p.Exprs = append(p.Exprs, plan.Projection{Col: out, Expr: e})
	}
	return p, nil
}
