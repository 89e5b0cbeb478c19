package kernel

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// CmpConst sets bit i of out when v[i] op c, for all of v.
func CmpConst[E Integer](op Op, v []E, c E, out []uint64) {
	switch op {
	case EQ, NE:
		eqConst(v, c, out)
	case GT, LE:
		gtConst(v, c, out)
	default:
		ltConst(v, c, out)
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(v))
	}
}

// CmpVec sets bit i of out when a[i] op b[i], for all of a.
func CmpVec[E Integer](op Op, a, b []E, out []uint64) {
	switch op {
	case EQ, NE:
		eqVec(a, b, out)
	case GT, LE:
		ltVec(b[:len(a)], a, out)
	default:
		ltVec(a, b, out)
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(a))
	}
}

// CmpFloatConst is CmpConst with PostgreSQL's order of floats: NaN equals NaN
// and is above all else; -0 = 0.
func CmpFloatConst[E Float](op Op, v []E, c E, out []uint64) {
	n := len(v)
	if c != c {
		switch op {
		case GT:
			Zeros(out, n)
		case LE:
			Ones(out, n)
		default:
			eqVec(v, v, out) // not NaN
			if op == EQ || op == GE {
				Not(out, n)
			}
		}
		return
	}
	switch op {
	case EQ, NE:
		eqConst(v, c, out)
	case LE, GT:
		leConst(v, c, out)
	default:
		ltConst(v, c, out)
	}
	if op == NE || op == GT || op == GE {
		Not(out, n)
	}
}

// CmpFloatVec is CmpVec with PostgreSQL's order of floats.
func CmpFloatVec[E Float](op Op, a, b []E, out []uint64) {
	switch op {
	case EQ, NE:
		eqFloatVec(a, b, out)
	case GT, LE:
		ltFloatVec(b[:len(a)], a, out)
	default:
		ltFloatVec(a, b, out)
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(a))
	}
}

// Between sets bit i of out when lo <= v[i] <= hi.
func Between[E Integer](v []E, lo, hi E, out []uint64) {
	if hi < lo {
		Zeros(out, len(v))
		return
	}
	if u, ok := any(v).([]uint32); ok {
		betweenU32(u, uint32(lo), uint32(hi), out)
		return
	}
	for len(v) >= 64 {
		b := (*[64]E)(v)
		var x uint64
		for j := 0; j < 64; j += 4 {
			x |= (b2u(b[j] >= lo)&b2u(b[j] <= hi) | b2u(b[j+1] >= lo)&b2u(b[j+1] <= hi)<<1 |
				b2u(b[j+2] >= lo)&b2u(b[j+2] <= hi)<<2 | b2u(b[j+3] >= lo)&b2u(b[j+3] <= hi)<<3) << uint(j)
		}
		out[0] = x
		v, out = v[64:], out[1:]
	}
	if len(v) > 0 {
		var x uint64
		for j, e := range v {
			x |= (b2u(e >= lo) & b2u(e <= hi)) << uint(j)
		}
		out[0] = x
	}
}

// betweenU32 is one compare a value: (v - lo) <= (hi - lo) without sign.
func betweenU32(v []uint32, lo, hi uint32, out []uint64) {
	done := 0
	if accelerated {
		done = betweenU32Accel(v, lo, hi, out)
	}
	v, out = v[done:], out[done>>6:]
	d := hi - lo
	for len(v) >= 64 {
		b := (*[64]uint32)(v)
		var x uint64
		for j := 0; j < 64; j += 4 {
			x |= (b2u(b[j]-lo <= d) | b2u(b[j+1]-lo <= d)<<1 | b2u(b[j+2]-lo <= d)<<2 | b2u(b[j+3]-lo <= d)<<3) << uint(j)
		}
		out[0] = x
		v, out = v[64:], out[1:]
	}
	if len(v) > 0 {
		var x uint64
		for j, e := range v {
			x |= b2u(e-lo <= d) << uint(j)
		}
		out[0] = x
	}
}

