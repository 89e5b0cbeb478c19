package encoding

// Describe names the form of an encoded block and how many strings' bytes, before
// compression, its heap has: for reports, from the first bytes only as far as they
// make sense.
func Describe(b []byte) (name string, heapRaw int) {
	if len(b) < headerBytes {
		return "short", 0
	}
	name = ID(b[0]).String()
	at := headerBytes
	if b[1]&flagNulls != 0 {
		if len(b) < at+8 {
			return name, 0
		}
		rows := int(u32(b[4:]))
		part := u32(b[at:])
		at += 8
		for vi := range min(vectors(rows), 32) {
			if part>>vi&1 != 0 {
				at += (vectorRows(rows, vi) + 63) / 64 * 8
			}
		}
	}
	switch ID(b[0]) {
	case Dict:
		if len(b) < at+8 {
			return name, 0
		}
		at += 8 + int(u32(b[at+4:]))
	case Ints:
		if len(b) > at && b[at] == intsDict {
			name += " dict"
		}
		return name, 0
	case Heap:
	default:
		return name, 0
	}
	if at < 0 || len(b) < at+heapHeaderBytes {
		return name, 0
	}
	if c := Codec(b[at]); c != NoCodec {
		name += " " + c.String()
	}
	return name, int(u32(b[at+8:]))
}
