package wal

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

var sampleTable = &catalog.Table{OID: 16384, SchemaVersion: 5, PK: []int{0}, Columns: []catalog.Column{
	{ID: 1, T: types.Int4}, {ID: 2, T: types.Text}, {ID: 4, T: types.Bool}, {ID: 5, T: types.Decimal(10, 2)},
}}

func sampleBatch() *vec.Batch {
	b := vec.NewBatch(sampleTable.Types())
	for i := range 3 {
		b.Cols[0].AppendDatum(types.NewInt(int64(i + 1)))
		if i == 1 {
			b.Cols[1].AppendNull()
		} else {
			b.Cols[1].AppendString(fmt.Sprintf("a string that is long enough %d", i))
		}
		b.Cols[2].AppendDatum(types.NewBool(i == 2))
	}
	b.Cols[3].SetConst(sampleTable.Columns[3].T, types.NewInt(1250), 3)
	b.N = 3
	return b
}

func sample(e *Encoder) {
	e.Catalog([]KV{{[]byte("k"), []byte("v")}, {[]byte("gone"), nil}, {[]byte("empty"), []byte{}}})
	e.Truncated([]uint32{16384, 7})
	rows := sampleBatch()
	e.Chunk(sampleTable, 3, &storage.Chunk{Op: storage.OpInsert, Rows: rows, Ord: []uint32{0, 1, 2}})
	keys := &vec.Batch{Cols: rows.Cols[:1], N: 3}
	e.Chunk(sampleTable, 3, &storage.Chunk{Op: storage.OpUpdate, Rows: rows, Keys: keys, Ord: []uint32{5, 4, 9}})
	e.Chunk(sampleTable, 1, &storage.Chunk{Op: storage.OpDelete, Keys: keys, Ord: []uint32{7, 8, 9}})
	e.File(&SideFile{Table: 16384, Shard: 2, Rows: 1 << 20, Size: 12345, Name: "00000001.seg", Deletes: "00000002.del"})
}

// sampleBinlog has what a record says of binlogs.
func sampleBinlog(e *Encoder) {
	e.Notes([]KV{{[]byte("sub/1"), []byte{1, 2}}, {[]byte("old"), nil}})
	e.Marks([]storage.Mark{{Table: 16384, Event: storage.EventTruncate, Ord: 0}, {Table: 7, Event: storage.EventGap, Ord: 300}})
	rows := sampleBatch()
	keys := &vec.Batch{Cols: rows.Cols[:1], N: 3}
	before := &vec.Batch{Cols: rows.Cols, N: 2}
	e.Chunk(sampleTable, 3, &storage.Chunk{Op: storage.OpInsert, Logged: true, Rows: rows, Ord: []uint32{1, 2, 3}})
	e.Chunk(sampleTable, 3, &storage.Chunk{Op: storage.OpUpsert, Logged: true, Rows: rows, Ord: []uint32{5, 7, 9}, Before: before, BeforeOf: []uint16{0, 2}})
	e.Chunk(sampleTable, 3, &storage.Chunk{Op: storage.OpUpdate, Logged: true, Rows: rows, Keys: keys, Ord: []uint32{11, 13, 17}, Before: rows, BeforeOf: []uint16{2, 0, 1}})
	e.Chunk(sampleTable, 1, &storage.Chunk{Op: storage.OpDelete, Logged: true, Keys: keys, Ord: []uint32{18, 19, 20}, Before: before, BeforeOf: []uint16{0, 1}})
	e.File(&SideFile{Table: 16384, Shard: 2, Rows: 1 << 20, Size: 12345, Name: "00000001.seg"})
	e.LogFile(&SideFile{Table: 16384, Shard: 2, Rows: 1 << 20, Size: 54321, Name: "00000003.seg"})
	e.Late(sampleTable, 3, &storage.Late{Ord: []uint32{5, 11, 13}, At: []int32{1, -1, 0}, Rows: before})
}

// sampleRowFiles has a large set for row tablets.
func sampleRowFiles(e *Encoder) {
	e.Chunk(sampleTable, 0, &storage.Chunk{Op: storage.OpInsert, Rows: sampleBatch(), Ord: []uint32{0, 1, 2}})
	e.RowFile(&RowFile{Table: 16384, Shard: 2, Rows: 1 << 20, Size: 1 << 25, Set: 1<<40 + 3, Name: "00000000002a"})
	e.RowFile(&RowFile{Table: 16384, Shard: 3, Rows: 7, Size: 812, Set: 1<<40 + 3, Name: "00000000002b"})
}

