package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The bars of steady.
const (
	stallBar = time.Second
	spaceBar = 2.0
	scanBar  = 1.3
)

const (
	steadyColumns = "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL, ts timestamptz NOT NULL, s text NOT NULL"
	steadyUpsert  = `INSERT INTO w_steady SELECT k, n, now(), 'payload of row ' || md5(n::text) FROM unnest($1::bigint[], $2::bigint[]) u(k, n)
		ON CONFLICT (k) DO UPDATE SET n = excluded.n, ts = excluded.ts, s = excluded.s`
	steadyScan = "SELECT count(*), sum(n), max(ts), sum(length(s)) FROM w_steady"
)

// steadyArgs are new values for keys at random, as many different ones as there are rows,
// so that what is written compresses like what was loaded.
func steadyArgs(r *rand.Rand) []any {
	args := keyedArgs(*rows)(r)
	for i := range args[1].([]int64) {
		args[1].([]int64)[i] = r.Int64N(*rows)
	}
	return args
}

// steady upserts at random into a table of -rows rows for -duration, and looks for
// stalls: a second without an acknowledged commit, or a commit that takes one. Then it
// compares space and a scan's time with those after a compaction; space also at its
// most while it ran.
func steady(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	defer s.c.Close(context.Background())
	drop, err := s.create(ctx, "w_steady", steadyColumns, "orientation = '"+*orientation+"'")
	if err != nil {
		return err
	}
	defer drop()
	const part = 250_000
	for at := int64(0); at < *rows; at += part {
		q := fmt.Sprintf("INSERT INTO w_steady SELECT %s, g, now(), 'payload of row ' || md5(g::text) FROM generate_series(%d::bigint, %d) g", scattered, at, min(at+part, *rows)-1)
		if err := s.exec(ctx, q); err != nil {
			return err
		}
	}
	if err := s.exec(ctx, "CALL hg_compact('w_steady')"); err != nil {
		return err
	}
	size := func() (n int64, err error) {
		err = s.c.QueryRow(ctx, "SELECT pg_total_relation_size('w_steady')").Scan(&n)
		return n, err
	}
	fresh, err := size()
	if err != nil {
		return err
	}
	fmt.Printf("%s table of %d rows, %.1f MB when compacted\n", *orientation, *rows, mb(fresh))
	before, err := metrics()
	if err != nil {
		return err
	}
	busy := lookAtMachine()
	out := &outcome{}
	over := make(chan error, 1)
	go func() {
		over <- load{sql: steadyUpsert, args: steadyArgs, clients: *clients, rate: *atMost}.run(ctx, *duration, out)
	}()
	fmt.Printf("%6s %9s %10s %10s %9s %9s\n", "s", "rows/s", "longest ms", "gap ms", "table MB", "disk MB")
	var most int64
	start, lastRows := time.Now(), int64(0)
	tick := time.NewTicker(max(*duration/60, 2*time.Second))
	defer tick.Stop()
	lastAt := start
	for running := true; running; {
		select {
		case err := <-over:
			if err != nil {
				return err
			}
			running = false
			continue
		case <-tick.C:
		}
		n, err := size()
		if err != nil {
			return err
		}
		most = max(most, n)
		m, err := metrics()
		if err != nil {
			return err
		}
		out.mu.Lock()
		r, l, gap := out.rows, slices.Max(append(out.took, 0)), out.longest
		out.mu.Unlock()
		fmt.Printf("%6.0f %9.0f %10.1f %10.1f %9.1f %9.1f\n", time.Since(start).Seconds(), float64(r-lastRows)/time.Since(lastAt).Seconds(), ms(l), ms(gap), mb(n), m["millrace_disk_bytes"]/1e6)
		lastRows, lastAt = r, time.Now()
	}
	scan := func() (time.Duration, float64, error) {
		c0, err := cpu()
		if err != nil {
			return 0, 0, err
		}
		var took []time.Duration
		for range 5 {
			start := time.Now()
			var n, sum, length int64
			var ts time.Time
			if err := s.c.QueryRow(ctx, steadyScan).Scan(&n, &sum, &ts, &length); err != nil {
				return 0, 0, err
			}
			if n != *rows {
				return 0, 0, fmt.Errorf("%d rows, not %d", n, *rows)
			}
			took = append(took, time.Since(start))
		}
		c1, err := cpu()
		slices.Sort(took)
		return took[len(took)/2], (c1 - c0) / 5, err
	}
	after, err := metrics()
	if err != nil {
		return err
	}
	busy = busy.until(lookAtMachine(), after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])
	end, err := size()
	if err != nil {
		return err
	}
	under, underCPU, err := scan()
	if err != nil {
		return err
	}
	if err := s.exec(ctx, "CALL hg_compact('w_steady')"); err != nil {
		return err
	}
	time.Sleep(time.Second)
	small, err := size()
	if err != nil {
		return err
	}
	least, leastCPU, err := scan()
	if err != nil {
		return err
	}
	longest := max(out.at(1), out.longest)
	fmt.Printf("\nthe machine meanwhile: %s\n", busy)
	fmt.Printf("%.0f rows/s at %.2f µs of server CPU a row; a statement p50 %.1f, p99 %.1f, longest %.1f ms; longest without any acknowledgement %.1f ms; least in a second %d rows\n", out.perSecond(),
		(after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])/float64(out.rows)*1e6, ms(out.at(0.5)), ms(out.at(0.99)), ms(out.at(1)), ms(out.longest), out.worst())
	fmt.Printf("space: at most %.1f MB, at the end %.1f MB, compacted %.1f MB: %.2f, %.2f\n", mb(most), mb(end), mb(small), float64(most)/float64(small), float64(end)/float64(small))
	fmt.Printf("scan: %.1f ms (CPU %.1f), compacted %.1f ms (%.1f): %.2f\n", ms(under), underCPU*1e3, ms(least), leastCPU*1e3, float64(under)/float64(least))
	fmt.Printf("%s: longest stall %.2f s (bar %.0f), space at most %.2f (%.0f), scan %.2f (%.1f)\n", *orientation,
		longest.Seconds(), stallBar.Seconds(), float64(max(most, end))/float64(small), spaceBar, float64(under)/float64(least), scanBar)
	var bad []error
	if longest > stallBar || out.worst() == 0 {
		bad = append(bad, fmt.Errorf("a stall of %.1f s", longest.Seconds()))
	}
	if float64(max(most, end)) > spaceBar*float64(small) {
		bad = append(bad, fmt.Errorf("space is %.2f of the compacted", float64(max(most, end))/float64(small)))
	}
	if float64(under) > scanBar*float64(least) {
		bad = append(bad, fmt.Errorf("the scan takes %.2f of the compacted", float64(under)/float64(least)))
	}
	return errors.Join(bad...)
}

func mb(n int64) float64 { return float64(n) / 1e6 }
