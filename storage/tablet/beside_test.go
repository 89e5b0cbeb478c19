package tablet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/txn"
	"github.com/millrace/millrace/storage/vec"
)

// TestSmallBesideLarge writes single rows beside large changes of a table with a binlog,
// with flushes and compactions between: those of keys that the large one has not locked
// go on, what they change is decided again, and the binlog tells what happened.
func TestSmallBesideLarge(t *testing.T) {
	for seed := range uint64(6) {
		orientation := []string{catalog.OrientationColumn, catalog.OrientationHybrid}[seed%2]
		t.Run(fmt.Sprint(orientation, seed), func(t *testing.T) {
			disk := blob.NewMem()
			disk.Undead("/catalog")
			b := besideTest{T: t, s: keysFileStore(t, disk), rng: rand.New(rand.NewPCG(seed, 7)), rows: map[int]string{}}
			defer func() { b.s.Close() }()
			b.tab = keysFileTable(t, b.s, orientation, true, true)
			got, _, _ := b.scan(nil)
			maps.Copy(b.rows, got)
			for range 5 {
				b.round()
			}
			if b.passed == 0 || b.waited == 0 {
				t.Errorf("%d rows were written beside, %d waited", b.passed, b.waited)
			}
			if err := b.s.Close(); err != nil {
				t.Fatal(err)
			}
			b.s = keysFileStore(t, disk)
			b.tab = b.s.Catalog().Table(b.tab.OID)
			checkLog(t, b.s, b.tab)
		})
	}
}

type besideTest struct {
	*testing.T
	s              *Store
	tab            *catalog.Table
	rng            *rand.Rand
	rows           map[int]string // committed
	passed, waited int
}

func (b *besideTest) scan(n storage.Snapshot) (rows map[int]string, keys []int, csns []int64) {
	if n == nil {
		n = b.s.Snapshot()
		defer n.Close()
	}
	r, err := n.Relation(b.tab)
	if err != nil {
		b.Fatal(err)
	}
	rows = map[int]string{}
	each(b, r, &catalog.ScanSpec{Cols: []int{0, 1, catalog.ColCSN}, Limit: -1}, func(v *vec.Batch, i int) {
		k := int(v.Cols[0].Datum(i).I)
		rows[k] = v.Cols[1].Datum(i).S
		keys, csns = append(keys, k), append(csns, v.Cols[2].Datum(i).I)
	})
	return rows, keys, csns
}

// round runs a large transaction.
func (b *besideTest) round() {
	explicit := b.rng.IntN(2) == 0
	x := b.s.Begin(storage.TxnOptions{Explicit: explicit})
	defer x.Rollback()
	var effects []func(m map[int]string)
	for range 1 + b.rng.IntN(3) {
		effects = append(effects, b.large(x))
		if !explicit {
			break
		}
	}
	if _, err := x.Commit(bg); err != nil {
		b.Fatal(err)
	}
	for _, f := range effects {
		f(b.rows)
	}
	got, _, _ := b.scan(nil)
	if !maps.Equal(got, b.rows) {
		for k, v := range b.rows {
			if got[k] != v {
				b.Fatalf("explicit %v: %d is %q, not %q", explicit, k, got[k], v)
			}
		}
		b.Fatalf("%d rows, not %d", len(got), len(b.rows))
	}
	checkLog(b, b.s, b.tab)
}

