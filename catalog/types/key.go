package types

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The order-preserving key encoding: bytes.Compare of two keys is Compare of
// the values, column by column; equal values have equal keys; a key ends where
// its last column says, so that columns can follow each other. NULL is above all
// values. A descending column is the ascending one with every bit turned.
//
//	byte 1  a value follows (NULL is byte 2 alone)
//	bool, integers, dates, times   1, 2, 4, 8 or 16 bytes, big-endian, sign bit turned
//	floats                         IEEE bits, ordered (negative ones turned)
//	interval                       its span, 16 bytes
//	uuid, timetz                   16 bytes; timetz: instant, then zone
//	strings                        bytes, 0 as 0 255, end 0 1
//	numeric                        class byte, exponent, base-10^9 digits, end (turned when negative)
//	jsonb, arrays, records         not available: KeyOrdered says so
//
// Keys are decoded to the value they stand for; of values that are equal but
// print differently (numeric display scales, trailing blanks of bpchar, -0, an
// interval's fields) one is chosen.

const (
	keyValue = 1
	keyNull  = 2
)

// KeyOrdered says whether a type has the order-preserving encoding.
func KeyOrdered(t T) bool {
	return t.Layout != LayoutView || t.OID == NumericOID || t.OID == BPCharOID || PlainBytes(t.OID)
}

// AppendKey appends the order-preserving form of a value or NULL. The type must
// be KeyOrdered.
func AppendKey(dst []byte, t T, d Datum, desc bool) []byte {
	start := len(dst)
	if !d.Valid {
		dst = append(dst, keyNull)
	} else {
		dst = appendKey(append(dst, keyValue), t, d)
	}
	if desc {
		turn(dst[start:])
	}
	return dst
}

func turn(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

func appendKey(dst []byte, t T, d Datum) []byte {
	be := binary.BigEndian
	switch t.Layout {
	case LayoutBool:
		return append(dst, byte(d.I))
	case LayoutI16:
		return be.AppendUint16(dst, uint16(d.I)^1<<15)
	case LayoutI32:
		if UnsignedI32(t.OID) {
			return be.AppendUint32(dst, uint32(d.I))
		}
		return be.AppendUint32(dst, uint32(d.I)^1<<31)
	case LayoutI64:
		if UnsignedI64(t.OID) {
			return be.AppendUint64(dst, uint64(d.I))
		}
		return be.AppendUint64(dst, uint64(d.I)^1<<63)
	case LayoutI128:
		return be.AppendUint64(be.AppendUint64(dst, uint64(d.H)^1<<63), uint64(d.I))
	case LayoutF32:
		return be.AppendUint32(dst, OrderedF32(float32(d.F)))
	case LayoutF64:
		return be.AppendUint64(dst, OrderedF64(d.F))
	case LayoutFixed16:
		v := d.Fixed16()
		switch t.OID {
		case IntervalOID:
			s := IntervalSpan(v)
			return be.AppendUint64(be.AppendUint64(dst, uint64(s.Hi)^1<<63), s.Lo)
		case TimetzOID:
			return be.AppendUint64(be.AppendUint64(dst, uint64(v.A+v.B*MicrosPerSecond)^1<<63), uint64(v.B)^1<<63)
		}
		return be.AppendUint64(be.AppendUint64(dst, uint64(v.A)), uint64(v.B))
	}
	b := bytesOf(d.S)
	switch t.OID {
	case NumericOID:
		return appendNumericKey(dst, b)
	case BPCharOID:
		b = TrimBPChar(b)
	}
	return AppendKeyBytes(dst, b)
}

// AppendKeyBytes appends a string as keys hold it (without the NULL byte).
func AppendKeyBytes(dst, b []byte) []byte {
	run := 0
	for i, c := range b {
		if c == 0 {
			dst = append(append(dst, b[run:i+1]...), 0xff)
			run = i + 1
		}
	}
	return append(append(dst, b[run:]...), 0, 1)
}

// OrderedF64 maps a float to bits that are ordered as unsigned integers.
func OrderedF64(f float64) uint64 {
	b := math.Float64bits(CanonFloat(f))
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}

// OrderedF32 is OrderedF64 for a real.
func OrderedF32(f float32) uint32 {
	if f != f {
		f = float32(math.NaN())
	}
	b := math.Float32bits(f + 0)
	return b ^ (uint32(int32(b)>>31) | 1<<31)
}

func unorderF64(b uint64) float64 {
	if b>>63 == 1 {
		return math.Float64frombits(b ^ 1<<63)
	}
	return math.Float64frombits(^b)
}

func unorderF32(b uint32) float32 {
	if b>>31 == 1 {
		return math.Float32frombits(b ^ 1<<31)
	}
	return math.Float32frombits(^b)
}

// Classes of numerics, in order.
const (
	keyNumNegInf = iota + 1
	keyNumNeg
	keyNumZero
	keyNumPos
	keyNumInf
	keyNumNaN
)

func appendNumericKey(dst, b []byte) []byte {
	var s numScratch
	n := decodeNum(b, &s)
	switch {
	case n.kind == numNaN:
		return append(dst, keyNumNaN)
	case n.kind == numInf && n.neg:
		return append(dst, keyNumNegInf)
	case n.kind == numInf:
		return append(dst, keyNumInf)
	case len(n.d) == 0:
		return append(dst, keyNumZero)
	case n.neg:
		dst = append(dst, keyNumNeg)
	default:
		dst = append(dst, keyNumPos)
	}
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n.weight)^1<<15)
	for _, d := range n.d {
		dst = binary.BigEndian.AppendUint32(dst, d+1) // above the end mark
	}
	dst = append(dst, 0, 0, 0, 0)
	if n.neg {
		turn(dst[start:])
	}
	return dst
}

