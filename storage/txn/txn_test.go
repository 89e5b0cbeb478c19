package txn

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

func code(err error) sqlstate.Code { return sqlstate.CodeOf(err) }

func TestRowLocks(t *testing.T) {
	ctx := context.Background()
	l := NewLocks()
	a, b := NewOwner(), NewOwner()
	if w, err := l.LockRows(ctx, a, 1, []uint64{1, 2, 2}, Update); w || err != nil {
		t.Fatal(w, err)
	}
	if _, blocked := l.Blocked(b, 1, []uint64{3}, Update); blocked {
		t.Fatal("a free row is blocked")
	}
	if row, blocked := l.Blocked(b, 1, []uint64{3, 2}, Update); !blocked || row != 1 {
		t.Fatal(row, blocked)
	}
	if _, blocked := l.Blocked(a, 1, []uint64{2}, Update); blocked {
		t.Fatal("blocked by itself")
	}
	b.LockTimeout = time.Millisecond
	if _, err := l.LockRows(ctx, b, 1, []uint64{2}, Update); code(err) != sqlstate.LockNotAvailable {
		t.Fatal(err)
	}
	b.LockTimeout = 0
	got := make(chan error)
	go func() { _, err := l.LockRows(ctx, b, 1, []uint64{2}, Update); got <- err }()
	for {
		l.mu.Lock()
		n := len(l.keys[Key{1, 2}].queue)
		l.mu.Unlock()
		if n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	l.Release(a)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	h := uint64(2)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if err := l.WaitFree(short, a, 1, &h, Update); err == nil {
		t.Fatal("a held row is free")
	}
	l.Release(b)
	if err := l.WaitFree(ctx, a, 1, &h, Update); err != nil || !l.None() || len(l.keys) != 0 || len(l.tables) != 0 {
		t.Fatal(err, l.held.Load())
	}
}

func TestDeadlock(t *testing.T) {
	for _, table := range []bool{false, true} {
		ctx := context.Background()
		l := NewLocks()
		lock := func(o *Owner, n uint64) error {
			if table && n == 1 {
				_, err := l.LockTable(ctx, o, 9)
				return err
			}
			_, err := l.LockRows(ctx, o, 1, []uint64{n}, Update)
			return err
		}
		var wg sync.WaitGroup
		errs := make([]error, 3)
		own := []*Owner{NewOwner(), NewOwner(), NewOwner()}
		for i, o := range own {
			if err := lock(o, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		for i, o := range own {
			wg.Add(1)
			go func() {
				defer wg.Done()
				errs[i] = lock(o, uint64(i+1)%3)
				l.Release(o)
			}()
		}
		wg.Wait()
		n := 0
		for _, err := range errs {
			if err != nil {
				n++
				if code(err) != sqlstate.DeadlockDetected {
					t.Fatal(err)
				}
			}
		}
		if n != 1 {
			t.Fatalf("%d of 3 were refused", n)
		}
	}
}

// TestTableUpgrade: who has rows locked and wants the table waits for the others that
// have, but not for those that wait for it itself.
func TestTableUpgrade(t *testing.T) {
	ctx := context.Background()
	l := NewLocks()
	a, b, c := NewOwner(), NewOwner(), NewOwner()
	for i, o := range []*Owner{a, c} {
		if _, err := l.LockRows(ctx, o, 1, []uint64{uint64(i)}, Update); err != nil {
			t.Fatal(err)
		}
	}
	queued := func(n int) {
		for {
			l.mu.Lock()
			is := len(l.tables[1].queue)
			l.mu.Unlock()
			if is == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	other, own := make(chan error, 1), make(chan error, 1)
	go func() { _, err := l.LockTable(ctx, b, 1); other <- err }()
	queued(1)
	go func() { _, err := l.LockTable(ctx, a, 1); own <- err }()
	select {
	case err := <-own:
		t.Fatal(err)
	case <-time.After(20 * time.Millisecond):
	}
	queued(2)
	l.Release(c)
	if err := <-own; err != nil {
		t.Fatal(err)
	}
	queued(1)
	l.Release(a)
	if err := <-other; err != nil {
		t.Fatal(err)
	}
	l.Release(b)
	if !l.None() || len(l.tables) != 0 {
		t.Fatal("locks are left")
	}
}

// TestManyKeys locks more rows than have entries of their own: others lock other rows, and
// wait for these; of two owners of so many one has a filter at a time.
func TestManyKeys(t *testing.T) {
	ctx := context.Background()
	l := NewLocks()
	many := func(o *Owner, from int) {
		hashes := make([]uint64, 2048)
		for i := 0; i <= maxKeys/len(hashes)+4; i++ {
			for k := range hashes {
				hashes[k] = uint64(from+i*len(hashes)+k) * 0x9e3779b97f4a7c15
			}
			if _, err := l.LockRows(ctx, o, 1, hashes, NoKeyUpdate); err != nil {
				t.Error(err)
			}
		}
	}
	key := func(k int) []uint64 { return []uint64{uint64(k) * 0x9e3779b97f4a7c15} }
	a, b, c := NewOwner(), NewOwner(), NewOwner()
	many(a, 0)
	if len(l.keys) > maxKeys+1 {
		t.Fatal(len(l.keys), "entries")
	}
	last := maxKeys + 4*2048
	wrong := 0
	for k := range 10000 {
		if _, blocked := l.Blocked(b, 1, key(1<<20+k), Update); blocked {
			wrong++
		}
	}
	if wrong > 10 {
		t.Fatal(wrong, "of 10,000 free rows seem to be locked")
	}
	for _, k := range []int{0, maxKeys - 1, maxKeys + 2048, last} {
		if row, blocked := l.Blocked(b, 1, append(key(1<<30), key(k)...), Update); !blocked || row != 1 {
			t.Fatal("row", k, "is not locked:", row, blocked)
		}
		if l.TryRow(c, 1, key(k)[0], Share) {
			t.Fatal("row", k, "is locked twice")
		}
		if _, err := l.LockRows(ctx, a, 1, key(k), Update); err != nil {
			t.Fatal(err)
		}
	}
	if waited, err := l.LockRows(ctx, c, 1, key(1<<30), Update); waited || err != nil {
		t.Fatal(waited, err)
	}
	// c waits for a row of a, b for the filter.
	h := key(last)
	free, second, third := make(chan error), make(chan struct{}), make(chan error)
	go func() { free <- l.WaitFree(ctx, b, 1, &h[0], Update) }()
	for l.Waits() < 1 {
		time.Sleep(time.Millisecond)
	}
	other := NewOwner()
	go func() { many(other, 1<<24); close(second) }()
	go func() { _, err := l.LockRows(ctx, c, 1, key(last-1), Update); third <- err }()
	for l.Waits() < 3 {
		time.Sleep(time.Millisecond)
	}
	if _, err := l.LockRows(ctx, a, 1, key(1<<30), Update); err == nil {
		t.Fatal("no deadlock")
	}
	l.ReleaseEarly(a, 7)
	select {
	case <-second:
		t.Fatal("two filters")
	case <-time.After(10 * time.Millisecond):
	}
	l.Release(a)
	<-second
	for _, ch := range []chan error{free, third} {
		if err := <-ch; err != nil {
			t.Fatal(err)
		}
	}
	if _, blocked := l.Blocked(a, 1, key(last), Update); blocked {
		t.Fatal("a row is locked still")
	}
	if _, blocked := l.Blocked(a, 1, key(1<<24+last), Update); !blocked {
		t.Fatal("a row is not locked")
	}
	l.Release(c)
	l.Release(other)
	if !l.None() || len(l.keys) != 0 || len(l.tables) != 0 {
		t.Fatal("locks are left")
	}
}

func TestWatermarks(t *testing.T) {
	var w Watermarks
	w.Start(10)
	w.Appended(12)
	w.Appended(15)
	w.Durable(15)
	w.Stamped(15)
	if w.Published() != 10 {
		t.Fatal("published over a commit that is not stamped")
	}
	old := w.Register(0, nil)
	w.Stamped(12)
	if w.Published() != 15 || w.Applied() != 15 {
		t.Fatal(w.Published())
	}
	w.Appended(20)
	w.Stamped(20)
	if at := w.Register(20, nil); at != 20 || w.Published() != 15 {
		t.Fatal(at, w.Published())
	}
	if o, live := w.Live(); o != 10 || fmt.Sprint(live) != "[10 15]" {
		t.Fatal(o, live)
	}
	done := make(chan struct{})
	go func() { w.WaitPublished(20, nil); close(done) }()
	w.Durable(20)
	<-done
	w.Release(old)
	w.Release(20)
	if o, live := w.Live(); o != 20 || len(live) != 1 {
		t.Fatal(o, live)
	}
	var _ storage.CSN = w.NewestAppended()
}

// TestManyTried locks many rows without a wait: they have no entries of their own either,
// but where another has the filter.
func TestManyTried(t *testing.T) {
	l := NewLocks()
	a, b := NewOwner(), NewOwner()
	hash := func(k int) uint64 { return uint64(k) * 0x9e3779b97f4a7c15 }
	const more = maxKeys + 5000
	for k := range more {
		if !l.TryRow(a, 1, hash(k), Update) {
			t.Fatal("row", k)
		}
	}
	if len(l.keys) > maxKeys+1 {
		t.Fatal(len(l.keys), "entries")
	}
	for _, k := range []int{0, maxKeys, more - 1} {
		if l.TryRow(b, 1, hash(k), Share) || !l.TryRow(a, 1, hash(k), Update) {
			t.Fatal("row", k)
		}
	}
	tried := 0
	for k := range more {
		if l.TryRow(b, 1, hash(1<<24+k), Update) {
			tried++
		}
	}
	if tried < more-more/100 {
		t.Fatal(tried, "of", more)
	}
	l.Release(a)
	if _, blocked := l.Blocked(a, 1, []uint64{hash(1<<24 + more - 1)}, Update); !blocked {
		t.Fatal("a row is not locked")
	}
	l.Release(b)
	if !l.None() || len(l.keys) != 0 || len(l.tables) != 0 {
		t.Fatal("locks are left")
	}
}
