package diff

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// TestPlanCache: plans that other statements made give the answers that plans of one's
// own do. Each query comes with several sets of literals, in turns over both
// protocols, so that plans are found by exact and by normalized text, and tables
// change in between.
func TestPlanCache(t *testing.T) {
	ours := node.ForTest(t)
	ctx := context.Background()
	total, hits := 0, 0
	for i := 0; i < *seeds; i++ {
		sd := *seed + 1000 + uint64(i)
		g := NewGen(sd)
		schema := fmt.Sprintf("cached%d", sd)
		ddl := g.Schema()
		with := connect(t, ours.DSN, schema, append(ddl, points...))
		same := []string{"SET search_path = " + schema, "SET millrace.plan_cache = off"}
		for _, q := range ddl {
			if strings.HasPrefix(q, "SET ") {
				same = append(same, q)
			}
		}
		without := connect(t, ours.DSN, schema+"_v", same)
		r := rand.New(rand.NewPCG(sd, 3))
		var asked []Query
		for k := 0; k < *perSeed; k++ {
			q := g.Query()
			if k%2 == 0 || q.Table != "" {
				q = Query{SQL: pointQueries[r.IntN(len(pointQueries))], Strict: true}
			}
			for n := range 3 {
				if n > 0 {
					q.SQL = otherLiterals(r, q.SQL)
				}
				if len(asked) > 0 && r.IntN(3) == 0 {
					q = asked[r.IntN(len(asked))] // by exact text, after changes
					hits++
				}
				asked = append(asked, q)
				switch r.IntN(40) {
				case 0:
					change(t, with, fmt.Sprintf("ALTER TABLE pt ADD COLUMN x%d int DEFAULT %d", k*3+n, k))
				case 1:
					change(t, with, "CREATE OR REPLACE VIEW pv AS SELECT k, a + "+fmt.Sprint(k)+" AS a, b, d FROM pt")
				case 2: // a setting that gives literals another meaning
					q := "SET datestyle = " + []string{"'ISO, MDY'", "'ISO, DMY'", "'German'"}[r.IntN(3)]
					change(t, with, q)
					change(t, without, q)
				case 3:
					change(t, with, fmt.Sprintf("UPDATE pt SET a = a + 1, b = 'b%d' WHERE k %% 7 = %d", k, k%7))
				}
				m := mode(r.IntN(3))
				x, err := ask(ctx, with, q.SQL, m)
				if err != nil {
					t.Fatalf("seed %d query %d: connection: %v\n%s", sd, k, err, q.SQL)
				}
				y, err := ask(ctx, without, q.SQL, m)
				if err != nil {
					t.Fatalf("seed %d query %d: connection: %v\n%s", sd, k, err, q.SQL)
				}
				total++
				if d := differ(q, x, y, m, intervalsOf(ctx, without)); d != "" || q.Strict && x.msg != y.msg {
					t.Errorf("seed %d query %d: with a shared plan %s (%s %s against %s %s)\n%s", sd, k, d, x.code, x.msg, y.code, y.msg, q.SQL)
				}
			}
		}
		change(t, with, "DROP SCHEMA "+schema+" CASCADE")
	}
	t.Logf("%d queries, %d of them again", total, hits)
}

func change(t *testing.T, c *pgconn.PgConn, q string) {
	t.Helper()
	if _, err := c.Exec(context.Background(), q).ReadAll(); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// points are tables for small queries.
var points = []string{
	"CREATE TABLE pt (k int PRIMARY KEY, a int8, b text, d date, n numeric(10,2), f float8)",
	"INSERT INTO pt SELECT g, g * 3, 'b' || g % 10, date '2020-01-01' + g % 50, g * 1.25, g / 3.0 FROM generate_series(1, 200) g",
	"CREATE TABLE pk2 (i int2, s text, v int, PRIMARY KEY (i, s))",
	"INSERT INTO pk2 SELECT g % 20, 'b' || g, g FROM generate_series(1, 200) g",
	"CREATE VIEW pv AS SELECT k, a, b, d FROM pt",
}

var pointQueries = []string{
	"SELECT k, a, b, d, n, f FROM pt WHERE k = 17",
	"SELECT * FROM pt WHERE k = 17 AND a > 5",
	"SELECT b, 5, 'x' FROM pt WHERE 17 = k",
	"SELECT a + 5 FROM pt WHERE k = 17 LIMIT 1",
	"SELECT a / (k - 17) FROM pt WHERE k = 18",
	"SELECT * FROM pt WHERE k = 17 AND b = 'b7'",
	"SELECT k FROM pt WHERE a = 51 OR b = 'b3'",
	"SELECT k, b FROM pt WHERE d = '2020-01-11' AND k < 100",
	"SELECT k FROM pt WHERE n = 21.25",
	"SELECT k FROM pt WHERE n > 21 AND f < 17",
	"SELECT v FROM pk2 WHERE i = 7 AND s = 'b27'",
	"SELECT v FROM pk2 WHERE s = 'b27' AND i = 7 AND v = 27",
	"SELECT v FROM pk2 WHERE i = 70000 AND s = 'b27'",
	"SELECT count(*), sum(a) FROM pt WHERE k IN (3, 17, 4)",
	"SELECT k, b FROM pv WHERE k = 17",
	"SELECT a FROM pv WHERE k BETWEEN 5 AND 17 ORDER BY 1",
	"SELECT 1, 'a', 2.5, 17 + 3",
	"SELECT 17 / 5, 'b' || 'c', 3 = 17",
	"VALUES (1, 'x'), (17, 'y')",
	"SELECT b, count(*) FROM pt WHERE k > 17 GROUP BY 1",
	"SELECT x.k FROM pt x JOIN pk2 y ON x.k = y.v WHERE y.i = 7 AND x.b = 'b7'",
	"SELECT k FROM pt WHERE k = (SELECT max(v) FROM pk2 WHERE i = 7)",
	"SELECT k FROM pt WHERE b LIKE 'b1%' AND k < 17",
	"SELECT k::text || '5', d + 3 FROM pt WHERE k = 17",
	"UPDATE pt SET a = 17 WHERE k = 5 RETURNING k, a",
	"SELECT current_date > '2020-01-11', k FROM pt WHERE k = 17",
}

var literal = regexp.MustCompile(`'[^']*'|\b[0-9]+(\.[0-9]+)?\b`)

// otherLiterals puts other literals, mostly of the same kind, in the places of some.
func otherLiterals(r *rand.Rand, q string) string {
	return literal.ReplaceAllStringFunc(q, func(l string) string {
		if r.IntN(2) == 0 {
			return l
		}
		switch {
		case strings.HasPrefix(l, "'20") && len(l) == 12:
			return []string{"'2020-02-03'", "'02-03-2020'", "'2020-13-01'", "'today'", "'infinity'"}[r.IntN(5)]
		case l[0] == '\'':
			return []string{"'b3'", "'b7'", "'b27'", "'b147'", "''", "'12'", "'b%'"}[r.IntN(7)]
		case strings.Contains(l, "."):
			return []string{"1.25", "21.250", "0.5", "7"}[r.IntN(4)]
		}
		return []string{"0", "1", "3", "7", "17", "27", "147", "200", "70000", "3000000000", "'5'", "2.5"}[r.IntN(12)]
	})
}
