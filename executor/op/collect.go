package op

import (
	"sync"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Collect is the sink that keeps all rows in memory: shared CTEs, working tables,
// the right side of nested loops. With one lane the order is kept.
type Collect struct {
	Rows *Rows
	run  *Run
	acct *mem.Account
	mu   sync.Mutex
	rest []*Rows
}

// NewCollect makes an empty sink.
func NewCollect(run *Run, name string, ts []types.T) *Collect {
	acct := run.Account.Child(name, 0)
	return &Collect{Rows: NewRows(ts, acct), run: run, acct: acct}
}

// Lane implements Sink.
func (s *Collect) Lane(l *Lane) (LaneSink, error) {
	return &collectLane{s: s, rows: NewRows(s.Rows.T, s.acct)}, nil
}

// Finish implements Sink.
func (s *Collect) Finish() ([]func() error, error) {
	for _, r := range s.rest {
		if s.Rows.N == 0 {
			s.Rows.Free()
			*s.Rows = *r
			continue
		}
		if err := s.Rows.Absorb(r); err != nil {
			return nil, err
		}
	}
	s.rest = nil
	return nil, nil
}

// Close implements Sink.
func (s *Collect) Close() { s.acct.Close() }

type collectLane struct {
	s    *Collect
	rows *Rows
}

func (l *collectLane) Add(b *vec.Batch) (Flow, error) { return Continue, l.rows.Append(b) }

func (l *collectLane) Combine() error {
	l.s.mu.Lock()
	l.s.rest = append(l.s.rest, l.rows)
	l.s.mu.Unlock()
	return nil
}
