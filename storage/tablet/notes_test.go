package tablet

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestNotes commits notes alone, with rows and with DDL, and finds them after
// savepoints, a crash and a flush.
func TestNotes(t *testing.T) {
	m := blob.NewMem()
	s := openMem(t, m)
	tab := create(t, s, "t", true)
	number := s.Catalog().Number
	check := func(want string) {
		t.Helper()
		got, err := s.Notes("sub/")
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != want {
			t.Fatalf("got %v, want %s", got, want)
		}
	}
	commit := func(f func(x storage.Txn)) {
		t.Helper()
		x := s.Begin(storage.TxnOptions{})
		defer x.Rollback()
		f(x)
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	commit(func(x storage.Txn) { x.Note("sub/1/a", []byte("x")); x.Note("other", []byte("o")) })
	commit(func(x storage.Txn) {
		rows := vec.NewBatch(tab.Types())
		rows.Cols[0].I32, rows.Cols[0].N = append(rows.Cols[0].I32[:0], 7), 1
		rows.Cols[1].AppendString("seven")
		rows.N = 1
		if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rows}); err != nil {
			t.Fatal(err)
		}
		x.Note("sub/1/b", []byte("y"))
		mark := x.Savepoint()
		x.Note("sub/1/b", []byte("z"))
		x.Note("sub/1/c", []byte("z"))
		if err := x.RollbackTo(mark); err != nil {
			t.Fatal(err)
		}
	})
	if n := s.Catalog().Number; n != number {
		t.Fatalf("notes made catalog version %d of %d", n, number)
	}
	check("map[sub/1/a:[120] sub/1/b:[121]]")
	x := s.Begin(storage.TxnOptions{})
	x.Note("sub/1/a", []byte("lost"))
	x.Rollback()

	reopen := func() {
		t.Helper()
		m.Stop()
		m = m.Crash(1)
		s = openMem(t, m)
	}
	reopen()
	check("map[sub/1/a:[120] sub/1/b:[121]]")
	commit(func(x storage.Txn) {
		x.Note("sub/1/a", nil)
		x.Note("sub/2", []byte{})
		d := kvTable(s, x, "u", false)
		if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{d.OID: d}, NextOID: d.OID + 4}); err != nil {
			t.Fatal(err)
		}
	})
	check("map[sub/1/b:[121] sub/2:[]]")
	reopen()
	check("map[sub/1/b:[121] sub/2:[]]")
	if err := s.Flush(bg); err != nil {
		t.Fatal(err)
	}
	commit(func(x storage.Txn) { x.Note("sub/1/b", []byte("w")) })
	reopen()
	check("map[sub/1/b:[119] sub/2:[]]")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
