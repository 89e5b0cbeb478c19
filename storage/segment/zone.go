package segment

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unsafe"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Zone sums up the rows of one column in a block or a segment.
type Zone struct {
	Rows  int
	Nulls int
	// Min and Max enclose the values that are not null, in the order of the type;
	// both are NULL when there are none, or when the type has no order here (see
	// Ordered). A long string is cut, Max then raised above the value, and the flag
	// is false.
	Min, Max           types.Datum
	MinExact, MaxExact bool
	// Sum of integers and scaled numerics, and FSum of floats, when HasSum.
	Sum    types.Int128
	FSum   float64
	HasSum bool
	// Distinct is the estimated number of distinct values.
	Distinct float64
}

// zoneStringMax is where strings in zones are cut.
const zoneStringMax = 32

// Ordered says whether zones of a type have bounds.
func Ordered(t types.T) bool { return encoding.Filterable(t) }

// Pred is a predicate on one column; see package encoding for its makers.
type Pred = encoding.Pred

// Compare orders two values of an ordered type as SQL does.
func Compare(t types.T, a, b types.Datum) int { return encoding.Compare(t, a, b) }

// lessFloat orders floats as PostgreSQL does: NaN is above all others.
func lessFloat(a, b float64) bool { return a < b || b != b && a == a }

// floatZone is the bounds and the sum of the values that are not null.
func floatZone[F float32 | float64](vals []F, valid []uint64, first int) (lo, hi, sum float64) {
	lo = float64(vals[first])
	hi = lo
	for i, f := range vals {
		x := float64(f)
		if valid != nil && !vec.Bit(valid, i) {
			continue
		}
		if lessFloat(x, lo) {
			lo = x
		}
		if lessFloat(hi, x) {
			hi = x
		}
		sum += x
	}
	return lo, hi, sum
}

// stringZone is the rows of the least and the greatest string. Most rows are settled
// by their first bytes.
func stringZone(v *vec.Vec, first int) (lo, hi int) {
	lo, hi = first, first
	least := bits.ReverseBytes32(v.Views[first].Prefix)
	most := least
	for i := first + 1; i < v.N; i++ {
		p := bits.ReverseBytes32(v.Views[i].Prefix)
		if p > least && p < most || v.IsNull(i) {
			continue
		}
		if p <= least && v.Views[i] != v.Views[lo] && lessString(v, i, lo) {
			lo, least = i, p
		}
		if p >= most && v.Views[i] != v.Views[hi] && lessString(v, hi, i) {
			hi, most = i, p
		}
	}
	return lo, hi
}

// zoneOf measures the flat vector v of at least one row.
func zoneOf(v *vec.Vec) Zone {
	n := v.N
	z := Zone{Rows: n, MinExact: true, MaxExact: true}
	if v.Valid != nil {
		z.Nulls = n - vec.Count(v.Valid, n)
	}
	if z.Nulls == n {
		return z
	}
	first := 0
	for v.IsNull(first) {
		first++
	}
	switch v.T.Layout {
	case types.LayoutBool:
		ones := vec.Count(v.Bits, n)
		if v.Valid != nil {
			ones = kernel.CountAnd(v.Bits, v.Valid, n&^63)
			for i := n &^ 63; i < n; i++ {
				if vec.Bit(v.Bits, i) && vec.Bit(v.Valid, i) {
					ones++
				}
			}
		}
		z.Min, z.Max = types.NewBool(ones == n-z.Nulls), types.NewBool(ones > 0)
	case types.LayoutI16:
		lo, hi := minMax(v.I16[:n], v.Valid, first)
		z.setInts(int64(lo), int64(hi), sumInts(v.I16[:n]))
	case types.LayoutI32:
		if vec.Unsigned32(v.T.OID) {
			u := unsafe.Slice((*uint32)(unsafe.Pointer(&v.I32[0])), n)
			lo, hi := minMax(u, v.Valid, first)
			z.setInts(int64(lo), int64(hi), sumInts(u))
			break
		}
		lo, hi := minMax(v.I32[:n], v.Valid, first)
		z.setInts(int64(lo), int64(hi), sumInts(v.I32[:n]))
	case types.LayoutI64:
		lo, hi := minMax(v.I64[:n], v.Valid, first)
		z.setInts(lo, hi, kernel.SumI64(v.I64[:n]))
	case types.LayoutI128:
		lo, hi := v.I128[first], v.I128[first]
		overflow := false
		for i, x := range v.I128[:n] {
			if v.IsNull(i) {
				continue
			}
			if x.Cmp(lo) < 0 {
				lo = x
			}
			if x.Cmp(hi) > 0 {
				hi = x
			}
			var o bool
			z.Sum, o = kernel.AddI128(z.Sum, x)
			overflow = overflow || o
		}
		z.Min, z.Max, z.HasSum = types.NewI128(lo), types.NewI128(hi), !overflow
	case types.LayoutF32, types.LayoutF64:
		var lo, hi float64
		if v.T.Layout == types.LayoutF32 {
			lo, hi, z.FSum = floatZone(v.F32[:n], v.Valid, first)
		} else {
			lo, hi, z.FSum = floatZone(v.F64[:n], v.Valid, first)
		}
		z.Min, z.Max, z.HasSum = types.NewFloat(lo), types.NewFloat(hi), true
	default:
		if !Ordered(v.T) {
			z.MinExact, z.MaxExact = false, false
			break
		}
		lo, hi := first, first
		if v.T.Layout == types.LayoutView && v.T.OID != types.NumericOID && v.T.OID != types.BPCharOID {
			lo, hi = stringZone(v, first)
		} else {
			dlo := v.Datum(first)
			dhi := dlo
			for i := first + 1; i < n; i++ {
				if v.IsNull(i) {
					continue
				}
				d := lentDatum(v, i)
				if Compare(v.T, d, dlo) < 0 {
					lo, dlo = i, d
				}
				if Compare(v.T, d, dhi) > 0 {
					hi, dhi = i, d
				}
			}
		}
		z.Min, z.Max = v.Datum(lo), v.Datum(hi)
		if v.T.Layout == types.LayoutView {
			z.cut(v.T)
		}
	}
	return z
}

