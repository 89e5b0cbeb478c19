package plan

// CreateSlot is CALL hg_create_logical_replication_slot('slot', 'plugin', 'table').
type CreateSlot struct {
	stmt
	Name, Plugin string
	Table        uint32
}

// DropSlot is CALL hg_drop_logical_replication_slot('slot').
type DropSlot struct {
	stmt
	Name string
}
