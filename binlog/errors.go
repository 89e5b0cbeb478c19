package binlog

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// GapError says that changes are missing from a binlog though the table had them: they
// were kept out of it. Whoever keeps a copy makes it anew; Reader.Skip then goes on.
type GapError struct {
	Table string
	Shard int
	LSN   int64
	// CSN is the commit of which changes are missing.
	CSN storage.CSN
}

func (e *GapError) Error() string { return e.SQL().Message }

// SQL is the error as clients get it.
func (e *GapError) SQL() *sqlstate.Error {
	return sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "the binlog of table %q has a gap", e.Table).
		WithDetail("Changes of commit %d are missing, from LSN %d of shard %d on.", e.CSN, e.LSN, e.Shard)
}

// Unwrap is SQL.
func (e *GapError) Unwrap() error { return e.SQL() }

func errExpired(table string, shard int, after, floor int64) error {
	return sqlstate.Errorf(sqlstate.UndefinedFile, "requested binlog of table %q has already been removed", table).
		WithDetail("Records of shard %d after LSN %d were asked for, those up to %d have expired.", shard, after, floor)
}

func errOther(table string, p Position, since storage.CSN) error {
	return sqlstate.Errorf(sqlstate.UndefinedFile, "requested binlog of table %q has already been removed", table).
		WithDetail("The position belongs to the binlog that began at commit %d; it was switched off since, and a new one began at commit %d.", p.Since, since)
}

func errNoTable(oid uint32) error {
	return sqlstate.Errorf(sqlstate.UndefinedTable, "table with OID %d does not exist", oid)
}

func errNoBinlog(table string) error {
	return sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "table %q has no binlog", table).
		WithHint("Switch it on with ALTER TABLE %s SET (binlog_level = 'replica').", table)
}
