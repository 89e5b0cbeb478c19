package session

import (
	"strings"
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/ddl"
)

// sequences is what a session knows of sequences: the values that it took and has
// not given out yet, and what currval and lastval say. Workers of a query may ask at
// the same time.
type sequences struct {
	mu    sync.Mutex
	taken map[uint32]*taken
	last  uint32 // OID of lastval's sequence
}

// taken is a run of values: cur was given out, those up to end are at hand.
type taken struct {
	gen      uint64
	cur, end int64
	def      bool // cur is currval
}

// Nextval implements View.
func (s *Session) Nextval(t *catalog.Table) (int64, error) {
	if err := s.sequenceUse(t, "nextval", "Uw", t.Seq.Identity); err != nil {
		return 0, err
	}
	if s.set.quick().readOnly {
		return 0, sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute nextval() in a read-only transaction")
	}
	q := &s.seqs
	q.mu.Lock()
	defer q.mu.Unlock()
	k := q.of(t)
	if k.def && k.cur != k.end {
		k.cur += t.Seq.Inc
		q.last = t.OID
		return k.cur, nil
	}
	first, end, err := s.eng.Sequences.Next(t)
	if err != nil {
		return 0, err
	}
	*k = taken{gen: t.Seq.Gen, cur: first, end: end, def: true}
	q.last = t.OID
	return first, nil
}

// of is what the session took of a sequence; what it took before a restart is void.
func (q *sequences) of(t *catalog.Table) *taken {
	k := q.taken[t.OID]
	if k == nil {
		k = &taken{gen: t.Seq.Gen}
		if q.taken == nil {
			q.taken = map[uint32]*taken{}
		}
		q.taken[t.OID] = k
	}
	if k.gen != t.Seq.Gen {
		k.gen, k.end = t.Seq.Gen, k.cur
	}
	return k
}

// Currval implements View.
func (s *Session) Currval(t *catalog.Table) (int64, error) {
	if err := s.sequenceUse(t, "currval", "Ur", false); err != nil {
		return 0, err
	}
	q := &s.seqs
	q.mu.Lock()
	defer q.mu.Unlock()
	if k := q.taken[t.OID]; k != nil && k.def {
		return k.cur, nil
	}
	return 0, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "currval of sequence \"%s\" is not yet defined in this session", t.Name)
}

// Lastval implements View.
func (s *Session) Lastval() (int64, error) {
	q := &s.seqs
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := s.catalog().Table(q.last); t != nil && q.taken[q.last] != nil && q.taken[q.last].def {
		if err := s.sequenceUse(t, "lastval", "Ur", false); err != nil {
			return 0, err
		}
		return q.taken[q.last].cur, nil
	}
	return 0, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "lastval is not yet defined in this session")
}

// Setval implements View.
func (s *Session) Setval(t *catalog.Table, n int64, called bool) error {
	if err := s.sequenceUse(t, "setval", "w", false); err != nil {
		return err
	}
	if s.set.quick().readOnly {
		return sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute setval() in a read-only transaction")
	}
	if n < t.Seq.Min || n > t.Seq.Max {
		return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "setval: value %d is out of bounds for sequence \"%s\" (%d..%d)", n, t.Name, t.Seq.Min, t.Seq.Max)
	}
	q := &s.seqs
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := s.eng.Sequences.Set(t, n, called); err != nil {
		return err
	}
	k := q.of(t)
	if called {
		k.cur, k.def = n, true
	}
	k.end = k.cur
	return nil
}

// SequenceState implements View.
func (s *Session) SequenceState(t *catalog.Table) (last int64, called bool, ahead int, err error) {
	return s.eng.Sequences.State(t)
}

// sequenceUse checks that t is a sequence that the session may use: by one of these
// privileges, or where the column of an identity is filled, by that to insert.
func (s *Session) sequenceUse(t *catalog.Table, _, letters string, identity bool) error {
	if s.user.Super || s.MayUseSequence(t, letters) {
		return nil
	}
	if identity {
		cat := s.catalog()
		if of := cat.Table(t.Seq.OwnerTable); of != nil && (ddl.Owns(cat, s.user, of.Owner) || ddl.Granted(cat, s.user, of.ACL, 'a')) {
			return nil
		}
	}
	return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for sequence %s", t.Name)
}

// MayUseSequence implements View.
func (s *Session) MayUseSequence(t *catalog.Table, letters string) bool {
	cat := s.catalog()
	return ddl.Owns(cat, s.user, t.Owner) || strings.ContainsFunc(letters, func(l rune) bool { return ddl.Granted(cat, s.user, t.ACL, byte(l)) })
}

// forgetSequences is DISCARD SEQUENCES.
func (s *Session) forgetSequences() {
	s.seqs.mu.Lock()
	s.seqs.taken, s.seqs.last = nil, 0
	s.seqs.mu.Unlock()
}

// sequenceAt is the present value of a sequence, for ALTER SEQUENCE.
func (s *Session) sequenceAt(t *catalog.Table) (int64, error) {
	n, _, _, err := s.eng.Sequences.State(t)
	return n, err
}
