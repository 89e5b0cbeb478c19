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
