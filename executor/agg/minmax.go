package agg

import (
	"bytes"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

func init() {
	for _, name := range []string{"min", "max"} {
		sign := 1
		if name == "min" {
			sign = -1
		}
		for _, t := range []string{"int2", "int4", "int8", "oid", "float4", "float8", "date", "time", "timetz", "timestamp", "timestamptz",
			"interval", "text", "bpchar", "numeric", "anyarray", "pg_lsn", "xid8"} {
			reg(name+"("+t+")", func(c *Call) (State, error) { return newMinMax(c.Args[0], sign), nil })
		}
	}
	reg("any_value", func(c *Call) (State, error) { return newMinMax(c.Args[0], 0), nil })
}

// newMinMax makes states for the greatest (sign 1), the least (-1) or the first (0)
// value.
func newMinMax(t types.T, sign int) State {
	switch t.Layout {
	case types.LayoutBool:
		return &boolFirst{}
	case types.LayoutI16:
		return &minMax[int16]{sign: sign, less: func(a, b int16) bool { return a < b }}
	case types.LayoutI32:
		if types.UnsignedI32(t.OID) {
			return &minMax[int32]{sign: sign, less: func(a, b int32) bool { return uint32(a) < uint32(b) }}
		}
		return &minMax[int32]{sign: sign, plain: true, less: func(a, b int32) bool { return a < b }}
	case types.LayoutI64:
		if types.UnsignedI64(t.OID) {
			return &minMax[int64]{sign: sign, less: func(a, b int64) bool { return uint64(a) < uint64(b) }}
		}
		return &minMax[int64]{sign: sign, plain: true, less: func(a, b int64) bool { return a < b }}
	case types.LayoutI128:
		return &minMax[types.Int128]{sign: sign, less: types.Int128.Less}
	case types.LayoutF32:
		return &minMax[float32]{sign: sign, less: func(a, b float32) bool { return types.CompareFloat(float64(a), float64(b)) < 0 }}
	case types.LayoutF64:
		return &minMax[float64]{sign: sign, less: func(a, b float64) bool { return types.CompareFloat(a, b) < 0 }}
	case types.LayoutFixed16:
		return &minMax[types.Fixed16]{sign: sign, less: func(a, b types.Fixed16) bool { return types.CompareFixed16(t.OID, a, b) < 0 }}
	}
	s := &minMaxView{sign: sign, compare: bytes.Compare}
	if !types.PlainBytes(t.OID) {
		s.last = t.OID != types.BPCharOID
		s.compare = func(a, b []byte) int { return types.CompareView(t.OID, a, b) }
	}
	return s
}

// minMax keeps one value of fixed size a group.
type minMax[E fixed] struct {
	sign  int
	plain bool // less is < of the element type, and there is a kernel
	less  func(a, b E) bool
	val   []E
	has   []bool
	col   column[E]
}

func (s *minMax[E]) Grow(n int) { s.val, s.has = extended(s.val, n), extended(s.has, n) }

func (s *minMax[E]) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	x, valid := s.col.take(args[0], sel, n)
	if len(s.val) == 1 && s.plain && s.sign != 0 {
		s.one(x, valid, n)
		return nil
	}
	switch v := any(s).(type) {
	case *minMax[int64]:
		if s.plain && s.sign != 0 && valid == nil {
			minMaxGroups(v.val, v.has, any(x).([]int64), groups[:n], s.sign)
			return nil
		}
	case *minMax[int32]:
		if s.plain && s.sign != 0 && valid == nil {
			minMaxGroups(v.val, v.has, any(x).([]int32), groups[:n], s.sign)
			return nil
		}
	}
	for k, y := range x {
		if bit(valid, k) {
			s.add(groups[k], y)
		}
	}
	return nil
}

func minMaxGroups[E int32 | int64](val []E, has []bool, x []E, groups []uint32, sign int) {
	groups = groups[:len(x)]
	if sign > 0 {
		for k, y := range x {
			g := groups[k]
			if !has[g] || y > val[g] {
				val[g], has[g] = y, true
			}
		}
		return
	}
	for k, y := range x {
		g := groups[k]
		if !has[g] || y < val[g] {
			val[g], has[g] = y, true
		}
	}
}

