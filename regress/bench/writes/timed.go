package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/regress/bench/waits"
)

// load is a stream of upserts, at most rate rows a second when that is not 0. Unlike
// upserts, it notes how long each statement took and what was done in each second.
type load struct {
	sql     string
	args    func(*rand.Rand) []any
	clients int
	rate    float64
}

// outcome is what came of a load.
type outcome struct {
	mu      sync.Mutex
	took    []time.Duration // of statements
	seconds []int64         // rows acknowledged in each whole second
	longest time.Duration   // between two acknowledgements of any client
	last    time.Time
	start   time.Time
	rows    int64
}

func (o *outcome) done(began time.Time, rows int) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.took = append(o.took, now.Sub(began))
	o.longest = max(o.longest, now.Sub(o.last))
	o.last = now
	o.rows += int64(rows)
	at := int(now.Sub(o.start).Seconds())
	for len(o.seconds) <= at {
		o.seconds = append(o.seconds, 0)
	}
	o.seconds[at] += int64(rows)
}

// at is a quantile of the statements' times.
func (o *outcome) at(q float64) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.took) == 0 {
		return 0
	}
	t := slices.Clone(o.took)
	slices.Sort(t)
	return t[min(int(q*float64(len(t))), len(t)-1)]
}

// perSecond is the rate overall.
func (o *outcome) perSecond() float64 { return float64(o.rows) / o.last.Sub(o.start).Seconds() }

// worst is the least of all whole seconds but the last one.
func (o *outcome) worst() int64 {
	if len(o.seconds) < 2 {
		return 0
	}
	return slices.Min(o.seconds[:len(o.seconds)-1])
}

// run has the clients work until ctx ends or the duration is over; out grows meanwhile.
func (l load) run(ctx context.Context, d time.Duration, out *outcome) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var sessions []session
	defer func() {
		for _, s := range sessions {
			_ = s.c.Close(context.Background())
		}
	}()
	for range l.clients {
		s, err := connect(ctx)
		if err != nil {
			return err
		}
		sessions = append(sessions, s)
	}
	watch, err := waits.New(*web, *stacks, *slow)
	if err != nil {
		return err
	}
	defer watch.Close()
	out.start = time.Now()
	out.last = out.start
	every := time.Duration(0)
	if l.rate > 0 {
		every = time.Duration(float64(*batch) * float64(l.clients) / l.rate * float64(time.Second))
	}
	errs := make(chan error, l.clients)
	var wg sync.WaitGroup
	for i, s := range sessions {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(out.start.UnixNano()), uint64(i)))
			next := out.start.Add(every * time.Duration(i) / time.Duration(l.clients))
			for ctx.Err() == nil {
				args := l.args(r)
				if every > 0 {
					// A client that is late goes on at its rate, and does not make up for it.
					time.Sleep(time.Until(next))
					if next = next.Add(every); time.Since(next) > 0 {
						next = time.Now()
					}
				}
				began := time.Now()
				over := watch.Begin("an upsert")
				_, err := s.c.Exec(context.WithoutCancel(ctx), l.sql, args...)
				over()
				if err != nil {
					errs <- err
					cancel()
					return
				}
				out.done(began, *batch)
			}
		}()
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
