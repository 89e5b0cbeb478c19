package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Recursive is a recursive CTE: it yields the rows of the base, and of each round of
// the step over the rows of the round before, until a round yields nothing. Rows
// are passed on as they come, so that a LIMIT above ends a recursion that never
// would. All of it runs on one lane; a round runs inside Next.
type Recursive struct {
	Base Operator
	// Begin makes the operator of a round, over these rows, which stay while it runs.
	Begin func(work *WorkRows) (Operator, error)
	// End releases what a round holds, once it is over.
	End func()

	acct       *mem.Account
	run        *Run
	work, next *WorkRows
	seen       *Groups // nil: duplicates are kept
	gids       []uint32
	sel        []uint16
	round      Operator
	begun      bool // there is a round to End
	based      bool // the base is done
	done       bool
	out        vec.Batch
}

// NewRecursive makes the operator for rows of types ts; all keeps duplicates.
func NewRecursive(run *Run, base Operator, ts []types.T, all bool) *Recursive {
	acct := run.Account.Child("recursion", 0)
	o := &Recursive{Base: base, acct: acct, run: run, work: NewWorkRows(run, ts, acct), next: NewWorkRows(run, ts, acct)}
	if !all {
		o.seen = NewGroups(ts, acct)
	}
	return o
}

// Next implements Operator.
func (o *Recursive) Next() (*vec.Batch, error) {
	for !o.done {
		b, err := o.pull()
		if err != nil {
			return nil, err
		}
		if b == nil {
			if err := o.turn(); err != nil {
				return nil, err
			}
			continue
		}
		if b.Rows() == 0 {
			return empty(&o.out), nil
		}
		o.out.Cols, o.out.N, o.out.Sel = b.Cols[:len(o.work.ts)], b.N, b.Sel
		if o.seen != nil {
			o.gids = grown(o.gids, b.Rows())
			if err := o.seen.Find(o.out.Cols, b.Sel, b.N, o.gids); err != nil {
				return nil, err
			}
			if len(o.seen.Fresh) < b.Rows() {
				o.sel = o.seen.FreshRows(b.Sel, o.sel)
				o.out.Sel = o.sel
			}
		}
		if o.out.Rows() == 0 {
			return empty(&o.out), nil
		}
		return &o.out, o.next.Append(&o.out)
	}
	return nil, nil
}

func (o *Recursive) pull() (*vec.Batch, error) {
	if !o.based {
		return o.Base.Next()
	}
	return o.round.Next()
}

// turn goes from the base or a round to the next round.
func (o *Recursive) turn() error {
	if o.based {
		o.endRound()
	} else {
		o.Base.Close()
		o.based = true
	}
	if o.next.n == 0 {
		o.done = true
		o.work.free()
		o.next.free()
		return nil
	}
	if err := o.next.finish(); err != nil {
		return err
	}
	if err := o.run.Interrupted(); err != nil {
		return err
	}
	o.work, o.next = o.next, o.work
	o.next.reset()
	o.begun = true
	var err error
	o.round, err = o.Begin(o.work)
	return err
}

func (o *Recursive) endRound() {
	if o.begun {
		o.begun = false
		o.End()
	}
}

// Close implements Operator.
func (o *Recursive) Close() {
	o.Base.Close()
	o.endRound()
	o.done = true
	if o.acct != nil {
		o.seen.Free()
		o.work.free()
		o.next.free()
		o.acct.Close()
		o.acct = nil
	}
}
