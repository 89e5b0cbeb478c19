package bind

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// altered finds the relation that an ALTER names; nil with IF EXISTS and none there.
func (b *binder) altered(rv *pg.RangeVar, missingOK bool) (*catalog.Table, error) {
	t, err := b.lookup(rv.Schemaname, rv.Relname, -1)
	if err != nil && !missingOK {
		return nil, err
	}
	if t == nil {
		if missingOK {
			return nil, nil
		}
		_, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
		return nil, err
	}
	if t.IsIndex() {
		return nil, b.cannotOpen(rv.Location, t.Name)
	}
	if t.Kind == catalog.KindSystem {
		return nil, sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied: \"%s\" is a system catalog", t.Name)
	}
	b.use(t, "")
	return t, nil
}

// nothing is a statement without effect.
func nothing(tag string) *plan.Statement {
	return &plan.Statement{Tag: tag, Utility: &plan.Session{Kind: plan.DoNothing}}
}

// skipped is a statement that IF EXISTS leaves without effect; Text is the notice.
func skipped(tag string, rv *pg.RangeVar) *plan.Statement {
	return &plan.Statement{Tag: tag, Utility: &plan.Session{Kind: plan.DoNothing,
		Text: "relation \"" + rv.Relname + "\" does not exist, skipping"}}
}

// alterTable binds ALTER TABLE.
func (b *binder) alterTable(s *pg.AlterTableStmt) (*plan.Statement, error) {
	tag := "ALTER TABLE"
	switch s.Objtype {
	case pg.ObjectType_OBJECT_TABLE:
	case pg.ObjectType_OBJECT_VIEW:
		tag = "ALTER VIEW"
	case pg.ObjectType_OBJECT_SEQUENCE:
		tag = "ALTER SEQUENCE"
	default:
		return nil, b.unsupported(-1, "ALTER %s", objectName(s.Objtype))
	}
	t, err := b.altered(s.Relation, s.MissingOk)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return skipped(tag, s.Relation), nil
	}
	if t.Kind == catalog.KindView && s.Objtype == pg.ObjectType_OBJECT_TABLE {
		for _, n := range s.Cmds {
			if n.GetAlterTableCmd().Subtype != pg.AlterTableType_AT_ChangeOwner {
				return nil, b.errf(-1, sqlstate.WrongObjectType, "ALTER action %s cannot be performed on relation \"%s\"", alterName(n.GetAlterTableCmd().Subtype), t.Name).
					WithDetail("This operation is not supported for views.")
			}
		}
	}
	if t.Kind == catalog.KindSequence {
		for _, n := range s.Cmds {
			if k := n.GetAlterTableCmd().Subtype; k != pg.AlterTableType_AT_ChangeOwner {
				return nil, b.errf(-1, sqlstate.WrongObjectType, "ALTER action %s cannot be performed on relation \"%s\"", alterName(k), t.Name).
					WithDetail("This operation is not supported for sequences.")
			}
		}
	} else if s.Objtype == pg.ObjectType_OBJECT_SEQUENCE {
		return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a sequence", t.Name)
	}
	persistence := 0
	for _, n := range s.Cmds {
		if k := n.GetAlterTableCmd().Subtype; k == pg.AlterTableType_AT_SetLogged || k == pg.AlterTableType_AT_SetUnLogged {
			persistence++
		}
	}
	if persistence > 1 {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot change persistence setting twice")
	}
	// Later actions see the columns that earlier ones made.
	work := *t
	work.Columns = append([]catalog.Column(nil), t.Columns...)
	a := &plan.AlterTable{Table: t}
	for _, n := range s.Cmds {
		act, err := b.alterAction(&work, n.GetAlterTableCmd())
		if err != nil {
			return nil, err
		}
		a.Actions = append(a.Actions, act)
		if act.Op == plan.DropColumn {
			a.In = b.env.Catalog
		}
		if c := n.GetAlterTableCmd(); act.Op == plan.AddColumn && act.Column.ID != 0 {
			more, err := b.addedUnique(&work, c.Def.GetColumnDef())
			if err != nil {
				return nil, err
			}
			a.Actions = append(a.Actions, more...)
		}
	}
	return &plan.Statement{Tag: tag, Writes: true, Utility: a}, nil
}

