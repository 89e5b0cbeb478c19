package crash

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// step is one statement.
func (t *tx) step() error {
	if err := t.statement(); err != nil {
		return fmt.Errorf("%s: %w", t.what, err)
	}
	return nil
}

func (t *tx) statement() error {
	names := slices.Sorted(maps.Keys(t.s))
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "_sync") })
	r := t.w.rng
	k := r.IntN(43)
	if len(names) == 0 || k == 0 && len(names) < 4 {
		return t.create()
	}
	name := names[r.IntN(len(names))]
	tab := t.x.Catalog().TableNamed(catalog.PublicSchemaOID, name)
	if tab == nil {
		return fmt.Errorf("table %s is not in the transaction's catalog", name)
	}
	t.what = fmt.Sprintf("statement %d on %s", k, name)
	switch {
	case k == 1:
		return t.truncate(tab)
	case k == 2:
		return t.drop(tab)
	case k == 3:
		return t.addColumn(tab)
	case k < 6:
		t.saved = append(t.saved[:t.x.Savepoint()], maps.Clone(t.s))
		return nil
	case k < 9 && len(t.saved) > 0:
		i := r.IntN(len(t.saved))
		if err := t.x.RollbackTo(i); err != nil {
			return err
		}
		t.s = maps.Clone(t.saved[i])
		t.saved = t.saved[:i+1]
		return nil
	case k < 12:
		return t.duplicate(tab)
	case k < 20:
		return t.change(tab, storage.OpUpdate)
	case k < 26:
		return t.change(tab, storage.OpDelete)
	case k < 29:
		return t.add(tab, storage.OpUpsert, 1+r.IntN(30))
	case k < 31: // enough for side files, as a COPY with on_conflict
		return t.add(tab, storage.OpUpsert, 200<<r.IntN(4))
	case k < 33:
		return t.add(tab, storage.OpInsert, 200<<r.IntN(5))
	case k == 40:
		return t.switchBinlog(tab)
	case k == 41:
		t.x.SuppressBinlog(r.IntN(3) == 0)
		return nil
	}
	return t.add(tab, storage.OpInsert, 1+r.IntN(60))
}

func (t *tx) ddl(d *catalog.Delta) error {
	t.dirty = true
	return t.x.Change(bg, d)
}

// orientations are those of tables with a key, hybrid ones more often.
var orientations = []string{catalog.OrientationColumn, catalog.OrientationRow, catalog.OrientationHybrid, catalog.OrientationHybrid}

func (t *tx) create() error {
	t.w.seq++
	pk := t.w.rng.IntN(3) > 0
	def := newTable(t.x, fmt.Sprintf("w%d_%d", t.w.id, t.w.seq), pk, t.w.rng.IntN(2) == 0)
	if pk {
		if def.Props == nil {
			def.Props = map[string]string{}
		}
		def.Props["orientation"] = orientations[t.w.rng.IntN(len(orientations))]
		if def.StoresRows() && t.w.rng.IntN(2) == 0 {
			def.Unique = []catalog.UniqueKey{{OID: t.x.AllocOIDs(2), Name: def.Name + "_key", Columns: []int32{2, 1}}}
		}
	}
	t.s[def.Name] = &model{pk: pk, cols: 2, rows: map[int64]string{}}
	return t.ddl(&catalog.Delta{Tables: map[uint32]*catalog.Table{def.OID: def}})
}

func (t *tx) truncate(tab *catalog.Table) error {
	t.s[tab.Name] = &model{pk: t.s[tab.Name].pk, cols: t.s[tab.Name].cols, rows: map[int64]string{}}
	return t.ddl(&catalog.Delta{Truncated: []uint32{tab.OID}})
}

func (t *tx) drop(tab *catalog.Table) error {
	delete(t.s, tab.Name)
	return t.ddl(&catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: nil}})
}

func (t *tx) addColumn(tab *catalog.Table) error {
	n := *tab
	n.SchemaVersion++
	n.Columns = append(slices.Clone(tab.Columns), catalog.Column{ID: n.NextColumnID, Name: fmt.Sprint("c", n.NextColumnID), T: types.Int8, Missing: types.NewInt(3)})
	n.NextColumnID++
	m := *t.s[tab.Name]
	m.cols++
	t.s[tab.Name] = &m
	return t.ddl(&catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &n}})
}

// switchBinlog begins or ends a table's binlog.
func (t *tx) switchBinlog(tab *catalog.Table) error {
	n := *tab
	n.SchemaVersion++
	n.Props = maps.Clone(tab.Props)
	if tab.KeepsBinlog() {
		delete(n.Props, "binlog.level")
	} else {
		if n.Props == nil {
			n.Props = map[string]string{}
		}
		n.Props["binlog.level"], n.Props[laterProp] = "replica", "1"
	}
	return t.ddl(&catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &n}})
}

