package ddl

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// alterSchema gives a schema another name or owner.
func alterSchema(ctx context.Context, env *Env, x *plan.AlterSchema) error {
	v := env.Txn.Catalog()
	old := v.Schema(x.OID)
	if old == nil || x.In != nil && x.In != v {
		return sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")
	}
	if !env.owns(old.Owner) {
		return notOwner("schema", old.Name)
	}
	switch old.OID {
	case catalog.PgCatalogOID, catalog.InformationSchemaOID, catalog.HologresSchemaOID:
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied: schema \"%s\" is of the system", old.Name)
	}
	if catalog.IsTempSchema(old.Name) { // its session finds it by its name, to drop it
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied: schema \"%s\" is of the temporary tables of a session", old.Name)
	}
	s := *old
	d := &catalog.Delta{Schemas: map[uint32]*catalog.Schema{s.OID: &s}, Tables: map[uint32]*catalog.Table{}}
	if x.NewName != "" {
		if !env.User.Super && !env.User.CreateDB {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for database %s", env.Database)
		}
		s.Name = x.NewName
	}
	if x.Owner != "" {
		r := v.RoleNamed(x.Owner)
		if r == nil {
			return noRole(x.Owner)
		}
		if !env.User.Super && !Owns(v, env.User, r.OID) {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "must be able to SET ROLE \"%s\"", r.Name)
		}
		s.Owner = r.OID
	}
	for oid, texts := range x.Texts {
		t := changed(v.Table(oid))
		reword(t, texts)
		d.Tables[oid] = t
	}
	for _, w := range x.Views {
		view := changed(v.Table(w.View))
		view.ViewText = w.Text
		d.Tables[view.OID] = view
	}
	return env.change(ctx, v, d)
}
