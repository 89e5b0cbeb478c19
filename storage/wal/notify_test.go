package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// Records are written by whoever is asked to, or by those who wait for others; who is
// to be notified is, once, when they are durable.
func TestNotify(t *testing.T) {
	m := blob.NewMem()
	l, _, _ := open(t, m.Root(), Options{})
	const clients, each = 8, 200
	var told atomic.Int64
	var wg sync.WaitGroup
	for k := range clients {
		wg.Go(func() {
			for i := range each {
				e := entry(fmt.Append(nil, k, i), 1)
				if err := l.Append(e); err != nil {
					t.Error(err)
					return
				}
				if i%8 == 7 && k%2 == 0 {
					if err := l.Wait(e.CSN); err != nil {
						t.Error(err)
					}
					told.Add(1)
					continue
				}
				done := make(chan storage.CSN, 2)
				l.Notify(e.CSN, func() {
					told.Add(1)
					done <- l.Durable() // it holds no lock of the log's
				})
				l.Write(k%3 == 0)
				if at := <-done; at < e.CSN {
					t.Errorf("told of %d at %d", e.CSN, at)
				}
			}
		})
	}
	wg.Wait()
	if n := told.Load(); n != clients*each {
		t.Errorf("%d were told of %d records", n, clients*each)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Nobody waits for ever: not when the log closes, nor when it has failed.
func TestNotifyAtTheEnd(t *testing.T) {
	for _, fails := range []bool{false, true} {
		m := blob.NewMem()
		l, _, _ := open(t, m.Root(), Options{})
		e := entry([]byte("last"), 0)
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
		told := make(chan struct{}, 2)
		l.Notify(e.CSN, func() { told <- struct{}{} })
		if fails {
			m.Inject(func(int64, blob.OpKind, string) error { return syscall.EIO })
			l.Write(false)
			<-told
			m.Inject(nil)
			if err := l.Wait(e.CSN); err == nil {
				t.Error("a record that could not be written is durable")
			}
			l.Notify(e.CSN, func() { told <- struct{}{} })
		}
		if err := l.Close(); (err != nil) != fails {
			t.Errorf("closed with %v", err)
		}
		<-told
		if len(told) > 0 {
			t.Error("told twice")
		}
	}
}
