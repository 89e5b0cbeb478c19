package sched

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// count steps n times.
type count struct {
	n    int
	done *atomic.Int64
	err  error
}

func (c *count) Step(time.Time) (Status, error) {
	if c.n--; c.n > 0 {
		return More, nil
	}
	c.done.Add(1)
	return Done, c.err
}

func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waiting for ", what)
		}
	}
}

func TestPoolRunsAll(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	var done atomic.Int64
	var jobs []*Job
	for range 20 {
		j := NewJob(context.Background())
		for i := range 10 {
			j.Spawn(&count{n: 1 + i*7, done: &done})
		}
		j.Offer(p)
		jobs = append(jobs, j)
	}
	wait(t, "all tasks", func() bool { return done.Load() == 200 })
	for _, j := range jobs {
		j.Close()
		if j.Err() != nil {
			t.Fatal(j.Err())
		}
	}
}

func TestInlineAndSerial(t *testing.T) {
	var done atomic.Int64
	j := NewJob(context.Background())
	defer j.Close()
	j.Spawn(&count{n: 5, done: &done})
	j.Spawn(&count{n: 2, done: &done})
	for j.RunOne() {
	}
	if done.Load() != 2 {
		t.Fatal("tasks left")
	}

	p := NewPool(4)
	defer p.Close()
	s := NewJob(context.Background())
	s.Serial()
	var at, most atomic.Int64
	var left atomic.Int64
	left.Store(50)
	for range 50 {
		s.Spawn(Func(func() error {
			if n := at.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(50 * time.Microsecond)
			at.Add(-1)
			left.Add(-1)
			return nil
		}))
	}
	s.Offer(p)
	wait(t, "serial job", func() bool { return left.Load() == 0 })
	s.Close()
	if most.Load() != 1 {
		t.Fatalf("%d steps at a time", most.Load())
	}
}

// blocker blocks at each step until it was woken often enough.
type blocker struct {
	n    int
	done *atomic.Int64
}

func (b *blocker) Step(time.Time) (Status, error) {
	if b.n--; b.n == 0 {
		b.done.Add(1)
		return Done, nil
	}
	return Blocked, nil
}

func TestBlockedAndWoken(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	j := NewJob(context.Background())
	defer j.Close()
	j.Offer(p)
	var done atomic.Int64
	h := j.Spawn(&blocker{n: 4, done: &done})
	wait(t, "task to finish", func() bool {
		j.Wake(h)
		return done.Load() == 1
	})
}

func TestErrorsAndPanics(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	var done atomic.Int64

	j := NewJob(context.Background())
	first := errors.New("first")
	j.Spawn(&count{n: 3, done: &done, err: first})
	j.Spawn(&count{n: 1 << 40, done: &done}) // ends with the job
	j.Offer(p)
	wait(t, "failure", func() bool { return j.Err() != nil })
	j.Close()
	if j.Err() != first {
		t.Fatal(j.Err())
	}

	j = NewJob(context.Background())
	j.Spawn(Func(func() error { panic("a bug") }))
	j.Offer(p)
	wait(t, "panic", func() bool { return j.Err() != nil })
	j.Close()
	if sqlstate.CodeOf(j.Err()) != sqlstate.InternalError {
		t.Fatal(j.Err())
	}

	ctx, cancel := context.WithCancel(context.Background())
	j = NewJob(ctx)
	j.Spawn(&count{n: 1 << 40, done: &done})
	j.Offer(p)
	cancel()
	wait(t, "cancel", func() bool { return j.Err() != nil })
	j.Close()
	if sqlstate.CodeOf(j.Err()) != sqlstate.QueryCanceled {
		t.Fatal(j.Err())
	}
}

func TestShortOvertakesLong(t *testing.T) {
	p := NewPool(1)
	defer p.Close()
	var never, done atomic.Int64
	long := NewJob(context.Background())
	long.Spawn(&spin{n: 1 << 40, done: &never})
	long.Offer(p)
	time.Sleep(20 * time.Millisecond)
	short := NewJob(context.Background())
	short.Spawn(&spin{n: 3, done: &done})
	short.Offer(p)
	wait(t, "short job", func() bool { return done.Load() == 1 }) // the long one never ends
	if never.Load() != 0 {
		t.Fatal("the long job ended")
	}
	short.Close()
	long.Close()
}

type spin count

func (s *spin) Step(until time.Time) (Status, error) {
	for time.Now().Before(until) {
	}
	return (*count)(s).Step(until)
}
