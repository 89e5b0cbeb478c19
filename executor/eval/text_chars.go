package eval

import (
	"encoding/binary"
	"math/bits"

	"github.com/millrace/millrace/storage/vec"
)

// Text is UTF-8 under the collation C: case and character classes are those of
// ASCII, everything else is passed through.

const highBits = 0x8080808080808080

// charCount is the number of characters of b: of bytes that do not continue one.
func charCount(b []byte) int {
	n := len(b)
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		// Bit 7 set and bit 6 clear.
		n -= bits.OnesCount64(w & highBits &^ (w << 1))
		b = b[8:]
	}
	for _, x := range b {
		n -= b2i(x&0xC0 == 0x80)
	}
	return n
}

// charOffset is the byte offset of character n (from 0) of b, len(b) when b has
// no more than n characters.
func charOffset(b []byte, n int) int {
	if n >= len(b) {
		return len(b)
	}
	i := 0
	for n >= 8 && i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:])&highBits == 0 {
		i += 8
		n -= 8
	}
	for ; n > 0 && i < len(b); n-- {
		i++
		for i < len(b) && b[i]&0xC0 == 0x80 {
			i++
		}
	}
	return i
}

// subView is the view of bytes from..to of the string w of v, in v's buffers.
func subView(v *vec.Vec, w *vec.View, from, to int) vec.View {
	b := viewBytes(v, w)[from:to]
	if len(b) <= vec.InlineMax {
		return vec.MakeInline(b)
	}
	return vec.View{Len: uint32(len(b)), Prefix: binary.LittleEndian.Uint32(b), Tail: w.Tail + uint64(from)}
}

// subLoop is the loop of a function whose result is a part of argument 0. Use
// with sharesBufs.
func subLoop(f func(c *Call, i int, s []byte) (from, to int, err error)) Loop {
	return each(func(c *Call, i int) error {
		v := c.Args[0]
		w := &v.Views[i&c.mask[0]]
		s := viewBytes(v, w)
		from, to, err := f(c, i, s)
		if err != nil {
			return err
		}
		c.Out.Views[i] = subView(v, w, from, to)
		return nil
	})
}

func lowerByte(b byte) byte {
	if b-'A' < 26 {
		return b + 'a' - 'A'
	}
	return b
}

func upperByte(b byte) byte {
	if b-'a' < 26 {
		return b - ('a' - 'A')
	}
	return b
}

func appendLower(dst, s []byte) []byte {
	n := len(dst)
	dst = append(dst, s...)
	for i, b := range dst[n:] {
		dst[n+i] = lowerByte(b)
	}
	return dst
}

func appendUpper(dst, s []byte) []byte {
	n := len(dst)
	dst = append(dst, s...)
	for i, b := range dst[n:] {
		dst[n+i] = upperByte(b)
	}
	return dst
}

func isAlnum(b byte) bool { return b-'0' < 10 || (b|0x20)-'a' < 26 }

func isDigit(b byte) bool { return b-'0' < 10 }

func isAlpha(b byte) bool { return (b|0x20)-'a' < 26 }

func isSpace(b byte) bool { return b == ' ' || b-'\t' < 5 }

// appendInitcap capitalises words of letters and digits.
func appendInitcap(dst, s []byte) []byte {
	in := false
	for _, b := range s {
		if in {
			dst = append(dst, lowerByte(b))
		} else {
			dst = append(dst, upperByte(b))
		}
		in = isAlnum(b)
	}
	return dst
}
