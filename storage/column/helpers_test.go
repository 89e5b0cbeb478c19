package column

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// row is a test row: key (or, without a primary key, just a column), number,
// string; NULLs by pointers.
type row struct {
	k int64
	n *int64
	s *string
}

func (r row) String() string {
	out := fmt.Sprint(r.k)
	if r.n == nil {
		out += ",null"
	} else {
		out += fmt.Sprintf(",%d", *r.n)
	}
	if r.s == nil {
		return out + ",null"
	}
	return out + "," + *r.s
}

func testTable(pk, clustered bool) *catalog.Table {
	t := &catalog.Table{OID: 20000, Name: "t", Shards: 1, NextColumnID: 4, Columns: []catalog.Column{
		{ID: 1, Attr: 1, Name: "k", T: types.Int4, NotNull: true},
		{ID: 2, Attr: 2, Name: "n", T: types.Int8},
		{ID: 3, Attr: 3, Name: "s", T: types.Text},
	}}
	if pk {
		t.PK = []int{0}
	}
	if clustered {
		t.Clustering = []catalog.SortColumn{{Ordinal: 2}, {Ordinal: 1, Desc: true}}
	}
	return t
}

// harness is a tablet with a counter and a registry of snapshots.
type harness struct {
	t     testing.TB
	table *catalog.Table
	dir   blob.Dir
	files int
	tab   *Tablet
	next  uint64
	pub   storage.CSN
	live  []storage.CSN
	state State
	lim   Limits
}

func newHarness(t testing.TB, table *catalog.Table) *harness {
	h := &harness{t: t, table: table, dir: blob.NewMem().Root(), next: 1}
	h.open()
	return h
}

func (h *harness) nextFile() string {
	h.files++
	return fmt.Sprintf("f%06d", h.files)
}

func (h *harness) watermark() (storage.CSN, []storage.CSN) {
	live := append(slices.Clone(h.live), h.pub)
	slices.Sort(live)
	return live[0], live
}

func (h *harness) open() {
	h.t.Helper()
	tab, err := Open(Config{Table: h.table, Files: h.dir, NextFile: h.nextFile, State: h.state, Watermark: h.watermark, Limits: h.lim})
	if err != nil {
		h.t.Fatal(err)
	}
	h.tab = tab
}

// rowsBatch makes a batch of the table's columns.
func rowsBatch(rows []row) *vec.Batch {
	b := vec.NewBatch([]types.T{types.Int4, types.Int8, types.Text})
	for _, r := range rows {
		b.Cols[0].AppendDatum(types.NewInt(r.k))
		if r.n == nil {
			b.Cols[1].AppendNull()
		} else {
			b.Cols[1].AppendDatum(types.NewInt(*r.n))
		}
		if r.s == nil {
			b.Cols[2].AppendNull()
		} else {
			b.Cols[2].AppendString(*r.s)
		}
		b.N++
	}
	return b
}

func keysBatch(t types.T, keys []int64) *vec.Batch {
	b := vec.NewBatch([]types.T{t})
	for _, k := range keys {
		b.Cols[0].AppendDatum(types.NewInt(k))
	}
	b.N = len(keys)
	return b
}

// chunker builds the chunks of a commit.
type chunker struct {
	chunks  []storage.Chunk
	spilled []storage.Chunk // that went to keys files, and are no longer among them
	ord     uint32
}

func (c *chunker) ords(n int) []uint32 {
	o := make([]uint32, n)
	for i := range o {
		o[i] = c.ord
		c.ord++
	}
	return o
}

func (c *chunker) rows(op storage.Op, rows ...row) *chunker {
	c.chunks = append(c.chunks, storage.Chunk{Op: op, Rows: rowsBatch(rows), Ord: c.ords(len(rows))})
	return c
}

func (c *chunker) del(t types.T, old []storage.CSN, keys ...int64) *chunker {
	c.chunks = append(c.chunks, storage.Chunk{Op: storage.OpDelete, Keys: keysBatch(t, keys), OldCSN: old, Ord: c.ords(len(keys))})
	return c
}

func (c *chunker) update(t types.T, old []storage.CSN, keys []int64, rows ...row) *chunker {
	ch := storage.Chunk{Op: storage.OpUpdate, Keys: keysBatch(t, keys), Rows: rowsBatch(rows), OldCSN: old, Ord: c.ords(len(keys))}
	if t == types.Int8 {
		ch.RowID = keys
	}
	c.chunks = append(c.chunks, ch)
	return c
}

