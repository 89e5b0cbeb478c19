package tablet

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/vec"
)

var (
	modelOps  = flag.Int("model.ops", 20_000, "row operations of TestModel")
	modelSeed = flag.Uint64("model.seed", 1, "its seed")
)

// TestModel holds a keyed table against a map: inserts, upserts (a key several times
// in one statement among them), updates, deletes, large sets, flushes, compactions,
// crashes, and snapshots that stay open meanwhile. The long form is `make model`.
func TestModel(t *testing.T) {
	for _, k := range []struct {
		name      string
		clustered bool
		props     map[string]string
	}{
		{"clustered=false", false, nil}, {"clustered=true", true, nil},
		{"row", false, map[string]string{"orientation": catalog.OrientationRow}},
		{"hybrid", true, map[string]string{"orientation": catalog.OrientationHybrid}},
	} {
		t.Run(k.name, func(t *testing.T) {
			m := &modelRun{t: t, rng: rand.New(rand.NewPCG(*modelSeed, 3)), disk: blob.NewMem(), rows: map[int64]string{}, clustered: k.clustered, props: k.props}
			m.disk.Undead("/catalog") // Pebble tries for ever on a dead disk
			m.run(*modelOps / 2)
		})
	}
}

type modelRun struct {
	t         *testing.T
	rng       *rand.Rand
	disk      *blob.Mem
	st        *Store
	tab       *catalog.Table
	clustered bool
	props     map[string]string
	rows      map[int64]string // key → value
	seq       int
	done      int
	crashes   int
	pins      []modelPin
}

// modelPin is an open snapshot and what it must show.
type modelPin struct {
	snap storage.Snapshot
	rows map[int64]string
}

const modelKeys = 4000

func (m *modelRun) run(ops int) {
	m.open()
	x := m.st.Begin(storage.TxnOptions{})
	m.tab = &catalog.Table{OID: x.AllocOIDs(3), Schema: catalog.PublicSchemaOID, Name: "m", Owner: 10, Shards: 2, SchemaVersion: 1, PK: []int{0},
		PKName: "m_pkey", Props: m.props, Columns: []catalog.Column{{ID: 1, Name: "k", T: types.Int8, NotNull: true}, {ID: 2, Name: "v", T: types.Text}}, NextColumnID: 3}
	if m.clustered {
		m.tab.Clustering = []catalog.SortColumn{{Ordinal: 1}}
	}
	m.must(x.Change(context.Background(), &catalog.Delta{Tables: map[uint32]*catalog.Table{m.tab.OID: m.tab}}))
	_, err := x.Commit(context.Background())
	m.must(err)
	for m.done < ops {
		switch k := m.rng.IntN(150); {
		case k < 3:
			m.must(m.st.Flush(context.Background()))
		case k < 5:
			m.must(m.st.Compact(context.Background(), 0))
		case k < 20 && len(m.pins) < 4:
			m.pins = append(m.pins, modelPin{m.st.Snapshot(), maps.Clone(m.rows)})
		case k < 30 && len(m.pins) > 0:
			i := m.rng.IntN(len(m.pins))
			m.check(m.pins[i].snap, m.pins[i].rows)
			m.pins[i].snap.Close()
			m.pins = append(m.pins[:i], m.pins[i+1:]...)
		case k < 34:
			m.crash()
		case k < 40:
			n := m.st.Snapshot()
			m.check(n, m.rows)
			n.Close()
		default:
			m.commit()
		}
	}
	m.crash()
	m.unpin()
	m.must(m.st.Close())
	m.t.Logf("%d operations, %d crashes, %d rows", m.done, m.crashes, len(m.rows))
}

func (m *modelRun) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *modelRun) open() {
	st, err := Open(m.disk.Root(), Options{Shards: 2, Manual: true, LogFileBytes: 64 << 10,
		RowRunsFrom: 1 + 8*(m.crashes%3), RowRunsBytes: 16 << 10,
		Limits: column.Limits{FlushRows: 600, FlushBytes: 64 << 10, SegmentRows: 4096, SpillBytes: 32 << 10}})
	m.must(err)
	m.st = st
	if m.tab != nil {
		m.tab = st.Catalog().Table(m.tab.OID)
	}
}

func (m *modelRun) unpin() {
	for _, p := range m.pins {
		m.check(p.snap, p.rows)
		p.snap.Close()
	}
	m.pins = nil
}

// crash loses what was not synced, and looks at what there is then.
func (m *modelRun) crash() {
	m.unpin()
	m.crashes++
	m.disk.Stop()
	_ = m.st.Close()
	m.disk = m.disk.Crash(*modelSeed<<20 + uint64(m.crashes))
	m.open()
	n := m.st.Snapshot()
	m.check(n, m.rows)
	n.Close()
}

