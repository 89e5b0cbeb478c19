package agg

import (
	"math"
	"math/bits"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

func init() {
	reg("approx_count_distinct", func(*Call) (State, error) { return &hll{}, nil })
}

// hll estimates the number of distinct values by HyperLogLog with 2^hllBits
// registers. A group with few values keeps their hashes instead, and is exact.
type hll struct {
	groups []hllGroup
	regs   []uint8 // of groups with many values, one after another
	hash   []uint64
	valid  []uint64
}

const (
	hllBits  = 12
	hllRegs  = 1 << hllBits
	hllExact = 32
)

type hllGroup struct {
	few  []uint64 // nil once dense
	base int32    // place of the registers, plus 1
}

func (s *hll) Grow(n int) { s.groups = extended(s.groups, n) }

func (s *hll) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	s.hash = grown(s.hash, n)
	kernel.HashVec(s.hash[:n], args[0], sel)
	valid := validity(&s.valid, args[0], sel, n)
	for k, h := range s.hash[:n] {
		if bit(valid, k) {
			s.add(groups[k], h)
		}
	}
	return nil
}

func (s *hll) add(g uint32, h uint64) {
	p := &s.groups[g]
	if p.base == 0 {
		for _, x := range p.few {
			if x == h {
				return
			}
		}
		if len(p.few) < hllExact {
			p.few = append(p.few, h)
			return
		}
		s.dense(p)
	}
	s.register(p, h)
}

func (s *hll) dense(p *hllGroup) {
	p.base = int32(len(s.regs)/hllRegs) + 1
	s.regs = extended(s.regs, len(s.regs)+hllRegs)
	for _, h := range p.few {
		s.register(p, h)
	}
	p.few = nil
}

func (s *hll) register(p *hllGroup, h uint64) {
	// The hash is folded once more: its low bits alone choose hash-table slots elsewhere.
	h *= 0x9E3779B97F4A7C15
	h ^= h >> 32
	r := &s.regs[int(p.base-1)*hllRegs+int(h>>(64-hllBits))]
	*r = max(*r, uint8(bits.LeadingZeros64(h<<hllBits|1<<(hllBits-1))+1))
}

func (s *hll) Merge(from State, src, dst []uint32) error {
	f := from.(*hll)
	for k, g := range src {
		a, b := &s.groups[dst[k]], &f.groups[g]
		for _, h := range b.few {
			s.add(dst[k], h)
		}
		if b.base == 0 {
			continue
		}
		if a.base == 0 {
			s.dense(a)
		}
		x, y := s.regs[int(a.base-1)*hllRegs:], f.regs[int(b.base-1)*hllRegs:]
		for i := range y[:hllRegs] {
			x[i] = max(x[i], y[i])
		}
	}
	return nil
}

func (s *hll) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		p := &s.groups[g]
		if p.base == 0 {
			out.AppendDatum(types.NewInt(int64(len(p.few))))
			continue
		}
		out.AppendDatum(types.NewInt(estimate(s.regs[int(p.base-1)*hllRegs:][:hllRegs])))
	}
	return nil
}

func estimate(regs []uint8) int64 {
	m := float64(len(regs))
	sum, zeros := 0.0, 0.0
	for _, r := range regs {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			zeros++
		}
	}
	e := 0.7213 / (1 + 1.079/m) * m * m / sum
	if e <= 2.5*m && zeros > 0 {
		e = m * math.Log(m/zeros)
	}
	return int64(math.Round(e))
}

func (s *hll) Bytes() int64 {
	return int64(cap(s.groups))*32 + int64(cap(s.regs)) + int64(len(s.groups))*8*hllExact
}
