package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// spentBy is the processor time of the server and of this process, which share the cores.
func spentBy() (float64, error) {
	server, err := cpu()
	if err != nil {
		return 0, err
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return server + time.Duration(u.Utime.Nano()+u.Stime.Nano()).Seconds(), nil
}

// mixed times analytic queries alone, upserts alone and both together, each at a load of
// -cores of processor time, the server's and the clients'. The queries are like TPC-H's Q1,
// Q6 and Q18 over a table of -rows rows; the upserts go to it too, or with -apart to
// another one. With -workers 1 a query takes one core at a time, alone as well as beside.
func mixed(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	defer s.c.Close(context.Background())
	with := "orientation = '" + *orientation + "', distribution_key = 'l_orderkey', clustering_key = 'l_shipdate'"
	drop, err := s.create(ctx, "w_line", lineColumns, with)
	if err != nil {
		return err
	}
	defer drop()
	if err := s.exec(ctx, "INSERT INTO w_line "+lineRows(0, *rows-1, "1"), "CALL hg_compact('w_line')"); err != nil {
		return err
	}
	l := load{sql: lineUpsert, args: lineArgs, clients: *clients}
	if *apart {
		drop, err := s.create(ctx, "w_keys", "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL", "orientation = '"+*orientation+"'")
		if err != nil {
			return err
		}
		defer drop()
		if err := s.exec(ctx, fmt.Sprintf("INSERT INTO w_keys SELECT %s, g FROM generate_series(0::bigint, %d) g", scattered, *rows-1)); err != nil {
			return err
		}
		l.sql, l.args = keyedUpsert, keyedArgs(*rows)
	}
	if err := s.exec(ctx, fmt.Sprintf("SET millrace.workers = %d", *width)); err != nil {
		return err
	}
	queries := []string{lineQuery,
		"SELECT sum(l_extendedprice * l_discount) FROM w_line WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
		"SELECT l_orderkey, sum(l_quantity) FROM w_line GROUP BY l_orderkey ORDER BY 2 DESC, 1 LIMIT 10"}
	// ask runs the queries in turns, one each interval, for the duration: the median of each.
	ask := func(every time.Duration) ([]time.Duration, int, error) {
		took := make([][]time.Duration, len(queries))
		n := 0
		for start, next := time.Now(), time.Now(); time.Since(start) < *duration || n < 3*len(queries); n++ {
			time.Sleep(time.Until(next))
			if next = next.Add(every); time.Since(next) > 0 {
				next = time.Now()
			}
			began := time.Now()
			if err := s.exec(ctx, queries[n%len(queries)]); err != nil {
				return nil, 0, err
			}
			took[n%len(queries)] = append(took[n%len(queries)], time.Since(began))
		}
		med := make([]time.Duration, len(queries))
		for i, t := range took {
			slices.Sort(t)
			med[i] = t[len(t)/2]
		}
		return med, n, nil
	}
	spent := func(f func() error) (float64, error) {
		c0, err := spentBy()
		if err != nil {
			return 0, err
		}
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		c1, err := spentBy()
		return (c1 - c0) / time.Since(start).Seconds(), err
	}
	// How much a query and a row cost, from a short time of each.
	c0, err := spentBy()
	if err != nil {
		return err
	}
	const tries = 4
	for range tries {
		for _, q := range queries {
			if err := s.exec(ctx, q); err != nil {
				return err
			}
		}
	}
	c1, err := spentBy()
	if err != nil {
		return err
	}
	each := (c1 - c0) / tries / float64(len(queries))
	every := time.Duration(each / *cores * float64(time.Second))
	full := &outcome{}
	used, err := spent(func() error { return l.run(ctx, *duration/2, full) })
	if err != nil {
		return err
	}
	l.rate = *cores / (used / full.perSecond())
	fmt.Printf("a query takes %.1f ms of CPU, a row %.2f µs: a query each %.1f ms, %.0f rows/s\n", each*1e3, used/full.perSecond()*1e6, ms(every), l.rate)
	if err := s.exec(ctx, "CALL hg_compact('w_line')"); err != nil {
		return err
	}
	var alone, beside []time.Duration
	var n int
	used, err = spent(func() (err error) { alone, n, err = ask(every); return err })
	if err != nil {
		return err
	}
	fmt.Printf("queries alone  %6.0f%% of a core, %d queries\n", used*100, n)
	ua, ub := &outcome{}, &outcome{}
	if used, err = spent(func() error { return l.run(ctx, *duration, ua) }); err != nil {
		return err
	}
	fmt.Printf("upserts alone  %6.0f%% of a core, %.0f rows/s, p50 %.1f, p99 %.1f ms\n", used*100, ua.perSecond(), ms(ua.at(.5)), ms(ua.at(.99)))
	over := make(chan error, 1)
	used, err = spent(func() error {
		work, stop := context.WithCancel(ctx)
		defer stop()
		go func() { over <- l.run(work, *duration+time.Hour, ub) }()
		var err error
		beside, n, err = ask(every)
		stop()
		return errors.Join(err, <-over)
	})
	if err != nil {
		return err
	}
	fmt.Printf("both           %6.0f%% of a core, %d queries, %.0f rows/s, p50 %.1f, p99 %.1f ms\n", used*100, n, ub.perSecond(), ms(ub.at(.5)), ms(ub.at(.99)))
	sum := [2]time.Duration{}
	for i := range queries {
		fmt.Printf("query %d: %.1f ms alone, %.1f ms beside upserts: %.2f\n", i+1, ms(alone[i]), ms(beside[i]), float64(beside[i])/float64(alone[i]))
		sum[0], sum[1] = sum[0]+alone[i], sum[1]+beside[i]
	}
	slower, later := float64(sum[1])/float64(sum[0]), float64(ub.at(.99))/float64(ua.at(.99))
	fmt.Printf("queries %.2f (bar 1.3), p99 of upserts %.2f (bar 2)\n", slower, later)
	if slower > 1.3 || later > 2 {
		return errors.New("above the bar")
	}
	return nil
}
