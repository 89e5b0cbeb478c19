package catalog

// TableGroup is a shard count that tables share (hg_create_table_group). Tables of
// one group with the same distribution key keep equal keys in shards of the same
// number. The count never changes.
type TableGroup struct {
	OID    uint32
	Name   string
	Shards int
	// ByHand marks groups that someone created, and not the server or a table's
	// shard_count.
	ByHand bool
}

// MaxShards bounds the shards of a group.
const MaxShards = 256

// DefaultTableGroup is the name of a database's first table group.
func DefaultTableGroup(database string) string { return database + "_tg_default" }

// TableGroup finds a table group by OID.
func (v *Version) TableGroup(oid uint32) *TableGroup { return v.groups[oid] }

// TableGroupNamed finds a table group by name.
func (v *Version) TableGroupNamed(name string) *TableGroup { return v.groupByName[name] }

// TableGroups lists all table groups by OID.
func (v *Version) TableGroups() []*TableGroup { return sorted(v.groups) }

// GroupFor is the group of new tables of a database that name none; nil when the
// catalog has no groups.
func (v *Version) GroupFor(database string) *TableGroup {
	if d := v.DatabaseNamed(database); d != nil && d.TableGroup != "" {
		if g := v.groupByName[d.TableGroup]; g != nil {
			return g
		}
	}
	if g := v.groupByName[DefaultTableGroup(database)]; g != nil {
		return g
	}
	return v.groups[DefaultTableGroupOID]
}