func eqConst[E Number](v []E, c E, out []uint64) {
	done := 0
	if accelerated {
		done = cmpConstAccel(EQ, v, c, out)
	}
	v, out = v[done:], out[done>>6:]
	for len(v) >= 64 {
		b := (*[64]E)(v)
		var x uint64
		for j := 0; j < 64; j += 8 {
			x |= (b2u(b[j] == c) | b2u(b[j+1] == c)<<1 | b2u(b[j+2] == c)<<2 | b2u(b[j+3] == c)<<3 |
				b2u(b[j+4] == c)<<4 | b2u(b[j+5] == c)<<5 | b2u(b[j+6] == c)<<6 | b2u(b[j+7] == c)<<7) << uint(j)
		}
		out[0] = x
		v, out = v[64:], out[1:]
	}
	if len(v) > 0 {
		var x uint64
		for j, e := range v {
			x |= b2u(e == c) << uint(j)
		}
		out[0] = x
	}
}

func gtConst[E Number](v []E, c E, out []uint64) {
	done := 0
	if accelerated {
		done = cmpConstAccel(GT, v, c, out)
	}
	v, out = v[done:], out[done>>6:]
	for len(v) >= 64 {
		b := (*[64]E)(v)
		var x uint64
		for j := 0; j < 64; j += 8 {
			x |= (b2u(b[j] > c) | b2u(b[j+1] > c)<<1 | b2u(b[j+2] > c)<<2 | b2u(b[j+3] > c)<<3 |
				b2u(b[j+4] > c)<<4 | b2u(b[j+5] > c)<<5 | b2u(b[j+6] > c)<<6 | b2u(b[j+7] > c)<<7) << uint(j)
		}
		out[0] = x
		v, out = v[64:], out[1:]
	}
	if len(v) > 0 {
		var x uint64
		for j, e := range v {
			x |= b2u(e > c) << uint(j)
		}
		out[0] = x
	}
}

func ltConst[E Number](v []E, c E, out []uint64) {
	done := 0
	if accelerated {
		done = cmpConstAccel(LT, v, c, out)
	}
	v, out = v[done:], out[done>>6:]
	for len(v) >= 64 {
		b := (*[64]E)(v)
		var x uint64
		for j := 0; j < 64; j += 8 {
			x |= (b2u(b[j] < c) | b2u(b[j+1] < c)<<1 | b2u(b[j+2] < c)<<2 | b2u(b[j+3] < c)<<3 |
				b2u(b[j+4] < c)<<4 | b2u(b[j+5] < c)<<5 | b2u(b[j+6] < c)<<6 | b2u(b[j+7] < c)<<7) << uint(j)
		}
		out[0] = x
		v, out = v[64:], out[1:]
	}
	if len(v) > 0 {
		var x uint64
		for j, e := range v {
			x |= b2u(e < c) << uint(j)
		}
		out[0] = x
	}
}

func leConst[E Float](v []E, c E, out []uint64) {
	done := 0
	if accelerated {
		done = cmpConstAccel(LE, v, c, out)
	}
	v, out = v[done:], out[done>>6:]
	for len(v) >= 64 {
		b := (*[64]E)(v)
		var x uint64
		for j := 0; j < 64; j += 4 {
			x |= (b2u(b[j] <= c) | b2u(b[j+1] <= c)<<1 | b2u(b[j+2] <= c)<<2 | b2u(b[j+3] <= c)<<3) << uint(j)
		}
		out[0] = x
		v, out = v[64:], out[1:]
	}
	if len(v) > 0 {
		var x uint64
		for j, e := range v {
			x |= b2u(e <= c) << uint(j)
		}
		out[0] = x
	}
}

