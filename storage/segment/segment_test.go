package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// memFile is a file in memory, with a map or without.
type memFile struct {
	*bytes.Reader
	b      []byte
	mapped bool
	fail   bool
}

func newMem(b []byte, mapped bool) *memFile {
	return &memFile{Reader: bytes.NewReader(b), b: b, mapped: mapped}
}

func (m *memFile) ReadAt(b []byte, off int64) (int, error) {
	if m.fail {
		return 0, errors.New("injected")
	}
	return m.Reader.ReadAt(b, off)
}

func (m *memFile) Close() error { return nil }

func (m *memFile) Map() ([]byte, error) {
	if !m.mapped {
		return nil, errors.New("no map")
	}
	return m.b, nil
}

var testColumns = []Column{
	{1, types.Int8}, {2, types.Int4}, {3, types.Int2}, {5, types.Text}, {6, types.Text}, {7, types.Float8},
	{8, types.Bool}, {9, types.Decimal(15, 2)}, {10, types.UUID}, {11, types.Oid}, {12, types.Decimal(30, 4)},
	{13, types.Text}, {14, types.Float4}, {15, types.Numeric}, {16, types.BPChar}, {17, types.Interval},
}

// rowOf makes row i of the test table: column 1 is its number, 5 of low and 6 of
// high cardinality, 13 in between.
func rowOf(r *rand.Rand, i int) []types.Datum {
	maybe := func(d types.Datum) types.Datum {
		if r.IntN(20) == 0 {
			return types.Null
		}
		return d
	}
	num := []byte{byte(2), 0, 0, 0, byte(r.IntN(200) + 1), 0, 0, 0}
	return []types.Datum{
		types.NewInt(int64(i) * 2),
		maybe(types.NewInt(int64(r.IntN(1000) - 500))),
		types.NewInt(int64(r.IntN(7))),
		maybe(types.NewString([]string{"AIR", "TRUCK", "RAIL", "", "REG AIR", "a much longer string than twelve"}[r.IntN(6)])),
		types.NewString(fmt.Sprintf("furiously %x express %d packages", r.Uint32(), r.IntN(100))),
		maybe(types.NewFloat([]float64{math.NaN(), math.Inf(1), -0.5, 0, math.Copysign(0, -1), float64(r.IntN(10000)) / 100}[r.IntN(6)])),
		maybe(types.NewBool(r.IntN(2) == 0)),
		types.NewInt(int64(r.IntN(100000))),
		types.NewFixed16(types.Fixed16{A: int64(r.Uint64()), B: int64(r.Uint64())}),
		types.NewInt(int64(r.Uint32())),
		maybe(types.NewI128(types.Int128{Lo: r.Uint64(), Hi: int64(r.IntN(3)) - 1})),
		types.NewString(fmt.Sprintf("http://example.com/%d", r.IntN(30000))),
		types.NewFloat(float64(float32(r.Float64()))),
		maybe(types.NewString(string(num))),
		types.NewString(fmt.Sprintf("%-10s", fmt.Sprint(r.IntN(50)))),
		types.NewFixed16(types.MakeInterval(int32(r.IntN(3)), int32(r.IntN(60)), int64(r.IntN(1000)))),
	}
}

type table struct {
	rows  *vec.Batch
	csns  []uint64
	bytes []byte
	meta  Meta
}

func build(t testing.TB, n int, schema Schema, o Options) *table {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(n), 1))
	ts := make([]types.T, len(schema.Columns))
	for i, c := range schema.Columns {
		ts[i] = c.T
	}
	tab := &table{rows: vec.NewBatch(ts)}
	var out bytes.Buffer
	w := NewWriter(&out, schema, o)
	part := vec.NewBatch(ts)
	for i := range n {
		for c, d := range rowOf(r, i) {
			part.Cols[c].AppendDatum(d)
		}
		part.N++
		tab.csns = append(tab.csns, uint64(100+i/10))
		if part.N == 1500 || i == n-1 {
			if err := w.Append(part, tab.csns[len(tab.csns)-part.N:]); err != nil {
				t.Fatal(err)
			}
			tab.rows.Append(part)
			part.Reset()
		}
	}
	var err error
	if tab.meta, err = w.Finish(); err != nil {
		t.Fatal(err)
	}
	tab.bytes = out.Bytes()
	if tab.meta.Bytes != int64(out.Len()) || tab.meta.Rows != n {
		t.Fatalf("meta %d rows %d bytes, file %d bytes", tab.meta.Rows, tab.meta.Bytes, out.Len())
	}
	return tab
}

