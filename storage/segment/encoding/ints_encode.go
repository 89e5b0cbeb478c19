package encoding

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// intsOptions says what the choice of a form may do.
type intsOptions struct {
	// dict allows a dictionary around the packed form.
	dict bool
	// points asks for forms whose rows can be read alone: no deltas, unless they
	// save most of the space.
	points bool
}

// vectorPlan is how one vector will be packed.
type vectorPlan struct {
	entry
	bytes    int
	deltaMin int64
}

// planVector measures a vector of integers and chooses its mode.
func planVector(v []int64, points bool) vectorPlan {
	n := len(v)
	lo, hi := v[0], v[0]
	var dlo, dhi int64
	runs := 1
	if n > 1 {
		dlo, dhi = v[1]-v[0], v[1]-v[0]
	}
	prev := v[0]
	for _, x := range v[1:] {
		lo, hi = min(lo, x), max(hi, x)
		d := x - prev
		dlo, dhi = min(dlo, d), max(dhi, d)
		if d != 0 {
			runs++
		}
		prev = x
	}
	span := uint64(hi - lo)
	width := uint(bits.Len64(span))
	scale := 0
	if width >= 8 && width < 64 { // 64: deltas may wrap, which no division survives
		scale = commonScale(v, lo)
	}
	scaled := uint(bits.Len64(span / uint64(scales[scale])))
	best := vectorPlan{entry: entry{base: lo, width: scaled, mode: modeFrame, extra: scale}, bytes: frameBytes(n, scaled)}
	if width == 0 {
		return best
	}
	size := uintSize(span) * 8
	if b := n * int(size) / 8; b < best.bytes {
		best = vectorPlan{entry: entry{base: lo, width: size, mode: modeRaw}, bytes: b}
	}
	if b := runBytes(runs, size); b+b/16 < best.bytes {
		best = vectorPlan{entry: entry{base: lo, width: size, mode: modeRun, extra: runs}, bytes: b}
	}
	// Deltas cost a pass over the whole vector for a single row.
	dw := uint(bits.Len64(uint64(dhi-dlo) / uint64(scales[scale])))
	b := 8 + frameBytes(n, dw)
	worth := b + b/8
	if points {
		worth = 3 * b
	}
	if worth < best.bytes {
		best = vectorPlan{entry: entry{base: v[0], width: dw, mode: modeDelta, extra: scale}, bytes: b, deltaMin: dlo}
	}
	if width > 2 && scale == 0 && best.bytes > n/4 {
		var hist [65]int
		for _, x := range v {
			hist[bits.Len64(uint64(x-lo))]++
		}
		above := 0
		for w := int(width) - 1; w >= 0; w-- {
			above += hist[w+1]
			if above > n/8 {
				break
			}
			if b := frameBytes(n, uint(w)) + patchBytes(above); b+b/8 < best.bytes {
				best = vectorPlan{entry: entry{base: lo, width: uint(w), mode: modePatch, extra: above}, bytes: b}
			}
		}
	}
	return best
}

// commonScale is the largest exponent of ten whose power divides all differences
// to base: timestamps of whole seconds, whole numbers with decimals.
func commonScale(v []int64, base int64) int {
	e := scaleMax
	for _, x := range v {
		for d := uint64(x - base); d%uint64(scales[e]) != 0; {
			if e--; e == 0 {
				return 0
			}
		}
	}
	return e
}

// appendVector appends the data of a vector as planned.
func appendVector(dst []byte, v []int64, p vectorPlan, s *Scratch) []byte {
	switch p.mode {
	case modeFrame:
		return appendPacked(dst, v, p.base, scales[p.extra], p.width, s)
	case modePatch:
		dst = appendPacked(dst, v, p.base, 1, p.width, s)
		start := len(dst)
		for i, x := range v {
			if bits.Len64(uint64(x-p.base)) > int(p.width) {
				dst = binary.LittleEndian.AppendUint16(dst, uint16(i))
			}
		}
		for (len(dst)-start)&3 != 0 {
			dst = append(dst, 0)
		}
		for _, x := range v {
			if bits.Len64(uint64(x-p.base)) > int(p.width) {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(x-p.base))
			}
		}
	case modeDelta:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(p.deltaMin))
		d := s.deltas[:len(v)]
		d[0] = p.deltaMin
		for i := 1; i < len(v); i++ {
			d[i] = v[i] - v[i-1]
		}
		dst = appendPacked(dst, d, p.deltaMin, scales[p.extra], p.width, s)
	case modeRun:
		start := len(dst)
		for i := 1; i < len(v); i++ {
			if v[i] != v[i-1] {
				dst = binary.LittleEndian.AppendUint16(dst, uint16(i))
			}
		}
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(v)))
		for (len(dst)-start)&3 != 0 {
			dst = append(dst, 0)
		}
		for i, x := range v {
			if i == 0 || x != v[i-1] {
				dst = appendUint(dst, p.width/8, uint64(x-p.base))
			}
		}
	case modeRaw:
		for _, x := range v {
			dst = appendUint(dst, p.width/8, uint64(x-p.base))
		}
	}
	for len(dst)&3 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// appendPacked appends v minus base, divided by scale, in groups; values too wide
