package ddl

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

func createTable(ctx context.Context, env *Env, x *plan.CreateTable) (*catalog.Table, error) {
	v := env.Txn.Catalog()
	if x.Table.Temp == 0 && v.Schema(x.Table.Schema) == nil {
		return nil, sqlstate.Errorf(sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", x.SchemaName)
	}
	d := &catalog.Delta{}
	schema, err := env.schemaFor(v, x.Table, d)
	if err != nil {
		return nil, err
	}
	if v.TableNamed(schema.OID, x.Table.Name) != nil {
		if x.IfNotExists {
			env.notice(sqlstate.DuplicateTable, "relation \"%s\" already exists, skipping", x.Table.Name)
			return nil, nil
		}
		return nil, sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s\" already exists", x.Table.Name)
	}
	t := *x.Table
	// The relation, its row type and that one's array, the key's index and constraint.
	oid := env.Txn.AllocOIDs(5 + len(t.Checks) + len(t.Foreign))
	t.OID, t.RelType, t.PKOID = oid, oid+1, oid+3
	t.Schema = schema.OID
	t.Owner = env.User.OID
	t.Checks = slices.Clone(t.Checks)
	t.Foreign = slices.Clone(t.Foreign)
	for i := range t.Foreign {
		env.recordForeign(v, &t, &t.Foreign[i], oid+5+uint32(len(t.Checks)+i))
	}
	for i := range t.Checks {
		t.Checks[i].OID = oid + 5 + uint32(i)
	}
	if len(t.PK) > 0 && t.PKName == "" {
		t.PKName = t.Name + "_pkey"
	}
	t.SchemaVersion = 1
	t.Unique = slices.Clone(t.Unique)
	if err := env.nameUnique(v, &t, 0); err != nil {
		return nil, err
	}
	d.Tables = map[uint32]*catalog.Table{t.OID: &t}
	if len(x.Sequences) > 0 {
		t.Columns = slices.Clone(t.Columns)
		env.columnSequences(v, &t, x.Sequences, d)
	}
	if err := place(env, &t, d); err != nil {
		return nil, err
	}
	if x.Unlogged {
		env.notice(sqlstate.SuccessfulCompletion, "%s", plan.Logged(t.Name))
	}
	return &t, env.change(ctx, v, d)
}

func createView(ctx context.Context, env *Env, x *plan.CreateView) (*catalog.Table, error) {
	v := env.Txn.Catalog()
	d := &catalog.Delta{}
	schema, err := env.schemaFor(v, x.Table, d)
	if err != nil {
		return nil, err
	}
	t := *x.Table
	t.Kind, t.Schema = catalog.KindView, schema.OID
	if old := v.TableNamed(schema.OID, t.Name); old != nil {
		if !x.Replace {
			return nil, sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s\" already exists", t.Name)
		}
		if old.Kind != catalog.KindView {
			return nil, sqlstate.Errorf(sqlstate.WrongObjectType, "\"%s\" is not a view", t.Name)
		}
		if !env.owns(old.Owner) {
			return nil, notOwner("view", old.Name)
		}
		if len(t.Columns) < len(old.Columns) {
			return nil, sqlstate.Errorf(sqlstate.InvalidTableDefinition, "cannot drop columns from view")
		}
		for i, c := range old.Columns {
			if c.Name != t.Columns[i].Name {
				return nil, sqlstate.Errorf(sqlstate.InvalidTableDefinition, "cannot change name of view column \"%s\" to \"%s\"", c.Name, t.Columns[i].Name)
			}
			if !c.T.SameSQL(t.Columns[i].T) {
				return nil, sqlstate.Errorf(sqlstate.InvalidTableDefinition, "cannot change data type of view column \"%s\"", c.Name)
			}
		}
		t.Columns = slices.Clone(t.Columns)
		for i, c := range old.Columns {
			t.Columns[i].ACL = c.ACL
		}
		t.OID, t.RelType, t.Owner, t.ACL, t.SchemaVersion = old.OID, old.RelType, old.Owner, old.ACL, old.SchemaVersion+1
	} else {
		oid := env.Txn.AllocOIDs(3)
		t.OID, t.RelType, t.Owner, t.SchemaVersion = oid, oid+1, env.User.OID, 1
	}
	d.Tables = map[uint32]*catalog.Table{t.OID: &t}
	return &t, env.change(ctx, v, d)
}

