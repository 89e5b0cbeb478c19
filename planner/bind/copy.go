package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// copy binds COPY. Its options are kept as text: the codec that reads or writes
// the format checks them.
func (b *binder) copy(s *pg.CopyStmt) (*plan.Statement, error) {
	c := &plan.Copy{From: s.IsFrom, File: s.Filename, Options: map[string]string{}, Lists: map[string][]string{}}
	if s.IsProgram {
		return nil, b.unsupported(-1, "COPY with a program")
	}
	if err := b.copyOptions(c, s.Options); err != nil {
		return nil, err
	}
	st := &plan.Statement{Tag: "COPY", Writes: s.IsFrom, Utility: c}
	if s.Query != nil {
		sel := s.Query.GetSelectStmt()
		if sel == nil {
			return nil, b.unsupported(-1, "COPY of a data-modifying statement")
		}
		r, err := b.bindQuery(sel, nil, false)
		if err != nil {
			return nil, err
		}
		c.Query = exact(r.node, len(r.cols))
		for _, col := range r.cols {
			c.Names = append(c.Names, col.Name)
		}
		return st, b.copyLists(c, nil)
	}
	rv := s.Relation
	if s.IsFrom {
		t, err := b.writable(rv, "copy to")
		if err != nil {
			return nil, err
		}
		c.Table = t
		object := b.useColumns(t, "a")
		if c.Columns, err = b.copyColumns(t, s.Attlist); err != nil {
			return nil, err
		}
		for _, o := range c.Columns {
			b.useColumn(object, 'a', t, o)
		}
		if err := b.copyInsert(c, s.WhereClause); err != nil {
			return nil, err
		}
		return st, b.copyLists(c, t)
	}
	t, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
	if err != nil {
		return nil, err
	}
	if t.Kind == catalog.KindView {
		return nil, b.errf(-1, sqlstate.WrongObjectType, "cannot copy from view \"%s\"", t.Name).
			WithHint("Try the COPY (SELECT ...) TO variant.")
	}
	object := b.useColumns(t, "r")
	c.Table = t
	if c.Columns, err = b.copyColumns(t, s.Attlist); err != nil {
		return nil, err
	}
	q := &query{b: b}
	scan, r, err := q.scan(t, nil)
	if err != nil {
		return nil, err
	}
	r.object = object
	p := &plan.Project{Input: scan}
	for _, o := range c.Columns {
		e := r.value(o, -1).(*expr.Column)
		p.Exprs = append(p.Exprs, plan.Projection{Col: b.cols[e.ID].col, Expr: e})
	}
	c.Query = p
	return st, b.copyLists(c, t)
}

// tuples binds a long INSERT ... VALUES, of which the first tuple was parsed, as a
// COPY whose rows are in the statement's text. parser.ErrNotPlain is for those that
// need more than their literals.
func (b *binder) tuples(s *pg.InsertStmt, at int) (*plan.Statement, error) {
	t, err := b.writable(s.Relation, "insert into")
	if err != nil {
		return nil, err
	}
	ords, err := b.insertColumns(t, s.Cols)
	if err != nil {
		return nil, err
	}
	lists := s.SelectStmt.GetSelectStmt().GetValuesLists()
	if len(lists) != 1 || s.WithClause != nil || s.OnConflictClause != nil || len(s.ReturningList) > 0 {
		return nil, parser.ErrNotPlain
	}
	width := len(lists[0].GetList().GetItems())
	if width > len(ords) || len(s.Cols) > 0 && width != len(ords) {
		return nil, parser.ErrNotPlain
	}
	c := &plan.Copy{Table: t, From: true, Columns: ords[:width], Tuples: at}
	for _, o := range c.Columns {
		if t.Columns[o].GeneratedText != "" || t.Columns[o].Identity != 0 {
			return nil, parser.ErrNotPlain
		}
	}
	object := b.useColumns(t, "a")
	for _, o := range c.Columns {
		b.useColumn(object, 'a', t, o)
	}
	return &plan.Statement{Tag: "INSERT 0", Writes: true, Utility: c}, b.copyInsert(c, nil)
}

