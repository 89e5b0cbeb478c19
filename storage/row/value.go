package row

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

const (
	valueVersion = 1
	setVersion   = 2 // of a row in a file of a large set: its commit is the set's
	valueHeader  = 1 + 8
)

// Kinds of stored columns; see FORMAT.md.
const (
	kindNull = iota
	kindVarint
	kind4
	kind8
	kind16
	kindBytes
	kindFalse
	kindTrue
)

// appendValue appends the value of row i, with room for its commit.
func (s *schema) appendValue(dst []byte, cols []*vec.Vec, i int) []byte {
	dst = append(dst, valueVersion, 0, 0, 0, 0, 0, 0, 0, 0)
	last := int32(0)
	le := binary.LittleEndian
	for _, o := range s.byID {
		id := s.table.Columns[o].ID
		tag := uint64(id-last) << 3
		last = id
		v := cols[o]
		if v.IsNull(i) {
			dst = binary.AppendUvarint(dst, tag) // kindNull is 0
			continue
		}
		src, k := v.Source(), v.Index(i)
		switch v.T.Layout {
		case types.LayoutBool:
			if vec.Bit(src.Bits, k) {
				tag |= kindTrue
			} else {
				tag |= kindFalse
			}
			dst = binary.AppendUvarint(dst, tag)
		case types.LayoutI16:
			dst = binary.AppendVarint(binary.AppendUvarint(dst, tag|kindVarint), int64(src.I16[k]))
		case types.LayoutI32:
			dst = binary.AppendVarint(binary.AppendUvarint(dst, tag|kindVarint), int64(src.I32[k]))
		case types.LayoutI64:
			dst = binary.AppendVarint(binary.AppendUvarint(dst, tag|kindVarint), src.I64[k])
		case types.LayoutI128:
			x := src.I128[k]
			dst = le.AppendUint64(le.AppendUint64(binary.AppendUvarint(dst, tag|kind16), x.Lo), uint64(x.Hi))
		case types.LayoutF32:
			dst = le.AppendUint32(binary.AppendUvarint(dst, tag|kind4), math.Float32bits(src.F32[k]))
		case types.LayoutF64:
			dst = le.AppendUint64(binary.AppendUvarint(dst, tag|kind8), math.Float64bits(src.F64[k]))
		case types.LayoutFixed16:
			x := src.Fix[k]
			dst = le.AppendUint64(le.AppendUint64(binary.AppendUvarint(dst, tag|kind16), uint64(x.A)), uint64(x.B))
		default:
			b := src.Bytes(k)
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, tag|kindBytes), uint64(len(b)))
			dst = append(dst, b...)
		}
	}
	return dst
}

func stampValue(value []byte, csn storage.CSN) { binary.LittleEndian.PutUint64(value[1:], uint64(csn)) }

func checkValue(value []byte) error {
	if len(value) < valueHeader || value[0] != valueVersion && value[0] != setVersion {
		return errCorrupt()
	}
	return nil
}

func errCorrupt() error { return sqlstate.Errorf(sqlstate.DataCorrupted, "corrupt row") }

// decoder appends stored rows to vectors.
type decoder struct {
	cols    []*vec.Vec
	ids     []int32
	missing []types.Datum
	slots   []int32 // by column id: place in cols + 1
	csn     []int   // places of the commit
	sets    *Sets   // tells commits
}

// want adds a column; the same one may be wanted several times.
func (d *decoder) want(id int32, missing types.Datum) {
	k := len(d.ids)
	d.ids, d.missing = append(d.ids, id), append(d.missing, missing)
	for int(id) >= len(d.slots) {
		d.slots = append(d.slots, 0)
	}
	if d.slots[id] == 0 {
		d.slots[id] = int32(k + 1)
	}
}

// wantCSN and wantShard add the hidden columns of these names.
func (d *decoder) wantCSN() {
	d.csn = append(d.csn, len(d.ids))
	d.ids, d.missing = append(d.ids, 0), append(d.missing, types.Null)
}

func (d *decoder) wantShard(shard int) {
	d.ids, d.missing = append(d.ids, 0), append(d.missing, types.NewInt(int64(shard)))
	if len(d.slots) == 0 {
		d.slots = append(d.slots, 0) // no column has id 0
	}
}

