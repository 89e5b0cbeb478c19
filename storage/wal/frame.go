package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Sizes of the two headers; see FORMAT.md.
const (
	fileHeader  = 32
	frameHeader = 64
	// maxPayload bounds a frame. Sets that would pass it go to side files.
	maxPayload = 1 << 30
)

const (
	magic   = "MRLG"
	version = 1
)

// Headroom is the number of bytes that an Entry's Buf leaves free in front of
// its payload, for the frame's header.
const Headroom = frameHeader

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC32C that the log and its neighbours use.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

type frame struct {
	payloadCRC uint32
	length     uint32
	file       uint64
	offset     uint64
	synced     uint64 // offset in this file that was known synced when this was written
	base       uint64
	csn        uint64
	time       int64
}

func (f *frame) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[4:], f.payloadCRC)
	le.PutUint32(b[8:], f.length)
	le.PutUint32(b[12:], 0)
	le.PutUint64(b[16:], f.file)
	le.PutUint64(b[24:], f.offset)
	le.PutUint64(b[32:], f.synced)
	le.PutUint64(b[40:], f.base)
	le.PutUint64(b[48:], f.csn)
	le.PutUint64(b[56:], uint64(f.time))
	le.PutUint32(b, Checksum(b[4:frameHeader]))
}

// get reads a header that claims to lie at off of this file; ok is false when it
// is not a whole, valid one.
func (f *frame) get(b []byte, file, off uint64) (ok bool) {
	le := binary.LittleEndian
	if len(b) < frameHeader || le.Uint64(b[16:]) != file || le.Uint64(b[24:]) != off {
		return false
	}
	if Checksum(b[4:frameHeader]) != le.Uint32(b) {
		return false
	}
	*f = frame{
		payloadCRC: le.Uint32(b[4:]), length: le.Uint32(b[8:]), file: file, offset: off,
		synced: le.Uint64(b[32:]), base: le.Uint64(b[40:]), csn: le.Uint64(b[48:]), time: int64(le.Uint64(b[56:])),
	}
	return f.length <= maxPayload
}

func putFileHeader(b []byte, number, start uint64) {
	le := binary.LittleEndian
	copy(b, magic)
	b[4], b[5], b[6], b[7] = version, 0, 0, 0
	le.PutUint64(b[8:], number)
	le.PutUint64(b[16:], start)
	le.PutUint32(b[24:], 0)
	le.PutUint32(b[28:], Checksum(b[:28]))
}

func getFileHeader(b []byte, number uint64) (start uint64, err error) {
	le := binary.LittleEndian
	if len(b) < fileHeader || string(b[:4]) != magic {
		return 0, fmt.Errorf("no log file header")
	}
	if Checksum(b[:28]) != le.Uint32(b[28:]) {
		return 0, fmt.Errorf("checksum of the log file header is wrong")
	}
	if b[4] != version {
		return 0, &VersionError{Version: int(b[4])}
	}
	if n := le.Uint64(b[8:]); n != number {
		return 0, fmt.Errorf("log file header names file %d", n)
	}
	return le.Uint64(b[16:]), nil
}

// VersionError says that the log was written by a version that this one does not know.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("log format version %d is not supported (this server reads version %d)", e.Version, version)
}

// CorruptionError is damage in a part of the log that had been made durable. It
// is never repaired silently.
type CorruptionError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("log is corrupt: file %s, offset %d: %s", e.File, e.Offset, e.Reason)
}
