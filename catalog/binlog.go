package catalog

import (
	"strconv"

	"github.com/millrace/millrace/catalog/types"
)

// The columns that a binlog has after those of its table, in this order. Their ids
// are below those of table columns and of the hidden columns of segments.
const (
	BinlogLSNColumn  = "hg_binlog_lsn"
	BinlogTypeColumn = "hg_binlog_event_type"
	BinlogTimeColumn = "hg_binlog_timestamp_us"

	BinlogLSNID  = -11
	BinlogTypeID = -12
	BinlogTimeID = -13

	binlogColumns = 3
)

// ShardColumn is the name under which SQL knows ColShard.
const ShardColumn = "hg_shard_id"

// defaultBinlogTTL is the retention of a binlog that does not say, in seconds.
const defaultBinlogTTL = 30 * 24 * 3600

// KeepsBinlog says whether changes of the table are recorded.
func (t *Table) KeepsBinlog() bool { return t.Props["binlog.level"] == "replica" }

// BinlogTTL is how long the table's binlog is kept, in seconds.
func (t *Table) BinlogTTL() int64 {
	if n, err := strconv.ParseInt(t.Props["binlog.ttl"], 10, 64); err == nil && n > 0 {
		return n
	}
	return defaultBinlogTTL
}

// Binlog is the table's binlog as a relation of its own: the table's columns under
// their ordinals, then those of the binlog.
func (t *Table) Binlog() *Table {
	b := &Table{OID: t.OID, Schema: t.Schema, Name: t.Name, Kind: t.Kind, Owner: t.Owner, ACL: t.ACL, Props: t.Props,
		Shards: t.Shards, SchemaVersion: t.SchemaVersion, IsBinlog: true}
	b.Columns = make([]Column, len(t.Columns), len(t.Columns)+binlogColumns)
	copy(b.Columns, t.Columns)
	for i := range b.Columns {
		b.Columns[i].NotNull = false // markers have no values
	}
	for i, name := range [...]string{BinlogLSNColumn, BinlogTypeColumn, BinlogTimeColumn} {
		b.Columns = append(b.Columns, Column{ID: int32(BinlogLSNID - i), Attr: int16(len(t.Columns) + 1 + i), Name: name, T: types.Int8, NotNull: true})
	}
	return b
}

// BinlogLSN, BinlogType and BinlogTime are the ordinals of the binlog's own columns.
func (t *Table) BinlogLSN() int { return len(t.Columns) - binlogColumns }

// BinlogType is the ordinal of the event's type.
func (t *Table) BinlogType() int { return len(t.Columns) - binlogColumns + 1 }

// BinlogTime is the ordinal of the commit's time.
func (t *Table) BinlogTime() int { return len(t.Columns) - binlogColumns + 2 }
