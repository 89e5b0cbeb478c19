package row

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"weak"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// runTablet is a tablet for tests of runs, with keys by number.
type runTablet struct {
	*Tablet
	runs *Runs
}

func newRunTablet(db *pebble.DB) runTablet {
	runs := NewRuns(db)
	return runTablet{&Tablet{prefix: tabletPrefix(9, 0), cfg: Config{DB: db, Runs: runs}}, runs}
}

func (r *runTablet) key(k int) []byte {
	return binary.BigEndian.AppendUint64(append(bytes.Clone(r.prefix), 1), uint64(k))
}

// add adds a group that gives keys a value.
func (r *runTablet) add(from, to int, value []byte) {
	c := &Changes{}
	for k := from; k < to; k++ {
		c.change(r.key(k), value)
	}
	c.sort(sortedPrefix)
	g := &Group{}
	g.Add(c)
	r.runs.Add(g, 1)
}

func uncovered(*pebble.Batch, storage.CSN) error { return nil }

// Whoever reads while groups are added and go to Pebble sees each of them whole, and
// what was added before it began to read.
func TestRunsMeanwhile(t *testing.T) {
	tb := newRunTablet(openDB(t))
	const keys, groups = 300, 300
	type seen struct {
		s    *Snapshot
		want uint64
	}
	var added atomic.Uint64
	var wg sync.WaitGroup
	done, snaps := make(chan struct{}), make(chan seen, 8)
	over := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	wg.Go(func() {
		for !over() {
			if err := tb.runs.Drain(uncovered); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
	})
	for range 2 {
		wg.Go(func() {
			for x := range snaps {
				src := tb.sourceOf(x.s)
				it, err := src.iter(context.Background(), tb.prefix, tb.prefix, PrefixEnd(tb.prefix))
				if err != nil {
					t.Error(err)
					continue
				}
				n := 0
				for ok := it.First(); ok; ok = it.Next() {
					if v, _ := it.ValueAndErr(); binary.BigEndian.Uint64(v) != x.want {
						t.Errorf("row %d is of group %d, want %d", n, binary.BigEndian.Uint64(v), x.want)
						break
					}
					n++
				}
				if n != keys || it.Error() != nil {
					t.Errorf("%d rows of group %d, %v", n, x.want, it.Error())
				}
				it.Close()
				x.s.Close()
			}
		})
	}
	wg.Go(func() {
		r := rand.New(rand.NewPCG(1, 1))
		src := tb.sourceOf(tb.cfg.DB)
		for !over() {
			least := added.Load()
			v, c, err := src.get(tb.key(r.IntN(keys)))
			switch {
			case err == nil:
				if got := binary.BigEndian.Uint64(v); got < least {
					t.Errorf("a row of group %d, %d had been added", got, least)
				}
				c.Close()
			case least > 0 || !errors.Is(err, pebble.ErrNotFound):
				t.Errorf("after %d groups: %v", least, err)
			}
		}
	})
	for g := uint64(1); g <= groups; g++ {
		tb.add(0, keys, binary.BigEndian.AppendUint64(nil, g))
		added.Store(g)
		snaps <- seen{tb.runs.Snapshot(), g}
	}
	close(snaps)
	close(done)
	wg.Wait()
	if err := tb.runs.Drain(uncovered); err != nil {
		t.Fatal(err)
	}
	if tb.runs.Held() != 0 || tb.runs.Bytes() != 0 {
		t.Errorf("%d bytes are held, %d are left", tb.runs.Held(), tb.runs.Bytes())
	}
}

// What Pebble has counts as long as a snapshot reads it from runs.
func TestRunsHeld(t *testing.T) {
	tb := newRunTablet(openDB(t))
	drain := func() {
		t.Helper()
		if err := tb.runs.Drain(uncovered); err != nil {
			t.Fatal(err)
		}
	}
	held := func(want int64) {
		t.Helper()
		if got := tb.runs.Held(); got != want {
			t.Errorf("%d bytes are held, want %d", got, want)
		}
	}
	before := tb.runs.Snapshot() // of no runs
	tb.add(0, 100, []byte("one"))
	first, again := tb.runs.Snapshot(), tb.runs.Snapshot()
	tb.add(50, 150, []byte("two"))
	size := tb.runs.Bytes()
	held(0)
	drain()
	held(size)
	before.Close()
	tb.add(0, 10, []byte("three"))
	second := tb.runs.Snapshot()
	more := tb.runs.Bytes()
	held(size)
	drain()
	held(size + more)
	first.Close()
	held(size + more)
	again.Close()
	held(more)
	second.Close()
	held(0)
	tb.add(0, 10, []byte("four"))
	tb.runs.Snapshot().Close()
	drain()
	held(0)
}

// A file that cannot be read ends a scan, whatever runs have behind the place.
func TestRunsReadError(t *testing.T) {
	var bad atomic.Bool
	broken := errors.New("broken")
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if bad.Load() && op.Kind == errorfs.OpFileReadAt {
			return broken
		}
		return nil
	}))
	db, err := pebble.Open("", &pebble.Options{FS: fs, DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tb := newRunTablet(db)
	const keys = 500
	tb.add(0, keys, bytes.Repeat([]byte("x"), 1000))
	if err := tb.runs.Drain(uncovered); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	tb.add(keys, keys+10, []byte("y"))
	src := tb.sourceOf(db)
	_, c, err := src.get(tb.key(0)) // the file is open, its first block is in memory
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	it, err := src.iter(context.Background(), tb.prefix, tb.prefix, PrefixEnd(tb.prefix))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	bad.Store(true)
	defer bad.Store(false)
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if !bytes.Equal(it.Key(), tb.key(n)) {
			t.Fatalf("row %d is %x", n, it.Key())
		}
		n++
	}
	if n == keys || !errors.Is(it.Error(), broken) {
		t.Errorf("%d rows, %v", n, it.Error())
	}
	if it.SeekGE(tb.key(keys-1)) || !errors.Is(it.Error(), broken) {
		t.Errorf("behind it: %v", it.Error())
	}
	if key := it.last(); key != nil || !errors.Is(it.Error(), broken) {
		t.Errorf("the last key is %x, %v", key, it.Error())
	}
}

