package encoding

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Integers are encoded per vector, each in the smallest of these modes, after a
// table of 16-byte entries (base i64, offset u32, width u8, mode u8, extra u16),
// one a vector:
//
//	frame  base + packed * 10^extra; width 0 is a constant
//	patch  frame, but extra values that need more bits follow: their positions
//	       (u16 each, padded to 4 bytes), then their differences to base (u64)
//	delta  base is value 0; the least delta (i64) comes first, then what each
//	       delta exceeds it by, divided by 10^extra, packed (number 0 is 0)
//	run    extra runs: their ends (u16, padded to 4 bytes), then their values'
//	       differences to base in width bits (8, 16, 32, 64)
//	raw    differences to base in width bits (8, 16, 32, 64): short vectors
//
// Around that: kind (1 byte), size of a dictionary value (1), zero (2), entries
// of the dictionary (u32), its base (i64); then its values and nested ints for
// the codes (kind dict), nothing (kind const, the value is the base), or the
// table and its data (kind packed).
const (
	intsConst  = 0
	intsPacked = 1
	intsDict   = 2

	modeFrame = 0
	modePatch = 1
	modeDelta = 2
	modeRun   = 3
	modeRaw   = 4

	entryBytes      = 16
	intsHeaderBytes = 16
)

// ints is a parsed column of integers. All arithmetic wraps: values are int64
// whose low bits are those of the layout.
type ints struct {
	rows  int
	again bool // the table was checked before
	kind  uint8
	value int64  // const
	table []byte // packed
	data  []byte

	dictSize uint // bytes of a dictionary value
	dictN    int
	dictRaw  []byte
	dictVals []int64 // decoded on first use of a whole vector
	codes    *ints
}

// parse reads ints of this many rows from the start of b; nested ones have no
// dictionary of their own.
func (p *ints) parse(b []byte, rows int, nested bool) error {
	if len(b) < intsHeaderBytes {
		return corrupt("integers cut short")
	}
	p.rows, p.kind, p.value = rows, b[0], int64(u64(b[8:]))
	p.dictVals = p.dictVals[:0]
	size, n := uint(b[1]), int(u32(b[4:]))
	b = b[intsHeaderBytes:]
	switch p.kind {
	case intsConst:
		return nil
	case intsDict:
		if nested || n == 0 || n > rows || size != 1 && size != 2 && size != 4 && size != 8 || len(b) < align8(n*int(size)) {
			return corrupt("integer dictionary of %d values", n)
		}
		p.dictSize, p.dictN, p.dictRaw = size, n, b[:n*int(size)]
		if p.codes == nil {
			p.codes = new(ints)
		}
		p.codes.again = p.again
		return p.codes.parse(b[align8(n*int(size)):], rows, true)
	case intsPacked:
		return p.parseTable(b)
	}
	return corrupt("integers of kind %d", p.kind)
}

func (p *ints) parseTable(b []byte) error {
	nv := vectors(p.rows)
	if len(b) < nv*entryBytes {
		return corrupt("integer table cut short")
	}
	p.table, p.data = b[:nv*entryBytes], b[nv*entryBytes:]
	if p.again {
		return nil
	}
	for vi := range nv {
		e := p.entry(vi)
		n := vectorRows(p.rows, vi)
		need := 0
		switch e.mode {
		case modeFrame:
			need = frameBytes(n, e.width)
		case modePatch:
			need = frameBytes(n, e.width) + patchBytes(e.extra)
		case modeDelta:
			need = 8 + frameBytes(n, e.width)
		case modeRun:
			need = runBytes(e.extra, e.width)
		case modeRaw:
			need = n * int(e.width) / 8
		default:
			return corrupt("integer mode %d", e.mode)
		}
		if (e.mode == modeFrame || e.mode == modeDelta) && e.extra > scaleMax {
			return corrupt("integer scale %d", e.extra)
		}
		if e.width > 64 || (e.mode == modeRun || e.mode == modeRaw) && e.width != 8 && e.width != 16 && e.width != 32 && e.width != 64 {
			return corrupt("integer width %d", e.width)
		}
		if e.off > len(p.data) || need > len(p.data)-e.off {
			return corrupt("integers of vector %d lie outside the block", vi)
		}
	}
	return nil
}

type entry struct {
	base  int64
	off   int
	width uint
	mode  uint8
	extra int
}

func (p *ints) entry(vi int) entry {
	b := p.table[vi*entryBytes : vi*entryBytes+entryBytes]
	return entry{int64(u64(b)), int(u32(b[8:])), uint(b[12]), b[13], int(binary.LittleEndian.Uint16(b[14:]))}
}

// scaleMax is the largest exponent of ten that values are divided by, scales are
// the powers.
const scaleMax = 9

var scales = [scaleMax + 1]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

func frameBytes(n int, width uint) int { return kernel.PackedWords(n, width) * 4 }
func patchBytes(n int) int             { return (2*n+3)&^3 + 8*n }
func runBytes(n int, width uint) int   { return (2*n+3)&^3 + n*int(width)/8 }