func sameDatum(t types.T, a, b types.Datum) bool {
	if t.Layout == types.LayoutF32 || t.Layout == types.LayoutF64 {
		return a.Valid == b.Valid && math.Float64bits(a.F) == math.Float64bits(b.F)
	}
	return a == b
}

func TestSegment(t *testing.T) {
	schema := Schema{Columns: testColumns, Sort: []SortColumn{{ID: 1}}, Key: []int32{6}}
	for _, n := range []int{1, 2047, 5000, 70000} {
		for _, mapped := range []bool{true, false} {
			o := Options{Codec: encoding.Codec(n % 3), RelativeCSN: n == 5000}
			tab := build(t, n, schema, o)
			r, err := Open(newMem(tab.bytes, mapped), int64(len(tab.bytes)))
			if err != nil {
				t.Fatal(err)
			}
			base := uint64(0)
			if o.RelativeCSN {
				base = 1000
				r.SetCSNBase(1000)
			}
			if r.Rows() != n || len(r.Columns()) != len(testColumns)+1 {
				t.Fatalf("%d rows, %d columns", r.Rows(), len(r.Columns()))
			}
			if m := r.Meta(); m.CSNMin != int64(100+base) || m.CSNMax != int64(tab.csns[n-1]+base) {
				t.Fatalf("csn %d..%d", m.CSNMin, m.CSNMax)
			}
			checkColumns(t, r, tab, base)
			if err := r.Verify(); err != nil {
				t.Fatal(err)
			}
			checkKeys(t, r, tab)
			if n > 1 && n != 70000 && r.foot.sample.len != 0 || n == 70000 && r.foot.sample.len == 0 {
				t.Fatalf("sample of %d bytes for %d rows", r.foot.sample.len, n)
			}
			sample, ids, err := r.Sample()
			if err != nil || sample.N != min(n, SampleRows) || len(ids) != len(testColumns) {
				t.Fatalf("sample %d rows %d columns: %v", sample.N, len(ids), err)
			}
			for k := 1; k < sample.N; k++ {
				if sample.Cols[0].I64[k] <= sample.Cols[0].I64[k-1] {
					t.Fatalf("sample row %d: %d after %d", k, sample.Cols[0].I64[k], sample.Cols[0].I64[k-1])
				}
			}
		}
	}
}

func checkColumns(t *testing.T, r *Reader, tab *table, base uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(4, 4))
	var dst, got vec.Vec
	for c, col := range testColumns {
		cr, ok := r.Column(col.ID)
		if !ok {
			t.Fatalf("no column %d", col.ID)
		}
		for vi := range r.Vectors() {
			if err := cr.Vector(vi, &dst); err != nil {
				t.Fatal(err)
			}
			var sel []uint16
			for i := range dst.N {
				want := tab.rows.Cols[c].Datum(vi*vec.Size + i)
				if d := dst.Datum(i); !sameDatum(col.T, d, want) {
					t.Fatalf("column %d row %d: %v, want %v", col.ID, vi*vec.Size+i, d, want)
				}
				if rnd.IntN(40) == 0 {
					sel = append(sel, uint16(i))
				}
			}
			if err := cr.Gather(vi, sel, &got); err != nil {
				t.Fatal(err)
			}
			for k, i := range sel {
				want := tab.rows.Cols[c].Datum(vi*vec.Size + int(i))
				if d := got.Datum(k); !sameDatum(col.T, d, want) {
					t.Fatalf("column %d gathered row %d: %v, want %v", col.ID, vi*vec.Size+int(i), d, want)
				}
			}
		}
		z := cr.Total()
		nulls := 0
		for i := range r.Rows() {
			d := tab.rows.Cols[c].Datum(i)
			if !d.Valid {
				nulls++
			} else if z.Min.Valid && Compare(col.T, d, z.Min) < 0 || z.Max.Valid && Compare(col.T, d, z.Max) > 0 {
				t.Fatalf("column %d: %v outside of %v..%v", col.ID, d, z.Min, z.Max)
			}
		}
		if nulls != z.Nulls || z.Rows != r.Rows() {
			t.Fatalf("column %d: %d nulls of %d, want %d of %d", col.ID, z.Nulls, z.Rows, nulls, r.Rows())
		}
	}
	csn, _ := r.Column(CSNColumn)
	for vi := range r.Vectors() {
		if err := csn.Vector(vi, &dst); err != nil {
			t.Fatal(err)
		}
		for i := range dst.N {
			if x := dst.I64[dst.Index(i)]; uint64(x) != tab.csns[vi*vec.Size+i]+base {
				t.Fatalf("csn of row %d: %d", vi*vec.Size+i, x)
			}
		}
	}
	m := r.Meta()
	if e := m.Column(1).Distinct; math.Abs(e-float64(r.Rows())) > 0.15*float64(r.Rows())+1 {
		t.Errorf("distinct of %d rows: %v", r.Rows(), e)
	}
	if _, ok := r.Column(4); ok {
		t.Error("column 4 exists")
	}
}

