package kernel

// MaxU32 is the largest of v, 0 when it is empty.
func MaxU32(v []uint32) uint32 {
	if accelerated && len(v) >= 32 {
		return maxU32Accel(v)
	}
	return maxU32(v)
}

func maxU32(v []uint32) uint32 {
	var a, b, c, d uint32
	for len(v) >= 4 {
		a, b, c, d = max(a, v[0]), max(b, v[1]), max(c, v[2]), max(d, v[3])
		v = v[4:]
	}
	for _, x := range v {
		a = max(a, x)
	}
	return max(a, b, c, d)
}

// MinMax is the least and the largest of v, which is not empty.
func MinMax[E Integer](v []E) (lo, hi E) {
	if accelerated && len(v) >= 32 {
		switch v := any(v).(type) {
		case []int64:
			l, h := minMaxI64Accel(v)
			return E(l), E(h)
		case []int32:
			l, h := minMaxI32Accel(v)
			return E(l), E(h)
		}
	}
	lo, hi = v[0], v[0]
	lo2, hi2 := lo, hi
	for len(v) >= 4 {
		lo, hi = min(lo, v[0], v[1]), max(hi, v[0], v[1])
		lo2, hi2 = min(lo2, v[2], v[3]), max(hi2, v[2], v[3])
		v = v[4:]
	}
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	return min(lo, lo2), max(hi, hi2)
}

// MinMaxMasked is MinMax over the values whose bit is set; ok is false when
// there is none.
func MinMaxMasked[E Integer](v []E, mask []uint64) (lo, hi E, ok bool) {
	for w := range words(len(v)) {
		m := mask[w]
		if m == 0 {
			continue
		}
		p := v[w<<6 : min(w<<6+64, len(v))]
		if m == ^uint64(0) && len(p) == 64 {
			l, h := MinMax(p)
			if !ok {
				lo, hi, ok = l, h, true
			}
			lo, hi = min(lo, l), max(hi, h)
			continue
		}
		for j, x := range p {
			if m>>uint(j)&1 != 0 {
				if !ok {
					lo, hi, ok = x, x, true
				}
				lo, hi = min(lo, x), max(hi, x)
			}
		}
	}
	return lo, hi, ok
}

// MinMaxSel is MinMax over the rows of sel, which is not empty.
func MinMaxSel[E Integer](v []E, sel []uint16) (lo, hi E) {
	lo, hi = v[sel[0]], v[sel[0]]
	for _, i := range sel[1:] {
		lo, hi = min(lo, v[i]), max(hi, v[i])
	}
	return lo, hi
}

// MinMaxFloat is the least and the largest of v in PostgreSQL's order: NaN is
// above all. v is not empty.
func MinMaxFloat[E Float](v []E) (lo, hi E) {
	lo, hi = v[0], v[0]
	for _, x := range v[1:] {
		if x < lo || lo != lo {
			lo = x
		}
		if x > hi || x != x {
			hi = x
		}
	}
	// hi may have been NaN and then overwritten by no one: x > NaN is false.
	return lo, hi
}