// lessString compares two views of v by bytes, by their prefixes first.
func lessString(v *vec.Vec, i, j int) bool {
	a, b := &v.Views[i], &v.Views[j]
	if a.Prefix != b.Prefix {
		return bits.ReverseBytes32(a.Prefix) < bits.ReverseBytes32(b.Prefix)
	}
	return bytes.Compare(v.Bytes(i), v.Bytes(j)) < 0
}

// lentDatum is Datum without a copy of the string.
func lentDatum(v *vec.Vec, i int) types.Datum {
	if v.T.Layout == types.LayoutView {
		return types.Datum{Valid: true, S: v.String(i)}
	}
	return v.Datum(i)
}

func (z *Zone) setInts(lo, hi int64, sum types.Int128) {
	z.Min, z.Max, z.Sum, z.HasSum = types.NewInt(lo), types.NewInt(hi), sum, true
}

// cut shortens the bounds of strings. Numerics are kept whole or not at all.
func (z *Zone) cut(t types.T) {
	if t.OID == types.NumericOID {
		if len(z.Min.S) > 4*zoneStringMax {
			z.Min, z.MinExact = types.Null, false
		}
		if len(z.Max.S) > 4*zoneStringMax {
			z.Max, z.MaxExact = types.Null, false
		}
		return
	}
	if len(z.Min.S) > zoneStringMax {
		z.Min.S, z.MinExact = strings.Clone(z.Min.S[:zoneStringMax]), false
	}
	if len(z.Max.S) > zoneStringMax {
		b := []byte(z.Max.S[:zoneStringMax])
		for len(b) > 0 && b[len(b)-1] == 0xff {
			b = b[:len(b)-1]
		}
		z.MaxExact = false
		if len(b) == 0 {
			z.Max = types.Null
			return
		}
		b[len(b)-1]++
		z.Max.S = string(b)
	}
}

func minMax[E kernel.Integer](v []E, valid []uint64, first int) (lo, hi E) {
	if valid == nil {
		return kernel.MinMax(v)
	}
	lo, hi = v[first], v[first]
	for i, x := range v {
		if vec.Bit(valid, i) {
			lo, hi = min(lo, x), max(hi, x)
		}
	}
	return lo, hi
}

func sumInts[E int16 | int32 | uint32](v []E) types.Int128 {
	s := int64(0)
	for _, x := range v {
		s += int64(x)
	}
	return types.Int128{Lo: uint64(s), Hi: s >> 63}
}

// merge joins the zone of other rows of the same column.
func (z *Zone) merge(t types.T, o *Zone) {
	if z.Rows == 0 {
		*z = *o
		return
	}
	switch {
	case o.Nulls == o.Rows: // no values there
	case z.Nulls == z.Rows:
		z.Min, z.Max, z.MinExact, z.MaxExact = o.Min, o.Max, o.MinExact, o.MaxExact
		z.Sum, z.FSum, z.HasSum = o.Sum, o.FSum, o.HasSum
	default:
		if !z.Min.Valid || !o.Min.Valid {
			z.Min, z.MinExact = types.Null, false
		} else if Compare(t, o.Min, z.Min) < 0 {
			z.Min, z.MinExact = o.Min, o.MinExact
		}
		if !z.Max.Valid || !o.Max.Valid {
			z.Max, z.MaxExact = types.Null, false
		} else if Compare(t, o.Max, z.Max) > 0 {
			z.Max, z.MaxExact = o.Max, o.MaxExact
		}
		var overflow bool
		z.Sum, overflow = kernel.AddI128(z.Sum, o.Sum)
		z.FSum += o.FSum
		z.HasSum = z.HasSum && o.HasSum && !overflow
	}
	z.Rows += o.Rows
	z.Nulls += o.Nulls
}

