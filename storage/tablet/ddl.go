package tablet

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/txn"
)

// objectKey stands for an object that exists.
func objectKey(kind byte, oid uint32) txn.Key {
	return nameKey(kind, oid, "\x00")
}

// lockObjects locks what d changes of the catalog before, in one order for all
// transactions, and the names of what it makes.
func (x *tx) lockObjects(ctx context.Context, d *catalog.Delta, before *catalog.Version) error {
	var keys []txn.Key
	for _, oid := range slices.Sorted(maps.Keys(d.Tables)) {
		t, old := d.Tables[oid], before.Table(oid)
		if old != nil {
			if _, err := x.s.locks.LockTable(ctx, x.owner, oid); err != nil {
				return err
			}
		}
		if t != nil && (old == nil || old.Name != t.Name || old.Schema != t.Schema) {
			keys = append(keys, nameKey('t', t.Schema, t.Name))
		}
	}
	for _, oid := range slices.Sorted(slices.Values(d.Truncated)) {
		if _, err := x.s.locks.LockTable(ctx, x.owner, oid); err != nil {
			return err
		}
	}
	for oid, o := range d.Schemas {
		if o != nil {
			keys = append(keys, nameKey('s', 0, o.Name))
		}
		keys = append(keys, objectKey('s', oid))
	}
	for oid, o := range d.Roles {
		if o != nil {
			keys = append(keys, nameKey('r', 0, o.Name))
		}
		keys = append(keys, objectKey('r', oid))
	}
	for oid := range d.Databases {
		keys = append(keys, objectKey('d', oid))
	}
	for oid, o := range d.Subscriptions {
		if o != nil {
			keys = append(keys, nameKey('u', 0, o.Name))
		}
		keys = append(keys, objectKey('u', oid))
	}
	for oid, o := range d.TableGroups {
		if o != nil {
			keys = append(keys, nameKey('g', 0, o.Name))
		}
		keys = append(keys, objectKey('g', oid))
	}
	slices.SortFunc(keys, func(a, b txn.Key) int { return cmp.Compare(a.Hash, b.Hash) })
	for _, k := range keys {
		if _, err := x.s.locks.LockKey(ctx, x.owner, k, txn.Update); err != nil {
			return err
		}
	}
	return nil
}

// stale says whether something that d changes is another now than before, other than
// by the transaction itself.
func (x *tx) stale(d *catalog.Delta, before, now *catalog.Version) bool {
	own := x.ddl
	if own == nil {
		own = &catalog.Delta{}
	}
	for _, oid := range d.Truncated {
		if _, is := own.Tables[oid]; is {
			continue
		}
		was, is := before.Table(oid), now.Table(oid)
		if (is == nil) != (was == nil) || is != nil && !slices.EqualFunc(is.Unique, was.Unique, func(a, b catalog.UniqueKey) bool { return a.OID == b.OID }) {
			return true
		}
	}
	return differs(d.Tables, own.Tables, before.Table, now.Table) ||
		differs(d.Schemas, own.Schemas, before.Schema, now.Schema) ||
		differs(d.Roles, own.Roles, before.Role, now.Role) ||
		differs(d.Databases, own.Databases, before.Database, now.Database) ||
		differs(d.Subscriptions, own.Subscriptions, before.Subscription, now.Subscription) ||
		differs(d.TableGroups, own.TableGroups, before.TableGroup, now.TableGroup)
}

func differs[V any](change, own map[uint32]*V, before, now func(uint32) *V) bool {
	for oid := range change {
		if _, is := own[oid]; !is && before(oid) != now(oid) {
			return true
		}
	}
	return false
}

// renames says whether a relation or a column of it has another name than before, or is
// gone: what the texts of views then have to follow.
func renames(old, t *catalog.Table) bool {
	if old == nil || t == nil {
		return false
	}
	if old.Name != t.Name || old.Schema != t.Schema {
		return true
	}
	return slices.ContainsFunc(old.Columns, func(c catalog.Column) bool {
		now := t.ColumnByID(c.ID)
		return now == nil || now.Name != c.Name
	})
}

// viewsIn calls f for the views of a catalog that read relations of a schema.
func viewsIn(v *catalog.Version, schema uint32, f func(w *catalog.Table)) {
	for _, w := range v.Tables() {
		if w.Kind == catalog.KindView && slices.ContainsFunc(w.DependsOn, func(oid uint32) bool {
			t := v.Table(oid)
			return t != nil && t.Schema == schema
		}) {
			f(w)
		}
	}
}

// renamedSchema says whether a schema has another name than before.
func renamedSchema(old, s *catalog.Schema) bool { return old != nil && s != nil && old.Name != s.Name }

