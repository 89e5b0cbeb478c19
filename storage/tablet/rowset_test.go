package tablet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// TestLargeSets writes the same large statements to a table by row, a hybrid one and one
// by column, in transactions of one statement and of several, with flushes and crashes
// between: all must say the same, to the error.
func TestLargeSets(t *testing.T) {
	disk := blob.NewMem()
	disk.Undead("/catalog")
	s := openSpilling(t, disk, 4<<10)
	defer func() { s.Close() }()
	orientations := []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid}
	for _, o := range orientations {
		createWith(t, s, o, true, map[string]string{"orientation": o})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	version, sets := 0, 0
	for round := range 16 {
		version++
		explicit := rng.IntN(2) == 0
		kinds := []int{rng.IntN(6)}
		for explicit && rng.IntN(2) == 0 {
			kinds = append(kinds, rng.IntN(6))
		}
		from, n, step := rng.IntN(3000), 200+rng.IntN(3000), 1+rng.IntN(3)
		twice := rng.IntN(8) == 0
		crash, flush := rng.IntN(5) == 0, rng.IntN(4) == 0
		results := map[string]string{}
		for _, o := range orientations {
			tab := s.Catalog().TableNamed(catalog.PublicSchemaOID, o)
			x := s.Begin(storage.TxnOptions{Explicit: explicit})
			err := func() error {
				for i, k := range kinds {
					if err := largeStatement(t, x, tab, k, from+i*50, n, step, version, twice); err != nil {
						return err
					}
				}
				_, err := x.Commit(bg)
				return err
			}()
			x.Rollback()
			results[o] = contents(t, s, tab)
			if err != nil {
				results[o] += fmt.Sprint("\n", strings.ReplaceAll(err.Error(), o, "it"))
				if code := sqlstate.CodeOf(err); code != sqlstate.UniqueViolation {
					t.Fatal(err)
				}
			}
		}
		for _, o := range orientations[1:] {
			if results[o] != results[orientations[0]] {
				t.Fatalf("round %d (explicit %v, %v, %d rows): by %s and by column differ:\n%.300s\n%.300s", round, explicit, kinds, n, o, results[o], results[orientations[0]])
			}
		}
		sets = max(sets, len(s.rowFiles))
		if flush {
			if err := s.flushCatalog(); err != nil {
				t.Fatal(err)
			}
			if len(s.rowFiles) > 0 {
				t.Fatalf("%d sets keep their files", len(s.rowFiles))
			}
		}
		if crash {
			disk.Stop()
			s.Close()
			disk = disk.Crash(uint64(round))
			disk.Undead("/catalog")
			if _, err := Check(disk.Root(), func(err error) { t.Error(err) }); err != nil {
				t.Error(err)
			}
			s = openSpilling(t, disk, 4<<10)
			for _, o := range orientations {
				tab := s.Catalog().TableNamed(catalog.PublicSchemaOID, o)
				if got := contents(t, s, tab); !strings.HasPrefix(results[o]+"\n", got+"\n") {
					t.Fatalf("round %d: %s changed over a crash", round, o)
				}
			}
		}
	}
	if sets < 2 {
		t.Error("no sets went to files")
	}
}

// largeStatement is an insert, upsert, update, delete or move of keys of many rows.
func largeStatement(t *testing.T, x storage.Txn, tab *catalog.Table, kind, from, n, step, version int, twice bool) error {
	if kind < 3 { // inserts, new mostly, and upserts
		op := storage.OpInsert
		if kind == 2 {
			op = storage.OpUpsert
		} else {
			from += version * 100_000
		}
		for i := 0; i < n; i += 500 {
			rows := make([]kv, min(500, n-i))
			for j := range rows {
				rows[j] = kv{from + (i+j)*step, fmt.Sprintf("%d of %d, and some more text", i+j, version)}
			}
			if twice && i > 0 {
				rows[0].k = from
			}
			if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: op, Rows: rowsBatch(tab, rows)}); err != nil {
				return err
			}
		}
		return nil
	}
	snap, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	r, err := snap.Relation(tab)
	if err != nil {
		t.Fatal(err)
	}
	var keys []kv
	var csns []int64
	each(t, r, &catalog.ScanSpec{Cols: []int{0, catalog.ColCSN}, Limit: -1}, func(b *vec.Batch, i int) {
		if k := int(b.Cols[0].Datum(i).I); k%step == 0 {
			keys, csns = append(keys, kv{k, fmt.Sprintf("%d changed in %d", k, version)}), append(csns, b.Cols[1].Datum(i).I)
		}
	})
	for i := 0; i < len(keys); i += 700 {
		part := keys[i:min(i+700, len(keys))]
		rows := rowsBatch(tab, part)
		m := &storage.Mutation{Table: tab, Op: storage.OpDelete, Keys: &vec.Batch{Cols: rows.Cols[:1], N: rows.N}, OldCSN: vec.New(types.Int8, rows.N)}
		for j := range part {
			m.OldCSN.AppendDatum(types.NewInt(csns[i+j]))
		}
		switch kind {
		case 3:
			m.Op, m.Rows = storage.OpUpdate, rows
		case 4: // other keys
			for j := range part {
				part[j].k += 10_000_000
			}
			m.Op, m.Rows = storage.OpUpdate, rowsBatch(tab, part)
		}
		if _, err := x.Write(bg, m); err != nil {
			return err
		}
	}
	return nil
}

