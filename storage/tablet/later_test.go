package tablet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// TestCommitLater commits without waiting, while the disk's syncs stand still: done is
// called when they go on, and the commit is published then.
func TestCommitLater(t *testing.T) {
	for _, o := range []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid} {
		t.Run(o, func(t *testing.T) { testCommitLater(t, o) })
	}
}

func testCommitLater(t *testing.T, orientation string) {
	m, s, tab := eightRows(t, orientation)
	defer s.Close()
	gate, came := make(chan struct{}), make(chan struct{}, 64)
	m.Inject(func(_ int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			came <- struct{}{}
			<-gate
		}
		return nil
	})
	write := func(op storage.Op, rows ...kv) storage.Txn {
		x := s.Begin(storage.TxnOptions{Unhindered: s.Unhindered()})
		if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: op, Rows: rowsBatch(tab, rows)}); err != nil {
			t.Fatal(err)
		}
		return x
	}
	told := make(chan int, 8)
	later := func(x storage.Txn, k int) bool { return x.(storage.LaterTxn).CommitLater(func() { told <- k }) }

	before := s.marks.Published()
	first, second, gone := write(storage.OpUpsert, kv{0, "b"}), write(storage.OpInsert, kv{100, "n"}), write(storage.OpUpsert, kv{2, "r"})
	for k, x := range []storage.Txn{first, second, gone} {
		if !later(x, k) {
			t.Fatalf("commit %d waits for something", k)
		}
	}
	if later(first, 9) {
		t.Error("a commit began twice")
	}
	// A key that is there, or locked, is for Commit to find out about.
	twice := write(storage.OpInsert, kv{100, "t"})
	if later(twice, 9) {
		t.Error("a duplicate is committed")
	}
	holder := s.Begin(storage.TxnOptions{Explicit: true})
	if _, err := holder.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, []kv{{5, "h"}})}); err != nil {
		t.Fatal(err)
	}
	blocked := write(storage.OpUpsert, kv{5, "w"})
	if later(blocked, 9) {
		t.Error("a locked key is written")
	}
	holder.Rollback()

	s.WriteOut(false)
	<-came
	if len(told) > 0 || s.marks.Published() != before {
		t.Fatal("a commit is published before it is on disk")
	}
	rolled := late(t, func() error { gone.Rollback(); return nil }) // it is in the log already
	close(gate)
	seen := map[int]bool{}
	for range 3 {
		seen[<-told] = true
	}
	if len(seen) != 3 || seen[9] || len(told) > 0 {
		t.Errorf("told of %v", seen)
	}
	if err := rolled(); err != nil {
		t.Error(err)
	}
	for _, x := range []storage.Txn{first, second, blocked} {
		early(t, func() error { _, err := x.Commit(bg); return err })
	}
	if _, err := twice.Commit(bg); err == nil || err.Error() == "" {
		t.Error("a duplicate is committed")
	}
	if !s.locks.None() {
		t.Error("locks are left")
	}
	if got, want := contents(t, s, tab), "0=b 100=n 1=a 2=r 3=a 4=a 5=w 6=a 7=a"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
}

// Commits beside each other, waiting and not, all count.
func TestCommitLaterTogether(t *testing.T) {
	_, s, tab := eightRows(t, catalog.OrientationHybrid)
	defer s.Close()
	const clients, each = 6, 60
	var wg sync.WaitGroup
	for k := range clients {
		wg.Go(func() {
			for i := range each {
				x := s.Begin(storage.TxnOptions{Unhindered: s.Unhindered()})
				row := []kv{{1000 + k*each + i, "x"}, {k % 3, fmt.Sprint(i)}}
				if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, row)}); err != nil {
					t.Error(err)
					return
				}
				if k > 0 {
					done := make(chan struct{})
					if x.(storage.LaterTxn).CommitLater(func() { close(done) }) {
						s.WriteOut(k%2 == 0)
						<-done
					}
				}
				if _, err := x.Commit(bg); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := strings.Count(contents(t, s, tab), "="); n != 8+clients*each {
		t.Errorf("%d rows, want %d", n, 8+clients*each)
	}
}

// A commit that is under way when the disk is full or fails is told of, and has failed.
func TestCommitLaterFails(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		m := blob.NewMem()
		o := testOptions()
		failed := make(chan error, 8)
		o.Fatal = func(err error) { failed <- err }
		s, err := Open(m.Root(), o)
		if err != nil {
			t.Fatal(err)
		}
		tab := create(t, s, "kv", true)
		m.Inject(func(_ int64, op blob.OpKind, _ string) error {
			if op == blob.OpSync {
				return fault
			}
			return nil
		})
		x := s.Begin(storage.TxnOptions{Unhindered: s.Unhindered()})
		if err := insert(x, tab, kv{1, "a"}); err != nil {
			t.Fatal(err)
		}
		told := make(chan struct{}, 2)
		if !x.(storage.LaterTxn).CommitLater(func() { told <- struct{}{} }) {
			t.Fatal("the commit waits for something")
		}
		s.WriteOut(true)
		<-told
		<-failed
		want := sqlstate.IOError
		if fault == syscall.ENOSPC {
			want = sqlstate.DiskFull
		}
		if _, err := x.Commit(bg); sqlstate.CodeOf(err) != want {
			t.Errorf("%v: the commit ends with %v", fault, err)
		}
		if !s.locks.None() {
			t.Error("locks are left")
		}
		if got := contents(t, s, tab); got != "" {
			t.Errorf("rows %s", got)
		}
		m.Inject(nil)
		_ = s.Close()
	}
}

// Who must not wait does not: neither for a latch nor, with its first write, for memory.
func TestCommitLaterWaitsForNothing(t *testing.T) {
	_, s, tab := eightRows(t, catalog.OrientationHybrid)
	defer s.Close()
	x := s.Begin(storage.TxnOptions{Unhindered: s.Unhindered()})
	if err := insert(x, tab, kv{100, "n"}); err != nil {
		t.Fatal(err)
	}
	later := func() bool {
		return x.(storage.LaterTxn).CommitLater(func() { t.Error("told of a commit that did not begin") })
	}
	for _, sh := range s.table(tab.OID).current() {
		sh.latch.Lock()
	}
	early(t, func() error {
		if later() {
			t.Error("a commit has begun without the latch")
		}
		return nil
	})
	for _, sh := range s.table(tab.OID).current() {
		sh.latch.Unlock()
	}
	if _, err := x.Commit(bg); err != nil {
		t.Error(err)
	}

	s.opts.Manual, s.opts.MemoryLimit = false, 1
	if s.writes.Store(63); s.Unhindered() || !s.pressed.Load() || s.Unhindered() {
		t.Error("there is room for more")
	}
	y := s.Begin(storage.TxnOptions{Unhindered: true})
	defer y.Rollback()
	early(t, func() error { return insert(y, tab, kv{101, "n"}) })
	ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
	defer cancel()
	m := &storage.Mutation{Table: tab, Op: storage.OpInsert, Rows: rowsBatch(tab, []kv{{102, "n"}})}
	if _, err := y.Write(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second write ends with %v", err)
	}
	s.opts.Manual = true
}
