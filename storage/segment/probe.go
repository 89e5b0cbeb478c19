package segment

import (
	"encoding/binary"

	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// A hash that is looked up in an index takes four loads from memory, and the row's key
// two more, each of which needs the one before. On large tables all of them miss the
// caches, and waiting takes most of the time. So look-ups, of many segments, go side by
// side in groups, a step at a time: each step asks for what the next one reads.

// probeGroup is how many look-ups go side by side: many more than there can be loads
// under way, since the first of a step is waited for, and so few that what they load
// stays in the processor's nearer caches.
const probeGroup = 128

// probe is a look-up in an index under way.
type probe struct {
	x     *keyIndex
	hash  uint32
	pos   int32 // in upper, where the bucket of the hash begins
	first int32 // number of the bucket's first pair, -1 for none
}

// locate finds the buckets of the probes, and asks for their pairs. When the bytes of an
// index cannot be right it says which.
func locate(ps []probe) (bad *keyIndex) {
	for i := range ps {
		p := &ps[i]
		kernel.PrefetchBytes(p.x.samples, int(p.hash>>p.x.low/indexSample*4))
	}
	for i := range ps {
		p := &ps[i]
		x, bucket := p.x, int(uint64(p.hash)>>p.x.low)
		at := int(binary.LittleEndian.Uint32(x.samples[bucket/indexSample*4:]))
		w := at >> 6
		if w >= x.words {
			return x
		}
		p.pos = int32(at)
		kernel.PrefetchBytes(x.upper, int(w*8))
		// A bucket has a bit, and so have its pairs.
		per := (1<<(32-x.low) + x.n) >> (32 - x.low)
		kernel.PrefetchBytes(x.upper, int(min(w+bucket%indexSample*per>>6, x.words-1)*8))
	}
	for i := range ps {
		p := &ps[i]
		x, bucket := p.x, int(uint64(p.hash)>>p.x.low)
		pos, ok := x.start(int(p.pos), bucket%indexSample)
		k, w := pos-bucket, pos>>6
		if !ok || k < 0 || k > x.n || w >= x.words {
			return x
		}
		if p.pos, p.first = int32(pos), -1; binary.LittleEndian.Uint64(x.upper[w*8:])>>(uint(pos)&63)&1 == 0 {
			continue
		}
		if k >= x.n {
			return x
		}
		p.first = int32(k)
		kernel.PrefetchBytes(x.lows, int(uint64(k)*uint64(x.low)>>3))
		kernel.PrefetchBytes(x.rowsBits, int(uint64(k)*uint64(x.rowBits)>>3))
	}
	return nil
}

// Probe is a key to look up in the index of a segment.
type Probe struct {
	Reader *Reader
	Hash   uint32
}

// Found is a row that a probe found.
type Found struct {
	Probe int // which
	Row   uint32
	// Int is the row's key, if the key is one column of integers; Known says so. Else who
	// asks has to read it.
	Int   int64
	Known bool
}

// Prober looks up keys in many segments side by side. It is for one goroutine.
type Prober struct {
	group [probeGroup]probe
	used  int // of group
	cands []cand
	found []Found
}

// cand is a row with the hash of a probe.
type cand struct {
	points *encoding.Points
	probe  int32
	row    uint32
}

// Release forgets what was looked up.
func (b *Prober) Release() {
	clear(b.group[:b.used])
	b.used = 0
	clear(b.cands)
}

// Find is the rows whose key may be that of a probe, in the probes' order; they are good
// until the next call. It is called with faults of maps as panics: see Reader.Guard.
func (b *Prober) Find(probes []Probe) ([]Found, error) {
	b.found = b.found[:0]
	for from := 0; from < len(probes); from += probeGroup {
		group := b.group[:min(probeGroup, len(probes)-from)]
		b.used = max(b.used, len(group))
		for i := range group {
			p := &probes[from+i]
			x, err := p.Reader.keyIndex()
			if err != nil {
				return nil, err
			}
			group[i] = probe{x: x, hash: p.Hash}
		}
		if bad := locate(group); bad != nil {
			return nil, b.corrupt(probes, bad)
		}
		b.cands = b.cands[:0]
		for i := range group {
			p := &group[i]
			if p.first < 0 {
				continue
			}
			if !p.x.pairs(p, func(row uint32) { b.cands = append(b.cands, cand{probe: int32(from + i), row: row}) }) {
				return nil, b.corrupt(probes, p.x)
			}
		}
		if err := b.keys(probes); err != nil {
			return nil, err
		}
	}
	return b.found, nil
}

func (b *Prober) corrupt(probes []Probe, x *keyIndex) error {
	for i := range probes {
		if r := probes[i].Reader; r.index.Load() == x {
			return r.corrupt(r.foot.index.off, "key index", nil)
		}
	}
	return nil
}

// keys reads the keys of the candidates as far as they are single integers.
func (b *Prober) keys(probes []Probe) error {
	for i := range b.cands {
		c := &b.cands[i]
		r := probes[c.probe].Reader
		if len(r.foot.key) != 1 {
			continue
		}
		p, err := r.pointsOf(0, int(c.row/vec.BlockRows))
		if err != nil {
			return err
		}
		if p.Ok() {
			c.points = p
			p.Prefetch(int(c.row % vec.BlockRows))
		}
	}
	for i := range b.cands {
		if c := &b.cands[i]; c.points != nil {
			c.points.PrefetchValue(int(c.row % vec.BlockRows))
		}
	}
	for i := range b.cands {
		c := &b.cands[i]
		f := Found{Probe: int(c.probe), Row: c.row}
		if c.points != nil {
			var err error
			if f.Int, f.Known, err = c.points.At(int(c.row % vec.BlockRows)); err != nil {
				return probes[c.probe].Reader.corrupt(0, "key column", err)
			}
		}
		b.found = append(b.found, f)
	}
	return nil
}
