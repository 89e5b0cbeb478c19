package column

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/vec"
)

// rowRef names a row among many chunks: chunk<<chunkShift | row in the chunk.
type rowRef = uint32

// sortCol is a column to sort by, chunk by chunk. Chunks are flat vectors of up
// to chunkRows rows.
type sortCol struct {
	t    types.T
	desc bool
	vecs []*vec.Vec
}

func (c *sortCol) at(r rowRef) (*vec.Vec, int) { return c.vecs[r>>chunkShift], int(r & chunkMask) }

// sortKey is a row with the first 64 bits of its normalized key.
type sortKey struct {
	key uint64
	row rowRef
}

// stopped says whether who wants the order still does; nil asks nobody.
type stopped func() bool

// at asks at some of the steps of a loop.
func (s stopped) at(i int) bool { return i&(1<<14-1) == 0 && s != nil && s() }

// sortRows puts rows in the order of cols, stable. Nulls come last, or first in a
// descending column. When it is stopped the rows are in any order.
func sortRows(rows []rowRef, cols []sortCol, stop stopped) {
	if len(cols) == 0 || len(rows) < 2 {
		return
	}
	keys := make([]sortKey, len(rows))
	exact := normalize(keys, rows, cols, stop)
	if !keysSorted(keys, stop) {
		keys = radixSort(keys, stop)
	}
	if !exact {
		for i, n := 0, 0; i < len(keys); n++ {
			j := i + 1
			for j < len(keys) && keys[j].key == keys[i].key {
				j++
			}
			if stop.at(n) {
				return
			}
			if j-i > 1 {
				slices.SortStableFunc(keys[i:j], func(a, b sortKey) int { return compareRows(a.row, b.row, cols) })
			}
			i = j
		}
	}
	for i := range keys {
		rows[i] = keys[i].row
	}
}

// keysSorted says whether keys are in order, or the sort is stopped.
func keysSorted(keys []sortKey, stop stopped) bool {
	for i := 1; i < len(keys); i++ {
		if stop.at(i) {
			return true
		}
		if keys[i-1].key > keys[i].key {
			return false
		}
	}
	return true
}

