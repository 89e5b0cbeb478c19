package build_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/optest"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/plan"
)

// TestSQL runs the queries of testdata/sql, which read no tables, in all variants.
// When MILLRACE_PG is the connection string of a PostgreSQL, its answers are
// compared too, except those of "query ours". The answer of "query" is sorted, that of "ordered" is not.
func TestSQL(t *testing.T) {
	var pg *pgconn.PgConn
	if dsn := os.Getenv("MILLRACE_PG"); dsn != "" {
		var err error
		if pg, err = pgconn.Connect(context.Background(), dsn); err != nil {
			t.Fatal(err)
		}
		defer pg.Close(context.Background())
		if _, err := pg.Exec(context.Background(), "set lc_messages = 'C'; set timezone = 'UTC'; set datestyle = iso; set intervalstyle = postgres; set statement_timeout = 60000").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	datadriven.Walk(t, "testdata/sql", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			ordered := d.Cmd == "ordered"
			var first string
			for i, v := range optest.Variants {
				got := runSQL(t, d.Input, v, ordered)
				if i == 0 {
					first = got
				} else if got != first {
					t.Errorf("%s: %+v:\ngot\n%s\nwant\n%s", d.Pos, v, got, first)
				}
			}
			if pg != nil && !d.HasArg("ours") {
				if want := runPG(pg, d.Input, ordered); want != first {
					t.Errorf("%s: PostgreSQL says\n%s\nnot\n%s", d.Pos, want, first)
				}
			}
			return first
		})
	})
}

func planSQL(sql string) (plan.Node, error) {
	stmts, err := parser.Parse(sql)
	if err != nil {
		return nil, err
	}
	fold := func(e expr.Expr) (expr.Expr, error) { return eval.Fold(e, &eval.Env{}) }
	s, err := bind.Bind(stmts[0], &bind.Env{Catalog: catalog.NewVersion().Apply(catalog.Bootstrap(1)), SearchPath: []string{"public"},
		Database: "postgres", User: "postgres", Text: sql, Types: types.DefaultEnv, Fold: fold})
	if err != nil {
		return nil, err
	}
	err = planner.Optimize(s, &planner.Env{Fold: func(e expr.Expr) expr.Expr {
		if x, err := fold(e); err == nil && x != nil {
			return x
		}
		return e
	}})
	return s.Root, err
}

func runSQL(t *testing.T, sql string, v optest.Variant, ordered bool) string {
	root, err := planSQL(sql)
	if err != nil {
		return errText(err)
	}
	rows, err := optest.New().Run(t, root, v)
	if err != nil {
		return errText(err)
	}
	return answer(rows, ordered)
}

func answer(rows []string, ordered bool) string {
	if !ordered {
		sort.Strings(rows)
	}
	return strings.Join(rows, "\n")
}

func errText(err error) string {
	e := sqlstate.From(err)
	return "ERROR " + string(e.Code) + ": " + e.Message
}

func runPG(pg *pgconn.PgConn, sql string, ordered bool) string {
	rs, err := pg.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		var e *pgconn.PgError
		if errors.As(err, &e) {
			return "ERROR " + e.Code + ": " + e.Message
		}
		return err.Error()
	}
	var rows []string
	for _, r := range rs[0].Rows {
		for i := range r {
			if r[i] == nil {
				r[i] = []byte("null")
			}
		}
		rows = append(rows, string(bytes.Join(r, []byte("|"))))
	}
	return answer(rows, ordered)
}
