package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// packing puts several short keys into one word: each key has its bits and, when
// there is room, a bit that is set for null.
type packing struct {
	ts    []types.T
	shift []uint
	bits  []uint
	null  []uint // position of the null bit, 64: none
	wide  bool   // a single key of 64 bits, whose nulls are kept apart
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

func newPacking(ts []types.T) *packing {
	if len(ts) == 0 {
		return nil
	}
	p := &packing{ts: ts}
	if len(ts) == 1 && keyBits(ts[0]) == 64 {
		p.shift, p.bits, p.null, p.wide = []uint{0}, []uint{64}, []uint{64}, true
		return p
	}
	at := uint(0)
	for _, t := range ts {
		b := keyBits(t)
		if b == 0 || at+b+1 > 64 {
			return nil
		}
		p.shift, p.bits, p.null = append(p.shift, at), append(p.bits, b), append(p.null, at+b)
		at += b + 1
	}
	return p
}

// nullable is the single wide key's vector when it may have nulls.
func (p *packing) nullable(cols []*vec.Vec) *vec.Vec {
	if p.wide && cols[0].Valid != nil {
		return cols[0]
	}
	return nil
}

// pack fills dst with the packed keys of the rows in sel (or the first len(dst)).
func (p *packing) pack(dst []uint64, cols []*vec.Vec, sel []uint16) {
	for i, v := range cols {
		sh := p.shift[i] & 63
		s := v.Source()
		if v.Form == vec.Dict && s.N == 0 {
			if i == 0 {
				clear(dst)
			}
		} else {
			switch v.T.Layout {
			case types.LayoutBool:
				for k := range dst {
					j := index(v, sel, k)
					x := s.Bits[j>>6] >> (uint(j) & 63) & 1
					if i == 0 {
						dst[k] = x
					} else {
						dst[k] |= x << sh
					}
				}
			case types.LayoutI16:
				packLoop(dst, s.I16, v, sel, i == 0, sh, 0xffff)
			case types.LayoutI32:
				packLoop(dst, s.I32, v, sel, i == 0, sh, 0xffffffff)
			default:
				packLoop(dst, s.I64, v, sel, i == 0, sh, ^uint64(0))
			}
		}
		if v.Valid != nil && !p.wide {
			nb := p.null[i] & 63
			mask := (uint64(1)<<(p.bits[i]&63) - 1) << sh
			for k := range dst {
				if v.IsNull(physRow(sel, uint16(k))) {
					dst[k] = dst[k]&^mask | 1<<nb
				}
			}
		}
	}
}

func packLoop[E int16 | int32 | int64](dst []uint64, vals []E, v *vec.Vec, sel []uint16, first bool, sh uint, mask uint64) {
	switch {
	case v.Form == vec.Flat && sel == nil && first:
		vals = vals[:len(dst)]
		for k, x := range vals {
			dst[k] = uint64(x) & mask
		}
	case v.Form == vec.Flat && sel == nil:
		vals = vals[:len(dst)]
		for k, x := range vals {
			dst[k] |= uint64(x) & mask << (sh & 63)
		}
	case v.Form == vec.Flat && first:
		sel = sel[:len(dst)]
		for k, i := range sel {
			dst[k] = uint64(vals[i]) & mask
		}
	case first:
		for k := range dst {
			dst[k] = uint64(vals[index(v, sel, k)]) & mask
		}
	default:
		for k := range dst {
			dst[k] |= uint64(vals[index(v, sel, k)]) & mask << (sh & 63)
		}
	}
}

// unpack fills the vectors with the keys of the words.
func (p *packing) unpack(words []uint64, out []*vec.Vec) {
	n := len(words)
	for i, v := range out {
		v.Reset(p.ts[i])
		v.Grow(n)
		v.N = n
		sh := p.shift[i] & 63
		switch p.ts[i].Layout {
		case types.LayoutBool:
			for k, w := range words {
				vec.PutBit(v.Bits, k, w>>sh&1 != 0)
			}
		case types.LayoutI16:
			for k, w := range words {
				v.I16[k] = int16(w >> sh)
			}
		case types.LayoutI32:
			for k, w := range words {
				v.I32[k] = int32(w >> sh)
			}
		default:
			copyWords(v.I64[:n], words)
		}
		if p.wide {
			continue
		}
		nb := p.null[i] & 63
		for k, w := range words {
			if w>>nb&1 != 0 {
				v.SetNull(k)
			}
		}
	}
}

func copyWords(dst []int64, words []uint64) {
	for k, w := range words {
		dst[k] = int64(w)
	}
}