func cmpU64(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareRows is the order of cols.
func compareRows(a, b rowRef, cols []sortCol) int {
	for i := range cols {
		c := &cols[i]
		v, x := c.at(a)
		w, y := c.at(b)
		an, bn := v.IsNull(x), w.IsNull(y)
		d := 0
		switch {
		case an && bn:
		case an:
			d = 1
		case bn:
			d = -1
		default:
			d = compareAt(v, x, w, y)
		}
		if c.desc {
			d = -d
		}
		if d != 0 {
			return d
		}
	}
	return 0
}

// normalize fills keys with rows and the order-preserving first bits of the sort
// columns; exact says that these bits decide alone.
func normalize(keys []sortKey, rows []rowRef, cols []sortCol, stop stopped) (exact bool) {
	for i, r := range rows {
		keys[i].row = r
	}
	left := uint(64)
	for ci := range cols {
		c := &cols[ci]
		if left == 0 {
			return false
		}
		if slices.ContainsFunc(c.vecs, func(v *vec.Vec) bool { return v != nil && v.Valid != nil }) {
			left--
			for i := range keys {
				if stop.at(i) {
					return true
				}
				v, x := c.at(keys[i].row)
				null := v.IsNull(x)
				if null != c.desc { // last, or first when descending
					keys[i].key |= 1 << left
				}
			}
			if left == 0 {
				return false
			}
		}
		width, whole := sortWidth(c.t)
		if width == 0 {
			return false
		}
		take := min(width, left)
		left -= take
		flip := uint64(0)
		if c.desc {
			flip = math.MaxUint64 >> (64 - take)
		}
		for i := range keys {
			if stop.at(i) {
				return true
			}
			v, x := c.at(keys[i].row)
			if v.IsNull(x) {
				continue
			}
			keys[i].key |= (sortBits(v, x)>>(64-take) ^ flip) << left
		}
		if take < width || !whole {
			return false
		}
	}
	return true
}

// sortWidth is the number of order-preserving bits of a type and whether they are
// the whole value; 0 for types whose order is not that of bits.
func sortWidth(t types.T) (width uint, whole bool) {
	switch t.Layout {
	case types.LayoutBool:
		return 1, true
	case types.LayoutI16:
		return 16, true
	case types.LayoutI32:
		return 32, true
	case types.LayoutI64, types.LayoutF32, types.LayoutF64:
		return 64, true
	case types.LayoutI128:
		return 64, false
	case types.LayoutFixed16:
		if t.OID == types.UUIDOID {
			return 64, false
		}
	case types.LayoutView:
		if ordered(t) && t.OID != types.BPCharOID {
			return 64, false
		}
	}
	return 0, false
}

// sortBits has a value's order in its highest bits.
func sortBits(v *vec.Vec, i int) uint64 {
	switch v.T.Layout {
	case types.LayoutBool:
		if vec.Bit(v.Bits, i) {
			return 1 << 63
		}
		return 0
	case types.LayoutI16:
		return uint64(uint16(v.I16[i])^1<<15) << 48
	case types.LayoutI32:
		if vec.Unsigned32(v.T.OID) {
			return uint64(uint32(v.I32[i])) << 32
		}
		return uint64(uint32(v.I32[i])^1<<31) << 32
	case types.LayoutI64:
		return uint64(v.I64[i]) ^ 1<<63
	case types.LayoutI128:
		return uint64(v.I128[i].Hi) ^ 1<<63
	case types.LayoutF32:
		return floatBits(float64(v.F32[i]))
	case types.LayoutF64:
		return floatBits(v.F64[i])
	case types.LayoutFixed16:
		return uint64(v.Fix[i].A)
	}
	w := &v.Views[i]
	if w.Len <= 8 {
		return uint64(bits.ReverseBytes32(w.Prefix))<<32 | uint64(bits.ReverseBytes32(uint32(w.Tail)))
	}
	return binary.BigEndian.Uint64(v.Bytes(i))
}

// floatBits orders floats: NaN above all, -0 = 0.
func floatBits(f float64) uint64 {
	switch {
	case f != f:
		return math.MaxUint64
	case f == 0:
		return 1 << 63
	}
	b := math.Float64bits(f)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// radixSort sorts by key, stable, leaving out bytes that are the same in all.
func radixSort(keys []sortKey, stop stopped) []sortKey {
	if len(keys) < 256 {
		slices.SortStableFunc(keys, func(a, b sortKey) int { return cmpU64(a.key, b.key) })
		return keys
	}
	var counts [8][256]uint32
	for i := range keys {
		k := keys[i].key
		for b := range counts {
			counts[b][byte(k>>(8*b))]++
		}
	}
	tmp := make([]sortKey, len(keys))
	for b := range counts {
		c := &counts[b]
		if c[byte(keys[0].key>>(8*b))] == uint32(len(keys)) {
			continue
		}
		at := uint32(0)
		for i, n := range c {
			c[i] = at
			at += n
		}
		for i, k := range keys {
			if stop.at(i) {
				return keys
			}
			d := byte(k.key >> (8 * b))
			tmp[c[d]] = k
			c[d]++
		}
		keys, tmp = tmp, keys
	}
	return keys
}

// isSorted says whether rows already are in the order of cols.
func isSorted(rows []rowRef, cols []sortCol, stop stopped) bool {
	for i := 1; i < len(rows); i++ {
		if stop.at(i) {
			return false
		}
		if compareRows(rows[i-1], rows[i], cols) > 0 {
			return false
		}
	}
	return true
}

// sortOrder is what a table's segments are sorted by: the clustering key, else the
// row id, else nothing is promised.
func (s *schema) sortOrder() []segment.SortColumn {
	var order []segment.SortColumn
	for _, c := range s.table.Clustering {
		order = append(order, sortColumnOf(s.table, c))
	}
	if len(order) == 0 && s.rowID >= 0 {
		order = append(order, segment.SortColumn{ID: rowIDColumnID})
	}
	return order
}

func sortColumnOf(t *catalog.Table, c catalog.SortColumn) segment.SortColumn {
	return segment.SortColumn{ID: t.Columns[c.Ordinal].ID, Desc: c.Desc}
}

// keyOrder is the order by key.
func (s *schema) keyOrder() []segment.SortColumn {
	var order []segment.SortColumn
	for _, k := range s.keys {
		order = append(order, segment.SortColumn{ID: s.ids[k]})
	}
	return order
}
