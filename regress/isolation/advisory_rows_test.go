package isolation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestAdvisoryRows: circles of waits over advisory locks and rows end with 40P01, whoever
// closes them, and pg_locks tells of locks and waits; with -dsn on a PostgreSQL.
func TestAdvisoryRows(t *testing.T) {
	ctx := context.Background()
	open, begins := opener(t)
	a, b, c := open(), open(), open()
	do := func(c *pgx.Conn, sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	later := func(c *pgx.Conn, sql string) chan error {
		done := make(chan error, 1)
		begins(func() {
			go func() {
				_, err := c.Exec(ctx, sql)
				done <- err
			}()
		}, func() bool { return len(done) > 0 })
		return done
	}
	do(c, "DROP TABLE IF EXISTS advrow")
	do(c, "CREATE TABLE advrow (k int PRIMARY KEY, n int)")
	do(c, "INSERT INTO advrow VALUES (1, 0), (2, 0)")
	const update = "UPDATE advrow SET n = n + 1 WHERE k = 1"
	const lock = "SELECT pg_advisory_xact_lock(5000000000)"
	for _, last := range []string{update, lock} {
		do(a, "BEGIN")
		do(a, update)
		do(b, "BEGIN")
		do(b, lock)
		first, x, y := lock, a, b
		if last == lock {
			first, x, y = update, b, a
		}
		one := later(x, first)
		locks(t, c, first == lock, a, b)
		two := later(y, last)
		// Which of the two gives way is not said.
		codes := map[string]int{}
		for _, done := range []chan error{one, two} {
			select {
			case err := <-done:
				var e *pgconn.PgError
				if errors.As(err, &e) {
					codes[e.Code]++
				} else if err != nil {
					t.Fatal(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("the circle stands")
			}
		}
		if len(codes) != 1 || codes["40P01"] != 1 {
			t.Fatalf("%v, want one 40P01", codes)
		}
		do(a, "ROLLBACK")
		do(b, "ROLLBACK")
	}
}

// locks checks what pg_locks says of the lock that b has; a waits for it or does not.
func locks(t *testing.T, c *pgx.Conn, waits bool, a, b *pgx.Conn) {
	t.Helper()
	rows, err := c.Query(context.Background(), `SELECT pid, classid, objid, objsubid, mode, granted, waitstart IS NOT NULL, d.datname = current_database()
		FROM pg_locks l JOIN pg_database d ON l.database = d.oid WHERE locktype = 'advisory' ORDER BY granted DESC`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var pid uint32
		var class, obj uint32
		var sub int16
		var mode string
		var granted, since, here bool
		if err := rows.Scan(&pid, &class, &obj, &sub, &mode, &granted, &since, &here); err != nil {
			t.Fatal(err)
		}
		who := map[uint32]string{a.PgConn().PID(): "a", b.PgConn().PID(): "b"}[pid]
		got = append(got, fmt.Sprintf("%s %d %d %d %s %t %t %t", who, class, obj, sub, mode, granted, since, here))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := "b 1 705032704 1 ExclusiveLock true false true"
	if waits {
		want += "\na 1 705032704 1 ExclusiveLock false true true"
	}
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("%q, want %q", s, want)
	}
}
