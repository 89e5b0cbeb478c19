package agg

import (
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// Partition is the input of a window function: all rows of one partition, in
// order. Slices indexed by row have N entries.
type Partition struct {
	N int
	// PeerStart and PeerEnd bound the rows that are equal in ORDER BY to row i:
	// PeerStart[i] ≤ i < PeerEnd[i].
	PeerStart, PeerEnd []int32
	// Start and End bound the frame of row i (empty when Start ≥ End); nil for
	// functions that ignore frames. Excluded says whether a row within the bounds is
	// out by EXCLUDE; nil when there is no such clause.
	Start, End []int32
	Excluded   func(row, other int) bool
	// Interrupted is asked now and then, if set; its error ends the computation.
	Interrupted func() error

	steps int
}

// lookSteps is after how many steps a function asks whether it is interrupted.
const lookSteps = 1 << 12

// step counts a row that was looked at; its error is that of an interruption.
func (p *Partition) step() error {
	if p.steps++; p.steps%lookSteps == 0 && p.Interrupted != nil {
		return p.Interrupted()
	}
	return nil
}

// WindowCall is one call of a window function that is not an aggregate.
type WindowCall struct {
	Fn          *fn.Func
	Args        []types.T
	T           types.T
	IgnoreNulls bool
}

// WindowFunc appends to out, a flat vector of the call's type, the values of all
// rows of a partition. args are flat with p.N rows.
type WindowFunc func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error

// windows has the window functions by OID.
var windows = map[uint32]WindowFunc{}

// Window finds a window function; nil when f is none or not supported.
func Window(f *fn.Func) WindowFunc { return windows[f.OID] }