// longTable has a key and a text.
func longTable() *catalog.Table {
	return &catalog.Table{OID: 16400, Name: "t", PK: []int{0}, SchemaVersion: 1,
		Columns: []catalog.Column{{ID: 1, Name: "k", T: types.Int8, NotNull: true}, {ID: 2, Name: "v", T: types.Text}}}
}

func longRows(tab *catalog.Table, from, n int, v string) *vec.Batch {
	b := vec.NewBatch(tab.Types())
	for k := range n {
		b.Cols[0].AppendDatum(types.NewInt(int64(from + k)))
		b.Cols[1].AppendString(v)
		b.N++
	}
	return b
}

// The changes of a commit that is over keep nothing else of it in memory.
func TestReleaseLetsGo(t *testing.T) {
	tab := longTable()
	tb := New(Config{DB: openDB(t), Table: tab})
	tb.From(0)
	prepared := func() (*Changes, weak.Pointer[vec.Batch]) {
		b := longRows(tab, 0, 100, "a row")
		p, err := tb.Prepare(context.Background(), []storage.Chunk{{Op: storage.OpUpsert, Rows: b, Ord: make([]uint32, 100)}})
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		return p.Changes(), weak.Make(b)
	}
	c, rows := prepared()
	runtime.GC()
	runtime.GC()
	if rows.Value() != nil {
		t.Error("the rows are in memory")
	}
	runtime.KeepAlive(c)
}

// What is pending for the sake of a large commit is bounded in bytes too.
func TestHoldBytes(t *testing.T) {
	tab, applied := longTable(), storage.CSN(0)
	tb := New(Config{DB: openDB(t), Table: tab, Applied: func() storage.CSN { return applied }})
	tb.From(0)
	tb.hold()
	long := string(bytes.Repeat([]byte("x"), 8<<10))
	const rows = 500
	for i := range 40 {
		p, err := tb.Prepare(context.Background(), []storage.Chunk{{Op: storage.OpUpsert, Rows: longRows(tab, i*rows, rows, long), Ord: make([]uint32, rows)}})
		if err != nil {
			t.Fatal(err)
		}
		st, conflicts, err := p.Stage()
		if err != nil || conflicts != nil {
			t.Fatal(err, conflicts)
		}
		applied += rows
		st.Stamp(0, applied)
		p.Release()
	}
	if n := len(tb.young) + len(tb.old); n > 2*(holdBytes/(8<<10)+rows) {
		t.Errorf("%d rows are pending", n)
	}
	tb.unhold()
}
