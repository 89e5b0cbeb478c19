package kernel

import "unsafe"

// Packed integers lie in groups of 512 values, interleaved over 16 lanes of 32
// bits: value i of a group is number i/16 of lane i%16; a lane's values follow
// each other, width bits each, through its words, and word k of lane l is word
// 16*k+l of the group. So one 512-bit load brings the same bits of 16 neighbours.
// A group of width w takes w words a lane: 64*w bytes. Values wider than 32 bits
// are stored as their low words, 512 of them, and then the rest packed at w-32.

// GroupSize is the number of values in a packed group.
const GroupSize = 512

// PackedWords is the number of 32-bit words that n values of this width take.
func PackedWords(n int, width uint) int {
	return (n + GroupSize - 1) / GroupSize * 16 * int(width)
}

// PackGroup packs up to 512 values of at most width (<= 64) bits; missing ones
// are zero. dst is 16*width words and is overwritten.
func PackGroup(dst []uint32, src []uint64, width uint) {
	dst = dst[:16*width]
	if width > 32 {
		low := dst[:GroupSize]
		for i := range low {
			if i < len(src) {
				low[i] = uint32(src[i])
			} else {
				low[i] = 0
			}
		}
		pack32(dst[GroupSize:], src, width-32, 32)
		return
	}
	pack32(dst, src, width, 0)
}

func pack32(dst []uint32, src []uint64, width, drop uint) {
	clear(dst)
	if width == 0 {
		return
	}
	for i, x := range src {
		v := uint32(x >> drop)
		bit := uint(i>>4) * width
		k, s := bit>>5<<4+uint(i)&15, bit&31
		dst[k] |= v << s
		if s+width > 32 {
			dst[k+16] |= v >> (32 - s)
		}
	}
}

// UnpackU32 unpacks one group of width <= 32 and adds base, modulo 2^32.
func UnpackU32(dst *[GroupSize]uint32, src []uint32, width uint, base uint32) {
	if width == 0 {
		Fill(dst[:], base)
		return
	}
	if accelerated && unpackU32Accel(dst, src, width, base) {
		return
	}
	unpackU32(dst, src, width, base)
}

func unpackU32(dst *[GroupSize]uint32, src []uint32, width uint, base uint32) {
	src = src[: 16*width : 16*width]
	mask := uint32(1)<<width - 1 // 32: all ones, since 1<<32 is 0
	bit := uint(0)
	for j := 0; j < 32; j++ {
		a := (*[16]uint32)(src[bit>>5<<4:])
		d := (*[16]uint32)(dst[j<<4:])
		s := bit & 31
		if s+width > 32 {
			b, t := (*[16]uint32)(src[bit>>5<<4+16:]), 32-s
			for l := 0; l < 16; l += 4 {
				d[l] = (a[l]>>(s&31)|b[l]<<(t&31))&mask + base
				d[l+1] = (a[l+1]>>(s&31)|b[l+1]<<(t&31))&mask + base
				d[l+2] = (a[l+2]>>(s&31)|b[l+2]<<(t&31))&mask + base
				d[l+3] = (a[l+3]>>(s&31)|b[l+3]<<(t&31))&mask + base
			}
		} else {
			for l := 0; l < 16; l += 4 {
				d[l] = a[l]>>(s&31)&mask + base
				d[l+1] = a[l+1]>>(s&31)&mask + base
				d[l+2] = a[l+2]>>(s&31)&mask + base
				d[l+3] = a[l+3]>>(s&31)&mask + base
			}
		}
		bit += width
	}
}

// UnpackI64 unpacks one group of any width and adds base.
func UnpackI64(dst *[GroupSize]int64, src []uint32, width uint, base int64) {
	if width == 0 {
		for i := range dst {
			dst[i] = base
		}
		return
	}
	if width <= 32 {
		if accelerated && unpackI64Accel(dst, src, width, base) {
			return
		}
		unpackI64(dst, src, width, base)
		return
	}
	low := (*[GroupSize]uint32)(src)
	unpackI64(dst, src[GroupSize:], width-32, 0)
	for i := range dst {
		dst[i] = (dst[i]<<32 | int64(low[i])) + base
	}
}

func unpackI64(dst *[GroupSize]int64, src []uint32, width uint, base int64) {
	if width == 0 {
		for i := range dst {
			dst[i] = base
		}
		return
	}
	src = src[: 16*width : 16*width]
	mask := uint32(1)<<width - 1
	bit := uint(0)
	for j := 0; j < 32; j++ {
		a := (*[16]uint32)(src[bit>>5<<4:])
		d := (*[16]int64)(dst[j<<4:])
		s := bit & 31
		if s+width > 32 {
			b, t := (*[16]uint32)(src[bit>>5<<4+16:]), 32-s
			for l := 0; l < 16; l += 4 {
				d[l] = int64((a[l]>>(s&31)|b[l]<<(t&31))&mask) + base
				d[l+1] = int64((a[l+1]>>(s&31)|b[l+1]<<(t&31))&mask) + base
				d[l+2] = int64((a[l+2]>>(s&31)|b[l+2]<<(t&31))&mask) + base
				d[l+3] = int64((a[l+3]>>(s&31)|b[l+3]<<(t&31))&mask) + base
			}
		} else {
			for l := 0; l < 16; l += 4 {
				d[l] = int64(a[l]>>(s&31)&mask) + base
				d[l+1] = int64(a[l+1]>>(s&31)&mask) + base
				d[l+2] = int64(a[l+2]>>(s&31)&mask) + base
				d[l+3] = int64(a[l+3]>>(s&31)&mask) + base
			}
		}
		bit += width
	}
}

// PackedAt is value i (0..511) of a group.
func PackedAt(src []uint32, width uint, i int) uint64 {
	if width > 32 {
		return uint64(packedAt32(src[GroupSize:], width-32, uint(i)))<<32 | uint64(src[i])
	}
	return uint64(packedAt32(src, width, uint(i)))
}

// PackedOffset is the byte in a group where PackedAt begins to read value i.
func PackedOffset(width uint, i int) int {
	if width > 32 {
		return 4 * i
	}
	return 4 * (i>>4*int(width)>>5<<4 + i&15)
}

func packedAt32(src []uint32, width, i uint) uint32 {
	if width == 0 {
		return 0
	}
	bit := i >> 4 * width
	k, s := bit>>5<<4+i&15, bit&31
	v := src[k] >> s
	if s+width > 32 {
		v |= src[k+16] << (32 - s)
	}
	return v & (uint32(1)<<width - 1)
}

// U32s is b as words of the machine (little-endian, as the files are); the
// address need not be aligned on the machines we run on.
func U32s(b []byte) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
