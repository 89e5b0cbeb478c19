package tablet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// logRow is a row of a binlog of a kvTable.
type logRow struct {
	shard, lsn, event, time, csn int64
	k                            int64
	v                            string
	null                         bool
}

func (r logRow) String() string {
	return fmt.Sprintf("%d:%d %d %d=%s csn %d", r.shard, r.lsn, r.event, r.k, r.v, r.csn)
}

// readLog reads a table's whole binlog, markers and all, sorted by shard and number.
func readLog(t testing.TB, s *Store, tab *catalog.Table) []logRow {
	t.Helper()
	n := s.Snapshot()
	defer n.Close()
	return readLogAt(t, n, tab)
}

func readLogAt(t testing.TB, n storage.Snapshot, tab *catalog.Table) (out []logRow) {
	t.Helper()
	b := tab.Binlog()
	b.Markers = true
	r, err := n.Relation(b)
	if err != nil {
		t.Fatal(err)
	}
	spec := &catalog.ScanSpec{Cols: []int{0, 1, b.BinlogLSN(), b.BinlogType(), b.BinlogTime(), catalog.ColCSN, catalog.ColShard}, Limit: -1}
	each(t, r, spec, func(b *vec.Batch, i int) {
		at := func(c int) types.Datum { return b.Cols[c].Datum(i) }
		out = append(out, logRow{shard: at(6).I, lsn: at(2).I, event: at(3).I, time: at(4).I, csn: at(5).I, k: at(0).I, v: at(1).S, null: !at(0).Valid})
	})
	slices.SortFunc(out, func(a, b logRow) int {
		if a.shard != b.shard {
			return int(a.shard - b.shard)
		}
		return int(a.lsn - b.lsn)
	})
	return out
}

// replayLog rebuilds a keyed table from its binlog, and complains of rows that do
// not fit what came before.
func replayLog(rows []logRow) (map[int64]string, error) {
	m := map[int64]string{}
	// Shards hold different keys, so that each can be replayed alone, but a truncation
	// empties all: by number.
	rows = slices.Clone(rows)
	for i := 1; i < len(rows); i++ {
		a, b := rows[i-1], rows[i]
		if a.shard == b.shard && (a.lsn >= b.lsn || a.csn > b.csn || a.time > b.time) {
			return nil, fmt.Errorf("%v is followed by %v", a, b)
		}
		if a.event == 3 && (b.event != 7 || b.k != a.k || b.lsn != a.lsn+1 || b.csn != a.csn) {
			return nil, fmt.Errorf("%v is followed by %v", a, b)
		}
		if b.event == 7 && a.event != 3 {
			return nil, fmt.Errorf("%v comes after %v", b, a)
		}
	}
	slices.SortStableFunc(rows, func(a, b logRow) int { return int(a.lsn - b.lsn) })
	for _, r := range rows {
		old, is := m[r.k]
		ok := true
		switch r.event {
		case 5:
			ok = !is
			m[r.k] = r.v
		case 3, 2:
			ok = is && old == r.v
			if r.event == 2 {
				delete(m, r.k)
			}
		case 7:
			ok = is
			m[r.k] = r.v
		case int64(storage.EventTruncate):
			clear(m)
		case int64(storage.EventGap):
			return nil, fmt.Errorf("a gap: %v", r)
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("%v does not fit %q %v", r, old, is)
		}
		if r.lsn >= r.csn {
			return nil, fmt.Errorf("%v is above its commit", r)
		}
	}
	return m, nil
}

func checkLog(t testing.TB, s *Store, tab *catalog.Table) {
	t.Helper()
	n := s.Snapshot()
	defer n.Close()
	m, err := replayLog(readLogAt(t, n, tab))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for k, v := range m {
		want = append(want, fmt.Sprintf("%d=%s", k, v))
	}
	got, _, _ := scan(t, n, tab)
	slices.Sort(want)
	slices.Sort(got)
	if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
		t.Fatalf("table  %s\nbinlog %s", g, w)
	}
}

func createLogged(t testing.TB, s *Store, name string, pk bool) *catalog.Table {
	t.Helper()
	x := s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	tab := kvTable(s, x, name, pk)
	tab.Props = map[string]string{"binlog.level": "replica"}
	if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: tab}, NextOID: tab.OID + 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(bg); err != nil {
		t.Fatal(err)
	}
	return s.Catalog().Table(tab.OID)
}