func checkKeys(t *testing.T, r *Reader, tab *table) {
	t.Helper()
	key := tab.rows.Cols[4]
	n := key.N
	hashes, wide := make([]uint32, n), make([]uint64, n)
	KeyHashes(hashes, []*vec.Vec{key}, nil, wide)
	found := make([]bool, n)
	extra := 0
	if err := r.Lookup(hashes, func(i int, row uint32) {
		if int(row) == i {
			found[i] = true
		} else {
			extra++
		}
	}); err != nil {
		t.Fatal(err)
	}
	for i, ok := range found {
		if !ok {
			t.Fatalf("key of row %d of %d not found", i, n)
		}
	}
	if extra > 20 {
		t.Errorf("%d wrong candidates", extra)
	}
	checkProber(t, r, hashes, key)
	for i := range hashes {
		hashes[i] = hashes[i]*2654435761 + 12345
	}
	hits := 0
	if err := r.Lookup(hashes, func(int, uint32) { hits++ }); err != nil {
		t.Fatal(err)
	}
	if hits > 20 {
		t.Errorf("%d of %d absent keys found", hits, n)
	}
}

// checkProber finds what Lookup finds, with the keys.
func checkProber(t *testing.T, r *Reader, hashes []uint32, key *vec.Vec) {
	t.Helper()
	type pair struct{ probe, row int }
	want := map[pair]bool{}
	if err := r.Lookup(hashes, func(i int, row uint32) { want[pair{i, int(row)}] = true }); err != nil {
		t.Fatal(err)
	}
	probes := make([]Probe, len(hashes))
	for i, h := range hashes {
		probes[i] = Probe{Reader: r, Hash: h}
	}
	var b Prober
	for range 2 { // with the blocks parsed before, too
		found, err := b.Find(probes)
		if err != nil {
			t.Fatal(err)
		}
		last := 0
		for _, f := range found {
			if f.Probe < last || !want[pair{f.Probe, int(f.Row)}] {
				t.Fatalf("probe %d found row %d", f.Probe, f.Row)
			}
			last = f.Probe
			if f.Known && (key.T.Layout != types.LayoutI64 || f.Int != key.I64[key.Index(int(f.Row))]) {
				t.Fatalf("key of row %d is %d", f.Row, f.Int)
			}
		}
		if len(found) != len(want) {
			t.Fatalf("%d rows found of %d", len(found), len(want))
		}
	}
}

func TestKeyIndexSize(t *testing.T) {
	h := make([]uint32, RowsMax)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range h {
		h[i] = r.Uint32()
	}
	b := buildKeyIndex(h)
	if per := float64(len(b)) / float64(len(h)); per > 4.5 {
		t.Errorf("%v bytes a key", per)
	}
	x, bad := parseKeyIndex(b, len(h))
	if bad != "" {
		t.Fatal(bad)
	}
	found := 0
	x.lookup(h, func(i int, row uint32) {
		if int(row) == i {
			found++
		}
	})
	if found != len(h) {
		t.Errorf("%d of %d found", found, len(h))
	}
	last, seen := uint32(0), 0
	if !x.each(func(hash, row uint32) {
		if h[row] != hash || hash < last {
			t.Fatalf("row %d: hash %x, want %x", row, hash, h[row])
		}
		last = hash
		seen++
	}) || seen != len(h) {
		t.Errorf("%d of %d listed", seen, len(h))
	}
}

