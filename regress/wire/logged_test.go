package wire

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// TestUnlogged: who asks for an unlogged table gets a logged one, and is told so.
func TestUnlogged(t *testing.T) {
	cfg, err := pgx.ParseConfig(node.ForTest(t).DSN)
	if err != nil {
		t.Fatal(err)
	}
	var said string
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { said += n.Severity + " " + n.Code + " " + n.Message + "\n" }
	ctx := context.Background()
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	told := func(name string) string {
		return "NOTICE 00000 table \"" + name + "\" is logged: there are no unlogged tables\n"
	}
	for _, x := range []struct{ sql, said, code string }{
		{"CREATE UNLOGGED TABLE u (a int PRIMARY KEY)", told("u"), ""},
		{"CREATE UNLOGGED TABLE IF NOT EXISTS u (a int)", "NOTICE 42P07 relation \"u\" already exists, skipping\n", ""},
		{"CREATE UNLOGGED TABLE v AS SELECT 1 AS a", told("v"), ""},
		{"SELECT 1 AS a INTO UNLOGGED w", told("w"), ""},
		{"CREATE UNLOGGED TABLE pg_temp.x (a int)", "", "42P16"},
		{"CREATE UNLOGGED VIEW x AS SELECT 1", "", "42601"},
		{"ALTER TABLE u SET UNLOGGED", told("u"), ""},
		{"ALTER TABLE u SET LOGGED", "", ""},
		{"ALTER TABLE u SET UNLOGGED, SET LOGGED", "", "0A000"},
		{"CREATE TEMP TABLE t (a int)", "", ""},
		{"ALTER TABLE t SET UNLOGGED", "", "42P16"},
		{"ALTER TABLE t SET LOGGED", "", "42P16"},
		{"CREATE VIEW s AS SELECT 1", "", ""},
		{"ALTER TABLE s SET UNLOGGED", "", "42809"},
		{"ALTER VIEW s SET LOGGED", "", "42809"},
		{"ALTER TABLE IF EXISTS nope SET LOGGED", "NOTICE 00000 relation \"nope\" does not exist, skipping\n", ""},
		{"ALTER TABLE u DROP CONSTRAINT IF EXISTS nope", "NOTICE 00000 constraint \"nope\" of relation \"u\" does not exist, skipping\n", ""},
		{"ALTER TABLE u ALTER a DROP IDENTITY IF EXISTS", "NOTICE 00000 column \"a\" of relation \"u\" is not an identity column, skipping\n", ""},
	} {
		said = ""
		_, err := c.PgConn().Exec(ctx, x.sql).ReadAll()
		var e *pgconn.PgError
		if x.code == "" && err != nil || x.code != "" && (!errors.As(err, &e) || e.Code != x.code) || said != x.said {
			t.Errorf("%s: %v, said %q, want %q, %q", x.sql, err, said, x.code, x.said)
		}
	}
	var n int
	if err := c.QueryRow(ctx, "SELECT count(*) FROM pg_class WHERE relname IN ('u', 'v', 'w') AND relpersistence = 'p'").Scan(&n); err != nil || n != 3 {
		t.Error(n, err)
	}
}
