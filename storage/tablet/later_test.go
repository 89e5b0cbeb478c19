package tablet

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/catalog"
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
	if s.locks.None() == false {
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
