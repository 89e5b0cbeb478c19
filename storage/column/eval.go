package column

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sort"
	"unsafe"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// predState is a predicate with what a reader keeps for it: its result over the
// last dictionary, and memory.
type predState struct {
	pred
	dict     *vec.Dictionary
	dictBits []uint64
	tmp      [vec.Size / 64]uint64
	// inline is the constant as a view when it is a short string.
	inline   vec.View
	isInline bool
	bytes    []byte
	hiBytes  []byte
}

func newPredState(p pred) *predState {
	s := &predState{pred: p}
	if p.t.Layout == types.LayoutView {
		s.bytes, s.hiBytes = []byte(p.value.S), []byte(p.hi.S)
		if len(s.bytes) <= vec.InlineMax {
			s.inline, s.isInline = vec.MakeInline(s.bytes), true
		}
	}
	return s
}

// eval sets the bits of the rows of v that satisfy p; out is a clean bitmap.
func (p *predState) eval(v *vec.Vec, out []uint64) {
	n := v.N
	switch {
	case p.kind == predNever:
		kernel.Zeros(out, n)
		return
	case p.kind == predNull || p.kind == predNotNull:
		p.evalNull(v, out)
		return
	case v.Form == vec.Const:
		var one [1]uint64
		if !v.IsNull(0) {
			w := *v
			w.Form, w.N, w.Valid = vec.Flat, 1, nil
			p.flat(&w, 1, one[:])
		}
		if one[0]&1 != 0 {
			kernel.Ones(out, n)
		} else {
			kernel.Zeros(out, n)
		}
		return
	case v.Form == vec.Dict:
		p.overDict(v, n, out)
	default:
		p.flat(v, n, out)
	}
	if v.Valid != nil {
		kernel.And(out[:vec.Words(n)], v.Valid)
	}
}

func (p *predState) evalNull(v *vec.Vec, out []uint64) {
	n := v.N
	switch {
	case v.Valid == nil || v.Form == vec.Const && !v.IsNull(0):
		if p.kind == predNull {
			kernel.Zeros(out, n)
		} else {
			kernel.Ones(out, n)
		}
	case v.Form == vec.Const:
		if p.kind == predNull {
			kernel.Ones(out, n)
		} else {
			kernel.Zeros(out, n)
		}
	default:
		kernel.Ones(out, n)
		if p.kind == predNull {
			kernel.AndNot(out[:vec.Words(n)], v.Valid)
		} else {
			kernel.And(out[:vec.Words(n)], v.Valid)
		}
	}
}

// overDict evaluates p once per dictionary and looks the codes up.
func (p *predState) overDict(v *vec.Vec, n int, out []uint64) {
	if p.dict != v.Dict {
		p.dict = v.Dict
		k := v.Dict.Values.N
		if cap(p.dictBits) < vec.Words(k) {
			p.dictBits = make([]uint64, vec.Words(k))
		}
		p.dictBits = p.dictBits[:vec.Words(k)]
		p.flat(v.Dict.Values, k, p.dictBits)
	}
	d := p.dictBits
	for w := 0; w<<6 < n; w++ {
		c := v.Codes[w<<6 : min(n, w<<6+64)]
		var x uint64
		for j, code := range c {
			x |= (d[code>>6] >> (code & 63) & 1) << uint(j)
		}
		out[w] = x
	}
}

// flat evaluates p over the first n values of a flat vector, nulls not looked at.
func (p *predState) flat(v *vec.Vec, n int, out []uint64) {
	switch p.kind {
	case predCmp:
		p.compare(v, n, p.op, p.value, out)
	case predRange:
		for i := 0; i < n; {
			var x uint64
			for j := 0; j < 64 && i < n; j, i = j+1, i+1 {
				b := v.Bytes(i)
				if bytes.Compare(b, p.bytes) >= 0 && (!p.hi.Valid || bytes.Compare(b, p.hiBytes) < 0) {
					x |= 1 << uint(j)
				}
			}
			out[(i-1)>>6] = x
		}
	case predIn:
		p.in(v, n, out)
	}
}

