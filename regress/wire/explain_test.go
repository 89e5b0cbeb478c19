package wire

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// TestExplainExecute: EXPLAIN EXECUTE shows the plan of the prepared statement, and with
// ANALYZE runs it.
func TestExplainExecute(t *testing.T) {
	dsn := node.ForTest(t).DSN
	ctx := context.Background()
	c := node.Connect(t, dsn).PgConn()
	run := func(c *pgconn.PgConn, sql, code string) string {
		t.Helper()
		rs, err := c.Exec(ctx, sql).ReadAll()
		var e *pgconn.PgError
		if code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.Code != code) {
			t.Fatalf("%s: %v, want %q", sql, err, code)
		}
		var lines []string
		for _, r := range rs {
			for _, row := range r.Rows {
				lines = append(lines, string(row[0]))
			}
		}
		return strings.Join(lines, "\n")
	}
	same := func(a, b string) {
		t.Helper()
		if x, y := run(c, a, ""), run(c, b, ""); x != y || strings.Contains(x, "Utility") {
			t.Errorf("%s:\n%s\n%s:\n%s", a, x, b, y)
		}
	}
	run(c, "CREATE TABLE t (k int PRIMARY KEY, v text) WITH (orientation = 'row')", "")
	run(c, "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 100) g", "")
	run(c, "PREPARE one AS SELECT v FROM t WHERE k > 7 AND v < 'x'", "")
	same("EXPLAIN EXECUTE one", "EXPLAIN SELECT v FROM t WHERE k > 7 AND v < 'x'")
	same("EXPLAIN (FORMAT json) EXECUTE one", "EXPLAIN (FORMAT json) SELECT v FROM t WHERE k > 7 AND v < 'x'")
	run(c, "PREPARE two (int, text) AS UPDATE t SET v = $2 WHERE k = $1", "")
	if got := run(c, "EXPLAIN (COSTS OFF) EXECUTE two(1, 'w')", ""); !strings.HasPrefix(got, "Update on t") {
		t.Error(got)
	}
	if got := run(c, "SELECT v FROM t WHERE k = 1", ""); got != "v" {
		t.Error(got)
	}
	if got := run(c, "EXPLAIN ANALYZE EXECUTE two(1, 'w')", ""); !strings.Contains(got, "actual rows=1") {
		t.Error(got)
	}
	if got := run(c, "SELECT v FROM t WHERE k = 1", ""); got != "w" {
		t.Error(got)
	}
	if got := run(c, "EXPLAIN ANALYZE EXECUTE one", ""); !strings.Contains(got, "actual rows=93") {
		t.Error(got)
	}
	run(c, "EXPLAIN EXECUTE two(1)", "42601")
	run(c, "EXPLAIN EXECUTE two('x', 'y')", "22P02")
	run(c, "EXPLAIN EXECUTE three", "26000")
	run(c, "BEGIN READ ONLY", "")
	run(c, "EXPLAIN EXECUTE two(1, 'w')", "")
	run(c, "EXPLAIN ANALYZE EXECUTE two(1, 'w')", "25006")
	run(c, "ROLLBACK", "")

	// Privileges are those of the prepared statement.
	run(c, "CREATE ROLE low LOGIN", "")
	low := node.Connect(t, strings.Replace(dsn, "postgres@", "low@", 1)).PgConn()
	run(low, "PREPARE three AS SELECT v FROM t", "")
	run(low, "EXPLAIN EXECUTE three", "42501")
	run(c, "GRANT SELECT ON t TO low", "")
	run(low, "EXPLAIN EXECUTE three", "")
}