func eqVec[E Number](a, b []E, out []uint64) {
	b = b[:len(a)]
	for len(a) >= 64 {
		p, q := (*[64]E)(a), (*[64]E)(b)
		var x uint64
		for j := 0; j < 64; j += 4 {
			x |= (b2u(p[j] == q[j]) | b2u(p[j+1] == q[j+1])<<1 | b2u(p[j+2] == q[j+2])<<2 | b2u(p[j+3] == q[j+3])<<3) << uint(j)
		}
		out[0] = x
		a, b, out = a[64:], b[64:], out[1:]
	}
	if len(a) > 0 {
		var x uint64
		for j, e := range a {
			x |= b2u(e == b[j]) << uint(j)
		}
		out[0] = x
	}
}

func ltVec[E Number](a, b []E, out []uint64) {
	b = b[:len(a)]
	for len(a) >= 64 {
		p, q := (*[64]E)(a), (*[64]E)(b)
		var x uint64
		for j := 0; j < 64; j += 4 {
			x |= (b2u(p[j] < q[j]) | b2u(p[j+1] < q[j+1])<<1 | b2u(p[j+2] < q[j+2])<<2 | b2u(p[j+3] < q[j+3])<<3) << uint(j)
		}
		out[0] = x
		a, b, out = a[64:], b[64:], out[1:]
	}
	if len(a) > 0 {
		var x uint64
		for j, e := range a {
			x |= b2u(e < b[j]) << uint(j)
		}
		out[0] = x
	}
}

func eqFloatVec[E Float](a, b []E, out []uint64) {
	b = b[:len(a)]
	for i := range words(len(a)) {
		lo, hi := i<<6, min(i<<6+64, len(a))
		p, q := a[lo:hi], b[lo:hi]
		var x uint64
		for j, e := range p {
			f := q[j]
			x |= (b2u(e == f) | b2u(e != e)&b2u(f != f)) << uint(j)
		}
		out[i] = x
	}
}

func ltFloatVec[E Float](a, b []E, out []uint64) {
	b = b[:len(a)]
	for i := range words(len(a)) {
		lo, hi := i<<6, min(i<<6+64, len(a))
		p, q := a[lo:hi], b[lo:hi]
		var x uint64
		for j, e := range p {
			f := q[j]
			x |= (b2u(e < f) | b2u(f != f)&b2u(e == e)) << uint(j)
		}
		out[i] = x
	}
}

func words(n int) int { return (n + 63) >> 6 }

// selWords is a bitmap of a vector's rows.
type selWords [vec.Size / 64]uint64

// SelConst writes to out the positions of v that are op c, without a branch, and
// returns how many. out has room for len(v).
func SelConst[E Integer](op Op, v []E, c E, out []uint16) int {
	out = out[:len(v)]
	if accelerated && len(v) <= len(selWords{})*64 {
		var b selWords
		CmpConst(op, v, c, b[:])
		return BitsToSel(b[:], len(v), out)
	}
	k := 0
	switch op {
	case EQ:
		for i, e := range v {
			out[k] = uint16(i)
			k += b2i(e == c)
		}
	case NE:
		for i, e := range v {
			out[k] = uint16(i)
			k += b2i(e != c)
		}
	case LT:
		for i, e := range v {
			out[k] = uint16(i)
			k += b2i(e < c)
		}
	case LE:
		for i, e := range v {
			out[k] = uint16(i)
			k += b2i(e <= c)
		}
	case GT:
		for i, e := range v {
			out[k] = uint16(i)
			k += b2i(e > c)
		}
	default:
		for i, e := range v {
			out[k] = uint16(i)
			k += b2i(e >= c)
		}
	}
	return k
}

// RefineConst writes to out the rows of sel for which v[row] op c and returns how
// many; out may be sel.
func RefineConst[E Integer](op Op, v []E, c E, sel, out []uint16) int {
	out = out[:len(sel)]
	k := 0
	switch op {
	case EQ:
		for _, i := range sel {
			out[k] = i
			k += b2i(v[i] == c)
		}
	case NE:
		for _, i := range sel {
			out[k] = i
			k += b2i(v[i] != c)
		}
	case LT:
		for _, i := range sel {
			out[k] = i
			k += b2i(v[i] < c)
		}
	case LE:
		for _, i := range sel {
			out[k] = i
			k += b2i(v[i] <= c)
		}
	case GT:
		for _, i := range sel {
			out[k] = i
			k += b2i(v[i] > c)
		}
	default:
		for _, i := range sel {
			out[k] = i
			k += b2i(v[i] >= c)
		}
	}
	return k
}

