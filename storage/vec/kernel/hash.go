package kernel

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// The hash of a value, for joins, groups, key indexes and sketches. Segment files
// depend on it: it never changes. Equal values of one type hash equally; so do
// equal integers of different widths.
const (
	hashK0 = 0x9E3779B97F4A7C15
	hashK1 = 0xD6E8FEB86659FD93
	hashK2 = 0xA0761D6478BD642F
	// HashNull is the hash of a null.
	HashNull = 0x8EBC6AF09C88C6E3
)

// HashU64 hashes an integer of any width, sign-extended: the two halves of a
// 128-bit product, folded.
func HashU64(x uint64) uint64 {
	hi, lo := bits.Mul64(x^hashK0, hashK1)
	return hi ^ lo
}

// HashI128 hashes a 128-bit integer, equal to HashU64 where it fits 64 bits.
func HashI128(x types.Int128) uint64 {
	return HashU64(x.Lo) ^ uint64(x.Hi-int64(x.Lo)>>63)*hashK2
}

// HashF64 hashes a float: -0 as 0, every NaN alike.
func HashF64(f float64) uint64 {
	b := math.Float64bits(f + 0) // -0 + 0 = 0
	if f != f {
		b = 0x7FF8000000000001
	}
	return HashU64(b)
}

// HashFixed hashes 16 bytes; uuid and timetz, whose equal values have equal bits.
func HashFixed(f types.Fixed16) uint64 {
	hi, lo := bits.Mul64(uint64(f.A)^hashK0, uint64(f.B)^hashK1)
	return hi ^ lo ^ uint64(f.A)
}

// HashInterval hashes an interval by the span that its equality compares: a
// month is 30 days, a day 24 hours.
func HashInterval(f types.Fixed16) uint64 {
	return HashI128(IntervalSpan(f))
}

// IntervalSpan is an interval as microseconds, with months of 30 days: what
// PostgreSQL compares.
func IntervalSpan(f types.Fixed16) types.Int128 {
	months, days, micros := f.IntervalParts()
	d := int64(months)*30 + int64(days)
	hi, lo := bits.Mul64(uint64(d), 86400000000)
	if d < 0 {
		hi -= 86400000000
	}
	lo, carry := bits.Add64(lo, uint64(micros), 0)
	return types.Int128{Lo: lo, Hi: int64(hi) + micros>>63 + int64(carry)}
}

// HashView hashes a view whose long bytes lie in bufs.
func HashView(w vec.View, bufs [][]byte) uint64 {
	if w.Len <= vec.InlineMax {
		return hashInline(w)
	}
	off := uint32(w.Tail)
	return xxh3.Hash(bufs[w.Tail>>32][off : off+w.Len])
}

func hashInline(w vec.View) uint64 {
	hi, lo := bits.Mul64(uint64(w.Len)<<32|uint64(w.Prefix)^hashK2, w.Tail^hashK1)
	return (hi ^ lo) * hashK0
}

// HashBytes hashes a string; the same as HashView of its view.
func HashBytes(b []byte) uint64 {
	if len(b) <= vec.InlineMax {
		return hashInline(vec.MakeInline(b))
	}
	return xxh3.Hash(b)
}

// HashString is HashBytes.
func HashString(s string) uint64 { return HashBytes(unsafe.Slice(unsafe.StringData(s), len(s))) }

// CombineHash joins the hash of the columns so far with that of the next.
func CombineHash(h, next uint64) uint64 {
	hi, lo := bits.Mul64(h^hashK2, next^hashK0|1)
	return hi ^ lo ^ next
}