// Skips says whether no row of the zone can satisfy p.
func (z *Zone) Skips(t types.T, p *Pred) bool {
	switch p.Kind {
	case encoding.PredIsNull:
		return z.Nulls == 0
	case encoding.PredNotNull:
		return z.Nulls == z.Rows
	}
	if z.Nulls == z.Rows {
		return true
	}
	if !Ordered(t) {
		return false
	}
	switch p.Kind {
	case encoding.PredCompare:
		return z.skipsOp(t, p.Op, p.Value)
	case encoding.PredIn:
		for _, d := range p.Set {
			if d.Valid && !z.skipsOp(t, kernel.EQ, d) {
				return false
			}
		}
		return true
	}
	return false
}

func (z *Zone) skipsOp(t types.T, op kernel.Op, d types.Datum) bool {
	if !d.Valid {
		return true // comparison with NULL holds for no row
	}
	// lo and hi compare the bounds with d; a missing bound never excludes.
	lo, hi := -1, 1
	if z.Min.Valid {
		lo = Compare(t, z.Min, d)
	}
	if z.Max.Valid {
		hi = Compare(t, z.Max, d)
	}
	switch op {
	case kernel.EQ:
		return lo > 0 || hi < 0 || hi == 0 && !z.MaxExact
	case kernel.NE:
		return lo == 0 && hi == 0 && z.MinExact && z.MaxExact && z.Min.Valid && z.Max.Valid
	case kernel.LT:
		return lo >= 0
	case kernel.LE:
		return lo > 0
	case kernel.GT:
		return hi <= 0
	}
	return hi < 0 || hi == 0 && !z.MaxExact
}

// Covers says whether every row of the zone is not null and satisfies p.
func (z *Zone) Covers(t types.T, p *Pred) bool {
	switch p.Kind {
	case encoding.PredIsNull:
		return z.Nulls == z.Rows
	case encoding.PredNotNull:
		return z.Nulls == 0
	case encoding.PredCompare:
		if z.Nulls > 0 || !p.Value.Valid || !z.Min.Valid || !z.Max.Valid {
			return false
		}
		return z.skipsOp(t, p.Op.Negate(), p.Value)
	}
	return false
}

func (e *encoder) datum(t types.T, d types.Datum) {
	if !d.Valid {
		e.b = append(e.b, 0)
		return
	}
	e.b = append(e.b, 1)
	switch t.Layout {
	case types.LayoutF32, types.LayoutF64:
		e.u64(math.Float64bits(d.F))
	case types.LayoutI128, types.LayoutFixed16:
		e.u64(uint64(d.I))
		e.u64(uint64(d.H))
	case types.LayoutView:
		e.string(d.S)
	default:
		e.int(d.I)
	}
}

func (d *decoder) datum(t types.T) types.Datum {
	if d.byte() == 0 {
		return types.Null
	}
	switch t.Layout {
	case types.LayoutF32, types.LayoutF64:
		return types.NewFloat(math.Float64frombits(d.u64()))
	case types.LayoutI128, types.LayoutFixed16:
		return types.Datum{Valid: true, I: int64(d.u64()), H: int64(d.u64())}
	case types.LayoutView:
		return types.NewString(d.string())
	}
	return types.NewInt(d.int())
}

const (
	zoneMinExact = 1 << iota
	zoneMaxExact
	zoneHasSum
)

func (e *encoder) zone(t types.T, z *Zone) {
	flags := byte(0)
	if z.MinExact {
		flags |= zoneMinExact
	}
	if z.MaxExact {
		flags |= zoneMaxExact
	}
	if z.HasSum {
		flags |= zoneHasSum
	}
	e.b = append(e.b, flags)
	e.uint(uint64(z.Nulls))
	e.uint(uint64(z.Distinct))
	e.datum(t, z.Min)
	e.datum(t, z.Max)
	if z.HasSum {
		if t.Layout == types.LayoutF32 || t.Layout == types.LayoutF64 {
			e.u64(math.Float64bits(z.FSum))
		} else {
			e.int(int64(z.Sum.Lo))
			e.int(z.Sum.Hi)
		}
	}
}

func (d *decoder) zone(t types.T, rows int) Zone {
	z := Zone{Rows: rows}
	flags := d.byte()
	z.MinExact, z.MaxExact, z.HasSum = flags&zoneMinExact != 0, flags&zoneMaxExact != 0, flags&zoneHasSum != 0
	z.Nulls, z.Distinct = int(min(d.uint(), uint64(rows))), float64(d.uint())
	z.Min, z.Max = d.datum(t), d.datum(t)
	if z.HasSum {
		if t.Layout == types.LayoutF32 || t.Layout == types.LayoutF64 {
			z.FSum = math.Float64frombits(d.u64())
		} else {
			z.Sum = types.Int128{Lo: uint64(d.int()), Hi: d.int()}
		}
	}
	return z
}

// sortedBy says whether rows sorted by sort are sorted by key too: key is a
// prefix of sort, all ascending.
func sortedBy(sort []SortColumn, key []int32) bool {
	if len(key) == 0 || len(sort) < len(key) {
		return false
	}
	return !slices.ContainsFunc(sort[:len(key)], func(s SortColumn) bool { return s.Desc }) &&
		slices.EqualFunc(sort[:len(key)], key, func(s SortColumn, id int32) bool { return s.ID == id })
}
