package session_test

import (
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// TestBinlogCursors: Hologres' functions about places in a binlog, and slots.
func TestBinlogCursors(t *testing.T) {
	s := session(t, open(t))
	want, refused := expect(t, s)
	exec(t, s, "CREATE TABLE l (k int PRIMARY KEY, v text) WITH (binlog_level = 'replica')")
	exec(t, s, "CREATE TABLE n (k int)")
	want(0, "SELECT hg_binlog_lsn FROM hg_get_binlog_cursor('l', 'LATEST', 0)")
	exec(t, s, "INSERT INTO l SELECT g, 'v' FROM generate_series(1, 100) g")
	exec(t, s, "UPDATE l SET v = 'w' WHERE k < 50")
	for _, shard := range []string{"0", "1"} {
		of := " WHERE hg_shard_id = " + shard
		want(1, "SELECT count(*) FROM hg_get_binlog_cursor('l', 'OLDEST', "+shard+") c, (SELECT min(hg_binlog_lsn) m FROM l"+of+") x WHERE c.hg_binlog_lsn = m")
		want(1, "SELECT count(*) FROM hg_get_binlog_cursor('l', 'LATEST', "+shard+") c, (SELECT max(hg_binlog_lsn) m, max(hg_binlog_timestamp_us) t FROM l"+of+") x WHERE c.hg_binlog_lsn = m AND hg_binlog_timestamp_us = t")
		want(1, "SELECT count(*) FROM hg_get_binlog_cursor_by_lsn('l', 60, "+shard+") c, (SELECT min(hg_binlog_lsn) m FROM l"+of+" AND hg_binlog_lsn >= 60) x WHERE c.hg_binlog_lsn = m")
		want(1, "SELECT count(*) FROM hg_get_binlog_cursor_by_timestamp('l', '2001-01-01', "+shard+") c, (SELECT min(hg_binlog_lsn) m FROM l"+of+") x WHERE c.hg_binlog_lsn = m")
	}
	// The shard of a key, of whatever type it is given as.
	want(0, "SELECT count(*) FROM l WHERE hg_shard_id <> hg_shard_id_for_distribution_key('l', k) OR hg_shard_id <> hg_shard_id_for_distribution_key('public.l', k::text)")
	want(1, "SELECT (count(DISTINCT hg_shard_id_for_distribution_key('l', g::numeric)) > 1)::int FROM generate_series(1, 100) g")
	want(1, "SELECT (hg_shard_id_for_distribution_key('l', '7') = hg_shard_id_for_distribution_key('l', 7::bigint))::int")
	refused(sqlstate.InvalidParameterValue, "SELECT hg_shard_id_for_distribution_key('l', 1, 2)")
	refused(sqlstate.InvalidParameterValue, "SELECT hg_shard_id_for_distribution_key('n', 1)")
	refused(sqlstate.InvalidTextRepresentation, "SELECT hg_shard_id_for_distribution_key('l', 'x')")
	refused(sqlstate.UndefinedTable, "SELECT hg_shard_id_for_distribution_key('none', 1)")
	want(1000000, "SELECT hg_binlog_lsn FROM hg_get_binlog_cursor_by_lsn('l', 1000000, 0)")
	refused(sqlstate.InvalidParameterValue, "SELECT * FROM hg_get_binlog_cursor_by_timestamp('l', now() + interval '1 hour', 0)")
	refused(sqlstate.InvalidParameterValue, "SELECT * FROM hg_get_binlog_cursor('l', 'LATEST', 9)")
	refused(sqlstate.InvalidParameterValue, "SELECT * FROM hg_get_binlog_cursor('l', 'NEXT', 0)")
	refused(sqlstate.ObjectNotInPrerequisiteState, "SELECT * FROM hg_get_binlog_cursor('n', 'LATEST', 0)")
	refused(sqlstate.UndefinedTable, "SELECT * FROM hg_get_binlog_cursor('none', 'LATEST', 0)")

	exec(t, s, "CALL hg_create_logical_replication_slot('s', 'hgoutput', 'l')")
	refused(sqlstate.DuplicateObject, "CALL hg_create_logical_replication_slot('s', 'hgoutput', 'l')")
	refused(sqlstate.InvalidName, "CALL hg_create_logical_replication_slot('S', 'hgoutput', 'l')")
	refused(sqlstate.ObjectNotInPrerequisiteState, "CALL hg_create_logical_replication_slot('x', 'hgoutput', 'n')")
	refused(sqlstate.UndefinedFile, "CALL hg_create_logical_replication_slot('x', 'other', 'l')")
	want(1, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 's' AND plugin = 'hgoutput' AND wal_status = 'reserved' AND restart_lsn > '0/0'")
	want(1, "SELECT count(*) FROM hologres.hg_replication_slot_properties WHERE slot_name = 's' AND property_value = 'l'")
	exec(t, s, "DROP TABLE l")
	want(1, "SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'")
	exec(t, s, "CALL hg_drop_logical_replication_slot('s')")
	refused(sqlstate.UndefinedObject, "CALL hg_drop_logical_replication_slot('s')")
}
