package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// utility binds what is not a query.
func (b *binder) utility(st parser.Stmt) (*plan.Statement, error) {
	switch x := st.Node.GetNode().(type) {
	case *pg.Node_CreateStmt:
		return b.createTable(x.CreateStmt)
	case *pg.Node_CreateTableAsStmt:
		if x.CreateTableAsStmt.Objtype != pg.ObjectType_OBJECT_TABLE {
			return nil, b.unsupported(-1, "CREATE MATERIALIZED VIEW")
		}
		return b.createTableAs(x.CreateTableAsStmt.Query, x.CreateTableAsStmt.Into, x.CreateTableAsStmt.IfNotExists)
	case *pg.Node_ViewStmt:
		return b.createView(x.ViewStmt)
	case *pg.Node_CreateSchemaStmt:
		return b.createSchema(x.CreateSchemaStmt)
	case *pg.Node_AlterTableStmt:
		return b.alterTable(x.AlterTableStmt)
	case *pg.Node_RenameStmt:
		return b.rename(x.RenameStmt)
	case *pg.Node_AlterObjectSchemaStmt:
		return b.alterSchema(x.AlterObjectSchemaStmt)
	case *pg.Node_DropStmt:
		return b.drop(x.DropStmt)
	case *pg.Node_DropRoleStmt:
		return b.dropRole(x.DropRoleStmt)
	case *pg.Node_DropdbStmt:
		return nil, b.unsupported(-1, "DROP DATABASE")
	case *pg.Node_CreatedbStmt:
		return nil, b.unsupported(-1, "CREATE DATABASE")
	case *pg.Node_TruncateStmt:
		return b.truncate(x.TruncateStmt)
	case *pg.Node_CallStmt:
		return b.setTableProperty(x.CallStmt.Funccall)
	case *pg.Node_CopyStmt:
		return b.copy(x.CopyStmt)
	case *pg.Node_ExplainStmt:
		return b.explain(st, x.ExplainStmt)
	case *pg.Node_CreateRoleStmt:
		return b.createRole(x.CreateRoleStmt)
	case *pg.Node_AlterRoleStmt:
		return b.alterRole(x.AlterRoleStmt)
	case *pg.Node_GrantStmt:
		return b.grant(x.GrantStmt)
	case *pg.Node_GrantRoleStmt:
		return b.grantRole(x.GrantRoleStmt)
	case *pg.Node_CommentStmt:
		return b.comment(x.CommentStmt)
	case *pg.Node_VacuumStmt:
		return b.vacuum(x.VacuumStmt)
	case *pg.Node_IndexStmt:
		return b.createIndex(x.IndexStmt)
	case *pg.Node_CreateSubscriptionStmt:
		return b.createSubscription(x.CreateSubscriptionStmt)
	case *pg.Node_AlterSubscriptionStmt:
		return b.alterSubscription(x.AlterSubscriptionStmt)
	case *pg.Node_DropSubscriptionStmt:
		return b.dropSubscription(x.DropSubscriptionStmt)
	case *pg.Node_AlterOwnerStmt:
		if x.AlterOwnerStmt.ObjectType == pg.ObjectType_OBJECT_SUBSCRIPTION {
			return b.ownSubscription(x.AlterOwnerStmt)
		}
		if x.AlterOwnerStmt.ObjectType == pg.ObjectType_OBJECT_SCHEMA {
			return b.schemaOwner(x.AlterOwnerStmt)
		}
		return nil, b.unsupported(-1, "ALTER %s ... OWNER", objectName(x.AlterOwnerStmt.ObjectType))
	case *pg.Node_CreateFunctionStmt:
		return nil, b.unsupported(-1, "CREATE FUNCTION")
	case *pg.Node_CreateSeqStmt:
		return b.createSequence(x.CreateSeqStmt)
	case *pg.Node_AlterSeqStmt:
		return b.alterSequence(x.AlterSeqStmt)
	case *pg.Node_CreateTrigStmt:
		return nil, b.unsupported(-1, "CREATE TRIGGER")
	case *pg.Node_CreateExtensionStmt:
		return nil, b.unsupported(-1, "CREATE EXTENSION")
	case *pg.Node_CreateDomainStmt:
		return nil, b.unsupported(-1, "CREATE DOMAIN")
	case *pg.Node_CreateEnumStmt, *pg.Node_CompositeTypeStmt, *pg.Node_CreateRangeStmt, *pg.Node_DefineStmt:
		return nil, b.unsupported(-1, "CREATE TYPE and the like")
	case *pg.Node_RefreshMatViewStmt:
		return nil, b.unsupported(-1, "REFRESH MATERIALIZED VIEW")
	case *pg.Node_DoStmt:
		return nil, b.unsupported(-1, "DO")
	}
	return b.session(st)
}

