package segment

import (
	"encoding/binary"
	"hash/crc32"
)

func le64(b []byte) uint64     { return binary.LittleEndian.Uint64(b) }
func put32(b []byte, x uint32) { binary.LittleEndian.PutUint32(b, x) }
func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