// copyColumns are the ordinals in file order: as named, or all but generated ones.
func (b *binder) copyColumns(t *catalog.Table, list []*pg.Node) ([]int, error) {
	var ords []int
	if len(list) == 0 {
		for i := range t.Columns {
			if t.Columns[i].GeneratedText == "" {
				ords = append(ords, i)
			}
		}
		return ords, nil
	}
	for _, name := range names(list) {
		o := t.Ordinal(name)
		switch {
		case o < 0:
			return nil, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", name, t.Name)
		case contains(ords, o):
			return nil, b.errf(-1, sqlstate.DuplicateColumn, "column \"%s\" specified more than once", name)
		case t.Columns[o].GeneratedText != "":
			return nil, b.errf(-1, sqlstate.InvalidColumnReference, "column \"%s\" is a generated column", name).
				WithDetail("Generated columns cannot be used in COPY.")
		}
		ords = append(ords, o)
	}
	return ords, nil
}

// copyInsert makes the insert that receives the rows of COPY FROM.
func (b *binder) copyInsert(c *plan.Copy, where *pg.Node) error {
	t := c.Table
	q := &query{b: b}
	ref := &plan.CTERef{ID: 0, Name: "copy"}
	at := map[int]plan.Column{}
	for _, o := range c.Columns {
		tc := &t.Columns[o]
		col := b.column(q, tc.Name, tc.T, inputCol)
		ref.Cols = append(ref.Cols, col)
		at[o] = col
	}
	given := map[int]bool{}
	straight := len(c.Columns) == len(t.Columns)
	for i, o := range c.Columns {
		given[o] = true
		straight = straight && i == o
	}
	var in plan.Node = ref
	if !straight {
		miss, err := b.missing(t, given)
		if err != nil {
			return err
		}
		p := &plan.Project{Input: ref}
		for i := range t.Columns {
			if col, ok := at[i]; ok {
				p.Exprs = append(p.Exprs, plan.Projection{Col: col, Expr: col.Ref()})
				continue
			}
			col := b.column(q, t.Columns[i].Name, t.Columns[i].T, inputCol)
			p.Exprs = append(p.Exprs, plan.Projection{Col: col, Expr: miss[i]})
		}
		in = p
	}
	in, err := b.generated(q, t, in)
	if err != nil {
		return err
	}
	if where != nil {
		q.ns = []*rel{q.rowRel(t.Name, t, in.Columns())}
		pred, err := q.condition(where, everywhere("COPY FROM WHERE conditions"), "WHERE")
		if err != nil {
			return err
		}
		if hasSubquery(pred) {
			return b.errf(location(where), sqlstate.FeatureNotSupported, "cannot use subquery in COPY FROM WHERE condition")
		}
		in = &plan.Filter{Input: in, Pred: pred}
	}
	ins := &plan.Insert{Table: t, Input: in, Row: in.Columns()}
	if ins.Checks, err = b.checks(q, t, ins.Row); err != nil {
		return err
	}
	c.Insert = ins
	return b.copyConflict(q, c)
}

// holoCopyOption takes the options that Hologres adds. stream_mode asks for rows that
// are seen before the statement ends, and is taken as leave to do so.
func (b *binder) holoCopyOption(c *plan.Copy, d *pg.DefElem) error {
	if !c.From {
		return b.errf(d.Location, sqlstate.FeatureNotSupported, "COPY %s is only available using COPY FROM", d.Defname)
	}
	v, ok := optionText(d)
	v = strings.ToLower(v)
	if strings.EqualFold(d.Defname, "stream_mode") {
		switch v {
		case "", "true", "false", "on", "off", "1", "0":
			return nil
		}
		return b.errf(d.Location, sqlstate.SyntaxError, "%s requires a Boolean value", d.Defname)
	}
	switch {
	case c.OnConflict != "":
		return b.errf(d.Location, sqlstate.SyntaxError, "conflicting or redundant options")
	case !ok || v != "none" && v != "ignore" && v != "update":
		return b.errf(d.Location, sqlstate.InvalidParameterValue, "COPY on_conflict \"%s\" not recognized", v).
			WithHint("Use none, ignore or update.")
	}
	c.OnConflict = v
	return nil
}

