package session_test

import (
	"context"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// TestTableGroups: tables have the shards of their group, rows lie in the shard of
// their key, and look-ups find them there.
func TestTableGroups(t *testing.T) {
	s := session(t, open(t))
	want, refused := expect(t, s)
	exec(t, s, "CREATE TABLE byDefault (k int PRIMARY KEY, v text)")
	exec(t, s, "INSERT INTO byDefault SELECT g, 'v' FROM generate_series(1, 1000) g")
	want(2, "SELECT count(DISTINCT hg_shard_id) FROM byDefault") // one a worker
	exec(t, s, "CALL hg_create_table_group('g5', 5)")
	refused(sqlstate.DuplicateObject, "CALL hg_create_table_group('g5', 5)")
	exec(t, s, "CALL hg_create_table_group('g5', 5, 'ignore')")
	refused(sqlstate.InvalidParameterValue, "CALL hg_create_table_group('g0', 0)")
	refused(sqlstate.UndefinedObject, "CREATE TABLE x (a int) WITH (table_group = 'none')")
	exec(t, s, "CREATE TABLE a (k int PRIMARY KEY, v text) WITH (table_group = 'g5')")
	exec(t, s, "BEGIN; CREATE TABLE b (k int, w int, PRIMARY KEY (k, w)); CALL set_table_property('b', 'distribution_key', 'k');"+
		"CALL set_table_property('b', 'binlog.level', 'replica'); CALL set_table_property('b', 'shard_count', '5');"+
		"INSERT INTO b VALUES (1, -1); COMMIT")
	want(5, "SELECT property_value::int8 FROM hologres.hg_table_group_properties WHERE tablegroup_name = 'postgres_tg_shard_5' AND property_key = 'shard_count'")
	exec(t, s, "INSERT INTO a SELECT g, 'v' || g FROM generate_series(1, 3000) g")
	exec(t, s, "INSERT INTO b SELECT g, g FROM generate_series(1, 3000) g")
	want(5, "SELECT count(DISTINCT hg_shard_id) FROM a")
	want(3000, "SELECT count(*) FROM a, b WHERE a.k = b.k AND b.w > 0 AND a.hg_shard_id = b.hg_shard_id")
	for k := range 20 {
		want(1, "SELECT count(*) FROM a WHERE k = "+string(rune('1'+k%9))+"77")
	}
	refused(sqlstate.FeatureNotSupported, "CALL set_table_property('a', 'table_group', 'postgres_tg_default')")
	refused(sqlstate.DependentObjectsStillExist, "CALL hg_drop_table_group('g5')")
	refused(sqlstate.DependentObjectsStillExist, "CALL hg_drop_table_group('postgres_tg_default')")
	exec(t, s, "CALL hg_update_database_property('default_table_group', 'g5')")
	exec(t, s, "CREATE TABLE c (k int PRIMARY KEY)")
	want(3, "SELECT count(*) FROM hologres.hg_table_properties WHERE property_key = 'table_group' AND (table_name, property_value) IN (('a', 'g5'), ('b', 'postgres_tg_shard_5'), ('c', 'g5'))")
	exec(t, s, "CALL hg_update_database_property('default_table_group', 'postgres_tg_default')")
	exec(t, s, "DROP TABLE a, c")
	exec(t, s, "CALL hg_drop_table_group('g5')")
	want(0, "SELECT count(*) FROM hologres.hg_table_group_properties WHERE tablegroup_name = 'g5'")
}

// TestOrientation: it is set where the table is made, and rows are found in each.
func TestOrientation(t *testing.T) {
	s := session(t, open(t))
	exec(t, s, "CREATE TABLE r (k int PRIMARY KEY, v text) WITH (orientation = 'row')")
	exec(t, s, "BEGIN; CREATE TABLE h (k int PRIMARY KEY, v text); CALL set_table_property('h', 'orientation', 'row,column');"+
		"INSERT INTO h VALUES (-1, 'own'); COMMIT")
	exec(t, s, "CREATE TABLE c (k int PRIMARY KEY, v text)")
	for _, name := range []string{"r", "h", "c"} {
		exec(t, s, "INSERT INTO "+name+" SELECT g, 'v' || g FROM generate_series(1, 500) g ON CONFLICT (k) DO UPDATE SET v = excluded.v")
		exec(t, s, "UPDATE "+name+" SET v = 'x' WHERE k % 5 = 0; DELETE FROM "+name+" WHERE k % 50 = 1")
		for sql, want := range map[string]int64{
			"SELECT count(*) FROM %s WHERE k > 0": 490, "SELECT count(*) FROM %s WHERE v = 'x'": 100,
			"SELECT count(*) FROM %s WHERE k = 77": 1, "SELECT count(*) FROM %s WHERE k = 51": 0, "SELECT sum(k) FROM %s WHERE k BETWEEN 10 AND 20": 165,
		} {
			sql = strings.Replace(sql, "%s", name, 1)
			if got := exec(t, s, sql).value(); got != want {
				t.Errorf("%s: %d, want %d", sql, got, want)
			}
		}
	}
	exec(t, s, "CALL set_table_property('c', 'orientation', 'column')")
	for _, sql := range []string{"CALL set_table_property('c', 'orientation', 'row')", "CALL set_table_property('r', 'distribution_key', 'k')"} {
		if err := s.Simple(context.Background(), sql, &sink{}); sqlstate.CodeOf(err) != sqlstate.FeatureNotSupported {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
