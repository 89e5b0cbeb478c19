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
		if i == 200 {
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
