package types

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// The hash by which a row finds its shard is that of Hologres, whose clients
// compute it themselves: per column murmur3_32 (seed 104729) of a text or bytes,
// columns joined by XOR, the result modulo 65536, and equal ranges of it for the
// shards. Rows are placed by it on disk, so it must not change, and values that
// are equal must get the same hash: where their texts differ (-0, display scales,
// trailing blanks, an interval's fields) one form is hashed.

const (
	shardSeed   = 104729
	shardRanges = 65536
)

// ShardHash is the hash of one column's value.
func ShardHash(t T, d Datum) uint32 {
	if !d.Valid {
		return murmur3(nil) % shardRanges
	}
	var buf [64]byte
	b := buf[:0]
	switch t.Layout {
	case LayoutBool:
		b = strconv.AppendInt(b, d.I, 10)
	case LayoutI16:
		b = AppendInt(b, d.I)
	case LayoutI32:
		if t.OID == DateOID {
			b = AppendInt(b, d.I-UnixEpochDays)
		} else {
			b = AppendInt(b, d.I)
		}
	case LayoutI64:
		switch t.OID {
		case NumericOID:
			return murmurDecimal(I128(d.I))
		case TimestampOID:
			b = AppendInt(b, d.I-UnixEpochMicros)
		case TimestamptzOID:
			b = AppendInt(b, int64(floorDiv(int(d.I-UnixEpochMicros), 1000)))
		default:
			b = AppendInt(b, d.I)
		}
	case LayoutI128:
		return murmurDecimal(d.I128())
	case LayoutF32:
		b = appendJavaFloat(b, CanonFloat(d.F), 32)
	case LayoutF64:
		b = appendJavaFloat(b, CanonFloat(d.F), 64)
	case LayoutView:
		s := bytesOf(d.S)
		switch {
		case t.OID == BPCharOID:
			return murmur3(TrimBPChar(s))
		case IsString(t.OID), t.OID == ByteaOID:
			return murmur3(s)
		case t.OID == NumericOID:
			if v, ok := NumericToI128(s, NumericMinScale(s)); ok && !NumericIsNaN(s) {
				return murmurDecimal(v)
			}
			s = NumericTrimScale(b, s)
			return murmur3(AppendNumeric(nil, s))
		case IsArray(t.OID):
			r := Array(s).Reader()
			h := uint32(0)
			for i := 0; i < r.N; i++ {
				h *= 31
				if !r.IsNull(i) {
					h += ShardHash(r.T, elemDatum(r.T, r.Bytes(i)))
				}
			}
			return h
		}
		if t.OID == JSONBOID {
			return murmur3(appendCanonJSONB(nil, JSONNode(s)))
		}
		return murmur3(AppendText(nil, t, d, nil))
	default:
		if t.OID == IntervalOID {
			b = AppendInt128(b, IntervalSpan(d.Fixed16()))
		} else {
			b = AppendText(b, t, d, nil)
		}
	}
	return murmur3(b)
}

// ShardOf is the shard of a row whose distribution columns hash to hs, in their
// order, among n shards.
func ShardOf(n int, hs ...uint32) int {
	h := uint32(0)
	for _, x := range hs {
		h ^= x
	}
	return ShardOfHash(h, n)
}

// ShardOfHash is the shard among n of the joined hash of a row.
func ShardOfHash(h uint32, n int) int {
	h16 := int(h % shardRanges)
	base, extra := shardRanges/n, shardRanges%n
	// The first `extra` shards have one more.
	if big := extra * (base + 1); h16 >= big {
		return extra + (h16-big)/base
	}
	return h16 / (base + 1)
}

// murmurDecimal hashes an unscaled number as 16 little-endian bytes. Clients pad
// the shortest two's complement form with zeros, also when it is negative.
func murmurDecimal(v Int128) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], v.Lo)
	binary.LittleEndian.PutUint64(b[8:], uint64(v.Hi))
	if v.Hi < 0 {
		for i := 15; i > 0 && b[i] == 0xff && b[i-1] >= 0x80; i-- {
			b[i] = 0
		}
	}
	return murmur3(b[:])
}

// murmur3 is MurmurHash3_x86_32.
func murmur3(b []byte) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	h := uint32(shardSeed)
	n := len(b)
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * c1
		h ^= bits.RotateLeft32(k, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	k := uint32(0)
	for i := len(b) - 1; i >= 0; i-- {
		k = k<<8 | uint32(b[i])
	}
	if len(b) > 0 {
		h ^= bits.RotateLeft32(k*c1, 15) * c2
	}
	h ^= uint32(n)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// MurmurBytes is the shard hash of plain bytes: text in UTF-8, or the text of a
// number.
func MurmurBytes(b []byte) uint32 { return murmur3(b) }

// appendJavaFloat is Java's String.valueOf of a float: shortest digits, always
// with a point, exponents beyond 10^-3 and 10^7.
func appendJavaFloat(dst []byte, f float64, size int) []byte {
	switch {
	case f != f:
		return append(dst, "NaN"...)
	case f > 1.7976931348623157e308:
		return append(dst, "Infinity"...)
	case f < -1.7976931348623157e308:
		return append(dst, "-Infinity"...)
	}
	a := f
	if a < 0 {
		a = -a
	}
	start := len(dst)
	if a == 0 || a >= 1e-3 && a < 1e7 {
		dst = strconv.AppendFloat(dst, f, 'f', -1, size)
		for _, c := range dst[start:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', -1, size)
	x := 0
	point := false
	for x < len(e) && e[x] != 'e' {
		point = point || e[x] == '.'
		x++
	}
	dst = append(dst, e[:x]...)
	if !point {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	exp, _ := strconv.Atoi(string(e[x+1:]))
	return strconv.AppendInt(dst, int64(exp), 10)
}

// appendCanonJSONB appends a jsonb's text with numbers in their shortest scale.
func appendCanonJSONB(dst []byte, j JSONNode) []byte {
	switch j.Kind() {
	case JSONNumber:
		return AppendNumeric(dst, NumericTrimScale(nil, j.Number()))
	case JSONArray:
		dst = append(dst, '[')
		for i, n := 0, j.Len(); i < n; i++ {
			dst = append(appendCanonJSONB(dst, j.Elem(i)), ',')
		}
		return append(dst, ']')
	case JSONObject:
		dst = append(dst, '{')
		for i, n := 0, j.Len(); i < n; i++ {
			dst = append(AppendJSONString(dst, j.Key(i)), ':')
			dst = append(appendCanonJSONB(dst, j.Value(i)), ',')
		}
		return append(dst, '}')
	}
	return AppendJSONB(dst, j)
}
