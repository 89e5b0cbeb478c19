package tablet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// keysFileStore opens a store whose large sets are small, and leave few keys in memory.
func keysFileStore(t testing.TB, m *blob.Mem) *Store {
	t.Helper()
	o := testOptions()
	o.Limits.SpillBytes, o.Limits.FlushBytes = 4<<10, 16<<10
	o.MemoryLimit = 2 << 20
	o.Fatal = func(err error) {
		if !m.Crashed() {
			t.Errorf("fatal: %v", err)
		}
	}
	s, err := Open(m.Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const keysFileRows = 3000

// keysFileTable is a table of rows in several files and in memory.
func keysFileTable(t testing.TB, s *Store, orientation string, logged, pk bool) *catalog.Table {
	t.Helper()
	props := map[string]string{"orientation": orientation}
	if logged {
		props["binlog.level"] = "replica"
	}
	tab := createWith(t, s, "t", pk, props)
	for part := range 3 {
		x := s.Begin(storage.TxnOptions{})
		rows := make([]kv, keysFileRows/3)
		for i := range rows {
			rows[i] = kv{part*len(rows) + i, fmt.Sprint("row ", i)}
		}
		if err := insert(x, tab, rows...); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
		if part < 2 {
			if err := s.Flush(bg); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tab
}

// largeChange begins a statement that updates or deletes the rows that it reads, but for
// one in seven. between runs after it has read them; the table must then be what want says.
func largeChange(t testing.TB, s *Store, tab *catalog.Table, op storage.Op, between func()) (x storage.Txn, want string, err error) {
	t.Helper()
	x = s.Begin(storage.TxnOptions{})
	n, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	got, keys, csns := scan(t, n, tab)
	between()
	var after []string
	keyType := types.Int8 // a row id
	if len(tab.PK) > 0 {
		keyType = types.Int4
	}
	m := &storage.Mutation{}
	write := func() {
		if m.Keys != nil && err == nil {
			m.Keys.N = m.Keys.Cols[0].N
			if m.Rows != nil {
				m.Rows.N = m.Keys.N
			}
			_, err = x.Write(bg, m)
		}
		m = &storage.Mutation{Table: tab, Op: op, Keys: vec.NewBatch([]types.T{keyType}), OldCSN: vec.New(types.Int8, 300)}
		if op == storage.OpUpdate {
			m.Rows = vec.NewBatch(tab.Types())
		}
	}
	write()
	for i, row := range got {
		k, v, _ := strings.Cut(row, "=")
		if i%7 == 0 {
			after = append(after, row)
			continue
		}
		if m.Keys.Cols[0].N == 300 {
			write()
		}
		m.Keys.Cols[0].AppendDatum(types.NewInt(keys[i]))
		m.OldCSN.AppendDatum(types.NewInt(csns[i]))
		if op == storage.OpUpdate {
			var num int64
			fmt.Sscan(k, &num)
			m.Rows.Cols[0].AppendDatum(types.NewInt(num))
			m.Rows.Cols[1].AppendString(v + " new")
			after = append(after, row+" new")
		}
	}
	write()
	slices.Sort(after)
	return x, strings.Join(after, " "), err
}

// leftovers are files of the data directory that the manifest does not name.
func leftovers(t testing.TB, s *Store) (names []string) {
	t.Helper()
	infos, err := s.data.List()
	if err != nil {
		t.Fatal(err)
	}
	known := s.man.state.files()
	for _, in := range infos {
		if !known[in.Name] && strings.HasSuffix(in.Name, ".seg") {
			names = append(names, in.Name)
		}
	}
	return names
}

// TestKeysFileCrash stops the disk in the middle of the commit of a large change: it is
// there as a whole afterwards or not at all, its binlog with it, and the files with its
// keys go when a checkpoint has it.
func TestKeysFileCrash(t *testing.T) {
	for _, c := range []struct {
		orientation string
		logged      bool
		op          storage.Op
		pk          bool
	}{
		{catalog.OrientationColumn, true, storage.OpUpdate, true},
		{catalog.OrientationColumn, false, storage.OpDelete, true},
		{catalog.OrientationColumn, true, storage.OpDelete, false},
		{catalog.OrientationColumn, false, storage.OpUpdate, false},
		{catalog.OrientationHybrid, false, storage.OpUpdate, true},
		{catalog.OrientationHybrid, true, storage.OpDelete, true},
	} {
		t.Run(fmt.Sprintf("%s,logged=%v,%s,pk=%v", c.orientation, c.logged, opName(c.op), c.pk), func(t *testing.T) {
			keysFileCrash(t, c.orientation, c.logged, c.op, c.pk)
		})
	}
}

func keysFileCrash(t *testing.T, orientation string, logged bool, op storage.Op, pk bool) {
	ops := int64(1) << 20 // of the statement and its commit
	for at := ops; at > 0; at -= max(ops/7, 1) {
		disk := blob.NewMem()
		s := keysFileStore(t, disk)
		tab := keysFileTable(t, s, orientation, logged, pk)
		before := contents(t, s, tab)
		first := disk.Ops()
		if at < ops {
			disk.Inject(func(n int64, _ blob.OpKind, _ string) error {
				if n >= first+at {
					return blob.ErrCrashed
				}
				return nil
			})
		}
		x, after, err := largeChange(t, s, tab, op, func() {})
		if err == nil {
			if _, err = x.Commit(bg); err == nil && at == ops {
				sides := 0
				for _, sh := range s.table(tab.OID).current() {
					sides += sh.col.Spent()
				}
				if sides == 0 {
					t.Fatal("no keys went to files")
				}
				ops = disk.Ops() - first
				at = ops
			}
		}
		x.Rollback()
		disk.Stop()
		_ = s.Close()
		disk = disk.Crash(uint64(at))
		s = keysFileStore(t, disk)
		tab = s.Catalog().Table(tab.OID)
		got := contents(t, s, tab)
		if got != after && (got != before || err == nil) {
			t.Fatalf("stopped at operation %d of %d (%v): found %.80s", at, ops, err, got)
		}
		if logged && pk {
			checkLog(t, s, tab)
		}
		if err := s.Flush(bg); err != nil {
			t.Fatal(err)
		}
		if left := leftovers(t, s); len(left) > 0 {
			t.Fatalf("stopped at operation %d of %d (%v): %v are left", at, ops, err, left)
		}
		if again := contents(t, s, tab); again != got {
			t.Fatalf("after a flush: found %.80s", again)
		}
		s.Close()
	}
}

// TestKeysFileConflict: a large change of rows, one of which another transaction has
// replaced or deleted since they were read, fails as a whole.
func TestKeysFileConflict(t *testing.T) {
	for _, logged := range []bool{true, false} {
		for _, op := range []storage.Op{storage.OpUpdate, storage.OpDelete} {
			for _, other := range []storage.Op{storage.OpUpsert, storage.OpDelete} {
				disk := blob.NewMem()
				s := keysFileStore(t, disk)
				tab := keysFileTable(t, s, catalog.OrientationColumn, logged, true)
				x, _, err := largeChange(t, s, tab, op, func() {
					y := s.Begin(storage.TxnOptions{})
					m := &storage.Mutation{Table: tab, Op: other, Rows: rowsBatch(tab, []kv{{1501, "other"}})}
					if other == storage.OpDelete {
						m.Rows, m.Keys = nil, keysOf([]int{1501})
					}
					if _, err := y.Write(bg, m); err != nil {
						t.Fatal(err)
					}
					if _, err := y.Commit(bg); err != nil {
						t.Fatal(err)
					}
				})
				if err != nil && !logged { // whose keys are locked before the commit
					t.Fatal(err)
				}
				before := contents(t, s, tab)
				if err == nil {
					_, err = x.Commit(bg)
				}
				x.Rollback()
				if sqlstate.CodeOf(err) != sqlstate.SerializationFailure {
					t.Fatalf("logged %v, %s after %s: %v", logged, opName(op), opName(other), err)
				}
				if got := contents(t, s, tab); got != before {
					t.Fatalf("found %.80s", got)
				}
				if err := s.Flush(bg); err != nil {
					t.Fatal(err)
				}
				if left := leftovers(t, s); len(left) > 0 {
					t.Fatalf("%v are left", left)
				}
				if logged {
					checkLog(t, s, tab)
				}
				s.Close()
			}
		}
	}
}

// TestKeysFileGoes: what a large delete has in a file is flushed soon, whatever else is
// written, so that neither the disk nor the next start has to do with it.
func TestKeysFileGoes(t *testing.T) {
	s := keysFileStore(t, blob.NewMem())
	defer s.Close()
	tab := keysFileTable(t, s, catalog.OrientationColumn, false, true)
	if err := s.Flush(bg); err != nil {
		t.Fatal(err)
	}
	x, after, err := largeChange(t, s, tab, storage.OpDelete, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(bg); err != nil {
		t.Fatal(err)
	}
	spent := func() (n int) {
		for _, sh := range s.table(tab.OID).current() {
			n += sh.col.Spent()
		}
		return n
	}
	if spent() == 0 {
		t.Fatal("no keys went to files")
	}
	if err := s.maintain(bg, nil); err != nil {
		t.Fatal(err)
	}
	if n := spent(); n > 0 {
		t.Errorf("%d keys files wait", n)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if got := contents(t, s, tab); got != after {
		t.Errorf("found %.80s", got)
	}
}