func alterName(t pg.AlterTableType) string {
	switch t {
	case pg.AlterTableType_AT_SetLogged:
		return "SET LOGGED"
	case pg.AlterTableType_AT_SetUnLogged:
		return "SET UNLOGGED"
	case pg.AlterTableType_AT_AddColumn:
		return "ADD COLUMN"
	case pg.AlterTableType_AT_DropColumn:
		return "DROP COLUMN"
	case pg.AlterTableType_AT_AddConstraint:
		return "ADD CONSTRAINT"
	case pg.AlterTableType_AT_DropConstraint:
		return "DROP CONSTRAINT"
	case pg.AlterTableType_AT_SetNotNull:
		return "ALTER COLUMN ... SET NOT NULL"
	case pg.AlterTableType_AT_DropNotNull:
		return "ALTER COLUMN ... DROP NOT NULL"
	case pg.AlterTableType_AT_AlterColumnType:
		return "ALTER COLUMN ... SET DATA TYPE"
	}
	return strings.TrimPrefix(t.String(), "AT_")
}

func (b *binder) alterAction(t *catalog.Table, c *pg.AlterTableCmd) (plan.AlterAction, error) {
	act := plan.AlterAction{IfExists: c.MissingOk, Cascade: c.Behavior == pg.DropBehavior_DROP_CASCADE}
	column := func() (*catalog.Column, error) {
		o := t.Ordinal(c.Name)
		if o < 0 {
			return nil, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", c.Name, t.Name)
		}
		act.Column = t.Columns[o]
		return &t.Columns[o], nil
	}
	switch c.Subtype {
	case pg.AlterTableType_AT_AddColumn:
		return b.addColumn(t, c)
	case pg.AlterTableType_AT_DropColumn:
		act.Op = plan.DropColumn
		act.Column.Name = c.Name
		if t.Ordinal(c.Name) < 0 {
			if c.MissingOk {
				return act, nil
			}
			_, err := column()
			return act, err
		}
		act.Column = t.Columns[t.Ordinal(c.Name)]
		return act, b.restsOn(t, &act)
	case pg.AlterTableType_AT_ColumnDefault:
		col, err := column()
		if err != nil {
			return act, err
		}
		act.Op = plan.SetDefault
		if col.Identity != 0 {
			e := b.errf(-1, sqlstate.SyntaxError, "column \"%s\" of relation \"%s\" is an identity column", col.Name, t.Name)
			if c.Def == nil {
				e = e.WithHint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.")
			}
			return act, e
		}
		if c.Def != nil {
			if col.GeneratedText != "" {
				return act, b.errf(-1, sqlstate.SyntaxError, "column \"%s\" of relation \"%s\" is a generated column", col.Name, t.Name)
			}
			act.Text, err = b.defaultText(c.Def, col)
		}
		return act, err
	case pg.AlterTableType_AT_SetNotNull:
		act.Op = plan.SetNotNull
		_, err := column()
		return act, err
	case pg.AlterTableType_AT_DropNotNull:
		act.Op = plan.DropNotNull
		col, err := column()
		if err != nil {
			return act, err
		}
		if col.Identity != 0 {
			return act, b.errf(-1, sqlstate.SyntaxError, "column \"%s\" of relation \"%s\" is an identity column", col.Name, t.Name)
		}
		if contains(t.PK, t.Ordinal(col.Name)) {
			return act, b.errf(-1, sqlstate.InvalidTableDefinition, "column \"%s\" is in a primary key", col.Name)
		}
		return act, nil
	case pg.AlterTableType_AT_AddConstraint:
		return b.addConstraint(t, c.Def.GetConstraint())
	case pg.AlterTableType_AT_DropConstraint:
		act.Op, act.NewName = plan.DropConstraint, c.Name
		if c.Name == t.PKName && c.Name != "" {
			return act, b.unsupported(-1, "dropping a primary key")
		}
		for _, k := range t.Checks {
			if k.Name == c.Name {
				act.Check = k
				return act, nil
			}
		}
		for _, k := range t.Foreign {
			if k.Name == c.Name {
				act.Foreign = k
				return act, nil
			}
		}
		for _, k := range t.Unique {
			if k.Name == c.Name && !k.IndexOnly {
				return act, nil
			}
		}
		if c.MissingOk {
			act.Op = plan.NoOp
			act.Text = "constraint \"" + c.Name + "\" of relation \"" + t.Name + "\" does not exist, skipping"
			return act, nil
		}
		return act, b.errf(-1, sqlstate.UndefinedObject, "constraint \"%s\" of relation \"%s\" does not exist", c.Name, t.Name)
	case pg.AlterTableType_AT_AddIdentity:
		col, err := column()
		if err != nil {
			return act, err
		}
		return b.addIdentity(t, col, c.Def.GetConstraint())
	case pg.AlterTableType_AT_SetIdentity:
		col, err := column()
		if err != nil {
			return act, err
		}
		return b.setIdentity(t, col, c.Def.GetList().GetItems())
	case pg.AlterTableType_AT_DropIdentity:
		act.Op = plan.DropIdentity
		col, err := column()
		if err != nil {
			return act, err
		}
		if col.Identity == 0 {
			if c.MissingOk {
				return plan.AlterAction{Op: plan.NoOp, Text: "column \"" + col.Name + "\" of relation \"" + t.Name + "\" is not an identity column, skipping"}, nil
			}
			return act, b.errf(-1, sqlstate.ObjectNotInPrerequisiteState, "column \"%s\" of relation \"%s\" is not an identity column", col.Name, t.Name)
		}
		return act, nil
	case pg.AlterTableType_AT_SetRelOptions:
		act.Op, act.Props = plan.SetProps, map[string]string{}
		for _, n := range c.Def.GetList().GetItems() {
			d := n.GetDefElem()
			name := d.Defname
			if d.Defnamespace != "" {
				name = d.Defnamespace + "." + name
			}
			if ignoredOption(name) {
				continue
			}
			v, _ := optionText(d)
			if err := b.changeProp(t, name, v); err != nil {
				return act, err
			}
			act.Props[PropName(name)] = t.Props[PropName(name)]
		}
		return act, nil
	case pg.AlterTableType_AT_ChangeOwner:
		act.Op = plan.SetOwner
		var err error
		act.NewName, err = b.role(c.Newowner)
		return act, err
	case pg.AlterTableType_AT_AlterColumnType:
		col, err := column()
		if err != nil {
			return act, err
		}
		nt, err := b.typeName(c.Def.GetColumnDef().TypeName)
		if err != nil {
			return act, err
		}
		if nt.OID == col.T.OID && nt.Mod == col.T.Mod {
			act.Op = plan.NoOp
			return act, nil
		}
		return act, b.unsupported(-1, "ALTER COLUMN ... TYPE")
	case pg.AlterTableType_AT_SetStatistics, pg.AlterTableType_AT_SetStorage, pg.AlterTableType_AT_SetCompression,
		pg.AlterTableType_AT_ValidateConstraint, pg.AlterTableType_AT_ClusterOn, pg.AlterTableType_AT_DropCluster:
		act.Op = plan.NoOp
		return act, nil
	case pg.AlterTableType_AT_SetLogged, pg.AlterTableType_AT_SetUnLogged:
		return b.setLogged(t, c)
	}
	return act, b.unsupported(-1, "ALTER TABLE ... %s", alterName(c.Subtype))
}

