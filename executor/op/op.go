// Package op has the operators, one file each. An operator here is what one lane
// of a pipeline runs; what lanes share stands in a struct of its own beside it.
//
// Words. A pipeline is a source of morsels, a chain of operators and a sink. A
// lane is one instance of the chain: it pulls from its own chain and adds to its
// own part of the sink. A pipeline has as many lanes as workers, or one where
// order matters. A breaker is an operator that needs all its input before it
// yields: it is the sink of one pipeline and the source of another.
//
// No operator waits for another lane inside Next. An operator that has nothing to
// yield yet returns an empty batch, so that its lane looks at the clock and at
// cancellation; it does not loop over its input for long.
//
// Memory: a batch belongs to the operator that returns it and is lent until the
// next call of its Next. Operators allocate nothing per batch once warm.
package op

import (
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/storage/vec"
)

// Operator yields the batches of one lane.
type Operator interface {
	// Next is the next batch, nil at the end and ever after. It may be empty. The
	// caller may change its selection, and nothing else of it.
	Next() (*vec.Batch, error)
	// Close releases what the lane holds; safe at any time, also twice.
	Close()
}

// Flow tells a lane how to go on after it added a batch.
type Flow uint8

// The flows.
const (
	Continue Flow = iota
	Pause         // the sink has no room: the lane is woken when it has
	Stop          // the sink needs no more rows
)

// Sink takes the rows of all lanes of a pipeline.
type Sink interface {
	// Lane makes the part of one lane; lanes may be made at any time before Finish,
	// from their own goroutines.
	Lane(l *Lane) (LaneSink, error)
	// Finish is called when all lanes were combined. It returns tasks that may run
	// beside each other, and is called again when these are done, until it returns
	// none.
	Finish() ([]func() error, error)
	// Close frees what the sink holds, when the query ends.
	Close()
}

// LaneSink is a lane's part of a sink.
type LaneSink interface {
	// Add takes a batch; it keeps nothing of it that is not its own copy.
	Add(b *vec.Batch) (Flow, error)
	// Combine is called once after the lane's last batch.
	Combine() error
}

// Run is what all operators of a query share.
type Run struct {
	Job     *sched.Job
	Account *mem.Account
	Spill   *mem.Spill
	// Workers is the number of lanes of a pipeline that may have several.
	Workers int
	// BatchSize is how many rows sources put into a batch, at most vec.Size.
	BatchSize int
	// ForceSpill makes every sink that can spill do so early: a test setting.
	ForceSpill bool
}

// Interrupted is the error that ended the query, nil while it runs. Long loops
// within a call look at it.
func (r *Run) Interrupted() error {
	if r.Job == nil || !r.Job.Dead() {
		return nil
	}
	if err := r.Job.Err(); err != nil {
		return err
	}
	return errClosed
}

// CanSpill says whether there is a place to spill to.
func (r *Run) CanSpill() bool { return r.Spill != nil }

// Lane is what an operator knows about where it runs.
type Lane struct {
	Run          *Run
	Index, Count int
}

// empty is returned by operators that have nothing to yield yet.
func empty(b *vec.Batch) *vec.Batch {
	b.N, b.Sel = 0, nil
	return b
}

// grown is s with length n, without keeping what it held. For a few rows it is short:
// most statements have no more.
func grown[E any](s []E, n int) []E {
	if cap(s) < n {
		c := max(n, vec.Size)
		if n <= grownSmall {
			c = grownSmall
		}
		s = make([]E, n, c)
	}
	return s[:n]
}

const grownSmall = 16

// physical writes the rows that count to out: those of sel, or 0..n-1.
func physical(sel []uint16, n int, out []uint16) []uint16 {
	if sel != nil {
		return sel
	}
	out = grown(out, n)
	for i := range out {
		out[i] = uint16(i)
	}
	return out
}

// selection is s as a batch's selection: never nil, which would stand for all rows.
func selection(s []uint16) []uint16 {
	if s == nil {
		return none
	}
	return s
}

var none = []uint16{}

// identity is 0, 1, 2, …
var identity = func() (s [vec.Size]uint16) {
	for i := range s {
		s[i] = uint16(i)
	}
	return
}()

// rowsOf are the rows of a batch that count.
func rowsOf(b *vec.Batch) []uint16 {
	if b.Sel != nil {
		return b.Sel
	}
	if b.N <= vec.Size {
		return identity[:b.N]
	}
	return physical(nil, b.N, nil)
}