// commit runs the chunks through the tablet and publishes them.
func (h *harness) commit(c *chunker) (storage.CSN, []storage.Conflict) {
	h.t.Helper()
	p, err := h.tab.Prepare(context.Background(), c.chunks)
	if err != nil {
		h.t.Fatal(err)
	}
	defer p.Release()
	return h.stage(p, c)
}

func (h *harness) stage(p storage.Prepared, c *chunker) (storage.CSN, []storage.Conflict) {
	h.t.Helper()
	s, conflicts, err := p.Stage()
	if err != nil {
		h.t.Fatal(err)
	}
	if len(conflicts) > 0 {
		return 0, conflicts
	}
	base := h.next
	h.next += uint64(c.ord) + 1
	csn := storage.CSN(base + uint64(c.ord))
	s.Stamp(base, csn)
	h.pub = csn
	return csn, nil
}

func (h *harness) mustCommit(c *chunker) storage.CSN {
	h.t.Helper()
	csn, conflicts := h.commit(c)
	if len(conflicts) > 0 {
		h.t.Fatalf("conflicts: %v", conflicts)
	}
	return csn
}

// install applies an edit to the harness's manifest, then to the tablet.
func (h *harness) install(e *Edit) {
	h.t.Helper()
	if e == nil {
		return
	}
	h.state.Segments = slices.DeleteFunc(h.state.Segments, func(i SegmentInfo) bool { return slices.Contains(e.Drop, i.File) })
	h.state.Segments = append(h.state.Segments, e.Add...)
	h.state.Deletes, h.state.F = e.Deletes, e.F
	e.Install()
}

func (h *harness) flush() *Edit {
	h.t.Helper()
	e, err := h.tab.Flush(context.Background(), func(storage.CSN) error { return nil })
	if err != nil {
		h.t.Fatal(err)
	}
	h.install(e)
	return e
}

func (h *harness) compact() *Edit {
	h.t.Helper()
	e, err := h.tab.Compact(context.Background(), Pack, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.install(e)
	return e
}

// scan reads columns of a snapshot as text rows, sorted.
func scan(t testing.TB, s *Snapshot, spec *catalog.ScanSpec) []string {
	t.Helper()
	splits, _, err := s.Splits(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Reader(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []string
	for _, sp := range splits {
		if err := r.Open(sp); err != nil {
			t.Fatal(err)
		}
		for {
			b, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			for k := 0; k < b.Rows(); k++ {
				out = append(out, rowText(b, b.Row(k)))
			}
		}
	}
	sort.Strings(out)
	return out
}

func rowText(b *vec.Batch, i int) string {
	var parts []string
	for _, c := range b.Cols {
		parts = append(parts, datumText(c.Datum(i), c.T))
	}
	return strings.Join(parts, ",")
}

func datumText(d types.Datum, t types.T) string {
	switch {
	case !d.Valid:
		return "null"
	case t.Layout == types.LayoutView:
		return d.S
	}
	return fmt.Sprint(d.I)
}

func allColumns(t *catalog.Table) []int {
	cols := make([]int, len(t.Columns))
	for i := range cols {
		cols[i] = i
	}
	return cols
}

// csnsOf reads the commits of keys' rows in the newest state.
func (h *harness) csnsOf(t types.T, keys []int64) []storage.CSN {
	h.t.Helper()
	s := h.tab.Snapshot(h.pub)
	defer s.Close()
	out := make([]storage.CSN, len(keys))
	if err := s.Find(keysBatch(t, keys), out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

func newBatchOf(t *catalog.Table) *vec.Batch { return vec.NewBatch(t.Types()) }

func copyFile(t *testing.T, from, to blob.Dir, name string) {
	t.Helper()
	b, err := blob.ReadAll(from, name)
	if err == nil {
		err = blob.WriteFile(to, name, b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func csnOf(x uint64) storage.CSN { return storage.CSN(x) }

func csnList(xs []uint64) []storage.CSN {
	out := make([]storage.CSN, len(xs))
	for i, x := range xs {
		out[i] = storage.CSN(x)
	}
	return out
}
