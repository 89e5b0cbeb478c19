package wire

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// TestConnectionLimit: a role has as many sessions as it may have.
func TestConnectionLimit(t *testing.T) {
	dsn := node.ForTest(t).DSN
	ctx := context.Background()
	c := node.Connect(t, dsn)
	if _, err := c.Exec(ctx, "CREATE ROLE few LOGIN CONNECTION LIMIT 2"); err != nil {
		t.Fatal(err)
	}
	open := func() (*pgx.Conn, error) {
		return pgx.Connect(ctx, strings.Replace(dsn, "postgres@", "few@", 1))
	}
	var conns []*pgx.Conn
	for range 2 {
		x, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close(ctx)
		conns = append(conns, x)
	}
	var e *pgconn.PgError
	if _, err := open(); !errors.As(err, &e) || e.Code != "53300" {
		t.Fatal(err)
	}
	_ = conns[0].Close(ctx)
	for i := 0; ; i++ { // its end may take a moment
		x, err := open()
		if err == nil {
			_ = x.Close(ctx)
			break
		}
		if i == 1500 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, err := c.Exec(ctx, "ALTER ROLE few CONNECTION LIMIT -1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, "ALTER ROLE few CONNECTION LIMIT -2"); !errors.As(err, &e) || e.Code != "22023" {
		t.Fatal(err)
	}
}

// TestValidUntil: a password that has expired is refused like a wrong one, by roles
// that have one.
func TestValidUntil(t *testing.T) {
	dsn := node.ForTest(t).DSN
	ctx := context.Background()
	c := node.Connect(t, dsn)
	do := func(sql, code string) {
		t.Helper()
		var e *pgconn.PgError
		if _, err := c.Exec(ctx, sql); code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.Code != code) {
			t.Fatalf("%s: %v, want %q", sql, err, code)
		}
	}
	until := func(want string) {
		t.Helper()
		for _, from := range []string{"rolvaliduntil::text FROM pg_roles WHERE rolname", "rolvaliduntil::text FROM pg_authid WHERE rolname",
			"valuntil::text FROM pg_user WHERE usename", "valuntil::text FROM pg_shadow WHERE usename"} {
			var got *string
			if err := c.QueryRow(ctx, "SELECT "+from+" = 'guest'").Scan(&got); err != nil || got == nil && want != "" || got != nil && *got != want {
				t.Errorf("%s: %v, %v, want %q", from, got, err, want)
			}
		}
	}
	login := func(as, code string) {
		t.Helper()
		x, err := pgx.Connect(ctx, strings.Replace(dsn, "postgres@", as+"@", 1))
		if err == nil {
			_ = x.Close(ctx)
		}
		var e *pgconn.PgError
		if code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.Code != code) {
			t.Fatalf("%s: %v, want %q", as, err, code)
		}
	}
	do("SET timezone = 'UTC'", "")
	do("CREATE ROLE guest LOGIN PASSWORD 'pw'", "")
	until("")
	login("guest:pw", "")
	do("ALTER ROLE guest VALID UNTIL '2030-01-02 03:04:05+02'", "")
	until("2030-01-02 01:04:05+00")
	login("guest:pw", "")
	do("ALTER ROLE guest VALID UNTIL '2020-01-01'", "")
	until("2020-01-01 00:00:00+00")
	login("guest:pw", "28P01")
	login("guest:no", "28P01")
	do("ALTER ROLE guest VALID UNTIL 'gibberish'", "22007")
	do("ALTER ROLE guest VALID UNTIL ''", "22007")
	do("ALTER ROLE guest VALID UNTIL 'infinity' VALID UNTIL 'infinity'", "42601")
	do("ALTER ROLE guest NOSUPERUSER", "")
	until("2020-01-01 00:00:00+00")
	do("ALTER ROLE guest VALID UNTIL '-infinity'", "")
	until("-infinity")
	login("guest:pw", "28P01")
	do("ALTER ROLE guest VALID UNTIL 'infinity'", "")
	until("infinity")
	login("guest:pw", "")
	do("ALTER ROLE guest VALID UNTIL 'tomorrow'", "")
	login("guest:pw", "")
	do("ALTER ROLE guest PASSWORD NULL VALID UNTIL 'yesterday'", "") // it tells how long a password is good
	login("guest", "")
	do("SET ROLE guest", "")
	do("ALTER ROLE guest VALID UNTIL 'infinity'", "42501")
}

