package encoding

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// A decimal block of floats: exponent (u32), number of exceptions (u32), for each
// vector and the end the first exception (u32), rows of the exceptions in their
// vectors (u16), padding, their bits (u64), padding; then ints. A value is its
// integer divided by 10^exponent, bit for bit; the others are exceptions.

const decimalExpMax = 15

var pow10 = [decimalExpMax + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func (b *Block) parseDecimal(data []byte) error {
	if len(data) < 8 {
		return corrupt("decimals cut short")
	}
	exp, n := u32(data), int(u32(data[4:]))
	nv := vectors(b.Rows)
	size := align8(8 + 4*(nv+1) + 2*n)
	if exp > decimalExpMax || n > b.Rows || len(data) < size+8*n {
		return corrupt("decimals with %d exceptions", n)
	}
	b.exp, b.except = int(exp), data[:size+8*n]
	prev := 0
	for i := 0; i <= nv; i++ {
		at := int(u32(data[8+4*i:]))
		if at < prev || at > n || i == nv && at != n {
			return corrupt("exceptions of vector %d", i)
		}
		prev = at
	}
	return b.a.parse(data[size+8*n:], b.Rows, false)
}

func (b *Block) decimalVector(vi int, dst *vec.Vec, s *Scratch) error {
	if err := b.a.decode64(vi, &s.wide, s); err != nil {
		return err
	}
	n, p := dst.N, pow10[b.exp]
	f32 := b.T.Layout == types.LayoutF32
	if f32 {
		for i, x := range s.wide[:n] {
			dst.F32[i] = float32(float64(x) / p)
		}
	} else {
		kernel.DecimalF64(dst.F64[:n], s.wide[:n], p)
	}
	count, nv := int(u32(b.except[4:])), vectors(b.Rows)
	rows := b.except[8+4*(nv+1):]
	vals := b.except[len(b.except)-8*count:]
	for k := int(u32(b.except[8+4*vi:])); k < int(u32(b.except[12+4*vi:])); k++ {
		i := int(uintAt(rows, 2, k))
		if i >= n {
			return corrupt("exception at row %d", i)
		}
		if f32 {
			dst.F32[i] = math.Float32frombits(u32(vals[8*k:]))
		} else {
			dst.F64[i] = math.Float64frombits(u64(vals[8*k:]))
		}
	}
	return nil
}

// gatherDecimal reads single rows of a vector.
func (b *Block) gatherDecimal(vi int, rows []uint16, dst *vec.Vec, s *Scratch) error {
	if err := b.a.gather(vi, rows, s); err != nil {
		return err
	}
	count, nv := int(u32(b.except[4:])), vectors(b.Rows)
	from, to := int(u32(b.except[8+4*vi:])), int(u32(b.except[12+4*vi:]))
	at := b.except[8+4*(nv+1)+2*from:]
	vals := b.except[len(b.except)-8*count+8*from:]
	p := pow10[b.exp]
	f32 := b.T.Layout == types.LayoutF32
	for k, x := range s.wide[:len(rows)] {
		y, bits := float64(x)/p, uint64(0)
		e, found := searchU16(at, to-from, int(rows[k]))
		if found {
			bits = u64(vals[8*e:])
		}
		switch {
		case f32 && found:
			dst.F32[k] = math.Float32frombits(uint32(bits))
		case f32:
			dst.F32[k] = float32(y)
		case found:
			dst.F64[k] = math.Float64frombits(bits)
		default:
			dst.F64[k] = y
		}
	}
	return nil
}

// decimalOf is the integer that gives x at exponent e, if there is one.
func decimalOf(x float64, e int, f32 bool) (int64, bool) {
	y := x * pow10[e]
	if !(math.Abs(y) < 1<<51) {
		return 0, false
	}
	i := int64(math.RoundToEven(y))
	if f32 {
		return i, math.Float32bits(float32(float64(i)/pow10[e])) == math.Float32bits(float32(x))
	}
	return i, math.Float64bits(float64(i)/pow10[e]) == math.Float64bits(x)
}

// floatAt is value i of a float vector.
func floatAt(v *vec.Vec, i int) float64 {
	if v.T.Layout == types.LayoutF32 {
		return float64(v.F32[i])
	}
	return v.F64[i]
}

// decimalExp picks the least exponent that most of a sample has, -1 for none.
func decimalExp(v *vec.Vec, n int) int {
	step := max(1, n/512)
	f32 := v.T.Layout == types.LayoutF32
	for e := 0; e <= decimalExpMax; e++ {
		ok, seen := 0, 0
		for i := 0; i < n; i += step {
			if _, is := decimalOf(floatAt(v, i), e, f32); is {
				ok++
			}
			if seen++; seen == 16 && ok < 8 {
				break
			}
		}
		if ok >= seen-seen/16 {
			return e
		}
	}
	return -1
}

// appendDecimal appends the decimal form of n floats, nil when too many are
// exceptions.
func appendDecimal(dst []byte, v *vec.Vec, n, e int, s *Scratch) []byte {
	f32 := v.T.Layout == types.LayoutF32
	ints := s.intBuf(n)
	s.except = s.except[:0]
	last := int64(0)
	for i := range n {
		x, ok := decimalOf(floatAt(v, i), e, f32)
		if !ok {
			if v.Valid == nil || vec.Bit(v.Valid, i) {
				s.except = append(s.except, i)
			}
			x = last
		}
		ints[i], last = x, x
	}
	if len(s.except) > n/8 {
		return nil
	}
	fillNulls(ints, v.Valid)
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(e))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s.except)))
	k := 0
	for vi := 0; vi <= vectors(n); vi++ {
		for k < len(s.except) && s.except[k] < vi*vec.Size {
			k++
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(k))
	}
	for _, i := range s.except {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(i%vec.Size))
	}
	dst = pad8(dst, start)
	for _, i := range s.except {
		if f32 {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(math.Float32bits(v.F32[i])))
		} else {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.F64[i]))
		}
	}
	return appendInts(dst, ints, intsOptions{dict: true, points: true}, s)
}
