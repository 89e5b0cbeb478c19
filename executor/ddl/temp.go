package ddl

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// schemaFor finds the schema of a new relation. For the first temporary relation of a
// session it makes it, as part of d.
func (e *Env) schemaFor(v *catalog.Version, t *catalog.Table, d *catalog.Delta) (*catalog.Schema, error) {
	if t.Temp == catalog.NotTemp {
		s := v.Schema(t.Schema)
		if s == nil {
			return nil, sqlstate.Errorf(sqlstate.InvalidSchemaName, "schema does not exist")
		}
		return s, mayCreateIn(e, s)
	}
	if s := v.SchemaNamed(e.Temp); s != nil {
		return s, nil
	}
	s := &catalog.Schema{OID: e.Txn.AllocOIDs(1), Name: e.Temp, Owner: catalog.PostgresRoleOID}
	if d.Schemas == nil {
		d.Schemas = map[uint32]*catalog.Schema{}
	}
	d.Schemas[s.OID] = s
	return s, nil
}

// DropTemp drops all temporary relations of a schema and what rests on them, and with
// whole the schema itself.
func DropTemp(ctx context.Context, s storage.Store, x storage.Txn, schema uint32, whole bool) error {
	v := x.Catalog()
	d := &catalog.Delta{From: v, Tables: map[uint32]*catalog.Table{}, Schemas: map[uint32]*catalog.Schema{}}
	env := &Env{Txn: x, Store: s, User: &catalog.Role{Super: true}}
	if err := dropAllIn(env, v, schema, func(*catalog.Table) error { return nil }, d); err != nil {
		return err
	}
	if whole {
		d.Schemas[schema] = nil
	}
	if d.Empty() {
		return nil
	}
	return x.Change(ctx, d)
}

// OnCommit does to temporary tables what they ask for at commits, those of list that
// are still there.
func OnCommit(ctx context.Context, x storage.Txn, list []uint32) error {
	if err := x.Extend(); err != nil { // what it wrote comes before
		return err
	}
	v := x.Catalog()
	d := &catalog.Delta{From: v, Tables: map[uint32]*catalog.Table{}}
	also := make([]uint32, 0, len(list))
	for _, oid := range list {
		if t := v.Table(oid); t != nil && t.Temp == catalog.TempDrop {
			also = append(also, oid)
		}
	}
	env := &Env{Txn: x, User: &catalog.Role{Super: true}}
	for _, oid := range list {
		t := v.Table(oid)
		if t == nil {
			continue
		}
		switch t.Temp {
		case catalog.TempDrop:
			if err := dropTable(env, v, t, true, also, d); err != nil {
				return err
			}
		case catalog.TempDelete:
			d.Truncated = append(d.Truncated, oid)
		}
	}
	if d.Empty() {
		return nil
	}
	return x.Change(ctx, d)
}
