package catalog

import (
	"maps"
	"slices"
	"sort"
)

// Version is one immutable state of the catalog.
type Version struct {
	// Number rises by one with each change.
	Number uint64
	// NextOID is the next free OID.
	NextOID uint32

	schemas      map[uint32]*Schema
	schemaByName map[string]*Schema
	tables       map[uint32]*Table
	tableByName  map[tableName]*Table
	roles        map[uint32]*Role
	roleByName   map[string]*Role
	databases    map[uint32]*Database
	subs         map[uint32]*Subscription
	subByName    map[string]*Subscription
	groups       map[uint32]*TableGroup
	groupByName  map[string]*TableGroup
}

type tableName struct {
	schema uint32
	name   string
}

// Delta is a set of changes, applied together. A nil object under an OID drops it.
type Delta struct {
	Schemas   map[uint32]*Schema
	Tables    map[uint32]*Table
	Roles     map[uint32]*Role
	Databases map[uint32]*Database

	Subscriptions map[uint32]*Subscription
	TableGroups   map[uint32]*TableGroup

	NextOID uint32 // 0: unchanged
	// Truncated lists tables whose rows vanish at the commit.
	Truncated []uint32

	// From is the version that the change was made for. What it changes must not have
	// changed since. Nil: the newest that the transaction sees.
	From *Version
}

// Empty says whether d changes nothing.
func (d *Delta) Empty() bool {
	return d == nil || len(d.Schemas)+len(d.Tables)+len(d.Roles)+len(d.Databases)+len(d.Subscriptions)+len(d.TableGroups)+len(d.Truncated) == 0 && d.NextOID == 0
}

// NewVersion makes an empty catalog.
func NewVersion() *Version {
	return &Version{
		NextOID: FirstUserOID,
		schemas: map[uint32]*Schema{}, schemaByName: map[string]*Schema{},
		tables: map[uint32]*Table{}, tableByName: map[tableName]*Table{},
		roles: map[uint32]*Role{}, roleByName: map[string]*Role{},
		databases: map[uint32]*Database{},
		subs:      map[uint32]*Subscription{}, subByName: map[string]*Subscription{},
		groups: map[uint32]*TableGroup{}, groupByName: map[string]*TableGroup{},
	}
}

// Bootstrap is the delta that makes the catalog of a new data directory:
// superuser and database postgres, schema public, the system schemas and a table
// group of so many shards.
func Bootstrap(shards int) *Delta {
	return &Delta{
		Schemas: map[uint32]*Schema{
			PgCatalogOID:         {OID: PgCatalogOID, Name: "pg_catalog", Owner: PostgresRoleOID},
			PublicSchemaOID:      {OID: PublicSchemaOID, Name: "public", Owner: PostgresRoleOID},
			InformationSchemaOID: {OID: InformationSchemaOID, Name: "information_schema", Owner: PostgresRoleOID},
			HologresSchemaOID:    {OID: HologresSchemaOID, Name: "hologres", Owner: PostgresRoleOID},
		},
		Roles: map[uint32]*Role{PostgresRoleOID: {OID: PostgresRoleOID, Name: "postgres", Super: true, Inherit: true,
			CreateRole: true, CreateDB: true, Login: true, Replication: true, BypassRLS: true, ConnLimit: -1}},
		Databases:   map[uint32]*Database{PostgresDatabaseOID: {OID: PostgresDatabaseOID, Name: "postgres", Owner: PostgresRoleOID}},
		TableGroups: map[uint32]*TableGroup{DefaultTableGroupOID: {OID: DefaultTableGroupOID, Name: DefaultTableGroup("postgres"), Shards: shards}},
		NextOID:     FirstUserOID,
	}
}

