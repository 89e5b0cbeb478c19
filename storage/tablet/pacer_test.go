package tablet

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Work waits while there are scans, until they end, until it has waited for long
// enough, or until there is no room to wait any more.
func TestPacerYields(t *testing.T) { synctest.Test(t, pacerYields) }

func pacerYields(t *testing.T) {
	scanning, calm := true, true
	ends := time.Time{}
	p := &pacer{wait: 60 * time.Millisecond, eager: true, calm: func() bool { return calm }}
	p.idle = func(now time.Time) time.Duration {
		if scanning && (ends.IsZero() || now.Before(ends)) {
			return 0
		}
		return time.Hour
	}
	pace := func() time.Duration {
		p.from = time.Now().Add(-scanStretch)
		began := time.Now()
		if err := p.pace(context.Background()); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	p.begin(nil)
	if d := pace(); d < 50*time.Millisecond {
		t.Fatalf("waited %v for scans", d)
	}
	for range 3 {
		pace()
	}
	if p.left > 0 {
		t.Fatalf("may still wait for %v", p.left)
	}
	p.begin(nil)
	ends = time.Now().Add(10 * time.Millisecond)
	if pace(); p.left < 20*time.Millisecond || p.left > 55*time.Millisecond {
		t.Fatalf("of 60ms %v are left after scans of 10ms", p.left)
	}
	ends = time.Time{}
	p.begin(nil)
	left := p.left
	if scanning = false; p.pace(context.Background()) != nil || p.left != left {
		t.Fatal("waited for nothing")
	}
	scanning, calm = true, false
	if pace(); p.left != left {
		t.Fatal("waited with no room")
	}
	calm = true
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.from = time.Now().Add(-scanStretch)
	if err := p.pace(ctx); err != context.Canceled {
		t.Fatal(err)
	}
}

// While the tablet is written to, a flush waits until memtables fill one after the
// other; when nothing is written any more it waits for longer.
func TestPacerBacklog(t *testing.T) { synctest.Test(t, pacerBacklog) }

func pacerBacklog(t *testing.T) {
	p := &pacer{wait: 20 * time.Millisecond, eager: true, calm: func() bool { return true }}
	p.idle = func(time.Time) time.Duration { return 0 }
	full, step := 0.5, 0.0
	p.begin(func() float64 { full += step; return full })
	pace := func() time.Duration {
		p.from = time.Now().Add(-scanStretch)
		began := time.Now()
		if err := p.pace(context.Background()); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	step = 1e-6
	pace()
	if p.left > 0 || p.quiet < quietWait {
		t.Fatalf("beside writes the waits left are %v and %v", p.left, p.quiet)
	}
	p.begin(p.backlog)
	full = backlogMost
	if pace(); p.left != p.wait || p.quiet != quietWait {
		t.Fatalf("waited for queries while writes pile up: %v and %v are left", p.left, p.quiet)
	}
	step = 0
	pace() // sees the last write
	time.Sleep(writeRecent)
	if d := pace(); d < scanRest*scanStretch*3/4 || p.quiet >= quietWait || p.left != p.wait {
		t.Fatalf("waited %v once all was quiet: %v and %v are left", d, p.left, p.quiet)
	}
}

// Who waits for the work, or for room, is not kept waiting by a wait that has begun.
func TestPacerHurried(t *testing.T) { synctest.Test(t, pacerHurried) }

func pacerHurried(t *testing.T) {
	var hurried, full atomic.Bool
	p := &pacer{wait: time.Minute, calm: func() bool { return !full.Load() }, hurried: hurried.Load}
	p.idle = func(time.Time) time.Duration { return 0 }
	for _, f := range []*atomic.Bool{&hurried, &full} {
		p.begin(nil)
		time.AfterFunc(20*time.Millisecond, func() { f.Store(true) })
		p.from = time.Now().Add(-yieldMost / scanRest) // for which it waits a second
		began := time.Now()
		if err := p.pace(context.Background()); err != nil {
			t.Fatal(err)
		}
		d := time.Since(began)
		if d < 15*time.Millisecond || d > yieldMost*3/4 {
			t.Fatalf("waited %v", d)
		}
		p.from = time.Now().Add(-yieldMost / scanRest)
		if began = time.Now(); p.pace(context.Background()) != nil || time.Since(began) > yieldMost/2 {
			t.Fatal("waited again")
		}
		f.Store(false)
	}
	time.AfterFunc(20*time.Millisecond, func() { hurried.Store(true) })
	if began := time.Now(); p.sleep(context.Background(), 3*time.Second) != nil || time.Since(began) > time.Second {
		t.Fatal("slept while somebody waited")
	}
}
