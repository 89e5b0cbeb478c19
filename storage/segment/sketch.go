package segment

import (
	"math"
	"math/bits"
)

const (
	sketchBits = 10
	sketchSize = 1 << sketchBits
)

// Sketch estimates the number of distinct values among those whose hashes it
// saw (HyperLogLog, 1,024 registers: 3% off). Sketches merge.
type Sketch struct {
	reg [sketchSize]uint8
}

// Add takes note of hashes.
func (s *Sketch) Add(hashes []uint64) {
	for _, h := range hashes {
		s.add(h)
	}
}

func (s *Sketch) add(h uint64) {
	i := h >> (64 - sketchBits)
	r := uint8(bits.LeadingZeros64(h<<sketchBits|1<<(sketchBits-1)) + 1)
	if r > s.reg[i] {
		s.reg[i] = r
	}
}

// Merge adds what other saw.
func (s *Sketch) Merge(other *Sketch) {
	for i, r := range other.reg {
		s.reg[i] = max(s.reg[i], r)
	}
}

// Estimate is the number of distinct values, about.
func (s *Sketch) Estimate() float64 {
	sum, zeros := 0.0, 0
	for _, r := range s.reg {
		sum += 1 / float64(uint64(1)<<r)
		if r == 0 {
			zeros++
		}
	}
	const m = float64(sketchSize)
	e := 0.7213 / (1 + 1.079/m) * m * m / sum
	if e <= 2.5*m && zeros > 0 {
		return m * math.Log(m/float64(zeros))
	}
	return e
}

// append writes the sketch: its registers, or the few that are set.
func (s *Sketch) append(e *encoder) {
	set := 0
	for _, r := range s.reg {
		if r != 0 {
			set++
		}
	}
	if set*3 >= sketchSize {
		e.uint(sketchSize)
		e.b = append(e.b, s.reg[:]...)
		return
	}
	e.uint(uint64(set))
	for i, r := range s.reg {
		if r != 0 {
			e.uint(uint64(i))
			e.b = append(e.b, r)
		}
	}
}

func (d *decoder) sketch() *Sketch {
	s := new(Sketch)
	n := d.uint()
	if n == sketchSize {
		copy(s.reg[:], d.bytes(sketchSize))
	} else {
		for range min(n, sketchSize) {
			i, r := d.uint(), d.byte()
			if i < sketchSize {
				s.reg[i] = r
			}
		}
	}
	for i := range s.reg {
		s.reg[i] = min(s.reg[i], 64-sketchBits+1)
	}
	return s
}
