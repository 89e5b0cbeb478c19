package catalog

import "slices"

// UniqueKey is a UNIQUE constraint or index besides the primary key. Behind it is a
// table of orientation row, which has the key's columns as its primary key and those
// of the table's primary key beside them: an entry for each row that has no NULL in
// the key.
type UniqueKey struct {
	OID     uint32 // of the index, which is the table behind it; the constraint's is the next
	Name    string
	Columns []int32 // ids
	// IndexOnly: CREATE UNIQUE INDEX made it, without a constraint.
	IndexOnly bool `json:",omitempty"`
}

// IsIndex says whether the relation is the table behind a unique key.
func (t *Table) IsIndex() bool { return t.IndexOf != 0 }

// Ordinals are the ordinals of a unique key's columns.
func (t *Table) Ordinals(k *UniqueKey) []int {
	out := make([]int, len(k.Columns))
	for i, id := range k.Columns {
		out[i] = slices.IndexFunc(t.Columns, func(c Column) bool { return c.ID == id })
	}
	return out
}

// IndexColumns are the ordinals that the columns of the table behind a unique key
// have in t: those of the key, then the rest of the primary key.
func (t *Table) IndexColumns(k *UniqueKey) []int {
	out := t.Ordinals(k)
	for _, o := range t.PK {
		if !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

// Index is the table behind a unique key, in its first version.
func (t *Table) Index(k *UniqueKey) *Table {
	n := &Table{OID: k.OID, Schema: t.Schema, Name: k.Name, Kind: KindTable, Owner: t.Owner, PKName: k.Name,
		Props: map[string]string{"orientation": OrientationRow}, Shards: t.Shards, Group: t.Group, SchemaVersion: 1, IndexOf: t.OID}
	for i, o := range t.IndexColumns(k) {
		c := &t.Columns[o]
		n.Columns = append(n.Columns, Column{ID: int32(i + 1), Attr: int16(i + 1), Name: c.Name, T: c.T, NotNull: true})
		if i < len(k.Columns) {
			n.PK = append(n.PK, i)
		}
	}
	n.NextColumnID = int32(len(n.Columns) + 1)
	return n
}

// sameIndex says whether two definitions of an index are the same but for the version.
func sameIndex(a, b *Table) bool {
	return a.Schema == b.Schema && a.Name == b.Name && a.Owner == b.Owner && a.Shards == b.Shards && a.Group == b.Group &&
		slices.EqualFunc(a.Columns, b.Columns, func(x, y Column) bool { return x.Name == y.Name && x.T == y.T })
}

// WithIndexes is d with the tables behind unique keys following the tables that it
// changes or empties; v is what it changes.
func (d *Delta) WithIndexes(v *Version) *Delta {
	n := *d
	set := func(oid uint32, t *Table) {
		if len(n.Tables) == len(d.Tables) {
			n.Tables = make(map[uint32]*Table, len(d.Tables)+1)
			for oid, t := range d.Tables {
				n.Tables[oid] = t
			}
		}
		n.Tables[oid] = t
	}
	empty := func(oid uint32) {
		if !slices.Contains(n.Truncated, oid) {
			n.Truncated = append(slices.Clone(n.Truncated), oid)
		}
	}
	for oid, t := range d.Tables {
		if old := v.Table(oid); old != nil {
			for i := range old.Unique {
				index := old.Unique[i].OID
				if t == nil || !slices.ContainsFunc(t.Unique, func(k UniqueKey) bool { return k.OID == index }) {
					set(index, nil)
				}
			}
		}
		if t == nil {
			continue
		}
		for i := range t.Unique {
			x := t.Index(&t.Unique[i])
			was := v.Table(x.OID)
			if was != nil {
				if sameIndex(was, x) {
					continue
				}
				x.SchemaVersion = was.SchemaVersion + 1
				if was.Shards != x.Shards || was.Group != x.Group {
					empty(x.OID)
				}
			}
			set(x.OID, x)
		}
	}
	for _, oid := range d.Truncated {
		t, changed := d.Tables[oid]
		if !changed {
			t = v.Table(oid)
		}
		if t == nil {
			continue
		}
		for i := range t.Unique {
			if index := t.Unique[i].OID; v.Table(index) != nil {
				empty(index)
			}
		}
	}
	return &n
}
