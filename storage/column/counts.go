package column

import (
	"sync/atomic"

	"github.com/millrace/millrace/storage"
)

// writeCounts are the rows written to a tablet since it was opened.
type writeCounts struct {
	inserted, updated, deleted atomic.Int64
}

// Writes is how many rows were inserted, updated and deleted since the tablet was
// opened; what replay brought back does not count.
func (t *Tablet) Writes() storage.Writes {
	return storage.Writes{Inserted: t.writes.inserted.Load(), Updated: t.writes.updated.Load(), Deleted: t.writes.deleted.Load()}
}

// count notes a staged operation: killed says whether it ended an earlier row.
func (s *staged) count(op storage.Op, killed bool) {
	switch {
	case op == storage.OpDelete:
		if killed {
			s.deleted++
		}
	case killed || op == storage.OpUpdate:
		s.updated++
	default:
		s.inserted++
	}
}

// countWrites adds what was staged to the tablet's counts.
func (s *staged) countWrites() {
	if s.p.replay {
		return
	}
	w := &s.t.writes
	for i := range s.p.adds {
		s.inserted += int64(s.p.adds[i].seg.info.Rows)
	}
	w.inserted.Add(s.inserted)
	w.updated.Add(s.updated)
	w.deleted.Add(s.deleted)
}