// Apply makes the version that follows v. v is unchanged. The maps are copied,
// the objects shared.
func (v *Version) Apply(d *Delta) *Version {
	n := &Version{
		Number: v.Number + 1, NextOID: max(v.NextOID, d.NextOID),
		schemas: v.schemas, schemaByName: v.schemaByName, tables: v.tables, tableByName: v.tableByName,
		roles: v.roles, roleByName: v.roleByName, databases: v.databases,
		subs: v.subs, subByName: v.subByName, groups: v.groups, groupByName: v.groupByName,
	}
	if len(d.Schemas) > 0 {
		n.schemas, n.schemaByName = maps.Clone(v.schemas), maps.Clone(v.schemaByName)
		replace(n.schemas, d.Schemas, n.schemaByName, func(s *Schema) string { return s.Name })
	}
	if len(d.Tables) > 0 {
		n.tables, n.tableByName = maps.Clone(v.tables), maps.Clone(v.tableByName)
		replace(n.tables, d.Tables, n.tableByName, func(t *Table) tableName { return tableName{t.Schema, t.Name} })
	}
	if len(d.Roles) > 0 {
		n.roles, n.roleByName = maps.Clone(v.roles), maps.Clone(v.roleByName)
		replace(n.roles, d.Roles, n.roleByName, func(r *Role) string { return r.Name })
	}
	if len(d.Databases) > 0 {
		n.databases = maps.Clone(v.databases)
		replace(n.databases, d.Databases, map[string]*Database{}, func(d *Database) string { return d.Name })
	}
	if len(d.Subscriptions) > 0 {
		n.subs, n.subByName = maps.Clone(v.subs), maps.Clone(v.subByName)
		replace(n.subs, d.Subscriptions, n.subByName, func(s *Subscription) string { return s.Name })
	}
	if len(d.TableGroups) > 0 {
		n.groups, n.groupByName = maps.Clone(v.groups), maps.Clone(v.groupByName)
		replace(n.groups, d.TableGroups, n.groupByName, func(g *TableGroup) string { return g.Name })
	}
	return n
}

func replace[V any, K comparable](objs, changes map[uint32]*V, byName map[K]*V, key func(*V) K) {
	for oid := range changes {
		if old := objs[oid]; old != nil {
			delete(byName, key(old))
			delete(objs, oid)
		}
	}
	for oid, o := range changes {
		if o != nil {
			objs[oid] = o
			byName[key(o)] = o
		}
	}
}

// Schema, SchemaNamed, Table, TableNamed, Role, RoleNamed and Database find an
// object; nil when there is none.
func (v *Version) Schema(oid uint32) *Schema { return v.schemas[oid] }

// SchemaNamed finds a schema by name.
func (v *Version) SchemaNamed(name string) *Schema { return v.schemaByName[name] }

// Table finds a relation by OID.
func (v *Version) Table(oid uint32) *Table { return v.tables[oid] }

// TableNamed finds a relation by schema and name.
func (v *Version) TableNamed(schema uint32, name string) *Table {
	return v.tableByName[tableName{schema, name}]
}

// Role finds a role by OID.
func (v *Version) Role(oid uint32) *Role { return v.roles[oid] }

// RoleNamed finds a role by name.
func (v *Version) RoleNamed(name string) *Role { return v.roleByName[name] }

// Database finds a database by OID.
func (v *Version) Database(oid uint32) *Database { return v.databases[oid] }

// DatabaseNamed finds a database by name.
func (v *Version) DatabaseNamed(name string) *Database {
	for _, d := range v.databases {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Subscription finds a subscription by OID.
func (v *Version) Subscription(oid uint32) *Subscription { return v.subs[oid] }

// SubscriptionNamed finds a subscription by name.
func (v *Version) SubscriptionNamed(name string) *Subscription { return v.subByName[name] }

// Subscriptions lists all subscriptions by OID.
func (v *Version) Subscriptions() []*Subscription { return sorted(v.subs) }

// Schemas, Tables, Roles and Databases list all objects by OID.
func (v *Version) Schemas() []*Schema { return sorted(v.schemas) }

// Tables lists all stored relations by OID (system relations are not stored), but for
// those behind unique keys.
func (v *Version) Tables() []*Table {
	return slices.DeleteFunc(sorted(v.tables), (*Table).IsIndex)
}

// AllTables lists all stored relations by OID, those behind unique keys among them.
func (v *Version) AllTables() []*Table { return sorted(v.tables) }

// Roles lists all roles by OID.
func (v *Version) Roles() []*Role { return sorted(v.roles) }

// Databases lists all databases by OID.
func (v *Version) Databases() []*Database { return sorted(v.databases) }

func sorted[V any](m map[uint32]*V) []*V {
	oids := make([]uint32, 0, len(m))
	for o := range m {
		oids = append(oids, o)
	}
	sort.Slice(oids, func(i, j int) bool { return oids[i] < oids[j] })
	out := make([]*V, len(oids))
	for i, o := range oids {
		out[i] = m[o]
	}
	return out
}