// value makes a string, short or long.
func (t *tx) value(k int64) string {
	t.w.seq++
	v := fmt.Sprintf("%d.%d", k, t.w.seq)
	if t.w.rng.IntN(3) == 0 {
		v += strings.Repeat("x", t.w.rng.IntN(60))
	}
	return v
}

func (t *tx) write(m *storage.Mutation) error {
	_, err := t.x.Write(bg, m)
	if err == nil {
		t.dirty = true
	}
	return err
}

// put replaces a table's rows in the transaction's state.
func (t *tx) put(tab *catalog.Table, f func(rows map[int64]string)) {
	m := *t.s[tab.Name]
	m.rows = maps.Clone(m.rows)
	f(m.rows)
	t.s[tab.Name] = &m
}

// add inserts new rows, or writes some that may exist.
func (t *tx) add(tab *catalog.Table, op storage.Op, n int) error {
	m := t.s[tab.Name]
	rows := map[int64]string{}
	var keys []int64
	for len(keys) < n {
		var k int64
		if op == storage.OpInsert || !m.pk {
			t.w.seq++
			k = int64(t.w.seq) * 7919 % 1000003
		} else {
			k = t.w.rng.Int64N(int64(2000 + 2*n))
		}
		if _, have := m.rows[k]; have && (op == storage.OpInsert || !m.pk) {
			continue
		}
		if _, have := rows[k]; have {
			continue
		}
		rows[k] = t.value(k)
		keys = append(keys, k)
	}
	for part := range slices.Chunk(keys, 1+t.w.rng.IntN(vec.Size)) {
		if err := t.write(&storage.Mutation{Table: tab, Op: op, Rows: batch(tab, part, rows)}); err != nil {
			return err
		}
	}
	t.put(tab, func(all map[int64]string) { maps.Copy(all, rows) })
	return nil
}

// duplicate inserts a key that exists, in a savepoint of its own.
func (t *tx) duplicate(tab *catalog.Table) error {
	m := t.s[tab.Name]
	if !m.pk || len(m.rows) == 0 {
		return nil
	}
	keys := slices.Sorted(maps.Keys(m.rows))
	k := keys[t.w.rng.IntN(len(keys))]
	mark := t.x.Savepoint()
	_, err := t.x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpInsert, Rows: batch(tab, []int64{k}, map[int64]string{k: "dup"})})
	if err != nil && sqlstate.CodeOf(err) != sqlstate.UniqueViolation {
		return err
	}
	// An autocommit transaction learns of it at its commit only.
	t.saved = append(t.saved[:mark], maps.Clone(t.s))
	return t.x.RollbackTo(mark)
}

// change updates or deletes some rows, a few of them to other keys.
func (t *tx) change(tab *catalog.Table, op storage.Op) error {
	n, err := t.x.Snapshot()
	if err != nil {
		return err
	}
	defer n.Close()
	r := t.w.rng
	keyT := types.Int8
	one := 1 + r.IntN(20) // one row in so many
	limit := 1 + r.IntN(300)
	if r.IntN(6) == 0 { // enough for side files
		one, limit = 1+r.IntN(2), 20000
	}
	move := op == storage.OpUpdate && r.IntN(5) == 0
	type row struct{ k, key, csn int64 }
	var rows []row
	err = scan(n, tab, func(k int64, _ string, key, csn int64) error {
		if r.IntN(one) == 0 && len(rows) < limit {
			rows = append(rows, row{k, key, csn})
		}
		return nil
	})
	if err != nil {
		return err
	}
	var writes []*storage.Mutation
	gone, put := []int64{}, map[int64]string{}
	for part := range slices.Chunk(rows, 1+r.IntN(400)) {
		m := &storage.Mutation{Table: tab, Op: op, Keys: vec.NewBatch([]types.T{keyT}), OldCSN: vec.New(types.Int8, len(part))}
		var keys []int64
		for _, x := range part {
			m.Keys.Cols[0].AppendDatum(types.NewInt(x.key))
			m.OldCSN.AppendDatum(types.NewInt(x.csn))
			gone = append(gone, x.k)
			k := x.k
			if move {
				t.w.seq++
				k = 2_000_000 + int64(t.w.seq)
			}
			if op == storage.OpUpdate {
				put[k] = t.value(k)
			}
			keys = append(keys, k)
		}
		m.Keys.N = len(part)
		if op == storage.OpUpdate {
			m.Rows = batch(tab, keys, put)
		}
		writes = append(writes, m)
	}
	t.large = t.large || len(rows) > 300
	for _, m := range writes {
		if err := t.write(m); err != nil {
			return err
		}
	}
	t.put(tab, func(all map[int64]string) {
		for _, k := range gone {
			delete(all, k)
		}
		maps.Copy(all, put)
	})
	return nil
}
