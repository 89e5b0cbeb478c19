package wal

import (
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

const recordVersion = 1

// Section kinds of a record.
const (
	secCatalog   = 1
	secTruncated = 2
	secChunk     = 3
	secFile      = 4
	secNotes     = 5
	secLate      = 6
	secMarks     = 7
	secLogFile   = 8
	secRowFile   = 9
	secKeysFile  = 10
)

// Flags of a chunk.
const (
	flagRows  = 1
	flagKeys  = 2
	flagIDs   = 4
	flagDense = 8
	flagLog   = 16
	flagEven  = 32 // ordinals rise by two
)

// KV is a catalog change or a note: a nil value removes the key.
type KV struct{ Key, Value []byte }

// SideFile names a segment file that has rows of a large commit, after those of the
// chunks, and a file with those of its rows that are deleted again ("" for none).
type SideFile struct {
	Table   uint32
	Shard   int
	Rows    uint64
	Size    int64
	Name    string
	Deletes string
}

// RowFile names a file of a large commit's rows for the row store, which takes it in as
// it is. Its rows carry the number of their set in the place of their commit.
type RowFile struct {
	Table uint32
	Shard int
	Rows  uint64
	Size  int64
	Set   uint64
	Name  string
}

// Encoder builds a record in an Entry's buffer.
type Encoder struct{ Buf []byte }

var encoders = sync.Pool{New: func() any { return new(Encoder) }}

// NewEncoder gives an encoder from a pool, started.
func NewEncoder() *Encoder {
	e := encoders.Get().(*Encoder)
	e.Buf = append(e.Buf[:0], make([]byte, Headroom)...)
	e.Buf = append(e.Buf, recordVersion)
	return e
}

// Grow makes room for n more bytes at once, which spares a large record from being
// copied each time its buffer doubles.
func (e *Encoder) Grow(n int) { e.Buf = slices.Grow(e.Buf, n) }

// pooledMax bounds the buffers that are kept for later records: one of a batch of
// tens of thousands of rows still fits.
const pooledMax = 16 << 20

// Free gives the encoder and its buffer back, when the record is durable.
func (e *Encoder) Free() {
	if cap(e.Buf) <= pooledMax {
		encoders.Put(e)
	}
}

// Len is the size of the record so far.
func (e *Encoder) Len() int { return len(e.Buf) - Headroom }

// section opens a section, end fills in its length.
func (e *Encoder) section(kind byte) int {
	// Five bytes of a padded uvarint hold any length that a frame may have.
	e.Buf = append(e.Buf, kind, 0x80, 0x80, 0x80, 0x80, 0)
	return len(e.Buf)
}

func (e *Encoder) end(at int) {
	n := len(e.Buf) - at
	b := e.Buf[at-5:]
	b[0], b[1], b[2], b[3], b[4] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)|0x80, byte(n>>21)|0x80, byte(n>>28)
}

// Catalog adds catalog changes.
func (e *Encoder) Catalog(kvs []KV) { e.pairs(secCatalog, kvs) }

// Notes adds changes of notes.
func (e *Encoder) Notes(kvs []KV) { e.pairs(secNotes, kvs) }

func (e *Encoder) pairs(kind byte, kvs []KV) {
	if len(kvs) == 0 {
		return
	}
	at := e.section(kind)
	for _, kv := range kvs {
		e.bytes(kv.Key)
		if kv.Value == nil {
			e.uvarint(0)
			continue
		}
		e.uvarint(uint64(len(kv.Value)) + 1)
		e.Buf = append(e.Buf, kv.Value...)
	}
	e.end(at)
}

// Truncated adds tables that are emptied by this commit, before its chunks apply.
func (e *Encoder) Truncated(tables []uint32) {
	if len(tables) == 0 {
		return
	}
	at := e.section(secTruncated)
	for _, t := range tables {
		e.uvarint(uint64(t))
	}
	e.end(at)
}

// File adds a side file.
func (e *Encoder) File(f *SideFile) {
	at := e.section(secFile)
	for _, v := range [...]uint64{uint64(f.Table), uint64(f.Shard), f.Rows, uint64(f.Size)} {
		e.uvarint(v)
	}
	e.bytes([]byte(f.Name))
	e.bytes([]byte(f.Deletes))
	e.end(at)
}

