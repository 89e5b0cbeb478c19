package encoding

import (
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Scratch is the working memory of one encoder or one reader's cursor; it grows
// to what a block needs and is used by one goroutine at a time.
type Scratch struct {
	// decoding
	codes [vec.Size]uint32
	lens  [vec.Size]uint32
	wide  [vec.Size]int64
	bits  [vec.Size / 64]uint64
	match [vec.Size / 64]uint64
	swap  []int64
	whole *vec.Vec

	*encodeScratch
}

// encodeScratch is what only encoders need.
type encodeScratch struct {
	group  [kernel.GroupSize]uint64
	packed [16 * 64]uint32
	deltas [vec.Size]int64
	plans  [vectorsMax]vectorPlan

	slots    []int64
	used     []uint64
	values   []int64
	ranks    []uint32
	codeVals []int64

	ints     []int64
	more     []int64
	raw      []byte
	comp     []byte
	except   []int
	strs     *Strings
	strCodes []uint32
}

// NewEncodeScratch makes the working memory of an encoder.
func NewEncodeScratch() *Scratch { return &Scratch{encodeScratch: new(encodeScratch)} }
