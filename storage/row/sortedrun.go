package row

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// sortedRun is changes of one tablet in the order of their keys, each key once. It never
// changes.
type sortedRun struct {
	prefix string // begins all keys
	all    []*Changes
	refs   []ref // in all
}

// headOf is the first eight bytes of what follows the common prefix of keys.
func headOf(rest []byte) uint64 {
	if len(rest) >= 8 {
		return binary.BigEndian.Uint64(rest)
	}
	var b [8]byte
	copy(b[:], rest)
	return binary.BigEndian.Uint64(b[:])
}

func (r *sortedRun) key(i int) []byte { return r.all[r.refs[i].of].key(int(r.refs[i].i)) }

// value is nil for a removed key.
func (r *sortedRun) value(i int) []byte { return r.all[r.refs[i].of].value(int(r.refs[i].i)) }

// search is the first place whose key is not below key.
func (r *sortedRun) search(key []byte) int {
	n := len(r.prefix)
	if len(key) < n || string(key[:n]) != r.prefix {
		if string(key) < r.prefix {
			return 0
		}
		return len(r.refs)
	}
	head := headOf(key[n:])
	return sort.Search(len(r.refs), func(i int) bool {
		if h := r.refs[i].head; h != head {
			return h > head
		}
		return bytes.Compare(r.key(i), key) >= 0
	})
}

// find is the value of a key, nil for a removed one; ok is false when the run does not
// have the key.
func (r *sortedRun) find(key []byte) (value []byte, ok bool) {
	i := r.search(key)
	if i == len(r.refs) || !bytes.Equal(r.key(i), key) {
		return nil, false
	}
	return r.value(i), true
}

// over is r with the changes of an older run that it does not have itself.
func (r *sortedRun) over(old *sortedRun) *sortedRun {
	a, b, add := old.refs, r.refs, int32(len(old.all))
	out := &sortedRun{prefix: r.prefix, all: make([]*Changes, 0, len(old.all)+len(r.all)), refs: make([]ref, 0, len(a)+len(b))}
	out.all = append(append(out.all, old.all...), r.all...)
	refs := out.refs
	for len(a) > 0 && len(b) > 0 {
		x := 0
		switch {
		case a[0].head < b[0].head:
			x = -1
		case a[0].head > b[0].head:
			x = 1
		default:
			x = bytes.Compare(old.all[a[0].of].key(int(a[0].i)), r.all[b[0].of].key(int(b[0].i)))
		}
		if x < 0 {
			refs = append(refs, a[0])
			a = a[1:]
			continue
		}
		if x == 0 {
			a = a[1:]
		}
		refs = append(refs, ref{b[0].head, b[0].of + add, b[0].i})
		b = b[1:]
	}
	refs = append(refs, a...)
	for _, x := range b {
		refs = append(refs, ref{x.head, x.of + add, x.i})
	}
	out.refs = refs
	return out
}

// onto appends a run to others, oldest first, and merges while the last is not much
// smaller than the one before: so there are few, and a change is merged few times.
func (r *sortedRun) onto(runs []*sortedRun) []*sortedRun {
	out := append(runs[:len(runs):len(runs)], r)
	for n := len(out); n > 1 && len(out[n-2].refs) < 2*len(out[n-1].refs); n-- {
		out[n-2] = out[n-1].over(out[n-2])
		out = out[:n-1]
	}
	return out
}
