// Package clients tests a server the way its users meet it: through drivers, and
// through kill -9. The clients of other languages beside this file are run by
// scripts/integration.
package clients

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/regress/node"
)

func TestMain(m *testing.M) { node.Main(m) }

var killRounds = flag.Int("kill.rounds", 4, "how often TestKill kills the server")

// TestKill kills the server in the middle of writes, again and again: transactions
// that were acknowledged are there, whole; of the one under way, all or nothing; of
// an open one, nothing.
func TestKill(t *testing.T) {
	const rows = 500
	dir := t.TempDir()
	ctx := context.Background()
	acked := 0
	for round := range *killRounds {
		proc, dsn := node.Process(t, dir)
		c := node.Connect(t, dsn)
		open := node.Connect(t, dsn)
		exec := func(c *pgx.Conn, sql string, args ...any) {
			t.Helper()
			if _, err := c.Exec(ctx, sql, args...); err != nil {
				t.Fatalf("round %d: %s: %v", round, sql, err)
			}
		}
		if round == 0 {
			exec(c, "CREATE TABLE k (batch int, n int, s text, PRIMARY KEY (batch, n))")
		} else {
			var batches, whole, total, highest int
			err := c.QueryRow(ctx, `SELECT count(*), coalesce(sum((c = $1 AND s = $1 * ($1 - 1) / 2 AND good)::int), 0), coalesce(sum(c), 0), coalesce(max(batch), 0)
				FROM (SELECT batch, count(*) AS c, sum(n) AS s, bool_and(s = 'row ' || n) AS good FROM k GROUP BY batch) x`, rows).Scan(&batches, &whole, &total, &highest)
			if err != nil {
				t.Fatal(err)
			}
			if whole != batches || highest != batches || batches < acked || batches > acked+1 || total != batches*rows {
				t.Fatalf("round %d: %d acknowledged; found %d, %d of them whole, highest %d, %d rows", round, acked, batches, whole, highest, total)
			}
			acked = batches
		}
		exec(open, "BEGIN")
		exec(open, "INSERT INTO k VALUES (1000000, 1, 'never committed')")
		stop := time.AfterFunc(300*time.Millisecond, func() { _ = proc.Process.Kill() })
		defer stop.Stop()
		for {
			if writeBatch(ctx, c, acked+1, rows) != nil {
				break
			}
			acked++
		}
		_ = proc.Wait()
		if acked == 0 {
			t.Fatal("nothing was written before the kill")
		}
	}
}

// writeBatch writes one batch more, in one of the ways there are; those that replace
// rows write the batch before it too.
func writeBatch(ctx context.Context, c *pgx.Conn, batch, rows int) error {
	switch batch % 5 {
	case 1:
		_, err := c.CopyFrom(ctx, pgx.Identifier{"k"}, []string{"batch", "n", "s"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) {
			return []any{int32(batch), int32(i), fmt.Sprintf("row %d", i)}, nil
		}))
		return err
	case 2:
		_, err := c.Exec(ctx, "INSERT INTO k SELECT $1::int, g, 'row ' || g FROM generate_series(0, $2::int - 1) g", batch, rows)
		return err
	case 3:
		var b strings.Builder
		for i := range 2 * rows {
			fmt.Fprintf(&b, "%d\t%d\trow %d\n", batch-i/rows, i%rows, i%rows)
		}
		_, err := c.PgConn().CopyFrom(ctx, strings.NewReader(b.String()), "COPY k FROM STDIN WITH (on_conflict update)")
		return err
	case 4:
		_, err := c.Exec(ctx, `INSERT INTO k SELECT b, g, 'row ' || g FROM generate_series($1::int - 1, $1::int) b, generate_series(0, $2::int - 1) g
			ON CONFLICT (batch, n) DO UPDATE SET s = excluded.s`, batch, rows)
		return err
	}
	x, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer x.Rollback(ctx)
	for _, sql := range []string{"DELETE FROM k WHERE batch = $1::int - 1 AND n < $2::int",
		"INSERT INTO k SELECT b, g, 'row ' || g FROM generate_series($1::int - 1, $1::int) b, generate_series(0, $2::int - 1) g"} {
		if _, err := x.Exec(ctx, sql, batch, rows); err != nil {
			return err
		}
	}
	return x.Commit(ctx)
}
