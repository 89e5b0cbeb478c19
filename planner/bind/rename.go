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
	before := rec.meanings(sel)
	var outputs []*pg.ResTarget // without AS
	var names []string
	visitTree(sel, func(m proto.Message) bool {
		switch x := m.(type) {
		case *pg.ResTarget:
			if x.Name == "" && x.Val != nil {
				outputs, names = append(outputs, x), append(names, columnName(x.Val))
			}
		case *pg.JoinExpr:
			if using, ok := rec.natural[x]; ok {
				spelled(x, using)
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
			n := len(x.Fields)
			if name := newName(c, t, now); ok && name != "" {
				of := stringValue(c.rel)
				if n > 1 {
					of = x.Fields[n-2]
				}
				x.Fields = []*pg.Node{of, stringValue(name)}
			} else if ok && c.table == t.OID && n > 2 {
				x.Fields = x.Fields[n-2:] // with a schema before the relation
			}
		}
		return true
	})
	for i, x := range slices.Backward(outputs) { // inner ones first, which outer ones may be named after
		if columnName(x.Val) != names[i] {
			x.Name = names[i] // a column of the output keeps its name
		}
	}
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
	if !sameMeanings(before, rec.meanings(sel)) {
		return "", sqlstate.Errorf(sqlstate.FeatureNotSupported, "a name in it would mean something else")
	}
	return text, nil
}

// meanings are what a query's references to columns mean, and what its joins merge, in
// the order of the tree.
func (r *recorder) meanings(sel *pg.SelectStmt) []columnMeant {
	var out []columnMeant
	visitTree(sel, func(m proto.Message) bool {
		switch x := m.(type) {
		case *pg.ColumnRef:
			out = append(out, r.columns[x])
		case *pg.JoinExpr:
			out = append(append(out, r.merged[x]...), columnMeant{})
		}
		return true
	})
	return out
}

// sameMeanings compares two lists of meanings, whatever the relations are called.
func sameMeanings(a, b []columnMeant) bool {
	return slices.EqualFunc(a, b, func(x, y columnMeant) bool { return x.table == y.table && x.id == y.id })
}

