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
func TestRecordGarbage(t *testing.T) {
	e := NewEncoder()
	sample(e)
	e.Notes([]KV{{[]byte("sub/1"), []byte{1, 2}}, {[]byte("old"), nil}})
	b := e.Buf[Headroom:]
	for i := range b {
		_ = Decode(b[:i], countAll())
		for _, x := range []byte{1, 0x80, 0xff} {
			bad := append([]byte(nil), b...)
			bad[i] ^= x
			_ = Decode(bad, countAll())
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
