package plan

// CreateTableGroup is CALL hg_create_table_group('name', shards [, 'ignore']).
type CreateTableGroup struct {
	stmt
	Name        string
	Shards      int
	IfNotExists bool
}

// DropTableGroup is CALL hg_drop_table_group('name').
type DropTableGroup struct {
	stmt
	Name string
}

// SetDatabaseProperty is CALL hg_update_database_property('default_table_group', 'name').
type SetDatabaseProperty struct {
	stmt
	TableGroup string
}
