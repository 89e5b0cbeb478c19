package encoding

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// PredKind is the form of a predicate.
type PredKind uint8

// The predicates that storage applies itself.
const (
	PredCompare PredKind = iota // column Op Value
	PredIn                      // column = ANY (Set)
	PredIsNull
	PredNotNull
)

// Pred is a predicate on one column, in the order of the column's type. It is
// made by the functions below, immutable, and shared by goroutines.
type Pred struct {
	Kind  PredKind
	Op    kernel.Op
	Value types.Datum
	Set   []types.Datum

	t    types.T
	ints []int64             // PredIn on integers, sorted
	strs map[string]struct{} // PredIn on strings
}

// ComparePred is column op d. A NULL d holds for no row.
func ComparePred(t types.T, op kernel.Op, d types.Datum) *Pred {
	return &Pred{Kind: PredCompare, Op: op, Value: d, t: t}
}

// InPred is column = ANY (set); NULLs in the set match nothing.
func InPred(t types.T, set []types.Datum) *Pred {
	p := &Pred{Kind: PredIn, t: t}
	for _, d := range set {
		if d.Valid {
			p.Set = append(p.Set, d)
		}
	}
	switch t.Layout {
	case types.LayoutBool, types.LayoutI16, types.LayoutI32, types.LayoutI64:
		for _, d := range p.Set {
			p.ints = append(p.ints, d.I)
		}
		slices.Sort(p.ints)
		p.ints = slices.Compact(p.ints)
	case types.LayoutView:
		if t.OID != types.NumericOID {
			p.strs = make(map[string]struct{}, len(p.Set))
			for _, d := range p.Set {
				p.strs[p.canon(d.S)] = struct{}{}
			}
		}
	}
	return p
}

// NullPred is column IS NULL, or IS NOT NULL.
func NullPred(t types.T, isNull bool) *Pred {
	if isNull {
		return &Pred{Kind: PredIsNull, t: t}
	}
	return &Pred{Kind: PredNotNull, t: t}
}

// Filterable says whether Filter knows the order of a type.
func Filterable(t types.T) bool {
	switch t.Layout {
	case types.LayoutView:
		return bytesOrdered(t.OID) || t.OID == types.BPCharOID || t.OID == types.NumericOID
	case types.LayoutFixed16:
		return t.OID == types.UUIDOID || t.OID == types.IntervalOID
	}
	return t.Layout != types.LayoutNone
}

func (p *Pred) canon(s string) string {
	if p.t.OID == types.BPCharOID {
		return strings.TrimRight(s, " ")
	}
	return s
}

// Holds says whether the predicate holds for one value.
func (p *Pred) Holds(d types.Datum) bool {
	switch p.Kind {
	case PredIsNull:
		return !d.Valid
	case PredNotNull:
		return d.Valid
	}
	if !d.Valid {
		return false
	}
	if p.Kind == PredCompare {
		return p.Value.Valid && p.Op.Holds(Compare(p.t, d, p.Value))
	}
	for _, e := range p.Set {
		if Compare(p.t, d, e) == 0 {
			return true
		}
	}
	return false
}

// Compare orders two values that are not null as SQL does: NaN above all, -0 =
// 0, char(n) without trailing blanks, text by bytes. The type is Filterable.
func Compare(t types.T, a, b types.Datum) int {
	switch t.Layout {
	case types.LayoutF32, types.LayoutF64:
		return compareFloat(a.F, b.F)
	case types.LayoutI128:
		return a.I128().Cmp(b.I128())
	case types.LayoutFixed16:
		if t.OID == types.IntervalOID {
			return kernel.IntervalSpan(a.Fixed16()).Cmp(kernel.IntervalSpan(b.Fixed16()))
		}
		return kernel.CompareUUID(a.Fixed16(), b.Fixed16())
	case types.LayoutView:
		switch t.OID {
		case types.NumericOID:
			if !numericForm(len(a.S)) || !numericForm(len(b.S)) {
				return strings.Compare(a.S, b.S) // no writer made that
			}
			return types.CompareNumeric(stringBytes(a.S), stringBytes(b.S))
		case types.BPCharOID:
			if a.S == b.S {
				return 0
			}
			return bytes.Compare(kernel.TrimBlanks(stringBytes(a.S)), kernel.TrimBlanks(stringBytes(b.S)))
		}
		return strings.Compare(a.S, b.S)
	}
	return cmp.Compare(a.I, b.I)
}