func keysOf(ks []int) *vec.Batch {
	b := vec.NewBatch([]types.T{types.Int4})
	for _, k := range ks {
		b.Cols[0].AppendDatum(types.NewInt(int64(k)))
	}
	b.N = len(ks)
	return b
}

// someChange does a random statement on few keys.
func someChange(x storage.Txn, tab *catalog.Table, r *rand.Rand, keys int) error {
	n := 1 + r.IntN(6)
	var rows []kv
	var ks []int
	used := map[int]bool{}
	for range n {
		k := r.IntN(keys)
		v := fmt.Sprintf("v%d", r.IntN(1000))
		if r.IntN(4) == 0 {
			v += " which is longer than what a view holds inline"
		}
		rows = append(rows, kv{k, v})
		if !used[k] {
			used[k] = true
			ks = append(ks, k)
		}
	}
	var err error
	switch r.IntN(6) {
	case 0, 1, 2:
		_, err = x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, rows)})
	case 3:
		all := func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
			keep := make([]uint16, old.N)
			for i := range keep {
				keep[i] = uint16(i)
			}
			return nil, keep, nil
		}
		_, err = x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: keysOf(ks), Resolve: all})
	case 4:
		err = insert(x, tab, rows[0])
	case 5:
		m := &storage.Mutation{Table: tab, Op: storage.OpUpdate, Keys: keysOf(ks), Rows: rowsBatch(tab, rows[:len(ks)])}
		for i, k := range ks {
			m.Rows.Cols[0].I32[i] = int32(k)
		}
		m.Resolve = func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
			keep := make([]uint16, old.N)
			out := vec.NewBatch(tab.Types())
			for i := range keep {
				keep[i] = uint16(i)
				out.Cols[0].AppendDatum(old.Cols[0].Datum(i))
				out.Cols[1].AppendString(old.Cols[1].Datum(i).S + "!")
			}
			out.N = old.N
			return out, keep, nil
		}
		if x.(*tx).opts.Explicit { // else several statements of a set would meet each other
			m.OldCSN = vec.New(types.Int8, len(ks))
			for range ks {
				m.OldCSN.AppendDatum(types.NewInt(1))
			}
		}
		_, err = x.Write(bg, m)
	}
	return err
}

// TestBinlogModel changes few keys at random, so that keys repeat within statements
// and commits, and compares table and binlog through flushes, compactions, crashes.
func TestBinlogModel(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := blob.NewMem()
			spill := int64(seed % 3 * 64) // of two seeds most sets go to side files
			s := openSpilling(t, m, spill)
			tab := createLogged(t, s, "t", true)
			for step := range 250 {
				x := s.Begin(storage.TxnOptions{Explicit: r.IntN(3) == 0})
				var err error
				for range 1 + r.IntN(3) {
					mark := -1
					if r.IntN(5) == 0 {
						mark = x.Savepoint()
					}
					if err = someChange(x, tab, r, 40); err != nil {
						break
					}
					if mark >= 0 && r.IntN(2) == 0 {
						if err := x.RollbackTo(mark); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err == nil && r.IntN(60) == 0 {
					err = x.Change(bg, &catalog.Delta{Truncated: []uint32{tab.OID}})
					if err == nil {
						err = someChange(x, tab, r, 40)
					}
				}
				if err == nil {
					_, err = x.Commit(bg)
				}
				x.Rollback()
				if err != nil && !strings.Contains(err.Error(), "duplicate key") {
					t.Fatal(err)
				}
				switch r.IntN(30) {
				case 0:
					if err := s.Flush(bg); err != nil {
						t.Fatal(err)
					}
				case 1:
					if err := s.Compact(bg, tab.OID); err != nil {
						t.Fatal(err)
					}
				case 2:
					checkLog(t, s, tab)
				case 3:
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					m = m.Crash(seed*1000 + uint64(step))
					s = openSpilling(t, m, spill)
					checkLog(t, s, tab)
				}
			}
			checkLog(t, s, tab)
			s.Close()
		})
	}
}

// TestBinlogWriters has several writers on few keys, and readers beside them.
func TestBinlogWriters(t *testing.T) {
	for _, spill := range []int64{0, 100} {
		t.Run(fmt.Sprint(spill), func(t *testing.T) { binlogWriters(t, spill) })
	}
}

