package row

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

var update = flag.Bool("update", false, "write golden files anew")

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func openDB(t testing.TB) *pebble.DB {
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// wide has a column of every layout.
func wide() *catalog.Table {
	ts := []types.T{types.Int4, types.Text, types.Bool, types.Int2, types.Int8, types.Decimal(12, 2), types.Decimal(30, 4), types.Float4,
		types.Float8, types.UUID, types.Interval, types.Timestamptz, types.Bytea, types.Numeric}
	t := &catalog.Table{OID: 16400, Name: "w", PK: []int{1, 0}, SchemaVersion: 1}
	for i, ty := range ts {
		t.Columns = append(t.Columns, catalog.Column{ID: int32(i + 1), Name: fmt.Sprint("c", i), T: ty, NotNull: i < 2})
	}
	return t
}

func parse(t testing.TB, ty types.T, s string) types.Datum {
	d, err := types.ParseText(ty, s, types.DefaultEnv)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rowsOf makes a batch of literals; NULL is null.
func rowsOf(t testing.TB, tab *catalog.Table, rows ...[]string) *vec.Batch {
	b := vec.NewBatch(tab.Types())
	for _, r := range rows {
		for i, s := range r {
			if s == "NULL" {
				b.Cols[i].AppendNull()
			} else {
				b.Cols[i].AppendDatum(parse(t, tab.Columns[i].T, s))
			}
		}
		b.N++
	}
	return b
}

// TestGolden holds the bytes of keys and values against what earlier versions wrote.
func TestGolden(t *testing.T) {
	tab := wide()
	desc := *tab
	desc.Clustering = []catalog.SortColumn{{Ordinal: 0, Desc: true}}
	rows := rowsOf(t, tab,
		[]string{"1", "a", "true", "-2", "3000000000", "12.34", "-1.5", "1.5", "-2.25", "00112233-4455-6677-8899-aabbccddeeff", "1 mon 2 days", "2024-01-02 03:04:05+00", `\x00ff`, "1.50"},
		[]string{"-7", "long " + strings.Repeat("x", 20), "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"},
		[]string{"0", "", "false", "32767", "-1", "0", "99999999999999999999999999.9999", "NaN", "Infinity", "00000000-0000-0000-0000-000000000000", "-00:00:01", "infinity", `\x`, "NaN"})
	var out strings.Builder
	for _, def := range []*catalog.Table{tab, &desc} {
		tb := New(Config{DB: openDB(t), Table: def, Shard: 3})
		c := tb.Changes([]storage.Chunk{{Op: storage.OpUpsert, Rows: rows, Ord: []uint32{0, 1, 2}}})
		c.Stamp(77)
		for i := range c.ops {
			fmt.Fprintf(&out, "%s\n  %s\n", hex.EncodeToString(c.key(i)), hex.EncodeToString(c.value(i)))
		}
	}
	const name = "testdata/v1.txt"
	if *update {
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the encoding has changed:\n%s\nwant\n%s", out.String(), want)
	}
	// And reads back.
	s := newSchema(tab)
	d, b := s.images(4)
	for _, l := range strings.Split(string(want), "\n") {
		if v, ok := strings.CutPrefix(l, "  "); ok && b.N < 3 {
			raw, _ := hex.DecodeString(v)
			if csn, err := (*Sets)(nil).commit(raw); err != nil || csn != 77 {
				t.Fatal(csn, err)
			}
			if err := d.row(raw, b.N); err != nil {
				t.Fatal(err)
			}
			b.N++
		}
	}
	for i := 0; i < 3; i++ {
		for c := range b.Cols {
			if x, y := rows.Cols[c].Datum(i), b.Cols[c].Datum(i); x != y && x.F == x.F {
				t.Errorf("row %d column %d: %v, want %v", i, c, y, x)
			}
		}
	}
}

// TestColumnsComeAndGo reads rows under later definitions of their table.
func TestColumnsComeAndGo(t *testing.T) {
	tab := wide()
	s := newSchema(tab)
	rows := rowsOf(t, tab, []string{"1", "a", "true", "-2", "3", "12.34", "-1.5", "1.5", "-2.25", "00112233-4455-6677-8899-aabbccddeeff", "1 mon", "2024-01-02 03:04:05+00", `\x01`, "1.50"})
	v := s.appendValue(nil, rows.Cols, 0)
	later := *tab
	later.Columns = append(append([]catalog.Column{}, tab.Columns[:2]...), tab.Columns[6:]...)
	later.Columns = append(later.Columns, catalog.Column{ID: 90, Name: "new", T: types.Int4, Missing: types.NewInt(9)})
	d, b := newSchema(&later).images(1)
	if err := d.row(v, 0); err != nil {
		t.Fatal(err)
	}
	for i, c := range later.Columns {
		want := types.NewInt(9)
		if c.ID != 90 {
			want = rows.Cols[c.ID-1].Datum(0)
		}
		if got := b.Cols[i].Datum(0); b.Cols[i].N != 1 || got != want {
			t.Errorf("column %s: %v, want %v", c.Name, got, want)
		}
	}
}

// TestOrder compares the order of keys with that of values, both ways.
func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, ty := range []types.T{types.Int2, types.Int8, types.Text, types.Numeric, types.Decimal(10, 2), types.Timestamptz, types.UUID, types.Date, types.Bytea} {
		for _, desc := range []bool{false, true} {
			tab := &catalog.Table{OID: 1, PK: []int{0, 1}, Columns: []catalog.Column{{ID: 1, T: types.Int4}, {ID: 2, T: ty}},
				Clustering: []catalog.SortColumn{{Ordinal: 1, Desc: desc}}}
			s := newSchema(tab)
			b := vec.NewBatch(tab.Types())
			for b.N < 200 {
				b.Cols[0].AppendDatum(types.NewInt(int64(rng.IntN(3) - 1)))
				b.Cols[1].AppendDatum(randomDatum(t, rng, ty))
				b.N++
			}
			for range 2000 {
				i, j := rng.IntN(b.N), rng.IntN(b.N)
				want := types.Compare(ty, b.Cols[1].Datum(i), b.Cols[1].Datum(j))
				if desc {
					want = -want
				}
				if want == 0 {
					want = types.Compare(types.Int4, b.Cols[0].Datum(i), b.Cols[0].Datum(j))
				}
				x, y := s.appendKey(nil, b.Cols, i), s.appendKey(nil, b.Cols, j)
				if got := bytes.Compare(x, y); got != want {
					t.Fatalf("%s desc %v: %v and %v: %d, want %d", types.FormatTypeNoMod(ty.OID), desc, b.Cols[1].Datum(i), b.Cols[1].Datum(j), got, want)
				}
			}
		}
	}
}

func randomDatum(t testing.TB, rng *rand.Rand, ty types.T) types.Datum {
	switch ty.OID {
	case types.TextOID, types.ByteaOID:
		b := make([]byte, rng.IntN(4))
		for i := range b {
			b[i] = "\x00\x01a\xff"[rng.IntN(4)]
		}
		return types.NewString(string(b))
	case types.NumericOID:
		s := fmt.Sprintf("%d.%02d", rng.IntN(2000)-1000, rng.IntN(100))
		if rng.IntN(10) == 0 && !ty.Scaled() {
			s = []string{"NaN", "Infinity", "-Infinity", "0.000", "1e30", "-1e-20"}[rng.IntN(6)]
		}
		return parse(t, ty, s)
	case types.UUIDOID:
		return types.NewFixed16(types.Fixed16{A: rng.Int64() - math.MaxInt64/2, B: rng.Int64()})
	case types.Int2OID:
		return types.NewInt(int64(rng.IntN(1<<16) - 1<<15))
	case types.DateOID:
		return types.NewInt(int64(rng.IntN(20000) - 10000))
	}
	return types.NewInt(rng.Int64N(1<<40) - 1<<39)
}

// TestBounds holds the range of keys that a filter gives against the rows that pass it.
func TestBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, desc := range []bool{false, true} {
		tab := &catalog.Table{OID: 1, PK: []int{0, 1}, Columns: []catalog.Column{{ID: 1, T: types.Int4}, {ID: 2, T: types.Text}},
			Clustering: []catalog.SortColumn{{Ordinal: 0, Desc: desc}}}
		s := newSchema(tab)
		prefix := tabletPrefix(1, 0)
		for range 3000 {
			var r [2]Range
			pick := func(c int) types.Datum {
				if rng.IntN(3) == 0 {
					return types.Null
				}
				if c == 0 {
					return types.NewInt(int64(rng.IntN(5)))
				}
				return types.NewString(string([]byte{"a\x00\xff"[rng.IntN(3)]}))
			}
			for c := range r {
				r[c] = Range{pick(c), pick(c)}
				if rng.IntN(2) == 0 {
					r[c].Hi = r[c].Lo
				}
			}
			lo, hi := s.bounds(prefix, func(o int) Range { return r[o] })
			b := vec.NewBatch(tab.Types())
			b.Cols[0].AppendDatum(types.NewInt(int64(rng.IntN(5))))
			b.Cols[1].AppendDatum(types.NewString([]string{"", "a", "aa", "\x00", "\xff", "b"}[rng.IntN(6)]))
			b.N = 1
			passes := true
			for c, x := range r {
				d := b.Cols[c].Datum(0)
				passes = passes && (!x.Lo.Valid || types.Compare(tab.Columns[c].T, d, x.Lo) >= 0) && (!x.Hi.Valid || types.Compare(tab.Columns[c].T, d, x.Hi) <= 0)
			}
			k := s.appendKey(bytes.Clone(prefix), b.Cols, 0)
			in := bytes.Compare(k, lo) >= 0 && bytes.Compare(k, hi) < 0
			if passes && !in {
				t.Fatalf("desc %v, %v: row (%v) lies outside", desc, r, b.Cols[0].Datum(0))
			}
			full := r[0].Lo.Valid && r[0].Hi.Valid && (r[0].Lo == r[0].Hi || !r[1].Lo.Valid && !r[1].Hi.Valid)
			if full && in && !passes {
				t.Fatalf("desc %v, %v: row (%v, %q) lies inside", desc, r, b.Cols[0].Datum(0), b.Cols[1].Datum(0).S)
			}
		}
	}
}

func FuzzValue(f *testing.F) {
	tab := wide()
	s := newSchema(tab)
	rows := rowsOf(f, tab, []string{"1", "a", "true", "-2", "3", "12.34", "-1.5", "1.5", "-2.25", "00112233-4455-6677-8899-aabbccddeeff", "1 mon", "2024-01-02 03:04:05+00", `\x01`, "1.50"})
	f.Add(s.appendValue(nil, rows.Cols, 0))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0x0d, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, v []byte) {
		d, b := s.images(1)
		if err := d.row(v, 0); err != nil {
			return
		}
		for _, c := range b.Cols {
			if c.N < 1 {
				t.Fatal("a column has no value")
			}
		}
	})
}