func mayCreateIn(env *Env, s *catalog.Schema) error {
	switch s.OID {
	case catalog.PgCatalogOID, catalog.InformationSchemaOID, catalog.HologresSchemaOID:
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to create in schema \"%s\"", s.Name).
			WithDetail("System catalog modifications are currently disallowed.")
	}
	if env.owns(s.Owner) || granted(env, s.ACL, 'C') {
		return nil
	}
	return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for schema %s", s.Name)
}

func notOwner(kind, name string) error {
	return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "must be owner of %s %s", kind, name)
}

func truncate(ctx context.Context, env *Env, x *plan.Truncate) error {
	v, d := env.Txn.Catalog(), &catalog.Delta{}
	for _, t := range x.Tables {
		name := t.Name
		if t = v.Table(t.OID); t == nil {
			return sqlstate.Errorf(sqlstate.UndefinedTable, "relation \"%s\" does not exist", name)
		}
		if !env.owns(t.Owner) && !granted(env, t.ACL, 'D') {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for table %s", t.Name)
		}
		d.Truncated = append(d.Truncated, t.OID)
		if !x.Restart {
			continue
		}
		for _, s := range ownedSequences(env.Txn.Catalog(), t.OID, 0) {
			if !env.owns(s.Owner) {
				return notOwner("sequence", s.Name)
			}
			if d.Tables == nil {
				d.Tables = map[uint32]*catalog.Table{}
			}
			d.Tables[s.OID] = restarted(s)
		}
	}
	return env.change(ctx, v, d)
}

func drop(ctx context.Context, env *Env, x *plan.Drop) error {
	v := env.Txn.Catalog()
	for _, n := range x.Missing {
		kind := map[plan.DropKind]string{plan.DropTable: "table", plan.DropView: "view", plan.DropSchema: "schema",
			plan.DropRole: "role", plan.DropIndex: "index", plan.DropDatabase: "database", plan.DropSequence: "sequence"}[x.Kind]
		env.notice(sqlstate.SuccessfulCompletion, "%s \"%s\" does not exist, skipping", kind, n)
	}
	d := &catalog.Delta{Tables: map[uint32]*catalog.Table{}, Schemas: map[uint32]*catalog.Schema{}, Roles: map[uint32]*catalog.Role{}}
	for _, oid := range x.OIDs {
		switch x.Kind {
		case plan.DropTable, plan.DropView:
			t := v.Table(oid)
			if t == nil {
				continue
			}
			if !env.owns(t.Owner) && !ownsSchema(env, t.Schema) {
				return notOwner(map[bool]string{true: "view", false: "table"}[t.Kind == catalog.KindView], t.Name)
			}
			if err := dropTable(env, v, t, x.Cascade, x.OIDs, d); err != nil {
				return err
			}
		case plan.DropIndex:
			if err := dropUnique(env, v, oid, d); err != nil {
				return err
			}
		case plan.DropSequence:
			s := v.Table(oid)
			if s == nil || s.Seq == nil {
				continue
			}
			if !env.owns(s.Owner) && !ownsSchema(env, s.Schema) {
				return notOwner("sequence", s.Name)
			}
			if err := dropSequence(env, v, s, x.Cascade, 0, d); err != nil {
				return err
			}
		case plan.DropSchema:
			s := v.Schema(oid)
			if s == nil {
				continue
			}
			if !env.owns(s.Owner) {
				return notOwner("schema", s.Name)
			}
			may := func(t *catalog.Table) error {
				if !x.Cascade {
					return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop schema %s because other objects depend on it", s.Name).
						WithDetail("%s depends on schema %s", described(v, t), s.Name).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
				}
				return nil
			}
			if err := dropAllIn(env, v, oid, may, d); err != nil {
				return err
			}
			d.Schemas[oid] = nil
		case plan.DropRole:
			if err := dropRole(env, v, oid, d); err != nil {
				return err
			}
		}
	}
	if d.Empty() {
		return nil
	}
	return env.change(ctx, v, d)
}