// bounds are values that no row of vector vi lies outside of, where the entry
// tells; values are compared as signed.
func (p *ints) bounds(vi int) (lo, hi int64, ok bool) {
	switch p.kind {
	case intsConst:
		return p.value, p.value, true
	case intsPacked:
		e := p.entry(vi)
		if e.mode == modeFrame && e.width < 63 {
			over, span := bits.Mul64(1<<e.width-1, uint64(scales[e.extra]))
			hi := e.base + int64(span)
			return e.base, hi, over == 0 && int64(span) >= 0 && hi >= e.base
		}
	}
	return 0, 0, false
}

// dict is the decoded dictionary.
func (p *ints) dict() []int64 {
	if len(p.dictVals) == 0 {
		p.dictVals = slices.Grow(p.dictVals, p.dictN)[:p.dictN]
		for i := range p.dictVals {
			p.dictVals[i] = p.value + int64(uintAt(p.dictRaw, p.dictSize, i))
		}
	}
	return p.dictVals
}

// decode64 writes the values of vector vi to dst; what lies beyond the rows is
// unspecified.
func (p *ints) decode64(vi int, dst *[vec.Size]int64, s *Scratch) error {
	n := vectorRows(p.rows, vi)
	switch p.kind {
	case intsConst:
		kernel.Fill(dst[:n], p.value)
		return nil
	case intsDict:
		codes := &s.codes
		if err := p.decodeCodes(vi, codes); err != nil {
			return err
		}
		kernel.GatherU32(dst[:n], p.dict(), codes[:n])
		return nil
	}
	e := p.entry(vi)
	data := p.data[e.off:]
	switch e.mode {
	case modeFrame, modePatch:
		if e.mode == modeFrame && e.extra > 0 {
			unpack64(dst, data, n, e.width, 0)
			rescale(dst[:n], scales[e.extra], e.base)
			return nil
		}
		unpack64(dst, data, n, e.width, e.base)
		if e.mode == modePatch {
			data = data[frameBytes(n, e.width):]
			vals := data[(2*e.extra+3)&^3:]
			for k := range e.extra {
				i := int(uintAt(data, 2, k))
				if i >= n {
					return corrupt("patch at row %d", i)
				}
				dst[i] = e.base + int64(u64(vals[8*k:]))
			}
		}
	case modeDelta:
		if e.extra > 0 {
			unpack64(dst, data[8:], n, e.width, 0)
			rescale(dst[:n], scales[e.extra], int64(u64(data)))
		} else {
			unpack64(dst, data[8:], n, e.width, int64(u64(data)))
		}
		x := e.base
		dst[0] = x
		for i, d := range dst[1:n] {
			x += d
			dst[1+i] = x
		}
	case modeRun:
		vals, at := data[(2*e.extra+3)&^3:], 0
		for k := range e.extra {
			end := int(uintAt(data, 2, k))
			if end <= at || end > n {
				return corrupt("run ends at row %d", end)
			}
			kernel.Fill(dst[at:end], e.base+int64(uintAt(vals, e.width/8, k)))
			at = end
		}
		if at != n {
			return corrupt("runs end at row %d of %d", at, n)
		}
	case modeRaw:
		rawInts(dst[:n], data, e.width, e.base)
	}
	return nil
}

// rescale is v * scale + base.
func rescale[E int64 | uint32](v []E, scale, base E) {
	for i, x := range v {
		v[i] = x*scale + base
	}
}

func rawInts[E int64 | uint32](dst []E, data []byte, width uint, base int64) {
	switch width {
	case 8:
		data = data[:len(dst)]
		for i := range dst {
			dst[i] = E(base) + E(data[i])
		}
	case 16:
		for i := range dst {
			dst[i] = E(base) + E(binary.LittleEndian.Uint16(data[2*i:]))
		}
	case 32:
		for i := range dst {
			dst[i] = E(base) + E(binary.LittleEndian.Uint32(data[4*i:]))
		}
	default:
		for i := range dst {
			dst[i] = E(base) + E(binary.LittleEndian.Uint64(data[8*i:]))
		}
	}
}

func unpack64(dst *[vec.Size]int64, data []byte, n int, width uint, base int64) {
	w := kernel.U32s(data[:frameBytes(n, width)])
	for g := 0; g < n; g += kernel.GroupSize {
		kernel.UnpackI64((*[kernel.GroupSize]int64)(dst[g:]), w, width, base)
		w = w[16*width:]
	}
}

// unpack32 unpacks modulo 2^32 and adds base.
func unpack32(dst *[vec.Size]uint32, data []byte, n int, width uint, base uint32) {
	w := kernel.U32s(data[:frameBytes(n, width)])
	for g := 0; g < n; g += kernel.GroupSize {
		d := (*[kernel.GroupSize]uint32)(dst[g:])
		if width > 32 { // the low words come first
			for i, x := range w[:kernel.GroupSize] {
				d[i] = x + base
			}
		} else {
			kernel.UnpackU32(d, w, width, base)
		}
		w = w[16*width:]
	}
}