func badKey() error {
	return sqlstate.Errorf(sqlstate.DataCorrupted, "corrupt key")
}

// DecodeKey reads the value at the start of a key and returns the rest.
func DecodeKey(t T, key []byte, desc bool) (d Datum, rest []byte, err error) {
	if len(key) == 0 {
		return d, nil, badKey()
	}
	mask := byte(0)
	if desc {
		mask = 0xff
	}
	switch key[0] ^ mask {
	case keyNull:
		return d, key[1:], nil
	case keyValue:
	default:
		return d, nil, badKey()
	}
	key = key[1:]
	n := 0
	switch t.Layout {
	case LayoutBool:
		n = 1
	case LayoutI16:
		n = 2
	case LayoutI32, LayoutF32:
		n = 4
	case LayoutI64, LayoutF64:
		n = 8
	case LayoutI128, LayoutFixed16:
		n = 16
	}
	if n == 0 {
		if t.OID == NumericOID {
			return decodeNumericKey(key, mask)
		}
		return decodeKeyBytes(key, mask)
	}
	if len(key) < n {
		return d, nil, badKey()
	}
	var w [16]byte
	for i := range w[:n] {
		w[i] = key[i] ^ mask
	}
	be := binary.BigEndian
	switch t.Layout {
	case LayoutBool:
		d = NewBool(w[0] != 0)
	case LayoutI16:
		d = NewInt(int64(int16(be.Uint16(w[:]) ^ 1<<15)))
	case LayoutI32:
		if v := be.Uint32(w[:]); UnsignedI32(t.OID) {
			d = NewInt(int64(v))
		} else {
			d = NewInt(int64(int32(v ^ 1<<31)))
		}
	case LayoutI64:
		if v := be.Uint64(w[:]); UnsignedI64(t.OID) {
			d = NewInt(int64(v))
		} else {
			d = NewInt(int64(v ^ 1<<63))
		}
	case LayoutF32:
		d = NewFloat(float64(unorderF32(be.Uint32(w[:]))))
	case LayoutF64:
		d = NewFloat(unorderF64(be.Uint64(w[:])))
	case LayoutI128:
		d = NewI128(Int128{Hi: int64(be.Uint64(w[:]) ^ 1<<63), Lo: be.Uint64(w[8:])})
	case LayoutFixed16:
		a, b := be.Uint64(w[:]), be.Uint64(w[8:])
		switch t.OID {
		case IntervalOID:
			d = NewFixed16(intervalFromSpan(Int128{Hi: int64(a ^ 1<<63), Lo: b}))
		case TimetzOID:
			zone := int64(b ^ 1<<63)
			d = NewFixed16(Fixed16{A: int64(a^1<<63) - zone*MicrosPerSecond, B: zone})
		default:
			d = NewFixed16(Fixed16{A: int64(a), B: int64(b)})
		}
	}
	return d, key[n:], nil
}

// intervalFromSpan is an interval of this length in days and µs, with months
// only where the days do not fit.
func intervalFromSpan(s Int128) Fixed16 {
	days, us := s.QuoRemInt64(MicrosPerDay)
	n, _ := days.Int64()
	months := int64(0)
	if n != int64(int32(n)) {
		months = n / 30
		n -= months * 30
	}
	// What months cannot hold goes into the time.
	if months != int64(int32(months)) {
		m := int64(math.MaxInt32)
		if months < 0 {
			m = math.MinInt32
		}
		n += (months - m) * 30
		months = m
		if n != int64(int32(n)) {
			k := int64(math.MaxInt32)
			if n < 0 {
				k = math.MinInt32
			}
			us += (n - k) * MicrosPerDay
			n = k
		}
	}
	return MakeInterval(int32(months), int32(n), us)
}

func decodeKeyBytes(key []byte, mask byte) (Datum, []byte, error) {
	var out []byte
	for i := 0; i < len(key); i++ {
		c := key[i] ^ mask
		if c != 0 {
			out = append(out, c)
			continue
		}
		i++
		if i == len(key) {
			break
		}
		switch key[i] ^ mask {
		case 0xff:
			out = append(out, 0)
		case 1:
			return NewString(string(out)), key[i+1:], nil
		default:
			return Null, nil, badKey()
		}
	}
	return Null, nil, badKey()
}

func decodeNumericKey(key []byte, mask byte) (Datum, []byte, error) {
	if len(key) == 0 {
		return Null, nil, badKey()
	}
	n := num{}
	class := key[0] ^ mask
	key = key[1:]
	switch class {
	case keyNumNegInf:
		return NewString(NumericNegInf), key, nil
	case keyNumInf:
		return NewString(NumericInf), key, nil
	case keyNumNaN:
		return NewString(NumericNaN), key, nil
	case keyNumZero:
		return NewString(NumericZero), key, nil
	case keyNumNeg:
		n.neg = true
		mask = ^mask
	case keyNumPos:
	default:
		return Null, nil, badKey()
	}
	word := func() (uint32, bool) {
		if len(key) < 4 {
			return 0, false
		}
		var w [4]byte
		for i := range w {
			w[i] = key[i] ^ mask
		}
		key = key[4:]
		return binary.BigEndian.Uint32(w[:]), true
	}
	if len(key) < 2 {
		return Null, nil, badKey()
	}
	n.weight = int(int16((uint16(key[0]^mask)<<8 | uint16(key[1]^mask)) ^ 1<<15))
	key = key[2:]
	for {
		v, ok := word()
		if !ok || v > numBase {
			return Null, nil, badKey()
		}
		if v == 0 {
			break
		}
		n.d = append(n.d, v-1)
	}
	n.dscale = n.minScale()
	form, err := appendNum(nil, n)
	return NewString(string(form)), key, err
}