// sampleKeysFiles has a large set that updates and deletes rows.
func sampleKeysFiles(e *Encoder) {
	e.KeysFile(&SideFile{Table: 16384, Shard: 1, Rows: 1 << 21, Size: 54321, Name: "00000000002c.seg"})
	e.KeysFile(&SideFile{Table: 16384, Shard: 2, Rows: 9, Size: 712, Name: "00000000002d.seg"})
	e.File(&SideFile{Table: 16384, Shard: 2, Rows: 8, Size: 12345, Name: "00000000002e.seg"})
}

// TestKeysFiles reads what sampleKeysFiles wrote.
func TestKeysFiles(t *testing.T) {
	e := NewEncoder()
	sampleKeysFiles(e)
	got := ""
	note := func(kind string) func(f *SideFile) error {
		return func(f *SideFile) error { got += fmt.Sprintf("%s %+v\n", kind, *f); return nil }
	}
	if err := Decode(e.Buf[Headroom:], &Visitor{KeysFile: note("keys"), File: note("rows"), LogFile: note("log")}); err != nil {
		t.Fatal(err)
	}
	want := "keys {Table:16384 Shard:1 Rows:2097152 Size:54321 Name:00000000002c.seg Deletes:}\n" +
		"keys {Table:16384 Shard:2 Rows:9 Size:712 Name:00000000002d.seg Deletes:}\n" +
		"rows {Table:16384 Shard:2 Rows:8 Size:12345 Name:00000000002e.seg Deletes:}\n"
	if got != want {
		t.Errorf("got %s", got)
	}
}

// TestRowFiles reads what sampleRowFiles wrote.
func TestRowFiles(t *testing.T) {
	e := NewEncoder()
	sampleRowFiles(e)
	got := ""
	if err := Decode(e.Buf[Headroom:], &Visitor{RowFile: func(f *RowFile) error { got += fmt.Sprintf("%+v\n", *f); return nil }}); err != nil {
		t.Fatal(err)
	}
	want := "{Table:16384 Shard:2 Rows:1048576 Size:33554432 Set:1099511627779 Name:00000000002a}\n" +
		"{Table:16384 Shard:3 Rows:7 Size:812 Set:1099511627779 Name:00000000002b}\n"
	if got != want {
		t.Errorf("got %s", got)
	}
}

