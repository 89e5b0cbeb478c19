package txn

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// lockTest runs locks that wait beside the test.
type lockTest struct {
	t   *testing.T
	l   *Locks
	ctx context.Context
}

func newLockTest(t *testing.T) *lockTest {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return &lockTest{t, NewLocks(), ctx}
}

// now locks without a wait.
func (x *lockTest) now(o *Owner, row uint64, m Mode) {
	x.t.Helper()
	if waited, err := x.l.LockRows(x.ctx, o, 1, []uint64{row}, m); waited || err != nil {
		x.t.Fatalf("row %d: waited %v, %v", row, waited, err)
	}
}

// waits begins f, which must wait; the channel has its end.
func (x *lockTest) waits(f func() (bool, error)) chan error {
	x.t.Helper()
	before := x.l.Waits()
	done := make(chan error, 1)
	go func() { _, err := f(); done <- err }()
	for x.l.Waits() == before {
		select {
		case err := <-done:
			x.t.Fatalf("it did not wait: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	return done
}

func (x *lockTest) rowWaits(o *Owner, row uint64, m Mode) chan error {
	x.t.Helper()
	return x.waits(func() (bool, error) { return x.l.LockRows(x.ctx, o, 1, []uint64{row}, m) })
}

func (x *lockTest) gets(done chan error) {
	x.t.Helper()
	if err := <-done; err != nil {
		x.t.Fatal(err)
	}
}

// over releases all and sees that nothing is left.
func (x *lockTest) over(os ...*Owner) {
	x.t.Helper()
	for _, o := range os {
		x.l.Release(o)
	}
	if !x.l.None() || len(x.l.keys)+len(x.l.tables)+len(x.l.waiting) != 0 {
		x.t.Fatal("locks are left")
	}
}

// TestInLine: who comes stands behind those that wait, though it could stand beside the
// holders, and goes on when who stood before it gives up.
func TestInLine(t *testing.T) {
	x := newLockTest(t)
	a, b, c := NewOwner(), NewOwner(), NewOwner()
	x.now(a, 1, Share)
	brief, giveUp := context.WithCancel(x.ctx)
	second := x.waits(func() (bool, error) { return x.l.LockRows(brief, b, 1, []uint64{1}, Update) })
	if x.l.TryRow(c, 1, 1, Share) {
		t.Fatal("it went ahead of one that waits")
	}
	third := x.rowWaits(c, 1, Share)
	giveUp()
	if err := <-second; err != context.Canceled {
		t.Fatal(err)
	}
	x.gets(third)
	x.over(a, b, c)
}

// TestTableInLine is the same of tables.
func TestTableInLine(t *testing.T) {
	x := newLockTest(t)
	a, b, c := NewOwner(), NewOwner(), NewOwner()
	x.now(a, 1, Update)
	brief, giveUp := context.WithCancel(x.ctx)
	second := x.waits(func() (bool, error) { return x.l.LockTable(brief, b, 1) })
	if x.l.TryRow(c, 1, 2, Update) {
		t.Fatal("it went ahead of one that waits")
	}
	third := x.rowWaits(c, 2, Update)
	giveUp()
	if err := <-second; err != context.Canceled {
		t.Fatal(err)
	}
	x.gets(third)
	x.over(a, b, c)
}

// TestUpgradeGoesFirst: who wants more of what it has does not wait for those in line,
// who wait for it.
func TestUpgradeGoesFirst(t *testing.T) {
	x := newLockTest(t)
	a, b, c := NewOwner(), NewOwner(), NewOwner()
	x.now(a, 1, KeyShare)
	x.now(c, 1, KeyShare)
	second := x.rowWaits(b, 1, Update)
	first := x.rowWaits(a, 1, Update)
	x.l.Release(c)
	x.gets(first)
	if x.l.TryRow(c, 1, 1, KeyShare) {
		t.Fatal("beside an update")
	}
	x.l.Release(a)
	x.gets(second)
	x.over(a, b, c)
}

// TestDeadlockInLine: a circle goes over one who is only ahead in the line.
func TestDeadlockInLine(t *testing.T) {
	x := newLockTest(t)
	a, b, c := NewOwner(), NewOwner(), NewOwner()
	x.now(a, 1, Share)
	x.now(c, 2, Update)
	second := x.rowWaits(b, 1, Update)
	third := x.rowWaits(c, 1, Share)
	if _, err := x.l.LockRows(x.ctx, a, 1, []uint64{2}, Update); code(err) != sqlstate.DeadlockDetected {
		t.Fatal(err)
	}
	x.l.Release(a)
	x.gets(second)
	x.l.Release(b)
	x.gets(third)
	x.over(a, b, c)
}

// TestAfter: who gets a key that was let go of early knows the newest commit that did,
// in whatever way it gets it.
func TestAfter(t *testing.T) {
	is := func(o *Owner, want storage.CSN) {
		t.Helper()
		if o.After() != want {
			t.Fatalf("after %d, want %d", o.After(), want)
		}
	}
	x := newLockTest(t)
	a, b, c, d, e := NewOwner(), NewOwner(), NewOwner(), NewOwner(), NewOwner()
	x.now(a, 1, Update)
	x.l.ReleaseEarly(a, 10)
	x.now(b, 1, Share) // free
	is(b, 10)
	x.now(c, 1, Share) // beside another
	is(c, 10)
	x.l.ReleaseEarly(c, 20)
	x.now(d, 1, Share) // beside one that is older
	is(d, 20)
	x.l.ReleaseEarly(b, 15)
	x.now(e, 1, KeyShare)
	is(e, 20)
	stronger := x.rowWaits(e, 1, Update)
	x.l.ReleaseEarly(d, 30)
	x.gets(stronger) // more of what it has, after a wait
	is(e, 30)
	f := NewOwner()
	waited := x.rowWaits(f, 1, Update)
	x.l.ReleaseEarly(e, 40)
	x.gets(waited)
	is(f, 40)
	is(a, 0)
	g := NewOwner()
	x.now(g, 2, Update) // another key
	is(g, 0)
	x.over(a, b, c, d, e, f, g)
}
