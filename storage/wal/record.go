package wal

import (
	"encoding/binary"
	"fmt"
	"math/bits"
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

// LogFile adds a side file with binlog rows of a large commit.
func (e *Encoder) LogFile(f *SideFile) {
	at := e.section(secLogFile)
	for _, v := range [...]uint64{uint64(f.Table), uint64(f.Shard), f.Rows, uint64(f.Size)} {
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
func (e *Encoder) varint(v int64)   { e.Buf = binary.AppendVarint(e.Buf, v) }

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

// Visitor receives the sections of a record. A nil function skips its sections.
type Visitor struct {
	Catalog   func(kvs []KV) error
	Notes     func(kvs []KV) error
	Truncated func(tables []uint32) error
	File      func(f *SideFile) error
	LogFile   func(f *SideFile) error
	Marks     func(marks []storage.Mark) error
	// Want is asked for each chunk: the table to read it for, with the columns that
	// the table has now (nil: skip it).
	Want func(table uint32, shard int, schemaVersion uint64) *catalog.Table
	// Chunk gets a chunk that was wanted; its memory lives during the call.
	Chunk func(table uint32, shard int, c *storage.Chunk) error
}

// Decode walks a record. Its bytes come from a frame whose checksum was right,
// but nothing in them is trusted.
func Decode(b []byte, v *Visitor) error {
	if len(b) == 0 || b[0] != recordVersion {
		return fmt.Errorf("log record has an unknown version")
	}
	r := reader{b: b[1:]}
	for len(r.b) > 0 {
		kind := r.byte()
		body := reader{b: r.take(int(r.uvarint()))}
		if r.bad {
			break
		}
		var err error
		switch kind {
		case secCatalog:
			err = decodePairs(&body, v.Catalog)
		case secNotes:
			err = decodePairs(&body, v.Notes)
		case secTruncated:
			var ts []uint32
			for len(body.b) > 0 && !body.bad {
				ts = append(ts, uint32(body.uvarint()))
			}
			if v.Truncated != nil && !body.bad {
				err = v.Truncated(ts)
			}
		case secFile:
			f := SideFile{Table: uint32(body.uvarint()), Shard: int(body.uvarint()), Rows: body.uvarint(), Size: int64(body.uvarint())}
			f.Name = string(body.take(int(body.uvarint())))
			f.Deletes = string(body.take(int(body.uvarint())))
			if v.File != nil && !body.bad {
				err = v.File(&f)
			}
		case secLogFile:
			f := SideFile{Table: uint32(body.uvarint()), Shard: int(body.uvarint()), Rows: body.uvarint(), Size: int64(body.uvarint())}
			f.Name = string(body.take(int(body.uvarint())))
			if v.LogFile != nil && !body.bad {
				err = v.LogFile(&f)
			}
		case secMarks:
			var ms []storage.Mark
			for len(body.b) > 0 && !body.bad {
				ms = append(ms, storage.Mark{Table: uint32(body.uvarint()), Event: storage.Event(body.uvarint()), Ord: uint32(body.uvarint())})
			}
			if v.Marks != nil && !body.bad {
				err = v.Marks(ms)
			}
		case secLate: // DecodeLate's
			continue
		case secChunk:
			err = decodeChunk(&body, v)
		default:
			err = fmt.Errorf("log record has an unknown section %d", kind)
		}
		if err != nil {
			return err
		}
		if body.bad {
			r.bad = true
			break
		}
	}
	if r.bad {
		return fmt.Errorf("log record is malformed")
	}
	return nil
}

func decodePairs(r *reader, visit func([]KV) error) error {
	var kvs []KV
	for len(r.b) > 0 && !r.bad {
		kv := KV{Key: r.take(int(r.uvarint()))}
		if n := r.uvarint(); n > 0 {
			kv.Value = r.take(int(n - 1))
			if kv.Value == nil {
				kv.Value = []byte{}
			}
		}
		kvs = append(kvs, kv)
	}
	if visit == nil || r.bad {
		return nil
	}
	return visit(kvs)
}

func decodeChunk(r *reader, v *Visitor) error {
	table, shard, sv := uint32(r.uvarint()), int(r.uvarint()), r.uvarint()
	if r.bad || v.Want == nil {
		return nil
	}
	t := v.Want(table, shard, sv)
	if t == nil {
		return nil
	}
	c := storage.Chunk{Op: storage.Op(r.byte())}
	flags := r.byte()
	n := int(r.uvarint())
	if n < 0 || n > vec.Size || c.Op > storage.OpDelete {
		r.bad = true
		return nil
	}
	c.Ord = make([]uint32, n)
	if flags&flagDense != 0 {
		first, step := uint32(r.uvarint()), uint32(1)
		if flags&flagEven != 0 {
			step = 2
		}
		for i := range c.Ord {
			c.Ord[i] = first + uint32(i)*step
		}
	} else {
		fill(r, c.Ord)
	}
	if flags&flagIDs != 0 {
		c.RowID = make([]int64, n)
		fill(r, c.RowID)
	}
	if c.Op == storage.OpUpdate || c.Op == storage.OpDelete {
		c.OldCSN = make([]storage.CSN, n)
	}
	if flags&flagRows != 0 {
		if c.Rows = r.columns(t, n); r.bad {
			return nil
		}
	}
	if flags&flagKeys != 0 {
		k := int(r.uvarint())
		if k < 0 || k > len(r.b) {
			r.bad = true
			return nil
		}
		c.Keys = &vec.Batch{N: n}
		for ; k > 0 && !r.bad; k-- {
			_, col := r.column(n)
			c.Keys.Cols = append(c.Keys.Cols, col)
		}
		if r.bad || !keysFit(t, c.Keys) {
			r.bad = true
			return nil
		}
	}
	if c.Logged = flags&flagLog != 0; c.Logged && c.Op != storage.OpInsert {
		k := int(r.uvarint())
		if k < 0 || k > vec.Size || k > len(r.b) {
			r.bad = true
			return nil
		}
		c.BeforeOf = make([]uint16, k)
		fill(r, c.BeforeOf)
		for _, i := range c.BeforeOf {
			r.bad = r.bad || int(i) >= n
		}
		if k > 0 && !r.bad {
			c.Before = r.columns(t, k)
		}
	}
	if r.bad || (c.Rows == nil) != (c.Op == storage.OpDelete) || (c.Keys == nil) != (c.Op < storage.OpUpdate) {
		r.bad = true
		return nil
	}
	return v.Chunk(table, shard, &c)
}

// columns reads columns as those that the table has now, by ordinal.
func (r *reader) columns(t *catalog.Table, n int) *vec.Batch {
	b := &vec.Batch{Cols: make([]*vec.Vec, len(t.Columns)), N: n}
	cols := int(r.uvarint())
	for k := 0; k < cols && !r.bad; k++ {
		id, col := r.column(n)
		if r.bad {
			return nil
		}
		i := k
		if i >= len(t.Columns) || t.Columns[i].ID != id {
			i = slices.IndexFunc(t.Columns, func(c catalog.Column) bool { return c.ID == id })
		}
		if i >= 0 && col.T.Layout == t.Columns[i].T.Layout && col.T.Scale == t.Columns[i].T.Scale {
			col.T = t.Columns[i].T
			b.Cols[i] = col
		}
	}
	for i := range b.Cols {
		if b.Cols[i] == nil { // added later
			m := new(vec.Vec)
			m.SetConst(t.Columns[i].T, t.Columns[i].Missing, n)
			b.Cols[i] = m
		}
	}
	return b
}

// DecodeLate walks the late images of a record, which its chunks need: Decode
// passes over them. want says for which table to read those of a tablet, nil to
// skip them.
func DecodeLate(b []byte, want func(table uint32, shard int) *catalog.Table, visit func(table uint32, shard int, l *storage.Late)) error {
	if len(b) == 0 || b[0] != recordVersion {
		return fmt.Errorf("log record has an unknown version")
	}
	r := reader{b: b[1:]}
	for len(r.b) > 0 && !r.bad {
		kind := r.byte()
		body := reader{b: r.take(int(r.uvarint()))}
		if r.bad || kind != secLate {
			continue
		}
		table, shard := uint32(body.uvarint()), int(body.uvarint())
		t := want(table, shard)
		if t == nil && !body.bad {
			continue
		}
		n := int(body.uvarint())
		l := &storage.Late{Ord: values[uint32](&body, n), At: values[int32](&body, n)}
		rows := int(body.uvarint())
		if body.bad || rows < 0 || rows > n {
			r.bad = true
			break
		}
		for _, at := range l.At {
			r.bad = r.bad || int(at) >= rows
		}
		if l.Rows = body.columns(t, rows); body.bad || r.bad {
			r.bad = true
			break
		}
		visit(table, shard, l)
	}
	if r.bad {
		return fmt.Errorf("log record is malformed")
	}
	return nil
}

func keysFit(t *catalog.Table, keys *vec.Batch) bool {
	if len(t.PK) == 0 {
		return len(keys.Cols) == 1 && keys.Cols[0].T.Layout == types.LayoutI64
	}
	if len(keys.Cols) != len(t.PK) {
		return false
	}
	for i, o := range t.PK {
		if keys.Cols[i].T.Layout != t.Columns[o].T.Layout {
			return false
		}
		keys.Cols[i].T = t.Columns[o].T
	}
	return true
}

// reader reads bytes that may lie; bad is sticky.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) || r.bad {
		r.bad = true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// fill copies values out of the record: it has no alignment.
func fill[E any](r *reader, dst []E) { copy(raw(dst), r.take(len(raw(dst)))) }

func values[E any](r *reader, n int) []E {
	var e E
	if n < 0 || n > len(r.b)/int(unsafe.Sizeof(e)) {
		r.bad = true
		return nil
	}
	s := make([]E, n)
	fill(r, s)
	return s
}

func (r *reader) column(n int) (id int32, v *vec.Vec) {
	id = int32(r.varint())
	v = &vec.Vec{N: n}
	v.T = types.T{OID: uint32(r.uvarint()), Mod: int32(r.varint())}
	v.T.Layout = types.Layout(r.byte())
	v.T.Scale = int16(r.varint())
	form := r.byte()
	m := n
	if form&formConst != 0 {
		v.Form, m = vec.Const, 1
	}
	if form&formNulls != 0 {
		v.Valid = values[uint64](r, vec.Words(m))
	}
	switch v.T.Layout {
	case types.LayoutBool:
		v.Bits = values[uint64](r, vec.Words(m))
	case types.LayoutI16:
		v.I16 = values[int16](r, m)
	case types.LayoutI32:
		v.I32 = values[int32](r, m)
	case types.LayoutI64:
		v.I64 = values[int64](r, m)
	case types.LayoutI128:
		v.I128 = values[types.Int128](r, m)
	case types.LayoutF32:
		v.F32 = values[float32](r, m)
	case types.LayoutF64:
		v.F64 = values[float64](r, m)
	case types.LayoutFixed16:
		v.Fix = values[types.Fixed16](r, m)
	case types.LayoutView:
		lens := values[uint32](r, m)
		total := uint64(0)
		for _, l := range lens {
			total += uint64(l)
		}
		if bits.Len64(total) > 31 {
			r.bad = true
			return id, v
		}
		heap := r.take(int(total))
		if r.bad {
			return id, v
		}
		v.Bufs = [][]byte{heap}
		v.Views = make([]vec.View, m)
		off := uint32(0)
		for i, l := range lens {
			v.Views[i] = vec.MakeView(heap[off:off+l], 0, off)
			off += l
		}
	default:
		r.bad = true
	}
	return id, v
}
