package vec

import (
	"encoding/binary"
	"unsafe"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// A serialised batch is for spill files of this process: machine byte order, no
// version, no checksum. Its reader knows the column types.
//
//	rows u32, then for each column:
//	  flags u8 (1: validity follows)
//	  [validity: 8 bytes for each 64 rows]
//	  values as in memory; views: a u32 length for each row, then all bytes

// AppendSerial appends the selected rows of b.
func AppendSerial(dst []byte, b *Batch) []byte {
	n := b.Rows()
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	for _, c := range b.Cols {
		dst = appendColumn(dst, c, b.Sel, n)
	}
	return dst
}

func appendColumn(dst []byte, v *Vec, sel []uint16, n int) []byte {
	row := func(k int) int {
		if sel != nil {
			return int(sel[k])
		}
		return k
	}
	if v.Valid == nil {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		for w := 0; w < n; w += 64 {
			var x uint64
			for k := w; k < min(n, w+64); k++ {
				if !v.IsNull(row(k)) {
					x |= 1 << (uint(k) & 63)
				}
			}
			dst = binary.LittleEndian.AppendUint64(dst, x)
		}
	}
	s := v.Source()
	switch v.T.Layout {
	case types.LayoutBool:
		for w := 0; w < n; w += 64 {
			var x uint64
			for k := w; k < min(n, w+64); k++ {
				if Bit(s.Bits, v.Index(row(k))) {
					x |= 1 << (uint(k) & 63)
				}
			}
			dst = binary.LittleEndian.AppendUint64(dst, x)
		}
	case types.LayoutI16:
		dst = appendRaw(dst, s.I16, v, sel, n)
	case types.LayoutI32:
		dst = appendRaw(dst, s.I32, v, sel, n)
	case types.LayoutI64:
		dst = appendRaw(dst, s.I64, v, sel, n)
	case types.LayoutI128:
		dst = appendRaw(dst, s.I128, v, sel, n)
	case types.LayoutF32:
		dst = appendRaw(dst, s.F32, v, sel, n)
	case types.LayoutF64:
		dst = appendRaw(dst, s.F64, v, sel, n)
	case types.LayoutFixed16:
		dst = appendRaw(dst, s.Fix, v, sel, n)
	default:
		for k := 0; k < n; k++ {
			l := uint32(0)
			if i := row(k); !v.IsNull(i) {
				l = s.Views[v.Index(i)].Len
			}
			dst = binary.LittleEndian.AppendUint32(dst, l)
		}
		for k := 0; k < n; k++ {
			if i := row(k); !v.IsNull(i) {
				dst = append(dst, s.Bytes(v.Index(i))...)
			}
		}
	}
	return dst
}

func appendRaw[E any](dst []byte, vals []E, v *Vec, sel []uint16, n int) []byte {
	var z E
	size := int(unsafe.Sizeof(z))
	at := len(dst)
	for cap(dst) < at+n*size {
		dst = append(dst[:cap(dst)], 0)
	}
	dst = dst[:at+n*size]
	if n == 0 {
		return dst
	}
	if v.Form == Flat && sel == nil {
		copy(dst[at:], unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(vals))), n*size))
		return dst
	}
	for k := 0; k < n; k++ {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		x := vals[v.Index(i)]
		copy(dst[at+k*size:], unsafe.Slice((*byte)(unsafe.Pointer(&x)), size))
	}
	return dst
}

// DecodeSerial replaces the contents of b, whose columns are flat vectors of its
// own of the right types, by the serialised rows of src. Nothing keeps src.
func (b *Batch) DecodeSerial(src []byte) error {
	for _, c := range b.Cols {
		c.Recycle(c.T)
	}
	b.Sel, b.N = nil, 0
	if len(src) < 4 {
		return errSerial
	}
	n := int(binary.LittleEndian.Uint32(src))
	src = src[4:]
	var err error
	for _, c := range b.Cols {
		if src, err = decodeColumn(c, src, n); err != nil {
			return err
		}
	}
	if len(src) != 0 {
		return errSerial
	}
	b.N = n
	return nil
}

var errSerial = sqlstate.Errorf(sqlstate.DataCorrupted, "temporary file is damaged")

func decodeColumn(v *Vec, src []byte, n int) ([]byte, error) {
	if len(src) < 1 {
		return nil, errSerial
	}
	flags := src[0]
	src = src[1:]
	var err error
	v.Grow(n)
	v.N = n
	if flags&1 != 0 {
		v.TakeValid(n)
		if src, err = takeRaw(v.Valid[:Words(n)], src); err != nil {
			return nil, err
		}
	}
	switch v.T.Layout {
	case types.LayoutBool:
		return takeRaw(v.Bits[:Words(n)], src)
	case types.LayoutI16:
		return takeRaw(v.I16[:n], src)
	case types.LayoutI32:
		return takeRaw(v.I32[:n], src)
	case types.LayoutI64:
		return takeRaw(v.I64[:n], src)
	case types.LayoutI128:
		return takeRaw(v.I128[:n], src)
	case types.LayoutF32:
		return takeRaw(v.F32[:n], src)
	case types.LayoutF64:
		return takeRaw(v.F64[:n], src)
	case types.LayoutFixed16:
		return takeRaw(v.Fix[:n], src)
	}
	if len(src) < 4*n {
		return nil, errSerial
	}
	lens, bytes := src[:4*n], src[4*n:]
	for k := 0; k < n; k++ {
		l := int(binary.LittleEndian.Uint32(lens[4*k:]))
		if l > len(bytes) {
			return nil, errSerial
		}
		v.Views[k] = v.StoreBytes(bytes[:l])
		bytes = bytes[l:]
	}
	return bytes, nil
}

func takeRaw[E any](dst []E, src []byte) ([]byte, error) {
	if len(dst) == 0 {
		return src, nil
	}
	var z E
	size := int(unsafe.Sizeof(z)) * len(dst)
	if len(src) < size {
		return nil, errSerial
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), size), src)
	return src[size:], nil
}