// numericForm says whether a numeric's variable form can have n bytes.
func numericForm(n int) bool { return n == 2 || n >= 8 && n%4 == 0 }

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case a == a:
		return -1 // b is NaN
	case b == b:
		return 1
	}
	return 0
}

func stringBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// intRange is the integers for which a comparison holds, as lo <= x <= hi, or
// for NE those outside.
func (p *Pred) intRange() (lo, hi int64, outside bool) {
	lo, hi = math.MinInt64, math.MaxInt64
	d := p.Value.I
	switch p.Op {
	case kernel.EQ:
		return d, d, false
	case kernel.NE:
		return d, d, true
	case kernel.LT:
		if d == lo {
			return 1, 0, false
		}
		hi = d - 1
	case kernel.LE:
		hi = d
	case kernel.GT:
		if d == hi {
			return 1, 0, false
		}
		lo = d + 1
	case kernel.GE:
		lo = d
	}
	return lo, hi, false
}

// codeMatch is a predicate over a dictionary: a range of codes, or a table.
type codeMatch struct {
	pred    *Pred
	dict    *vec.Dictionary
	lo, hi  int // lo <= code < hi
	outside bool
	table   []uint64 // nil when the range says it
}

// Filter clears in sel, a clean bitmap of the vector's rows, the bits of rows
// for which p does not hold. The type is Filterable unless p is about nulls.
func (b *Block) Filter(vi int, p *Pred, sel []uint64, s *Scratch) error {
	n := vectorRows(b.Rows, vi)
	w := vec.Words(n)
	sel = sel[:w]
	some, all := b.Nulls(vi)
	switch p.Kind {
	case PredIsNull:
		switch {
		case all:
		case !some:
			clear(sel)
		default:
			loadBits(s.bits[:], bitmapOf(b.nulls, b.mixed, b.Rows, vi))
			kernel.AndNot(sel, s.bits[:w])
		}
		return nil
	case PredNotNull:
		return b.andValid(vi, sel, s)
	}
	if all || p.Kind == PredCompare && !p.Value.Valid || p.Kind == PredIn && len(p.Set) == 0 {
		clear(sel)
		return nil
	}
	if !kernel.Any(sel, n) {
		return nil
	}
	if b.Enc == Const {
		if !p.Holds(b.value) {
			clear(sel)
			return nil
		}
		return b.andValid(vi, sel, s)
	}
	match := s.match[:w]
	if err := b.match(vi, n, p, match, s); err != nil {
		return err
	}
	kernel.And(sel, match)
	return b.andValid(vi, sel, s)
}

func (b *Block) andValid(vi int, sel []uint64, s *Scratch) error {
	some, all := b.Nulls(vi)
	if all {
		clear(sel)
	} else if some {
		loadBits(s.bits[:], bitmapOf(b.nulls, b.mixed, b.Rows, vi))
		kernel.And(sel, s.bits[:len(sel)])
	}
	return nil
}

