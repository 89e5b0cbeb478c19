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
	Begin func(work *Rows) (Operator, error)
	// End releases what a round holds, once it is over.
	End func()

	acct       *mem.Account
	run        *Run
	work, next *Rows
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
	o := &Recursive{Base: base, acct: acct, run: run, work: NewRows(ts, acct), next: NewRows(ts, acct)}
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
		o.out.Cols, o.out.N, o.out.Sel = b.Cols[:len(o.work.T)], b.N, b.Sel
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
	if o.next.N == 0 {
		o.done = true
		o.work.Free()
		o.next.Free()
		return nil
	}
	if err := o.run.Interrupted(); err != nil {
		return err
	}
	o.work, o.next = o.next, o.work
	o.next.Reset()
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
		o.work.Free()
		o.next.Free()
		o.acct.Close()
		o.acct = nil
	}
}

// WorkTable yields the rows of a recursion's working table, again after each Reset.
type WorkTable struct {
	rows *Rows
	at   int
	out  vec.Batch
}

// Reset makes rows what is yielded.
func (o *WorkTable) Reset(rows *Rows) { o.rows, o.at = rows, 0 }

// Next implements Operator.
func (o *WorkTable) Next() (*vec.Batch, error) {
	if o.rows == nil || o.at >= o.rows.N {
		return nil, nil
	}
	for len(o.out.Cols) < len(o.rows.T) {
		o.out.Cols = append(o.out.Cols, &vec.Vec{})
	}
	n := min(vec.Size, o.rows.N-o.at)
	for c, v := range o.out.Cols {
		o.rows.View(c, o.at, n, v)
	}
	o.out.N, o.out.Sel = n, nil
	o.at += n
	return &o.out, nil
}

// Close implements Operator.
func (o *WorkTable) Close() {}