// one adds to the only group by the kernels.
func (s *minMax[E]) one(x []E, valid []uint64, n int) {
	if n == 0 {
		return
	}
	switch v := any(x).(type) {
	case []int64:
		if lo, hi, ok := bounds(v, valid); ok {
			s.add(0, any(pick(lo, hi, s.sign)).(E))
		}
	case []int32:
		if lo, hi, ok := bounds(v, valid); ok {
			s.add(0, any(pick(lo, hi, s.sign)).(E))
		}
	}
}

func bounds[E int32 | int64](v []E, valid []uint64) (lo, hi E, ok bool) {
	if valid == nil {
		lo, hi = kernel.MinMax(v)
		return lo, hi, true
	}
	return kernel.MinMaxMasked(v, valid)
}

func pick[E any](lo, hi E, sign int) E {
	if sign > 0 {
		return hi
	}
	return lo
}

func (s *minMax[E]) add(g uint32, y E) {
	switch {
	case !s.has[g]:
		s.val[g], s.has[g] = y, true
	case s.sign > 0 && !s.less(y, s.val[g]), s.sign < 0 && !s.less(s.val[g], y):
		// Of equal values the last stays, as in PostgreSQL: 1.5 and 1.50.
		s.val[g] = y
	}
}

func (s *minMax[E]) Merge(from State, src, dst []uint32) error {
	f := from.(*minMax[E])
	for k, g := range src {
		if f.has[g] {
			s.add(dst[k], f.val[g])
		}
	}
	return nil
}

func (s *minMax[E]) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		if s.has[g] {
			appendFixed(out, s.val[g])
		} else {
			out.AppendNull()
		}
	}
	return nil
}

func (s *minMax[E]) Bytes() int64 { return int64(cap(s.val)) * 17 }

// minMaxView keeps one string a group, in an arena that is rewritten when more
// than half of it is dead.
type minMaxView struct {
	sign    int
	last    bool // of values that are equal but not alike, keep the last
	compare func(a, b []byte) int
	at      []span
	arena   []byte
	dead    int
}

// span is a string in the arena; off is -1 when the group has none.
type span struct {
	off  int64 // plus 1, so that the zero span is none
	n, c int32
}

func (s *minMaxView) Grow(n int) { s.at = extended(s.at, n) }

func (s *minMaxView) value(g uint32) []byte {
	p := s.at[g]
	return s.arena[p.off-1 : p.off-1+int64(p.n)]
}

func (s *minMaxView) add(g uint32, b []byte) {
	p := &s.at[g]
	if p.off != 0 {
		if s.sign == 0 {
			return
		}
		if c := s.compare(b, s.value(g)) * s.sign; c < 0 || c == 0 && !s.last {
			return
		}
		if len(b) <= int(p.c) {
			copy(s.arena[p.off-1:], b)
			p.n = int32(len(b))
			return
		}
		s.dead += int(p.c)
	}
	if s.dead > 1<<16 && s.dead > len(s.arena)/2 {
		p.off = 0
		s.compact()
	}
	*p = span{int64(len(s.arena)) + 1, int32(len(b)), int32(len(b))}
	s.arena = append(s.arena, b...)
}

func (s *minMaxView) compact() {
	fresh := make([]byte, 0, len(s.arena)-s.dead+1<<12)
	for g := range s.at {
		if p := &s.at[g]; p.off != 0 {
			b := s.value(uint32(g))
			*p = span{int64(len(fresh)) + 1, p.n, p.n}
			fresh = append(fresh, b...)
		}
	}
	s.arena, s.dead = fresh, 0
}

func (s *minMaxView) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	v := args[0]
	src := v.Source()
	for k := 0; k < n; k++ {
		i := k
		if sel != nil {
			i = int(sel[k])
		}
		if !v.IsNull(i) {
			s.add(groups[k], src.Bytes(v.Index(i)))
		}
	}
	return nil
}

func (s *minMaxView) Merge(from State, src, dst []uint32) error {
	f := from.(*minMaxView)
	for k, g := range src {
		if f.at[g].off != 0 {
			s.add(dst[k], f.value(g))
		}
	}
	return nil
}

func (s *minMaxView) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		if s.at[g].off != 0 {
			out.AppendBytes(s.value(g))
		} else {
			out.AppendNull()
		}
	}
	return nil
}

func (s *minMaxView) Bytes() int64 { return int64(cap(s.at))*16 + int64(cap(s.arena)) }
