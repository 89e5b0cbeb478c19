package column

import (
	"bytes"
	"math"
	"math/bits"
	"strings"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// bounds encloses a column's values as rows are appended: it only widens. For
// types whose order is not that of their layout it keeps nothing.
type bounds struct {
	t     types.T
	keep  bool
	some  bool
	nulls int64
	lo    types.Datum
	hi    types.Datum
	// Strings, cut to boundBytes; hiOpen says that a cut upper bound cannot be raised.
	loS, hiS []byte
	hiOpen   bool
}

// boundBytes is how much of a string a bound keeps.
const boundBytes = 32

func (b *bounds) init(t types.T) { b.t, b.keep = t, ordered(t) }

// ordered says whether the layout's natural order is the type's, so that bounds
// and simple filters can use it. Text is collation C, bytes by bytes.
func ordered(t types.T) bool {
	switch t.Layout {
	case types.LayoutView:
		switch t.OID {
		case types.TextOID, types.VarcharOID, types.NameOID, types.ByteaOID, types.BPCharOID:
			return true
		}
		return false
	case types.LayoutFixed16:
		return t.OID == types.UUIDOID
	case types.LayoutI32:
		return t.OID == types.Int4OID || t.OID == types.DateOID || t.OID == types.OidOID
	}
	return true
}

// add widens b by the first n rows of v.
func (b *bounds) add(v *vec.Vec, n int) {
	if n == 0 {
		return
	}
	rows := n
	if v.Form == vec.Const {
		rows = 1
	}
	if v.Valid != nil {
		k := vec.Count(v.Valid, rows)
		b.nulls += int64((rows - k) * (n / rows))
		if k == 0 {
			return
		}
	}
	if !b.keep {
		b.some = true
		return
	}
	s := v
	if v.Form == vec.Dict {
		// Enclosing the whole dictionary is enough, if it is not a large one.
		s, rows = v.Dict.Values, v.Dict.Values.N
		if rows == 0 {
			return
		}
	}
	var valid []uint64
	if v.Form != vec.Dict {
		valid = v.Valid
	}
	switch b.t.Layout {
	case types.LayoutBool:
		for i := 0; i < rows; i++ {
			if valid == nil || vec.Bit(valid, i) {
				b.widen(types.NewBool(vec.Bit(s.Bits, i)))
			}
		}
	case types.LayoutI16:
		addInts(b, s.I16[:rows], valid)
	case types.LayoutI32:
		if b.t.OID == types.OidOID {
			for i, x := range s.I32[:rows] {
				if valid == nil || vec.Bit(valid, i) {
					b.widen(types.NewInt(int64(uint32(x))))
				}
			}
			return
		}
		addInts(b, s.I32[:rows], valid)
	case types.LayoutI64:
		addInts(b, s.I64[:rows], valid)
	case types.LayoutF32:
		addFloats(b, s.F32[:rows], valid)
	case types.LayoutF64:
		addFloats(b, s.F64[:rows], valid)
	case types.LayoutView:
		b.addViews(s, rows, valid)
	default:
		for i := 0; i < rows; i++ {
			if valid == nil || vec.Bit(valid, i) {
				b.widen(s.Datum(i))
			}
		}
	}
}

func (b *bounds) addViews(s *vec.Vec, rows int, valid []uint64) {
	blanks := b.t.OID == types.BPCharOID
	lo, hi := uint32(math.MaxUint32), uint32(0) // prefixes: what lies between needs no look
	for i := 0; i < rows; i++ {
		if p := bits.ReverseBytes32(s.Views[i].Prefix); p > lo && p < hi || valid != nil && !vec.Bit(valid, i) {
			continue
		}
		x := s.Bytes(i)
		if blanks {
			x = bytes.TrimRight(x, " ")
		}
		b.widenBytes(x)
		lo = bits.ReverseBytes32(prefixOf(b.loS))
		if hi = bits.ReverseBytes32(prefixOf(b.hiS)); b.hiOpen {
			hi = math.MaxUint32
		}
	}
}

func addInts[E int16 | int32 | int64](b *bounds, v []E, valid []uint64) {
	lo, hi, any := v[0], v[0], valid == nil
	if valid == nil {
		for _, x := range v {
			lo, hi = min(lo, x), max(hi, x)
		}
	} else {
		for i, x := range v {
			if vec.Bit(valid, i) {
				if !any {
					lo, hi, any = x, x, true
				}
				lo, hi = min(lo, x), max(hi, x)
			}
		}
	}
	if any {
		b.widen(types.NewInt(int64(lo)))
		b.widen(types.NewInt(int64(hi)))
	}
}

func addFloats[E float32 | float64](b *bounds, v []E, valid []uint64) {
	var lo, hi E
	any := false
	for i, x := range v {
		if valid != nil && !vec.Bit(valid, i) {
			continue
		}
		if !any {
			lo, hi, any = x, x, true
			continue
		}
		// NaN is above all.
		if x == x && (x < lo || lo != lo) {
			lo = x
		}
		if hi == hi && (x > hi || x != x) {
			hi = x
		}
	}
	if any {
		b.widen(types.NewFloat(float64(lo)))
		b.widen(types.NewFloat(float64(hi)))
	}
}

func (b *bounds) widen(d types.Datum) {
	if !b.some {
		b.some, b.lo, b.hi = true, d, d
		return
	}
	if compareOrdered(b.t, d, b.lo) < 0 {
		b.lo = d
	}
	if compareOrdered(b.t, d, b.hi) > 0 {
		b.hi = d
	}
}

func (b *bounds) widenBytes(x []byte) {
	if !b.some {
		b.some = true
		b.loS = append(b.loS[:0], x[:min(len(x), boundBytes)]...)
		b.setHi(x)
		return
	}
	if bytes.Compare(x, b.loS) < 0 {
		b.loS = append(b.loS[:0], x[:min(len(x), boundBytes)]...)
	}
	if !b.hiOpen && bytes.Compare(x, b.hiS) > 0 {
		b.setHi(x)
	}
}

// setHi makes the upper bound x, or what is above all strings that begin like it.
func (b *bounds) setHi(x []byte) {
	if len(x) <= boundBytes {
		b.hiS = append(b.hiS[:0], x...)
		return
	}
	b.hiS = append(b.hiS[:0], x[:boundBytes]...)
	for i := len(b.hiS) - 1; i >= 0; i-- {
		if b.hiS[i] != 0xff {
			b.hiS[i]++
			b.hiS = b.hiS[:i+1]
			return
		}
	}
	b.hiOpen = true
}

// values are the bounds, NULLs when there are none or they are not kept.
func (b *bounds) values() (lo, hi types.Datum) {
	switch {
	case !b.some || !b.keep:
		return types.Null, types.Null
	case b.t.Layout == types.LayoutView:
		lo = types.NewString(string(b.loS))
		if !b.hiOpen {
			hi = types.NewString(string(b.hiS))
		}
		return lo, hi
	}
	return b.lo, b.hi
}

// compareOrdered compares two values of a type for which ordered holds.
func compareOrdered(t types.T, a, b types.Datum) int {
	switch t.Layout {
	case types.LayoutF32, types.LayoutF64:
		switch {
		case a.F < b.F:
			return -1
		case a.F > b.F:
			return 1
		case a.F == b.F:
			return 0
		case a.F != a.F && b.F != b.F:
			return 0
		case a.F != a.F:
			return 1
		}
		return -1
	case types.LayoutView:
		if t.OID == types.BPCharOID {
			return strings.Compare(trimBlanks(a.S), trimBlanks(b.S))
		}
		return strings.Compare(a.S, b.S)
	case types.LayoutI128:
		return cmpWords(a.H, b.H, uint64(a.I), uint64(b.I))
	case types.LayoutFixed16: // uuid: two unsigned words
		const flip = -1 << 63
		return cmpWords(a.I^flip, b.I^flip, uint64(a.H), uint64(b.H))
	}
	switch {
	case a.I < b.I:
		return -1
	case a.I > b.I:
		return 1
	}
	return 0
}

func cmpWords(ah, bh int64, al, bl uint64) int {
	switch {
	case ah < bh:
		return -1
	case ah > bh:
		return 1
	case al < bl:
		return -1
	case al > bl:
		return 1
	}
	return 0
}
