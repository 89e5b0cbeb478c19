package clients

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

// TestPgx uses pgx as programs do: prepared statements, binary values, batches,
// cursors, COPY, a canceled query.
func TestPgx(t *testing.T) {
	ctx := context.Background()
	n := node.ForTest(t)
	c := node.Connect(t, n.DSN)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Exec(ctx, "CREATE TABLE p (id bigint PRIMARY KEY, t text, f float8, ts timestamptz, j jsonb, a int[], n numeric(10,2), b bytea)")
	must(err)
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)
	for i := range 3 {
		_, err = c.Exec(ctx, "INSERT INTO p VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", i, "x", 1.5, at, map[string]any{"k": i}, []int32{1, int32(i)}, "12.30", []byte{0, 255})
		must(err)
	}
	var (
		id int64
		s  string
		f  float64
		ts time.Time
		j  map[string]any
		a  []int32
		nm string
		b  []byte
	)
	must(c.QueryRow(ctx, "SELECT id, t, f, ts, j, a, n::text, b FROM p WHERE id = $1", 2).Scan(&id, &s, &f, &ts, &j, &a, &nm, &b))
	if id != 2 || s != "x" || f != 1.5 || !ts.Equal(at) || j["k"] != 2.0 || len(a) != 2 || a[1] != 2 || nm != "12.30" || len(b) != 2 || b[1] != 255 {
		t.Fatal(id, s, f, ts, j, a, nm, b)
	}
	batch := &pgx.Batch{}
	for i := range 5 {
		batch.Queue("SELECT $1::int + 1", i)
	}
	res := c.SendBatch(ctx, batch)
	for i := range 5 {
		var got int
		must(res.QueryRow().Scan(&got))
		if got != i+1 {
			t.Fatal(got)
		}
	}
	must(res.Close())

	tx, err := c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "DECLARE cur CURSOR FOR SELECT i FROM generate_series(1, 10) i")
	must(err)
	total := 0
	for {
		rows, err := tx.Query(ctx, "FETCH 4 FROM cur")
		must(err)
		got, err := pgx.CollectRows(rows, pgx.RowTo[int])
		must(err)
		if len(got) == 0 {
			break
		}
		for _, v := range got {
			total += v
		}
	}
	if total != 55 {
		t.Fatal(total)
	}
	must(tx.Rollback(ctx))

	count, err := c.CopyFrom(ctx, pgx.Identifier{"p"}, []string{"id", "t", "ts"}, pgx.CopyFromSlice(5000, func(i int) ([]any, error) {
		return []any{int64(i + 10), "row", at.Add(time.Duration(i) * time.Second)}, nil
	}))
	must(err)
	if count != 5000 {
		t.Fatal(count)
	}

	// The header of COPY TO has the query's own names.
	var out strings.Builder
	_, err = c.PgConn().CopyTo(ctx, &out, "COPY (SELECT id % 1 AS x, count(*) AS n FROM p GROUP BY 1) TO STDOUT WITH (FORMAT csv, HEADER)")
	must(err)
	if out.String() != "x,n\n0,5003\n" {
		t.Fatal(out.String())
	}

	// A canceled query ends soon, and the connection lives on.
	timer := time.AfterFunc(100*time.Millisecond, func() { _ = c.PgConn().CancelRequest(ctx) })
	defer timer.Stop()
	start := time.Now()
	_, err = c.Exec(ctx, "SELECT count(*) FROM generate_series(1, 1000000000000)")
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "57014" || time.Since(start) > time.Minute {
		t.Fatal(err, time.Since(start))
	}
	must(c.QueryRow(ctx, "SELECT count(*) FROM p").Scan(&id))
	if id != 5003 {
		t.Fatal(id)
	}
}
