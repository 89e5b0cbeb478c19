package tablet

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// shardHashes XORs the shard hashes (types.ShardHash) of a column's rows into h:
// the common key types without a Datum a row.
func shardHashes(h []uint32, v *vec.Vec, n int) {
	for i := 0; i < n; i++ {
		h[i] ^= shardHash(v, i)
	}
}

// shardHash is the shard hash of one row of a column.
func shardHash(v *vec.Vec, i int) uint32 {
	var mem [32]byte
	s, j := v.Source(), v.Index(i)
	switch {
	case v.IsNull(i):
		return nullHash
	case v.T.Layout == types.LayoutI64 && v.T.OID == types.Int8OID:
		return types.MurmurBytes(types.AppendInt(mem[:0], s.I64[j]))
	case v.T.Layout == types.LayoutI32 && v.T.OID == types.Int4OID:
		return types.MurmurBytes(types.AppendInt(mem[:0], int64(s.I32[j])))
	case v.T.Layout == types.LayoutView && (v.T.OID == types.TextOID || v.T.OID == types.VarcharOID):
		return types.MurmurBytes(s.Bytes(j))
	}
	return types.ShardHash(v.T, v.Datum(i))
}

var nullHash = types.ShardHash(types.Int8, types.Null)

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