// large runs a large statement; the effect is what it does to what others committed.
func (b *besideTest) large(x storage.Txn) (effect func(m map[int]string)) {
	n, err := x.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	_, keys, csns := b.scan(n)
	n.Close()
	kind, by := b.rng.IntN(3), 1+b.rng.IntN(2)
	if kind == 2 { // what the transaction has deleted as well
		keys = keys[:0]
		for k := range keysFileRows {
			keys = append(keys, k)
		}
		csns = make([]int64, len(keys))
	}
	var touched []int
	write := func(ks []int, cs []int64) {
		if len(ks) == 0 {
			return
		}
		touched = append(touched, ks...)
		var rows []kv
		for _, k := range ks {
			rows = append(rows, kv{k, fmt.Sprint("upsert ", len(touched))})
		}
		m := &storage.Mutation{Table: b.tab, Op: storage.OpUpsert, Rows: rowsBatch(b.tab, rows)}
		if kind < 2 {
			// The rows that were read count; what was there is decided on by Resolve.
			m.Op, m.Keys, m.OldCSN = storage.OpDelete, keysOf(ks), vec.New(types.Int8, len(ks))
			for _, c := range cs {
				m.OldCSN.AppendDatum(types.NewInt(c))
			}
			m.Rows = nil
			m.Resolve = func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
				keep := make([]uint16, old.N)
				for i := range keep {
					keep[i] = uint16(i)
				}
				if kind == 1 {
					return nil, keep, nil
				}
				return changed(b.tab, old), keep, nil
			}
			if kind == 0 {
				old := vec.NewBatch(b.tab.Types())
				s, err := x.Snapshot()
				if err != nil {
					b.Fatal(err)
				}
				r, err := s.Relation(b.tab)
				if err != nil {
					b.Fatal(err)
				}
				idx, err := r.Get(bg, m.Keys, []int{0, 1}, old, nil)
				if err != nil {
					b.Fatal(err)
				}
				// Those that are gone meanwhile keep what they had, of which Resolve hears.
				was := map[int]string{}
				for i := range idx {
					was[int(old.Cols[0].Datum(i).I)] = old.Cols[1].Datum(i).S
				}
				s.Close()
				for i, k := range ks {
					rows[i].v = was[k] + "!"
				}
				m.Op, m.Rows = storage.OpUpdate, rowsBatch(b.tab, rows)
			}
		}
		if _, err := x.Write(bg, m); err != nil {
			b.Fatal(err)
		}
		for range 3 {
			b.small(ks[b.rng.IntN(len(ks))])
		}
	}
	var ks []int
	var cs []int64
	for i, k := range keys {
		if k%by != 0 {
			continue
		}
		if ks, cs = append(ks, k), append(cs, csns[i]); len(ks) == 200 {
			write(ks, cs)
			ks, cs = nil, nil
		}
	}
	write(ks, cs)
	all := slices.Clone(touched)
	return func(m map[int]string) {
		for i, k := range all {
			v, is := m[k]
			switch {
			case kind == 0 && is:
				m[k] = v + "!"
			case kind == 1:
				delete(m, k)
			case kind == 2:
				m[k] = fmt.Sprint("upsert ", min(i/200*200+200, len(all)))
			}
		}
	}
}

// changed is rows with an exclamation mark.
func changed(tab *catalog.Table, old *vec.Batch) *vec.Batch {
	var rows []kv
	for i := range old.N {
		rows = append(rows, kv{int(old.Cols[0].Datum(i).I), strings.Clone(old.Cols[1].Datum(i).S) + "!"})
	}
	return rowsBatch(tab, rows)
}

