package row

import (
	"encoding/binary"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/storage"
)

// Sets knows the commits of large sets. Their files are written before the commit has
// its number, so that the rows carry a number of the set instead, and what commit that
// became is a key of Pebble's of its own. Safe for concurrent use; the zero value has
// none.
type Sets struct {
	mu   sync.Mutex // of writers
	csns atomic.Pointer[map[uint64]storage.CSN]
}

// setsPrefix begins the keys that tell the commits of sets.
const setsPrefix = 's'

func setKey(set uint64) []byte { return binary.BigEndian.AppendUint64([]byte{setsPrefix}, set) }

// Load reads what Pebble knows.
func (s *Sets) Load(db pebble.Reader) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{setsPrefix}, UpperBound: []byte{setsPrefix + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	m := map[uint64]storage.CSN{}
	for ok := it.First(); ok; ok = it.Next() {
		k, v := it.Key(), it.Value()
		if len(k) != 9 || len(v) != 8 {
			return errCorrupt()
		}
		m[binary.BigEndian.Uint64(k[1:])] = storage.CSN(binary.BigEndian.Uint64(v))
	}
	s.csns.Store(&m)
	return it.Error()
}

// Committed makes known the commit of a set, and adds that to a batch. It comes before
// anyone can read the set's rows.
func (s *Sets) Committed(b *pebble.Batch, set uint64, csn storage.CSN) error {
	s.mu.Lock()
	m := map[uint64]storage.CSN{}
	if old := s.csns.Load(); old != nil {
		m = maps.Clone(*old)
	}
	m[set] = csn
	s.csns.Store(&m)
	s.mu.Unlock()
	return b.Set(setKey(set), binary.BigEndian.AppendUint64(nil, uint64(csn)), nil)
}

// commit is the commit of a stored row.
func (s *Sets) commit(value []byte) (storage.CSN, error) {
	if err := checkValue(value); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint64(value[1:])
	if value[0] == valueVersion {
		return storage.CSN(n), nil
	}
	if s != nil {
		if m := s.csns.Load(); m != nil {
			if csn, ok := (*m)[n]; ok {
				return csn, nil
			}
		}
	}
	return 0, errCorrupt()
}