// dropAllIn adds what is in a schema to the delta, and what rests on it. may says of each
// whether it may go.
func dropAllIn(env *Env, v *catalog.Version, schema uint32, may func(*catalog.Table) error, d *catalog.Delta) error {
	for _, t := range v.Tables() {
		if t.Schema != schema || t.IsIndex() {
			continue // an index goes with its table
		}
		if err := may(t); err != nil {
			return err
		}
		if n, done := d.Tables[t.OID]; done && n == nil {
			continue // what is not nil has lost a default or a reference so far
		}
		env.notice(sqlstate.SuccessfulCompletion, "drop cascades to %s", described(v, t))
		if t.Kind == catalog.KindSequence {
			if err := dropSequence(env, v, t, true, t.Seq.OwnerTable, d); err != nil {
				return err
			}
			continue
		}
		if err := dropTable(env, v, t, true, nil, d); err != nil {
			return err
		}
	}
	return nil
}

func ownsSchema(env *Env, oid uint32) bool {
	s := env.Txn.Catalog().Schema(oid)
	return s != nil && env.owns(s.Owner)
}

func described(v *catalog.Version, t *catalog.Table) string {
	kind := "table"
	if t.Kind == catalog.KindView {
		kind = "view"
	}
	if t.Kind == catalog.KindSequence {
		kind = "sequence"
	}
	if s := v.Schema(t.Schema); s != nil && s.OID != catalog.PublicSchemaOID {
		return kind + " " + s.Name + "." + t.Name
	}
	return kind + " " + t.Name
}

// dropTable adds t and, with cascade, the views over it to the delta.
func dropTable(env *Env, v *catalog.Version, t *catalog.Table, cascade bool, also []uint32, d *catalog.Delta) error {
	if n, done := d.Tables[t.OID]; done && n == nil {
		return nil
	}
	d.Tables[t.OID] = nil
	if err := dropFed(env, v, t, cascade, d); err != nil {
		return err
	}
	for _, s := range ownedSequences(v, t.OID, 0) {
		if _, done := d.Tables[s.OID]; done {
			continue
		}
		if err := dropSequence(env, v, s, cascade, t.OID, d); err != nil {
			return err
		}
	}
	if err := dropReferences(env, v, t, cascade, also, d); err != nil {
		return err
	}
	for _, w := range v.Tables() {
		if w.Kind != catalog.KindView || !slices.Contains(w.DependsOn, t.OID) || slices.Contains(also, w.OID) {
			continue
		}
		if _, done := d.Tables[w.OID]; done {
			continue
		}
		if !cascade {
			return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop %s because other objects depend on it", described(v, t)).
				WithDetail("%s depends on %s", described(v, w), described(v, t)).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
		}
		env.notice(sqlstate.SuccessfulCompletion, "drop cascades to %s", described(v, w))
		if err := dropTable(env, v, w, true, also, d); err != nil {
			return err
		}
	}
	return nil
}

func setTableProperty(ctx context.Context, env *Env, x *plan.SetTableProperty) error {
	return alterTable(ctx, env, &plan.AlterTable{Table: x.Table,
		Actions: []plan.AlterAction{{Op: plan.SetProps, Props: map[string]string{x.Key: x.Value}}}})
}

func comment(ctx context.Context, env *Env, x *plan.Comment) error {
	v := env.Txn.Catalog()
	t := v.Table(x.Table)
	if t == nil {
		return nil
	}
	if !env.owns(t.Owner) {
		return notOwner("table", t.Name)
	}
	c := changed(t)
	if x.Column == "" {
		c.Comment = x.Text
	} else if o := c.Ordinal(x.Column); o >= 0 {
		c.Columns[o].Comment = x.Text
	} else {
		return noColumn(x.Column, t.Name)
	}
	return env.change(ctx, v, tableDelta(c))
}

func noColumn(col, table string) error {
	return sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", col, table)
}

// propertyList splits a column list of a table property: a,b or "A",b:desc.
func propertyList(s string) []string {
	var out []string
	for _, p := range strings.Split(s, ",") {
		if p = strings.Trim(strings.TrimSpace(p), `"`); p != "" {
			out = append(out, p)
		}
	}
	return out
}
