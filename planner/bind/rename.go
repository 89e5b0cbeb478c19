package bind

import (
	"cmp"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// renamedIn gives the texts of the views that read t for the time when it, or a column
// of it, has another name or schema: now is t as it will be. What the texts mean must
// stay the same; a view whose text cannot be written so refuses the change.
func (b *binder) renamedIn(t, now *catalog.Table) ([]plan.ViewText, error) {
	after := b.env.Catalog.Apply(&catalog.Delta{Tables: map[uint32]*catalog.Table{t.OID: now}})
	var out []plan.ViewText
	views := slices.DeleteFunc(slices.Clone(b.env.Catalog.Tables()), func(w *catalog.Table) bool {
		return w.Kind != catalog.KindView || !slices.Contains(w.DependsOn, t.OID)
	})
	// Those that others read come before these.
	slices.SortFunc(views, func(x, y *catalog.Table) int { return cmp.Compare(x.OID, y.OID) })
	for _, w := range views {
		text, err := b.renamedView(w, t, now, after)
		if err == nil && text == "" {
			continue // it reads t by way of another view
		}
		if err != nil {
			return nil, b.errf(-1, sqlstate.FeatureNotSupported, "cannot rename part of relation \"%s\" because view \"%s\" depends on it", t.Name, w.Name).
				WithDetail("The query of the view cannot be written with the new name: %s.", sqlstate.From(err).Message)
		}
		out = append(out, plan.ViewText{View: w.OID, Text: text})
		v := *w
		v.ViewText = text
		after = after.Apply(&catalog.Delta{Tables: map[uint32]*catalog.Table{w.OID: &v}})
	}
	return out, nil
}

// renamedView is a view's text with t's new names, "" for one that does not name t.
func (b *binder) renamedView(w, t, now *catalog.Table, after *catalog.Version) (string, error) {
	sel, err := viewQuery(w)
	if err != nil {
		return "", err
	}
	rec, err := b.understood(w, sel, b.env.Catalog)
	if err != nil {
		return "", err
	}
	direct := false
	for _, oid := range rec.oids {
		direct = direct || oid == t.OID
	}
	if !direct {
		return "", nil
	}
	var before []columnMeant
	visitTree(sel, func(m proto.Message) bool {
		switch x := m.(type) {
		case *pg.ResTarget:
			// A column of the output keeps its name.
			if c, ok := rec.columns[x.Val.GetColumnRef()]; ok && x.Name == "" && newName(c, t, now) != "" {
				x.Name = stringNode(x.Val.GetColumnRef().Fields[len(x.Val.GetColumnRef().Fields)-1])
			}
		case *pg.RangeVar:
			if rec.oids[x] != t.OID {
				return true
			}
			x.Schemaname = ""
			if s := after.Schema(now.Schema); s != nil {
				x.Schemaname = s.Name
			}
			if x.Relname != now.Name && x.Alias == nil {
				x.Alias = &pg.Alias{Aliasname: x.Relname} // what refers to it stays
			}
			x.Relname = now.Name
		case *pg.ColumnRef:
			c, ok := rec.columns[x]
			before = append(before, c)
			if name := newName(c, t, now); ok && name != "" {
				x.Fields = []*pg.Node{stringValue(c.rel), stringValue(name)}
			} else if n := len(x.Fields); ok && c.table == t.OID && n > 2 {
				x.Fields = x.Fields[n-2:] // with a schema before the relation
			}
		}
		return true
	})
	text, err := parser.Deparse(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: sel}})
	if err != nil {
		return "", err
	}
	v := *w
	v.ViewText = text
	if sel, err = viewQuery(&v); err != nil {
		return "", err
	}
	if rec, err = b.understood(w, sel, after); err != nil {
		return "", err
	}
	same := true
	visitTree(sel, func(m proto.Message) bool {
		if x, ok := m.(*pg.ColumnRef); ok {
			c := rec.columns[x]
			same = same && len(before) > 0 && c.table == before[0].table && c.id == before[0].id
			before = before[min(1, len(before)):]
		}
		return same
	})
	if !same || len(before) > 0 {
		return "", sqlstate.Errorf(sqlstate.FeatureNotSupported, "a name in it would mean something else")
	}
	return text, nil
}

// newName is the new name of a column of t, "" for none.
func newName(c columnMeant, t, now *catalog.Table) string {
	if c.table != t.OID {
		return ""
	}
	for i := range t.Columns {
		if t.Columns[i].ID == c.id && i < len(now.Columns) && now.Columns[i].Name != t.Columns[i].Name {
			return now.Columns[i].Name
		}
	}
	return ""
}

