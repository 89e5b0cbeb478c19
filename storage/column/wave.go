package column

import (
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/segment"
)

// wave looks up what a sieve has sorted in all its segments at once: a batch has few keys
// for each of many segments, and what is read for them is waited for together.
type wave struct {
	prober segment.Prober
	probes []segment.Probe
	keys   []uint32 // of the probes
	found  []segment.Found
	runs   []waveRun // by segment
	done   bool
}

// waveRun is the keys of a segment, and what was found of them.
type waveRun struct{ keys, keysEnd, found, foundEnd int }

// find asks for the sieve's keys in their segments. When that fails, segments are asked
// one by one, and the one that is damaged says so.
func (w *wave) find(v *version, s *sieve, ks *keySet) {
	w.probes, w.keys, w.runs = w.probes[:0], w.keys[:0], w.runs[:0]
	w.found, w.done = nil, false
	var one *segFile
	for k, seg := range v.segs {
		run := waveRun{keys: len(w.keys)}
		for e := s.heads[k]; e >= 0; e = s.next[e] {
			w.probes = append(w.probes, segment.Probe{Reader: seg.r, Hash: ks.hash[s.keys[e]]})
			w.keys = append(w.keys, s.keys[e])
			one = seg
		}
		if run.keysEnd = len(w.keys); run.keysEnd > run.keys && !seg.r.HasKeyIndex() {
			return
		}
		w.runs = append(w.runs, run)
	}
	if one == nil {
		w.done = true
		return
	}
	err := one.r.Guard(func() (err error) {
		w.found, err = w.prober.Find(w.probes)
		return err
	})
	if w.done = err == nil; !w.done {
		return
	}
	at := 0
	for k := range w.runs {
		r := &w.runs[k]
		r.found = at
		for at < len(w.found) && w.found[at].Probe < r.keysEnd {
			at++
		}
		r.foundEnd = at
	}
}

// settle takes what was found in segment number k, and says of how many keys.
func (w *wave) settle(l *segLookup, k int, s *segFile, ks *keySet, at storage.CSN, out []place) (int, error) {
	l.taken = 0
	r := w.runs[k]
	if r.found == r.foundEnd || at != latest && s.csnMin() > uint64(at) || !l.bind(s, len(ks.cols)) {
		return 0, nil
	}
	err := s.guard(func() error { return l.settle(s, ks, w.found[r.found:r.foundEnd], w.keys, at, out) })
	return l.taken, err
}

func (w *wave) release() {
	clear(w.probes)
	w.prober.Release()
	w.found = nil
}
