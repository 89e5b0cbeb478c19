package ddl

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
)

// recordForeign completes a FOREIGN KEY constraint of t, and says that nobody
// enforces it.
func (e *Env) recordForeign(v *catalog.Version, t *catalog.Table, k *catalog.ForeignKey, oid uint32) {
	k.OID = oid
	if k.RefTable == 0 {
		k.RefTable = t.OID
	}
	e.notice(sqlstate.SuccessfulCompletion, "foreign key constraint \"%s\" is recorded, and not enforced", k.Name)
}

// dropReferences takes away the foreign keys of other tables to t, which is dropped.
func dropReferences(env *Env, v *catalog.Version, t *catalog.Table, cascade bool, also []uint32, d *catalog.Delta) error {
	return dropForeign(env, v, t, cascade, also, d, func(catalog.ForeignKey) bool { return true }, described(v, t))
}

// dropReferencesTo takes away the foreign keys to a column (by id) of t.
func dropReferencesTo(env *Env, v *catalog.Version, t *catalog.Table, column int32, cascade bool, d *catalog.Delta) error {
	what := "column " + t.ColumnByID(column).Name + " of " + described(v, t)
	return dropForeign(env, v, t, cascade, nil, d, func(k catalog.ForeignKey) bool { return slices.Contains(k.RefColumns, column) }, what)
}

func dropForeign(env *Env, v *catalog.Version, t *catalog.Table, cascade bool, also []uint32, d *catalog.Delta, which func(catalog.ForeignKey) bool, what string) error {
	for _, o := range v.Tables() {
		if n, done := d.Tables[o.OID]; done && n == nil || o.OID == t.OID || slices.Contains(also, o.OID) {
			continue
		}
		for _, k := range o.Foreign {
			if k.RefTable != t.OID || !which(k) {
				continue
			}
			dep := "constraint " + k.Name + " on " + described(v, o)
			if !cascade {
				return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop %s because other objects depend on it", what).
					WithDetail("%s depends on %s", dep, what).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
			}
			env.notice(sqlstate.SuccessfulCompletion, "drop cascades to %s", dep)
			n := d.Tables[o.OID]
			if n == nil {
				n = changed(o)
				d.Tables[o.OID] = n
			}
			n.Foreign = slices.DeleteFunc(slices.Clone(n.Foreign), func(f catalog.ForeignKey) bool { return f.OID == k.OID })
		}
	}
	return nil
}
