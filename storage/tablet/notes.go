package tablet

import (
	"bytes"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/storage/wal"
)

// notePrefix begins the keys of notes in Pebble.
const notePrefix = 'k'

// Note implements storage.Txn.
func (x *tx) Note(key string, value []byte) {
	if x.notes == nil {
		x.notes = map[string][]byte{}
	}
	x.notes[key] = bytes.Clone(value)
}

// noteSets are the transaction's notes as the log has them, by key.
func (x *tx) noteSets() []wal.KV {
	if len(x.notes) == 0 {
		return nil
	}
	kvs := make([]wal.KV, 0, len(x.notes))
	for _, k := range slices.Sorted(maps.Keys(x.notes)) {
		kvs = append(kvs, wal.KV{Key: []byte(k), Value: x.notes[k]})
	}
	return kvs
}

// applyNotes puts changes of notes into a batch.
func applyNotes(b *pebble.Batch, kvs []wal.KV) error {
	var key []byte
	for _, kv := range kvs {
		key = append(append(key[:0], notePrefix), kv.Key...)
		var err error
		if kv.Value == nil {
			err = b.Delete(key, nil)
		} else {
			err = b.Set(key, kv.Value, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Notes implements storage.Store.
func (s *Store) Notes(prefix string) (map[string][]byte, error) {
	if err := s.broken(); err != nil {
		return nil, err
	}
	from := append([]byte{notePrefix}, prefix...)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{notePrefix + 1}})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	out := map[string][]byte{}
	for it.First(); it.Valid() && bytes.HasPrefix(it.Key(), from); it.Next() {
		out[string(it.Key()[1:])] = bytes.Clone(it.Value())
	}
	return out, it.Error()
}
