package diff

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

var (
	seed    = flag.Uint64("seed", 1, "first seed")
	seeds   = flag.Int("seeds", 3, "how many seeds, a schema each")
	perSeed = flag.Int("queries", 120, "queries of each seed")
	pgDSN   = flag.String("dsn", os.Getenv("MILLRACE_PG_DSN"), "a PostgreSQL to compare with")
	show    = flag.Int("show", 10, "differences to print")
)

type answer struct {
	rows []string
	code string
	msg  string
}

func ask(ctx context.Context, c *pgconn.PgConn, q string, extended bool) (answer, error) {
	var rows [][][]byte
	var err error
	if extended {
		r := c.ExecParams(ctx, q, nil, nil, nil, nil).Read()
		rows, err = r.Rows, r.Err
	} else {
		var res []*pgconn.Result
		if res, err = c.Exec(ctx, q).ReadAll(); len(res) > 0 {
			rows = res[len(res)-1].Rows
		}
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return answer{code: pe.Code, msg: pe.Message}, nil
	}
	if err != nil {
		return answer{}, err
	}
	a := answer{rows: make([]string, len(rows))}
	for i, r := range rows {
		v := make([]string, len(r))
		for k, x := range r {
			v[k] = "\\N"
			if x != nil {
				v[k] = string(x)
			}
		}
		a.rows[i] = strings.Join(v, "\t")
	}
	sort.Strings(a.rows)
	return a, nil
}

// differ says how two answers differ, "" when they agree. Where only one side
// raised a data exception (class 22) nothing is said: which rows an expression is
// evaluated on is the plan's choice, in PostgreSQL too.
func differ(a, b answer) string {
	if a.code != b.code {
		if strings.HasPrefix(a.code+b.code, "22") && (a.code == "" || b.code == "" || strings.HasPrefix(a.code, "22") && strings.HasPrefix(b.code, "22")) {
			return ""
		}
		return fmt.Sprintf("error %q (%s) against %q (%s)", a.code, a.msg, b.code, b.msg)
	}
	if len(a.rows) != len(b.rows) {
		return fmt.Sprintf("%d rows against %d", len(a.rows), len(b.rows))
	}
	for i := range a.rows {
		if a.rows[i] != b.rows[i] && !close(a.rows[i], b.rows[i]) {
			return fmt.Sprintf("row %q against %q", a.rows[i], b.rows[i])
		}
	}
	return ""
}

// close: equal but for the last digits of floats, whose sums depend on the order.
func close(a, b string) bool {
	x, y := strings.Split(a, "\t"), strings.Split(b, "\t")
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] == y[i] {
			continue
		}
		var f, g float64
		if n, _ := fmt.Sscan(x[i], &f); n != 1 {
			return false
		}
		if n, _ := fmt.Sscan(y[i], &g); n != 1 {
			return false
		}
		d := f - g
		if d < 0 {
			d = -d
		}
		m := max(f, -f, 1e-300)
		if !strings.ContainsAny(x[i], ".e") || d/m > 1e-9 {
			return false
		}
	}
	return true
}

func connect(t *testing.T, dsn string, schema string, ddl []string) *pgconn.PgConn {
	ctx := context.Background()
	c, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(ctx) })
	setup := append([]string{"SET client_min_messages = error", "DROP SCHEMA IF EXISTS " + schema + " CASCADE", "CREATE SCHEMA " + schema,
		"SET search_path = " + schema, "SET timezone = 'UTC'"}, ddl...)
	for _, q := range setup {
		if _, err := c.Exec(ctx, q).ReadAll(); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	return c
}

// TestPostgres compares with a PostgreSQL, by text over the simple and the extended
// protocol in turns.
func TestPostgres(t *testing.T) {
	if *pgDSN == "" {
		t.Skip("no PostgreSQL to compare with: give -dsn or MILLRACE_PG_DSN")
	}
	ours := node.ForTest(t)
	run(t, func(schema string, ddl []string) (a, b *pgconn.PgConn) {
		return connect(t, ours.DSN, schema, ddl), connect(t, *pgDSN, schema, ddl)
	}, func(*rand.Rand) string { return "" })
}

// TestSettings compares answers under settings that must not change them.
func TestSettings(t *testing.T) {
	ours := node.ForTest(t)
	variants := []string{
		"SET millrace.batch_size = 3", "SET millrace.force_spill = on", "SET millrace.workers = 1", "SET millrace.workers = 8",
		"SET millrace.passes_off = 'push_filter,push_filter_again,push_filter_to_scan'", "SET millrace.passes_off = 'order_joins,runtime_filters'",
		"SET millrace.passes_off = 'simplify_outer_joins,factor_or,fold_constants,prune_columns,top_n'",
	}
	run(t, func(schema string, ddl []string) (a, b *pgconn.PgConn) {
		a = connect(t, ours.DSN, schema, ddl)
		b = connect(t, ours.DSN, schema+"_v", nil)
		if _, err := b.Exec(context.Background(), "SET search_path = "+schema).ReadAll(); err != nil {
			t.Fatal(err)
		}
		return a, b
	}, func(r *rand.Rand) string {
		return "RESET ALL; SET timezone = 'UTC'; SET search_path = %s; " + variants[r.IntN(len(variants))]
	})
}

func run(t *testing.T, pair func(string, []string) (a, b *pgconn.PgConn), setup func(*rand.Rand) string) {
	ctx := context.Background()
	bad, total := 0, 0
	for i := 0; i < *seeds; i++ {
		sd := *seed + uint64(i)
		g := NewGen(sd)
		schema := fmt.Sprintf("diff%d", sd)
		a, b := pair(schema, g.Schema())
		r := rand.New(rand.NewPCG(sd, 2))
		for k := 0; k < *perSeed; k++ {
			q := g.Query()
			variant := setup(r)
			if s := variant; s != "" {
				if _, err := b.Exec(ctx, fmt.Sprintf(s, schema)).ReadAll(); err != nil {
					t.Fatal(err)
				}
			}
			x, err := ask(ctx, a, q, k%2 == 1)
			if err != nil {
				t.Fatalf("seed %d query %d: connection: %v\n%s", sd, k, err, q)
			}
			y, err := ask(ctx, b, q, false)
			if err != nil {
				t.Fatalf("seed %d query %d: other connection: %v\n%s", sd, k, err, q)
			}
			total++
			if d := differ(x, y); d != "" {
				if bad++; bad <= *show {
					t.Errorf("seed %d query %d: %s %s\n%s", sd, k, d, variant, q)
				}
			}
		}
		for _, c := range []*pgconn.PgConn{a} {
			_, _ = c.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE").ReadAll()
		}
	}
	t.Logf("%d queries, %d differ", total, bad)
}
