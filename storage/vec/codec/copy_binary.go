package codec

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
)

// copySignature opens COPY's binary format; flags and the length of a header
// extension follow, then tuples, then -1.
const copySignature = "PGCOPY\n\xff\r\n\x00"

func badFile(format string, args ...any) error {
	return sqlstate.Errorf(sqlstate.BadCopyFileFormat, format, args...)
}

// readSignature reads the header; ok is false when more input is needed.
func (r *CopyReader) readSignature() (ok bool, err error) {
	b := r.buf[r.pos:]
	if n := min(len(b), len(copySignature)); string(b[:n]) != copySignature[:n] || n < len(copySignature) && r.eof {
		return false, badFile("COPY file signature not recognized")
	}
	const head = len(copySignature) + 8
	if len(b) < head {
		if !r.eof {
			return false, nil
		}
		if len(b) < len(copySignature)+4 {
			return false, badFile("invalid COPY file header (missing flags)")
		}
		return false, badFile("invalid COPY file header (missing length)")
	}
	flags := binary.BigEndian.Uint32(b[len(copySignature):])
	if flags&(1<<16) != 0 {
		return false, badFile("invalid COPY file header (WITH OIDS)")
	}
	if flags>>16 != 0 {
		return false, badFile("unrecognized critical flags in COPY file header")
	}
	ext := binary.BigEndian.Uint32(b[len(copySignature)+4:])
	if ext > math.MaxInt32 {
		return false, badFile("invalid COPY file header (missing length)")
	}
	if uint64(len(b)-head) < uint64(ext) {
		if r.eof || ext > 1<<20 {
			return false, badFile("invalid COPY file header (wrong length)")
		}
		return false, nil
	}
	r.pos += head + int(ext)
	r.signed = true
	return true, nil
}

// nextBinary is Next for the binary format.
func (r *CopyReader) nextBinary(b *vec.Batch, max int) (full bool, err error) {
	if !r.signed {
		if ok, err := r.readSignature(); !ok || err != nil {
			return false, err
		}
	}
	for b.N < max {
		p := r.buf[r.pos:]
		if r.done {
			if len(p) > 0 {
				return false, r.where(badFile("received copy data after EOF marker"), "")
			}
			return false, nil
		}
		if len(p) < 2 {
			return false, nil
		}
		n := int(int16(binary.BigEndian.Uint16(p)))
		if n == -1 {
			r.done = true
			r.pos += 2
			continue
		}
		r.line++
		if n != len(r.cols) {
			return false, r.where(badFile("row field count is %d, expected %d", n, len(r.cols)), "")
		}
		// The whole tuple must be here before a value of it is taken.
		at := 2
		for c := 0; c < n; c++ {
			if len(p) < at+4 {
				return r.shortTuple()
			}
			k := int32(binary.BigEndian.Uint32(p[at:]))
			at += 4
			if k < -1 {
				return false, r.where(badFile("invalid field size"), ", column %s", r.cols[c].Name)
			}
			if k > 0 {
				if at += int(k); at > copyLineMax {
					return false, r.where(sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "COPY tuple is longer than %d bytes", copyLineMax), "")
				}
				if len(p) < at {
					return r.shortTuple()
				}
			}
		}
		at = 2
		for c := 0; c < n; c++ {
			k := int32(binary.BigEndian.Uint32(p[at:]))
			at += 4
			if k == -1 {
				b.Cols[c].AppendNull()
				continue
			}
			if err := r.app[c](b.Cols[c], p[at:at+int(k)]); err != nil {
				return false, r.where(err, ", column %s", r.cols[c].Name)
			}
			at += int(k)
		}
		r.pos += at
		b.N++
	}
	return true, nil
}

func (r *CopyReader) shortTuple() (bool, error) {
	if r.eof {
		return false, r.where(badFile("unexpected EOF in COPY data"), "")
	}
	r.line--
	return false, nil
}