// setLogged binds SET LOGGED and SET UNLOGGED. All tables are logged: who asks for
// another gets one all the same, which is safer than asked for, and is told so.
func (b *binder) setLogged(t *catalog.Table, c *pg.AlterTableCmd) (plan.AlterAction, error) {
	act := plan.AlterAction{Op: plan.NoOp}
	switch {
	case t.Kind == catalog.KindView:
		return act, b.errf(-1, sqlstate.WrongObjectType, "ALTER action %s cannot be performed on relation \"%s\"", alterName(c.Subtype), t.Name).
			WithDetail("This operation is not supported for views.")
	case t.Temp != 0:
		return act, b.errf(-1, sqlstate.InvalidTableDefinition, "cannot change logged status of table \"%s\" because it is temporary", t.Name)
	case c.Subtype == pg.AlterTableType_AT_SetUnLogged:
		act.Text = plan.Logged(t.Name)
	}
	return act, nil
}

// changeProp checks a change of a property on an existing table.
func (b *binder) changeProp(t *catalog.Table, name, value string) error {
	canon := PropName(name)
	if creationOnly[canon] {
		return sqlstate.Errorf(sqlstate.FeatureNotSupported, "table property \"%s\" cannot be changed after the table is created", name)
	}
	props := map[string]string{}
	for k, v := range t.Props {
		props[k] = v
	}
	t.Props = props
	return SetProp(t, name, value, b.env.Settings)
}

