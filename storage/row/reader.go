package row

import (
	"context"
	"math"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Filter is the part of a scan's filter that a reader applies.
type Filter interface {
	// Never says that no row passes.
	Never() bool
	// Columns are those of its predicates, one each.
	Columns() []int
	// Eval sets the bits of the rows of v that predicate k lets pass, and clears others.
	Eval(k int, v *vec.Vec, bits []uint64)
	// Range encloses the values of a column that pass.
	Range(col int) Range
}

// firstRows is how many rows the first batch of a scan with a limit has; the next
// have more and more.
const firstRows = 16

// fruitlessRows is how many rows a scan reads at most before who reads may look up from it:
// a scan is as long as its tablet, and there may be none that passes.
const fruitlessRows = 4 * vec.Size

// Reader scans a range of a view's keys in their order.
type Reader struct {
	v      *View
	ctx    context.Context
	filter Filter
	cols   int   // columns of the batch; behind them those of the filter alone
	at     []int // where the columns of the filter's predicates are
	all    []int // ordinals of all vectors
	prunes []prune

	it      *iter
	back    *backward // in the place of it
	first   int64     // see Wanted; 0: all
	last    bool
	left    int64 // of first
	on      bool  // it stands on a row that was not read yet
	size    int
	d       decoder
	vecs    []vec.Vec
	work    []*vec.Vec
	out     vec.Batch
	bits    [vec.Size / 64]uint64
	tmp     [vec.Size / 64]uint64
	sel     [vec.Size + 64]uint16
	limited bool
}

// prune is a runtime filter on a column of the batch.
type prune struct {
	col int
	Range
}

// Reader makes a reader of columns. ctx ends its scans; limited says that few rows
// may be enough.
func (v *View) Reader(ctx context.Context, cols []int, filter Filter, limited bool) (*Reader, error) {
	r := &Reader{v: v, ctx: ctx, filter: filter, cols: len(cols), limited: limited}
	r.all = append(r.all, cols...)
	for _, c := range filter.Columns() {
		k := -1
		for i, o := range r.all {
			if o == c {
				k = i
				break
			}
		}
		if k < 0 {
			k = len(r.all)
			r.all = append(r.all, c)
		}
		r.at = append(r.at, k)
	}
	r.vecs, r.work = make([]vec.Vec, len(r.all)), make([]*vec.Vec, len(r.all))
	for i, c := range r.all {
		r.vecs[i].T = v.columnType(c)
		r.work[i] = &r.vecs[i]
	}
	r.out.Cols = r.work[:len(cols):len(cols)]
	return r, v.decoder(&r.d, r.all, r.work)
}

func (v *View) columnType(col int) types.T {
	switch {
	case col == catalog.ColShard:
		return types.Int4
	case col < 0 || col >= len(v.sch.table.Columns):
		return types.Int8
	}
	return v.sch.table.Columns[col].T
}

// Bounds are the keys between which a filter's rows lie; ok is false when there are
// none.
func (v *View) Bounds(f Filter) (lo, hi []byte, ok bool) {
	if f.Never() || v.r == nil {
		return nil, nil, false
	}
	lo, hi = v.sch.bounds(v.t.prefix, f.Range)
	return lo, hi, hi == nil || string(lo) < string(hi)
}

// Prune narrows column i of the batch to [min, max] from the next Open on; either may
// be NULL for open.
func (r *Reader) Prune(i int, min, max types.Datum) {
	r.prunes = append(r.prunes, prune{r.all[i], Range{min, max}})
}

// rangeOf is what filter and runtime filters say of a column.
func (r *Reader) rangeOf(col int) Range {
	x := r.filter.Range(col)
	t := r.v.columnType(col)
	for _, p := range r.prunes {
		if p.col != col {
			continue
		}
		if p.Lo.Valid && (!x.Lo.Valid || types.Compare(t, p.Lo, x.Lo) > 0) {
			x.Lo = p.Lo
		}
		if p.Hi.Valid && (!x.Hi.Valid || types.Compare(t, p.Hi, x.Hi) < 0) {
			x.Hi = p.Hi
		}
	}
	return x
}

// Wanted says that no more than so many rows are wanted of each scan, 0 for all: the first
// that pass the filter, or with last the last ones, from the last on. With MaxInt64 who
// reads ends the scan.
func (r *Reader) Wanted(first int64, last bool) { r.first, r.last = first, last && first > 0 }

// Open begins a scan of the rows that filter and runtime filters leave, between two
// keys (nil: open).
func (r *Reader) Open(from, to []byte) error {
	if err := r.Close(); err != nil {
		return err
	}
	if r.filter.Never() || r.v.r == nil {
		return nil
	}
	lo, hi := r.v.sch.bounds(r.v.t.prefix, r.rangeOf)
	if from != nil && string(from) > string(lo) {
		lo = from
	}
	if to != nil && (hi == nil || string(to) < string(hi)) {
		hi = to
	}
	if hi != nil && string(lo) >= string(hi) {
		return nil
	}
	it, err := r.v.iter(r.ctx, r.v.t.prefix, lo, hi)
	if err != nil {
		return err
	}
	r.it, r.size, r.left = it, vec.Size, r.first
	switch {
	case r.first > 0 && r.first < math.MaxInt64:
		r.size = int(min(r.first, vec.Size))
	case r.limited || r.first > 0:
		r.size = firstRows
	}
	if r.last {
		r.back = newBackward(it)
		r.on = r.back.valid()
	} else {
		r.on = it.First()
	}
	return nil
}

// row decodes the row that the scan stands on to place n, and goes on.
func (r *Reader) row(n int) error {
	if r.back != nil {
		value, err := r.back.value()
		if err == nil {
			err = r.d.row(value, n)
		}
		if err == nil {
			r.on = r.back.prev()
		}
		return err
	}
	value, err := r.it.ValueAndErr()
	if err == nil {
		err = r.d.row(value, n)
	}
	if err == nil {
		r.on = r.it.Next()
	}
	return err
}

// Next is the next batch, nil at the end. It has no rows where many were read of which
// none passed.
func (r *Reader) Next() (*vec.Batch, error) {
	for read := 0; r.on; {
		n := 0
		for i := range r.vecs {
			r.vecs[i].Recycle(r.vecs[i].T)
		}
		for ; r.on && n < r.size; n++ {
			if err := r.row(n); err != nil {
				return nil, err
			}
		}
		r.size = min(4*r.size, vec.Size)
		if r.filtered(n) {
			if r.first > 0 {
				r.enough()
			}
			return &r.out, nil
		}
		if read += n; read >= fruitlessRows {
			r.out.Sel = r.sel[:0]
			return &r.out, nil
		}
	}
	if r.it != nil {
		return nil, r.it.Error()
	}
	return nil, nil
}

// enough ends the scan when it has given the rows that are wanted.
func (r *Reader) enough() {
	n := int64(r.out.Rows())
	if n >= r.left {
		if r.on = false; n > r.left && r.out.Sel != nil {
			r.out.Sel = r.out.Sel[:r.left]
		}
	}
	r.left -= min(n, r.left)
}

// filtered makes the batch of the n rows that were read and says whether any is left.
func (r *Reader) filtered(n int) bool {
	r.out.N, r.out.Sel = n, nil
	if len(r.at) == 0 {
		return n > 0
	}
	kernel.Ones(r.bits[:], n)
	words := vec.Words(n)
	for k, at := range r.at {
		r.filter.Eval(k, r.work[at], r.tmp[:])
		kernel.And(r.bits[:words], r.tmp[:])
		if !kernel.Any(r.bits[:], n) {
			return false
		}
	}
	if k := kernel.BitsToSel(r.bits[:], n, r.sel[:]); k < n {
		r.out.Sel = r.sel[:k]
	}
	return true
}

// Close releases the iterator.
func (r *Reader) Close() error {
	if r.it == nil {
		return nil
	}
	err := r.it.Close()
	r.it, r.back, r.on = nil, nil, false
	return err
}