// commit is one transaction of a few statements.
func (m *modelRun) commit() {
	x := m.st.Begin(storage.TxnOptions{Explicit: m.rng.IntN(3) == 0})
	defer x.Rollback()
	rows := maps.Clone(m.rows)
	used := map[int64]bool{} // single statements do not see their own writes
	for range 1 + m.rng.IntN(3) {
		n := 1 + m.rng.IntN(20)
		if m.rng.IntN(25) == 0 {
			n = 200 + m.rng.IntN(1500)
		}
		mut := &storage.Mutation{Table: m.tab, Rows: vec.NewBatch(m.tab.Types()), Keys: vec.NewBatch([]types.T{types.Int8})}
		mut.Op = []storage.Op{storage.OpUpsert, storage.OpUpsert, storage.OpInsert, storage.OpUpdate, storage.OpDelete}[m.rng.IntN(5)]
		own := map[int64]bool{}
		for range n {
			k := m.rng.Int64N(modelKeys)
			_, have := rows[k]
			if used[k] || own[k] && mut.Op != storage.OpUpsert || have != (mut.Op == storage.OpUpdate || mut.Op == storage.OpDelete) && mut.Op != storage.OpUpsert {
				continue
			}
			own[k] = true
			mut.Keys.Cols[0].AppendDatum(types.NewInt(k))
			if mut.Op == storage.OpDelete {
				delete(rows, k)
				continue
			}
			m.seq++
			rows[k] = fmt.Sprintf("%d.%d%s", m.seq%97, m.seq, strings.Repeat("x", m.seq%23))
			mut.Rows.Cols[0].AppendDatum(types.NewInt(k))
			mut.Rows.Cols[1].AppendString(rows[k])
		}
		maps.Copy(used, own)
		mut.Keys.N, mut.Rows.N = mut.Keys.Cols[0].N, mut.Rows.Cols[0].N
		m.done += mut.Keys.N
		switch mut.Op {
		case storage.OpDelete:
			mut.Rows = nil
		case storage.OpInsert, storage.OpUpsert:
			mut.Keys = nil
		}
		if len(own) == 0 {
			continue
		}
		_, err := x.Write(context.Background(), mut)
		m.must(err)
	}
	if m.rng.IntN(20) == 0 {
		return // rolled back
	}
	_, err := x.Commit(context.Background())
	m.must(err)
	m.rows = rows
}

// check reads all of a snapshot, and some keys of it.
func (m *modelRun) check(n storage.Snapshot, want map[int64]string) {
	m.t.Helper()
	m.checkScan(n, want, false)
	if m.tab.StoresRows() && m.tab.StoresColumns() {
		m.checkScan(n, want, true)
	}
}

func (m *modelRun) checkScan(n storage.Snapshot, want map[int64]string, byRow bool) {
	m.t.Helper()
	r, err := n.Relation(m.tab)
	m.must(err)
	spec := &catalog.ScanSpec{Cols: []int{0, 1}, Limit: -1, ByRow: byRow}
	splits, _, err := r.Splits(context.Background(), spec)
	m.must(err)
	rd, err := r.Reader(spec)
	m.must(err)
	defer rd.Close()
	seen := make(map[int64]bool, len(want))
	for _, sp := range splits {
		m.must(rd.Open(sp))
		for {
			b, err := rd.Next()
			m.must(err)
			if b == nil {
				break
			}
			for j := range b.Rows() {
				k, v := b.Cols[0].Datum(b.Row(j)).I, b.Cols[1].Datum(b.Row(j)).S
				if seen[k] {
					m.t.Fatalf("after %d operations: row %d is there twice", m.done, k)
				}
				if w, ok := want[k]; !ok || w != v {
					m.t.Fatalf("after %d operations: row %d is %q, want %q (%v)", m.done, k, v, w, ok)
				}
				seen[k] = true
			}
		}
	}
	if len(seen) != len(want) {
		m.t.Fatalf("after %d operations: %d rows, want %d", m.done, len(seen), len(want))
	}
	if rows, exact := r.RowCount(); exact && int(rows) != len(want) || int(rows) < len(want) {
		m.t.Fatalf("after %d operations: RowCount %d (%v), want %d", m.done, rows, exact, len(want))
	}
	keys := vec.NewBatch([]types.T{types.Int8})
	found := 0
	for range 50 {
		k := m.rng.Int64N(modelKeys)
		keys.Cols[0].AppendDatum(types.NewInt(k))
		if _, ok := want[k]; ok {
			found++
		}
	}
	keys.N = 50
	out := vec.NewBatch(m.tab.Types())
	idx, err := r.Get(context.Background(), keys, []int{0, 1}, out, nil)
	m.must(err)
	if len(idx) != found || out.N != found {
		m.t.Fatalf("after %d operations: Get found %d rows (%d), want %d", m.done, len(idx), out.N, found)
	}
	for i, at := range idx {
		k := keys.Cols[0].I64[at]
		if v := out.Cols[1].Datum(i).S; out.Cols[0].I64[i] != k || v != want[k] {
			m.t.Fatalf("after %d operations: Get of %d: %q, want %q", m.done, k, v, want[k])
		}
	}
}
