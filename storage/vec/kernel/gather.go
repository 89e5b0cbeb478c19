package kernel

// Gather sets dst[k] = src[sel[k]].
func Gather[E any](dst, src []E, sel []uint16) {
	dst = dst[:len(sel)]
	for k, i := range sel {
		dst[k] = src[i]
	}
}

// GatherU32 sets dst[k] = src[idx[k]].
func GatherU32[E any](dst, src []E, idx []uint32) {
	dst = dst[:len(idx)]
	for k, i := range idx {
		dst[k] = src[i]
	}
}

// Scatter sets dst[sel[k]] = src[k].
func Scatter[E any](dst, src []E, sel []uint16) {
	src = src[:len(sel)]
	for k, i := range sel {
		dst[i] = src[k]
	}
}

// Fill sets every element of dst to v.
func Fill[E any](dst []E, v E) {
	if len(dst) <= 32 {
		for i := range dst {
			dst[i] = v
		}
		return
	}
	// Doubling copies, which the runtime makes in wide moves.
	for i := range dst[:16] {
		dst[i] = v
	}
	for n := 16; n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}

// Blend sets dst[i] to a[i] where bit i of mask is set, else to b[i]. dst may be
// a or b.
func Blend[E any](dst, a, b []E, mask []uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		x := b[i]
		if mask[i>>6]>>(uint(i)&63)&1 != 0 {
			x = a[i]
		}
		dst[i] = x
	}
}

// Convert sets dst[i] = D(src[i]) with Go's conversion; the caller knows that it
// fits (or wants it wrapped).
func Convert[D, S Number](dst []D, src []S) {
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = D(x)
	}
}

// ZeroInvalid zeroes the values under nulls (bits of valid that are 0).
func ZeroInvalid[E any](v []E, valid []uint64) {
	var zero E
	for i := range v {
		if valid[i>>6]>>(uint(i)&63)&1 == 0 {
			v[i] = zero
		}
	}
}

// LookupBits sets bit i of out to bit codes[i] of table; all codes lie in it.
func LookupBits(codes []uint32, table, out []uint64) {
	w := 0
	for ; len(codes) >= 64; w++ {
		p := (*[64]uint32)(codes)
		var x uint64
		for j := 0; j < 64; j += 4 {
			a, b, c, d := p[j], p[j+1], p[j+2], p[j+3]
			x |= (table[a>>6]>>(a&63)&1 | table[b>>6]>>(b&63)&1<<1 | table[c>>6]>>(c&63)&1<<2 | table[d>>6]>>(d&63)&1<<3) << uint(j)
		}
		out[w] = x
		codes = codes[64:]
	}
	if len(codes) > 0 {
		var x uint64
		for j, c := range codes {
			x |= (table[c>>6] >> (c & 63) & 1) << uint(j)
		}
		out[w] = x
	}
}