func (b *binder) addColumn(t *catalog.Table, c *pg.AlterTableCmd) (plan.AlterAction, error) {
	act := plan.AlterAction{Op: plan.AddColumn, IfExists: c.MissingOk}
	def := c.Def.GetColumnDef()
	if t.Ordinal(def.Colname) >= 0 {
		if c.MissingOk {
			act.Column.Name = def.Colname
			return act, nil
		}
		return act, b.errf(-1, sqlstate.DuplicateColumn, "column \"%s\" of relation \"%s\" already exists", def.Colname, t.Name)
	}
	col, err := b.columnDef(def)
	if err != nil {
		return act, err
	}
	d := &tableDef{b: b, t: t}
	if err := d.add(col, def.Location); err != nil {
		return act, err
	}
	if typ := serialColumn(def); typ != 0 {
		d.seqs = append(d.seqs, serial(def.Colname, typ))
	}
	for _, n := range def.Constraints {
		k := n.GetConstraint()
		switch k.Contype {
		case pg.ConstrType_CONSTR_NULL, pg.ConstrType_CONSTR_NOTNULL, pg.ConstrType_CONSTR_DEFAULT, pg.ConstrType_CONSTR_IDENTITY:
		case pg.ConstrType_CONSTR_UNIQUE:
			continue // see addedUnique
		default:
			return act, b.unsupported(k.Location, "ADD COLUMN with a constraint other than NOT NULL and DEFAULT")
		}
		if err := d.constraint(k, def.Colname); err != nil {
			return act, err
		}
	}
	added := &t.Columns[len(t.Columns)-1]
	if added.DefaultText != "" {
		e, err := b.defaultOf(added)
		if err != nil {
			return act, err
		}
		if expr.Volatility(e) == fn.Volatile {
			return act, b.unsupported(def.Location, "ADD COLUMN with a volatile default")
		}
		if b.env.Fold != nil {
			if e, err = b.env.Fold(e); err != nil {
				return act, err
			}
		}
		if k, ok := e.(*expr.Const); ok {
			added.Missing = k.D
		} else {
			act.Default = e
		}
	}
	act.Column = *added
	if len(d.seqs) > 0 {
		act.Sequence = &d.seqs[0]
	}
	return act, nil
}

// addIdentity binds ALTER COLUMN ... ADD GENERATED ... AS IDENTITY.
func (b *binder) addIdentity(t *catalog.Table, col *catalog.Column, c *pg.Constraint) (plan.AlterAction, error) {
	act := plan.AlterAction{Op: plan.AddIdentity, Column: *col}
	switch {
	case col.Identity != 0:
		return act, b.errf(-1, sqlstate.ObjectNotInPrerequisiteState, "column \"%s\" of relation \"%s\" is already an identity column", col.Name, t.Name)
	case !col.NotNull:
		return act, b.errf(-1, sqlstate.ObjectNotInPrerequisiteState, "column \"%s\" of relation \"%s\" must be declared NOT NULL before identity can be added", col.Name, t.Name)
	case col.DefaultText != "":
		return act, b.errf(-1, sqlstate.ObjectNotInPrerequisiteState, "column \"%s\" of relation \"%s\" already has a default value", col.Name, t.Name)
	}
	s, err := b.identity(col, c.Options)
	act.Column.Identity, act.Sequence = c.GeneratedWhen[0], &s
	return act, err
}

// setIdentity binds ALTER COLUMN ... SET GENERATED, SET sequence option and RESTART.
func (b *binder) setIdentity(t *catalog.Table, col *catalog.Column, opts []*pg.Node) (plan.AlterAction, error) {
	act := plan.AlterAction{Op: plan.SetIdentity, Column: *col}
	seq := b.env.Catalog.Table(col.Sequence)
	if col.Identity == 0 || seq == nil {
		return act, b.errf(-1, sqlstate.ObjectNotInPrerequisiteState, "column \"%s\" of relation \"%s\" is not an identity column", col.Name, t.Name)
	}
	var rest []*pg.Node
	for _, n := range opts {
		if d := n.GetDefElem(); d.Defname == "generated" {
			act.Column.Identity = byte(d.Arg.GetInteger().GetIval())
			continue
		}
		rest = append(rest, n)
	}
	o, err := b.sequenceOptions(rest, true)
	if err != nil {
		return act, err
	}
	q, restart, err := b.sequence(o, seq.Seq)
	act.Sequence, act.Restart = &plan.ColumnSequence{Column: col.Name, Seq: q}, restart
	return act, err
}

