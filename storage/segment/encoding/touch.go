package encoding

import (
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Touch loads a byte of what Gather will read for each of the block's rows, numbered
// from the block's first. Gather waits for memory at every row; these loads do not wait
// for each other. What comes back is of no use but to keep them.
func (b *Block) Touch(rows []uint16) uint32 {
	switch b.Enc {
	case Ints, Decimal, Dict, SegDict:
		return b.a.touch(rows)
	case Pair:
		return b.a.touch(rows) + b.b.touch(rows)
	}
	return 0
}

func (p *ints) touch(rows []uint16) (x uint32) {
	if p.kind == intsDict {
		p = p.codes
	}
	if p.kind != intsPacked {
		return 0
	}
	const groups = vec.Size / kernel.GroupSize
	last, width, from, raw := -1, uint(0), 0, false
	var group [groups]int
	for _, r := range rows {
		vi, i := int(r)/vec.Size, int(r)%vec.Size
		if vi != last {
			if vi >= vectors(p.rows) {
				return x
			}
			e := p.entry(vi)
			last, width, from, raw = vi, e.width, e.off, e.mode == modeRaw
			if !raw && e.mode != modeFrame && e.mode != modePatch {
				width = 0
			}
			for g := range group {
				group[g] = frameBytes(g*kernel.GroupSize, width)
			}
		}
		if width == 0 {
			continue
		}
		at := from + i*int(width)/8
		if !raw {
			at = from + group[i/kernel.GroupSize] + kernel.PackedOffset(width, i%kernel.GroupSize)
		}
		if at < len(p.data) {
			x += uint32(p.data[at])
		}
	}
	return x
}
