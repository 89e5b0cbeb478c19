package vec

import (
	"encoding/binary"
	"unsafe"
)

// InlineMax is the longest string that a View holds itself.
const InlineMax = 12

// View is a string of at most 4 GiB in 16 bytes without a Go pointer. Prefix
// has the first four bytes (little-endian word, zero-padded). A string of at
// most InlineMax bytes has its other eight in Tail, zero-padded; of a longer one
// Tail is buffer<<32 | offset, into the Bufs of the vector that holds the view.
// Two inline views are equal strings exactly when they are equal with ==.
type View struct {
	Len    uint32
	Prefix uint32
	Tail   uint64
}

// MakeInline makes a view of at most InlineMax bytes.
func MakeInline(b []byte) View {
	var w [InlineMax]byte
	copy(w[:], b)
	return View{uint32(len(b)), binary.LittleEndian.Uint32(w[:]), binary.LittleEndian.Uint64(w[4:])}
}

// MakeView makes a view of b, which lies at offset off of buffer buf. b may be
// of any length; a short one is held inline.
func MakeView(b []byte, buf, off uint32) View {
	if len(b) <= InlineMax {
		return MakeInline(b)
	}
	return View{uint32(len(b)), binary.LittleEndian.Uint32(b), uint64(buf)<<32 | uint64(off)}
}

// Long is the bytes of a view longer than InlineMax; they must not be changed.
func (v *Vec) Long(w View) []byte {
	off := uint32(w.Tail)
	return v.Bufs[w.Tail>>32][off : off+w.Len : off+w.Len]
}

// Bytes is value i of a flat or constant LayoutView vector. The bytes live as
// long as v and its buffers, and must not be changed.
func (v *Vec) Bytes(i int) []byte {
	w := &v.Views[i]
	if w.Len > InlineMax {
		return v.Long(*w)
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w.Prefix)), int(w.Len))
}

// BytesAt is row i in any form; see Bytes.
func (v *Vec) BytesAt(i int) []byte { return v.Source().Bytes(v.Index(i)) }

// String is Bytes without a copy; it lives as long as Bytes would.
func (v *Vec) String(i int) string {
	b := v.Bytes(i)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// AppendBytes appends a string to a flat vector, copying it.
func (v *Vec) AppendBytes(b []byte) {
	i := v.N
	v.Grow(i + 1)
	if len(b) <= InlineMax {
		v.Views[i] = MakeInline(b)
	} else {
		v.Views[i] = v.store(b)
	}
	v.N++
	v.validAppended()
}

// AppendOwned is AppendBytes, but keeps b instead of a copy: the caller leaves it to
// the vector.
func (v *Vec) AppendOwned(b []byte) {
	if len(b) <= InlineMax {
		v.AppendBytes(b)
		return
	}
	i := v.N
	v.Grow(i + 1)
	v.Bufs = append(v.Bufs[:len(v.Bufs):len(v.Bufs)], b)
	v.arena = b[:len(b):len(b)] // full: the next string has a buffer of its own
	v.Views[i] = MakeView(b, uint32(len(v.Bufs)-1), 0)
	v.N++
	v.validAppended()
}

// AppendString is AppendBytes.
func (v *Vec) AppendString(s string) {
	v.AppendBytes(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// StoreBytes copies b into v's buffers (or inline) and returns a view of it; the
// caller puts it into Views of v.
func (v *Vec) StoreBytes(b []byte) View {
	if len(b) <= InlineMax {
		return MakeInline(b)
	}
	return v.store(b)
}

// Buffers start small, for vectors of a row or two, and grow fast.
const (
	arenaMinBytes = 512
	arenaBytes    = 32 << 10
	arenaMaxBytes = 1 << 20
)

// room makes the arena take n more bytes in one piece.
func (v *Vec) room(n int) {
	if n <= cap(v.arena)-len(v.arena) {
		return
	}
	size := arenaMinBytes
	if k := len(v.Bufs); k > 0 {
		size = min(8*cap(v.Bufs[k-1]), arenaMaxBytes)
	}
	n = max(n, size)
	v.arena = make([]byte, 0, n)
	v.Bufs = append(v.Bufs[:len(v.Bufs):len(v.Bufs)], v.arena[:0:n])
}

func (v *Vec) store(b []byte) View {
	v.room(len(b))
	off := len(v.arena)
	v.arena = append(v.arena, b...)
	k := len(v.Bufs) - 1
	v.Bufs[k] = v.arena
	return MakeView(v.arena[off:], uint32(k), uint32(off))
}
