package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// SetOp is INTERSECT or EXCEPT: it counts each distinct row on both sides. Both
// sides are fed by one lane, the first before the second.
type SetOp struct {
	acct   *mem.Account
	except bool
	all    bool
	groups *Groups
	count  [2]mem.Array[int64]
	gids   []uint32
}

// NewSetOp makes the sink of both sides, for rows of these types.
func NewSetOp(run *Run, ts []types.T, except, all bool) *SetOp {
	acct := run.Account.Child("set operation", 0)
	s := &SetOp{acct: acct, except: except, all: all, groups: NewGroups(ts, acct)}
	s.count[0].Account, s.count[1].Account = acct, acct
	return s
}

// Side is the sink of one side, 0 or 1.
func (s *SetOp) Side(i int) Sink { return &setOpSide{s, i} }

type setOpSide struct {
	s    *SetOp
	side int
}

func (o *setOpSide) Lane(*Lane) (LaneSink, error)    { return o, nil }
func (o *setOpSide) Finish() ([]func() error, error) { return nil, nil }
func (o *setOpSide) Combine() error                  { return nil }
func (o *setOpSide) Close()                          { o.s.acct.Close() }

func (o *setOpSide) Add(b *vec.Batch) (Flow, error) {
	s := o.s
	n := b.Rows()
	s.gids = grown(s.gids, n)
	if err := s.groups.Find(b.Cols, b.Sel, b.N, s.gids); err != nil {
		return Stop, err
	}
	for i := range s.count {
		if err := s.count[i].Grow(s.groups.N); err != nil {
			return Stop, err
		}
	}
	c := s.count[o.side].Slice(s.groups.N)
	for _, g := range s.gids {
		c[g]++
	}
	return Continue, nil
}

// Output makes the operator that yields the result.
func (s *SetOp) Output() Operator {
	o := &setOpOutput{s: s}
	for _, t := range s.groups.T {
		o.out.Cols = append(o.out.Cols, vec.New(t, 0))
	}
	return o
}

type setOpOutput struct {
	s    *SetOp
	at   int
	left int64 // more times that row at-1 is to be yielded
	ids  []uint32
	out  vec.Batch
}

// times is how often a row is yielded.
func (s *SetOp) times(l, r int64) int64 {
	switch {
	case s.except && s.all:
		return max(l-r, 0)
	case s.except:
		if l > 0 && r == 0 {
			return 1
		}
		return 0
	case s.all:
		return min(l, r)
	}
	return min(l, r, 1)
}

// Next implements Operator.
func (o *setOpOutput) Next() (*vec.Batch, error) {
	s := o.s
	n := s.groups.N
	l, r := s.count[0].Slice(n), s.count[1].Slice(n)
	o.ids = o.ids[:0]
	for len(o.ids) < vec.Size {
		if o.left > 0 {
			o.left--
			o.ids = append(o.ids, uint32(o.at-1))
			continue
		}
		if o.at >= n {
			break
		}
		o.left = s.times(l[o.at], r[o.at])
		o.at++
	}
	if len(o.ids) == 0 {
		return nil, nil
	}
	s.groups.Gather(o.ids, o.out.Cols)
	o.out.N, o.out.Sel = len(o.ids), nil
	return &o.out, nil
}

// Close implements Operator.
func (o *setOpOutput) Close() {}
