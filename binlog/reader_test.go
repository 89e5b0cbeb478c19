package binlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/tablet"
	"github.com/millrace/millrace/storage/vec"
)

var bg = context.Background()

// clock is the stores' time.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.t = c.t.Add(d)
	c.mu.Unlock()
}

func open(t testing.TB, m *blob.Mem, c *clock, spill int64) *tablet.Store {
	t.Helper()
	o := tablet.Options{Shards: 2, Logger: slog.New(slog.DiscardHandler), Clock: c.now, Manual: true}
	o.Limits = column.Limits{SpillBytes: spill, FlushBytes: 64 << 10, FlushRows: 300, SegmentRows: 4096}
	s, err := tablet.Open(m.Root(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t testing.TB, s *tablet.Store, name string) *catalog.Table {
	t.Helper()
	x := s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	tab := &catalog.Table{OID: x.AllocOIDs(3), Schema: catalog.PublicSchemaOID, Name: name, Owner: 10, Shards: 2, SchemaVersion: 1,
		Columns:      []catalog.Column{{ID: 1, Attr: 1, Name: "k", T: types.Int8, NotNull: true}, {ID: 2, Attr: 2, Name: "v", T: types.Text}},
		NextColumnID: 3, PK: []int{0}, PKName: name + "_pkey", Props: map[string]string{"binlog.level": "replica"}}
	if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: tab}}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(bg); err != nil {
		t.Fatal(err)
	}
	return s.Catalog().Table(tab.OID)
}

func upsert(s *tablet.Store, tab *catalog.Table, from, n int, v string) error {
	x := s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	b := vec.NewBatch(tab.Types())
	for k := from; k < from+n; k++ {
		b.Cols[0].AppendDatum(types.NewInt(int64(k)))
		b.Cols[1].AppendString(fmt.Sprintf("%s of %d, not inline", v, k))
	}
	b.N = n
	if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: b}); err != nil {
		return err
	}
	_, err := x.Commit(bg)
	return err
}

func remove(s *tablet.Store, tab *catalog.Table, from, n int) error {
	x := s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	b := vec.NewBatch([]types.T{types.Int8})
	for k := from; k < from+n; k++ {
		b.Cols[0].AppendDatum(types.NewInt(int64(k)))
	}
	b.N = n
	m := &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: b}
	m.Resolve = func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
		keep := make([]uint16, old.N)
		for i := range keep {
			keep[i] = uint16(i)
		}
		return nil, keep, nil
	}
	if _, err := x.Write(bg, m); err != nil {
		return err
	}
	_, err := x.Commit(bg)
	return err
}

// text lists the records of a batch, and complains of a split pair.
func text(t testing.TB, b *Batch) (out []string) {
	t.Helper()
	for i := range b.Len() {
		out = append(out, fmt.Sprint(b.LSN[i], b.Event[i], b.CSN[i], b.Time[i], b.Rows.Cols[0].Datum(i).I, b.Rows.Cols[1].Datum(i).S))
		before := b.Event[i] == storage.EventBeforeUpdate
		if before && (i+1 == b.Len() || b.Event[i+1] != storage.EventAfterUpdate || b.LSN[i+1] != b.LSN[i]+1) {
			t.Fatalf("no pair at %d of %v", i, b.Event)
		}
		if b.Event[i] == storage.EventAfterUpdate && (i == 0 || b.Event[i-1] != storage.EventBeforeUpdate) {
			t.Fatalf("half a pair at %d of %v", i, b.Event)
		}
		if i > 0 && b.LSN[i] <= b.LSN[i-1] {
			t.Fatalf("out of order: %v", b.LSN)
		}
	}
	return out
}

// drain reads what there is from a position on.
func drain(t testing.TB, s storage.BinlogStore, o Options) (byShard [2][]string, end Position) {
	t.Helper()
	r, err := Open(bg, s, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		b, err := r.Next(bg)
		if err == io.EOF {
			return byShard, r.Position()
		}
		if err != nil {
			t.Fatal(err)
		}
		byShard[b.Shard] = append(byShard[b.Shard], text(t, b)...)
	}
}

// TestResume has writers, flushes, compactions and restarts beside consumers that stop
// at any batch and go on from its position: each has every record once, in order.
func TestResume(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { resume(t, seed) })
	}
}

