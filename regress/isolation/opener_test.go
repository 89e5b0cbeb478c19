package isolation

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/regress/node"
)

// opener gives a function that connects to a server of the test's own, or to the one
// that -dsn names; the connections end with the test.
func opener(t *testing.T) func() *pgx.Conn {
	url := *dsn
	if url == "" {
		url = node.ForTest(t).DSN
	}
	ctx := context.Background()
	return func() *pgx.Conn {
		t.Helper()
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(ctx) })
		return c
	}
}
