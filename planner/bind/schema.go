package bind

import (
	"cmp"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// schemaOwner binds ALTER SCHEMA ... OWNER TO.
func (b *binder) schemaOwner(s *pg.AlterOwnerStmt) (*plan.Statement, error) {
	sch, err := b.schemaNamed(s.Object.GetString_().GetSval())
	if err != nil {
		return nil, err
	}
	owner, err := b.role(s.Newowner)
	if err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "ALTER SCHEMA", Writes: true, Utility: &plan.AlterSchema{OID: sch.OID, Owner: owner}}, nil
}

func (b *binder) schemaNamed(name string) (*catalog.Schema, error) {
	s := b.env.Catalog.SchemaNamed(name)
	if s == nil {
		return nil, b.errf(-1, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", name)
	}
	return s, nil
}

// mayBeNamed refuses the names of system schemas.
func (b *binder) mayBeNamed(name string) error {
	for _, p := range []string{"pg_", "hg_", "holo_"} {
		if strings.HasPrefix(name, p) {
			return b.errf(-1, sqlstate.ReservedName, "unacceptable schema name \"%s\"", name).
				WithDetail("The prefix \"%s\" is reserved for system schemas.", p)
		}
	}
	return nil
}

// renameSchema binds ALTER SCHEMA ... RENAME TO. Views follow, and so do the tables' own
// expressions, which have no need of a schema.
func (b *binder) renameSchema(s *pg.RenameStmt) (*plan.Statement, error) {
	sch, err := b.schemaNamed(s.Subname)
	if err != nil {
		return nil, err
	}
	if b.env.Catalog.SchemaNamed(s.Newname) != nil {
		return nil, b.errf(-1, sqlstate.DuplicateSchema, "schema \"%s\" already exists", s.Newname)
	}
	if err := b.mayBeNamed(s.Newname); err != nil {
		return nil, err
	}
	u := &plan.AlterSchema{OID: sch.OID, NewName: s.Newname, Texts: map[uint32]map[string]string{}, In: b.env.Catalog}
	now := *sch
	now.Name = s.Newname
	after := b.env.Catalog.Apply(&catalog.Delta{Schemas: map[uint32]*catalog.Schema{sch.OID: &now}})
	var views []*catalog.Table
	for _, t := range b.env.Catalog.Tables() {
		switch {
		case t.Kind == catalog.KindView:
			views = append(views, t)
		case t.Kind == catalog.KindTable && t.Schema == sch.OID:
			texts, err := renamedTable(t, t.Name)
			if err != nil {
				return nil, err
			}
			if len(texts) > 0 {
				u.Texts[t.OID] = texts
			}
		}
	}
	// Those that others read come before these.
	slices.SortFunc(views, func(x, y *catalog.Table) int { return cmp.Compare(x.OID, y.OID) })
	for _, w := range views {
		text, err := b.viewWithSchema(w, sch.OID, after)
		if err == nil && text == "" {
			continue
		}
		if err != nil {
			return nil, b.errf(-1, sqlstate.FeatureNotSupported, "cannot rename schema \"%s\" because view \"%s\" depends on it", sch.Name, w.Name).
				WithDetail("The query of the view cannot be written with the new name: %s.", sqlstate.From(err).Message)
		}
		u.Views = append(u.Views, plan.ViewText{View: w.OID, Text: text})
		v := *w
		v.ViewText = text
		after = after.Apply(&catalog.Delta{Tables: map[uint32]*catalog.Table{w.OID: &v}})
	}
	return &plan.Statement{Tag: "ALTER SCHEMA", Writes: true, Utility: u}, nil
}

// viewWithSchema is a view's text for a catalog in which a schema has another name, ""
// for one that names nothing of it.
func (b *binder) viewWithSchema(w *catalog.Table, schema uint32, after *catalog.Version) (string, error) {
	sel, err := viewQuery(w)
	if err != nil {
		return "", err
	}
	rec, err := b.understood(w, sel, b.env.Catalog)
	if err != nil {
		return "", err
	}
	in := func(oid uint32) bool {
		t := b.env.Catalog.Table(oid)
		return t != nil && t.Schema == schema
	}
	before := rec.meanings(sel)
	found := false
	visitTree(sel, func(m proto.Message) bool {
		switch x := m.(type) {
		case *pg.RangeVar:
			if oid, is := rec.oids[x]; is && in(oid) {
				found = true
				x.Schemaname = after.Schema(schema).Name
			}
		case *pg.ColumnRef:
			if c, ok := rec.columns[x]; ok && in(c.table) && len(x.Fields) > 2 {
				x.Fields = x.Fields[len(x.Fields)-2:] // with a schema before the relation
			}
		}
		return true
	})
	if !found {
		return "", nil
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
