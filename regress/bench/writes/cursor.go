package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// logCap is what the log takes at most (docs/ARCHITECTURE.md, "What a long snapshot
// costs").
const logCap = 1 << 30

// cursor opens a REPEATABLE READ cursor over a table of -rows rows and reads it slowly for
// -duration while -clients sessions upsert into it and others delete and insert. It must
// show the rows as they were, a query in its transaction too, and the disk may grow by
// the bound of docs/ARCHITECTURE.md.
func cursor(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	defer s.c.Close(context.Background())
	drop, err := s.create(ctx, "w_keys", "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL", "orientation = 'column'")
	if err != nil {
		return err
	}
	defer drop()
	if err := s.exec(ctx, fmt.Sprintf("INSERT INTO w_keys SELECT %s, g FROM generate_series(0::bigint, %d) g", scattered, *rows-1), "VACUUM w_keys"); err != nil {
		return err
	}
	const sums = "SELECT count(*), sum(k), sum(n)::bigint FROM w_keys"
	type total struct{ rows, keys, ns int64 }
	read := func(c *pgx.Conn) (t total, err error) {
		return t, c.QueryRow(ctx, sums).Scan(&t.rows, &t.keys, &t.ns)
	}
	size := func() (b int64, err error) {
		return b, s.c.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&b)
	}
	before, err := size()
	if err != nil {
		return err
	}
	reader, err := connect(ctx)
	if err != nil {
		return err
	}
	defer reader.c.Close(context.Background())
	if err := reader.exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ", "DECLARE c CURSOR FOR SELECT k, n FROM w_keys"); err != nil {
		return err
	}
	want, err := read(reader.c)
	if err != nil {
		return err
	}

	work, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 2)
	rate := make(chan float64, 1)
	go func() {
		r, err := upserts(work, *clients, *duration+time.Hour, *atMost, keyedUpsert, keyedArgs(2**rows))
		if err != nil && work.Err() == nil {
			failed <- err
		}
		rate <- r
	}()
	turned := make(chan int64, 1)
	go func() {
		n, err := deletes(work)
		if err != nil && work.Err() == nil {
			failed <- err
		}
		turned <- n
	}()
	end := func() (float64, int64) {
		stop()
		return <-rate, <-turned
	}

	var got total
	most, start := before, time.Now()
	for done := false; !done; {
		// As many rows as the time that has passed asks for.
		due := min(int64(float64(*rows)*float64(time.Since(start))/float64(*duration)), *rows)
		n := max(due-got.rows, 0)
		if due == *rows {
			n = *rows // the rest, and the end
		}
		fetched := int64(0)
		rs, err := reader.c.Query(ctx, fmt.Sprintf("FETCH %d FROM c", n))
		if err == nil {
			var k, v int64
			_, err = pgx.ForEachRow(rs, []any{&k, &v}, func() error {
				fetched++
				got.rows, got.keys, got.ns = got.rows+1, got.keys+k, got.ns+v
				return nil
			})
		}
		if err != nil {
			end()
			return err
		}
		done = due == *rows && fetched < n
		b, err := size()
		if err != nil {
			end()
			return err
		}
		most = max(most, b)
		select {
		case err := <-failed:
			end()
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
	again, err := read(reader.c)
	r, t := end()
	if err != nil {
		return err
	}
	if err := reader.exec(ctx, "COMMIT"); err != nil {
		return err
	}
	now, err := read(s.c)
	if err != nil {
		return err
	}
	if err := s.exec(ctx, "VACUUM w_keys"); err != nil {
		return err
	}
	after, err := size()
	if err != nil {
		return err
	}
	// The table as it was, the live rows with a third of dead ones and the inputs of a
	// compaction, and the log.
	live := int64(float64(before) * float64(now.rows) / float64(want.rows))
	bound := before + 2*live*4/3 + logCap
	fmt.Printf("%v: %d rows as they were, %.0f upserts/s and %d rows deleted and inserted beside it, %d rows in the end\n",
		time.Since(start).Round(time.Second), got.rows, r, t, now.rows)
	fmt.Printf("disk: %.1f MB before, at most %.1f MB (bound %.1f), %.1f MB after VACUUM\n", float64(before)/1e6, float64(most)/1e6, float64(bound)/1e6, float64(after)/1e6)
	switch {
	case got != want || again != want:
		return fmt.Errorf("the cursor showed %+v, a query at its end %+v, and one at its start %+v", got, again, want)
	case most > bound:
		return fmt.Errorf("the disk grew beyond the bound")
	}
	return nil
}

// deletes removes batches of keys and inserts them again, and gives how many.
func deletes(ctx context.Context) (n int64, err error) {
	s, err := connect(ctx)
	if err != nil {
		return 0, err
	}
	defer s.c.Close(context.Background())
	args := keyedArgs(*rows)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	for ctx.Err() == nil {
		a := args(r)
		if _, err := s.c.Exec(ctx, "DELETE FROM w_keys WHERE k = ANY($1::bigint[])", a[0]); err != nil {
			return n, err
		}
		if _, err := s.c.Exec(ctx, keyedUpsert, a...); err != nil {
			return n, err
		}
		n += int64(*batch)
	}
	return n, nil
}
