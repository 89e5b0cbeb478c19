package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// generatedAlways is 428C9, for writes to columns that the server computes.
const generatedAlways = sqlstate.Code("428C9")

// writable finds the target of a write; verb is for errors.
func (b *binder) writable(rv *pg.RangeVar, verb string) (*catalog.Table, error) {
	if rv.Catalogname != "" && rv.Catalogname != b.env.Database {
		return nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "cross-database references are not implemented: \"%s.%s.%s\"", rv.Catalogname, rv.Schemaname, rv.Relname)
	}
	t, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
	if err != nil {
		return nil, err
	}
	switch t.Kind {
	case catalog.KindView:
		return nil, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "cannot %s view \"%s\"", verb, t.Name).
			WithDetail("Views are not updatable.")
	case catalog.KindSequence:
		return nil, sqlstate.Errorf(sqlstate.WrongObjectType, "cannot change sequence \"%s\"", t.Name)
	case catalog.KindSystem:
		return nil, sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied: \"%s\" is a system catalog", t.Name)
	}
	return t, nil
}

// rowColumns makes columns for a whole row of a table, by ordinal.
func (b *binder) rowColumns(q *query, t *catalog.Table) []plan.Column {
	out := make([]plan.Column, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		out[i] = b.column(q, c.Name, c.T, inputCol)
		out[i].Table, out[i].Attr = t.OID, c.Attr
		b.cols[out[i].ID].col = out[i]
	}
	return out
}

// rowRel makes a namespace entry of a row's columns.
func (q *query) rowRel(name string, t *catalog.Table, cols []plan.Column) *rel {
	r := &rel{name: name, table: t, q: q, relVisible: true, colsVisible: true, lateralOK: true}
	for i, c := range cols {
		r.cols = append(r.cols, relCol{name: t.Columns[i].Name, e: c.Ref(), idx: i})
	}
	return r
}

// defaultOf is a column's default, typed as the column.
func (b *binder) defaultOf(c *catalog.Column) (expr.Expr, error) {
	if c.DefaultText == "" {
		if c.Identity != 0 {
			return b.columnExpr(catalog.NextvalText(c.Sequence), c, nil)
		}
		return null(c.T), nil
	}
	return b.columnExpr(c.DefaultText, c, nil)
}

// columnExpr binds the text of a column's default or generation expression; row
// is what its column references mean.
func (b *binder) columnExpr(text string, c *catalog.Column, row *rel) (expr.Expr, error) {
	n, err := parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	saved := b.text
	b.text = ""
	defer func() { b.text = saved }()
	q := &query{b: b, clause: clauseDefault}
	if row != nil {
		q.clause = clauseGenerated
		q.ns = []*rel{row}
	}
	e, err := q.expr(n)
	if err != nil {
		return nil, err
	}
	return b.assignable(e, c.T, c.Name, -1)
}

// checks are the tests that a new row must pass.
func (b *binder) checks(q *query, t *catalog.Table, row []plan.Column) ([]plan.Check, error) {
	var out []plan.Check
	pk := map[int]bool{}
	for _, o := range t.PK {
		pk[o] = true
	}
	for i := range t.Columns {
		if t.Columns[i].NotNull || pk[i] {
			out = append(out, plan.Check{Name: t.Columns[i].Name, Column: t.Columns[i].Name, Pred: &expr.IsNull{Arg: row[i].Ref(), Not: true}})
		}
	}
	for _, c := range t.Checks {
		n, err := parser.ParseExpr(c.Text)
		if err != nil {
			return nil, err
		}
		saved := b.text
		b.text = ""
		cq := &query{b: b, ns: []*rel{q.rowRel(t.Name, t, row)}}
		e, err := cq.condition(n, clauseCheck, "CHECK")
		b.text = saved
		if err != nil {
			return nil, err
		}
		out = append(out, plan.Check{Name: c.Name, Pred: e})
	}
	return out, nil
}

