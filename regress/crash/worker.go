package crash

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/tablet"
	"github.com/millrace/millrace/storage/vec"
)

// worker is a client with tables of its own, and knows what must be in them.
type worker struct {
	id  int
	rng *rand.Rand
	// states are what the store may hold: the last that was acknowledged as durable,
	// and after it, in order, those of later commits that were not.
	states []state
	seq    int
	// stop stops the disk soon; nil in rounds that end in order.
	stop func(ops int64)
}

// state is all tables of a worker. It and what is in it is never changed.
type state map[string]*model

// model is a table: rows by k, which is unique, key or not.
type model struct {
	pk   bool
	cols int
	rows map[int64]string
}

func newWorker(id int, rng *rand.Rand) *worker {
	return &worker{id: id, rng: rng, states: []state{{}}}
}

func (w *worker) now() state { return w.states[len(w.states)-1] }

// check finds the state that the store holds after a crash.
func (w *worker) check(st *tablet.Store) error {
	have, err := w.read(st)
	if err != nil {
		return fmt.Errorf("worker %d: %w", w.id, err)
	}
	for i := len(w.states) - 1; i >= 0; i-- {
		if diff(w.states[i], have) == "" {
			w.states = []state{w.states[i]}
			return nil
		}
	}
	msg := fmt.Sprintf("worker %d: the store holds none of %d states.", w.id, len(w.states))
	for i, s := range w.states {
		msg += fmt.Sprintf("\n  against state %d: %s", i, diff(s, have))
	}
	return fmt.Errorf("%s", msg)
}

// diff says how have differs from want, "" when it does not.
func diff(want, have state) string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		a, b := want[name], have[name]
		if b == nil {
			return "table " + name + " is missing"
		}
		if a.cols != b.cols {
			return fmt.Sprintf("table %s has %d columns, want %d", name, b.cols, a.cols)
		}
		for k, v := range a.rows {
			if x, ok := b.rows[k]; !ok {
				return fmt.Sprintf("table %s: row %d is missing (%d of %d rows)", name, k, len(b.rows), len(a.rows))
			} else if x != v {
				return fmt.Sprintf("table %s: row %d is %.40q, want %.40q", name, k, x, v)
			}
		}
		for k := range b.rows {
			if _, ok := a.rows[k]; !ok {
				return fmt.Sprintf("table %s: row %d=%.40q should not be there", name, k, b.rows[k])
			}
		}
	}
	for name := range have {
		if want[name] == nil {
			return "table " + name + " should not be there"
		}
	}
	return ""
}

// read reads all tables of the worker.
func (w *worker) read(st *tablet.Store) (state, error) {
	n := st.Snapshot()
	defer n.Close()
	return w.readSnapshot(n, true)
}