func (b *binder) createSchema(s *pg.CreateSchemaStmt) (*plan.Statement, error) {
	if len(s.SchemaElts) > 0 {
		return nil, b.unsupported(-1, "CREATE SCHEMA with elements")
	}
	c := &plan.CreateSchema{Name: s.Schemaname, Owner: b.env.User, IfNotExists: s.IfNotExists}
	if s.Authrole != nil {
		owner, err := b.role(s.Authrole)
		if err != nil {
			return nil, err
		}
		c.Owner = owner
	}
	if c.Name == "" {
		c.Name = c.Owner
	}
	if err := b.mayBeNamed(c.Name); err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "CREATE SCHEMA", Writes: true, Utility: c}, nil
}

// drop binds DROP TABLE, VIEW, SCHEMA and INDEX.
func (b *binder) drop(s *pg.DropStmt) (*plan.Statement, error) {
	d := &plan.Drop{Cascade: s.Behavior == pg.DropBehavior_DROP_CASCADE, IfExists: s.MissingOk}
	switch s.RemoveType {
	case pg.ObjectType_OBJECT_TABLE:
		d.Kind = plan.DropTable
	case pg.ObjectType_OBJECT_VIEW:
		d.Kind = plan.DropView
	case pg.ObjectType_OBJECT_SEQUENCE:
		d.Kind = plan.DropSequence
	case pg.ObjectType_OBJECT_SCHEMA:
		d.Kind = plan.DropSchema
	case pg.ObjectType_OBJECT_INDEX:
		d.Kind = plan.DropIndex
	default:
		return nil, b.unsupported(-1, "DROP %s", objectName(s.RemoveType))
	}
	tag := "DROP " + objectName(s.RemoveType)
	for _, o := range s.Objects {
		var ns []string
		if l := o.GetList(); l != nil {
			ns = names(l.Items)
		} else {
			ns = []string{stringNode(o)}
		}
		if err := b.dropOne(d, s, ns); err != nil {
			return nil, err
		}
	}
	return &plan.Statement{Tag: tag, Writes: true, Utility: d}, nil
}

