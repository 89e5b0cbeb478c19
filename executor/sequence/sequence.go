// Package sequence hands out the values of sequences. They are no part of any
// transaction: a value that was given is gone, whether or not its transaction
// commits. What is durable runs ahead of what is given out, so that no value comes
// twice, not after a crash either; a crash leaves a gap.
//
// The state of a sequence is a note in the store, under the sequence's OID and
// generation. A restart inside a transaction makes a new generation, which exists
// for others when the transaction commits.
package sequence

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// How many values the durable state is ahead: few of a sequence that is used now and
// then, more and more of one that is used all the time.
const (
	aheadMin  = 32
	aheadMax  = 8192
	aheadSoon = 200 * time.Millisecond
)

// maxRun bounds the values that one session takes at once.
const maxRun = 1 << 16

const (
	notePrefix  = "sequence/"
	noteVersion = 1
)

// Values has the state of all sequences of a store. It is safe for concurrent use.
type Values struct {
	store storage.Store
	mu    sync.Mutex
	seqs  map[id]*state
}

type id struct {
	oid uint32
	gen uint64
}

func (k id) note() string {
	return notePrefix + strconv.FormatUint(uint64(k.oid), 10) + "/" + strconv.FormatUint(k.gen, 10)
}

// state is where a sequence is.
type state struct {
	mu     sync.Mutex
	loaded bool
	last   int64
	called bool // last was given out
	// left values after last are covered by what is durable, by the definition def.
	left  int
	def   rule
	ahead int
	saved time.Time
}

// rule is the part of a definition that decides on the next value.
type rule struct {
	inc, min, max int64
	cycle         bool
}

// New makes the state of a store's sequences.
func New(s storage.Store) *Values { return &Values{store: s, seqs: map[id]*state{}} }

func (v *Values) state(t *catalog.Table) (*state, error) {
	k := id{t.OID, t.Seq.Gen}
	v.mu.Lock()
	s := v.seqs[k]
	if s == nil {
		s = &state{}
		v.seqs[k] = s
	}
	v.mu.Unlock()
	s.mu.Lock()
	if s.loaded {
		return s, nil
	}
	notes, err := v.store.Notes(k.note())
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.last, s.called = t.Seq.Last, t.Seq.Called
	if b, ok := notes[k.note()]; ok {
		if len(b) != 10 || b[0] != noteVersion {
			s.mu.Unlock()
			return nil, sqlstate.Errorf(sqlstate.DataCorrupted, "state of sequence \"%s\" is damaged", t.Name)
		}
		s.last, s.called = int64(binary.LittleEndian.Uint64(b[1:])), b[9] != 0
	}
	s.loaded = true
	return s, nil
}

func encode(last int64, called bool) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{noteVersion}, uint64(last))
	if called {
		return append(b, 1)
	}
	return append(b, 0)
}

// save makes a state durable.
func (v *Values) save(key string, note []byte) error {
	x := v.store.Begin(storage.TxnOptions{})
	x.Note(key, note)
	_, err := x.Commit(context.Background())
	return err
}

// next is the value after cur; ok is false at the end of a sequence that does not cycle.
func (r rule) next(cur int64) (n int64, ok bool) {
	if r.inc > 0 {
		if r.max >= 0 && cur > r.max-r.inc || r.max < 0 && cur+r.inc > r.max {
			return r.min, r.cycle
		}
		return cur + r.inc, true
	}
	if r.min < 0 && cur < r.min-r.inc || r.min >= 0 && cur+r.inc < r.min {
		return r.max, r.cycle
	}
	return cur + r.inc, true
}

// Next gives out as many values as the sequence's cache says, fewer at its end:
// first, and from there in steps of the increment up to last.
func (v *Values) Next(t *catalog.Table) (first, last int64, err error) {
	q := t.Seq
	s, err := v.state(t)
	if err != nil {
		return 0, 0, err
	}
	defer s.mu.Unlock()
	r := rule{q.Inc, q.Min, q.Max, q.Cycle}
	if r != s.def {
		s.left, s.def = 0, r
	}
	n, run := 0, int(min(q.Cache, maxRun)) // given out, wanted
	at, called := s.last, s.called
	for n < run {
		nx, ok := at, true
		if called {
			nx, ok = r.next(at)
			if n > 0 && (!ok || nx != at+r.inc) {
				break // the rest of the run, not what follows a wrap
			}
		}
		if !ok {
			if r.inc > 0 {
				return 0, 0, sqlstate.Errorf(sqlstate.SequenceGeneratorLimitExceeded, "nextval: reached maximum value of sequence \"%s\" (%d)", t.Name, r.max)
			}
			return 0, 0, sqlstate.Errorf(sqlstate.SequenceGeneratorLimitExceeded, "nextval: reached minimum value of sequence \"%s\" (%d)", t.Name, r.min)
		}
		if n == 0 {
			first = nx
		}
		at, called = nx, true
		n++
	}
	if n > s.left {
		if s.ahead = min(max(s.ahead*4, aheadMin), aheadMax); time.Since(s.saved) > aheadSoon {
			s.ahead = aheadMin
		}
		far, more := at, 0
		for more < s.ahead {
			nx, ok := r.next(far)
			if !ok {
				break
			}
			far = nx
			more++
		}
		if err := v.save(id{t.OID, q.Gen}.note(), encode(far, true)); err != nil {
			return 0, 0, err
		}
		s.left, s.saved = n+more, time.Now()
	}
	s.last, s.called = at, true
	s.left -= n
	return first, at, nil
}

// Set is setval.
func (v *Values) Set(t *catalog.Table, last int64, called bool) error {
	s, err := v.state(t)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := v.save(id{t.OID, t.Seq.Gen}.note(), encode(last, called)); err != nil {
		return err
	}
	s.last, s.called, s.left = last, called, 0
	return nil
}

// State is where a sequence is: the last value, whether it was given out, and how
// many more are covered by what is durable.
func (v *Values) State(t *catalog.Table) (last int64, called bool, ahead int, err error) {
	s, err := v.state(t)
	if err != nil {
		return 0, false, 0, err
	}
	defer s.mu.Unlock()
	return s.last, s.called, s.left, nil
}

// Sweep removes the notes of sequences that are no more. Nothing else uses the store
// yet.
func (v *Values) Sweep() error {
	notes, err := v.store.Notes(notePrefix)
	if err != nil {
		return err
	}
	cat := v.store.Catalog()
	x := v.store.Begin(storage.TxnOptions{})
	defer x.Rollback()
	gone := 0
	for key := range notes {
		var k id
		if _, err := fmt.Sscanf(strings.TrimPrefix(key, notePrefix), "%d/%d", &k.oid, &k.gen); err != nil {
			continue
		}
		if t := cat.Table(k.oid); t == nil || t.Seq == nil || t.Seq.Gen != k.gen {
			x.Note(key, nil)
			gone++
		}
	}
	if gone > 0 {
		_, err = x.Commit(context.Background())
	}
	return err
}

// Close makes durable exactly what was given out, so that an orderly stop leaves no
// gaps. Nothing is given out afterwards.
func (v *Values) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	x := v.store.Begin(storage.TxnOptions{})
	defer x.Rollback()
	for k, s := range v.seqs {
		s.mu.Lock()
		if s.loaded && s.left > 0 {
			x.Note(k.note(), encode(s.last, s.called))
			s.left = 0
		}
		s.mu.Unlock()
	}
	_, err := x.Commit(context.Background())
	return err
}
