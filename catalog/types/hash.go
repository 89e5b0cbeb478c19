package types

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Hashing. Values that are equal hash equally, whatever their layout: int2, int4
// and int8 alike, float4 and float8 alike, numerics by value whether scaled or
// variable. The numbers are not stored on disk; they may change between versions.

// HashInt64 hashes an integer of any width.
func HashInt64(v int64) uint64 {
	hi, lo := bits.Mul64(uint64(v)^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	hi, lo = bits.Mul64(hi^lo^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return hi ^ lo
}

// HashCombine joins the hash of a further column to h.
func HashCombine(h, next uint64) uint64 {
	hi, lo := bits.Mul64(h^0x8ebc6af09c88c6e3, next^0x589965cc75374cc3)
	return hi ^ lo ^ next
}

// HashNull is the hash of NULL.
const HashNull uint64 = 0x6e756c6c6e756c6c

// HashBytes hashes plain bytes.
func HashBytes(b []byte) uint64 { return xxh3.Hash(b) }

// HashFloat hashes a float4 or float8.
func HashFloat(f float64) uint64 { return HashInt64(int64(math.Float64bits(CanonFloat(f)))) }

// A numeric is hashed as its value modulo the prime 2^61-1, where division by
// ten is a multiplication: no digits need to be normalised.
const mersenne61 = 1<<61 - 1

// invPow10 holds 10^-s modulo the prime, for every scale of a scaled layout.
var invPow10 [NumericDigitsI128 + 1]uint64

// numGroup and invGroup are 10^9 and 10^-9 modulo the prime.
var invGroup uint64

func init() {
	inv10 := powMod(10, mersenne61-2)
	invPow10[0] = 1
	for i := 1; i < len(invPow10); i++ {
		invPow10[i] = mulMod(invPow10[i-1], inv10)
	}
	invGroup = invPow10[numDigits]
}

func mulMod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	// 2^61 = 1: add the 61-bit limbs.
	r := lo&mersenne61 + (hi<<3 | lo>>61)
	r = r&mersenne61 + r>>61
	if r >= mersenne61 {
		r -= mersenne61
	}
	return r
}

func powMod(a, e uint64) uint64 {
	r := uint64(1)
	for ; e > 0; e >>= 1 {
		if e&1 == 1 {
			r = mulMod(r, a)
		}
		a = mulMod(a, a)
	}
	return r
}

func mod61(u uint64) uint64 {
	r := u&mersenne61 + u>>61
	if r >= mersenne61 {
		r -= mersenne61
	}
	return r
}

// finishNum makes the hash of a residue and a sign.
func finishNum(r uint64, neg bool) uint64 {
	if neg && r != 0 {
		r = mersenne61 - r
	}
	return HashInt64(int64(r))
}

// HashDecimal64 hashes the numeric v × 10^-scale.
func HashDecimal64(v int64, scale int) uint64 {
	u, neg := uint64(v), v < 0
	if neg {
		u = -u
	}
	return finishNum(mulMod(mod61(u), invPow10[scale]), neg)
}

// HashDecimal128 hashes the numeric v × 10^-scale.
func HashDecimal128(v Int128, scale int) uint64 {
	hi, lo := v.Abs()
	r := mod61(mulMod(mod61(hi), 8) + mod61(lo)) // 2^64 = 8
	return finishNum(mulMod(r, invPow10[scale]), v.Hi < 0)
}

// HashNumeric hashes a numeric in the variable form.
func HashNumeric(b []byte) uint64 {
	h := binary.LittleEndian.Uint16(b)
	if h>>14 == 2 {
		return HashInt64(int64(h) | 1<<62)
	}
	if len(b) < 8 {
		return finishNum(0, false)
	}
	weight := int(int16(binary.LittleEndian.Uint16(b[2:])))
	r := uint64(0)
	b = b[4:]
	n := len(b) / 4
	for ; len(b) >= 4; b = b[4:] {
		r = mod61(mulMod(r, numBase) + uint64(binary.LittleEndian.Uint32(b)))
	}
	// The last digit has exponent weight-n+1.
	switch e := weight - n + 1; {
	case e == 0:
	case e == -1:
		r = mulMod(r, invGroup)
	case e < 0:
		r = mulMod(r, powMod(invGroup, uint64(-e)))
	default:
		r = mulMod(r, powMod(numBase, uint64(e)))
	}
	return finishNum(r, h>>14 == 1)
}

// HashFixed16 hashes a value of LayoutFixed16.
func HashFixed16(oid uint32, v Fixed16) uint64 {
	if oid == IntervalOID {
		s := IntervalSpan(v)
		return HashCombine(HashInt64(int64(s.Lo)), HashInt64(s.Hi))
	}
	return HashCombine(HashInt64(v.A), HashInt64(v.B))
}

// HashView hashes a value of LayoutView in its form.
func HashView(oid uint32, b []byte) uint64 {
	if len(b) == 0 {
		return xxh3.Hash(b) // an empty string, or what lies under a null
	}
	switch oid {
	case BPCharOID:
		return xxh3.Hash(TrimBPChar(b))
	case NumericOID:
		return HashNumeric(b)
	case JSONBOID:
		return HashJSONB(b)
	case RecordOID:
		return HashRecord(b)
	}
	if IsArray(oid) {
		return HashArray(b)
	}
	return xxh3.Hash(b)
}

// Hash hashes a value of type t. NULL has a hash of its own.
func Hash(t T, d Datum) uint64 {
	if !d.Valid {
		return HashNull
	}
	switch t.Layout {
	case LayoutI64:
		if t.OID == NumericOID {
			return HashDecimal64(d.I, int(t.Scale))
		}
	case LayoutI128:
		return HashDecimal128(d.I128(), int(t.Scale))
	case LayoutF32, LayoutF64:
		return HashFloat(d.F)
	case LayoutFixed16:
		return HashFixed16(t.OID, d.Fixed16())
	case LayoutView:
		return HashView(t.OID, bytesOf(d.S))
	}
	return HashInt64(d.I)
}
