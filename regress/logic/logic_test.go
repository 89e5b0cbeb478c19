// Package logic runs testdata/*.slt, one file a topic of SQL. The answers come from
// a real PostgreSQL:
//
//	go test ./regress/logic -rewrite -dsn postgres://postgres@127.0.0.1:5432/postgres
//
// runs the scripts there and takes its answers and SQLSTATEs over. Without flags
// the scripts run on a server inside the test, by every variant of settings.
package logic

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
	"github.com/millrace/millrace/regress/slt"
)

var (
	rewrite = flag.Bool("rewrite", false, "take the answers over from the server at -dsn")
	dsn     = flag.String("dsn", "", "run on this server instead of one of our own")
	only    = flag.String("only", "", "run the file with this name only")
)

// variants are session settings under which every script gives the same answers.
var variants = map[string]string{
	"default":   "",
	"no_passes": "SET millrace.passes_off = 'fold_constants,factor_or,simplify_outer_joins,push_filter,order_joins,push_filter_again,push_filter_to_scan,prune_columns,top_n,runtime_filters,key_lookup,row_ranges,key_order'",
	"batch_3":   "SET millrace.batch_size = 3",
	"spill":     "SET millrace.force_spill = on",
	"row":       "",
	"hybrid":    "",
}

// orientations are the variants whose tables with a primary key are stored by row.
var orientations = map[string]string{"row": "row", "hybrid": "row,column"}

// oriented gives a CREATE TABLE with a primary key an orientation.
func oriented(sql, orientation string) string {
	up := strings.ToUpper(sql)
	if !strings.HasPrefix(up, "CREATE TABLE") || !strings.Contains(up, "PRIMARY KEY") {
		return sql
	}
	if i := strings.Index(up, " WITH ("); i >= 0 {
		return sql[:i+7] + "orientation = '" + orientation + "', " + sql[i+7:]
	}
	return sql + " WITH (orientation = '" + orientation + "')"
}

func TestLogic(t *testing.T) {
	files, err := filepath.Glob("testdata/*.slt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	if *dsn != "" {
		for _, f := range files {
			t.Run(filepath.Base(f), func(t *testing.T) { run(t, f, *dsn, "", "", "postgresql") })
		}
		return
	}
	for name, setup := range variants {
		t.Run(name, func(t *testing.T) {
			n := node.ForTest(t)
			for _, f := range files {
				if name == "no_passes" && filepath.Base(f) == "many.slt" {
					continue // a list of 70 tables would be their product
				}
				t.Run(filepath.Base(f), func(t *testing.T) { run(t, f, n.DSN, setup, orientations[name], "millrace") })
			}
		})
	}
}

func run(t *testing.T, file, dsn, setup, orientation, engine string) {
	if *only != "" && !strings.HasPrefix(filepath.Base(file), *only) {
		t.Skip("not asked for")
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := slt.Parse(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Records {
		switch {
		case orientation != "":
			r.SQL = oriented(r.SQL, orientation)
		case engine == "millrace" && strings.Contains(r.SQL, "UNIQUE"):
			r.SQL = oriented(r.SQL, "row") // column tables take none
		}
	}
	ctx := context.Background()
	c, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	schema := strings.TrimSuffix(filepath.Base(file), ".slt")
	for _, q := range []string{setup, "DROP SCHEMA IF EXISTS t_" + schema + " CASCADE", "CREATE SCHEMA t_" + schema, "SET search_path = t_" + schema, "SET timezone = 'UTC'"} {
		if q == "" {
			continue
		}
		if _, err := c.Exec(ctx, q).ReadAll(); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	failed := 0
	n := s.Run(ctx, c, engine, *rewrite, func(f *slt.Failure) {
		if failed++; failed <= 20 {
			t.Errorf("%s: %v", file, f)
		}
	})
	if failed > 20 {
		t.Errorf("%d records failed", failed)
	}
	if n == 0 {
		t.Error("no record ran")
	}
	if *rewrite {
		w, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := s.Write(w); err != nil {
			t.Fatal(err)
		}
	}
}