// small writes one row, if that does not wait: of the large statement's last ones, or any.
func (b *besideTest) small(k int) {
	if b.rng.IntN(2) == 0 {
		k = b.rng.IntN(keysFileRows + 100)
	}
	ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
	defer cancel()
	y := b.s.Begin(storage.TxnOptions{})
	defer y.Rollback()
	v := fmt.Sprint("small ", b.passed)
	m := &storage.Mutation{Table: b.tab, Op: storage.OpUpsert, Rows: rowsBatch(b.tab, []kv{{k, v}})}
	gone := b.rng.IntN(3) == 0
	if gone {
		m.Op, m.Rows, m.Keys = storage.OpDelete, nil, keysOf([]int{k})
	}
	if _, err := y.Write(ctx, m); err != nil {
		b.Fatal(err)
	}
	_, err := y.Commit(ctx)
	_, had := b.rows[k]
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		b.waited++
		return
	case gone && !had && err != nil: // nothing to delete
		return
	case err != nil:
		b.Fatal(err)
	}
	b.passed++
	if b.rows[k] = v; gone {
		delete(b.rows, k)
	}
	switch b.rng.IntN(12) {
	case 0:
		err = b.s.Flush(bg)
	case 1:
		err = b.s.maintain(bg, nil)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// TestLargeMovedBase: what a transaction has deleted is new when it is written again,
// wherever flushes and compactions have moved the old rows between.
func TestLargeMovedBase(t *testing.T) {
	s := openSpilling(t, blob.NewMem(), 0)
	defer s.Close()
	tab := keysFileTable(t, s, catalog.OrientationColumn, true, true)
	x := s.Begin(storage.TxnOptions{Explicit: true})
	defer x.Rollback()
	for _, op := range []storage.Op{storage.OpDelete, storage.OpUpsert} {
		for from := 0; from < keysFileRows; from += 500 {
			var ks []int
			var rows []kv
			for k := from; k < from+500; k++ {
				ks, rows = append(ks, k), append(rows, kv{k, "again, and with some more text"})
			}
			m := &storage.Mutation{Table: tab, Op: op, Rows: rowsBatch(tab, rows)}
			if op == storage.OpDelete {
				m.Rows, m.Keys = nil, keysOf(ks)
			}
			if _, err := x.Write(bg, m); err != nil {
				t.Fatal(err)
			}
		}
		x.(*tx).own[tab.OID].spillForTest(t, x.(*tx))
		if err := s.Flush(bg); err != nil {
			t.Fatal(err)
		}
		if err := s.Compact(bg, tab.OID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.Commit(bg); err != nil {
		t.Fatal(err)
	}
	checkLog(t, s, tab)
	events := map[int64]int{}
	for _, r := range readLog(t, s, tab) {
		events[r.event]++
	}
	if events[2] != keysFileRows || events[5] != 2*keysFileRows {
		t.Fatal(events)
	}
}

// spillForTest has what is listed go to files.
func (o *ownTable) spillForTest(t *testing.T, x *tx) {
	t.Helper()
	if err := x.settleBase(bg, o); err != nil {
		t.Fatal(err)
	}
	if err := o.spillNow(bg, x); err != nil {
		t.Fatal(err)
	}
}

// TestLargeInsertChanged: rows of a large insert that a later statement of the transaction
// changes do not take the place of those that others have inserted under their keys.
func TestLargeInsertChanged(t *testing.T) {
	for _, orientation := range []string{catalog.OrientationColumn, catalog.OrientationHybrid} {
		for _, logged := range []bool{false, true} {
			for when := range 2 {
				s := keysFileStore(t, blob.NewMem())
				tab := keysFileTable(t, s, orientation, logged, true)
				other := func() {
					y := s.Begin(storage.TxnOptions{})
					defer y.Rollback()
					err := insert(y, tab, kv{12_345, "other"})
					if err == nil {
						_, err = y.Commit(bg)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				x := s.Begin(storage.TxnOptions{})
				for from := 10_000; from < 14_000; from += 500 {
					rows := make([]kv, 500)
					for i := range rows {
						rows[i] = kv{from + i, "new, and with some more text"}
					}
					if err := insert(x, tab, rows...); err != nil {
						t.Fatal(err)
					}
				}
				if when == 0 {
					other()
				}
				if err := x.Extend(); err != nil {
					t.Fatal(err)
				}
				ks, rows := []int{}, []kv{}
				for k := 12_000; k < 12_500; k++ {
					ks, rows = append(ks, k), append(rows, kv{k, "changed"})
				}
				if when == 1 { // a key that is not locked
					ks, rows = slices.Delete(ks, 345, 346), slices.Delete(rows, 345, 346)
				}
				_, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpdate, Keys: keysOf(ks), Rows: rowsBatch(tab, rows)})
				if when == 1 {
					other()
				}
				if err == nil {
					_, err = x.Commit(bg)
				}
				x.Rollback()
				if sqlstate.CodeOf(err) != sqlstate.UniqueViolation {
					t.Errorf("%s, logged %v, %d: %v", orientation, logged, when, err)
				}
				if got, _, _ := (&besideTest{T: t, s: s, tab: tab}).scan(nil); got[12_345] != "other" || len(got) != keysFileRows+1 {
					t.Errorf("%s, logged %v, %d: %d rows, %q", orientation, logged, when, len(got), got[12_345])
				}
				s.Close()
			}
		}
	}
}

// TestManyDecidedAgain: a set whose rows were all changed by another before its commit is
// decided again as a whole, and commits as a whole, whatever size it seems to have then.
func TestManyDecidedAgain(t *testing.T) {
	for _, logged := range []bool{false, true} {
		o := testOptions()
		o.Shards, o.Limits.SpillBytes, o.Limits.FlushBytes = 1, 16<<10, 16<<10
		s, err := Open(blob.NewMem().Root(), o)
		if err != nil {
			t.Fatal(err)
		}
		props := map[string]string{}
		if logged {
			props["binlog.level"] = "replica"
		}
		tab := createWith(t, s, "t", true, props)
		b := &besideTest{T: t, s: s, tab: tab}
		const n = 150
		rows := func(round int) (out []kv) {
			for k := range n {
				out = append(out, kv{k, fmt.Sprint("round ", round, ", with some more text for its length")})
			}
			return out
		}
		write := func(round int) {
			y := s.Begin(storage.TxnOptions{})
			defer y.Rollback()
			if _, err := y.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, rows(round))}); err != nil {
				t.Fatal(err)
			}
			if _, err := y.Commit(bg); err != nil {
				t.Fatal(err)
			}
		}
		write(0)
		x := s.Begin(storage.TxnOptions{})
		snap, err := x.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		_, keys, csns := b.scan(snap)
		snap.Close()
		m := &storage.Mutation{Table: tab, Op: storage.OpUpdate, Keys: keysOf(keys), OldCSN: vec.New(types.Int8, n), Rows: rowsBatch(tab, rows(0))}
		for _, c := range csns {
			m.OldCSN.AppendDatum(types.NewInt(c))
		}
		m.Resolve = func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
			keep := make([]uint16, old.N)
			for i := range keep {
				keep[i] = uint16(i)
			}
			return changed(tab, old), keep, nil
		}
		if _, err := x.Write(bg, m); err != nil {
			t.Fatal(err)
		}
		write(1)
		if _, err := x.Commit(bg); err != nil {
			t.Fatal(err)
		}
		got, _, _ := b.scan(nil)
		for _, r := range rows(1) {
			if got[r.k] != r.v+"!" {
				t.Fatalf("logged %v: %d is %q", logged, r.k, got[r.k])
			}
		}
		if logged {
			checkLog(t, s, tab)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLargeUnlogged: a large change that keeps out of the binlog, and has the table locked
// for it, does not wait in a circle with one that shows what it replaces.
func TestLargeUnlogged(t *testing.T) {
	s := keysFileStore(t, blob.NewMem())
	defer s.Close()
	tab := keysFileTable(t, s, catalog.OrientationColumn, true, true)
	first := txn.NewOwner() // a large insert in its commit
	if _, err := s.locks.LockKey(bg, first, txn.Key{Space: largeSpace, Hash: uint64(tab.OID)}, txn.Share); err != nil {
		t.Fatal(err)
	}
	large := func(from int, quiet bool) chan error {
		done := make(chan error, 1)
		go func() {
			x := s.Begin(storage.TxnOptions{})
			defer x.Rollback()
			x.SuppressBinlog(quiet)
			for k := from; k < from+1500; k += 500 {
				rows := make([]kv, 500)
				for i := range rows {
					rows[i] = kv{k + i, "large, and with some more text"}
				}
				if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, rows)}); err != nil {
					done <- err
					return
				}
			}
			_, err := x.Commit(bg)
			done <- err
		}()
		return done
	}
	waits := s.locks.Waits()
	logged := large(0, false)
	for s.locks.Waits() == waits {
		time.Sleep(time.Millisecond)
	}
	unlogged := large(1500, true)
	for len(unlogged) == 0 && s.locks.Waits() < waits+2 {
		time.Sleep(time.Millisecond)
	}
	s.locks.Release(first)
	for _, done := range []chan error{logged, unlogged} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got, _, _ := (&besideTest{T: t, s: s, tab: tab}).scan(nil); got[0] != got[2999] || len(got) != keysFileRows {
		t.Errorf("%q, %q", got[0], got[2999])
	}
}
