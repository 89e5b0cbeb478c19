package session_test

import (
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// TestRenameMeanwhile: of a change of names and a view with these names, made at once, the
// second to commit does not: no view is left with names that are not there.
func TestRenameMeanwhile(t *testing.T) {
	e := open(t)
	a, b := session(t, e), session(t, e)
	wantA, refusedA := expect(t, a)
	_, refusedB := expect(t, b)
	exec(t, a, "CREATE TABLE t (k int PRIMARY KEY, v int, d int)")
	exec(t, b, "BEGIN; CREATE VIEW w AS SELECT v FROM t")
	exec(t, a, "ALTER TABLE t RENAME v TO x")
	refusedB(sqlstate.SerializationFailure, "COMMIT")

	exec(t, a, "BEGIN; ALTER TABLE t RENAME x TO y")
	exec(t, b, "CREATE VIEW w AS SELECT x FROM t")
	refusedA(sqlstate.SerializationFailure, "COMMIT")
	wantA(0, "SELECT count(x) FROM w")

	exec(t, a, "BEGIN; ALTER TABLE t DROP COLUMN d")
	exec(t, b, "CREATE VIEW w2 AS SELECT d FROM t")
	refusedA(sqlstate.SerializationFailure, "COMMIT")
	wantA(0, "SELECT count(d) FROM w2")

	// Changes of other kinds go side by side, and those of one transaction together.
	exec(t, b, "BEGIN; CREATE VIEW w3 AS SELECT x FROM t")
	exec(t, a, "ALTER TABLE t ADD COLUMN z int")
	exec(t, b, "COMMIT")
	exec(t, b, "BEGIN; CREATE VIEW w4 AS SELECT x, z FROM t; ALTER TABLE t RENAME x TO y; CREATE VIEW w5 AS SELECT y FROM t; ALTER TABLE t RENAME TO u; COMMIT")
	for _, w := range []string{"w", "w2", "w3", "w4", "w5"} {
		wantA(0, "SELECT count(*) FROM "+w)
	}
}

// TestRenameSchemaMeanwhile is TestRenameMeanwhile for the name of a schema.
func TestRenameSchemaMeanwhile(t *testing.T) {
	e := open(t)
	a, b := session(t, e), session(t, e)
	wantA, refusedA := expect(t, a)
	_, refusedB := expect(t, b)
	exec(t, a, "CREATE SCHEMA one; CREATE TABLE one.t (k int PRIMARY KEY); CREATE VIEW w0 AS SELECT k FROM one.t")
	exec(t, b, "BEGIN; CREATE VIEW w AS SELECT k FROM one.t")
	exec(t, a, "ALTER SCHEMA one RENAME TO two")
	refusedB(sqlstate.SerializationFailure, "COMMIT")

	exec(t, a, "BEGIN; ALTER SCHEMA two RENAME TO three")
	exec(t, b, "CREATE VIEW w AS SELECT k FROM two.t")
	refusedA(sqlstate.SerializationFailure, "COMMIT")

	exec(t, b, "CREATE TABLE other (k int); BEGIN; CREATE VIEW w2 AS SELECT k FROM other")
	exec(t, a, "ALTER SCHEMA two RENAME TO three")
	exec(t, b, "COMMIT")
	exec(t, b, "BEGIN; CREATE VIEW w3 AS SELECT k FROM three.t; ALTER SCHEMA three RENAME TO four; CREATE VIEW w4 AS SELECT k FROM four.t; COMMIT")
	for _, w := range []string{"w0", "w", "w2", "w3", "w4"} {
		wantA(0, "SELECT count(*) FROM "+w)
	}
}
