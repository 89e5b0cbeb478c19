package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// TestNotify has notifications come to idle clients, to those at work when they are
// done, once a transaction, when it commits, and in order.
func TestNotify(t *testing.T) {
	dsn := node.ForTest(t).DSN
	ctx := context.Background()
	a, b, c := node.Connect(t, dsn), node.Connect(t, dsn), node.Connect(t, dsn)
	run := func(c *pgx.Conn, code, sql string) {
		t.Helper()
		_, err := c.Exec(ctx, sql)
		var e *pgconn.PgError
		if errors.As(err, &e) && e.Code == code || err == nil && code == "" {
			return
		}
		t.Fatalf("%s: %v, want %q", sql, err, code)
	}
	next := func(c *pgx.Conn, want string) {
		t.Helper()
		short, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		n, err := c.WaitForNotification(short)
		if err != nil {
			t.Fatalf("%v, want %s", err, want)
		}
		if got := n.Channel + ":" + n.Payload; got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	run(a, "", "LISTEN x")
	run(b, "", "LISTEN x")
	run(b, "", `LISTEN "Y y"`)
	run(c, "", "NOTIFY x")
	run(c, "", "NOTIFY x, 'p'")
	run(c, "", `SELECT pg_notify('Y y', 'q' || i) FROM generate_series(1, 3) i`)
	for _, l := range []*pgx.Conn{a, b} {
		next(l, "x:")
		next(l, "x:p")
	}
	for i := 1; i <= 3; i++ {
		next(b, fmt.Sprintf("Y y:q%d", i))
	}
	// While b waits.
	done := make(chan string)
	go func() {
		n, err := b.WaitForNotification(ctx)
		done <- fmt.Sprint(n.Payload, err, n.PID == c.PgConn().PID())
	}()
	time.Sleep(50 * time.Millisecond)
	run(c, "", "BEGIN; NOTIFY x, 'one'; NOTIFY x, 'one'; SAVEPOINT s; NOTIFY x, 'gone'; NOTIFY x, 'one'; ROLLBACK TO s; NOTIFY x, 'two'")
	select {
	case got := <-done:
		t.Fatal("before the commit", got)
	case <-time.After(100 * time.Millisecond):
	}
	run(c, "", "COMMIT")
	if got := <-done; got != "one<nil> true" {
		t.Fatal(got)
	}
	next(b, "x:two")
	// What is rolled back is not sent; a listener in a transaction waits for its end.
	run(b, "", "BEGIN")
	run(c, "", "BEGIN; NOTIFY x, 'never'; ROLLBACK")
	run(c, "22012", "BEGIN; NOTIFY x, 'never'; SELECT 1/0")
	run(c, "", "COMMIT")
	run(c, "", "NOTIFY x, 'later'")
	run(b, "", "SELECT 1")
	short, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
	if n, err := b.WaitForNotification(short); err == nil {
		t.Fatal("in a transaction", n)
	}
	cancel()
	b = node.Connect(t, dsn) // pgx closes a connection whose wait timed out
	next(a, "x:one")
	next(a, "x:two")
	next(a, "x:later")
	run(b, "", "BEGIN; LISTEN x; LISTEN z; ROLLBACK")
	run(b, "", "LISTEN x")
	run(b, "", "BEGIN")
	run(c, "", "NOTIFY x, 'after'")
	run(b, "", "COMMIT")
	next(b, "x:after")
	// Its own.
	run(a, "", "NOTIFY x, 'mine'")
	next(a, "x:after")
	next(a, "x:mine")
	next(b, "x:mine")
	var on string
	if err := b.QueryRow(ctx, "SELECT string_agg(c, ',') FROM pg_listening_channels() c").Scan(&on); err != nil || on != "x" {
		t.Fatal(on, err)
	}
	run(b, "", "UNLISTEN *")
	run(a, "", "DISCARD ALL")
	run(c, "", "NOTIFY x, 'nobody'")
	run(a, "", "LISTEN w")
	run(b, "", "LISTEN w")
	run(c, "", "NOTIFY w")
	next(a, "w:")
	next(b, "w:")
	run(c, "22023", "SELECT pg_notify('', 'x')")
	run(c, "22023", "SELECT pg_notify(NULL, 'x')")
	run(c, "22023", "SELECT pg_notify(repeat('x', 64), 'x')")
	run(c, "22023", "SELECT pg_notify('x', repeat('x', 8000))")
	// A transaction sends so much, whether anybody listens or not.
	run(c, "54000", "SELECT pg_notify('nobody', i || repeat('x', 7900)) FROM generate_series(1, 2000) i")
	// A listener that takes nothing fills its queue, and no more.
	run(b, "", "BEGIN")
	long := strings.Repeat("z", 7900)
	full := false
	for i := 0; i < 3000 && !full; i++ {
		_, err := c.Exec(ctx, "SELECT pg_notify('w', i || $1) FROM generate_series($2::int, $2::int + 9) i", long, i*10)
		var e *pgconn.PgError
		if full = errors.As(err, &e) && e.Code == "54000"; err != nil && !full {
			t.Fatal(err)
		}
	}
	if !full {
		t.Error("the queue is never full")
	}
}
