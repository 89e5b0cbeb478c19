package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// visible upserts one row and reads it on another connection, again and again. It
// prints how long reads took until they showed the row, and what the server's collector
// did meanwhile: its work is what the longest wait for.
func visible(ctx context.Context) error {
	w, err := connect(ctx)
	if err != nil {
		return err
	}
	defer w.c.Close(context.Background())
	r, err := connect(ctx)
	if err != nil {
		return err
	}
	defer r.c.Close(context.Background())
	drop, err := w.create(ctx, "w_seen", "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL, t text NOT NULL", "orientation = 'row,column'")
	if err != nil {
		return err
	}
	defer drop()
	before, err := metrics()
	if err != nil {
		return err
	}
	var all []time.Duration
	stale := 0
	for start := time.Now(); time.Since(start) < *duration; {
		n := int64(len(all))
		if err := w.exec(ctx, fmt.Sprintf("INSERT INTO w_seen VALUES (1, %d, 'x') ON CONFLICT (k) DO UPDATE SET n = excluded.n", n)); err != nil {
			return err
		}
		acked := time.Now()
		for {
			var seen int64
			if err := r.c.QueryRow(ctx, "SELECT n FROM w_seen WHERE k = 1", pgx.QueryExecModeSimpleProtocol).Scan(&seen); err != nil {
				return err
			}
			if seen == n {
				break
			}
			stale++
		}
		all = append(all, time.Since(acked))
	}
	after, err := metrics()
	if err != nil {
		return err
	}
	slices.Sort(all)
	at := func(p float64) float64 { return ms(all[min(len(all)-1, int(p*float64(len(all))))]) }
	of := func(name string) float64 { return after[name] - before[name] }
	fmt.Printf("%d commits, read elsewhere: p50 %.3f  p99 %.3f  max %.3f ms, %d reads without the row\n", len(all), at(.5), at(.99), at(1), stale)
	fmt.Printf("server: %.0f KB allocated a commit and read, %.0f collections, %.1f ms of pauses\n",
		of("go_memstats_alloc_bytes_total")/1024/float64(len(all)), of("go_gc_duration_seconds_count"), of("go_gc_duration_seconds_sum")*1000)
	return nil
}