func ltI128(a, b types.Int128) uint64 {
	return b2u(a.Hi < b.Hi) | b2u(a.Hi == b.Hi)&b2u(a.Lo < b.Lo)
}

// CmpI128Const is CmpConst for 128-bit integers.
func CmpI128Const(op Op, v []types.Int128, c types.Int128, out []uint64) {
	for i := range words(len(v)) {
		p := v[i<<6 : min(i<<6+64, len(v))]
		var x uint64
		switch op {
		case EQ, NE:
			for j, e := range p {
				x |= (b2u(e.Lo == c.Lo) & b2u(e.Hi == c.Hi)) << uint(j)
			}
		case GT, LE:
			for j, e := range p {
				x |= ltI128(c, e) << uint(j)
			}
		default:
			for j, e := range p {
				x |= ltI128(e, c) << uint(j)
			}
		}
		out[i] = x
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(v))
	}
}

// CmpI128Vec is CmpVec for 128-bit integers.
func CmpI128Vec(op Op, a, b []types.Int128, out []uint64) {
	switch op {
	case GT, LE:
		a, b = b[:len(a)], a
	}
	for i := range words(len(a)) {
		p, q := a[i<<6:min(i<<6+64, len(a))], b[i<<6:]
		var x uint64
		if op == EQ || op == NE {
			for j, e := range p {
				x |= (b2u(e.Lo == q[j].Lo) & b2u(e.Hi == q[j].Hi)) << uint(j)
			}
		} else {
			for j, e := range p {
				x |= ltI128(e, q[j]) << uint(j)
			}
		}
		out[i] = x
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(a))
	}
}

// CompareUUID orders uuids as their bytes.
func CompareUUID(a, b types.Fixed16) int {
	return types.Int128{Lo: uint64(a.B), Hi: a.A ^ (-1 << 63)}.Cmp(types.Int128{Lo: uint64(b.B), Hi: b.A ^ (-1 << 63)})
}

func flip(f types.Fixed16) types.Int128 {
	return types.Int128{Lo: uint64(f.B), Hi: f.A ^ (-1 << 63)}
}

// CmpUUIDConst is CmpConst for uuids; with EQ and NE it serves every Fixed16 type
// whose equal values have equal bits (timetz too, interval not).
func CmpUUIDConst(op Op, v []types.Fixed16, c types.Fixed16, out []uint64) {
	d := flip(c)
	for i := range words(len(v)) {
		p := v[i<<6 : min(i<<6+64, len(v))]
		var x uint64
		switch op {
		case EQ, NE:
			for j, e := range p {
				x |= (b2u(e.A == c.A) & b2u(e.B == c.B)) << uint(j)
			}
		case GT, LE:
			for j, e := range p {
				x |= ltI128(d, flip(e)) << uint(j)
			}
		default:
			for j, e := range p {
				x |= ltI128(flip(e), d) << uint(j)
			}
		}
		out[i] = x
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(v))
	}
}

// CmpUUIDVec is CmpVec for uuids; see CmpUUIDConst.
func CmpUUIDVec(op Op, a, b []types.Fixed16, out []uint64) {
	switch op {
	case GT, LE:
		a, b = b[:len(a)], a
	}
	for i := range words(len(a)) {
		p, q := a[i<<6:min(i<<6+64, len(a))], b[i<<6:]
		var x uint64
		if op == EQ || op == NE {
			for j, e := range p {
				x |= (b2u(e.A == q[j].A) & b2u(e.B == q[j].B)) << uint(j)
			}
		} else {
			for j, e := range p {
				x |= ltI128(flip(e), flip(q[j])) << uint(j)
			}
		}
		out[i] = x
	}
	if op == NE || op == LE || op == GE {
		Not(out, len(a))
	}
}