func (b *binder) dropOne(d *plan.Drop, s *pg.DropStmt, ns []string) error {
	name := ns[len(ns)-1]
	missing := func(code sqlstate.Code, kind string) error {
		if s.MissingOk {
			d.Missing = append(d.Missing, strings.Join(ns, "."))
			return nil
		}
		return b.errf(-1, code, "%s \"%s\" does not exist", kind, strings.Join(ns, "."))
	}
	if d.Kind == plan.DropSchema {
		sc := b.env.Catalog.SchemaNamed(name)
		if sc == nil {
			return missing(sqlstate.InvalidSchemaName, "schema")
		}
		switch sc.OID {
		case catalog.PgCatalogOID, catalog.InformationSchemaOID, catalog.HologresSchemaOID:
			return b.errf(-1, sqlstate.DependentObjectsStillExist, "cannot drop schema %s because it is required by the database system", name)
		}
		d.OIDs = append(d.OIDs, sc.OID)
		return nil
	}
	schema := ""
	if len(ns) > 1 {
		schema = ns[len(ns)-2]
		if schema == "pg_temp" && b.env.Temp != "" {
			schema = b.env.Temp
		}
		if b.env.Catalog.SchemaNamed(schema) == nil {
			if s.MissingOk {
				d.Missing = append(d.Missing, strings.Join(ns, "."))
				return nil
			}
			return b.errf(-1, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", schema)
		}
	}
	kind := strings.ToLower(objectName(s.RemoveType))
	if d.Kind == plan.DropIndex {
		if found, err := b.dropIndex(d, schema, name); found || err != nil {
			return err
		}
	} else if x, _ := b.indexNamed(schema, name); x != nil {
		return b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a %s", name, kind).WithHint("Use DROP INDEX to remove an index.")
	}
	t, err := b.lookup(schema, name, -1)
	if err != nil {
		return err
	}
	if t == nil || d.Kind == plan.DropIndex {
		code := sqlstate.Code(sqlstate.UndefinedTable)
		if d.Kind == plan.DropIndex {
			code = sqlstate.UndefinedObject
		}
		return missing(code, kind)
	}
	if t.Kind == catalog.KindSystem {
		return b.errf(-1, sqlstate.InsufficientPrivilege, "permission denied: \"%s\" is a system catalog", t.Name)
	}
	if want := map[plan.DropKind]catalog.Kind{plan.DropView: catalog.KindView, plan.DropSequence: catalog.KindSequence}[d.Kind]; t.Kind != want {
		is := map[catalog.Kind]string{catalog.KindTable: "TABLE", catalog.KindView: "VIEW", catalog.KindSequence: "SEQUENCE"}[t.Kind]
		return b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a %s", t.Name, kind).
			WithHint("Use DROP %s to remove a %s.", is, strings.ToLower(is))
	}
	b.use(t, "")
	for _, o := range d.OIDs {
		if o == t.OID {
			return nil
		}
	}
	d.OIDs = append(d.OIDs, t.OID)
	return nil
}

func (b *binder) dropRole(s *pg.DropRoleStmt) (*plan.Statement, error) {
	d := &plan.Drop{Kind: plan.DropRole, IfExists: s.MissingOk}
	for _, n := range s.Roles {
		r := b.env.Catalog.RoleNamed(n.GetRoleSpec().GetRolename())
		if r == nil {
			name := n.GetRoleSpec().GetRolename()
			if !s.MissingOk {
				return nil, b.errf(-1, sqlstate.UndefinedObject, "role \"%s\" does not exist", name)
			}
			d.Missing = append(d.Missing, name)
			continue
		}
		d.OIDs = append(d.OIDs, r.OID)
	}
	return &plan.Statement{Tag: "DROP ROLE", Writes: true, Utility: d}, nil
}

func (b *binder) truncate(s *pg.TruncateStmt) (*plan.Statement, error) {
	u := &plan.Truncate{Restart: s.RestartSeqs}
	for _, n := range s.Relations {
		rv := n.GetRangeVar()
		t, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
		if err != nil {
			return nil, err
		}
		if t.Kind != catalog.KindTable {
			return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a table", t.Name)
		}
		b.use(t, "D")
		u.Tables = append(u.Tables, t)
	}
	return &plan.Statement{Tag: "TRUNCATE TABLE", Writes: true, Utility: u}, nil
}

// explain binds EXPLAIN with the statement it explains.
func (b *binder) explain(st parser.Stmt, s *pg.ExplainStmt) (*plan.Statement, error) {
	e := &plan.Explain{Costs: true, Timing: true, Format: "text"}
	summary := false
	for _, n := range s.Options {
		d := n.GetDefElem()
		v, given := optionText(d)
		on := !given || isOn(v)
		switch d.Defname {
		case "analyze":
			e.Analyze = on
		case "verbose":
			e.Verbose = on
		case "costs":
			e.Costs = on
		case "timing":
			e.Timing = on
		case "buffers":
			e.Buffers = on
		case "summary":
			e.Summary, summary = on, true
		case "settings", "wal", "generic_plan":
		case "format":
			switch v {
			case "text", "json", "xml", "yaml":
				e.Format = v
			default:
				return nil, b.errf(d.Location, sqlstate.InvalidParameterValue, "unrecognized value for EXPLAIN option \"%s\": \"%s\"", d.Defname, v)
			}
		default:
			return nil, b.errf(d.Location, sqlstate.SyntaxError, "unrecognized EXPLAIN option \"%s\"", d.Defname)
		}
	}
	if !summary {
		e.Summary = e.Analyze
	}
	inner, err := b.statement(parser.Stmt{Node: s.Query, Offset: st.Offset, Len: st.Len})
	if err != nil {
		return nil, err
	}
	inner.Writes = inner.Writes || b.modifies
	e.Stmt = inner
	t := types.Text
	if e.Format == "json" {
		t = types.JSON
	}
	return &plan.Statement{Tag: "EXPLAIN", Writes: inner.Writes && e.Analyze, Utility: e,
		Columns: []plan.Column{{ID: b.id(), Name: "QUERY PLAN", T: t}}}, nil
}

// roleOptions reads the options of CREATE and ALTER ROLE.
func (b *binder) roleOptions(opts []*pg.Node) (map[string]string, []string, error) {
	out := map[string]string{}
	var member []string
	for _, n := range opts {
		d := n.GetDefElem()
		name := strings.ToLower(d.Defname)
		switch name {
		case "addroleto":
			for _, r := range d.Arg.GetList().GetItems() {
				m, err := b.role(r.GetRoleSpec())
				if err != nil {
					return nil, nil, err
				}
				member = append(member, m)
			}
			continue
		case "rolemembers", "adminmembers":
			if len(d.Arg.GetList().GetItems()) > 0 {
				return nil, nil, b.unsupported(d.Location, "role option %s", strings.ToUpper(name))
			}
			continue
		}
		if _, dup := out[name]; dup {
			return nil, nil, b.errf(d.Location, sqlstate.SyntaxError, "conflicting or redundant options")
		}
		v, ok := optionText(d)
		if !ok && name != "password" {
			v = "true"
		}
		out[name] = v
	}
	return out, member, nil
}

func (b *binder) createRole(s *pg.CreateRoleStmt) (*plan.Statement, error) {
	opts, member, err := b.roleOptions(s.Options)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(s.Role, "pg_") {
		return nil, b.errf(-1, sqlstate.ReservedName, "role name \"%s\" is reserved", s.Role).
			WithDetail("Role names starting with \"pg_\" are reserved.")
	}
	if _, ok := opts["canlogin"]; !ok && s.StmtType == pg.RoleStmtType_ROLESTMT_USER {
		opts["canlogin"] = "true"
	}
	return &plan.Statement{Tag: "CREATE ROLE", Writes: true, Utility: &plan.CreateRole{Name: s.Role, Options: opts, Member: member}}, nil
}

func (b *binder) alterRole(s *pg.AlterRoleStmt) (*plan.Statement, error) {
	name, err := b.role(s.Role)
	if err != nil {
		return nil, err
	}
	opts, _, err := b.roleOptions(s.Options)
	if err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "ALTER ROLE", Writes: true, Utility: &plan.AlterRole{Name: name, Options: opts}}, nil
}