// lose their high bits (patches bring them back).
func appendPacked(dst []byte, v []int64, base, scale int64, width uint, s *Scratch) []byte {
	if width == 0 {
		return dst
	}
	mask := ^uint64(0) >> (64 - width)
	for len(v) > 0 {
		n := min(len(v), kernel.GroupSize)
		if scale == 1 {
			for i, x := range v[:n] {
				s.group[i] = uint64(x-base) & mask
			}
		} else {
			for i, x := range v[:n] {
				s.group[i] = uint64(x-base) / uint64(scale)
			}
		}
		w := s.packed[:16*width]
		kernel.PackGroup(w, s.group[:n], width)
		for _, x := range w {
			dst = binary.LittleEndian.AppendUint32(dst, x)
		}
		v = v[n:]
	}
	return dst
}

// appendInts appends the nested form of v (at least one value). dst must end at
// a multiple of 8 from the block's start; so does the result.
func appendInts(dst []byte, v []int64, o intsOptions, s *Scratch) []byte {
	start := len(dst)
	nv := vectors(len(v))
	packed, constant := intsHeaderBytes+nv*entryBytes, true
	for vi := range nv {
		part := v[vi*vec.Size : vi*vec.Size+vectorRows(len(v), vi)]
		p := planVector(part, o.points)
		s.plans[vi] = p
		packed += p.bytes
		constant = constant && p.mode == modeFrame && p.width == 0 && p.base == s.plans[0].base
	}
	if constant {
		return appendIntsHeader(dst, intsConst, 0, 0, v[0])
	}
	if o.dict && packed > len(v)/2 {
		if values := s.distinctInts(v, len(v)/4); values != nil {
			span := uint64(values[len(values)-1] - values[0])
			size := uintSize(span)
			guess := intsHeaderBytes + align8(len(values)*int(size)) + len(v)*bits.Len(uint(len(values)-1))/8 + nv*entryBytes
			if guess+guess/16 < packed {
				dst = appendIntsHeader(dst, intsDict, size, len(values), values[0])
				for _, x := range values {
					dst = appendUint(dst, size, uint64(x-values[0]))
				}
				dst = pad8(dst, start)
				return appendInts(dst, s.codesOf(v, values), intsOptions{points: o.points}, s)
			}
		}
	}
	dst = appendIntsHeader(dst, intsPacked, 0, 0, 0)
	table := len(dst)
	dst = append(dst, make([]byte, nv*entryBytes)...)
	data := len(dst)
	for vi := range nv {
		p := s.plans[vi]
		e := dst[table+vi*entryBytes:]
		binary.LittleEndian.PutUint64(e, uint64(p.base))
		binary.LittleEndian.PutUint32(e[8:], uint32(len(dst)-data))
		e[12], e[13] = byte(p.width), p.mode
		binary.LittleEndian.PutUint16(e[14:], uint16(p.extra))
		dst = appendVector(dst, v[vi*vec.Size:vi*vec.Size+vectorRows(len(v), vi)], p, s)
	}
	return pad8(dst, start)
}

func appendIntsHeader(dst []byte, kind uint8, size uint, n int, base int64) []byte {
	dst = append(dst, kind, byte(size), 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	return binary.LittleEndian.AppendUint64(dst, uint64(base))
}

const intTableSlots = 1 << 16

// distinctInts is the sorted distinct values of v, nil when there are more than
// limit or so. A sample decides whether to count at all.
func (s *Scratch) distinctInts(v []int64, limit int) []int64 {
	if s.slots == nil {
		s.slots = make([]int64, intTableSlots)
		s.used = make([]uint64, intTableSlots/64)
	}
	limit = min(limit, intTableSlots/4)
	clear(s.used)
	s.values = s.values[:0]
	sampled := 0
	if len(v) > 8192 {
		// 4,096 values from all over; more than half distinct is hopeless, and so
		// are nearly as many distinct as the limit.
		for i := 0; i < len(v); i += len(v) / 4096 {
			s.addInt(v[i])
			sampled++
		}
		if len(s.values) > sampled/2 {
			return nil
		}
	}
	for _, x := range v {
		s.addInt(x)
		if len(s.values) > limit {
			return nil
		}
	}
	slices.Sort(s.values)
	return s.values
}

func intSlot(x int64) uint32 { return uint32(uint64(x)*0x9E3779B97F4A7C15>>48) & (intTableSlots - 1) }

func (s *Scratch) addInt(x int64) {
	for i := intSlot(x); ; i = (i + 1) & (intTableSlots - 1) {
		if s.used[i>>6]>>(i&63)&1 == 0 {
			s.used[i>>6] |= 1 << (i & 63)
			s.slots[i] = x
			s.values = append(s.values, x)
			return
		}
		if s.slots[i] == x {
			return
		}
	}
}

// codesOf maps v to positions in values, which distinctInts has just made.
func (s *Scratch) codesOf(v, values []int64) []int64 {
	if s.ranks == nil {
		s.ranks = make([]uint32, intTableSlots)
	}
	find := func(x int64) uint32 {
		i := intSlot(x)
		for s.slots[i] != x || s.used[i>>6]>>(i&63)&1 == 0 {
			i = (i + 1) & (intTableSlots - 1)
		}
		return i
	}
	for r, x := range values {
		s.ranks[find(x)] = uint32(r)
	}
	s.codeVals = slices.Grow(s.codeVals[:0], len(v))[:len(v)]
	for i, x := range v {
		s.codeVals[i] = int64(s.ranks[find(x)])
	}
	return s.codeVals
}
