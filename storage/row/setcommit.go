package row

import (
	"github.com/millrace/millrace/storage"
)

// SetPrepared implements storage.Prepared for a finished set: its table is locked, and
// conflicts were looked for.
type SetPrepared struct {
	t   *Tablet
	set *Set
}

// PrepareSet readies a finished set for its commit.
func (t *Tablet) PrepareSet(s *Set) *SetPrepared { return &SetPrepared{t, s} }

// Release implements storage.Prepared.
func (p *SetPrepared) Release() {}

// Stage implements storage.Prepared.
func (p *SetPrepared) Stage() (storage.Staged, []storage.Conflict, error) { return p, nil, nil }

// Stamp implements storage.Staged.
func (p *SetPrepared) Stamp(uint64, storage.CSN) {
	rows, _ := p.set.Changes()
	if p.set.inserts {
		p.t.inserted.Add(int64(rows))
	} else {
		p.t.updated.Add(int64(rows))
	}
	p.t.changed.Add(int64(rows))
}

// Abort implements storage.Staged.
func (p *SetPrepared) Abort() {}
