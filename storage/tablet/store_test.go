package tablet

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/wal"
)

var bg = context.Background()

func testOptions() Options {
	return Options{Shards: 2, Manual: true, RowRunsFrom: 4, Logger: slog.New(slog.DiscardHandler), Clock: func() time.Time { return time.Unix(1e9, 0) }}
}

func openMem(t testing.TB, m *blob.Mem) *Store { return openSpilling(t, m, 0) }

// openSpilling is openMem for sets that go to side files above a size; 0: the default.
func openSpilling(t testing.TB, m *blob.Mem, spill int64) *Store {
	t.Helper()
	o := testOptions()
	if spill > 0 {
		o.Limits.SpillBytes, o.Limits.FlushBytes = spill, spill
	}
	o.Fatal = func(err error) {
		if !m.Crashed() { // what runs in the background may meet the disk's end
			t.Errorf("fatal: %v", err)
		}
	}
	s, err := Open(m.Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kvTable is a table (k int4 primary key, v text), or one without a key.
func kvTable(s *Store, x storage.Txn, name string, pk bool) *catalog.Table {
	oid := x.AllocOIDs(4)
	t := &catalog.Table{OID: oid, Schema: catalog.PublicSchemaOID, Name: name, Owner: 10, Shards: s.opts.Shards,
		Columns:      []catalog.Column{{ID: 1, Attr: 1, Name: "k", T: types.Int4, NotNull: pk}, {ID: 2, Attr: 2, Name: "v", T: types.Text}},
		NextColumnID: 3, SchemaVersion: 1, PKName: name + "_pkey"}
	if pk {
		t.PK = []int{0}
	}
	return t
}

func create(t testing.TB, s *Store, name string, pk bool) *catalog.Table {
	t.Helper()
	return createWith(t, s, name, pk, nil)
}

// createWith is create with properties.
func createWith(t testing.TB, s *Store, name string, pk bool, props map[string]string) *catalog.Table {
	t.Helper()
	x := s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	tab := kvTable(s, x, name, pk)
	tab.Props = props
	if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: tab}, NextOID: tab.OID + 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(bg); err != nil {
		t.Fatal(err)
	}
	return s.Catalog().TableNamed(catalog.PublicSchemaOID, name)
}

type kv struct {
	k int
	v string
}

func rowsBatch(t *catalog.Table, rows []kv) *vec.Batch {
	b := vec.NewBatch(t.Types())
	for _, r := range rows {
		b.Cols[0].AppendDatum(types.NewInt(int64(r.k)))
		b.Cols[1].AppendString(r.v)
		for i := 2; i < len(t.Columns); i++ {
			b.Cols[i].AppendDatum(types.NewInt(int64(r.k)))
		}
	}
	b.N = len(rows)
	return b
}

func insert(x storage.Txn, t *catalog.Table, rows ...kv) error {
	_, err := x.Write(bg, &storage.Mutation{Table: t, Op: storage.OpInsert, Rows: rowsBatch(t, rows)})
	return err
}

// scan reads a table as sorted "k=v" strings, and per row its key and commit.
func scan(t testing.TB, n storage.Snapshot, tab *catalog.Table) (out []string, keys []int64, csns []int64) {
	t.Helper()
	r, err := n.Relation(tab)
	if err != nil {
		t.Fatal(err)
	}
	spec := &catalog.ScanSpec{Cols: []int{0, 1, catalog.ColCSN}, Limit: -1}
	if len(tab.PK) == 0 {
		spec.Cols = append(spec.Cols, catalog.ColRowID)
	}
	each(t, r, spec, func(b *vec.Batch, i int) {
		d := b.Cols[1].Datum(i)
		s := d.S
		if !d.Valid {
			s = "NULL"
		}
		out = append(out, fmt.Sprintf("%d=%s", b.Cols[0].Datum(i).I, s))
		key := b.Cols[0].Datum(i).I
		if len(tab.PK) == 0 {
			key = b.Cols[3].Datum(i).I
		}
		keys = append(keys, key)
		csns = append(csns, b.Cols[2].Datum(i).I)
	})
	return out, keys, csns
}

// each reads a relation and calls f for its rows: row i of b.
func each(t testing.TB, r storage.Relation, spec *catalog.ScanSpec, f func(b *vec.Batch, i int)) {
	t.Helper()
	splits, _, err := r.Splits(bg, spec)
	if err != nil {
		t.Fatal(err)
	}
	rd, err := r.Reader(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	for _, sp := range splits {
		if err := rd.Open(sp); err != nil {
			t.Fatal(err)
		}
		for {
			b, err := rd.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			for k := range b.Rows() {
				f(b, b.Row(k))
			}
		}
	}
}

func contents(t testing.TB, s *Store, tab *catalog.Table) string {
	t.Helper()
	n := s.Snapshot()
	defer n.Close()
	out, _, _ := scan(t, n, tab)
	sort.Strings(out)
	return strings.Join(out, " ")
}

func TestSmoke(t *testing.T) {
	m := blob.NewMem()
	s := openMem(t, m)
	for _, pk := range []bool{true, false} {
		name := fmt.Sprintf("t%v", pk)
		tab := create(t, s, name, pk)
		x := s.Begin(storage.TxnOptions{})
		if err := insert(x, tab, kv{1, "one"}, kv{2, "two"}, kv{3, "a string that is longer than twelve bytes"}); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, s, tab); got != "" {
			t.Fatalf("uncommitted rows are visible: %s", got)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
		want := "1=one 2=two 3=a string that is longer than twelve bytes"
		if got := contents(t, s, tab); got != want {
			t.Fatalf("%s", got)
		}
		if pk {
			x := s.Begin(storage.TxnOptions{})
			insert(x, tab, kv{7, "seven"}, kv{2, "again"})
			_, err := x.Commit(bg)
			if err == nil || err.Error() != `duplicate key value violates unique constraint "ttrue_pkey"` {
				t.Fatal(err)
			}
			if got := contents(t, s, tab); got != want {
				t.Fatalf("%s", got)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openMem(t, m.Crash(1))
	for _, name := range []string{"ttrue", "tfalse"} {
		tab := s.Catalog().TableNamed(catalog.PublicSchemaOID, name)
		if got := contents(t, s, tab); got != "1=one 2=two 3=a string that is longer than twelve bytes" {
			t.Fatalf("after recovery: %s", got)
		}
	}
	s.Close()
}

// FuzzManifest reads manifests of any bytes, with checksums that would be right: an
// error, or a state that can be written again and says the same.
func FuzzManifest(f *testing.F) {
	frame := func(edits ...*edit) []byte {
		b := []byte(manifestHeader)
		for _, e := range edits {
			p, err := appendManifestFrame(nil, e)
			if err != nil {
				f.Fatal(err)
			}
			b = append(b, p...)
		}
		return b
	}
	add := &edit{Table: 16384, Shard: 1, Gen: 7, F: 9, Add: []column.SegmentInfo{{File: "000000000001.seg", Size: 100, Rows: 3, Settled: true}}, Deletes: "000000000002.del"}
	whole := frame(&edit{Table: 16384, Gen: 7, Switch: true, F: 7}, add, &edit{Table: 16384, Shard: 1, Gen: 7, F: 12, Drop: []string{"000000000001.seg"}}, &edit{Table: 3, Dropped: true})
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte(manifestHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		for off := len(manifestHeader); off+8 <= len(b); {
			n := int(binary.LittleEndian.Uint32(b[off:]))
			if n > len(b)-off-8 {
				break
			}
			binary.LittleEndian.PutUint32(b[off+4:], wal.Checksum(b[off+8:off+8+n]))
			off += 8 + n
		}
		m := &manifest{state: manifestState{}}
		if m.read(b) != nil {
			return
		}
		again := &manifest{state: manifestState{}}
		if err := again.read(frame(m.state.edits()...)); err != nil {
			t.Fatalf("own bytes: %v", err)
		}
		if !reflect.DeepEqual(m.state.files(), again.state.files()) || m.state.covered() != again.state.covered() {
			t.Fatal("written again it says something else")
		}
	})
}
