package wire

import (
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

var grantsDSN = flag.String("grants-dsn", "", "run TestColumnGrants on this PostgreSQL: a URL of user postgres")

// TestColumnGrants: who has privileges on columns reads and writes these and no others,
// on whatever way. The answers are PostgreSQL 15's.
func TestColumnGrants(t *testing.T) {
	if *grantsDSN != "" {
		columnGrants(t, *grantsDSN, "")
		return
	}
	dsn := node.ForTest(t).DSN
	for _, with := range []string{"", " WITH (orientation = 'row')"} {
		columnGrants(t, dsn, with)
	}
}

func columnGrants(t *testing.T, dsn, with string) {
	ctx := context.Background()
	connect := func(user string) *pgconn.PgConn {
		return node.Connect(t, strings.Replace(dsn, "postgres@", user+"@", 1)).PgConn()
	}
	boss := connect("postgres")
	answer := func(c *pgconn.PgConn, sql string) string {
		rs, err := c.Exec(ctx, sql).ReadAll()
		var e *pgconn.PgError
		if errors.As(err, &e) {
			return "!" + e.Code + " " + e.Message
		}
		if err != nil {
			t.Fatal(sql, err)
		}
		var rows []string
		for _, r := range rs {
			for _, row := range r.Rows {
				var vals []string
				for _, v := range row {
					if v == nil {
						v = []byte("null")
					}
					vals = append(vals, string(v))
				}
				rows = append(rows, strings.Join(vals, "|"))
			}
		}
		return strings.Join(rows, " ")
	}
	set := func(sqls ...string) {
		t.Helper()
		for _, q := range sqls {
			if got := answer(boss, q); strings.HasPrefix(got, "!") {
				t.Fatalf("%s: %s", q, got)
			}
		}
	}
	set("DROP TABLE IF EXISTS g, h CASCADE", "DROP ROLE IF EXISTS clow, cother, cgroup",
		"CREATE ROLE clow LOGIN", "CREATE ROLE cother", "CREATE ROLE cgroup",
		"CREATE TABLE g (a int PRIMARY KEY, b int, c int)"+with, "INSERT INTO g VALUES (1, 2, 3)",
		"CREATE TABLE h (a int PRIMARY KEY, c int)"+with, "INSERT INTO h VALUES (1, 3)", "GRANT SELECT ON h TO clow",
		"CREATE VIEW gv AS SELECT a, c FROM g", "GRANT SELECT (a) ON gv TO clow",
		"GRANT SELECT (a, b), UPDATE (b) ON g TO clow")
	low := connect("clow")
	const denied = "!42501 permission denied for table g"
	check := func(c *pgconn.PgConn, cases [][2]string) {
		t.Helper()
		for _, x := range cases {
			if got := answer(c, x[0]); got != x[1] {
				t.Errorf("%s: %q, want %q", x[0], got, x[1])
			}
		}
	}
	const acls = "SELECT attname, attacl FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 0 ORDER BY attnum"
	check(boss, [][2]string{
		{acls, "a|{clow=r/postgres} b|{clow=rw/postgres} c|null"},
		{"SELECT relacl FROM pg_class WHERE oid = 'g'::regclass", "null"},
	})
	check(low, [][2]string{
		{"SELECT a, b FROM g", "1|2"},
		{"SELECT * FROM g", denied},
		{"SELECT c FROM g WHERE a = 1", denied},
		{"SELECT a FROM g WHERE a = 1", "1"},
		{"SELECT a FROM g WHERE c = 3", denied},
		{"SELECT a FROM g ORDER BY c", denied},
		{"SELECT count(*) FROM g", "1"},
		{"SELECT count(c) FROM g", denied},
		{"SELECT 1 FROM g", "1"},
		{"SELECT g FROM g", denied},
		{"SELECT g.* FROM g", denied},
		{"SELECT (g).b FROM g", denied},
		{"SELECT (g).c FROM g", denied},
		{"SELECT row_to_json(g) FROM g", denied},
		{"SELECT a FROM g GROUP BY a HAVING max(c) > 0", denied},
		{"SELECT a, c FROM g GROUP BY a", denied},
		{"SELECT sum(a) OVER (ORDER BY c) FROM g", denied},
		{"SELECT x.b FROM g x (a, b, c)", "2"},
		{"SELECT x.b FROM g x (c, d, b)", denied},
		{"SELECT h.c FROM g JOIN h USING (a)", "3"},
		{"SELECT h.a FROM g JOIN h USING (c)", denied},
		{"SELECT h.a FROM g NATURAL JOIN h", denied},
		{"SELECT j.b FROM (g JOIN h USING (a)) j", "2"},
		{"SELECT c FROM h WHERE EXISTS (SELECT 1 FROM g WHERE g.a = h.a)", "3"},
		{"SELECT c FROM h WHERE EXISTS (SELECT 1 FROM g WHERE g.c = h.c)", denied},
		{"SELECT (SELECT max(c) FROM g)", denied},
		{"WITH w AS (SELECT a FROM g) SELECT * FROM w", "1"},
		{"WITH w AS (SELECT * FROM g) SELECT a FROM w", denied},
		{"TABLE g", denied},
		{"SELECT a FROM h UNION ALL SELECT c FROM g", denied},
		{"EXPLAIN SELECT c FROM g", denied},
		{"CREATE TEMP TABLE tt AS SELECT * FROM g", denied},
		{"COPY g TO stdout", denied},
		{"COPY (SELECT c FROM g) TO stdout", denied},
		// A view is a relation of its own, and reads with its owner's rights.
		{"SELECT a FROM gv", "1"},
		{"SELECT c FROM gv", "!42501 permission denied for view gv"},
		{"SELECT * FROM gv", "!42501 permission denied for view gv"},
		{"SELECT count(*) FROM gv", "1"},
		{"UPDATE g SET b = 5", ""},
		{"UPDATE g SET b = 5 WHERE a = 1", ""},
		{"UPDATE g SET b = b + 1", ""},
		{"UPDATE g SET b = c", denied},
		{"UPDATE g SET c = 5", denied},
		{"UPDATE g SET c = 5 WHERE a = 1", denied},
		{"UPDATE g SET (b, c) = (1, 2)", denied},
		{"UPDATE g SET b = 6 WHERE c = 3", denied},
		{"UPDATE g SET b = 6 RETURNING a", "1"},
		{"UPDATE g SET b = 6 RETURNING c", denied},
		{"UPDATE g SET b = 6 RETURNING *", denied},
		{"UPDATE g SET b = h.c FROM h WHERE h.a = g.a", ""},
		{"UPDATE g SET b = h.c FROM h WHERE h.c = g.c", denied},
		{"INSERT INTO g (a) VALUES (2)", denied},
		{"INSERT INTO g DEFAULT VALUES", denied},
		{"DELETE FROM g", denied},
		{"DELETE FROM g WHERE a = 1", denied},
		{"MERGE INTO g USING h ON g.a = h.a WHEN MATCHED THEN DELETE", denied},
		{"SELECT a FROM g FOR UPDATE", "1"},
		{"SELECT c FROM g FOR UPDATE", denied},
		{"SELECT a FROM g WHERE a = 1 FOR SHARE", "1"},
		{"SELECT g.a FROM g JOIN h ON g.a = h.a FOR UPDATE OF g", "1"},
		{"TRUNCATE g", denied},
		{"SELECT has_table_privilege('g', 'select'), has_column_privilege('g', 'a', 'select'), has_column_privilege('g', 'c', 'select'), has_any_column_privilege('g', 'select')", "f|t|f|t"},
		{"SELECT has_column_privilege('g', 'b', 'update'), has_column_privilege('g', 3::smallint, 'update'), has_column_privilege('clow', 'g', 'c', 'update, select')", "t|f|f"},
		{"SELECT has_column_privilege('g', 'zz', 'select')", "!42703 column \"zz\" of relation \"g\" does not exist"},
		{"SELECT has_column_privilege('g', 'a', 'delete')", "!22023 unrecognized privilege type: \"delete\""},
	})
	var out strings.Builder
	if _, err := low.CopyTo(ctx, &out, "COPY g (a, b) TO STDOUT"); err != nil || out.String() != "1\t3\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	copyIn := func(sql, rows, want string) {
		t.Helper()
		_, err := low.CopyFrom(ctx, io.Reader(strings.NewReader(rows)), sql)
		var e *pgconn.PgError
		if want == "" && err != nil || want != "" && (!errors.As(err, &e) || e.Code != want) {
			t.Errorf("%s: %v, want %q", sql, err, want)
		}
	}
	copyIn("COPY g (a) FROM STDIN", "9\n", "42501")

	set("GRANT INSERT (a, b) ON g TO clow")
	check(low, [][2]string{
		{"INSERT INTO g (a, b) VALUES (2, 3)", ""},
		{"INSERT INTO g (a, b) VALUES (3, 3) RETURNING a", "3"},
		{"INSERT INTO g (a, b) VALUES (4, 3) RETURNING c", denied},
		{"INSERT INTO g (a, b, c) VALUES (4, 3, 4)", denied},
		{"INSERT INTO g VALUES (4, 3, 4)", denied},
		{"INSERT INTO g VALUES (4, 3)", ""},
		{"INSERT INTO g (a, b) SELECT 5, c FROM h", ""},
		{"INSERT INTO g (a, b) SELECT 6, c FROM g", denied},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT DO NOTHING", ""},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT (a) DO NOTHING", ""},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT (a) DO UPDATE SET b = 9", ""},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT (a) DO UPDATE SET b = excluded.b", ""},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT (a) DO UPDATE SET b = excluded.c", denied},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT (a) DO UPDATE SET b = g.c", denied},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT (a) DO UPDATE SET c = 1", denied},
		{"INSERT INTO g (a, b) VALUES (3, 3) ON CONFLICT (a) DO UPDATE SET b = 1 WHERE g.c = 1", denied},
	})
	copyIn("COPY g (a, b) FROM STDIN", "7\t7\n", "")
	copyIn("COPY g (a, c) FROM STDIN", "8\t8\n", "42501")

	// A plan that is there sees what is taken, and given by way of a group.
	check(low, [][2]string{{"PREPARE p AS SELECT b FROM g WHERE a = 3", ""}, {"EXECUTE p", "3"}})
	set("REVOKE SELECT (b) ON g FROM clow")
	check(low, [][2]string{{"EXECUTE p", denied}, {"SELECT b FROM g", denied}})
	set("GRANT SELECT (b) ON g TO cgroup", "GRANT cgroup TO clow")
	check(low, [][2]string{{"EXECUTE p", "3"}})
	set("REVOKE cgroup FROM clow")
	check(low, [][2]string{{"EXECUTE p", denied}})
	set("GRANT SELECT (b) ON g TO PUBLIC")
	check(low, [][2]string{{"EXECUTE p", "3"}})
	set("REVOKE SELECT (b) ON g FROM PUBLIC, cgroup")

	// What belongs to the table takes the columns' with it; not the other way.
	set("GRANT SELECT ON g TO cother", "REVOKE SELECT (a) ON g FROM cother")
	check(boss, [][2]string{
		{"SELECT has_column_privilege('cother', 'g', 'a', 'select')", "t"},
		{acls, "a|{clow=ar/postgres} b|{clow=aw/postgres} c|null"},
		{"GRANT UPDATE (a) ON g TO cother", ""},
		{acls, "a|{clow=ar/postgres,cother=w/postgres} b|{clow=aw/postgres} c|null"},
		{"REVOKE UPDATE ON g FROM cother", ""},
		{acls, "a|{clow=ar/postgres} b|{clow=aw/postgres} c|null"},
		{"GRANT ALL (a) ON g TO PUBLIC", ""},
		{"GRANT ALL PRIVILEGES (c) ON g TO cother WITH GRANT OPTION", ""},
		{acls, "a|{clow=ar/postgres,=arwx/postgres} b|{clow=aw/postgres} c|{cother=a*r*w*x*/postgres}"},
		{"REVOKE GRANT OPTION FOR SELECT (c) ON g FROM cother", ""},
		{"REVOKE ALL ON g FROM clow, PUBLIC", ""},
		{acls, "a|null b|null c|{cother=a*rw*x*/postgres}"},
		{"SELECT column_name, privilege_type, is_grantable FROM information_schema.column_privileges WHERE table_name = 'g' AND grantee = 'cother' ORDER BY 1, 2",
			"a|SELECT|NO b|SELECT|NO c|INSERT|YES c|REFERENCES|YES c|SELECT|NO c|UPDATE|YES"},
		{"GRANT SELECT (nope) ON g TO clow", "!42703 column \"nope\" of relation \"g\" does not exist"},
		{"GRANT DELETE (a) ON g TO clow", "!0LP01 invalid privilege type DELETE for column"},
		{"GRANT USAGE (a) ON g TO clow", "!0LP01 invalid privilege type USAGE for column"},
		{"GRANT SELECT (a) ON SCHEMA public TO clow", "!0LP01 column privileges are only valid for relations"},
		{"GRANT SELECT (a), DELETE ON g TO clow", ""},
		{acls, "a|{clow=r/postgres} b|null c|{cother=a*rw*x*/postgres}"},
		{"ALTER TABLE g RENAME COLUMN a TO aa", ""},
		{acls, "aa|{clow=r/postgres} b|null c|{cother=a*rw*x*/postgres}"},
		{"CREATE OR REPLACE VIEW gv AS SELECT aa AS a, c, b FROM g", ""},
		{"SELECT has_column_privilege('clow', 'gv', 'a', 'select'), has_column_privilege('clow', 'gv', 'b', 'select')", "t|f"},
		{"DROP ROLE cother", "!2BP01 role \"cother\" cannot be dropped because some objects depend on it"},
	})
	check(low, [][2]string{
		{"SELECT aa FROM g WHERE aa = 1", "1"},
		{"SELECT b FROM g WHERE aa = 1", denied},
		{"DELETE FROM g WHERE aa = 7", ""},
		{"DELETE FROM g WHERE b = 7", denied},
		{"DELETE FROM g WHERE aa = 7 RETURNING b", denied},
	})
	_ = low.Close(ctx)
	set("DROP VIEW gv", "DROP TABLE g, h", "DROP ROLE clow, cother, cgroup")
}
