package column

import (
	"context"

	"github.com/millrace/millrace/storage/vec"
)

// keyRunMax bounds the keys that are looked up at once.
const keyRunMax = 1 << 15

// keyRun gathers the keys of several chunks to look them up at once: what a segment and
// each of its blocks cost is paid once, and memory is read in the order of rows.
type keyRun struct {
	l    *lookup
	sets []*keySet
	at   []*[]place
	n    int
}

// add asks for the places of a set's keys, which are there after the next search.
func (r *keyRun) add(ctx context.Context, ks *keySet, at *[]place) error {
	if len(r.sets) > 0 && (r.n+ks.n > keyRunMax || !r.sets[0].joins(ks)) {
		if err := r.search(ctx); err != nil {
			return err
		}
	}
	r.sets, r.at = append(r.sets, ks), append(r.at, at)
	r.n += ks.n
	return nil
}

func (r *keyRun) search(ctx context.Context) error {
	if len(r.sets) == 0 {
		return nil
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	places := make([]place, r.n)
	ks := r.sets[0]
	if len(r.sets) > 1 {
		ks = joinKeys(r.sets, r.n)
	}
	if err := r.l.find(ks, places); err != nil {
		return err
	}
	for i, s := range r.sets {
		*r.at[i] = places[:s.n:s.n]
		places = places[s.n:]
	}
	r.sets, r.at, r.n = r.sets[:0], r.at[:0], 0
	return nil
}

// joins says whether the keys of both sets can be in one.
func (s *keySet) joins(o *keySet) bool {
	if len(s.cols) != len(o.cols) {
		return false
	}
	for i, v := range s.cols {
		if t := o.cols[i].T; t.OID != v.T.OID || t.Layout != v.T.Layout || t.Scale != v.T.Scale {
			return false
		}
	}
	return true
}

// joinKeys is the n keys of several sets, one after the other.
func joinKeys(sets []*keySet, n int) *keySet {
	j := &keySet{n: n, cols: make([]*vec.Vec, len(sets[0].cols)), hash: make([]uint32, 0, n)}
	if sets[0].ints != nil {
		j.ints = make([]int64, 0, n)
	}
	for i, v := range sets[0].cols {
		j.cols[i] = vec.New(v.T, n)
	}
	for _, s := range sets {
		for i, v := range s.cols {
			j.cols[i].Copy(v, nil, s.n)
		}
		j.hash = append(j.hash, s.hash[:s.n]...)
		j.ints = append(j.ints, s.ints...)
	}
	return j
}
