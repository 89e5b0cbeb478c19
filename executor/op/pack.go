package op

import (
	"math"
	"math/bits"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// KeyBounds enclose the values of an integer key, when they are known.
type KeyBounds struct {
	Known    bool
	Min, Max int64
}

// packing puts several integer keys into one word: each as its distance from its
// least value, and one more than the greatest distance for null. Keys whose bounds
// are not known have those of their type.
type packing struct {
	ts    []types.T
	lo    []uint64
	span  []uint64 // greatest distance
	shift []uint
	bits  []uint
	// noNull: there is no room for the code of null. A single key's nulls are then kept
	// apart; of several keys none may be null.
	noNull bool
	width  uint // bits in all
}

// keyBits is the width of a key whose values are equal exactly when their bits
// are; 0 for other types.
func keyBits(t types.T) uint {
	switch t.Layout {
	case types.LayoutBool:
		return 1
	case types.LayoutI16:
		return 16
	case types.LayoutI32:
		return 32
	case types.LayoutI64:
		return 64
	}
	return 0
}

// newPacking chooses how keys are packed; nil when they do not fit a word. bounds
// may be nil.
func newPacking(ts []types.T, bounds []KeyBounds) *packing {
	if len(ts) == 0 {
		return nil
	}
	p := &packing{ts: ts}
	for i, t := range ts {
		w := keyBits(t)
		if w == 0 {
			return nil
		}
		var lo, span uint64
		switch {
		case w == 1:
			lo, span = 0, 1
		case bounds != nil && bounds[i].Known && bounds[i].Min <= bounds[i].Max:
			lo, span = uint64(bounds[i].Min), uint64(bounds[i].Max)-uint64(bounds[i].Min)
		default:
			lo, span = uint64(math.MaxUint64)<<(w-1), uint64(math.MaxUint64)>>(64-w)
		}
		p.lo, p.span = append(p.lo, lo), append(p.span, span)
	}
	if p.lay(1) {
		return p
	}
	p.noNull = true
	if p.lay(0) {
		return p
	}
	return nil
}

// lay places the keys, with room for more codes each, and says whether they fit.
func (p *packing) lay(more uint64) bool {
	p.shift, p.bits, p.width = p.shift[:0], p.bits[:0], 0
	for _, span := range p.span {
		if span+more < span {
			return false
		}
		b := uint(bits.Len64(span + more))
		if p.width+b > 64 {
			return false
		}
		p.shift, p.bits = append(p.shift, p.width), append(p.bits, b)
		p.width += b
	}
	return true
}

// apart is the single key's vector when its nulls are kept apart and it may have
// some.
func (p *packing) apart(cols []*vec.Vec) *vec.Vec {
	if p.noNull && len(cols) == 1 && cols[0].Valid != nil {
		return cols[0]
	}
	return nil
}

// pack fills dst with the packed keys of the rows in sel (or the first len(dst)).
// It is false when one does not fit the packing.
func (p *packing) pack(dst []uint64, cols []*vec.Vec, sel []uint16) bool {
	over := uint64(0)
	for i, v := range cols {
		sh, lo, span := p.shift[i]&63, p.lo[i], p.span[i]
		first := i == 0
		s := v.Source()
		var o uint64
		if v.Form == vec.Dict && s.N == 0 {
			if first {
				clear(dst)
			}
		} else {
			switch v.T.Layout {
			case types.LayoutI16:
				o = packLoop(dst, s.I16, v, sel, first, sh, lo, span)
			case types.LayoutI32:
				o = packLoop(dst, s.I32, v, sel, first, sh, lo, span)
			case types.LayoutI64:
				o = packLoop(dst, s.I64, v, sel, first, sh, lo, span)
			default:
				if first {
					clear(dst)
				}
				for k := range dst {
					j := index(v, sel, k)
					dst[k] |= (s.Bits[j>>6] >> (uint(j) & 63) & 1) << sh
				}
			}
		}
		if v.Valid == nil {
			over |= o
			continue
		}
		if p.noNull {
			if len(cols) == 1 {
				continue // null or not, it is a word; nulls are looked at aside
			}
			for k := range dst {
				if v.IsNull(physRow(sel, uint16(k))) {
					return false
				}
			}
			over |= o
			continue
		}
		// What lies under a null may be anything.
		mask := uint64(math.MaxUint64) >> (64 - p.bits[i]) << sh
		if p.bits[i] == 0 {
			mask = 0
		}
		below := uint64(1)<<sh - 1
		for k := range dst {
			if v.IsNull(physRow(sel, uint16(k))) {
				dst[k] = dst[k]&below | (span+1)<<sh&mask
			} else if o != 0 && p.code(v, s, sel, k)-lo > span {
				return false
			}
		}
	}
	return over == 0
}

func (p *packing) code(v, s *vec.Vec, sel []uint16, k int) uint64 {
	return uint64(intAt(s, index(v, sel, k)))
}

// packLoop adds one key to the words; the result is not zero when a value is out of
// bounds.
func packLoop[E int16 | int32 | int64](dst []uint64, vals []E, v *vec.Vec, sel []uint16, first bool, sh uint, lo, span uint64) uint64 {
	if first {
		clear(dst)
	}
	most := uint64(0)
	switch {
	case v.Form == vec.Flat && sel == nil:
		vals = vals[:len(dst)]
		for k, x := range vals {
			d := uint64(x) - lo
			most = max(most, d)
			dst[k] |= d << (sh & 63)
		}
	case v.Form == vec.Flat:
		sel = sel[:len(dst)]
		for k, i := range sel {
			d := uint64(vals[i]) - lo
			most = max(most, d)
			dst[k] |= d << (sh & 63)
		}
	default:
		for k := range dst {
			d := uint64(vals[index(v, sel, k)]) - lo
			most = max(most, d)
			dst[k] |= d << (sh & 63)
		}
	}
	if most > span {
		return 1
	}
	return 0
}

// unpack fills the vectors with the keys of the words.
func (p *packing) unpack(words []uint64, out []*vec.Vec) {
	n := len(words)
	for i, v := range out {
		v.Reset(p.ts[i])
		v.Grow(n)
		v.N = n
		sh, lo := p.shift[i]&63, p.lo[i]
		mask := uint64(math.MaxUint64)
		if p.bits[i] < 64 {
			mask = 1<<p.bits[i] - 1
		}
		switch p.ts[i].Layout {
		case types.LayoutBool:
			for k, w := range words {
				vec.PutBit(v.Bits, k, w>>sh&mask == 1)
			}
		case types.LayoutI16:
			for k, w := range words {
				v.I16[k] = int16(lo + w>>sh&mask)
			}
		case types.LayoutI32:
			for k, w := range words {
				v.I32[k] = int32(lo + w>>sh&mask)
			}
		default:
			for k, w := range words {
				v.I64[k] = int64(lo + w>>sh&mask)
			}
		}
		if p.noNull {
			continue
		}
		null := p.span[i] + 1
		for k, w := range words {
			if w>>sh&mask == null {
				setNull(v, k)
			}
		}
	}
}

// setNull makes row k of a flat integer vector null.
func setNull(v *vec.Vec, k int) {
	switch v.T.Layout {
	case types.LayoutBool:
		vec.ClearBit(v.Bits, k)
	case types.LayoutI16:
		v.I16[k] = 0
	case types.LayoutI32:
		v.I32[k] = 0
	default:
		v.I64[k] = 0
	}
	v.SetNull(k)
}