// viewsOver calls f for the views of a catalog that read a relation.
func viewsOver(v *catalog.Version, oid uint32, f func(w *catalog.Table)) {
	for _, w := range v.Tables() {
		if w.Kind == catalog.KindView && slices.Contains(w.DependsOn, oid) {
			f(w)
		}
	}
}

// noteViews notes what a change rests on beside the objects that it changes: the names in
// the texts of views.
func (x *tx) noteViews(d *catalog.Delta, before *catalog.Version) {
	know := func(w *catalog.Table) {
		if x.known == nil {
			x.known = map[*catalog.Table]bool{}
		}
		x.known[w] = true
	}
	for oid, t := range d.Tables {
		if t != nil && t.Kind == catalog.KindView {
			var on []named
			for _, dep := range t.DependsOn {
				if u := before.Table(dep); u != nil {
					on = append(on, named{u, before.Schema(u.Schema)})
				}
			}
			if x.rests == nil {
				x.rests = map[uint32][]named{}
			}
			x.rests[oid] = on
		}
		if renames(before.Table(oid), t) {
			viewsOver(before, oid, know)
		}
	}
	for oid, s := range d.Schemas {
		if renamedSchema(before.Schema(oid), s) {
			viewsIn(before, oid, know)
		}
	}
}

// named is a relation that a view reads, and its schema.
type named struct {
	*catalog.Table
	in *catalog.Schema
}

// viewsAside says whether others have changed names that a view of the transaction has, or
// made views with names that the transaction changes.
func (x *tx) viewsAside(base *catalog.Version) bool {
	aside := false
	made := func(w *catalog.Table) {
		_, own := x.ddl.Tables[w.OID]
		aside = aside || !own && !x.known[w]
	}
	for oid, t := range x.ddl.Tables {
		if t != nil && t.Kind == catalog.KindView {
			for _, u := range x.rests[oid] {
				_, own := x.ddl.Tables[u.OID]
				aside = aside || !own && renames(u.Table, base.Table(u.OID))
				if u.in != nil {
					_, own = x.ddl.Schemas[u.in.OID]
					aside = aside || !own && renamedSchema(u.in, base.Schema(u.in.OID))
				}
			}
		}
		if renames(x.seen[oid], t) {
			viewsOver(base, oid, made)
		}
	}
	for oid, s := range x.ddl.Schemas {
		if renamedSchema(base.Schema(oid), s) {
			viewsIn(base, oid, made)
		}
	}
	return aside
}

// checkDepends finds what a commit of d would leave without the object that it rests
// on, because both changed at once: commands look before they know of each other. v
// is the catalog with d.
func checkDepends(v *catalog.Version, d *catalog.Delta) error {
	gone := func(t *catalog.Table, oid uint32) error {
		return sqlstate.Errorf(sqlstate.UndefinedTable, "relation with OID %d does not exist", oid).
			WithDetail("It was dropped while relation \"%s\" was made.", t.Name)
	}
	for _, t := range d.Tables {
		if t == nil {
			continue
		}
		for _, oid := range t.DependsOn {
			if v.Table(oid) == nil {
				return gone(t, oid)
			}
		}
	}
	for _, s := range d.Subscriptions {
		if s != nil && v.Table(s.Target) == nil {
			return sqlstate.Errorf(sqlstate.UndefinedTable, "the target table of subscription \"%s\" does not exist", s.Name)
		}
	}
	dropped := func(oid uint32) bool { t, is := d.Tables[oid]; return is && t == nil }
	noSchema := func(oid uint32) bool { s, is := d.Schemas[oid]; return is && s == nil }
	noRole := func(oid uint32) bool { r, is := d.Roles[oid]; return is && r == nil }
	inUse := func(what string) error {
		return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop an object because %s depends on it", what).
			WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
	}
	if !drops(d.Tables) && !drops(d.Schemas) && !drops(d.Roles) {
		return nil
	}
	for _, s := range v.Schemas() {
		if noRole(s.Owner) {
			return inUse("schema " + s.Name)
		}
	}
	for _, t := range v.Tables() {
		if noSchema(t.Schema) || noRole(t.Owner) || slices.ContainsFunc(t.DependsOn, dropped) {
			return inUse("relation " + t.Name)
		}
	}
	for _, s := range v.Subscriptions() {
		if dropped(s.Target) || dropped(s.ErrorTable) || noRole(s.Owner) {
			return inUse("subscription " + s.Name)
		}
	}
	return nil
}

// drops says whether a change drops any object of a kind.
func drops[V any](change map[uint32]*V) bool {
	for _, o := range change {
		if o == nil {
			return true
		}
	}
	return false
}
