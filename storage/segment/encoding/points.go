package encoding

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Points is a parsed block of integers without nulls of which single values are read. It
// never changes, so that many goroutines use it at a time.
type Points struct {
	a      ints
	layout types.Layout
	ok     bool
}

// Points is the block for reading single values; see Points.Ok.
func (b *Block) Points() *Points {
	p := &Points{layout: b.T.Layout}
	switch b.T.Layout {
	case types.LayoutI16, types.LayoutI32, types.LayoutI64:
		p.ok = b.Enc == Ints && b.mixed|b.allNull == 0
	}
	if p.ok {
		p.a = b.a
		p.a.dictVals = nil
		if p.a.kind == intsDict {
			codes := *b.a.codes
			p.a.codes = &codes
		} else {
			p.a.codes = nil
		}
	}
	return p
}

// Ok says whether the block has integers at all.
func (p *Points) Ok() bool { return p.ok }

// Prefetch asks for what says where a row's value is, PrefetchValue, which reads it, for
// the value itself, which At reads. The row is one of the block's.
func (p *Points) Prefetch(row int) {
	a := &p.a
	if a.kind == intsDict {
		a = a.codes
	}
	if a.kind == intsPacked {
		kernel.PrefetchBytes(a.table, row/vec.Size*entryBytes)
	}
}

// PrefetchValue: see Prefetch.
func (p *Points) PrefetchValue(row int) {
	a := &p.a
	if a.kind == intsDict {
		a = a.codes
	}
	if a.kind != intsPacked || row >= a.rows {
		return
	}
	e := a.entry(row / vec.Size)
	i := row % vec.Size
	switch e.mode {
	case modeFrame, modePatch:
		kernel.PrefetchPacked(a.data, e.off+frameBytes(i/kernel.GroupSize*kernel.GroupSize, e.width), e.width, i%kernel.GroupSize)
	case modeRaw:
		kernel.PrefetchBytes(a.data, e.off+i*int(e.width)/8)
	}
}

// At is the value of a row of the block; ok is false where a single one cannot be read.
func (p *Points) At(row int) (x int64, ok bool, err error) {
	if row >= p.a.rows {
		return 0, false, corrupt("row %d of a block of %d", row, p.a.rows)
	}
	x, ok, err = p.a.at(row/vec.Size, row%vec.Size)
	switch p.layout {
	case types.LayoutI16:
		x = int64(int16(x))
	case types.LayoutI32:
		x = int64(int32(x))
	}
	return x, ok, err
}
