package ddl

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// place gives a new table the shard count of its group: the one that it names, one
// of as many shards as it asks for (made in d when there is none), or the
// database's.
func place(env *Env, t *catalog.Table, d *catalog.Delta) error {
	v := env.Txn.Catalog()
	switch {
	case t.Group != "":
		g := v.TableGroupNamed(t.Group)
		if g == nil {
			return noGroup(t.Group)
		}
		t.Shards = g.Shards
	case t.Shards > 0:
		t.Group = fmt.Sprintf("%s_tg_shard_%d", env.Database, t.Shards)
		if g := v.TableGroupNamed(t.Group); g != nil {
			t.Shards = g.Shards
			return nil
		}
		oid := env.Txn.AllocOIDs(1)
		d.TableGroups = map[uint32]*catalog.TableGroup{oid: {OID: oid, Name: t.Group, Shards: t.Shards}}
	default:
		if g := v.GroupFor(env.Database); g != nil {
			t.Group, t.Shards = g.Name, g.Shards
		}
	}
	return nil
}

func noGroup(name string) error {
	return sqlstate.Errorf(sqlstate.UndefinedObject, "table group \"%s\" does not exist", name).
		WithHint("CALL hg_create_table_group('name', shard_count) makes one; hologres.hg_table_group_properties lists them.")
}

func createTableGroup(ctx context.Context, env *Env, x *plan.CreateTableGroup) error {
	if !env.User.Super {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to create table group \"%s\"", x.Name)
	}
	v := env.Txn.Catalog()
	if v.TableGroupNamed(x.Name) != nil {
		if x.IfNotExists {
			env.notice(sqlstate.DuplicateObject, "table group \"%s\" already exists, skipping", x.Name)
			return nil
		}
		return sqlstate.Errorf(sqlstate.DuplicateObject, "table group \"%s\" already exists", x.Name)
	}
	oid := env.Txn.AllocOIDs(1)
	return env.change(ctx, v, &catalog.Delta{TableGroups: map[uint32]*catalog.TableGroup{
		oid: {OID: oid, Name: x.Name, Shards: x.Shards, ByHand: true}}})
}

func dropTableGroup(ctx context.Context, env *Env, x *plan.DropTableGroup) error {
	if !env.User.Super {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to drop table group \"%s\"", x.Name)
	}
	v := env.Txn.Catalog()
	g := v.TableGroupNamed(x.Name)
	if g == nil {
		return noGroup(x.Name)
	}
	if v.GroupFor(env.Database) == g || g.OID == catalog.DefaultTableGroupOID {
		return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop table group \"%s\" because it is the default of database \"%s\"", g.Name, env.Database)
	}
	for _, t := range v.Tables() {
		if t.Group == g.Name {
			return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop table group \"%s\" because table \"%s\" is in it", g.Name, t.Name)
		}
	}
	return env.change(ctx, v, &catalog.Delta{TableGroups: map[uint32]*catalog.TableGroup{g.OID: nil}})
}

// setDatabaseProperty changes the default table group, the one such property.
func setDatabaseProperty(ctx context.Context, env *Env, x *plan.SetDatabaseProperty) error {
	v := env.Txn.Catalog()
	db := v.DatabaseNamed(env.Database)
	if db == nil {
		return sqlstate.Errorf(sqlstate.InvalidCatalogName, "database \"%s\" does not exist", env.Database)
	}
	if !env.owns(db.Owner) {
		return notOwner("database", db.Name)
	}
	if v.TableGroupNamed(x.TableGroup) == nil {
		return noGroup(x.TableGroup)
	}
	c := *db
	c.TableGroup = x.TableGroup
	return env.change(ctx, v, &catalog.Delta{Databases: map[uint32]*catalog.Database{c.OID: &c}})
}

// moveToGroup puts a table into another table group. Its rows are written again, to the
// shards of that one. A binlog would lose its order, and the places of its readers.
func moveToGroup(env *Env, v *catalog.Version, t *catalog.Table, name string) error {
	g := v.TableGroupNamed(name)
	switch {
	case t.Kind != catalog.KindTable:
		return sqlstate.Errorf(sqlstate.WrongObjectType, "\"%s\" is not a table", t.Name)
	case g == nil:
		return noGroup(name)
	case t.KeepsBinlog():
		return sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot move table \"%s\" to another table group while it has a binlog", t.Name).
			WithHint("Set its property binlog.level to none before.")
	}
	if t.Group == g.Name {
		return nil
	}
	t.Group, t.Shards = g.Name, g.Shards
	env.rewrites = env.rewrites || env.hasRows(t)
	return nil
}
