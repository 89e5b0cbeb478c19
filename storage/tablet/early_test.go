package tablet

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestEarlyLocks commits while the disk's syncs stand still. Others get the keys at
// once and go on from what the commit wrote; all that would tell of it waits.
func TestEarlyLocks(t *testing.T) {
	for _, o := range []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid} {
		t.Run(o, func(t *testing.T) { testEarlyLocks(t, o) })
	}
}

func testEarlyLocks(t *testing.T, orientation string) {
	m, s, tab := eightRows(t, orientation)
	defer s.Close()
	var all []storage.Txn
	begin := func(iso storage.Isolation) storage.Txn {
		x := s.Begin(storage.TxnOptions{Explicit: true, Isolation: iso})
		all = append(all, x)
		return x
	}
	write := func(x storage.Txn, m *storage.Mutation) func() error {
		return func() error { _, err := x.Write(bg, m); return err }
	}
	rc := storage.ReadCommitted

	repeatable := begin(storage.RepeatableRead)
	snap, err := repeatable.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	snap.Close()

	gate, came := make(chan struct{}), make(chan struct{}, 64)
	m.Inject(func(_ int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			came <- struct{}{}
			<-gate
		}
		return nil
	})
	first := begin(rc)
	for k := range 7 {
		early(t, write(first, appendTo(s, tab, k, "x", true)))
	}
	firstEnds := late(t, func() error { _, err := first.Commit(bg); return err })
	<-came

	second, other := begin(rc), begin(rc)
	early(t, write(second, appendTo(s, tab, 0, "y", true)))
	early(t, write(second, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, []kv{{1, "z"}})}))
	early(t, write(other, appendTo(s, tab, 7, "o", false))) // a row that is not of the first
	if n, err := other.Snapshot(); err != nil {
		t.Fatal(err)
	} else {
		n.Close()
	}
	gone := appendTo(s, tab, 2, "", true)
	gone.Resolve = func(context.Context, *vec.Batch) (*vec.Batch, []uint16, error) { return nil, nil, nil }
	key := vec.NewBatch([]types.T{types.Int4})
	key.Cols[0].AppendDatum(types.NewInt(4))
	key.N = 1
	locker := begin(rc)
	waits := map[string]func() error{
		"a snapshot":           late(t, func() error { _, err := second.Snapshot(); return err }),
		"a count that is less": late(t, write(begin(rc), gone)),
		"an update that tells": late(t, write(begin(rc), appendTo(s, tab, 3, "t", false))),
		"FOR UPDATE": late(t, func() error {
			return locker.LockRows(bg, &storage.RowLock{Table: tab, Keys: key, Mode: storage.ForUpdate})
		}),
		"a duplicate":            late(t, write(begin(rc), &storage.Mutation{Table: tab, Op: storage.OpInsert, Rows: rowsBatch(tab, []kv{{5, ""}})})),
		"an update that is late": late(t, write(repeatable, appendTo(s, tab, 6, "r", true))),
	}
	if got := contents(t, s, tab); got != "0=a 1=a 2=a 3=a 4=a 5=a 6=a 7=a" {
		t.Errorf("seen before it is on disk: %s", got)
	}
	close(gate)
	if err := firstEnds(); err != nil {
		t.Fatal(err)
	}
	codes := map[string]sqlstate.Code{"a duplicate": sqlstate.UniqueViolation, "an update that is late": sqlstate.SerializationFailure}
	for what, end := range waits {
		if err := end(); err == nil && codes[what] != "" || err != nil && sqlstate.CodeOf(err) != codes[what] {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := contents(t, s, tab); got != "0=ax 1=ax 2=ax 3=ax 4=ax 5=ax 6=ax 7=a" {
		t.Errorf("of the first: %s", got)
	}
	if _, err := second.Commit(bg); err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		x.Rollback()
	}
	if got := contents(t, s, tab); got != "0=axy 1=z 2=ax 3=ax 4=ax 5=ax 6=ax 7=a" {
		t.Errorf("of the second: %s", got)
	}
}