// decode32 is decode64 modulo 2^32.
func (p *ints) decode32(vi int, dst *[vec.Size]uint32, s *Scratch) error {
	n := vectorRows(p.rows, vi)
	switch p.kind {
	case intsConst:
		kernel.Fill(dst[:n], uint32(p.value))
		return nil
	case intsDict:
		codes := &s.codes
		if err := p.decodeCodes(vi, codes); err != nil {
			return err
		}
		vals := p.dict()
		for i, c := range codes[:n] {
			dst[i] = uint32(vals[c])
		}
		return nil
	}
	e := p.entry(vi)
	data := p.data[e.off:]
	switch e.mode {
	case modeFrame, modePatch:
		if e.mode == modeFrame && e.extra > 0 {
			unpack32(dst, data, n, e.width, 0)
			rescale(dst[:n], uint32(scales[e.extra]), uint32(e.base))
			return nil
		}
		unpack32(dst, data, n, e.width, uint32(e.base))
		if e.mode == modePatch {
			data = data[frameBytes(n, e.width):]
			vals := data[(2*e.extra+3)&^3:]
			for k := range e.extra {
				i := int(uintAt(data, 2, k))
				if i >= n {
					return corrupt("patch at row %d", i)
				}
				dst[i] = uint32(e.base) + u32(vals[8*k:])
			}
		}
	case modeDelta:
		if e.extra > 0 {
			unpack32(dst, data[8:], n, e.width, 0)
			rescale(dst[:n], uint32(scales[e.extra]), uint32(u64(data)))
		} else {
			unpack32(dst, data[8:], n, e.width, uint32(u64(data)))
		}
		x := uint32(e.base)
		dst[0] = x
		for i, d := range dst[1:n] {
			x += d
			dst[1+i] = x
		}
	case modeRun:
		vals, at := data[(2*e.extra+3)&^3:], 0
		for k := range e.extra {
			end := int(uintAt(data, 2, k))
			if end <= at || end > n {
				return corrupt("run ends at row %d", end)
			}
			kernel.Fill(dst[at:end], uint32(e.base)+uint32(uintAt(vals, e.width/8, k)))
			at = end
		}
		if at != n {
			return corrupt("runs end at row %d of %d", at, n)
		}
	case modeRaw:
		rawInts(dst[:n], data, e.width, e.base)
	}
	return nil
}

// decodeCodes decodes the codes of a dictionary and checks that all are in it.
func (p *ints) decodeCodes(vi int, dst *[vec.Size]uint32) error {
	if err := p.codes.decode32(vi, dst, nil); err != nil {
		return err
	}
	return checkCodes(dst[:vectorRows(p.rows, vi)], p.dictN)
}

// checkCodes says whether all codes are below n.
func checkCodes(codes []uint32, n int) error {
	if m := kernel.MaxU32(codes); len(codes) > 0 && int(m) >= n {
		return corrupt("code %d in a dictionary of %d", m, n)
	}
	return nil
}

// at is row i of vector vi, without decoding the vector; ok is false where that
// is not possible.
func (p *ints) at(vi, i int) (x int64, ok bool, err error) {
	switch p.kind {
	case intsConst:
		return p.value, true, nil
	case intsDict:
		c, ok, err := p.codes.at(vi, i)
		if !ok || err != nil {
			return 0, ok, err
		}
		if uint64(c) >= uint64(p.dictN) {
			return 0, false, corrupt("code %d in a dictionary of %d", c, p.dictN)
		}
		return p.value + int64(uintAt(p.dictRaw, p.dictSize, int(c))), true, nil
	}
	e := p.entry(vi)
	n := vectorRows(p.rows, vi)
	data := p.data[e.off:]
	switch e.mode {
	case modePatch:
		pos := data[frameBytes(n, e.width):]
		if k, found := searchU16(pos, e.extra, i); found {
			return e.base + int64(u64(pos[(2*e.extra+3)&^3+8*k:])), true, nil
		}
		fallthrough
	case modeFrame:
		g := i / kernel.GroupSize
		w := kernel.U32s(data[frameBytes(g*kernel.GroupSize, e.width):frameBytes((g+1)*kernel.GroupSize, e.width)])
		x := int64(kernel.PackedAt(w, e.width, i%kernel.GroupSize))
		if e.mode == modeFrame {
			x *= scales[e.extra]
		}
		return e.base + x, true, nil
	case modeRun:
		k, found := searchU16(data, e.extra, i)
		if found {
			k++ // ends are exclusive
		}
		if k >= e.extra {
			return 0, false, corrupt("runs end before row %d", i)
		}
		return e.base + int64(uintAt(data[(2*e.extra+3)&^3:], e.width/8, k)), true, nil
	case modeRaw:
		return e.base + int64(uintAt(data, e.width/8, i)), true, nil
	}
	return 0, false, nil
}

// searchU16 finds the first of n ascending numbers that is at least x.
func searchU16(b []byte, n, x int) (k int, found bool) {
	lo, hi := 0, n
	for lo < hi {
		m := (lo + hi) / 2
		if int(uintAt(b, 2, m)) < x {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < n && int(uintAt(b, 2, lo)) == x
}
