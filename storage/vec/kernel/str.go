package kernel

import (
	"bytes"
	"math/bits"
	"unsafe"

	"github.com/millrace/millrace/storage/vec"
)

// viewBytes is the bytes of a view that must stay in place while they are used.
func viewBytes(w *vec.View, bufs [][]byte) []byte {
	if w.Len > vec.InlineMax {
		off := uint32(w.Tail)
		return bufs[w.Tail>>32][off : off+w.Len]
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w.Prefix)), int(w.Len))
}

// EqualViews says whether two strings are equal.
func EqualViews(a *vec.View, abufs [][]byte, b *vec.View, bbufs [][]byte) bool {
	if a.Len != b.Len || a.Prefix != b.Prefix {
		return false
	}
	if a.Len <= vec.InlineMax {
		return a.Tail == b.Tail
	}
	return bytes.Equal(viewBytes(a, abufs), viewBytes(b, bbufs))
}

// CompareViews orders two strings by their bytes.
func CompareViews(a *vec.View, abufs [][]byte, b *vec.View, bbufs [][]byte) int {
	if a.Prefix != b.Prefix {
		if bits.ReverseBytes32(a.Prefix) < bits.ReverseBytes32(b.Prefix) {
			return -1
		}
		return 1
	}
	return bytes.Compare(viewBytes(a, abufs), viewBytes(b, bbufs))
}

// CmpViewConst sets bit i of out when string i of v op c by bytes, for all of v.
func CmpViewConst(op Op, v []vec.View, bufs [][]byte, c []byte, out []uint64) {
	if op == EQ || op == NE {
		eqViewConst(v, bufs, c, out)
		if op == NE {
			Not(out, len(v))
		}
		return
	}
	cv := vec.MakeView(c, 0, 0)
	cp := bits.ReverseBytes32(cv.Prefix)
	less := op == LT || op == GE // else: greater
	for i := range words(len(v)) {
		p := v[i<<6 : min(i<<6+64, len(v))]
		var x uint64
		for j := range p {
			w := &p[j]
			var b bool
			if w.Prefix != cv.Prefix {
				b = (bits.ReverseBytes32(w.Prefix) < cp) == less
			} else if less {
				b = bytes.Compare(viewBytes(w, bufs), c) < 0
			} else {
				b = bytes.Compare(viewBytes(w, bufs), c) > 0
			}
			x |= b2u(b) << uint(j)
		}
		out[i] = x
	}
	if op == LE || op == GE {
		Not(out, len(v))
	}
}

func eqViewConst(v []vec.View, bufs [][]byte, c []byte, out []uint64) {
	cv := vec.MakeView(c, 0, 0)
	long := cv.Len > vec.InlineMax
	for i := range words(len(v)) {
		p := v[i<<6 : min(i<<6+64, len(v))]
		var x uint64
		if long {
			for j := range p {
				w := &p[j]
				if w.Len == cv.Len && w.Prefix == cv.Prefix && bytes.Equal(viewBytes(w, bufs), c) {
					x |= 1 << uint(j)
				}
			}
		} else {
			for j := range p {
				w := &p[j]
				x |= b2u((w.Len^cv.Len)|(w.Prefix^cv.Prefix) == 0) & b2u(w.Tail == cv.Tail) << uint(j)
			}
		}
		out[i] = x
	}
}

// CmpViewVec sets bit i of out when string i of a op string i of b by bytes.
func CmpViewVec(op Op, a []vec.View, abufs [][]byte, b []vec.View, bbufs [][]byte, out []uint64) {
	b = b[:len(a)]
	for i := range words(len(a)) {
		lo, hi := i<<6, min(i<<6+64, len(a))
		p, q := a[lo:hi], b[lo:hi]
		var x uint64
		switch op {
		case EQ, NE:
			for j := range p {
				x |= b2u(EqualViews(&p[j], abufs, &q[j], bbufs)) << uint(j)
			}
		case LT, GE:
			for j := range p {
				x |= b2u(CompareViews(&p[j], abufs, &q[j], bbufs) < 0) << uint(j)
			}
		default:
			for j := range p {
				x |= b2u(CompareViews(&p[j], abufs, &q[j], bbufs) > 0) << uint(j)
			}
		}
		out[i] = x
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(a))
	}
}

// PrefixViews sets bit i of out when string i of v begins with c.
func PrefixViews(v []vec.View, bufs [][]byte, c []byte, out []uint64) {
	cv := vec.MakeView(c, 0, 0)
	mask := ^uint32(0)
	if len(c) < 4 {
		mask = 1<<(8*len(c)) - 1
	}
	for i := range words(len(v)) {
		p := v[i<<6 : min(i<<6+64, len(v))]
		var x uint64
		for j := range p {
			w := &p[j]
			ok := b2u((w.Prefix^cv.Prefix)&mask == 0) & b2u(w.Len >= cv.Len)
			if len(c) > 4 && ok != 0 {
				ok = b2u(bytes.HasPrefix(viewBytes(w, bufs), c))
			}
			x |= ok << uint(j)
		}
		out[i] = x
	}
}