// TestPrivileges: what a role may not read or write it does not get to by a way around.
func TestPrivileges(t *testing.T) {
	dsn := node.ForTest(t).DSN
	ctx := context.Background()
	c := node.Connect(t, dsn)
	for _, q := range []string{
		"CREATE ROLE low LOGIN", "CREATE ROLE other", "CREATE SCHEMA lows AUTHORIZATION low",
		"CREATE TABLE secret (id int PRIMARY KEY, v text)", "INSERT INTO secret VALUES (1, 'x'), (2, 'y')",
		"CREATE VIEW shown AS SELECT id FROM secret", "GRANT SELECT ON shown TO low",
		"CREATE TABLE mine (id int PRIMARY KEY, v text)", "GRANT INSERT ON mine TO low", "INSERT INTO mine VALUES (1, 'm')",
		"CREATE TABLE lows.own (id int PRIMARY KEY, v text)", "ALTER TABLE lows.own OWNER TO low",
		"CREATE SCHEMA hidden", "CREATE TABLE hidden.t (a int)", "INSERT INTO hidden.t VALUES (5)",
		"CREATE VIEW over AS SELECT a FROM hidden.t", "GRANT SELECT ON over TO low",
	} {
		if _, err := c.Exec(ctx, q); err != nil {
			t.Fatal(q, err)
		}
	}
	low := node.Connect(t, strings.Replace(dsn, "postgres@", "low@", 1))
	for _, x := range []struct{ sql, want string }{
		{"EXPLAIN SELECT v FROM secret", "permission denied for table secret"},
		{"EXPLAIN ANALYZE SELECT v FROM secret", "permission denied for table secret"},
		{"EXPLAIN ANALYZE DELETE FROM secret", "permission denied for table secret"},
		{"EXPLAIN ANALYZE INSERT INTO secret VALUES (3, 'z')", "permission denied for table secret"},
		{"EXPLAIN ANALYZE WITH d AS (DELETE FROM secret RETURNING id) SELECT id FROM d", "permission denied for table secret"},
		{"EXPLAIN (ANALYZE, FORMAT json) MERGE INTO secret USING shown ON shown.id = secret.id WHEN MATCHED THEN DELETE", "permission denied for table secret"},
		{"EXPLAIN ANALYZE SELECT id FROM shown", ""},
		{"BEGIN READ ONLY; EXPLAIN ANALYZE DELETE FROM lows.own", "cannot execute DELETE in a read-only transaction"},
		{"ROLLBACK", ""},
		{"CREATE TABLE lows.c AS SELECT * FROM secret", "permission denied for table secret"},
		{"CREATE TABLE lows.c AS SELECT * FROM shown", ""},
		{"CREATE TABLE lows.l (LIKE secret)", "permission denied for table secret"},
		{"CREATE TABLE lows.f (id int REFERENCES secret)", "permission denied for table secret"},
		// A view reads with its owner's rights, no more and no less.
		{"SELECT id FROM shown", ""},
		{"SELECT a FROM over", ""},
		{"CREATE VIEW lows.v AS SELECT * FROM secret", ""},
		{"SELECT * FROM lows.v", "permission denied for table secret"},
		{"CREATE VIEW lows.vv AS SELECT id FROM lows.v", ""},
		{"SELECT * FROM lows.vv", "permission denied for table secret"},
		{"SELECT v FROM lows.v WHERE id = 1", "permission denied for table secret"},
		{"CREATE VIEW lows.w AS SELECT shown.id FROM shown JOIN lows.own USING (id)", ""},
		{"SELECT * FROM lows.w", ""},
		{"ALTER VIEW lows.v OWNER TO postgres", "must be able to SET ROLE \"postgres\""},
		{"ALTER TABLE lows.own OWNER TO other", "must be able to SET ROLE \"other\""},
		{"ALTER TABLE lows.own OWNER TO low", ""},
		{"INSERT INTO mine VALUES (2, 'n') ON CONFLICT DO NOTHING", ""},
		{"INSERT INTO mine VALUES (1, 'n') ON CONFLICT (id) DO NOTHING", "permission denied for table mine"},
		{"CHECKPOINT", "permission denied to execute CHECKPOINT command"},
		{"VACUUM secret", ""}, // a warning
		{"VACUUM", ""},
	} {
		_, err := low.PgConn().Exec(ctx, x.sql).ReadAll()
		var e *pgconn.PgError
		if x.want == "" && err != nil || x.want != "" && (!errors.As(err, &e) || e.Message != x.want) {
			t.Errorf("%s: %v, want %q", x.sql, err, x.want)
		}
	}
	var n int
	if err := c.QueryRow(ctx, "SELECT count(*) FROM secret").Scan(&n); err != nil || n != 2 {
		t.Error(n, err)
	}
	// The rights of a view's owner count when it is read, not when the plan was made.
	const asked = "SELECT count(*) FROM lows.v"
	if _, err := low.Prepare(ctx, "asked", asked); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"GRANT SELECT ON secret TO low", "REVOKE SELECT ON secret FROM low"} {
		if _, err := c.Exec(ctx, q); err != nil {
			t.Fatal(err)
		}
		var e *pgconn.PgError
		err := low.QueryRow(ctx, "asked").Scan(&n)
		if q[0] == 'G' && (err != nil || n != 2) || q[0] == 'R' && (!errors.As(err, &e) || e.Code != "42501") {
			t.Errorf("after %s: %d, %v", q, n, err)
		}
	}
	// PostgreSQL's superuser reads a view with the owner's rights too.
	var e *pgconn.PgError
	if err := c.QueryRow(ctx, asked).Scan(&n); !errors.As(err, &e) || e.Code != "42501" {
		t.Error(n, err)
	}
}