func (b *binder) addConstraint(t *catalog.Table, c *pg.Constraint) (plan.AlterAction, error) {
	var act plan.AlterAction
	switch c.Contype {
	case pg.ConstrType_CONSTR_CHECK:
		d := &tableDef{b: b, t: t, names: map[string]bool{}}
		for _, k := range t.Checks {
			d.names[k.Name] = true
		}
		if d.names[c.Conname] {
			return act, b.errf(-1, sqlstate.DuplicateObject, "constraint \"%s\" for relation \"%s\" already exists", c.Conname, t.Name)
		}
		ck, err := b.checkText(c.Conname, c.RawExpr, t)
		if c.Conname == "" {
			ck.Name = d.free(ck.Name)
		}
		t.Checks = append(append([]catalog.Check(nil), t.Checks...), ck)
		act.Op, act.Check = plan.AddCheck, ck
		return act, err
	case pg.ConstrType_CONSTR_PRIMARY:
		if len(t.PK) > 0 {
			return act, b.errf(-1, sqlstate.InvalidTableDefinition, "multiple primary keys for table \"%s\" are not allowed", t.Name)
		}
		if _, err := b.primaryKey(t, names(c.Keys), -1); err != nil {
			return act, err
		}
		act.Op, act.Key, act.NewName = plan.AddPrimaryKey, names(c.Keys), c.Conname
		return act, nil
	case pg.ConstrType_CONSTR_UNIQUE:
		return b.addUnique(t, c, names(c.Keys))
	case pg.ConstrType_CONSTR_FOREIGN:
		d := &tableDef{b: b, t: t, names: constraintNames(t)}
		t.Foreign = append([]catalog.ForeignKey(nil), t.Foreign...)
		if err := d.foreign(c, names(c.FkAttrs)); err != nil {
			return act, err
		}
		act.Op, act.Foreign = plan.AddForeign, t.Foreign[len(t.Foreign)-1]
		return act, nil
	}
	return act, b.unsupported(c.Location, "ADD CONSTRAINT of this kind")
}

// rename binds ALTER ... RENAME.
func (b *binder) rename(s *pg.RenameStmt) (*plan.Statement, error) {
	switch s.RenameType {
	case pg.ObjectType_OBJECT_SUBSCRIPTION:
		return b.renameSubscription(s)
	case pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_INDEX:
		return b.renameConstraint(s)
	case pg.ObjectType_OBJECT_SCHEMA:
		return b.renameSchema(s)
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_COLUMN, pg.ObjectType_OBJECT_SEQUENCE:
	default:
		return nil, b.unsupported(-1, "ALTER %s ... RENAME", objectName(s.RenameType))
	}
	tag := "ALTER TABLE"
	if s.RenameType == pg.ObjectType_OBJECT_VIEW || s.RelationType == pg.ObjectType_OBJECT_VIEW {
		tag = "ALTER VIEW"
	}
	if s.RenameType == pg.ObjectType_OBJECT_SEQUENCE {
		tag = "ALTER SEQUENCE"
	}
	t, err := b.altered(s.Relation, s.MissingOk)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return skipped(tag, s.Relation), nil
	}
	act := plan.AlterAction{Op: plan.RenameTable, NewName: s.Newname}
	if s.RenameType == pg.ObjectType_OBJECT_COLUMN {
		act.Op = plan.RenameColumn
		o := t.Ordinal(s.Subname)
		if o < 0 {
			return nil, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" does not exist", s.Subname)
		}
		if t.Ordinal(s.Newname) >= 0 {
			return nil, b.errf(-1, sqlstate.DuplicateColumn, "column \"%s\" of relation \"%s\" already exists", s.Newname, t.Name)
		}
		act.Column = t.Columns[o]
		if act.Texts, err = renamedColumn(t, s.Subname, s.Newname); err != nil {
			return nil, err
		}
	}
	now := *t
	if act.Op == plan.RenameColumn {
		now.Columns = slices.Clone(t.Columns)
		now.Columns[t.Ordinal(s.Subname)].Name = s.Newname
	} else if now.Name = s.Newname; b.env.Catalog.TableNamed(t.Schema, s.Newname) != nil {
		return nil, b.errf(-1, sqlstate.DuplicateTable, "relation \"%s\" already exists", s.Newname)
	} else if act.Texts, err = renamedTable(t, s.Newname); err != nil {
		return nil, err
	}
	views, err := b.renamedIn(t, &now)
	if err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: tag, Writes: true, Utility: &plan.AlterTable{Table: t, Actions: []plan.AlterAction{act}, Views: views, In: b.env.Catalog}}, nil
}

