package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	sessions "github.com/millrace/millrace/server/session"
	"github.com/millrace/millrace/storage"
)

// TestLayoutMeanwhile: what a table may change while it has no rows waits for those who are
// writing some, and then finds them.
func TestLayoutMeanwhile(t *testing.T) {
	e := open(t)
	a, b := session(t, e), session(t, e)
	want, _ := expect(t, b)
	exec(t, a, "CREATE TABLE t (k int, v int, PRIMARY KEY (k, v)) WITH (distribution_key = 'k')")
	exec(t, b, "BEGIN; INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 100) i")
	var store storage.Store
	sessions.Wrap(a, func(s storage.Store) storage.Store { store = s; return s })
	done := make(chan error, 1)
	go func() {
		done <- a.Simple(context.Background(), "CALL set_table_property('t', 'distribution_key', 'v')", &sink{})
	}()
	for deadline := time.Now().Add(time.Minute); len(store.(storage.LockWaits).LockWaits()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
	}
	exec(t, b, "COMMIT")
	if err := <-done; sqlstate.CodeOf(err) != sqlstate.FeatureNotSupported {
		t.Errorf("%v", err)
	}
	want(100, "SELECT count(*) FROM generate_series(1, 100) i JOIN t ON t.k = i AND t.v = i % 7")
	want(1, "SELECT count(*) FROM t WHERE k = 6 AND v = 6")
}

// TestLayoutOfOlderState: a transaction that reads an older state does not take a table for
// empty that has got rows since.
func TestLayoutOfOlderState(t *testing.T) {
	e := open(t)
	a, b := session(t, e), session(t, e)
	want, _ := expect(t, b)
	_, refused := expect(t, a)
	exec(t, a, "CALL hg_create_table_group('g3', 3)")
	for _, x := range []struct {
		sql  string
		code sqlstate.Code
	}{
		{"CALL hg_move_table_to_table_group('t', 'g3')", sqlstate.FeatureNotSupported},
		{"CALL set_table_property('t', 'distribution_key', 'k')", sqlstate.FeatureNotSupported},
		{"ALTER TABLE t ADD PRIMARY KEY (k)", sqlstate.FeatureNotSupported},
		{"ALTER TABLE t ADD COLUMN c int NOT NULL", sqlstate.NotNullViolation},
	} {
		exec(t, b, "CREATE TABLE t (k int, v int)")
		exec(t, a, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")
		exec(t, b, "INSERT INTO t VALUES (1, 1), (1, 2)")
		refused(x.code, x.sql)
		exec(t, a, "ROLLBACK")
		want(2, "SELECT count(*) FROM t")
		exec(t, b, "DROP TABLE t")
	}
}
