package row

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestSet puts random operations into sets, of one run and of many, upon rows that there
// are, and holds what the sets become against a map, and their refusals against a judge
// who looks at one operation after another.
func TestSet(t *testing.T) {
	refused := 0
	for seed := range uint64(100) {
		if testSet(t, seed) {
			refused++
		}
	}
	if refused < 10 || refused > 90 {
		t.Errorf("%d of 100 sets were refused", refused)
	}
}

func testSet(t *testing.T, seed uint64) (refused bool) {
	rng := rand.New(rand.NewPCG(seed, 5))
	tab := &catalog.Table{OID: 16500, Name: "t", PK: []int{0}, SchemaVersion: 1, Columns: []catalog.Column{
		{ID: 1, Name: "k", T: types.Int4, NotNull: true}, {ID: 2, Name: "v", T: types.Text}}}
	fs, sets := vfs.NewMem(), &Sets{}
	db, err := pebble.Open("", &pebble.Options{FS: fs, DisableWAL: true, Logger: quiet{}, FormatMajorVersion: pebble.FormatVirtualSSTables})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tablet := New(Config{DB: db, Table: tab, Shard: 1, Applied: func() storage.CSN { return 0 }, Sets: sets})
	tablet.From(0)
	keys := 50 + rng.IntN(400)
	text := func() string { return fmt.Sprint(rng.IntN(1e6)) }
	base := map[int64]string{}
	rows := func(m map[int64]string, ks ...int64) *vec.Batch {
		b := vec.NewBatch(tab.Types())
		for _, k := range ks {
			b.Cols[0].AppendDatum(types.NewInt(k))
			b.Cols[1].AppendString(m[k])
			b.N++
		}
		return b
	}
	b := db.NewBatch()
	for k := range int64(keys) {
		if rng.IntN(3) == 0 {
			base[k] = text()
			c := tablet.Changes([]storage.Chunk{{Op: storage.OpUpsert, Rows: rows(base, k), Ord: []uint32{0}}})
			c.Stamp(storage.CSN(100 + k))
			if err := c.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}

	files := blob.NewMem().Root()
	name := 0
	s := NewSet(tab, 1, SetConfig{Files: files, NextFile: func() string { name++; return fmt.Sprint(name) }, Number: 7,
		RunBytes: 200 << rng.IntN(10), TableBytes: 1000 << rng.IntN(8), Judges: true,
		Options: sstable.WriterOptions{TableFormat: db.TableFormat()}})
	want, mine, bad := map[int64]string{}, map[int64]bool{}, false
	for k, v := range base {
		want[k] = v
	}
	onlyInserts, careless := rng.IntN(3) == 0, rng.IntN(2) == 0
	for range 1 + rng.IntN(300) {
		k := rng.Int64N(int64(keys))
		_, have := want[k]
		op := storage.Op(rng.IntN(4))
		if onlyInserts {
			op = storage.OpInsert
		}
		c := storage.Chunk{Op: op, Ord: []uint32{0}}
		if op != storage.OpInsert && op != storage.OpUpsert {
			c.Keys = rows(want, k)
			c.Keys.Cols = c.Keys.Cols[:1]
			c.OldCSN = []storage.CSN{0}
			if !mine[k] { // what was read of others is expected to be so still
				c.OldCSN[0] = storage.CSN(100 + k)
				if !have || careless && rng.IntN(200) == 0 {
					c.OldCSN[0] += 1000
				}
			}
		}
		wrong := op == storage.OpInsert && have || c.OldCSN != nil && c.OldCSN[0] != 0 && (!have || c.OldCSN[0] > 1000)
		if wrong && (!careless || rng.IntN(20) > 0) {
			continue
		}
		bad = bad || wrong
		mine[k] = true
		if op == storage.OpDelete {
			delete(want, k)
		} else {
			want[k] = text()
			c.Rows = rows(want, k)
		}
		if err := s.Add(context.Background(), []storage.Chunk{c}); err != nil {
			t.Fatal(err)
		}
	}
	if s.Inserts() {
		if err = s.Finish(context.Background(), nil); err == nil {
			err = s.Check(context.Background(), tablet)
		}
	} else {
		err = s.Finish(context.Background(), tablet)
	}
	var dup *DuplicateKeyError
	if bad {
		if !errors.As(err, &dup) && !errors.Is(err, ErrChanged) {
			t.Fatalf("seed %d: a set that must be refused: %v", seed, err)
		}
		if dup != nil && dup.Keys.Cols[0].N != 1 {
			t.Fatal("no key")
		}
	} else if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if !bad {
		b := db.NewBatch()
		if err := sets.Committed(b, 7, 5000); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range s.Tables() {
			raw, err := blob.ReadAll(files, f.Name)
			if err != nil {
				t.Fatal(err)
			}
			w, err := fs.Create(f.Name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(raw); err != nil {
				t.Fatal(err)
			}
			w.Close()
			paths = append(paths, f.Name)
		}
		if len(paths) > 0 {
			if err := db.Ingest(context.Background(), paths); err != nil {
				t.Fatal(err)
			}
		}
		tablet.Ingested()
		var again Sets
		if err := again.Load(db); err != nil {
			t.Fatal(err)
		}
		tablet.cfg.Sets = &again
		all := make([]int64, keys)
		for i := range all {
			all[i] = int64(i)
		}
		view := tablet.Newest(tab)
		got := vec.NewBatch([]types.T{types.Int4, types.Text, types.Int8})
		if _, err := view.Get(context.Background(), &vec.Batch{Cols: rows(want, all...).Cols[:1], N: keys}, []int{0, 1, catalog.ColCSN}, got, nil); err != nil {
			t.Fatal(err)
		}
		if got.N != len(want) {
			t.Fatalf("seed %d: %d rows, want %d", seed, got.N, len(want))
		}
		for i := range got.N {
			k, csn := got.Cols[0].Datum(i).I, int64(5000)
			if !mine[k] {
				csn = 100 + k
			}
			if v := got.Cols[1].Datum(i).S; v != want[k] || got.Cols[2].Datum(i).I != csn {
				t.Fatalf("seed %d: row %d is %q of commit %d, want %q of %d", seed, k, v, got.Cols[2].Datum(i).I, want[k], csn)
			}
		}
		s.Committed()
	}
	s.Close()
	if infos, err := files.List(); err != nil || bad && len(infos) > 0 {
		t.Fatalf("seed %d: %v are left (%v)", seed, infos, err)
	}
	return bad
}
