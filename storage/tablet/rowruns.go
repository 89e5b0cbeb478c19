package tablet

import (
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/wal"
)

// rowsAlone says that commits change nothing in Pebble but rows.
func rowsAlone(es []*wal.Entry) bool {
	for _, e := range es {
		if c := e.Tag.(*commit); len(c.kvs) > 0 || len(c.x.notes) > 0 {
			return false
		}
	}
	return true
}

// heldMost is how much memory runs may take that snapshots alone read, in sizes at which
// runs go to Pebble.
const heldMost = 4

// keepsRuns says whether there is room for more runs. Each snapshot that lives long keeps
// those in memory that there were at its time: while they are many, rows go to Pebble.
func (s *Store) keepsRuns() bool { return s.runs.Held() <= heldMost*s.opts.RowRunsBytes }

// applyRun keeps the rows of commits as a run before Pebble, until there are enough of
// them. Replay begins before the oldest that Pebble does not have.
func (s *Store) applyRun(es []*wal.Entry, last storage.CSN, g *row.Group) error {
	limit := s.opts.RowRunsBytes
	if s.runs.Waiting() > limit+limit/2 {
		if err := s.drainRuns(); err != nil { // it waits for the one that is under way
			return err
		}
	}
	var size int64
	for _, e := range es {
		for _, p := range e.Tag.(*commit).parts {
			if p.changes != nil {
				size += int64(p.changes.Bytes())
				g.Add(p.changes)
			}
		}
	}
	s.rows.applying.Store(uint64(last))
	s.runs.Add(g, last)
	s.applied(es, last, size)
	if s.runs.Waiting() < limit {
		return nil
	}
	if s.opts.Manual {
		return s.drainRuns()
	}
	if s.draining.CompareAndSwap(false, true) {
		s.drains.Go(func() {
			defer s.draining.Store(false)
			if err := s.drainRuns(); err != nil {
				s.fail(err)
			}
		})
	}
	return nil
}

// drainRuns has Pebble take what the runs have. Who reads from then on does not meet them.
func (s *Store) drainRuns() error {
	if !s.runs.Any() {
		return nil
	}
	if err := s.runs.Drain(setCovered); err != nil {
		return err
	}
	s.rows.renew()
	return nil
}
