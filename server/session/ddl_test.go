package session_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// TestConcurrentDDL: commands that change the catalog side by side, on the same
// objects and on others, wait for each other, and each is done to what the other made.
func TestConcurrentDDL(t *testing.T) {
	const workers, rounds = 4, 12
	e := open(t)
	s := session(t, e)
	exec(t, s, "CREATE TABLE shared (k int PRIMARY KEY)")
	exec(t, s, "CREATE ROLE member")
	exec(t, s, "CREATE SUBSCRIPTION sub CONNECTION 'kafka://127.0.0.1:1' PUBLICATION a WITH (enabled = false, format = 'json', target = 'shared')")
	for w := range workers * rounds {
		exec(t, s, fmt.Sprintf("CREATE ROLE r%d", w))
	}
	var wg sync.WaitGroup
	for w := range workers {
		x := session(t, e)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range rounds {
				for j, sql := range []string{
					fmt.Sprintf("CREATE TABLE own_%d (k int, v text)", w),
					fmt.Sprintf("ALTER TABLE own_%d ADD COLUMN w int", w),
					fmt.Sprintf("ALTER TABLE shared ADD COLUMN c_%d_%d int", w, i),
					fmt.Sprintf("CREATE OR REPLACE VIEW v_%d AS SELECT k FROM shared", w),
					fmt.Sprintf("GRANT r%d TO member", w*rounds+i),
					fmt.Sprintf("GRANT SELECT ON shared TO r%d", w*rounds+i),
					fmt.Sprintf("GRANT USAGE ON SCHEMA public TO r%d", w*rounds+i),
					fmt.Sprintf("ALTER SUBSCRIPTION sub ADD PUBLICATION p_%d_%d", w, i),
					fmt.Sprintf("DROP VIEW v_%d", w),
					fmt.Sprintf("DROP TABLE own_%d", w),
				} {
					var err error
					out := &sink{}
					switch (i + j) % 3 {
					case 0:
						err = x.Simple(context.Background(), sql, out)
					case 1:
						err = extended(x, sql, out)
					case 2:
						for _, q := range []string{"BEGIN", sql, "COMMIT"} {
							if err == nil {
								err = x.Simple(context.Background(), q, out)
							}
						}
					}
					if err != nil {
						t.Errorf("%s: %v %v", sql, sqlstate.CodeOf(err), err)
						_ = x.Simple(context.Background(), "ROLLBACK", out)
						return
					}
				}
			}
		}()
	}
	wg.Wait()
	for sql, want := range map[string]int64{
		"SELECT count(*) FROM pg_attribute WHERE attrelid = 'shared'::regclass AND attnum > 1":                       workers * rounds,
		"SELECT count(*) FROM pg_auth_members":                                                                       workers * rounds,
		"SELECT array_length(subpublications, 1)::int8 FROM pg_subscription":                                         1 + workers*rounds,
		"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'r%' AND has_table_privilege(rolname, 'shared', 'SELECT')": workers * rounds,
		"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'r%' AND has_schema_privilege(rolname, 'public', 'USAGE')": workers * rounds,
	} {
		if n := exec(t, s, sql).value(); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
}

// TestDependsMeanwhile: nothing is left without what it rests on, when the one and the
// other come and go in transactions that do not see each other.
func TestDependsMeanwhile(t *testing.T) {
	e := open(t)
	a, b := session(t, e), session(t, e)
	for _, c := range []struct {
		setup, first, second string
		want                 sqlstate.Code // of the first's COMMIT
	}{
		{"CREATE TABLE t1 (k int)", "CREATE VIEW v1 AS SELECT k FROM t1", "DROP TABLE t1", sqlstate.UndefinedTable},
		{"CREATE TABLE t2 (k int)", "DROP TABLE t2", "CREATE VIEW v2 AS SELECT k FROM t2", sqlstate.DependentObjectsStillExist},
		{"CREATE SCHEMA s3", "DROP SCHEMA s3", "CREATE TABLE s3.t (k int)", sqlstate.DependentObjectsStillExist},
		{"CREATE SCHEMA s4", "CREATE TABLE s4.t (k int)", "DROP SCHEMA s4", sqlstate.InvalidSchemaName},
		{"CREATE ROLE r5", "DROP ROLE r5", "CREATE SCHEMA s5 AUTHORIZATION r5", sqlstate.DependentObjectsStillExist},
	} {
		exec(t, a, c.setup)
		exec(t, a, "BEGIN")
		exec(t, a, c.first)
		exec(t, b, c.second)
		if err := a.Simple(context.Background(), "COMMIT", &sink{}); sqlstate.CodeOf(err) != c.want {
			t.Errorf("%s, then %s: %v", c.first, c.second, err)
		}
	}
}