// KeysFile adds a file with the keys of rows that a large commit updates or deletes.
func (e *Encoder) KeysFile(f *SideFile) { e.sideFile(secKeysFile, f) }

// LogFile adds a side file with binlog rows of a large commit.
func (e *Encoder) LogFile(f *SideFile) { e.sideFile(secLogFile, f) }

func (e *Encoder) sideFile(kind byte, f *SideFile) {
	at := e.section(kind)
	for _, v := range [...]uint64{uint64(f.Table), uint64(f.Shard), f.Rows, uint64(f.Size)} {
		e.uvarint(v)
	}
	e.bytes([]byte(f.Name))
	e.end(at)
}

// RowFile adds a file for the row store.
func (e *Encoder) RowFile(f *RowFile) {
	at := e.section(secRowFile)
	for _, v := range [...]uint64{uint64(f.Table), uint64(f.Shard), f.Rows, uint64(f.Size), f.Set} {
		e.uvarint(v)
	}
	e.bytes([]byte(f.Name))
	e.end(at)
}

// Marks adds markers for the binlogs of tables.
func (e *Encoder) Marks(marks []storage.Mark) {
	if len(marks) == 0 {
		return
	}
	at := e.section(secMarks)
	for _, m := range marks {
		e.uvarint(uint64(m.Table))
		e.uvarint(uint64(m.Event))
		e.uvarint(uint64(m.Ord))
	}
	e.end(at)
}

// Late adds what was found of a tablet's logged chunks after they were encoded.
func (e *Encoder) Late(t *catalog.Table, shard int, l *storage.Late) {
	at := e.section(secLate)
	e.uvarint(uint64(t.OID))
	e.uvarint(uint64(shard))
	e.uvarint(uint64(len(l.Ord)))
	e.Buf = append(e.Buf, raw(l.Ord)...)
	e.Buf = append(e.Buf, raw(l.At)...)
	e.uvarint(uint64(l.Rows.N))
	e.columns(t, l.Rows.Cols, l.Rows.N)
	e.end(at)
}

// columns adds columns of a table by ordinal.
func (e *Encoder) columns(t *catalog.Table, cols []*vec.Vec, n int) {
	e.uvarint(uint64(len(cols)))
	for i, v := range cols {
		e.column(t.Columns[i].ID, v, n)
	}
}

// Chunk adds a chunk of a table's shard.
func (e *Encoder) Chunk(t *catalog.Table, shard int, c *storage.Chunk) {
	at := e.section(secChunk)
	n := c.Len()
	e.uvarint(uint64(t.OID))
	e.uvarint(uint64(shard))
	e.uvarint(t.SchemaVersion)
	flags := byte(0)
	if c.Rows != nil {
		flags |= flagRows
	}
	if c.Keys != nil {
		flags |= flagKeys
	}
	if c.RowID != nil {
		flags |= flagIDs
	}
	switch {
	case rises(c.Ord, 1):
		flags |= flagDense
	case rises(c.Ord, 2):
		flags |= flagDense | flagEven
	}
	if c.Logged {
		flags |= flagLog
	}
	e.Buf = append(e.Buf, byte(c.Op), flags)
	e.uvarint(uint64(n))
	if flags&flagDense != 0 {
		first := uint32(0)
		if n > 0 {
			first = c.Ord[0]
		}
		e.uvarint(uint64(first))
	} else {
		e.Buf = append(e.Buf, raw(c.Ord)...)
	}
	if c.RowID != nil {
		e.Buf = append(e.Buf, raw(c.RowID[:n])...)
	}
	if c.Rows != nil {
		e.columns(t, c.Rows.Cols, n)
	}
	if c.Keys != nil {
		e.uvarint(uint64(len(c.Keys.Cols)))
		for i, v := range c.Keys.Cols {
			id := int32(catalog.ColRowID)
			if len(t.PK) > 0 {
				id = t.Columns[t.PK[i]].ID
			}
			e.column(id, v, n)
		}
	}
	if c.Logged && c.Op != storage.OpInsert {
		k := len(c.BeforeOf)
		e.uvarint(uint64(k))
		e.Buf = append(e.Buf, raw(c.BeforeOf)...)
		if k > 0 {
			e.columns(t, c.Before.Cols, k)
		}
	}
	e.end(at)
}

