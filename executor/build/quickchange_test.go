package build_test

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/tablet"
)

// TestQuickChangeBehind: a transaction that got a lock from a commit that is not on disk
// yet comes after it. A row of that commit as it was before is no reason for an error.
func TestQuickChangeBehind(t *testing.T) {
	ctx := context.Background()
	m := blob.NewMem()
	s, err := tablet.Open(m.Root(), tablet.Options{Shards: 1, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d := &database{store: s, txns: map[string]storage.Txn{}}
	for _, sql := range []string{
		"create table a (k int primary key, n int) with (orientation = 'row')",
		"create table b (k int primary key, n int not null) with (orientation = 'row')",
		"insert into a values (1, 0)",
		"insert into b values (1, 0), (2, 0)",
	} {
		t.Log(d.run(t, "", sql))
	}
	cat := s.Catalog()
	change := func(x storage.Txn, sql string) (int64, error) {
		stmts, err := parser.Parse(sql)
		if err != nil {
			return 0, err
		}
		st, err := planned(cat, stmts[0], sql)
		if err != nil {
			return 0, err
		}
		n, done, err := build.NewQuickChange(st).Run(ctx, &build.Env{Txn: x, Eval: &eval.Env{}}, s, cat, func(*catalog.Version) bool { return true }, nil)
		if !done {
			t.Errorf("%s: not done", sql)
		}
		return n, err
	}
	must := func(x storage.Txn, sql string) {
		t.Helper()
		if n, err := change(x, sql); n != 1 || err != nil {
			t.Fatalf("%s: %d rows, %v", sql, n, err)
		}
	}
	first, second := s.Begin(storage.TxnOptions{Explicit: true}), s.Begin(storage.TxnOptions{Explicit: true})
	defer second.Rollback()
	must(first, "update a set n = n + 1 where k = 1")
	must(first, "update b set n = 5 where k = 1")

	gate, came := make(chan struct{}), make(chan struct{}, 64)
	m.Inject(func(_ int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			came <- struct{}{}
			<-gate
		}
		return nil
	})
	committed := make(chan error, 1)
	go func() { _, err := first.Commit(ctx); committed <- err }()
	<-came
	must(second, "update a set n = n + 1 where k = 1")
	time.AfterFunc(30*time.Millisecond, func() { close(gate) })
	must(second, "update b set n = 100 / n where k = 1")
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	m.Inject(nil)
	if _, err := change(second, "update b set n = 100 / n where k = 2"); err == nil {
		t.Error("division by zero is no error")
	}
	if _, err := second.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := d.run(t, "", "select a.n, b.n from a, b where a.k = 1 and b.k = 1"); got != "2|20\nSELECT 1" {
		t.Error(got)
	}
}