// match sets the bits of rows whose value satisfies p; rows under nulls are
// anything.
func (b *Block) match(vi, n int, p *Pred, out []uint64, s *Scratch) error {
	switch {
	case b.Enc == Dict || b.Enc == SegDict:
		d, err := b.dictionary(s)
		if err != nil {
			return err
		}
		m := b.codeMatch(p, d)
		if m.table == nil && (m.lo >= m.hi || m.lo == 0 && m.hi >= b.dictN) {
			if m.lo < m.hi != m.outside {
				kernel.Ones(out, n)
			} else {
				clear(out)
			}
			return nil
		}
		if err := b.a.decode32(vi, &s.codes, s); err != nil {
			return err
		}
		codes := s.codes[:n]
		if m.table == nil {
			kernel.Between(codes, uint32(m.lo), uint32(m.hi-1), out)
			if m.outside {
				kernel.Not(out, n)
			}
			return nil
		}
		if err := checkCodes(codes, b.dictN); err != nil {
			return err
		}
		kernel.LookupBits(codes, m.table, out)
		return nil
	case b.Enc == Ints && (b.T.Layout == types.LayoutI16 || b.T.Layout == types.LayoutI32 || b.T.Layout == types.LayoutI64):
		if p.Kind == PredCompare {
			lo, hi, outside := p.intRange()
			if err := b.a.matchRange(vi, n, lo, hi, out, s); err != nil {
				return err
			}
			if outside {
				kernel.Not(out, n)
			}
			return nil
		}
		if err := b.a.decode64(vi, &s.wide, s); err != nil {
			return err
		}
		matchSet(s.wide[:n], p.ints, out)
		return nil
	}
	if s.whole == nil {
		s.whole = new(vec.Vec)
	}
	v := s.whole
	if err := b.Vector(vi, v, s); err != nil {
		return err
	}
	return matchVec(v, n, p, out)
}

// matchRange sets the bits of values between lo and hi. Frames are compared as
// they are packed, without widening.
func (p *ints) matchRange(vi, n int, lo, hi int64, out []uint64, s *Scratch) error {
	if lo > hi {
		clear(out)
		return nil
	}
	if l, h, ok := p.bounds(vi); ok {
		if h < lo || l > hi {
			clear(out)
			return nil
		}
		if lo <= l && h <= hi {
			kernel.Ones(out, n)
			return nil
		}
	}
	switch p.kind {
	case intsDict:
		vals := p.dict()
		from, _ := slices.BinarySearch(vals, lo)
		to, found := slices.BinarySearch(vals, hi)
		if found {
			to++
		}
		if from >= to {
			clear(out)
			return nil
		}
		if err := p.decodeCodes(vi, &s.codes); err != nil {
			return err
		}
		kernel.Between(s.codes[:n], uint32(from), uint32(to-1), out)
		return nil
	case intsPacked:
		e := p.entry(vi)
		if l, h, ok := p.bounds(vi); ok && e.mode == modeFrame && e.width <= 32 {
			// The frame overlaps the range, so the differences below are not
			// negative; they are rounded inwards.
			scale := uint64(scales[e.extra])
			from, to := uint64(0), uint64(1)<<e.width-1
			if lo > l {
				from = (uint64(lo-l) + scale - 1) / scale
			}
			if hi < h {
				to = uint64(hi-l) / scale
			}
			if from > to {
				clear(out)
				return nil
			}
			unpack32(&s.codes, p.data[e.off:], n, e.width, 0)
			kernel.Between(s.codes[:n], uint32(from), uint32(to), out)
			return nil
		}
	}
	if err := p.decode64(vi, &s.wide, s); err != nil {
		return err
	}
	kernel.Between(s.wide[:n], lo, hi, out)
	return nil
}

// matchSet sets the bits of values in a sorted set.
func matchSet(v, set []int64, out []uint64) {
	lo, hi := set[0], set[len(set)-1]
	for i := range out {
		var x uint64
		for j, e := range v[i<<6 : min(i<<6+64, len(v))] {
			if e < lo || e > hi {
				continue
			}
			if len(set) <= 8 {
				for _, c := range set {
					if c == e {
						x |= 1 << uint(j)
					}
				}
			} else if _, ok := slices.BinarySearch(set, e); ok {
				x |= 1 << uint(j)
			}
		}
		out[i] = x
	}
}

