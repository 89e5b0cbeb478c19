package bind

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// uniqueColumns resolves the columns of a unique key of t, as ids.
func (b *binder) uniqueColumns(t *catalog.Table, cols []string, loc int32) ([]int32, error) {
	var ids []int32
	for _, name := range cols {
		o := t.Ordinal(name)
		if o < 0 {
			return nil, b.errf(loc, sqlstate.UndefinedColumn, "column \"%s\" named in key does not exist", name)
		}
		c := &t.Columns[o]
		if slices.Contains(ids, c.ID) {
			return nil, b.errf(loc, sqlstate.DuplicateColumn, "column \"%s\" appears twice in unique constraint", name)
		}
		if !types.KeyOrdered(c.T) {
			return nil, b.unsupported(loc, "a unique key over type %s", types.FormatType(c.T.OID, c.T.Mod))
		}
		ids = append(ids, c.ID)
	}
	return ids, nil
}

// takesUnique says whether a table can have unique keys besides its primary key.
func (b *binder) takesUnique(t *catalog.Table, loc int32) error {
	if t.StoresRows() && len(t.PK) > 0 {
		return nil
	}
	return sqlstate.Unsupported("a UNIQUE constraint on a table of orientation \"%s\"", t.Orientation()).At(b.pos(loc)).
		WithHint("Tables with a primary key and WITH (orientation = 'row') or 'row,column' take UNIQUE constraints.")
}

// plainUnique refuses what unique keys do not do.
func (b *binder) plainUnique(c *pg.Constraint) error {
	switch {
	case c.NullsNotDistinct:
		return b.unsupported(c.Location, "NULLS NOT DISTINCT")
	case len(c.Including) > 0:
		return b.unsupported(c.Location, "INCLUDE in a UNIQUE constraint")
	case c.Indexname != "":
		return b.unsupported(c.Location, "UNIQUE USING INDEX")
	case c.Deferrable || c.Initdeferred:
		return b.unsupported(c.Location, "a deferrable constraint")
	}
	return nil
}

// unique reads a UNIQUE constraint of a new table. Unnamed ones get their name when
// the table is made.
func (d *tableDef) unique(c *pg.Constraint, cols []string) error {
	if err := d.b.plainUnique(c); err != nil {
		return err
	}
	ids, err := d.b.uniqueColumns(d.t, cols, c.Location)
	if err != nil {
		return err
	}
	if c.Conname != "" {
		if err := d.named(c.Conname, c.Location); err != nil {
			return err
		}
	}
	d.t.Unique = append(d.t.Unique, catalog.UniqueKey{Name: c.Conname, Columns: ids})
	d.uniqueAt = c.Location
	return nil
}

// finishUnique leaves out keys over the columns of the primary key or of another one,
// as PostgreSQL does.
func (d *tableDef) finishUnique() {
	t := d.t
	seen := [][]int32{nil}
	for _, o := range t.PK {
		seen[0] = append(seen[0], t.Columns[o].ID)
	}
	var out []catalog.UniqueKey
	for _, k := range t.Unique {
		i := slices.IndexFunc(seen, func(ids []int32) bool { return slices.Equal(ids, k.Columns) })
		switch {
		case i < 0:
			seen = append(seen, k.Columns)
			out = append(out, k)
		case i > 0 && out[i-1].Name == "":
			out[i-1].Name = k.Name
		}
	}
	t.Unique = out
}

// addUnique binds ADD CONSTRAINT ... UNIQUE.
func (b *binder) addUnique(t *catalog.Table, c *pg.Constraint, cols []string) (plan.AlterAction, error) {
	act := plan.AlterAction{Op: plan.AddUnique, Key: cols, NewName: c.Conname}
	if err := b.plainUnique(c); err != nil {
		return act, err
	}
	if err := b.takesUnique(t, c.Location); err != nil {
		return act, err
	}
	if c.Conname != "" && constraintNames(t)[c.Conname] {
		return act, b.errf(-1, sqlstate.DuplicateTable, "relation \"%s\" already exists", c.Conname)
	}
	_, err := b.uniqueColumns(t, cols, c.Location)
	return act, err
}

// addedUnique are the UNIQUE constraints of a column that ALTER TABLE adds.
func (b *binder) addedUnique(t *catalog.Table, c *pg.ColumnDef) (acts []plan.AlterAction, err error) {
	for _, n := range c.GetConstraints() {
		if k := n.GetConstraint(); k.Contype == pg.ConstrType_CONSTR_UNIQUE {
			act, err := b.addUnique(t, k, []string{c.Colname})
			if err != nil {
				return nil, err
			}
			acts = append(acts, act)
		}
	}
	return acts, nil
}

