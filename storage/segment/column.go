package segment

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// ColReader reads one column of a segment for one goroutine. It remembers the
// block it read last, so vectors are best read in order. Positions are vectors
// of the segment: vector vi has rows vi*2048 and on.
type ColReader struct {
	r       *Reader
	col     int
	block   int // the parsed one, -1 for none
	blk     encoding.Block
	s       *encoding.Scratch
	dict    *vec.Dictionary
	csn     bool
	touched uint32 // see Touch
	cold    bool   // the block is compressed, and may go into the cache when it is scanned
}

// Column makes a reader of the column with this id.
func (r *Reader) Column(id int32) (*ColReader, bool) {
	c, ok := r.byID[id]
	if !ok {
		return nil, false
	}
	return &ColReader{r: r, col: c, block: -1, s: new(encoding.Scratch), csn: id == CSNColumn && r.foot.relativeCSN}, true
}

// ColumnOn is Column with working memory shared by the columns of one goroutine.
func (r *Reader) ColumnOn(id int32, s *encoding.Scratch) (*ColReader, bool) {
	c := new(ColReader)
	if !r.ColumnInto(c, id, s) {
		return nil, false
	}
	return c, true
}

// ColumnInto is ColumnOn with a reader that is used again.
func (r *Reader) ColumnInto(cr *ColReader, id int32, s *encoding.Scratch) bool {
	c, ok := r.byID[id]
	if ok {
		cr.Release()
		cr.r, cr.col, cr.block, cr.s, cr.csn = r, c, -1, s, id == CSNColumn && r.foot.relativeCSN
	}
	return ok
}

// Release lets go of the segment. What a reader used again needs anew stays.
func (c *ColReader) Release() {
	c.r, c.s, c.dict, c.csn, c.touched, c.cold = nil, nil, nil, false, 0, false
	c.blk.Release()
}

// T is the column's type in the file.
func (c *ColReader) T() types.T { return c.r.typeOf(c.col) }

// Zone sums up a block; commits are absolute.
func (c *ColReader) Zone(block int) Zone { return c.shift(c.r.foot.columns[c.col].zones[block]) }

// Total sums up the segment.
func (c *ColReader) Total() Zone { return c.shift(c.r.foot.columns[c.col].zone) }

func (c *ColReader) shift(z Zone) Zone {
	if c.csn && z.Min.Valid && z.Max.Valid {
		z.Min.I += c.r.csnBase
		z.Max.I += c.r.csnBase
		z.HasSum = false
	}
	return z
}

// Sketch estimates the distinct values of the segment. It must not be changed.
func (c *ColReader) Sketch() *Sketch { return c.r.foot.columns[c.col].sketch }

// Skips says whether no row of a block can satisfy p.
func (c *ColReader) Skips(block int, p *Pred) bool {
	z := c.Zone(block)
	return z.Skips(c.T(), p)
}

// SkipsAll says whether no row of the segment can satisfy p.
func (c *ColReader) SkipsAll(p *Pred) bool {
	z := c.Total()
	return z.Skips(c.T(), p)
}

// Encoding is how a block is encoded, for tools.
func (c *ColReader) Encoding(block int) (encoding.ID, int, error) {
	if err := c.seek(block); err != nil {
		return 0, 0, err
	}
	return c.blk.Enc, c.r.foot.columns[c.col].blocks[block].len, nil
}

const vectorsPerBlock = vec.BlockRows / vec.Size

// seek parses a block.
func (c *ColReader) seek(block int) error {
	if block == c.block {
		return nil
	}
	if block < 0 || block >= c.r.Blocks() {
		return fmt.Errorf("segment %s has no block %d", c.r.name, block)
	}
	b, err := c.r.block(c.col, block)
	if err != nil {
		return err
	}
	c.block = -1
	if c.r.wasParsed(c.col, block) {
		err = c.blk.ParseAgain(b, c.T(), c.r.BlockRows(block))
	} else if err = c.blk.Parse(b, c.T(), c.r.BlockRows(block)); err == nil {
		c.r.setParsed(c.col, block)
	}
	if err != nil {
		return c.fail(block, err)
	}
	if c.blk.Enc == encoding.SegDict {
		if c.dict == nil {
			if c.dict, err = c.r.dictionary(c.col, c.s); err != nil {
				return err
			}
		}
		if err := c.blk.SetDictionary(c.dict); err != nil {
			return c.fail(block, err)
		}
	}
	c.block = block
	c.warm(block)
	return nil
}

func (c *ColReader) fail(block int, err error) error {
	if err == nil || !errors.Is(err, encoding.ErrCorrupt) {
		return err
	}
	f := &c.r.foot.columns[c.col]
	return c.r.corrupt(f.blocks[block].off, fmt.Sprintf("column %d block %d", f.ID, block), err)
}

// Vector decodes vector vi into dst, overwriting dst and the memory of its
// strings. dst may come back constant or in dictionary form, its views may point
// into the mapped file; all of it is good until dst is filled again.
func (c *ColReader) Vector(vi int, dst *vec.Vec) error {
	b := vi / vectorsPerBlock
	if err := c.seek(b); err != nil {
		return err
	}
	if c.cold {
		if err := c.heat(b); err != nil {
			return c.fail(b, err)
		}
	}
	if err := c.blk.Vector(vi%vectorsPerBlock, dst, c.s); err != nil {
		return c.fail(b, err)
	}
	if c.csn {
		c.rebase(dst)
	}
	return nil
}

// rebase makes commits absolute.
func (c *ColReader) rebase(dst *vec.Vec) {
	n := dst.N
	if dst.Form == vec.Const {
		n = 1
	}
	for i := range dst.I64[:n] {
		dst.I64[i] += c.r.csnBase
	}
}

// Gather decodes the listed rows of vector vi (ascending) into dst: row k of dst
// is row sel[k] of the vector. See Vector.
func (c *ColReader) Gather(vi int, sel []uint16, dst *vec.Vec) error {
	b := vi / vectorsPerBlock
	if err := c.seek(b); err != nil {
		return err
	}
	if err := c.blk.Gather(vi%vectorsPerBlock, sel, dst, c.s); err != nil {
		return c.fail(b, err)
	}
	if c.csn {
		c.rebase(dst)
	}
	return nil
}

// Touch has the processor load what Gather will read of rows of a block, numbered from
// the block's first row, all at once.
func (c *ColReader) Touch(block int, rows []uint16) error {
	if err := c.seek(block); err != nil {
		return err
	}
	c.touched += c.blk.Touch(rows)
	return nil
}

// Filter clears in sel, a clean bitmap of vector vi's rows, the bits of rows for
// which p does not hold; rows with nulls go, unless p is IS NULL. It works on
// codes and packed values where it can. p's type is Ordered, or p is about nulls.
func (c *ColReader) Filter(vi int, p *Pred, sel []uint64) error {
	b := vi / vectorsPerBlock
	if err := c.seek(b); err != nil {
		return err
	}
	if c.csn && p.Kind == encoding.PredCompare {
		d := p.Value
		d.I -= c.r.csnBase
		p = encoding.ComparePred(c.T(), p.Op, d)
	}
	return c.fail(b, c.blk.Filter(vi%vectorsPerBlock, p, sel, c.s))
}