// readSnapshot reads the tables; published says that no transaction's own rows are
// among them, which a binlog does not have.
func (w *worker) readSnapshot(n storage.Snapshot, published bool) (state, error) {
	s := state{}
	for _, t := range n.Catalog().Tables() {
		if t.Schema != catalog.PublicSchemaOID || !strings.HasPrefix(t.Name, fmt.Sprintf("w%d_", w.id)) {
			continue
		}
		m := &model{pk: len(t.PK) > 0, cols: len(t.Columns), rows: map[int64]string{}}
		at := map[int64][2]int64{}
		err := scan(n, t, func(k int64, v string, key, csn int64) error {
			if old, twice := m.rows[k]; twice {
				return fmt.Errorf("table %s (key %v), snapshot %d: row %d is there twice: %.30s (key, csn %d), %.30s (%d, %d)",
					t.Name, m.pk, n.CSN(), k, old, at[k], v, key, csn)
			}
			m.rows[k], at[k] = v, [2]int64{key, csn}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if t.StoresRows() && t.StoresColumns() {
			if err := checkCopy(n, t, m.rows); err != nil {
				return nil, err
			}
		}
		for i := range t.Unique {
			if err := checkIndex(n, t, &t.Unique[i], m.rows); err != nil {
				return nil, err
			}
		}
		r, err := n.Relation(t)
		if err != nil {
			return nil, err
		}
		if rows, exact := r.RowCount(); exact && int(rows) != len(m.rows) || t.StoresColumns() && int(rows) < len(m.rows) || rows == 0 && len(m.rows) > 0 {
			return nil, fmt.Errorf("table %s: %d rows, RowCount says %d", t.Name, len(m.rows), rows)
		}
		if t.KeepsBinlog() && published {
			if err := checkBinlog(n, t, m.rows); err != nil {
				return nil, err
			}
		}
		s[t.Name] = m
	}
	return s, nil
}

// checkIndex reads the index over (v, k), which must have an entry for each row.
func checkIndex(n storage.Snapshot, t *catalog.Table, u *catalog.UniqueKey, want map[int64]string) error {
	seen := 0
	err := scanSpec(n, n.Catalog().Table(u.OID), &catalog.ScanSpec{Cols: []int{1, 0, catalog.ColCSN}, Limit: -1}, func(k int64, v string, _, csn int64) error {
		if w, ok := want[k]; !ok || w != v {
			return fmt.Errorf("table %s, snapshot %d: an entry has %d, %.30q (csn %d), the row %.30q (%v)", t.Name, n.CSN(), k, v, csn, w, ok)
		}
		seen++
		return nil
	})
	if err == nil && seen != len(want) {
		err = fmt.Errorf("table %s, snapshot %d: %d entries for %d rows", t.Name, n.CSN(), seen, len(want))
	}
	return err
}

// checkCopy reads a hybrid table from its row tablets, by range and by key: they must
// have what its column tablets have.
func checkCopy(n storage.Snapshot, t *catalog.Table, want map[int64]string) error {
	seen := 0
	err := scanSpec(n, t, &catalog.ScanSpec{Cols: []int{0, 1, catalog.ColCSN}, Limit: -1, ByRow: true}, func(k int64, v string, _, csn int64) error {
		if w, ok := want[k]; !ok || w != v {
			return fmt.Errorf("table %s, snapshot %d: row %d is %.30q (csn %d) by row, %.30q (%v) by column", t.Name, n.CSN(), k, v, csn, w, ok)
		}
		seen++
		return nil
	})
	if err == nil && seen != len(want) {
		err = fmt.Errorf("table %s, snapshot %d: %d rows by row, %d by column", t.Name, n.CSN(), seen, len(want))
	}
	if err != nil {
		return err
	}
	r, err := n.Relation(t)
	if err != nil {
		return err
	}
	keys, out := vec.NewBatch([]types.T{types.Int8}), vec.NewBatch(t.Types()[:2])
	for k := range want {
		if keys.N == 20 {
			break
		}
		keys.Cols[0].AppendDatum(types.NewInt(k))
		keys.N++
	}
	idx, err := r.Get(bg, keys, []int{0, 1}, out, nil)
	if err != nil {
		return err
	}
	if len(idx) != keys.N {
		return fmt.Errorf("table %s: %d of %d keys are found", t.Name, len(idx), keys.N)
	}
	for i := range idx {
		if k := out.Cols[0].I64[i]; want[k] != out.Cols[1].Datum(i).S {
			return fmt.Errorf("table %s: row %d is %.30q by key, %.30q by column", t.Name, k, out.Cols[1].Datum(i).S, want[k])
		}
	}
	return nil
}

// scan reads a table; key is the primary key or row id.
func scan(n storage.Snapshot, t *catalog.Table, f func(k int64, v string, key, csn int64) error) error {
	return scanSpec(n, t, &catalog.ScanSpec{Cols: []int{0, 1, catalog.ColCSN}, Limit: -1}, f)
}

func scanSpec(n storage.Snapshot, t *catalog.Table, spec *catalog.ScanSpec, f func(k int64, v string, key, csn int64) error) error {
	r, err := n.Relation(t)
	if err != nil {
		return err
	}
	if len(t.PK) == 0 {
		spec.Cols = append(spec.Cols, catalog.ColRowID)
	}
	splits, _, err := r.Splits(bg, spec)
	if err != nil {
		return err
	}
	rd, err := r.Reader(spec)
	if err != nil {
		return err
	}
	defer rd.Close()
	for _, sp := range splits {
		if err := rd.Open(sp); err != nil {
			return err
		}
		for {
			b, err := rd.Next()
			if err != nil {
				return err
			}
			if b == nil {
				break
			}
			for j := range b.Rows() {
				i := b.Row(j)
				k := b.Cols[0].Datum(i).I
				key := k
				if len(t.PK) == 0 {
					key = b.Cols[3].Datum(i).I
				}
				if err := f(k, b.Cols[1].Datum(i).S, key, b.Cols[2].Datum(i).I); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// tolerable says that an operation may fail so: the disk is at fault.
func tolerable(err error, stopped *atomic.Bool) bool {
	return stopped.Load() || refused(err) || sqlstate.CodeOf(err) == sqlstate.IOError || sqlstate.CodeOf(err) == sqlstate.DiskFull || isDisk(err)
}

// refused says that a set cannot be written: its first part went to files, and after that
// the binlog of its table, which is by row, was switched on.
func refused(err error) bool {
	e, ok := errors.AsType[*sqlstate.Error](err)
	return ok && e.Code == sqlstate.OutOfMemory && strings.Contains(e.Detail, "orientation row with a binlog")
}

func isDisk(err error) bool {
	s := err.Error()
	return strings.Contains(s, "input/output error") || strings.Contains(s, "no space left") || strings.Contains(s, "simulated disk") ||
		strings.Contains(s, "storage has stopped")
}

// work runs transactions until the budget is used or the store stops.
func (w *worker) work(st *tablet.Store, budget int, stopped *atomic.Bool) error {
	for range budget {
		if stopped.Load() {
			return nil
		}
		var err error
		switch k := w.rng.IntN(30); {
		case k == 0:
			err = st.Flush(bg)
		case k == 1:
			err = st.Compact(bg, 0)
		case k == 2:
			err = w.look(st, stopped)
		default:
			err = w.transaction(st, stopped)
		}
		if err != nil {
			if tolerable(err, stopped) {
				continue
			}
			return fmt.Errorf("worker %d: %w", w.id, err)
		}
	}
	return nil
}

// look compares the running store with what it must hold.
func (w *worker) look(st *tablet.Store, stopped *atomic.Bool) error {
	have, err := w.read(st)
	switch {
	case err != nil && tolerable(err, stopped):
		return nil
	case err != nil:
		return fmt.Errorf("worker %d, before the crash: %w", w.id, err)
	case len(w.states) > 1 || stopped.Load():
		return nil
	}
	if d := diff(w.now(), have); d != "" {
		return fmt.Errorf("worker %d, before the crash: %s", w.id, d)
	}
	return nil
}

// tx is a transaction of a worker and what it makes of its tables.
type tx struct {
	w     *worker
	x     storage.Txn
	s     state
	saved []state
	dirty bool
	large bool // it has changed very many rows
	what  string
}

// transaction runs one transaction and notes what the store may hold afterwards.
func (w *worker) transaction(st *tablet.Store, stopped *atomic.Bool) error {
	o := storage.TxnOptions{Explicit: w.rng.IntN(2) == 0, Async: w.rng.IntN(6) == 0}
	if w.rng.IntN(4) == 0 {
		o.Isolation = storage.RepeatableRead
	}
	// Asynchronous commits are not visible at once; the worker waits for its own.
	t := &tx{w: w, x: st.Begin(o), s: maps.Clone(w.now())}
	defer t.x.Rollback()
	steps := 1
	if o.Explicit {
		steps += w.rng.IntN(5)
	}
	for range steps {
		if err := t.step(); err != nil {
			return err
		}
	}
	if o.Explicit {
		n, err := t.x.Snapshot()
		if err != nil {
			return err
		}
		have, err := w.readSnapshot(n, false)
		n.Close()
		if err != nil {
			return err
		}
		if d := diff(t.s, have); d != "" {
			return fmt.Errorf("a transaction reads its own writes wrong: %s", d)
		}
		if w.rng.IntN(6) == 0 {
			return nil // rolled back
		}
	}
	if !t.dirty {
		return nil
	}
	if t.large && w.stop != nil && w.rng.IntN(3) == 0 {
		w.stop(1 + w.rng.Int64N(40)) // amid the commit
	}
	_, err := t.x.Commit(bg)
	switch {
	case err != nil && !tolerable(err, stopped):
		return fmt.Errorf("commit after %s (%+v): %w", t.what, o, err)
	case err != nil:
		// It may be durable or not. Nothing follows it, when the log is at fault.
		w.states = append(w.states, t.s)
		if !stopped.Load() {
			// The log goes on, so the commit did not happen.
			w.states = w.states[:len(w.states)-1]
		}
		return err
	case o.Async:
		w.states = append(w.states, t.s)
		return w.settle(st, stopped)
	default:
		w.states = []state{t.s}
	}
	return nil
}

// settle waits now and then for asynchronous commits, which the worker's next
// snapshot must see.
func (w *worker) settle(st *tablet.Store, stopped *atomic.Bool) error {
	// A synchronous commit makes all before it durable.
	x := st.Begin(storage.TxnOptions{})
	defer x.Rollback()
	t := lookup(st, fmt.Sprintf("w%d_sync", w.id))
	if t == nil {
		def := newTable(x, fmt.Sprintf("w%d_sync", w.id), true, true)
		if err := x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{def.OID: def}}); err != nil {
			return err
		}
		s := maps.Clone(w.now())
		s[def.Name] = &model{pk: true, cols: 2, rows: map[int64]string{}}
		w.states = append(w.states, s)
	} else {
		s := maps.Clone(w.now())
		w.seq++
		m := &model{pk: true, cols: 2, rows: map[int64]string{0: fmt.Sprint(w.seq)}}
		s[t.Name] = m
		if _, err := x.Write(bg, &storage.Mutation{Table: t, Op: storage.OpUpsert, Rows: batch(t, []int64{0}, m.rows)}); err != nil {
			return err
		}
		w.states = append(w.states, s)
	}
	if _, err := x.Commit(bg); err != nil {
		if !stopped.Load() {
			w.states = w.states[:len(w.states)-1]
		}
		return err
	}
	w.states = w.states[len(w.states)-1:]
	return nil
}

func newTable(x storage.Txn, name string, pk, logged bool) *catalog.Table {
	t := &catalog.Table{OID: x.AllocOIDs(3), Schema: catalog.PublicSchemaOID, Name: name, Owner: 10, Shards: 2, SchemaVersion: 1,
		Columns: []catalog.Column{{ID: 1, Name: "k", T: types.Int8, NotNull: true}, {ID: 2, Name: "v", T: types.Text}}, NextColumnID: 3}
	if logged {
		t.Props = map[string]string{"binlog.level": "replica"}
	}
	if pk {
		t.PK = []int{0}
		t.PKName = name + "_pkey"
	}
	return t
}

func batch(t *catalog.Table, keys []int64, rows map[int64]string) *vec.Batch {
	b := vec.NewBatch(t.Types())
	for _, k := range keys {
		b.Cols[0].AppendDatum(types.NewInt(k))
		b.Cols[1].AppendString(rows[k])
		for i := 2; i < len(t.Columns); i++ {
			b.Cols[i].AppendDatum(types.NewInt(k))
		}
	}
	b.N = len(keys)
	return b
}