// TestMetUnderLocks finds rows under locks whose commits are not on disk yet, and which
// nobody let go of early for: written without locks, beside a weaker lock, or found once
// more after a savepoint was rolled back to. What tells of them waits.
func TestMetUnderLocks(t *testing.T) {
	for _, o := range []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid} {
		t.Run(o, func(t *testing.T) { testMetUnderLocks(t, o) })
	}
}

func testMetUnderLocks(t *testing.T, orientation string) {
	m, s, tab := eightRows(t, orientation)
	defer s.Close()
	var all []storage.Txn
	begin := func() storage.Txn {
		x := s.Begin(storage.TxnOptions{Explicit: true})
		all = append(all, x)
		return x
	}
	write := func(x storage.Txn, m *storage.Mutation) func() error {
		return func() error { _, err := x.Write(bg, m); return err }
	}
	lock := func(x storage.Txn, k int, mode storage.LockMode) func() error {
		keys := vec.NewBatch([]types.T{types.Int4})
		keys.Cols[0].AppendDatum(types.NewInt(int64(k)))
		keys.N = 1
		old := vec.New(types.Int8, 1)
		old.AppendDatum(types.NewInt(1)) // of a row that was read
		return func() error {
			return x.LockRows(bg, &storage.RowLock{Table: tab, Keys: keys, OldCSN: old, Mode: mode})
		}
	}
	weak := begin()
	early(t, lock(weak, 5, storage.ForKeyShare))

	gate, came := make(chan struct{}), make(chan struct{}, 64)
	m.Inject(func(_ int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			came <- struct{}{}
			<-gate
		}
		return nil
	})
	// Statements by themselves that lock nothing.
	upsert, remove := s.Begin(storage.TxnOptions{}), s.Begin(storage.TxnOptions{})
	early(t, write(upsert, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, []kv{{0, "u"}, {1, "u"}, {2, "u"}})}))
	upsertEnds := late(t, func() error { _, err := upsert.Commit(bg); return err })
	<-came
	early(t, write(remove, &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: &vec.Batch{Cols: rowsBatch(tab, []kv{{3, ""}, {4, ""}}).Cols[:1], N: 2}}))
	removeEnds := late(t, func() error { _, err := remove.Commit(bg); return err })
	// One that locks.
	locks := begin()
	early(t, write(locks, appendTo(s, tab, 5, "x", true)))
	early(t, write(locks, appendTo(s, tab, 6, "x", true)))
	locksEnds := late(t, func() error { _, err := locks.Commit(bg); return err })

	silent, back := begin(), begin()
	early(t, write(silent, appendTo(s, tab, 2, "s", true)))
	mark := back.Savepoint()
	early(t, write(back, appendTo(s, tab, 6, "s", true)))
	if err := back.RollbackTo(mark); err != nil {
		t.Fatal(err)
	}
	var counted int64
	removed, gone := begin(), appendTo(s, tab, 3, "t", false)
	ends := map[string]func() error{
		"FOR UPDATE":                 late(t, lock(begin(), 0, storage.ForUpdate)),
		"an update that tells":       late(t, write(begin(), appendTo(s, tab, 1, "t", false))),
		"a snapshot":                 late(t, func() error { _, err := silent.Snapshot(); return err }),
		"an update of what is gone":  late(t, func() (err error) { counted, err = removed.Write(bg, gone); return err }),
		"FOR UPDATE of what is gone": late(t, lock(begin(), 4, storage.ForUpdate)),
		"a lock that was had":        late(t, lock(weak, 5, storage.ForKeyShare)),
		"an update once more":        late(t, write(back, appendTo(s, tab, 6, "t", false))),
	}
	close(gate)
	for what, end := range ends {
		if err := end(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, end := range []func() error{upsertEnds, removeEnds, locksEnds} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if counted != 0 {
		t.Errorf("%d rows that are gone were updated", counted)
	}
	for _, x := range []storage.Txn{silent, back} {
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range all {
		x.Rollback()
	}
	if got := contents(t, s, tab); got != "0=u 1=u 2=us 5=ax 6=axt 7=a" {
		t.Errorf("in the end: %s", got)
	}
}

// TestWaitsLend: whatever waits for others' commits to be on disk, or for their locks,
// says so while it waits, and what does not wait says nothing.
func TestWaitsLend(t *testing.T) {
	m, s, tab := eightRows(t, catalog.OrientationRow)
	defer s.Close()
	var mu sync.Mutex
	var begun, ended int
	ctx := storage.WhileWaiting(bg, func() func() {
		mu.Lock()
		defer mu.Unlock()
		begun++
		return func() { mu.Lock(); ended++; mu.Unlock() }
	})
	waits := func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return begun, ended
	}
	until := func(what string, want int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if b, _ := waits(); b == want {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%s: %d waits have begun, want %d", what, b, want)
			}
		}
	}
	gate, came := make(chan struct{}), make(chan struct{}, 64)
	free := sync.OnceFunc(func() { close(gate) })
	defer free()
	m.Inject(func(_ int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			came <- struct{}{}
			<-gate
		}
		return nil
	})
	begin := func() storage.Txn { return s.Begin(storage.TxnOptions{Explicit: true}) }
	first := begin()
	for k := range 3 {
		early(t, func() error { _, err := first.Write(bg, appendTo(s, tab, k, "x", true)); return err })
	}
	firstEnds := late(t, func() error { _, err := first.Commit(bg); return err })
	<-came
	silent, tells, locked, other := begin(), begin(), begin(), begin()
	for _, x := range []storage.Txn{silent, tells, locked, other} {
		defer x.Rollback()
	}
	early(t, func() error { _, err := silent.Write(ctx, appendTo(s, tab, 0, "y", true)); return err })
	if b, e := waits(); b != 0 || e != 0 {
		t.Errorf("%d waits of an update that tells nothing", b)
	}
	done := make(chan error, 2)
	go func() { _, err := tells.Write(ctx, appendTo(s, tab, 1, "t", false)); done <- err }()
	until("an update that tells", 1)
	early(t, func() error { _, err := locked.Write(bg, appendTo(s, tab, 7, "l", true)); return err })
	go func() { _, err := other.Write(ctx, appendTo(s, tab, 7, "o", true)); done <- err }()
	until("a lock", 2)
	if _, e := waits(); e != 0 {
		t.Errorf("%d waits have ended", e)
	}
	locked.Rollback()
	free()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := firstEnds(); err != nil {
		t.Error(err)
	}
	if b, e := waits(); b != 2 || e != 2 {
		t.Errorf("%d waits begun, %d ended", b, e)
	}
}

