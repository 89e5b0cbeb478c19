package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// bulk loads, changes and deletes many rows of the tables that others write by key, and
// changes rows of theirs in a column that they leave alone.
func (s *soak) bulk(ctx context.Context) {
	k := s.class("bulk")
	wide := s.class("wide update", "40001", "40P01") // batches lock in an order of their own
	for i, o := range orientations {
		c, table, turn := s.client("bulk-"+tableOf(o), uint64(400+i)), tableOf(o), 0
		s.work(ctx, 40*time.Second, func() {
			turn++
			n := 10000
			if turn%6 == 0 {
				n = 120000 // goes to side files
			}
			c.cycle(ctx, k, table, n)
		}, c)
		w := s.client("wide-"+tableOf(o), uint64(410+i))
		s.work(ctx, 30*time.Second, func() {
			_ = w.exec(ctx, wide, "UPDATE "+table+" SET n = n + 1 WHERE k < $1 AND v % 3 = $2", bulkKey, w.rnd.IntN(3))
		}, w)
	}
}

func (c *client) cycle(ctx context.Context, k *class, table string, n int) {
	count := func(what string, want, wantSum int64) error {
		var got, sum int64
		err := c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT count(*), coalesce(sum(n), 0) FROM "+table+" WHERE k >= $1", bulkKey).Scan(&got, &sum)
		})
		if err == nil && (got != want || sum != wantSum) {
			c.s.fail("%s: after %s %d rows with sum %d, not %d with %d", table, what, got, sum, want, wantSum)
		}
		return err
	}
	if c.exec(ctx, k, "DELETE FROM "+table+" WHERE k >= $1", bulkKey) != nil {
		return
	}
	from := bulkKey + int64(c.rnd.IntN(1000000))
	err := c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		i := int64(-1)
		note := strings.Repeat("a loaded row ", 12)
		_, err := conn.CopyFrom(ctx, pgx.Identifier{table}, []string{"k", "owner", "v", "note"}, pgx.CopyFromFunc(func() ([]any, error) {
			if i++; i >= int64(n) {
				return nil, nil
			}
			return []any{from + i, int32(0), i, note}, nil
		}))
		return err
	})
	if err != nil || count("COPY", int64(n), 0) != nil {
		return
	}
	if c.exec(ctx, k, "UPDATE "+table+" SET n = n + 1 WHERE k >= $1", bulkKey) != nil || count("UPDATE", int64(n), int64(n)) != nil {
		return
	}
	if c.exec(ctx, k, "DELETE FROM "+table+" WHERE k >= $1", bulkKey) != nil {
		return
	}
	_ = count("DELETE", 0, 0)
}

// changes of the catalog, with readers that meet them.
func (s *soak) changes(ctx context.Context) {
	k := s.class("ddl")
	turn := 0
	c := s.client("ddl", 420)
	s.work(ctx, 4*time.Second, func() {
		turn++
		name := fmt.Sprint("d_", turn%3)
		with := "orientation = '" + orientations[turn%len(orientations)] + "'"
		unique := ""
		if turn%3 != 2 {
			unique = ", UNIQUE (u)"
		}
		for _, q := range []string{
			"DROP VIEW IF EXISTS dv_" + name,
			"DROP TABLE IF EXISTS " + name + ", " + name + "_renamed",
			"CREATE TABLE " + name + " (id bigint PRIMARY KEY, u bigint, t text" + unique + ") WITH (" + with + ")",
			"INSERT INTO " + name + " SELECT g, g, 'row ' || g FROM generate_series(1, 500) g",
			"ALTER TABLE " + name + " ADD COLUMN added int NOT NULL DEFAULT 7",
			"UPDATE " + name + " SET added = 8 WHERE id % 2 = 0",
			"CREATE VIEW dv_" + name + " AS SELECT added, count(*) AS n FROM " + name + " GROUP BY added",
			"SELECT 1 / (CASE WHEN sum(n * added) = 3750 THEN 1 ELSE 0 END) FROM dv_" + name,
			"TRUNCATE " + name,
			"DROP VIEW dv_" + name,
			"INSERT INTO " + name + " SELECT g, g, 'again' FROM generate_series(1, 100) g",
			"ALTER TABLE " + name + " RENAME TO " + name + "_renamed",
			"ALTER TABLE " + name + "_renamed DROP COLUMN t",
			"ALTER TABLE " + name + "_renamed RENAME TO " + name,
		} {
			if c.exec(ctx, k, q) != nil {
				return
			}
		}
	}, c)
	r := s.client("meeting", 421)
	meets := s.class("meeting", "42P01", "42703", "0A000")
	s.work(ctx, 200*time.Millisecond, func() {
		q := []string{"SELECT count(*), sum(u) FROM d_%d", "SELECT id, u FROM d_%d WHERE id = 5", "SELECT * FROM dv_d_%d", "SELECT max(t) FROM d_%d_renamed",
			"SELECT count(*) FROM pg_class WHERE relname LIKE 'd_%d%%'", "SELECT count(*) FROM information_schema.columns WHERE table_name = 'd_%d'"}[r.rnd.IntN(6)]
		_ = r.do(ctx, meets, func(ctx context.Context, conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, fmt.Sprintf(q, r.rnd.IntN(3)))
			if err != nil {
				return err
			}
			rows.Close()
			return rows.Err()
		})
	}, r)
}
