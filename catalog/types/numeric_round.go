package types

// round rounds half away from zero to scale digits after the point (negative:
// before it). It does not touch dscale.
func (n num) round(scale int) num {
	if n.kind != numFinite || len(n.d) == 0 {
		return n
	}
	last := floorDiv(-scale, numDigits)
	drop := -scale - last*numDigits // decimal digits of group `last` that go
	k := n.weight - last            // index of group `last`
	switch {
	case k < -1, k == -1 && drop > 0:
		n.d = nil // below half a unit: the unit is above every digit
	case k == -1:
		// The unit is the lowest digit of the group just above the first.
		if n.d[0] >= numBase/2 {
			n.d = append(n.d[:0], 1)
			n.weight++
		} else {
			n.d = nil
		}
	case k >= len(n.d):
		return n
	default:
		up := false
		if drop > 0 {
			p := pow10u32[drop]
			up = n.d[k]%p >= p/2
			n.d[k] -= n.d[k] % p
		} else if k+1 < len(n.d) {
			up = n.d[k+1] >= numBase/2
		}
		n.d = n.d[:k+1]
		if up {
			add := pow10u32[drop]
			for i := k; ; i-- {
				if i < 0 {
					d := append(n.d, 0)
					copy(d[1:], d)
					d[0] = 1
					n.d = d
					n.weight++
					break
				}
				n.d[i] += add
				if n.d[i] < numBase {
					break
				}
				n.d[i] -= numBase
				add = 1
			}
		}
	}
	n.strip()
	return n
}

// trunc cuts to scale digits after the point.
func (n num) trunc(scale int) num {
	if n.kind != numFinite || len(n.d) == 0 {
		return n
	}
	last := floorDiv(-scale, numDigits)
	drop := -scale - last*numDigits
	k := n.weight - last
	switch {
	case k < 0:
		n.d = nil
	case k < len(n.d):
		n.d = n.d[:k+1]
		n.d[k] -= n.d[k] % pow10u32[drop]
	}
	n.strip()
	return n
}

// NumericNeg appends -a.
func NumericNeg(dst, a []byte) []byte {
	n := len(dst)
	dst = append(dst, a...)
	switch NumericSign(a) {
	case 0:
		return dst
	}
	switch {
	case NumericIsNaN(a):
	case NumericIsInf(a):
		dst[n] ^= 1
	default:
		dst[n+1] ^= numNeg >> 8
	}
	return dst
}

// NumericAbs appends |a|.
func NumericAbs(dst, a []byte) []byte {
	if NumericSign(a) < 0 {
		return NumericNeg(dst, a)
	}
	return append(dst, a...)
}

// NumericRound appends a rounded half away from zero to scale digits after the
// point (before it when negative).
func NumericRound(dst, a []byte, scale int) ([]byte, error) {
	var s numScratch
	n := decodeNum(a, &s)
	if n.kind == numFinite {
		scale = min(max(scale, -numMaxResultScale), numMaxResultScale)
		n = n.round(scale)
		n.dscale = max(scale, 0)
	}
	return appendNum(dst, n)
}

// NumericTrunc appends a cut to scale digits after the point.
func NumericTrunc(dst, a []byte, scale int) ([]byte, error) {
	var s numScratch
	n := decodeNum(a, &s)
	if n.kind == numFinite {
		scale = min(max(scale, -numMaxResultScale), numMaxResultScale)
		n = n.trunc(scale)
		n.dscale = max(scale, 0)
	}
	return appendNum(dst, n)
}

// NumericCeil appends the least integer not below a.
func NumericCeil(dst, a []byte) ([]byte, error) { return numCeilFloor(dst, a, false) }

// NumericFloor appends the greatest integer not above a.
func NumericFloor(dst, a []byte) ([]byte, error) { return numCeilFloor(dst, a, true) }

func numCeilFloor(dst, a []byte, neg bool) ([]byte, error) {
	var s, sr numScratch
	n := decodeNum(a, &s)
	if n.kind != numFinite {
		return appendNum(dst, n)
	}
	whole := len(n.d) <= n.weight+1
	was := n.neg
	n = n.trunc(0)
	n.dscale = 0
	if !whole && was == neg {
		n.neg = was && len(n.d) > 0
		one := num{d: []uint32{1}, neg: neg}
		n = addNum(&n, &one, &sr)
	}
	return appendNum(dst, n)
}

// NumericSignum appends -1, 0, 1 or NaN.
func NumericSignum(dst, a []byte) []byte {
	if NumericIsNaN(a) {
		return append(dst, NumericNaN...)
	}
	return NumericFromInt64(dst, int64(NumericSign(a)), 0)
}

// NumericMinScale is the number of digits after the point that the value needs.
func NumericMinScale(a []byte) int {
	var s numScratch
	n := decodeNum(a, &s)
	return n.minScale()
}

func (n *num) minScale() int {
	if n.kind != numFinite || len(n.d) == 0 {
		return 0
	}
	low := n.weight - len(n.d) + 1
	if low >= 0 {
		return 0
	}
	z := 0
	for last := n.d[len(n.d)-1]; last%10 == 0; last /= 10 {
		z++
	}
	return -low*numDigits - z
}

// NumericTrimScale appends a without trailing zeros after the point.
func NumericTrimScale(dst, a []byte) []byte {
	var s numScratch
	n := decodeNum(a, &s)
	if n.kind == numFinite {
		n.dscale = n.minScale()
	}
	dst, _ = appendNum(dst, n)
	return dst
}

// NumericIsInt says whether a is a whole number.
func NumericIsInt(a []byte) bool {
	var s numScratch
	n := decodeNum(a, &s)
	return n.kind == numFinite && len(n.d) <= n.weight+1
}