// TestFilter compares Filter and zones with a row by row evaluation.
func TestFilter(t *testing.T) {
	tab := build(t, 5000, Schema{Columns: testColumns}, Options{Codec: encoding.S2})
	r, err := Open(newMem(tab.bytes, true), int64(len(tab.bytes)))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(6, 6))
	for c, col := range testColumns {
		cr, _ := r.Column(col.ID)
		v := tab.rows.Cols[c]
		var preds []*Pred
		pick := func() types.Datum { return v.Datum(rnd.IntN(v.N)) }
		consts := []types.Datum{types.Null, pick(), pick(), pick()}
		if col.T.Layout == types.LayoutI64 || col.T.Layout == types.LayoutI32 {
			consts = append(consts, types.NewInt(math.MinInt32), types.NewInt(math.MaxInt32), types.NewInt(math.MinInt64), types.NewInt(math.MaxInt64))
		}
		for _, d := range consts {
			for op := kernel.EQ; op <= kernel.GE; op++ {
				preds = append(preds, encoding.ComparePred(col.T, op, d))
			}
		}
		var set []types.Datum
		for range 12 {
			set = append(set, pick())
		}
		preds = append(preds, encoding.InPred(col.T, set[:2]), encoding.InPred(col.T, set), encoding.InPred(col.T, nil),
			encoding.NullPred(col.T, true), encoding.NullPred(col.T, false))
		for _, p := range preds {
			any := false
			for vi := range r.Vectors() {
				n := r.VectorRows(vi)
				sel := make([]uint64, vec.Words(n))
				kernel.Ones(sel, n)
				if err := cr.Filter(vi, p, sel); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					d := v.Datum(vi*vec.Size + i)
					if got := vec.Bit(sel, i); got != p.Holds(d) {
						t.Fatalf("column %d: %v %v %v (set %v): row %v gave %v", col.ID, p.Kind, p.Op, p.Value, p.Set, d, got)
					}
					any = any || vec.Bit(sel, i)
				}
			}
			if any && (cr.SkipsAll(p) || cr.Skips(0, p)) {
				t.Fatalf("column %d: %v %v %v skipped", col.ID, p.Kind, p.Op, p.Value)
			}
		}
	}
}

func TestZoneStrings(t *testing.T) {
	long := strings.Repeat("x", 40)
	v := vec.New(types.Text, 0)
	v.AppendString(long + "a")
	v.AppendString("b")
	v.AppendString(strings.Repeat("\xff", 40))
	z := zoneOf(v)
	if z.Min.S != "b" || !z.MinExact || z.Max.Valid || z.MaxExact {
		t.Fatalf("%+v", z)
	}
	v = vec.New(types.Text, 0)
	v.AppendString(long)
	z = zoneOf(v)
	if z.Min.S != long[:32] || z.Max.S != long[:31]+"y" || z.MinExact || z.MaxExact {
		t.Fatalf("%+v", z)
	}
	for op, skips := range map[kernel.Op]bool{kernel.EQ: false, kernel.GE: false, kernel.LT: false} {
		if p := encoding.ComparePred(types.Text, op, types.NewString(long)); z.Skips(types.Text, p) != skips {
			t.Errorf("%v", op)
		}
	}
	if p := encoding.ComparePred(types.Text, kernel.EQ, types.NewString(long[:31]+"y")); !z.Skips(types.Text, p) {
		t.Error("raised bound equals no value")
	}
}