// TestBinlogSections reads what sampleBinlog wrote.
func TestBinlogSections(t *testing.T) {
	e := NewEncoder()
	sampleBinlog(e)
	var log []string
	err := Decode(e.Buf[Headroom:], &Visitor{
		Marks:   func(ms []storage.Mark) error { log = append(log, fmt.Sprint("marks ", ms)); return nil },
		LogFile: func(f *SideFile) error { log = append(log, fmt.Sprintf("log file %+v", *f)); return nil },
		Want:    func(uint32, int, uint64) *catalog.Table { return sampleTable },
		Chunk: func(_ uint32, _ int, c *storage.Chunk) error {
			n := 0
			if c.Before != nil {
				n = c.Before.N
			}
			log = append(log, fmt.Sprint("chunk ", c.Op, " ", c.Logged, c.Ord, c.BeforeOf, n))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = DecodeLate(e.Buf[Headroom:], func(uint32, int) *catalog.Table { return sampleTable }, func(table uint32, shard int, l *storage.Late) {
		log = append(log, fmt.Sprint("late ", table, " ", shard, l.Ord, l.At, l.Rows.N, " ", l.Rows.Cols[0].Datum(1).I))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"marks [{16384 101 0} {7 102 300}]",
		"chunk 0 true [1 2 3] [] 0", "chunk 1 true [5 7 9] [0 2] 2", "chunk 2 true [11 13 17] [2 0 1] 3", "chunk 3 true [18 19 20] [0 1] 2",
		"log file {Table:16384 Shard:2 Rows:1048576 Size:54321 Name:00000003.seg Deletes:}",
		"late 16384 3 [5 11 13] [1 -1 0] 2 2",
	}
	if fmt.Sprint(log) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", log, want)
	}
}

func countAll() *Visitor {
	return &Visitor{
		Want:  func(uint32, int, uint64) *catalog.Table { return sampleTable },
		Chunk: func(uint32, int, *storage.Chunk) error { return nil },
	}
}

// TestRecord writes a record and reads it for a table that has since lost column
// 4, and got column 6.
func TestRecord(t *testing.T) {
	e := NewEncoder()
	sample(e)
	e.Notes([]KV{{[]byte("sub/1"), []byte{1, 2}}, {[]byte("old"), nil}})
	now := &catalog.Table{OID: 16384, PK: []int{0}, Columns: []catalog.Column{
		{ID: 1, T: types.Int4}, {ID: 6, T: types.Int8, Missing: types.NewInt(77)}, {ID: 5, T: types.Decimal(10, 2)}, {ID: 2, T: types.Text},
	}}
	var log []string
	add := func(f string, a ...any) { log = append(log, fmt.Sprintf(f, a...)) }
	err := Decode(e.Buf[Headroom:], &Visitor{
		Catalog: func(kvs []KV) error {
			for _, kv := range kvs {
				add("catalog %s=%q %v", kv.Key, kv.Value, kv.Value == nil)
			}
			return nil
		},
		Notes: func(kvs []KV) error {
			for _, kv := range kvs {
				add("note %s=%q %v", kv.Key, kv.Value, kv.Value == nil)
			}
			return nil
		},
		Truncated: func(ts []uint32) error { add("truncated %v", ts); return nil },
		File:      func(f *SideFile) error { add("file %+v", *f); return nil },
		Want: func(table uint32, shard int, v uint64) *catalog.Table {
			if table != 16384 || v != 5 {
				t.Fatal(table, v)
			}
			return now
		},
		Chunk: func(table uint32, shard int, c *storage.Chunk) error {
			add("chunk shard %d op %d ord %v", shard, c.Op, c.Ord)
			for _, b := range []*vec.Batch{c.Rows, c.Keys} {
				if b == nil {
					continue
				}
				for r := range b.N {
					s := ""
					for _, v := range b.Cols {
						d := v.Datum(r)
						s += fmt.Sprintf(" %v/%d/%s", d.Valid, d.I, d.S)
					}
					add(" %s", s)
				}
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`catalog k="v" false`, `catalog gone="" true`, `catalog empty="" false`, `truncated [16384 7]`,
		`chunk shard 3 op 0 ord [0 1 2]`,
		`  true/1/ true/77/ true/1250/ true/0/a string that is long enough 0`,
		`  true/2/ true/77/ true/1250/ false/0/`,
		`  true/3/ true/77/ true/1250/ true/0/a string that is long enough 2`,
		`chunk shard 3 op 2 ord [5 4 9]`,
		`  true/1/ true/77/ true/1250/ true/0/a string that is long enough 0`,
		`  true/2/ true/77/ true/1250/ false/0/`,
		`  true/3/ true/77/ true/1250/ true/0/a string that is long enough 2`,
		`  true/1/`, `  true/2/`, `  true/3/`,
		`chunk shard 1 op 3 ord [7 8 9]`, `  true/1/`, `  true/2/`, `  true/3/`,
		`file {Table:16384 Shard:2 Rows:1048576 Size:12345 Name:00000001.seg Deletes:00000002.del}`,
		`note sub/1="\x01\x02" false`, `note old="" true`,
	}
	if fmt.Sprint(log) != fmt.Sprint(want) {
		for i := range max(len(log), len(want)) {
			g, w := "", ""
			if i < len(log) {
				g = log[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				t.Errorf("line %d:\n got %s\nwant %s", i, g, w)
			}
		}
	}
}

// TestRecordGarbage cuts and damages a record everywhere: an error, never a panic.
func TestRecordGarbage(*testing.T) {
	for _, f := range []func(*Encoder){sample, sampleBinlog} {
		garbage(f)
	}
}

func garbage(sample func(*Encoder)) {
	e := NewEncoder()
	sample(e)
	late := func(b []byte) {
		_ = DecodeLate(b, func(uint32, int) *catalog.Table { return sampleTable }, func(uint32, int, *storage.Late) {})
	}
	b := e.Buf[Headroom:]
	for i := range b {
		_ = Decode(b[:i], countAll())
		late(b[:i])
		for _, x := range []byte{1, 0x80, 0xff} {
			bad := append([]byte(nil), b...)
			bad[i] ^= x
			_ = Decode(bad, countAll())
			late(bad)
		}
	}
}

// FuzzDecode: a record of any bytes, with a checksum that would be right, is an error or
// a record, never a panic.
func FuzzDecode(f *testing.F) {
	e := NewEncoder()
	sample(e)
	e.Notes([]KV{{[]byte("sub/1"), []byte{1, 2}}, {[]byte("old"), nil}})
	f.Add(e.Buf[Headroom:])
	late := NewEncoder()
	late.Late(sampleTable, 1, &storage.Late{Ord: []uint32{4, 6, 9}, At: []int32{0, -1, 2}, Rows: sampleBatch()})
	f.Add(late.Buf[Headroom:])
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = Decode(b, countAll())
		_ = DecodeLate(b, func(uint32, int) *catalog.Table { return sampleTable }, func(_ uint32, _ int, l *storage.Late) {
			for _, at := range l.At {
				if at >= 0 { // -1: none
					_ = l.Rows.Cols[0].IsNull(int(at))
				}
			}
		})
	})
}