func resume(t *testing.T, seed uint64) {
	m, c := blob.NewMem(), &clock{t: time.Unix(1e9, 0)}
	spill := []int64{0, 200, 3000}[seed%3]
	s := open(t, m, c, spill)
	tab := create(t, s, "t")
	var got [2][]string
	var pos Position
	for round := range 3 {
		var wg sync.WaitGroup
		done := make(chan struct{})
		for w := range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := rand.New(rand.NewPCG(seed, uint64(round*10+w)))
				for i := range 25 {
					from, n := r.IntN(60), 1+r.IntN(40)
					var err error
					switch r.IntN(12) {
					case 0:
						err = s.Flush(bg)
					case 1:
						err = s.Compact(bg, tab.OID)
					case 2, 3:
						err = remove(s, tab, from, n)
					default:
						err = upsert(s, tab, from, n, fmt.Sprint(w, i))
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		go func() {
			wg.Wait()
			close(done)
		}()
		r := rand.New(rand.NewPCG(seed, uint64(round+1000)))
		for last := false; ; {
			select {
			case <-done:
				last = true
			default:
			}
			rd, err := Open(bg, s, Options{Table: tab.OID, From: pos, Rows: 1 + r.IntN(50)})
			if err != nil {
				t.Fatal(err)
			}
			for n := r.IntN(20); n > 0 || last; n-- {
				b, err := rd.Next(bg)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got[b.Shard] = append(got[b.Shard], text(t, b)...)
				if pos, err = ParsePosition(rd.Position().String()); err != nil {
					t.Fatal(err)
				}
			}
			rd.Close()
			if last {
				break
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		m = m.Crash(seed*10 + uint64(round))
		s = open(t, m, c, spill)
	}
	want, _ := drain(t, s, Options{Table: tab.OID})
	for i := range want {
		if g, w := strings.Join(got[i], "\n"), strings.Join(want[i], "\n"); g != w {
			t.Errorf("shard %d: %d records, want %d", i, len(got[i]), len(want[i]))
		}
	}
	one, _ := drain(t, s, Options{Table: tab.OID, Shards: []int{1}, Columns: []int32{1, 2}})
	if len(one[0]) > 0 || len(one[1]) != len(want[1]) {
		t.Errorf("of shard 1 alone %d and %d records", len(one[0]), len(one[1]))
	}
	s.Close()
}

// TestFollow waits for commits, and ends when its context does.
func TestFollow(t *testing.T) {
	c := &clock{t: time.Unix(1e9, 0)}
	s := open(t, blob.NewMem(), c, 0)
	defer s.Close()
	tab := create(t, s, "t")
	r, err := Open(bg, s, Options{Table: tab.OID, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(bg)
	rows := make(chan int)
	end := make(chan error, 1)
	go func() {
		for {
			b, err := r.Next(ctx)
			if err != nil {
				end <- err
				return
			}
			rows <- b.Len()
		}
	}()
	for k := range 20 {
		if err := upsert(s, tab, k, 1, "v"); err != nil {
			t.Fatal(err)
		}
		select {
		case n := <-rows:
			if n != 1 {
				t.Fatalf("%d records", n)
			}
		case <-time.After(time.Minute):
			t.Fatal("a commit woke nobody")
		}
	}
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestSlotHolds expires a binlog under slots: what one needs stays, up to its bound.
func TestSlotHolds(t *testing.T) {
	m, c := blob.NewMem(), &clock{t: time.Unix(1e9, 0)}
	s := open(t, m, c, 0)
	tab := create(t, s, "t")
	slots, err := OpenSlots(s)
	if err != nil {
		t.Fatal(err)
	}
	put := func(from int) {
		t.Helper()
		if err := upsert(s, tab, from, 10, "v"); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(bg); err != nil {
			t.Fatal(err)
		}
		c.add(24 * time.Hour)
	}
	code := func(err error, want sqlstate.Code) {
		t.Helper()
		if sqlstate.CodeOf(err) != want {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	put(0)
	if _, err := slots.Create(bg, Slot{Name: "a", Table: tab.OID, MaxAge: 10 * 24 * time.Hour}, true); err != nil {
		t.Fatal(err)
	}
	_, err = slots.Create(bg, Slot{Name: "a", Table: tab.OID}, true)
	code(err, sqlstate.DuplicateObject)
	_, err = slots.Create(bg, Slot{Name: "A b", Table: tab.OID}, true)
	code(err, sqlstate.InvalidName)
	put(10)
	if _, err := slots.Create(bg, Slot{Name: "late", Table: tab.OID}, false); err != nil {
		t.Fatal(err)
	}
	put(20)
	count := func(name string) int {
		t.Helper()
		r, err := slots.Open(bg, name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		n := 0
		for {
			b, err := r.Next(bg)
			if err == io.EOF {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
			n += b.Len()
			if name == "late" {
				if err := slots.Advance(bg, name, r.Position()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n := count("a"); n != 30 {
		t.Fatalf("%d records", n)
	}
	if n := count("late"); n != 10 {
		t.Fatalf("%d records", n)
	}
	// The default TTL is 30 days; the slot keeps ten more.
	c.add(35 * 24 * time.Hour)
	expire(t, s)
	if n := count("a"); n != 30 {
		t.Fatalf("%d records, held by the slot", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, m.Crash(1), c, 0)
	defer s.Close()
	if slots, err = OpenSlots(s); err != nil {
		t.Fatal(err)
	}
	expire(t, s)
	if n := count("a"); n != 30 {
		t.Fatalf("%d records after a restart", n)
	}
	if n := count("late"); n != 0 {
		t.Fatalf("%d records after what the slot has read", n)
	}
	a, _ := slots.Get("a")
	c.add(20 * 24 * time.Hour)
	expire(t, s)
	_, err = slots.Open(bg, "a", Options{})
	code(err, sqlstate.ObjectNotInPrerequisiteState)
	_, err = Open(bg, s, Options{Table: tab.OID, From: a.Pos})
	code(err, sqlstate.UndefinedFile)
	if l := slots.List(); len(l) != 2 || l[0].Lost == nil || l[1].Lost != nil {
		t.Fatalf("%+v", l)
	}
	if err := slots.Drop(bg, "a"); err != nil {
		t.Fatal(err)
	}
	code(slots.Drop(bg, "a"), sqlstate.UndefinedObject)
	if l := slots.List(); len(l) != 1 || l[0].Name != "late" {
		t.Fatalf("%+v", l)
	}
}

func expire(t testing.TB, s *tablet.Store) {
	t.Helper()
	if err := s.Expire(bg); err != nil {
		t.Fatal(err)
	}
}

// TestGaps meets a gap, a truncation, and a binlog that was switched off and on.
func TestGaps(t *testing.T) {
	c := &clock{t: time.Unix(1e9, 0)}
	s := open(t, blob.NewMem(), c, 0)
	defer s.Close()
	tab := create(t, s, "t")
	if err := upsert(s, tab, 0, 5, "v"); err != nil {
		t.Fatal(err)
	}
	change := func(f func(x storage.Txn) error) {
		t.Helper()
		x := s.Begin(storage.TxnOptions{})
		defer x.Rollback()
		if err := f(x); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	change(func(x storage.Txn) error { return x.Change(bg, &catalog.Delta{Truncated: []uint32{tab.OID}}) })
	change(func(x storage.Txn) error {
		x.SuppressBinlog(true)
		b := vec.NewBatch(tab.Types())
		b.Cols[0].AppendDatum(types.NewInt(1))
		b.Cols[1].AppendString("hidden")
		b.N = 1
		_, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpInsert, Rows: b})
		return err
	})
	if err := upsert(s, tab, 7, 5, "v"); err != nil {
		t.Fatal(err)
	}
	r, err := Open(bg, s, Options{Table: tab.OID})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rows, truncated, gaps := 0, 0, 0
	for {
		b, err := r.Next(bg)
		var gap *GapError
		if errors.As(err, &gap) {
			if _, again := r.Next(bg); again != err {
				t.Fatalf("%v, then %v", err, again)
			}
			gaps++
			r.Skip()
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Event {
			if e == storage.EventTruncate {
				truncated++
			} else {
				rows++
			}
		}
	}
	if rows != 10 || truncated != 2 || gaps != 2 {
		t.Fatalf("%d records, %d truncations, %d gaps", rows, truncated, gaps)
	}
	for _, level := range []string{"none", "replica"} {
		change(func(x storage.Txn) error {
			n := *x.Catalog().Table(tab.OID)
			n.SchemaVersion++
			n.Props = map[string]string{"binlog.level": level}
			return x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &n}})
		})
		_, err := Open(bg, s, Options{Table: tab.OID, From: r.Position()})
		if want := map[string]sqlstate.Code{"none": sqlstate.ObjectNotInPrerequisiteState, "replica": sqlstate.UndefinedFile}[level]; sqlstate.CodeOf(err) != want {
			t.Fatalf("%v, want %v", err, want)
		}
	}
}
