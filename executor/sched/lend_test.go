package sched

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestLend has every worker wait for a task that only another worker can run.
func TestLend(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	before := runtime.NumGoroutine()
	for range 20 {
		var wg sync.WaitGroup
		free := make(chan struct{})
		for range 7 {
			wg.Add(1)
			j := NewJob(t.Context())
			j.Spawn(Func(func() error {
				defer wg.Done()
				defer p.Lend()()
				<-free
				return nil
			}))
			j.Offer(p)
		}
		last := NewJob(t.Context())
		wg.Add(1)
		last.Spawn(Func(func() error { defer wg.Done(); close(free); return nil }))
		last.Offer(p)
		wg.Wait()
	}
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