func (p *predState) compare(v *vec.Vec, n int, op kernel.Op, d types.Datum, out []uint64) {
	switch v.T.Layout {
	case types.LayoutBool:
		p.compareBool(v, n, op, d.Bool(), out)
	case types.LayoutI16:
		kernel.CmpConst(op, v.I16[:n], int16(d.I), out)
	case types.LayoutI32:
		if vec.Unsigned32(v.T.OID) {
			kernel.CmpConst(op, unsigned(v.I32[:n]), uint32(d.I), out)
			return
		}
		kernel.CmpConst(op, v.I32[:n], int32(d.I), out)
	case types.LayoutI64:
		kernel.CmpConst(op, v.I64[:n], d.I, out)
	case types.LayoutI128:
		kernel.CmpI128Const(op, v.I128[:n], d.I128(), out)
	case types.LayoutF32:
		kernel.CmpFloatConst(op, v.F32[:n], float32(d.F), out)
	case types.LayoutF64:
		kernel.CmpFloatConst(op, v.F64[:n], d.F, out)
	case types.LayoutFixed16:
		kernel.CmpUUIDConst(op, v.Fix[:n], d.Fixed16(), out)
	default:
		p.compareViews(v, n, op, out)
	}
}

func unsigned(v []int32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

func (p *predState) compareBool(v *vec.Vec, n int, op kernel.Op, c bool, out []uint64) {
	onTrue, onFalse := op.Holds(cmpBool(true, c)), op.Holds(cmpBool(false, c))
	words := vec.Words(n)
	switch {
	case onTrue && onFalse:
		kernel.Ones(out, n)
	case onTrue:
		copy(out[:words], v.Bits)
		if r := uint(n) & 63; r != 0 {
			out[words-1] &= 1<<r - 1
		}
	case onFalse:
		kernel.Ones(out, n)
		kernel.AndNot(out[:words], v.Bits)
	default:
		kernel.Zeros(out, n)
	}
}

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// compareViews compares strings by bytes, bpchar without trailing blanks.
func (p *predState) compareViews(v *vec.Vec, n int, op kernel.Op, out []uint64) {
	blanks := v.T.OID == types.BPCharOID
	prefix := bits.ReverseBytes32(prefixOf(p.bytes))
	for w := 0; w<<6 < n; w++ {
		var x uint64
		for j := 0; j < 64 && w<<6+j < n; j++ {
			i := w<<6 + j
			var cmp int
			view := &v.Views[i]
			switch {
			case p.isInline && !blanks && (op == kernel.EQ || op == kernel.NE):
				cmp = 1
				if *view == p.inline {
					cmp = 0
				}
			case view.Prefix != prefixOf(p.bytes) && !blanks:
				// The first four bytes decide: shorter strings are padded with zeros, and
				// a string that has a zero there differs in length only if all is equal.
				cmp = -1
				if bits.ReverseBytes32(view.Prefix) > prefix {
					cmp = 1
				}
			default:
				b := v.Bytes(i)
				if blanks {
					b = bytes.TrimRight(b, " ")
				}
				cmp = bytes.Compare(b, p.bytes)
			}
			if op.Holds(cmp) {
				x |= 1 << uint(j)
			}
		}
		out[w] = x
	}
}

func prefixOf(b []byte) uint32 {
	var w [4]byte
	copy(w[:], b)
	return binary.LittleEndian.Uint32(w[:])
}

// in tests membership: short lists of fixed-size values by one comparison a value,
// others by binary search.
func (p *predState) in(v *vec.Vec, n int, out []uint64) {
	words := vec.Words(n)
	if v.T.Layout != types.LayoutView && len(p.list) <= 8 && n <= vec.Size {
		kernel.Zeros(out, n)
		for _, d := range p.list {
			p.compare(v, n, kernel.EQ, d, p.tmp[:])
			kernel.Or(out[:words], p.tmp[:])
		}
	} else {
		blanks := v.T.OID == types.BPCharOID
		for w := 0; w < words; w++ {
			var x uint64
			for j := 0; j < 64 && w<<6+j < n; j++ {
				if p.member(v, w<<6+j, blanks) {
					x |= 1 << uint(j)
				}
			}
			out[w] = x
		}
	}
	if p.not {
		kernel.Not(out, n)
	}
}

func (p *predState) member(v *vec.Vec, i int, blanks bool) bool {
	var d types.Datum
	if v.T.Layout == types.LayoutView {
		d = types.Datum{Valid: true, S: v.String(i)}
		if blanks {
			d.S = trimBlanks(d.S)
		}
	} else {
		w := *v
		w.Valid = nil
		d = w.Datum(i)
	}
	k := sort.Search(len(p.list), func(k int) bool { return compareOrdered(p.t, p.list[k], d) >= 0 })
	return k < len(p.list) && compareOrdered(p.t, p.list[k], d) == 0
}
