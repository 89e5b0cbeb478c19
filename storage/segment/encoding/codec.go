package encoding

import (
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// A sub-block may grow by no more than this factor when it is decompressed,
// unless it is small; the encoder keeps to it, so that a reader can refuse
// lengths that no writer made.
const expansionMax = 250

var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<17))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(1<<31))
	if err != nil {
		panic(err)
	}
	return d
})

// compress appends src compressed to dst, or src itself when it would not save
// an eighth.
func (c Codec) compress(dst, src []byte) []byte {
	start := len(dst)
	switch c {
	case S2:
		n := s2.MaxEncodedLen(len(src))
		if n < 0 {
			return append(dst, src...)
		}
		dst = grown(dst, n)
		dst = dst[:start+len(s2.EncodeBetter(dst[start:start+n], src))]
	case Zstd:
		dst = zstdEncoder().EncodeAll(src, dst)
	default:
		return append(dst, src...)
	}
	n := len(dst) - start
	if n > len(src)-len(src)/8 || len(src) > subBlockBytes && n*expansionMax < len(src) {
		return append(dst[:start], src...)
	}
	return dst
}

// grown makes room for n more bytes behind b.
func grown(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	t := make([]byte, len(b), len(b)+max(n, len(b)/2))
	copy(t, b)
	return t
}

// decompress fills dst from src; both lengths are those of the encoder.
func (c Codec) decompress(dst, src []byte) error {
	if len(src) == len(dst) {
		copy(dst, src)
		return nil
	}
	switch c {
	case S2:
		if n, err := s2.DecodedLen(src); err != nil || n != len(dst) {
			return corrupt("compressed strings: length %d of %d (%v)", n, len(dst), err)
		}
		if _, err := s2.Decode(dst, src); err != nil {
			return corrupt("compressed strings: %v", err)
		}
		return nil
	case Zstd:
		var h zstd.Header
		if err := h.Decode(src); err != nil || !h.HasFCS || h.FrameContentSize != uint64(len(dst)) {
			return corrupt("compressed strings: frame of %d bytes, expected %d (%v)", h.FrameContentSize, len(dst), err)
		}
		got, err := zstdDecoder().DecodeAll(src, dst[:0:len(dst)])
		if err != nil || len(got) != len(dst) {
			return corrupt("compressed strings: %d bytes, expected %d (%v)", len(got), len(dst), err)
		}
		if len(got) > 0 && &got[0] != &dst[0] {
			copy(dst, got)
		}
		return nil
	}
	return corrupt("compressed strings without a codec")
}
