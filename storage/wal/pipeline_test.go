package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// While OnDurable has one group the next is written and synced; what is in it is not
// acknowledged before OnDurable has seen it, in its place.
func TestNextSyncBesideOnDurable(t *testing.T) {
	m := blob.NewMem()
	held, free := make(chan struct{}), make(chan struct{})
	var seen []storage.CSN
	first := true
	l, _, _ := open(t, m.Root(), Options{OnDurable: func(es []*Entry) error {
		if first {
			first = false
			close(held)
			<-free
		}
		for _, e := range es {
			seen = append(seen, e.CSN)
		}
		return nil
	}})
	var wg sync.WaitGroup
	var acknowledged atomic.Int32
	put := func(k int) storage.CSN {
		e := entry(append(make([]byte, besideBytes*(k&1^1)), fmt.Sprint("record ", k)...), k%3)
		if err := l.Append(e); err != nil {
			t.Error(err)
		}
		wg.Go(func() {
			if err := l.Wait(e.CSN); err != nil {
				t.Error(err)
			}
			acknowledged.Add(1)
		})
		return e.CSN
	}
	put(0)
	<-held
	var last storage.CSN
	for k := 1; k < 20; k++ {
		last = put(k)
	}
	for {
		l.mu.Lock()
		synced := l.synced
		l.mu.Unlock()
		if synced == last {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := acknowledged.Load(); n != 0 || l.Durable() != 0 {
		t.Fatalf("%d records acknowledged, durable %d", n, l.Durable())
	}
	close(free)
	wg.Wait()
	if l.Durable() != last || len(seen) != 20 {
		t.Fatalf("durable %d of %d, %d records seen", l.Durable(), last, len(seen))
	}
	for k := 1; k < len(seen); k++ {
		if seen[k] <= seen[k-1] {
			t.Fatal("records came out of order")
		}
	}
	if l.queued != 0 {
		t.Fatalf("%d bytes wait", l.queued)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// What was synced before a write failed is acknowledged, what came after is not.
func TestFailedWriteBesideOnDurable(t *testing.T) {
	m := blob.NewMem()
	held, free := make(chan struct{}), make(chan struct{})
	failed := make(chan struct{})
	first := true
	l, _, _ := open(t, m.Root(), Options{Fatal: func(error) { close(failed) }, OnDurable: func([]*Entry) error {
		if first {
			first = false
			close(held)
			<-free
		}
		return nil
	}})
	errs := make([]error, 3)
	var wg sync.WaitGroup
	put := func(k int) storage.CSN {
		e := entry(make([]byte, besideBytes), 0)
		if err := l.Append(e); err != nil {
			t.Error(err)
		}
		wg.Go(func() { errs[k] = l.Wait(e.CSN) })
		return e.CSN
	}
	put(0)
	<-held
	second := put(1)
	for {
		l.mu.Lock()
		synced := l.synced
		l.mu.Unlock()
		if synced == second {
			break
		}
		time.Sleep(time.Millisecond)
	}
	m.Inject(func(_ int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			return syscall.EIO
		}
		return nil
	})
	put(2)
	<-failed
	close(free)
	wg.Wait()
	if errs[0] != nil || errs[1] != nil || errs[2] == nil {
		t.Fatal(errs)
	}
}

// Close waits for OnDurable, also when a write failed meanwhile.
func TestCloseWaitsForOnDurable(t *testing.T) {
	m := blob.NewMem()
	held, free, failed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	l, _, _ := open(t, m.Root(), Options{Fatal: func(error) { close(failed) }, OnDurable: func([]*Entry) error {
		close(held)
		<-free
		done.Store(true)
		return nil
	}})
	var wg sync.WaitGroup
	put := func() {
		e := entry(make([]byte, besideBytes), 0)
		if err := l.Append(e); err != nil {
			t.Error(err)
		}
		wg.Go(func() { _ = l.Wait(e.CSN) })
	}
	put()
	<-held
	m.Inject(func(_ int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			return syscall.EIO
		}
		return nil
	})
	put()
	<-failed
	closed := make(chan struct{})
	go func() {
		_ = l.Close()
		if !done.Load() {
			t.Error("closed while OnDurable was under way")
		}
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Millisecond):
	}
	close(free)
	<-closed
	wg.Wait()
}

// Close wakes who waits for a record that came while it waited for the last writer: that
// one wakes Close, as the next to lead, and nobody writes the record any more.
func TestCloseWakesWaiters(t *testing.T) {
	l, _, _ := open(t, blob.NewMem().Root(), Options{})
	l.mu.Lock()
	l.leading = true // someone writes
	l.mu.Unlock()
	waiters := func(n int) {
		for {
			l.mu.Lock()
			is := len(l.waiters)
			l.mu.Unlock()
			if is == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	closed, ended := make(chan error, 1), make(chan error, 1)
	go func() { closed <- l.Close() }()
	waiters(1)
	e := entry([]byte("late"), 0)
	if err := l.Append(e); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- l.Wait(e.CSN) }()
	waiters(2)
	l.mu.Lock()
	l.leading = false
	l.wake()
	l.mu.Unlock()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err != ErrClosed {
			t.Errorf("the late record: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it still waits after Close")
	}
	if err := l.Append(entry([]byte("later"), 0)); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}