// copyConflict adds what on_conflict says: rows whose keys exist are left out, or the
// columns that are copied replace theirs. Of rows with one key in the data the first
// or the last is taken.
func (b *binder) copyConflict(q *query, c *plan.Copy) error {
	t, ins := c.Table, c.Insert
	if len(t.PK) == 0 || c.OnConflict == "" || c.OnConflict == "none" {
		return nil
	}
	ins.Conflict = &plan.Conflict{DoNothing: c.OnConflict == "ignore", LastWins: true}
	if ins.Conflict.DoNothing {
		return nil
	}
	b.use(t, "w")
	k := ins.Conflict
	k.Old = b.rowColumns(q, t)
	set := map[int]expr.Expr{}
	for _, o := range c.Columns {
		set[o] = ins.Row[o].Ref()
	}
	for _, o := range t.PK {
		set[o] = ins.Row[o].Ref()
	}
	var err error
	k.Set, err = b.newRow(q, t, k.Old, set)
	return err
}

// copyOptions collects the options; a switch without a value is "true".
func (b *binder) copyOptions(c *plan.Copy, opts []*pg.Node) error {
	for _, n := range opts {
		d := n.GetDefElem()
		name := strings.ToLower(d.Defname)
		_, dup := c.Options[name]
		if _, inLists := c.Lists[name]; dup || inLists {
			return b.errf(d.Location, sqlstate.SyntaxError, "conflicting or redundant options")
		}
		switch name {
		case "force_quote", "force_not_null", "force_null":
			if d.Arg.GetAStar() != nil {
				c.Lists[name] = []string{"*"}
				continue
			}
			l := d.Arg.GetList()
			if l == nil {
				return b.errf(d.Location, sqlstate.InvalidParameterValue, "argument to option \"%s\" must be a list of column names", name)
			}
			c.Lists[name] = names(l.Items)
			continue
		case "format", "freeze", "delimiter", "null", "header", "quote", "escape", "encoding", "default":
		case "stream_mode", "on_conflict":
			if err := b.holoCopyOption(c, d); err != nil {
				return err
			}
			continue
		default:
			return b.errf(d.Location, sqlstate.SyntaxError, "option \"%s\" not recognized", d.Defname)
		}
		v, ok := optionText(d)
		if !ok {
			v = "true"
		}
		if name == "format" {
			switch v {
			case "text", "csv", "binary":
			default:
				return b.errf(d.Location, sqlstate.InvalidParameterValue, "COPY format \"%s\" not recognized", v)
			}
		}
		c.Options[name] = v
	}
	return nil
}

// copyLists checks that the columns named in options are copied.
func (b *binder) copyLists(c *plan.Copy, t *catalog.Table) error {
	for opt, list := range c.Lists {
		if len(list) == 1 && list[0] == "*" {
			continue
		}
		for _, name := range list {
			found := false
			if t == nil {
				for _, col := range c.Query.Columns() {
					found = found || col.Name == name
				}
			} else {
				o := t.Ordinal(name)
				if o < 0 {
					return b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", name, t.Name)
				}
				found = contains(c.Columns, o)
			}
			if !found {
				return b.errf(-1, sqlstate.InvalidColumnReference, "%s column \"%s\" not referenced by COPY", strings.ToUpper(opt), name)
			}
		}
	}
	return nil
}
