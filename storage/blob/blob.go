// Package blob is where files live: a directory tree behind a small interface,
// with a local implementation and, for tests, a simulated disk (Mem) that loses,
// tears and reorders what was not synced.
//
// Files are written once, front to back, synced, and then only read. What a
// directory lists survives a crash only after the directory was synced.
package blob

import (
	"io"
)

// Dir is a directory. It is safe for concurrent use. Errors about missing files
// satisfy errors.Is(err, fs.ErrNotExist).
type Dir interface {
	// Create makes an empty file and opens it for writing; an old one of that name
	// is replaced.
	Create(name string) (Writer, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Rename renames a file in this directory, replacing the target atomically.
	Rename(from, to string) error
	Remove(name string) error
	// Truncate cuts a file that nobody writes, and syncs it.
	Truncate(name string, size int64) error
	// List lists the directory by name.
	List() ([]Info, error)
	// Sync makes creations, renames and removals durable.
	Sync() error
	// Sub is a directory below this one, made when it is missing.
	Sub(name string) (Dir, error)
}

// Linker is the optional ability of a Dir to give a file another name in a directory of
// the same disk.
type Linker interface {
	Link(name string, to Dir, as string) error
}

// Info is an entry of a directory.
type Info struct {
	Name string
	Size int64
	Dir  bool
}

// Writer appends to a file. It is used by one goroutine at a time.
type Writer interface {
	io.Writer
	// Sync makes the file's bytes durable (fdatasync). It may run beside Write;
	// what is written meanwhile may or may not be covered.
	Sync() error
	Close() error
}

// Reserver is the optional ability of a Writer to take room on the disk before it is
// written to. A write there changes bytes and nothing else of the file, so its sync
// waits for no journal, nor for other files that the journal has in the same turn.
type Reserver interface {
	// Reserve writes n zeros behind all that was written or reserved; Write overwrites
	// them from the front. Like Write it needs a Sync.
	Reserve(n int64) error
	// Trim cuts what was reserved and not written, and makes the file's size durable.
	Trim() error
}

// File is an open file for reading, safe for concurrent use. Some files are
// Mappers too.
type File interface {
	io.ReaderAt
	Size() int64
	Close() error
}

// Mapper is the optional ability to have a whole file as memory. The bytes are
// read-only and live until Close. Reading them may fault when the disk fails:
// readers run with debug.SetPanicOnFault.
type Mapper interface {
	Map() ([]byte, error)
}

// ReadAll reads a whole file.
func ReadAll(d Dir, name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if len(b) == 0 {
		return b, nil
	}
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		err = nil
	}
	return b[:n], err
}

// WriteFile writes and syncs a file under a temporary name, renames it into
// place and syncs the directory: after it returns nil the file is there, whole.
func WriteFile(d Dir, name string, b []byte) error {
	tmp := name + TempSuffix
	w, err := d.Create(tmp)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	if err == nil {
		err = w.Sync()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.Rename(tmp, name)
	}
	if err != nil {
		return err
	}
	return d.Sync()
}

// TempSuffix marks files that are not finished; recovery removes them.
const TempSuffix = ".tmp"
