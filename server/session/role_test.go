package session_test

import (
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// TestRoleMeanwhile: what others take from a role, its sessions lack from their next
// statement on, also inside a block.
func TestRoleMeanwhile(t *testing.T) {
	e := open(t)
	admin, s := session(t, e), session(t, e)
	exec(t, admin, "CREATE TABLE own (k int PRIMARY KEY, n int) WITH (orientation = 'row')")
	exec(t, admin, "INSERT INTO own VALUES (1, 1)")
	exec(t, admin, "CREATE ROLE boss SUPERUSER")
	exec(t, s, "SET ROLE boss")
	want, refused := expect(t, s)
	want(1, "SELECT n FROM own WHERE k = 1")
	exec(t, s, "UPDATE own SET n = 1 WHERE k = 1")
	exec(t, admin, "ALTER ROLE boss NOSUPERUSER")
	refused(sqlstate.InsufficientPrivilege, "SELECT n FROM own WHERE k = 1")
	exec(t, admin, "ALTER ROLE boss SUPERUSER")
	want(1, "SELECT n FROM own WHERE k = 1")
	exec(t, s, "BEGIN")
	exec(t, s, "UPDATE own SET n = 1 WHERE k = 1")
	exec(t, admin, "ALTER ROLE boss NOSUPERUSER")
	refused(sqlstate.InsufficientPrivilege, "UPDATE own SET n = 2 WHERE k = 1")
	exec(t, s, "ROLLBACK")
}
