package kernel

import (
	"bytes"

	"github.com/millrace/millrace/storage/vec"
)

// Index is the first place of needle in hay, -1 for none.
func Index(hay, needle []byte) int {
	if accelerated && len(needle) >= 2 && len(hay) >= 32 {
		return indexAccel(hay, needle)
	}
	return bytes.Index(hay, needle)
}

// ContainsViews sets bit i of out when string i of v contains needle. Long
// strings that lie behind each other in a buffer are searched in one go.
func ContainsViews(v []vec.View, bufs [][]byte, needle []byte, out []uint64) {
	searchViews(v, bufs, needle, out, nil)
}

// searchViews finds the strings that contain needle and for which check, when
// not nil, holds.
func searchViews(v []vec.View, bufs [][]byte, needle []byte, out []uint64, check func(b []byte) bool) {
	n := uint32(len(needle))
	clear(out[:words(len(v))])
	hit := func(i int) {
		if check == nil || check(viewBytes(&v[i], bufs)) {
			out[i>>6] |= 1 << (uint(i) & 63)
		}
	}
	if n == 0 {
		for i := range v {
			hit(i)
		}
		return
	}
	for i := 0; i < len(v); {
		w := &v[i]
		if w.Len <= vec.InlineMax {
			if w.Len >= n && bytes.Contains(viewBytes(w, bufs), needle) {
				hit(i)
			}
			i++
			continue
		}
		// The run of strings from i on in ascending places of one buffer, with
		// inline ones between; holes of up to 256 bytes are searched too.
		buf, from := w.Tail>>32, uint32(w.Tail)
		end := from + w.Len
		j := i + 1
		for ; j < len(v); j++ {
			x := &v[j]
			if x.Len <= vec.InlineMax {
				continue
			}
			if off := uint32(x.Tail); x.Tail>>32 != buf || off < end || off-end > 256 {
				break
			}
			end = uint32(x.Tail) + x.Len
		}
		hay := bufs[buf][from:end]
		row := i
		for at := uint32(0); ; {
			k := Index(hay[at:], needle)
			if k < 0 {
				break
			}
			at += uint32(k)
			// The row that this place lies in, if it lies in one whole.
			for row < j && (v[row].Len <= vec.InlineMax || uint32(v[row].Tail)+v[row].Len-from <= at) {
				row++
			}
			if row == j {
				break
			}
			start := uint32(v[row].Tail) - from
			if at >= start && at+n <= start+v[row].Len {
				hit(row)
				at = start + v[row].Len
				row++
			} else {
				at++
			}
			if int(at) >= len(hay) {
				break
			}
		}
		for ; i < j; i++ {
			if w := &v[i]; w.Len <= vec.InlineMax && w.Len >= n && bytes.Contains(viewBytes(w, bufs), needle) {
				hit(i)
			}
		}
	}
}