func (b *binder) grantees(list []*pg.Node) ([]string, error) {
	var out []string
	for _, n := range list {
		g, err := b.role(n.GetRoleSpec())
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

func (b *binder) grant(s *pg.GrantStmt) (*plan.Statement, error) {
	g := &plan.Grant{Revoke: !s.IsGrant, GrantOption: s.GrantOption}
	tag := "GRANT"
	if g.Revoke {
		tag = "REVOKE"
	}
	for _, n := range s.Privileges {
		p := n.GetAccessPriv()
		name := strings.ToLower(p.PrivName)
		if len(p.Cols) > 0 && name == "" { // ALL
			g.Columns = append(g.Columns, plan.ColumnGrant{Names: names(p.Cols)})
			continue
		}
		switch name {
		case "select", "insert", "update", "delete", "truncate", "references", "trigger", "usage", "create", "connect", "temporary", "temp", "execute", "set", "alter system", "maintain":
			if len(p.Cols) > 0 {
				g.Columns = append(g.Columns, plan.ColumnGrant{Privilege: name, Names: names(p.Cols)})
			} else {
				g.Privileges = append(g.Privileges, name)
			}
		default:
			return nil, b.errf(-1, sqlstate.SyntaxError, "unrecognized privilege type \"%s\"", p.PrivName)
		}
	}
	if len(g.Columns) > 0 && s.Objtype != pg.ObjectType_OBJECT_TABLE {
		return nil, b.errf(-1, sqlstate.InvalidGrantOperation, "column privileges are only valid for relations")
	}
	switch {
	case s.Targtype == pg.GrantTargetType_ACL_TARGET_ALL_IN_SCHEMA && (s.Objtype == pg.ObjectType_OBJECT_TABLE || s.Objtype == pg.ObjectType_OBJECT_SEQUENCE):
		for _, n := range s.Objects {
			sc := b.env.Catalog.SchemaNamed(stringNode(n))
			if sc == nil {
				return nil, b.errf(-1, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", stringNode(n))
			}
			for _, t := range b.env.Catalog.Tables() {
				if t.Schema == sc.OID && (t.Kind == catalog.KindSequence) == (s.Objtype == pg.ObjectType_OBJECT_SEQUENCE) {
					g.Tables = append(g.Tables, t.OID)
				}
			}
		}
	case s.Targtype == pg.GrantTargetType_ACL_TARGET_OBJECT && (s.Objtype == pg.ObjectType_OBJECT_TABLE || s.Objtype == pg.ObjectType_OBJECT_SEQUENCE):
		for _, n := range s.Objects {
			rv := n.GetRangeVar()
			t, err := b.relation(rv.Schemaname, rv.Relname, -1)
			if err != nil {
				return nil, err
			}
			if s.Objtype == pg.ObjectType_OBJECT_SEQUENCE && t.Kind != catalog.KindSequence {
				return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a sequence", t.Name)
			}
			if t.Kind != catalog.KindSystem {
				g.Tables = append(g.Tables, t.OID)
			}
		}
	case s.Targtype == pg.GrantTargetType_ACL_TARGET_OBJECT && s.Objtype == pg.ObjectType_OBJECT_SCHEMA:
		for _, n := range s.Objects {
			sc := b.env.Catalog.SchemaNamed(stringNode(n))
			if sc == nil {
				return nil, b.errf(-1, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", stringNode(n))
			}
			g.Schemas = append(g.Schemas, sc.OID)
		}
	default:
		return nil, b.unsupported(-1, "%s on %s", tag, strings.ToLower(objectName(s.Objtype)))
	}
	var err error
	if g.Grantees, err = b.grantees(s.Grantees); err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: tag, Writes: true, Utility: g}, nil
}

func (b *binder) grantRole(s *pg.GrantRoleStmt) (*plan.Statement, error) {
	g := &plan.Grant{Revoke: !s.IsGrant}
	for _, n := range s.GrantedRoles {
		p := n.GetAccessPriv()
		if b.env.Catalog.RoleNamed(p.PrivName) == nil {
			return nil, b.errf(-1, sqlstate.UndefinedObject, "role \"%s\" does not exist", p.PrivName)
		}
		g.Roles = append(g.Roles, p.PrivName)
	}
	var err error
	if g.Grantees, err = b.grantees(s.GranteeRoles); err != nil {
		return nil, err
	}
	tag := "GRANT ROLE"
	if g.Revoke {
		tag = "REVOKE ROLE"
	}
	return &plan.Statement{Tag: tag, Writes: true, Utility: g}, nil
}

func (b *binder) comment(s *pg.CommentStmt) (*plan.Statement, error) {
	ns := names(s.Object.GetList().GetItems())
	c := &plan.Comment{Text: s.Comment}
	switch s.Objtype {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_SEQUENCE:
	case pg.ObjectType_OBJECT_COLUMN:
		if len(ns) < 2 {
			return nil, b.errf(-1, sqlstate.SyntaxError, "column name must be qualified")
		}
		c.Column, ns = ns[len(ns)-1], ns[:len(ns)-1]
	default:
		return nil, b.unsupported(-1, "COMMENT ON %s", objectName(s.Objtype))
	}
	schema := ""
	if len(ns) > 1 {
		schema = ns[len(ns)-2]
	}
	t, err := b.relation(schema, ns[len(ns)-1], -1)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Objtype == pg.ObjectType_OBJECT_TABLE && t.Kind != catalog.KindTable:
		return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a table", t.Name)
	case s.Objtype == pg.ObjectType_OBJECT_VIEW && t.Kind != catalog.KindView:
		return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a view", t.Name)
	case s.Objtype == pg.ObjectType_OBJECT_SEQUENCE && t.Kind != catalog.KindSequence:
		return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a sequence", t.Name)
	case c.Column != "" && t.Ordinal(c.Column) < 0:
		return nil, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", c.Column, t.Name)
	}
	c.Table = t.OID
	return &plan.Statement{Tag: "COMMENT", Writes: true, Utility: c}, nil
}

func (b *binder) vacuum(s *pg.VacuumStmt) (*plan.Statement, error) {
	u := &plan.Analyze{Vacuum: s.IsVacuumcmd}
	tag := "ANALYZE"
	if s.IsVacuumcmd {
		tag = "VACUUM"
	}
	for _, n := range s.Rels {
		v := n.GetVacuumRelation()
		t, err := b.relation(v.Relation.Schemaname, v.Relation.Relname, -1)
		if err != nil {
			return nil, err
		}
		for _, c := range names(v.VaCols) {
			if t.Ordinal(c) < 0 {
				return nil, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", c, t.Name)
			}
		}
		if t.Kind == catalog.KindTable {
			u.Tables = append(u.Tables, t.OID)
		}
	}
	if len(s.Rels) > 0 && len(u.Tables) == 0 {
		return nothing(tag), nil
	}
	return &plan.Statement{Tag: tag, Utility: u}, nil
}