func binlogWriters(t *testing.T, spill int64) {
	s := openSpilling(t, blob.NewMem(), spill)
	defer s.Close()
	tab := createLogged(t, s, "t", true)
	stop := make(chan struct{})
	var wg, readers sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for range 150 {
				x := s.Begin(storage.TxnOptions{})
				if someChange(x, tab, r, 30) == nil {
					if _, err := x.Commit(bg); err != nil && !strings.Contains(err.Error(), "duplicate key") {
						t.Error(err)
					}
				}
				x.Rollback()
			}
		}()
	}
	readers.Add(1)
	go func() {
		defer readers.Done()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			checkLog(t, s, tab)
			if i%3 == 0 {
				if err := s.Flush(bg); err != nil {
					t.Error(err)
				}
			}
			if i%7 == 0 {
				if err := s.Compact(bg, tab.OID); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	wg.Wait()
	close(stop)
	readers.Wait()
	checkLog(t, s, tab)
}

// TestBinlogExpiry drops segments that are older than the table keeps them.
func TestBinlogExpiry(t *testing.T) {
	m := blob.NewMem()
	s := openMem(t, m)
	now := time.Unix(1e9, 0)
	s.opts.Clock = func() time.Time { return now }
	tab := createLogged(t, s, "t", true)
	put := func(k int) {
		t.Helper()
		x := s.Begin(storage.TxnOptions{})
		if err := insert(x, tab, kv{k, "v"}); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(bg); err != nil {
			t.Fatal(err)
		}
	}
	for k := range 6 {
		put(k)
		now = now.Add(10 * 24 * time.Hour)
	}
	before := readLog(t, s, tab)
	if err := s.Expire(bg); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		rows := readLog(t, s, tab)
		if len(before) != 6 || len(rows) != 3 {
			t.Fatalf("%d of %d rows are left: %v", len(rows), len(before), rows)
		}
		for _, r := range rows {
			if r.k < 3 {
				t.Fatalf("%v should be gone", r)
			}
		}
		var floor storage.CSN
		for _, sh := range s.logTable(tab.OID).current() {
			floor = max(floor, sh.col.Floor())
		}
		if int64(floor) < before[0].lsn || len(contents(t, s, tab)) == 0 {
			t.Fatalf("floor %d", floor)
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openMem(t, m.Crash(3))
	check()
	s.Close()
}

// TestBinlogSwitchedOnLate: an upsert goes to files before its transaction switches the
// binlog on, and a later update of the same rows goes to other files: the rows of the
// table that the upsert replaced are gone nevertheless.
func TestBinlogSwitchedOnLate(t *testing.T) {
	disk := blob.NewMem()
	s := openSpilling(t, disk, 1<<10)
	defer s.Close()
	tab := create(t, s, "t", true)
	var old, first, second []kv
	for i := range 200 {
		old, first, second = append(old, kv{i, "old"}), append(first, kv{i, "first"}), append(second, kv{i, "second"})
	}
	run := func(o storage.TxnOptions, f func(x storage.Txn) error) {
		t.Helper()
		x := s.Begin(o)
		defer x.Rollback()
		if err := f(x); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	write := func(x storage.Txn, tab *catalog.Table, op storage.Op, rows []kv) error {
		_, err := x.Write(bg, &storage.Mutation{Table: tab, Op: op, Rows: rowsBatch(tab, rows)})
		return err
	}
	run(storage.TxnOptions{}, func(x storage.Txn) error { return insert(x, tab, old...) })
	if err := s.Flush(bg); err != nil {
		t.Fatal(err)
	}
	run(storage.TxnOptions{Explicit: true}, func(x storage.Txn) error {
		if err := write(x, tab, storage.OpUpsert, first); err != nil {
			return err
		}
		logged := *tab
		logged.SchemaVersion++
		logged.Props = map[string]string{"binlog.level": "replica"}
		if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &logged}}); err != nil {
			return err
		}
		return write(x, &logged, storage.OpUpsert, second)
	})
	got, _, _ := scan(t, s.Snapshot(), tab)
	if len(got) != 200 || slices.ContainsFunc(got, func(r string) bool { return !strings.HasSuffix(r, "=second") }) {
		t.Fatalf("%d rows: %v", len(got), got)
	}
}
