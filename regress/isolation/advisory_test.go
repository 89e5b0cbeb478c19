package isolation

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestAdvisory has sessions lock what no table knows, and wait for each other; with
// -dsn on a PostgreSQL.
func TestAdvisory(t *testing.T) {
	ctx := context.Background()
	open, begins := opener(t)
	code := func(err error) string {
		var e *pgconn.PgError
		if errors.As(err, &e) {
			return e.Code
		}
		if err != nil {
			t.Error(err)
		}
		return ""
	}
	do := func(c *pgx.Conn, want, sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql); code(err) != want {
			t.Fatalf("%s: %v, want %q", sql, err, want)
		}
	}
	is := func(c *pgx.Conn, sql string, want bool) {
		t.Helper()
		var got bool
		if err := c.QueryRow(ctx, "SELECT "+sql).Scan(&got); err != nil || got != want {
			t.Fatalf("%s: %v, %v", sql, got, err)
		}
	}
	later := func(c *pgx.Conn, sql string) chan string {
		done := make(chan string, 1)
		begins(func() {
			go func() {
				_, err := c.Exec(ctx, sql)
				done <- code(err)
			}()
		}, func() bool { return len(done) > 0 })
		return done
	}
	wait := func(done chan string, want string) {
		t.Helper()
		select {
		case got := <-done:
			if got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("still waiting")
		}
	}
	a, b := open(), open()

	// Locks of a session count, and outlive its transactions.
	do(a, "", "SELECT pg_advisory_lock(1)")
	do(a, "", "BEGIN")
	is(a, "pg_try_advisory_lock(1)", true)
	do(a, "", "ROLLBACK")
	is(b, "pg_try_advisory_lock(1)", false)
	is(b, "pg_try_advisory_lock_shared(1)", false)
	is(b, "pg_try_advisory_lock(0, 1)", true) // a space of its own
	is(b, "pg_advisory_unlock(0, 1)", true)
	is(b, "pg_advisory_unlock(1)", false)
	is(a, "pg_advisory_unlock_shared(1)", false)
	is(a, "pg_advisory_unlock(1)", true)
	is(b, "pg_try_advisory_lock(1)", false)
	done := later(b, "SELECT pg_advisory_lock(1)")
	is(a, "pg_advisory_unlock(1)", true)
	wait(done, "")
	is(a, "pg_try_advisory_lock(1)", false)
	do(b, "", "SELECT pg_advisory_unlock_all()")
	is(a, "pg_advisory_unlock(1)", false)

	// Those of a transaction end with it, or at the savepoint.
	do(a, "", "BEGIN")
	do(a, "", "SELECT pg_advisory_xact_lock(2)")
	do(a, "", "SAVEPOINT s")
	do(a, "", "SELECT pg_advisory_xact_lock_shared(3)")
	is(b, "pg_try_advisory_xact_lock(3)", false)
	is(b, "pg_try_advisory_xact_lock_shared(3)", true)
	do(a, "", "ROLLBACK TO s")
	is(b, "pg_try_advisory_xact_lock(3)", true)
	is(b, "pg_try_advisory_xact_lock(2)", false)
	is(a, "pg_advisory_unlock(2)", false)
	do(a, "", "SELECT pg_advisory_unlock_all()")
	is(b, "pg_try_advisory_xact_lock(2)", false)
	do(a, "22012", "SELECT 1/0")
	is(b, "pg_try_advisory_xact_lock(2)", false) // there is a savepoint to go back to
	do(a, "", "COMMIT")
	is(b, "pg_try_advisory_xact_lock(2)", true)
	do(a, "", "BEGIN")
	do(a, "", "SELECT pg_advisory_xact_lock(2)")
	do(a, "22012", "SELECT 1/0")
	is(b, "pg_try_advisory_xact_lock(2)", true)
	do(a, "", "ROLLBACK")

	// Shared ones go together; who came first goes first.
	do(a, "", "SELECT pg_advisory_lock_shared(4)")
	c := open()
	done = later(b, "SELECT pg_advisory_lock(4)")
	is(c, "pg_try_advisory_lock_shared(4)", false)
	is(a, "pg_advisory_unlock_shared(4)", true)
	wait(done, "")
	do(b, "", "SELECT pg_advisory_unlock_all()")

	// Waits end with lock_timeout, a cancel, and in a circle.
	do(a, "", "SELECT pg_advisory_lock(5)")
	do(b, "", "SET lock_timeout = '20ms'")
	do(b, "55P03", "SELECT pg_advisory_lock(5)")
	do(b, "", "SET lock_timeout = 0")
	do(b, "", "SET statement_timeout = '20ms'")
	do(b, "57014", "SELECT pg_advisory_lock(5)")
	do(b, "", "SET statement_timeout = 0")
	do(b, "", "SELECT pg_advisory_lock(6)")
	done = later(b, "SELECT pg_advisory_lock(5)")
	other := later(a, "SELECT pg_advisory_lock(6)")
	select { // which of the two gives way is not said
	case got := <-done:
		if got != "40P01" {
			t.Fatal(got)
		}
		do(b, "", "SELECT pg_advisory_unlock_all()")
		wait(other, "")
	case got := <-other:
		if got != "40P01" {
			t.Fatal(got)
		}
		do(a, "", "SELECT pg_advisory_unlock_all()")
		wait(done, "")
	}

	// A session that has gone holds nothing.
	_ = a.Close(ctx)
	_ = b.Close(ctx)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var all bool
		if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock(5) AND pg_try_advisory_lock(6)").Scan(&all); err != nil {
			t.Fatal(err)
		}
		if all {
			break
		}
		if time.Now().After(end) {
			t.Fatal("locks of sessions that have gone")
		}
	}

	// Many that wait leave the workers to those that go on.
	do(c, "", "DROP TABLE IF EXISTS adv")
	do(c, "", "CREATE TABLE adv (g int)")
	do(c, "", "INSERT INTO adv SELECT generate_series(1, 400000)")
	do(c, "", "SELECT pg_advisory_lock(7)")
	var waits []chan string
	for range 6 {
		x := open()
		go func(done chan string) {
			_, err := x.Exec(ctx, "SELECT count(pg_advisory_lock_shared(7)) FROM adv WHERE g % 100000 = 7")
			done <- code(err)
		}(func() chan string { d := make(chan string, 1); waits = append(waits, d); return d }())
	}
	time.Sleep(100 * time.Millisecond)
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var n int
	if err := c.QueryRow(bounded, "SELECT count(DISTINCT g % 1000) FROM adv").Scan(&n); err != nil || n != 1000 {
		t.Fatal(n, err)
	}
	is(c, "pg_advisory_unlock(7)", true)
	for _, d := range waits {
		wait(d, "")
	}
}
