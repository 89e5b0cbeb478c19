package ddl

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// nameUnique gives the unique keys of a new table, from index from on, their OIDs and
// names.
func (e *Env) nameUnique(v *catalog.Version, t *catalog.Table, from int) error {
	for i := from; i < len(t.Unique); i++ {
		k := &t.Unique[i]
		k.OID = e.Txn.AllocOIDs(2)
		taken := func(name string) bool {
			return name == t.Name || name == t.PKName || v.TableNamed(t.Schema, name) != nil ||
				slices.ContainsFunc(t.Unique, func(o catalog.UniqueKey) bool { return o.Name == name && o.OID != k.OID })
		}
		if k.Name != "" {
			if taken(k.Name) {
				return sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s\" already exists", k.Name)
			}
			continue
		}
		label := "key"
		if k.IndexOnly {
			label = "idx"
		}
		var cols []string
		for _, id := range k.Columns {
			cols = append(cols, t.ColumnByID(id).Name)
		}
		list := strings.Join(cols, "_")
		k.Name = objectName(t.Name, list, label)
		for n := 1; taken(k.Name); n++ {
			k.Name = objectName(t.Name, list, label+strconv.Itoa(n))
		}
	}
	return nil
}

// addUnique adds a unique key to t.
func (e *Env) addUnique(v *catalog.Version, t *catalog.Table, a *plan.AlterAction) error {
	k := catalog.UniqueKey{Name: a.NewName, IndexOnly: a.IndexOnly}
	for _, name := range a.Key {
		o := t.Ordinal(name)
		if o < 0 {
			return sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" named in key does not exist", name)
		}
		k.Columns = append(k.Columns, t.Columns[o].ID)
	}
	if a.IfExists && v.TableNamed(t.Schema, a.NewName) != nil {
		e.notice(sqlstate.DuplicateTable, "relation \"%s\" already exists, skipping", a.NewName)
		return nil
	}
	t.Unique = append(slices.Clone(t.Unique), k)
	return e.nameUnique(v, t, len(t.Unique)-1)
}

// fillUnique makes the entries of the unique keys that t has and old has not.
func (e *Env) fillUnique(ctx context.Context, old, t *catalog.Table) error {
	for i := range t.Unique {
		k := &t.Unique[i]
		if slices.ContainsFunc(old.Unique, func(o catalog.UniqueKey) bool { return o.OID == k.OID }) {
			continue
		}
		if !e.hasRows(t) && !e.othersSeeRows(t) {
			continue
		}
		if e.FillUnique == nil {
			return sqlstate.Unsupported("adding a UNIQUE constraint to a table that has rows")
		}
		if err := e.FillUnique(ctx, t, k); err != nil {
			return err
		}
	}
	return nil
}

// othersSeeRows says whether a table has rows now: the transaction may read an older
// state, and what writes rows again has to refuse it then.
func (e *Env) othersSeeRows(t *catalog.Table) bool {
	if e.Store == nil {
		return false
	}
	x := e.Store.Begin(storage.TxnOptions{ReadOnly: true})
	defer x.Rollback()
	return (&Env{Txn: x}).seesRows(t)
}

// dropUnique takes the key with an index away from its table.
func dropUnique(env *Env, v *catalog.Version, index uint32, d *catalog.Delta) error {
	x := v.Table(index)
	if x == nil {
		return nil
	}
	t := v.Table(x.IndexOf)
	if !env.owns(t.Owner) && !ownsSchema(env, t.Schema) {
		return notOwner("index", x.Name)
	}
	n := d.Tables[t.OID]
	if n == nil {
		n = changed(t)
		d.Tables[t.OID] = n
	}
	n.Unique = slices.DeleteFunc(slices.Clone(n.Unique), func(k catalog.UniqueKey) bool { return k.OID == index })
	return nil
}

// renameConstraint gives a constraint of t, or the index of a unique key, another name.
func renameConstraint(v *catalog.Version, t *catalog.Table, from, to string) error {
	free := func() error {
		if v.TableNamed(t.Schema, to) != nil {
			return sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s\" already exists", to)
		}
		return nil
	}
	if len(t.PK) > 0 && t.PKName == from {
		t.PKName = to
		return free()
	}
	t.Unique, t.Checks, t.Foreign = slices.Clone(t.Unique), slices.Clone(t.Checks), slices.Clone(t.Foreign)
	for i := range t.Unique {
		if t.Unique[i].Name == from {
			t.Unique[i].Name = to
			return free()
		}
	}
	for i := range t.Checks {
		if t.Checks[i].Name == from {
			t.Checks[i].Name = to
		}
	}
	for i := range t.Foreign {
		if t.Foreign[i].Name == from {
			t.Foreign[i].Name = to
		}
	}
	return nil
}