// understood binds a view's query in a catalog and gives what its names mean there.
func (b *binder) understood(w *catalog.Table, sel *pg.SelectStmt, in *catalog.Version) (*recorder, error) {
	env := *b.env
	env.Catalog, env.Text = in, ""
	v := &binder{
		env: &env, cols: map[int]*colInfo{}, at: map[*expr.Column]int32{}, literals: map[*expr.Const]int32{},
		objIndex: map[[2]uint32]int{}, assumed: map[[2]int]int{},
		views: []uint32{w.OID}, binlog: namesBinlog(w.ViewText),
	}
	v.record = newRecorder(v)
	r, err := v.bindQuery(sel, nil, false)
	if err != nil {
		return nil, err
	}
	if len(r.cols) != len(w.Columns) {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "the view has another number of columns")
	}
	return v.record, nil
}

// renamedColumn gives expressions of a table's own definition, by their texts, as they
// read when a column has another name.
func renamedColumn(t *catalog.Table, from, to string) (map[string]string, error) {
	out := map[string]string{}
	put := func(text string) error {
		if text == "" {
			return nil
		}
		n, err := parser.ParseExpr(text)
		if err != nil {
			return err
		}
		found := false
		visitTree(n, func(m proto.Message) bool {
			if x, ok := m.(*pg.ColumnRef); ok && len(x.Fields) > 0 {
				if last := x.Fields[len(x.Fields)-1].GetString_(); last != nil && last.Sval == from {
					last.Sval, found = to, true
				}
			}
			return true
		})
		if found {
			out[text], err = parser.DeparseExpr(n)
		}
		return err
	}
	for i := range t.Columns {
		if err := put(t.Columns[i].GeneratedText); err != nil {
			return nil, err
		}
	}
	for i := range t.Checks {
		if err := put(t.Checks[i].Text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// restsOn fills in what rests on the column that an action drops: generated columns,
// checks, and the views that read it.
func (b *binder) restsOn(t *catalog.Table, a *plan.AlterAction) error {
	o := t.Ordinal(a.Column.Name)
	if o < 0 {
		return nil
	}
	uses := func(text string) (bool, error) {
		if text == "" {
			return false, nil
		}
		n, err := parser.ParseExpr(text)
		if err != nil {
			return false, err
		}
		found := false
		visitTree(n, func(m proto.Message) bool {
			if x, ok := m.(*pg.ColumnRef); ok && len(x.Fields) > 0 {
				last := x.Fields[len(x.Fields)-1].GetString_()
				found = found || last != nil && last.Sval == a.Column.Name
			}
			return !found
		})
		return found, nil
	}
	for i := range t.Columns {
		if used, err := uses(t.Columns[i].GeneratedText); err != nil {
			return err
		} else if used && i != o {
			a.Generated = append(a.Generated, t.Columns[i].Name)
		}
	}
	for i := range t.Checks {
		if used, err := uses(t.Checks[i].Text); err != nil {
			return err
		} else if used {
			a.Checks = append(a.Checks, t.Checks[i].Name)
		}
	}
	for _, w := range b.env.Catalog.Tables() {
		if w.Kind != catalog.KindView || !slices.Contains(w.DependsOn, t.OID) {
			continue
		}
		sel, err := viewQuery(w)
		if err != nil {
			return err
		}
		rec, err := b.understood(w, sel, b.env.Catalog)
		if err != nil || readsUnnamed(sel, rec) {
			a.MayRead = append(a.MayRead, w.OID)
		}
		if err != nil {
			continue
		}
		for _, c := range rec.columns {
			if c.table == t.OID && c.id == t.Columns[o].ID {
				a.Views = append(a.Views, w.OID)
				break
			}
		}
	}
	return nil
}

// readsUnnamed says whether a query may read columns that none of its references is
// for: whole rows, and those that joins merge.
func readsUnnamed(sel *pg.SelectStmt, rec *recorder) bool {
	rels := map[string]bool{}
	visitTree(sel, func(m proto.Message) bool {
		if x, ok := m.(*pg.RangeVar); ok {
			rels[x.Relname] = true
			rels[x.Alias.GetAliasname()] = true
		}
		return true
	})
	found := false
	visitTree(sel, func(m proto.Message) bool {
		switch x := m.(type) {
		case *pg.JoinExpr:
			found = found || x.IsNatural || len(x.UsingClause) > 0
		case *pg.ColumnRef:
			if _, ok := rec.columns[x]; !ok && len(x.Fields) > 0 {
				last := x.Fields[len(x.Fields)-1].GetString_()
				found = found || last == nil || rels[last.Sval]
			}
		}
		return !found
	})
	return found
}
