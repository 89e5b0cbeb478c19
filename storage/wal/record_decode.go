package wal

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Visitor receives the sections of a record. A nil function skips its sections.
type Visitor struct {
	Catalog   func(kvs []KV) error
	Notes     func(kvs []KV) error
	Truncated func(tables []uint32) error
	File      func(f *SideFile) error
	LogFile   func(f *SideFile) error
	KeysFile  func(f *SideFile) error
	RowFile   func(f *RowFile) error
	Marks     func(marks []storage.Mark) error
	// Want is asked for each chunk: the table to read it for, with the columns that
	// the table has now (nil: skip it).
	Want func(table uint32, shard int, schemaVersion uint64) *catalog.Table
	// Chunk gets a chunk that was wanted; its memory lives during the call.
	Chunk func(table uint32, shard int, c *storage.Chunk) error
	// OtherKey says that the table may have another key by now than the record's rows had.
	// Keys of a chunk that are not the table's then are empty.
	OtherKey bool
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
		case secLogFile, secKeysFile:
			f := SideFile{Table: uint32(body.uvarint()), Shard: int(body.uvarint()), Rows: body.uvarint(), Size: int64(body.uvarint())}
			f.Name = string(body.take(int(body.uvarint())))
			visit := v.LogFile
			if kind == secKeysFile {
				visit = v.KeysFile
			}
			if visit != nil && !body.bad {
				err = visit(&f)
			}
		case secRowFile:
			f := RowFile{Table: uint32(body.uvarint()), Shard: int(body.uvarint()), Rows: body.uvarint(), Size: int64(body.uvarint()), Set: body.uvarint()}
			f.Name = string(body.take(int(body.uvarint())))
			if v.RowFile != nil && !body.bad {
				err = v.RowFile(&f)
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
		switch {
		case r.bad:
			return nil
		case keysFit(t, c.Keys):
		case v.OtherKey:
			c.Keys = &vec.Batch{}
		default:
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
			r.bad = r.bad || at < -1 || int(at) >= rows
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