// appendTo is an update that appends to v, of a row that was read as "a" from what is
// published.
func appendTo(s *Store, t *catalog.Table, k int, add string, silent bool) *storage.Mutation {
	rows := rowsBatch(t, []kv{{k, "a" + add}})
	at := s.marks.Published()
	read := vec.New(types.Int8, 1)
	read.AppendDatum(types.NewInt(int64(at)))
	return &storage.Mutation{Table: t, Op: storage.OpUpdate, Keys: &vec.Batch{Cols: rows.Cols[:1], N: 1}, OldCSN: read,
		Rows: rows, Lock: true, Silent: silent, ReadAt: at,
		Resolve: func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
			return rowsBatch(t, []kv{{k, old.Cols[1].Datum(0).S + add}}), []uint16{0}, nil
		}}
}

// early runs what must not wait for the disk.
func early(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("waits for the disk")
	}
}

// late begins what must wait for the disk; ended is how it ends.
func late(t *testing.T, f func() error) (ended func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		t.Errorf("does not wait for the disk: %v", err)
		done <- err
	case <-time.After(30 * time.Millisecond):
	}
	return func() error { return <-done }
}

// eightRows opens a store in memory with a table of the keys 0 to 7, each with an a.
func eightRows(t *testing.T, orientation string) (*blob.Mem, *Store, *catalog.Table) {
	m := blob.NewMem()
	s := openMem(t, m)
	tab := createWith(t, s, "kv", true, map[string]string{"orientation": orientation})
	x := s.Begin(storage.TxnOptions{})
	var rows []kv
	for k := range 8 {
		rows = append(rows, kv{k, "a"})
	}
	if err := insert(x, tab, rows...); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(bg); err != nil {
		t.Fatal(err)
	}
	return m, s, tab
}
