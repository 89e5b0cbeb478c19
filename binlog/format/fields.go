package format

import (
	"strings"

	"github.com/millrace/millrace/binlog/format/jsonscan"
)

// fields finds what is known under the keys of objects. Producers write their keys
// in one order, so a key is first compared with the one that stood in its place the
// last time; only a surprise costs a look into the map.
type fields struct {
	byName map[string]int
	seen   []seenKey
}

type seenKey struct {
	name   string
	slot   int
	quoted string // as it stands in the text; "" when that has escapes
}

// The places and lengths of keys worth remembering.
const (
	seenKeysMax = 512
	seenNameMax = 128
)

func newFields(names ...string) fields {
	f := fields{byName: make(map[string]int, len(names))}
	for i, n := range names {
		f.byName[n] = i
	}
	return f
}

// slot is the number of the key that stands at place pos of its object, -1 when it is
// not known.
func (f *fields) slot(pos int, key []byte) int {
	if pos < len(f.seen) && f.seen[pos].name == string(key) {
		return f.seen[pos].slot
	}
	return f.surprise(pos, key)
}

// next reads the key at place pos of an open object, if it is the one that stood there
// the last time: then its number. Otherwise nothing is read.
func (f *fields) next(s *jsonscan.Scanner, pos int) (slot int, ok bool) {
	if pos < len(f.seen) {
		if k := &f.seen[pos]; k.quoted != "" && s.Guess(pos == 0, k.quoted) {
			return k.slot, true
		}
	}
	return 0, false
}

// key is where the key that next has just read stands.
func (f *fields) key(s *jsonscan.Scanner, pos int) jsonscan.Value {
	end := uint32(s.Offset()) - 2
	return jsonscan.Value{From: end - uint32(len(f.seen[pos].name)), To: end, Kind: jsonscan.String}
}

func (f *fields) surprise(pos int, key []byte) int {
	slot, ok := f.byName[string(key)]
	if !ok {
		slot = -1
	}
	if pos < seenKeysMax && len(key) <= seenNameMax {
		for pos >= len(f.seen) {
			f.seen = append(f.seen, seenKey{slot: -1})
		}
		// The empty name stands for a place not seen yet; as a key it is rare.
		if len(key) > 0 {
			n := string(key)
			quoted := ""
			if !strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
				quoted = `"` + n + `":`
			}
			f.seen[pos] = seenKey{n, slot, quoted}
		}
	}
	return slot
}
