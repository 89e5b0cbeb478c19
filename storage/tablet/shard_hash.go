package tablet

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// The shard of a row is Hologres' hash of its distribution key, which clients
// compute too: per column murmur3_32 over the value's bytes, columns joined by
// XOR, the low 16 bits split into ranges of nearly equal size.

const murmurSeed = 104729

// murmur3 is murmur3_32 (x86).
func murmur3(b []byte) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	h := uint32(murmurSeed)
	n := len(b)
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * c1
		h ^= bits.RotateLeft32(k, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	var k uint32
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

var nullHash = murmur3(nil) % 65536

// shardOf is the shard of a hash among n: n ranges of [0, 65536), the first
// 65536 mod n of them longer by one.
func shardOf(h uint32, n int) int {
	h %= 65536
	base, extra := uint32(65536/n), uint32(65536%n)
	if long := extra * (base + 1); h >= long {
		return int(extra + (h-long)/base)
	}
	return int(h / (base + 1))
}

// shardHashes XORs the hashes of a column's rows into h.
func shardHashes(h []uint32, v *vec.Vec, n int) {
	s := v.Source()
	var mem [64]byte
	buf := mem[:0]
	const epochDays, epochMicros = 10957, 946684800000000
	for i := 0; i < n; i++ {
		if v.IsNull(i) {
			h[i] ^= nullHash
			continue
		}
		j := v.Index(i)
		buf = buf[:0]
		switch v.T.Layout {
		case types.LayoutBool:
			if vec.Bit(s.Bits, j) {
				buf = append(buf, '1')
			} else {
				buf = append(buf, '0')
			}
		case types.LayoutI16:
			buf = strconv.AppendInt(buf, int64(s.I16[j]), 10)
		case types.LayoutI32:
			x := int64(s.I32[j])
			switch {
			case v.T.OID == types.DateOID:
				x += epochDays
			case vec.Unsigned32(v.T.OID):
				x = int64(uint32(x))
			}
			buf = strconv.AppendInt(buf, x, 10)
		case types.LayoutI64:
			x := s.I64[j]
			switch v.T.OID {
			case types.NumericOID:
				buf = binary.LittleEndian.AppendUint64(buf, uint64(x))
				buf = append(buf, make([]byte, 8)...)
				h[i] ^= murmur3(buf)
				continue
			case types.TimestamptzOID:
				x = floorDiv(x+epochMicros, 1000)
			case types.TimestampOID:
				x += epochMicros
			}
			buf = strconv.AppendInt(buf, x, 10)
		case types.LayoutI128:
			buf = binary.LittleEndian.AppendUint64(buf, s.I128[j].Lo)
			buf = binary.LittleEndian.AppendUint64(buf, uint64(s.I128[j].Hi))
		case types.LayoutF32:
			buf = strconv.AppendFloat(buf, types.CanonFloat(float64(s.F32[j])), 'g', -1, 32)
		case types.LayoutF64:
			buf = strconv.AppendFloat(buf, types.CanonFloat(s.F64[j]), 'g', -1, 64)
		case types.LayoutFixed16:
			x := types.HashFixed16(v.T.OID, s.Fix[j])
			buf = binary.LittleEndian.AppendUint64(buf, x)
		default:
			b := s.Bytes(j)
			switch v.T.OID {
			case types.TextOID, types.VarcharOID, types.NameOID, types.ByteaOID:
				h[i] ^= murmur3(b)
				continue
			case types.BPCharOID:
				for len(b) > 0 && b[len(b)-1] == ' ' {
					b = b[:len(b)-1]
				}
				h[i] ^= murmur3(b)
				continue
			}
			buf = binary.LittleEndian.AppendUint64(buf, types.HashView(v.T.OID, b))
		}
		h[i] ^= murmur3(buf)
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// distribution lists the ordinals that decide a row's shard; nil: any shard will do.
func distribution(t *catalog.Table) []int {
	if len(t.Distribution) > 0 {
		return t.Distribution
	}
	return t.PK
}

// keyDistribution lists the positions in the key of the distribution columns; ok
// is false when a key does not say its shard.
func keyDistribution(t *catalog.Table) (at []int, ok bool) {
	d := distribution(t)
	if len(t.PK) == 0 || len(d) == 0 {
		return nil, false
	}
	for _, o := range d {
		k := -1
		for i, p := range t.PK {
			if p == o {
				k = i
			}
		}
		if k < 0 {
			return nil, false
		}
		at = append(at, k)
	}
	return at, true
}

// lockHashes are 64-bit hashes of keys, for locks.
func lockHashes(cols []*vec.Vec, n int) []uint64 {
	out := make([]uint64, n)
	for _, v := range cols {
		s := v.Source()
		for i := range out {
			j := v.Index(i)
			var x uint64
			switch v.T.Layout {
			case types.LayoutBool:
				if vec.Bit(s.Bits, j) {
					x = 1
				}
			case types.LayoutI16:
				x = types.HashInt64(int64(s.I16[j]))
			case types.LayoutI32:
				x = types.HashInt64(int64(s.I32[j]))
			case types.LayoutI64:
				x = types.HashInt64(s.I64[j])
			case types.LayoutI128:
				x = types.HashDecimal128(s.I128[j], int(v.T.Scale))
			case types.LayoutF32:
				x = types.HashFloat(float64(s.F32[j]))
			case types.LayoutF64:
				x = types.HashFloat(s.F64[j])
			case types.LayoutFixed16:
				x = types.HashFixed16(v.T.OID, s.Fix[j])
			default:
				x = types.HashView(v.T.OID, s.Bytes(j))
			}
			out[i] = types.HashCombine(out[i], x)
		}
	}
	return out
}
