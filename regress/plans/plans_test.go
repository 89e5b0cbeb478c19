// Package plans holds golden EXPLAINs, one file a topic: what the optimizer makes of
// a query over the tables of the bench kit, small and filled, so that estimates
// are there. -rewrite accepts new plans; read the diff.
package plans

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

func TestPlans(t *testing.T) {
	n := node.ForTest(t)
	ctx := context.Background()
	c, err := pgconn.Connect(ctx, n.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	exec := func(sql string) (string, error) {
		res, err := c.Exec(ctx, sql).ReadAll()
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for _, r := range res {
			for _, row := range r.Rows {
				for i, v := range row {
					if i > 0 {
						b.WriteByte('\t')
					}
					b.Write(v)
				}
				b.WriteByte('\n')
			}
		}
		return b.String(), nil
	}
	schema, err := os.ReadFile("../bench/schema/tpch.holo.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec(string(schema)); err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "exec":
				if _, err := exec(d.Input); err != nil {
					return err.Error() + "\n"
				}
				return "ok\n"
			case "tpch":
				var id string
				d.ScanArgs(t, "q", &id)
				q, err := os.ReadFile(filepath.Join("../bench/queries/tpch", id+".sql"))
				if err != nil {
					t.Fatal(err)
				}
				d.Input = string(q)
			case "explain":
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			out, err := exec("EXPLAIN (COSTS OFF) " + d.Input)
			if err != nil {
				return err.Error() + "\n"
			}
			return out
		})
	})
}
