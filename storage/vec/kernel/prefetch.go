package kernel

import "unsafe"

// PrefetchBytes is Prefetch of the line that b[i] is in, if there is one.
func PrefetchBytes(b []byte, i int) {
	if uint(i) < uint(len(b)) {
		Prefetch(unsafe.Pointer(&b[i]))
	}
}

// PrefetchPacked is Prefetch of what PackedAt reads of value i of a group, which begins
// at b[from].
func PrefetchPacked(b []byte, from int, width uint, i int) {
	if width > 32 {
		PrefetchBytes(b, from+4*i)
		from, width = from+4*GroupSize, width-32
	}
	bit := uint(i) >> 4 * width
	from += 4 * (int(bit>>5<<4) + i&15)
	PrefetchBytes(b, from)
	if bit&31+width > 32 {
		PrefetchBytes(b, from+64)
	}
}