// alterSchema binds ALTER TABLE ... SET SCHEMA.
func (b *binder) alterSchema(s *pg.AlterObjectSchemaStmt) (*plan.Statement, error) {
	if s.ObjectType != pg.ObjectType_OBJECT_TABLE && s.ObjectType != pg.ObjectType_OBJECT_VIEW && s.ObjectType != pg.ObjectType_OBJECT_SEQUENCE {
		return nil, b.unsupported(-1, "ALTER %s ... SET SCHEMA", objectName(s.ObjectType))
	}
	t, err := b.altered(s.Relation, s.MissingOk)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return skipped("ALTER TABLE", s.Relation), nil
	}
	to := b.env.Catalog.SchemaNamed(s.Newschema)
	if to == nil {
		return nil, b.errf(-1, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", s.Newschema)
	}
	if t.Temp != 0 || catalog.IsTempSchema(s.Newschema) {
		return nil, b.errf(-1, sqlstate.FeatureNotSupported, "cannot move objects into or out of temporary schemas")
	}
	now := *t
	now.Schema = to.OID
	act := plan.AlterAction{Op: plan.SetSchema, NewName: s.Newschema}
	if act.Texts, err = renamedTable(t, t.Name); err != nil {
		return nil, err
	}
	var views []plan.ViewText
	if o := b.env.Catalog.TableNamed(to.OID, t.Name); o == nil {
		if views, err = b.renamedIn(t, &now); err != nil {
			return nil, err
		}
	}
	return &plan.Statement{Tag: "ALTER " + objectName(s.ObjectType), Writes: true,
		Utility: &plan.AlterTable{Table: t, Actions: []plan.AlterAction{act}, Views: views, In: b.env.Catalog}}, nil
}

// objectName is an object type's name as SQL writes it.
func objectName(t pg.ObjectType) string {
	return strings.ReplaceAll(strings.TrimPrefix(t.String(), "OBJECT_"), "_", " ")
}

// role is the name that a role specification means.
func (b *binder) role(r *pg.RoleSpec) (string, error) {
	switch r.GetRoletype() {
	case pg.RoleSpecType_ROLESPEC_CSTRING:
		if b.env.Catalog.RoleNamed(r.Rolename) == nil {
			return "", b.errf(-1, sqlstate.UndefinedObject, "role \"%s\" does not exist", r.Rolename)
		}
		return r.Rolename, nil
	case pg.RoleSpecType_ROLESPEC_PUBLIC:
		return "", nil
	}
	return b.env.User, nil
}

