package tablet

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestPoint reads rows by key beside their writers, and each row shows at least what
// was acknowledged before and at most what a snapshot taken afterwards shows, also where
// it is deleted; those of half of the keys are never gone. Flushes and compactions run
// beside them.
func TestPoint(t *testing.T) {
	for _, orientation := range []string{catalog.OrientationRow, catalog.OrientationColumn} {
		t.Run(orientation, func(t *testing.T) { testPoint(t, orientation) })
	}
}

func testPoint(t *testing.T, orientation string) {
	s := openMem(t, blob.NewMem())
	defer s.Close()
	tab := createWith(t, s, "kv", true, map[string]string{"orientation": orientation})
	const keys = 4
	gone := func(k int, n int64) bool { return k < keys/2 && n%2 == 0 }
	var acked [keys]atomic.Int64 // number of the last change
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	for k := range keys {
		writers.Go(func() {
			for n := int64(1); n <= 400; n++ {
				x := s.Begin(storage.TxnOptions{})
				m := &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, []kv{{k, strconv.FormatInt(n, 10)}})}
				if gone(k, n) {
					b := vec.NewBatch([]types.T{types.Int4})
					b.Cols[0].AppendDatum(types.NewInt(int64(k)))
					b.N = 1
					m = &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: b}
				}
				if _, err := x.Write(bg, m); err != nil {
					t.Error(err)
				}
				if _, err := x.Commit(bg); err != nil {
					t.Error(err)
				}
				acked[k].Store(n)
			}
		})
	}
	writers.Go(func() {
		for i := range 30 {
			work := s.Flush(bg)
			if work == nil && i%3 == 2 {
				work = s.Compact(bg, tab.OID)
			}
			if work != nil {
				t.Error(work)
			}
		}
	})
	var told, asked atomic.Int64
	for range 2 {
		readers.Go(func() {
			p := s.Point(tab, []int{1})
			key, out := vec.NewBatch([]types.T{types.Int4}), vec.NewBatch([]types.T{types.Text})
			key.N = 1
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				k := i % keys
				key.Cols[0].Recycle(types.Int4)
				key.Cols[0].AppendDatum(types.NewInt(int64(k)))
				out.Cols[0].Recycle(types.Text)
				out.N = 0
				from := acked[k].Load()
				ok, err := p.Get(s.Catalog(), key, out)
				if err != nil {
					t.Error(err)
				}
				asked.Add(1)
				if !ok {
					continue
				}
				told.Add(1)
				n := s.Snapshot()
				r, err := n.Relation(tab)
				if err != nil {
					t.Error(err)
				}
				later := vec.NewBatch([]types.T{types.Text})
				if _, err := r.Get(bg, key, []int{1}, later, nil); err != nil {
					t.Error(err)
				}
				n.Close()
				to := acked[k].Load() + 1 // may be visible and not acknowledged yet
				number := func(b *vec.Batch) int64 {
					if b.N == 0 {
						return 0
					}
					v, _ := strconv.ParseInt(b.Cols[0].Datum(0).S, 10, 64)
					return v
				}
				a, b := number(out), number(later)
				if a != 0 && (a < from || a > to) || a == 0 && from > 0 && k >= keys/2 || a != 0 && b != 0 && b < a {
					t.Errorf("key %d: %d, then %d, with %d to %d acknowledged", k, a, b, from, to)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if told.Load() == 0 {
		t.Errorf("all %d look-ups needed a snapshot", asked.Load())
	}
	t.Logf("%d of %d look-ups needed no snapshot", told.Load(), asked.Load())
	// A reader goes on when its table has been emptied.
	p, key := s.Point(tab, []int{1}), rowsBatch(tab, []kv{{3, ""}})
	key.Cols = key.Cols[:1]
	for n := range 3 {
		out := vec.NewBatch([]types.T{types.Text})
		ok, err := p.Get(s.Catalog(), key, out)
		if !ok || err != nil || (out.N == 1) != (n != 1) {
			t.Fatalf("%d: %d rows, %v, %v", n, out.N, ok, err)
		}
		x := s.Begin(storage.TxnOptions{})
		if n == 0 {
			err = x.Change(bg, &catalog.Delta{Truncated: []uint32{tab.OID}})
		} else {
			_, err = x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, []kv{{3, "again"}})})
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	ok, err := s.Point(tab, []int{1}).Get(nil, rowsBatch(tab, []kv{{1, ""}}), vec.NewBatch([]types.T{types.Text}))
	if ok || err != nil {
		t.Errorf("a look-up in another catalog: %v, %v", ok, err)
	}
}

// TestPointOvertaken changes and compacts a row of columns between the moment that a
// look-up has its state and the one that it reads: what that state had is dropped then.
func TestPointOvertaken(t *testing.T) {
	s := openMem(t, blob.NewMem())
	defer s.Close()
	tab := createWith(t, s, "kv", true, map[string]string{"orientation": catalog.OrientationColumn})
	put := func(v string) {
		t.Helper()
		x := s.Begin(storage.TxnOptions{})
		if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, []kv{{1, v}})}); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(bg); err != nil {
			t.Fatal(err)
		}
		if err := s.Compact(bg, tab.OID); err != nil {
			t.Fatal(err)
		}
	}
	put("0")
	p := s.Point(tab, []int{1}).(*columnPoint)
	key := rowsBatch(tab, []kv{{1, ""}})
	key.Cols = key.Cols[:1]
	for overtaken := range columnPointTries + 1 {
		left, n := overtaken, 0
		p.begun = func() {
			if n++; left > 0 {
				left--
				put(strconv.Itoa(10*overtaken + n))
			}
		}
		out := vec.NewBatch([]types.T{types.Text})
		ok, err := p.Get(s.Catalog(), key, out)
		if err != nil {
			t.Fatal(err)
		}
		want := "0"
		if overtaken > 0 {
			want = strconv.Itoa(10*overtaken + overtaken)
		}
		switch {
		case overtaken == columnPointTries:
			if ok {
				t.Errorf("overtaken each time it says %d rows", out.N)
			}
		case !ok || out.N != 1 || out.Cols[0].Datum(0).S != want:
			t.Errorf("overtaken %d times: %v, %d rows, want %s", overtaken, ok, out.N, want)
		}
	}
}
