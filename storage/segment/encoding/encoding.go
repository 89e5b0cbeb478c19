// Package encoding turns a column of up to 65,536 rows into bytes and back. Each
// encoded column can be decoded one vector of 2,048 rows at a time without the
// vectors before it, and, but for deltas, one row at a time.
//
// Glossary:
//
//	block     one column's rows of a block of the segment, encoded
//	vector    2,048 rows; the last of a block may be shorter
//	ints      the nested form of integers: values, codes, lengths, halves
//	heap      the nested form of strings: lengths, and bytes in sub-blocks
//	codec     a general compressor of sub-blocks: none, s2, zstd
//
// A block is: encoding (1 byte), flags (1), zero (2), rows (u32), the null
// section if flags says so, the body. All numbers are little-endian; every part
// starts at a multiple of 8 from the block's start. FORMAT.md of package segment
// draws the bytes.
//
// Parse checks the shape of a block, the decoders what Parse cannot see, so that
// hostile bytes give an error and never a panic or an allocation out of
// proportion to the file.
package encoding

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/storage/vec"
)

// ID names an encoding; the numbers are part of the file format.
type ID uint8

// The encodings of a block.
const (
	Const   ID = 1 // one value for all rows
	Bits    ID = 2 // bool
	Ints    ID = 3 // int2, int4, int8 and whatever has their layouts; floats by their bits
	Decimal ID = 4 // floats that are short decimals: integers and an exponent
	Pair    ID = 5 // 16-byte values as two columns of integers
	Heap    ID = 6 // strings in row order
	Dict    ID = 7 // strings as codes into a dictionary of the block
	SegDict ID = 8 // strings as codes into the dictionary of the segment
)

func (e ID) String() string {
	names := [...]string{"", "const", "bits", "ints", "decimal", "pair", "heap", "dict", "segdict"}
	if int(e) < len(names) && e > 0 {
		return names[e]
	}
	return fmt.Sprintf("encoding(%d)", uint8(e))
}

// Codec is a general compressor of string sub-blocks.
type Codec uint8

// The codecs.
const (
	NoCodec Codec = 0
	S2      Codec = 1
	Zstd    Codec = 2
)

func (c Codec) String() string {
	if names := [...]string{"none", "s2", "zstd"}; int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec(%d)", uint8(c))
}

// ErrCorrupt is what every complaint about encoded bytes wraps.
var ErrCorrupt = errors.New("encoded column is corrupt")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

const (
	headerBytes   = 8
	vectorsMax    = vec.BlockRows / vec.Size
	flagNulls     = 1
	subBlockBytes = 16 << 10
)

func align8(n int) int { return (n + 7) &^ 7 }

// pad8 appends zeros up to a multiple of 8 from start.
func pad8(b []byte, start int) []byte {
	for (len(b)-start)&7 != 0 {
		b = append(b, 0)
	}
	return b
}

func vectors(rows int) int { return (rows + vec.Size - 1) / vec.Size }

// vectorRows is the number of rows of vector vi of a block.
func vectorRows(rows, vi int) int { return min(vec.Size, rows-vi*vec.Size) }

func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// uints is an array of unsigned integers of 1, 2, 4 or 8 bytes.
func uintAt(b []byte, size uint, i int) uint64 {
	switch size {
	case 1:
		return uint64(b[i])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b[2*i:]))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return binary.LittleEndian.Uint64(b[8*i:])
}

func appendUint(b []byte, size uint, x uint64) []byte {
	switch size {
	case 1:
		return append(b, byte(x))
	case 2:
		return binary.LittleEndian.AppendUint16(b, uint16(x))
	case 4:
		return binary.LittleEndian.AppendUint32(b, uint32(x))
	}
	return binary.LittleEndian.AppendUint64(b, x)
}

// uintSize is the least of 1, 2, 4, 8 bytes that holds x.
func uintSize(x uint64) uint {
	switch {
	case x < 1<<8:
		return 1
	case x < 1<<16:
		return 2
	case x < 1<<32:
		return 4
	}
	return 8
}
