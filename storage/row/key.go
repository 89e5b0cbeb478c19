package row

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// Prefix begins the keys of all rows.
const Prefix = 'r'

// tabletLen is how long the prefix of a tablet's keys is. The byte behind it says that
// the first key column is no NULL, the same in all keys.
const (
	tabletLen    = 1 + 4 + 2
	sortedPrefix = tabletLen + 1
)

// TablePrefix begins the keys of a table's rows.
func TablePrefix(oid uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{Prefix}, oid)
}

func tabletPrefix(oid uint32, shard int) []byte {
	return binary.BigEndian.AppendUint16(TablePrefix(oid), uint16(shard))
}

// PrefixEnd is the least key above all that begin with p; nil for none.
func PrefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := slices.Clone(p[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// keyColumn is a column of the stored key.
type keyColumn struct {
	ordinal int
	pk      int // its place in the primary key
	t       types.T
	desc    bool
}

// keyColumns says how a table's keys are stored.
func keyColumns(t *catalog.Table) []keyColumn {
	var out []keyColumn
	for _, c := range t.RowKey() {
		out = append(out, keyColumn{c.Ordinal, slices.Index(t.PK, c.Ordinal), t.Columns[c.Ordinal].T, c.Desc})
	}
	return out
}

// Keyed says whether rows of a table can be stored by its primary key.
func Keyed(t *catalog.Table) bool {
	return len(t.PK) > 0 && !slices.ContainsFunc(t.PK, func(o int) bool { return !types.KeyOrdered(t.Columns[o].T) })
}

// appendKey appends the key columns of row i; cols are the primary key's columns.
func (s *schema) appendKey(dst []byte, cols []*vec.Vec, i int) []byte {
	for _, k := range s.keys {
		dst = types.AppendKey(dst, k.t, datumAt(cols[k.pk], i), k.desc)
	}
	return dst
}

// datumAt is v.Datum(i) without a copy of strings; it lives as long as the vector.
func datumAt(v *vec.Vec, i int) types.Datum {
	if v.T.Layout != types.LayoutView || v.IsNull(i) {
		return v.Datum(i)
	}
	b := v.BytesAt(i)
	return types.NewString(unsafe.String(unsafe.SliceData(b), len(b)))
}

// Range is what a scan's filter says of one column: it lies between Lo and Hi, both
// included; NULL for open.
type Range struct{ Lo, Hi types.Datum }

// bounds narrows a tablet's keys to what ranges of key columns allow: equal values of
// leading columns, and a range of the next. hi is excluded.
func (s *schema) bounds(prefix []byte, of func(ordinal int) Range) (lo, hi []byte) {
	at := slices.Clone(prefix)
	for _, k := range s.keys {
		r := of(k.ordinal)
		if r.Lo.Valid && r.Hi.Valid && types.Compare(k.t, r.Lo, r.Hi) == 0 {
			at = types.AppendKey(at, k.t, r.Lo, k.desc)
			continue
		}
		lo, hi = at, PrefixEnd(at)
		if k.desc {
			r.Lo, r.Hi = r.Hi, r.Lo
		}
		if r.Lo.Valid {
			lo = types.AppendKey(slices.Clone(at), k.t, r.Lo, k.desc)
		}
		if r.Hi.Valid {
			hi = PrefixEnd(types.AppendKey(slices.Clone(at), k.t, r.Hi, k.desc))
		}
		return lo, hi
	}
	return at, PrefixEnd(at)
}