func rises(ord []uint32, by uint32) bool {
	for i := 1; i < len(ord); i++ {
		if ord[i] != ord[i-1]+by {
			return false
		}
	}
	return true
}

func (e *Encoder) uvarint(v uint64) { e.Buf = binary.AppendUvarint(e.Buf, v) }

func (e *Encoder) varint(v int64) { e.Buf = binary.AppendVarint(e.Buf, v) }

func (e *Encoder) bytes(b []byte) {
	e.uvarint(uint64(len(b)))
	e.Buf = append(e.Buf, b...)
}

// raw is the memory of s as bytes: amd64 is little-endian, as the format.
func raw[E any](s []E) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

const (
	formConst = 1
	formNulls = 2
)

func (e *Encoder) column(id int32, v *vec.Vec, n int) {
	e.varint(int64(id))
	e.uvarint(uint64(v.T.OID))
	e.varint(int64(v.T.Mod))
	e.Buf = append(e.Buf, byte(v.T.Layout))
	e.varint(int64(v.T.Scale))
	form := byte(0)
	if v.Form == vec.Const {
		form, n = formConst, 1
	}
	if v.Valid != nil {
		form |= formNulls
	}
	e.Buf = append(e.Buf, form)
	if v.Valid != nil {
		e.Buf = append(e.Buf, raw(v.Valid[:vec.Words(n)])...)
	}
	if v.Form == vec.Dict {
		e.dictColumn(v, n)
		return
	}
	switch v.T.Layout {
	case types.LayoutBool:
		e.Buf = append(e.Buf, raw(v.Bits[:vec.Words(n)])...)
	case types.LayoutI16:
		e.Buf = append(e.Buf, raw(v.I16[:n])...)
	case types.LayoutI32:
		e.Buf = append(e.Buf, raw(v.I32[:n])...)
	case types.LayoutI64:
		e.Buf = append(e.Buf, raw(v.I64[:n])...)
	case types.LayoutI128:
		e.Buf = append(e.Buf, raw(v.I128[:n])...)
	case types.LayoutF32:
		e.Buf = append(e.Buf, raw(v.F32[:n])...)
	case types.LayoutF64:
		e.Buf = append(e.Buf, raw(v.F64[:n])...)
	case types.LayoutFixed16:
		e.Buf = append(e.Buf, raw(v.Fix[:n])...)
	default:
		for _, w := range v.Views[:n] {
			e.Buf = binary.LittleEndian.AppendUint32(e.Buf, w.Len)
		}
		for i := range v.Views[:n] {
			e.Buf = append(e.Buf, v.Bytes(i)...)
		}
	}
}

// dictColumn writes the values of a dictionary vector flat.
func (e *Encoder) dictColumn(v *vec.Vec, n int) {
	f := vec.New(v.T, n)
	f.Copy(v, nil, n)
	if f.Valid == nil && v.Valid != nil {
		f.TakeValid(n)
	}
	g := *f
	g.Valid = nil // already written
	switch v.T.Layout {
	case types.LayoutView:
		for _, w := range g.Views[:n] {
			e.Buf = binary.LittleEndian.AppendUint32(e.Buf, w.Len)
		}
		for i := range g.Views[:n] {
			e.Buf = append(e.Buf, g.Bytes(i)...)
		}
	case types.LayoutBool:
		e.Buf = append(e.Buf, raw(g.Bits[:vec.Words(n)])...)
	case types.LayoutI16:
		e.Buf = append(e.Buf, raw(g.I16[:n])...)
	case types.LayoutI32:
		e.Buf = append(e.Buf, raw(g.I32[:n])...)
	case types.LayoutI64:
		e.Buf = append(e.Buf, raw(g.I64[:n])...)
	case types.LayoutI128:
		e.Buf = append(e.Buf, raw(g.I128[:n])...)
	case types.LayoutF32:
		e.Buf = append(e.Buf, raw(g.F32[:n])...)
	case types.LayoutF64:
		e.Buf = append(e.Buf, raw(g.F64[:n])...)
	case types.LayoutFixed16:
		e.Buf = append(e.Buf, raw(g.Fix[:n])...)
	}
}
