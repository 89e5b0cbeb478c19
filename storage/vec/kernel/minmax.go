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
