package segment

import (
	"fmt"
	"sync/atomic"

	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// points has a column's blocks parsed for reading single values, as far as some were.
type points [blocksMax]atomic.Pointer[encoding.Points]

var noPoints = new(encoding.Points)

// pointsOf is a block of the key's column number k, or of the commits, which come after
// the key, for reading single values. Blocks of a file without a map are none.
func (r *Reader) pointsOf(k, block int) (*encoding.Points, error) {
	if r.mapped == nil {
		return noPoints, nil
	}
	all := r.points.Load()
	if all == nil {
		made := make([]points, len(r.foot.key)+1)
		r.points.CompareAndSwap(nil, &made)
		all = r.points.Load()
	}
	at := &(*all)[k][block]
	if p := at.Load(); p != nil {
		return p, nil
	}
	id := CSNColumn
	if k < len(r.foot.key) {
		id = r.foot.key[k]
	}
	p := noPoints
	var c ColReader
	if r.ColumnInto(&c, id, new(encoding.Scratch)) {
		if err := c.seek(block); err != nil {
			return nil, err
		}
		p = c.blk.Points()
	}
	at.Store(p)
	return p, nil
}

// CommitsOf writes the commits of the listed rows, in any order, to dst; ok is false when
// they cannot be read one by one.
func (r *Reader) CommitsOf(dst []int64, rows []uint32) (ok bool, err error) {
	if len(rows) == 0 {
		return true, nil
	}
	k := len(r.foot.key)
	for _, row := range rows {
		p, err := r.pointsOf(k, int(row/vec.BlockRows))
		if err != nil || !p.Ok() {
			return false, err
		}
		p.Prefetch(int(row % vec.BlockRows))
	}
	base := int64(0)
	if r.foot.relativeCSN {
		base = r.csnBase
	}
	all := *r.points.Load()
	for _, row := range rows {
		all[k][row/vec.BlockRows].Load().PrefetchValue(int(row % vec.BlockRows))
	}
	for i, row := range rows {
		x, ok, err := all[k][row/vec.BlockRows].Load().At(int(row % vec.BlockRows))
		if err != nil {
			return false, r.corrupt(0, fmt.Sprintf("commits, block %d", row/vec.BlockRows), err)
		}
		if !ok {
			return false, nil
		}
		dst[i] = x + base
	}
	return true, nil
}

// Same is the one value of a block, if its zone says that it has but one integer.
func (c *ColReader) Same(block int) (x int64, ok bool) {
	z := &c.r.foot.columns[c.col].zones[block]
	if !z.Min.Valid || !z.Max.Valid || z.Min.I != z.Max.I || z.Nulls > 0 {
		return 0, false
	}
	if c.csn {
		return z.Min.I + c.r.csnBase, true
	}
	return z.Min.I, true
}