// TestDropSchemaOfMuch: a schema goes with all in it, also with what rests on something
// else in it.
func TestDropSchemaOfMuch(t *testing.T) {
	e := open(t)
	s := session(t, e)
	want, _ := expect(t, s)
	exec(t, s, "CREATE SCHEMA sm; CREATE SEQUENCE sm.q; CREATE TABLE sm.a (id int PRIMARY KEY); CREATE TABLE out (id int PRIMARY KEY, a int REFERENCES sm.a, n int DEFAULT nextval('sm.q'))")
	exec(t, s, "CREATE TABLE sm.b (id int PRIMARY KEY, a int REFERENCES sm.a, n int DEFAULT nextval('sm.q')); CREATE VIEW sm.v AS SELECT b.id FROM sm.b, sm.a; CREATE VIEW vout AS SELECT * FROM sm.v")
	exec(t, s, "DROP SCHEMA sm CASCADE")
	want(1, "SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b', 'v', 'q', 'out', 'vout')")
	want(0, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'")
	exec(t, s, "INSERT INTO out VALUES (1, 2)")
	want(1, "SELECT count(*) FROM out WHERE n IS NULL")
}

// TestLockTable: who locks a table keeps others from writing it until the end.
func TestLockTable(t *testing.T) {
	e := open(t)
	a, b := session(t, e), session(t, e)
	exec(t, a, "CREATE TABLE l (k int PRIMARY KEY, n int)")
	exec(t, a, "INSERT INTO l VALUES (1, 0)")
	if err := a.Simple(context.Background(), "LOCK TABLE l", &sink{}); sqlstate.CodeOf(err) != sqlstate.NoActiveSQLTransaction {
		t.Errorf("outside a block: %v", err)
	}
	exec(t, a, "BEGIN")
	exec(t, a, "LOCK TABLE l IN ACCESS SHARE MODE") // keeps nobody from anything
	exec(t, b, "UPDATE l SET n = n + 1")
	exec(t, a, "LOCK TABLE l")
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.Simple(short, "UPDATE l SET n = n + 1", &sink{}); err == nil {
		t.Error("an update while the table is locked")
	}
	if n := exec(t, b, "SELECT n::int8 FROM l").value(); n != 1 {
		t.Errorf("n is %d", n)
	}
	exec(t, a, "COMMIT")
	exec(t, b, "UPDATE l SET n = n + 1")
}

// TestUniqueOfOlderState: a unique key that is added where the transaction does not see
// rows that the table has is not made without their entries.
func TestUniqueOfOlderState(t *testing.T) {
	e := open(t)
	a, b := session(t, e), session(t, e)
	exec(t, a, "CREATE TABLE t (k int PRIMARY KEY, u int) WITH (orientation = 'row')")
	exec(t, a, "CREATE TABLE empty (k int PRIMARY KEY, u int) WITH (orientation = 'row')")
	exec(t, a, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	exec(t, a, "SELECT count(*) FROM t")
	exec(t, b, "INSERT INTO t VALUES (1, 1)")
	exec(t, a, "ALTER TABLE empty ADD UNIQUE (u)")
	if err := a.Simple(context.Background(), "ALTER TABLE t ADD UNIQUE (u)", &sink{}); sqlstate.CodeOf(err) != sqlstate.FeatureNotSupported {
		t.Errorf("%v", err)
	}
	exec(t, a, "ROLLBACK")
	exec(t, a, "ALTER TABLE t ADD UNIQUE (u)")
	if err := b.Simple(context.Background(), "INSERT INTO t VALUES (2, 1)", &sink{}); sqlstate.CodeOf(err) != sqlstate.UniqueViolation {
		t.Errorf("%v", err)
	}
	// Who reads an older state does so without the key.
	exec(t, a, "CREATE TABLE later (k int PRIMARY KEY, u int) WITH (orientation = 'row'); INSERT INTO later VALUES (1, 5), (2, 6)")
	exec(t, a, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	exec(t, a, "SELECT count(*) FROM later")
	exec(t, b, "DELETE FROM later WHERE k = 2")
	exec(t, b, "ALTER TABLE later ADD UNIQUE (u)")
	want, _ := expect(t, a)
	want(1, "SELECT k FROM later WHERE u = 5")
	want(2, "SELECT k FROM later WHERE u IN (5, 6) ORDER BY 1")
	exec(t, a, "CREATE TABLE beside (k int)") // which takes the newest catalog for the transaction's
	want(1, "SELECT k FROM later WHERE u = 5")
	want(2, "SELECT k FROM later WHERE u = ANY ('{5,6}') ORDER BY 1")
	exec(t, a, "COMMIT")
	exec(t, a, "UPDATE later SET u = 7 WHERE u = 5")
	want(1, "SELECT k FROM later WHERE u = 7")
}
