package isolation

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// TestExportSnapshot has transactions read what another reads, whatever is written
// meanwhile.
func TestExportSnapshot(t *testing.T) {
	url := *dsn
	if url == "" {
		url = node.ForTest(t).DSN
	}
	for _, o := range []string{"column", "row", "row,column"} {
		if *dsn != "" && o != "column" {
			break
		}
		t.Run(o, func(t *testing.T) { exportSnapshot(t, url, o) })
	}
}

func exportSnapshot(t *testing.T, url, orientation string) {
	ctx := context.Background()
	open := func() *pgx.Conn {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(ctx) })
		return c
	}
	a, b, c := open(), open(), open()
	do := func(c *pgx.Conn, code, sql string) {
		t.Helper()
		_, err := c.Exec(ctx, sql)
		var e *pgconn.PgError
		got := ""
		if errors.As(err, &e) {
			got = e.Code
		} else if err != nil {
			t.Fatal(err)
		}
		if got != code {
			t.Fatalf("%s: %q, want %q (%v)", sql, got, code, err)
		}
	}
	text := func(c *pgx.Conn, sql, want string) string {
		t.Helper()
		var got string
		if err := c.QueryRow(ctx, sql).Scan(&got); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if want != "" && got != want {
			t.Fatalf("%s: %s, want %s", sql, got, want)
		}
		return got
	}
	with := ""
	if *dsn == "" {
		with = " WITH (orientation = '" + orientation + "')"
	}
	do(a, "", "DROP TABLE IF EXISTS ex")
	do(a, "", "CREATE TABLE ex (k int PRIMARY KEY, v int)"+with)
	do(a, "", "INSERT INTO ex SELECT i, i FROM generate_series(1, 100) i")
	sum := "SELECT sum(v)::text || ' ' || count(*) FROM ex"

	// A READ COMMITTED transaction exports what its statement reads.
	do(a, "", "BEGIN")
	id := text(a, "SELECT pg_export_snapshot()", "")
	do(b, "", "DELETE FROM ex WHERE k <= 50")
	do(b, "", "UPDATE ex SET v = 0 WHERE k > 90")
	text(a, sum, "2820 50")
	do(c, "", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
	do(c, "", fmt.Sprintf("SET TRANSACTION SNAPSHOT '%s'", id))
	do(a, "", "COMMIT")
	text(c, sum, "5050 100")
	text(c, "SELECT v::text FROM ex WHERE k = 7", "7")
	again := text(c, "SELECT pg_export_snapshot()", "") // pass it on
	do(b, "", "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	do(b, "22023", fmt.Sprintf("SET TRANSACTION SNAPSHOT '%s'", id)) // its exporter is gone
	do(b, "", "ROLLBACK")
	do(b, "", "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	do(b, "", fmt.Sprintf("SET TRANSACTION SNAPSHOT '%s'", again))
	text(b, sum, "5050 100")
	do(b, "40001", "UPDATE ex SET v = 1 WHERE k = 95") // the first committer won
	do(b, "", "ROLLBACK")
	do(c, "", "COMMIT")
	text(c, sum, "2820 50")

	// Own writes stay with their transaction; two snapshots of one transaction.
	do(a, "", "BEGIN ISOLATION LEVEL REPEATABLE READ")
	do(a, "", "INSERT INTO ex VALUES (1000, 1000)")
	id = text(a, "SELECT pg_export_snapshot()", "")
	if text(a, "SELECT pg_export_snapshot()", "") == id {
		t.Fatal("one name for two snapshots")
	}
	do(c, "", "BEGIN ISOLATION LEVEL REPEATABLE READ")
	do(c, "", fmt.Sprintf("SET TRANSACTION SNAPSHOT '%s'", id))
	text(c, sum, "2820 50")
	do(c, "", "ROLLBACK")
	do(a, "", "SAVEPOINT x")
	do(a, "25001", "SELECT pg_export_snapshot()")
	do(a, "", "ROLLBACK")

	for _, s := range []struct{ code, sql string }{
		{"0A000", "BEGIN; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'"},
		{"22023", "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'"},
		{"25001", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'"},
		{"25001", "BEGIN ISOLATION LEVEL REPEATABLE READ; SAVEPOINT a; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'"},
		{"25001", "BEGIN; SELECT 1; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"},
		{"25001", "BEGIN; SELECT 1; SET transaction_isolation = 'repeatable read'"},
		{"25001", "BEGIN; SAVEPOINT a; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"},
		{"25001", "BEGIN READ ONLY; SELECT 1; SET TRANSACTION READ WRITE"},
		{"25006", "BEGIN; SELECT 1; SET TRANSACTION READ ONLY; DELETE FROM ex"},
		{"", "BEGIN; SELECT 1; SET TRANSACTION ISOLATION LEVEL READ COMMITTED"},
		{"", "BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; DELETE FROM ex"},
	} {
		do(a, s.code, s.sql)
		do(a, "", "ROLLBACK")
	}
	// What was written before a mode is said again stays.
	do(a, "", "BEGIN")
	do(a, "", "INSERT INTO ex VALUES (2000, 0)")
	do(a, "", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
	do(a, "", "COMMIT")
	text(b, sum, "2820 51")
}