// returning binds a RETURNING list into ret. Where it has subqueries, ret passes on
// the columns that it uses, and above computes it from these.
func (q *query) returning(list []*pg.Node, ns []*rel, ret *[]plan.Projection) (above []plan.Projection, cols []plan.Column, err error) {
	if len(list) == 0 {
		return nil, nil, nil
	}
	b := q.b
	q.ns = ns
	var ts []target
	err = q.in(clauseReturning, func() (err error) {
		ts, err = q.targets(list)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var out []plan.Projection
	sub := false
	for _, t := range ts {
		e, err := b.known(t.e, t.loc)
		if err != nil {
			return nil, nil, err
		}
		sub = sub || hasSubquery(e)
		c := b.column(q, t.name, e.Type(), inputCol)
		if ref, ok := e.(*expr.Column); ok {
			c.Table, c.Attr = b.cols[ref.ID].col.Table, b.cols[ref.ID].col.Attr
		}
		out = append(out, plan.Projection{Col: c, Expr: e})
		cols = append(cols, c)
	}
	if !sub {
		*ret = out
		return nil, cols, nil
	}
	fresh := map[int]plan.Column{}
	for i, p := range out {
		out[i].Expr = plan.RewriteExpr(p.Expr, func(e expr.Expr) (expr.Expr, bool) {
			c, ok := e.(*expr.Column)
			if !ok || b.cols[c.ID] == nil || b.cols[c.ID].q != q {
				return e, false
			}
			f, ok := fresh[c.ID]
			if !ok {
				f = b.column(q, c.Name, c.T, inputCol)
				fresh[c.ID] = f
				*ret = append(*ret, plan.Projection{Col: f, Expr: c})
			}
			return f.Ref(), true
		})
	}
	if len(*ret) == 0 { // one row for each row
		*ret = append(*ret, plan.Projection{Col: b.column(q, "one", types.Int4, inputCol), Expr: &expr.Const{T: types.Int4, D: types.NewInt(1)}})
	}
	return out, cols, nil
}

// written puts the WITH items of a write below it, and the part of RETURNING that
// has subqueries above; then these may read the items too.
func (q *query) written(n plan.Node, in *plan.Node, above []plan.Projection) plan.Node {
	if above == nil {
		*in = q.wrapCTEs(*in)
		return n
	}
	return q.wrapCTEs(&plan.Project{Input: n, Exprs: above})
}

func hasSubquery(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		if _, ok := e.(*plan.Subquery); ok {
			found = true
		}
		return !found
	})
	return found
}