// matchVec sets the bits of a decoded vector's rows for which p holds.
func matchVec(v *vec.Vec, n int, p *Pred, out []uint64) error {
	if p.Kind == PredCompare && v.Form == vec.Flat {
		switch v.T.Layout {
		case types.LayoutF32:
			// Compared as doubles: the constant may not be a float4.
			if c := float32(p.Value.F); float64(c) == p.Value.F || p.Value.F != p.Value.F {
				kernel.CmpFloatConst(p.Op, v.F32[:n], c, out)
				return nil
			}
		case types.LayoutF64:
			kernel.CmpFloatConst(p.Op, v.F64[:n], p.Value.F, out)
			return nil
		case types.LayoutI128:
			kernel.CmpI128Const(p.Op, v.I128[:n], p.Value.I128(), out)
			return nil
		case types.LayoutFixed16:
			if v.T.OID == types.UUIDOID {
				kernel.CmpUUIDConst(p.Op, v.Fix[:n], p.Value.Fixed16(), out)
				return nil
			}
		case types.LayoutView:
			if bytesOrdered(v.T.OID) {
				kernel.CmpViewConst(p.Op, v.Views[:n], v.Bufs, stringBytes(p.Value.S), out)
				return nil
			}
		}
	}
	clear(out)
	src := v.Source()
	for i := range n {
		if v.IsNull(i) {
			continue
		}
		if p.holdsAt(src, v.Index(i)) {
			vec.SetBit(out, i)
		}
	}
	return nil
}

// holdsAt is Holds for value j of a flat vector, without copying strings.
func (p *Pred) holdsAt(src *vec.Vec, j int) bool {
	if src.T.Layout != types.LayoutView {
		return p.Holds(src.Datum(j))
	}
	b := src.Bytes(j)
	if p.strs != nil {
		if p.t.OID == types.BPCharOID {
			b = kernel.TrimBlanks(b)
		}
		_, ok := p.strs[string(b)]
		return ok
	}
	return p.Holds(types.Datum{Valid: true, S: unsafe.String(unsafe.SliceData(b), len(b))})
}

// matchesMax bounds the predicates that a block remembers.
const matchesMax = 8

// codeMatch works p out over the dictionary, once for both.
func (b *Block) codeMatch(p *Pred, d *vec.Dictionary) *codeMatch {
	var m *codeMatch
	for i := range b.matches {
		if c := &b.matches[i]; c.pred == p {
			if c.dict == d {
				return c
			}
			m = c
		}
	}
	if m == nil {
		if len(b.matches) < matchesMax {
			b.matches = append(b.matches, codeMatch{})
		}
		m = &b.matches[b.nextMatch%len(b.matches)]
		b.nextMatch++
	}
	table := m.table
	*m = codeMatch{pred: p, dict: d}
	v := d.Values
	if p.Kind == PredCompare && d.Sorted {
		c := stringBytes(p.Value.S)
		lo := searchDict(v, c, false)
		hi := searchDict(v, c, true)
		switch p.Op {
		case kernel.EQ:
			m.lo, m.hi = lo, hi
		case kernel.NE:
			m.lo, m.hi, m.outside = lo, hi, true
		case kernel.LT:
			m.hi = lo
		case kernel.LE:
			m.hi = hi
		case kernel.GT:
			m.lo, m.hi = hi, v.N
		case kernel.GE:
			m.lo, m.hi = lo, v.N
		}
		return m
	}
	m.table = slices.Grow(table[:0], vec.Words(v.N))[:vec.Words(v.N)]
	clear(m.table)
	for j := range v.N {
		if p.holdsAt(v, j) {
			vec.SetBit(m.table, j)
		}
	}
	return m
}

// searchDict is the first code whose string is at least c, or above c.
func searchDict(v *vec.Vec, c []byte, above bool) int {
	lo, hi := 0, v.N
	for lo < hi {
		m := (lo + hi) / 2
		if k := bytes.Compare(v.Bytes(m), c); k < 0 || above && k == 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}
