package format

// fields finds what is known under the keys of objects. Producers write their keys
// in one order, so a key is first compared with the one that stood in its place the
// last time; only a surprise costs a look into the map.
type fields struct {
	byName map[string]int
	seen   []seenKey
}

type seenKey struct {
	name string
	slot int
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

func (f *fields) surprise(pos int, key []byte) int {
	slot, ok := f.byName[string(key)]
	if !ok {
		slot = -1
	}
	if pos < seenKeysMax && len(key) <= seenNameMax {
		for pos >= len(f.seen) {
			f.seen = append(f.seen, seenKey{"", -1})
		}
		// The empty name stands for a place not seen yet; as a key it is rare.
		if len(key) > 0 {
			f.seen[pos] = seenKey{string(key), slot}
		}
	}
	return slot
}