// insert binds INSERT.
func (b *binder) insert(s *pg.InsertStmt, parent *query) (plan.Node, []plan.Column, error) {
	q := &query{b: b, parent: parent}
	t, err := b.writable(s.Relation, "insert into")
	if err != nil {
		return nil, nil, err
	}
	b.use(t, "a")
	if err := q.with(s.WithClause); err != nil {
		return nil, nil, err
	}
	ords, err := b.insertColumns(t, s.Cols)
	if err != nil {
		return nil, nil, err
	}
	ins := &plan.Insert{Table: t}
	sel := s.SelectStmt.GetSelectStmt()
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
	if len(s.ReturningList) > 0 {
		b.use(t, "r")
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

// conflict binds ON CONFLICT.
func (b *binder) conflict(q *query, t *catalog.Table, name string, c *pg.OnConflictClause, ins *plan.Insert) (*plan.Conflict, error) {
	out := &plan.Conflict{DoNothing: c.Action == pg.OnConflictAction_ONCONFLICT_NOTHING}
	if inf := c.Infer; inf != nil {
		if err := b.arbiter(q, t, inf); err != nil {
			return nil, err
		}
	} else if !out.DoNothing {
		return nil, b.errf(c.Location, sqlstate.SyntaxError, "ON CONFLICT DO UPDATE requires inference specification or constraint name").
			WithHint("For example, ON CONFLICT (column_name).")
	}
	if out.DoNothing {
		return out, nil
	}
	b.use(t, "w")
	out.Old = b.rowColumns(q, t)
	q.ns = []*rel{q.rowRel(name, t, out.Old), q.rowRel("excluded", t, ins.Row)}
	set, err := q.assignments(t, c.TargetList)
	if err != nil {
		return nil, err
	}
	if out.Set, err = b.newRow(q, t, out.Old, set); err != nil {
		return nil, err
	}
	if c.WhereClause != nil {
		if out.Where, err = q.condition(c.WhereClause, clauseWhere, "WHERE"); err != nil {
			return nil, err
		}
	}
	q.ns = nil
	return out, q.hoistConflict(out, ins, c.Location)
}

// hoistConflict computes the subqueries of ON CONFLICT beside the proposed rows.
func (q *query) hoistConflict(k *plan.Conflict, ins *plan.Insert, loc int32) error {
	b := q.b
	old := map[int]bool{}
	for _, c := range k.Old {
		old[c.ID] = true
	}
	p := &plan.Project{Input: ins.Input}
	for _, c := range ins.Row {
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	onOld := false
	hoist := func(e expr.Expr) expr.Expr {
		return plan.RewriteExpr(e, func(e expr.Expr) (expr.Expr, bool) {
			s, ok := e.(*plan.Subquery)
			if !ok {
				return e, false
			}
			plan.RewriteExpr(s, func(e expr.Expr) (expr.Expr, bool) {
				if c, ok := e.(*expr.Column); ok && old[c.ID] {
					onOld = true
				}
				return e, false
			})
			c := b.column(q, "value", s.Type(), inputCol)
			p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: s})
			k.Extra = append(k.Extra, c)
			return c.Ref(), true
		})
	}
	if k.Where != nil {
		k.Where = hoist(k.Where)
	}
	for i, e := range k.Set {
		k.Set[i] = hoist(e)
	}
	if onOld {
		return b.unsupported(loc, "a subquery over the existing row in ON CONFLICT")
	}
	if len(k.Extra) > 0 {
		ins.Input = p
	}
	return nil
}

// arbiter checks that ON CONFLICT names the primary key, the only unique constraint.
func (b *binder) arbiter(q *query, t *catalog.Table, inf *pg.InferClause) error {
	if inf.Conname != "" {
		if t.PKName == "" || inf.Conname != t.PKName {
			return b.errf(inf.Location, sqlstate.UndefinedObject, "constraint \"%s\" for table \"%s\" does not exist", inf.Conname, t.Name)
		}
		return nil
	}
	want := map[int]bool{}
	for _, n := range inf.IndexElems {
		e := n.GetIndexElem()
		if e.Name == "" {
			return b.errf(inf.Location, sqlstate.InvalidColumnReference, "there is no unique or exclusion constraint matching the ON CONFLICT specification")
		}
		o := t.Ordinal(e.Name)
		if o < 0 {
			return b.errf(inf.Location, sqlstate.UndefinedColumn, "column \"%s\" does not exist", e.Name)
		}
		want[o] = true
	}
	match := len(want) == len(t.PK) && len(t.PK) > 0
	for _, o := range t.PK {
		match = match && want[o]
	}
	if !match {
		return sqlstate.Errorf(sqlstate.InvalidColumnReference, "there is no unique or exclusion constraint matching the ON CONFLICT specification")
	}
	return nil
}

// assignments binds a SET list: the new values by ordinal.
func (q *query) assignments(t *catalog.Table, list []*pg.Node) (map[int]expr.Expr, error) {
	b := q.b
	// The values are bound before the columns are looked at, as PostgreSQL does.
	type value struct {
		e         expr.Expr
		loc       int32
		isDefault bool
	}
	values := make([]value, len(list))
	err := q.in(clauseUpdate, func() error {
		for i, n := range list {
			e, loc, isDefault, err := q.assigned(n.GetResTarget())
			if err != nil {
				return err
			}
			values[i] = value{e, loc, isDefault}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out, seen := map[int]expr.Expr{}, map[int]bool{}
	for i, n := range list {
		rt, v := n.GetResTarget(), values[i]
		o := t.Ordinal(rt.Name)
		if o < 0 {
			return nil, b.errf(rt.Location, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", rt.Name, t.Name)
		}
		if len(rt.Indirection) > 0 {
			return nil, b.unsupported(rt.Location, "assignment to a part of column \"%s\"", rt.Name)
		}
		c := &t.Columns[o]
		if v.isDefault {
			if c.GeneratedText != "" {
				continue
			}
			if v.e, err = b.defaultOf(c); err != nil {
				return nil, err
			}
		} else {
			if c.GeneratedText != "" {
				return nil, sqlstate.Errorf(generatedAlways, "column \"%s\" can only be updated to DEFAULT", c.Name).
					WithDetail("Column \"%s\" is a generated column.", c.Name)
			}
			if c.Identity == 'a' {
				return nil, sqlstate.Errorf(generatedAlways, "column \"%s\" can only be updated to DEFAULT", c.Name).
					WithDetail("Column \"%s\" is an identity column defined as GENERATED ALWAYS.", c.Name)
			}
			if v.e, err = b.assignable(v.e, c.T, c.Name, v.loc); err != nil {
				return nil, err
			}
		}
		if seen[o] {
			return nil, b.errf(-1, sqlstate.SyntaxError, "multiple assignments to same column \"%s\"", c.Name)
		}
		seen[o] = true
		out[o] = v.e
	}
	return out, nil
}

// assigned binds the value of one SET item.
func (q *query) assigned(rt *pg.ResTarget) (e expr.Expr, loc int32, isDefault bool, err error) {
	n := rt.Val
	if m := n.GetMultiAssignRef(); m != nil {
		if row := m.Source.GetRowExpr(); row != nil {
			if len(row.Args) != int(m.Ncolumns) {
				return nil, 0, false, q.b.errf(location(m.Source), sqlstate.SyntaxError, "number of columns does not match number of values")
			}
			n = row.Args[m.Colno-1]
		} else if sub := m.Source.GetSubLink(); sub != nil && sub.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
			fields, err := q.rowOf(sub, int(m.Ncolumns), -1)
			if err != nil {
				if e := sqlstate.From(err); strings.HasPrefix(e.Message, "subquery has too ") {
					err = q.b.errf(location(m.Source), sqlstate.SyntaxError, "number of columns does not match number of values")
				}
				return nil, 0, false, err
			}
			return fields[m.Colno-1], location(m.Source), false, nil
		} else {
			return nil, 0, false, q.b.errf(location(m.Source), sqlstate.FeatureNotSupported, "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression")
		}
	}
	if n.GetSetToDefault() != nil {
		return nil, 0, true, nil
	}
	e, err = q.expr(n)
	return e, location(n), false, err
}

// newRow is a whole row by ordinal: the assigned values, the old ones elsewhere,
// and generated columns computed from these.
func (b *binder) newRow(q *query, t *catalog.Table, old []plan.Column, set map[int]expr.Expr) ([]expr.Expr, error) {
	out := make([]expr.Expr, len(t.Columns))
	for i := range t.Columns {
		if e, ok := set[i]; ok {
			out[i] = e
		} else {
			out[i] = old[i].Ref()
		}
	}
	row := &rel{name: t.Name, table: t, q: q, relVisible: true, colsVisible: true}
	for i := range t.Columns {
		row.cols = append(row.cols, relCol{name: t.Columns[i].Name, e: out[i], idx: i})
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.GeneratedText == "" {
			continue
		}
		e, err := b.columnExpr(c.GeneratedText, c, row)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

// targetScan is the scan of an UPDATE's or DELETE's table: all columns and the
// hidden ones that name the row.
func (q *query) targetScan(t *catalog.Table, rv *pg.RangeVar) (*plan.Scan, *rel, []plan.Column, plan.Column, plan.Column, error) {
	b := q.b
	s, r, err := q.scan(t, rv.Alias)
	if err != nil {
		return nil, nil, nil, plan.Column{}, plan.Column{}, err
	}
	r.written = true
	old := make([]plan.Column, len(t.Columns))
	for i := range t.Columns {
		r.value(i, -1)
		old[i] = b.cols[r.cols[i].id].col
	}
	csn := b.cols[b.scanColumn(r, catalog.ColCSN)].col
	var id plan.Column
	if len(t.PK) == 0 {
		id = b.cols[b.scanColumn(r, catalog.ColRowID)].col
	}
	return s, r, old, csn, id, nil
}

// update binds UPDATE.
func (b *binder) update(s *pg.UpdateStmt, parent *query) (plan.Node, []plan.Column, error) {
	q := &query{b: b, parent: parent}
	t, err := b.writable(s.Relation, "update")
	if err != nil {
		return nil, nil, err
	}
	b.use(t, "w")
	if err := q.with(s.WithClause); err != nil {
		return nil, nil, err
	}
	scan, r, old, csn, id, err := q.targetScan(t, s.Relation)
	if err != nil {
		return nil, nil, err
	}
	u := &plan.Update{Table: t, Old: old, CSN: csn, RowID: id, SelfContained: len(s.FromClause) == 0}
	node, err := q.writeInput(scan, r, s.FromClause)
	if err != nil {
		return nil, nil, err
	}
	set, err := q.assignments(t, s.TargetList)
	if err != nil {
		return nil, nil, err
	}
	if node, err = q.writeFilter(node, s.WhereClause, &u.Recheck, &u.SelfContained); err != nil {
		return nil, nil, err
	}
	if u.Set, err = b.newRow(q, t, old, set); err != nil {
		return nil, nil, err
	}
	node = q.hoist(node, u.Set)
	u.Input = node
	u.Row = b.rowColumns(q, t)
	if u.Checks, err = b.checks(q, t, u.Row); err != nil {
		return nil, nil, err
	}
	ns := append([]*rel{q.rowRel(r.name, t, u.Row)}, without(q.ns, r)...)
	if len(s.ReturningList) > 0 || s.WhereClause != nil {
		b.use(t, "r")
	}
	above, cols, err := q.returning(s.ReturningList, ns, &u.Returning)
	if err != nil {
		return nil, nil, err
	}
	return q.written(u, &u.Input, above), cols, nil
}

func without(ns []*rel, r *rel) []*rel {
	var out []*rel
	for _, x := range ns {
		if x != r {
			out = append(out, x)
		}
	}
	return out
}

// writeInput joins the target with what FROM or USING names.
func (q *query) writeInput(scan plan.Node, r *rel, from []*pg.Node) (plan.Node, error) {
	q.ns = []*rel{r}
	if len(from) == 0 {
		return scan, nil
	}
	// LATERAL items there cannot see the target.
	r.lateralOnly, r.lateralOK = true, false
	other, err := q.from(from)
	if err != nil {
		return nil, err
	}
	r.lateralOnly, r.lateralOK = false, true
	return &plan.Join{ID: q.b.id(), Kind: plan.Inner, L: scan, R: other}, nil
}

// writeFilter binds WHERE; recheck gets it when it can be tested on the row alone.
func (q *query) writeFilter(node plan.Node, where *pg.Node, recheck *expr.Expr, self *bool) (plan.Node, error) {
	if where == nil {
		return node, nil
	}
	pred, err := q.condition(where, clauseWhere, "WHERE")
	if err != nil {
		return nil, err
	}
	if hasSubquery(pred) {
		*self = false
	}
	if *self {
		*recheck = pred
	}
	return &plan.Filter{Input: node, Pred: pred}, nil
}

// hoist computes the new values that run subqueries below the write, where they
// can be unnested.
func (q *query) hoist(node plan.Node, set []expr.Expr) plan.Node {
	any := false
	for _, e := range set {
		any = any || hasSubquery(e)
	}
	if !any {
		return node
	}
	p := &plan.Project{Input: node}
	for _, c := range node.Columns() {
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	for i, e := range set {
		if hasSubquery(e) {
			c := q.b.column(q, "new", e.Type(), inputCol)
			p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: e})
			set[i] = c.Ref()
		}
	}
	return p
}

// delete binds DELETE.
func (b *binder) delete(s *pg.DeleteStmt, parent *query) (plan.Node, []plan.Column, error) {
	q := &query{b: b, parent: parent}
	t, err := b.writable(s.Relation, "delete from")
	if err != nil {
		return nil, nil, err
	}
	b.use(t, "d")
	if err := q.with(s.WithClause); err != nil {
		return nil, nil, err
	}
	scan, r, old, csn, id, err := q.targetScan(t, s.Relation)
	if err != nil {
		return nil, nil, err
	}
	d := &plan.Delete{Table: t, Old: old, CSN: csn, RowID: id, SelfContained: len(s.UsingClause) == 0}
	node, err := q.writeInput(scan, r, s.UsingClause)
	if err != nil {
		return nil, nil, err
	}
	if node, err = q.writeFilter(node, s.WhereClause, &d.Recheck, &d.SelfContained); err != nil {
		return nil, nil, err
	}
	d.Input = node
	if len(s.ReturningList) > 0 || s.WhereClause != nil {
		b.use(t, "r")
	}
	above, cols, err := q.returning(s.ReturningList, q.ns, &d.Returning)
	if err != nil {
		return nil, nil, err
	}
	return q.written(d, &d.Input, above), cols, nil
}
