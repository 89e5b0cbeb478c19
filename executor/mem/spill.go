package mem

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/blob"
)

// Spill makes the spill files of all queries in one directory. It is safe for
// concurrent use. What a crash left there is removed when it is opened.
type Spill struct {
	dir   blob.Dir
	next  atomic.Int64
	used  atomic.Int64
	limit int64
}

// NewSpill uses dir for spill files of at most limit bytes together (0: no
// limit), and empties it.
func NewSpill(dir blob.Dir, limit int64) (*Spill, error) {
	old, err := dir.List()
	if err != nil {
		return nil, err
	}
	for _, f := range old {
		if !f.Dir {
			if err := dir.Remove(f.Name); err != nil {
				return nil, err
			}
		}
	}
	return &Spill{dir: dir, limit: limit}, nil
}

// Used is the number of bytes in spill files now.
func (s *Spill) Used() int64 { return s.used.Load() }

// File is a spill file: frames are appended, then read in order, as often as
// wanted. It is used by one goroutine at a time; readers after the last Append
// may run beside each other.
type File struct {
	s    *Spill
	name string
	w    blob.Writer
	buf  []byte
	size int64
	n    int
}

// spillBuffer is how much is gathered before it is written, and read at a time: a
// join that spills writes 128 files at once.
const spillBuffer = 32 << 10

// Create makes an empty file. Nothing is on disk before the first flush.
func (s *Spill) Create() (*File, error) {
	if s == nil {
		return nil, sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory").WithDetail("There is no directory for spill files.")
	}
	return &File{s: s}, nil
}

// Append adds a frame made by fill, which appends to the slice it is given.
func (f *File) Append(fill func([]byte) []byte) error {
	if f.buf == nil {
		f.buf = make([]byte, 0, spillBuffer+spillBuffer/2)
	}
	at := len(f.buf)
	f.buf = append(f.buf, 0, 0, 0, 0)
	f.buf = fill(f.buf)
	binary.LittleEndian.PutUint32(f.buf[at:], uint32(len(f.buf)-at-4))
	f.n++
	if len(f.buf) >= spillBuffer {
		return f.flush()
	}
	return nil
}

// Frames is the number of frames; Size their bytes.
func (f *File) Frames() int { return f.n }

// Size is the number of bytes appended.
func (f *File) Size() int64 { return f.size + int64(len(f.buf)) }

func (f *File) flush() error {
	if len(f.buf) == 0 {
		return nil
	}
	if f.w == nil {
		f.name = fmt.Sprintf("spill-%d", f.s.next.Add(1))
		w, err := f.s.dir.Create(f.name)
		if err != nil {
			return ioError(err)
		}
		f.w = w
	}
	n := int64(len(f.buf))
	if u := f.s.used.Add(n); f.s.limit > 0 && u > f.s.limit {
		f.s.used.Add(-n)
		return sqlstate.Errorf(sqlstate.ConfigurationLimitExceeded, "temporary file size exceeds the limit of %d bytes", f.s.limit)
	}
	if _, err := f.w.Write(f.buf); err != nil {
		f.s.used.Add(-n)
		return ioError(err)
	}
	f.size += n
	f.buf = f.buf[:0]
	if cap(f.buf) > 16*spillBuffer {
		f.buf = nil // for a large frame, which may be the only one
	}
	return nil
}

// Finish writes out what is buffered and frees the buffer; no Append follows.
func (f *File) Finish() error {
	if err := f.flush(); err != nil {
		return err
	}
	f.buf = nil
	if f.w != nil {
		w := f.w
		f.w = nil
		if err := w.Close(); err != nil {
			return ioError(err)
		}
	}
	return nil
}

// Close removes the file; safe at any time, also twice.
func (f *File) Close() error {
	if f == nil || f.s == nil {
		return nil
	}
	var err error
	if f.w != nil {
		err = f.w.Close()
		f.w = nil
	}
	if f.name != "" {
		if e := f.s.dir.Remove(f.name); err == nil {
			err = e
		}
		f.s.used.Add(-f.size)
	}
	f.s, f.buf = nil, nil
	return err
}

// Reader reads the frames of a finished file from the start.
type Reader struct {
	f    blob.File
	off  int64
	size int64
	buf  []byte // window of the file
	at   int
}

// NewReader opens the file for reading.
func (f *File) NewReader() (*Reader, error) {
	if f.name == "" {
		return &Reader{}, nil
	}
	in, err := f.s.dir.Open(f.name)
	if err != nil {
		return nil, ioError(err)
	}
	return &Reader{f: in, size: f.size}, nil
}

// Next is the next frame, lent until the next call; nil at the end.
func (r *Reader) Next() ([]byte, error) {
	head, err := r.need(4)
	if head == nil || err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head))
	b, err := r.need(4 + n)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, ioError(io.ErrUnexpectedEOF)
	}
	r.at += 4 + n
	return b[4:], nil
}

// need makes the next n bytes available; nil at the end of the file.
func (r *Reader) need(n int) ([]byte, error) {
	if len(r.buf)-r.at >= n {
		return r.buf[r.at : r.at+n], nil
	}
	rest := len(r.buf) - r.at
	left := r.size - r.off
	if left == 0 {
		if rest == 0 {
			return nil, nil
		}
		return nil, ioError(io.ErrUnexpectedEOF)
	}
	want := max(n, spillBuffer)
	if cap(r.buf) < want {
		b := make([]byte, rest, want)
		copy(b, r.buf[r.at:])
		r.buf = b
	} else {
		copy(r.buf, r.buf[r.at:])
		r.buf = r.buf[:rest]
	}
	r.at = 0
	get := int(min(left, int64(want-rest)))
	r.buf = r.buf[:rest+get]
	if k, err := r.f.ReadAt(r.buf[rest:], r.off); k < get {
		return nil, ioError(err)
	}
	r.off += int64(get)
	if len(r.buf) < n {
		return nil, ioError(io.ErrUnexpectedEOF)
	}
	return r.buf[:n], nil
}

// Close closes the reader; the file stays.
func (r *Reader) Close() error {
	if r.f == nil {
		return nil
	}
	f := r.f
	r.f = nil
	return f.Close()
}

func ioError(err error) error {
	return sqlstate.Errorf(sqlstate.IOError, "could not use temporary file: %v", err)
}
