package isolation

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/regress/node"
)

// opener gives a function that connects to a server of the test's own, or to the one
// that -dsn names; the connections end with the test.
// begins starts a statement and comes back when that waits or has ended.
func opener(t *testing.T) (open func() *pgx.Conn, begins func(start func(), ended func() bool)) {
	url := *dsn
	var n *node.Node
	if url == "" {
		n = node.ForTest(t)
		url = n.DSN
	}
	ctx := context.Background()
	open = func() *pgx.Conn {
		t.Helper()
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(ctx) })
		return c
	}
	watch := open()
	// waits rises when a statement begins to wait.
	waits := func() (w float64) {
		t.Helper()
		if err := watch.QueryRow(ctx, "SELECT count(*)::float8 FROM pg_locks WHERE NOT granted").Scan(&w); err != nil {
			t.Fatal(err)
		}
		if n != nil {
			rows, err := n.Metric("millrace_lock_waits_total")
			if err != nil {
				t.Fatal(err)
			}
			w += rows
		}
		return w
	}
	begins = func(start func(), ended func() bool) {
		t.Helper()
		before := waits()
		start()
		for end := time.Now().Add(time.Minute); !ended() && waits() <= before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it neither waits nor ends")
			}
		}
	}
	return open, begins
}