// setTableProperty binds CALL set_table_property('t', 'key', 'value').
func (b *binder) setTableProperty(f *pg.FuncCall) (*plan.Statement, error) {
	ns := names(f.Funcname)
	name := strings.ToLower(ns[len(ns)-1])
	if name == "hg_compact" && len(f.Args) <= 1 {
		return b.compactTable(f)
	}
	if u, ok, err := b.slotCall(f, name); ok {
		if err != nil {
			return nil, err
		}
		return &plan.Statement{Tag: "CALL", Utility: u}, nil
	}
	if u, ok, err := b.groupCall(f, name); ok {
		if err != nil {
			return nil, err
		}
		return &plan.Statement{Tag: "CALL", Writes: true, Utility: u}, nil
	}
	if name != "set_table_property" && name != "update_table_property" {
		q := &query{b: b}
		in := &invocation{call: f, name: strings.Join(ns, "."), loc: f.Location}
		err := q.in(clauseCall, func() error {
			es, _, err := q.exprs(f.Args)
			in.args = es
			return err
		})
		if err != nil {
			return nil, err
		}
		return nil, b.errf(f.Location, sqlstate.UndefinedFunction, "procedure %s does not exist", signature(in.name, nil, actualTypes(in.args))).
			WithHint("No procedure matches the given name and argument types. You might need to add explicit type casts.")
	}
	if len(f.Args) != 3 {
		return nil, b.errf(f.Location, sqlstate.UndefinedFunction, "procedure %s takes a table, a property and a value", name)
	}
	args, err := b.constStrings(f, name)
	if err != nil {
		return nil, err
	}
	t, err := b.tableNamed(args[0], location(f.Args[0]))
	if err != nil {
		return nil, err
	}
	b.use(t, "")
	work := *t
	work.Props = map[string]string{}
	for k, v := range t.Props {
		work.Props[k] = v
	}
	if err := SetProp(&work, args[1], args[2], b.env.Settings); err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "CALL", Writes: true,
		Utility: &plan.SetTableProperty{Table: t, Key: PropName(args[1]), Value: args[2]}}, nil
}

// compactTable is CALL hg_compact('t'), or of all tables without an argument: it
// does what VACUUM does.
func (b *binder) compactTable(f *pg.FuncCall) (*plan.Statement, error) {
	u := &plan.Analyze{Vacuum: true}
	if len(f.Args) == 1 {
		args, err := b.constStrings(f, "hg_compact")
		if err != nil {
			return nil, err
		}
		t, err := b.tableNamed(args[0], location(f.Args[0]))
		if err != nil {
			return nil, err
		}
		u.Tables = []uint32{t.OID}
	}
	return &plan.Statement{Tag: "CALL", Utility: u}, nil
}

// constStrings are the arguments of a procedure that takes constant strings.
func (b *binder) constStrings(f *pg.FuncCall, name string) ([]string, error) {
	args := make([]string, len(f.Args))
	for i, n := range f.Args {
		q := &query{b: b}
		var e expr.Expr
		err := q.in(clauseCall, func() (err error) {
			if e, err = q.expr(n); err == nil {
				e, err = b.cast(e, types.Text, location(n))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		c, ok := b.fold(e).(*expr.Const)
		if !ok || !c.D.Valid {
			return nil, b.errf(location(n), sqlstate.InvalidParameterValue, "arguments of %s must be constant strings", name)
		}
		args[i] = c.D.S
	}
	return args, nil
}

// tableNamed is the table that a string names, schema and quotes as in SQL.
func (b *binder) tableNamed(name string, loc int32) (*catalog.Table, error) {
	parts, err := splitName(name)
	if err != nil {
		return nil, b.locate(err, loc)
	}
	schema := ""
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	t, err := b.relation(schema, parts[len(parts)-1], -1)
	if err != nil {
		return nil, err
	}
	if t.Kind != catalog.KindTable {
		return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a table", t.Name)
	}
	return t, nil
}

// splitName takes a possibly qualified and quoted name apart.
func splitName(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimSpace(s)
		var part string
		if strings.HasPrefix(s, "\"") {
			end := 1
			for {
				i := strings.IndexByte(s[end:], '"')
				if i < 0 {
					return nil, sqlstate.Errorf(sqlstate.InvalidName, "invalid name syntax")
				}
				end += i
				if end+1 < len(s) && s[end+1] == '"' {
					end += 2
					continue
				}
				break
			}
			part, s = strings.ReplaceAll(s[1:end], `""`, `"`), s[end+1:]
		} else {
			end := strings.IndexByte(s, '.')
			if end < 0 {
				end = len(s)
			}
			part, s = strings.ToLower(strings.TrimSpace(s[:end])), s[end:]
		}
		if part == "" {
			return nil, sqlstate.Errorf(sqlstate.InvalidName, "invalid name syntax")
		}
		out = append(out, part)
		s = strings.TrimSpace(s)
		if s == "" {
			return out, nil
		}
		if s[0] != '.' {
			return nil, sqlstate.Errorf(sqlstate.InvalidName, "invalid name syntax")
		}
		s = s[1:]
	}
}