func TestCorruption(t *testing.T) {
	tab := build(t, 3000, Schema{Columns: testColumns, Key: []int32{6}}, Options{Codec: encoding.S2})
	good := tab.bytes
	// A flipped bit is always found, and named with its place.
	r := rand.New(rand.NewPCG(8, 8))
	for range 300 {
		bad := bytes.Clone(good)
		bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		if bytes.Equal(bad, good) {
			continue
		}
		if err := readAll(bad, r.IntN(2) == 0); err != nil {
			if sqlstate.CodeOf(err) != sqlstate.DataCorrupted {
				t.Fatalf("code %s: %v", sqlstate.CodeOf(err), err)
			}
		}
	}
	for range 100 {
		if err := readAll(good[:r.IntN(len(good))], true); err == nil {
			t.Fatal("a cut file opened")
		}
	}
	f := newMem(good, true)
	rd, err := Open(f, int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	f.fail = true
	cr, _ := rd.Column(1)
	var v vec.Vec
	if err := cr.Vector(0, &v); sqlstate.CodeOf(err) != sqlstate.IOError {
		t.Fatalf("read error became %v", err)
	}
	f.fail = false
	if err := cr.Vector(0, &v); err != nil {
		t.Fatal(err)
	}
}

// readAll opens a segment and touches all of it.
func readAll(b []byte, mapped bool) error {
	r, err := Open(newMem(b, mapped), int64(len(b)))
	if err != nil {
		return err
	}
	return touch(r, r.Vectors())
}

// touch reads the first vectors of all columns, and everything else.
func touch(r *Reader, vectors int) error {
	var v vec.Vec
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, c := range r.Columns() {
		cr, _ := r.Column(c.ID)
		for vi := range min(vectors, r.Vectors()) {
			if err := cr.Vector(vi, &v); err != nil {
				note(err)
				break
			}
			for i := range v.N {
				v.Datum(i)
			}
			sel := make([]uint64, vec.Words(v.N))
			kernel.Ones(sel, v.N)
			if Ordered(c.T) && v.N > 0 {
				note(cr.Filter(vi, encoding.ComparePred(c.T, kernel.LE, v.Datum(0)), sel))
			}
		}
	}
	if r.HasKeyIndex() {
		note(r.Lookup([]uint32{0, 1 << 20, 1 << 31, 1<<32 - 1}, func(int, uint32) {}))
		note(r.IndexedHashes(func(_, _ uint32) {}))
	}
	_, _, err := r.Sample()
	note(err)
	return first
}

// TestGolden reads the files that the versions of the format wrote. When the format
// changes, the version does, and these files stay readable.
func TestGolden(t *testing.T) {
	tab := build(t, 3000, Schema{Columns: testColumns, Sort: []SortColumn{{ID: 1}}, Key: []int32{6}}, Options{Codec: encoding.S2})
	if os.Getenv("GOLDEN") == "write" {
		if err := os.WriteFile(fmt.Sprintf("testdata/v%d.seg", formatVersion), tab.bytes, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var golden []byte // made of the first version's index
	for version := 1; version <= formatVersion; version++ {
		b, err := os.ReadFile(fmt.Sprintf("testdata/v%d.seg", version))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(newMem(b, true), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		checkColumns(t, r, tab, 0)
		checkKeys(t, r, tab)
		f, ok, err := r.KeyFilter()
		if err != nil || ok != (version > 1) {
			t.Fatalf("version %d: filter %v, %v", version, ok, err)
		}
		m, _, err := r.MakeKeyFilter()
		if err != nil {
			t.Fatal(err)
		}
		if golden == nil {
			golden = m.b
		}
		if ok && !bytes.Equal(golden, f.b) {
			t.Error("key filters have changed: a new form needs a version and a golden file of its own")
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, n := range []int{1, 40} {
		tab := build(f, n, Schema{Columns: testColumns, Key: []int32{6}}, Options{Codec: encoding.S2})
		f.Add(tab.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = fixSums(b)
		if r, err := Open(newMem(b, true), int64(len(b))); err == nil {
			r.lax = true
			touch(r, 2)
		}
	})
}

// fixSums makes the footer's checksum right, so that fuzzing gets past it.
func fixSums(b []byte) []byte {
	if len(b) < headBytes+tailBytes {
		return b
	}
	b = bytes.Clone(b)
	tail := b[len(b)-tailBytes:]
	n := le64(tail)
	if n > uint64(len(b)-headBytes-tailBytes) {
		return b
	}
	put32(tail[8:], checksum(b[len(b)-tailBytes-int(n):len(b)-tailBytes]))
	return b
}