// row appends a stored row to cols.
func (d *decoder) row(value []byte, n int) error {
	var csn storage.CSN
	err := checkValue(value)
	if err == nil && len(d.csn) > 0 {
		csn, err = d.sets.commit(value)
	}
	if err != nil {
		return err
	}
	b := value[valueHeader:]
	id := uint64(0)
	for len(b) > 0 {
		tag, k := binary.Uvarint(b)
		if k <= 0 {
			return errCorrupt()
		}
		b = b[k:]
		if id += tag >> 3; id > math.MaxInt32 {
			return errCorrupt()
		}
		var v *vec.Vec
		if id < uint64(len(d.slots)) && d.slots[id] != 0 {
			v = d.cols[d.slots[id]-1]
		}
		if b, err = decodeColumn(v, byte(tag&7), b); err != nil {
			return err
		}
	}
	for _, k := range d.csn {
		appendInt(d.cols[k], int64(csn))
	}
	for i, v := range d.cols {
		if v.N > n {
			continue
		}
		if s := d.slots[d.ids[i]]; s != 0 && int(s-1) != i {
			v.Copy(d.cols[s-1], []uint16{uint16(n)}, n+1)
			continue
		}
		v.AppendDatum(d.missing[i])
	}
	return nil
}

// decodeColumn reads one column, into v if it is not nil, and returns what follows.
func decodeColumn(v *vec.Vec, kind byte, b []byte) ([]byte, error) {
	layout := types.LayoutView
	if v != nil {
		layout = v.T.Layout
	}
	fits := true
	le := binary.LittleEndian
	switch kind {
	case kindNull:
		if v != nil {
			v.AppendNull()
		}
	case kindVarint:
		x, k := binary.Varint(b)
		if k <= 0 {
			return nil, errCorrupt()
		}
		b = b[k:]
		if v != nil {
			fits = appendInt(v, x)
		}
	case kind4:
		if len(b) < 4 {
			return nil, errCorrupt()
		}
		if v != nil {
			if fits = layout == types.LayoutF32; fits {
				i := room(v)
				v.F32[i] = math.Float32frombits(le.Uint32(b))
				done(v)
			}
		}
		b = b[4:]
	case kind8:
		if len(b) < 8 {
			return nil, errCorrupt()
		}
		if v != nil {
			if fits = layout == types.LayoutF64; fits {
				i := room(v)
				v.F64[i] = math.Float64frombits(le.Uint64(b))
				done(v)
			}
		}
		b = b[8:]
	case kind16:
		if len(b) < 16 {
			return nil, errCorrupt()
		}
		if v != nil {
			lo, hi := le.Uint64(b), le.Uint64(b[8:])
			i := room(v)
			switch layout {
			case types.LayoutI128:
				v.I128[i] = types.Int128{Lo: lo, Hi: int64(hi)}
			case types.LayoutFixed16:
				v.Fix[i] = types.Fixed16{A: int64(lo), B: int64(hi)}
			default:
				return nil, errCorrupt()
			}
			done(v)
		}
		b = b[16:]
	case kindBytes:
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return nil, errCorrupt()
		}
		b = b[k:]
		if v != nil {
			if fits = layout == types.LayoutView; fits {
				v.AppendBytes(b[:n])
			}
		}
		b = b[n:]
	default:
		if v != nil {
			if fits = layout == types.LayoutBool; fits {
				i := room(v)
				vec.PutBit(v.Bits, i, kind == kindTrue)
				done(v)
			}
		}
	}
	if !fits {
		return nil, errCorrupt()
	}
	return b, nil
}

func appendInt(v *vec.Vec, x int64) bool {
	i := room(v)
	switch v.T.Layout {
	case types.LayoutI16:
		v.I16[i] = int16(x)
	case types.LayoutI32:
		v.I32[i] = int32(x)
	case types.LayoutI64:
		v.I64[i] = x
	default:
		return false
	}
	done(v)
	return true
}

// room makes room for a value behind the last; done counts it in.
func room(v *vec.Vec) int {
	v.Grow(v.N + 1)
	return v.N
}

func done(v *vec.Vec) {
	v.N++
	v.Appended()
}