// createIndex binds CREATE INDEX: of unique ones, since others change no answer.
func (b *binder) createIndex(s *pg.IndexStmt) (*plan.Statement, error) {
	t, err := b.relation(s.Relation.Schemaname, s.Relation.Relname, -1)
	if err != nil {
		return nil, err
	}
	if !s.Unique {
		// A column table finds rows by zone maps and its key: an index that only makes
		// queries faster changes no answer.
		return &plan.Statement{Tag: "CREATE INDEX", Utility: &plan.Session{Kind: plan.DoNothing,
			Text: "index \"" + s.Idxname + "\" is not kept: column tables have none besides the primary key's"}}, nil
	}
	if t.Kind != catalog.KindTable {
		return nil, b.errf(-1, sqlstate.WrongObjectType, "cannot create index on relation \"%s\"", t.Name)
	}
	b.use(t, "")
	act := plan.AlterAction{Op: plan.AddUnique, NewName: s.Idxname, IfExists: s.IfNotExists, IndexOnly: true}
	switch {
	case s.WhereClause != nil:
		return nil, b.unsupported(-1, "a partial unique index")
	case len(s.IndexIncludingParams) > 0:
		return nil, b.unsupported(-1, "INCLUDE in a unique index")
	case s.NullsNotDistinct:
		return nil, b.unsupported(-1, "NULLS NOT DISTINCT")
	case s.AccessMethod != "" && s.AccessMethod != "btree":
		return nil, b.errf(-1, sqlstate.FeatureNotSupported, "access method \"%s\" does not support unique indexes", s.AccessMethod)
	}
	for _, n := range s.IndexParams {
		e := n.GetIndexElem()
		if e.Name == "" {
			return nil, b.unsupported(-1, "a unique index over an expression")
		}
		if t.Ordinal(e.Name) < 0 {
			return nil, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" does not exist", e.Name)
		}
		act.Key = append(act.Key, e.Name)
	}
	if err := b.takesUnique(t, -1); err != nil {
		return nil, err
	}
	if _, err := b.uniqueColumns(t, act.Key, -1); err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "CREATE INDEX", Writes: true, Utility: &plan.AlterTable{Table: t, Actions: []plan.AlterAction{act}}}, nil
}

// indexNamed finds the index of a unique key by name, and its table; nil for none.
func (b *binder) indexNamed(schema, name string) (index, of *catalog.Table) {
	path := b.env.SearchPath
	if b.tempFirst() {
		path = append([]string{b.env.Temp}, path...)
	}
	if schema == "pg_temp" {
		schema = b.env.Temp
	}
	if schema != "" {
		path = []string{schema}
	}
	for _, s := range path {
		sc := b.env.Catalog.SchemaNamed(s)
		if sc == nil {
			continue
		}
		if t := b.env.Catalog.TableNamed(sc.OID, name); t != nil {
			if !t.IsIndex() || catalog.IsTempSchema(s) && s != b.env.Temp {
				return nil, nil
			}
			return t, b.env.Catalog.Table(t.IndexOf)
		}
	}
	return nil, nil
}

// dropIndex adds an index to a DROP INDEX; found is false when there is none.
func (b *binder) dropIndex(d *plan.Drop, schema, name string) (found bool, err error) {
	x, of := b.indexNamed(schema, name)
	if x == nil {
		return false, nil
	}
	for i := range of.Unique {
		if k := &of.Unique[i]; k.OID == x.OID && !k.IndexOnly {
			return true, b.errf(-1, sqlstate.DependentObjectsStillExist, "cannot drop index %s because constraint %s on table %s requires it", k.Name, k.Name, of.Name).
				WithHint("You can drop constraint %s on table %s instead.", k.Name, of.Name)
		}
	}
	b.use(of, "")
	d.OIDs = append(d.OIDs, x.OID)
	return true, nil
}

// renameConstraint binds ALTER TABLE ... RENAME CONSTRAINT and ALTER INDEX ... RENAME.
func (b *binder) renameConstraint(s *pg.RenameStmt) (*plan.Statement, error) {
	act := plan.AlterAction{Op: plan.RenameConstraint, Text: s.Subname, NewName: s.Newname}
	if s.RenameType == pg.ObjectType_OBJECT_INDEX {
		x, of := b.indexNamed(s.Relation.Schemaname, s.Relation.Relname)
		if x == nil {
			if s.MissingOk {
				return skipped("ALTER INDEX", s.Relation), nil
			}
			return nil, b.errf(-1, sqlstate.UndefinedTable, "relation \"%s\" does not exist", s.Relation.Relname)
		}
		b.use(of, "")
		act.Text = x.Name
		return &plan.Statement{Tag: "ALTER INDEX", Writes: true, Utility: &plan.AlterTable{Table: of, Actions: []plan.AlterAction{act}}}, nil
	}
	t, err := b.altered(s.Relation, s.MissingOk)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return skipped("ALTER TABLE", s.Relation), nil
	}
	have := constraintNames(t)
	if !have[s.Subname] {
		return nil, b.errf(-1, sqlstate.UndefinedObject, "constraint \"%s\" for table \"%s\" does not exist", s.Subname, t.Name)
	}
	if have[s.Newname] {
		return nil, b.errf(-1, sqlstate.DuplicateObject, "constraint \"%s\" for relation \"%s\" already exists", s.Newname, t.Name)
	}
	return &plan.Statement{Tag: "ALTER TABLE", Writes: true, Utility: &plan.AlterTable{Table: t, Actions: []plan.AlterAction{act}}}, nil
}

// cannotOpen is the error of a query over an index.
func (b *binder) cannotOpen(loc int32, name string) error {
	return b.errf(loc, sqlstate.WrongObjectType, "cannot open relation \"%s\"", name).
		WithDetail("This operation is not supported for indexes.")
}

// sameSet says whether columns, as ids, are those of a key in any order.
func sameSet(key []int32, cols map[int32]bool) bool {
	if len(key) != len(cols) {
		return false
	}
	for _, id := range key {
		if !cols[id] {
			return false
		}
	}
	return true
}