// TestLargeSetWaitsForLock: what goes to files waits for who has locked the table as
// small sets do.
func TestLargeSetWaitsForLock(t *testing.T) {
	s := openSpilling(t, blob.NewMem(), 4<<10)
	defer s.Close()
	for _, o := range []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid} {
		for _, pk := range []bool{true, false} {
			if !pk && o != catalog.OrientationColumn {
				continue
			}
			tab := createWith(t, s, fmt.Sprint(o, pk), pk, map[string]string{"orientation": o})
			a := s.Begin(storage.TxnOptions{Explicit: true})
			if err := a.Lock(bg, tab.OID); err != nil {
				t.Fatal(err)
			}
			b := s.Begin(storage.TxnOptions{})
			rows := make([]kv, 1000)
			for i := range rows {
				rows[i] = kv{i, fmt.Sprint("row ", i)}
			}
			if err := insert(b, tab, rows...); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := b.Commit(bg)
				done <- err
			}()
			select {
			case err := <-done:
				t.Fatalf("%s, key %v: the commit did not wait: %v", o, pk, err)
			case <-time.After(50 * time.Millisecond):
			}
			if got := contents(t, s, tab); got != "" {
				t.Fatalf("%s: %.60s", o, got)
			}
			a.Rollback()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLargeSetIsOne: who reads or writes while a large set is on its way sees all of it
// or nothing, and does not overwrite it.
func TestLargeSetIsOne(t *testing.T) {
	s := openSpilling(t, blob.NewMem(), 4<<10)
	defer s.Close()
	tab := createWith(t, s, "kv", true, map[string]string{"orientation": catalog.OrientationRow})
	var stop atomic.Bool
	done := make(chan error, 2)
	go func() { // reads
		done <- func() error {
			for !stop.Load() {
				n := s.Snapshot()
				out, _, _ := scan(t, n, tab)
				n.Close()
				seen := map[string]int{}
				for _, kv := range out {
					_, v, _ := strings.Cut(kv, "=")
					seen[v]++
				}
				for v, n := range seen {
					if v != "small" && n != 1000 {
						return fmt.Errorf("%d rows of %s", n, v)
					}
				}
			}
			return nil
		}()
	}()
	go func() { // writes keys that the sets have too
		done <- func() error {
			for i := 0; !stop.Load(); i++ {
				x := s.Begin(storage.TxnOptions{})
				err := insert(x, tab, kv{i * 7919 % 50_000, "small"})
				if err == nil {
					_, err = x.Commit(bg)
				}
				x.Rollback()
				if err != nil && sqlstate.CodeOf(err) != sqlstate.UniqueViolation {
					return err
				}
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		}()
	}()
	won := 0
	for set := range 30 {
		x := s.Begin(storage.TxnOptions{})
		rows := make([]kv, 1000)
		for i := range rows {
			rows[i] = kv{set*1000 + i, fmt.Sprint("set ", set)}
		}
		err := insert(x, tab, rows...)
		if err == nil {
			_, err = x.Commit(bg)
		}
		x.Rollback()
		if err == nil {
			won++
		} else if sqlstate.CodeOf(err) != sqlstate.UniqueViolation {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
	if won == 0 {
		t.Error("no set was written")
	}
	// One row a key, whoever won.
	n := s.Snapshot()
	defer n.Close()
	out, _, _ := scan(t, n, tab)
	if want := won*1000 + strings.Count(strings.Join(out, " "), "=small"); len(out) != want {
		t.Errorf("%d rows, want %d", len(out), want)
	}
	x := s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	if err := insert(x, tab, kv{1, "late"}); err == nil && won == 30 {
		if _, err = x.Commit(bg); sqlstate.CodeOf(err) != sqlstate.UniqueViolation {
			t.Errorf("a key of a set was inserted again: %v", err)
		}
	}
}
