package logic

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
	"github.com/millrace/millrace/regress/slt"
)

// TestSQLite runs SQLite's own corpus (select1.test … select5.test of
// sqllogictest), which is not kept here: MILLRACE_SQLLOGICTEST names its folder.
func TestSQLite(t *testing.T) {
	dir := os.Getenv("MILLRACE_SQLLOGICTEST")
	if dir == "" {
		t.Skip("MILLRACE_SQLLOGICTEST is not set")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.test"))
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := slt.Parse(f)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			n := node.ForTest(t)
			ctx := context.Background()
			c, err := pgconn.Connect(ctx, n.DSN)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(ctx)
			failed := 0
			ran := s.Run(ctx, c, "postgresql", false, func(f *slt.Failure) {
				if failed++; failed <= 10 {
					t.Error(f)
				}
			})
			t.Logf("%d records, %d failed", ran, failed)
		})
	}
}