// newName is the new name of a column of t, "" for none.
func newName(c columnMeant, t, now *catalog.Table) string {
	if c.table != t.OID || c.aliased {
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

// rewritten gives the expressions of a table's own definition, by their texts, as they
// read from now on: change changes a reference, or says that it need not.
func rewritten(t *catalog.Table, change func(*pg.ColumnRef) bool) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range ownTexts(t) {
		n, err := parser.ParseExpr(text)
		if err != nil {
			return nil, err
		}
		found := false
		visitTree(n, func(m proto.Message) bool {
			if x, ok := m.(*pg.ColumnRef); ok && len(x.Fields) > 0 {
				found = change(x) || found
			}
			return true
		})
		if !found {
			continue
		}
		if out[text], err = parser.DeparseExpr(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ownTexts are the expressions over a table's columns in its definition.
func ownTexts(t *catalog.Table) (out []string) {
	for i := range t.Columns {
		if text := t.Columns[i].GeneratedText; text != "" {
			out = append(out, text)
		}
	}
	for i := range t.Checks {
		out = append(out, t.Checks[i].Text)
	}
	return out
}

// renamedColumn has the table's own expressions follow a column's new name.
func renamedColumn(t *catalog.Table, from, to string) (map[string]string, error) {
	return rewritten(t, func(x *pg.ColumnRef) bool {
		last := x.Fields[len(x.Fields)-1].GetString_()
		if last == nil || last.Sval != from {
			return false
		}
		last.Sval = to
		return true
	})
}

// renamedTable has the table's own expressions follow its new name or schema: columns
// stand alone, and what means the whole row has the new name.
func renamedTable(t *catalog.Table, to string) (map[string]string, error) {
	return rewritten(t, func(x *pg.ColumnRef) bool {
		n := len(x.Fields)
		if last := x.Fields[n-1].GetString_(); last != nil && (n > 1 || t.Ordinal(last.Sval) >= 0) {
			x.Fields = x.Fields[n-1:]
			return n > 1
		}
		at := n - 1 // t, or t.*
		if n > 1 {
			at--
		}
		if s := x.Fields[at].GetString_(); s == nil || s.Sval != t.Name {
			return false
		}
		x.Fields = append([]*pg.Node{stringValue(to)}, x.Fields[at+1:]...)
		return true
	})
}

// ownColumns is an expression over the columns of one table with their names alone, so
// that it does not depend on the table's.
func ownColumns(n *pg.Node) *pg.Node {
	n = proto.Clone(n).(*pg.Node)
	visitTree(n, func(m proto.Message) bool {
		if x, ok := m.(*pg.ColumnRef); ok && !isStar(x.Fields) {
			x.Fields = x.Fields[max(0, len(x.Fields)-1):]
		}
		return true
	})
	return n
}

// restsOn fills in what rests on the column that an action drops: generated columns,
// and of all these checks and the views that read them.
func (b *binder) restsOn(t *catalog.Table, a *plan.AlterAction) error {
	o := t.Ordinal(a.Column.Name)
	if o < 0 {
		return nil
	}
	gone := map[string]bool{a.Column.Name: true}
	ids := map[int32]bool{t.Columns[o].ID: true}
	uses := func(text string) (found bool, err error) {
		if text == "" {
			return false, nil
		}
		n, err := parser.ParseExpr(text)
		if err != nil {
			return false, err
		}
		visitTree(n, func(m proto.Message) bool {
			if x, ok := m.(*pg.ColumnRef); ok && len(x.Fields) > 0 {
				last := x.Fields[len(x.Fields)-1].GetString_()
				found = found || last != nil && gone[last.Sval]
			}
			return !found
		})
		return found, nil
	}
	first := o
	for i := range t.Columns {
		if used, err := uses(t.Columns[i].GeneratedText); err != nil {
			return err
		} else if used && i != o {
			a.Generated = append(a.Generated, t.Columns[i].Name)
			ids[t.Columns[i].ID] = true
			first = min(first, i)
		}
	}
	for _, g := range a.Generated { // no generated column reads another
		gone[g] = true
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
		switch {
		case err != nil:
			a.MayRead = append(a.MayRead, w.OID)
		case slices.ContainsFunc(rec.meanings(sel), func(c columnMeant) bool { return c.table == t.OID && ids[c.id] }):
			a.Views = append(a.Views, w.OID)
		case byPlace(sel, rec, t.OID, first):
			a.ByPlace = append(a.ByPlace, w.OID)
		case readsUnnamed(sel, rec):
			a.MayRead = append(a.MayRead, w.OID)
		}
	}
	return nil
}

// byPlace says whether a query gives names to columns of a table by their places, from
// place o or one behind it on.
func byPlace(sel *pg.SelectStmt, rec *recorder, table uint32, o int) bool {
	found, direct := false, false
	visitTree(sel, func(m proto.Message) bool {
		if x, ok := m.(*pg.RangeVar); ok && rec.oids[x] == table {
			direct = true
			found = found || o < len(x.Alias.GetColnames())
		}
		return true
	})
	if !direct || found {
		return found
	}
	visitTree(sel, func(m proto.Message) bool {
		if x, ok := m.(*pg.JoinExpr); ok {
			found = found || len(x.Alias.GetColnames()) > 0
		}
		return true
	})
	return found
}

// readsUnnamed says whether a query may read columns that none of its references is
// for: whole rows.
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
		if x, ok := m.(*pg.ColumnRef); ok {
			if _, known := rec.columns[x]; !known && len(x.Fields) > 0 {
				last := x.Fields[len(x.Fields)-1].GetString_()
				found = found || last == nil || rels[last.Sval]
			}
		}
		return !found
	})
	return found
}
