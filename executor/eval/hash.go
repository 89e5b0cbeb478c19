package eval

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/millrace/millrace/catalog/types"
)

// The hash functions that SQL can call give PostgreSQL's numbers: Bob Jenkins'
// lookup3 on bytes, and its last round on integers.

func mix(a, b, c uint32) (uint32, uint32, uint32) {
	a -= c
	a ^= bits.RotateLeft32(c, 4)
	c += b
	b -= a
	b ^= bits.RotateLeft32(a, 6)
	a += c
	c -= b
	c ^= bits.RotateLeft32(b, 8)
	b += a
	a -= c
	a ^= bits.RotateLeft32(c, 16)
	c += b
	b -= a
	b ^= bits.RotateLeft32(a, 19)
	a += c
	c -= b
	c ^= bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func final(a, b, c uint32) (uint32, uint32) {
	c ^= b
	c -= bits.RotateLeft32(b, 14)
	a ^= c
	a -= bits.RotateLeft32(c, 11)
	b ^= a
	b -= bits.RotateLeft32(a, 25)
	c ^= b
	c -= bits.RotateLeft32(b, 16)
	a ^= c
	a -= bits.RotateLeft32(c, 4)
	b ^= a
	b -= bits.RotateLeft32(a, 14)
	c ^= b
	c -= bits.RotateLeft32(b, 24)
	return b, c
}

// hashBytes is hash_any, with seed hash_any_extended: the 64-bit result has the
// 32-bit one as its low half.
func hashBytes(k []byte, seed uint64) uint64 {
	a := 0x9e3779b9 + uint32(len(k)) + 3923095
	b, c := a, a
	if seed != 0 {
		a += uint32(seed >> 32)
		b += uint32(seed)
		a, b, c = mix(a, b, c)
	}
	for len(k) >= 12 {
		a += binary.LittleEndian.Uint32(k)
		b += binary.LittleEndian.Uint32(k[4:])
		c += binary.LittleEndian.Uint32(k[8:])
		a, b, c = mix(a, b, c)
		k = k[12:]
	}
	var t [12]byte
	copy(t[:], k)
	a += binary.LittleEndian.Uint32(t[:])
	b += binary.LittleEndian.Uint32(t[4:])
	// The lowest byte of c was taken by the length.
	c += binary.LittleEndian.Uint32(t[8:]) << 8
	b, c = final(a, b, c)
	return uint64(b)<<32 | uint64(c)
}

func hashUint32(k uint32, seed uint64) uint64 {
	a := uint32(0x9e3779b9) + 4 + 3923095
	b, c := a, a
	if seed != 0 {
		a += uint32(seed >> 32)
		b += uint32(seed)
		a, b, c = mix(a, b, c)
	}
	a += k
	b, c = final(a, b, c)
	return uint64(b)<<32 | uint64(c)
}

func hashInt64(v int64, seed uint64) uint64 {
	lo, hi := uint32(v), uint32(v>>32)
	if v >= 0 {
		lo ^= hi
	} else {
		lo ^= ^hi
	}
	return hashUint32(lo, seed)
}

func hashFloat(f float64, seed uint64) uint64 {
	switch {
	case f == 0:
		return seed
	case f != f:
		return hashBytes(binary.LittleEndian.AppendUint64(nil, 0x7ff8000000000000), seed)
	}
	return hashBytes(binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), seed)
}

func init() {
	for name, h := range map[string]func(c *Call, i int, seed uint64) uint64{
		"hashint2":   func(c *Call, i int, s uint64) uint64 { return hashUint32(uint32(int32(c.I16(0, i))), s) },
		"hashint4":   func(c *Call, i int, s uint64) uint64 { return hashUint32(uint32(c.I32(0, i)), s) },
		"hashoid":    func(c *Call, i int, s uint64) uint64 { return hashUint32(uint32(c.I32(0, i)), s) },
		"hashint8":   func(c *Call, i int, s uint64) uint64 { return hashInt64(c.I64(0, i), s) },
		"hashfloat4": func(c *Call, i int, s uint64) uint64 { return hashFloat(float64(c.F32(0, i)), s) },
		"hashfloat8": func(c *Call, i int, s uint64) uint64 { return hashFloat(c.F64(0, i), s) },
		"hashtext":   func(c *Call, i int, s uint64) uint64 { return hashBytes(c.Bytes(0, i), s) },
		"hashname":   func(c *Call, i int, s uint64) uint64 { return hashBytes(c.Bytes(0, i), s) },
		"hashbpchar": func(c *Call, i int, s uint64) uint64 { return hashBytes(trimBlanks(c.Bytes(0, i)), s) },
		"hashchar": func(c *Call, i int, s uint64) uint64 {
			var v int8
			if b := c.Bytes(0, i); len(b) > 0 {
				v = int8(b[0])
			}
			return hashUint32(uint32(int32(v)), s)
		},
	} {
		reg(name, impl{loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(h(c, i, 0)) })})
		reg(name+"extended", impl{loop: total(func(c *Call, i int) { c.Out.I64[i] = int64(h(c, i, uint64(c.I64(1, i)))) })})
	}
	uuid := func(c *Call, i int, s uint64) uint64 {
		v := c.Fix(0, i)
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], uint64(v.A))
		binary.BigEndian.PutUint64(b[8:], uint64(v.B))
		return hashBytes(b[:], s)
	}
	reg("uuid_hash", impl{loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(uuid(c, i, 0)) })})
	reg("uuid_hash_extended", impl{loop: total(func(c *Call, i int) { c.Out.I64[i] = int64(uuid(c, i, uint64(c.I64(1, i)))) })})
	for _, t := range []string{"timestamp", "time", "pg_lsn"} {
		name := t + "_hash"
		reg(name, impl{loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(hashInt64(c.I64(0, i), 0)) })})
	}
	// pg_lsn.
	reg("pg_lsn_mi", impl{loop: total(func(c *Call, i int) {
		a, b := uint64(c.I64(0, i)), uint64(c.I64(1, i))
		d := types.Int128{Lo: a - b}
		if a < b {
			d = types.Int128{Lo: b - a}.Neg()
		}
		c.End(i, types.NumericFromI128(c.Begin(), d, 0))
	})})
}
